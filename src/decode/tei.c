/* tei.c - definitions that a merged trace carries in itself: TRACE_EVENT_INFO and EVENT_MAP_INFO (tdh.h; layouts documented at Microsoft Learn,
 * "TRACE_EVENT_INFO structure", "EVENT_PROPERTY_INFO structure", "EVENT_MAP_INFO structure"), as KernelTraceControl writes them. */
#include <string.h>

#include "rd.h"
#include "schemas.h"

#define TEI_HEADER            0x70u
#define PROPERTY              0x18u
#define PROPERTY_STRUCT       0x1u
#define PROPERTY_PARAM_LENGTH 0x2u
#define PROPERTY_PARAM_COUNT  0x4u
#define PROPERTY_FIXED_COUNT  0x20u
#define SOURCE_XML_FILE       0u /* DECODING_SOURCE: manifest; 1 WBEM (classic), 2 WPP, 3 TraceLogging */
#define SOURCE_WBEM           1u
#define DEPTH_MAX             8
#define MAP_ENTRIES_MAX       65536u
#define MAP_BITS              0x12u /* EVENTMAP_INFO_FLAG_MANIFEST_BITMAP, _WBEM_BITMAP */

struct tei {
	struct schemas *s;
	struct rd r;
	uint32_t n_props, n_top;
	struct schema_field *f; /* the flat list being made: members stand behind their struct */
	uint32_t n;
	int16_t *place; /* property index -> index in f, for references */
	struct guid provider;
};

/* A NUL-ended wide string at off of r, as UTF-8 in the store. NULL: off is 0 or outside. */
static const char *text_at(struct schemas *s, const struct rd *r, uint32_t off)
{
	uint32_t n = 0;
	struct dval v;

	if (!off || off >= r->len)
		return NULL;
	while (rd_has(r, (uint64_t)off + n, 2) && le16(r->p + off + n))
		n += 2;
	while (n >= 2 && le16(r->p + off + n - 2) == ' ')
		n -= 2;
	v = dv_utf16(schemas_arena(s), r->p + off, n);
	return v.type == DV_TEXT && v.n ? v.text : NULL;
}

static bool add_property(struct tei *t, uint32_t i, int depth)
{
	uint64_t p = TEI_HEADER + (uint64_t)i * PROPERTY;
	uint32_t flags = rd_u32(&t->r, p), at = t->n, first;
	uint16_t count = rd_u16(&t->r, p + 0x10), length = rd_u16(&t->r, p + 0x12);
	const char *map = NULL;
	struct schema_field *f;

	if (depth > DEPTH_MAX || i >= t->n_props || t->n >= SCHEMA_FIELDS_MAX)
		return false;
	f = &t->f[t->n++];
	memset(f, 0, sizeof(*f));
	t->place[i] = (int16_t)at;
	f->name = text_at(t->s, &t->r, rd_u32(&t->r, p + 4));
	if (!f->name)
		f->name = "?";
	f->count_ref = flags & PROPERTY_PARAM_COUNT && count < t->n_props ? t->place[count] : SCHEMA_NO_REF;
	f->length_ref = flags & PROPERTY_PARAM_LENGTH && length < t->n_props ? t->place[length] : SCHEMA_NO_REF;
	if ((flags & PROPERTY_PARAM_COUNT && f->count_ref < 0) || (flags & PROPERTY_PARAM_LENGTH && f->length_ref < 0))
		return false;
	f->is_array = flags & (PROPERTY_PARAM_COUNT | PROPERTY_FIXED_COUNT) || (f->count_ref < 0 && count > 1);
	f->count = f->count_ref < 0 ? count : 0;
	if (!f->is_array)
		f->count = 1;
	if (flags & PROPERTY_STRUCT) {
		first = rd_u16(&t->r, p + 8);
		count = rd_u16(&t->r, p + 0xa);
		f->in = IN_STRUCT;
		for (uint32_t k = 0; k < count; k++)
			if (!add_property(t, first + k, depth + 1))
				return false;
		t->f[at].n_members = (uint16_t)(t->n - at - 1);
		return true;
	}
	f->in = rd_u16(&t->r, p + 8);
	f->out = rd_u16(&t->r, p + 0xa);
	map = text_at(t->s, &t->r, rd_u32(&t->r, p + 0xc));
	f->map = map ? schemas_map(t->s, &t->provider, map) : NULL;
	/* a length is meant for strings and binary; numbers repeat their size there */
	if (f->length_ref < 0 && (f->in == IN_UNICODESTRING || f->in == IN_ANSISTRING || f->in == IN_BINARY))
		f->length = length;
	return true;
}

static int add_schema(struct tei *t, const struct schema_key *key, struct err *e)
{
	struct schema *made = arena_alloc(schemas_arena(t->s), sizeof(*made));
	uint32_t task = rd_u32(&t->r, 0x44), opcode = rd_u32(&t->r, 0x48);
	const char *name, *op;

	if (!made)
		return err_set(e, ERR_NOMEM, "out of memory");
	memset(made, 0, sizeof(*made));
	made->source = SCHEMA_IN_BAND;
	made->provider = text_at(t->s, &t->r, rd_u32(&t->r, 0x34));
	made->n_fields = t->n;
	made->fields = t->f;
	name = text_at(t->s, &t->r, task);
	op = text_at(t->s, &t->r, opcode);
	made->name = name;
	if (name && op) {
		struct dval both = dv_format(schemas_arena(t->s), "%s/%s", name, op);

		made->name = both.type == DV_TEXT ? both.text : name;
	} else if (op) {
		made->name = op;
	}
	if (made->provider)
		schemas_add_provider_name(t->s, &t->provider, made->provider);
	return schemas_add(t->s, key, made);
}

int schemas_add_event_info(struct schemas *s, const uint8_t *p, uint32_t n, struct err *e)
{
	struct tei t = {.s = s, .r = rd_init(p, n)};
	struct schema_key key;
	uint32_t source = rd_u32(&t.r, 0x30);

	t.n_props = rd_u32(&t.r, 0x64);
	t.n_top = rd_u32(&t.r, 0x68);
	rd_copy(&t.r, 0, t.provider.b, 16);
	if (t.r.bad || t.n_props > SCHEMA_FIELDS_MAX || t.n_top > t.n_props || !rd_has(&t.r, TEI_HEADER, (uint64_t)t.n_props * PROPERTY))
		return err_set(e, ERR_FORMAT, "a TRACE_EVENT_INFO that leaves its event");
	if (source > SOURCE_WBEM)
		return 0;
	memset(&key, 0, sizeof(key));
	key.classic = source == SOURCE_WBEM;
	key.guid = t.provider;
	if (key.classic)
		rd_copy(&t.r, 0x10, key.guid.b, 16);
	key.id = key.classic ? rd_u8(&t.r, 0x25) : rd_u16(&t.r, 0x20);
	key.version = rd_u8(&t.r, 0x22);
	t.f = arena_alloc(schemas_arena(s),
			  SCHEMA_FIELDS_MAX < t.n_props * 4 + 1 ? sizeof(*t.f) * SCHEMA_FIELDS_MAX : sizeof(*t.f) * (t.n_props * 4 + 1));
	t.place = arena_alloc(schemas_arena(s), sizeof(*t.place) * (t.n_props + 1));
	if (!t.f || !t.place)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; i < t.n_props; i++)
		t.place[i] = SCHEMA_NO_REF;
	for (uint32_t i = 0; i < t.n_top; i++)
		if (t.n >= t.n_props * 4 || !add_property(&t, i, 0))
			return err_set(e, ERR_FORMAT, "a TRACE_EVENT_INFO whose properties contradict each other");
	return add_schema(&t, &key, e);
}

int schemas_add_map_info(struct schemas *s, const uint8_t *p, uint32_t n, struct err *e)
{
	struct rd outer = rd_init(p, n), r = rd_sub(&outer, 16, n >= 16 ? n - 16 : 0);
	uint32_t count = rd_u32(&r, 8), flags = rd_u32(&r, 4);
	struct schema_map *m = arena_alloc(schemas_arena(s), sizeof(*m));
	const char *name = text_at(s, &r, rd_u32(&r, 0));
	struct guid provider;
	uint32_t *value;
	const char **text;

	if (!m)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (outer.bad || r.bad || count > MAP_ENTRIES_MAX || !rd_has(&r, 0x10, (uint64_t)count * 8) || !name)
		return err_set(e, ERR_FORMAT, "an EVENT_MAP_INFO that leaves its event");
	rd_copy(&outer, 0, provider.b, 16);
	value = arena_alloc(schemas_arena(s), (count + 1) * sizeof(*value));
	text = arena_alloc(schemas_arena(s), (count + 1) * sizeof(*text));
	if (!value || !text)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->bits = flags & MAP_BITS;
	m->n = 0;
	for (uint32_t i = 0; i < count; i++) {
		text[m->n] = text_at(s, &r, rd_u32(&r, 0x10 + 8 * i));
		value[m->n] = rd_u32(&r, 0x14 + 8 * i);
		m->n += text[m->n] != NULL;
	}
	m->value = value;
	m->text = text;
	return schemas_add_map(s, &provider, name, m);
}
