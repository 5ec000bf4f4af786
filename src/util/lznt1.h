/* lznt1.h - LZNT1 (MS-XCA section 2.5): unpacking only. NTFS compression and DumpIt's .zdmp use it. */
#ifndef ETLIFT_LZNT1_H
#define ETLIFT_LZNT1_H

#include <stddef.h>
#include <stdint.h>

/* Unpacks in[0, n_in) into out; returns the number of bytes made (at most n_out). Stops when n_out bytes are made, at an end mark (a chunk
 * header of 0) or where the input ends between chunks. A stream that breaks gives what was made before the break: *broken tells. Only the
 * last chunk may hold less than 4096 bytes. */
size_t lznt1_unpack_some(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, int *broken);

/* The same, but a broken stream is ERR_FORMAT. */
int64_t lznt1_unpack(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out);

#endif
