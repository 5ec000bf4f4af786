/* carvepfn.c - where the pages of a buffer are, by the page frame number database (pfndb.h).
 *
 * The entries of pages that follow each other in an address space, or in a file, stand one behind the other. So the page behind one whose entry stands at X is
 * that whose entry stands at X + 8, in whatever way both are noted: in use, or freed and not used since. Where a table ends, the next one goes on at its
 * front: that is the page whose own entry follows that of the table. Of pages in use there is one for each entry, and its address proves it unless the entry
 * itself says otherwise. An entry can have been of several freed pages one after the other: those must go on with the buffer's records as well, as any other
 * page that is found. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "pfndb.h"

#define WANTS_MAX (1u << 21) /* pages looked for */
#define HITS_MAX  (1u << 21)
#define ENTRIES   512u       /* of a table */
#define FILTER    (1u << 20) /* bits */

struct want { /* an entry whose page is looked for */
	uint64_t entry;
	uint32_t buf;  /* as carve_tied's */
	uint32_t page; /* of the buffer; with `table`: the first of those in that table */
	bool table, in_use;
};

struct wants {
	struct want *v; /* owned */
	size_t n, cap;
	uint8_t *filter; /* owned */
};

struct pfn_search {
	struct carve *c;
	struct wants now;       /* looked for in this pass */
	struct wants later;     /* in tables that this pass finds */
	struct carve_tied *hit; /* owned */
	size_t n_hits, cap_hits;
	bool limited;
};

static size_t filter_bit(uint64_t entry)
{
	return (size_t)((entry >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % FILTER;
}

static int put(struct wants *w, const struct want *want)
{
	void *arr = w->v;

	if (arr_reserve(&arr, &w->cap, w->n, sizeof(*w->v)) < 0)
		return ERR_NOMEM;
	w->v = arr;
	w->v[w->n++] = *want;
	return 0;
}

/* Pages [page, n) of a buffer, the first of which has its entry at `entry`; up to the end of that table. *page: the first of the rest. */
static int put_pages(struct wants *w, uint32_t buf, uint64_t entry, bool in_use, uint32_t *page, uint32_t n)
{
	int rc = 0;

	for (; *page < n && rc == 0 && w->n < WANTS_MAX; ++*page, entry += 8) {
		rc = put(w, &(struct want){entry, buf, *page, false, in_use});
		if (entry % CARVE_PAGE == CARVE_PAGE - 8) {
			++*page;
			break;
		}
	}
	return rc;
}

static struct carve_buf *buffer(const struct carve *c, uint32_t i)
{
	return i < c->n ? &c->buf[i] : &c->packed[i - c->n];
}

uint32_t carve_pages_of(const struct carve_buf *b)
{
	uint32_t bytes = b->f->shape.stored ? b->f->shape.stored : b->f->shape.h.buffer_size;

	return (uint32_t)(((uint64_t)b->f->pa % CARVE_PAGE + bytes + CARVE_PAGE - 1) / CARVE_PAGE);
}

static int ask_for(struct pfn_search *s, const struct pfndb *db, uint32_t i)
{
	const struct carve_buf *b = buffer(s->c, i);
	uint32_t n = carve_pages_of(b), page = 1;
	struct pfn_page first, table;
	int rc = 0;

	if (n < 2 || !pfndb_at(db, b->f->pa, &first))
		return 0;
	if (pfndb_agrees(db, &first) < 0) /* it has another page now */
		first.in_use = false;
	if ((first.entry + 8) % CARVE_PAGE)
		rc = put_pages(&s->now, i, first.entry + 8, first.in_use, &page, n);
	if (rc < 0 || page == n || !pfndb_at(db, first.entry & ~(uint64_t)(CARVE_PAGE - 1), &table))
		return rc;
	for (uint64_t at = table.entry + 8; page < n && at % CARVE_PAGE && rc == 0; page += ENTRIES, at += 8)
		rc = put(&s->now, &(struct want){at, i, page, true, first.in_use});
	return rc;
}

static int by_entry(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int by_buffer(const void *a, const void *b)
{
	const struct carve_tied *x = a, *y = b;

	if (x->buf != y->buf)
		return x->buf < y->buf ? -1 : 1;
	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int hit(struct pfn_search *s, const struct pfndb *db, const struct want *w, const struct pfn_page *p)
{
	void *arr = s->hit;
	bool sure = p->in_use && pfndb_agrees(db, p) >= 0;
	uint32_t page = w->page, n = carve_pages_of(buffer(s->c, w->buf));

	if (w->table)
		return p->in_use ? put_pages(&s->later, w->buf, p->pa, w->in_use, &page, n) : 0;
	if (sure != w->in_use)
		return 0;
	if (s->n_hits == HITS_MAX) {
		s->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_hits, s->n_hits, sizeof(*s->hit)) < 0)
		return ERR_NOMEM;
	s->hit = arr;
	s->hit[s->n_hits++] = (struct carve_tied){p->pa, w->buf, w->page, sure};
	return 0;
}

struct pass {
	struct pfn_search *s;
	const struct pfndb *db;
};

static int compare(void *ctx, const struct pfn_page *p)
{
	const struct pass *x = ctx;
	const struct wants *w = &x->s->now;
	size_t lo = 0, hi = w->n, bit = filter_bit(p->entry);
	int rc = 0;

	if (!(w->filter[bit / 8] >> bit % 8 & 1))
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->v[mid].entry < p->entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < w->n && w->v[lo].entry == p->entry && rc == 0; lo++)
		rc = hit(x->s, x->db, &w->v[lo], p);
	return rc;
}

/* One pass over the database. */
static int look(struct pfn_search *s, const struct pfndb *db)
{
	struct pass x = {s, db};

	if (!s->now.n)
		return 0;
	s->limited |= s->now.n >= WANTS_MAX;
	s->now.filter = calloc(1, FILTER / 8);
	if (!s->now.filter)
		return ERR_NOMEM;
	qsort(s->now.v, s->now.n, sizeof(*s->now.v), by_entry);
	for (size_t i = 0; i < s->now.n; i++) {
		size_t bit = filter_bit(s->now.v[i].entry);

		s->now.filter[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
	return pfndb_each(db, compare, &x);
}

static void free_wants(struct wants *w)
{
	free(w->v);
	free(w->filter);
	*w = (struct wants){0};
}

/* An entry of a page in use that two pages claim proves neither. */
static void hand_out(struct carve *c)
{
	for (size_t i = 0, to; i < c->n_tied; i = to) {
		struct carve_buf *b = buffer(c, c->tied[i].buf);

		for (to = i + 1; to < c->n_tied && c->tied[to].buf == c->tied[i].buf && c->tied[to].page == c->tied[i].page;)
			to++;
		for (size_t k = i; k < to && to > i + 1; k++)
			c->tied[k].sure = false;
		if (!b->n_tied)
			b->tied = &c->tied[i];
		b->n_tied += to - i;
	}
}

void carve_tie_to(struct carve *c, struct carve_tied *v, size_t n)
{
	size_t to = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_buffer);
	for (size_t i = 0; i < n; i++)
		if (to == 0 || by_buffer(&v[to - 1], &v[i]) != 0)
			v[to++] = v[i];
	c->tied = v;
	c->n_tied = to;
	hand_out(c);
}

int carve_tie(struct carve *c)
{
	struct pfndb *db = c->im->kernel ? kernel_pfndb(c->im->kernel) : NULL;
	struct pfn_search s = {.c = c};
	int rc = 0;

	for (uint32_t i = 0; db && i < c->n + c->n_packed && rc == 0; i++)
		rc = ask_for(&s, db, i);
	if (rc == 0)
		rc = look(&s, db);
	free_wants(&s.now);
	s.now = s.later;
	s.later = (struct wants){0};
	if (rc == 0)
		rc = look(&s, db);
	free_wants(&s.now);
	if (s.limited)
		notes_add(&c->im->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u pages of buffers in the page frame number database",
			  WANTS_MAX);
	if (rc == 0)
		carve_tie_to(c, s.hit, s.n_hits);
	else
		free(s.hit);
	return rc;
}

size_t carve_tied_from(const struct carve_buf *b, uint32_t page)
{
	size_t lo = 0, hi = b->n_tied;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->tied[mid].page < page)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* When the first record in a page is from; 0: none tells. */
static uint64_t begins(const struct carve *c, uint64_t pa)
{
	struct carve_head head[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];

	return phys_read(c->im->dump->phys, pa, page, CARVE_PAGE) == 0 && carve_heads(page, head) ? head[0].ts : 0;
}

bool carve_tied_page(const struct carve *c, const struct carve_buf *b, uint32_t page, uint64_t after, unsigned nth, uint64_t *pa)
{
	size_t from = carve_tied_from(b, page), n = 0, best;
	uint64_t wait[CARVE_TIED_MAX];

	for (; n < CARVE_TIED_MAX && from + n < b->n_tied && b->tied[from + n].page == page; n++)
		wait[n] = 0;
	for (size_t i = 0; i < n && n > 1; i++) {
		uint64_t ts = begins(c, b->tied[from + i].pa);

		wait[i] = ts >= after ? ts - after : UINT64_MAX - 1; /* from before it, or unknown: last */
	}
	for (unsigned k = 0; k <= nth && k < n; k++) {
		best = 0;
		for (size_t i = 1; i < n; i++)
			best = wait[i] < wait[best] ? i : best;
		*pa = b->tied[from + best].pa;
		wait[best] = UINT64_MAX;
	}
	return nth < n;
}
