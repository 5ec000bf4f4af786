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

size_t xpress_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	struct stream s = {.p = in, .n = n_in};
	uint32_t flags = 0; /* the next one is the highest bit */
	unsigned left = 0;
	size_t made = 0;

	while (made < n_out && !s.broken && (left == 0 || s.at < s.n)) {
		uint32_t match, distance;
		size_t len;
		unsigned run;

		if (!left) {
			if (s.at == s.n)
				break;
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
			flags = run < 32 ? flags << run : 0;
			left -= run;
			continue;
		}
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
	*broken = s.broken;
	return made;
}

int64_t xpress_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
	int broken;
	size_t n = xpress_unpack_some(in, n_in, out, n_out, &broken);

	return broken ? ERR_FORMAT : (int64_t)n;
}
