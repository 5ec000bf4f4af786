/* vmwareregion.c - see vmwareregion.h */
#include "vmwareregion.h"

#include <stdlib.h>
#include <string.h>

#define TILES_MAX 16u /* regions that are held against each other */

/* The regions as they are in v stand one behind the other in the memory file, from its begin on. Returns how many pages they have; 0: they don't. */
static uint64_t tiled(const struct vmware_region *v, uint32_t n)
{
	uint64_t at = 0;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = 0;

		while (i < n && (v[i].page != at || !v[i].pages))
			i++;
		if (i == n || v[i].pages >> 40)
			return 0;
		at += v[i].pages;
	}
	return at;
}

/* In the file they have the order that they have in the guest, as the product writes them. */
static bool in_order(const struct vmware_region *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < n; k++)
			if (v[i].page < v[k].page && v[i].ppn >= v[k].ppn)
				return false;
	return true;
}

/* Each page of the memory file is in one region. When it is not so and one number alone, changed, makes it so (of several ways the one in order), that
 * number lies. Else bytes that two regions have are named: in one of them they are in the wrong place. */
void vmware_settle_regions(struct vmware_region *region, uint32_t n, uint64_t len, struct notes *notes)
{
	uint64_t all = (len + VMWARE_PAGE - 1) / VMWARE_PAGE, was = 0, now = 0, twice = 0;
	struct vmware_region v[TILES_MAX], *number = NULL;
	bool size = false;
	unsigned ways = 0;

	if (n > TILES_MAX)
		return;
	for (uint32_t i = 0; i < n; i++)
		if (region[i].has != (VMWARE_HAS_PAGE | VMWARE_HAS_PPN | VMWARE_HAS_SIZE) || region[i].ppn >> 40)
			return;
	memcpy(v, region, n * sizeof(*v));
	if (n < 2 || tiled(v, n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t others = 0, page = v[i].page, pages = v[i].pages;

		for (uint32_t k = 0; k < n; k++)
			others += k == i ? 0 : v[k].pages;
		for (uint32_t k = 0; k <= n; k++) { /* it begins at 0, or behind another one */
			v[i].page = k == n ? 0 : v[k].page + v[k].pages;
			if ((k < n && k == i) || v[i].page == page || tiled(v, n) != all || !in_order(v, n))
				continue;
			ways++;
			number = &region[i];
			size = false;
			was = page;
			now = v[i].page;
		}
		v[i].page = page;
		v[i].pages = all > others ? all - others : 0;
		if (tiled(v, n) == all && in_order(v, n)) {
			ways++;
			number = &region[i];
			size = true;
			was = pages;
			now = v[i].pages;
		}
		v[i].pages = pages;
	}
	if (ways == 1) {
		*(size ? &number->pages : &number->page) = now;
		notes_add(notes, &NOTE(NOTE_CONTEXT_BAD), "region %u of memory is said to %s page %llu%s; by the others it is %llu",
			  (unsigned)(number - region), size ? "have up to" : "begin at", (unsigned long long)was,
			  size ? " of its own" : " of the file", (unsigned long long)now);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = i + 1; k < n; k++) {
			uint64_t from = v[i].page > v[k].page ? v[i].page : v[k].page, a = v[i].page + v[i].pages,
				 b = v[k].page + v[k].pages;

			if (vmware_whole_region(&v[i]) && vmware_whole_region(&v[k]) && from < (a < b ? a : b))
				twice += (a < b ? a : b) - from;
		}
	if (twice)
		notes_add(notes, &NOTE(NOTE_CONTEXT_BAD), "%llu bytes of the memory file are in two regions of the state: one of them lies",
			  (unsigned long long)(twice < UINT64_MAX / VMWARE_PAGE ? twice * VMWARE_PAGE : UINT64_MAX));
}

static int by_page(const void *x, const void *y)
{
	const struct vmware_region *a = x, *b = y;

	return a->page < b->page ? -1 : a->page > b->page;
}

/* Bytes of the first `len` that no region has. */
uint64_t vmware_in_no_region(const struct vmware_region *region, uint32_t n_regions, uint64_t len)
{
	struct vmware_region *v = malloc((n_regions + 1) * sizeof(*v));
	uint64_t end = 0, lost = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; v && i < n_regions; i++)
		if (vmware_whole_region(&region[i]) && region[i].page * VMWARE_PAGE < len)
			v[n++] = region[i];
	if (n)
		qsort(v, n, sizeof(*v), by_page);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t from = v[i].page * VMWARE_PAGE, to = from + v[i].pages * VMWARE_PAGE;

		lost += from > end ? from - end : 0;
		end = to > end ? to : end;
	}
	free(v);
	return lost + (len > end ? len - end : 0);
}
