/* src/util: windows on bytes, GUIDs, times, text, notes, files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "guid.h"
#include "hash.h"
#include "input.h"
#include "note.h"
#include "outfile.h"
#include "rd.h"
#include "utf16.h"
#include "wintime.h"

Test(rd, reads_inside_and_flags_outside)
{
	static const uint8_t b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct rd r = rd_init(b, sizeof(b));

	cr_assert_eq(rd_u64(&r, 0), UINT64_C(0x0807060504030201));
	cr_assert_eq(rd_be32(&r, 4), 0x05060708u);
	cr_assert_not(r.bad);
	cr_assert_eq(rd_u32(&r, 5), 0u);
	cr_assert(r.bad);
	cr_assert_not(rd_has(&r, UINT64_MAX, 2));
	cr_assert_not(rd_has(&r, 8, 1));
	cr_assert(rd_has(&r, 8, 0));
}

Test(guid, text_and_back)
{
	struct guid g, h;
	char t[GUID_STR];

	cr_assert(guid_parse("{2B88B710-1c93-4f7c-b06c-655ecc50decc}", &g));
	cr_assert_eq(g.b[0], 0x10);
	guid_text(&g, t);
	cr_assert_str_eq(t, "2b88b710-1c93-4f7c-b06c-655ecc50decc");
	cr_assert(guid_parse("2b88b7101c934f7cb06c655ecc50decc", &h));
	cr_assert(guid_equal(&g, &h));
	cr_assert_not(guid_parse("2b88b710-1c93-4f7c-b06c-655ecc50dec", &h));
	cr_assert_not(guid_parse("{2b88b710-1c93-4f7c-b06c-655ecc50decc", &h));
	cr_assert_not(guid_parse("2b88b710-1c93-4f7c-b06c-655ecc50deccx", &h));
	cr_assert_not(guid_parse("", &h));
}

Test(wintime, text)
{
	char t[WINTIME_STR];

	cr_assert(wintime_text(0, t));
	cr_assert_str_eq(t, "1601-01-01T00:00:00.0000000Z");
	cr_assert(wintime_text(WINTIME_UNIX_EPOCH, t));
	cr_assert_str_eq(t, "1970-01-01T00:00:00.0000000Z");
	cr_assert(wintime_text(WINTIME_MAX, t));
	cr_assert_str_eq(t, "9999-12-31T23:59:59.9999999Z");
	cr_assert_not(wintime_text(WINTIME_MAX + 1, t));
	cr_assert_not(wintime_text(-1, t));
}

Test(wintime, every_day_of_600_years_round_trips)
{
	int64_t day = INT64_C(864000000000);

	for (int64_t d = 0; d < 600 * 366; d++) {
		char t[WINTIME_STR];
		int64_t back;

		cr_assert(wintime_text(d * day + 1234567, t));
		cr_assert(wintime_parse(t, &back), "%s", t);
		cr_assert_eq(back, d * day + 1234567, "%s", t);
	}
}

Test(wintime, parse_forms)
{
	int64_t a, b;

	cr_assert(wintime_parse("2024-02-29", &a));
	cr_assert(wintime_parse("2024-02-29 01:30+01:30", &b));
	cr_assert_eq(a, b);
	cr_assert_not(wintime_parse("2023-02-29", &a));
	cr_assert_not(wintime_parse("2024-13-01", &a));
	cr_assert_not(wintime_parse("2024-01-01T25:00", &a));
	cr_assert_not(wintime_parse("2024-01-01x", &a));
}

Test(wintime, muldiv_floors_and_saturates)
{
	cr_assert_eq(muldiv_floor(-1, 1, 2), -1);
	cr_assert_eq(muldiv_floor(7, 10000000, 3), 23333333);
	cr_assert_eq(muldiv_floor(-7, 10000000, 3), -23333334);
	cr_assert_eq(muldiv_floor(INT64_MAX, 10, 1), INT64_MAX);
	cr_assert_eq(muldiv_floor(INT64_MIN, 10, 1), INT64_MIN);
}

Test(wintime, muldiv_by_hand_is_the_same)
{
	static const int64_t edge[] = {INT64_MIN, INT64_MIN + 1, -3, -1, 0, 1, 2, 10000000, INT64_MAX - 1, INT64_MAX};
	uint64_t x = 88172645463325252;
	int64_t v[3];

	for (unsigned n = 0; n < 200000; n++) {
		for (unsigned i = 0; i < 3; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			v[i] = x >> 60 == 0 ? edge[x % 10] : (int64_t)x >> (x >> 8) % 63;
		}
		if (v[2] <= 0)
			v[2] = v[2] <= -INT64_MAX ? INT64_MAX : 1 - v[2];
		cr_assert_eq(muldiv_floor_by_hand(v[0], v[1], v[2]), muldiv_floor(v[0], v[1], v[2]), "%lld * %lld / %lld", (long long)v[0],
			     (long long)v[1], (long long)v[2]);
	}
	cr_assert_eq(muldiv_floor_by_hand(-7, 10000000, 3), -23333334);
	cr_assert_eq(muldiv_floor_by_hand(INT64_MIN, 10, 1), INT64_MIN);
	cr_assert_eq(muldiv_floor_by_hand(INT64_MIN, INT64_MIN, INT64_MAX), INT64_MAX);
	cr_assert_eq(muldiv_floor_by_hand(INT64_MAX, -INT64_MAX, INT64_MAX), -INT64_MAX);
}

Test(utf16, surrogates)
{
	static const uint8_t s[] = {0x3d, 0xd8, 0x00, 0xde, 'a', 0, 0x00, 0xd8, 'b', 0, 0x00, 0xdc, 'c'};
	struct buf b, w;

	buf_init(&b);
	utf16_to_utf8(&b, s, sizeof(s));
	cr_assert_str_eq(buf_str(&b), "\xf0\x9f\x98\x80"
				      "a\xef\xbf\xbd"
				      "b\xef\xbf\xbd");
	buf_init(&w);
	utf8_to_utf16(&w, "\xf0\x9f\x98\x80"
			  "a");
	cr_assert_eq(w.n, 6);
	cr_assert_arr_eq(w.p, s, 6);
	buf_free(&b);
	buf_free(&w);
}

Test(note, equal_notes_once_and_a_limit)
{
	struct notes ns;
	struct note n = NOTE_AT(NOTE_PAGE_MISSING, 0x1000, 4096);

	notes_init(&ns);
	notes_add(&ns, &n, "x");
	notes_add(&ns, &n, "x");
	notes_scope(&ns, 0, 2, true, 0xffff);
	notes_add(&ns, &n, "x");
	cr_assert_eq(ns.n, 2);
	cr_assert_eq(ns.v[1].session, 2);
	for (uint64_t i = 0; i < NOTES_MAX + 10; i++) {
		n.va = i << 13;
		notes_add(&ns, &n, "y");
	}
	cr_assert_eq(ns.n, NOTES_MAX + 1);
	cr_assert_eq(ns.v[NOTES_MAX].what, NOTE_LIMIT_REACHED);
	cr_assert_eq(ns.dropped, 12);
	notes_free(&ns);
}

Test(err, prefix_and_scrubbing)
{
	struct err e;

	cr_assert_eq(err_set(&e, ERR_FORMAT, "a\nb"), ERR_FORMAT);
	cr_assert_eq(err_prepend(&e, "%s", "file"), ERR_FORMAT);
	cr_assert_str_eq(e.msg, "file: a?b");
	cr_assert_eq(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

Test(hash, sha256)
{
	char t[SHA256_HEX];

	sha256_of("abc", 3, t);
	cr_assert_str_eq(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(input, memory_and_window)
{
	struct input *in, *w;
	char b[8];

	cr_assert_eq(input_open_memory(&in, "0123456789", 10, "m", NULL), 0);
	cr_assert_eq(input_open_window(&w, in, 4, 100, NULL), 0);
	cr_assert_eq(input_size(w), 6);
	cr_assert_eq(input_read(w, 4, b, 8, NULL), 2);
	cr_assert_eq(memcmp(b, "89", 2), 0);
	cr_assert_eq(input_read_all(w, 4, b, 3, NULL), ERR_TRUNC);
	cr_assert_eq(input_read(w, UINT64_MAX, b, 8, NULL), 0);
	input_close(w);
	input_close(in);
}

static void scratch(char dir[64])
{
	strcpy(dir, "/tmp/etlift-unit-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
}

Test(outfile, appears_whole_and_only_inside)
{
	char dir[64], path[128];
	struct outdir *d;
	struct outfile *f;
	struct err e;
	struct stat st;

	scratch(dir);
	cr_assert_eq(outdir_open(&d, dir, false, &e), 0);
	cr_assert_eq(outfile_create(&f, d, "sessions/a.etl", &e), 0);
	cr_assert_eq(outfile_write(f, "hello", 5, &e), 0);
	cr_assert_eq(outfile_pwrite(f, 1, "E", 1, &e), 0);
	snprintf(path, sizeof(path), "%s/sessions/a.etl", dir);
	cr_assert_eq(stat(path, &st), -1);
	cr_assert_eq(outfile_commit(f, &e), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_size, 5);
	cr_assert_eq(outfile_create(&f, d, "../x", &e), ERR_USAGE);
	cr_assert_eq(outfile_create(&f, d, "/etc/x", &e), ERR_USAGE);
	cr_assert_eq(outfile_create(&f, d, "", &e), ERR_USAGE);
	cr_assert_eq(outfile_create(&f, d, "a/./b", &e), ERR_USAGE);
	cr_assert_eq(outfile_create(&f, d, "dropped", &e), 0);
	outfile_abort(f);
	outdir_close(d);
	cr_assert_eq(outdir_open(&d, dir, false, &e), ERR_EXISTS);
	cr_assert_eq(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/sessions", dir);
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(rmdir(dir), 0);
}

Test(outfile, no_link_is_followed)
{
	char dir[64], path[128];
	struct outdir *d;
	struct outfile *f;

	scratch(dir);
	snprintf(path, sizeof(path), "%s/sessions", dir);
	cr_assert_eq(symlink("/tmp", path), 0);
	cr_assert_eq(outdir_open(&d, dir, true, NULL), 0);
	cr_assert_eq(outfile_create(&f, d, "sessions/a.etl", NULL), ERR_IO);
	outdir_close(d);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(rmdir(dir), 0);
}
