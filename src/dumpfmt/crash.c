/* crash.c - see crash.h */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crashpages.h"
#include "rd.h"

#define BLOB_HEADER     0x10u
#define BLOCK_HEADER    0x20u
#define TRIAGE_LEAST    0x10u /* what is read of the structures behind the header */
#define TABLE_LEAST     0x38u
#define REST_LOOKS      256u                 /* pages looked at behind the last one */
#define BLOB_SEARCH_MAX (UINT64_C(64) << 20) /* how far a lost "DumpBlob" is looked for; triage dumps are smaller */

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

bool crash_blob_at(struct dump *d, uint64_t off)
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

	if (!crash_blob_at(d, at) && !(triage && block_at(d, at + BLOB_HEADER))) {
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

/* What stands behind the last page and is no secondary data: nothing, zeros, or pages that the header does not tell of. before: the notes that
 * were there before the pages were looked at; among the later ones may be one that says it. */
static void name_rest(struct dump *d, uint64_t end, size_t before)
{
	uint64_t size = input_size(d->in);
	struct note note = NOTE(NOTE_PAGE_MISSING);
	uint8_t p[CRASH_PAGE];
	bool any = false;

	if (!d->notes || end >= size || size - end < CRASH_PAGE || crash_blob_at(d, end))
		return;
	for (size_t i = before; i < d->notes->n; i++)
		if (d->notes->v[i].what == NOTE_PAGE_MISSING || d->notes->v[i].what == NOTE_IMAGE_TRUNCATED)
			return;
	for (unsigned k = 0; k < REST_LOOKS && !any && size - end >= (k + 1) * (uint64_t)CRASH_PAGE; k++) {
		if (input_read_all(d->in, end + k * (uint64_t)CRASH_PAGE, p, sizeof(p), NULL) < 0)
			break;
		for (size_t i = 0; i < sizeof(p) && !any; i++)
			any = p[i] != 0;
	}
	note.has_bytes = true; /* where they belong is not known */
	note.bytes = size - end;
	if (any)
		notes_add(d->notes, &note, "%llu bytes from file offset %llu on belong to no page that the header tells of",
			  (unsigned long long)(size - end), (unsigned long long)end);
}

int crash_open(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type, struct err *e)
{
	uint64_t end = l->header;
	size_t before;
	int rc;

	type = crashpages_type(d, l, h, type);
	d->hints.is_crash_dump = true;
	d->hints.dump_type = type;
	snprintf(d->format, sizeof(d->format), "%s-%s", l->prefix,
		 type_names[type < sizeof(type_names) / sizeof(type_names[0]) ? type : 0]);
	if (type == CRASH_HEADER)
		return 0;
	if (type != CRASH_FULL && input_size(d->in) < l->header + (type == CRASH_TRIAGE ? TRIAGE_LEAST : TABLE_LEAST)) {
		notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "the dump ends with its header, at file offset %llu",
			  (unsigned long long)input_size(d->in));
		return 0;
	}
	if (type == CRASH_TRIAGE)
		return open_triage(d, l, e);
	before = d->notes ? d->notes->n : 0;
	rc = crashpages_add(d, l, h, type, &end, e);
	if (rc < 0)
		return rc;
	find_blobs(d, end, false, 0);
	name_rest(d, end, before);
	return 0;
}
