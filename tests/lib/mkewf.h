/* mkewf.h - makes EWF images (E01) for tests, byte by byte from the format notes (docs/formats/ewf.md), in the order that EnCase 6 writes. */
#ifndef ETLIFT_MKEWF_H
#define ETLIFT_MKEWF_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

#define MKEWF_CHUNK 32768u

struct mkewf {
	uint64_t size;                                  /* bytes of the medium */
	const uint8_t *(*chunk)(void *ctx, uint64_t n); /* MKEWF_CHUNK bytes; NULL: zeros */
	void *ctx;
	bool packed;          /* chunks are deflated where that helps */
	uint64_t per_segment; /* chunks in a segment; 0: all in one */
	uint32_t per_table;   /* chunks in a table; 0: 16375 */
	uint8_t set;          /* of the acquisition's GUID */
};

/* Fills seg[0 .. n) (initialised by the caller; at most max) and returns n. */
size_t mkewf_build(struct buf *seg, size_t max, const struct mkewf *o);

/* The file offset of the nth section descriptor of this type (from 0), or SIZE_MAX. */
size_t mkewf_section(const struct buf *seg, const char *type, unsigned nth);
/* Writes the Adler-32 of p[0 .. n) behind it: 72 for a descriptor, 20 for a table's header. */
void mkewf_sum(uint8_t *p, size_t n);

#endif
