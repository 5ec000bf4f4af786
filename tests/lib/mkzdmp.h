/* mkzdmp.h - writes DumpIt's .zdmp and HPAK archives around bytes. */
#ifndef ETLIFT_MKZDMP_H
#define ETLIFT_MKZDMP_H

#include <stdbool.h>

#include "buf.h"

/* Appends the header (to an empty buffer) and blocks of p[0, n). */
void mkzdmp_build(struct buf *b, const uint8_t *p, size_t n, uint32_t block_size);

/* The header and sections of an archive whose memory, of n bytes in the file (plain ones when packed is 0), follows at once. */
void mkhpak_head(struct buf *b, uint64_t n, uint64_t plain, bool packed);

#endif
