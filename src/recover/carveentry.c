/* carveentry.c - where the pages of a buffer are, by page tables that nothing leads to any more.
 *
 * A table above which another one was lost, or whose process is gone, still stands in memory and says which pages follow each other: the entry behind one that
 * leads to a buffer's first page leads to its second. So where nothing maps a buffer, and no page frame number database tells (carvepfn.c), the pages that the
 * scan took for tables are looked through for entries that lead to the first pages of buffers. Such a table may be an old one, and a word may look like an entry: the pages
 * must go on with the buffer as any others that are found. Entries of 8 bytes (x64, PAE, ARM64). */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "rd.h"

#define HITS_MAX (1u << 20)
#define ENTRIES  512u       /* of a table */
#define FILTER   (1u << 23) /* bits */

struct finder {
	struct carve *c;
	uint8_t *filter;      /* owned; by frame: of first pages of buffers, and of pages that end in zeros */
	struct carve_tied *v; /* owned */
	size_t n, cap;
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

static int add_hit(struct finder *s, uint64_t pa, size_t buf, uint32_t page)
{
	void *arr = s->v;

	if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
		return ERR_NOMEM;
	s->v = arr;
	s->v[s->n++] = (struct carve_tied){pa, (uint32_t)buf, page, false};
	s->c->entries_limited |= s->n == HITS_MAX;
	return 0;
}

/* The entries behind number i, which leads to the first page of buffer `buf`. */
static int follow(struct finder *s, const uint8_t *table, unsigned i, size_t buf)
{
	uint64_t first = le64(table + (size_t)8 * i), before = first & CARVE_ENTRY_FRAME;
	uint32_t n = carve_pages_of(&s->c->buf[buf]);
	int rc = 0;

	for (uint32_t page = 1; page < n && i + page < ENTRIES && s->n < HITS_MAX && rc == 0; page++) {
		uint64_t e = le64(table + (size_t)8 * (i + page)), pa = e & CARVE_ENTRY_FRAME;

		if ((e ^ first) & CARVE_ENTRY_SAME || e & CARVE_ENTRY_NEVER || pa == before ||
		    phys_present(s->c->im->dump->phys, pa, CARVE_PAGE) < CARVE_PAGE)
			break;
		rc = add_hit(s, pa, buf, page);
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

static int look_at(struct finder *s, const uint8_t *table)
{
	const struct carve *c = s->c;
	int rc = 0;

	for (unsigned i = 0; i < ENTRIES && rc == 0; i++) {
		uint64_t e = le64(table + (size_t)8 * i), pa = e & CARVE_ENTRY_FRAME;
		size_t bit = filter_bit(pa);

		if (!(e & CARVE_ENTRY_VALID) || e & CARVE_ENTRY_NEVER || !(s->filter[bit / 8] >> bit % 8 & 1))
			continue;
		carve_mapped(s->c, pa, CARVE_PAGE);
		for (size_t k = first_at(c, pa); k < c->n && c->buf[k].f->pa - pa < CARVE_PAGE && s->n < HITS_MAX && rc == 0; k++)
			if (wanted(&c->buf[k]))
				rc = follow(s, table, i, k);
	}
	return rc;
}

static void pass(uint8_t *filter, uint64_t pa)
{
	size_t bit = filter_bit(pa & CARVE_ENTRY_FRAME);

	filter[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static int look(struct carve *c)
{
	struct finder s = {.c = c, .filter = calloc(1, FILTER / 8)};
	uint8_t page[CARVE_PAGE];
	int rc = 0;

	if (!s.filter)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->n; i++)
		if (wanted(&c->buf[i]))
			pass(s.filter, c->buf[i].f->pa);
	for (size_t i = 0; i < c->scan.n_rests; i++)
		pass(s.filter, c->scan.rest[i].pa);
	for (size_t i = 0; i < c->scan.n_tables && rc == 0; i++)
		if (phys_read(c->im->dump->phys, c->scan.table[i], page, CARVE_PAGE) == 0)
			rc = look_at(&s, page);
	free(s.filter);
	if (rc == 0)
		carve_tie_to(c, s.v, s.n);
	else
		free(s.v);
	return rc;
}

int carve_entries(struct carve *c, bool live)
{
	bool any = live;

	if (c->entries_looked || !c->scan.n_tables)
		return 0;
	for (size_t i = 0; i < c->n && !any; i++)
		any = wanted(&c->buf[i]) && !c->buf[i].live;
	if (!any)
		return 0;
	c->entries_looked = true;
	c->entries_limited = c->scan.tables_limited;
	return look(c);
}
