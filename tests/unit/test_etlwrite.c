/* How large a rebuilt file's buffers are: the session's size, unless nearly all of a large file would be fill. The bytes themselves: tests/tools/roundtrip. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "etlwrite.h"
#include "rd.h"

TestSuite(etlwrite, .timeout = 60);

/* n buffers of one record with `payload` bytes each, of a session with buffers of `size`. What comes out: the file's bytes; its buffers' size. */
static uint64_t written(unsigned n, uint32_t size, uint32_t payload, bool lean, uint32_t *got)
{
	char dir[] = "/tmp/etlift-test-XXXXXX", path[64];
	struct etw_session s = {.id = 7, .has_buffer_size = true, .buffer_size = size, .lean = lean, .clock = ETW_CLOCK_QPC};
	struct etw_system sys = {.perf_freq = 10000000, .pointer_size = 8, .major = 10};
	struct etlwrite_result r;
	struct outdir *d;
	struct outfile *f;
	struct err e;
	uint8_t first[4];
	FILE *in;

	cr_assert(mkdtemp(dir));
	for (unsigned i = 0; i < n; i++) {
		struct etw_buffer b = {.body_len = 16 + payload, .n_events = 1, .has_ts = true, .first_ts = 1000 + i, .last_ts = 1000 + i};

		b.body = calloc(1, b.body_len);
		put_le32(b.body, 0xc0110002);
		put_le16(b.body + 4, (uint16_t)b.body_len);
		put_le64(b.body + 8, b.first_ts);
		cr_assert_eq(etw_session_add_buffer(&s, &b), 0);
	}
	cr_assert_eq(outdir_open(&d, dir, false, &e), 0);
	cr_assert_eq(outfile_create(&f, d, "x.etl", &e), 0);
	cr_assert_eq(etlwrite_session(f, &s, &sys, NULL, &r, &e), 0);
	cr_assert_eq(outfile_commit(f, &e), 0);
	outdir_close(d);
	etw_session_clear(&s);
	snprintf(path, sizeof(path), "%s/x.etl", dir);
	in = fopen(path, "rb");
	cr_assert(in && fread(first, 1, 4, in) == 4);
	fclose(in);
	unlink(path);
	rmdir(dir);
	cr_assert_eq(r.buffers, n);
	cr_assert_eq(r.events, n);
	*got = le32(first);
	return r.bytes;
}

Test(etlwrite, size_of_buffers)
{
	uint32_t size;

	cr_expect_eq(written(3, 16384, 64, false, &size), 4 * 16384);
	cr_expect_eq(size, 16384);
	/* 64 MiB of fill may be, */
	cr_expect_eq(written(3, 16 << 20, 64, false, &size), UINT64_C(64) << 20);
	cr_expect_eq(size, 16 << 20);
	/* 80 MiB for five records not; no record is cut for it */
	cr_expect_eq(written(4, 16 << 20, 64, false, &size), 5 * 4096);
	cr_expect_eq(size, 4096);
	cr_expect_eq(written(4, 16 << 20, 9000, false, &size), 5 * 9216);
	cr_expect_eq(size, 9216);
	/* what is told to be lean is, and never grows by it */
	cr_expect_eq(written(3, 65536, 64, true, &size), 4 * 4096);
	cr_expect_eq(size, 4096);
	cr_expect_eq(written(3, 2048, 64, true, &size), 4 * 2048);
	cr_expect_eq(size, 2048);
}
