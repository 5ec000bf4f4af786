/* fakekern.h - a small machine in memory for tests of recover: real page tables, a real profile, structures put by member name.
 *
 * Not the image builder (tests/tools/mkdump makes whole dumps): here a test lays down one structure after another and can take any page away. */
#ifndef ETLIFT_FAKEKERN_H
#define ETLIFT_FAKEKERN_H

#include "etw.h"
#include "kernel.h"

#define FK_BASE UINT64_C(0xffff900000000000) /* where fk_pages() maps */

struct fk {
	uint8_t *mem; /* physical memory from 0 */
	size_t size, used;
	uint64_t next; /* next kernel address */
	struct phys *phys;
	struct kernel k;
	struct notes notes;
	struct etw_system sys;
};

/* A machine with the first layout variant of `build`, no symbols. False: this build is not compiled in. */
bool fk_open(struct fk *f, uint32_t build, size_t bytes);
void fk_open_profile(struct fk *f, const struct profile *p, size_t bytes);
void fk_close(struct fk *f);

uint64_t fk_pages(struct fk *f, size_t n);               /* n zeroed pages that follow each other, with a page unmapped behind them */
uint64_t fk_dtb(struct fk *f);                           /* another address space that shares the kernel half */
void fk_map(struct fk *f, uint64_t dtb, uint64_t va);    /* a fresh page there */
void fk_unmap(struct fk *f, uint64_t va);                /* takes the page away */
uint8_t *fk_at(struct fk *f, uint64_t dtb, uint64_t va); /* bytes of a mapped page; dtb 0: the kernel's. NULL: not mapped */

void fk_fresh(struct fk *f); /* forgets what the vm keeps of memory: after changes, before reads */

void fk_put(struct fk *f, uint64_t va, unsigned size, uint64_t v);
void fk_field(struct fk *f, uint64_t obj, enum prof_field m, unsigned size, uint64_t v); /* aborts on a member this build lacks */
uint64_t fk_va(struct fk *f, uint64_t obj, enum prof_field m);
void fk_unicode(struct fk *f, uint64_t obj, enum prof_field m, const char *s); /* puts the text on a page of its own */
void fk_symbol(struct fk *f, enum prof_symbol s, uint64_t va);

/* LIST_ENTRY ring of n nodes behind head. */
void fk_ring(struct fk *f, uint64_t head, const uint64_t *node, size_t n);

/* A buffer with n records (EVENT_HEADER64) whose times start at ts and rise by 1. Returns the end of data. */
uint32_t fk_buffer(struct fk *f, uint64_t va, uint32_t size, uint16_t logger, uint16_t cpu, uint64_t ts, unsigned n);

#endif
