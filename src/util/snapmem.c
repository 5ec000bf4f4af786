/* snapmem.c - see snapmem.h. What is released while there are copies is not given back, so that its address stays ours; up to a limit. */
#include "snapmem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_BYTES_MAX  ((size_t)96 << 20)
#define DEAD_BLOCKS_MAX 64u

struct block {
	struct block *next;
	uint64_t id; /* never used again */
	size_t n;
	bool live;
	max_align_t bytes[];
};

struct snapmem {
	struct block *first;
	uint64_t last_id;
	size_t live_bytes, dead_bytes, n_live, n_dead, n_copies;
};

struct piece {
	uint64_t id;
	size_t n;
	uint8_t *bytes; /* in the copy */
};

struct snapmem_copy {
	struct snapmem *of;
	size_t n;
	struct piece piece[];
};

struct snapmem *snapmem_new(void)
{
	return calloc(1, sizeof(struct snapmem));
}

void snapmem_close(struct snapmem *m)
{
	if (!m)
		return;
	while (m->first) {
		struct block *b = m->first;

		m->first = b->next;
		free(b);
	}
	free(m);
}

static void set_live(struct snapmem *m, struct block *b, bool live)
{
	if (b->live == live)
		return;
	b->live = live;
	m->live_bytes += live ? b->n : 0 - b->n;
	m->dead_bytes += live ? 0 - b->n : b->n;
	m->n_live += live ? 1 : (size_t)-1;
	m->n_dead += live ? (size_t)-1 : 1;
}

void *snapmem_alloc(void *mem, size_t n)
{
	struct snapmem *m = mem;
	struct block *b;

	for (b = m->first; b; b = b->next)
		if (!b->live && b->n == n) {
			set_live(m, b, true);
			return b->bytes;
		}
	b = n < SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + n) : NULL;
	if (!b)
		return NULL;
	b->id = ++m->last_id;
	b->n = n;
	b->live = true;
	b->next = m->first;
	m->first = b;
	m->live_bytes += n;
	m->n_live++;
	return b->bytes;
}

void snapmem_release(void *mem, void *p)
{
	struct snapmem *m = mem;
	struct block **at = &m->first, *b;

	while (*at && (void *)(*at)->bytes != p)
		at = &(*at)->next;
	b = *at;
	if (!b || !b->live)
		return;
	set_live(m, b, false);
	if (m->n_copies && m->dead_bytes <= DEAD_BYTES_MAX && m->n_dead <= DEAD_BLOCKS_MAX)
		return;
	m->dead_bytes -= b->n;
	m->n_dead--;
	*at = b->next;
	free(b);
}

size_t snapmem_bytes(const struct snapmem *m)
{
	return m->live_bytes;
}

struct snapmem_copy *snapmem_save(struct snapmem *m)
{
	struct snapmem_copy *c = malloc(sizeof(*c) + m->n_live * sizeof(*c->piece) + m->live_bytes);
	uint8_t *to;

	if (!c)
		return NULL;
	c->of = m;
	c->n = 0;
	to = (uint8_t *)&c->piece[m->n_live];
	for (const struct block *b = m->first; b; b = b->next) {
		if (!b->live)
			continue;
		c->piece[c->n++] = (struct piece){b->id, b->n, to};
		memcpy(to, b->bytes, b->n);
		to += b->n;
	}
	m->n_copies++;
	return c;
}

static struct block *by_id(const struct snapmem *m, uint64_t id)
{
	struct block *b = m->first;

	while (b && b->id != id)
		b = b->next;
	return b;
}

bool snapmem_restore(struct snapmem *m, const struct snapmem_copy *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!by_id(m, c->piece[i].id))
			return false;
	for (struct block *b = m->first; b; b = b->next)
		set_live(m, b, false);
	for (size_t i = 0; i < c->n; i++) {
		struct block *b = by_id(m, c->piece[i].id);

		if (!b)
			continue; /* looked for above */
		set_live(m, b, true);
		memcpy(b->bytes, c->piece[i].bytes, b->n);
	}
	return true;
}

void snapmem_copy_free(struct snapmem_copy *c)
{
	if (c)
		c->of->n_copies--;
	free(c);
}
