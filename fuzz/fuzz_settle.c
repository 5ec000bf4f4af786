/* Settling a buffer: whatever the bytes, what is kept is whole, unaltered and accounted for.
 * Input: u8 how it was met, u8 options, u64 latest time, two missing ranges of u16 offset and length, then the buffer. */
#include <stdlib.h>
#include <string.h>

#include "copies.h"
#include "rd.h"
#include "settle.h"

#define PREFIX 18u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Records of b walk exactly to its end and are those of raw; records, gaps and what lies between add up. */
static void verify(const struct etw_buffer *b, const uint8_t *raw, uint32_t raw_len, const struct etw_settle_opts *o)
{
	uint32_t at = 0, n = 0, lost = 0, behind = b->orig_start;

	must(b->orig_start >= 0x48 && b->orig_start <= b->orig_end && b->orig_end <= raw_len);
	for (size_t i = 0; i < b->n_gaps; i++) {
		must(b->gaps[i].bytes && b->gaps[i].offset >= behind && b->gaps[i].bytes <= b->orig_end - b->gaps[i].offset);
		behind = b->gaps[i].offset + b->gaps[i].bytes;
		lost += b->gaps[i].bytes;
	}
	must(b->body_len + lost == b->orig_end - b->orig_start);
	while (at < b->body_len) {
		struct etw_record r;
		uint32_t from = etw_original_offset(b, 0x48 + at);

		must(etw_record_peek(b->body, b->body_len, at, &r) == ETW_PEEK_RECORD);
		must(from + r.size <= b->orig_end && memcmp(b->body + at, raw + from, r.size) == 0);
		for (size_t i = 0; i < o->n_missing; i++)
			must(from + r.size <= o->missing[i].offset || from >= o->missing[i].offset + o->missing[i].bytes);
		must(!r.has_ts || (b->has_ts && r.ts >= b->first_ts && r.ts <= b->last_ts));
		at += r.step;
		n++;
	}
	must(n == b->n_events);
}

/* Without what the same buffer has when one more range of it is missing: nothing is lost or moved. */
static void drop(struct etw_buffer *b, const uint8_t *raw, uint32_t n, const struct etw_settle_opts *o)
{
	struct etw_range miss = {n / 3, n / 5 + 1};
	struct etw_settle_opts less = *o;
	struct etw_buffer a = {0};
	struct etw_other other = {.b = &a};
	uint32_t copied, all = b->n_events;

	less.missing = &miss;
	less.n_missing = 1;
	must(etw_settle(&a, raw, n, &less, NULL) == 0);
	copied = etw_count_copied(b, etw_other_has, &(struct etw_other){.b = &a});
	must(etw_drop_copied(b, etw_other_has, &other) == 0 && b->n_events == all - copied);
	verify(b, raw, n, o);
	must(etw_count_copied(b, etw_other_has, &(struct etw_other){.b = &a}) == 0);
	etw_buffer_clear(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct etw_settle_opts o = {0};
	struct etw_range miss[2];
	struct etw_buffer b = {0}, res;
	uint8_t *raw;
	uint32_t n;

	if (size < PREFIX + 0x48 || size > 0x20000)
		return 0;
	n = (uint32_t)size - PREFIX;
	raw = malloc(n); /* of its own, so that a read behind its end is seen */
	if (!raw)
		abort();
	memcpy(raw, data + PREFIX, n);
	o.met = (enum etw_met)(data[0] & 3);
	o.cpu_low_byte = data[1] & 1;
	o.has_max_ts = data[1] & 2;
	o.buffer_size = data[1] & 4 ? n : 0;
	o.n_missing = data[1] >> 3 & 3;
	o.in_memory = data[1] & 0x20;
	o.page_off = (data[1] >> 6) * 0x400u;
	if (o.n_missing > 2)
		o.n_missing = 2;
	o.max_ts = le64(data + 2);
	miss[0] = (struct etw_range){le16(data + 10), le16(data + 12)};
	miss[1] = (struct etw_range){miss[0].offset + miss[0].bytes + le16(data + 14), le16(data + 16)};
	o.missing = miss;
	must(etw_settle(&b, raw, n, &o, &res) == 0);
	verify(&b, raw, n, &o);
	if (res.body_len) {
		must(res.orig_start >= b.orig_end);
		verify(&res, raw, n, &o);
	}
	drop(&b, raw, n, &o);
	etw_buffer_clear(&b);
	etw_buffer_clear(&res);
	free(raw);
	return 0;
}
