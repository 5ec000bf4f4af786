/* vm_pae.c - 32-bit x86 with PAE: a root of four 8-byte entries (32-byte aligned), then two levels of 512. */
#include "vm_fmt.h"

#define FRAME UINT64_C(0x000ffffffffff000)

static uint64_t root(uint64_t dtb)
{
	return dtb & UINT64_C(0xffffffe0);
}

static enum vm_kind hard(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out)
{
	if (!(e & 1))
		return ENT_NONE;
	(void)t; /* its frame bits may be those of a 4-byte PTE: one Windows 7 has both */
	out->pa = e & FRAME;
	/* the root's entries have no rights: these are the lower levels' business */
	out->writable = level == 0 || (e & 2);
	out->user = level == 0 || (e & 4);
	out->executable = !(e >> 63);
	if (level == 0)
		return e & UINT64_C(0x1e6) ? ENT_NONE : ENT_TABLE;
	if (level == 2)
		return ENT_PAGE;
	if (!(e & 0x80))
		return ENT_TABLE;
	out->pa &= ~UINT64_C(0x1fffff);
	return ENT_PAGE;
}

static enum vm_kind soft(const struct vm_traits *t, uint64_t e, struct vm_ent *out)
{
	struct vm_traits p = *t;

	p.proto_address_shift = 32; /* _MMPTE_PROTOTYPE of PAE: the address is the upper half */
	p.pagefile_high_shift = 32;
	p.pfn_bits = 52;
	return vm_soft64(&p, e, out);
}

const struct vm_fmt vm_fmt_pae = {.n_levels = 3,
				  .level = {{30, 2}, {21, 9}, {12, 9}},
				  .entry_size = 8,
				  .pointer_size = 4,
				  .va_bits = 32,
				  .kernel_from = UINT64_C(0x80000000),
				  .root = root,
				  .hard = hard,
				  .soft = soft};
