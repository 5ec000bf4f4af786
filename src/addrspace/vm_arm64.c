/* vm_arm64.c - ARM64 stage 1 tables with the 4 K granule and four levels, as Windows uses them: one root page for both halves (its self-map
 * needs that), so that bit 47 of an address picks the half as on x64. The software PTEs are those of x64. */
#include "vm_fmt.h"

static uint64_t root(uint64_t dtb)
{
	return dtb & UINT64_C(0x0000fffffffff000);
}

static enum vm_kind hard(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out)
{
	(void)t;
	if (!(e & 1))
		return ENT_NONE;
	out->pa = e & UINT64_C(0x0000fffffffff000);
	out->writable = out->user = out->executable = true;
	if (level == 3) {
		if (!(e & 2))
			return ENT_NONE; /* reserved */
	} else if (e & 2) {
		return ENT_TABLE; /* its APTable/XNTable bits are not used by Windows */
	} else if (level == 0) {
		return ENT_NONE;
	}
	out->writable = !(e >> 7 & 1);
	out->user = e >> 6 & 1;
	out->executable = (e >> 53 & 3) != 3;
	out->pa &= ~((UINT64_C(1) << (12 + 9 * (3 - level))) - 1);
	return ENT_PAGE;
}

const struct vm_fmt vm_fmt_arm64 = {.n_levels = 4,
				    .level = {{39, 9}, {30, 9}, {21, 9}, {12, 9}},
				    .entry_size = 8,
				    .pointer_size = 8,
				    .va_bits = 48,
				    .kernel_from = UINT64_C(0xffff800000000000),
				    .root = root,
				    .hard = hard,
				    .soft = vm_soft64};
