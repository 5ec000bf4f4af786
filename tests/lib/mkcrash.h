/* mkcrash.h - makes Windows crash dumps for tests, byte by byte from the format notes (docs/formats/crash.md, docs/live-buffers.md). */
#ifndef ETLIFT_MKCRASH_H
#define ETLIFT_MKCRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* ---- the ETW block ---- */
struct mketw {
	bool twice_name;   /* 19041 .. 22000: as many bytes again behind each name; false: 26100 */
	unsigned n_events; /* in each used buffer */
};

/* Appends a block with three sessions: 2 "EventLog-System" (clock 2, three buffers: used, flushed, unused), 7 "WiFi" (clock 1, two buffers and a
 * placeholder), 9 "Empty" (no buffer in use). */
void mketw_block(struct buf *b, const struct mketw *o);

/* ---- dumps ---- */
struct mkcrash {
	bool wide;             /* 64-bit */
	uint32_t type;         /* DUMP_TYPE */
	bool writer_b;         /* triage: no padding between blocks; zeros and rubbish behind the last */
	const struct buf *etw; /* bytes of the ETW block; NULL: none */
	uint64_t etw_claims;   /* other than 0: what the block's header says instead of its length */
	bool twin;             /* the ETW tag stands twice: an empty block first */
	const uint8_t *memory; /* pages of the physical runs, for types with memory */
	uint32_t n_pages;      /* in two runs: the first half from frame 1 on, the rest from frame 100 on */
};

void mkcrash_build(struct buf *b, const struct mkcrash *o);

#endif
