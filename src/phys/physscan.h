/* physscan.h - every byte of physical memory once, in pieces, by several threads.
 *
 * For finders that look at shapes: carving, contexts, pool tags, YARA. Knows nothing of what is looked for. The order of visits differs
 * from run to run when there is more than one thread: a visitor collects, its caller sorts. */
#ifndef ETLIFT_PHYSSCAN_H
#define ETLIFT_PHYSSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "phys.h"

#define PHYSSCAN_THREADS_MAX 64
#define PHYSSCAN_CHUNK       (256u << 10) /* bytes of a piece: fits the second-level cache */

struct physscan_opts {
	unsigned threads; /* 0: one for each processor of this machine */
	size_t chunk;     /* bytes, a multiple of 4,096; 0: PHYSSCAN_CHUNK. Pieces end at multiples of it */
	size_t overlap;   /* bytes behind a piece that a visit sees too, at most `chunk` */
	size_t before;    /* and before it, at p[-before, 0), at most 4,096: zeros where nothing can be read there */
	/* Called by the calling thread now and then; may be NULL. False stops the scan with ERR_INTR. total: a guess while the end of memory is not known
	 * (phys_open_end()), never less than done. */
	bool (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *progress_ctx;
};

/* One piece: p[0, n) stands at pa; p[n, n + more) goes on behind it (more < overlap where memory ends or can't be read). `thread` is
 * below physscan_threads(). Bytes are valid during the call. Negative stops the scan and is its result. */
typedef int physscan_fn(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more);

/* How many threads a scan with these options uses: for a visitor that keeps something for each. */
unsigned physscan_threads(const struct physscan_opts *o);

/* Visits all of `p`. A page that can't be read is left out and counted in *unreadable (bytes; may be NULL). 0, ERR_NOMEM, ERR_INTR, or what
 * a visit returned. */
int physscan_run(const struct phys *p, const struct physscan_opts *o, physscan_fn *fn, void *ctx, uint64_t *unreadable, struct err *e);

#endif
