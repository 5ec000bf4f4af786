/* carvelast.c - the page in which a buffer's last record ends, and no record begins.
 *
 * None of the other ways to find pages knows it where nothing maps the buffer: the table that led to it is lost, or the buffer was freed. What tells: nothing leads to the page, no
 * buffer has it, and what stands in it ends where the record must, as records of this buffer end, with nothing but zeros behind: it was not used before.
 * It is taken when it is the only one of which all of that is true and no other buffer needs it; and not at all where so many pages and buffers are left over that one would be
 * found by chance. Only where there is no page frame number database, which would tell. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvejoin.h"

#define ZEROS_MAX 16u /* bytes of zeros at the end of a record */
#define CHANCE_MAX                                                                                                                         \
	128u /* pages that fit behind no buffer, times buffers that no page fits: of some 4,096 of these pairs one fits by chance */
#define FITS_MAX   1024u      /* pages that fit behind a buffer */
#define LOOKS_MAX  (1u << 20) /* pages looked at, for all buffers together */
#define PASSES_MAX 16u

struct fit {
	uint64_t pa;
	uint32_t buf;
	char record[SHA256_HEX]; /* the whole last record, were it this page */
};

struct last {
	struct carve *c;
	struct carve_rest *rest; /* owned; those that nothing leads to and nobody has, ascending by off */
	size_t n_rest;
	struct fit *fit; /* owned */
	size_t n, cap, looks;
	size_t unfit; /* buffers that no page fits */
};

struct end {            /* of one buffer */
	uint32_t start; /* of its last page, */
	uint32_t off;   /* of its last record, and where that ends in the page: */
	uint32_t size;
	uint16_t zeros; /* how its records end: bit n: in n bytes of zeros */
	struct carve_walk before;
};

static size_t from_address(const struct carve_scan *s, uint64_t pa)
{
	size_t lo = 0, hi = s->n_rests;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->rest[mid].pa < pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void carve_mapped(struct carve *c, uint64_t pa, uint64_t size)
{
	for (size_t i = from_address(&c->scan, pa); i < c->scan.n_rests && c->scan.rest[i].pa - pa < size; i++)
		c->scan.rest[i].mapped = true;
}

static bool gone(const struct carve *c, uint64_t pa)
{
	return addrset_has(&c->claimed, pa | 1) || addrset_has(&c->claimed, pa | 2) || carve_at(c, pa);
}

static int by_off(const void *a, const void *b)
{
	const struct carve_rest *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int list_rests(struct last *l)
{
	const struct carve_scan *s = &l->c->scan;

	l->rest = malloc((s->n_rests + 1) * sizeof(*l->rest));
	if (!l->rest)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->n_rests; i++)
		if (!s->rest[i].mapped && !gone(l->c, s->rest[i].pa))
			l->rest[l->n_rest++] = s->rest[i];
	if (l->n_rest)
		qsort(l->rest, l->n_rest, sizeof(*l->rest), by_off);
	return 0;
}

/* Where the last page of b's data begins, if only that one was not found; 0. */
static uint32_t last_page(const struct carve_buf *b)
{
	uint32_t first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE), end = b->f->shape.end, want;

	if (b->live || !b->page || b->has_va || b->f->shape.stored || b->f->shape.walk.bad || end <= first)
		return 0;
	want = (end - first + CARVE_PAGE - 1) / CARVE_PAGE;
	for (uint32_t i = 1; i < want; i++)
		if (i >= b->n_pages || b->page[i] == ETW_NO_PA)
			return 0;
	return want < b->n_pages && b->page[want] != ETW_NO_PA ? 0 : first + (want - 1) * CARVE_PAGE;
}

static unsigned zeros_behind(const uint8_t *record, uint32_t size)
{
	unsigned n = 0;

	while (n < ZEROS_MAX && n < size && record[size - 1 - n] == 0)
		n++;
	return n;
}

/* Reads what is there of b up to e->start. Does its last record lead from there to the very end of the data? Sets the rest of *e. 1, 0, ERR_NOMEM. */
static int last_record(struct carve *c, const struct carve_buf *b, struct end *e)
{
	uint32_t end = b->f->shape.end, at = ETW_BUFFER_HEADER_SIZE, start = e->start;

	if (carve_room(c, (size_t)start + 2 * (size_t)CARVE_PAGE) < 0)
		return ERR_NOMEM;
	memset(c->raw + start, 0, 2 * (size_t)CARVE_PAGE);
	for (uint32_t i = 0, to = 0; to < start; i++) {
		uint32_t n = i ? CARVE_PAGE : CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);

		if (phys_read(c->im->dump->phys, i ? b->page[i] : b->f->pa, c->raw + to, n) != 0)
			return 0;
		to += n;
	}
	e->before = (struct carve_walk){.off = at};
	carve_go_on(&e->before, c->raw, start, end);
	if (e->before.bad || !e->before.n)
		return 0;
	while (at + 8 <= start && carve_record_step(c->raw + at) >= 8 && at + carve_record_step(c->raw + at) <= start) {
		e->zeros |= (uint16_t)(1u << zeros_behind(c->raw + at, carve_record_size(c->raw + at)));
		at += carve_record_step(c->raw + at);
	}
	if (at + 8 > start || at + carve_record_step(c->raw + at) != ((end + 7) & ~7u))
		return 0;
	e->off = at;
	e->size = at + carve_record_size(c->raw + at) - start;
	e->before.off = at;
	return 1;
}

static int add_fit(struct last *l, uint64_t pa, size_t buf, const struct end *e)
{
	void *arr = l->fit;

	if (l->n == FITS_MAX)
		return 0;
	if (arr_reserve(&arr, &l->cap, l->n, sizeof(*l->fit)) < 0)
		return ERR_NOMEM;
	l->fit = arr;
	l->fit[l->n] = (struct fit){.pa = pa, .buf = (uint32_t)buf};
	sha256_of(l->c->raw + e->off, e->start + e->size - e->off, l->fit[l->n].record);
	l->n++;
	return 0;
}

/* Does the page at pa hold what follows on raw[0, e->start) of j's buffer? */
static bool ends_in(struct last *l, const struct join *j, const struct end *e, uint64_t pa)
{
	uint32_t size = j->b->f->shape.h.buffer_size, have = size - e->start < CARVE_PAGE ? size : e->start + CARVE_PAGE;
	struct carve_walk w = e->before;

	if (l->looks++ >= LOOKS_MAX || phys_read(l->c->im->dump->phys, pa, l->c->raw + e->start, have - e->start) != 0)
		return false;
	carve_go_on(&w, l->c->raw, j->end, j->end);
	return !w.bad && w.last_ts <= j->latest && carve_ends_here(j, e->start, have);
}

/* The pages that fit behind buffer number i. */
static int fits_of(struct last *l, size_t i, const struct end *e)
{
	struct carve *c = l->c;
	struct join j = {.c = c, .b = &c->buf[i], .end = c->buf[i].f->shape.end, .latest = carve_latest(&c->buf[i].f->shape)};
	size_t n = l->n;
	int rc = 0;

	for (size_t k = 0; k < l->n_rest && l->rest[k].off <= e->size && rc == 0; k++)
		if (e->size - l->rest[k].off < ZEROS_MAX && e->zeros >> (e->size - l->rest[k].off) & 1 && ends_in(l, &j, e, l->rest[k].pa))
			rc = add_fit(l, l->rest[k].pa, i, e);
	l->unfit += l->n == n;
	return rc;
}

static bool fits_any(const struct last *l, uint64_t pa)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->fit[i].pa == pa)
			return true;
	return false;
}

/* How many pages fit behind no buffer? */
static size_t others(const struct last *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_rest; i++)
		n += !fits_any(l, l->rest[i].pa);
	return n;
}

static int give(struct carve *c, struct carve_buf *b, uint32_t page, uint64_t pa)
{
	uint64_t *v = realloc(b->page, ((size_t)page + b->n_pages + 1) * sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	b->page = v;
	if (b->n_pages <= page)
		b->n_pages = page + 1;
	b->page[page] = pa;
	b->n_used = page;
	return carve_claim(c, b);
}

static bool open_fit(const struct last *l, const struct fit *f)
{
	return last_page(&l->c->buf[f->buf]) && !gone(l->c, f->pa);
}

/* Has this buffer no other page? */
static bool only_page(const struct last *l, uint32_t buf, uint64_t pa)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->fit[i].buf == buf && l->fit[i].pa != pa && open_fit(l, &l->fit[i]))
			return false;
	return true;
}

/* Whichever of the pages that fit the buffer were its own, its last record is the same, and no buffer with another one has none but this page. */
static bool certain(const struct last *l, const struct fit *f)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct fit *x = &l->fit[i];

		if (strcmp(x->record, f->record) == 0 || !open_fit(l, x))
			continue;
		if (x->buf == f->buf || (x->pa == f->pa && only_page(l, x->buf, x->pa)))
			return false;
	}
	return true;
}

/* Each page that is given away leaves fewer for the others. */
static int give_all(struct last *l)
{
	bool more = true;
	int rc = 0;

	for (unsigned pass = 0; more && pass < PASSES_MAX && rc == 0; pass++) {
		more = false;
		for (size_t i = 0; i < l->n && rc == 0; i++) {
			const struct fit *f = &l->fit[i];
			struct carve_buf *b = &l->c->buf[f->buf];

			if (!open_fit(l, f) || !certain(l, f))
				continue;
			rc = give(l->c, b, (last_page(b) + (uint32_t)(b->f->pa % CARVE_PAGE)) / CARVE_PAGE, f->pa);
			more = true;
		}
	}
	return rc;
}

int carve_last(struct carve *c)
{
	struct last l = {.c = c};
	int rc;

	if (!c->tables || c->scan.rests_limited)
		return 0;
	rc = list_rests(&l);
	if (rc < 0 || l.n_rest > FITS_MAX + CHANCE_MAX) {
		free(l.rest);
		return rc;
	}
	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct end e = {.start = last_page(&c->buf[i])};

		rc = e.start ? last_record(c, &c->buf[i], &e) : 0;
		if (rc > 0)
			rc = fits_of(&l, i, &e);
	}
	if (rc == 0 && l.looks < LOOKS_MAX && l.n < FITS_MAX && (others(&l) + 1) * (l.unfit + 1) <= CHANCE_MAX)
		rc = give_all(&l);
	free(l.rest);
	free(l.fit);
	return rc;
}
