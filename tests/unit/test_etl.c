/* src/etl and src/util/xpress: files made to be right, files made to break one rule each, streams of the specification. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "etl.h"
#include "etlcheck.h"
#include "mketl.h"
#include "mkrec.h"
#include "rd.h"
#include "xpress.h"

#define SIZE    0x2000u
#define PAYLOAD 0x68u /* TRACE_LOGFILE_HEADER in the file */

static struct etl_checked run_check(const struct buf *f, size_t n)
{
	struct etl_checked o;
	struct input *in;
	struct err e;

	cr_assert_eq(input_open_memory(&in, f->p, n, "made", &e), 0);
	cr_assert_eq(etl_check(&o, in, &e), 0);
	input_close(in);
	return o;
}

static struct buf made(bool narrow, bool packed)
{
	struct buf f;

	buf_init(&f);
	mketl_build(&f, &(struct mketl){.buffer_size = SIZE, .n_data = 3, .n_records = 40, .narrow = narrow, .packed = packed});
	return f;
}

/* The file breaks `rule`, and says so at `offset` (UINT64_MAX: anywhere). */
static void expect(const struct buf *f, size_t n, const char *rule, uint64_t offset)
{
	struct etl_checked o = run_check(f, n);
	bool met = false;

	for (size_t i = 0; i < o.n_findings; i++)
		met |= strcmp(o.findings[i].rule, rule) == 0 && (offset == UINT64_MAX || o.findings[i].offset == offset);
	cr_assert(met, "%s at %llu is not among %zu findings; first: %s at %llu: %s", rule, (unsigned long long)offset, o.n_findings,
		  o.n_findings ? o.findings[0].rule : "-", o.n_findings ? (unsigned long long)o.findings[0].offset : 0,
		  o.n_findings ? o.findings[0].detail : "-");
	etl_checked_clear(&o);
}

Test(etlcheck, accepts_what_is_right)
{
	for (int k = 0; k < 4; k++) {
		struct buf f = made(k & 1, k & 2);
		struct etl_checked o = run_check(&f, f.n);

		cr_assert_eq(o.n_findings, 0, "%s: %s", o.findings[0].rule, o.findings[0].detail);
		cr_assert_eq(o.buffers, 4u);
		cr_assert_eq(o.compressed, (k & 2) != 0);
		cr_assert_eq(o.records[ETW_KIND_EVENT64], 42u);
		cr_assert_eq(o.records[ETW_KIND_MESSAGE], 39u);
		cr_assert_eq(o.records[ETW_KIND_SYSTEM32], k & 1 ? 1u : 0u);
		cr_assert_eq(o.records[ETW_KIND_SYSTEM64], k & 1 ? 40u : 41u);
		etl_checked_clear(&o);
		buf_free(&f);
	}
}

struct breaker { /* writes `bytes` of value at `at`; the file then breaks `rule` at `where` */
	char rule[20];
	uint32_t at, value, where;
	uint8_t bytes;
};

Test(etlcheck, each_rule_by_one_changed_field)
{
	static const struct breaker all[] = {
		{"first-offset", 0x30, 0x47, 0x30, 4},
		{"first-offset", 0x30, SIZE + 1, 0x30, 4},
		{"first-record", 0x4a, 0x0c, 0x48, 1},   /* TIMED */
		{"first-record", 0x4b, 0, 0x48, 1},      /* no marker */
		{"first-record", 0x4c, 0x4f, 0x48, 2},   /* payload 0x2f */
		{"first-record", 0x4c, 0xffff, 0x48, 2}, /* not within the first 0x1000 */
		{"first-record", 0x4e, 5, 0x48, 2},      /* another hook */
		{"pointer-size", PAYLOAD + 0x2c, 7, PAYLOAD + 0x2c, 4},
		{"size-mismatch", PAYLOAD, SIZE + 0x400, PAYLOAD, 4},
		{"buffer-size", PAYLOAD, SIZE + 1, PAYLOAD, 4},
		{"buffer-size", PAYLOAD, 0, PAYLOAD, 4},
		{"buffer-size", PAYLOAD, 0x1000400, PAYLOAD, 4},
		{"cpus", PAYLOAD + 0xc, 0x1001, PAYLOAD + 0xc, 4},
		{"version", PAYLOAD + 6, 3, PAYLOAD + 6, 1},
		{"names", 0x4c, 0x20 + 0x118 + 3, PAYLOAD + 0x118, 2}, /* the record ends inside the first name */
		{"names", 0x4c, 0x20 + 0x100, PAYLOAD, 2},
		{"data-size", SIZE, SIZE - 0x400, SIZE, 4},
		{"data-offset", SIZE + 0x30, SIZE + 1, SIZE + 0x30, 4},
		{"data-offset", 2 * SIZE + 0x30, 0x40, 2 * SIZE + 0x30, 4},
		{"record", SIZE + 0x4a, 0x0e, SIZE + 0x48, 1}, /* WNODE */
		{"record", SIZE + 0x4b, 0xff, SIZE + 0x48, 1}, /* data stop before Offset */
		{"record", SIZE + 0x48, 0x4f, SIZE + 0x48, 2}, /* shorter than its kind */
		{"record", SIZE + 0x48, 0xfff8, SIZE + 0x48, 2},
		{"buffers-written", PAYLOAD + 0x24, 5, PAYLOAD + 0x24, 4},
		{"buffers-written", PAYLOAD + 0x24, 3, PAYLOAD + 0x24, 4},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct buf f = made(false, false);

		for (unsigned k = 0; k < all[i].bytes; k++)
			f.p[all[i].at + k] = (uint8_t)(all[i].value >> 8 * k);
		expect(&f, f.n, all[i].rule, all[i].where);
		buf_free(&f);
	}
}

Test(etlcheck, header_records)
{
	struct buf f = made(false, false);
	uint32_t second = 0x48 + ((le16(f.p + 0x4c) + 7) & ~7u);

	put_le16(f.p + second + 4, 0x60); /* past Offset */
	expect(&f, f.n, "header-records", second);
	buf_free(&f);

	buf_init(&f);
	mketl_build(&f, &(struct mketl){.n_data = 1, .n_records = 3, .logger = "NT Kernel Logger"});
	f.p[PAYLOAD + 7] = 2; /* version 1.2 */
	second = 0x48 + ((le16(f.p + 0x4c) + 7) & ~7u);
	f.p[second + 2] = 4; /* a COMPACT of 0x18 bytes */
	put_le16(f.p + second + 4, 0x18);
	put_le32(f.p + 0x30, second + 0x18);
	put_le32(f.p + 4, second + 0x18);
	expect(&f, f.n, "kernel-logger", second);
	buf_free(&f);
}

Test(etlcheck, cut_anywhere)
{
	struct buf f = made(false, false);

	for (size_t n = 0; n < f.n; n += 61) {
		if (n < 0x178)
			expect(&f, n, "too-short", n);
		else if (n < SIZE)
			expect(&f, n, "first-cut", n);
		else if (n % SIZE == 0)
			expect(&f, n, "buffers-written", PAYLOAD + 0x24);
		else
			expect(&f, n, "file-size", UINT64_MAX);
	}
	/* never finished: the file is read whole, whatever BuffersWritten says; the cut still counts */
	memset(f.p + PAYLOAD + 0x10, 0, 8);
	put_le32(f.p + PAYLOAD + 0x24, 77);
	{
		struct etl_checked o = run_check(&f, f.n);

		cr_assert_eq(o.n_findings, 0);
		etl_checked_clear(&o);
	}
	expect(&f, f.n - 1, "file-size", f.n - 1);
	expect(&f, SIZE - 1, "no-buffer", 0);
	buf_free(&f);
}

Test(etlcheck, compressed_rules)
{
	struct buf f = made(false, true);
	struct buf g;

	put_le16(f.p + 0x34, 0x61);
	expect(&f, f.n, "size-mismatch", 0x34);
	put_le16(f.p + 0x34, 0x21);
	put_le32(f.p + PAYLOAD + 0x20, 0x4000002);
	expect(&f, f.n, "size-mismatch", PAYLOAD + 0x20);
	put_le32(f.p + PAYLOAD + 0x20, 0x4000001);
	put_le32(f.p + 0x2c, 4);
	expect(&f, f.n, "unpack", 0x2c);
	put_le32(f.p + 0x2c, 3);
	put_le32(f.p + 0x400 + 0x30, le32(f.p + 0x400 + 0x30) + 8);
	expect(&f, f.n, "unpack", 0x400);
	put_le32(f.p + 0x400 + 0x30, le32(f.p + 0x400 + 0x30) - 8);
	put_le32(f.p + 0x400, 0x48);
	expect(&f, f.n, "data-size", 0x400);
	buf_free(&f);

	g = made(false, true);
	expect(&g, g.n - 1, "file-size", g.n - 1);
	put_le32(g.p + PAYLOAD + 0x24, 3);
	expect(&g, g.n, "buffers-written", PAYLOAD + 0x24);
	buf_free(&g);
}

Test(etlcheck, unused_room_and_wrapped_files)
{
	struct buf f = made(false, false);
	struct etl_checked o;

	buf_grow(&f, 2 * SIZE); /* preallocated */
	o = run_check(&f, f.n);
	cr_assert_eq(o.n_findings, 0);
	etl_checked_clear(&o);
	f.n -= 2 * SIZE;
	put_le32(f.p + PAYLOAD + 0x20, 2); /* circular, 32 KB, wrapped */
	put_le32(f.p + PAYLOAD + 0x20, 0x2002);
	put_le32(f.p + PAYLOAD + 0x1c, 32);
	put_le32(f.p + PAYLOAD + 0x24, 90);
	o = run_check(&f, f.n);
	cr_assert_eq(o.n_findings, 0);
	etl_checked_clear(&o);
	buf_free(&f);
}

/* Any change of bytes: no crash, bounded findings, and what it says is inside the file. */
Test(etlcheck, random_bytes)
{
	struct buf good[2] = {made(false, false), made(false, true)};

	srand(3);
	for (int round = 0; round < 1500; round++) {
		struct buf f;
		struct etl_checked o;

		buf_init(&f);
		buf_put(&f, good[round & 1].p, good[round & 1].n);
		for (int k = 1 + rand() % 12; k > 0; k--)
			f.p[(size_t)rand() % (rand() & 1 ? f.n : 0x200)] = (uint8_t)rand();
		o = run_check(&f, f.n);
		for (size_t i = 0; i < o.n_findings; i++)
			cr_assert_leq(o.findings[i].offset, f.n);
		etl_checked_clear(&o);
		buf_free(&f);
	}
	buf_free(&good[0]);
	buf_free(&good[1]);
}

Test(etlcheck, rules_have_words)
{
	unsigned n = 0;

	while (etl_rule_word(n))
		n++;
	cr_assert_eq(n, 19u);
}

Test(etl, reads_every_form)
{
	for (int k = 0; k < 4; k++) {
		struct buf f = made(k & 1, k & 2), want = made(k & 1, false);
		struct notes notes;
		struct input *in;
		struct etl *t;
		struct err e;

		notes_init(&notes);
		cr_assert_eq(input_open_memory(&in, f.p, f.n, "made", &e), 0);
		cr_assert_eq(etl_open(&t, in, &notes, &e), 0);
		cr_assert_eq(etl_n_buffers(t), 4u);
		cr_assert_str_eq(etl_session(t)->name, "made");
		cr_assert_str_eq(etl_session(t)->log_file, "made.etl");
		cr_assert_eq(etl_session(t)->clock, ETW_CLOCK_QPC);
		cr_assert_eq(etl_session(t)->reference_ts, 1000u);
		cr_assert_eq(etl_session(t)->reference_time, INT64_C(132999990000000000));
		cr_assert_eq(etl_system(t)->perf_freq, 10000000u);
		cr_assert_eq(etl_system(t)->boot_time, INT64_C(132990000000000000));
		cr_assert_eq(etl_system(t)->pointer_size, k & 1 ? 4 : 8);
		for (uint32_t i = 1; i < 4; i++) {
			struct etw_buffer b = {0};

			cr_assert_eq(etl_buffer(t, i, &b, &e), 0);
			cr_assert_eq(b.n_events, 40u);
			cr_assert_eq(b.n_gaps, 0);
			cr_assert_eq(memcmp(b.body, want.p + i * SIZE + 0x48, b.body_len), 0);
			etw_buffer_clear(&b);
		}
		cr_assert_eq(notes.n, 0);
		etl_close(t);
		input_close(in);
		notes_free(&notes);
		buf_free(&f);
		buf_free(&want);
	}
}

/* The two examples of [MS-XCA] for plain LZ77. */
Test(xpress, specification)
{
	static const uint8_t letters[] = "\x3f\x00\x00\x00"
					 "abcdefghijklmnopqrstuvwxyz";
	static const uint8_t abc[] = {0xff, 0xff, 0xff, 0x1f, 0x61, 0x62, 0x63, 0x17, 0x00, 0x0f, 0xff, 0x26, 0x01};
	uint8_t out[400];

	cr_assert_eq(xpress_unpack(letters, sizeof(letters) - 1, out, sizeof(out)), 26);
	cr_assert_eq(memcmp(out, "abcdefghijklmnopqrstuvwxyz", 26), 0);
	cr_assert_eq(xpress_unpack(abc, sizeof(abc), out, sizeof(out)), 300);
	for (int i = 0; i < 300; i++)
		cr_assert_eq(out[i], "abc"[i % 3]);
	cr_assert_eq(xpress_unpack(abc, sizeof(abc), out, 100), 100);
	for (size_t n = 5; n < sizeof(abc); n++) /* cut: broken, or only the whole literals */
		cr_assert_leq(xpress_unpack(abc, n, out, sizeof(out)), 3);
}

Test(xpress, what_was_packed_comes_out)
{
	srand(5);
	for (int round = 0; round < 300; round++) {
		uint32_t n = (uint32_t)rand() % 3000 + (round % 50 == 0 ? 70000 : 0);
		uint8_t *p = malloc(n + 1), *q = malloc(n + 1);
		struct buf b;

		for (uint32_t i = 0; i < n;) {
			uint32_t run = rand() % 4 ? 1 : (uint32_t)rand() % (round % 50 == 0 ? 80000 : 400);
			uint8_t v = (uint8_t)rand();

			for (; run && i < n; run--)
				p[i++] = v;
		}
		buf_init(&b);
		mketl_pack(&b, p, n);
		cr_assert_eq(xpress_unpack(b.p, b.n, q, n), (int64_t)n);
		cr_assert_eq(memcmp(p, q, n), 0);
		buf_free(&b);
		free(p);
		free(q);
	}
}

Test(xpress, a_match_before_the_start_is_broken)
{
	static const uint8_t bad[] = {0, 0, 0, 0x40, 'a', 0x08, 0};
	uint8_t out[16];

	cr_assert_eq(xpress_unpack(bad, sizeof(bad), out, sizeof(out)), ERR_FORMAT);
}
