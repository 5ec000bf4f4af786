/* etlcheck.h - the strict pass over a .etl file: which rule of a reader does it break, and where; how many records of each kind it holds.
 *
 * The rules are those of docs/etl-format.md, "Rules of a valid file". Any bytes may come in. Nothing is repaired or guessed: after a finding
 * the pass goes on wherever the place of the next buffer is still known. Memory is bounded by two buffers (32 MB) and the findings. */
#ifndef ETLIFT_ETLCHECK_H
#define ETLIFT_ETLCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "evhdr.h"
#include "input.h"

#define ETL_FINDINGS_MAX 10000u /* kept; what comes after is counted in n_more */

struct etl_finding {
	const char *rule; /* a word of docs/etl-format.md; static */
	uint64_t offset;  /* in the file; in a compressed buffer: where the buffer starts */
	char *detail;     /* owned; never NULL */
};

struct etl_checked {
	struct etl_finding *findings; /* owned; by file offset of the buffer they belong to */
	size_t n_findings, cap_findings;
	uint64_t n_more;
	uint32_t buffers; /* whole ones, the header buffer included */
	bool compressed;
	uint64_t records[ETW_KINDS]; /* header records included */
};

/* 0 (with or without findings), ERR_NOMEM, or what reading gave. On failure *out is empty. */
int etl_check(struct etl_checked *out, struct input *in, struct err *e);
void etl_checked_clear(struct etl_checked *c);

/* The i-th rule word, for tests and help; NULL behind the last. */
const char *etl_rule_word(unsigned i);

#endif
