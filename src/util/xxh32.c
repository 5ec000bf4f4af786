/* xxh32.c - see xxh32.h */
#include "xxh32.h"

#include <string.h>

#include "rd.h"

#define P1 0x9e3779b1u
#define P2 0x85ebca77u
#define P3 0xc2b2ae3du
#define P4 0x27d4eb2fu
#define P5 0x165667b1u

static uint32_t rotl(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static uint32_t lane(uint32_t acc, uint32_t word)
{
	return rotl(acc + word * P2, 13) * P1;
}

static void stripe(struct xxh32 *x, const uint8_t *p)
{
	for (size_t i = 0; i < 4; i++)
		x->v[i] = lane(x->v[i], le32(p + 4 * i));
}

void xxh32_init(struct xxh32 *x)
{
	*x = (struct xxh32){.v = {P1 + P2, P2, 0, 0u - P1}};
}

void xxh32_add(struct xxh32 *x, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t have = (size_t)(x->n % 16), fit = 16 - have;

	x->n += n;
	if (n < fit) {
		memcpy(x->rest + have, p, n);
		return;
	}
	if (have) {
		memcpy(x->rest + have, p, fit);
		stripe(x, x->rest);
		p += fit;
		n -= fit;
	}
	for (; n >= 16; p += 16, n -= 16)
		stripe(x, p);
	memcpy(x->rest, p, n);
}

uint32_t xxh32_end(const struct xxh32 *x)
{
	uint32_t h = x->n >= 16 ? rotl(x->v[0], 1) + rotl(x->v[1], 7) + rotl(x->v[2], 12) + rotl(x->v[3], 18) : P5;
	size_t n = (size_t)(x->n % 16), i = 0;

	h += (uint32_t)x->n;
	for (; i + 4 <= n; i += 4)
		h = rotl(h + le32(x->rest + i) * P3, 17) * P4;
	for (; i < n; i++)
		h = rotl(h + x->rest[i] * P5, 11) * P1;
	h = (h ^ h >> 15) * P2;
	h = (h ^ h >> 13) * P3;
	return h ^ h >> 16;
}

uint32_t xxh32(const void *bytes, size_t n)
{
	struct xxh32 x;

	xxh32_init(&x);
	xxh32_add(&x, bytes, n);
	return xxh32_end(&x);
}
