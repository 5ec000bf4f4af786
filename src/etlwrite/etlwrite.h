/* etlwrite.h - one valid .etl per session: header buffer built from session facts, data buffers rebuilt.
 *
 * Reads no memory, invents nothing: what is unknown is 0 or the documented fall-back (etl-format.md section 10, memory-recovery.md sections
 * 5 and 8). Bytes come out the same for the same input. */
#ifndef ETLIFT_ETLWRITE_H
#define ETLIFT_ETLWRITE_H

#include "err.h"
#include "etw.h"
#include "hash.h"
#include "outfile.h"

struct etlwrite_opts {
	bool residual; /* write s->residual instead of s->buffers */
};

struct etlwrite_result {
	uint64_t bytes;
	char sha256[SHA256_HEX];
	uint32_t buffers; /* data buffers written */
	uint64_t events;  /* recovered records written; the header buffer's are not counted */
	bool has_times;   /* first/last event as FILETIME */
	int64_t first_event, last_event;
};

/* Writes the file into f (which the caller commits or aborts). Buffers without records and copies (has_same_as) are left out. The
 * session must be ordered (etw_session_order). ERR_NOTFOUND when there is no event to write: nothing was written then. */
int etlwrite_session(struct outfile *f, const struct etw_session *s, const struct etw_system *sys, const struct etlwrite_opts *o,
		     struct etlwrite_result *out, struct err *e);

/* File name below the output folder for a session, by the contract: "sessions/02-EventLog-System.etl"; `attempt` 2, 3 ... adds "-2"; residual
 * adds ".residual". */
#define ETL_NAME_MAX 160
void etl_file_name(const struct etw_session *s, unsigned attempt, bool residual, char out[ETL_NAME_MAX]);

#endif
