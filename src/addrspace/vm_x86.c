/* vm_x86.c - 32-bit x86 without PAE: two levels of 1024 four-byte entries, 4 M pages (with PSE-36 frame bits). */
#include "vm_fmt.h"

static uint64_t root(uint64_t dtb)
{
	return dtb & UINT64_C(0xfffff000);
}

static enum vm_kind hard(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out)
{
	(void)t;
	if (!(e & 1))
		return ENT_NONE;
	out->pa = e & UINT64_C(0xfffff000);
	out->writable = e & 2;
	out->user = e & 4;
	out->executable = true;
	if (level == 1)
		return ENT_PAGE;
	if (!(e & 0x80))
		return ENT_TABLE;
	out->pa = (e & UINT64_C(0xffc00000)) | (e >> 13 & 0xff) << 32;
	return ENT_PAGE;
}

/* _MMPTE_* of 32 bits: PageFileLow 1:4, Prototype 10, Transition 11, frame and PageFileHigh 12:20; a prototype's address is split in
 * bits 1:7 and 11:21, counted in words of 4 from the start of paged pool's half. */
static enum vm_kind soft(const struct vm_traits *t, uint64_t e, struct vm_ent *out)
{
	(void)t;
	out->writable = out->user = out->executable = true;
	if (e == 0 || (e & 1))
		return ENT_NONE;
	if (e & 0x400) {
		if (e >> 12 == 0xfffff)
			return ENT_LOST;
		out->pa = ((e >> 11 & 0x1fffff) << 9 | (e >> 1 & 0x7f) << 2) | UINT64_C(0x80000000);
		return ENT_PROTO;
	}
	if (e & 0x800) {
		out->pa = e & UINT64_C(0xfffff000);
		return ENT_PAGE;
	}
	if (!(e >> 12))
		return ENT_ZERO;
	out->pagefile = (unsigned)(e >> 1) & 15;
	out->pa = e & UINT64_C(0xfffff000);
	return ENT_PAGEFILE;
}

const struct vm_fmt vm_fmt_x86 = {.n_levels = 2,
				  .level = {{22, 10}, {12, 10}},
				  .entry_size = 4,
				  .pointer_size = 4,
				  .va_bits = 32,
				  .kernel_from = UINT64_C(0x80000000),
				  .root = root,
				  .hard = hard,
				  .soft = soft};
