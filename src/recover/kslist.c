#include "kslist.h"

#include "addrset.h"
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

/* 1: the buffer whose member at `entry` this list leads to names its context, and it is ctx; 0 not; -1 the list is empty, or that can't be read. */
static int names_context(struct kview *v, const uint8_t *raw, uint32_t entry, uint64_t ctx)
{
	uint64_t first, owner;
	uint32_t depth;

	if (!kslist_head(v, raw, &first, &depth))
		return 0;
	if (first == 0 || kread_ptr(v->k, first - entry, F_BUFHDR_LoggerContext, &owner) != 0)
		return -1;
	return owner == ctx;
}

/* XP, Server 2003: the header has neither number nor size, but the context's address. Any of the lists tells. */
static int lists_prove(struct kview *v, uint64_t ctx)
{
	static const enum prof_field lists[] = {F_CTX_GlobalList, F_CTX_FreeList, F_CTX_FlushList};
	int best = -1;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		uint8_t raw[16];
		int r;

		if (!prof_has(&v->k->prof, lists[i]) ||
		    vm_read(v->k->vm, ctx + prof_off(&v->k->prof, lists[i]), raw, 2 * kview_ptr_size(v)) != 0)
			continue;
		r = names_context(v, raw, i == 0 ? kview_entry_off(v) : kview_link_off(v), ctx);
		if (r > best)
			best = r;
	}
	return best;
}

int kslist_proves(struct kview *v, uint64_t ctx, const uint8_t *raw, uint32_t id, uint32_t size)
{
	uint8_t b[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;
	uint64_t first;
	uint32_t depth;

	if (kview_buffers_closed(v))
		return lists_prove(v, ctx);
	if (!kslist_head(v, raw, &first, &depth))
		return 0;
	if (first == 0 || vm_read(v->k->vm, first - kview_entry_off(v), b, sizeof b) != 0)
		return -1;
	etw_bufhdr_parse(&h, b);
	return h.buffer_size == size && (h.logger_id == id || h.logger_id == 0);
}

int kslist_count(struct kview *v, uint64_t ctx, const uint8_t *raw, uint32_t max, uint32_t *n, uint32_t *depth, const char **why)
{
	struct addrset seen = {0};
	uint64_t at, owner;
	int rc = 0;

	*n = *depth = 0;
	*why = NULL;
	if (!kslist_head(v, raw, &at, depth)) {
		*why = "its head is none of a list";
		return 0;
	}
	while (at != 0 && !*why) {
		uint64_t next = 0;

		if (*n >= max)
			*why = "more than its session may have";
		else if (!kview_is_ptr(v, at) || at % kview_ptr_size(v))
			*why = "a link leads nowhere";
		else if (kread_ptr(v->k, at - kview_entry_off(v), F_BUFHDR_LoggerContext, &owner) != 0 ||
			 kread_ptr_at(v->k, at, &next) != 0)
			*why = "a page is missing";
		else if (owner != ctx)
			*why = "a link leads to no buffer of this session";
		else if ((rc = addrset_add(&seen, at)) <= 0)
			*why = "a loop";
		else
			++*n;
		at = next;
	}
	addrset_free(&seen);
	if (!*why && (*n & 0xffff) != *depth)
		*why = "it ends early";
	return rc < 0 ? rc : 0;
}
