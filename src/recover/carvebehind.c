/* carvebehind.c - what stands in its place behind a lost page.
 *
 * A buffer of which a page is lost keeps what comes behind, where that can be told: its pages follow each other in memory up to the loss, where the lost one stood no record
 * begins, pages stand where the later ones must, and the records in them are no earlier than those before, none later than the buffer's flush, and chain to the very end of its
 * data, behind which they don't go on. Between two losses in such a row, pages are kept whose records are of the time between. Pages elsewhere in memory have only place and
 * time to speak for them, which is not enough behind a gap. */
#include <stdlib.h>
#include <string.h>

#include "carvejoin.h"

#define RECORDS_MIN 3u         /* that chain to the end */
#define STEPS_OVER  2u         /* times the longest time between two records of the buffer: the next page begins before that */
#define LOOK_MAX    4096u      /* pages looked at for one place */
#define PAGES_LEAST (1u << 18) /* read for all buffers together, */
#define READS_MAX   2u         /* and as many for each page of the image */

static bool spent(const struct carve *c)
{
	return c->behind >= PAGES_LEAST + READS_MAX * (c->scan.scanned / CARVE_PAGE);
}

static uint32_t page_start(const struct carve_buf *b, uint32_t i)
{
	return i ? CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE) + (i - 1) * CARVE_PAGE : 0;
}

static uint64_t in_place(const struct carve_buf *b, uint32_t i)
{
	return (b->f->pa & ~(uint64_t)(CARVE_PAGE - 1)) + (uint64_t)i * CARVE_PAGE;
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

/* The same of a buffer of which too few pages follow each other to be sure of them by themselves. */
static bool short_row(struct carve *c, const struct carve_buf *b, uint32_t want, uint32_t *gap)
{
	struct carve_walk w = {.off = ETW_BUFFER_HEADER_SIZE};

	for (*gap = 0; *gap < want; ++*gap) {
		uint32_t from = page_start(b, *gap), to = page_start(b, *gap + 1), n = w.n;

		if (*gap && (addrset_has(&c->claimed, in_place(b, *gap) | 1) || carve_at(c, in_place(b, *gap))))
			break;
		c->behind++;
		if (spent(c) || carve_room(c, (size_t)to + CARVE_PAGE) < 0 ||
		    phys_read(c->im->dump->phys, *gap ? in_place(b, *gap) : b->f->pa, c->raw + from, to - from) != 0)
			break;
		memset(c->raw + to, 0, CARVE_PAGE);
		carve_go_on(&w, c->raw, to, b->f->shape.end);
		if (w.bad || w.n <= n + 1)
			break;
	}
	return *gap && *gap < want;
}

/* The walk up to the hole. */
static bool walk_before(struct carve *c, const struct carve_buf *b, uint32_t gap, struct carve_walk *out)
{
	struct carve_walk w = {.off = ETW_BUFFER_HEADER_SIZE};
	uint32_t have = page_start(b, gap);

	if (carve_room(c, (size_t)have + CARVE_PAGE) < 0 || phys_read(c->im->dump->phys, b->f->pa, c->raw, have) != 0)
		return false;
	memset(c->raw + have, 0, CARVE_PAGE);
	carve_go_on(&w, c->raw, have, b->f->shape.end);
	if (!w.bad && w.off < have)
		w.off += carve_record_step(c->raw + w.off);
	*out = w;
	return w.has_ts;
}

/* Is there a page, not another one's by the page before it in memory, that goes on where the hole is? Then it is none, perhaps. */
static bool goes_on(const struct carve *c, const struct carve_buf *b, uint32_t gap, const struct carve_walk *w)
{
	const struct carve_scan *s = &c->scan;
	uint32_t off = w->off - page_start(b, gap);

	if (w->bad || w->off < page_start(b, gap) || off >= CARVE_PAGE)
		return false;
	for (size_t i = carve_parts_from(s, (uint16_t)off, w->last_ts), n = 0; i < s->n_parts && s->part[i].off == off && n < LOOK_MAX;
	     i++, n++) {
		const struct carve_part *p = &s->part[i];

		if (p->ts - w->last_ts > STEPS_OVER * w->step_max)
			break;
		if (!p->led && !addrset_has(&c->claimed, p->pa | 1))
			return true;
	}
	return false;
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

/* The records that begin in a page: of the first and the last one the times. 0: none begins, or it can't be read. */
static unsigned heads_of(struct carve *c, uint64_t pa, struct carve_head head[CARVE_HEADS])
{
	uint8_t page[CARVE_PAGE];

	c->behind++;
	return phys_read(c->im->dump->phys, pa, page, CARVE_PAGE) == 0 ? carve_heads(page, head) : 0;
}

/* Behind the end of data, raw[n, to), neither its own records go on nor those of somebody else; a file has fill there. */
static bool ends(const struct carve *c, const struct carve_buf *b, const struct carve_walk *w, uint32_t n, uint32_t to)
{
	struct carve_walk on = *w;

	if (carve_of_file(&b->f->shape) && n < to && c->raw[n] != 0xff)
		return false;
	carve_go_on(&on, c->raw, to, to);
	return on.n == w->n;
}

/* Do the records of page i go on from there to the very end? Page for page: most walks end in the first. *first: when the first one is from. */
static bool reaches_end(struct carve *c, const struct carve_buf *b, uint32_t i, uint64_t after, uint64_t *first)
{
	uint32_t n = b->f->shape.end - page_start(b, i), to = 0;
	struct carve_head head[CARVE_HEADS];
	struct carve_walk w = {.has_ts = true, .first_ts = after, .last_ts = after};

	if (carve_room(c, (size_t)n + 2 * (size_t)CARVE_PAGE) < 0)
		return false;
	for (uint32_t have = 0; have < n && !w.bad;) {
		c->behind++;
		if (spent(c) || phys_read(c->im->dump->phys, in_place(b, i) + have, c->raw + have, CARVE_PAGE) != 0)
			return false;
		memset(c->raw + have + CARVE_PAGE, 0, CARVE_PAGE); /* a header that lies across finds zeros there */
		if (!have) {
			if (carve_heads(c->raw, head) == 0)
				return false;
			w.off = head[0].off;
			*first = head[0].ts;
		}
		to = have + CARVE_PAGE;
		have = n - have < CARVE_PAGE ? n : have + CARVE_PAGE;
		carve_go_on(&w, c->raw, have, n);
	}
	return !w.bad && w.off == n && w.n >= RECORDS_MIN && w.last_ts <= carve_latest(&b->f->shape) && ends(c, b, &w, n, to);
}

/* Do records of the time between stand in the page in place, which nobody has? */
static bool in_between(struct carve *c, const struct carve_buf *b, uint32_t i, uint64_t from, uint64_t to, uint64_t *last)
{
	struct carve_head head[CARVE_HEADS];
	uint64_t pa = in_place(b, i);
	unsigned n;

	if (addrset_has(&c->claimed, pa | 1) || addrset_has(&c->claimed, pa | 2) || carve_at(c, pa))
		return false;
	n = heads_of(c, pa, head);
	if (!n || !head[0].ts || head[0].ts < from || head[n - 1].last_ts > to)
		return false;
	*last = head[n - 1].last_ts;
	return true;
}

/* Takes the pages in place from number i to the last, and what stands in its place between the gap and them. */
static int take(struct carve *c, struct carve_buf *b, uint32_t gap, uint32_t i, uint32_t want, uint64_t after, uint64_t first)
{
	uint64_t *page = realloc(b->page, ((size_t)want + 2) * sizeof(*page));

	if (!page)
		return ERR_NOMEM;
	for (uint32_t k = 0; !b->page && k < gap; k++)
		page[b->n_pages++] = in_place(b, k);
	b->page = page;
	for (; b->n_pages <= want; b->n_pages++)
		b->page[b->n_pages] = ETW_NO_PA;
	for (uint32_t k = gap + 1; k < i; k++)
		if (in_between(c, b, k, after, first, &after))
			b->page[k] = in_place(b, k);
	for (uint32_t k = i; k <= want; k++)
		b->page[k] = in_place(b, k);
	b->n_used = want;
	return carve_claim(c, b);
}

int carve_behind(struct carve *c, struct carve_buf *b, bool early)
{
	uint32_t first = page_start(b, 1), end = b->f->shape.end, want = end > first ? (end - first + CARVE_PAGE - 1) / CARVE_PAGE : 0, gap;
	struct carve_head head[CARVE_HEADS];
	struct carve_walk w;
	uint64_t begins = 0;

	if (b->live || b->has_va || b->f->shape.stored || !(b->page ? known_row(b, want, &gap) : short_row(c, b, want, &gap)) || spent(c) ||
	    heads_of(c, in_place(b, gap), head) || !walk_before(c, b, gap, &w) || (early && goes_on(c, b, gap, &w)))
		return 0;
	for (uint32_t i = first_free(c, b, gap, want); i <= want && !spent(c); i++) {
		if (gap < 2 && i == want) /* one page here and one there follow nothing */
			break;
		if (reaches_end(c, b, i, w.last_ts, &begins))
			return take(c, b, gap, i, want, w.last_ts, begins);
	}
	return 0;
}
