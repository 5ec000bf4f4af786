/* tracelogging.h - events that carry their own schema: extended items 0xB (metadata) and 0xC (provider traits). */
#ifndef ETLIFT_TRACELOGGING_H
#define ETLIFT_TRACELOGGING_H

#include "event.h"

/* Decodes ev->payload by ev->schema: sets name, provider_name (when the traits have one) and data, or reason. A schema that does not consume the
 * payload exactly is refused: wrong fields are worse than none. */
bool tracelogging_decode(struct event *ev, struct arena *a);

/* Provider name and group of traits bytes. False: none or broken. group_out may be NULL; *has_group tells. */
bool tracelogging_traits(struct event_bytes traits, struct arena *a, const char **name, struct guid *group_out, bool *has_group);

#endif
