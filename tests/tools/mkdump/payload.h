/* payload.h - records of a real .etl file, one after the other, for sessions whose buffers hold real events. Reads what docs/etl-format.md says;
 * compressed files are refused. */
#ifndef ETLIFT_PAYLOAD_H
#define ETLIFT_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct payload {
	uint8_t *bytes; /* owned */
	size_t n;
	uint32_t buffer_size;
	size_t buffer;     /* offset of the present buffer in the file */
	uint32_t off, end; /* in it */
	int64_t start_time;
	uint64_t start_ts;
	uint32_t clock;
};

/* NULL: no such file, or none of use (compressed, no data). */
struct payload *payload_open(const char *path);
void payload_free(struct payload *p); /* takes NULL */

/* Copies the next record to out (room bytes, filled up to a multiple of 8) and gives its size; 0: none is left, it does not fit, or its time is
 * before min_ts. *ts stays as it is for a record without a time, and *has_ts says so. */
uint32_t payload_next(struct payload *p, uint8_t *out, uint32_t room, uint64_t min_ts, uint64_t *ts, bool *has_ts);

#endif
