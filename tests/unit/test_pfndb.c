/* The page frame number database: lost tables, freed pages, and databases that lie. */
#include <criterion/criterion.h>
#include <string.h>

#include "fakekern.h"
#include "pfndb.h"
#include "rd.h"

#define PAGES  64u
#define USER   UINT64_C(0x7ff600000000)
#define ACTIVE 6u
#define FREE   1u

TestSuite(pfndb, .timeout = 60);

struct world {
	struct fk f;
	uint64_t db, dtb, page[PAGES], pt; /* a process with PAGES pages, and the page table that they all are in */
	struct pfndb *pfn;
};

static uint64_t entry_of(const struct world *w, uint64_t dtb, uint64_t va, unsigned levels)
{
	uint64_t table = dtb, at = 0;

	for (unsigned i = 0; i < levels; i++) {
		at = table + (va >> (39 - 9 * i) & 511) * 8;
		table = le64(w->f.mem + at) & UINT64_C(0xffffffffff000);
	}
	return at;
}

static uint8_t *slot(struct world *w, uint64_t pa)
{
	uint64_t va = w->db + pa / 4096 * prof_size(&w->f.k.prof, T_PFN);

	return fk_at(&w->f, 0, va);
}

/* Entries of 48 bytes lie across pages: byte by byte. */
static void put_at(struct world *w, uint64_t pa, uint32_t off, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		*fk_at(&w->f, 0, w->db + pa / 4096 * prof_size(&w->f.k.prof, T_PFN) + off + i) = (uint8_t)(v >> 8 * i);
}

static void note(struct world *w, uint64_t pa, uint64_t entry, unsigned location)
{
	const struct profile *p = &w->f.k.prof;

	cr_assert_not_null(slot(w, pa));
	put_at(w, pa, prof_off(p, F_PFN_PteAddress), 8, UINT64_C(0xfffff68000000000) | (entry & 0xfff) | (location == FREE));
	put_at(w, pa, prof_off(p, F_PFN_u3), 4, location << 16 | 1);
	put_at(w, pa, prof_off(p, F_PFN_u4), 8, entry / 4096 | UINT64_C(1) << 53);
}

static void make(struct world *w)
{
	uint64_t var;

	memset(w, 0, sizeof(*w));
	cr_assert(fk_open(&w->f, 19041, 4u << 20));
	fk_pages(&w->f, 1); /* a symbol at 0 is none */
	var = fk_pages(&w->f, 1);
	w->db = fk_pages(&w->f, (4u << 20) / 4096 * 48 / 4096);
	fk_symbol(&w->f, S_MmPfnDatabase, var);
	fk_put(&w->f, var, 8, w->db);
	w->dtb = fk_dtb(&w->f);
	for (unsigned i = 0; i < PAGES; i++) {
		fk_map(&w->f, w->dtb, USER + i * 4096u);
		w->page[i] = le64(w->f.mem + entry_of(w, w->dtb, USER + i * 4096u, 4)) & UINT64_C(0xffffffffff000);
		memset(w->f.mem + w->page[i], (int)i + 1, 4096);
		note(w, w->page[i], entry_of(w, w->dtb, USER + i * 4096u, 4), ACTIVE);
	}
	w->pt = entry_of(w, w->dtb, USER, 4) & ~UINT64_C(0xfff);
	note(w, w->pt, entry_of(w, w->dtb, USER, 3), ACTIVE);
	fk_fresh(&w->f);
}

static void done(struct world *w)
{
	pfndb_close(w->pfn);
	fk_close(&w->f);
}

static const uint8_t *table(void *ctx, uint64_t pa)
{
	return pfndb_table(ctx, pa);
}

/* Which byte the page at this address of the process is full of; 0: it can't be reached. */
static unsigned byte_at(struct world *w, uint64_t va)
{
	struct vm *vm;
	uint8_t b[2] = {0};

	cr_assert_eq(vm_open_like(&vm, w->f.k.vm, w->dtb, NULL), 0);
	if (vm_read(vm, va + 4094, b, 2) != 0)
		b[0] = 0;
	vm_close(vm);
	return b[0];
}

Test(pfndb, a_lost_table_comes_back)
{
	struct world w;

	make(&w);
	cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), 0);
	vm_set_lost_tables(w.f.k.vm, table, w.pfn);
	cr_assert_eq(byte_at(&w, USER + 5 * 4096), 6);
	cr_assert_eq(pfndb_n_tables(w.pfn), 0, "nothing is lost");
	pfndb_close(w.pfn);
	memset(w.f.mem + w.pt, 0, 4096);
	fk_fresh(&w.f);
	vm_set_lost_tables(w.f.k.vm, NULL, NULL);
	cr_assert_eq(byte_at(&w, USER + 5 * 4096), 0);
	cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), ERR_NOTFOUND, "nothing is left that bears it out");
	/* with other tables there is */
	memset(w.f.mem + w.pt, 0, 4096);
	for (unsigned i = 0; i < 40; i++) {
		fk_map(&w.f, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u);
		note(&w, le64(w.f.mem + entry_of(&w, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u, 4)) & UINT64_C(0xffffffffff000),
		     entry_of(&w, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u, 4), ACTIVE);
	}
	fk_fresh(&w.f);
	cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), 0);
	vm_set_lost_tables(w.f.k.vm, table, w.pfn);
	for (unsigned i = 0; i < PAGES; i++)
		cr_assert_eq(byte_at(&w, USER + i * 4096u), i + 1, "page %u", i);
	cr_assert_eq(byte_at(&w, USER + PAGES * 4096u), 0, "and no other");
	cr_assert_eq(pfndb_n_tables(w.pfn), 1);
	done(&w);
}

/* Two pages claim one entry: neither is believed. Freed ones claim none. */
Test(pfndb, claims_that_differ)
{
	struct world w;

	make(&w);
	for (unsigned i = 0; i < 40; i++) {
		fk_map(&w.f, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u);
		note(&w, le64(w.f.mem + entry_of(&w, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u, 4)) & UINT64_C(0xffffffffff000),
		     entry_of(&w, w.dtb, USER + (UINT64_C(1) << 30) + i * 4096u, 4), ACTIVE);
	}
	note(&w, w.page[7], entry_of(&w, w.dtb, USER + 8 * 4096, 4), ACTIVE);
	note(&w, w.page[20], entry_of(&w, w.dtb, USER + 21 * 4096, 4), FREE);
	memset(w.f.mem + w.pt, 0, 4096);
	fk_fresh(&w.f);
	cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), 0);
	vm_set_lost_tables(w.f.k.vm, table, w.pfn);
	for (unsigned i = 0; i < PAGES; i++)
		cr_assert_eq(byte_at(&w, USER + i * 4096u), i == 7 || i == 8 || i == 20 ? 0 : i + 1, "page %u", i);
	done(&w);
}

Test(pfndb, what_is_noted)
{
	struct world w;
	struct pfn_page p;

	make(&w);
	note(&w, w.page[3], entry_of(&w, w.dtb, USER + 3 * 4096, 4), FREE);
	fk_fresh(&w.f);
	cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), 0);
	cr_assert(pfndb_at(w.pfn, w.page[2] + 0x123, &p));
	cr_assert(p.in_use && p.pa == w.page[2] && p.entry == entry_of(&w, w.dtb, USER + 2 * 4096, 4));
	cr_assert_eq(pfndb_agrees(w.pfn, &p), 1);
	cr_assert(pfndb_at(w.pfn, w.page[3], &p));
	cr_assert(!p.in_use && p.entry == entry_of(&w, w.dtb, USER + 3 * 4096, 4));
	cr_assert(!pfndb_at(w.pfn, 0x300000, &p), "a page that nobody had");
	cr_assert(!pfndb_at(w.pfn, UINT64_C(1) << 50, &p), "behind the database");
	/* the entry leads elsewhere now */
	put_le64(w.f.mem + entry_of(&w, w.dtb, USER + 2 * 4096, 4), w.page[9] | 3);
	cr_assert(pfndb_at(w.pfn, w.page[2], &p));
	cr_assert_eq(pfndb_agrees(w.pfn, &p), -1);
	done(&w);
}

/* A database of another machine, or of noise, is none. */
Test(pfndb, lies)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		struct world w;
		uint64_t x = 88172645463325252u;

		make(&w);
		for (unsigned i = 0; i < PAGES; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			if (kind == 0)
				note(&w, w.page[i], x % (4u << 20) & ~UINT64_C(7), ACTIVE);
			else if (kind == 1)
				note(&w, w.page[i], entry_of(&w, w.dtb, USER + (i + 1) * 4096u, 4), ACTIVE);
			else
				for (uint32_t k = 0; k < prof_size(&w.f.k.prof, T_PFN); k++)
					put_at(&w, w.page[i], k, 1, x >> k % 56);
		}
		fk_fresh(&w.f);
		cr_assert_eq(pfndb_open(&w.pfn, &w.f.k), ERR_NOTFOUND, "kind %u", kind);
		done(&w);
	}
}
