/* arena.c - see arena.h */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 65536

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap;
	_Alignas(16) uint8_t bytes[];
};

void arena_init(struct arena *a)
{
	memset(a, 0, sizeof(*a));
	a->max = ARENA_MAX;
}

void arena_free(struct arena *a)
{
	struct arena_chunk *c = a->first, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	arena_init(a);
}

void arena_reset(struct arena *a)
{
	a->now = a->first;
	a->used = 0;
}

static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
	size_t cap = n > CHUNK ? n : CHUNK;
	struct arena_chunk *c;

	if (a->total > a->max || cap > a->max - a->total)
		return NULL;
	c = malloc(sizeof(*c) + cap);
	if (!c)
		return NULL;
	c->cap = cap;
	a->total += cap;
	if (a->now) {
		c->next = a->now->next;
		a->now->next = c;
	} else {
		c->next = NULL;
		a->first = c;
	}
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p;

	if (n > a->max)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	while (!a->now || a->now->cap - a->used < n) {
		struct arena_chunk *c = a->now ? a->now->next : NULL;

		if (!c || c->cap < n)
			c = add_chunk(a, n);
		if (!c)
			return NULL;
		a->now = c;
		a->used = 0;
	}
	p = a->now->bytes + a->used;
	a->used += n;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (p) {
		memcpy(p, s, n);
		p[n] = 0;
	}
	return p;
}
