/* manifest.c - see manifest.h: the XML of a manifest into its model (manmodel.h). */
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_EXPAT
#include <expat.h>

#include "manmodel.h"

enum element {
	E_OTHER,
	E_MANIFEST,
	E_EVENTS,
	E_PROVIDER,
	E_TASK,
	E_OPCODE,
	E_MAPS,
	E_VALUEMAP,
	E_BITMAP,
	E_MAP,
	E_TEMPLATES,
	E_TEMPLATE,
	E_STRUCT,
	E_DATA,
	E_EVENT,
	E_RESOURCES,
	E_STRINGTABLE,
	E_STRING,
	E_USERDATA
};

static const struct {
	const char *name;
	enum element e;
} elements[] = {{"instrumentationManifest", E_MANIFEST},
		{"assembly", E_MANIFEST}, /* manifests of Windows components */
		{"events", E_EVENTS},
		{"provider", E_PROVIDER},
		{"task", E_TASK},
		{"opcode", E_OPCODE},
		{"maps", E_MAPS},
		{"valueMap", E_VALUEMAP},
		{"bitMap", E_BITMAP},
		{"map", E_MAP},
		{"templates", E_TEMPLATES},
		{"template", E_TEMPLATE},
		{"struct", E_STRUCT},
		{"data", E_DATA},
		{"event", E_EVENT},
		{"resources", E_RESOURCES},
		{"stringTable", E_STRINGTABLE},
		{"string", E_STRING},
		{"UserData", E_USERDATA}};

struct parse {
	struct man_doc doc;
	XML_Parser x;
	const struct guid *only;
	enum element open[MANIFEST_DEPTH_MAX];
	unsigned depth, skip; /* skip: depth of the element whose content does not count, 0: none */
	uint32_t items, scopes;
	struct man_provider *provider;
	struct man_named *task;
	struct man_map *map;
	struct man_template *template;
	int structs[MANIFEST_DEPTH_MAX]; /* fields that are open structs */
	struct man_field *struct_of[MANIFEST_DEPTH_MAX];
	unsigned n_structs;
	bool have_culture, take_strings, is_manifest;
	uint32_t strings; /* scope of the strings being read */
	int rc;
	const char *why;
};

static void stop(struct parse *p, int rc, const char *why)
{
	if (p->rc == 0) {
		p->rc = rc;
		p->why = why;
	}
	XML_StopParser(p->x, XML_FALSE);
}

static void *make(struct parse *p, size_t n)
{
	void *m = arena_alloc(&p->doc.arena, n);

	if (!m) {
		stop(p, ERR_NOMEM, "out of memory");
		return NULL;
	}
	return memset(m, 0, n);
}

static const char *dup(struct parse *p, const char *s)
{
	char *c = arena_strndup(&p->doc.arena, s, strlen(s));

	if (!c)
		stop(p, ERR_NOMEM, "out of memory");
	return c;
}

static const char *attr(const char **atts, const char *name)
{
	for (; atts[0]; atts += 2)
		if (strcmp(atts[0], name) == 0)
			return atts[1];
	return NULL;
}

static const char *dup_attr(struct parse *p, const char **atts, const char *name)
{
	const char *v = attr(atts, name);

	return v && *v ? dup(p, v) : NULL;
}

/* A decimal or 0x number of at most `max`. */
static bool number(const char *s, uint64_t max, uint64_t *out)
{
	bool hex = s && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	char *end;
	unsigned long long v;

	if (!s || !(hex || (*s >= '0' && *s <= '9')))
		return false;
	v = strtoull(s, &end, hex ? 16 : 10);
	while (*end == ' ')
		end++;
	*out = v;
	return !*end && v <= max;
}

static void put_name(struct parse *p, enum man_kind kind, uint32_t scope, const char *name, void *what)
{
	if (man_names_put(&p->doc.names, kind, scope, name, what) < 0)
		stop(p, ERR_NOMEM, "out of memory");
}

/* ---- elements ---------------------------------------------------------------------------------------------------------------------------- */

static void on_provider(struct parse *p, const char **atts)
{
	const char *guid = attr(atts, "guid");
	struct man_provider *m;
	struct guid g;

	p->provider = NULL;
	if (!guid || !guid_parse(guid, &g) || (p->only && !guid_equal(&g, p->only))) {
		p->skip = p->depth;
		return;
	}
	m = make(p, sizeof(*m));
	if (!m)
		return;
	m->guid = g;
	m->scope = ++p->scopes;
	m->name = dup_attr(p, atts, "name");
	m->maps_end = &m->maps;
	m->events_end = &m->events;
	*p->doc.providers_end = m;
	p->doc.providers_end = &m->next;
	p->provider = m;
}

static struct man_named *on_named(struct parse *p, const char **atts, enum man_kind kind, uint32_t scope)
{
	const char *name = dup_attr(p, atts, "name");
	struct man_named *n = name ? make(p, sizeof(*n)) : NULL;

	if (!n)
		return NULL;
	n->name = name;
	n->message = dup_attr(p, atts, "message");
	n->scope = ++p->scopes;
	put_name(p, kind, scope, name, n);
	return n;
}

static void on_map_open(struct parse *p, const char **atts, bool bits)
{
	const char *name = dup_attr(p, atts, "name");

	p->map = name ? make(p, sizeof(*p->map)) : NULL;
	if (!p->map)
		return;
	p->map->name = name;
	p->map->bits = bits;
	p->map->end = &p->map->first;
	*p->provider->maps_end = p->map;
	p->provider->maps_end = &p->map->next;
	put_name(p, MAN_MAP, p->provider->scope, name, p->map);
}

static void on_map(struct parse *p, const char **atts)
{
	uint64_t v;
	struct man_entry *e;

	if (!p->map || !number(attr(atts, "value"), UINT32_MAX, &v))
		return;
	e = make(p, sizeof(*e));
	if (!e)
		return;
	e->value = (uint32_t)v;
	e->message = dup_attr(p, atts, "message");
	*p->map->end = e;
	p->map->end = &e->next;
	p->map->n++;
}

static void on_template(struct parse *p, const char **atts)
{
	const char *tid = dup_attr(p, atts, "tid");

	p->n_structs = 0;
	p->template = tid ? make(p, sizeof(*p->template)) : NULL;
	if (!p->template)
		return;
	p->template->end = &p->template->first;
	put_name(p, MAN_TEMPLATE, p->provider->scope, tid, p->template);
}

/* The field that a length or count names: of the same struct, else one at the top, the last of that name. */
static int field_of_name(const struct parse *p, const char *name)
{
	int own = p->n_structs ? p->structs[p->n_structs - 1] : -1, at = 0, found = -1, inside = 0;

	for (const struct man_field *f = p->template->first; f; f = f->next, at++) {
		bool top = !inside;

		inside = !top ? inside - 1 : f->f.in == IN_STRUCT ? f->f.n_members : 0;
		if ((top || (own >= 0 && at > own)) && strcmp(f->f.name, name) == 0)
			found = at;
	}
	return found;
}

/* A constant or a field's name. False: neither. */
static bool size_attr(const struct parse *p, const char *text, uint32_t *constant, int16_t *ref)
{
	uint64_t v;
	int at;

	if (!text || !*text)
		return true;
	if (number(text, SCHEMA_ELEMENTS_MAX, &v)) {
		*constant = (uint32_t)v;
		return true;
	}
	at = field_of_name(p, text);
	*ref = (int16_t)at;
	return at >= 0;
}

static struct man_field *add_field(struct parse *p, const char **atts)
{
	struct man_template *t = p->template;
	const char *count = attr(atts, "count");
	struct man_field *m;

	if (!t || t->broken)
		return NULL;
	if (t->n >= SCHEMA_FIELDS_MAX) {
		t->broken = "too many fields";
		return NULL;
	}
	m = make(p, sizeof(*m));
	if (!m)
		return NULL;
	m->f.name = dup_attr(p, atts, "name");
	if (!m->f.name)
		m->f.name = "?";
	m->f.length_ref = m->f.count_ref = SCHEMA_NO_REF;
	m->f.count = 1;
	m->f.is_array = count && *count;
	if (!size_attr(p, count, &m->f.count, &m->f.count_ref) || !size_attr(p, attr(atts, "length"), &m->f.length, &m->f.length_ref)) {
		t->broken = "a length or count by a field that is not there";
		return NULL;
	}
	*t->end = m;
	t->end = &m->next;
	t->n++;
	for (unsigned i = 0; i < p->n_structs; i++)
		p->struct_of[i]->f.n_members++;
	return m;
}

static void on_struct(struct parse *p, const char **atts)
{
	struct man_field *m = add_field(p, atts);

	if (!m)
		return;
	m->f.in = IN_STRUCT;
	p->structs[p->n_structs] = (int)p->template->n - 1;
	p->struct_of[p->n_structs++] = m; /* no more than MANIFEST_DEPTH_MAX elements are open */
}

static void on_data(struct parse *p, const char **atts)
{
	const char *in = attr(atts, "inType"), *out = attr(atts, "outType");
	struct man_field *m = add_field(p, atts);
	int type = in ? man_in_type(in) : -1;

	if (!m)
		return;
	if (type < 0) {
		p->template->broken = "a field of an unknown type";
		return;
	}
	m->f.in = (uint16_t)type;
	type = out ? man_out_type(out) : -1;
	m->f.out = type < 0 ? OUT_NULL : (uint16_t)type;
	m->map = dup_attr(p, atts, "map");
}

static void on_event(struct parse *p, const char **atts)
{
	uint64_t id, version = 0;
	struct man_event *e;

	if (!number(attr(atts, "value"), UINT16_MAX, &id) || (attr(atts, "version") && !number(attr(atts, "version"), UINT8_MAX, &version)))
		return;
	e = make(p, sizeof(*e));
	if (!e)
		return;
	e->id = (uint16_t)id;
	e->version = (uint8_t)version;
	e->symbol = dup_attr(p, atts, "symbol");
	e->task = dup_attr(p, atts, "task");
	e->opcode = dup_attr(p, atts, "opcode");
	e->template = dup_attr(p, atts, "template");
	*p->provider->events_end = e;
	p->provider->events_end = &e->next;
}

/* The first culture's strings, and the English ones, which go before them. */
static void on_resources(struct parse *p, const char **atts)
{
	const char *culture = attr(atts, "culture");
	bool english = culture && strncasecmp(culture, "en", 2) == 0;

	p->take_strings = english || !p->have_culture;
	p->strings = english ? MAN_SCOPE_ENGLISH : MAN_SCOPE_STRINGS;
	p->have_culture = true;
}

static void on_string(struct parse *p, const char **atts)
{
	const char *id = dup_attr(p, atts, "id");
	char *value = (char *)dup_attr(p, atts, "value");

	if (id && value)
		put_name(p, MAN_STRING, p->strings, id, value);
}

/* ---- the document ------------------------------------------------------------------------------------------------------------------------ */

static enum element element_of(const char *name)
{
	const char *colon = strrchr(name, ':');

	name = colon ? colon + 1 : name;
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		if (strcmp(elements[i].name, name) == 0)
			return elements[i].e;
	return E_OTHER;
}

static void on_maps(struct parse *p, enum element e, enum element in, const char **atts)
{
	if (in == E_MAPS && (e == E_VALUEMAP || e == E_BITMAP))
		on_map_open(p, atts, e == E_BITMAP);
	else if (e == E_MAP && (in == E_VALUEMAP || in == E_BITMAP))
		on_map(p, atts);
}

static void on_in_provider(struct parse *p, enum element e, enum element in, const char **atts)
{
	switch (e) {
	case E_TASK:
		p->task = on_named(p, atts, MAN_TASK, p->provider->scope);
		break;
	case E_OPCODE:
		on_named(p, atts, MAN_OPCODE, p->task ? p->task->scope : p->provider->scope);
		break;
	case E_TEMPLATE:
		on_template(p, atts);
		break;
	case E_STRUCT:
		on_struct(p, atts);
		break;
	case E_DATA:
		if (in == E_TEMPLATE || in == E_STRUCT)
			on_data(p, atts);
		break;
	case E_EVENT:
		if (in == E_EVENTS)
			on_event(p, atts);
		break;
	default:
		on_maps(p, e, in, atts);
		break;
	}
}

static void XMLCALL on_start(void *ctx, const char *name, const char **atts)
{
	struct parse *p = ctx;
	enum element e = element_of(name), in = p->depth ? p->open[p->depth - 1] : E_OTHER;

	if (p->rc)
		return;
	if (p->depth >= MANIFEST_DEPTH_MAX || ++p->items > MANIFEST_ITEMS_MAX) {
		stop(p, ERR_LIMIT, "elements too deep or too many");
		return;
	}
	p->open[p->depth++] = e;
	p->is_manifest |= e == E_MANIFEST && p->depth == 1;
	if (p->skip)
		return;
	if (e == E_USERDATA)
		p->skip = p->depth;
	else if (e == E_PROVIDER && in == E_EVENTS && !p->provider)
		on_provider(p, atts);
	else if (p->provider)
		on_in_provider(p, e, in, atts);
	else if (e == E_RESOURCES)
		on_resources(p, atts);
	else if (e == E_STRING && in == E_STRINGTABLE && p->take_strings)
		on_string(p, atts);
}

static void XMLCALL on_end(void *ctx, const char *name)
{
	struct parse *p = ctx;
	enum element e = p->depth ? p->open[--p->depth] : E_OTHER;

	(void)name;
	if (p->skip) {
		p->skip = p->depth < p->skip ? 0 : p->skip;
		return;
	}
	if (e == E_PROVIDER)
		p->provider = NULL;
	else if (e == E_TASK)
		p->task = NULL;
	else if (e == E_TEMPLATE)
		p->template = NULL;
	else if (e == E_VALUEMAP || e == E_BITMAP)
		p->map = NULL;
	else if (e == E_STRUCT && p->n_structs && p->template)
		p->n_structs--;
}

/* No document of this kind declares entities; one that does is out for something else. */
static void XMLCALL on_entity(void *ctx, const XML_Char *name, int is_parameter, const XML_Char *value, int len, const XML_Char *base,
			      const XML_Char *system_id, const XML_Char *public_id, const XML_Char *notation)
{
	(void)name, (void)is_parameter, (void)value, (void)len, (void)base, (void)system_id, (void)public_id, (void)notation;
	stop(ctx, ERR_FORMAT, "it declares entities");
}

static int parse_xml(struct parse *p, const void *bytes, size_t len, struct err *e)
{
	const char *at = bytes;
	size_t done = 0;

	XML_SetUserData(p->x, p);
	XML_SetElementHandler(p->x, on_start, on_end);
	XML_SetEntityDeclHandler(p->x, on_entity);
	while (len && at[len - 1] == 0) /* EventSource and some editors end with NULs */
		len--;
	do {
		size_t n = len - done < (1u << 20) ? len - done : 1u << 20;

		if (XML_Parse(p->x, at + done, (int)n, done + n == len) == XML_STATUS_ERROR) {
			if (p->rc)
				return err_set(e, p->rc, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(p->x), p->why);
			return err_set(e, ERR_FORMAT, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(p->x),
				       XML_ErrorString(XML_GetErrorCode(p->x)));
		}
		done += n;
	} while (done < len);
	if (!p->is_manifest)
		return err_set(e, ERR_FORMAT, "XML, but no instrumentation manifest");
	return 0;
}

int manifest_read(struct schemas *s, const void *p, size_t len, enum schema_source source, const struct guid *only,
		  struct definition_counts *n, struct err *e)
{
	struct definition_counts mine = {0, 0};
	struct parse *x;
	int rc;

	if (len > MANIFEST_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a manifest of more than %zu bytes", MANIFEST_BYTES_MAX);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	arena_init(&x->doc.arena);
	x->doc.arena.max = 4 * MANIFEST_BYTES_MAX;
	x->doc.providers_end = &x->doc.providers;
	x->scopes = MAN_SCOPE_ENGLISH;
	x->only = only;
	x->x = XML_ParserCreate(NULL);
	rc = x->x ? parse_xml(x, p, len, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0)
		rc = man_build(&x->doc, s, source, &mine, e);
	if (x->x)
		XML_ParserFree(x->x);
	man_names_free(&x->doc.names);
	arena_free(&x->doc.arena);
	free(x);
	if (n) {
		n->providers += mine.providers;
		n->events += mine.events;
	}
	return rc;
}

#else

int manifest_read(struct schemas *s, const void *p, size_t len, enum schema_source source, const struct guid *only,
		  struct definition_counts *n, struct err *e)
{
	(void)s, (void)p, (void)len, (void)source, (void)only, (void)n;
	return err_set(e, ERR_UNSUPPORTED, "this build has no XML reader (libexpat)");
}

#endif
