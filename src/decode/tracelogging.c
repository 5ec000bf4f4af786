/* tracelogging.c - see tracelogging.h. The form is that of TraceLoggingProvider.h (Windows SDK, MIT mirror microsoft/tracelogging):
 * u16 size, tag bytes (high bit: another follows), event name NUL, then fields: name NUL, in-type, [out-type], [tags], [count or custom info]. */
#include "tracelogging.h"

#include <string.h>

#include "rd.h"
#include "scalar.h"

#define IN_MASK        0x1fu
#define IN_CHAIN       0x80u /* an out-type byte follows */
#define IN_COUNT_MASK  0x60u
#define IN_CONST_COUNT 0x20u /* u16 count in the metadata */
#define IN_VAR_COUNT   0x40u /* u16 count in the payload */
#define IN_CUSTOM      0x60u /* u16 size and bytes in the metadata; a u16-counted blob in the payload */
#define OUT_CHAIN      0x80u /* tag bytes follow */
#define FIELDS_MAX     1024  /* of one event; the encoder allows 128 */
#define ELEMENTS_MAX   65535
#define DEPTH_MAX      8 /* structs in structs */

struct tl_field {
	const char *name;
	uint8_t in, count_kind, out; /* for a struct: out = number of member fields */
	uint16_t count;
};

struct tl {
	struct rd meta;
	uint32_t off, end;
	struct cursor c;
};

static bool skip_tags(struct tl *t)
{
	for (int i = 0; i < 16; i++) {
		uint8_t b = rd_u8(&t->meta, t->off++);

		if (t->meta.bad || t->off > t->end)
			return false;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static const char *take_name(struct tl *t)
{
	const uint8_t *p, *nul;
	struct dval v;

	if (t->off >= t->end)
		return NULL;
	p = t->meta.p + t->off;
	nul = memchr(p, 0, t->end - t->off);
	if (!nul)
		return NULL;
	v = dv_text(t->c.arena, (const char *)p, (size_t)(nul - p));
	t->off += (uint32_t)(nul - p) + 1;
	return v.type == DV_TEXT ? v.text : NULL;
}

/* Reads one field's definition at t->off. */
static bool take_field(struct tl *t, struct tl_field *f)
{
	uint8_t in, out = 0;

	f->name = take_name(t);
	if (!f->name || t->off >= t->end)
		return false;
	in = rd_u8(&t->meta, t->off++);
	if (in & IN_CHAIN) {
		out = rd_u8(&t->meta, t->off++);
		if ((out & OUT_CHAIN) && !skip_tags(t))
			return false;
	}
	f->in = in & IN_MASK;
	f->count_kind = in & IN_COUNT_MASK;
	f->out = out & 0x7f;
	f->count = 0;
	if (f->count_kind == IN_CONST_COUNT || f->count_kind == IN_CUSTOM) {
		f->count = rd_u16(&t->meta, t->off);
		t->off += 2;
	}
	if (f->count_kind == IN_CUSTOM)
		t->off += f->count;
	return !t->meta.bad && t->off <= t->end;
}

/* TraceLogging numbers its out-types otherwise than manifests do. */
static unsigned out_type(uint8_t tl)
{
	static const uint8_t map[] = {OUT_NULL,     OUT_NULL,    OUT_STRING,   OUT_BOOLEAN,       OUT_HEXINT64,    OUT_PID,  OUT_TID,
				      OUT_PORT,     OUT_IPV4,    OUT_IPV6,     OUT_SOCKETADDRESS, OUT_XML,         OUT_JSON, OUT_WIN32ERROR,
				      OUT_NTSTATUS, OUT_HRESULT, OUT_DATETIME, OUT_LONG,          OUT_UNSIGNEDLONG};

	if (tl < sizeof(map))
		return map[tl];
	switch (tl) {
	case 35:
		return OUT_UTF8;
	case 36:
		return OUT_PKCS7;
	case 37:
		return OUT_CODE_POINTER;
	case 38:
		return OUT_DATETIME_UTC;
	default:
		return OUT_NULL;
	}
}

static bool read_one(struct tl *t, const struct tl_field *f, struct dval *v)
{
	unsigned in = f->in == IN_BINARY ? IN_COUNTEDBINARY : f->in; /* TraceLogging counts both */
	unsigned out = out_type(f->out);
	bool flip = (out == OUT_LONG && (in == IN_UINT8 || in == IN_UINT16 || in == IN_UINT32 || in == IN_UINT64)) ||
		    (out == OUT_UNSIGNEDLONG && (in == IN_INT8 || in == IN_INT16 || in == IN_INT32 || in == IN_INT64));

	if (flip)
		in = out == OUT_LONG ? in - 1 : in + 1;
	return scalar_read(&t->c, in, out, UINT32_MAX, v);
}

static bool read_fields(struct tl *t, uint32_t want, int depth, struct dval *v);

/* `count` values (or structs) of field f. For a struct, t->off stands at its first member; it is left behind the last. */
static bool read_values(struct tl *t, const struct tl_field *f, uint32_t count, bool array, int depth, struct dval *v)
{
	uint32_t members = t->off, behind = t->off;
	struct dval *items;

	if (array) {
		items = arena_alloc(t->c.arena, (count ? count : 1) * sizeof(*items));
		if (!items) {
			t->c.why = "out of memory";
			return false;
		}
		v->type = DV_ARRAY;
		v->n = count;
		v->items = items;
	} else {
		items = v;
		count = 1;
	}
	for (uint32_t i = 0; i < count; i++) {
		t->off = members;
		if (!(f->in == IN_STRUCT ? read_fields(t, f->out, depth + 1, &items[i]) : read_one(t, f, &items[i])))
			return false;
		behind = t->off;
	}
	t->off = behind;
	return true;
}

/* A struct that no element of an empty array shows: its members' definitions are passed over. */
static bool skip_members(struct tl *t, uint32_t n)
{
	for (uint32_t left = n, i = 0; left > 0; left--, i++) {
		struct tl_field f;

		if (i >= FIELDS_MAX || !take_field(t, &f))
			return false;
		if (f.in == IN_STRUCT)
			left += f.out;
	}
	return true;
}

static bool read_custom(struct tl *t, struct dval *v)
{
	return scalar_read(&t->c, IN_COUNTEDBINARY, OUT_NULL, UINT32_MAX, v);
}

static bool read_field(struct tl *t, const struct tl_field *f, int depth, struct dval *v)
{
	uint32_t count = f->count;
	bool array = f->count_kind == IN_CONST_COUNT || f->count_kind == IN_VAR_COUNT;

	if (f->count_kind == IN_CUSTOM)
		return read_custom(t, v);
	if (f->count_kind == IN_VAR_COUNT) {
		if (t->c.n - t->c.off < 2) {
			t->c.why = "the payload ends inside a field";
			return false;
		}
		count = le16(t->c.p + t->c.off);
		t->c.off += 2;
	}
	if (array && count > ELEMENTS_MAX)
		return false;
	if (array && !count && f->in == IN_STRUCT && !skip_members(t, f->out))
		return false;
	return read_values(t, f, count, array, depth, v);
}

/* Reads `want` fields (UINT32_MAX: to the end of the metadata) into a DV_STRUCT. Depth is bounded by DEPTH_MAX. */
static bool read_fields(struct tl *t, uint32_t want, int depth, struct dval *v)
{
	struct dfield *f = NULL;
	uint32_t n = 0, cap = 0;

	if (depth > DEPTH_MAX) {
		t->c.why = "structs are nested too deeply";
		return false;
	}
	if (!scalar_count(&t->c))
		return false;
	while (n < want && (want != UINT32_MAX || t->off < t->end)) {
		struct tl_field def;

		if (n == FIELDS_MAX || !take_field(t, &def)) {
			t->c.why = "broken metadata";
			return false;
		}
		if (n == cap) {
			struct dfield *more = arena_alloc(t->c.arena, (cap + 16) * sizeof(*f));

			if (!more) {
				t->c.why = "out of memory";
				return false;
			}
			if (n)
				memcpy(more, f, n * sizeof(*f));
			f = more;
			cap += 16;
		}
		f[n].name = def.name;
		if (!read_field(t, &def, depth, &f[n].v))
			return false;
		n++;
	}
	v->type = DV_STRUCT;
	v->n = n;
	v->fields = f;
	return true;
}

bool tracelogging_traits(struct event_bytes traits, struct arena *a, const char **name, struct guid *group_out, bool *has_group)
{
	struct rd r = rd_init(traits.p, traits.n);
	uint32_t size = rd_u16(&r, 0), off;
	const uint8_t *nul;
	struct dval v;

	*has_group = false;
	if (r.bad || size < 3 || size > traits.n)
		return false;
	nul = memchr(traits.p + 2, 0, size - 2);
	if (!nul)
		return false;
	v = dv_text(a, (const char *)traits.p + 2, (size_t)(nul - traits.p) - 2);
	if (v.type != DV_TEXT)
		return false;
	*name = v.n ? v.text : NULL;
	for (off = (uint32_t)(nul - traits.p) + 1; off + 3 <= size;) {
		uint32_t n = le16(traits.p + off);

		if (n < 3 || n > size - off)
			break;
		if (traits.p[off + 2] == 1 && n >= 19) {
			if (group_out)
				memcpy(group_out->b, traits.p + off + 3, 16);
			*has_group = true;
		}
		off += n;
	}
	return true;
}

bool tracelogging_decode(struct event *ev, struct arena *a)
{
	struct tl t = {.meta = rd_init(ev->schema.p, ev->schema.n)};
	struct dval v = {.type = DV_NULL};

	t.c = (struct cursor){.arena = a, .p = ev->payload.p, .n = ev->payload.n, .pointer_size = ev->pointer_size};
	t.end = rd_u16(&t.meta, 0);
	t.off = 2;
	ev->reason = "broken TraceLogging metadata";
	if (t.meta.bad || t.end < 4 || t.end > ev->schema.n || !skip_tags(&t))
		return false;
	ev->name = take_name(&t);
	if (!ev->name)
		return false;
	if (!read_fields(&t, UINT32_MAX, 0, &v)) {
		ev->reason = t.c.why ? t.c.why : "the schema does not fit the payload";
		return false;
	}
	if (t.c.off != t.c.n) {
		ev->reason = "the schema does not consume the payload";
		return false;
	}
	ev->data = v;
	ev->reason = NULL;
	return true;
}
