/* winpaged.c - pages that no present entry maps and that are somewhere all the same: off the working set (transition), behind a prototype
 * entry, in a pagefile. Forms and bits: _MMPTE_TRANSITION, _MMPTE_PROTOTYPE, _MMPTE_SOFTWARE of the public symbols (docs/profiles.md). */
#include "winpaged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define PROTECTION (UINT64_C(4) << 5) /* read and write, as pool has it */
#define POOL_FLAGS UINT64_C(3)        /* present, writable */

void pagefile_free(struct pagefile *f)
{
	free(f->bytes);
	memset(f, 0, sizeof(*f));
}

/* Page 0 is the pagefile's own header; places in between are somebody else's. */
static uint64_t pagefile_put(struct pagefile *f, const uint8_t *page)
{
	uint64_t at = f->n ? f->n + 2 : 3;
	uint8_t *p = realloc(f->bytes, (at + 1) * WM_PAGE);

	if (!p) {
		fprintf(stderr, "mkdump: out of memory\n");
		exit(1);
	}
	f->bytes = p;
	memset(f->bytes + f->n * WM_PAGE, 0x5a, (at - f->n) * WM_PAGE);
	memcpy(f->bytes + at * WM_PAGE, page, WM_PAGE);
	f->n = at + 1;
	return at;
}

bool pagefile_write(const struct pagefile *f, const char *path)
{
	FILE *o = fopen(path, "wb");
	bool ok = o && (f->n == 0 || fwrite(f->bytes, WM_PAGE, f->n, o) == f->n);

	return (!o || fclose(o) == 0) && ok;
}

/* The swizzle bit, where the kernel has it, says that the entry's place stands as it is; without the bit it is XORed with the mask. */
static uint64_t swizzle(const struct winimg *w, uint64_t place, bool swizzled)
{
	const struct vm_traits *t = &w->p.traits.vm;

	if (!t->has_swizzle)
		return place;
	return swizzled ? place ^ w->o.pte_mask : place | UINT64_C(1) << t->swizzle_bit;
}

void wi_trimmed(struct winimg *w, unsigned n)
{
	uint64_t va = n ? wi_alloc(w, (uint64_t)n * WM_PAGE, WM_PAGE) : 0;

	for (unsigned i = 0; i < n; i++) {
		wm_put(&w->k, va + (uint64_t)i * WM_PAGE, i, 8);
		(void)wi_page_elsewhere(w, &w->k, va + (uint64_t)i * WM_PAGE, PAGE_SWIZZLED);
	}
}

bool wi_page_elsewhere(struct winimg *w, struct winspace *s, uint64_t va, enum page_fate fate)
{
	const struct vm_traits *t = &w->p.traits.vm;
	uint64_t pa, frame, proto;

	if (!wm_translate(s, va, &pa))
		return false;
	frame = pa & ~(uint64_t)(WM_PAGE - 1);
	switch (fate) {
	case PAGE_TRANSITION:
	case PAGE_SWIZZLED:
		wm_set_pte(s, va, swizzle(w, frame | UINT64_C(1) << t->transition_bit | PROTECTION, fate == PAGE_SWIZZLED));
		return true;
	case PAGE_PROTOTYPE:
	case PAGE_PROTO_TRANSITION:
		proto = wi_alloc(w, 8, 8);
		wm_put(&w->k, proto,
		       fate == PAGE_PROTOTYPE ? frame | POOL_FLAGS
					      : swizzle(w, frame | UINT64_C(1) << t->transition_bit | PROTECTION, true),
		       8);
		wm_set_pte(s, va, swizzle(w, proto << t->proto_address_shift | UINT64_C(1) << t->prototype_bit | PROTECTION, false));
		return true;
	case PAGE_PAGEFILE:
		proto = pagefile_put(&w->pagefile, wm_at(&w->m, frame));
		memset(wm_at(&w->m, frame), 0, WM_PAGE); /* the frame is somebody else's by now */
		wm_set_pte(s, va,
			   swizzle(w, proto << t->pagefile_high_shift | (uint64_t)w->o.pagefile_n << t->pagefile_low_shift | PROTECTION,
				   true));
		return true;
	case PAGE_GONE:
		break;
	}
	return false;
}
