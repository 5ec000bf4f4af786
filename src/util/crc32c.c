/* crc32c.c - see crc32c.h: four bits at a time, a table of sixteen. */
#include "crc32c.h"

/* Entry i: the remainder of i * x^28 ... by the reflected polynomial 0x82f63b78. */
static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
				   0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

uint32_t crc32c(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint32_t c = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		c ^= b[i];
		c = c >> 4 ^ table[c & 15];
		c = c >> 4 ^ table[c & 15];
	}
	return ~c;
}

uint32_t crc32c_masked(const void *p, size_t n)
{
	uint32_t c = crc32c(p, n);

	return (c >> 15 | c << 17) + 0xa282ead8u;
}
