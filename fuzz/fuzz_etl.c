/* .etl files: the tolerant reader and the strict pass over the same bytes. What the strict pass calls valid, the reader must read whole. */
#include <stdlib.h>
#include <string.h>

#include "etl.h"
#include "etlcheck.h"

#define BUFFERS_WALKED 512u /* of one input: 72-byte buffers would make the rest slow, not different */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void count(const struct etw_buffer *b, uint64_t records[ETW_KINDS])
{
	struct etw_record r;
	uint32_t n = 0;

	for (uint32_t at = 0; at < b->body_len; at += r.step, n++) {
		must(etw_record_peek(b->body, b->body_len, at, &r) == ETW_PEEK_RECORD);
		records[r.kind]++;
	}
	must(n == b->n_events);
}

static void read_all(struct etl *f, const struct etl_checked *o)
{
	uint64_t records[ETW_KINDS] = {0};
	bool valid = o->n_findings == 0;
	struct err e;

	if (etl_n_buffers(f) > BUFFERS_WALKED)
		return;
	for (uint32_t i = 0; i < etl_n_buffers(f); i++) {
		struct etw_buffer b = {0};
		int rc = etl_buffer(f, i, &b, &e);

		must(!valid || (rc == 0 && b.n_gaps == 0));
		if (rc == 0)
			count(&b, records);
		etw_buffer_clear(&b);
	}
	must(!valid || memcmp(records, o->records, sizeof(records)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct etl_checked o;
	struct notes notes;
	struct input *in;
	struct etl *f;
	struct err e;

	if (size > 0x40000)
		return 0;
	/* a 16 MB session in a small file is right, and slow to allocate: one in a while is enough */
	if (size > 0x6c && data[0x6b] && (data[size - 1] & 31))
		return 0;
	must(input_open_memory(&in, data, size, "fuzz", &e) == 0);
	must(etl_check(&o, in, &e) == 0);
	notes_init(&notes);
	if (etl_open(&f, in, &notes, &e) == 0) {
		read_all(f, &o);
		etl_close(f);
	} else {
		must(o.n_findings != 0);
	}
	notes_free(&notes);
	etl_checked_clear(&o);
	input_close(in);
	return 0;
}
