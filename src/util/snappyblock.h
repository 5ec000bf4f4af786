/* snappyblock.h - blocks of Snappy (format_description.txt of google/snappy) and of S2 (README of klauspost/compress/s2: Snappy with repeated
 * offsets). One decoder for both: libsnappy does not know S2's repeats. */
#ifndef ETLIFT_SNAPPYBLOCK_H
#define ETLIFT_SNAPPYBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The unpacked length that a block claims, by its leading varint; *used = bytes of it. False: none, or above 32 bits. */
bool snappyblock_length(const uint8_t *p, size_t n, uint32_t *length, size_t *used);

/* Unpacks a block into out[0, cap): its length, or -1: damaged, or longer than cap. */
int64_t snappyblock_unpack(const uint8_t *p, size_t n, uint8_t *out, size_t cap);

#endif
