/* carveloose.c - records in pages that no buffer has: its header was written over, or two buffers could claim them.
 *
 * Whose they are nobody can tell, but that they are whole records can be told: several in a row that chain to the page's end. Where the last one goes on
 * in the page behind, the two are one run; pages elsewhere are not tried, which would mix buffers where the right page is lost. A run is written as a
 * buffer whose header is built; the report says nothing of what a header would have told. Pages with the same records as one that a buffer has are
 * left out. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"

#define RECORDS_MIN   4u    /* whole ones in a page, when they chain to its end or to nothing */
#define RECORDS_ALONE 8u    /* and when they break off */
#define RUN_PAGES     4095u /* of one run, so that it fits into the largest buffer there is: longer ones are cut */
#define LOOSE_MAX     (1u << 20)
#define NEAR          UINT64_C(64) /* usual steps between records that may lie between two pages of a run */
#define LOOK_MAX      ((size_t)64) /* pages with records looked at for one that goes on, or that has the same */
#define COMPARED_MAX  (1u << 21)   /* pages read to find copies */
#define SIZE_LEAST    8192u        /* a page and a header */
#define NONE          SIZE_MAX

struct loose {
	uint64_t pa, ts, last_ts;
	size_t next;      /* that it goes on in; NONE */
	uint32_t n, stop; /* whole records in the page, and where they end */
	uint16_t off, exit;
	bool led_to;
};

struct pool {
	struct carve *c;
	struct loose *v; /* owned; as scan.part: ascending by off, ts, pa */
	size_t n;
	unsigned compared;
};

static bool read_page(const struct carve *c, uint64_t pa, uint8_t page[CARVE_PAGE])
{
	return phys_read(c->im->dump->phys, pa, page, CARVE_PAGE) == 0;
}

/* ---- which pages ------------------------------------------------------------------------------------------------------------------------- */

/* Nothing, or fill: what stands behind the data of a buffer. */
static bool blank(const uint8_t *p, size_t n)
{
	return n < 8 || ((p[0] == 0 || p[0] == 0xff) && memcmp(p, p + 1, n - 1) == 0);
}

/* The whole records of a part; false: there are too few. */
static bool sound(const struct carve_part *part, const uint8_t page[CARVE_PAGE], struct loose *out)
{
	struct carve_walk w = {.off = part->off};
	bool ends_well;

	carve_go_on(&w, page, CARVE_PAGE, CARVE_PAGE);
	ends_well = part->exit != CARVE_NO_EXIT || blank(page + w.off, CARVE_PAGE - w.off);
	*out = (struct loose){.pa = part->pa,
			      .ts = w.first_ts,
			      .last_ts = w.last_ts,
			      .next = NONE,
			      .n = w.n,
			      .stop = w.off,
			      .off = part->off,
			      .exit = part->exit};
	return w.has_ts && w.n >= (ends_well ? RECORDS_MIN : RECORDS_ALONE);
}

static bool same_records(const struct carve *c, const struct loose *x, const uint8_t page[CARVE_PAGE], uint64_t pa)
{
	uint8_t other[CARVE_PAGE];

	return read_page(c, pa, other) && memcmp(page + x->off, other + x->off, x->stop - x->off) == 0;
}

static bool has_same(struct pool *p, const struct loose *x, const uint8_t page[CARVE_PAGE], uint64_t pa)
{
	return pa != x->pa && p->compared++ < COMPARED_MAX && same_records(p->c, x, page, pa);
}

/* Are these records in a page that a buffer has, or in one that was taken before? Parts with the same place and time stand together. */
static bool copied(struct pool *p, size_t part, const struct loose *x, const uint8_t page[CARVE_PAGE])
{
	const struct carve_scan *s = &p->c->scan;
	const struct carve_part *me = &s->part[part];
	size_t first = part;

	while (first > 0 && part - first < LOOK_MAX && s->part[first - 1].off == me->off && s->part[first - 1].ts == me->ts)
		first--;
	for (size_t i = first; i < s->n_parts && i - first < 2 * LOOK_MAX && s->part[i].off == me->off && s->part[i].ts == me->ts; i++)
		if (addrset_has(&p->c->claimed, s->part[i].pa | 1) && has_same(p, x, page, s->part[i].pa))
			return true;
	for (size_t i = p->n; i > 0 && p->n - i < LOOK_MAX && p->v[i - 1].off == x->off && p->v[i - 1].ts == x->ts; i--)
		if (has_same(p, x, page, p->v[i - 1].pa))
			return true;
	return false;
}

/* Room for `cap` of them is there. */
static void collect(struct pool *p, size_t cap)
{
	const struct carve_scan *s = &p->c->scan;
	uint8_t page[CARVE_PAGE];
	struct loose x;

	for (size_t i = 0; i < s->n_parts && p->n < cap; i++) {
		const struct carve_part *part = &s->part[i];

		if (!part->ts || part->n < RECORDS_MIN || addrset_has(&p->c->claimed, part->pa | 1) ||
		    addrset_has(&p->c->old, part->pa + part->off) || !read_page(p->c, part->pa, page))
			continue;
		if (sound(part, page, &x) && !copied(p, i, &x, page))
			p->v[p->n++] = x;
	}
	if (s->n_parts > cap && p->n == cap)
		notes_add(&p->c->im->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u pages of records that no buffer has", LOOSE_MAX);
}

/* ---- runs -------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t usual(const struct loose *x)
{
	return x->n > 1 ? (x->last_ts - x->ts) / (x->n - 1) + 1 : 1;
}

/* The first of v that begins at `off` at or after ts. */
static size_t begins_at(const struct pool *p, uint16_t off, uint64_t ts)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->v[mid].off < off || (p->v[mid].off == off && p->v[mid].ts < ts))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Does the record that crosses the edge of x end where y begins? */
static bool crosses(const struct pool *p, const struct loose *x, const struct loose *y)
{
	uint8_t two[2 * CARVE_PAGE];
	struct carve_walk w = {.off = x->stop, .has_ts = true, .first_ts = x->ts, .last_ts = x->last_ts};
	uint32_t to = CARVE_PAGE + y->off;

	if (!read_page(p->c, x->pa, two) || !read_page(p->c, y->pa, two + CARVE_PAGE))
		return false;
	carve_go_on(&w, two, to, to);
	return !w.bad && w.off == to && w.n <= 1 && (!w.has_ts || w.last_ts <= y->ts);
}

static void lead(struct pool *p, struct loose *x, size_t to)
{
	x->next = to;
	p->v[to].led_to = true;
}

/* The page behind, when the records go on there. */
static void follow_behind(struct pool *p, struct loose *x)
{
	for (size_t i = begins_at(p, x->exit, x->last_ts), n = 0; i < p->n && n < LOOK_MAX && p->v[i].off == x->exit; i++, n++) {
		const struct loose *y = &p->v[i];

		if ((y->ts - x->last_ts) / usual(x) > NEAR)
			return;
		if (y->pa == x->pa + CARVE_PAGE && !y->led_to && crosses(p, x, y)) {
			lead(p, x, i);
			return;
		}
	}
}

static void find_ways(struct pool *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].exit != CARVE_NO_EXIT)
			follow_behind(p, &p->v[i]);
}

/* How many pages the run that begins with v[i] has: each stands behind the one before, so there is an end. */
static uint32_t run_pages(const struct pool *p, size_t i)
{
	uint32_t n = 0;

	for (; i != NONE && n < RUN_PAGES; i = p->v[i].next)
		n++;
	return n;
}

/* A buffer of a size that many runs share, so that they can stand in one file. */
static uint32_t size_for(uint32_t bytes)
{
	uint32_t size = SIZE_LEAST;

	while (size < bytes + ETW_BUFFER_HEADER_SIZE)
		size *= 2;
	return size;
}

static int add_run(struct pool *p, size_t first, uint32_t n)
{
	struct carve *c = p->c;
	struct carve_loose *l = &c->loose[c->n_loose];
	const struct loose *x = &p->v[first];
	uint32_t last = n - 1;

	l->b.page = malloc(((size_t)n + 1) * sizeof(*l->b.page));
	if (!l->b.page)
		return ERR_NOMEM;
	l->f.pa = x->pa + x->off;
	l->f.shape.met = ETW_MET_SECONDARY;
	l->f.shape.walk.first_ts = x->ts;
	l->b.f = &l->f;
	l->b.loose = true;
	for (uint32_t i = 0; i < n; i++) {
		l->b.page[l->b.n_pages++] = x->pa;
		l->f.shape.walk.last_ts = x->last_ts;
		l->f.shape.end = i * CARVE_PAGE + x->stop;
		l->b.cut = x->exit != CARVE_NO_EXIT && x->stop < CARVE_PAGE;
		if (i < last)
			x = &p->v[x->next];
	}
	l->f.shape.h.buffer_size = size_for(l->f.shape.end);
	c->n_loose++;
	return 0;
}

static int add_runs(struct pool *p)
{
	int rc = 0;

	p->c->loose = calloc(p->n + 1, sizeof(*p->c->loose));
	if (!p->c->loose)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->n; i++)
		for (size_t at = p->v[i].led_to ? NONE : i; at != NONE && rc == 0;) {
			uint32_t n = run_pages(p, at);

			rc = add_run(p, at, n);
			for (; n > 0; n--)
				at = p->v[at].next;
		}
	p->c->counts.loose = p->c->n_loose;
	return rc;
}

int carve_loose_find(struct carve *c)
{
	size_t cap = c->scan.n_parts < LOOSE_MAX ? c->scan.n_parts : LOOSE_MAX;
	struct pool p = {.c = c, .v = malloc((cap + 1) * sizeof(*p.v))};
	int rc = ERR_NOMEM;

	if (p.v) {
		collect(&p, cap);
		find_ways(&p);
		rc = add_runs(&p);
	}
	free(p.v);
	return rc;
}

/* ---- their bytes ------------------------------------------------------------------------------------------------------------------------- */

/* Offsets in "the buffer as it was" count from the first page's first byte: where the buffer began is not known. */
static void count_from_page(struct etw_buffer *eb, uint32_t off)
{
	eb->orig_end += off - ETW_BUFFER_HEADER_SIZE;
	eb->orig_start = off;
	for (size_t i = 0; i < eb->n_gaps; i++)
		eb->gaps[i].offset += off - ETW_BUFFER_HEADER_SIZE;
}

/* The record that goes on in a page which was not found. */
static int add_cut(struct etw_buffer *eb, uint32_t from, uint32_t to)
{
	struct etw_gap *g = realloc(eb->gaps, (eb->n_gaps + 1) * sizeof(*g));

	if (!g)
		return ERR_NOMEM;
	eb->gaps = g;
	eb->gaps[eb->n_gaps++] = (struct etw_gap){from, to - from, ETW_PAGE_MISSING};
	return 0;
}

int carve_loose_settle(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb)
{
	const struct carve_shape *s = &b->f->shape;
	uint32_t off = (uint32_t)(b->f->pa % CARVE_PAGE), len = ETW_BUFFER_HEADER_SIZE + s->end - off;
	struct etw_settle_opts so = {.met = ETW_MET_SECONDARY,
				     .buffer_size = s->h.buffer_size,
				     .in_memory = true,
				     .page_off = (off + CARVE_PAGE - ETW_BUFFER_HEADER_SIZE) % CARVE_PAGE};
	uint8_t page[CARVE_PAGE];
	int rc = carve_room(c, len);

	if (rc < 0)
		return rc;
	memset(c->raw, 0, ETW_BUFFER_HEADER_SIZE);
	put_le32(c->raw, s->h.buffer_size);
	put_le32(c->raw + 0x30, len);
	for (uint32_t i = 0, at = ETW_BUFFER_HEADER_SIZE, from = off; i < b->n_pages && at < len; i++, from = 0) {
		uint32_t n = CARVE_PAGE - from < len - at ? CARVE_PAGE - from : len - at;

		if (!read_page(c, b->page[i], page)) /* it could be read before */
			memset(page, 0, sizeof(page));
		memcpy(c->raw + at, page + from, n);
		at += n;
	}
	eb->page_pa = malloc(((size_t)b->n_pages + 1) * sizeof(*eb->page_pa));
	if (!eb->page_pa)
		return ERR_NOMEM;
	memcpy(eb->page_pa, b->page, b->n_pages * sizeof(*eb->page_pa));
	eb->n_page_pa = b->n_pages;
	eb->headless = true;
	rc = etw_settle(eb, c->raw, len, &so, NULL);
	if (rc < 0)
		return rc;
	count_from_page(eb, off);
	return b->cut ? add_cut(eb, s->end, b->n_pages * CARVE_PAGE) : 0;
}
