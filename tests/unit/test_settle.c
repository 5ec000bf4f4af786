/* src/etw: record headers, end of data, holes, residual records, times. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copies.h"
#include "err.h"
#include "etw.h"
#include "evhdr.h"
#include "mkrec.h"
#include "rd.h"
#include "settle.h"

#define SIZE 8192u

struct made { /* a buffer under test */
	uint8_t raw[SIZE];
	uint32_t off[256], step[256], size[256]; /* of its records */
	uint32_t n, end;
};

/* n records with times ts0, ts0 + 10 ...; sizes vary; fills what is left with `behind`. */
static void make(struct made *m, unsigned n, uint64_t ts0, uint8_t behind)
{
	struct buf b;

	buf_init(&b);
	buf_grow(&b, 0x48);
	m->n = n;
	for (unsigned i = 0; i < n; i++) {
		m->off[i] = (uint32_t)b.n;
		if (i % 3 == 1)
			mkrec_message(&b, ts0 + 10 * i, (uint16_t)i, i % 17);
		else if (i % 3 == 2)
			mkrec_system(&b, ts0 + 10 * i, (uint16_t)i, i % 13);
		else
			mkrec_event(&b, ts0 + 10 * i, (uint16_t)i, i % 23, 0x41);
		m->step[i] = (uint32_t)b.n - m->off[i];
		m->size[i] = le16(b.p + m->off[i] + (i % 3 == 2 ? 4 : 0));
	}
	m->end = (uint32_t)b.n;
	cr_assert_leq(b.n, SIZE);
	memset(m->raw, behind, SIZE);
	memcpy(m->raw, b.p, b.n);
	mkrec_header(m->raw, SIZE, m->end);
	buf_free(&b);
}

static int settle(struct etw_buffer *b, const struct made *m, const struct etw_range *missing, size_t n_missing, struct etw_buffer *res)
{
	struct etw_settle_opts o = {.met = ETW_MET_MEMORY, .buffer_size = SIZE, .missing = missing, .n_missing = n_missing};

	memset(b, 0, sizeof(*b));
	return etw_settle(b, m->raw, SIZE, &o, res);
}

Test(evhdr, kinds_and_limits)
{
	struct etw_record r;
	uint8_t p[64] = {0};

	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_NONE);
	p[3] = 0xc0;
	p[2] = 0x0c; /* TIMED: readers stop */
	put_le16(p, 0x30);
	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_BAD);
	p[2] = 0x14;
	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_RECORD);
	cr_assert_eq(r.kind, ETW_KIND_FULL64);
	cr_assert_eq(etw_record_peek(p, 0x2f, 0, &r), ETW_PEEK_BAD);
	put_le16(p, 0x2f);
	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_BAD);
	p[3] = 0x90;
	p[2] = 0;
	put_le16(p, 17);
	put_le16(p + 6, 8);
	put_le64(p + 8, 0x1234);
	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_RECORD);
	cr_assert(r.has_ts && r.ts == 0x1234 && r.step == 24 && r.header == 16);
	put_le16(p, 15);
	cr_assert_eq(etw_record_peek(p, 64, 0, &r), ETW_PEEK_BAD);
	cr_assert_eq(etw_record_peek(p, 64, 64, &r), ETW_PEEK_NONE);
	cr_assert_eq(etw_record_peek(p, 64, UINT32_MAX, &r), ETW_PEEK_NONE);
}

Test(settle, end_of_data_by_where_it_was_met)
{
	struct etw_bufhdr h = {.current_offset = 0x100, .saved_offset = 0x200, .offset = 0x300};

	cr_assert_eq(etw_end_of_data(&h, ETW_MET_MEMORY, 0x1000), 0x100);
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_SECONDARY, 0x1000), 0x300);
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_FILE, 0x1000), 0x300);
	h.current_offset = 0x1200;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_MEMORY, 0x1000), 0x200);
	h.saved_offset = 0;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_MEMORY, 0x1000), 0x1000);
	h.offset = 0;
	h.saved_offset = 0x280;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_SECONDARY, 0x1000), 0x280);
	h.current_offset = 0x90;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_SECONDARY, 0x1000), 0x90);
	h.saved_offset = 0x400;
	h.offset = 0x300;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_FILE_FIRST, 0x1000), 0x400);
	h.offset = 0xffffffff;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_FILE, 0x1000), 0x1000);
	h.current_offset = 0;
	cr_assert_eq(etw_end_of_data(&h, ETW_MET_MEMORY, 0x1000), 0x48);
}

Test(settle, whole_buffer)
{
	struct made m;
	struct etw_buffer b, res;

	make(&m, 60, 1000, 0xff);
	cr_assert_eq(settle(&b, &m, NULL, 0, &res), 0);
	cr_assert_eq(b.n_events, 60);
	cr_assert_eq(b.n_gaps, 0);
	cr_assert_eq(b.body_len, m.end - 0x48);
	cr_assert_eq(memcmp(b.body, m.raw + 0x48, b.body_len), 0);
	cr_assert(b.has_ts && b.first_ts == 1000 && b.last_ts == 1590);
	cr_assert_eq(res.body_len, 0);
	etw_buffer_clear(&b);
}

/* Whatever is lost, each record that does not touch the hole is kept, unchanged and in order, and nothing else. */
static void expect_kept(const struct made *m, const struct etw_buffer *b, const uint8_t *lost)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < m->n; i++) {
		if (lost[i])
			continue;
		cr_assert_leq(at + m->step[i], b->body_len, "record %u", i);
		cr_assert_eq(memcmp(b->body + at, m->raw + m->off[i], m->step[i]), 0, "record %u", i);
		cr_assert_eq(etw_original_offset(b, 0x48 + at), m->off[i], "record %u: %u", i, etw_original_offset(b, 0x48 + at));
		at += m->step[i];
	}
	cr_assert_eq(at, b->body_len);
}

Test(settle, missing_ranges_anywhere)
{
	struct made m;

	srand(7);
	for (int round = 0; round < 3000; round++) {
		struct etw_range miss[2];
		struct etw_buffer b;
		uint8_t lost[256] = {0};
		unsigned n_miss = 1 + (unsigned)rand() % 2;

		make(&m, 40 + (unsigned)rand() % 20, 5000, 0xff);
		miss[0].offset = 0x48 + (uint32_t)rand() % (m.end - 0x48);
		miss[0].bytes = 1 + (uint32_t)rand() % 600;
		miss[1].offset = miss[0].offset + miss[0].bytes + (uint32_t)rand() % 900;
		miss[1].bytes = 1 + (uint32_t)rand() % 300;
		for (unsigned k = 0; k < n_miss; k++) {
			for (unsigned i = 0; i < m.n; i++)
				lost[i] |= m.off[i] < miss[k].offset + miss[k].bytes &&
					   miss[k].offset < m.off[i] + le16(m.raw + m.off[i] + (m.raw[m.off[i] + 2] == 2 ? 4 : 0));
			for (uint32_t o = miss[k].offset; o < miss[k].offset + miss[k].bytes && o < SIZE; o++)
				m.raw[o] = 0;
		}
		cr_assert_eq(settle(&b, &m, miss, n_miss, NULL), 0);
		expect_kept(&m, &b, lost);
		for (size_t g = 0; g < b.n_gaps; g++)
			cr_assert_eq(b.gaps[g].why, ETW_PAGE_MISSING);
		etw_buffer_clear(&b);
	}
}

/* Pages as they go missing in an image: any of them, and every whole record on the others is there. */
Test(settle, missing_pages_in_a_long_buffer)
{
	srand(17);
	for (int round = 0; round < 300; round++) {
		const uint32_t page = 512, end_page = SIZE / page;
		struct etw_range miss[SIZE / 512];
		struct etw_buffer b;
		struct made m;
		uint8_t lost[256] = {0};
		size_t n_miss = 0;

		make(&m, 60, 5000, 0xff);
		for (uint32_t p = 1; p < end_page; p++) {
			if (rand() % 3)
				continue;
			miss[n_miss++] = (struct etw_range){p * page, page};
			memset(m.raw + p * page, rand() & 1 ? 0 : 0xc0, page);
		}
		for (size_t k = 0; k < n_miss; k++)
			for (unsigned i = 0; i < m.n; i++)
				lost[i] |= m.off[i] < miss[k].offset + page && miss[k].offset < m.off[i] + m.size[i];
		cr_assert_eq(settle(&b, &m, miss, n_miss, NULL), 0);
		expect_kept(&m, &b, lost);
		etw_buffer_clear(&b);
	}
}

/* An imager's zeros for a page that it could not read, wherever the buffer begins in its page and however it was met: what the page has no part of is kept,
 * and of what it has only a last record that ends in it, since that may have been so. */
Test(settle, pages_of_zeros)
{
	static const enum etw_met met[] = {ETW_MET_MEMORY, ETW_MET_SECONDARY, ETW_MET_FILE};

	srand(23);
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t phase = round % 4 ? 0 : (uint32_t)(rand() % 16) * 0x100, page = 0x1000 - phase, n = 90;
		struct etw_settle_opts o = {.met = met[round % 3], .buffer_size = SIZE, .in_memory = true, .page_off = phase};
		struct etw_buffer b;
		struct made m;
		uint8_t lost[256] = {0};

		make(&m, n - (unsigned)rand() % 30, 5000, 0xff);
		put_le32(m.raw + 4, m.end);
		put_le32(m.raw + 0x30, m.end);
		if (rand() & 1)
			page += 0x1000;
		if (page < 0x48 || page >= SIZE)
			continue;
		for (uint32_t i = page; i < page + 0x1000 && i < SIZE; i++)
			m.raw[i] = 0;
		for (unsigned i = 0; i < m.n; i++)
			lost[i] = m.off[i] + m.step[i] > page && m.off[i] < page + 0x1000;
		if (m.off[m.n - 1] < page) /* whole, for all that can be told, but for a time or a GUID that is there no more */
			lost[m.n - 1] = lost[m.n - 1] && page - m.off[m.n - 1] <= 0x18;
		memset(&b, 0, sizeof(b));
		cr_assert_eq(etw_settle(&b, m.raw, SIZE, &o, NULL), 0);
		if (!(m.off[m.n - 1] < page && m.off[m.n - 1] + m.step[m.n - 1] > page))
			expect_kept(&m, &b, lost);
		etw_buffer_clear(&b);
	}
}

/* A page that something else stands in: a record whose provider or event would be told by its bytes is none; one of which it has a payload only is known. */
Test(settle, headers_over_the_edge_of_a_foreign_page)
{
	for (uint32_t k = 8; k <= 0x80; k += 8) { /* bytes of the record before the edge */
		struct etw_settle_opts o = {.met = ETW_MET_FILE, .buffer_size = SIZE, .in_memory = true};
		uint8_t raw[SIZE] = {0};
		struct etw_buffer b = {0};
		struct buf all;

		buf_init(&all);
		buf_grow(&all, 0x48);
		mkrec_event(&all, 1000, 1, 0x1000 - k - 0x48 - 0x50, 0x41);
		cr_assert_eq(all.n, 0x1000 - k);
		for (uint16_t i = 2; i < 5; i++)
			mkrec_event(&all, 1000 + i, i, 200, 0x41);
		cr_assert_leq(all.n, SIZE);
		memcpy(raw, all.p, all.n);
		mkrec_header(raw, SIZE, (uint32_t)all.n);
		put_le32(raw + 0x30, (uint32_t)all.n);
		cr_assert_eq(etw_settle(&b, raw, SIZE, &o, NULL), 0);
		cr_assert(b.n_events == 4 && b.n_gaps == 0, "%u: intact", k);
		etw_buffer_clear(&b);
		memset(raw + 0x1000, 'T', 0x1000);
		memset(&b, 0, sizeof(b));
		cr_assert_eq(etw_settle(&b, raw, SIZE, &o, NULL), 0);
		cr_expect_eq(b.n_events, k < 0x38 ? 1 : 2, "%u: %u", k, (unsigned)b.n_events);
		cr_expect(b.n_gaps == 1 && b.gaps[0].offset == (k < 0x38 ? 0x1000 - k : 0x1000 - k + 0x50 + 200), "%u", k);
		etw_buffer_clear(&b);
		buf_free(&all);
	}
}

/* A payload may be zeros: a whole page of them, or the end of the data. */
Test(settle, zeros_that_were_written)
{
	uint8_t *raw = calloc(1, 0x10000);
	struct etw_settle_opts o = {.met = ETW_MET_FILE, .buffer_size = 0x10000, .in_memory = true};
	struct etw_buffer b;
	struct buf one;
	uint32_t end = 0x48;

	for (unsigned i = 0; i < 3; i++) {
		buf_init(&one);
		mkrec_event(&one, 1000 + i, (uint16_t)i, i == 1 ? 12000 : 3000, i == 0 ? 0x41 : 0);
		memcpy(raw + end, one.p, one.n);
		end += (uint32_t)one.n;
		buf_free(&one);
	}
	mkrec_header(raw, 0x10000, end);
	put_le32(raw + 0x30, end);
	memset(&b, 0, sizeof(b));
	cr_assert_eq(etw_settle(&b, raw, 0x10000, &o, NULL), 0);
	cr_assert(b.n_events == 3 && b.n_gaps == 0);
	etw_buffer_clear(&b);
	/* and in a file on disk zeros are what was written */
	memset(raw + 0x1000, 0, 0x1000);
	o.in_memory = false;
	cr_assert_eq(etw_settle(&b, raw, 0x10000, &o, NULL), 0);
	cr_assert_eq(b.n_events, 3);
	etw_buffer_clear(&b);
	free(raw);
}

/* Records that another buffer has: known by place and bytes, whatever is missing around them; what is left keeps its place. */
Test(settle, copies_of_parts)
{
	srand(29);
	for (unsigned round = 0; round < 500; round++) {
		struct etw_range miss[2];
		struct etw_buffer a, b;
		struct etw_other other = {.b = &a};
		struct made m;
		uint8_t lost[2][256] = {{0}}, here[256];

		make(&m, 60, 5000, 0xff);
		for (unsigned k = 0; k < 2; k++) {
			miss[k] = (struct etw_range){0x48 + (uint32_t)rand() % (m.end - 0x48), 1 + (uint32_t)rand() % 900};
			for (unsigned i = 0; i < m.n; i++)
				lost[k][i] = m.off[i] < miss[k].offset + miss[k].bytes && miss[k].offset < m.off[i] + m.size[i];
		}
		cr_assert_eq(settle(&a, &m, &miss[0], 1, NULL), 0);
		cr_assert_eq(settle(&b, &m, &miss[1], 1, NULL), 0);
		for (unsigned i = 0; i < m.n; i++)
			here[i] = lost[1][i] || !lost[0][i];
		cr_assert_eq(etw_drop_copied(&b, etw_other_has, &other), 0);
		expect_kept(&m, &b, here);
		cr_assert_eq(b.n_events, etw_count_copied(&b, etw_other_has, &(struct etw_other){.b = &b}));
		cr_assert_eq(etw_count_copied(&b, etw_other_has, &(struct etw_other){.b = &a}), 0);
		cr_assert(!b.n_events == !b.has_ts && (!b.has_ts || (b.first_ts >= 5000 && b.last_ts <= 5590)));
		etw_buffer_clear(&a);
		etw_buffer_clear(&b);
	}
}

/* Every kind of the table: its least size, where its size and time stand; one byte less is no record. */
Test(evhdr, every_kind)
{
	static const struct {
		uint8_t type, min, size_at, ts_at;
		enum etw_kind kind;
	} all[] = {
		{0x01, 0x20, 4, 0x10, ETW_KIND_SYSTEM32},   {0x02, 0x20, 4, 0x10, ETW_KIND_SYSTEM64},
		{0x03, 0x18, 4, 0x10, ETW_KIND_COMPACT32},  {0x04, 0x18, 4, 0x10, ETW_KIND_COMPACT64},
		{0x10, 0x10, 4, 8, ETW_KIND_PERFINFO32},    {0x11, 0x10, 4, 8, ETW_KIND_PERFINFO64},
		{0x0a, 0x30, 0, 0x10, ETW_KIND_FULL32},     {0x14, 0x30, 0, 0x10, ETW_KIND_FULL64},
		{0x0b, 0x38, 0, 0x10, ETW_KIND_INSTANCE32}, {0x15, 0x38, 0, 0x10, ETW_KIND_INSTANCE64},
		{0x0d, 0x50, 0, 0x10, ETW_KIND_ERROR},      {0x12, 0x50, 0, 0x10, ETW_KIND_EVENT32},
		{0x13, 0x50, 0, 0x10, ETW_KIND_EVENT64},
	};
	unsigned known = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct etw_record r;
		uint8_t p[0x60] = {0};

		p[2] = all[i].type;
		p[3] = 0xc0;
		put_le64(p + all[i].ts_at, 0x1122334455667788);
		put_le16(p + all[i].size_at, all[i].min);
		cr_assert_eq(etw_record_peek(p, sizeof(p), 0, &r), ETW_PEEK_RECORD, "type %x", all[i].type);
		cr_assert(r.kind == all[i].kind && r.size == all[i].min && r.has_ts && r.ts == 0x1122334455667788);
		cr_assert_eq(etw_record_peek(p, all[i].min, 0, &r), ETW_PEEK_RECORD);
		cr_assert_eq(etw_record_peek(p, all[i].min - 1u, 0, &r), ETW_PEEK_BAD);
		put_le16(p + all[i].size_at, (uint16_t)(all[i].min - 1));
		cr_assert_eq(etw_record_peek(p, sizeof(p), 0, &r), ETW_PEEK_BAD);
	}
	for (unsigned type = 0; type < 256; type++) {
		struct etw_record r;
		uint8_t p[0x60];

		memset(p, 0x50, sizeof(p));
		put_le16(p, 0x58);
		put_le16(p + 4, 0x58);
		p[2] = (uint8_t)type;
		p[3] = 0xc0;
		known += etw_record_peek(p, sizeof(p), 0, &r) == ETW_PEEK_RECORD;
	}
	cr_assert_eq(known, sizeof(all) / sizeof(all[0]));
}

Test(settle, torn_and_bad_records)
{
	struct made m;
	struct etw_buffer b;
	uint8_t lost[256] = {0};

	make(&m, 30, 1000, 0xff);
	memset(m.raw + m.off[10], 0, m.step[10]); /* reserved, not written */
	lost[10] = 1;
	cr_assert_eq(settle(&b, &m, NULL, 0, NULL), 0);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert_eq(b.gaps[0].why, ETW_TORN_RECORD);
	cr_assert_eq(b.gaps[0].offset, m.off[10]);
	cr_assert_eq(b.gaps[0].bytes, m.step[10]);
	expect_kept(&m, &b, lost);
	etw_buffer_clear(&b);

	make(&m, 30, 1000, 0xff);
	put_le16(m.raw + m.off[12], 0xfff8); /* a size that leaves the buffer: record 12 is an EVENT */
	memset(lost, 0, sizeof(lost));
	lost[12] = 1;
	cr_assert_eq(settle(&b, &m, NULL, 0, NULL), 0);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert_eq(b.gaps[0].why, ETW_BAD_RECORD);
	expect_kept(&m, &b, lost);
	etw_buffer_clear(&b);
}

Test(settle, reserved_slot_with_an_older_record)
{
	struct made m;
	struct etw_buffer b;
	uint8_t lost[256] = {0};

	make(&m, 30, 100000, 0xff);
	put_le64(m.raw + m.off[15] + 0x10, 50); /* record 15 is an EVENT: bytes of an earlier use */
	lost[15] = 1;
	cr_assert_eq(settle(&b, &m, NULL, 0, NULL), 0);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert_eq(b.gaps[0].why, ETW_TORN_RECORD);
	expect_kept(&m, &b, lost);
	etw_buffer_clear(&b);
}

Test(settle, nothing_behind_a_hole_chains_to_the_end)
{
	struct made m;
	struct etw_buffer b;

	make(&m, 30, 1000, 0xff);
	memset(m.raw + m.off[10], 0, m.end - m.off[10]);
	cr_assert_eq(settle(&b, &m, NULL, 0, NULL), 0);
	cr_assert_eq(b.n_events, 10);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert_eq(b.gaps[0].bytes, m.end - m.off[10]);
	etw_buffer_clear(&b);
}

Test(settle, residual_records_of_an_earlier_use)
{
	struct made old, m;
	struct etw_buffer b, res;
	uint32_t first = 0;

	make(&old, 60, 1000, 0xff);
	make(&m, 20, 100000, 0);
	memcpy(m.raw + m.end, old.raw + m.end, SIZE - m.end);
	cr_assert_eq(settle(&b, &m, NULL, 0, &res), 0);
	while (old.off[first] < m.end)
		first++;
	cr_assert_eq(b.n_events, 20);
	cr_assert_eq(res.n_events, 60 - first);
	cr_assert_eq(res.orig_start, old.off[first]);
	cr_assert_eq(res.body_len, old.end - old.off[first]);
	cr_assert_eq(memcmp(res.body, old.raw + old.off[first], res.body_len), 0);
	etw_buffer_clear(&b);
	etw_buffer_clear(&res);

	/* records behind the end that are later than the live ones are no earlier use's */
	make(&m, 20, 10, 0);
	memcpy(m.raw + m.end, old.raw + m.end, SIZE - m.end);
	cr_assert_eq(settle(&b, &m, NULL, 0, &res), 0);
	cr_assert_eq(res.body_len, 0);
	etw_buffer_clear(&b);
}

Test(settle, random_bytes_never_break_it)
{
	struct made m;

	srand(11);
	for (int round = 0; round < 400; round++) {
		struct etw_buffer b, res;
		uint32_t at = 0;
		struct etw_record r;

		make(&m, 50, 1000, (uint8_t)(rand() & 1 ? 0xff : 0xc0));
		for (int k = rand() % 40; k > 0; k--)
			m.raw[rand() % SIZE] = (uint8_t)rand();
		cr_assert_eq(settle(&b, &m, NULL, 0, &res), 0);
		for (uint32_t i = 0; i < b.n_events; i++) {
			cr_assert_eq(etw_record_peek(b.body, b.body_len, at, &r), ETW_PEEK_RECORD);
			at += r.step;
		}
		cr_assert_geq(at, b.body_len);
		etw_buffer_clear(&b);
		etw_buffer_clear(&res);
	}
}

/* Text over a header from its time on: its time is none, and so is the record. */
Test(settle, records_later_than_their_buffer)
{
	struct made m;
	struct etw_buffer b;
	struct etw_settle_opts o = {.met = ETW_MET_MEMORY, .buffer_size = SIZE, .has_latest = true, .latest = 1290};
	uint8_t lost[256] = {0};

	make(&m, 30, 1000, 0xff);
	memset(&b, 0, sizeof(b));
	cr_assert_eq(etw_settle(&b, m.raw, SIZE, &o, NULL), 0);
	cr_assert(b.n_events == 30 && b.n_gaps == 0); /* as late as the latest is not later */
	etw_buffer_clear(&b);

	put_le64(m.raw + m.off[12] + 0x10, UINT64_C(0x7069206d65726f4c)); /* an EVENT's */
	lost[12] = 1;
	memset(&b, 0, sizeof(b));
	cr_assert_eq(etw_settle(&b, m.raw, SIZE, &o, NULL), 0);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert(b.gaps[0].why == ETW_TORN_RECORD && b.gaps[0].offset == m.off[12] && b.gaps[0].bytes == m.step[12]);
	cr_assert_eq(b.last_ts, 1290);
	expect_kept(&m, &b, lost);
	etw_buffer_clear(&b);

	memset(m.raw + m.off[12] + 0x10, 'm', m.end - m.off[12] - 0x10); /* and over all behind it */
	memset(lost + 12, 1, 30 - 12);
	memset(&b, 0, sizeof(b));
	cr_assert_eq(etw_settle(&b, m.raw, SIZE, &o, NULL), 0);
	cr_assert_eq(b.n_gaps, 1);
	cr_assert(b.gaps[0].why == ETW_TORN_RECORD && b.gaps[0].offset == m.off[12] && b.gaps[0].bytes == m.end - m.off[12]);
	cr_assert_eq(b.last_ts, 1110);
	expect_kept(&m, &b, lost);
	etw_buffer_clear(&b);
}

Test(settle, a_large_hostile_buffer_is_no_quadratic_search)
{
	uint32_t n = 1u << 20;
	uint8_t *raw = malloc(n);
	struct etw_settle_opts o = {.met = ETW_MET_MEMORY, .buffer_size = n};
	struct etw_buffer b;

	cr_assert_not_null(raw);
	mkrec_header(raw, n, n);
	for (uint32_t i = 0x48; i < n; i += 8) { /* a marker everywhere, chains nowhere */
		put_le32(raw + i, 0xc0130058u);
		put_le32(raw + i + 4, i);
	}
	memset(&b, 0, sizeof(b));
	cr_assert_eq(etw_settle(&b, raw, n, &o, NULL), 0);
	etw_buffer_clear(&b);
	free(raw);
}

Test(etw, time_both_ways)
{
	struct etw_session s = {
		.clock = ETW_CLOCK_QPC, .has_reference = true, .reference_time = INT64_C(133000000000000000), .reference_ts = 5000};
	struct etw_system sys = {.perf_freq = 3579545, .cpu_mhz = 2400};
	int64_t t, u;
	uint64_t ts;

	for (uint64_t k = 0; k < 20000; k += 7) {
		cr_assert(etw_session_time(&s, &sys, k, &t));
		cr_assert(etw_session_clock_at(&s, &sys, t, &ts));
		cr_assert(etw_session_time(&s, &sys, ts, &u) && u == t);
		cr_assert(etw_session_time(&s, &sys, ts + 1, &u) && u > t);
	}
	s.clock = ETW_CLOCK_CPU_CYCLE;
	cr_assert(etw_session_time(&s, &sys, 5000 + 2400, &t));
	cr_assert_eq(t, INT64_C(133000000000000010));
	s.clock = ETW_CLOCK_SYSTEM_TIME;
	cr_assert(etw_session_time(&s, &sys, 42, &t) && t == 42);
	cr_assert_not(etw_session_time(&s, &sys, UINT64_MAX, &t));
	s.clock = ETW_CLOCK_UNKNOWN;
	cr_assert_not(etw_session_time(&s, &sys, 42, &t));
	s.clock = ETW_CLOCK_QPC;
	s.has_reference = false;
	cr_assert_not(etw_session_time(&s, &sys, 42, &t));
	sys.boot_time = 1000;
	cr_assert(etw_session_time(&s, &sys, 3579545, &t) && t == 10001000);
}

Test(etw, order_of_buffers)
{
	struct etw_session s = {0};
	struct etw_buffer b[4] = {{.has_va = true, .va = 1, .body_len = 0},
				  {.has_va = true, .va = 2, .body_len = 8, .has_ts = true, .last_ts = 50, .cpu = 1},
				  {.has_va = true, .va = 3, .body_len = 8, .has_ts = true, .last_ts = 50, .cpu = 0},
				  {.has_va = true, .va = 4, .body_len = 8, .has_ts = true, .last_ts = 7, .cpu = 3}};
	static const uint64_t want[4] = {4, 3, 2, 1};

	for (int i = 0; i < 4; i++)
		cr_assert_eq(etw_session_add_buffer(&s, &b[i]), 0);
	etw_session_order(&s);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(s.buffers[i].va, want[i]);
	etw_session_clear(&s);
}
