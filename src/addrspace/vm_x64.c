/* vm_x64.c - x64 page tables with four and five levels, and the software PTE of 64 bits. */
#include "vm_fmt.h"

#define PTE_PRESENT UINT64_C(1)
#define PTE_WRITE   UINT64_C(2)
#define PTE_USER    UINT64_C(4)
#define PTE_LARGE   UINT64_C(0x80)
#define PTE_NX      (UINT64_C(1) << 63)

uint64_t vm_pfn_mask(const struct vm_traits *t)
{
	unsigned bits = t->pfn_bits > 12 && t->pfn_bits <= 52 ? t->pfn_bits : 48;

	return ((UINT64_C(1) << bits) - 1) & ~UINT64_C(0xfff);
}

static uint64_t root(uint64_t dtb)
{
	return dtb & UINT64_C(0x000ffffffffff000); /* the low bits are PCID and cache attributes */
}

/* `up` levels above the last: 0 = PTE, 1 = 2 M, 2 = 1 G. */
static enum vm_kind hard(const struct vm_traits *t, unsigned up, uint64_t e, struct vm_ent *out)
{
	if (!(e & PTE_PRESENT))
		return ENT_NONE;
	out->pa = e & vm_pfn_mask(t);
	out->writable = e & PTE_WRITE;
	out->user = e & PTE_USER;
	out->executable = !(e & PTE_NX);
	if (up == 0)
		return ENT_PAGE;
	if (!(e & PTE_LARGE))
		return ENT_TABLE;
	if (up > 2)
		return ENT_NONE; /* reserved there */
	out->pa &= ~((UINT64_C(1) << (12 + 9 * up)) - 1);
	return ENT_PAGE;
}

static enum vm_kind hard4(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out)
{
	return hard(t, 3 - level, e, out);
}

static enum vm_kind hard5(const struct vm_traits *t, unsigned level, uint64_t e, struct vm_ent *out)
{
	return hard(t, 4 - level, e, out);
}

/* An entry that is XORed with a mask nobody knows. */
static bool riddle(const struct vm_traits *t, uint64_t e)
{
	return t->has_swizzle && t->memory_bits && !(e >> (t->swizzle_bit & 63) & 1);
}

static uint64_t unswizzle(const struct vm_traits *t, uint64_t e)
{
	return t->has_swizzle && !(e >> (t->swizzle_bit & 63) & 1) ? e ^ t->invalid_pte_mask : e;
}

enum vm_kind vm_soft64(const struct vm_traits *t, uint64_t e, struct vm_ent *out)
{
	bool proto = e >> (t->prototype_bit & 63) & 1, trans = e >> (t->transition_bit & 63) & 1;
	unsigned low_bits = t->pagefile_low_bits < 8 ? t->pagefile_low_bits : 8;
	uint64_t at, high;

	out->writable = out->user = out->executable = true; /* protection is a software word: the upper levels decide */
	if (e == 0 || (e & PTE_PRESENT))
		return ENT_NONE;
	if (proto) {
		if (riddle(t, e))
			return ENT_LOST;
		at = unswizzle(t, e) >> (t->proto_address_shift & 63);
		if (t->proto_address_shift == 32) {
			if (at >= UINT32_C(0xffffffff))
				return ENT_LOST;
		} else {
			if ((at & UINT64_C(0xffffffff)) == UINT64_C(0xffff0000) || at >= UINT64_C(0xffffffff0000))
				return ENT_LOST;
			if (at & (UINT64_C(1) << 47))
				at |= UINT64_C(0xffff) << 48;
		}
		out->pa = at;
		return ENT_PROTO;
	}
	if (trans) {
		out->pa = unswizzle(t, e) & vm_pfn_mask(t);
		if (riddle(t, e) && t->memory_bits < 64)
			out->pa &= (UINT64_C(1) << t->memory_bits) - 1;
		return ENT_PAGE;
	}
	high = e >> (t->pagefile_high_shift & 63);
	if (!high)
		return ENT_ZERO;
	high = unswizzle(t, e) >> (t->pagefile_high_shift & 63) & UINT32_MAX;
	if (!high)
		return ENT_ZERO;
	if (riddle(t, e)) {
		out->pagefile = VM_PAGEFILES_MAX; /* in one of them, but where? */
		out->pa = 0;
		return ENT_PAGEFILE;
	}
	out->pagefile = (unsigned)(e >> (t->pagefile_low_shift & 63)) & ((1u << low_bits) - 1);
	out->pa = high << 12;
	return ENT_PAGEFILE;
}

const struct vm_fmt vm_fmt_x64 = {.n_levels = 4,
				  .level = {{39, 9}, {30, 9}, {21, 9}, {12, 9}},
				  .entry_size = 8,
				  .pointer_size = 8,
				  .va_bits = 48,
				  .kernel_from = UINT64_C(0xffff800000000000),
				  .root = root,
				  .hard = hard4,
				  .soft = vm_soft64};

const struct vm_fmt vm_fmt_la57 = {.n_levels = 5,
				   .level = {{48, 9}, {39, 9}, {30, 9}, {21, 9}, {12, 9}},
				   .entry_size = 8,
				   .pointer_size = 8,
				   .va_bits = 57,
				   .kernel_from = UINT64_C(0xff00000000000000),
				   .root = root,
				   .hard = hard5,
				   .soft = vm_soft64};
