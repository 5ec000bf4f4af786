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

#endif
