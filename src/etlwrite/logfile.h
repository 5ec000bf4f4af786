/* logfile.h - the records of a file's header buffer, built from session facts (etl-format.md section 4, memory-recovery.md section 8). */
#ifndef ETLIFT_LOGFILE_H
#define ETLIFT_LOGFILE_H

#include "buf.h"
#include "etw.h"

struct logfile_facts {            /* what only the file itself knows */
	uint32_t buffer_size;     /* of every buffer in the file */
	uint32_t buffers_written; /* header buffer included */
	uint32_t n_cpus;          /* highest processor index met + 1 */
	int64_t end_time;         /* FILETIME; 0 unknown */
	bool has_first_ts;        /* time of the first record in file order: the last resort for a clock's anchor */
	uint64_t first_ts;
};

/* Appends the log file header record and those that follow it. Every record fits into min(buffer_size, 0x1000) - 0x48 bytes; names are cut to
 * achieve it. buffer_size >= 0x400. out->failed when out of memory. */
void logfile_records(struct buf *out, const struct etw_session *s, const struct etw_system *sys, const struct logfile_facts *f);

#endif
