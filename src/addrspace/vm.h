/* vm.h - virtual memory: page tables over phys. Knows no container and no struct name.
 *
 * Two reads, two names: vm_read() is all or nothing, for control structures (a zero invented there is a lie); vm_read_padded() is for buffer
 * contents and tells what was missing. A fault is ordinary and cheap. A vm belongs to one thread (it has caches); phys below is shared. */
#ifndef ETLIFT_VM_H
#define ETLIFT_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "input.h"
#include "phys.h"

enum vm_arch { VM_X64, VM_X64_LA57, VM_X86, VM_X86_PAE, VM_ARM64 };

enum vm_why {
	VM_OK,
	VM_NOT_MAPPED,   /* an entry on the way is not present and means nothing else */
	VM_PAGED_OUT,    /* in a pagefile that was not given, or beyond its end */
	VM_NOT_IN_IMAGE, /* the physical page (or a page table) is in no run */
	VM_NOT_CANONICAL,
	VM_PROTO_LOST, /* a prototype PTE that could not be reached */
	VM_DEMAND_ZERO /* never touched: reads as zeros on the live machine; a fault here, named */
};

/* Bits of not-present entries. They moved with servicing (layouts.md, _MMPTE_*): profile data. */
struct vm_traits {
	uint8_t transition_bit, prototype_bit;         /* 11 and 10 everywhere so far */
	uint8_t pagefile_low_shift, pagefile_low_bits; /* where the pagefile number stands: 1 or 12 */
	uint8_t pagefile_high_shift;                   /* 32 */
	uint8_t proto_address_shift;                   /* 16 */
	bool has_swizzle;                              /* bit 4 clear: address parts are XORed with invalid_pte_mask */
	uint8_t swizzle_bit;
	uint64_t invalid_pte_mask; /* _MI_HARDWARE_STATE.InvalidPteMask; 0 none */
	/* Not 0: the mask could not be read. It only has bits above all real memory (it would not keep L1TF from reading it otherwise), so the
	 * frame of a transition entry is what stands in this many address bits; where a prototype or a pagefile page is can't be told. */
	uint8_t memory_bits;
	uint8_t pfn_bits; /* physical address bits that a PTE's frame number may use (with the 12) */
};

extern const struct vm_traits vm_traits_default; /* 19041's */

#define VM_PAGEFILES_MAX 16

struct vm;

struct vm_page { /* the page a va lies in */
	enum vm_why why;
	uint64_t pa;        /* of the va itself, when why == VM_OK and !pagefile */
	uint64_t page_size; /* 4 K, 2 M, 1 G: of the mapping, or of the hole when why != VM_OK */
	bool in_pagefile;   /* bytes come from pagefile `pagefile_n` at `pagefile_off` */
	uint8_t pagefile_n;
	uint64_t pagefile_off;
	bool writable, executable, user;
};

struct vm_missing {
	uint64_t va, len; /* page pieces, ascending, joined */
	enum vm_why why;
};

int vm_open(struct vm **out, const struct phys *phys, enum vm_arch arch, uint64_t dtb, struct err *e);
void vm_close(struct vm *vm); /* takes NULL */

/* Another address space of the same machine (a process): shares traits, pagefiles and the kernel vm for prototype PTEs; `of` must outlive it. */
int vm_open_like(struct vm **out, struct vm *of, uint64_t dtb, struct err *e);

void vm_set_traits(struct vm *vm, const struct vm_traits *t);
/* Pagefile number n (0 .. 15); `in` must outlive vm. */
/* The mask, as the entries of the kernel's half show it (vm_mask.c). Wants memory_bits among the traits. False: too few of them. */
bool vm_learn_mask(struct vm *vm, uint64_t *mask);

int vm_set_pagefile(struct vm *vm, unsigned n, struct input *in, struct err *e);

/* What a page table held that is lost (all zeros, or not in the image), where something else than page tables tells: its 4096 bytes, valid as long as vm
 * is, or NULL. Asked for each walk that meets such a table, and for pages of prototypes. Spaces opened like this one ask it too. */
typedef const uint8_t *vm_table_fn(void *ctx, uint64_t pa);
void vm_set_lost_tables(struct vm *vm, vm_table_fn *fn, void *ctx);

enum vm_arch vm_arch(const struct vm *vm);
const struct phys *vm_phys(const struct vm *vm);
uint64_t vm_dtb(const struct vm *vm);
unsigned vm_pointer_size(const struct vm *vm);       /* 4 or 8 */
bool vm_is_kernel(const struct vm *vm, uint64_t va); /* canonical and in the kernel's half */

void vm_page(struct vm *vm, uint64_t va, struct vm_page *out);

/* All len bytes or ERR_FAULT; after a fault vm_fault() tells where and why. */
int vm_read(struct vm *vm, uint64_t va, void *buf, size_t len);
enum vm_why vm_fault(const struct vm *vm, uint64_t *va);

/* Fills buf; unreadable pieces are zeroed and listed in missing[0 .. return value), at most max (the last one then covers the rest of the
 * trouble to the end). Returns the number of missing pieces. */
size_t vm_read_padded(struct vm *vm, uint64_t va, void *buf, size_t len, struct vm_missing *missing, size_t max);

/* Physical address of va; false when it has none in the image. */
bool vm_pa(struct vm *vm, uint64_t va, uint64_t *pa);

/* Next mapped range at or above va and below end: pages with the same attributes that follow each other, at most 1 G. False: none. For
 * scans of an address space; skips unmapped parts by whole table entries. Only pages with why == VM_OK count. */
bool vm_next_mapped(struct vm *vm, uint64_t va, uint64_t end, uint64_t *start, uint64_t *len);

const char *vm_why_text(enum vm_why why); /* "not mapped", "paged out", ... */

#endif
