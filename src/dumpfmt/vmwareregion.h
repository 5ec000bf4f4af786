/* vmwareregion.h - the regions that a VMware state names, held against each other and against the memory file. Facts: docs/formats/vmware.md. */
#ifndef ETLIFT_VMWAREREGION_H
#define ETLIFT_VMWAREREGION_H

#include <stdbool.h>
#include <stdint.h>

#include "note.h"

#define VMWARE_PAGE 4096u

enum { VMWARE_HAS_PAGE = 1, VMWARE_HAS_PPN = 2, VMWARE_HAS_SIZE = 4 };

struct vmware_region {
	uint64_t page, ppn, pages; /* place in the memory file, in the guest, length */
	unsigned has;
};

/* Described in full, and below 2^52. */
static inline bool vmware_whole_region(const struct vmware_region *r)
{
	return r->has == (VMWARE_HAS_PAGE | VMWARE_HAS_PPN | VMWARE_HAS_SIZE) && !((r->page | r->ppn | r->pages) >> 40);
}

/* Mends the number that lies, when only one can, and tells it; else bytes in two regions are told. `len`: bytes of the memory file. */
void vmware_settle_regions(struct vmware_region *region, uint32_t n, uint64_t len, struct notes *notes);
/* Bytes of the memory file's first `len` that no region has. */
uint64_t vmware_in_no_region(const struct vmware_region *region, uint32_t n_regions, uint64_t len);

#endif
