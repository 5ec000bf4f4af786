/* schemas.h - every definition known while decoding: best source first.
 *
 * Order: in-band TRACE_EVENT_INFO of the trace itself, EventSource manifest of the trace, --manifest, built-in catalogue. Facts: docs/decoding.md. */
#ifndef ETLIFT_SCHEMAS_H
#define ETLIFT_SCHEMAS_H

#include "err.h"
#include "schema.h"

#define SCHEMAS_MAX       500000u             /* definitions in one store */
#define SCHEMAS_BYTES_MAX ((size_t)512 << 20) /* and their bytes */

struct schemas;

int schemas_new(struct schemas **out, struct err *e);
void schemas_free(struct schemas *s); /* takes NULL */

/* As just made, but the parts of the catalogue that were unpacked stay unpacked: for one store and many traces that have nothing to do with each other. */
void schemas_forget(struct schemas *s);

/* Memory that lives as long as the store: for the makers of definitions. */
struct arena *schemas_arena(struct schemas *s);

struct schema_key {
	struct guid guid;
	bool classic; /* class GUID and opcode instead of provider and event id */
	uint16_t id;  /* or opcode */
	uint8_t version;
};

/* Adds a definition that lives in the store's arena; a better source replaces a weaker one, the first of equals stays. 0, ERR_NOMEM, ERR_LIMIT. */
int schemas_add(struct schemas *s, const struct schema_key *key, const struct schema *schema);

/* The best definition, or NULL. `weaker_than`: the one to try after it (another reading of its source, or a weaker source's); NULL: any. */
const struct schema *schemas_find(struct schemas *s, const struct schema_key *key, const struct schema *weaker_than);

/* A value map by provider and name; `map` lives in the store's arena. */
int schemas_add_map(struct schemas *s, const struct guid *provider, const char *name, const struct schema_map *map);
const struct schema_map *schemas_map(struct schemas *s, const struct guid *provider, const char *name);

/* Provider name from the definitions added, the catalogue, or the built-in list (etw/provider_names.h); NULL unknown. */
const char *schemas_provider_name(struct schemas *s, const struct guid *guid);
int schemas_add_provider_name(struct schemas *s, const struct guid *guid, const char *name);

/* tei.c: TRACE_EVENT_INFO and EVENT_MAP_INFO of KernelTraceControl events (class bbccf6c1-6cd1-48c4-80ff-839482e37671, opcodes 32 and 33).
 * ERR_FORMAT when the bytes contradict themselves: nothing was added. */
int schemas_add_event_info(struct schemas *s, const uint8_t *p, uint32_t n, struct err *e);
int schemas_add_map_info(struct schemas *s, const uint8_t *p, uint32_t n, struct err *e);

#endif
