/* vm_fmt.h - what vm.c asks of one page-table format. Inside addrspace only.
 *
 * A format is geometry (levels from the root down) and two readings of an entry: of a present one by the hardware's rules, of another one by
 * Windows' rules for software PTEs. To add one: vm_NAME.c and a line in vm_fmt_of(). Sources: Intel SDM volume 3 chapter 4, Arm ARM D8;
 * the software forms are docs/layouts.md, _MMPTE_*. */
#ifndef ETLIFT_VM_FMT_H
#define ETLIFT_VM_FMT_H

#include "vm.h"

#define VM_LEVELS_MAX 5

enum vm_kind {
	ENT_NONE,     /* not present, means nothing (or reserved bits forbid it) */
	ENT_TABLE,    /* present, a table of the next level */
	ENT_PAGE,     /* present, a page of this level's size */
	ENT_PAGEFILE, /* software: in a pagefile */
	ENT_PROTO,    /* software: look at a prototype PTE */
	ENT_ZERO,     /* software: demand zero */
	ENT_LOST      /* software: a prototype that only the VADs could find */
};

struct vm_ent {
	uint64_t pa; /* TABLE, PAGE: physical; PROTO: va of the prototype PTE; PAGEFILE: offset */
	unsigned pagefile;
	bool writable, executable, user;
};

struct vm_fmt {
	unsigned n_levels; /* root first */
	struct {
		uint8_t shift, bits; /* index = va >> shift & ((1 << bits) - 1) */
	} level[VM_LEVELS_MAX];
	uint8_t entry_size;   /* 4 or 8 */
	uint8_t pointer_size; /* 4 or 8 */
	uint8_t va_bits;      /* canonical: the bits above repeat bit va_bits - 1 (64-bit formats); 32: those are zero */
	uint64_t kernel_from; /* first address of the kernel's half */
	uint64_t (*root)(uint64_t dtb);
	enum vm_kind (*hard)(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out); /* ENT_NONE: not present */
	enum vm_kind (*soft)(const struct vm_traits *t, uint64_t e, struct vm_ent *out);                 /* PAGE = transition */
};

extern const struct vm_fmt vm_fmt_x64, vm_fmt_la57, vm_fmt_x86, vm_fmt_pae, vm_fmt_arm64;

/* The software PTE of 64 bits: x64, ARM64 and, with its prototype address at bit 32, PAE. */
enum vm_kind vm_soft64(const struct vm_traits *t, uint64_t e, struct vm_ent *out);

const struct vm_fmt *vm_fmt_of(enum vm_arch arch); /* NULL: no such architecture */
const struct vm_traits *vm_traits_of(const struct vm *vm);
bool vm_entry_at(struct vm *vm, uint64_t pa, uint8_t b[8]); /* 8 bytes of a table, through the page cache; false: not in the image */

/* Frame bits of a 64-bit entry. */
uint64_t vm_pfn_mask(const struct vm_traits *t);

#endif
