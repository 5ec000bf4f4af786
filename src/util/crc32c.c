/* crc32c.c - see crc32c.h: by the processor's own instruction where it has one (x86-64 with SSE 4.2), else four bits at a time, a table of sixteen. */
#include "crc32c.h"

#include <string.h>

/* Entry i: the remainder of i * x^28 ... by the reflected polynomial 0x82f63b78. */
static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
				   0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_INSTRUCTION() __builtin_cpu_supports("sse4.2")
__attribute__((target("sse4.2"))) static uint32_t by_instruction(const uint8_t *b, size_t n)
{
	uint64_t c = UINT32_MAX, v;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&v, b, 8);
		c = __builtin_ia32_crc32di(c, v);
	}
	for (; n; n--, b++)
		c = __builtin_ia32_crc32qi((uint32_t)c, *b);
	return ~(uint32_t)c;
}
#else
#define HAS_INSTRUCTION() 0
static uint32_t by_instruction(const uint8_t *b, size_t n)
{
	(void)b, (void)n;
	return 0;
}
#endif

static uint32_t by_table(const uint8_t *b, size_t n)
{
	uint32_t c = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		c ^= b[i];
		c = c >> 4 ^ table[c & 15];
		c = c >> 4 ^ table[c & 15];
	}
	return ~c;
}

uint32_t crc32c(const void *p, size_t n)
{
	return HAS_INSTRUCTION() ? by_instruction(p, n) : by_table(p, n);
}

uint32_t crc32c_masked(const void *p, size_t n)
{
	uint32_t c = crc32c(p, n);

	return (c >> 15 | c << 17) + 0xa282ead8u;
}
