/* mklayer.h - packed files for tests: by the libraries themselves; snappy framing around blocks of libsnappy; S2 blocks by our own hand. */
#ifndef ETLIFT_MKLAYER_H
#define ETLIFT_MKLAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* "gzip", "gzip-members", "zlib", "xz", "xz-blocks", "zstd", "zstd-frames", "zstd-nosize", "lz4", "lz4-linked", "bzip2", "snappy", "s2", "lzop", "lzop-bare" (no checksums), "lzop-members";
 * "snappy-small", "lzop-small": blocks of 1000 bytes. False: not built in. */
bool mklayer(struct buf *out, const char *how, const uint8_t *p, size_t n);

/* Bytes with zeros, text, and noise in them. */
void mklayer_sample(uint8_t *p, size_t n, uint64_t seed);

#endif
