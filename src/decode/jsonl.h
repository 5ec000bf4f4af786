/* jsonl.h - one event as one line of JSON, exactly as the contract's table says. */
#ifndef ETLIFT_JSONL_H
#define ETLIFT_JSONL_H

#include "buf.h"
#include "event.h"

struct jsonl; /* keeps what lines have in common, so that it is made once */

struct jsonl *jsonl_new(void);    /* NULL: out of memory */
void jsonl_free(struct jsonl *j); /* takes NULL */

/* Appends the line with its newline. `raw`: the payload as hex also where data was decoded. The events of one j are those of one decoder, and their
 * origins outlive it: names are told apart by address. */
void jsonl_event(struct jsonl *j, struct buf *out, const struct event *ev, bool raw);

/* One value as JSON (shared with sinks that print single fields). */
void json_value(struct buf *out, const struct dval *v);
/* A JSON string with its quotes: UTF-8 in, control characters escaped, broken sequences replaced. */
void jsonl_string(struct buf *out, const char *s, size_t n);

#endif
