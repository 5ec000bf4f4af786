/* settlespan.h - inside etw_settle(): one buffer's bytes, what of them is there, and from where whole records chain. For settle*.c only.
 *
 * settlespan.c looks at bytes and places, settleforeign.c finds the pages that are another's, settle.c walks. */
#ifndef ETLIFT_SETTLESPAN_H
#define ETLIFT_SETTLESPAN_H

#include "settle.h"

#define SETTLE_NOWHERE  UINT32_MAX
#define SETTLE_PAGE     4096u
#define SETTLE_TIME_END 0x28u /* a record's time stands before it, whatever its kind */
#define SETTLE_WORDS    (ETW_BUFFER_SIZE_MAX / SETTLE_PAGE / 32u + 1u)

struct span {
	const uint8_t *raw;
	uint32_t from, end; /* records are looked for in [from, end) */
	const struct etw_range *missing;
	size_t n_missing;
	bool has_max_ts;
	uint64_t max_ts;
	bool has_latest;
	uint64_t latest;
	bool in_memory;                       /* not in a file: */
	uint32_t phase;                       /* where raw[0] stands in its page */
	uint32_t zero[SETTLE_WORDS];          /* a bit for each page that begins in [from, end): its bytes before `end` are zeros */
	const struct settle_foreign *foreign; /* pages of others, ascending; NULL: none */
	size_t n_foreign;
};

/* Pages whose bytes are not this buffer's: [from, to). */
struct settle_foreign {
	uint32_t from, to;
	uint32_t resume;  /* where a record of this buffer begins behind them; SETTLE_NOWHERE: unknown */
	uint32_t records; /* how many begin in them */
};

/* For each 8-aligned place: does a chain of whole records, times not going back, start here and end well, and where. */
struct link {
	uint64_t ts;   /* of the first timed record of the chain */
	uint32_t stop; /* where the chain ends; SETTLE_NOWHERE: no chain starts here */
	uint32_t n;    /* records */
	bool has_ts;
};

struct chains {
	struct link *at; /* owned; [i]: the place from + 8 * i; one more for the end */
	uint32_t from, n;
};

void settle_find_zero_pages(struct span *s);

/* Where the page that holds raw[off] begins in raw; that of the first one: 0. */
uint32_t settle_page_of(const struct span *s, uint32_t off);

/* The first missing range that touches [off, off + n), or NULL. */
const struct etw_range *settle_missing(const struct span *s, uint32_t off, uint32_t n);

/* The first pages of others that touch [off, off + n), or NULL. */
const struct settle_foreign *settle_foreign_in(const struct span *s, uint32_t off, uint32_t n);

/* A whole record whose bytes are all there and its own. */
enum etw_peek settle_peek(const struct span *s, uint32_t off, struct etw_record *r);

/* Later than any record of the buffer can be: something was written over its header, behind the first 8 bytes. */
bool settle_too_late(const struct span *s, const struct etw_record *r);

/* Is the record cut off by a page of zeros that was never its own? */
bool settle_cut_by_zeros(const struct span *s, const struct etw_record *r);

/* `any_stop`: a chain may end anywhere (residual data, whose end nobody wrote down). 0 or ERR_NOMEM. */
int settle_find_chains(struct chains *c, const struct span *s, uint32_t from, bool any_stop);
void settle_free_chains(struct chains *c);

/* The first place at or behind `off` from which records chain to a good end, the first of them not before `least`; s->end when there is none. */
uint32_t settle_resume(const struct chains *c, const struct span *s, uint32_t off, bool has_least, uint64_t least);

/* The pages of s that are another's, by the times of what begins in each: ascending, owned by the caller; *n 0: none. 0 or ERR_NOMEM. */
int settle_find_foreign(const struct span *s, bool has_bound, uint64_t bound, struct settle_foreign **v, size_t *n);

#endif
