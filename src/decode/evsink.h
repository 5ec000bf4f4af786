/* evsink.h - what decoded events are written as. One file each (out_NAME.c) and a line in sinks.def; docs/event-formats.md says what users see.
 *
 * A sink appends to a buffer that its caller writes out now and then; it keeps what it must (interfaces, a chunk) in its own state. */
#ifndef ETLIFT_EVSINK_H
#define ETLIFT_EVSINK_H

#include "buf.h"
#include "err.h"
#include "event.h"

struct evsink {
	const char *name;  /* of --format */
	bool binary;       /* not for a terminal */
	const char *unfit; /* what the events are that event() answers 0 for: "without a time", "no packets"; NULL: it takes all */
	int (*open)(void **state, struct err *e);    /* may be NULL: no state */
	void (*close)(void *state);                  /* may be NULL */
	void (*begin)(void *state, struct buf *out); /* may be NULL; what stands before the first event */
	/* 1: written; 0: no event for this format. `raw`: the payload too, where the format can hold it. */
	int (*event)(void *state, struct buf *out, const struct event *ev, bool raw);
	void (*end)(void *state, struct buf *out); /* may be NULL */
	/* When not NULL: bytes that belong at the beginning of the output once everything else is written (the output must be a file). */
	void (*head)(void *state, struct buf *out);
};

/* The sink of that name, or NULL. */
const struct evsink *evsink_find(const char *name);
const char *evsink_names(void); /* "jsonl csv ... ", a blank behind each */

#endif
