/* carvecut.c - the last page of an image that ends inside it.
 *
 * The scan sees a buffer that begins in such a page, and page tables lead to it, but to the rest of the carver a page is there or it is not. Records whole in what is there are
 * kept: of a buffer that is mapped there, or whose last page found stands right before it in memory and whose records go on in it. */
#include <stdlib.h>
#include <string.h>

#include "carvejoin.h"

#define CUTS_MAX   64u
#define HEADER_MAX 48u /* bytes of a record that are looked at */
#define ROW_SURE   3u  /* pages that follow each other, when only the rest of a record ends in the cut one */

struct cut {
	uint64_t pa; /* of the page */
	uint32_t have;
};

/* The ends of what is in the image, where they are no page's. */
static size_t find_cuts(const struct phys *p, struct cut v[CUTS_MAX])
{
	struct phys_run r;
	size_t n = 0;

	for (size_t i = 0; phys_run(p, i, &r) && n < CUTS_MAX; i++) {
		uint64_t end = r.pa + r.len, pa = end - end % CARVE_PAGE;

		if (end != pa && phys_present(p, pa, CARVE_PAGE) == end - pa)
			v[n++] = (struct cut){pa, (uint32_t)(end - pa)};
	}
	return n;
}

static uint32_t page_start(const struct carve_buf *b, uint32_t i)
{
	return i ? CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE) + (i - 1) * CARVE_PAGE : 0;
}

/* The first page of b that was not found, among those that hold its data. 0: there is none. */
static uint32_t first_gap(const struct carve_buf *b, bool *row)
{
	uint32_t i = 1;

	*row = true;
	for (; i < b->n_pages && b->page[i] != ETW_NO_PA; i++)
		*row = *row && b->page[i] == b->page[i - 1] + CARVE_PAGE;
	return page_start(b, i) < b->f->shape.end ? i : 0;
}

/* Do the records of the pages before `gap` go on in the cut one? */
static bool goes_on(struct carve *c, const struct carve_buf *b, uint32_t gap, bool row, const struct cut *cut)
{
	struct carve_walk w = {.off = ETW_BUFFER_HEADER_SIZE}, before;
	uint32_t start = page_start(b, gap), end = b->f->shape.end, to = start + cut->have;

	if (carve_room(c, (size_t)start + 2 * (size_t)CARVE_PAGE) < 0 ||
	    phys_read(c->im->dump->phys, cut->pa, c->raw + start, cut->have) != 0)
		return false;
	memset(c->raw + to, 0, 2 * CARVE_PAGE - cut->have);
	for (uint32_t i = 0; i < gap; i++)
		if (phys_read(c->im->dump->phys, i ? b->page[i] : b->f->pa, c->raw + page_start(b, i),
			      page_start(b, i + 1) - page_start(b, i)) != 0)
			return false;
	carve_go_on(&w, c->raw, start, end);
	if (w.bad || !w.n)
		return false;
	before = w;
	carve_go_on(&w, c->raw, to < end ? to : end, end);
	if ((w.bad && w.off + HEADER_MAX <= to) ||
	    w.last_ts > carve_latest(&b->f->shape)) /* the next one's header may lie across the cut */
		return false;
	return w.n > before.n + (before.off < start) || (row && gap >= ROW_SURE && w.off == end && w.n > before.n);
}

int carve_cut(struct carve *c)
{
	struct cut v[CUTS_MAX];
	size_t n = find_cuts(c->im->dump->phys, v);

	for (size_t i = 0; i < c->n && n; i++) {
		struct carve_buf *b = &c->buf[i];
		uint32_t gap;
		bool row;

		if (b->live || !b->page || b->f->shape.stored || (gap = first_gap(b, &row)) == 0)
			continue;
		for (size_t k = 0; k < n; k++) {
			uint64_t *page;

			if (b->page[gap - 1] + CARVE_PAGE != v[k].pa || addrset_has(&c->claimed, v[k].pa | 1) || carve_at(c, v[k].pa) ||
			    !goes_on(c, b, gap, row, &v[k]))
				continue;
			page = realloc(b->page, ((size_t)gap + b->n_pages + 1) * sizeof(*page));
			if (!page)
				return ERR_NOMEM;
			b->page = page;
			if (b->n_pages <= gap)
				b->n_pages = gap + 1;
			b->page[gap] = v[k].pa;
			b->n_used = gap;
			if (carve_claim(c, b) < 0)
				return ERR_NOMEM;
			break;
		}
	}
	return 0;
}

/* The first `have` bytes at `at` are there after all. */
static size_t shorten(struct etw_range *v, size_t n, size_t max, uint32_t at, uint32_t have)
{
	size_t i = 0;

	while (i < n && (at < v[i].offset || at - v[i].offset >= v[i].bytes))
		i++;
	if (i == n || v[i].bytes - (at - v[i].offset) <= have)
		return n;
	if (at > v[i].offset) {
		if (n == max)
			return n;
		memmove(&v[i + 1], &v[i], (n - i) * sizeof(*v));
		v[i].bytes = at - v[i].offset;
		n++;
		i++;
		v[i].bytes -= at - v[i].offset;
		v[i].offset = at;
	}
	v[i].offset += have;
	v[i].bytes -= have;
	return n;
}

void carve_cut_bytes(struct carve *c, const struct carve_buf *b, struct etw_range *missing, size_t max, size_t *n_missing)
{
	const struct phys *p = c->im->dump->phys;
	uint32_t size = b->f->shape.h.buffer_size;

	for (uint32_t i = 0; i < b->n_pages && *n_missing && page_start(b, i) < size; i++) {
		uint32_t at = page_start(b, i), step = size - at < CARVE_PAGE ? size - at : CARVE_PAGE, have;
		uint64_t pa = i ? b->page[i] : b->f->pa;

		if (!i && step > page_start(b, 1))
			step = page_start(b, 1);
		if (b->page[i] == ETW_NO_PA)
			continue;
		have = (uint32_t)phys_present(p, pa, step);
		if (have && have < step && phys_read(p, pa, c->raw + at, have) == 0)
			*n_missing = shorten(missing, *n_missing, max, at, have);
	}
}
