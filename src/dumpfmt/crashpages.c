/* crashpages.c - see crashpages.h. One file, because what settles a lie in one table is what the others say. */
#include "crashpages.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "rd.h"

#define SIG_BITMAP_FULL 0x504d4446u         /* "FDMP" */
#define SIG_BITMAP      0x504d4453u         /* "SDMP" */
#define SIG_RANGES      0x504d4452u         /* "RDMP" */
#define SIG_DUMP        0x504d5544u         /* "DUMP" */
#define PFN_MAX         (UINT64_C(1) << 40) /* 52 bits of physical address */
#define RANGES_MAX      (1u << 24)
#define BITMAP_HEADER   0x38u
#define STEP            65536u

typedef unsigned long long ull;

struct pages { /* registering pages that follow each other in the file */
	struct dump *d;
	uint64_t off; /* file offset of the next page */
	bool cut;     /* the file ended: told once */
};

/* Pages whose frame number no machine has stand in the file all the same: what is behind them keeps its place. */
static void skip_pages(struct pages *p, uint64_t pfn, uint64_t n, uint64_t left)
{
	uint64_t bytes = n < left / CRASH_PAGE ? n * CRASH_PAGE : left;

	notes_add(p->d->notes, &NOTE(NOTE_PAGE_MISSING),
		  "%llu bytes at file offset %llu are said to be pages from frame 0x%llx on, which no machine has", (ull)bytes, (ull)p->off,
		  (ull)pfn);
	p->off += bytes;
}

static int add_pages(struct pages *p, uint64_t pfn, uint64_t n, struct err *e)
{
	uint64_t size = input_size(p->d->in), left = p->off < size ? size - p->off : 0, bytes, gone, beyond = 0;
	int rc;

	if (!n || p->cut)
		return 0;
	if (pfn >= PFN_MAX) {
		skip_pages(p, pfn, n, left);
		return 0;
	}
	if (n > PFN_MAX - pfn) {
		beyond = n - (PFN_MAX - pfn);
		n = PFN_MAX - pfn;
	}
	bytes = n * CRASH_PAGE;
	if (bytes > left) {
		p->cut = true;
		gone = pfn * CRASH_PAGE + left;
		notes_add(p->d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, gone, bytes - left),
			  "the dump ends at file offset %llu: pages from physical address 0x%llx on are not in it", (ull)size, (ull)gone);
		bytes = left;
	}
	rc = phys_add_file(p->d->phys, pfn * CRASH_PAGE, bytes, p->d->in, p->off, e);
	p->off += bytes;
	if (rc == 0 && beyond && !p->cut)
		skip_pages(p, PFN_MAX, beyond, left - bytes);
	return rc;
}

/* n pages from `first` on end with the file, or where the secondary data begins: what says so three times is no lie. */
static bool ends_well(struct dump *d, uint64_t first, uint64_t n)
{
	uint64_t size = input_size(d->in);

	if (first > size || n == 0 || n > (size - first) / CRASH_PAGE)
		return false;
	return first + n * CRASH_PAGE == size || crash_blob_at(d, first + n * CRASH_PAGE);
}

static uint64_t to_page(uint64_t off)
{
	return (off + CRASH_PAGE - 1) & ~(uint64_t)(CRASH_PAGE - 1);
}

/* Where the first of n pages stands: right behind the table that ends at `from`, or on the next page. */
static bool find_first(struct dump *d, uint64_t from, uint64_t n, uint64_t *first)
{
	const uint64_t tries[] = {to_page(from), from, (from + 7) & ~UINT64_C(7)};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		if (ends_well(d, tries[i], n)) {
			*first = tries[i];
			return true;
		}
	return false;
}

/* ---- runs: of the header (type 1), of a table (8, 9, 0xA) ----------------------------------------------------------------------------------------- */

struct run {
	uint64_t pfn, n;
};

struct runs {
	struct run *v;
	size_t n, cap;
	uint64_t claimed, pages; /* how many runs, how many pages in all of them, by the header; 0: it does not say */
	uint64_t first;          /* file offset of the first page */
	size_t zero_at;          /* the entry of frame 0 that is not the first one; 0: none */
	bool odd;                /* the number of pages is one that no machine has */
};

static int push(struct runs *t, uint64_t pfn, uint64_t n, struct err *e)
{
	void *arr = t->v;

	if (arr_reserve(&arr, &t->cap, t->n, sizeof(*t->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	t->v = arr;
	t->v[t->n++] = (struct run){pfn, n};
	return 0;
}

static uint64_t sum_of(const struct runs *t, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = t->v[i].n > UINT64_MAX - sum ? UINT64_MAX : sum + t->v[i].n;
	return sum;
}

/* How many of the entries make up the pages that the header counts: as many as it says, else the fewest. 0: no number does. */
static size_t runs_by_sum(const struct runs *t)
{
	uint64_t sum = 0;

	if (!t->pages)
		return 0;
	if (t->claimed && t->claimed <= t->n && sum_of(t, (size_t)t->claimed) == t->pages)
		return (size_t)t->claimed;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].n == 0 || t->v[i].n > t->pages - sum || t->v[i].pfn >= PFN_MAX)
			return 0;
		sum += t->v[i].n;
		if (sum == t->pages)
			return i + 1;
	}
	return 0;
}

/* The lowest frame above `pfn` where another run begins. */
static uint64_t next_begin(const uint64_t *begins, size_t n, uint64_t pfn)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (begins[mid] <= pfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && begins[lo] < PFN_MAX ? begins[lo] : PFN_MAX;
}

/* The count of this run can't be: none, or pages that no machine has, or that another run has. */
static bool lies(const struct run *r, const uint64_t *begins, size_t n)
{
	if (r->pfn >= PFN_MAX)
		return r->n == 0 || r->n > PFN_MAX;
	return r->n == 0 || r->n > next_begin(begins, n, r->pfn) - r->pfn;
}

/* The run `at` is the first whose count can't be (of n_lies), and the sum of all does not bear it out either. One such count is what the others leave of the
 * sum. Else nobody knows where the pages of the runs behind it stand. */
static void mend_run(struct dump *d, struct runs *t, size_t at, size_t n_lies, const uint64_t *begins)
{
	uint64_t size = input_size(d->in), all = t->pages, others = sum_of(t, at), claim = t->v[at].n, room, left;

	for (size_t i = at + 1; i < t->n; i++)
		others = t->v[i].n > UINT64_MAX - others ? UINT64_MAX : others + t->v[i].n;
	if (!all && size > t->first && (size - t->first) % CRASH_PAGE == 0)
		all = (size - t->first) / CRASH_PAGE;
	room = t->v[at].pfn < PFN_MAX ? next_begin(begins, t->n, t->v[at].pfn) - t->v[at].pfn : PFN_MAX;
	if (n_lies == 1 && all > others && all - others <= room && ends_well(d, t->first, all)) {
		t->v[at].n = all - others;
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "run %zu of memory claims %llu pages; by the number of all it has %llu", at,
			  (ull)claim, (ull)t->v[at].n);
		return;
	}
	if (at + 1 == t->n && claim) { /* nothing stands behind it */
		t->v[at].n = claim < room ? claim : room;
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "run %zu of memory claims %llu pages: there can be %llu", at, (ull)claim,
			  (ull)room);
		return;
	}
	left = sum_of(t, at);
	left = left > (size - t->first) / CRASH_PAGE ? 0 : size - t->first - left * CRASH_PAGE;
	notes_add(d->notes, &NOTE_AT(NOTE_PAGE_MISSING, t->v[at].pfn < PFN_MAX ? t->v[at].pfn * CRASH_PAGE : 0, left),
		  "run %zu of memory claims %llu pages, which can't be: where its pages and those of the %zu runs behind it stand is not "
		  "known",
		  at, (ull)claim, t->n - at - 1);
	t->n = at;
}

static bool has_empty(const struct runs *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!t->v[i].n)
			return true;
	return false;
}

/* The number of pages is not that of the runs. */
static void name_count(struct dump *d, const struct runs *t, uint64_t sum)
{
	if (t->odd)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header counts more pages than any machine has; its runs have %llu",
			  (ull)sum);
	else if (t->pages && t->pages != sum)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header counts %llu pages; its runs have %llu", (ull)t->pages, (ull)sum);
}

/* Cuts the table to what it is, and mends what can't be. */
static int settle_runs(struct dump *d, struct runs *t, struct err *e)
{
	size_t k = runs_by_sum(t), n_lies = 0, at = 0;
	uint64_t *begins, sum;

	if (k && has_empty(t, k) && !ends_well(d, t->first, t->pages))
		t->pages = k = 0; /* a run without a page, and a number of pages that goes by it */
	if (k || (t->claimed && t->claimed < t->n)) {
		if (k && t->claimed && k != t->claimed)
			notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD),
				  "%llu runs of memory are claimed; by the number of pages there are %zu", (ull)t->claimed, k);
		t->n = k ? k : (size_t)t->claimed;
	}
	sum = sum_of(t, t->n);
	if (k || !t->n || ends_well(d, t->first, sum)) {
		name_count(d, t, sum);
		return 0;
	}
	begins = malloc(t->n * sizeof(*begins));
	if (!begins)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < t->n; i++)
		begins[i] = t->v[i].pfn;
	qsort(begins, t->n, sizeof(*begins), u64_order);
	for (size_t i = t->n; i > 0; i--)
		if (lies(&t->v[i - 1], begins, t->n)) {
			at = i - 1;
			n_lies++;
		}
	if (n_lies)
		mend_run(d, t, at, n_lies, begins);
	else if (t->pages > sum && ends_well(d, t->first, t->pages))
		notes_add(d->notes, &NOTE(NOTE_PAGE_MISSING),
			  "the header counts %llu pages, and its runs have %llu: where they belong is uncertain", (ull)t->pages, (ull)sum);
	else
		name_count(d, t, sum);
	free(begins);
	return 0;
}

static int add_runs(struct dump *d, struct runs *t, uint64_t *end, struct err *e)
{
	struct pages p = {.d = d, .off = t->first};
	int rc = settle_runs(d, t, e);

	for (size_t i = 0; rc == 0 && i < t->n; i++)
		rc = add_pages(&p, t->v[i].pfn, t->v[i].n, e);
	*end = p.off;
	return rc;
}

/* ---- type 1 --------------------------------------------------------------------------------------------------------------------------------------- */

/* The header's entries up to the fill word or zeros, though no fewer than it claims. */
static int load_header_runs(struct runs *t, const struct crash_layout *l, const uint8_t *h, struct err *e)
{
	uint64_t fill = l->run_size == 16 ? CRASH_FILL64 : CRASH_FILL32;
	int rc = 0;

	memset(t, 0, sizeof(*t));
	t->first = l->header;
	t->claimed = le32(h + l->n_runs);
	t->pages = l->run_size == 16 ? le64(h + l->n_runs + 8) : le32(h + l->n_runs + 4);
	t->odd = t->pages != fill && t->pages > PFN_MAX;
	if (t->pages == fill || t->odd)
		t->pages = 0;
	for (uint32_t i = 0; rc == 0 && i < l->max_runs; i++) {
		const uint8_t *r = h + l->runs + (size_t)i * l->run_size;
		uint64_t pfn = l->run_size == 16 ? le64(r) : le32(r), n = l->run_size == 16 ? le64(r + 8) : le32(r + 4);

		if (((pfn == fill && n == fill) || (!pfn && !n)) && (i >= t->claimed || t->claimed > l->max_runs))
			break;
		rc = push(t, pfn, n, e);
	}
	return rc;
}

static int open_runs(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint64_t *end, struct err *e)
{
	uint64_t size = input_size(d->in);
	struct runs t;
	int rc = load_header_runs(&t, l, h, e);

	if (rc == 0 && (t.claimed == 0 || t.claimed == CRASH_FILL32)) {
		size_t k = runs_by_sum(&t);

		notes_add(d->notes, &NOTE_AT(k ? NOTE_CONTEXT_BAD : NOTE_PAGE_MISSING, 0, k ? 0 : size - l->header),
			  k ? "the header names no run of memory; its entries make up the number of pages, and are taken"
			    : "the header names no run of memory: where the pages in the file belong is not known");
		t.n = k;
		t.claimed = 0;
	} else if (rc == 0 && t.claimed > l->max_runs) {
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header names %llu runs of memory; it has room for %u", (ull)t.claimed,
			  l->max_runs);
		t.claimed = 0;
	}
	if (rc == 0)
		rc = add_runs(d, &t, end, e);
	free(t.v);
	return rc;
}

/* ---- types 2, 5, 6, 7: a bit for each page ------------------------------------------------------------------------------------------------- */

/* What is done with the pages [from, from + n) of a bitmap. */
typedef int row_fn(void *ctx, uint64_t from, uint64_t n, struct err *e);

/* Bits [0, n_bits) at file offset `at`: bit n = page frame n stands in the file, pages in ascending order. Ends when fn returns other than 0. */
static int each_row(struct dump *d, uint64_t at, uint64_t n_bits, row_fn *fn, void *ctx, struct err *e)
{
	uint8_t *chunk = malloc(STEP);
	uint64_t from = 0, n = 0; /* the run of set bits being collected */
	int rc = chunk ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint64_t bit = 0; rc == 0 && bit < n_bits;) {
		int64_t got = input_read(d->in, at + bit / 8, chunk, STEP, e);

		if (got <= 0) {
			rc = (int)got;
			break;
		}
		for (int64_t i = 0; rc == 0 && i < got * 8 && bit < n_bits; i++, bit++) {
			if (i % 8 == 0 && chunk[i / 8] == 0 && !n && bit + 8 <= n_bits) {
				i += 7;
				bit += 7;
				continue;
			}
			if (chunk[i / 8] >> (i % 8) & 1) {
				if (!n)
					from = bit;
				n++;
			} else if (n) {
				rc = fn(ctx, from, n, e);
				n = 0;
			}
		}
	}
	if (rc == 0 && n)
		rc = fn(ctx, from, n, e);
	free(chunk);
	return rc < 0 ? rc : 0;
}

static int add_row(void *ctx, uint64_t from, uint64_t n, struct err *e)
{
	struct pages *p = ctx;
	int rc = add_pages(p, from, n, e);

	return rc < 0 ? rc : p->cut;
}

struct counted {
	uint64_t n, most; /* pages so far; where counting ends */
	uint64_t behind;  /* the bit behind the last of them */
};

static int count_row(void *ctx, uint64_t from, uint64_t n, struct err *e)
{
	struct counted *c = ctx;

	(void)e;
	if (n > c->most - c->n)
		n = c->most - c->n;
	c->n += n;
	c->behind = from + n;
	return c->n == c->most;
}

struct bitmap {                  /* where it stands */
	uint64_t at, bits, room; /* room: bits between `at` and the first page, or the file's end */
	uint64_t first, pages;   /* pages: the header's word; 0: none that can be */
	bool sound;              /* what it says fits together, three times */
};

static struct counted count_pages(struct dump *d, const struct bitmap *b, uint64_t bits, uint64_t most)
{
	struct counted c = {.most = most};

	each_row(d, b->at, bits, count_row, &c, NULL); /* what can't be read now can't be read later, and is told then */
	return c;
}

/* The number of bits can't be, or counts other pages than the header and the file have: the bits from the first one on that make up the number of pages. */
static void mend_bits(struct dump *d, struct bitmap *b)
{
	struct counted c = {0};
	uint64_t was = b->bits;

	b->bits = b->room;
	if (b->pages)
		c = count_pages(d, b, b->room, b->pages);
	if (c.n == b->pages && b->pages)
		b->bits = c.behind;
	notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the page bitmap claims %llu bits: %llu are taken%s", (ull)was, (ull)b->bits,
		  b->bits == b->room ? "" : ", by the number of pages");
}

static void mend_first(struct dump *d, struct bitmap *b, uint64_t n)
{
	uint64_t was = b->first, from = b->at + (b->bits + 7) / 8;
	bool found = find_first(d, from, n, &b->first);

	if (!found)
		b->first = to_page(from);
	notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the first page can't stand at file offset %llu: %llu is taken%s", (ull)was,
		  (ull)b->first, found ? ", by the number of pages" : ", the page behind the bitmap");
}

/* Bits, pages, and the file say that the first page stands right behind the bitmap; the header says that it stands elsewhere. */
static bool first_lies(struct dump *d, const struct bitmap *b)
{
	uint64_t first;

	return b->pages && b->bits / 8 < input_size(d->in) - b->at && !ends_well(d, b->first, b->pages) &&
	       find_first(d, b->at + (b->bits + 7) / 8, b->pages, &first) && count_pages(d, b, b->bits, UINT64_MAX).n == b->pages;
}

static size_t notes_n(const struct dump *d)
{
	return d->notes ? d->notes->n : 0;
}

static int settle_bitmap(struct dump *d, struct bitmap *b, struct err *e)
{
	uint64_t size = input_size(d->in), n, said;
	size_t before;
	bool first_ok = b->first > b->at && b->first < size;

	if (b->at >= size)
		return err_set(e, ERR_TRUNC, "the dump ends before its page bitmap");
	first_ok = first_ok && !first_lies(d, b);
	said = b->pages;
	before = notes_n(d);
	b->room = ((first_ok ? b->first : size) - b->at) * 8;
	if (b->pages > b->room)
		b->pages = 0;
	if (b->bits == 0 || b->bits > b->room)
		mend_bits(d, b);
	n = count_pages(d, b, b->bits, UINT64_MAX).n;
	if (first_ok && n < b->pages && !ends_well(d, b->first, n) && ends_well(d, b->first, b->pages)) {
		if (count_pages(d, b, b->room, UINT64_MAX).n == b->pages)
			mend_bits(d, b);
		else
			notes_add(d->notes, &NOTE(NOTE_PAGE_MISSING),
				  "the page bitmap is damaged: it has %llu pages, the header and the file %llu; where they belong is "
				  "uncertain",
				  (ull)n, (ull)b->pages);
		n = count_pages(d, b, b->bits, UINT64_MAX).n;
	}
	if (!first_ok)
		mend_first(d, b, n);
	if (said && said != n && notes_n(d) == before)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header counts %llu pages; the page bitmap has %llu", (ull)said, (ull)n);
	b->sound = n && n == b->pages && ends_well(d, b->first, n);
	return 0;
}

static int read_bitmap(struct dump *d, const struct crash_layout *l, uint32_t type, struct bitmap *b, bool *marked, struct err *e)
{
	uint8_t h[BITMAP_HEADER];
	int rc = input_read_all(d->in, l->header, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	memset(b, 0, sizeof(*b));
	*marked = (le32(h) == SIG_BITMAP || le32(h) == SIG_BITMAP_FULL) && le32(h + 4) == SIG_DUMP;
	if (type == CRASH_SUMMARY) {
		b->at = l->header + (l->run_size == 16 ? 0x28 : 0x20);
		b->bits = le32(h + 0x10);
		b->first = le32(h + 0xc);
		b->pages = le32(h + 0x14);
	} else {
		b->at = l->header + BITMAP_HEADER;
		b->bits = le64(h + 0x30);
		b->first = le64(h + 0x20);
		b->pages = le64(h + 0x28);
	}
	return 0;
}

/* Bits, pages, the first page's place and the file say the same. */
static bool fits(struct dump *d, const struct bitmap *b)
{
	return b->first > b->at && b->bits && b->bits <= (b->first - b->at) * 8 && ends_well(d, b->first, b->pages) &&
	       count_pages(d, b, b->bits, UINT64_MAX).n == b->pages;
}

static int open_bitmap(struct dump *d, const struct crash_layout *l, uint32_t type, uint64_t *end, struct err *e)
{
	struct pages p = {.d = d};
	struct bitmap b;
	bool marked;
	int rc = read_bitmap(d, l, type, &b, &marked, e);

	if (rc < 0)
		return rc;
	if (!marked && !fits(d, &b))
		return err_set(e, ERR_FORMAT, "no page bitmap where this type of dump has one");
	if (!marked)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the page bitmap's mark is damaged; what it says of the file is right");
	rc = settle_bitmap(d, &b, e);
	p.off = b.first;
	if (rc == 0)
		rc = each_row(d, b.at, b.bits, add_row, &p, e);
	*end = p.off;
	return rc;
}

/* ---- types 8, 9, 0xA: a table of ranges ----------------------------------------------------------------------------------------------------- */

/* The entries from `at` on. end: of the table, or 0: not known, then it ends at the first entry that makes no sense. */
static int load_ranges(struct dump *d, struct runs *t, uint64_t at, uint64_t end, bool full, struct err *e)
{
	uint64_t most = end ? end : input_size(d->in);
	uint8_t chunk[4096];
	int rc = 0;

	while (rc == 0 && most - at >= 16 && t->n < RANGES_MAX) {
		uint64_t want = most - at < sizeof(chunk) ? most - at : sizeof(chunk);
		int64_t got = input_read(d->in, at, chunk, (size_t)want, e);

		if (got < 0)
			return (int)got;
		for (size_t i = 0; rc == 0 && i + 16 <= (size_t)got; i += 16, at += 16) {
			uint64_t pfn = le64(chunk + i), n = le64(chunk + i + 8);

			if ((!pfn && !n) || (t->n && !pfn && !full && (t->zero_at || n > PFN_MAX)) ||
			    (!end && (pfn >= PFN_MAX || !n || n > PFN_MAX)))
				return 0;
			if (t->n && !pfn && !full)
				t->zero_at = t->n;
			rc = push(t, pfn, n, e);
		}
		if (got < 16)
			break;
	}
	return rc;
}

/* Where the first page stands, when that is not where the header says; by the size of the table, else by the number of pages. */
static int mend_first_range(struct dump *d, struct runs *t, uint64_t at, uint64_t behind, struct err *e)
{
	uint64_t from = at + (uint64_t)t->n * 16, was = t->first;

	if (behind)
		t->first = behind;
	else if (!find_first(d, from, t->pages ? t->pages : sum_of(t, t->n), &t->first) &&
		 !find_first(d, from + 16, sum_of(t, t->n), &t->first)) /* behind an entry of zeros */
		return err_set(e, ERR_FORMAT, "the dump's first page can't stand at file offset %llu, and nothing tells where it does",
			       (ull)was);
	notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the first page can't stand at file offset %llu: %llu is taken, by the %s", (ull)was,
		  (ull)t->first, behind ? "size of the table" : "number of pages");
	return 0;
}

/* The table that ends before `first` has the pages that the file holds from there on. */
static bool ranges_fit(struct dump *d, uint64_t at, uint64_t first, bool full)
{
	struct runs t = {0};
	bool yes = load_ranges(d, &t, at, first, full, NULL) == 0 &&
		   (ends_well(d, first, sum_of(&t, t.n)) || (t.zero_at && ends_well(d, first, sum_of(&t, t.zero_at))));

	free(t.v);
	return yes;
}

/* Frame 0 ends the tables of types 8 and 9. A range that begins there is one all the same if the file's length goes with it. */
static void settle_zero(struct dump *d, struct runs *t)
{
	uint64_t size = input_size(d->in), before = sum_of(t, t->zero_at), off;
	struct note note = NOTE(NOTE_PAGE_MISSING);

	if (!t->zero_at || (!ends_well(d, t->first, before) && ends_well(d, t->first, sum_of(t, t->n))))
		return;
	off = before < (size - t->first) / CRASH_PAGE ? t->first + before * CRASH_PAGE : size;
	note.has_bytes = true; /* where they belong is not known */
	note.bytes = size - off;
	if (off < size && !ends_well(d, t->first, before))
		notes_add(
			d->notes, &note,
			"the table of ranges ends at frame 0, and says that it has %llu pages: what stands from file offset %llu on has no "
			"certain place",
			(ull)t->v[t->zero_at].n, (ull)off);
	t->n = t->zero_at;
}

static int open_ranges(struct dump *d, const struct crash_layout *l, uint32_t type, uint64_t *end, struct err *e)
{
	uint64_t at = l->header + 0x30, size = input_size(d->in), meta, behind, tabled;
	bool full = type == CRASH_RANGE_FULL, first_ok;
	struct runs t = {0};
	uint8_t h[0x30];
	int rc = input_read_all(d->in, l->header, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	if (le32(h + 4) != SIG_RANGES || le32(h + 8) != SIG_DUMP)
		return err_set(e, ERR_FORMAT, "no range table where this type of dump has one");
	meta = le64(h + 0x10);
	t.first = le64(h + 0x18);
	first_ok = t.first > at && t.first < size;
	behind = meta > 0x20 && meta < size ? l->header + 0x20 + meta : 0; /* MetadataSize - 0x20 = FirstPageOffset - 0x2040 */
	if (behind <= at || behind >= size)
		behind = 0;
	if (full) {
		t.claimed = le32(h + 0x20);
		t.pages = le64(h + 0x28) <= PFN_MAX ? le64(h + 0x28) : 0;
	}
	if (!meta || meta > size)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the table of ranges claims %llu bytes", (ull)meta);
	if (full && !t.pages)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the table of ranges claims %llu pages", (ull)le64(h + 0x28));
	tabled = first_ok ? t.first : behind;
	if (first_ok && behind && behind != t.first && !ranges_fit(d, at, t.first, full) && ranges_fit(d, at, behind, full)) {
		first_ok = false;
		tabled = behind;
	}
	if (!full && meta && meta < size && at + meta < tabled)
		tabled = at + meta;
	rc = load_ranges(d, &t, at, tabled, full, e);
	if (rc == 0 && !first_ok)
		rc = mend_first_range(d, &t, at, behind, e);
	if (rc == 0)
		settle_zero(d, &t);
	if (rc == 0)
		rc = add_runs(d, &t, end, e);
	free(t.v);
	return rc;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------------------------- */

/* What the mark behind the header says; 0: none stands there. */
static uint32_t type_by_mark(struct dump *d, const struct crash_layout *l)
{
	uint8_t h[0x30];

	if (input_read_all(d->in, l->header, h, sizeof(h), NULL) < 0)
		return 0;
	if ((le32(h) == SIG_BITMAP || le32(h) == SIG_BITMAP_FULL) && le32(h + 4) == SIG_DUMP)
		return CRASH_BITMAP_FULL;
	if (le32(h + 4) == SIG_RANGES && le32(h + 8) == SIG_DUMP)
		return le64(h + 0x28) ? CRASH_RANGE_FULL : CRASH_RANGE_KERNEL;
	return 0;
}

/* The header's runs make up its number of pages, and the file holds them. */
static bool is_full(struct dump *d, const struct crash_layout *l, const uint8_t *h)
{
	struct runs t;
	bool yes = load_header_runs(&t, l, h, NULL) == 0 && runs_by_sum(&t) && ends_well(d, t.first, t.pages);

	free(t.v);
	return yes;
}

/* A triage dump's own structure leads to its secondary data. */
static bool is_triage(struct dump *d, const struct crash_layout *l)
{
	uint8_t t[8];

	return input_read_all(d->in, l->header, t, sizeof(t), NULL) == 0 && crash_blob_at(d, le32(t + 4));
}

/* Both kinds of bitmap have the same mark: the other one, if only its numbers fit. */
static uint32_t which_bitmap(struct dump *d, const struct crash_layout *l, uint32_t type)
{
	uint32_t other = type == CRASH_SUMMARY ? CRASH_BITMAP_FULL : CRASH_SUMMARY;
	struct bitmap a, b;
	bool marked;

	if (read_bitmap(d, l, type, &a, &marked, NULL) < 0 || read_bitmap(d, l, other, &b, &marked, NULL) < 0 || !marked)
		return type;
	return !fits(d, &a) && fits(d, &b) ? other : type;
}

uint32_t crashpages_type(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type)
{
	uint32_t mark = type_by_mark(d, l), is = type;
	bool full = is_full(d, l, h), tells_nothing = type == 0 || type == CRASH_HEADER || type > CRASH_RANGE_FULL;

	if (type == CRASH_TRIAGE && !is_triage(d, l))
		tells_nothing = true;
	if (type == CRASH_FULL || type == CRASH_FILL32)
		is = mark && !full ? mark : CRASH_FULL;
	else if (tells_nothing)
		is = mark ? mark : full ? CRASH_FULL : type;
	else if (!mark && type != CRASH_TRIAGE)
		is = full ? CRASH_FULL : type;
	else if (mark && type != CRASH_TRIAGE && (mark >= CRASH_RANGE_KERNEL) != (type >= CRASH_RANGE_KERNEL))
		is = mark;
	if (is == CRASH_SUMMARY || (is >= CRASH_BITMAP_FULL && is <= CRASH_AUTOMATIC))
		is = which_bitmap(d, l, is);
	if (is != type && type != CRASH_FILL32)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header says type %u; what stands behind it is that of type %u", type, is);
	return is;
}

int crashpages_add(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type, uint64_t *end, struct err *e)
{
	switch (type) {
	case CRASH_FULL:
		return open_runs(d, l, h, end, e);
	case CRASH_SUMMARY:
	case CRASH_BITMAP_FULL:
	case CRASH_BITMAP_KERNEL:
	case CRASH_AUTOMATIC:
		return open_bitmap(d, l, type, end, e);
	case CRASH_RANGE_KERNEL:
	case CRASH_RANGE_ACTIVE:
	case CRASH_RANGE_FULL:
		return open_ranges(d, l, type, end, e);
	default:
		return err_set(e, ERR_UNSUPPORTED, "a crash dump of the unknown type %u", type);
	}
}
