/* chunkcache.c - see chunkcache.h: sets of a few slots, a lock for each set. */
#include "chunkcache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAYS     4u
#define SETS_MAX 4096u

struct slot {
	uint8_t *p; /* NULL: empty */
	uint64_t n, used;
	size_t len;
};

struct set {
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot slot[WAYS];
};

struct chunkcache {
	size_t chunk_size, n_sets;
	chunkcache_load_fn *load;
	void *ctx;
	struct set *set;
};

int chunkcache_new(struct chunkcache **out, size_t chunk_size, uint64_t chunks, chunkcache_load_fn *load, void *ctx, struct err *e)
{
	struct chunkcache *c = calloc(1, sizeof(*c));
	uint64_t sets;

	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->chunk_size = chunk_size;
	c->load = load;
	c->ctx = ctx;
	sets = CHUNKCACHE_BYTES / ((uint64_t)chunk_size * WAYS);
	sets = sets > SETS_MAX ? SETS_MAX : sets;
	sets = sets > chunks / WAYS ? chunks / WAYS + 1 : sets;
	c->n_sets = sets ? (size_t)sets : 1;
	c->set = calloc(c->n_sets, sizeof(*c->set));
	if (!c->set) {
		free(c);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < c->n_sets; i++)
		pthread_mutex_init(&c->set[i].lock, NULL);
	*out = c;
	return 0;
}

void chunkcache_free(struct chunkcache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_sets; i++) {
		for (unsigned k = 0; k < WAYS; k++)
			free(c->set[i].slot[k].p);
		pthread_mutex_destroy(&c->set[i].lock);
	}
	free(c->set);
	free(c);
}

static int64_t take(const uint8_t *p, size_t have, size_t off, void *buf, size_t len)
{
	if (off >= have)
		return 0;
	if (len > have - off)
		len = have - off;
	memcpy(buf, p + off, len);
	return (int64_t)len;
}

/* From the cache, or -1. */
static int64_t look(struct set *s, uint64_t n, size_t off, void *buf, size_t len)
{
	int64_t got = -1;

	pthread_mutex_lock(&s->lock);
	for (unsigned k = 0; k < WAYS && got < 0; k++)
		if (s->slot[k].p && s->slot[k].n == n) {
			s->slot[k].used = ++s->clock;
			got = take(s->slot[k].p, s->slot[k].len, off, buf, len);
		}
	pthread_mutex_unlock(&s->lock);
	return got;
}

/* Puts an unpacked chunk in the place of the one that was not wanted for the longest time. */
static void keep(struct set *s, uint64_t n, uint8_t *p, size_t len)
{
	uint8_t *old;
	unsigned at = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned k = 0; k < WAYS; k++) {
		if (s->slot[k].p && s->slot[k].n == n) {
			at = k;
			break;
		}
		if (s->slot[k].used < s->slot[at].used)
			at = k;
	}
	old = s->slot[at].p;
	s->slot[at] = (struct slot){p, n, ++s->clock, len};
	pthread_mutex_unlock(&s->lock);
	free(old);
}

int64_t chunkcache_read(struct chunkcache *c, uint64_t n, size_t off, void *buf, size_t len, struct err *e)
{
	struct set *s = &c->set[n % c->n_sets];
	int64_t got = look(s, n, off, buf, len), have;
	uint8_t *p;

	if (got >= 0)
		return got;
	if (off == 0 && len >= c->chunk_size)
		return c->load(c->ctx, n, buf, e);
	p = malloc(c->chunk_size);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	have = c->load(c->ctx, n, p, e);
	if (have < 0) {
		free(p);
		return have;
	}
	got = take(p, (size_t)have, off, buf, len);
	keep(s, n, p, (size_t)have);
	return got;
}
