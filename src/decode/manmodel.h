/* manmodel.h - a manifest as it stands in the document, before names are looked up; between manifest.c (reads XML) and manbuild.c (makes
 * definitions). All of it lives in the arena of the reading. Lists keep the order of the document. */
#ifndef ETLIFT_MANMODEL_H
#define ETLIFT_MANMODEL_H

#include "manifest.h"

enum man_kind { MAN_TASK, MAN_OPCODE, MAN_MAP, MAN_TEMPLATE, MAN_STRING };

struct man_named { /* task or opcode */
	const char *name, *message;
	uint32_t scope; /* of a task: where its own opcodes are */
};

struct man_entry { /* of a map */
	struct man_entry *next;
	uint32_t value;
	const char *message;
};

struct man_map {
	struct man_map *next;
	const char *name;
	bool bits;
	uint32_t n;
	struct man_entry *first, **end;
	const struct schema_map *made;
};

struct man_field {
	struct man_field *next;
	struct schema_field f; /* name and map not yet in the store */
	const char *map;
};

struct man_template {
	const char *broken; /* NULL, or what is wrong with it: its events have no definition */
	uint32_t n;
	struct man_field *first, **end;
	const struct schema_field *made;
	bool tried;
};

struct man_event {
	struct man_event *next;
	uint16_t id;
	uint8_t version;
	const char *symbol, *task, *opcode, *template; /* NULL: none */
};

struct man_provider {
	struct man_provider *next;
	uint32_t scope; /* of its names; its tasks' opcodes are in scopes of their own */
	struct guid guid;
	const char *name;
	struct man_map *maps, **maps_end;
	struct man_event *events, **events_end;
};

/* Names of all kinds: (kind, scope, name) -> the thing. The first of a name stays. */
struct man_names {
	struct man_slot *slot;
	size_t cap, n;
};

int man_names_put(struct man_names *t, enum man_kind kind, uint32_t scope, const char *name, void *what);
void *man_names_get(const struct man_names *t, enum man_kind kind, uint32_t scope, const char *name);
void man_names_free(struct man_names *t);

#define MAN_SCOPE_STRINGS 0u /* of the first culture */
#define MAN_SCOPE_ENGLISH 1u

struct man_doc {
	struct arena arena;
	struct man_names names;
	struct man_provider *providers, **providers_end;
};

/* Definitions of one document into the store. ERR_NOMEM, ERR_LIMIT. */
int man_build(struct man_doc *d, struct schemas *s, enum schema_source source, struct definition_counts *n, struct err *e);

/* Type words of manifests: "win:UInt32" -> tdh_in, "xs:string" -> tdh_out; -1 when there is none of that name. */
int man_in_type(const char *word);
int man_out_type(const char *word);

#endif
