/* mkvmss.h - makes VMware state files (.vmss, .vmsn) for tests, byte by byte from the format notes (docs/formats/vmware.md). */
#ifndef ETLIFT_MKVMSS_H
#define ETLIFT_MKVMSS_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

struct mkvmss_region {
	uint32_t page, ppn, pages;
};

struct mkvmss {
	uint32_t magic; /* 0: 0xbed2bed2 */
	const struct mkvmss_region *region;
	unsigned n_regions;
	int claims; /* added to regionsCount */
	uint64_t cr3;
	unsigned cpus; /* 0: one */
	uint32_t mem_mb, platform;
	uint64_t inside; /* bytes of memory that will stand in the file, behind what is built here; 0: none */
};

/* Builds all but the memory inside: the caller puts that behind it (it starts at a page of the file). */
void mkvmss_build(struct buf *b, const struct mkvmss *o);

#endif
