/* xpress.c - see xpress.h. Flags come 32 at a time, highest bit first: 0 a literal byte, 1 a match of u16 {length - 3 : 3, distance - 1 : 13}; length 7
 * goes on in a half byte shared by two matches, then a byte, then a u16, then a u32. */
#include "xpress.h"

#include <stdbool.h>
#include <string.h>

#include "err.h"
#include "rd.h"

struct stream {
	const uint8_t *p;
	size_t n, at;
	size_t half; /* where a half byte is left over; 0: none (0 is never such a place) */
	bool broken;
};

static uint32_t take(struct stream *s, unsigned bytes)
{
	uint32_t v = 0;

	if (bytes > s->n - s->at) {
		s->broken = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		v |= (uint32_t)s->p[s->at + i] << (8 * i);
	s->at += bytes;
	return v;
}

/* What follows a length of 7: the number that stands for length - 3. */
static uint32_t long_length(struct stream *s)
{
	uint32_t len;

	if (!s->half) {
		s->half = s->at;
		len = take(s, 1) & 15;
	} else {
		len = s->p[s->half] >> 4;
		s->half = 0;
	}
	if (len < 15)
		return len + 7;
	len = take(s, 1);
	if (len < 255)
		return len + 15 + 7;
	len = take(s, 2);
	if (!len)
		len = take(s, 4);
	if (len < 15 + 7)
		s->broken = true;
	return len;
}

/* len bytes from `distance` before o, which they may reach into. */
static size_t copy_match(uint8_t *o, uint32_t distance, size_t len)
{
	const uint8_t *from = o - distance;
	size_t i = 0;

	if (distance >= 8)
		for (; i + 8 <= len; i += 8)
			memcpy(o + i, from + i, 8);
	for (; i < len; i++)
		o[i] = from[i];
	return len;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

#define FAST_IN  40u /* the most that one step of unpack_fast() reads: 32 literals, flags, a match */
#define FAST_OUT 48u /* and writes beyond what it makes: 32 literals, then 16 of a match */

/* A match of `len` bytes, written in blocks of 16 or 8 that may run over its end by 15: there is room. */
static void copy_over(uint8_t *o, uint32_t distance, size_t len)
{
	const uint8_t *from = o - distance;
	size_t i = 0;

	if (distance >= 16)
		for (; i < len; i += 16)
			memcpy(o + i, from + i, 16);
	else if (distance >= 8)
		for (; i < len; i += 8)
			memcpy(o + i, from + i, 8);
	else
		for (; i < len; i++)
			o[i] = from[i];
}

/* The same as the loop of xpress_go_on(), as long as neither end is near: whole blocks are copied. Stops before a step that it can't take. */
static size_t unpack_fast(struct stream *s, uint8_t *out, size_t made, size_t n_out, uint32_t *flags, unsigned *left)
{
	while (s->n - s->at >= FAST_IN && n_out >= made + FAST_OUT) {
		uint32_t distance, match;
		size_t len, half, at;
		unsigned run;

		if (!*left) {
			*flags = le32(s->p + s->at);
			s->at += 4;
			*left = 32;
		}
		run = *flags ? (unsigned)__builtin_clz(*flags) & 31 : *left;
		if (run >= *left) { /* literals to the end of these flags */
			memcpy(out + made, s->p + s->at, 32);
			made += *left;
			s->at += *left;
			*left = 0;
			continue;
		}
		memcpy(out + made, s->p + s->at, 32);
		made += run;
		s->at += run;
		*flags <<= run;
		*left -= run;
		at = s->at;
		half = s->half;
		match = le16(s->p + at);
		s->at += 2;
		distance = (match >> 3) + 1;
		len = match & 7;
		if (len == 7)
			len = long_length(s);
		len += 3;
		if (s->broken || distance > made || n_out - made < len + 16) { /* the careful loop takes it from here */
			s->at = at;
			s->half = half;
			s->broken = false;
			break;
		}
		copy_over(out + made, distance, len);
		made += len;
		*flags <<= 1;
		(*left)--;
	}
	return made;
}

size_t xpress_go_on(struct xpress_at *x, const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	struct stream s = {.p = in, .n = n_in, .at = x->at, .half = x->half};
	uint32_t flags = x->flags; /* the next one is the highest bit */
	unsigned left = x->left;
	size_t made = unpack_fast(&s, out, x->made, n_out, &flags, &left);

	while (made < n_out && !s.broken && (left == 0 || s.at < s.n)) {
		uint32_t match, distance;
		size_t len;
		unsigned run;

		if (!left) {
			if (s.at == s.n)
				break;
			if (s.n - s.at < 4) /* cut in their midst: it goes on from before them, not from the last match */
				*x = (struct xpress_at){.at = s.at, .made = made, .half = s.half};
			flags = take(&s, 4);
			left = 32;
			continue;
		}
		run = flags ? (unsigned)__builtin_clz(flags) : 32;
		if (run) { /* literals */
			run = (unsigned)least(run, left);
			len = least(run, least(s.n - s.at, n_out - made));
			for (size_t i = 0; i < len; i++)
				out[made + i] = s.p[s.at + i];
			made += len;
			s.at += len;
			flags = len < 32 ? flags << len : 0;
			left -= (unsigned)len;
			continue;
		}
		*x = (struct xpress_at){.at = s.at, .made = made, .half = s.half, .flags = flags, .left = left};
		flags <<= 1;
		left--;
		match = take(&s, 2);
		distance = (match >> 3) + 1;
		len = match & 7;
		if (len == 7)
			len = long_length(&s);
		len += 3;
		if (s.broken || distance > made) {
			s.broken = true;
			break;
		}
		made += copy_match(out + made, distance, least(len, n_out - made));
	}
	if (!s.broken)
		*x = (struct xpress_at){.at = s.at, .made = made, .half = s.half, .flags = flags, .left = left};
	*broken = s.broken;
	return made;
}

size_t xpress_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	struct xpress_at x = {0};

	return xpress_go_on(&x, in, n_in, out, n_out, broken);
}

int64_t xpress_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
	int broken;
	size_t n = xpress_unpack_some(in, n_in, out, n_out, &broken);

	return broken ? ERR_FORMAT : (int64_t)n;
}
