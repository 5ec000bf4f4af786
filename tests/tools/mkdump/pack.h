/* pack.h - plain LZ77 of MS-XCA (section 2.3), greedy, written from its text: what the kernel packs full buffers with. */
#ifndef ETLIFT_PACK_H
#define ETLIFT_PACK_H

#include <stdint.h>

/* Packs n bytes to out (at least n + n / 8 + 16 bytes of room); the packed size. */
uint32_t pack_xpress(const uint8_t *in, uint32_t n, uint8_t *out);

#endif
