/* lime.c - LiME (version 1), also as AVML wrote it first: ranges of physical memory, each behind a header of 32 bytes. Facts: docs/formats/lime.md. */
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define HEADER 0x20u
#define STEP   65536u
#define MAGIC  0x4c694d45u /* "EMiL" */
#define PAGE   4096u
#define CHAIN  8u                  /* headers in a row that are proof enough */
#define INSIDE (UINT64_C(4) << 30) /* how far into a range that can't be the header behind it is looked for */
#define HOPS   (1u << 20)          /* headers that are followed for that, in one file */
#define SEARCH 64u                 /* such ranges in one file */

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 8 && le32(head) == MAGIC && le32(head + 4) == 1;
}

static bool is_header(const uint8_t *h, uint64_t *first, uint64_t *last)
{
	*first = le64(h + 8);
	*last = le64(h + 16);
	return le32(h) == MAGIC && le32(h + 4) == 1 && *first <= *last && *last < UINT64_C(1) << 52;
}

/* Some writers name the first byte behind the range (LeechCore takes that too): then the next header, or the file's end, stands a byte earlier. */
static bool end_is_behind(struct dump *d, uint64_t at, uint64_t first, uint64_t last)
{
	uint64_t next = at + HEADER + (last - first), a, b;
	uint8_t h[HEADER];

	if (last % 4096 || first == last)
		return false;
	if (next == input_size(d->in))
		return true;
	return input_read_all(d->in, next, h, HEADER, NULL) == 0 && is_header(h, &a, &b);
}

/* The next header from `at` on, or the end of the file. */
static uint64_t resync(struct dump *d, uint64_t at)
{
	uint8_t p[STEP + HEADER];

	for (;;) {
		int64_t n = input_read(d->in, at, p, sizeof(p), NULL);
		uint64_t first, last;

		if (n < (int64_t)HEADER)
			return input_size(d->in);
		for (size_t i = 0; i + HEADER <= (size_t)n && i < STEP; i++)
			if (p[i] == 'E' && is_header(p + i, &first, &last))
				return at + i;
		at += STEP;
	}
}

/* The file offset behind the range of the header at `at`. */
static uint64_t range_end(struct dump *d, uint64_t at, uint64_t first, uint64_t *last)
{
	if (end_is_behind(d, at, first, *last))
		--*last;
	return at + HEADER + (*last - first + 1);
}

/* Nothing but zeros from here on, as far as a page shows. */
static bool padding_at(struct dump *d, uint64_t at)
{
	uint8_t p[PAGE];
	int64_t n = input_read(d->in, at, p, sizeof(p), NULL);

	for (int64_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return n > 0;
}

struct search {
	unsigned n, hops; /* ranges that were searched, headers that were followed */
};

/* A header at `at` whose range ends where the next one's header stands, and so on to the end of the file; addresses ascend from `above` on. In memory there may
 * be headers too, so one alone says nothing. `few`: some in a row are enough. */
static bool chain_at(struct dump *d, uint64_t at, uint64_t above, bool few, struct search *s)
{
	uint64_t size = input_size(d->in);

	for (unsigned i = 0; s->hops < HOPS; i++, s->hops++) {
		uint64_t first, last;
		uint8_t h[HEADER];

		if (at == size)
			return i > 0;
		if (few && i == CHAIN)
			return true;
		if (input_read_all(d->in, at, h, HEADER, NULL) < 0 || !is_header(h, &first, &last))
			return i > 0 && padding_at(d, at);
		if (first < above || first % PAGE)
			return false;
		at = range_end(d, at, first, &last);
		if (at > size)
			return few && i > 1;
		above = last + 1;
	}
	return false;
}

/* The range behind the header at `at` can't be as long as it says when it goes past the end of the file, or nothing stands behind it, and inside of it a header
 * stands at which the other ranges begin. Returns how much of it there is, at most n. */
static uint64_t true_length(struct dump *d, uint64_t at, uint64_t first, uint64_t n, struct search *s)
{
	uint64_t size = input_size(d->in), from = at + HEADER, a, b;
	uint64_t until = n < size - from ? n : size - from;
	uint8_t h[HEADER];

	if (n <= size - from && (from + n == size || (input_read_all(d->in, from + n, h, HEADER, NULL) == 0 && is_header(h, &a, &b))))
		return n;
	if (s->n++ >= SEARCH)
		return n;
	if (until > INSIDE)
		until = INSIDE;
	for (uint64_t i = PAGE; i < until; i += PAGE) /* of an address that this range claims, too: then some are enough */
		if (input_read(d->in, from + i, h, HEADER, NULL) == HEADER && is_header(h, &a, &b) && a >= first + i &&
		    chain_at(d, from + i, first + i, a < first + n, s))
			return i;
	return n;
}

/* The range behind the header at `at`. Returns where it ends in *next. */
static int add_range(struct dump *d, uint64_t at, uint64_t first, uint64_t last, struct search *s, uint64_t *next, struct err *e)
{
	uint64_t claim, n;

	range_end(d, at, first, &last);
	claim = last - first + 1;
	n = true_length(d, at, first, claim, s);
	if (n < claim)
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, first, 0),
			  "lime: the range of 0x%llx claims %llu bytes; the next range's header stands behind %llu of them",
			  (unsigned long long)first, (unsigned long long)claim, (unsigned long long)n);
	*next = at + HEADER + n;
	return phys_add_file(d->phys, first, n, d->in, at + HEADER, e);
}

static int open_lime(struct dump *d, struct err *e)
{
	uint64_t at = 0, size = input_size(d->in);
	struct search search = {0};
	size_t ranges = 0;

	while (at < size) {
		uint8_t h[HEADER];
		uint64_t first, last, next;
		bool whole = input_read_all(d->in, at, h, HEADER, NULL) == 0;
		int rc;

		if (!whole || !is_header(h, &first, &last)) {
			if (input_only_zeros(d->in, at)) /* padding is no loss */
				break;
			next = resync(d, at + 1);
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, next - at),
				  "lime: no range header at file offset %llu: %llu bytes are left out", (unsigned long long)at,
				  (unsigned long long)(next - at));
			at = next;
			continue;
		}
		rc = add_range(d, at, first, last, &search, &at, e);
		if (rc < 0)
			return rc;
		ranges++;
	}
	return ranges ? 0 : err_set(e, ERR_TRUNC, "lime: no range in it");
}

const struct dumpfmt dumpfmt_lime = {"lime", probe, open_lime, NULL};
