/* mkvmrs.h - writes Hyper-V saved states (.vmrs) as openvmm's documentation of the format has it, blocks packed as Hyper-V packs them. */
#ifndef ETLIFT_MKVMRS_H
#define ETLIFT_MKVMRS_H

#include <stdbool.h>

#include "buf.h"

struct mkvmrs_range {
	uint64_t pfn, pages;
};

enum mkvmrs_packing { MKVMRS_STORED, MKVMRS_PAGES, MKVMRS_ONE_STREAM, MKVMRS_TURNS };

struct mkvmrs {
	const struct mkvmrs_range *range;
	size_t n_ranges;
	const uint8_t *(*page)(void *ctx, uint64_t pfn); /* NULL: zeros */
	void *ctx;
	enum mkvmrs_packing packing;
	uint64_t cr3;
	unsigned objects; /* entries in a table of objects; 0: 200 */
};

void mkvmrs_build(struct buf *b, const struct mkvmrs *o);

#endif
