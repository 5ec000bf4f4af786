/* src/util: XPRESS with Huffman codes and LZNT1: the streams of MS-XCA section 3, streams cut and changed, what the encoders pack. Plain XPRESS is
 * in test_etl.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "lznt1.h"
#include "mkpack.h"
#include "rd.h"
#include "xpress.h"
#include "xpresshuff.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

/* MS-XCA 3.2, first example */
static size_t alphabet(uint8_t *in)
{
	static const uint8_t table[14] = {0x50, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x45, 0x44, 0x04};
	static const uint8_t codes[20] = {0xd8, 0x52, 0x3e, 0xd7, 0x94, 0x11, 0x5b, 0xe9, 0x19, 0x5f, 0xf9, 0xd6, 0x7c, 0xdf, 0x8d, 0x04};

	memset(in, 0, 256);
	memcpy(in + 0x30, table, sizeof(table));
	in[0x80] = 4;
	memcpy(in + 256, codes, sizeof(codes));
	return 256 + sizeof(codes);
}

/* MS-XCA 3.2, second example: "abc" a hundred times */
static size_t hundred(uint8_t *in)
{
	static const uint8_t codes[7] = {0xa8, 0xdc, 0x00, 0x00, 0xff, 0x26, 0x01};

	memset(in, 0, 256);
	in[0x30] = 0x30;
	in[0x31] = 0x23;
	in[0x80] = 2;
	in[0x8f] = 0x20;
	memcpy(in + 256, codes, sizeof(codes));
	return 256 + sizeof(codes);
}

Test(codecs, xpresshuff_specification)
{
	uint8_t in[512], out[400];
	size_t n = alphabet(in);
	int broken;

	cr_assert_eq(xpresshuff_unpack(in, n, out, 26), 26);
	cr_assert_arr_eq(out, letters, 26);
	/* more room than data: the end mark ends it. The example is padded with zeros behind the mark */
	cr_assert_eq(xpresshuff_unpack_some(in, n, out, sizeof(out), &broken), 26);
	n = hundred(in);
	cr_assert_eq(xpresshuff_unpack(in, n, out, 300), 300);
	for (size_t i = 0; i < 300; i++)
		cr_assert_eq(out[i], "abc"[i % 3]);
	cr_assert_eq(xpresshuff_unpack(in, n, out, sizeof(out)), 300);
	cr_assert_eq(xpresshuff_unpack(in, n, out, 100), 100);
}

Test(codecs, xpresshuff_cut)
{
	uint8_t in[512], out[400];
	size_t n = alphabet(in), made, last = 0;
	int broken;

	for (size_t cut = 0; cut + 5 < n; cut++) {
		made = xpresshuff_unpack_some(in, cut, out, 26, &broken);
		cr_assert(broken, "cut at %zu", cut);
		cr_assert(made >= last && made < 26);
		cr_assert_arr_eq(out, letters, made); /* nothing is made up */
		last = made;
	}
	cr_assert_geq(last, 20);
	n = hundred(in);
	for (size_t cut = 0; cut < n; cut++)
		cr_assert_leq(xpresshuff_unpack_some(in, cut, out, 300, &broken), 3);
}

Test(codecs, xpresshuff_bad_tables)
{
	uint8_t in[512], out[400];
	size_t n = alphabet(in);
	int broken;

	memset(in, 0, 256); /* no code at all */
	cr_assert_eq(xpresshuff_unpack(in, n, out, 26), ERR_FORMAT);
	memset(in, 0x11, 256); /* 512 codes of one bit */
	cr_assert_eq(xpresshuff_unpack(in, n, out, 26), ERR_FORMAT);
	memset(in, 0, 256);
	in[0x30] = 2; /* one code of two bits: the other three are none */
	in[257] = 0x3f;
	cr_assert_eq(xpresshuff_unpack_some(in, n, out, 26, &broken), 1);
	cr_assert(broken);
	cr_assert_eq(out[0], 0x60);
	n = hundred(in);
	in[0x8f] = 0; /* the match's distance has more bits than bytes were made */
	in[0x9f] = 0x20;
	cr_assert_eq(xpresshuff_unpack_some(in, n, out, 300, &broken), 3);
	cr_assert(broken);
}

Test(codecs, lznt1_specification)
{
	static const uint8_t in[] = {0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2, 0x47,
				     0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0, 0x45, 0x20,
				     0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58, 0x02, 0x8c, 0x09,
				     0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01, 0x18, 0x90, 0x00};
	static const char want[] =
		"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E "
		"A F# F# G A A G F# E D D E F# E D D";
	uint8_t out[4096];
	int broken;

	cr_assert_eq(sizeof(want), 142);
	cr_assert_eq(lznt1_unpack(in, sizeof(in), out, sizeof(out)), 142);
	cr_assert_arr_eq(out, want, 142);
	cr_assert_eq(lznt1_unpack(in, sizeof(in), out, 100), 100);
	for (size_t cut = 0; cut < sizeof(in); cut++) {
		size_t made = lznt1_unpack_some(in, cut, out, sizeof(out), &broken);

		cr_assert_lt(made, 142);
		cr_assert_arr_eq(out, want, made);
		cr_assert(broken || cut == 0, "cut at %zu", cut);
	}
}

Test(codecs, lznt1_rules)
{
	uint8_t in[8300] = {0x01, 0x30, 'a', 'b'}, out[8192];
	int broken;

	cr_assert_eq(lznt1_unpack(in, 4, out, sizeof(out)), 2);
	cr_assert_eq(lznt1_unpack(in, 6, out, sizeof(out)), 2); /* an end mark */
	put_le16(in + 4, 0x3000);
	in[6] = 'c'; /* a chunk behind a short one */
	cr_assert_eq(lznt1_unpack_some(in, 7, out, sizeof(out), &broken), 2);
	cr_assert(broken);
	put_le16(in, 0x2001); /* wrong signature */
	cr_assert_eq(lznt1_unpack(in, 4, out, sizeof(out)), ERR_FORMAT);
	memcpy(in, "\x03\xb0\x02x\x00\x10", 6); /* a distance of 2 behind one byte */
	cr_assert_eq(lznt1_unpack_some(in, 6, out, sizeof(out), &broken), 1);
	cr_assert(broken);
}

static uint8_t *text(size_t n, unsigned kind)
{
	uint8_t *p = malloc(n + 1);
	uint32_t x = 12345 + kind;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)(x >> 24) : kind == 2 ? (uint8_t)(i / 700) : (uint8_t) "etlift "[(x >> 29) % 7];
	}
	return p;
}

static void round_trip(const uint8_t *p, size_t n, void pack(struct buf *, const uint8_t *, size_t),
		       int64_t unpack(const uint8_t *, size_t, uint8_t *, size_t))
{
	struct buf b;
	uint8_t *in, *out = malloc(n + 1);

	buf_init(&b);
	pack(&b, p, n);
	in = malloc(b.n ? b.n : 1); /* exact size: one byte too far is seen */
	if (b.n)
		memcpy(in, b.p, b.n);
	cr_assert_eq(unpack(in, b.n, out, n), (int64_t)n);
	cr_assert_arr_eq(out, p, n);
	free(in);
	free(out);
	buf_free(&b);
}

Test(codecs, what_was_packed_comes_out)
{
	static const size_t sizes[] = {1, 2, 3, 17, 255, 4095, 4096, 4097, 65535, 65536, 65537, 200000};

	for (unsigned kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t *p = text(sizes[i], kind);

			round_trip(p, sizes[i], mkpack_xpress, xpress_unpack);
			round_trip(p, sizes[i], mkpack_xpresshuff, xpresshuff_unpack);
			round_trip(p, sizes[i], mkpack_lznt1, lznt1_unpack);
			free(p);
		}
}
