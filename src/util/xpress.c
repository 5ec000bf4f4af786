/* xpress.c - see xpress.h. Flags come 32 at a time, highest bit first: 0 a literal byte, 1 a match of u16 {length - 3 : 3, distance - 1 : 13}; length 7
 * goes on in a half byte shared by two matches, then a byte, then a u16, then a u32. */
#include "xpress.h"

#include <stdbool.h>

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

size_t xpress_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	struct stream s = {.p = in, .n = n_in};
	uint32_t flags = 0;
	unsigned left = 0;
	size_t made = 0;

	while (made < n_out) {
		uint32_t match, distance;
		size_t len;

		if (!left) {
			if (s.at == s.n)
				break;
			flags = take(&s, 4);
			left = 32;
		}
		left--;
		if (s.broken || s.at == s.n)
			break;
		if (!(flags >> left & 1)) {
			out[made++] = s.p[s.at++];
			continue;
		}
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
		for (; len && made < n_out; len--, made++)
			out[made] = out[made - distance];
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
