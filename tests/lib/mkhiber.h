/* mkhiber.h - writes hiberfil.sys, of Windows 8 and later (compression sets) and of Windows 7 and Vista (tables and Xpress blocks). Offsets are
 * those of PO_MEMORY_IMAGE in public symbol tables, not the reader's. */
#ifndef ETLIFT_MKHIBER_H
#define ETLIFT_MKHIBER_H

#include <stdbool.h>

#include "buf.h"

enum mkhiber_packing { MKHIBER_PLAIN, MKHIBER_HUFF, MKHIBER_STORED, MKHIBER_MIXED };

struct mkhiber {
	uint32_t length;   /* of the header: which Windows */
	const char *magic; /* NULL: HIBR */
	enum mkhiber_packing packing;
	void (*huff)(struct buf *out, const uint8_t *p, size_t n); /* NULL: mkpack_xpresshuff */
	const uint64_t *pfn;                                       /* pages, in the order in which they are written */
	size_t n, n_boot;                                          /* n_boot: so many of them are the boot loader's */
	const uint8_t *(*page)(void *ctx, uint64_t pfn);
	void *ctx;
	uint64_t cr3;         /* Windows 7: of the processor */
	int64_t system_time;  /* FILETIME */
	bool method_one;      /* sets say so, whatever they are packed with */
	unsigned table_pages; /* Windows 7: ranges in a table; 0: as many as fit */
};

/* Where things were put, for tests that damage them. */
struct mkhiber_map {
	size_t n;
	size_t at[4096]; /* of each set or block (the first ones) */
	size_t table[64], n_tables;
};

/* Appends to an empty buffer. map may be NULL. */
void mkhiber_build(struct buf *b, const struct mkhiber *o, struct mkhiber_map *map);

#endif
