/* manbuild.c - from a manifest's model (manmodel.h) to definitions in the store: names looked up, templates shared by their events. */
#include <string.h>

#include "manmodel.h"

static char *keep(struct schemas *s, const char *text)
{
	return arena_strndup(schemas_arena(s), text, strlen(text));
}

/* "$(string.ID)" -> its text; other text stands for itself; NULL: no such string. */
static const char *message_text(const struct man_doc *d, const char *message)
{
	static const char open[] = "$(string.";
	char id[256];
	size_t n;

	if (!message || strncmp(message, "$(", 2) != 0)
		return message;
	n = strlen(message);
	if (strncmp(message, open, sizeof(open) - 1) != 0 || message[n - 1] != ')' || n - sizeof(open) >= sizeof(id))
		return NULL;
	n -= sizeof(open);
	memcpy(id, message + sizeof(open) - 1, n);
	id[n] = 0;
	message = man_names_get(&d->names, MAN_STRING, MAN_SCOPE_ENGLISH, id);
	return message ? message : man_names_get(&d->names, MAN_STRING, MAN_SCOPE_STRINGS, id);
}

/* A name for people: the text's first line without the format marks of message files at its end. NULL: nothing is left. */
static const char *name_text(struct schemas *s, const char *text, int *rc)
{
	size_t n = text ? strcspn(text, "\r\n") : 0;
	char *made;

	while (n &&
	       (text[n - 1] == ' ' || text[n - 1] == '\t' || (n >= 2 && text[n - 2] == '%' && (text[n - 1] == 'n' || text[n - 1] == '0'))))
		n -= text[n - 1] == 'n' || text[n - 1] == '0' ? 2 : 1;
	if (!n)
		return NULL;
	made = arena_strndup(schemas_arena(s), text, n);
	if (!made)
		*rc = ERR_NOMEM;
	return made;
}

static int build_map(const struct man_doc *d, struct schemas *s, const struct man_provider *p, struct man_map *m)
{
	struct schema_map *made = arena_alloc(schemas_arena(s), sizeof(*made));
	uint32_t *value = arena_alloc(schemas_arena(s), (m->n + 1) * sizeof(*value));
	const char **text = arena_alloc(schemas_arena(s), (m->n + 1) * sizeof(*text));
	int rc = 0;

	if (!made || !value || !text)
		return ERR_NOMEM;
	made->bits = m->bits;
	made->n = 0;
	for (const struct man_entry *e = m->first; e; e = e->next) {
		text[made->n] = name_text(s, message_text(d, e->message), &rc);
		if (rc < 0)
			return rc;
		value[made->n] = e->value;
		made->n += text[made->n] != NULL;
	}
	made->value = value;
	made->text = text;
	m->made = made;
	return schemas_add_map(s, &p->guid, m->name, made);
}

static int build_template(const struct man_doc *d, struct schemas *s, const struct man_provider *p, struct man_template *t)
{
	struct schema_field *f = arena_alloc(schemas_arena(s), (t->n + 1) * sizeof(*f));
	uint32_t i = 0;

	t->tried = true;
	if (!f)
		return ERR_NOMEM;
	for (const struct man_field *m = t->first; m; m = m->next, i++) {
		const struct man_map *map = man_names_get(&d->names, MAN_MAP, p->scope, m->map);

		f[i] = m->f;
		f[i].name = keep(s, m->f.name);
		f[i].map = map ? map->made : NULL;
		if (!f[i].name)
			return ERR_NOMEM;
	}
	t->made = f;
	return 0;
}

/* The words of opcodes that every provider has (winmeta.xml). Info says nothing: it is left out. */
static const char *win_opcode(const char *name)
{
	static const char *const words[] = {"Start", "Stop",   "DC_Start", "DC_Stop", "Extension",
					    "Reply", "Resume", "Suspend",  "Send",    "Receive"};

	if (!name || strncmp(name, "win:", 4) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name + 4, words[i]) == 0)
			return words[i];
	return NULL;
}

static const char *title(const struct man_doc *d, struct schemas *s, const struct man_named *n, int *rc)
{
	const char *t = n ? name_text(s, message_text(d, n->message), rc) : NULL;

	return t || !n ? t : n->name;
}

/* "Task/Opcode" as the system's own tools print it; an event without an opcode of its own by its symbol, else by its task. */
static int event_name(const struct man_doc *d, struct schemas *s, const struct man_provider *p, const struct man_event *e, const char **out)
{
	const struct man_named *task = man_names_get(&d->names, MAN_TASK, p->scope, e->task), *op = NULL;
	const char *t, *o = win_opcode(e->opcode), *name = NULL;
	struct dval both;
	int rc = 0;

	if (task)
		op = man_names_get(&d->names, MAN_OPCODE, task->scope, e->opcode);
	if (!op)
		op = man_names_get(&d->names, MAN_OPCODE, p->scope, e->opcode);
	t = title(d, s, task, &rc);
	if (!o)
		o = title(d, s, op, &rc);
	if (t && o) {
		both = dv_format(schemas_arena(s), "%s/%s", t, o);
		name = both.type == DV_TEXT ? both.text : NULL;
	} else {
		name = e->symbol ? e->symbol : t ? t : o;
		name = name ? keep(s, name) : NULL;
	}
	*out = name;
	return rc;
}

static int build_event(struct man_doc *d, struct schemas *s, const struct man_provider *p, const struct man_event *e,
		       enum schema_source source)
{
	struct schema_key key;
	struct schema *made;
	struct man_template *t = man_names_get(&d->names, MAN_TEMPLATE, p->scope, e->template);
	int rc = 0;

	if (e->template && (!t || t->broken))
		return 0;
	if (t && !t->tried)
		rc = build_template(d, s, p, t);
	made = arena_alloc(schemas_arena(s), sizeof(*made));
	if (rc < 0 || !made)
		return ERR_NOMEM;
	memset(made, 0, sizeof(*made));
	made->source = source;
	made->provider = p->name;
	made->n_fields = t ? t->n : 0;
	made->fields = t ? t->made : NULL;
	rc = event_name(d, s, p, e, &made->name);
	if (rc < 0)
		return rc;
	memset(&key, 0, sizeof(key));
	key.guid = p->guid;
	key.id = e->id;
	key.version = e->version;
	return schemas_add(s, &key, made);
}

int man_build(struct man_doc *d, struct schemas *s, enum schema_source source, struct definition_counts *n, struct err *e)
{
	int rc = 0;

	for (struct man_provider *p = d->providers; p && rc == 0; p = p->next) {
		if (p->name) {
			p->name = keep(s, p->name);
			rc = p->name ? schemas_add_provider_name(s, &p->guid, p->name) : ERR_NOMEM;
		}
		for (struct man_map *m = p->maps; m && rc == 0; m = m->next)
			rc = build_map(d, s, p, m);
		for (const struct man_event *ev = p->events; ev && rc == 0; ev = ev->next) {
			rc = build_event(d, s, p, ev, source);
			n->events++;
		}
		n->providers++;
	}
	if (rc == ERR_NOMEM)
		return err_set(e, rc, "out of memory");
	return rc < 0 ? err_set(e, rc, "more than %u definitions", SCHEMAS_MAX) : 0;
}
