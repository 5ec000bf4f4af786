/* qevmresync.h - where a QEMU stream goes on behind records that make no sense. What proves a place is the chain of records from there on. Facts:
 * docs/formats/qevm.md. */
#ifndef ETLIFT_QEVMRESYNC_H
#define ETLIFT_QEVMRESYNC_H

#include "qevmblocks.h"

#define QEVM_RESYNC_LOOK ((uint64_t)64 << 20) /* bytes that are searched behind one damaged place */

struct qevm_stream { /* what is known where it broke off */
	struct input *in;
	uint32_t page, ram_id; /* bytes of a page; of the section "ram" */
	const struct qevm_blocks *blocks;
	const struct qevm_block *now; /* of the last record that made sense; NULL: none came */
	uint64_t last;                /* its offset in that block */
	uint64_t here;                /* file offset of the record that makes no sense */
};

/* The first record of pages, or the end of a part, behind s->here. A record that names no block belongs to `now` only when its page can be one of those
 * that follow `last`: each takes 9 bytes at least. One behind a
 * plain page, and of the next page but one, needs no chain. False: there is none so near. */
bool qevmresync_find(const struct qevm_stream *s, uint64_t *found);

#define QEVM_RAM_HEAD 12u /* bytes behind the section's id, before its first record: the name and its length, instance, version */

/* Where the section "ram" begins (its type byte), at or behind `from`, when what stands before it could not be read. The length of its name may lie. */
bool qevmresync_ram(struct input *in, uint64_t from, uint64_t *found);

#endif
