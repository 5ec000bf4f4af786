/* hibertable.c - hiberfil.sys of Windows 7, Vista and before: tables of page ranges, each followed by Xpress blocks of 16 pages that hold those
 * ranges in order. See hiber.h. One file, because what settles a range or a link that lies is what the blocks behind the table hold. */
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

/* So many of its ranges are none; UINT32_MAX: it is no table. */
static uint32_t bad_ranges(const uint8_t *table, const struct layout *l)
{
	uint64_t start, end;
	uint32_t n = n_ranges(table, l), bad = 0;

	if (!n || n > l->most)
		return UINT32_MAX;
	for (uint32_t i = 0; i < n; i++)
		bad += !range_of(table, l, i, &start, &end);
	return bad;
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

/* A table stands at this page of the file, with a block behind it. `led`: header or link lead there, so one of its ranges may be damaged. */
static bool table_at(struct hiber *h, uint64_t page, const struct layout *l, bool led, uint8_t table[HIBER_PAGE])
{
	uint32_t bad;

	if (!page || page >= UINT64_MAX / HIBER_PAGE - 1 || input_read_all(h->in, page * HIBER_PAGE, table, HIBER_PAGE, NULL) < 0)
		return false;
	bad = bad_ranges(table, l);
	if (bad == 1 && led && n_ranges(table, l) > 1)
		return is_block(h, (page + 1) * HIBER_PAGE);
	return bad == 0 && block_in(h, (page + 1) * HIBER_PAGE, BLOCK_SEARCH);
}

/* ---- blocks ----------------------------------------------------------------------------------------------------------------------------------- */

#define RANGES_MOST 511u

struct range {
	uint64_t start, end;
	bool lost; /* so many pages, and nobody knows of which frames */
};

struct pages { /* a table's pages, handed out in order */
	struct range v[RANGES_MOST + 3];
	uint32_t n, range;
	uint64_t at;       /* in that range */
	uint64_t left;     /* in it and in those behind it */
	uint64_t no_place; /* pages of ranges that are lost */
	uint32_t bad;      /* 1 + the range before which one stands that can't be; 0: none does */
	uint64_t bad_start, bad_end;
};

static void add_range(struct pages *p, uint64_t start, uint64_t end, bool lost)
{
	if (start < end) {
		p->v[p->n++] = (struct range){start, end, lost};
		p->left += end - start;
		p->no_place += lost ? end - start : 0;
	}
}

static void pages_of(struct pages *p, const uint8_t *table, const struct layout *l)
{
	uint64_t start, end;

	memset(p, 0, sizeof(*p));
	for (uint32_t i = 0; i < n_ranges(table, l); i++)
		if (range_of(table, l, i, &start, &end)) {
			add_range(p, start, end, false);
		} else {
			p->bad = p->n + 1;
			p->bad_start = start;
			p->bad_end = end;
		}
	p->at = p->v[0].start;
}

/* False: there are no more. */
static bool in_range(struct pages *p)
{
	while (p->range < p->n && p->at == p->v[p->range].end)
		p->at = p->v[++p->range].start;
	return p->range < p->n;
}

/* The next pages that follow each other, at most n. 0: there are no more. *known: of which frames is known. */
static uint8_t take(struct pages *p, unsigned n, uint64_t *pfn, bool *known)
{
	if (!in_range(p))
		return 0;
	if (p->v[p->range].end - p->at < n)
		n = (unsigned)(p->v[p->range].end - p->at);
	*pfn = p->at;
	*known = !p->v[p->range].lost;
	p->at += n;
	p->left -= n;
	return (uint8_t)n;
}

/* The next n pages are in no block. A range that lies has 2^40 of them: a step is a range. */
static void skip(struct pages *p, uint64_t n)
{
	while (n && in_range(p)) {
		uint64_t room = p->v[p->range].end - p->at, k = room < n ? room : n;

		p->at += k;
		p->left -= k;
		n -= k;
	}
}

static int add_block(struct hiber *h, struct pages *p, const struct hiber_set *s, struct err *e)
{
	int rc = hiber_add_set(h, s, e);
	uint64_t pfn;
	bool known;
	uint8_t n;

	for (unsigned first = 0; rc == 0 && first < HIBER_SET_PAGES && (n = take(p, HIBER_SET_PAGES - first, &pfn, &known)) != 0;
	     first += n)
		if (known && first < s->pages)
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

/* How many blocks follow each other from `at` on, up to `until` (the next table, or the end of the file). 0: another one is damaged. *last: where the
 * last one stands. */
static uint64_t count_blocks(struct hiber *h, uint64_t at, uint64_t until, uint64_t *last)
{
	uint64_t n = 0, size = input_size(h->in);

	for (; at < until && is_block(h, at); n++) {
		struct hiber_set s;

		if (h->counted++ > 4096 + 4 * (size / BLOCK_HEAD)) /* tables that lie in each other */
			return 0;
		*last = at;
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
	uint64_t end, found = block_in(h, at, BLOCK_SEARCH), blocks = found && found < until ? count_blocks(h, found, until, &end) : 0;
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

/* The blocks behind one table; `until`: where the next one stands, or the end of the file. *end: behind the last one; 0: not known. */
static int walk_blocks(struct hiber *h, uint64_t at, uint64_t until, struct pages *p, uint64_t *end, struct err *e)
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
	*end = at;
	return rc;
}

/* ---- ranges that lie ---------------------------------------------------------------------------------------------------------------------------- */

/* Pages of the block at `at`, the last one of its table, when its header says so and it unpacks to no more and no less. 0: not known. */
static uint64_t pages_of_last(struct hiber *h, uint64_t at)
{
	uint8_t head[BLOCK_HEAD], *p, *out;
	uint64_t n = 0;
	struct hiber_set s;

	if (input_read_all(h->in, at, head, sizeof(head), NULL) < 0 || block_at(h, at, HIBER_SET_PAGES, &s) > input_size(h->in) || !s.len)
		return 0;
	p = malloc(s.len);
	out = malloc(HIBER_SET_BYTES);
	if (p && out && (le32(head + 8) & 0x3ff) < HIBER_SET_PAGES && input_read_all(h->in, s.off, p, s.len, NULL) == 0) {
		n = (le32(head + 8) & 0x3ff) + 1;
		s.pages = (uint8_t)n;
		if (s.len > n * HIBER_PAGE || hiber_unpack(&s, p, out) != n * HIBER_PAGE)
			n = 0;
		s.pages++;
		if (n && n < HIBER_SET_PAGES && s.len != n * HIBER_PAGE && hiber_unpack(&s, p, out) == (n + 1) * HIBER_PAGE)
			n = 0;
	}
	free(p);
	free(out);
	return n;
}

/* Behind the block at `last` none is hidden by damage, nor by an earlier hibernation: only zeros stand between it and `until`. */
static bool ends_there(struct hiber *h, uint64_t last, uint64_t until)
{
	static const uint8_t zeros[4096];
	uint8_t p[sizeof(zeros)];
	struct hiber_set s;
	uint64_t at = block_at(h, last, HIBER_SET_PAGES, &s);

	if (at > until || until - at > BLOCK_SEARCH)
		return false;
	for (size_t n; at < until; at += n) {
		n = until - at < sizeof(p) ? (size_t)(until - at) : sizeof(p);
		if (input_read_all(h->in, at, p, n, NULL) < 0 || memcmp(p, zeros, n) != 0)
			return false;
	}
	return true;
}

struct reading {              /* what the table may have been before one number of it was changed */
	uint64_t front, back; /* pages that keep their frames, counted from the first one, from the last one */
	uint32_t range;
	uint64_t start, end; /* of that range */
	size_t n;            /* such readings */
};

/* Range i would be [start, end): is that apart from the others? */
static bool apart_from_others(const struct pages *p, uint32_t i, uint64_t start, uint64_t end)
{
	for (uint32_t k = 0; k < p->n; k++)
		if (k != i && p->v[k].start < end && start < p->v[k].end)
			return false;
	return start < end && end <= ENDPOINT_MAX;
}

/* Pairs of ranges that overlap, altogether and (of) each one. */
static uint32_t overlaps(const struct pages *p, uint32_t of[RANGES_MOST + 2])
{
	uint32_t n = 0;

	memset(of, 0, (RANGES_MOST + 2) * sizeof(*of));
	for (uint32_t k = 0; k < p->n; k++)
		for (uint32_t j = k + 1; j < p->n; j++)
			if (p->v[k].start < p->v[j].end && p->v[j].start < p->v[k].end) {
				n++;
				of[k]++;
				of[j]++;
			}
	return n;
}

static void add_reading(struct reading *r, uint32_t i, uint64_t start, uint64_t end, uint64_t front, uint64_t back)
{
	if (!r->n || front < r->front)
		r->front = front;
	if (!r->n || back < r->back)
		r->back = back;
	r->range = i;
	r->start = start;
	r->end = end;
	r->n++;
}

/* Blocks behind the table hold `all` pages, its ranges another number: one start or one end lies. All readings of one changed number, under which the
 * ranges are apart and hold as many pages; those that give each page the same frame count once. */
static struct reading readings_of(const struct pages *p, uint64_t all)
{
	uint32_t of[RANGES_MOST + 2], n_overlaps = overlaps(p, of);
	struct reading r = {0};
	uint64_t before = 0;

	for (uint32_t i = 0; i < p->n; before += p->v[i].end - p->v[i].start, i++) {
		uint64_t start = p->v[i].start, end = p->v[i].end, own = end - start, others = p->left - own, n, behind, less;

		if (others >= all || of[i] != n_overlaps)
			continue;
		n = all - others;
		less = n < own ? n : own;
		behind = others - before;
		if (apart_from_others(p, i, start, start + n))
			add_reading(&r, i, start, start + n, before + less, behind);
		/* not when it gives the same pages as the end of the range before it moved */
		if (n <= end && apart_from_others(p, i, end - n, end) &&
		    !(i && p->v[i - 1].end == end - n && r.n && r.range == i - 1 && r.end == start))
			add_reading(&r, i, end - n, end, before, behind + less);
	}
	return r;
}

/* One range is none: the other ranges leave it so many pages, from its start on or up to its end. */
static struct reading reading_of_bad(const struct pages *p, uint64_t all)
{
	uint32_t i = p->bad - 1;
	struct reading r = {0};
	uint64_t before = 0, n = all > p->left ? all - p->left : 0;

	for (uint32_t k = 0; k < i; k++)
		before += p->v[k].end - p->v[k].start;
	if (p->bad_start < ENDPOINT_MAX && n <= ENDPOINT_MAX && apart_from_others(p, UINT32_MAX, p->bad_start, p->bad_start + n))
		add_reading(&r, i, p->bad_start, p->bad_start + n, before, p->left - before);
	if (p->bad_end <= ENDPOINT_MAX && n <= p->bad_end && apart_from_others(p, UINT32_MAX, p->bad_end - n, p->bad_end))
		add_reading(&r, i, p->bad_end - n, p->bad_end, before, p->left - before);
	r.front = before;
	r.back = p->left - before;
	return r;
}

/* One reading alone: the ranges are so. */
static void mend_ranges(struct pages *p, const struct pages *old, const struct reading *r)
{
	memset(p, 0, sizeof(*p));
	for (uint32_t i = 0; i < old->n; i++) {
		if (i == r->range)
			add_range(p, r->start, r->end, false);
		if (i != r->range || old->bad)
			add_range(p, old->v[i].start, old->v[i].end, false);
	}
	if (r->range == old->n)
		add_range(p, r->start, r->end, false);
}

/* Of `all` pages only the first and the last ones (r->front, r->back) keep their frames: the others are a hole. */
static void hole_between(struct pages *p, const struct pages *old, const struct reading *r, uint64_t all)
{
	uint64_t hole = all > r->front + r->back ? all - r->front - r->back : 0, before = 0;

	memset(p, 0, sizeof(*p));
	for (uint32_t i = 0; i < old->n; i++) {
		uint64_t own = old->v[i].end - old->v[i].start, head = before < r->front ? r->front - before : 0;
		uint64_t behind = old->left - before - own, tail = behind < r->back ? r->back - behind : 0;

		head = head < own ? head : own;
		tail = tail < own - head ? tail : own - head;
		add_range(p, old->v[i].start, old->v[i].start + head, false);
		if (head < own) {
			add_range(p, 0, hole, true);
			hole = 0;
		}
		add_range(p, old->v[i].end - tail, old->v[i].end, false);
		before += own;
	}
	add_range(p, 0, hole, true);
}

/* The table's ranges against the blocks behind it. */
static void settle_ranges(struct hiber *h, uint64_t page, uint64_t until, struct pages *p)
{
	uint64_t last = 0, blocks = count_blocks(h, (page + 1) * HIBER_PAGE, until, &last), said = 0, all;
	uint64_t fit = (p->left + HIBER_SET_PAGES - 1) / HIBER_SET_PAGES;
	struct pages old = *p;
	struct reading r = {0};

	if (blocks)
		said = pages_of_last(h, last);
	/* a short block is the last one; a full one, when none that is damaged can stand behind it. Behind the last table old blocks may stand */
	if (said && (said < HIBER_SET_PAGES ? until == input_size(h->in) && blocks > fit : true) && !ends_there(h, last, until))
		said = 0;
	if (!old.bad && (!said || (blocks == fit && said == (p->left - 1) % HIBER_SET_PAGES + 1)))
		return;
	all = said ? (blocks - 1) * HIBER_SET_PAGES + said : UINT64_MAX;
	if (said)
		r = old.bad ? reading_of_bad(&old, all) : readings_of(&old, all);
	if (r.n == 1) {
		mend_ranges(p, &old, &r);
		notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, page * HIBER_PAGE, 0),
			  "hiberfil: the table at page %llu of the file has ranges of %llu pages, its blocks hold %llu: range %u has %llu "
			  "by the others",
			  (unsigned long long)page, (unsigned long long)old.left, (unsigned long long)all, r.range,
			  (unsigned long long)(r.end - r.start));
	} else if (said) {
		hole_between(p, &old, &r, all);
		notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, page * HIBER_PAGE, 0),
			  "hiberfil: the table at page %llu of the file has ranges of %llu pages, its blocks hold %llu: of %llu pages the "
			  "place is not known",
			  (unsigned long long)page, (unsigned long long)old.left, (unsigned long long)all, (unsigned long long)p->no_place);
	} else { /* a range that is none, and blocks that can't be counted: what stands before it is sure */
		for (uint32_t i = old.bad - 1; i < old.n; i++)
			p->left -= old.v[i].end - old.v[i].start;
		p->n = old.bad - 1;
		notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, page * HIBER_PAGE, 0),
			  "hiberfil: range %u of the table at page %llu of the file is none: of %llu pages the place is not known", p->n,
			  (unsigned long long)page, (unsigned long long)(old.left - p->left));
	}
	p->at = p->v[0].start;
}

/* ---- tables ----------------------------------------------------------------------------------------------------------------------------------- */

/* The next table at or behind a page, by its form; *lost: blocks that are stepped over, their tables are damaged. 0: there is none. */
static uint64_t table_by_form(struct hiber *h, uint64_t page, const struct layout *l, uint64_t *lost)
{
	uint64_t size = input_size(h->in), until = page + TABLE_SEARCH;
	uint8_t table[HIBER_PAGE];

	for (*lost = 0; page < until && page < size / HIBER_PAGE; page++) {
		uint64_t at = (page + 1) * HIBER_PAGE;

		if (!is_block(h, at))
			continue;
		if (table_at(h, page, l, false, table))
			return page;
		while (is_block(h, at)) {
			struct hiber_set s;

			if (h->counted++ > 4096 + 4 * (size / BLOCK_HEAD))
				return 0;
			at = block_at(h, at, HIBER_SET_PAGES, &s);
			++*lost;
			if (!s.len)
				break;
		}
		page = (at + HIBER_PAGE - 1) / HIBER_PAGE - 1;
		until = page + 1 + TABLE_SEARCH;
	}
	return 0;
}

/* The table at `page` leads to none. The next one that is found by its form may be of an earlier hibernation: it gives way to the others. */
static uint64_t behind_link(struct hiber *h, uint64_t page, uint64_t next, uint64_t end, bool full, const struct layout *l)
{
	uint64_t lost = 0, found = end ? table_by_form(h, (end + HIBER_PAGE - 1) / HIBER_PAGE, l, &lost) : 0;

	if (found && !h->n_certain)
		h->n_certain = h->n_sets;
	if (found)
		notes_add(h->notes, &NOTE_AT(NOTE_LIST_BROKEN, page * HIBER_PAGE, 0),
			  "hiberfil: no table at page %llu of the file: the next one was found by its form at page %llu; %llu blocks "
			  "before it are lost",
			  (unsigned long long)next, (unsigned long long)found, (unsigned long long)lost);
	else if (full || lost || !end) /* behind a table that is not full anything may stand in the link */
		notes_add(h->notes, &NOTE_AT(NOTE_LIST_BROKEN, page * HIBER_PAGE, 0),
			  "hiberfil: no table at page %llu of the file: what it and those behind it hold is lost",
			  (unsigned long long)next);
	return found;
}

/* The table at `page` says that it is the last one, and another stands right behind its blocks: a link that is lost, or an earlier hibernation's. */
static uint64_t behind_last(struct hiber *h, uint64_t page, uint64_t end, const struct layout *l)
{
	uint64_t next = (end + HIBER_PAGE - 1) / HIBER_PAGE;
	uint8_t table[HIBER_PAGE];

	if (!is_block(h, (next + 1) * HIBER_PAGE) || !table_at(h, next, l, false, table))
		return 0;
	if (!h->n_certain)
		h->n_certain = h->n_sets;
	notes_add(h->notes, &NOTE_AT(NOTE_LIST_BROKEN, page * HIBER_PAGE, 0),
		  "hiberfil: the tables are said to end at page %llu of the file, and another one stands behind it: its pages count where "
		  "no other "
		  "table has them",
		  (unsigned long long)page);
	return next;
}

static int walk_tables(struct hiber *h, uint64_t page, const struct layout *l, struct err *e)
{
	uint64_t size = input_size(h->in), n_pages = size / HIBER_PAGE + 1;
	uint8_t *seen = n_pages / 8 < SIZE_MAX ? calloc(1, (size_t)(n_pages / 8 + 1)) : NULL, table[HIBER_PAGE], other[HIBER_PAGE];
	int rc = 0;

	if (!seen)
		return err_set(e, ERR_NOMEM, "out of memory");
	while (rc == 0 && page && table_at(h, page, l, true, table)) {
		uint64_t next = field(table, l, l->next), until = size, end = 0;
		bool full = n_ranges(table, l) == l->most, good = next != page && table_at(h, next, l, true, other);
		struct pages p;

		pages_of(&p, table, l);
		seen[page / 8] |= (uint8_t)(1u << page % 8);
		if (good && seen[next / 8] >> next % 8 & 1)
			good = false;
		if (good && next > page)
			until = next * HIBER_PAGE;
		settle_ranges(h, page, until, &p);
		rc = walk_blocks(h, (page + 1) * HIBER_PAGE, until, &p, &end, e);
		if (rc == 0 && !next && end)
			next = behind_last(h, page, end, l);
		else if (rc == 0 && !good)
			next = behind_link(h, page, next, end, full, l);
		page = next / 8 < n_pages / 8 + 1 && !(seen[next / 8] >> next % 8 & 1) ? next : 0;
	}
	free(seen);
	return rc;
}

/* The table's pages fill the blocks behind it. */
static bool fits(struct hiber *h, uint64_t page, const struct layout *l, const uint8_t *table)
{
	uint64_t next = field(table, l, l->next), size = input_size(h->in), last;
	uint64_t until = next > page && next < size / HIBER_PAGE ? next * HIBER_PAGE : size;
	struct pages p;

	pages_of(&p, table, l);
	return count_blocks(h, (page + 1) * HIBER_PAGE, until, &last) == (p.left + HIBER_SET_PAGES - 1) / HIBER_SET_PAGES;
}

/* The first table, by the header or, without it, by its form. */
static uint64_t first_table(struct hiber *h, const uint8_t *header, const struct layout **l, unsigned *cpu_page)
{
	uint8_t table[HIBER_PAGE];

	*cpu_page = 0;
	for (size_t i = 0; header && i < N_HEADERS; i++) {
		const struct layout *x = &layouts[headers[i].layout];
		uint64_t page = field(header, x, headers[i].first_table);

		if (le32(header + 0xc) == headers[i].length && table_at(h, page, x, true, table)) {
			*l = x;
			*cpu_page = headers[i].cpu_page;
			return page;
		}
	}
	for (unsigned pass = 0; pass < 2; pass++)
		for (uint64_t page = 1; page < TABLE_SEARCH; page++)
			for (size_t i = 0; is_block(h, (page + 1) * HIBER_PAGE) && i < N_LAYOUTS; i++) {
				if (!table_at(h, page, &layouts[i], false, table) || (pass == 0 && !fits(h, page, &layouts[i], table)))
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
