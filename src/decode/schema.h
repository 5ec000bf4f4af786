/* schema.h - the definition of an event, wherever it came from (catalogue, manifest, WEVT_TEMPLATE, in-band TRACE_EVENT_INFO, kernel classics),
 * and the reading of a payload by it.
 *
 * A definition that does not consume the payload is refused with a reason: never wrong fields. An exact length is no proof either: values that
 * contradict their types (control characters in text ...) count as not fitting where the source of the definition is a weak one. */
#ifndef ETLIFT_SCHEMA_H
#define ETLIFT_SCHEMA_H

#include "event.h"
#include "scalar.h"

#define SCHEMA_FIELDS_MAX   1024
#define SCHEMA_ELEMENTS_MAX 65535
#define SCHEMA_NO_REF       (-1)

struct schema_map { /* value map or bit map */
	bool bits;
	uint32_t n;
	const uint32_t *value;
	const char *const *text;
};

struct schema_field {
	const char *name;
	uint16_t in, out;   /* tdh_in, tdh_out */
	int16_t length_ref; /* index of the field that holds the length, or SCHEMA_NO_REF */
	int16_t count_ref;  /* index of the field that holds the count, or SCHEMA_NO_REF */
	uint32_t length;    /* constant length when > 0 and no length_ref */
	uint32_t count;     /* constant count: 1 for a scalar; is_array says which */
	bool is_array;
	bool to_end;                  /* an array of scalars of fixed size, or IN_BINARY, that takes the rest of the payload */
	uint16_t n_members;           /* in == IN_STRUCT: the members are the next n_members fields of the list */
	const struct schema_map *map; /* NULL: none */
};

enum schema_source { SCHEMA_CLASSIC, SCHEMA_CATALOGUE, SCHEMA_MANIFEST, SCHEMA_EVENTSOURCE, SCHEMA_IN_BAND, SCHEMA_SOURCES };

struct schema { /* one version of one event */
	enum schema_source source;
	bool exact_types;            /* of the catalogue: pointers are known as such */
	const char *provider, *name; /* NULL unknown; name = symbol or task/opcode text */
	uint32_t n_fields;           /* of the flat list, members of structs included */
	const struct schema_field *fields;
	const struct schema *next; /* another reading of the same event by the same source, to try when this one does not fit; NULL: none */
};

/* Reads ev->payload by s. On success ev->data (and name, provider_name where s has them and ev not). On failure ev->reason, data stays DV_NULL. */
bool schema_decode(struct event *ev, const struct schema *s, struct arena *a);

/* For a definition that did not fit: some end in an array whose constant count is a lie, and the field before it holds the true one (the CLR's
 * stack walk: count 2, FrameCount before it). A copy of s that says so, made in `a`, or NULL when s does not end like that. */
const struct schema *schema_recount(const struct schema *s, struct arena *a);

#endif
