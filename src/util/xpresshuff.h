/* xpresshuff.h - XPRESS with Huffman codes (LZ77+Huffman of MS-XCA section 2.2): unpacking only. Plain XPRESS is xpress.h.
 *
 * Used by hibernation files of Windows 8 and later and by WIM archives. */
#ifndef ETLIFT_XPRESSHUFF_H
#define ETLIFT_XPRESSHUFF_H

#include <stddef.h>
#include <stdint.h>

/* Unpacks in[0, n_in) into out; returns the number of bytes made (at most n_out). Stops when n_out bytes are made or at the stream's end
 * mark. A stream that breaks, or ends before either, gives what was made before the break: *broken tells. */
size_t xpresshuff_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken);

/* The same, but a broken stream is ERR_FORMAT. */
int64_t xpresshuff_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out);

#endif
