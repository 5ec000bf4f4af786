/* xpress.h - plain LZ77 "XPRESS" of MS-XCA section 2.4 (no Huffman): unpacking only. */
#ifndef ETLIFT_XPRESS_H
#define ETLIFT_XPRESS_H

#include <stddef.h>
#include <stdint.h>

/* Unpacks in[0, n_in) into out; returns the number of bytes made (at most n_out), or ERR_FORMAT when the stream is broken. Stops when n_out
 * bytes are made or the input ends where a symbol would begin. */
int64_t xpress_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out);

/* The same, but a broken stream gives what was made before the break: *broken tells. */
size_t xpress_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken);

struct xpress_at { /* how far a stream was read, between two symbols; zeroed: its beginning */
	size_t at, made, half;
	uint32_t flags;
	unsigned left;
};

/* Goes on from *x, with the same `in` (of which there may be more now) and `out`. Returns how many bytes are made. *x stands before the last symbol
 * where that is broken (the end of the input breaks one too), so that more input can mend it; where `n_out` cut a match there is no going on. */
size_t xpress_go_on(struct xpress_at *x, const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken);

#endif
