/* xpresshuff.c - see xpresshuff.h. For each 64 KiB of output: 256 bytes with the code lengths of 512 symbols (4 bits each, the even symbol in
 * the low half), then codes in 16-bit words, highest bit first. Symbols 0 to 255 are bytes; symbol 256 + 16 * d + n is a match: d bits
 * of distance follow below a leading 1, its length is n + 3. With n = 15 a byte (or 255 and a u16, or 255, 0 and a u32) stands between the
 * words, at the place of the next word, and gives the length. Symbol 256 at the end of the input is the end mark. */
#include "xpresshuff.h"

#include <stdbool.h>
#include <string.h>

#include "err.h"
#include "rd.h"

#define SYMBOLS 512u
#define TABLE   256u /* bytes of code lengths */
#define BLOCK   65536u
#define MAXLEN  15u
#define FAST    11u /* bits looked up at once */

struct codes {
	uint16_t fast[1u << FAST];  /* symbol << 4 | length; 0: longer, or no such code */
	uint16_t sorted[SYMBOLS];   /* by length, then number */
	uint16_t first[MAXLEN + 1]; /* code of the first symbol of this length */
	uint16_t at[MAXLEN + 1];    /* where it stands in `sorted` */
	uint16_t n[MAXLEN + 1];     /* codes of this length */
};

struct bits {
	const uint8_t *p;
	size_t n, at;
	uint32_t next; /* the next bits, from the top; 16 + extra of them count */
	int extra;
	uint32_t over; /* words taken past the end: they read as zeros */
};

static bool build(struct codes *c, const uint8_t table[TABLE])
{
	uint32_t code = 0, k = 0;

	memset(c, 0, sizeof(*c));
	for (uint32_t s = 0; s < SYMBOLS; s++)
		c->n[table[s / 2] >> (s % 2 * 4) & 15]++;
	c->n[0] = 0;
	for (uint32_t len = 1; len <= MAXLEN; len++, code <<= 1) {
		c->first[len] = (uint16_t)code;
		c->at[len] = (uint16_t)k;
		if (c->n[len] > (1u << len) - code)
			return false; /* more codes than there are */
		for (uint32_t s = 0; s < SYMBOLS; s++) {
			if ((table[s / 2] >> (s % 2 * 4) & 15u) != len)
				continue;
			c->sorted[k++] = (uint16_t)s;
			if (len <= FAST)
				for (uint32_t i = 0; i < 1u << (FAST - len); i++)
					c->fast[(code << (FAST - len)) + i] = (uint16_t)(s << 4 | len);
			code++;
		}
	}
	return k != 0;
}

static uint32_t word(struct bits *b)
{
	uint32_t w;

	if (b->n - b->at < 2) {
		b->over++;
		b->at = b->n; /* half a word is none, and not a length either */
		return 0;
	}
	w = le16(b->p + b->at);
	b->at += 2;
	return w;
}

static void begin(struct bits *b)
{
	b->next = word(b) << 16;
	b->next |= word(b);
	b->extra = 16;
}

static void drop(struct bits *b, uint32_t n)
{
	b->next = n ? b->next << n : b->next;
	b->extra -= (int)n;
	if (b->extra < 0) {
		b->next |= word(b) << -b->extra;
		b->extra += 16;
	}
}

/* Bits were used that the input does not have. */
static bool past_end(const struct bits *b)
{
	return (int)(b->over * 16) > b->extra + 16;
}

/* The next symbol, or -1. */
static int symbol(const struct codes *c, struct bits *b)
{
	uint32_t hit = c->fast[b->next >> (32 - FAST)];

	if (hit) {
		drop(b, hit & 15);
		return (int)(hit >> 4);
	}
	for (uint32_t len = FAST + 1; len <= MAXLEN; len++) {
		uint32_t i = (b->next >> (32 - len)) - c->first[len];

		if (i < c->n[len]) {
			drop(b, len);
			return c->sorted[c->at[len] + i];
		}
	}
	return -1;
}

/* What stands between the words for a length of 15 and more; 0: nothing valid. */
static uint32_t long_length(struct bits *b)
{
	uint32_t len;

	if (b->n - b->at < 1)
		return 0;
	len = b->p[b->at++];
	if (len < 255)
		return len + 15;
	if (b->n - b->at < 2)
		return 0;
	len = le16(b->p + b->at);
	b->at += 2;
	if (!len) {
		if (b->n - b->at < 4)
			return 0;
		len = le32(b->p + b->at);
		b->at += 4;
	}
	return len >= 15 ? len : 0;
}

/* One block of at most `room` bytes behind out[made]; *made grows. False: broken, or *end. */
static bool block(const struct codes *c, struct bits *b, uint8_t *out, size_t *made, size_t room, bool *end)
{
	size_t stop = *made + room, at = *made;

	while (at < stop) {
		int s = symbol(c, b);
		uint32_t d;
		size_t len, distance;

		*end = s == 256 && b->at == b->n && !past_end(b) && b->next == 0;
		if (s < 0 || past_end(b) || *end)
			break;
		if (s < 256) {
			out[at++] = (uint8_t)s;
			continue;
		}
		len = (uint32_t)s & 15;
		d = ((uint32_t)s - 256) >> 4;
		if (len == 15 && (len = long_length(b)) == 0)
			break;
		len += 3;
		distance = (size_t)1 << d | (d ? b->next >> (32 - d) : 0);
		drop(b, d);
		if (past_end(b) || distance > at)
			break;
		for (; len && at < stop; len--, at++)
			out[at] = out[at - distance];
	}
	*made = at;
	return at == stop;
}

size_t xpresshuff_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	struct bits b = {.p = in, .n = n_in};
	size_t made = 0;
	bool end = false, ok = true;

	while (ok && made < n_out) {
		struct codes c;

		ok = b.n - b.at >= TABLE && build(&c, b.p + b.at);
		if (!ok)
			break;
		b.at += TABLE;
		begin(&b);
		ok = block(&c, &b, out, &made, n_out - made < BLOCK ? n_out - made : BLOCK, &end);
	}
	*broken = !ok && !end;
	return made;
}

int64_t xpresshuff_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
	int broken;
	size_t n = xpresshuff_unpack_some(in, n_in, out, n_out, &broken);

	return broken ? ERR_FORMAT : (int64_t)n;
}
