/* decoder.h - from header facts to named fields: picks the way for each event, and learns from the trace itself first.
 *
 * Use: decoder_new, decoder_add_* for what the user gave, decoder_learn() over each source (in-band schemas, manifests, rundown names), then
 * decoder_event() on every event. */
#ifndef ETLIFT_DECODER_H
#define ETLIFT_DECODER_H

#include "evsource.h"
#include "schemas.h"
#include "tmf.h"

struct decoder;

struct decoder_counts { /* what became of the events that went through decoder_event() */
	uint64_t events, decoded[EVENT_KINDS], undecoded[EVENT_KINDS];
	uint64_t no_definition, not_fitting; /* of the undecoded manifest events */
	uint64_t names_dropped;              /* process and file names beyond the limits of names.h */
};

int decoder_new(struct decoder **out, struct err *e);
void decoder_free(struct decoder *d); /* takes NULL */

/* As just made, without the cost: what was added, learned and counted is gone; texts that were unpacked stay. On ERR_NOMEM only decoder_free() is left. */
int decoder_forget(struct decoder *d, struct err *e);

struct schemas *decoder_schemas(struct decoder *d);
struct tmf *decoder_tmf(struct decoder *d); /* formats of WPP messages */

/* Reads a source from end to end for what it says of itself, and rewinds it. */
int decoder_learn(struct decoder *d, struct evsource *s, struct err *e);

/* Fills ev->data, names, or ev->reason. Memory comes from an arena that the next call resets. */
void decoder_event(struct decoder *d, struct event *ev);

const struct decoder_counts *decoder_counts(const struct decoder *d);

#endif
