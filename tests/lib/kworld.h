/* kworld.h - a small Windows 10 machine in memory, for tests: kernel image, shared page, processes, handles, two sessions, KDBG, over page
 * tables of fakemem, with the layouts of a real kernel's profile (19041.329). Aborts on its caller's mistakes. */
#ifndef ETLIFT_KWORLD_H
#define ETLIFT_KWORLD_H

#include "fakemem.h"
#include "kernel.h"

#define KW_A          VM_X64
#define KW_KERNEL_ID  "BBED7C2955FBE4522AAA23F4B8677AD9-1"
#define KW_BASE       UINT64_C(0xfffff80312a00000)
#define KW_IMAGE_SIZE 0x1046000u
#define KW_DATA_RVA   0xc00000u
#define KW_DATA_SIZE  0x140000u
#define KW_POOL       UINT64_C(0xffffa00000000000)
#define KW_KUSER      UINT64_C(0xfffff78000000000)
#define KW_NOW        INT64_C(133596804351234567)
#define KW_KDBG_SIZE  0x380u

struct kworld {
	struct fakemem *fm;
	struct profset *set;
	struct profile p;
	uint64_t root, kdbg, proc[3], consumer, ctx[2], silo;
	struct phys *phys;
	struct hints hints;
	struct kernel_opts opts;
	struct notes notes;
	struct kernel *k;
	struct err e;
};

/* Everything; other_guid: a kernel that no profile knows; encoded: KDBG as on a live system. Then change it and open it. */
void kw_make(struct kworld *w, bool other_guid, bool encoded);
int kw_open(struct kworld *w); /* makes w->phys, opens w->k; leaves the reason in w->e */
void kw_free(struct kworld *w);

void kw_16(struct kworld *w, uint64_t va, uint16_t v);
void kw_32(struct kworld *w, uint64_t va, uint32_t v);
void kw_64(struct kworld *w, uint64_t va, uint64_t v);
void kw_ring(struct kworld *w, const uint64_t *node, size_t n); /* LIST_ENTRYs at these addresses form a ring in this order */

#endif
