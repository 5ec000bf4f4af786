/* kernelevents.h - the kernel's classic events (profiles/kernel-events.txt): hooks, classes, layouts by version. */
#ifndef ETLIFT_KERNELEVENTS_H
#define ETLIFT_KERNELEVENTS_H

#include "err.h"
#include "schema.h"

struct kernelevents;

/* Parses the compiled-in text. ERR_FORMAT names the line: a mistake in the tree. */
int kernelevents_new(struct kernelevents **out, struct err *e);
void kernelevents_free(struct kernelevents *k); /* takes NULL */

/* The class GUID and event type of a hook. False: not in the text. */
bool kernelevents_hook(const struct kernelevents *k, uint16_t hook, struct guid *guid, uint8_t *opcode);

/* "Process/Start" for a class and event type, or NULL. */
const char *kernelevents_name(const struct kernelevents *k, const struct guid *guid, uint8_t opcode);

/* The i-th layout of (class, type, version); NULL behind the last. Several may stand for one version: the one that fits is right. */
const struct schema *kernelevents_layout(const struct kernelevents *k, const struct guid *guid, uint8_t opcode, uint8_t version,
					 unsigned i);

#endif
