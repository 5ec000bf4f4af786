/* XPRESS streams: nothing is written behind what is asked for, both entries agree, and so does a decoder here that takes one step at a time. First two
 * bytes: how much is asked for. */
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "xpress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes made until the stream ends, breaks or `want` are there. */
static size_t step_by_step(const uint8_t *p, size_t n, uint8_t *out, size_t want)
{
	size_t at = 0, made = 0, half = 0;
	uint32_t flags = 0;

	for (uint64_t bit = 0; made < want && at < n; bit++) {
		size_t len, distance;

		if (bit % 32 == 0) {
			if (n - at < 4)
				return made;
			flags = le32(p + at);
			at += 4;
			if (at == n)
				return made;
		}
		if (!(flags & 0x80000000u >> bit % 32)) {
			out[made++] = p[at++];
			continue;
		}
		if (n - at < 2)
			return made;
		distance = (size_t)(le16(p + at) >> 3) + 1;
		len = p[at] & 7;
		at += 2;
		if (len == 7) {
			if (!half && at == n)
				return made;
			len += half ? p[half] >> 4 : p[at] & 15;
			half = half ? 0 : at++;
			if (len == 7 + 15) {
				if (at == n)
					return made;
				len += p[at++];
			}
			if (len == 7 + 15 + 255) {
				if (n - at < 2)
					return made;
				len = le16(p + at);
				at += 2;
				if (!len) {
					if (n - at < 4)
						return made;
					len = le32(p + at);
					at += 4;
				}
				if (len < 15 + 7)
					return made;
			}
		}
		if (distance > made)
			return made;
		for (len += 3; len && made < want; len--, made++)
			out[made] = out[made - distance];
	}
	return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t want, some;
	uint8_t *one, *two;
	int64_t made;
	int broken = 0;

	if (size < 2)
		return 0;
	want = le16(data);
	one = malloc(want + 1);
	two = malloc(want + 1);
	if (!one || !two)
		abort();
	one[want] = two[want] = 0x5a;
	made = xpress_unpack(data + 2, size - 2, one, want);
	some = xpress_unpack_some(data + 2, size - 2, two, want, &broken);
	if (some > want || (made < 0) != (broken != 0) || (made >= 0 && (size_t)made != some))
		abort();
	if (memcmp(one, two, some) != 0 || one[want] != 0x5a || two[want] != 0x5a)
		abort();
	if (step_by_step(data + 2, size - 2, one, want) != some || memcmp(one, two, some) != 0)
		abort();
	free(one);
	free(two);
	return 0;
}
