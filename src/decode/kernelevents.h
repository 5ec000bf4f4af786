/* kernelevents.h - the kernel's classic events (profiles/kernel-events.txt): hooks, classes, layouts by version. */
#ifndef ETLIFT_KERNELEVENTS_H
#define ETLIFT_KERNELEVENTS_H

#include "err.h"
#include "schema.h"

struct kernelevents;

/* Parses the compiled-in text. ERR_FORMAT names the line: a mistake in the tree. */
int kernelevents_new(struct kernelevents **out, struct err *e);
void kernelevents_free(struct kernelevents *k); /* takes NULL */

struct kernel_layout;

struct kernel_type { /* one event type of one class */
	struct guid guid;
	uint8_t opcode;
	const char *name;              /* "Process/Start" */
	struct kernel_layout *layouts; /* by version, highest first */
};

/* NULL: not in the text. */
const struct kernel_type *kernelevents_hook(const struct kernelevents *k, uint16_t hook);
const struct kernel_type *kernelevents_class(const struct kernelevents *k, const struct guid *guid, uint8_t opcode);

/* The i-th layout to try for a version; NULL behind the last. Several may stand for one version: the one that fits is right. A version that the text
 * does not have takes the layout of the nearest one below it: versions grow at their ends, so what still fits is unchanged. */
const struct schema *kernelevents_layout(const struct kernel_type *t, uint8_t version, unsigned i);

#endif
