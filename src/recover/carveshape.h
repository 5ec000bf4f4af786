/* carveshape.h - what an ETW buffer looks like when nothing leads to it: its header, and the records that must follow.
 *
 * Pure functions of bytes. A header alone proves nothing: it must agree with itself, and whole records with times that don't go back must
 * stand behind it, up to the end of its data or over the edge of what is at hand. Facts: docs/live-buffers.md, docs/etl-format.md. */
#ifndef ETLIFT_CARVESHAPE_H
#define ETLIFT_CARVESHAPE_H

#include "carveblocks.h"
#include "rd.h"
#include "settle.h"

#define CARVE_PAGE      4096u
#define CARVE_STEP      0x400u /* buffers begin at multiples of this in a page: pages in memory, multiples of 1 KiB in files */
#define CARVE_STEP_ANY  16u    /* with `deep`: where the pool puts things */
#define CARVE_SIZE_MIN  0x400u /* BufferSize of the API */
#define CARVE_FIRST_MIN 0x200u /* of a compressed file's first buffer, which is trimmed */
#define CARVE_POOL_MIN  0x100u /* of a buffer that shares its page */
#define CARVE_IDS       1024u  /* logger ids believed, without bit 15; Windows gives at most 256 */
#define CARVE_PRIVATE   0x8000u
#define CARVE_RTBACKUP  0x10u               /* BufferFlag */
#define CARVE_HEADER    4u                  /* BufferType of a file's first buffer */
#define CARVE_SPAN_MAX  (UINT64_C(1) << 56) /* between the first and the last record of one buffer */

/* A walk over the records of a buffer whose first bytes are at hand. */
struct carve_walk {
	uint32_t off; /* where the next record begins */
	uint32_t n;   /* whole records passed */
	bool has_ts;
	uint64_t first_ts, last_ts; /* of those */
	uint64_t step_max;          /* the longest time between two that follow each other */
	bool bad;                   /* no record, or none that fits, stands at off */
};

struct carve_shape {
	struct etw_bufhdr h;
	enum etw_met met; /* by which rule `end` was found */
	uint32_t end;     /* of data */
	struct carve_walk walk;
	uint32_t next; /* where the first record begins that does not begin in the bytes at hand */
	bool fill;     /* 0xff stands behind the data, as in files */
	uint32_t
		stored; /* of a packed buffer (carvepack.h): the bytes it takes with its header; `end` is that of the unpacked one; 0: not packed */
	bool row; /* and it is one of a compressed session's row */
};

/* The first test, on 8 bytes: most of memory ends here. */
static inline bool carve_first_test(uint32_t buffer_size, uint32_t saved_offset)
{
	return buffer_size - CARVE_FIRST_MIN <= ETW_BUFFER_SIZE_MAX - CARVE_FIRST_MIN && !(buffer_size & (CARVE_FIRST_MIN - 1)) &&
	       saved_offset <= buffer_size;
}

/* And a few more of a header: only a file's first buffer may have a size that is no multiple of 1 KiB. */
static inline bool carve_plain(const uint8_t p[ETW_BUFFER_HEADER_SIZE])
{
	uint32_t size = le32(p);

	return carve_first_test(size, le32(p + 4)) && (size % CARVE_SIZE_MIN == 0 || le16(p + 0x36) == CARVE_HEADER);
}

/* Does a buffer with records begin at p? `have`: bytes at hand (>= 0x48), up to the end of its page. `pool`: a place where only the pool puts
 * buffers, or a size of the pool, which must fit into `have`: more must speak for it then. */
bool carve_looks(const uint8_t *p, uint32_t have, bool pool, struct carve_shape *out);

/* Does a TRACE_LOGFILE_HEADER (its first 0x24 bytes) go with a header buffer of this size? A compressed file's is trimmed to what it needs. */
bool carve_header_size(const uint8_t *logfile, uint32_t size);

/* Goes on with a walk over raw[0, have) of a buffer whose data ends at `end`; raw itself reaches to `end`, zeroed behind `have`. */
void carve_go_on(struct carve_walk *w, const uint8_t *raw, uint32_t have, uint32_t end);

/* A walk that is bad is taken up again at the first place behind from which records chain to the end of raw[0, have): a writer was caught in the
 * act. False: there is none, *w is as it was. */
bool carve_resume(struct carve_walk *w, const uint8_t *raw, uint32_t have, uint32_t end);

/* How far the next record stands, by the first 8 bytes of this one (which must have a marker). */
uint32_t carve_record_step(const uint8_t p[8]);

/* And how many bytes it has itself: the rest, up to 7, are padding. */
uint32_t carve_record_size(const uint8_t p[8]);

/* A place in a page where records begin that nothing before them in the page leads to. */
struct carve_head {
	uint64_t ts, last_ts; /* of the first and the last timed record of the chain */
	uint16_t off;
	uint16_t exit; /* where the next record begins in the next page; CARVE_NO_EXIT: not there */
	uint16_t n;    /* whole records of the chain, with one that goes on in the next page */
};
#define CARVE_NO_EXIT UINT16_MAX
#define CARVE_HEADS   8

/* The heads in one page, at most CARVE_HEADS. A page without any is passed quickly. */
unsigned carve_heads(const uint8_t page[CARVE_PAGE], struct carve_head out[CARVE_HEADS]);

/* The same, by marks that are at hand (carve_blocks()). */
unsigned carve_heads_in(const uint8_t page[CARVE_PAGE], const uint8_t marks[CARVE_PAGE / CARVE_BLOCK], struct carve_head out[CARVE_HEADS]);

#endif
