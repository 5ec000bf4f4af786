/* mkpack.c - see mkpack.h */
#include "mkpack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

struct token {
	uint32_t len, distance; /* len 1: a byte */
};

#define HASHES 4096u

/* Greedy: the last place with the same three bytes. Returns the number of tokens in t[n]. */
static size_t tokens(struct token *t, const uint8_t *p, size_t n, uint32_t max_distance, uint32_t max_len)
{
	uint32_t last[HASHES]; /* place + 1 */
	size_t n_t = 0, at = 0;

	memset(last, 0, sizeof(last));
	while (at < n) {
		uint32_t len = 0, distance = 0;

		if (n - at >= 3) {
			uint32_t h = (p[at] * 331u + p[at + 1] * 33u + p[at + 2]) % HASHES;

			if (last[h] && at + 1 - last[h] <= max_distance) {
				distance = (uint32_t)(at + 1 - last[h]);
				while (len < max_len && at + len < n && p[at + len] == p[at + len - distance])
					len++;
			}
			last[h] = (uint32_t)at + 1;
		}
		t[n_t++] = len >= 3 ? (struct token){len, distance} : (struct token){1, 0};
		at += len >= 3 ? len : 1;
	}
	return n_t;
}

static void put_xpress_match(struct buf *out, const struct token *t, size_t *half)
{
	uint32_t len = t->len - 3;

	buf_u16(out, (uint16_t)((t->distance - 1) << 3 | (len < 7 ? len : 7)));
	if (len < 7)
		return;
	len -= 7;
	if (*half) {
		out->p[*half] |= (uint8_t)((len < 15 ? len : 15) << 4);
		*half = 0;
	} else {
		*half = out->n;
		buf_u8(out, (uint8_t)(len < 15 ? len : 15));
	}
	if (len < 15)
		return;
	buf_u8(out, (uint8_t)(len - 15 < 255 ? len - 15 : 255));
	if (len - 15 < 255)
		return;
	if (len + 7 < 65536) {
		buf_u16(out, (uint16_t)(len + 7));
	} else {
		buf_u16(out, 0);
		buf_u32(out, len + 7);
	}
}

void mkpack_xpress(struct buf *out, const uint8_t *p, size_t n)
{
	struct token *t = calloc(n + 1, sizeof(*t));
	size_t n_t = t ? tokens(t, p, n, 8192, UINT32_MAX) : 0, half = 0, flags_at = 0;
	uint32_t flags = 0;

	for (size_t i = 0; i < n_t; i++) {
		if (i % 32 == 0) {
			flags = 0;
			flags_at = out->n;
			buf_u32(out, 0);
		}
		if (t[i].len == 1) {
			buf_u8(out, *p);
		} else {
			flags |= UINT32_C(1) << (31 - i % 32);
			put_xpress_match(out, &t[i], &half);
		}
		p += t[i].len;
		/* what is left of the last flags is ones, as the specification asks */
		if (!out->failed)
			put_le32(out->p + flags_at, flags | (i + 1 == n_t && i % 32 != 31 ? UINT32_MAX >> (i % 32 + 1) : 0));
	}
	free(t);
}

/* ---- Huffman ---------------------------------------------------------------------------------------------------------------------------------- */

#define SYMBOLS 512

/* Code lengths of at most 15 bits; rough counts are halved until they fit. */
static void lengths(uint32_t count[SYMBOLS], uint8_t len[SYMBOLS])
{
	for (;;) {
		uint64_t weight[2 * SYMBOLS] = {0};
		uint16_t parent[2 * SYMBOLS] = {0};
		bool open[2 * SYMBOLS] = {false}, deep = false;
		unsigned n_open = 0, next = SYMBOLS;

		for (unsigned s = 0; s < SYMBOLS; s++) {
			weight[s] = count[s];
			open[s] = count[s] != 0;
			n_open += open[s];
		}
		for (; n_open > 1; n_open--, next++) {
			for (unsigned k = 0; k < 2; k++) {
				unsigned least = 2 * SYMBOLS;

				for (unsigned i = 0; i < next; i++)
					if (open[i] && (least == 2 * SYMBOLS || weight[i] < weight[least]))
						least = i;
				open[least] = false;
				parent[least] = (uint16_t)next;
				weight[next] += weight[least];
			}
			open[next] = true;
		}
		memset(len, 0, SYMBOLS);
		for (unsigned s = 0; s < SYMBOLS; s++) {
			for (unsigned i = s; count[s] && parent[i]; i = parent[i])
				len[s]++;
			if (count[s] && !len[s])
				len[s] = 1; /* the only symbol */
			deep |= len[s] > 15;
		}
		if (!deep)
			return;
		for (unsigned s = 0; s < SYMBOLS; s++)
			count[s] = count[s] ? count[s] / 2 + 1 : 0;
	}
}

struct bitout { /* two words stand open: the reader is ahead by one */
	struct buf *out;
	size_t first, second;
	uint32_t word, free;
};

static void put_bits(struct bitout *b, uint32_t v, uint32_t n)
{
	if (b->free >= n) {
		b->free -= n;
		b->word = b->word << n | v;
		return;
	}
	b->word = b->word << b->free | v >> (n - b->free);
	put_le16(b->out->p + b->first, (uint16_t)b->word);
	b->first = b->second;
	b->second = b->out->n;
	buf_u16(b->out, 0);
	b->free += 16 - n;
	b->word = v;
}

static unsigned bit_count(uint32_t v)
{
	unsigned n = 0;

	while (v >> (n + 1))
		n++;
	return n;
}

static unsigned match_symbol(const struct token *t)
{
	return 256 + 16 * bit_count(t->distance) + (t->len - 3 < 15 ? t->len - 3 : 15);
}

static void put_long_length(struct buf *out, uint32_t len)
{
	if (len < 15)
		return;
	buf_u8(out, (uint8_t)(len - 15 < 255 ? len - 15 : 255));
	if (len - 15 < 255)
		return;
	if (len < 65536) {
		buf_u16(out, (uint16_t)len);
	} else {
		buf_u16(out, 0);
		buf_u32(out, len);
	}
}

static void huff_block(struct buf *out, const struct token *t, size_t n_t, const uint8_t *p, bool last)
{
	uint32_t count[SYMBOLS] = {0}, code[SYMBOLS] = {0}, next = 0;
	uint8_t len[SYMBOLS];
	struct bitout b = {.out = out, .free = 16};
	const uint8_t *q = p;

	for (size_t i = 0; i < n_t; q += t[i].len, i++)
		count[t[i].len == 1 ? *q : match_symbol(&t[i])]++;
	count[256] += last;
	lengths(count, len);
	for (unsigned l = 1; l < 16; l++, next <<= 1)
		for (unsigned s = 0; s < SYMBOLS; s++)
			if (len[s] == l)
				code[s] = next++;
	for (unsigned s = 0; s < SYMBOLS; s += 2)
		buf_u8(out, (uint8_t)(len[s] | len[s + 1] << 4));
	b.first = out->n;
	b.second = out->n + 2;
	buf_u32(out, 0);
	for (size_t i = 0; i < n_t && !out->failed; p += t[i].len, i++) {
		unsigned s = t[i].len == 1 ? *p : match_symbol(&t[i]), d = bit_count(t[i].distance);

		put_bits(&b, code[s], len[s]);
		if (t[i].len == 1)
			continue;
		put_long_length(out, t[i].len - 3);
		put_bits(&b, t[i].distance - (1u << d), d);
	}
	if (last)
		put_bits(&b, code[256], len[256]);
	if (!out->failed)
		put_le16(out->p + b.first, (uint16_t)(b.word << b.free));
}

void mkpack_xpresshuff(struct buf *out, const uint8_t *p, size_t n)
{
	struct token *t = calloc(65536, sizeof(*t));

	for (size_t at = 0; t && at < n; at += 65536) {
		size_t len = n - at < 65536 ? n - at : 65536, n_t = tokens(t, p + at, len, 65535, UINT32_MAX);

		huff_block(out, t, n_t, p + at, at + len == n);
	}
	free(t);
}

/* ---- LZNT1 ------------------------------------------------------------------------------------------------------------------------------------- */

static void lznt1_chunk(struct buf *out, const uint8_t *p, size_t n)
{
	size_t head = out->n, n_t = 0, at = 0, flags = 0;

	buf_u16(out, 0);
	while (at < n) { /* the longest match depends on the place: a token at a time */
		unsigned bits = 4, max;
		uint32_t len = 0, distance = 0;

		while (at > (size_t)1 << bits)
			bits++;
		max = (1u << (16 - bits)) + 2;
		for (uint32_t d = 1; d <= at && d <= 256 && len < 16; d++) {
			uint32_t l = 0;

			while (l < max && at + l < n && p[at + l] == p[at + l - d])
				l++;
			if (l > len) {
				len = l;
				distance = d;
			}
		}
		if (n_t % 8 == 0) {
			flags = out->n;
			buf_u8(out, 0);
		}
		if (len >= 3) {
			out->p[flags] |= (uint8_t)(1u << n_t % 8);
			buf_u16(out, (uint16_t)((distance - 1) << (16 - bits) | (len - 3)));
		} else {
			len = 1;
			buf_u8(out, p[at]);
		}
		n_t++;
		at += len;
	}
	if (out->n - head - 2 >= n) { /* no gain: as it is */
		out->n = head + 2;
		buf_put(out, p, n);
		put_le16(out->p + head, (uint16_t)(0x3000 | (n - 1)));
	} else {
		put_le16(out->p + head, (uint16_t)(0xb000 | (out->n - head - 3)));
	}
}

void mkpack_lznt1(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n; at += 4096)
		lznt1_chunk(out, p + at, n - at < 4096 ? n - at : 4096);
}
