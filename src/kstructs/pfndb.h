/* pfndb.h - the page frame number database: what Windows notes about each page of physical memory (_MMPFN).
 *
 * An entry says where the page-table entry or prototype is that leads to its page: PteFrame is the frame that holds it, the low twelve bits of PteAddress its
 * place there. So it is the way back from a page to its address. It is still there when a page table is lost (zeroed, not in the image), and, until the page
 * is used again, when the page was freed: PageLocation says so, or bit 0 of PteAddress.
 *
 * Sources: public symbols (_MMPFN); Windows Internals, "Page frame number database"; MemProcFS, mm_pfn.c (low bits of PteAddress, chain of PteFrame up to the
 * root, PageLocation); geoffchappell.com, "MMPFN" (layouts by version; lists of free pages are linked by u1 and u2, which leaves PteAddress alone); ReactOS,
 * MI_SET_PFN_DELETED. No real full dump was at hand: a database that does not bear itself out on the image is not used (pfndb_open()).
 *
 * x64 only: layouts of others are in no public symbols here. */
#ifndef ETLIFT_PFNDB_H
#define ETLIFT_PFNDB_H

#include "kernel.h"

struct pfndb;

struct pfn_page {
	uint64_t pa;    /* of the page */
	uint64_t entry; /* physical address of the entry (page table or prototype) that leads or led to it; a multiple of 8 */
	bool in_use;    /* it does now: the page is active, standby, modified or in transition. Else it did before it was freed */
};

/* Finds the database of k by symbol, KDBG, the dump's header, or at the places where it can stand, and tries it: of pages in use, enough must be where
 * the entries that they name say. 0; ERR_NOTFOUND: there is none, no layout, or none that bears itself out; ERR_NOMEM. k must outlive it. */
int pfndb_open(struct pfndb **out, const struct kernel *k);
void pfndb_close(struct pfndb *db); /* takes NULL */

/* What is noted about the page at pa; false: nothing, or nobody ever had it. */
bool pfndb_at(const struct pfndb *db, uint64_t pa, struct pfn_page *out);

/* Calls fn for each page of the image about which something is noted, ascending; stops at its first result that is not 0, and returns it. */
typedef int pfndb_fn(void *ctx, const struct pfn_page *p);
int pfndb_each(const struct pfndb *db, pfndb_fn *fn, void *ctx);

/* What the entry itself says: 1, that it leads to the page; -1, something else; 0, nothing: its page is zeros or not in the image. */
int pfndb_agrees(const struct pfndb *db, const struct pfn_page *p);

/* A page table that is lost, from the pages in use that name it: PFNDB_TABLE_BYTES, owned by db. An entry that two pages claim stays 0. NULL: it is not lost, or
 * no page names it. The first call reads the whole database. */
#define PFNDB_TABLE_BYTES 4096u
const uint8_t *pfndb_table(struct pfndb *db, uint64_t pa);
size_t pfndb_n_tables(const struct pfndb *db); /* how many of them were asked for and given */
bool pfndb_limited(const struct pfndb *db);    /* more were lost than PFNDB_TABLES_MAX, or name too many pages */
#define PFNDB_TABLES_MAX 4096u

#endif
