/* crash.h - what 64-bit and 32-bit Windows crash dumps share: where pages stand, and the tagged blobs behind them.
 *
 * Facts: docs/formats/crash.md. Lying tables are clamped and named; an error is returned only when nothing could be registered. */
#ifndef ETLIFT_CRASH_H
#define ETLIFT_CRASH_H

#include "dumpfmt.h"

#define CRASH_PAGE   4096u
#define CRASH_FILL32 0x45474150u /* "PAGE": a field nobody wrote */
#define CRASH_FILL64 UINT64_C(0x4547415045474150)

enum crash_type { /* DUMP_TYPE */
		  CRASH_FULL = 1,
		  CRASH_SUMMARY = 2,
		  CRASH_HEADER = 3,
		  CRASH_TRIAGE = 4,
		  CRASH_BITMAP_FULL = 5,
		  CRASH_BITMAP_KERNEL = 6,
		  CRASH_AUTOMATIC = 7,
		  CRASH_RANGE_KERNEL = 8,
		  CRASH_RANGE_ACTIVE = 9,
		  CRASH_RANGE_FULL = 10
};

struct crash_layout {          /* how the two widths differ */
	const char *prefix;    /* "crash64" */
	uint32_t header;       /* bytes of the header; the next structure stands there */
	uint32_t n_runs, runs; /* offsets of the run count and the first run */
	uint32_t run_size;     /* 16 or 8 */
	uint32_t max_runs;     /* that fit into the header */
};

/* Registers the pages of a dump of this type and the blobs behind them; h = the header bytes. Sets d->format. */
int crash_open(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type, struct err *e);

/* Secondary data begins at this file offset. */
bool crash_blob_at(struct dump *d, uint64_t off);

/* What a DUMP_HEADER64 (0x2000 bytes) says of the machine. */
void crash64_hints(struct hints *k, const uint8_t *h);

#endif
