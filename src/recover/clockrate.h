/* clockrate.h - the performance counter's frequency out of the sessions, when neither a symbol nor KUSER_SHARED_DATA tells it (Windows 7 kernels whose
 * symbols nobody has). */
#ifndef ETLIFT_CLOCKRATE_H
#define ETLIFT_CLOCKRATE_H

#include "kview.h"

/* Fills sys->perf_freq when it is 0, sessions that count in it are there and their start times agree on one frequency; says so in a note,
 * also when it stays unknown. Call when the sessions are found. 0 or ERR_NOMEM. */
int clockrate_solve(struct kview *v, struct etw_system *sys);

struct clockrate_pair {
	int64_t time; /* FILETIME, > 0 */
	uint64_t ts;
};

/* The frequency that all pairs {wall time, counter} agree on, in Hz; 0: none, or they are too near to each other. Sorts them. */
uint64_t clockrate_of(struct clockrate_pair *p, size_t n);

#endif
