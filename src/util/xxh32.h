/* xxh32.h - XXH32 with seed 0, which LZ4's frames use for their checksums (xxHash's xxhash_spec.md). */
#ifndef ETLIFT_XXH32_H
#define ETLIFT_XXH32_H

#include <stddef.h>
#include <stdint.h>

struct xxh32 { /* may be copied: a snapshot has one */
	uint32_t v[4];
	uint8_t rest[16]; /* n % 16 bytes */
	uint64_t n;
};

void xxh32_init(struct xxh32 *x);
void xxh32_add(struct xxh32 *x, const void *bytes, size_t n);
uint32_t xxh32_end(const struct xxh32 *x); /* x may go on */

uint32_t xxh32(const void *bytes, size_t n);

#endif
