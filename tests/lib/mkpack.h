/* mkpack.h - simple encoders for what src/util unpacks: greedy matches, no cleverness. */
#ifndef ETLIFT_MKPACK_H
#define ETLIFT_MKPACK_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

void mkpack_xpress(struct buf *out, const uint8_t *p, size_t n);     /* plain LZ77 XPRESS */
void mkpack_xpresshuff(struct buf *out, const uint8_t *p, size_t n); /* with Huffman codes, end mark behind the last block */
void mkpack_lznt1(struct buf *out, const uint8_t *p, size_t n);      /* chunks; no end mark */

#endif
