/* kernelevents.c - see kernelevents.h; the form of the text is described at its top. */
#include "kernelevents.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "packed.h"
#include "rd.h"

extern const struct packed_file kernel_events_packed[];

struct kernel_layout {
	uint8_t version;
	const struct schema *schema;
	struct kernel_layout *next; /* of the same or a lower version */
};

#define TYPES_MAX 1024
#define SLOTS     2048 /* power of two, above TYPES_MAX */

struct kernelevents {
	struct arena arena;
	char *text;
	struct kernel_type types[TYPES_MAX]; /* in the order of the text */
	size_t n_types;
	uint16_t slot[SLOTS];    /* by class and type: 1 + index into types, 0 none */
	uint16_t by_hook[65536]; /* the same */
};

struct parser {
	struct kernelevents *k;
	struct guid guid;
	const char *class_name;
	int group; /* -1: no hooks */
	struct err *e;
};

struct field_type {
	const char *name;
	uint16_t in, out;
	uint32_t length;
	bool to_end;
};

static const struct field_type field_types[] = {{"u8", IN_UINT8, OUT_NULL, 0, false},
						{"u16", IN_UINT16, OUT_NULL, 0, false},
						{"u32", IN_UINT32, OUT_NULL, 0, false},
						{"u64", IN_UINT64, OUT_NULL, 0, false},
						{"i8", IN_INT8, OUT_NULL, 0, false},
						{"i16", IN_INT16, OUT_NULL, 0, false},
						{"i32", IN_INT32, OUT_NULL, 0, false},
						{"i64", IN_INT64, OUT_NULL, 0, false},
						{"x8", IN_UINT8, OUT_HEXINT8, 0, false},
						{"x16", IN_UINT16, OUT_HEXINT16, 0, false},
						{"x32", IN_HEXINT32, OUT_NULL, 0, false},
						{"x64", IN_HEXINT64, OUT_NULL, 0, false},
						{"f32", IN_FLOAT, OUT_NULL, 0, false},
						{"f64", IN_DOUBLE, OUT_NULL, 0, false},
						{"ptr", IN_POINTER, OUT_NULL, 0, false},
						{"ptr*", IN_POINTER, OUT_NULL, 0, true},
						{"bytes*", IN_BINARY, OUT_NULL, 0, true},
						{"bytes", IN_BINARY, OUT_NULL, 0, false},
						{"wstr*", IN_MOF_NONNULLTERMINATEDSTRING, OUT_NULL, 0, false},
						{"str", IN_ANSISTRING, OUT_NULL, 0, false},
						{"wstr", IN_UNICODESTRING, OUT_NULL, 0, false},
						{"guid", IN_GUID, OUT_NULL, 0, false},
						{"filetime", IN_FILETIME, OUT_NULL, 0, false},
						{"systemtime", IN_SYSTEMTIME, OUT_NULL, 0, false},
						{"sid", IN_MOF_WBEMSID, OUT_NULL, 0, false},
						{"ip4", IN_UINT32, OUT_IPV4, 0, false},
						{"ip6", IN_BINARY, OUT_IPV6, 16, false},
						{"port", IN_UINT16, OUT_PORT, 0, false},
						{"bool", IN_BOOLEAN, OUT_NULL, 0, false}};

static int bad_line(struct parser *p, const char *line)
{
	return err_set(p->e, ERR_FORMAT, "kernel-events.txt: can't read '%.60s'", line);
}

/* The next word of a line (blanks between words); NULL at its end. Writes NULs into the text. */
static char *word(char **s)
{
	char *w = *s;

	while (*w == ' ')
		w++;
	if (!*w)
		return NULL;
	*s = w;
	while (**s && **s != ' ')
		(*s)++;
	if (**s)
		*(*s)++ = 0;
	return w;
}

static int parse_class(struct parser *p, char *s)
{
	char *group = word(&s), *name = word(&s), *guid = word(&s);

	if (!guid || !guid_parse(guid, &p->guid))
		return bad_line(p, name ? name : "class");
	p->class_name = name;
	p->group = *group == '-' ? -1 : (int)strtol(group, NULL, 16);
	return 0;
}

/* Where a class's type stands in k->slot, or would stand. */
static uint32_t slot_of(const struct kernelevents *k, const struct guid *guid, uint8_t opcode)
{
	uint32_t i = ((le32(guid->b) ^ opcode * 0x9e3779b9u) * 0x85ebca6bu) >> 21;

	while (k->slot[i] && !(k->types[k->slot[i] - 1].opcode == opcode && guid_equal(&k->types[k->slot[i] - 1].guid, guid)))
		i = (i + 1) & (SLOTS - 1);
	return i;
}

static int parse_type(struct parser *p, char *s)
{
	struct kernelevents *k = p->k;
	char *number = word(&s), *name = word(&s), *hook = word(&s);
	uint8_t opcode = number ? (uint8_t)strtoul(number, NULL, 10) : 0;
	struct kernel_type *t = &k->types[k->n_types];
	struct dval full;
	uint32_t slot;

	if (!name || !p->class_name || k->n_types == TYPES_MAX)
		return bad_line(p, number ? number : "type");
	full = dv_format(&k->arena, "%s/%s", p->class_name, name);
	if (full.type != DV_TEXT)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	slot = slot_of(k, &p->guid, opcode);
	if (k->slot[slot])
		return bad_line(p, full.text);
	*t = (struct kernel_type){p->guid, opcode, full.text, NULL};
	k->slot[slot] = (uint16_t)++k->n_types;
	if (hook || p->group >= 0)
		k->by_hook[hook ? (uint16_t)strtoul(hook, NULL, 16) : (uint16_t)((unsigned)p->group << 8 | opcode)] = (uint16_t)k->n_types;
	return 0;
}

/* "TYPE(LENGTH)" or "TYPE[COUNT]": a number, or the name of one of the n fields before. False: neither. */
static bool take_size(struct schema_field *f, const struct schema_field *before, uint32_t n, char *s)
{
	char *open = strpbrk(s, "(["), *end;
	uint32_t number;
	int16_t ref = SCHEMA_NO_REF;

	if (!open)
		return true;
	number = (uint32_t)strtoul(open + 1, &end, 10);
	if (end == open + 1) {
		end = strpbrk(open + 1, ")]");
		for (uint32_t i = 0; end && i < n; i++)
			if (strlen(before[i].name) == (size_t)(end - open - 1) &&
			    memcmp(before[i].name, open + 1, (size_t)(end - open - 1)) == 0)
				ref = (int16_t)i;
		if (ref < 0)
			return false;
	}
	if (*open == '(') {
		f->length = number;
		f->length_ref = ref;
	} else {
		f->is_array = true;
		f->count = number;
		f->count_ref = ref;
	}
	*open = 0;
	return *end == ')' || *end == ']';
}

/* The n-th field of a layout. */
static bool parse_field(struct schema_field *fields, uint32_t n, char *s)
{
	struct schema_field *f = &fields[n];
	char *colon = strchr(s, ':');

	if (!colon)
		return false;
	*colon = 0;
	memset(f, 0, sizeof(*f));
	f->name = colon + 1;
	f->count = 1;
	f->length_ref = f->count_ref = SCHEMA_NO_REF;
	if (!take_size(f, fields, n, s))
		return false;
	for (size_t i = 0; i < sizeof(field_types) / sizeof(field_types[0]); i++) {
		const struct field_type *t = &field_types[i];

		if (strcmp(t->name, s) != 0)
			continue;
		f->in = t->in;
		f->out = t->out;
		f->length = t->length ? t->length : f->length;
		f->to_end = t->to_end;
		f->is_array = f->is_array || (t->to_end && t->in != IN_BINARY);
		return true;
	}
	return false;
}

/* Behind those of its own and of higher versions. */
static int add_layout(struct parser *p, uint8_t opcode, uint8_t version, const struct schema *schema)
{
	struct kernelevents *k = p->k;
	uint16_t i = k->slot[slot_of(k, &p->guid, opcode)];
	struct kernel_layout *l = arena_alloc(&k->arena, sizeof(*l));
	struct kernel_layout **at;

	if (!i)
		return err_set(p->e, ERR_FORMAT, "kernel-events.txt: a layout of %s for type %u, which has no name", p->class_name, opcode);
	if (!l)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	at = &k->types[i - 1].layouts;
	while (*at && (*at)->version >= version)
		at = &(*at)->next;
	*l = (struct kernel_layout){version, schema, *at};
	*at = l;
	return 0;
}

#define LAYOUT_FIELDS_MAX 64

static int parse_layout(struct parser *p, char *s)
{
	char *types = word(&s), *version = word(&s), *w;
	struct schema_field f[LAYOUT_FIELDS_MAX], *kept;
	struct schema *made = arena_alloc(&p->k->arena, sizeof(*made));
	uint32_t n = 0;
	int rc = 0;

	if (!version)
		return bad_line(p, types ? types : "layout");
	while ((w = word(&s))) {
		if (n == LAYOUT_FIELDS_MAX || !parse_field(f, n, w))
			return bad_line(p, w);
		n++;
	}
	kept = arena_alloc(&p->k->arena, (n ? n : 1) * sizeof(*f));
	if (!made || !kept)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	if (n)
		memcpy(kept, f, n * sizeof(*f));
	memset(made, 0, sizeof(*made));
	made->source = SCHEMA_CLASSIC;
	made->n_fields = n;
	made->fields = kept;
	while (rc == 0 && *types) {
		char *end;
		unsigned long opcode = strtoul(types, &end, 10);

		if (end == types)
			return bad_line(p, types);
		rc = add_layout(p, (uint8_t)opcode, (uint8_t)strtoul(version, NULL, 10), made);
		types = *end == ',' ? end + 1 : end;
	}
	return rc;
}

static int parse_line(struct parser *p, char *line)
{
	char *s = line, *w = word(&s);

	if (!w)
		return 0;
	if (strcmp(w, "class") == 0)
		return parse_class(p, s);
	if (strcmp(w, "type") == 0)
		return parse_type(p, s);
	if (strcmp(w, "layout") == 0)
		return parse_layout(p, s);
	return bad_line(p, line);
}

int kernelevents_new(struct kernelevents **out, struct err *e)
{
	struct kernelevents *k = calloc(1, sizeof(*k));
	struct parser p = {.k = k, .group = -1, .e = e};
	int rc = 0;

	if (!k)
		return err_set(e, ERR_NOMEM, "out of memory");
	arena_init(&k->arena);
	k->text = packed_text(&kernel_events_packed[0]);
	if (!k->text)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	for (char *line = k->text, *next; rc == 0 && line && *line; line = next) {
		char *nl = strchr(line, '\n');

		next = nl ? nl + 1 : line + strlen(line);
		if (nl)
			*nl = 0;
		rc = parse_line(&p, line);
	}
	if (rc < 0) {
		kernelevents_free(k);
		return rc;
	}
	*out = k;
	return 0;
}

void kernelevents_free(struct kernelevents *k)
{
	if (!k)
		return;
	arena_free(&k->arena);
	free(k->text);
	free(k);
}

const struct kernel_type *kernelevents_hook(const struct kernelevents *k, uint16_t hook)
{
	return k->by_hook[hook] ? &k->types[k->by_hook[hook] - 1] : NULL;
}

const struct kernel_type *kernelevents_class(const struct kernelevents *k, const struct guid *guid, uint8_t opcode)
{
	uint16_t i = k->slot[slot_of(k, guid, opcode)];

	return i ? &k->types[i - 1] : NULL;
}

const struct schema *kernelevents_layout(const struct kernel_type *t, uint8_t version, unsigned i)
{
	const struct kernel_layout *l = t->layouts;

	while (l && l->version > version)
		l = l->next;
	version = l ? l->version : 0;
	for (; l && i; i--)
		l = l->next;
	return l && l->version == version ? l->schema : NULL;
}
