/* layercache.c - see layercache.h */
#include "layercache.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "layer.h"
#include "task.h"

/* Memory comes in slabs, the first of them small, for small files. What it costs the kernel to find pages is a third of what unpacking costs: beside
 * the caller's work the next slab is made ready. */
#define SLAB_BYTES  ((size_t)2 << 20)
#define SLAB_CHUNKS (SLAB_BYTES / LAYER_CHUNK)

struct layerslab {
	struct layerslab *next;
	struct task task; /* which touches the bytes */
	uint8_t *bytes;
	size_t n, used;
	struct layerchunk chunk[];
};

static void unlink_chunk(struct layercache *l, struct layerchunk *c)
{
	*(c->newer ? &c->newer->older : &l->newest) = c->older;
	*(c->older ? &c->older->newer : &l->oldest) = c->newer;
}

static void make_newest(struct layercache *l, struct layerchunk *c)
{
	c->newer = NULL;
	c->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = c;
	l->newest = c;
}

struct layerchunk *layercache_get(struct layercache *l, uint64_t number)
{
	struct layerchunk *c = l->row[number % LAYERCACHE_ROWS];

	while (c && c->number != number)
		c = c->next;
	if (c && c != l->newest) {
		unlink_chunk(l, c);
		make_newest(l, c);
	}
	return c;
}

static struct layerslab *new_slab(size_t n)
{
	struct layerslab *s = malloc(sizeof(*s) + n * sizeof(*s->chunk));

	if (!s)
		return NULL;
	s->n = n;
	s->used = 0;
	s->bytes = malloc(n * LAYER_CHUNK);
	if (s->bytes)
		return s;
	free(s);
	return NULL;
}

static void touch(void *ctx)
{
	struct layerslab *s = ctx;

	for (size_t i = 0; i < s->n * LAYER_CHUNK; i += 4096)
		s->bytes[i] = 0;
}

void layercache_free(struct layercache *l)
{
	if (l->ahead) {
		task_wait(&l->ahead->task);
		l->ahead->next = l->slabs;
		l->slabs = l->ahead;
	}
	while (l->slabs) {
		struct layerslab *s = l->slabs;

		l->slabs = s->next;
		free(s->bytes);
		free(s);
	}
	free(l->zero);
}

static bool add_slab(struct layercache *l)
{
	size_t n = l->slabs ? l->slabs->n * 2 : 1, left = l->max_chunks - l->n_chunks;
	struct layerslab *s = l->ahead;

	if (s) {
		l->ahead = NULL;
		task_wait(&s->task);
	} else {
		n = n < SLAB_CHUNKS ? n : SLAB_CHUNKS;
		s = left ? new_slab(n < left ? n : left) : NULL;
	}
	if (!s)
		return false;
	s->next = l->slabs;
	l->slabs = s;
	if (s->n == SLAB_CHUNKS && left >= 2 * SLAB_CHUNKS && (l->ahead = new_slab(SLAB_CHUNKS)) != NULL)
		task_start(&l->ahead->task, touch, l->ahead);
	return true;
}

struct layerchunk *layercache_room(struct layercache *l)
{
	struct layerchunk *c = l->spare, **p;

	l->spare = NULL;
	if (c)
		return c;
	if (l->n_chunks < l->max_chunks && ((l->slabs && l->slabs->used < l->slabs->n) || add_slab(l))) {
		c = &l->slabs->chunk[l->slabs->used];
		c->bytes = l->slabs->bytes + l->slabs->used++ * LAYER_CHUNK;
		l->n_chunks++;
		return c;
	}
	c = l->oldest;
	if (!c)
		return NULL;
	unlink_chunk(l, c);
	for (p = &l->row[c->number % LAYERCACHE_ROWS]; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	return c;
}

bool layercache_all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

bool layercache_is_zero(const struct layercache *l, uint64_t number)
{
	return number < l->zero_bits && l->zero[number / 8] >> number % 8 & 1;
}

int layercache_set_zero(struct layercache *l, uint64_t number)
{
	if (number >= l->zero_bits) {
		uint64_t bytes = (number / 8 + 1) * 2;
		uint8_t *p = bytes < SIZE_MAX ? realloc(l->zero, (size_t)bytes) : NULL;

		if (!p)
			return ERR_NOMEM;
		memset(p + l->zero_bits / 8, 0, bytes - l->zero_bits / 8);
		l->zero = p;
		l->zero_bits = bytes * 8;
	}
	l->zero[number / 8] |= (uint8_t)(1u << number % 8);
	return 0;
}

void layercache_enter(struct layercache *l, uint64_t number, struct layerchunk *c, size_t n)
{
	c->number = number;
	memset(c->bytes + n, 0, LAYER_CHUNK - n);
	c->next = l->row[number % LAYERCACHE_ROWS];
	l->row[number % LAYERCACHE_ROWS] = c;
	make_newest(l, c);
}

void layercache_keep(struct layercache *l, uint64_t number, const uint8_t *p, size_t n)
{
	struct layerchunk *c;

	if (layercache_all_zero(p, n)) {
		layercache_set_zero(l, number);
		return;
	}
	if (layercache_get(l, number))
		return;
	c = layercache_room(l);
	if (!c)
		return;
	memcpy(c->bytes, p, n);
	layercache_enter(l, number, c, n);
}
