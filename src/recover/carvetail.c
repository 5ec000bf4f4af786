/* carvetail.c - what an earlier use left behind a buffer's data, where nothing maps it. See carvework.h
 *
 * Only pages up to the end of data are looked for otherwise. Here the chain of old records must prove each page more: records behind the end of data, none later than
 * the buffer's first one, lead over the edge of its last page, and in the page right behind it, which nobody has and where no buffer begins, others begin at the very
 * place where the one that crosses ends. One record before the edge is enough, since it says where the next one begins; those behind it, of which there are many, prove
 * that this is no chance. Records that are some buffer's by that, or by its mapping, are no loose ones. */
#include <stdlib.h>
#include <string.h>

#include "carvejoin.h"

#define OLD_SURE  3u    /* records behind an edge that prove the page they are in; or one more, before and behind, when all ends there */
#define END_LEAST 8u    /* bytes behind the end of old records that tell anything */
#define END_LAST  16u   /* bytes before it that may all be as those behind */
#define PEEK      0x40u /* bytes of a record that are looked at */
#define ROOM      2u    /* times the usual record's length: less room than that is none */
#define FULL_ROW  4u    /* pages in a row, of the buffer and of old records, that are enough when these end where no room is left */
#define LONG_ROW  8u    /* and when they end elsewhere */
#define ROW_SURE  3u    /* pages behind the first one, all in a row, that tell more than time does */
#define NEAR      UINT64_C(64) /* usual steps between records that may lie between two pages elsewhere */
#define READS_MAX 8u           /* pages read for all buffers together, for each that the image has */

struct trail { /* a chain of old records that is followed from page to page */
	struct carve *c;
	const struct carve_buf *b;
	uint32_t row;                       /* pages of the buffer that follow each other, before any behind */
	uint8_t win[2 * CARVE_PAGE + PEEK]; /* the page before, and the one that is looked at */
	struct carve_walk w;                /* its offsets count from win */
	uint32_t end;                       /* of the buffer, counted the same way */
	uint32_t from, step;                /* where it began, counted from the first page before win; the length of its first record */
	uint32_t pages;                     /* behind the first */
};

static uint32_t page_start(const struct carve_buf *b, uint32_t i)
{
	return i ? i * CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE) : 0;
}

/* Nobody has it, and no buffer begins in it. */
static bool is_free(const struct carve *c, uint64_t pa)
{
	return !addrset_has(&c->claimed, pa | 1) && !carve_at(c, pa) && !carve_packed_at(c, pa);
}

/* A buffer of this size begins here that holds nothing, so that no search has found it. */
static bool is_empty(const struct trail *t, const uint8_t page[CARVE_PAGE])
{
	return carve_plain(page) && le32(page) == t->b->f->shape.h.buffer_size;
}

static bool late(const struct trail *t)
{
	return t->w.has_ts && t->w.last_ts > t->b->f->shape.walk.first_ts;
}

/* How many bytes the records of the chain take. */
static uint32_t length(const struct trail *t)
{
	return t->pages * CARVE_PAGE + t->w.off - t->from;
}

/* Have all of them one length? Then those of other buffers stand at the same places. */
static bool even(const struct trail *t)
{
	return length(t) == (uint64_t)t->w.n * t->step;
}

/* So many pages follow each other that it is no chance. */
static bool row_sure(const struct trail *t)
{
	return t->row + t->pages > ROW_SURE;
}

/* Behind where the walk has ended, in this page, stand records of a use before, and none that is later than the chain. */
static bool older_behind(const struct trail *t)
{
	uint32_t at = t->w.off - CARVE_PAGE;
	uint8_t rest[CARVE_PAGE] = {0};
	struct carve_head h[CARVE_HEADS];
	unsigned n;

	memcpy(rest + at, t->win + CARVE_PAGE + at, CARVE_PAGE - at);
	n = carve_heads(rest, h);
	for (unsigned i = 0; i < n; i++)
		if (h[i].n && (!h[i].ts || h[i].last_ts > t->w.first_ts))
			return false;
	return n && h[0].n >= OLD_SURE;
}

/* Has the walk ended as a buffer's records do? Behind them stands nothing; or what is older still, which proves little by itself, since it begins anywhere. */
static bool ends_well(const struct trail *t)
{
	const uint8_t *page = t->win + CARVE_PAGE;
	uint32_t at = t->w.off - CARVE_PAGE, from = at < END_LAST ? 0 : at - END_LAST;
	bool any = false;

	if (t->w.off == t->end)
		return true;
	if (t->w.off < CARVE_PAGE || at + END_LEAST > CARVE_PAGE)
		return false;
	if ((page[at] != 0 && page[at] != 0xff) || memcmp(page + at, page + at + 1, CARVE_PAGE - at - 1) != 0)
		return row_sure(t) && !even(t) && older_behind(t);
	while (from < at)
		any |= page[from++] != page[at];
	return any;
}

/* Do the records that begin where the walk ended fit in time? Asked where their place tells nothing, and the pages so far are no row. */
static bool paced(const struct trail *t, uint32_t have)
{
	const struct carve_walk *w = &t->w;
	struct carve_walk next = {.off = w->off};
	uint64_t steps, span;

	if (row_sure(t) || !even(t))
		return true;
	carve_go_on(&next, t->win, have, t->end);
	if (!w->has_ts || !next.has_ts || next.first_ts <= w->last_ts || w->n + next.n < 3)
		return true;
	steps = w->n + next.n - 2;
	span = w->last_ts - w->first_ts + (next.last_ts - next.first_ts);
	return (next.first_ts - w->last_ts) / (span / steps + 1) <= NEAR;
}

/* Into the next page. False: the chain does not go on there as old records do. *began: how many begin in it. */
static bool next_page(struct trail *t, uint64_t pa, uint32_t *began)
{
	struct carve_walk before;
	uint32_t have;

	if (t->c->tail_reads++ / READS_MAX > t->c->scan.scanned / CARVE_PAGE || !is_free(t->c, pa))
		return false;
	memcpy(t->win, t->win + CARVE_PAGE, CARVE_PAGE);
	if (phys_read(t->c->im->dump->phys, pa, t->win + CARVE_PAGE, CARVE_PAGE) != 0 || is_empty(t, t->win + CARVE_PAGE))
		return false;
	t->w.off -= CARVE_PAGE;
	t->end -= CARVE_PAGE;
	t->pages++;
	before = t->w;
	have = t->end < 2 * CARVE_PAGE ? t->end : 2 * CARVE_PAGE;
	if (!paced(t, have))
		return false;
	carve_go_on(&t->w, t->win, have, t->end);
	*began = t->w.n - before.n;
	if (before.off < CARVE_PAGE && *began)
		--*began; /* the one whose header lies across the edge */
	return (!t->w.bad || t->w.off >= CARVE_PAGE) && !late(t);
}

static void set_out(struct trail *t, const uint8_t page[CARVE_PAGE], uint32_t left, const struct carve_head *h)
{
	memset(t->win, 0, sizeof(t->win));
	memcpy(t->win + CARVE_PAGE, page, CARVE_PAGE);
	t->end = CARVE_PAGE + left;
	t->w = (struct carve_walk){.off = CARVE_PAGE + h->off};
	t->from = t->w.off;
	t->step = carve_record_step(t->win + t->from);
	t->pages = 0;
	carve_go_on(&t->w, t->win, t->end < 2 * CARVE_PAGE ? t->end : 2 * CARVE_PAGE, t->end);
}

/* The walk has come to the last page of the buffer. Does a record stand there that goes over the buffer's end? Then none of them are its own. */
static bool goes_over(const struct trail *t)
{
	struct carve_walk w = t->w;

	if (!w.bad || t->end > 2 * CARVE_PAGE)
		return false;
	carve_go_on(&w, t->win, 2 * CARVE_PAGE, UINT32_MAX / 2);
	return !w.bad || w.n > t->w.n;
}

/* How many pages behind the one at pa, at most `most`, are b's by the chain that begins at h. */
static uint32_t follow(struct trail *t, uint64_t pa, const uint8_t page[CARVE_PAGE], uint32_t left, const struct carve_head *h,
		       uint32_t most)
{
	uint32_t sure = 0, behind = 0, began;

	set_out(t, page, left, h);
	if (t->w.bad || late(t))
		return 0;
	for (uint32_t i = 1; sure < most && t->w.off < t->end && t->end > 2 * CARVE_PAGE; i++) {
		if (!next_page(t, pa + (uint64_t)i * CARVE_PAGE, &began))
			break;
		if (goes_over(t))
			return 0;
		behind += began;
		if (t->w.has_ts && (behind >= OLD_SURE || (t->w.n > OLD_SURE && ends_well(t)))) {
			sure = i;
			behind = 0;
		}
		if (t->w.bad)
			break;
	}
	return sure;
}

/* The same for records that begin in the page behind the one at pa, where nothing leads to them: the end of data is so near to the edge that none begins behind it.
 * That they are the buffer's is shown by where they end: all chain to a place in the buffer where there is no room for another one, or, over many pages, to one behind
 * which nothing follows. Those of another buffer, of which a part stands here, would end somewhere else. */
static uint32_t follow_apart(struct trail *t, uint64_t pa, uint32_t left)
{
	uint64_t first = pa + CARVE_PAGE;
	struct carve_head h[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];
	uint32_t n = 1, began;

	if (left <= CARVE_PAGE || !is_free(t->c, first) || phys_read(t->c->im->dump->phys, first, page, CARVE_PAGE) != 0 ||
	    is_empty(t, page) || !carve_heads(page, h))
		return 0;
	left -= CARVE_PAGE;
	set_out(t, page, left, h);
	while (!t->w.bad && t->w.off < t->end && !late(t)) {
		if (t->end <= 2 * CARVE_PAGE || !next_page(t, first + (uint64_t)n * CARVE_PAGE, &began))
			return 0;
		n++;
	}
	if (late(t) || !t->w.has_ts || t->w.n <= OLD_SURE || goes_over(t))
		return 0;
	if (t->end - t->w.off <= ROOM * (length(t) / t->w.n))
		return t->row + n >= FULL_ROW ? n : 0;
	return t->row + n >= LONG_ROW && ends_well(t) ? n : 0;
}

/* ---- for others -------------------------------------------------------------------------------------------------------------------------- */

uint32_t carve_old_pages(struct carve *c, const struct carve_buf *b, uint64_t pa, const uint8_t page[CARVE_PAGE], uint32_t left,
			 uint32_t row, uint32_t most)
{
	struct trail t = {.c = c, .b = b, .row = row};
	struct carve_head h[CARVE_HEADS];
	unsigned n = carve_heads(page, h);
	uint32_t best = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t got = follow(&t, pa, page, left, &h[i], most);

		if (got > best)
			best = got;
	}
	return n || !row ? best : follow_apart(&t, pa, left);
}

/* How many pages b has, if all are there and follow each other. */
static uint32_t pages_in_row(const struct carve_buf *b)
{
	for (uint32_t i = 1; i < b->n_pages; i++)
		if (b->page[i] == ETW_NO_PA || b->page[i] != b->page[i - 1] + CARVE_PAGE)
			return 0;
	return b->n_pages;
}

/* The pages behind the last one of b that hold its old records. */
static int add_old(struct carve *c, struct carve_buf *b)
{
	uint32_t start = page_start(b, b->n_pages - 1), lead = b->n_pages == 1 ? (uint32_t)(b->f->pa % CARVE_PAGE) : 0;
	uint32_t live = b->f->shape.end > start ? b->f->shape.end - start + lead : 0, size = b->f->shape.h.buffer_size, n, i;
	uint64_t last = b->page[b->n_pages - 1], *v;
	uint8_t page[CARVE_PAGE];

	if (last == ETW_NO_PA || live > CARVE_PAGE || size + lead <= start + CARVE_PAGE ||
	    phys_read(c->im->dump->phys, last, page, CARVE_PAGE) != 0)
		return 0;
	memset(page, 0, live);
	for (i = live; i < CARVE_PAGE && !page[i];)
		i++;
	if (i == CARVE_PAGE && live < CARVE_PAGE) /* nothing was there before */
		return 0;
	n = carve_old_pages(c, b, last, page, size + lead - start, pages_in_row(b), UINT32_MAX);
	if (!n)
		return 0;
	v = realloc(b->page, ((size_t)b->n_pages + n + 1) * sizeof(*v));
	if (!v)
		return ERR_NOMEM;
	b->page = v;
	for (i = 1; i <= n; i++)
		b->page[b->n_pages++] = last + (uint64_t)i * CARVE_PAGE;
	return 0;
}

static bool any_head(const struct carve *c, const struct carve_buf *b)
{
	struct carve_head h[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];

	for (uint32_t i = b->n_used + 1; i < b->n_pages; i++)
		if (b->page[i] != ETW_NO_PA && phys_read(c->im->dump->phys, b->page[i], page, CARVE_PAGE) == 0 && carve_heads(page, h))
			return true;
	return false;
}

/* What of the pages behind the data is b's, by its residual records. */
static int mark_old(struct carve *c, const struct carve_buf *b)
{
	struct etw_buffer eb, rest;
	struct carve_head h[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];
	int rc;

	if (!any_head(c, b))
		return 0;
	rc = carve_settle(c, b, &eb, &rest);
	for (uint32_t i = b->n_used + 1; i < b->n_pages && rc >= 0 && rest.body_len; i++) {
		uint32_t start = page_start(b, i);
		unsigned n = 0;

		if (b->page[i] != ETW_NO_PA && start < rest.orig_end && phys_read(c->im->dump->phys, b->page[i], page, CARVE_PAGE) == 0)
			n = carve_heads(page, h);
		for (unsigned k = 0; k < n && rc >= 0; k++)
			if (start + h[k].off >= rest.orig_start && start + h[k].off < rest.orig_end)
				rc = addrset_add(&c->old, b->page[i] + h[k].off);
	}
	etw_buffer_clear(&eb);
	etw_buffer_clear(&rest);
	return rc < 0 ? rc : 0;
}

int carve_tails(struct carve *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct carve_buf *b = &c->buf[i];

		if (b->live || !b->page || !b->n_pages || b->f->shape.met != ETW_MET_MEMORY)
			continue;
		rc = add_old(c, b);
		if (rc == 0)
			rc = mark_old(c, b);
	}
	return rc;
}
