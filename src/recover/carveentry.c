/* carveentry.c - where the pages of a buffer are, by page tables that nothing leads to any more.
 *
 * A table above which another one was lost, or whose process is gone, still stands in memory and says which pages follow each other: the entry behind one that
 * leads to a buffer's first page leads to its second. So where nothing maps a buffer, and no page frame number database tells (carvepfn.c), all of memory is
 * looked through for entries that lead to the first pages of buffers. Such a table may be an old one, and a word may look like an entry: the pages must go on with
 * the buffer as any others that are found. Entries of 8 bytes (x64, PAE, ARM64). */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "physscan.h"
#include "rd.h"

#define HITS_MAX    (1u << 20)
#define ENTRIES     512u       /* of a table */
#define FILTER      (1u << 23) /* bits */
#define VALID       1u
#define SAME        UINT64_C(0x1f) /* what the entries of one buffer's pages have in common: valid, and who may do what with them */
#define FRAME       UINT64_C(0x0000fffffffff000) /* of the page */
#define FRAME_NEVER UINT64_C(0x000f000000000000) /* no machine has so much memory */

struct finder {
	const struct carve *c;
	uint8_t *filter; /* owned; by frame */
	struct found_by {
		struct carve_tied *v; /* owned */
		size_t n, cap;
		bool limited;
	} * by; /* owned; one for each thread */
};

static size_t filter_bit(uint64_t pa)
{
	return (size_t)(((pa >> 12) * UINT64_C(0x9e3779b97f4a7c15)) >> 41);
}

/* Is there anything of it to look for? */
static bool wanted(const struct carve_buf *b)
{
	return !b->page && carve_pages_of(b) > 1 && b->f->shape.end > CARVE_PAGE - b->f->pa % CARVE_PAGE;
}

static int add_hit(struct found_by *f, uint64_t pa, size_t buf, uint32_t page)
{
	void *arr = f->v;

	if (f->n >= HITS_MAX) {
		f->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &f->cap, f->n, sizeof(*f->v)) < 0)
		return ERR_NOMEM;
	f->v = arr;
	f->v[f->n++] = (struct carve_tied){pa, (uint32_t)buf, page, false};
	return 0;
}

/* The entries behind number i, which leads to the first page of buffer `buf`. */
static int follow(const struct finder *s, struct found_by *f, const uint8_t *table, unsigned i, size_t buf)
{
	uint64_t first = le64(table + (size_t)8 * i), before = first & FRAME;
	uint32_t n = carve_pages_of(&s->c->buf[buf]);
	int rc = 0;

	for (uint32_t page = 1; page < n && i + page < ENTRIES && rc == 0; page++) {
		uint64_t e = le64(table + (size_t)8 * (i + page)), pa = e & FRAME;

		if ((e ^ first) & SAME || e & FRAME_NEVER || pa == before ||
		    phys_present(s->c->im->dump->phys, pa, CARVE_PAGE) < CARVE_PAGE)
			break;
		rc = add_hit(f, pa, buf, page);
		before = pa;
	}
	return rc;
}

/* The first buffer that begins at or behind pa. */
static size_t first_at(const struct carve *c, uint64_t pa)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->buf[mid].f->pa < pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int visit_table(const struct finder *s, struct found_by *f, const uint8_t *p)
{
	const struct carve *c = s->c;
	int rc = 0;

	for (unsigned i = 0; i + 1 < ENTRIES && rc == 0 && !f->limited; i++) {
		uint64_t e = le64(p + (size_t)8 * i), pa = e & FRAME;
		size_t bit = filter_bit(pa);

		if (!(e & VALID) || e & FRAME_NEVER || !(s->filter[bit / 8] >> bit % 8 & 1))
			continue;
		for (size_t k = first_at(c, pa); k < c->n && c->buf[k].f->pa - pa < CARVE_PAGE && rc == 0; k++)
			if (wanted(&c->buf[k]))
				rc = follow(s, f, p, i, k);
	}
	return rc;
}

static int visit(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	const struct finder *s = ctx;
	int rc = 0;

	(void)more;
	for (size_t at = (size_t)(-pa % CARVE_PAGE); at + CARVE_PAGE <= n && rc == 0; at += CARVE_PAGE)
		rc = visit_table(s, &s->by[thread], p + at);
	return rc;
}

static int join(struct carve *c, struct found_by *by, unsigned n)
{
	struct found_by all = {0};
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		for (size_t k = 0; k < by[i].n && rc == 0; k++)
			rc = add_hit(&all, by[i].v[k].pa, by[i].v[k].buf, by[i].v[k].page);
		c->entries_limited |= by[i].limited;
	}
	c->entries_limited |= all.limited;
	if (rc < 0) {
		free(all.v);
		return rc;
	}
	carve_tie_to(c, all.v, all.n);
	return 0;
}

static int look(struct carve *c, bool live)
{
	struct physscan_opts o = {.threads = c->o.threads, .progress = live ? NULL : c->o.progress, .progress_ctx = c->o.ctx};
	unsigned n = physscan_threads(&o);
	struct finder s = {.c = c, .filter = calloc(1, FILTER / 8), .by = calloc(n, sizeof(*s.by))};
	struct err e;
	int rc = s.filter && s.by ? 0 : ERR_NOMEM;

	for (size_t i = 0; i < c->n && rc == 0; i++) {
		size_t bit = filter_bit(c->buf[i].f->pa & FRAME);

		if (wanted(&c->buf[i]))
			s.filter[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
	if (rc == 0)
		rc = physscan_run(c->im->dump->phys, &o, visit, &s, NULL, &e);
	if (rc == 0)
		rc = join(c, s.by, n);
	for (unsigned i = 0; s.by && i < n; i++)
		free(s.by[i].v);
	free(s.by);
	free(s.filter);
	return rc;
}

int carve_entries(struct carve *c, bool live)
{
	bool any = live;

	if (c->entries_looked || (c->im->kernel && kernel_pfndb(c->im->kernel)))
		return 0;
	for (size_t i = 0; i < c->n && !any; i++)
		any = wanted(&c->buf[i]) && !c->buf[i].live;
	if (!any)
		return 0;
	c->entries_looked = true;
	return look(c, live);
}
