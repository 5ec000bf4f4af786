/* mketl.h - makes whole .etl files for tests and fuzz seeds, byte by byte from the format notes; shares nothing with src/etlwrite. */
#ifndef ETLIFT_MKETL_H
#define ETLIFT_MKETL_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

struct mketl {
	uint32_t buffer_size; /* 0: 0x2000 */
	unsigned n_data;      /* buffers behind the header buffer */
	unsigned n_records;   /* in each: events, messages and system records in turn */
	bool narrow;          /* a 32-bit writer */
	bool packed;          /* compressed */
	const char *logger;   /* NULL: "made" */
};

/* Into an empty buf. */
void mketl_build(struct buf *out, const struct mketl *o);
/* Plain LZ77: literals, and matches of distance 1 for runs. */
void mketl_pack(struct buf *out, const uint8_t *p, uint32_t n);

#endif
