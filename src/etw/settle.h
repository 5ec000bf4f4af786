/* settle.h - raw buffer bytes -> an etw_buffer whose records are whole: end of data, walk, holes, residual records.
 *
 * The one place that knows where a buffer's data ends (memory-recovery.md section 3) and what a hole is (the contract, "Holes").
 * Used by recover, carve, etl and check. */
#ifndef ETLIFT_SETTLE_H
#define ETLIFT_SETTLE_H

#include "etw.h"
#include "evhdr.h"

enum etw_met { ETW_MET_MEMORY, ETW_MET_SECONDARY, ETW_MET_FILE, ETW_MET_FILE_FIRST };

struct etw_range {
	uint32_t offset, bytes; /* in the buffer */
};

struct etw_settle_opts {
	enum etw_met met;
	uint32_t buffer_size; /* the session's; 0: the header's. Bounds the end of data */
	bool cpu_low_byte;    /* Windows 7: only the low byte of the header's processor word counts (profile trait) */
	bool has_max_ts;
	uint64_t max_ts; /* the image's time in session clock: a record behind a hole must not be later */
	bool has_latest;
	uint64_t latest;                 /* none of the buffer's records can be later: one that is is torn, wherever it stands */
	const struct etw_range *missing; /* ranges of raw that could not be read (their bytes mean nothing); ascending */
	size_t n_missing;
	bool in_memory;    /* the bytes are those of memory pages: a page of zeros may be one that the imager could not read */
	uint32_t page_off; /* where raw[0] stands in its page */
};

/* End of valid data by the rules of section 3, clamped to 0x48 .. limit. `limit` = the smaller of buffer size and bytes at hand. */
uint32_t etw_end_of_data(const struct etw_bufhdr *h, enum etw_met met, uint32_t limit);

/* Fills b->hdr, cpu, orig_*, body, gaps, n_events, first/last_ts from raw[0, raw_len); other members are left alone. raw_len >= 0x48 and
 * a readable header are the caller's business (a buffer whose header page is missing is lost, and named by the caller).
 * `residual` (may be NULL): zeroed on entry; receives the records behind the end of data as a buffer of their own (body_len 0: none), with
 * hdr, cpu and the address members copied from b. 0 or ERR_NOMEM. */
int etw_settle(struct etw_buffer *b, const uint8_t *raw, uint32_t raw_len, const struct etw_settle_opts *o, struct etw_buffer *residual);

/* Offset in the buffer as it was of the byte that stands at `off` (>= 0x48) in the rebuilt one. */
uint32_t etw_original_offset(const struct etw_buffer *b, uint32_t off);

#endif
