/* winpfn.c - the page frame number database: an entry for each page that a page table leads to, or led to before the page was freed. Layout: public symbols
 * (_MMPFN); what it holds: Windows Internals, "Page frame number database"; ReactOS (a freed page's PteAddress with bit 0 set). */
#include <stdio.h>
#include <stdlib.h>

#include "rd.h"
#include "winimg.h"

#define PFN_VA      UINT64_C(0xffffe68000000000)
#define ENTRY_BYTES 48u
#define ACTIVE      6u
#define MODIFIED    3u
#define FREE        1u
#define CACHED      0x40u               /* u3.e1.CacheAttribute */
#define EXISTS      (UINT64_C(1) << 53) /* a bit of u4 above the frame */
#define ADDRESS     UINT64_C(0xffffffffff000)
#define REAL        UINT64_C(0xffffff000) /* what InvalidPteMask leaves alone */
#define FIRST_HALF  256u

struct pfn {
	struct winimg *w;
	uint64_t ptes; /* where the root maps itself, */
	unsigned self; /* by this entry */
	unsigned levels;
	unsigned pte, u3, u4; /* in an entry */
};

static void put(struct pfn *f, uint64_t pa, uint64_t pte_va, uint64_t entry, unsigned location)
{
	struct winimg *w = f->w;
	uint64_t at = PFN_VA + pa / WM_PAGE * ENTRY_BYTES;
	uint8_t b[ENTRY_BYTES] = {0};

	put_le64(b, pa / WM_PAGE * 7 & 0xffff); /* u1: a working-set index */
	put_le64(b + f->pte, pte_va | (location == FREE));
	put_le16(b + f->u3, location == ACTIVE);
	b[f->u3 + 2] = (uint8_t)(location | CACHED);
	put_le64(b + f->u4, entry / WM_PAGE | EXISTS);
	wm_write(&w->k, at, b, sizeof(b));
}

/* Where an entry of this level stands in the map that the root is of itself. */
static uint64_t entry_va(const struct pfn *f, uint64_t va, unsigned level)
{
	uint64_t space = (UINT64_C(1) << (12 + 9 * f->levels)) - 1;

	while (level--)
		va = f->ptes | ((va & space) >> 9 & ~UINT64_C(7));
	return va;
}

/* Pages under a table, whose part of the address space begins at va. */
static void table(struct pfn *f, uint64_t pa, unsigned level, uint64_t va, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		uint64_t at = pa + 8 * i, e = le64(wm_at(&f->w->m, at)), here = va | (uint64_t)i << (12 + 9 * (level - 1));
		bool there = e & 1, leaving = level == 1 && (e & 0xc01) == 0x800;
		uint64_t page = e & ADDRESS & (leaving ? REAL : ADDRESS);

		if ((!there && !leaving) || (level > 1 && (e & 0x80)) || page == pa)
			continue;
		put(f, page, entry_va(f, here, level), at, there ? ACTIVE : MODIFIED);
		if (level == 1)
			continue;
		f->w->table[f->w->n_tables++] = page;
		table(f, page, level - 1, here, 0, 512);
	}
}

static void root(struct pfn *f, uint64_t dtb, bool kernel)
{
	table(f, dtb, f->levels, 0, kernel ? FIRST_HALF : 0, kernel ? 512 : FIRST_HALF);
	put(f, dtb, entry_va(f, f->ptes, f->levels), dtb + f->self * 8, ACTIVE);
}

void wi_pfn(struct winimg *w)
{
	struct pfn f = {.w = w, .levels = w->m.arch == WM_LA57 ? 5 : 4};
	uint64_t frames = w->m.frames;
	bool old = w->p.build < 10000;

	if (!w->o.pfn)
		return;
	if (w->ps == 4 || w->m.arch == WM_ARM64) {
		fprintf(stderr, "mkdump: no layout of _MMPFN for this kernel\n");
		exit(1);
	}
	for (unsigned i = FIRST_HALF; i < 512; i++)
		if ((le64(wm_at(&w->m, w->k.dtb) + 8 * i) & ADDRESS) == w->k.dtb)
			f.self = i;
	f.ptes = ~UINT64_C(0) << (12 + 9 * f.levels) | (uint64_t)f.self << (3 + 9 * f.levels);
	/* builds without public symbols: as the others of their time have it */
	f.pte = wi_has(w, F_PFN_PteAddress) ? prof_off(&w->p, F_PFN_PteAddress) : old ? 0x10 : 8;
	f.u3 = wi_has(w, F_PFN_u3) ? prof_off(&w->p, F_PFN_u3) : old ? 0x18 : 0x20;
	f.u4 = wi_has(w, F_PFN_u4) ? prof_off(&w->p, F_PFN_u4) : 0x28;
	w->table = calloc(frames, sizeof(*w->table));
	if (!w->table)
		exit(1);
	wi_symbol(w, S_MmPfnDatabase, PFN_VA, 8);
	w->pfn_first = PFN_VA;
	w->pfn_end = PFN_VA + wm_pa(&w->m, frames - 1) / WM_PAGE * ENTRY_BYTES + ENTRY_BYTES;
	for (uint64_t i = 0; i < frames; i++)
		wm_touch(&w->k, PFN_VA + wm_pa(&w->m, i) / WM_PAGE * ENTRY_BYTES, ENTRY_BYTES);
	for (uint64_t i = 0; i < frames; i++)
		if (w->m.freed[i])
			put(&f, wm_pa(&w->m, i), f.ptes | (w->m.freed[i] & 0xfff), w->m.freed[i], FREE);
	root(&f, w->k.dtb, true);
	for (unsigned i = 0; i < w->n_proc; i++)
		root(&f, w->proc[i].space.dtb, false);
}
