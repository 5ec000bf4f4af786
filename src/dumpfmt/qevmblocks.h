/* qevmblocks.h - the list of RAM blocks at the beginning of a QEMU stream's section "ram": their names and sizes, and which of them are the machine's
 * memory. Facts: docs/formats/qevm.md. */
#ifndef ETLIFT_QEVMBLOCKS_H
#define ETLIFT_QEVMBLOCKS_H

#include "qevmmapped.h"

#define QEVM_BLOCKS_MAX 4096u
#define QEVM_NAME_MAX   256u /* a name has a byte of length; with the NUL */

struct qevm_block {
	char name[QEVM_NAME_MAX];
	uint64_t size, base; /* bytes; base: where it begins among the blocks that make up memory */
	bool memory;
	struct qevm_mapped mapped; /* of a list with mapped-ram */
};

struct qevm_blocks {
	struct qevm_block *v; /* QEVM_BLOCKS_MAX of them, which stay where they are; owned */
	size_t n;
	uint64_t ram;           /* bytes of memory, by the list */
	bool doubt;             /* sizes of blocks are not to be relied on */
	bool addresses, mapped; /* what entries have besides a size, by the capabilities: x-ignore-shared, mapped-ram. Set by the caller */
};

/* No block yet. ERR_NOMEM. */
int qevmblocks_new(struct qevm_blocks *l, struct err *e);
void qevmblocks_free(struct qevm_blocks *l);

/* The list at *at, which becomes where it ends; it takes the place of one that came before. `total`: bytes that its blocks are said to have. `before`: as
 * for qevmmapped_take(). Sizes that do not add up are noted, and l->doubt is set. False: there is no list, or with mapped-ram one that breaks off or does
 * not add up; the blocks up to there can be used. */
bool qevmblocks_take(struct qevm_blocks *l, struct input *in, uint64_t before, uint64_t total, uint64_t *at, struct notes *notes);

/* The block of this name, or NULL. */
const struct qevm_block *qevmblocks_named(const struct qevm_blocks *l, const char *name);

#endif
