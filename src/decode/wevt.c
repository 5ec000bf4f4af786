/* wevt.c - see wevt.h. All offsets count from the start of CRIM. */
#include "wevt.h"

#include <stdlib.h>
#include <string.h>

#include "peres.h"
#include "rd.h"
#include "scalar.h"

#define CRIM_HEADER   16u
#define PROVIDERS_MAX 4096u
#define ELEMENTS_MAX  64u
#define EVENT_SIZE    48u
#define TEMP_HEADER   40u
#define ITEM_SIZE     20u
#define MAP_ENTRIES   65536u
#define NAME_BYTES    1024u
#define NO_MESSAGE    0xffffffffu
#define STEPS_MAX     20000000u   /* blocks and entries passed while looking for messages, over all of a resource */
#define ATTR_NAME     0x10000001u /* PRVA: the provider's name */
#define ITEM_LENGTH   0x4u        /* item flag: the length is the value of the item of that index */

struct template_def {
	uint32_t off;
	uint32_t n;
	const struct schema_field *fields;
	bool tried, ok;
};

struct map_def { /* already made, by place */
	uint32_t off;
	const struct schema_map *map;
};

struct crim {
	struct schemas *s;
	struct rd r, messages;
	struct guid provider;
	const char *name;
	struct template_def *temp; /* of the provider, ascending */
	uint32_t n_temp;
	struct map_def map[64];
	unsigned n_map;
	uint32_t steps;
	bool nomem;
};

static struct dval wide(struct crim *c, uint64_t off, uint64_t max)
{
	uint64_t n = 0;

	while (n + 2 <= max && rd_has(&c->r, off + n, 2) && le16(c->r.p + off + n))
		n += 2;
	return dv_utf16(schemas_arena(c->s), c->r.p + off, (size_t)n);
}

/* u32 size with itself, then a wide string. NULL: none there. */
static const char *sized_text(struct crim *c, uint32_t off)
{
	uint32_t size = rd_u32(&c->r, off);
	struct dval v;

	if (!off || size < 6 || size > NAME_BYTES || !rd_has(&c->r, off, size))
		return NULL;
	v = wide(c, (uint64_t)off + 4, size - 4);
	return v.type == DV_TEXT && v.n ? v.text : NULL;
}

/* MESSAGE_RESOURCE_DATA: blocks of (first id, last id, offset); an entry is u16 length, u16 flags (1: wide), text. NULL: no such message. */
static const char *message(struct crim *c, uint32_t id)
{
	struct rd *m = &c->messages;
	uint32_t blocks = m->len >= 4 ? le32(m->p) : 0;
	struct dval v = {.type = DV_NULL};

	for (uint32_t i = 0; id != NO_MESSAGE && i < blocks && c->steps++ < STEPS_MAX && rd_has(m, 4 + 12 * (uint64_t)i, 12); i++) {
		const uint8_t *b = m->p + 4 + 12 * (size_t)i;
		uint64_t at = le32(b + 8);

		if (id < le32(b) || id > le32(b + 4))
			continue;
		for (uint32_t k = le32(b); k < id && c->steps++ < STEPS_MAX && rd_has(m, at, 4) && le16(m->p + at) >= 4; k++)
			at += le16(m->p + at);
		if (c->steps >= STEPS_MAX || !rd_has(m, at, 4) || le16(m->p + at) < 4 || !rd_has(m, at, le16(m->p + at)))
			return NULL;
		b = m->p + at;
		v = le16(b + 2) & 1 ? dv_utf16(schemas_arena(c->s), b + 4, le16(b) - 4u)
				    : dv_ansi(schemas_arena(c->s), b + 4, le16(b) - 4u);
		break;
	}
	if (v.type != DV_TEXT)
		return NULL;
	v.n = (uint32_t)strcspn(v.text, "\r\n");
	while (v.n && v.text[v.n - 1] == ' ')
		v.n--;
	return v.n ? arena_strndup(schemas_arena(c->s), v.text, v.n) : NULL;
}

/* ---- templates --------------------------------------------------------------------------------------------------------------------------- */

/* VMAP: u32 size, u32 name, u32 entries, then (value, message id). Other maps are not documented: their fields stay numbers. */
static const struct schema_map *value_map(struct crim *c, uint32_t off)
{
	uint32_t n = rd_has(&c->r, off, 16) && memcmp(c->r.p + off, "VMAP", 4) == 0 ? rd_u32(&c->r, (uint64_t)off + 12) : 0;
	struct schema_map *m;
	uint32_t *value;
	const char **text;

	for (unsigned i = 0; i < c->n_map; i++)
		if (c->map[i].off == off)
			return c->map[i].map;
	if (!n || n > MAP_ENTRIES || !rd_has(&c->r, (uint64_t)off + 16, 8 * (uint64_t)n) || c->n_map >= sizeof(c->map) / sizeof(c->map[0]))
		return NULL;
	m = arena_alloc(schemas_arena(c->s), sizeof(*m));
	value = arena_alloc(schemas_arena(c->s), n * sizeof(*value));
	text = arena_alloc(schemas_arena(c->s), n * sizeof(*text));
	c->nomem |= !m || !value || !text;
	if (c->nomem)
		return NULL;
	m->bits = false;
	m->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		text[m->n] = message(c, rd_u32(&c->r, (uint64_t)off + 20 + 8 * (uint64_t)i));
		value[m->n] = rd_u32(&c->r, (uint64_t)off + 16 + 8 * (uint64_t)i);
		m->n += text[m->n] != NULL;
	}
	m->value = value;
	m->text = text;
	c->map[c->n_map++] = (struct map_def){off, m};
	return m;
}

static bool known_type(uint8_t in)
{
	return in >= IN_UNICODESTRING && in <= IN_COUNTEDBINARY && in != IN_STRUCT;
}

/* Item i of a template. False: it says something that is not understood. */
static bool item(struct crim *c, uint32_t items, uint32_t i, struct schema_field *f)
{
	uint64_t p = (uint64_t)items + ITEM_SIZE * (uint64_t)i;
	uint32_t flags = rd_u32(&c->r, p);
	uint16_t count = rd_u16(&c->r, p + 12), length = rd_u16(&c->r, p + 14);

	memset(f, 0, sizeof(*f));
	f->in = rd_u8(&c->r, p + 4);
	f->out = rd_u8(&c->r, p + 5);
	f->length_ref = f->count_ref = SCHEMA_NO_REF;
	f->count = 1;
	if (flags & ~ITEM_LENGTH || count > 1 || !known_type((uint8_t)f->in))
		return false;
	if (flags & ITEM_LENGTH && length >= i)
		return false;
	if (flags & ITEM_LENGTH)
		f->length_ref = (int16_t)length;
	else
		f->length = length;
	f->map = value_map(c, rd_u32(&c->r, p + 8));
	f->name = sized_text(c, rd_u32(&c->r, p + 16));
	if (!f->name)
		f->name = "?";
	return true;
}

static void make_template(struct crim *c, struct template_def *t)
{
	uint32_t n = rd_u32(&c->r, (uint64_t)t->off + 8), names = rd_u32(&c->r, (uint64_t)t->off + 12),
		 at = rd_u32(&c->r, (uint64_t)t->off + 16);
	struct schema_field *f;

	t->tried = true;
	if (n != names || n > SCHEMA_FIELDS_MAX || !rd_has(&c->r, at, ITEM_SIZE * (uint64_t)n))
		return;
	f = arena_alloc(schemas_arena(c->s), (n + 1) * sizeof(*f));
	if (!f) {
		c->nomem = true;
		return;
	}
	t->ok = true;
	for (uint32_t i = 0; i < n && t->ok; i++)
		t->ok = item(c, at, i, &f[i]);
	t->fields = f;
	t->n = n;
}

/* TTBL: templates one behind the other. */
static int list_templates(struct crim *c, uint32_t table, struct err *e)
{
	uint32_t n = rd_u32(&c->r, (uint64_t)table + 8);
	uint64_t at = (uint64_t)table + 12;

	free(c->temp);
	c->temp = NULL;
	c->n_temp = 0;
	if (n > c->r.len / TEMP_HEADER)
		return 0;
	c->temp = calloc((size_t)n + 1, sizeof(*c->temp));
	if (!c->temp)
		return err_set(e, ERR_NOMEM, "out of memory");
	while (c->n_temp < n && rd_has(&c->r, at, TEMP_HEADER) && memcmp(c->r.p + at, "TEMP", 4) == 0) {
		uint32_t size = rd_u32(&c->r, at + 4);

		if (size < TEMP_HEADER)
			break;
		c->temp[c->n_temp++].off = (uint32_t)at;
		at += size;
	}
	return 0;
}

static struct template_def *template_at(struct crim *c, uint32_t off)
{
	uint32_t lo = 0, hi = c->n_temp;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (c->temp[mid].off == off)
			return &c->temp[mid];
		if (c->temp[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- events ------------------------------------------------------------------------------------------------------------------------------ */

/* A task's or opcode's text: its message, else its name. `name`: where in the definition its name's offset stands. win:Info says nothing. */
static const char *title(struct crim *c, uint32_t def, unsigned name)
{
	const char *t = def ? message(c, rd_u32(&c->r, (uint64_t)def + 4)) : NULL;

	if (!t && def && rd_has(&c->r, def, name + 4))
		t = sized_text(c, rd_u32(&c->r, (uint64_t)def + name));
	if (t && strncmp(t, "win:", 4) == 0)
		t = strcmp(t, "win:Info") == 0 ? NULL : t + 4;
	return t;
}

static int add_event(struct crim *c, uint64_t at, struct definition_counts *n)
{
	uint32_t temp = rd_u32(&c->r, at + 20);
	struct template_def *t = temp ? template_at(c, temp) : NULL;
	const char *task, *op;
	struct schema_key key;
	struct schema *made;

	if (t && !t->tried)
		make_template(c, t);
	if (c->nomem)
		return ERR_NOMEM;
	if (temp && (!t || !t->ok))
		return 0;
	made = arena_alloc(schemas_arena(c->s), sizeof(*made));
	if (!made)
		return ERR_NOMEM;
	memset(made, 0, sizeof(*made));
	made->source = SCHEMA_MANIFEST;
	made->provider = c->name;
	made->n_fields = t ? t->n : 0;
	made->fields = t ? t->fields : NULL;
	task = title(c, rd_u32(&c->r, at + 32), 24);
	op = title(c, rd_u32(&c->r, at + 24), 8);
	made->name = task ? task : op;
	if (task && op) {
		struct dval both = dv_format(schemas_arena(c->s), "%s/%s", task, op);

		made->name = both.type == DV_TEXT ? both.text : task;
	}
	memset(&key, 0, sizeof(key));
	key.guid = c->provider;
	key.id = rd_u16(&c->r, at);
	key.version = rd_u8(&c->r, at + 2);
	n->events++;
	return schemas_add(c->s, &key, made);
}

/* PRVA: (attribute, offset of a wide string). */
static void read_name(struct crim *c, uint32_t at)
{
	uint32_t n = rd_u32(&c->r, (uint64_t)at + 8);
	struct dval v;

	for (uint32_t i = 0; i < n && i < ELEMENTS_MAX && rd_has(&c->r, (uint64_t)at + 12 + 8 * (uint64_t)i, 8); i++) {
		uint32_t off = rd_u32(&c->r, (uint64_t)at + 16 + 8 * (uint64_t)i);

		if (rd_u32(&c->r, (uint64_t)at + 12 + 8 * (uint64_t)i) != ATTR_NAME || off >= c->r.len)
			continue;
		v = wide(c, off, NAME_BYTES);
		c->name = v.type == DV_TEXT && v.n ? v.text : NULL;
	}
}

static uint32_t element(struct crim *c, uint32_t wevt, const char *signature)
{
	uint32_t n = rd_u32(&c->r, (uint64_t)wevt + 12);

	for (uint32_t i = 0; i < n && i < ELEMENTS_MAX && rd_has(&c->r, (uint64_t)wevt + 20 + 8 * (uint64_t)i, 4); i++) {
		uint32_t at = rd_u32(&c->r, (uint64_t)wevt + 20 + 8 * (uint64_t)i);

		if (rd_has(&c->r, at, 12) && memcmp(c->r.p + at, signature, 4) == 0)
			return at;
	}
	return 0;
}

static int provider(struct crim *c, uint32_t i, struct definition_counts *n, struct err *e)
{
	uint64_t p = CRIM_HEADER + 20 * (uint64_t)i;
	uint32_t wevt = rd_u32(&c->r, p + 16), at, events;
	int rc = 0;

	rd_copy(&c->r, p, c->provider.b, 16);
	if (!rd_has(&c->r, wevt, 20) || memcmp(c->r.p + wevt, "WEVT", 4) != 0)
		return 0;
	c->name = NULL;
	at = element(c, wevt, "PRVA");
	if (at)
		read_name(c, at);
	if (c->name && schemas_add_provider_name(c->s, &c->provider, c->name) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	n->providers++;
	rc = list_templates(c, element(c, wevt, "TTBL"), e);
	at = element(c, wevt, "EVNT");
	events = at ? rd_u32(&c->r, (uint64_t)at + 8) : 0;
	for (uint32_t k = 0; rc == 0 && k < events && rd_has(&c->r, (uint64_t)at + 16 + EVENT_SIZE * (uint64_t)k, EVENT_SIZE); k++) {
		rc = add_event(c, (uint64_t)at + 16 + EVENT_SIZE * (uint64_t)k, n);
		if (rc < 0)
			err_set(e, rc, rc == ERR_NOMEM ? "out of memory" : "too many definitions");
	}
	return rc;
}

int wevt_read(struct schemas *s, const uint8_t *p, size_t n, const uint8_t *messages, size_t messages_n, struct definition_counts *counts,
	      struct err *e)
{
	struct definition_counts mine = {0, 0};
	struct crim *c;
	uint32_t providers;
	int rc = 0;

	if (n < CRIM_HEADER || memcmp(p, "CRIM", 4) != 0)
		return err_set(e, ERR_NOTMINE, "no WEVT_TEMPLATE");
	providers = le32(p + 12);
	if (providers > PROVIDERS_MAX || n < CRIM_HEADER + 20 * (size_t)providers)
		return err_set(e, ERR_FORMAT, "a WEVT_TEMPLATE of %u providers in %zu bytes", providers, n);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->s = s;
	c->r = rd_init(p, n);
	c->messages = rd_init(messages, messages_n);
	for (uint32_t i = 0; rc == 0 && i < providers; i++)
		rc = provider(c, i, &mine, e);
	free(c->temp);
	free(c);
	if (counts) {
		counts->providers += mine.providers;
		counts->events += mine.events;
	}
	return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------------- */

struct file {
	struct schemas *s;
	struct definition_counts *c;
	uint8_t *messages;
	size_t messages_n;
};

static int take_messages(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct file *f = ctx;

	if (f->messages) /* the first language */
		return 0;
	f->messages = malloc(n ? n : 1);
	if (!f->messages)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(f->messages, p, n);
	f->messages_n = n;
	return 0;
}

static int take_template(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct file *f = ctx;
	int rc = wevt_read(f->s, p, n, f->messages, f->messages_n, f->c, e);

	return rc == ERR_NOTMINE ? ERR_FORMAT : rc;
}

int wevt_read_file(struct schemas *s, struct input *in, struct definition_counts *c, struct err *e)
{
	struct file f = {.s = s, .c = c};
	int rc = peres_each(in, NULL, PERES_MESSAGETABLE, take_messages, &f, NULL);

	if (rc != ERR_NOTMINE && rc != ERR_NOMEM)
		rc = peres_each(in, "WEVT_TEMPLATE", 0, take_template, &f, e);
	else
		err_set(e, rc, rc == ERR_NOMEM ? "out of memory" : "no PE file");
	free(f.messages);
	return rc == 0 ? err_set(e, ERR_NOTMINE, "no WEVT_TEMPLATE resource in this file") : rc;
}
