/* fakemem.h - a sparse physical memory and a page-table builder, for tests. Aborts on its caller's mistakes. */
#ifndef ETLIFT_FAKEMEM_H
#define ETLIFT_FAKEMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phys.h"
#include "vm.h"

#define FM_PAGE 4096u

struct fakemem;

struct fakemem *fm_new(void);
void fm_free(struct fakemem *fm);

/* Writing makes the pages it touches; what was never written is not in the image. */
void fm_write(struct fakemem *fm, uint64_t pa, const void *p, size_t n);
void fm_w16(struct fakemem *fm, uint64_t pa, uint16_t v);
void fm_w32(struct fakemem *fm, uint64_t pa, uint32_t v);
void fm_w64(struct fakemem *fm, uint64_t pa, uint64_t v);
uint64_t fm_r64(struct fakemem *fm, uint64_t pa);    /* 0 where nothing was written */
void fm_drop(struct fakemem *fm, uint64_t pa);       /* takes the page out of the image */
uint64_t fm_alloc(struct fakemem *fm, size_t pages); /* fresh zeroed physical pages in a row, from 16 M upwards */

/* A sealed phys over it; free it with phys_free() before fm_free(). Bytes written later are seen, new pages are not. */
struct phys *fm_phys(struct fakemem *fm);

enum { FM_WRITE = 1, FM_USER = 2, FM_NX = 4 };

/* x64 page tables, 4 levels (5: VM_X64_LA57). fm_root makes an empty root page. fm_map maps size = 4 K, 2 M or 1 G. */
uint64_t fm_root(struct fakemem *fm);
void fm_map(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t pa, uint64_t size, unsigned flags);
/* Physical address of the last-level entry for va (tables are made); write any software PTE there. */
uint64_t fm_pte(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va);
/* Maps fresh pages at [va, va + len), where there are none yet. */
void fm_map_new(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t len, unsigned flags);

/* Writes by virtual address through the tables made above. The pages must be mapped. */
void fm_vwrite(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, const void *p, size_t n);
void fm_v8(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint8_t v);
void fm_v16(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint16_t v);
void fm_v32(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint32_t v);
void fm_v64(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t v);

#endif
