/* XPRESS with Huffman codes (first byte even) and LZNT1 (odd): nothing is written behind what is asked for, both entries agree, and asking for less
 * gives the beginning of the same. Bytes 1 and 2: how much is asked for, in units of 4. */
#include <stdlib.h>
#include <string.h>

#include "lznt1.h"
#include "rd.h"
#include "xpresshuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t (*some)(const uint8_t *, size_t, uint8_t *, size_t, int *);
	int64_t (*all)(const uint8_t *, size_t, uint8_t *, size_t);
	size_t want, made, half;
	int64_t whole;
	uint8_t *one, *two;
	int broken = 0, ignored = 0;

	if (size < 3)
		return 0;
	some = data[0] & 1 ? lznt1_unpack_some : xpresshuff_unpack_some;
	all = data[0] & 1 ? lznt1_unpack : xpresshuff_unpack;
	want = (size_t)le16(data + 1) * 4;
	one = malloc(want + 1);
	two = malloc(want + 1);
	if (!one || !two)
		abort();
	one[want] = two[want] = 0x5a;
	whole = all(data + 3, size - 3, one, want);
	made = some(data + 3, size - 3, two, want, &broken);
	if (made > want || (whole < 0) != (broken != 0) || (whole >= 0 && (size_t)whole != made) || memcmp(one, two, made) != 0)
		abort();
	if (one[want] != 0x5a || two[want] != 0x5a)
		abort();
	half = some(data + 3, size - 3, one, made / 2, &ignored);
	if (half != made / 2 || memcmp(one, two, half) != 0)
		abort();
	free(one);
	free(two);
	return 0;
}
