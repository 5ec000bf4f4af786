/* jsonl.c - see jsonl.h. Written for speed: it is the inner loop of `events`. */
#include "jsonl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "wintime.h"

static const char hex_digits[] = "0123456789abcdef";

static inline void put_str(struct buf *out, const char *s)
{
	buf_put(out, s, strlen(s));
}

static void put_uint(struct buf *out, uint64_t u)
{
	char t[20];
	int n = sizeof(t);

	do {
		t[--n] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	buf_put(out, t + n, sizeof(t) - (size_t)n);
}

static void put_int(struct buf *out, int64_t i)
{
	if (i < 0) {
		buf_u8(out, '-');
		put_uint(out, (uint64_t)0 - (uint64_t)i);
	} else {
		put_uint(out, (uint64_t)i);
	}
}

static void put_hex(struct buf *out, uint64_t u)
{
	char t[20];
	int n = sizeof(t);

	t[--n] = '"';
	do {
		t[--n] = hex_digits[u & 15];
		u >>= 4;
	} while (u);
	t[--n] = 'x';
	t[--n] = '0';
	t[--n] = '"';
	buf_put(out, t + n, sizeof(t) - (size_t)n);
}

static void put_bytes(struct buf *out, const uint8_t *p, size_t n)
{
	uint8_t *o;

	buf_u8(out, '"');
	o = n ? buf_grow(out, 2 * n) : NULL;
	for (size_t i = 0; o && i < n; i++) {
		o[2 * i] = (uint8_t)hex_digits[p[i] >> 4];
		o[2 * i + 1] = (uint8_t)hex_digits[p[i] & 15];
	}
	buf_u8(out, '"');
}

static void put_guid(struct buf *out, const struct guid *g)
{
	char t[GUID_STR + 2];

	t[0] = '"';
	guid_text(g, t + 1);
	t[GUID_STR] = '"';
	buf_put(out, t, GUID_STR + 1);
}

static void put_time(struct buf *out, int64_t time)
{
	char t[WINTIME_STR];

	if (!wintime_text(time, t)) {
		put_str(out, "null");
		return;
	}
	buf_u8(out, '"');
	put_str(out, t);
	buf_u8(out, '"');
}

/* Text goes out as it is, but quote, backslash, control characters; multi-byte sequences were made valid when the text was. 1: as it is. */
static const uint8_t plain[256] = {
#define PLAIN4(x)  (x), (x), (x), (x)
#define PLAIN16(x) PLAIN4(x), PLAIN4(x), PLAIN4(x), PLAIN4(x)
	PLAIN16(0),           PLAIN16(0), 1,          1,         0, 1, PLAIN4(1), PLAIN4(1),  PLAIN4(1),  PLAIN16(1), PLAIN16(1),
	/* 0x50 */ PLAIN4(1), PLAIN4(1),  PLAIN4(1),  0,         1, 1, 1,         PLAIN16(1),
	/* 0x70 */ PLAIN4(1), PLAIN4(1),  PLAIN4(1),  1,         1, 1, 0,         PLAIN16(1), PLAIN16(1), PLAIN16(1), PLAIN16(1),
	PLAIN16(1),           PLAIN16(1), PLAIN16(1), PLAIN16(1)};

#define EACH(x) (UINT64_C(0x0101010101010101) * (x))

static uint64_t zero_in(uint64_t w)
{
	return (w - EACH(1)) & ~w & EACH(0x80);
}

/* The same for eight bytes at once; may say no of eight that are. */
static bool all_plain(const char *s)
{
	uint64_t w;

	memcpy(&w, s, sizeof(w));
	return !(((w - EACH(0x20)) & ~w & EACH(0x80)) | zero_in(w ^ EACH('"')) | zero_in(w ^ EACH('\\')) | zero_in(w ^ EACH(0x7f)));
}

void jsonl_string(struct buf *out, const char *s, size_t n)
{
	size_t from = 0;

	buf_u8(out, '"');
	for (size_t i = 0; i < n; i++) {
		uint8_t c;

		while (n - i >= 8 && all_plain(s + i))
			i += 8;
		if (i == n)
			break;
		c = (uint8_t)s[i];
		if (plain[c])
			continue;
		buf_put(out, s + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\') {
			char t[2] = {'\\', (char)c};

			buf_put(out, t, 2);
		} else {
			char t[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};

			buf_put(out, t, 6);
		}
	}
	buf_put(out, s + from, n - from);
	buf_u8(out, '"');
}

static void put_text(struct buf *out, const char *s)
{
	if (s)
		jsonl_string(out, s, strlen(s));
	else
		put_str(out, "null");
}

/* The shortest form that reads back to the same number. */
static void put_float(struct buf *out, double d, bool single)
{
	char t[40];

	if (isnan(d) || isinf(d)) {
		put_str(out, isnan(d) ? "\"NaN\"" : d > 0 ? "\"Infinity\"" : "\"-Infinity\"");
		return;
	}
	for (int digits = single ? 6 : 15; digits <= 17; digits++) {
		snprintf(t, sizeof(t), "%.*g", digits, d);
		if (single ? strtof(t, NULL) == (float)d : strtod(t, NULL) == d)
			break;
	}
	put_str(out, t);
}

static bool named_before(const struct dfield *f, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (f[k].name[0] == f[i].name[0] && strcmp(f[k].name, f[i].name) == 0)
			return true;
	return false;
}

/* Two fields of one name would be one for most readers: the second is called NAME_2. */
static void put_key(struct buf *out, const struct dfield *f, uint32_t i)
{
	const char *name = f[i].name;
	unsigned nth = 1;

	if (i && i < 256 && named_before(f, i)) {
		struct buf made;

		for (uint32_t k = 0; k < i; k++)
			nth += strcmp(f[k].name, name) == 0;
		buf_init(&made);
		buf_printf(&made, "%s_%u", name, nth);
		jsonl_string(out, (const char *)made.p, made.n);
		buf_free(&made);
	} else {
		jsonl_string(out, name, strlen(name));
	}
	buf_u8(out, ':');
}

/* Depth is that of the schema that made the value: bounded there. */
void json_value(struct buf *out, const struct dval *v)
{
	switch (v->type) {
	case DV_NULL:
		put_str(out, "null");
		break;
	case DV_BOOL:
		put_str(out, v->b ? "true" : "false");
		break;
	case DV_INT:
		put_int(out, v->i);
		break;
	case DV_UINT:
		put_uint(out, v->u);
		break;
	case DV_HEX:
		put_hex(out, v->u);
		break;
	case DV_FLOAT:
	case DV_DOUBLE:
		put_float(out, v->d, v->type == DV_FLOAT);
		break;
	case DV_TEXT:
		jsonl_string(out, v->text, v->n);
		break;
	case DV_BYTES:
		put_bytes(out, v->bytes, v->n);
		break;
	case DV_GUID:
		put_guid(out, v->guid);
		break;
	case DV_TIME:
		put_time(out, v->time);
		break;
	case DV_ARRAY:
		buf_u8(out, '[');
		for (uint32_t i = 0; i < v->n; i++) {
			if (i)
				buf_u8(out, ',');
			json_value(out, &v->items[i]);
		}
		buf_u8(out, ']');
		break;
	case DV_STRUCT:
		buf_u8(out, '{');
		for (uint32_t i = 0; i < v->n; i++) {
			if (i)
				buf_u8(out, ',');
			put_key(out, v->fields, i);
			json_value(out, &v->fields[i].v);
		}
		buf_u8(out, '}');
		break;
	}
}

static inline void put_number_or_null(struct buf *out, const char *key, bool has, uint64_t u)
{
	put_str(out, key);
	if (has)
		put_uint(out, u);
	else
		put_str(out, "null");
}

static void put_provider(struct buf *out, const struct event *ev)
{
	put_str(out, ",\"provider\":{\"guid\":");
	if (ev->has_provider)
		put_guid(out, &ev->provider);
	else
		put_str(out, "null");
	put_str(out, ",\"name\":");
	put_text(out, ev->provider_name);
}

static void put_descriptor(struct buf *out, const struct event *ev)
{
	put_number_or_null(out, "},\"event\":{\"id\":", ev->has_id, ev->id);
	put_number_or_null(out, ",\"version\":", ev->has_version, ev->version);
	put_number_or_null(out, ",\"channel\":", ev->has_channel, ev->channel);
	put_number_or_null(out, ",\"level\":", ev->has_level, ev->level);
	put_number_or_null(out, ",\"opcode\":", ev->has_opcode, ev->opcode);
	put_number_or_null(out, ",\"task\":", ev->has_task, ev->task);
	put_str(out, ",\"keywords\":");
	if (ev->has_keywords)
		put_hex(out, ev->keywords);
	else
		put_str(out, "null");
	put_str(out, ",\"name\":");
	put_text(out, ev->name);
	buf_u8(out, '}');
}

static void put_where(struct buf *out, const struct event *ev)
{
	put_number_or_null(out, ",\"pid\":", ev->has_pid, ev->pid);
	put_number_or_null(out, ",\"tid\":", ev->has_pid, ev->tid);
	put_number_or_null(out, ",\"cpu\":", ev->has_cpu, ev->cpu);
}

static void put_sid(struct buf *out, struct event_bytes sid)
{
	struct arena a;
	struct dval v;

	arena_init(&a);
	v = dv_sid(&a, sid.p, sid.n);
	json_value(out, &v);
	arena_free(&a);
}

static void put_stack(struct buf *out, const struct event *ev)
{
	uint32_t step = ev->stack_wide ? 8 : 4;

	buf_u8(out, '[');
	for (uint32_t i = 0; i + step <= ev->stack.n; i += step) {
		if (i)
			buf_u8(out, ',');
		put_hex(out, ev->stack_wide ? le64(ev->stack.p + i) : le32(ev->stack.p + i));
	}
	buf_u8(out, ']');
}

static void put_context(struct buf *out, const struct event *ev)
{
	put_str(out, ",\"activity\":");
	if (ev->has_activity)
		put_guid(out, &ev->activity);
	else
		put_str(out, "null");
	put_str(out, ",\"related\":");
	if (ev->has_related)
		put_guid(out, &ev->related);
	else
		put_str(out, "null");
	put_str(out, ",\"sid\":");
	if (ev->sid.n)
		put_sid(out, ev->sid);
	else
		put_str(out, "null");
	put_str(out, ",\"stack\":");
	if (ev->stack.n)
		put_stack(out, ev);
	else
		put_str(out, "null");
}

/* Extended items that few events carry: present only where the event has them. */
static void put_extras(struct buf *out, const struct event *ev)
{
	if (ev->has_ts_id)
		put_number_or_null(out, ",\"terminal_session\":", true, ev->ts_id);
	if (ev->has_start_key)
		put_number_or_null(out, ",\"process_start_key\":", true, ev->start_key);
	if (ev->has_provider_group) {
		put_str(out, ",\"provider_group\":");
		put_guid(out, &ev->provider_group);
	}
	if (ev->has_control_guid) {
		put_str(out, ",\"control_guid\":");
		put_guid(out, &ev->control_guid);
	}
	if (ev->has_qpc_delta)
		put_number_or_null(out, ",\"qpc_delta\":", true, ev->qpc_delta);
	if (ev->event_key.n == 8)
		put_number_or_null(out, ",\"event_key\":", true, le64(ev->event_key.p));
	if (ev->psm_key.n) {
		put_str(out, ",\"psm_key\":");
		put_bytes(out, ev->psm_key.p, ev->psm_key.n);
	}
	if (ev->container_id.n) {
		put_str(out, ",\"container_id\":");
		put_bytes(out, ev->container_id.p, ev->container_id.n);
	}
	if (ev->has_instance) {
		put_number_or_null(out, ",\"instance\":", true, ev->instance_id);
		put_number_or_null(out, ",\"parent_instance\":", true, ev->parent_instance_id);
	}
	if (ev->process_name) {
		put_str(out, ",\"process_name\":");
		put_text(out, ev->process_name);
	}
	if (ev->file_name) {
		put_str(out, ",\"file_name\":");
		put_text(out, ev->file_name);
	}
	if (ev->kind == EVENT_WPP)
		put_number_or_null(out, ",\"wpp_flags\":", true, ev->wpp_flags);
	if (ev->has_wpp_sequence)
		put_number_or_null(out, ",\"wpp_sequence\":", true, ev->wpp_sequence);
	if (ev->has_wpp_component)
		put_number_or_null(out, ",\"wpp_component\":", true, ev->wpp_component);
}

static void put_source(struct buf *out, const struct event *ev)
{
	put_str(out, ",\"buffer\":");
	if (ev->has_buffer)
		put_hex(out, ev->buffer);
	else
		put_str(out, "null");
	put_number_or_null(out, ",\"offset\":", true, ev->offset);
	put_str(out, ",\"pa\":");
	if (ev->has_pa)
		put_hex(out, ev->pa);
	else
		put_str(out, "null");
	put_str(out, "}}\n");
}

/* ---- parts that many events share -------------------------------------------------------------------------------------------------------- */

#define SLOTS 1024 /* powers of two */
#define FILES 64

/* What the head is made of. Names are compared by address: only those are kept that live as long as the decoder. */
struct head_key {
	const char *provider_name, *name, *session_name;
	struct guid provider;
	uint64_t keywords;
	uint32_t id, has;
	uint16_t task;
	uint8_t kind, version, channel, level, opcode;
	uint8_t pad; /* always 0: the whole is compared as bytes */
};

struct head {
	struct head_key key;
	char *text; /* NULL: empty */
	size_t n;
};

struct jsonl {
	struct head heads[SLOTS];
	struct file {             /* "source":{"file":... */
		const char *name; /* NULL: empty */
		struct buf text;
	} files[FILES];
};

struct jsonl *jsonl_new(void)
{
	return calloc(1, sizeof(struct jsonl));
}

void jsonl_free(struct jsonl *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(j->heads[i].text);
	for (size_t i = 0; i < FILES; i++)
		buf_free(&j->files[i].text);
	free(j);
}

static void put_head(struct buf *out, const struct event *ev)
{
	put_str(out, ",\"session\":");
	put_text(out, ev->origin->session->name);
	put_str(out, ",\"kind\":\"");
	put_str(out, event_kind_name(ev->kind));
	buf_u8(out, '"');
	put_provider(out, ev);
	put_descriptor(out, ev);
}

static struct head_key key_of(const struct event *ev)
{
	struct head_key k;

	memset(&k, 0, sizeof(k));
	k.session_name = ev->origin->session->name;
	k.provider_name = ev->provider_name;
	k.name = ev->name;
	k.provider = ev->provider;
	k.keywords = ev->keywords;
	k.id = ev->id;
	k.has = (uint32_t)(ev->has_provider | ev->has_id << 1 | ev->has_version << 2 | ev->has_channel << 3 | ev->has_level << 4 |
			   ev->has_opcode << 5 | ev->has_task << 6 | ev->has_keywords << 7);
	k.task = ev->task;
	k.kind = (uint8_t)ev->kind;
	k.version = ev->version;
	k.channel = ev->channel;
	k.level = ev->level;
	k.opcode = ev->opcode;
	return k;
}

/* Of an address. */
static uint64_t mix(const void *p)
{
	return (uint64_t)(uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15);
}

static void put_shared_head(struct jsonl *j, struct buf *out, const struct event *ev)
{
	struct head_key k = key_of(ev);
	uint64_t h = (le64(k.provider.b) ^ k.id * UINT64_C(0x9e3779b97f4a7c15) ^ k.opcode * UINT64_C(0xbf58476d1ce4e5b9)) *
		     UINT64_C(0x94d049bb133111eb);
	struct head *slot = &j->heads[(h ^ mix(k.session_name)) >> 54 & (SLOTS - 1)];
	size_t at = out->n;

	if (slot->text && memcmp(&slot->key, &k, sizeof(k)) == 0) {
		buf_put(out, slot->text, slot->n);
		return;
	}
	put_head(out, ev);
	free(slot->text);
	slot->n = out->n - at;
	slot->text = out->failed ? NULL : malloc(slot->n);
	if (slot->text) {
		memcpy(slot->text, out->p + at, slot->n);
		slot->key = k;
	}
}

static void put_file(struct jsonl *j, struct buf *out, const char *name)
{
	struct file *f = &j->files[mix(name) >> 58 & (FILES - 1)];

	if (!name || f->name != name) {
		buf_clear(&f->text);
		put_str(&f->text, ",\"source\":{\"file\":");
		put_text(&f->text, name);
		f->name = name;
	}
	buf_put(out, f->text.p, f->text.n);
	out->failed |= f->text.failed;
}

void jsonl_event(struct jsonl *j, struct buf *out, const struct event *ev, bool raw)
{
	put_str(out, "{\"time\":");
	if (ev->has_time)
		put_time(out, ev->time);
	else
		put_str(out, "null");
	if (!ev->has_time && ev->has_ts) {
		buf_printf(out, ",\"ticks\":%" PRIu64, ev->ts);
	}
	/* these bring names of their own, which live as long as the event */
	if (ev->kind == EVENT_TRACELOGGING || ev->kind == EVENT_WPP || ev->traits.n)
		put_head(out, ev);
	else
		put_shared_head(j, out, ev);
	put_where(out, ev);
	put_context(out, ev);
	put_extras(out, ev);
	put_str(out, ",\"data\":");
	json_value(out, &ev->data);
	if (ev->data.type == DV_NULL) {
		put_str(out, ",\"reason\":");
		put_text(out, ev->reason ? ev->reason : "no schema");
	}
	if (raw || ev->data.type == DV_NULL) {
		put_str(out, ",\"payload\":");
		put_bytes(out, ev->payload.p, ev->payload.n);
	}
	put_file(j, out, ev->origin->file);
	put_source(out, ev);
}
