/* blockout.h - for codecs of blocks: bytes of a block, unpacked at once, handed out in pieces. */
#ifndef ETLIFT_BLOCKOUT_H
#define ETLIFT_BLOCKOUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct blockout {
	uint8_t *p; /* owned by the codec */
	size_t n, at;
};

static inline size_t blockout_take(struct blockout *b, uint8_t *buf, size_t n)
{
	size_t k = b->n - b->at < n ? b->n - b->at : n;

	memcpy(buf, b->p + b->at, k);
	b->at += k;
	return k;
}

#endif
