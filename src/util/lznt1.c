/* lznt1.c - see lznt1.h. Chunks of 4096 bytes, each behind a u16 header {bytes that follow - 1 : 12, 3 : 3, packed : 1}. A packed chunk is
 * groups of eight tokens behind a byte of flags, lowest first: 0 a byte, 1 a match of u16 {distance - 1, length - 3} whose split moves with the
 * place in the chunk: the distance has as many bits as the place needs, at least 4. */
#include "lznt1.h"

#include <stdbool.h>
#include <string.h>

#include "err.h"
#include "rd.h"

#define CHUNK 4096u

/* One packed chunk; at most `room` bytes to out. The number made; *broken is set where it can't go on. */
static size_t chunk(const uint8_t *in, size_t n, uint8_t *out, size_t room, int *broken)
{
	size_t at = 0, made = 0;
	unsigned distance_bits = 4;

	while (at < n && made < room) {
		unsigned flags = in[at++];

		for (unsigned i = 0; i < 8 && at < n && made < room; i++, flags >>= 1) {
			unsigned token;
			size_t distance, len;

			if (!(flags & 1)) {
				out[made++] = in[at++];
				continue;
			}
			while (made > (size_t)1 << distance_bits)
				distance_bits++;
			if (n - at < 2) {
				*broken = 1;
				return made;
			}
			token = le16(in + at);
			at += 2;
			distance = (token >> (16 - distance_bits)) + 1;
			len = (token & ((1u << (16 - distance_bits)) - 1)) + 3;
			if (distance > made) {
				*broken = 1;
				return made;
			}
			for (; len && made < room; len--, made++)
				out[made] = out[made - distance];
		}
	}
	return made;
}

size_t lznt1_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken)
{
	size_t at = 0, made = 0;

	*broken = 0;
	while (made < n_out && n_in - at >= 2 && !*broken) {
		unsigned head = le16(in + at);
		size_t n = (head & 0xfff) + 1u, room = n_out - made < CHUNK ? n_out - made : CHUNK, got;
		bool cut;

		if (!head)
			return made;
		if (made % CHUNK || (head >> 12 & 7) != 3) {
			*broken = 1;
			return made;
		}
		at += 2;
		cut = n > n_in - at;
		if (cut)
			n = n_in - at;
		if (head & 0x8000) {
			got = chunk(in + at, n, out + made, room, broken);
		} else {
			got = n < room ? n : room;
			memcpy(out + made, in + at, got);
		}
		made += got;
		at += n;
		if (cut && got < room)
			*broken = 1;
	}
	if (made < n_out && n_in - at == 1 && in[at])
		*broken = 1;
	return made;
}

int64_t lznt1_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
	int broken;
	size_t n = lznt1_unpack_some(in, n_in, out, n_out, &broken);

	return broken ? ERR_FORMAT : (int64_t)n;
}
