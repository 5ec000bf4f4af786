/* jsonl.h - one event as one line of JSON, exactly as the contract's table says. */
#ifndef ETLIFT_JSONL_H
#define ETLIFT_JSONL_H

#include "buf.h"
#include "event.h"

/* Appends the line with its newline. `raw`: the payload as hex also where data was decoded. */
void jsonl_event(struct buf *out, const struct event *ev, bool raw);

/* One value as JSON (shared with sinks that print single fields). */
void json_value(struct buf *out, const struct dval *v);
/* A JSON string with its quotes: UTF-8 in, control characters escaped, broken sequences replaced. */
void jsonl_string(struct buf *out, const char *s, size_t n);

#endif
