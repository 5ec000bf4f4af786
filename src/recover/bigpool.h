/* bigpool.h - PoolBigPageTable: the pool's own table of allocations of a page and more, which have no header before them.
 *
 * Its address comes by symbol; without one, from the kernel's image: a pointer in it leads to a page of entries, each with the address of a page and
 * a tag of four characters, or empty (docs/layouts.md 7.5, _POOL_TRACKER_BIG_PAGES). */
#ifndef ETLIFT_BIGPOOL_H
#define ETLIFT_BIGPOOL_H

#include "kview.h"

/* Calls fn with the address and the tag of every allocation; a freed one too, whose bytes may still be there. Stops at its first result that is
 * not 0, and returns it. 0 also when there is no table. */
int bigpool_each(struct kview *v, int (*fn)(void *ctx, uint64_t va, uint32_t tag), void *ctx);

#endif
