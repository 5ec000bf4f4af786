/* carveblocks.h - which blocks of memory may hold what carving looks for: one pass over all bytes, in the widest vectors that the processor has.
 *
 * Most blocks of memory that is not empty hold nothing: what is looked for in a block is looked for only where its mark stands. */
#ifndef ETLIFT_CARVEBLOCKS_H
#define ETLIFT_CARVEBLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define CARVE_BLOCK 512u
#define CARVE_BLOCK_MARKER                                                                                                                 \
	1u /* a record's first 8 bytes may stand at a multiple of 8, by their marker: 0xc0 behind a type 1 .. 0x15, 0x90 behind 0 */
#define CARVE_BLOCK_ZEROS 2u /* two bytes of zeros stand at a multiple of 2 */
#define CARVE_BLOCK_ENTRY 4u /* of the 8 bytes at a multiple of 8 only the lowest bit of `entry` is set: they may be a page table's entry */

/* out[i]: the marks of p[i * CARVE_BLOCK, (i + 1) * CARVE_BLOCK), for i < n. entry: the valid bit, and those that no entry of this memory has; 0: no such marks. */
void carve_blocks(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out);

/* The same with nothing but what every processor has. For tests. */
void carve_blocks_plain(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out);

#endif
