/* carvework.h - what the parts of the carver share. Inside src/recover only: carve.c (groups), carvemap.c (addresses), carvejoin.c (pages). */
#ifndef ETLIFT_CARVEWORK_H
#define ETLIFT_CARVEWORK_H

#include "addrset.h"
#include "carve.h"
#include "carvescan.h"
#include "hash.h"

struct carve_buf { /* one place where a buffer begins */
	const struct carve_found *f;
	bool live;             /* belongs to a session that was recovered */
	bool has_va, user;     /* mapped: in the kernel, or in the process `pid` */
	uint64_t va, pid, dtb; /* dtb: of that process */
	uint64_t *page;        /* owned; physical page of each of its pages, ETW_NO_PA where none was found */
	uint32_t n_pages;
};

struct carve_live { /* a session that was recovered */
	uint32_t silo, id, buffer_size;
	bool has_va; /* of the context */
	uint64_t va;
	enum etw_clock clock;
	bool has_reference;
	int64_t reference_time, start_time;
	uint64_t reference_ts;
	char *name; /* owned */
	uint32_t mode;
};

struct carve_body { /* what records have been seen already */
	char sha256[SHA256_HEX];
	uint64_t at; /* virtual address of the buffer that has them, else its physical one */
};

struct carve {
	struct image *im;
	struct carve_opts o;
	struct carve_scan scan;
	struct carve_buf *buf; /* owned; as scan.found, ascending by physical address */
	size_t n;
	struct carve_live *live; /* owned */
	size_t n_live, cap_live;
	struct carve_body *body; /* owned; open addressing, sha256[0] == 0: empty */
	size_t n_bodies, cap_bodies;
	uint64_t *times;        /* owned; first event times of all that were found, ascending */
	struct addrset claimed; /* physical pages of recovered buffers */
	uint8_t *raw;           /* owned; a buffer being put together */
	size_t cap_raw;
	struct carve_counts counts;
};

/* The buffer that begins at this physical address, or NULL. */
struct carve_buf *carve_at(const struct carve *c, uint64_t pa);

/* Addresses: first by what ring neighbours say, then by page tables, for buffers that are not live. 0 or ERR_NOMEM. */
int carve_map(struct carve *c);

/* Room for n bytes at c->raw. */
int carve_room(struct carve *c, size_t n);

/* Finds b->page, unless it is known. known[0, n) are the pages that are (ETW_NO_PA: not), counted from the buffer's first; may be NULL.
 * `patience`: how much longer than between the records so far the time to the next page's records may be. `whole`: only if all pages are
 * found (b->page stays NULL when not). 0 or ERR_NOMEM. */
struct carve_how {
	const uint64_t *known;
	uint32_t n_known;
	uint64_t patience;
	bool whole;
};
int carve_join(struct carve *c, struct carve_buf *b, const struct carve_how *how);

/* Settles b: *eb (address members too) and, where wanted, *rest (may be NULL). body_len 0: nothing was in it. 0 or ERR_NOMEM. */
int carve_settle(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb, struct etw_buffer *rest);

/* Has a buffer with these records been seen? Then *at is its address, 1; else it is remembered under `at`, 0. ERR_NOMEM. */
int carve_seen(struct carve *c, const struct etw_buffer *b, uint64_t *at);

/* carvegroup.c: the buffers that are not live, sorted by origin and put together. */
int carve_groups(struct carve *c, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx, struct err *e);

/* The bytes of b into c->raw; *len of them, and the ranges that are missing (at most max). 0 or ERR_NOMEM. */
int carve_bytes(struct carve *c, const struct carve_buf *b, uint32_t *len, struct etw_range *missing, size_t max, size_t *n_missing);

#endif
