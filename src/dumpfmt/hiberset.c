/* hiberset.c - the compression sets of Windows 8 and later: two rows of them, one that the boot loader restores and one that the kernel does. A set
 * is u32 {descriptors : 8, packed bytes : 22, method : 2}, the descriptors {pages - 1 : 4, first page frame} of u64 or u32, the packed bytes; the next set
 * follows at the next byte. See hiber.h. */
#include "hiber.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define HEAD_MAX      (4 + HIBER_SET_PAGES * 8)
#define CHAIN         4u           /* sets that must follow each other where none is known to stand */
#define RESYNC_BYTES  (256u << 10) /* how far behind a damaged set the next one is looked for */
#define SEARCH_PAGES  256u         /* how far a row is looked for without a header */
#define ROW_GAP_PAGES 64u          /* between two rows without a header */

static const struct layout {
	uint32_t length; /* of the header, which says so at 0xc */
	bool narrow;
	uint16_t loader_pages, boot, kernel, kernel_pages, hiberboot; /* hiberboot 0: not known */
} layouts[] = {
	{0x4d8, false, 0x58, 0x68, 0x70, 0x238, 0},     {0x448, false, 0x58, 0x68, 0x70, 0x230, 0x3cc},
	{0x3e0, false, 0x58, 0x68, 0x70, 0x230, 0x364}, {0x3d8, false, 0x58, 0x68, 0x70, 0x230, 0},
	{0x3c8, false, 0x58, 0x68, 0x70, 0x220, 0x354}, {0x3b0, false, 0x58, 0x68, 0x70, 0x218, 0},
	{0x360, false, 0x58, 0x60, 0x68, 0x1c8, 0x2fc}, {0x340, true, 0x48, 0x50, 0x54, 0x210, 0},
	{0x338, true, 0x48, 0x50, 0x54, 0x210, 0},      {0x328, true, 0x48, 0x50, 0x54, 0x200, 0},
	{0x310, true, 0x48, 0x50, 0x54, 0x1f8, 0},      {0x2c8, true, 0x48, 0x50, 0x54, 0x1b0, 0},
};
#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

struct head { /* of a set */
	struct hiber_set set;
	uint64_t pfn[HIBER_SET_PAGES], next;
	uint8_t n_pages[HIBER_SET_PAGES];
	unsigned n;
};

static const enum hiber_method methods[4] = {HIBER_XPRESS, HIBER_EITHER, HIBER_HUFFMAN, HIBER_HUFFMAN};

/* The set that p[0, n) begins, at file offset `at`. False: none does. */
static bool parse(const uint8_t *p, size_t n, uint64_t at, bool narrow, struct head *o)
{
	uint32_t word = n >= 4 ? le32(p) : 0;
	size_t width = narrow ? 4 : 8;
	unsigned pages = 0;

	o->n = word & 0xff;
	if (!o->n || o->n > HIBER_SET_PAGES || n < 4 + o->n * width)
		return false;
	for (unsigned i = 0; i < o->n; i++) {
		uint64_t v = narrow ? le32(p + 4 + width * i) : le64(p + 4 + width * i);

		o->pfn[i] = v >> 4;
		o->n_pages[i] = (uint8_t)((v & 15) + 1);
		pages += o->n_pages[i];
		if (o->pfn[i] >= HIBER_FRAMES_MAX)
			return false;
	}
	o->set.off = at + 4 + o->n * width;
	o->set.len = word >> 8 & 0x3fffff;
	o->set.pages = (uint8_t)pages;
	o->set.method = methods[word >> 30];
	o->next = o->set.off + o->set.len;
	return pages <= HIBER_SET_PAGES && o->set.len && o->set.len <= pages * HIBER_PAGE;
}

static bool set_at(struct hiber *h, uint64_t at, bool narrow, struct head *o)
{
	uint8_t p[HEAD_MAX];
	int64_t n = input_read(h->in, at, p, sizeof(p), NULL);

	return n > 0 && parse(p, (size_t)n, at, narrow, o);
}

/* A set stands at `at`, others (or, unless strict, the end of its row: zeros, or of the file) behind it, and it unpacks to all of its pages. */
static bool chain_at(struct hiber *h, uint64_t at, bool narrow, bool strict)
{
	uint8_t *p, out[HIBER_SET_BYTES], word[4];
	struct head first, o;
	bool ok;

	h->tries++;
	if (!set_at(h, at, narrow, &first))
		return false;
	o = first;
	for (unsigned i = 1; i < CHAIN; i++) {
		uint64_t next = o.next;

		if (set_at(h, next, narrow, &o))
			continue;
		if (strict ||
		    (input_read(h->in, next, word, 1, NULL) != 0 && (input_read_all(h->in, next, word, 4, NULL) < 0 || le32(word) != 0)))
			return false;
		break;
	}
	p = malloc(first.set.len);
	ok = p && input_read_all(h->in, first.set.off, p, first.set.len, NULL) == 0 &&
	     hiber_unpack(&first.set, p, out) == first.set.pages * HIBER_PAGE;
	free(p);
	return ok;
}

/* The next chain of sets behind `at`, or 0. */
static uint64_t resync(struct hiber *h, uint64_t at)
{
	uint8_t *p = hiber_may_try(h) ? malloc(RESYNC_BYTES + HEAD_MAX) : NULL;
	int64_t n = p ? input_read(h->in, at, p, RESYNC_BYTES + HEAD_MAX, NULL) : 0;
	uint64_t found = 0;

	h->tries++;
	for (int64_t i = 1; i < n && !found && hiber_may_try(h); i++) {
		struct head o;

		if (p[i] && p[i] <= HIBER_SET_PAGES && parse(p + i, (size_t)(n - i), at + (uint64_t)i, h->narrow, &o) &&
		    chain_at(h, at + (uint64_t)i, h->narrow, false))
			found = at + (uint64_t)i;
	}
	free(p);
	return found;
}

static int add(struct hiber *h, const struct head *o, struct err *e)
{
	int rc = hiber_add_set(h, &o->set, e);
	uint8_t first = 0;

	for (unsigned i = 0; rc == 0 && i < o->n; i++) {
		rc = hiber_add_span(h, o->pfn[i], first, o->n_pages[i], e);
		first = (uint8_t)(first + o->n_pages[i]);
	}
	if (o->set.len != o->set.pages * HIBER_PAGE)
		h->method[o->set.method == HIBER_HUFFMAN] = true;
	return rc;
}

/* A set whose bytes the file does not hold in full: the pages that still come out of it are kept. */
static void cut_short(struct hiber *h, struct head *o)
{
	uint64_t size = input_size(h->in), have = o->set.off < size ? size - o->set.off : 0;

	notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, o->set.off, o->next - size), "hiberfil: the file ends inside a compression set");
	if (o->set.len == o->set.pages * HIBER_PAGE) { /* stored: so many whole pages */
		uint8_t keep = (uint8_t)(have / HIBER_PAGE);

		while (o->n && keep < o->set.pages) {
			uint8_t less = (uint8_t)(o->set.pages - keep), *last = &o->n_pages[o->n - 1];

			less = less < *last ? less : *last;
			*last = (uint8_t)(*last - less);
			o->set.pages = (uint8_t)(o->set.pages - less);
			o->n -= *last == 0;
		}
		have = o->set.pages * HIBER_PAGE;
	}
	o->set.len = (uint32_t)have;
}

struct row {
	const char *name;
	uint64_t from, pages; /* where it begins, how many it is to hold (UINT64_MAX: not known) */
	uint64_t end, done;   /* where it ended, how many it held */
	bool damaged;
};

/* A row of sets, up to file offset `limit` at most. */
static int walk_row(struct hiber *h, struct row *r, uint64_t limit, struct err *e)
{
	uint64_t done = 0, size = input_size(h->in), at = r->from, pages = r->pages;
	int rc = 0;

	while (rc == 0 && done < pages && at < size && at < limit) {
		struct head o;

		if (!set_at(h, at, h->narrow, &o)) {
			uint64_t next = pages == UINT64_MAX && done ? 0 : resync(h, at);

			if (!next)
				break;
			notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, next - at),
				  "hiberfil: no compression set at file offset %llu: %llu bytes are left out", (unsigned long long)at,
				  (unsigned long long)(next - at));
			r->damaged = true;
			done += HIBER_SET_PAGES; /* one set is lost: a larger one has no room */
			at = next;
			continue;
		}
		at = o.next;
		done += o.set.pages;
		if (at > size)
			cut_short(h, &o);
		if (o.set.pages && o.set.len)
			rc = add(h, &o, e);
	}
	r->end = at;
	r->done = done;
	if (rc == 0 && pages != UINT64_MAX && done < pages) {
		notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, r->from, 0),
			  "hiberfil: the sets of the %s hold %llu pages; %llu were announced", r->name, (unsigned long long)done,
			  (unsigned long long)pages);
	}
	return rc;
}

/* Sets that go on right behind the pages that were announced. A count lies, or they are of an earlier hibernation, whose sets seldom end at the same
 * byte: they are read, and give way to the others. */
static int walk_beyond(struct hiber *h, const struct row *r, const struct row *other, struct err *e)
{
	uint64_t size = input_size(h->in), limit = other->from >= r->end && other->from ? other->from : size;
	struct row more = {.name = r->name, .from = r->end, .pages = UINT64_MAX};
	int rc = 0;

	if (!r->from || r->pages == UINT64_MAX || r->done < r->pages || r->end >= limit || (r->end >= other->from && r->end < other->end))
		return 0;
	if (chain_at(h, r->end, h->narrow, false)) {
		rc = walk_row(h, &more, limit, e);
		notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, r->end, more.end - r->end),
			  "hiberfil: sets go on behind the %llu pages announced for the %s: %llu more pages are read, which count where no "
			  "other "
			  "set holds them",
			  (unsigned long long)r->pages, r->name, (unsigned long long)more.done);
	} else if (r->done > r->pages && !r->damaged) {
		notes_add(h->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, r->end, 0),
			  "hiberfil: the %llu pages announced for the %s end inside a set: what stands behind it is lost",
			  (unsigned long long)r->pages, r->name);
	}
	return rc;
}

/* As many pages as the header says. */
static uint64_t announced(const uint8_t *header, uint16_t off)
{
	uint64_t n = le64(header + off);

	return n < HIBER_FRAMES_MAX ? n : HIBER_FRAMES_MAX;
}

static uint64_t number(const uint8_t *header, const struct layout *l, uint16_t off)
{
	return l->narrow ? le32(header + off) : le64(header + off);
}

/* Where a row begins, in bytes; 0: nowhere. */
static uint64_t row_at(const struct hiber *h, const uint8_t *header, const struct layout *l, uint16_t off)
{
	uint64_t page = number(header, l, off);

	return page && page < (input_size(h->in) + HIBER_PAGE - 1) / HIBER_PAGE ? page * HIBER_PAGE : 0;
}

/* How many of the two rows of sets stand where the header, read by this layout, says. */
static unsigned leads(struct hiber *h, const uint8_t *header, const struct layout *l)
{
	uint64_t boot = row_at(h, header, l, l->boot), kernel = row_at(h, header, l, l->kernel);

	return (boot && chain_at(h, boot, l->narrow, false)) + (kernel && kernel != boot && chain_at(h, kernel, l->narrow, false));
}

/* The layout of the header's length. Where no Windows writes that length, or another layout shows more rows: that one (guessed). */
static const struct layout *layout_of(struct hiber *h, const uint8_t *header, bool *guessed)
{
	uint32_t length = le32(header + 0xc);
	const struct layout *best = NULL;
	unsigned rows = 0;

	*guessed = false;
	for (size_t i = 0; i < N_LAYOUTS; i++)
		if (layouts[i].length == length)
			best = &layouts[i];
	if (best && (rows = leads(h, header, best)) == 2)
		return best;
	for (size_t i = 0; i < N_LAYOUTS; i++) {
		unsigned n = leads(h, header, &layouts[i]);

		if (n <= rows)
			continue;
		*guessed = true;
		best = &layouts[i];
		rows = n;
	}
	return best;
}

static int walk_both(struct hiber *h, const struct layout *l, const uint8_t *header, bool counted, struct err *e)
{
	struct row boot = {.name = "boot loader", .from = row_at(h, header, l, l->boot), .pages = UINT64_MAX},
		   kernel = {.name = "kernel", .from = row_at(h, header, l, l->kernel), .pages = UINT64_MAX}, *row[2] = {&boot, &kernel};
	int rc = 0;

	if (counted) {
		boot.pages = announced(header, l->loader_pages);
		kernel.pages = announced(header, l->kernel_pages);
	}
	for (size_t i = 0; rc == 0 && i < 2; i++) {
		row[i]->end = row[i]->from;
		if (row[i]->from && row[i]->pages)
			rc = walk_row(h, row[i], UINT64_MAX, e);
		else if (row[i]->pages && counted)
			notes_add(h->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "hiberfil: the sets of the %s begin behind the end of the file",
				  row[i]->name);
	}
	if (!counted || (!boot.pages && !kernel.pages))
		return rc;
	h->n_certain = h->n_sets;
	if (rc == 0)
		rc = walk_beyond(h, &boot, &kernel, e);
	if (rc == 0)
		rc = walk_beyond(h, &kernel, &boot, e);
	return rc;
}

bool hiberset_knows(const uint8_t *header)
{
	for (size_t i = 0; i < N_LAYOUTS; i++)
		if (layouts[i].length == le32(header + 0xc))
			return true;
	return false;
}

int hiberset_walk(struct hiber *h, struct dump *d, const uint8_t *header, const char **why, struct err *e)
{
	bool guessed;
	const struct layout *l = layout_of(h, header, &guessed);
	int rc;

	if (!l) {
		*why = "its header is of a length that no known Windows writes, and no compression set stands where it points";
		return 0;
	}
	h->narrow = l->narrow;
	if (guessed)
		notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0xc, 4),
			  "hiberfil: a header of 0x%x bytes is of no known Windows, or does not lead to its sets: "
			  "the sets are read to where they end",
			  le32(header + 0xc));
	if (le32(header + (l->narrow ? 0x14 : 0x18)) != HIBER_PAGE)
		notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, l->narrow ? 0x14 : 0x18, 4), "hiberfil: pages of %u bytes: 4096 are taken",
			  le32(header + (l->narrow ? 0x14 : 0x18)));
	rc = walk_both(h, l, header, !guessed, e);
	if (rc == 0 && !h->n_spans && !guessed) {
		rc = walk_both(h, l, header, false, e);
		if (h->n_spans)
			notes_add(h->notes, &NOTE_AT(NOTE_CONTEXT_BAD, l->kernel_pages, 8),
				  "hiberfil: the header says that there are no pages: the sets are read to where they end");
	}
	if (rc < 0)
		return rc;
	d->hints.system_time = (int64_t)le64(header + (l->narrow ? 0x18 : 0x20));
	if (l->hiberboot && header[l->hiberboot] == 1)
		strcpy(d->advice, "written by fast startup: it holds the kernel and its session, users were logged off before");
	*why = "no compression set stands where its header points";
	return h->n_spans != 0;
}

int hiberset_search(struct hiber *h, struct err *e)
{
	uint64_t page = 1, until = SEARCH_PAGES;
	bool known = false;
	int rc = 0;

	for (; rc == 0 && page < until; page++) {
		uint64_t at = page * HIBER_PAGE, end = at;
		struct row r = {.name = "file", .from = at, .pages = UINT64_MAX};
		uint8_t any;

		if (input_read(h->in, at, &any, 1, NULL) == 0) /* not by its size, which may not be known yet */
			break;
		for (unsigned narrow = 0; narrow < 2 && end == at; narrow++) {
			if ((known && h->narrow != (narrow != 0)) || !chain_at(h, at, narrow != 0, true))
				continue;
			h->narrow = narrow != 0;
			known = true;
			rc = walk_row(h, &r, UINT64_MAX, e);
			end = r.end;
		}
		if (end > at) {
			page = (end + HIBER_PAGE - 1) / HIBER_PAGE - 1;
			until = page + 1 + ROW_GAP_PAGES;
		}
	}
	return rc < 0 ? rc : h->n_spans != 0;
}
