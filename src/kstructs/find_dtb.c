/* find_dtb.c - where page-table roots may stand: what the container says, and the processor start block in low memory. find_scan.c looks through all
 * of memory. Nothing is believed: the caller proves each one. */
#include "find.h"
#include "rd.h"

#define PAGE    UINT64_C(4096)
#define LOW_END UINT64_C(0x100000)
#define FRAME   UINT64_C(0x000ffffffffff000)

static enum vm_arch arch64(const struct hints *h, bool la57)
{
	if (h && h->machine == MACHINE_ARM64)
		return VM_ARM64;
	return la57 ? VM_X64_LA57 : VM_X64;
}

/* One root under every format that it could be of. `any`: the user's own word, or a processor's of a machine that the container does not name. */
static bool try_forms(const struct hints *h, uint64_t dtb, uint64_t va, bool la57_known, bool la57, bool any, try_root_fn *fn, void *ctx)
{
	enum machine m = h ? h->machine : MACHINE_UNKNOWN;
	struct root_hint r = {.dtb = dtb, .va = va};
	enum vm_arch form[5];
	unsigned n = 0;

	if (m == MACHINE_X86) {
		form[n++] = h->pae ? VM_X86_PAE : VM_X86;
		form[n++] = h->pae ? VM_X86 : VM_X86_PAE;
	} else {
		form[n++] = arch64(h, la57_known && la57);
		if (form[0] != VM_ARM64)
			form[n++] = form[0] == VM_X64 ? VM_X64_LA57 : VM_X64;
		if (any && m == MACHINE_UNKNOWN) {
			form[n++] = VM_ARM64;
			if (dtb <= UINT32_MAX) {
				form[n++] = VM_X86_PAE;
				form[n++] = VM_X86;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		r.arch = form[i];
		if (fn(ctx, &r))
			return true;
	}
	return false;
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
		if (try_forms(h, c->cr3, va, c->has_cr4, la57, true, fn, ctx))
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
	if (hints && hints->has_dtb && try_forms(hints, hints->dtb, va, false, false, true, fn, ctx))
		return true;
	if (hints && from_cpus(phys, hints, fn, ctx))
		return true;
	return from_low_stub(phys, fn, ctx);
}
