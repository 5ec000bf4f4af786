/* copies.h - one buffer met twice: whole here, with a page lost there. Records of two buffers that stand at the same place in the buffer as it was, byte for
 * byte, are one record: a consumer's copy, a file's page in the cache, a buffer that has gone on since. What only one of them has is nobody's copy. */
#ifndef ETLIFT_COPIES_H
#define ETLIFT_COPIES_H

#include "etw.h"
#include "evhdr.h"

struct etw_place {    /* zeroed: before the first record */
	uint32_t off; /* in body, of the record behind the one that was given */
	uint32_t at;  /* of the record that was given, in the buffer as it was */
	uint32_t next;
	size_t gap;
};

/* The next record of b->body into *r (r->off: in body). False: there is none. */
bool etw_next_record(const struct etw_buffer *b, struct etw_place *p, struct etw_record *r);

/* Does another buffer have the record that stands at `at` of the buffer as it was? */
typedef bool etw_has_record(void *ctx, uint32_t at, const uint8_t *rec, uint32_t size);

/* How many of b's records there are elsewhere. */
uint32_t etw_count_copied(const struct etw_buffer *b, etw_has_record *has, void *ctx);

/* Takes those out of b; gaps name them (ETW_COPIED). 0 or ERR_NOMEM (b as it was). */
int etw_drop_copied(struct etw_buffer *b, etw_has_record *has, void *ctx);

/* An etw_has_record whose ctx is a struct etw_other: records of one buffer, asked for with `at` ascending. Zeroed but for b. */
struct etw_other {
	const struct etw_buffer *b;
	struct etw_place p;
	struct etw_record r;
	bool more, begun;
};
bool etw_other_has(void *other, uint32_t at, const uint8_t *rec, uint32_t size);

#endif
