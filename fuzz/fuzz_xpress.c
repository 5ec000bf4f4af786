/* XPRESS streams: nothing is written behind what is asked for, and both entries agree. First two bytes: how much is asked for. */
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "xpress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	free(one);
	free(two);
	return 0;
}
