/* XPRESS with Huffman codes (first byte modulo 4: 0), LZNT1 (1), plain XPRESS whose input comes in pieces (2), blocks of Snappy and S2 (3): nothing is
 * written behind what is asked for, all entries agree, asking for less gives the beginning of the same, and so does a decoder here that takes one
 * byte at a time (3; plain XPRESS has one in fuzz_xpress.c). Bytes 1 and 2: how much is asked for, in units of 4. */
#include <stdlib.h>
#include <string.h>

#include "lznt1.h"
#include "rd.h"
#include "snappyblock.h"
#include "xpress.h"
#include "xpresshuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pages(bool lznt1, const uint8_t *p, size_t n, uint8_t *one, uint8_t *two, size_t want)
{
	size_t made, half;
	int broken = 0, ignored = 0;
	int64_t whole = lznt1 ? lznt1_unpack(p, n, one, want) : xpresshuff_unpack(p, n, one, want);

	made = lznt1 ? lznt1_unpack_some(p, n, two, want, &broken) : xpresshuff_unpack_some(p, n, two, want, &broken);
	if (made > want || (whole < 0) != (broken != 0) || (whole >= 0 && (size_t)whole != made) || memcmp(one, two, made) != 0)
		abort();
	half = lznt1 ? lznt1_unpack_some(p, n, one, made / 2, &ignored) : xpresshuff_unpack_some(p, n, one, made / 2, &ignored);
	if (half != made / 2 || memcmp(one, two, half) != 0)
		abort();
}

/* Cut anywhere and gone on with, a stream gives what the whole gives, and no cut gives more than that. */
static void pieces(const uint8_t *p, size_t n, uint8_t *one, uint8_t *two, size_t want)
{
	int broken = 0, now = 0;
	size_t whole = xpress_unpack_some(p, n, one, want, &broken), made = 0, step = n ? 1 + p[n / 2] % 61 : 1;
	struct xpress_at x = {0};

	for (size_t have = 0; made < want; have += step < n - have ? step : n - have) {
		uint8_t *exact = malloc(have ? have : 1); /* one byte too far is seen */

		if (!exact)
			abort();
		memcpy(exact, p, have);
		made = xpress_go_on(&x, exact, have, two, want, &now);
		free(exact);
		if (made > whole || memcmp(one, two, made) != 0)
			abort();
		if (have == n)
			break;
	}
	if (made != whole || (made < want && now != broken))
		abort();
}

/* The same as snappyblock_unpack(), a byte at a time. */
static int64_t byte_by_byte(const uint8_t *p, size_t n, uint8_t *out, size_t cap)
{
	size_t made = 0, at, last = 0;
	uint32_t length;

	if (!snappyblock_length(p, n, &length, &at) || length > cap)
		return -1;
	while (at < n) {
		unsigned tag = p[at++], kind = tag & 3;
		size_t more = kind == 0 ? (tag >> 2 < 60 ? 0 : (tag >> 2) - 59) : kind == 3 ? 4 : kind, v = 0, len;

		if (more > n - at)
			return -1;
		for (size_t i = 0; i < more; i++)
			v |= (size_t)p[at++] << (8 * i);
		len = kind == 0 ? (more ? v : tag >> 2) + 1 : kind == 1 ? 4 + (tag >> 2 & 7) : 1 + (tag >> 2);
		if (kind == 1)
			v |= (size_t)(tag >> 5) << 8;
		if (kind == 1 && v == 0) {
			static const size_t base[] = {8, 260, 65540};
			size_t extra = 0;

			more = len < 9 ? 0 : len - 8;
			if (last == 0 || more > n - at)
				return -1;
			for (size_t i = 0; i < more; i++)
				extra |= (size_t)p[at++] << (8 * i);
			len = more ? base[more - 1] + extra : len;
			v = last;
		}
		if (len > length - made || (kind == 0 ? len > n - at : v == 0 || v > made))
			return -1;
		for (size_t i = 0; i < len; i++, made++)
			out[made] = kind == 0 ? p[at++] : out[made - v];
		last = kind ? v : last;
	}
	return made == length ? (int64_t)made : -1;
}

static void blocks(const uint8_t *p, size_t n, uint8_t *one, uint8_t *two, size_t want)
{
	int64_t made = snappyblock_unpack(p, n, one, want);
	uint32_t length = 0;
	size_t used;

	if (made > (int64_t)want || byte_by_byte(p, n, two, want) != made || (made > 0 && memcmp(one, two, (size_t)made) != 0))
		abort();
	if (snappyblock_length(p, n, &length, &used) && length < want && one[length] != 0x5a)
		abort(); /* there is room behind it, which is not the block's */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t want;
	uint8_t *one, *two;

	if (size < 3)
		return 0;
	want = (size_t)le16(data + 1) * 4;
	one = malloc(want + 1);
	two = malloc(want + 1);
	if (!one || !two)
		abort();
	one[want] = two[want] = 0x5a;
	if (data[0] % 4 == 3)
		memset(one, 0x5a, want);
	if (data[0] % 4 < 2)
		pages(data[0] % 4 == 1, data + 3, size - 3, one, two, want);
	else if (data[0] % 4 == 2)
		pieces(data + 3, size - 3, one, two, want);
	else
		blocks(data + 3, size - 3, one, two, want);
	if (one[want] != 0x5a || two[want] != 0x5a)
		abort();
	free(one);
	free(two);
	return 0;
}
