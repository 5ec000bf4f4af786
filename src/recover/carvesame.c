/* carvesame.c - buffers that are in memory twice, one of them not whole: a consumer's copy that lost a page (or whose kernel buffer did), a file that is
 * cached twice, a copy that was made before the buffer was full.
 *
 * A record is known again by its logger, processor, place in the buffer and bytes (its time is one of them). Of the orphans that begin with the same
 * time, the one with the most records has what it has; the others only what all before them lack. Recovered sessions come first: they are written by then. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"
#include "copies.h"
#include "rd.h"

#define RECORDS_MAX (1u << 20)
#define BYTES_MAX   (UINT64_C(1) << 30) /* of buffers that are put together to be compared */
#define CPU_BYTE    0xffu               /* what of the processor's word every copy keeps */

struct key {
	uint64_t v[2];
};

/* False: it can't be made, so the record is like no other. */
static bool key_of(const struct etw_buffer *b, uint32_t at, const uint8_t *rec, uint32_t size, struct key *k)
{
	uint8_t place[8], sum[HASH_MAX] = {0};
	struct hash *h;

	put_le16(place, b->hdr.logger_id);
	put_le16(place + 2, b->hdr.processor & CPU_BYTE);
	put_le32(place + 4, at);
	if (hash_new(&h, HASH_SHA256, NULL) < 0)
		return false;
	hash_add(h, place, sizeof(place));
	hash_add(h, rec, size);
	if (hash_end(h, sum) == 0)
		return false;
	k->v[0] = le64(sum);
	k->v[1] = le64(sum + 8) | 1; /* 0: an empty slot */
	return true;
}

/* Where the record is, or would be: there is an empty slot. */
static struct carve_rec *slot_of(struct carve_rec *v, size_t cap, const struct key *k)
{
	size_t i = (size_t)k->v[0] & (cap - 1);

	while (v[i].key[1] && (v[i].key[0] != k->v[0] || v[i].key[1] != k->v[1]))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow(struct carve *c)
{
	size_t cap = c->cap_recs ? 2 * c->cap_recs : 1024;
	struct carve_rec *v = calloc(cap, sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->cap_recs; i++)
		if (c->rec[i].key[1])
			*slot_of(v, cap, &(struct key){{c->rec[i].key[0], c->rec[i].key[1]}}) = c->rec[i];
	free(c->rec);
	c->rec = v;
	c->cap_recs = cap;
	return 0;
}

int carve_same_add(struct carve *c, const struct etw_buffer *b)
{
	struct etw_place p = {0};
	struct etw_record r;
	struct key k;

	if (b->has_ts && addrset_add(&c->known_ts, b->first_ts) < 0)
		return ERR_NOMEM;
	while (etw_next_record(b, &p, &r)) {
		struct carve_rec *rec;

		if (c->n_recs >= RECORDS_MAX) {
			c->same_limited = true;
			break;
		}
		if (2 * (c->n_recs + 1) > c->cap_recs && grow(c) < 0)
			return ERR_NOMEM;
		if (!key_of(b, p.at, b->body + r.off, r.size, &k))
			continue;
		rec = slot_of(c->rec, c->cap_recs, &k);
		if (rec->key[1])
			continue;
		*rec = (struct carve_rec){{k.v[0], k.v[1]}, b->has_pa ? b->pa : ETW_NO_PA, b->has_va ? b->va : b->pa};
		c->n_recs++;
	}
	return 0;
}

/* ---- one buffer against what is known ------------------------------------------------------------------------------------------------------ */

struct asked {
	const struct carve *c;
	const struct etw_buffer *b;
	const struct carve_rec *first; /* of b's records that another buffer has */
};

static bool is_elsewhere(void *ctx, uint32_t at, const uint8_t *bytes, uint32_t size)
{
	struct asked *a = ctx;
	const struct carve_rec *rec;
	struct key k;

	if (!key_of(a->b, at, bytes, size, &k))
		return false;
	rec = slot_of(a->c->rec, a->c->cap_recs, &k);
	if (!rec->key[1] || rec->pa == a->b->pa)
		return false;
	if (!a->first)
		a->first = rec;
	return true;
}

int carve_same(const struct carve *c, struct etw_buffer *b)
{
	struct asked a = {.c = c, .b = b};
	uint32_t n;

	if (!c->n_recs || !b->has_ts || !addrset_has(&c->known_ts, b->first_ts))
		return 0;
	n = etw_count_copied(b, is_elsewhere, &a);
	if (n && n == b->n_events) {
		b->has_same_as = true;
		b->same_as = a.first->at;
		return 1;
	}
	return n ? etw_drop_copied(b, is_elsewhere, &a) : 0;
}

/* ---- orphans among each other --------------------------------------------------------------------------------------------------------------- */

struct twin {
	uint64_t ts;
	const struct carve_buf *b;
	size_t order;
	uint32_t n;
};

static int by_worth(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_time(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Those that begin with a time of which there are several, or which a recovered session's buffer begins with. */
static size_t list_twins(const struct carve_groups *g, struct twin *v)
{
	size_t n = 0, o = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct carve_buf *b = g->v[i].b;

		if (!b->loose)
			v[n++] = (struct twin){b->f->shape.stored ? b->first_ts : b->f->shape.walk.first_ts, b, i, 0};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_time);
	for (size_t i = 0, to; i < n; i = to) {
		for (to = i + 1; to < n && v[to].ts == v[i].ts;)
			to++;
		for (size_t k = i; k < to && (to - i > 1 || addrset_has(&g->c->known_ts, v[i].ts)); k++)
			v[o++] = v[k];
	}
	return o;
}

static int settled(struct carve *c, const struct carve_buf *b, uint64_t *left, struct etw_buffer *eb)
{
	memset(eb, 0, sizeof(*eb));
	if (b->f->shape.end > *left) {
		c->same_limited = true;
		return 0;
	}
	*left -= b->f->shape.end;
	return carve_settle(c, b, eb, NULL);
}

int carve_same_find(struct carve_groups *g)
{
	struct twin *v = malloc((g->n + 1) * sizeof(*v));
	struct carve *c = g->c;
	uint64_t left = BYTES_MAX;
	struct etw_buffer eb;
	size_t n;
	int rc = 0;

	if (!v)
		return ERR_NOMEM;
	n = list_twins(g, v);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = settled(c, v[i].b, &left, &eb);
		v[i].n = eb.n_events;
		etw_buffer_clear(&eb);
	}
	if (n)
		qsort(v, n, sizeof(*v), by_worth);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = settled(c, v[i].b, &left, &eb);
		if (rc == 0 && eb.n_events)
			rc = carve_same_add(c, &eb);
		etw_buffer_clear(&eb);
	}
	free(v);
	if (c->same_limited)
		notes_add(&c->im->notes, &NOTE(NOTE_LIMIT_REACHED),
			  "more buffers that begin alike than could be compared: events of copies may be twice");
	return rc;
}
