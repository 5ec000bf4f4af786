/* pack.c - see pack.h */
#include "pack.h"

#include <string.h>

#include "rd.h"

#define HASH_BITS 12
#define WINDOW    8192u /* an offset has 13 bits */
#define LEAST     3u

struct packer {
	uint8_t *out;
	uint32_t o, flags_at, flags, n_flags;
	uint32_t half; /* where the last half-used length byte stands; 0: none */
};

static void flag(struct packer *p, unsigned bit)
{
	p->flags = p->flags << 1 | bit;
	if (++p->n_flags == 32) {
		put_le32(p->out + p->flags_at, p->flags);
		p->flags_at = p->o;
		p->o += 4;
		p->flags = p->n_flags = 0;
	}
}

static void put_length(struct packer *p, uint32_t n) /* the match's length - 3 - 7 */
{
	uint8_t low = n < 15 ? (uint8_t)n : 15;

	if (p->half) {
		p->out[p->half] |= (uint8_t)(low << 4);
		p->half = 0;
	} else {
		p->half = p->o;
		p->out[p->o++] = low;
	}
	if (n < 15)
		return;
	n -= 15;
	if (n < 255) {
		p->out[p->o++] = (uint8_t)n;
		return;
	}
	p->out[p->o++] = 255;
	n += 15 + 7;
	if (n < 0x10000) {
		put_le16(p->out + p->o, (uint16_t)n);
		p->o += 2;
	} else {
		put_le16(p->out + p->o, 0);
		put_le32(p->out + p->o + 2, n);
		p->o += 6;
	}
}

static void put_match(struct packer *p, uint32_t offset, uint32_t len)
{
	uint32_t n = len - LEAST;

	put_le16(p->out + p->o, (uint16_t)((offset - 1) << 3 | (n < 7 ? n : 7)));
	p->o += 2;
	if (n >= 7)
		put_length(p, n - 7);
}

static uint32_t hash_of(const uint8_t *p)
{
	return ((uint32_t)(p[0] | p[1] << 8 | p[2] << 16) * 2654435761u) >> (32 - HASH_BITS);
}

uint32_t pack_xpress(const uint8_t *in, uint32_t n, uint8_t *out)
{
	uint32_t seen[1 << HASH_BITS] = {0}; /* place + 1 */
	struct packer p = {.out = out, .o = 4};

	for (uint32_t i = 0; i < n;) {
		uint32_t len = 0, from = 0;

		if (n - i >= LEAST) {
			uint32_t *slot = &seen[hash_of(in + i)];

			from = *slot;
			*slot = i + 1;
			if (from && i - (from - 1) <= WINDOW)
				while (i + len < n && in[from - 1 + len] == in[i + len])
					len++;
		}
		/* the flag word may have to stand before the item: reserve it only when the item is out */
		if (len >= LEAST) {
			put_match(&p, i - (from - 1), len);
			i += len;
			flag(&p, 1);
		} else {
			out[p.o++] = in[i++];
			flag(&p, 0);
		}
	}
	p.flags = p.n_flags ? p.flags << (32 - p.n_flags) | ((UINT32_C(1) << (32 - p.n_flags)) - 1) : UINT32_MAX;
	put_le32(out + p.flags_at, p.flags);
	return p.o;
}
