/* catalogue.h - the built-in definitions of manifest events (profiles/events/, made by tools/make-catalogue.py), unpacked by sixteenths when asked
 * for. No maps. What comes from a manifest (schema member exact_types) knows pointers, arrays and names; the rest knows field names and plain types
 * only, pointers noted as u64. One event may have several readings, best first, linked by `next`: builds of Windows differ. */
#ifndef ETLIFT_CATALOGUE_H
#define ETLIFT_CATALOGUE_H

#include "schema.h"

struct catalogue;

struct catalogue *catalogue_new(void);    /* NULL: out of memory */
void catalogue_free(struct catalogue *c); /* takes NULL */

/* The definitions, made in `a` on first use by the caller (who keeps it), or NULL. wide_pointers false: fields noted as u64 that a 32-bit event
 * holds as pointers are the caller's problem: see schema_narrow(). */
const struct schema *catalogue_find(struct catalogue *c, const struct guid *guid, uint16_t id, uint8_t version, struct arena *a);
const char *catalogue_provider_name(struct catalogue *c, const struct guid *guid, struct arena *a);

/* A copy of s in which every u64 is pointer-sized: what to try on EVENT_HEADER32 events. */
const struct schema *schema_narrow(const struct schema *s, struct arena *a);

#endif
