/* etl.h - reads a .etl file into the values of the seam, buffer by buffer; compressed ones too. Tolerant: `check` is the strict pass.
 *
 * Facts: docs/etl-format.md. Memory is bounded by one buffer and an index of 48 bytes a buffer. */
#ifndef ETLIFT_ETL_H
#define ETLIFT_ETL_H

#include "err.h"
#include "etw.h"
#include "input.h"
#include "note.h"
#include "settle.h"

#define ETL_BUFFERS_MAX (1u << 24)

struct etl; /* an opened file */

struct etl_header { /* TRACE_LOGFILE_HEADER and the first record; raw values */
	uint32_t buffer_size, provider_version, n_cpus, timer_resolution, max_file_size, mode, buffers_written, start_buffers, pointer_size;
	uint32_t events_lost, cpu_mhz, reserved_flags, buffers_lost;
	uint8_t major, minor, sub, sub_minor;
	int64_t end_time, boot_time, start_time;
	uint64_t perf_freq, t0;
	uint8_t time_zone[ETW_TIME_ZONE_SIZE];
	uint16_t record_version; /* of the first record: 2 */
	uint32_t thread_id, process_id;
};

struct etl_slot {            /* one buffer of the file */
	uint64_t off;        /* file offset */
	uint32_t file_bytes; /* bytes it takes in the file */
	bool compressed;
};

int etl_open(struct etl **out, struct input *in, struct notes *notes, struct err *e); /* borrows `in`; ERR_NOTMINE: no .etl */
void etl_close(struct etl *f);                                                        /* takes NULL */

const struct etl_header *etl_header(const struct etl *f);
/* The session's facts (name, id, mode, clock, reference pair ...) and the system's, without buffers. Borrowed. */
const struct etw_session *etl_session(const struct etl *f);
const struct etw_system *etl_system(const struct etl *f);

uint32_t etl_n_buffers(const struct etl *f); /* header buffer included: number 0 */
const struct etl_slot *etl_slot(const struct etl *f, uint32_t i);

/* Buffer i, unpacked and settled; b->file_offset = where it stands in the file. The caller clears it. 0 or ERR_*: the buffer is damaged
 * beyond use; go on with the next. */
int etl_buffer(struct etl *f, uint32_t i, struct etw_buffer *b, struct err *e);

#endif
