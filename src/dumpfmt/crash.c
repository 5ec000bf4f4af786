/* crash.c - see crash.h */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define SIG_BITMAP_FULL 0x504d4446u         /* "FDMP" */
#define SIG_BITMAP      0x504d4453u         /* "SDMP" */
#define SIG_RANGES      0x504d4452u         /* "RDMP" */
#define SIG_DUMP        0x504d5544u         /* "DUMP" */
#define PFN_MAX         (UINT64_C(1) << 40) /* 52 bits of physical address */
#define RANGES_MAX      (1u << 24)
#define BLOB_HEADER     0x10u
#define BLOCK_HEADER    0x20u
#define BLOB_SEARCH_MAX (UINT64_C(64) << 20) /* how far a lost "DumpBlob" is looked for; triage dumps are smaller */

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
		  "%llu bytes at file offset %llu are said to be pages from frame 0x%llx on, which no machine has",
		  (unsigned long long)bytes, (unsigned long long)p->off, (unsigned long long)pfn);
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
			  "the dump ends at file offset %llu: pages from physical address 0x%llx on are not in it",
			  (unsigned long long)size, (unsigned long long)gone);
		bytes = left;
	}
	rc = phys_add_file(p->d->phys, pfn * CRASH_PAGE, bytes, p->d->in, p->off, e);
	p->off += bytes;
	if (rc == 0 && beyond && !p->cut)
		skip_pages(p, PFN_MAX, beyond, left - bytes);
	return rc;
}

/* ---- type 1: runs in the header ---------------------------------------------------------------------------------------------------------- */

static int add_runs(struct pages *p, const struct crash_layout *l, const uint8_t *h, struct err *e)
{
	uint32_t n = le32(h + l->n_runs);
	int rc = 0;

	if (n > l->max_runs) {
		notes_add(p->d->notes, &NOTE(NOTE_CONTEXT_BAD), "the header names %u runs of memory; it has room for %u", n, l->max_runs);
		n = n == CRASH_FILL32 ? 0 : l->max_runs;
	}
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		const uint8_t *r = h + l->runs + (size_t)i * l->run_size;

		if (l->run_size == 16)
			rc = add_pages(p, le64(r), le64(r + 8), e);
		else
			rc = add_pages(p, le32(r), le32(r + 4), e);
	}
	return rc;
}

/* ---- types 2, 5, 6, 7: a bit for each page ------------------------------------------------------------------------------------------------- */

/* Bits [0, n_bits) at file offset `at`: bit n = page frame n stands in the file, pages in ascending order. */
static int add_bitmap(struct pages *p, uint64_t at, uint64_t n_bits, struct err *e)
{
	uint8_t *chunk = malloc(65536);
	uint64_t from = 0, n = 0; /* the run of set bits being collected */
	int rc = chunk ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint64_t bit = 0; rc == 0 && bit < n_bits && !p->cut;) {
		int64_t got = input_read(p->d->in, at + bit / 8, chunk, 65536, e);

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
				rc = add_pages(p, from, n, e);
				n = 0;
			}
		}
	}
	if (rc == 0 && n)
		rc = add_pages(p, from, n, e);
	free(chunk);
	return rc;
}

struct bitmap { /* where it stands */
	uint64_t at, bits, first_page;
};

static int check_bitmap(struct dump *d, struct bitmap *b, struct err *e)
{
	uint64_t size = input_size(d->in);

	if (b->at >= size)
		return err_set(e, ERR_TRUNC, "the dump ends before its page bitmap");
	if (b->bits > (size - b->at) * 8) {
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the page bitmap claims %llu bits: more than the file holds",
			  (unsigned long long)b->bits);
		b->bits = (size - b->at) * 8;
	}
	if (b->first_page < b->at || b->first_page >= size) {
		uint64_t behind = (b->at + b->bits / 8 + CRASH_PAGE - 1) & ~(uint64_t)(CRASH_PAGE - 1);

		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the first page can't stand at file offset %llu: %llu is taken",
			  (unsigned long long)b->first_page, (unsigned long long)behind);
		b->first_page = behind;
	}
	if (b->bits > (b->first_page - b->at) * 8)
		b->bits = (b->first_page - b->at) * 8;
	return 0;
}

static int open_bitmap(struct pages *p, const struct crash_layout *l, uint32_t type, struct err *e)
{
	uint8_t h[0x38];
	struct bitmap b;
	int rc = input_read_all(p->d->in, l->header, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	if ((le32(h) != SIG_BITMAP && le32(h) != SIG_BITMAP_FULL) || le32(h + 4) != SIG_DUMP)
		return err_set(e, ERR_FORMAT, "no page bitmap where this type of dump has one");
	if (type == CRASH_SUMMARY) {
		b.at = l->header + (l->run_size == 16 ? 0x28 : 0x20);
		b.bits = le32(h + 0x10);
		b.first_page = le32(h + 0xc);
	} else {
		b.at = l->header + 0x38;
		b.bits = le64(h + 0x30);
		b.first_page = le64(h + 0x20);
	}
	rc = check_bitmap(p->d, &b, e);
	p->off = b.first_page;
	return rc < 0 ? rc : add_bitmap(p, b.at, b.bits, e);
}

/* ---- types 8, 9, 0xA: a table of ranges ----------------------------------------------------------------------------------------------------- */

static int open_ranges(struct pages *p, const struct crash_layout *l, uint32_t type, struct err *e)
{
	uint8_t h[0x30], pair[16];
	uint64_t at = l->header + 0x30, end, total, seen = 0;
	int rc = input_read_all(p->d->in, l->header, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	if (le32(h + 4) != SIG_RANGES || le32(h + 8) != SIG_DUMP)
		return err_set(e, ERR_FORMAT, "no range table where this type of dump has one");
	p->off = le64(h + 0x18);
	total = type == CRASH_RANGE_FULL ? le64(h + 0x28) : UINT64_MAX;
	end = p->off > at ? p->off : at;
	if (type != CRASH_RANGE_FULL && le64(h + 0x10) < end - at)
		end = at + le64(h + 0x10);
	for (uint32_t i = 0; rc == 0 && i < RANGES_MAX && at + sizeof(pair) <= end && seen < total && !p->cut; i++, at += sizeof(pair)) {
		uint64_t pfn, n;

		rc = input_read_all(p->d->in, at, pair, sizeof(pair), e);
		if (rc < 0)
			break;
		pfn = le64(pair);
		n = le64(pair + 8);
		if ((i && !pfn && type != CRASH_RANGE_FULL) || (!pfn && !n))
			break;
		if (n > total - seen)
			n = total - seen;
		rc = add_pages(p, pfn, n, e);
		seen += n;
	}
	return rc;
}

/* ---- secondary data -------------------------------------------------------------------------------------------------------------------------- */

/* The blocks behind the region header at `off`. The walk ends at the first thing that is no block header: zeros or unrelated data may follow. */
static void walk_blobs(struct dump *d, uint64_t off)
{
	uint64_t size = input_size(d->in);

	for (off += BLOB_HEADER; off + BLOCK_HEADER <= size;) {
		uint8_t h[BLOCK_HEADER];
		struct hint_blob *b;
		uint64_t data, claimed;

		if (input_read_all(d->in, off, h, sizeof(h), NULL) < 0)
			return;
		if (le32(h) != BLOCK_HEADER) {
			d->hints.blobs_broken = le32(h) != 0;
			return;
		}
		claimed = le32(h + 0x14);
		data = off + BLOCK_HEADER + le32(h + 0x18);
		b = hints_add_blob(&d->hints);
		if (!b) {
			notes_add(d->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u blocks of secondary data", HINTS_BLOBS_MAX);
			return;
		}
		memcpy(b->tag.b, h + 4, 16);
		b->file_off = data;
		b->claimed = claimed;
		b->len = data >= size ? 0 : claimed < size - data ? claimed : size - data;
		if (b->len < claimed) {
			char tag[GUID_STR];

			guid_text(&b->tag, tag);
			notes_add(d->notes, &NOTE_AT(NOTE_BLOB_TRUNCATED, off, claimed - b->len),
				  "block %s claims %llu bytes; the file holds %llu of them", tag, (unsigned long long)claimed,
				  (unsigned long long)b->len);
			d->hints.blobs_broken = true;
			return;
		}
		off = data + claimed + le32(h + 0x1c);
	}
}

static bool blob_at(struct dump *d, uint64_t off)
{
	uint8_t h[BLOB_HEADER];

	return input_read_all(d->in, off, h, sizeof(h), NULL) == 0 && memcmp(h, "DumpBlob", 8) == 0 && le32(h + 8) == BLOB_HEADER;
}

/* A block header with nothing before its data, as all that were seen: the region stands here though its own header is damaged. */
static bool block_at(struct dump *d, uint64_t off)
{
	uint8_t h[BLOCK_HEADER];

	return input_read_all(d->in, off, h, sizeof(h), NULL) == 0 && le32(h) == BLOCK_HEADER && le32(h + 0x18) == 0 &&
	       le32(h + 0x14) < input_size(d->in) - off;
}

/* The region is not where the header says: looks for it, byte by byte, from `from` on. */
static bool search_blob(struct dump *d, uint64_t from, uint64_t *found)
{
	uint64_t size = input_size(d->in);
	uint8_t *chunk = malloc(65536);
	bool got = false;

	for (uint64_t off = from; chunk && !got && off + BLOB_HEADER <= size && off - from < BLOB_SEARCH_MAX; off += 65536 - BLOB_HEADER) {
		int64_t n = input_read(d->in, off, chunk, 65536, NULL);

		for (int64_t i = 0; i + BLOB_HEADER <= n && !got; i++) {
			got = chunk[i] == 'D' && memcmp(chunk + i, "DumpBlob", 8) == 0 && le32(chunk + i + 8) == BLOB_HEADER;
			*found = off + (uint64_t)i;
		}
		if (n <= 0)
			break;
	}
	free(chunk);
	return got;
}

static void find_blobs(struct dump *d, uint64_t expected, bool triage, uint64_t from)
{
	uint64_t at = expected;

	if (!blob_at(d, at) && !(triage && block_at(d, at + BLOB_HEADER))) {
		if (!triage || !search_blob(d, from, &at))
			return;
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, expected, 0),
			  "secondary data is not where the header says; it was found at file offset %llu", (unsigned long long)at);
	}
	walk_blobs(d, at);
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------------------------- */

static const char *const type_names[] = {"unknown", "full",      "summary",      "header",       "triage",    "bitmap",
					 "kernel",  "automatic", "range-kernel", "range-active", "range-full"};

static int open_triage(struct dump *d, const struct crash_layout *l, struct err *e)
{
	uint8_t t[0x10];
	int rc = input_read_all(d->in, l->header, t, sizeof(t), e);

	if (rc < 0)
		return rc;
	find_blobs(d, le32(t + 4), true, l->header);
	return 0;
}

static int open_pages(struct pages *p, const struct crash_layout *l, const uint8_t *h, uint32_t type, struct err *e)
{
	switch (type) {
	case CRASH_FULL:
		return add_runs(p, l, h, e);
	case CRASH_SUMMARY:
	case CRASH_BITMAP_FULL:
	case CRASH_BITMAP_KERNEL:
	case CRASH_AUTOMATIC:
		return open_bitmap(p, l, type, e);
	case CRASH_RANGE_KERNEL:
	case CRASH_RANGE_ACTIVE:
	case CRASH_RANGE_FULL:
		return open_ranges(p, l, type, e);
	default:
		return err_set(e, ERR_UNSUPPORTED, "a crash dump of the unknown type %u", type);
	}
}

int crash_open(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type, struct err *e)
{
	struct pages p = {.d = d, .off = l->header};
	int rc;

	if (type == CRASH_FILL32)
		type = CRASH_FULL; /* headers by tools that leave the type out are those of full dumps */
	d->hints.is_crash_dump = true;
	d->hints.dump_type = type;
	snprintf(d->format, sizeof(d->format), "%s-%s", l->prefix,
		 type_names[type < sizeof(type_names) / sizeof(type_names[0]) ? type : 0]);
	if (type == CRASH_HEADER)
		return 0;
	if (type == CRASH_TRIAGE)
		return open_triage(d, l, e);
	rc = open_pages(&p, l, h, type, e);
	if (rc < 0)
		return rc;
	find_blobs(d, p.off, false, 0);
	return 0;
}
