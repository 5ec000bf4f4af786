/* carveclaim.c - what the numbers of buffers say of the file that they may be of. Ids and clock values come again with each boot, so that a buffer lies between a
 * file's begin and its end proves little: the header of the file that it is of may be lost. But a closed file's header counts its buffers, which are numbered. */
#include <stdlib.h>

#include "buf.h"
#include "carvework.h"

#define NUMBERS_AHEAD 8u /* in real files the last number is at most 2 above the count: a buffer that could not be written has one too */
#define PROOF_LEAST   2u /* one buffer alone has the right number by chance */
#define MOST_PART     2u /* of so many parts of all numbers one must be there */

static int by_number(const void *a, const void *b)
{
	const struct carve_claim *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->it->b->f->pa < y->it->b->f->pa ? -1 : x->it->b->f->pa > y->it->b->f->pa;
}

struct carve_claim carve_claim_of(size_t file, struct carve_item *it)
{
	return (struct carve_claim){file, it->b->f->shape.h.sequence, carve_first_ts(it->b), it};
}

bool carve_number_fits(const struct carve_file *h, const struct carve_item *it)
{
	return !h->closed_at || !h->written || it->b->f->shape.h.sequence < (uint64_t)h->written + NUMBERS_AHEAD;
}

/* The latest clock value that tells of b: when it was flushed, where that can be read on the file's clock. */
static uint64_t latest_of(const struct carve_file *h, const struct carve_buf *b)
{
	uint64_t last = carve_last_ts(b), flushed = b->f->shape.h.timestamp;

	return flushed > last && flushed <= h->last ? flushed : last;
}

/* v[0, n) name one file and are sorted. The same buffer may have been found twice: it begins with the same event then. */
static enum carve_borne weigh(const struct carve_file *h, const struct carve_claim *v, size_t n)
{
	uint64_t distinct = 0, latest = 0, head = 0, t;
	bool ends, all;

	if (!h->closed_at || h->written < 2)
		return CARVE_BORNE_NOT;
	for (size_t i = 0; i < n; i++) {
		const struct carve_item *it = v[i].it;

		if (!carve_number_fits(h, it) || (head && it->head && it->head != head))
			return CARVE_BORNE_NOT;
		if (v[i].number && i && v[i].number == v[i - 1].number && v[i].first != v[i - 1].first)
			return CARVE_BORNE_NOT;
		head = it->head ? it->head : head;
		distinct += v[i].number && (i == 0 || v[i].number != v[i - 1].number);
		t = latest_of(h, it->b);
		latest = t > latest ? t : latest;
	}
	all = distinct == h->written - 1;
	if (all && distinct >= PROOF_LEAST && latest >= h->closed_at)
		return latest >= h->near_end ? CARVE_BORNE_WHOLE : CARVE_BORNE_ALL;
	if (h->clock == ETW_CLOCK_SYSTEM_TIME) /* it does not begin again with each boot, and an id is one session's at a time */
		return CARVE_BORNE_MOST;
	ends = h->taken || latest >= h->near_end;
	return ends && distinct * MOST_PART >= h->written - 1 ? CARVE_BORNE_MOST : CARVE_BORNE_NOT;
}

enum carve_borne carve_borne_out(const struct carve_groups *g, struct carve_claim *v, size_t n)
{
	if (n == 0)
		return CARVE_BORNE_NOT;
	qsort(v, n, sizeof(*v), by_number);
	return weigh(&g->h[v[0].file], v, n);
}

void carve_weigh_files(struct carve_groups *g, struct carve_claim *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(*v), by_number);
	for (size_t i = 0, to; i < n; i = to) {
		for (to = i; to < n && v[to].file == v[i].file;)
			to++;
		g->h[v[i].file].borne = weigh(&g->h[v[i].file], v + i, to - i);
	}
}

static uint64_t key_of(uint32_t id, bool wall, uint32_t size)
{
	return (uint64_t)id << 33 | (uint64_t)wall << 32 | size;
}

uint64_t carve_stranger_key(const struct carve_item *it)
{
	return key_of(it->id, it->dates, it->size);
}

void carve_tell_strangers(struct carve_groups *g, uint64_t *key, size_t n)
{
	if (n == 0)
		return;
	qsort(key, n, sizeof(*key), u64_order);
	for (size_t i = 0; i < g->n_order; i++) {
		struct carve_file *h = &g->h[g->order[i]];
		uint64_t own = key_of(h->id, h->clock == ETW_CLOCK_SYSTEM_TIME, h->size);

		h->strangers = bsearch(&own, key, n, sizeof(*key), u64_order) != NULL;
	}
}
