/* schema.c - see schema.h */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "rd.h"

#define DEPTH_MAX 8

struct reader {
	const struct schema *s;
	struct cursor c;
	uint64_t *number; /* last value of each field of the list, for length and count references */
	bool *known;
};

static bool fail(struct reader *r, const char *why)
{
	if (!r->c.why)
		r->c.why = why;
	return false;
}

static bool reference(struct reader *r, int ref, uint64_t *out)
{
	if (ref < 0 || (uint32_t)ref >= r->s->n_fields || !r->known[ref])
		return fail(r, "a length or count that no field before it holds");
	*out = r->number[ref];
	return true;
}

/* "A|B", bits without a name as hex; a value without a name stays a number. */
static void apply_map(struct reader *r, const struct schema_map *m, struct dval *v)
{
	uint64_t u = v->u, rest = u;
	char text[512];
	size_t n = 0;

	if (v->type != DV_UINT && v->type != DV_HEX && v->type != DV_INT)
		return;
	if (!m->bits) {
		for (uint32_t i = 0; i < m->n; i++)
			if (m->value[i] == u) {
				*v = dv_text(r->c.arena, m->text[i], strlen(m->text[i]));
				return;
			}
		return;
	}
	for (uint32_t i = 0; i < m->n; i++) {
		size_t len = strlen(m->text[i]);

		if (!m->value[i] || (u & m->value[i]) != m->value[i])
			continue;
		if (n + len + 24 > sizeof(text))
			return;
		if (n)
			text[n++] = '|';
		memcpy(text + n, m->text[i], len);
		n += len;
		rest &= ~(uint64_t)m->value[i];
	}
	if (!n)
		return;
	if (rest)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "|0x%llx", (unsigned long long)rest);
	*v = dv_text(r->c.arena, text, n);
}

static bool read_members(struct reader *r, uint32_t from, uint32_t n, int depth, struct dval *v);

static bool read_scalar(struct reader *r, uint32_t i, struct dval *v)
{
	const struct schema_field *f = &r->s->fields[i];
	uint64_t length = f->length ? f->length : UINT32_MAX;

	if (f->length_ref >= 0 && !reference(r, f->length_ref, &length))
		return false;
	if (f->to_end && f->in == IN_BINARY)
		length = r->c.n - r->c.off;
	if (f->length_ref >= 0 && length >= UINT32_MAX)
		return fail(r, "a length that leaves the payload");
	if (!scalar_read(&r->c, f->in, f->out, (uint32_t)length, v))
		return false;
	if (v->type == DV_UINT || v->type == DV_HEX || v->type == DV_INT) {
		r->number[i] = v->u;
		r->known[i] = true;
	}
	if (f->map)
		apply_map(r, f->map, v);
	return true;
}

static bool count_of(struct reader *r, const struct schema_field *f, uint32_t *count)
{
	uint64_t n = f->count;
	uint32_t each = f->to_end ? scalar_fixed_size(f->in, r->c.pointer_size) : 0;

	if (each)
		n = (r->c.n - r->c.off) / each;
	if (f->count_ref >= 0 && !reference(r, f->count_ref, &n))
		return false;
	if (n > SCHEMA_ELEMENTS_MAX)
		return fail(r, "an array that is too long");
	*count = (uint32_t)n;
	return true;
}

static bool read_element(struct reader *r, uint32_t i, int depth, struct dval *v)
{
	const struct schema_field *f = &r->s->fields[i];

	return f->in == IN_STRUCT ? read_members(r, i + 1, f->n_members, depth + 1, v) : read_scalar(r, i, v);
}

static bool read_field(struct reader *r, uint32_t i, int depth, struct dval *v)
{
	const struct schema_field *f = &r->s->fields[i];
	uint32_t count;

	if (!f->is_array)
		return read_element(r, i, depth, v);
	if (!count_of(r, f, &count))
		return false;
	v->type = DV_ARRAY;
	v->n = count;
	v->items = arena_alloc(r->c.arena, (count ? count : 1) * sizeof(*v->items));
	if (!v->items)
		return fail(r, "out of memory");
	for (uint32_t k = 0; k < count; k++)
		if (!read_element(r, i, depth, &v->items[k]))
			return false;
	return true;
}

/* Fields [from, from + n) of the list, where a struct's own members follow it and belong to it. Depth is bounded by DEPTH_MAX. */
static bool read_members(struct reader *r, uint32_t from, uint32_t n, int depth, struct dval *v)
{
	uint32_t made = 0;

	if (depth > DEPTH_MAX || from > r->s->n_fields || n > r->s->n_fields - from)
		return fail(r, "a broken definition");
	if (!scalar_count(&r->c))
		return false;
	v->type = DV_STRUCT;
	v->fields = arena_alloc(r->c.arena, (n ? n : 1) * sizeof(*v->fields));
	if (!v->fields)
		return fail(r, "out of memory");
	for (uint32_t i = from; i < from + n; i++) {
		const struct schema_field *f = &r->s->fields[i];

		v->fields[made].name = f->name;
		if (!read_field(r, i, depth, &v->fields[made].v))
			return false;
		made++;
		if (f->in == IN_STRUCT)
			i += f->n_members;
	}
	v->n = made;
	return true;
}

static bool odd_text(const struct dval *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		uint8_t c = (uint8_t)v->text[i];

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
			return true;
	}
	return false;
}

/* Doubt for weak sources: control characters in text mean that the layout is another one. Top-level fields are enough. */
static bool doubtful(const struct dval *st)
{
	for (uint32_t i = 0; i < st->n; i++)
		if (st->fields[i].v.type == DV_TEXT && odd_text(&st->fields[i].v))
			return true;
	return false;
}

bool schema_decode(struct event *ev, const struct schema *s, struct arena *a)
{
	struct reader r = {.s = s};
	struct dval v;

	if (s->n_fields > SCHEMA_FIELDS_MAX) {
		ev->reason = "a broken definition";
		return false;
	}
	r.c = (struct cursor){.arena = a, .p = ev->payload.p, .n = ev->payload.n, .pointer_size = ev->pointer_size};
	r.number = arena_alloc(a, (s->n_fields + 1) * sizeof(*r.number));
	r.known = arena_alloc(a, s->n_fields + 1);
	if (!r.number || !r.known) {
		ev->reason = "out of memory";
		return false;
	}
	memset(r.known, 0, s->n_fields + 1);
	if (!read_members(&r, 0, s->n_fields, 0, &v)) {
		ev->reason = r.c.why;
		return false;
	}
	if (r.c.off != r.c.n) {
		ev->reason = "the definition does not consume the payload";
		return false;
	}
	if (s->source == SCHEMA_CATALOGUE && doubtful(&v)) {
		ev->reason = "the definition's text holds control characters: it does not fit";
		return false;
	}
	ev->data = v;
	ev->reason = NULL;
	if (!ev->name)
		ev->name = s->name;
	if (!ev->provider_name)
		ev->provider_name = s->provider;
	return true;
}

const struct schema *schema_recount(const struct schema *s, struct arena *a)
{
	uint32_t n = s->n_fields, last = n - 1;
	struct schema_field *f;
	struct schema *made;

	if (n < 2 || !s->fields[last].is_array || s->fields[last].count_ref >= 0 || !scalar_fixed_size(s->fields[last].in, 8) ||
	    s->fields[last - 1].is_array || (s->fields[last - 1].in != IN_UINT16 && s->fields[last - 1].in != IN_UINT32))
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		if (s->fields[i].in == IN_STRUCT)
			return NULL;
	made = arena_alloc(a, sizeof(*made));
	f = arena_alloc(a, n * sizeof(*f));
	if (!made || !f)
		return NULL;
	memcpy(f, s->fields, n * sizeof(*f));
	f[last].count_ref = (int16_t)(last - 1);
	*made = *s;
	made->fields = f;
	return made;
}
