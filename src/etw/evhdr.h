/* evhdr.h - the record headers of an ETW buffer (etl-format.md section 3): what a record is, how long, when. Knows no payload. */
#ifndef ETLIFT_EVHDR_H
#define ETLIFT_EVHDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum etw_kind { /* names as etw_kind_name(): those of the contract's check --json */
		ETW_KIND_SYSTEM32,
		ETW_KIND_SYSTEM64,
		ETW_KIND_COMPACT32,
		ETW_KIND_COMPACT64,
		ETW_KIND_PERFINFO32,
		ETW_KIND_PERFINFO64,
		ETW_KIND_FULL32,
		ETW_KIND_FULL64,
		ETW_KIND_INSTANCE32,
		ETW_KIND_INSTANCE64,
		ETW_KIND_ERROR,
		ETW_KIND_EVENT32,
		ETW_KIND_EVENT64,
		ETW_KIND_MESSAGE,
		ETW_KINDS
};

struct etw_record {
	enum etw_kind kind;
	uint32_t off;    /* where it starts, in the caller's bytes */
	uint32_t size;   /* its Size field: exact bytes */
	uint32_t step;   /* distance to the next record: size rounded up to 8 */
	uint32_t header; /* bytes of its fixed header; payload (or extended items) begin there */
	bool has_ts;
	uint64_t ts;
};

/* Result of looking at one place. */
enum etw_peek {
	ETW_PEEK_RECORD, /* a whole record stands here */
	ETW_PEEK_NONE,   /* the first dword is no marker (fill, zeros, anything) */
	ETW_PEEK_BAD     /* a marker, but of an unknown kind, too short, or longer than what is left */
};

/* Looks at offset off (8-aligned) of p[0, end). A record is accepted when its exact size ends at or before `end`; its padding may be cut off
 * by the end of data. *out is written only for ETW_PEEK_RECORD. */
enum etw_peek etw_record_peek(const uint8_t *p, uint32_t end, uint32_t off, struct etw_record *out);

const char *etw_kind_name(enum etw_kind k);

#endif
