/* evsource.h - the events of one source (.etl file or session of an image) in time order, memory bounded by the buffer index.
 *
 * Buffers come from a provider, one at a time and again when asked. A first pass makes the index (first and last time of each buffer); the second
 * keeps open only the buffers whose times overlap. Records of one buffer that stand out of order are put in order; a record without a time
 * stands after its predecessor. */
#ifndef ETLIFT_EVSOURCE_H
#define ETLIFT_EVSOURCE_H

#include "etl.h"
#include "event.h"
#include "note.h"

#define EVSOURCE_OPEN_MAX   8192u               /* buffers open at a time */
#define EVSOURCE_OPEN_BYTES ((size_t)512 << 20) /* and their bytes; over either limit order is given up, and noted */

struct evsource;

struct evsource_ops { /* where buffers come from */
	/* Buffer i (0 .. n-1) into *b, which the caller clears with etw_buffer_clear(). Negative: damaged, left out. */
	int (*buffer)(void *ctx, uint32_t i, struct etw_buffer *b, struct err *e);
	void (*close)(void *ctx); /* may be NULL */
};

/* `origin` is copied, what it points at must outlive the source. On failure ctx is not closed. */
int evsource_open(struct evsource **out, const struct evsource_ops *ops, void *ctx, uint32_t n_buffers, const struct event_origin *origin,
		  struct notes *notes, struct err *e);

/* An .etl file: opens and owns it. `name` is how events name their source. */
int evsource_open_etl(struct evsource **out, struct input *in, const char *name, struct notes *notes, struct err *e);

void evsource_close(struct evsource *s); /* takes NULL */

const struct event_origin *evsource_origin(const struct evsource *s);

/* The source's buffers as they are, for who looks at bytes: number i (below evsource_n_buffers()) into *b, which the caller clears. Negative:
 * damaged beyond use. */
uint32_t evsource_n_buffers(const struct evsource *s);
int evsource_buffer(struct evsource *s, uint32_t i, struct etw_buffer *b, struct err *e);

/* The next event by time: 1 with *ev (valid until the next call), 0 at the end, ERR_NOMEM. */
int evsource_next(struct evsource *s, struct event *ev, struct err *e);

/* Starts again from the first event. */
void evsource_rewind(struct evsource *s);

/* Place of the next event in the order of all sources, FILETIME (or the raw clock when the session's clock can't be told); INT64_MAX at the end. */
int evsource_peek_time(struct evsource *s, int64_t *time, struct err *e);

/* Records that could not be taken for whole: counted by the source, named by the buffer reader's notes. */
uint64_t evsource_bad(const struct evsource *s);

#endif
