/* qevmmapped.h - RAM blocks of a QEMU stream with mapped-ram (QEMU 9.0 and later): each has its pages at fixed places of the file, and a bitmap of those
 * that were written; the others are zeros. What a block is for, qevm.c knows. Facts: docs/formats/qevm.md. */
#ifndef ETLIFT_QEVMMAPPED_H
#define ETLIFT_QEVMMAPPED_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "input.h"
#include "note.h"

struct qevm_mapped {
	uint64_t size;                  /* bytes of the block */
	uint64_t bitmap_off, pages_off; /* in the input */
	uint64_t page_size;             /* as its header says */
	bool left_out;                  /* by QEMU: both offsets are 0 (memory that is shared with others) */
	/* from qevmmapped_load() on */
	uint32_t page;  /* bytes of one */
	uint64_t there; /* bytes from its beginning that can be read; whole pages */
	uint8_t *bits;  /* owned; NULL: every page is taken from the file */
};

/* The header at *at, behind a block's entry in the list; then *at is where the next entry stands. `before`: bytes of the file before `in`, from where the
 * header's offsets count. False: cut short, of a version that is not known, or the pages can't stand where it says. */
bool qevmmapped_take(struct qevm_mapped *m, struct input *in, uint64_t before, uint64_t size, uint64_t *at);

/* Reads the bitmap; names what is not there of the block. The size is one that qevm.c believes. 0 or ERR_*: out of memory, or the input fails. */
int qevmmapped_load(struct qevm_mapped *m, struct input *in, struct notes *notes, const char *name, struct err *e);
void qevmmapped_free(struct qevm_mapped *m);

/* All of [off, off + n) of the block, which is inside of m->there. 0 or ERR_*. Safe from several threads. */
int qevmmapped_read(const struct qevm_mapped *m, struct input *in, uint64_t off, void *buf, size_t n);

#endif
