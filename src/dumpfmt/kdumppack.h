/* kdumppack.h - the packed pages of a kdump: zlib, LZO1X, snappy (a bare block), zstd, or stored. Facts: docs/formats/kdump.md. */
#ifndef ETLIFT_KDUMPPACK_H
#define ETLIFT_KDUMPPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

#include "libraries.h"
#if LIB_ZSTD
#include <zstd.h>
#endif

enum { KDUMP_ZLIB = 1, KDUMP_LZO = 2, KDUMP_SNAPPY = 4, KDUMP_ZSTD = 0x20 };
#define KDUMP_ANY (KDUMP_ZLIB | KDUMP_LZO | KDUMP_SNAPPY | KDUMP_ZSTD)

/* What unpacking many pages has use for: zeroed by the caller, made when it is first wanted. */
struct kdumppack {
	z_stream z;
	bool z_ready;
#if LIB_ZSTD
	ZSTD_DCtx *zstd;
#endif
};

/* n bytes at p, packed as a descriptor's flags say, to at most `page` bytes at out. The count, ERR_FORMAT, ERR_UNSUPPORTED (that library is not built in). */
int64_t kdumppack_unpack(struct kdumppack *u, const uint8_t *p, uint32_t n, uint32_t flags, uint8_t *out, uint32_t page);
void kdumppack_end(struct kdumppack *u);

#endif
