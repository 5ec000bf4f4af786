#include "kslist.h"

#include "rd.h"

/* 64 bits: Depth is the first 16. HeaderType, bit 0 of the second word, tells the form: 1 (processors with cmpxchg16b): the second word's upper
 * 60 bits are the address; 0: bits 25 to 63 of the first word are bits 4 to 42 of it, and Region, the second word's upper 3 bits, tells the
 * half. The kernel's half had 8 TB then: above bit 42 all bits are set. */
#define WIDE_FORM    1u
#define NARROW_SHIFT 25u
#define REGION_SHIFT 61u
#define REGION_KERN  7u
#define KERNEL_TOP   UINT64_C(0xfffff80000000000)

bool kslist_head(const struct kview *v, const uint8_t *raw, uint64_t *first, uint32_t *depth)
{
	size_t ps = kview_ptr_size(v);
	uint64_t at;

	if (ps == 4) {
		at = le32(raw);
		*depth = le16(raw + 4);
	} else {
		uint64_t a = le64(raw), b = le64(raw + 8);

		*depth = (uint32_t)(a & 0xffff);
		at = b & WIDE_FORM ? b & ~UINT64_C(0xf) : a >> NARROW_SHIFT << 4;
		if (at && !(b & WIDE_FORM))
			at |= b >> REGION_SHIFT == REGION_KERN ? KERNEL_TOP : 0;
	}
	if (at % ps || (at && !kview_is_ptr(v, at)) || (at == 0) != (*depth == 0))
		return false;
	*first = at;
	return true;
}

int kslist_proves(struct kview *v, const uint8_t *raw, uint32_t id, uint32_t size)
{
	uint8_t b[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;
	uint64_t first;
	uint32_t depth;

	if (!kslist_head(v, raw, &first, &depth))
		return 0;
	if (first == 0 || vm_read(v->k->vm, first - kview_entry_off(v), b, sizeof b) != 0)
		return -1;
	etw_bufhdr_parse(&h, b);
	return h.buffer_size == size && (h.logger_id == id || h.logger_id == 0);
}
