/* hibertable.c - hiberfil.sys of Windows 7, Vista and before: tables of page ranges, each followed by Xpress blocks of 16 pages that hold those
 * ranges in order. See hiber.h. */
#include "hiber.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define BLOCK_HEAD   0x20u
#define BLOCK_SEARCH (256u << 10) /* how far behind damage the next block is looked for */
#define TABLE_SEARCH 32u          /* pages in which the first table is looked for */
#define ENDPOINT_MAX HIBER_FRAMES_MAX

static const uint8_t magic[8] = {0x81, 0x81, 'x', 'p', 'r', 'e', 's', 's'};

static const struct layout { /* of a table */
	bool narrow;
	uint8_t next, count, ranges, range, start, end; /* offsets; range: bytes of one */
	uint16_t most;                                  /* ranges of a full table */
} layouts[] = {
	{false, 0, 8, 0x10, 16, 0, 8, 255},                                            /* Windows 7 */
	{true, 0, 4, 8, 8, 0, 4, 511},                                                 /* the same, 32-bit */
	{false, 8, 0x10, 0x18, 16, 0, 8, 254},                                         /* Vista SP2 */
	{true, 4, 8, 0xc, 8, 0, 4, 510},       {false, 8, 0x14, 0x20, 32, 8, 16, 127}, /* Vista without SP and SP1 */
	{true, 4, 0xc, 0x10, 16, 4, 8, 255},
};
#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static const struct header { /* where headers of this length have what; tried in order */
	uint32_t length;
	uint8_t first_table, cpu_page; /* cpu_page: of the processor's state */
	uint8_t layout;
} headers[] = {
	{0x128, 0x60, 1, 0},                      /* Windows 7 */
	{0xe0, 0x4c, 1, 1},  {0x138, 0x68, 1, 2}, /* Vista SP2 */
	{0xf0, 0x50, 1, 3},  {0x140, 0x68, 1, 4}, /* Vista SP1 */
	{0xf0, 0x50, 1, 5},  {0x128, 0x68, 4, 4}, /* Vista */
	{0xe0, 0x50, 4, 5},
};
#define N_HEADERS (sizeof(headers) / sizeof(headers[0]))

static uint64_t field(const uint8_t *table, const struct layout *l, size_t off)
{
	return l->narrow ? le32(table + off) : le64(table + off);
}

static uint32_t n_ranges(const uint8_t *table, const struct layout *l)
{
	return le32(table + l->count);
}

static bool range_of(const uint8_t *table, const struct layout *l, uint32_t i, uint64_t *start, uint64_t *end)
{
	size_t at = l->ranges + (size_t)i * l->range;

	*start = field(table, l, at + l->start);
	*end = field(table, l, at + l->end);
	return *start < *end && *end <= ENDPOINT_MAX;
}

/* All of its ranges are such. */
static bool is_table(const uint8_t *table, const struct layout *l)
{
	uint64_t start, end;
	uint32_t n = n_ranges(table, l);

	if (!n || n > l->most)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!range_of(table, l, i, &start, &end))
			return false;
	return true;
}

static bool is_block(struct hiber *h, uint64_t at)
{
	uint8_t p[sizeof(magic)];

	return input_read_all(h->in, at, p, sizeof(p), NULL) == 0 && memcmp(p, magic, sizeof(p)) == 0;
}

/* The first block's header in [at, at + n), or 0. */
static uint64_t block_in(struct hiber *h, uint64_t at, size_t n)
{
	uint8_t p[4096 + sizeof(magic)];

	if (n && is_block(h, at))
		return at;
	h->tries++;
	for (uint64_t end = at + n; at < end; at += 4096) {
		int64_t got = input_read(h->in, at, p, sizeof(p), NULL);

		for (int64_t i = 0; i + (int64_t)sizeof(magic) <= got && at + (uint64_t)i < end; i++)
			if (p[i] == magic[0] && memcmp(p + i, magic, sizeof(magic)) == 0)
				return at + (uint64_t)i;
		if (got < (int64_t)sizeof(p) || !hiber_may_try(h))
			break;
	}
	return 0;
}

/* A table stands at this page of the file, with a block behind it. */
static bool table_at(struct hiber *h, uint64_t page, const struct layout *l, uint8_t table[HIBER_PAGE])
{
	return page && page < UINT64_MAX / HIBER_PAGE - 1 && input_read_all(h->in, page * HIBER_PAGE, table, HIBER_PAGE, NULL) == 0 &&
	       is_table(table, l) && block_in(h, (page + 1) * HIBER_PAGE, BLOCK_SEARCH);
}

/* ---- blocks ----------------------------------------------------------------------------------------------------------------------------------- */

struct pages { /* a table's pages, handed out in order */
	const uint8_t *table;
	const struct layout *l;
	uint32_t range;
	uint64_t at, end; /* of that range */
	uint64_t left;    /* in the ranges behind it too */
};

static struct pages pages_of(const uint8_t *table, const struct layout *l)
{
	struct pages p = {.table = table, .l = l};
	uint64_t start, end;

	for (uint32_t i = 0; i < n_ranges(table, l); i++)
		if (range_of(table, l, i, &start, &end))
			p.left += end - start;
	return p;
}

/* False: there are no more. */
static bool in_range(struct pages *p)
{
	while (p->at == p->end)
		if (p->range == n_ranges(p->table, p->l) || !range_of(p->table, p->l, p->range++, &p->at, &p->end))
			return false;
	return true;
}

/* The next pages that follow each other, at most n. 0: there are no more. */
static uint8_t take(struct pages *p, unsigned n, uint64_t *pfn)
{
	if (!in_range(p))
		return 0;
	if (p->end - p->at < n)
		n = (unsigned)(p->end - p->at);
	*pfn = p->at;
	p->at += n;
	p->left -= n;
	return (uint8_t)n;
}

/* The next n pages are in no block. A range that lies has 2^40 of them: a step is a range. */
static void skip(struct pages *p, uint64_t n)
{
	while (n && in_range(p)) {
		uint64_t k = p->end - p->at < n ? p->end - p->at : n;

		p->at += k;
		p->left -= k;
		n -= k;
	}
}

static int add_block(struct hiber *h, struct pages *p, const struct hiber_set *s, struct err *e)
{
	int rc = hiber_add_set(h, s, e);
	uint64_t pfn;
	uint8_t n;

	for (unsigned first = 0; rc == 0 && first < HIBER_SET_PAGES && (n = take(p, HIBER_SET_PAGES - first, &pfn)) != 0; first += n)
		if (first < s->pages)
			rc = hiber_add_span(h, pfn, (uint8_t)first, (uint8_t)(s->pages - first < n ? s->pages - first : n), e);
	h->method[HIBER_XPRESS] |= s->len != s->pages * HIBER_PAGE;
	return rc;
}

static void lose(struct hiber *h, uint64_t at, uint64_t pages)
{
	notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, 0), "hiberfil: no Xpress block at file offset %llu: %llu pages are lost",
		  (unsigned long long)at, (unsigned long long)pages);
}

/* The block whose header stands at `at`, as far as the file has it. Returns where it ends; len or pages 0: it holds nothing. */
static uint64_t block_at(struct hiber *h, uint64_t at, uint64_t left, struct hiber_set *s)
{
	uint64_t size = input_size(h->in), have;
	uint8_t head[BLOCK_HEAD];

	*s = (struct hiber_set){.off = at + BLOCK_HEAD};
	if (input_read_all(h->in, at, head, sizeof(head), NULL) < 0)
		return size;
	s->len = ((le32(head + 8) >> 10) + 1 + 7) & ~7u;
	if (s->len > HIBER_SET_BYTES) {
		s->len = 0;
		return s->off;
	}
	s->pages = left < HIBER_SET_PAGES ? (uint8_t)left : HIBER_SET_PAGES;
	have = size - s->off;
	if (s->len <= have)
		return s->off + s->len;
	notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, s->off, s->len - have), "hiberfil: the file ends inside an Xpress block");
	if (s->len == s->pages * HIBER_PAGE) { /* stored: so many whole pages */
		s->pages = (uint8_t)(have / HIBER_PAGE);
		have = s->pages * HIBER_PAGE;
	}
	s->len = (uint32_t)have;
	return size;
}

/* How many blocks follow each other from `at` on, up to `until` (the next table, or the end of the file). 0: another one is damaged. */
static uint64_t count_blocks(struct hiber *h, uint64_t at, uint64_t until)
{
	uint64_t n = 0, size = input_size(h->in);

	for (; at < until && is_block(h, at); n++) {
		struct hiber_set s;

		at = block_at(h, at, HIBER_SET_PAGES, &s);
		if (!s.len)
			return 0;
	}
	return until < size && block_in(h, at, at < until ? (size_t)(until - at < BLOCK_SEARCH ? until - at : BLOCK_SEARCH) : 0) ? 0 : n;
}

/* At `at` should be a block and none is. Pages are told by their order alone: those behind the damage are counted back from the table's last
 * block. Returns where it goes on, 0: not at all. */
static uint64_t behind_damage(struct hiber *h, uint64_t at, struct pages *p, uint64_t until)
{
	uint64_t found = block_in(h, at, BLOCK_SEARCH), blocks = found && found < until ? count_blocks(h, found, until) : 0;
	uint64_t last = (p->left - 1) % HIBER_SET_PAGES + 1, behind = blocks ? (blocks - 1) * HIBER_SET_PAGES + last : 0;

	if (!blocks || behind > p->left) {
		lose(h, at, p->left);
		return 0;
	}
	if (behind == p->left) /* only room between them */
		return found;
	lose(h, at, p->left - behind);
	skip(p, p->left - behind);
	return found;
}

/* The blocks behind one table; `until`: where the next one stands, or the end of the file. */
static int walk_blocks(struct hiber *h, uint64_t at, uint64_t until, struct pages *p, struct err *e)
{
	uint64_t size = input_size(h->in);
	int rc = 0;

	while (rc == 0 && p->left && at) {
		bool there = is_block(h, at);
		struct hiber_set s = {0};
		uint64_t next = there ? block_at(h, at, p->left, &s) : 0;

		if (at >= size) {
			notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, size, 0), "hiberfil: the file ends before %llu pages",
				  (unsigned long long)p->left);
			break;
		}
		if (!s.len || !s.pages) {
			at = behind_damage(h, at + there, p, until);
			continue;
		}
		if (h->n_sets > size / BLOCK_HEAD)
			return err_set(e, ERR_FORMAT, "hiberfil: more blocks than the file has room for: its tables lie in each other");
		rc = add_block(h, p, &s, e);
		at = next;
	}
	return rc;
}

/* ---- tables ----------------------------------------------------------------------------------------------------------------------------------- */

static int walk_tables(struct hiber *h, uint64_t page, const struct layout *l, struct err *e)
{
	uint64_t size = input_size(h->in), n_pages = size / HIBER_PAGE + 1;
	uint8_t *seen = n_pages / 8 < SIZE_MAX ? calloc(1, (size_t)(n_pages / 8 + 1)) : NULL, table[HIBER_PAGE], other[HIBER_PAGE];
	int rc = 0;

	if (!seen)
		return err_set(e, ERR_NOMEM, "out of memory");
	while (rc == 0 && page && table_at(h, page, l, table)) {
		uint64_t next = field(table, l, l->next), until = size;
		bool full = n_ranges(table, l) == l->most, good = next != page && table_at(h, next, l, other);
		struct pages p = pages_of(table, l);

		seen[page / 8] |= (uint8_t)(1u << page % 8);
		if (good && seen[next / 8] >> next % 8 & 1)
			good = false;
		if (good && next > page)
			until = next * HIBER_PAGE;
		rc = walk_blocks(h, (page + 1) * HIBER_PAGE, until, &p, e);
		if (next && full && !good) /* behind a table that is not full anything may stand in the link */
			notes_add(h->notes, &NOTE_AT(NOTE_LIST_BROKEN, page * HIBER_PAGE, 0),
				  "hiberfil: no table at page %llu of the file: what it and those behind it hold is lost",
				  (unsigned long long)next);
		page = good ? next : 0;
	}
	free(seen);
	return rc;
}

/* The table's pages fill the blocks behind it. */
static bool fits(struct hiber *h, uint64_t page, const struct layout *l, const uint8_t *table)
{
	uint64_t next = field(table, l, l->next), size = input_size(h->in), want = pages_of(table, l).left;
	uint64_t until = next > page && next < size / HIBER_PAGE ? next * HIBER_PAGE : size;

	return count_blocks(h, (page + 1) * HIBER_PAGE, until) == (want + HIBER_SET_PAGES - 1) / HIBER_SET_PAGES;
}

/* The first table, by the header or, without it, by its form. */
static uint64_t first_table(struct hiber *h, const uint8_t *header, const struct layout **l, unsigned *cpu_page)
{
	uint8_t table[HIBER_PAGE];

	*cpu_page = 0;
	for (size_t i = 0; header && i < N_HEADERS; i++) {
		const struct layout *x = &layouts[headers[i].layout];
		uint64_t page = field(header, x, headers[i].first_table);

		if (le32(header + 0xc) == headers[i].length && table_at(h, page, x, table)) {
			*l = x;
			*cpu_page = headers[i].cpu_page;
			return page;
		}
	}
	for (unsigned pass = 0; pass < 2; pass++)
		for (uint64_t page = 1; page < TABLE_SEARCH; page++)
			for (size_t i = 0; is_block(h, (page + 1) * HIBER_PAGE) && i < N_LAYOUTS; i++) {
				if (!table_at(h, page, &layouts[i], table) || (pass == 0 && !fits(h, page, &layouts[i], table)))
					continue;
				*l = &layouts[i];
				if (header)
					notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0, HIBER_PAGE),
						  "hiberfil: the header leads to no table: the first one was found by its form");
				return page;
			}
	return 0;
}

/* The processor's state: x64 KSPECIAL_REGISTERS at once, x86 behind a CONTEXT of 2cc bytes. Only what looks like a processor with paging counts. */
static void processor(struct hiber *h, struct dump *d, unsigned page, bool narrow)
{
	uint8_t b[0x300];
	struct hint_cpu *c;
	uint64_t cr0, cr3, cr4, idt;

	if (!page || input_read_all(h->in, page * HIBER_PAGE, b, sizeof(b), NULL) < 0)
		return;
	cr0 = narrow ? le32(b + 0x2cc) : le64(b);
	cr3 = narrow ? le32(b + 0x2d4) : le64(b + 0x10);
	cr4 = narrow ? le32(b + 0x2d8) : le64(b + 0x18);
	idt = narrow ? 0 : le64(b + 0x68);
	if ((cr0 & 0x80000001) != 0x80000001 || cr0 >> 32 || !cr3 || cr3 >> 52 || cr4 >> 32)
		return;
	c = hints_add_cpu(&d->hints);
	if (!c)
		return;
	c->has_cr3 = c->has_cr4 = true;
	c->cr3 = cr3;
	c->cr4 = cr4;
	c->has_idt = idt >> 47 == 0x1ffff;
	c->idt_base = idt;
	d->hints.pae = narrow && (cr4 >> 5 & 1);
}

int hibertable_walk(struct hiber *h, struct dump *d, const uint8_t *header, struct err *e)
{
	const struct layout *l = NULL;
	unsigned cpu_page;
	uint64_t page = first_table(h, header, &l, &cpu_page);
	int rc;

	if (!page)
		return 0;
	h->narrow = l->narrow;
	if (header)
		d->hints.system_time = (int64_t)le64(header + (l->narrow ? 0x18 : 0x20));
	processor(h, d, cpu_page, l->narrow);
	rc = walk_tables(h, page, l, e);
	return rc < 0 ? rc : h->n_spans != 0;
}
