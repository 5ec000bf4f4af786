/* lime.c - LiME (version 1), also as AVML wrote it first: ranges of physical memory, each behind a header of 32 bytes. Facts: docs/formats/lime.md. */
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define HEADER 0x20u
#define STEP   65536u
#define MAGIC  0x4c694d45u /* "EMiL" */

static bool probe(const uint8_t *head, size_t n, uint64_t file_size)
{
	(void)file_size;
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

static int open_lime(struct dump *d, struct err *e)
{
	uint64_t at = 0, size = input_size(d->in);
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
		if (end_is_behind(d, at, first, last))
			last--;
		rc = phys_add_file(d->phys, first, last - first + 1, d->in, at + HEADER, e);
		if (rc < 0)
			return rc;
		ranges++;
		at += HEADER + (last - first + 1);
	}
	return ranges ? 0 : err_set(e, ERR_TRUNC, "lime: no range in it");
}

const struct dumpfmt dumpfmt_lime = {"lime", probe, open_lime, NULL};
