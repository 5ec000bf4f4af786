/* carvescan.h - one pass over physical memory: where buffers begin, and which pages hold records that begin nowhere.
 *
 * Reads each byte once, in several threads. Only pure shapes here: nothing is followed, nothing is put together. */
#ifndef ETLIFT_CARVESCAN_H
#define ETLIFT_CARVESCAN_H

#include "carveshape.h"
#include "physscan.h"

#define CARVE_FOUND_MAX  (1u << 20) /* buffers, and */
#define CARVE_PARTS_MAX  (1u << 22) /* pages with records, and */
#define CARVE_PACKED_MAX (1u << 18) /* packed buffers, and */
#define CARVE_TAILS_MAX  (1u << 20) /* pages that end in fill: what comes behind is left out, and `limited` says so */
#define CARVE_TABLES_MAX (1u << 20) /* page tables, with tables_limited, */
#define CARVE_RESTS_MAX  (1u << 20) /* and pages that end in zeros, with rests_limited */

/* Entries of 8 bytes, as x64, PAE and ARM64 have them: */
#define CARVE_ENTRY_VALID UINT64_C(1)
#define CARVE_ENTRY_SAME  UINT64_C(0x1f) /* what the entries of one buffer's pages have in common: valid, and who may do what with them */
#define CARVE_ENTRY_FRAME UINT64_C(0x0000fffffffff000) /* of the page */
#define CARVE_ENTRY_NEVER UINT64_C(0x000f000000000000) /* no machine has so much memory */

struct carve_found { /* a place where a buffer begins */
	uint64_t pa;
	struct carve_shape shape;
};

struct carve_part {  /* records in a page that no header stands before */
	uint64_t pa; /* of the page */
	uint64_t ts; /* of the first record; 0: none tells */
	uint64_t last_ts;
	uint16_t off;     /* of the first record */
	uint16_t exit, n; /* see struct carve_head */
	bool led;         /* records of the page before it in memory lead to just there, and end shortly before it begins */
};

struct carve_tail { /* a page that ends in fill as a file's last page does */
	uint64_t pa;
	uint16_t off; /* where the fill begins */
	bool records; /* something like a record begins in it */
};

struct carve_rest {   /* a page that holds something, but no record's beginning, and ends in zeros */
	uint64_t pa;  /* of the page */
	uint16_t off; /* where the zeros begin */
	bool mapped;  /* carve_mapped() was told so */
};

struct carve_exit {   /* a page that ends in the midst of records */
	uint64_t pa;  /* of the page */
	uint64_t ts;  /* of its last record */
	uint16_t off; /* where the next record must begin in the next page */
};

struct carve_scan {
	struct carve_found *found; /* owned; ascending by pa */
	size_t n_found, cap_found;
	struct carve_found *packed; /* owned; ascending by pa: at any address, with shape.stored */
	size_t n_packed, cap_packed;
	struct carve_part *part; /* owned; ascending by off, ts, pa */
	size_t n_parts, cap_parts;
	struct carve_tail *tail; /* owned; ascending by off, pa */
	size_t n_tails, cap_tails;
	uint64_t *table; /* owned; pages in which two entries of a page table or more stand side by side, ascending */
	size_t n_tables, cap_tables;
	struct carve_rest *rest; /* owned; ascending by pa */
	size_t n_rests, cap_rests;
	struct carve_exit *exit; /* owned; of buffers' first pages and of parts, ascending by off, ts, pa */
	size_t n_exits;
	uint64_t scanned, unreadable; /* bytes */
	bool limited, tables_limited, rests_limited;
};

struct carve_scan_opts {
	bool deep;   /* every 16-byte boundary, for buffers that share a page */
	bool tables; /* `table` and `rest` are wanted */
	unsigned threads;
	bool (*progress)(void *ctx, uint64_t done, uint64_t total); /* see physscan.h */
	void *ctx;
};

/* 0, ERR_NOMEM, ERR_INTR. *out is zeroed on failure. */
int carve_scan_run(const struct phys *p, const struct carve_scan_opts *o, struct carve_scan *out, struct err *e);
void carve_scan_free(struct carve_scan *s); /* takes a zeroed one */

#endif
