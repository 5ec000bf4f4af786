/* late.h - pieces of a container that turn out to be damaged while they are read: a bit for each, counted, told once the run is through
 * (dump_late_notes). Safe for many threads. */
#ifndef ETLIFT_LATE_H
#define ETLIFT_LATE_H

#include <pthread.h>
#include <stdint.h>

#include "err.h"
#include "note.h"

struct late {
	pthread_mutex_t lock;
	uint8_t *bad;                     /* a bit for each piece */
	uint64_t n, n_bad, n_told, first; /* first: the lowest place of a damaged one */
};

int late_init(struct late *l, uint64_t n_pieces, struct err *e); /* l is zeroed */
void late_free(struct late *l);                                  /* takes a zeroed one */

void late_hit(struct late *l, uint64_t piece, uint64_t place); /* place: a file offset */

/* A note "CONTAINER: N WHAT, the first at file offset ...", when more have come since the last call. */
void late_tell(struct late *l, struct notes *notes, const char *container, const char *what);

#endif
