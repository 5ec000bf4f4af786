/* carvebehind.c - what stands in its place behind a lost page.
 *
 * A buffer of which a page is lost keeps what comes behind, where that can be told: its pages follow each other in memory up to the loss, pages stand where the
 * later ones must, and the records in them are no earlier than those before, none later than the buffer's flush, and chain to the very end of its data. Pages
 * elsewhere in memory have only place and time to speak for them, which is not enough behind a gap. */
#include <stdlib.h>
#include <string.h>

#include "carvejoin.h"

#define RECORDS_MIN 3u         /* that chain to the end */
#define PAGES_MAX   (1u << 18) /* read for all buffers together */

static uint32_t page_start(const struct carve_buf *b, uint32_t i)
{
	return i ? CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE) + (i - 1) * CARVE_PAGE : 0;
}

static uint64_t in_place(const struct carve_buf *b, uint32_t i)
{
	return b->page[0] + (uint64_t)i * CARVE_PAGE;
}

/* Up to which page those that are known follow each other, and the first records' last time. *gap: the first that is not known. False: they do not. */
static bool known_row(const struct carve_buf *b, uint32_t want, uint32_t *gap)
{
	for (*gap = 1; *gap <= want && *gap < b->n_pages && b->page[*gap] != ETW_NO_PA; ++*gap)
		if (b->page[*gap] != in_place(b, *gap))
			return false;
	for (uint32_t i = *gap; i < b->n_pages; i++)
		if (b->page[i] != ETW_NO_PA)
			return false; /* another hole behind: nothing is added to what was found by other means */
	return *gap < want;
}

/* The time of the last record before the hole. */
static bool time_before(struct carve *c, const struct carve_buf *b, uint32_t gap, uint64_t *ts)
{
	struct carve_walk w = {.off = ETW_BUFFER_HEADER_SIZE};
	uint32_t have = page_start(b, gap);

	if (carve_room(c, (size_t)have + CARVE_PAGE) < 0 || phys_read(c->im->dump->phys, b->f->pa, c->raw, have) != 0)
		return false;
	memset(c->raw + have, 0, CARVE_PAGE);
	carve_go_on(&w, c->raw, have, have);
	*ts = w.last_ts;
	return w.has_ts;
}

/* The first of the pages in place up to the last, `want`, that nobody has and where no buffer begins; want + 1: not even that one. */
static uint32_t first_free(const struct carve *c, const struct carve_buf *b, uint32_t gap, uint32_t want)
{
	uint32_t i = want + 1;

	while (i > gap + 1 && !addrset_has(&c->claimed, in_place(b, i - 1) | 1) && !addrset_has(&c->claimed, in_place(b, i - 1) | 2) &&
	       !carve_at(c, in_place(b, i - 1)))
		i--;
	return i;
}

/* Do the records of page i go on from there to the very end? Page for page: most walks end in the first. */
static bool reaches_end(struct carve *c, const struct carve_buf *b, uint32_t i, uint64_t after)
{
	uint32_t n = b->f->shape.end - page_start(b, i);
	struct carve_head head[CARVE_HEADS];
	struct carve_walk w = {.has_ts = true, .first_ts = after, .last_ts = after};

	if (carve_room(c, (size_t)n + 2 * (size_t)CARVE_PAGE) < 0)
		return false;
	for (uint32_t have = 0; have < n && !w.bad;) {
		if (c->behind++ >= PAGES_MAX || phys_read(c->im->dump->phys, in_place(b, i) + have, c->raw + have, CARVE_PAGE) != 0)
			return false;
		memset(c->raw + have + CARVE_PAGE, 0, CARVE_PAGE); /* a header that lies across finds zeros there */
		if (!have) {
			if (carve_heads(c->raw, head) == 0)
				return false;
			w.off = head[0].off;
		}
		have = n - have < CARVE_PAGE ? n : have + CARVE_PAGE;
		carve_go_on(&w, c->raw, have, n);
	}
	return !w.bad && w.off == n && w.n >= RECORDS_MIN && w.last_ts <= carve_latest(&b->f->shape);
}

int carve_behind(struct carve *c, struct carve_buf *b)
{
	uint32_t first = page_start(b, 1), end = b->f->shape.end, want = end > first ? (end - first + CARVE_PAGE - 1) / CARVE_PAGE : 0, gap;
	uint64_t ts, *page;

	if (b->live || !b->page || b->has_va || b->f->shape.stored || !known_row(b, want, &gap) || !time_before(c, b, gap, &ts))
		return 0;
	for (uint32_t i = first_free(c, b, gap, want); i <= want && c->behind < PAGES_MAX; i++) {
		if (gap < 2 && i == want) /* one page here and one there follow nothing */
			break;
		if (!reaches_end(c, b, i, ts))
			continue;
		page = realloc(b->page, ((size_t)want + 2) * sizeof(*page));
		if (!page)
			return ERR_NOMEM;
		b->page = page;
		for (; b->n_pages <= want; b->n_pages++)
			b->page[b->n_pages] = ETW_NO_PA;
		for (uint32_t k = i; k <= want; k++)
			b->page[k] = in_place(b, k);
		b->n_used = want;
		return carve_claim(c, b);
	}
	return 0;
}
