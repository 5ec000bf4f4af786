/* find_dtb.c - where page-table roots may stand: what the container says, the processor start block in low memory, and roots that map
 * themselves. Nothing is believed: the caller proves each one. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "rd.h"

#define PAGE              UINT64_C(4096)
#define CHUNK             (UINT64_C(1) << 18)
#define LOW_END           UINT64_C(0x100000)
#define FRAME             UINT64_C(0x000ffffffffff000)
#define SCANNED_TRIES_MAX 4096 /* self-mapping roots that are tried: every process has one, and a hostile image only such pages */

static enum vm_arch arch64(const struct hints *h, bool la57)
{
	if (h && h->machine == MACHINE_ARM64)
		return VM_ARM64;
	return la57 ? VM_X64_LA57 : VM_X64;
}

/* One root under every format that it could be of. `given`: by the user, so that the 32-bit formats count too. */
static bool try_forms(const struct hints *h, uint64_t dtb, uint64_t va, bool la57_known, bool la57, bool given, try_root_fn *fn, void *ctx)
{
	struct root_hint r = {.dtb = dtb, .va = va};

	if (h && h->machine == MACHINE_X86) {
		r.arch = h->pae ? VM_X86_PAE : VM_X86;
		if (fn(ctx, &r))
			return true;
		r.arch = h->pae ? VM_X86 : VM_X86_PAE;
		return fn(ctx, &r);
	}
	r.arch = arch64(h, la57_known && la57);
	if (fn(ctx, &r))
		return true;
	if (r.arch == VM_ARM64)
		return false;
	r.arch = r.arch == VM_X64 ? VM_X64_LA57 : VM_X64;
	if (fn(ctx, &r))
		return true;
	if (!given || (h && h->machine != MACHINE_UNKNOWN) || dtb > UINT32_MAX)
		return false;
	r.arch = VM_X86_PAE; /* the user's own word: a raw image does not tell its width */
	if (fn(ctx, &r))
		return true;
	r.arch = VM_X86;
	return fn(ctx, &r);
}

/* IDT[0]: the divide error's handler lies in the kernel image. */
static uint64_t idt_handler(const struct phys *phys, enum vm_arch arch, uint64_t dtb, uint64_t idt)
{
	uint64_t va = 0;
	struct vm *vm;
	uint8_t b[16];

	if (vm_open(&vm, phys, arch, dtb, NULL) < 0)
		return 0;
	if (vm_is_kernel(vm, idt) && vm_read(vm, idt, b, sizeof(b)) >= 0)
		va = (uint64_t)le32(b + 8) << 32 | (uint64_t)le16(b + 6) << 16 | le16(b);
	vm_close(vm);
	return va;
}

/* Under KVA shadow CR3 may be the user's root, which maps little more than the processor block; that block holds the kernel's root
 * (QEMU contrib/elf2dmp: at +0x7000 from kernel_gs_base). */
static bool shadow_root(const struct phys *phys, enum vm_arch arch, const struct hint_cpu *c, uint64_t *root)
{
	struct vm *vm;
	uint8_t b[8];
	bool ok = false;

	if (!c->has_kernel_gs || vm_open(&vm, phys, arch, c->cr3, NULL) < 0)
		return false;
	if (vm_is_kernel(vm, c->kernel_gs_base) && vm_read(vm, c->kernel_gs_base + 0x7000, b, 8) >= 0) {
		*root = le64(b);
		ok = *root && !(*root & ~(FRAME | 0xfff));
	}
	vm_close(vm);
	return ok;
}

static bool from_cpus(const struct phys *phys, const struct hints *h, try_root_fn *fn, void *ctx)
{
	uint64_t last = 0, root, va;

	for (size_t i = 0; i < h->n_cpus; i++) {
		const struct hint_cpu *c = &h->cpus[i];
		bool la57 = c->has_cr4 && (c->cr4 >> 12 & 1);
		enum vm_arch arch = arch64(h, la57);

		if (!c->has_cr3 || c->cr3 == 0 || c->cr3 == last)
			continue;
		last = c->cr3;
		va = c->has_idt && h->machine != MACHINE_X86 ? idt_handler(phys, arch, c->cr3, c->idt_base) : 0;
		if (try_forms(h, c->cr3, va, c->has_cr4, la57, false, fn, ctx))
			return true;
		if (h->machine != MACHINE_X86 && shadow_root(phys, arch, c, &root) &&
		    try_forms(h, root, va, c->has_cr4, la57, false, fn, ctx))
			return true;
	}
	return false;
}

/* The processor start block (HalpLowStub): a jump, the kernel's LmTarget at +0x70, CR3 at +0xa0. */
static bool from_low_stub(const struct phys *phys, try_root_fn *fn, void *ctx)
{
	uint8_t b[0xa8];

	for (uint64_t pa = PAGE; pa < LOW_END; pa += PAGE) {
		struct root_hint r = {.arch = VM_X64};

		if (phys_read(phys, pa, b, sizeof(b)) < 0)
			continue;
		if ((le64(b) & UINT64_C(0xffffffffffff00ff)) != UINT64_C(0x00000001000600e9))
			continue;
		r.va = le64(b + 0x70);
		r.dtb = le64(b + 0xa0);
		if ((r.va & UINT64_C(0xfffff80000000003)) != UINT64_C(0xfffff80000000000) || (r.dtb & UINT64_C(0xffffff0000000fff)) ||
		    !r.dtb)
			continue;
		if (fn(ctx, &r))
			return true;
		r.arch = VM_X64_LA57;
		if (fn(ctx, &r))
			return true;
	}
	return false;
}

bool roots_hinted(const struct phys *phys, const struct hints *hints, const struct kernel_opts *o, try_root_fn *fn, void *ctx)
{
	uint64_t va = 0;

	if (hints)
		va = hints->has_kdbg             ? hints->kdbg
		     : hints->has_loaded_modules ? hints->loaded_modules
		     : hints->has_kernel_base    ? hints->kernel_base
						 : hints->process_head;
	if (o->has_dtb)
		return try_forms(hints, o->dtb, va, false, false, true, fn, ctx);
	if (hints && hints->has_dtb && try_forms(hints, hints->dtb, va, false, false, false, fn, ctx))
		return true;
	if (hints && from_cpus(phys, hints, fn, ctx))
		return true;
	return from_low_stub(phys, fn, ctx);
}

/* Does one of the upper half's entries point to the page itself, present and not large? A look at every page of memory, hence without
 * branches, in a form that compilers turn into vector code: (x - 1) & ~x has the top bit set for x == 0 (and for no x below 2^63 else). */
static bool maps_itself(const uint8_t *p, uint64_t pa)
{
	uint64_t want = pa | 1, hit = 0;

	for (unsigned i = 256; i < 512; i++) {
		uint64_t e, x;

		memcpy(&e, p + 8 * i, 8);
		x = (le64toh(e) & (FRAME | 0x81)) ^ want;
		hit |= (x - 1) & ~x;
	}
	return hit >> 63;
}

/* Every entry of the user's half is empty or a plausible table. */
static bool sane_root(const uint8_t *p, uint64_t end)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t e = le64(p + 8 * i);

		if ((e & 1) && ((e & 0x80) || (e & FRAME) >= end))
			return false;
	}
	return true;
}

/* 32-bit tables: the page directory at C0300000 maps itself; with PAE the fourth directory holds the four of them in a row. */
static bool looks_x86(const uint8_t *p, uint64_t pa)
{
	if (pa >> 32)
		return false;
	if ((le32(p + 0xc00) & 0xfffff081u) == (uint32_t)(pa | 1) && (le32(p + 0x800) & 1))
		return true;
	return (le64(p + 24) & (FRAME | 0x81)) == (pa | 1) && (le64(p) & 0x81) == 1 && (le64(p + 8) & 0x81) == 1 &&
	       (le64(p + 16) & 0x81) == 1 && !(le64(p + 24) >> 32);
}

static bool scan_run(const struct phys *phys, const struct phys_run *run, uint8_t *buf, unsigned *tries, try_root_fn *fn, void *ctx,
		     bool *x86)
{
	uint64_t end = phys_end(phys), pa = (run->pa + PAGE - 1) & ~(PAGE - 1), last = run->pa + run->len;

	while (pa + PAGE <= last) {
		uint64_t n = last - pa < CHUNK ? (last - pa) & ~(PAGE - 1) : CHUNK;

		if (phys_read(phys, pa, buf, (size_t)n) < 0) {
			pa += n;
			continue;
		}
		for (uint64_t off = 0; off < n; off += PAGE) {
			const uint8_t *p = buf + off;
			struct root_hint r = {.arch = VM_X64, .dtb = pa + off};

			if (!*x86 && looks_x86(p, pa + off))
				*x86 = true;
			if (!maps_itself(p, pa + off) || !sane_root(p, end))
				continue;
			if (fn(ctx, &r))
				return true;
			r.arch = VM_X64_LA57;
			if (fn(ctx, &r))
				return true;
			if (++*tries == SCANNED_TRIES_MAX)
				return false;
		}
		pa += n;
	}
	return false;
}

bool roots_scanned(const struct phys *phys, try_root_fn *fn, void *ctx, bool *saw_x86)
{
	uint8_t *buf = malloc(CHUNK);
	bool found = false;
	unsigned tries = 0;
	struct phys_run run;

	*saw_x86 = false;
	for (size_t i = 0; buf && !found && tries < SCANNED_TRIES_MAX && phys_run(phys, i, &run); i++)
		found = scan_run(phys, &run, buf, &tries, fn, ctx, saw_x86);
	free(buf);
	return found;
}
