/* qevmpages.h - what stands for each page of memory in a QEMU stream: an index that grows with the pages that came, not with what numbers claim. What an
 * entry says, qevm.c knows. */
#ifndef ETLIFT_QEVMPAGES_H
#define ETLIFT_QEVMPAGES_H

#include <stdint.h>

#include "err.h"

#define QEVMPAGES_MAX (UINT64_C(1) << 32) /* pages: 16 TiB of 4 KiB ones */

struct qevm_pages { /* all 0: empty */
	uint64_t **part;
	uint64_t n_part; /* places in part */
	uint64_t parts;  /* that are there */
	uint64_t kept;   /* pages that came, each time they came */
	uint64_t over;   /* pages that were left out: they stand too far apart */
};

/* What stands for a page < QEVMPAGES_MAX from now on; 0: nothing. 0 too when it is left out (x->over). ERR_NOMEM. */
int qevmpages_set(struct qevm_pages *x, uint64_t page, uint64_t what, struct err *e);
/* 0: nothing, or any page that was never set. Safe from several threads. */
uint64_t qevmpages_get(const struct qevm_pages *x, uint64_t page);

/* The first page from `page` on that has something; UINT64_MAX: none. */
uint64_t qevmpages_next(const struct qevm_pages *x, uint64_t page);
/* The number of the last page that has something, and 1; 0: none has. */
uint64_t qevmpages_end(const struct qevm_pages *x);

void qevmpages_free(struct qevm_pages *x);

#endif
