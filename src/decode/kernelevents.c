/* kernelevents.c - see kernelevents.h; the form of the text is described at its top. */
#include "kernelevents.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "packed.h"

extern const struct packed_file kernel_events_packed[];

struct type { /* one event type of one class */
	struct guid guid;
	uint8_t opcode;
	bool has_hook;
	uint16_t hook;
	const char *name; /* "Process/Start" */
};

struct layout {
	struct guid guid;
	uint8_t opcode, version;
	const struct schema *schema;
};

struct kernelevents {
	struct arena arena;
	char *text;
	struct type *types; /* in the order of the text */
	size_t n_types, cap_types;
	struct layout *layouts;
	size_t n_layouts, cap_layouts;
	int16_t by_hook[65536]; /* index into types, -1 none */
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
						{"bytes*", IN_UINT8, OUT_HEXINT8, 0, true},
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

static int parse_type(struct parser *p, char *s)
{
	struct kernelevents *k = p->k;
	char *number = word(&s), *name = word(&s), *hook = word(&s);
	void *arr = k->types;
	struct dval full;
	struct type *t;

	if (!name || !p->class_name)
		return bad_line(p, number ? number : "type");
	full = dv_format(&k->arena, "%s/%s", p->class_name, name);
	if (full.type != DV_TEXT || arr_reserve(&arr, &k->cap_types, k->n_types, sizeof(*k->types)) < 0)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	k->types = arr;
	t = &k->types[k->n_types];
	memset(t, 0, sizeof(*t));
	t->guid = p->guid;
	t->opcode = (uint8_t)strtoul(number, NULL, 10);
	t->name = full.text;
	t->has_hook = hook || p->group >= 0;
	t->hook = hook ? (uint16_t)strtoul(hook, NULL, 16) : (uint16_t)((unsigned)p->group << 8 | t->opcode);
	if (t->has_hook)
		k->by_hook[t->hook] = (int16_t)k->n_types;
	k->n_types++;
	return 0;
}

static bool parse_field(struct schema_field *f, char *s)
{
	char *colon = strchr(s, ':');

	if (!colon)
		return false;
	*colon = 0;
	for (size_t i = 0; i < sizeof(field_types) / sizeof(field_types[0]); i++) {
		const struct field_type *t = &field_types[i];

		if (strcmp(t->name, s) != 0)
			continue;
		memset(f, 0, sizeof(*f));
		f->name = colon + 1;
		f->in = t->in;
		f->out = t->out;
		f->length = t->length;
		f->count = 1;
		f->is_array = f->to_end = t->to_end;
		f->length_ref = f->count_ref = SCHEMA_NO_REF;
		return true;
	}
	return false;
}

static int add_layout(struct parser *p, uint8_t opcode, uint8_t version, const struct schema *schema)
{
	struct kernelevents *k = p->k;
	void *arr = k->layouts;

	if (arr_reserve(&arr, &k->cap_layouts, k->n_layouts, sizeof(*k->layouts)) < 0)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	k->layouts = arr;
	k->layouts[k->n_layouts++] = (struct layout){p->guid, opcode, version, schema};
	return 0;
}

static int parse_layout(struct parser *p, char *s)
{
	char *types = word(&s), *version = word(&s), *w;
	struct schema *made = arena_alloc(&p->k->arena, sizeof(*made));
	struct schema_field *f = arena_alloc(&p->k->arena, 64 * sizeof(*f));
	uint32_t n = 0;
	int rc = 0;

	if (!made || !f)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	if (!version)
		return bad_line(p, types ? types : "layout");
	while ((w = word(&s)))
		if (n == 64 || !parse_field(&f[n++], w))
			return bad_line(p, w);
	memset(made, 0, sizeof(*made));
	made->source = SCHEMA_CLASSIC;
	made->n_fields = n;
	made->fields = f;
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
	memset(k->by_hook, 0xff, sizeof(k->by_hook));
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
	free(k->types);
	free(k->layouts);
	free(k);
}

bool kernelevents_hook(const struct kernelevents *k, uint16_t hook, struct guid *guid, uint8_t *opcode)
{
	int i = k->by_hook[hook];

	if (i < 0)
		return false;
	*guid = k->types[i].guid;
	*opcode = k->types[i].opcode;
	return true;
}

const char *kernelevents_name(const struct kernelevents *k, const struct guid *guid, uint8_t opcode)
{
	for (size_t i = 0; i < k->n_types; i++)
		if (k->types[i].opcode == opcode && guid_equal(&k->types[i].guid, guid))
			return k->types[i].name;
	return NULL;
}

const struct schema *kernelevents_layout(const struct kernelevents *k, const struct guid *guid, uint8_t opcode, uint8_t version, unsigned i)
{
	for (size_t n = 0; n < k->n_layouts; n++) {
		const struct layout *l = &k->layouts[n];

		if (l->opcode == opcode && l->version == version && guid_equal(&l->guid, guid) && i-- == 0)
			return l->schema;
	}
	return NULL;
}
