/* out_evtx.c - Windows' event log file (.evtx): header, chunks of 64 K with their own names and templates, records of binary XML.
 *
 * Each record is an instance of one template for System and Record, whose last value is an instance of a template made for this event's list of fields;
 * both are written where a chunk first needs them, as Windows does. Facts: libyal/libevtx "Windows XML Event Log (EVTX) format", [MS-EVEN6] 2.2.12 to
 * 2.2.17; checked by reading the output with libevtx. An event whose fields do not fit a chunk has its payload instead.
 * Names, templates and values all write into the one open chunk and into its tables, hence the length of this file. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "evsink.h"
#include "jsonl.h"
#include "rd.h"
#include "wintime.h"

#define HEADER_BLOCK  4096u
#define CHUNK_SIZE    65536u
#define CHUNK_HEADER  512u
#define RECORDS_END   (CHUNK_SIZE - 8) /* libevtx does not see a record that ends with the chunk */
#define CHUNKS_MAX    65535u           /* the header counts them in 16 bits */
#define NAME_BUCKETS  64u
#define TEMPL_BUCKETS 32u
#define TEMPLATES_MAX 512u /* of one chunk: each takes more than 128 bytes of it */
#define VALUES_MAX    2048u

/* clang-format off */
enum { TOK_EOF, TOK_OPEN, TOK_CLOSE_START, TOK_CLOSE_EMPTY, TOK_END, TOK_VALUE, TOK_ATTRIBUTE, TOK_TEMPLATE = 12, TOK_NORMAL, TOK_OPTIONAL, TOK_FRAGMENT };
#define MORE 0x40u

enum {
	T_NULL = 0,
	T_STRING = 1,
	T_U8 = 4,
	T_U16 = 6,
	T_U32 = 8,
	T_I64 = 9,
	T_U64 = 10,
	T_BOOL = 13,
	T_BINARY = 14,
	T_GUID = 15,
	T_TIME = 17,
	T_SID = 19,
	T_HEX64 = 21,
	T_XML = 33
};

enum name {
	N_EVENT, N_XMLNS, N_SYSTEM, N_PROVIDER, N_NAME, N_GUID, N_EVENTID, N_VERSION, N_LEVEL, N_TASK, N_OPCODE, N_KEYWORDS, N_TIMECREATED, N_SYSTEMTIME,
	N_EVENTRECORDID, N_CORRELATION, N_ACTIVITYID, N_RELATED, N_EXECUTION, N_PROCESSID, N_THREADID, N_PROCESSORID, N_CHANNEL, N_COMPUTER, N_SECURITY,
	N_USERID, N_RECORD, N_KIND, N_EVENTNAME, N_SESSION, N_FILE, N_BUFFER, N_OFFSET, N_REASON, N_PROCESSNAME, N_FILENAME, N_EVENTDATA, N_DATA, N_BINARY, N_RAWTIME, NAMES
};
static const char *const names[NAMES] = {
	"Event", "xmlns", "System", "Provider", "Name", "Guid", "EventID", "Version", "Level", "Task", "Opcode", "Keywords", "TimeCreated", "SystemTime",
	"EventRecordID", "Correlation", "ActivityID", "RelatedActivityID", "Execution", "ProcessID", "ThreadID", "ProcessorID", "Channel", "Computer", "Security",
	"UserID", "Record", "Kind", "EventName", "Session", "File", "Buffer", "Offset", "Reason", "ProcessName", "FileName", "EventData", "Data", "BinaryEventData", "RawTime"
};

/* Values of the outer template, in order. */
enum {
	V_PROVIDER, V_GUID, V_ID, V_VERSION, V_LEVEL, V_TASK, V_OPCODE, V_KEYWORDS, V_TIME, V_RAWTIME, V_RECORD, V_ACTIVITY, V_RELATED, V_PID, V_TID, V_CPU, V_CHANNEL,
	V_SID, V_KIND, V_EVENTNAME, V_SESSION, V_FILE, V_BUFFER, V_OFFSET, V_REASON, V_PROCESSNAME, V_FILENAME, V_DATA, VALUES
};

/* clang-format on */

struct template
{
	uint64_t hash;
	uint32_t at;           /* of its definition in the chunk */
	uint32_t key, key_len; /* in keys: what it was made for */
};

struct in_chunk { /* what a record that does not fit must not leave behind */
	uint32_t name_at[NAMES];
	uint32_t name_bucket[NAME_BUCKETS], template_bucket[TEMPL_BUCKETS];
	uint32_t n_templates;
	size_t n, keys;
	uint32_t last_record;
};

struct evtx {
	struct buf chunk;
	struct in_chunk st;
	struct template templates[TEMPLATES_MAX];
	struct buf keys, key, scratch;
	uint64_t first_id, next_id; /* of the chunk's first record; of the next one */
	uint32_t n_chunks;
	bool too_big; /* a value is longer than its length can say, or there are too many */
};

/* ---- text ------------------------------------------------------------------------------------------------------------------------------------ */

/* The code point at p[0, n), *len bytes of it; what is no UTF-8 or no character of XML 1.0 comes as U+FFFD. */
static uint32_t code_point(const uint8_t *p, size_t n, size_t *len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = p[0];
	size_t k = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	*len = 1;
	if (k == 1)
		return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? c : 0xfffd;
	if (!k || k > n)
		return 0xfffd;
	c &= 0x7fu >> k;
	for (size_t i = 1; i < k; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	*len = k;
	return c == 0xfffe || c == 0xffff ? 0xfffd : c;
}

static void put_text(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0, len; i < n && out->n <= (size_t)2 * CHUNK_SIZE; i += len) {
		uint32_t c = code_point((const uint8_t *)s + i, n - i, &len);

		if (c >= 0x10000) {
			buf_u16(out, (uint16_t)(0xd7c0 + (c >> 10)));
			c = 0xdc00 | (c & 0x3ff);
		}
		buf_u16(out, (uint16_t)c);
	}
}

/* ---- binary XML ------------------------------------------------------------------------------------------------------------------------------ */

static void patch32(struct evtx *x, size_t at, uint32_t v)
{
	if (at + 4 <= x->chunk.n)
		put_le32(x->chunk.p + at, v);
}

static void patch16(struct evtx *x, size_t at, size_t v)
{
	x->too_big |= v > 0xffff;
	if (at + 2 <= x->chunk.n)
		put_le16(x->chunk.p + at, (uint16_t)v);
}

/* A name's place in the chunk; the name itself where it is first needed, chained in its bucket. */
static void put_name(struct evtx *x, enum name i)
{
	const char *s = names[i];
	uint32_t hash = 0, *bucket;

	if (x->st.name_at[i]) {
		buf_u32(&x->chunk, x->st.name_at[i]);
		return;
	}
	for (const char *p = s; *p; p++)
		hash = hash * 65599u + (uint8_t)*p;
	hash &= 0xffff;
	bucket = &x->st.name_bucket[hash % NAME_BUCKETS];
	x->st.name_at[i] = (uint32_t)x->chunk.n + 4;
	buf_u32(&x->chunk, x->st.name_at[i]);
	buf_u32(&x->chunk, *bucket);
	*bucket = x->st.name_at[i];
	buf_u16(&x->chunk, (uint16_t)hash);
	buf_u16(&x->chunk, (uint16_t)strlen(s));
	put_text(&x->chunk, s, strlen(s));
	buf_u16(&x->chunk, 0);
}

/* <NAME; returns where the size is to be put by close(). */
static size_t open_element(struct evtx *x, enum name i, bool attributes)
{
	size_t at;

	buf_u8(&x->chunk, TOK_OPEN | (attributes ? MORE : 0));
	buf_u16(&x->chunk, 0xffff);
	at = x->chunk.n;
	buf_u32(&x->chunk, 0);
	put_name(x, i);
	return at;
}

static void close_element(struct evtx *x, size_t at, uint8_t token)
{
	buf_u8(&x->chunk, token);
	patch32(x, at, (uint32_t)(x->chunk.n - at - 4));
}

static void substitution(struct evtx *x, unsigned value, uint8_t type, bool optional)
{
	buf_u8(&x->chunk, optional ? TOK_OPTIONAL : TOK_NORMAL);
	buf_u16(&x->chunk, (uint16_t)value);
	buf_u8(&x->chunk, type);
}

static void literal(struct evtx *x, const char *s, size_t n)
{
	size_t at;

	buf_u8(&x->chunk, TOK_VALUE);
	buf_u8(&x->chunk, T_STRING);
	at = x->chunk.n;
	buf_u16(&x->chunk, 0);
	put_text(&x->chunk, s, n);
	patch16(x, at, (x->chunk.n - at - 2) / 2);
}

struct attribute {
	enum name name;
	const char *text; /* or NULL: value `value` */
	unsigned value;
	uint8_t type;
};

static void attributes(struct evtx *x, const struct attribute *a, unsigned n)
{
	size_t at = x->chunk.n;

	buf_u32(&x->chunk, 0);
	for (unsigned i = 0; i < n; i++) {
		buf_u8(&x->chunk, TOK_ATTRIBUTE | (i + 1 < n ? MORE : 0));
		put_name(x, a[i].name);
		if (a[i].text)
			literal(x, a[i].text, strlen(a[i].text));
		else
			substitution(x, a[i].value, a[i].type, true);
	}
	patch32(x, at, (uint32_t)(x->chunk.n - at - 4));
}

static void empty_element(struct evtx *x, enum name i, const struct attribute *a, unsigned n)
{
	size_t at = open_element(x, i, n > 0);

	if (n)
		attributes(x, a, n);
	close_element(x, at, TOK_CLOSE_EMPTY);
}

static void value_element(struct evtx *x, enum name i, unsigned value, uint8_t type)
{
	size_t at = open_element(x, i, false);

	buf_u8(&x->chunk, TOK_CLOSE_START);
	substitution(x, value, type, true);
	close_element(x, at, TOK_END);
}

static void put_fragment(struct evtx *x)
{
	buf_put(&x->chunk, "\x0f\x01\x01", 4);
}

/* ---- templates ------------------------------------------------------------------------------------------------------------------------------- */

static void system_template(struct evtx *x)
{
	static const struct attribute provider[] = {{N_NAME, NULL, V_PROVIDER, T_STRING}, {N_GUID, NULL, V_GUID, T_GUID}};
	static const struct attribute created[] = {{N_SYSTEMTIME, NULL, V_TIME, T_TIME}, {N_RAWTIME, NULL, V_RAWTIME, T_U64}};
	static const struct attribute correlation[] = {{N_ACTIVITYID, NULL, V_ACTIVITY, T_GUID}, {N_RELATED, NULL, V_RELATED, T_GUID}};
	static const struct attribute execution[] = {
		{N_PROCESSID, NULL, V_PID, T_U32}, {N_THREADID, NULL, V_TID, T_U32}, {N_PROCESSORID, NULL, V_CPU, T_U32}};
	static const struct attribute security[] = {{N_USERID, NULL, V_SID, T_SID}};
	size_t at = open_element(x, N_SYSTEM, false);

	buf_u8(&x->chunk, TOK_CLOSE_START);
	empty_element(x, N_PROVIDER, provider, 2);
	value_element(x, N_EVENTID, V_ID, T_U16);
	value_element(x, N_VERSION, V_VERSION, T_U8);
	value_element(x, N_LEVEL, V_LEVEL, T_U8);
	value_element(x, N_TASK, V_TASK, T_U16);
	value_element(x, N_OPCODE, V_OPCODE, T_U8);
	value_element(x, N_KEYWORDS, V_KEYWORDS, T_HEX64);
	empty_element(x, N_TIMECREATED, created, 2);
	value_element(x, N_EVENTRECORDID, V_RECORD, T_U64);
	empty_element(x, N_CORRELATION, correlation, 2);
	empty_element(x, N_EXECUTION, execution, 3);
	value_element(x, N_CHANNEL, V_CHANNEL, T_U8);
	empty_element(x, N_COMPUTER, NULL, 0);
	empty_element(x, N_SECURITY, security, 1);
	close_element(x, at, TOK_END);
}

static void event_template(struct evtx *x)
{
	static const struct attribute event_ns[] = {{N_XMLNS, "http://schemas.microsoft.com/win/2004/08/events/event", 0, 0}};
	static const struct attribute record[] = {{N_XMLNS, "urn:etlift:record:1", 0, 0},
						  {N_KIND, NULL, V_KIND, T_STRING},
						  {N_EVENTNAME, NULL, V_EVENTNAME, T_STRING},
						  {N_SESSION, NULL, V_SESSION, T_STRING},
						  {N_FILE, NULL, V_FILE, T_STRING},
						  {N_BUFFER, NULL, V_BUFFER, T_HEX64},
						  {N_OFFSET, NULL, V_OFFSET, T_U32},
						  {N_REASON, NULL, V_REASON, T_STRING},
						  {N_PROCESSNAME, NULL, V_PROCESSNAME, T_STRING},
						  {N_FILENAME, NULL, V_FILENAME, T_STRING}};
	size_t at = open_element(x, N_EVENT, true);

	attributes(x, event_ns, 1);
	buf_u8(&x->chunk, TOK_CLOSE_START);
	system_template(x);
	substitution(x, V_DATA, T_XML, true);
	empty_element(x, N_RECORD, record, sizeof(record) / sizeof(record[0]));
	close_element(x, at, TOK_END);
}

/* What the EVTX type of a field is; what has none is JSON text. */
static uint8_t type_of(const struct dval *v)
{
	char t[WINTIME_STR];

	switch (v->type) {
	case DV_BOOL:
		return T_BOOL;
	case DV_INT:
		return T_I64;
	case DV_UINT:
		return T_U64;
	case DV_HEX:
		return T_HEX64;
	case DV_BYTES:
		return T_BINARY;
	case DV_GUID:
		return T_GUID;
	case DV_TIME:
		return wintime_text(v->time, t) ? T_TIME : T_STRING;
	default:
		return T_STRING;
	}
}

static void fields_template(struct evtx *x, const struct event *ev)
{
	size_t at = open_element(x, N_EVENTDATA, false);

	if (!ev->data.n) {
		close_element(x, at, TOK_CLOSE_EMPTY);
		return;
	}
	buf_u8(&x->chunk, TOK_CLOSE_START);
	for (uint32_t i = 0; i < ev->data.n; i++) {
		const struct dfield *f = &ev->data.fields[i];
		const struct attribute name = {N_NAME, f->name, 0, 0};
		size_t el = open_element(x, N_DATA, true);

		attributes(x, &name, 1);
		buf_u8(&x->chunk, TOK_CLOSE_START);
		substitution(x, i, type_of(&f->v), false);
		close_element(x, el, TOK_END);
	}
	close_element(x, at, TOK_END);
}

static void payload_template(struct evtx *x)
{
	size_t at = open_element(x, N_BINARY, false);

	buf_u8(&x->chunk, TOK_CLOSE_START);
	substitution(x, 0, T_BINARY, false);
	close_element(x, at, TOK_END);
}

enum which { EVENT_TEMPLATE, PAYLOAD_TEMPLATE, FIELDS_TEMPLATE };

static void make_key(struct evtx *x, enum which which, const struct event *ev)
{
	buf_clear(&x->key);
	buf_u8(&x->key, (uint8_t)which);
	for (uint32_t i = 0; which == FIELDS_TEMPLATE && i < ev->data.n; i++) {
		buf_u8(&x->key, type_of(&ev->data.fields[i].v));
		buf_put(&x->key, ev->data.fields[i].name, strlen(ev->data.fields[i].name) + 1);
	}
}

static const struct template *find_template(const struct evtx *x, uint64_t hash)
{
	for (uint32_t i = 0; i < x->st.n_templates; i++) {
		const struct template *t = &x->templates[i];

		if (t->hash == hash && t->key_len == x->key.n && memcmp(x->keys.p + t->key, x->key.p, x->key.n) == 0)
			return t;
	}
	return NULL;
}

/* The head of an instance; the definition stands behind it the first time. */
static void put_template(struct evtx *x, enum which which, const struct event *ev)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	const struct template *known;
	uint32_t *bucket, at;
	size_t size_at;

	make_key(x, which, ev);
	for (size_t i = 0; i < x->key.n; i++)
		hash = (hash ^ x->key.p[i]) * UINT64_C(0x100000001b3);
	known = find_template(x, hash);
	buf_u8(&x->chunk, TOK_TEMPLATE);
	buf_u8(&x->chunk, 1);
	buf_u32(&x->chunk, (uint32_t)hash);
	at = known ? known->at : (uint32_t)x->chunk.n + 4;
	buf_u32(&x->chunk, at);
	if (known)
		return;
	if (x->st.n_templates == TEMPLATES_MAX) {
		x->too_big = true;
		return;
	}
	x->templates[x->st.n_templates++] = (struct template){hash, at, (uint32_t)x->keys.n, (uint32_t)x->key.n};
	buf_put(&x->keys, x->key.p, x->key.n);
	bucket = &x->st.template_bucket[(uint32_t)hash % TEMPL_BUCKETS];
	buf_u32(&x->chunk, *bucket);
	*bucket = at;
	buf_u64(&x->chunk, hash); /* a GUID whose first part is the identifier */
	buf_u64(&x->chunk, UINT64_C(0x80) | (uint64_t)which << 8);
	size_at = x->chunk.n;
	buf_u32(&x->chunk, 0);
	put_fragment(x);
	if (which == EVENT_TEMPLATE)
		event_template(x);
	else if (which == PAYLOAD_TEMPLATE)
		payload_template(x);
	else
		fields_template(x, ev);
	buf_u8(&x->chunk, TOK_EOF);
	patch32(x, size_at, (uint32_t)(x->chunk.n - size_at - 4));
}

/* ---- values ---------------------------------------------------------------------------------------------------------------------------------- */

/* Descriptors of n values, to be filled by end_value(). */
static size_t begin_values(struct evtx *x, uint32_t n)
{
	size_t at;

	x->too_big |= n > VALUES_MAX;
	buf_u32(&x->chunk, n);
	at = x->chunk.n;
	if (!x->too_big)
		buf_fill(&x->chunk, 0, 4 * (size_t)n);
	return at;
}

static void end_value(struct evtx *x, size_t descriptors, unsigned i, size_t from, uint8_t type)
{
	patch16(x, descriptors + 4 * (size_t)i, x->chunk.n - from);
	if (descriptors + 4 * (size_t)i + 2 < x->chunk.n)
		x->chunk.p[descriptors + 4 * (size_t)i + 2] = type;
}

static void put_dval(struct evtx *x, size_t descriptors, unsigned i, const struct dval *v)
{
	uint8_t type = type_of(v);
	size_t from = x->chunk.n;

	switch (type) {
	case T_BOOL:
		buf_u32(&x->chunk, v->b);
		break;
	case T_BINARY:
		buf_put(&x->chunk, v->bytes, v->n);
		break;
	case T_GUID:
		buf_put(&x->chunk, v->guid->b, sizeof(v->guid->b));
		break;
	case T_STRING:
		if (v->type == DV_TEXT) {
			put_text(&x->chunk, v->text, v->n);
		} else if (v->type != DV_NULL) {
			buf_clear(&x->scratch);
			json_value(&x->scratch, v);
			x->chunk.failed |= x->scratch.failed;
			put_text(&x->chunk, (const char *)x->scratch.p, x->scratch.n);
		}
		break;
	case T_TIME:
		buf_u64(&x->chunk, (uint64_t)v->time);
		break;
	default:
		buf_u64(&x->chunk, v->u);
		break;
	}
	end_value(x, descriptors, i, from, type);
}

static void number(struct evtx *x, size_t d, unsigned i, bool has, uint64_t v, uint8_t type)
{
	size_t from = x->chunk.n;

	if (!has)
		return;
	if (type == T_U8)
		buf_u8(&x->chunk, (uint8_t)v);
	else if (type == T_U16)
		buf_u16(&x->chunk, (uint16_t)v);
	else if (type == T_U32)
		buf_u32(&x->chunk, (uint32_t)v);
	else
		buf_u64(&x->chunk, v);
	end_value(x, d, i, from, type);
}

static void string(struct evtx *x, size_t d, unsigned i, const char *s)
{
	size_t from = x->chunk.n;

	if (!s || !*s)
		return;
	put_text(&x->chunk, s, strlen(s));
	end_value(x, d, i, from, T_STRING);
}

static void bytes(struct evtx *x, size_t d, unsigned i, bool has, const uint8_t *p, size_t n, uint8_t type)
{
	size_t from = x->chunk.n;

	if (!has)
		return;
	buf_put(&x->chunk, p, n);
	end_value(x, d, i, from, type);
}

static void put_head(struct evtx *x, size_t d, const struct event *ev)
{
	bool sid = ev->sid.n >= 8 && ev->sid.p[0] == 1 && ev->sid.p[1] <= 15 && ev->sid.n >= 8u + 4u * ev->sid.p[1];
	char t[WINTIME_STR];

	string(x, d, V_PROVIDER, ev->provider_name);
	bytes(x, d, V_GUID, ev->has_provider, ev->provider.b, 16, T_GUID);
	number(x, d, V_ID, true, ev->has_id ? ev->id : 0, T_U16);
	number(x, d, V_VERSION, ev->has_version, ev->version, T_U8);
	number(x, d, V_LEVEL, ev->has_level, ev->level, T_U8);
	number(x, d, V_TASK, ev->has_task, ev->task, T_U16);
	number(x, d, V_OPCODE, ev->has_opcode, ev->opcode, T_U8);
	number(x, d, V_KEYWORDS, ev->has_keywords, ev->keywords, T_HEX64);
	number(x, d, V_TIME, ev->has_time && wintime_text(ev->time, t), (uint64_t)ev->time, T_TIME);
	number(x, d, V_RAWTIME, !ev->has_time && ev->has_ts, (uint64_t)ev->ts, T_U64);
	number(x, d, V_RECORD, true, x->next_id, T_U64);
	bytes(x, d, V_ACTIVITY, ev->has_activity, ev->activity.b, 16, T_GUID);
	bytes(x, d, V_RELATED, ev->has_related, ev->related.b, 16, T_GUID);
	number(x, d, V_PID, ev->has_pid, ev->pid, T_U32);
	number(x, d, V_TID, ev->has_pid, ev->tid, T_U32);
	number(x, d, V_CPU, ev->has_cpu, ev->cpu, T_U32);
	number(x, d, V_CHANNEL, ev->has_channel, ev->channel, T_U8);
	bytes(x, d, V_SID, sid, ev->sid.p, sid ? 8u + 4u * ev->sid.p[1] : 0, T_SID);
	string(x, d, V_KIND, event_kind_name(ev->kind));
	string(x, d, V_EVENTNAME, ev->name);
	string(x, d, V_SESSION, ev->origin->session->name);
	string(x, d, V_FILE, ev->origin->file);
	number(x, d, V_BUFFER, ev->has_buffer, ev->buffer, T_HEX64);
	number(x, d, V_OFFSET, true, ev->offset, T_U32);
}

static void put_data(struct evtx *x, const struct event *ev, bool fields)
{
	size_t d;

	put_fragment(x);
	put_template(x, fields ? FIELDS_TEMPLATE : PAYLOAD_TEMPLATE, ev);
	d = begin_values(x, fields ? ev->data.n : 1);
	if (!fields)
		bytes(x, d, 0, true, ev->payload.p, ev->payload.n, T_BINARY);
	for (uint32_t i = 0; fields && !x->too_big && x->chunk.n <= CHUNK_SIZE && i < ev->data.n; i++)
		put_dval(x, d, i, &ev->data.fields[i].v);
	buf_u8(&x->chunk, TOK_EOF);
}

/* ---- records and chunks ---------------------------------------------------------------------------------------------------------------------- */

/* Appends the record if it fits; else the chunk is as before. */
static bool try_record(struct evtx *x, const struct event *ev, bool fields)
{
	struct in_chunk before = x->st;
	size_t at = x->chunk.n, d, from;
	const char *reason = ev->data.type != DV_STRUCT ? ev->reason ? ev->reason : "no schema"
			     : fields                   ? NULL
							: "the fields do not fit a chunk";

	before.n = at;
	before.keys = x->keys.n;
	x->too_big = fields && ev->data.n > VALUES_MAX;
	buf_put(&x->chunk, "**\0", 4);
	buf_u32(&x->chunk, 0);
	buf_u64(&x->chunk, x->next_id);
	buf_u64(&x->chunk, ev->has_time ? (uint64_t)ev->time : 0);
	put_fragment(x);
	put_template(x, EVENT_TEMPLATE, ev);
	d = begin_values(x, VALUES);
	put_head(x, d, ev);
	string(x, d, V_REASON, reason);
	string(x, d, V_PROCESSNAME, ev->process_name);
	string(x, d, V_FILENAME, ev->file_name);
	from = x->chunk.n;
	put_data(x, ev, fields);
	end_value(x, d, V_DATA, from, T_XML);
	buf_u8(&x->chunk, TOK_EOF);
	buf_fill(&x->chunk, 0, (12 - x->chunk.n % 8) % 8); /* the copy of the size ends the record on a multiple of 8 */
	buf_u32(&x->chunk, (uint32_t)(x->chunk.n - at + 4));
	patch32(x, at + 4, (uint32_t)(x->chunk.n - at));
	if (!x->too_big && !x->chunk.failed && x->chunk.n <= RECORDS_END) {
		x->st.last_record = (uint32_t)at;
		x->next_id++;
		return true;
	}
	x->chunk.n = before.n;
	x->keys.n = before.keys;
	x->st = before;
	return false;
}

static void begin_chunk(struct evtx *x)
{
	buf_clear(&x->chunk);
	buf_fill(&x->chunk, 0, CHUNK_HEADER);
	buf_clear(&x->keys);
	memset(&x->st, 0, sizeof(x->st));
	x->first_id = x->next_id;
}

static void end_chunk(struct evtx *x, struct buf *out)
{
	uint32_t end = (uint32_t)x->chunk.n;
	uint8_t *p;
	uLong crc;

	if (x->next_id == x->first_id)
		return;
	out->failed |= x->chunk.failed;
	buf_fill(&x->chunk, 0, CHUNK_SIZE - end);
	p = x->chunk.p;
	if (x->chunk.failed || out->failed) {
		out->failed = true;
		return;
	}
	memcpy(p, "ElfChnk", 8);
	put_le64(p + 8, x->first_id);
	put_le64(p + 16, x->next_id - 1);
	put_le64(p + 24, x->first_id);
	put_le64(p + 32, x->next_id - 1);
	put_le32(p + 40, 128);
	put_le32(p + 44, x->st.last_record);
	put_le32(p + 48, end);
	put_le32(p + 52, (uint32_t)crc32(0, p + CHUNK_HEADER, end - CHUNK_HEADER));
	for (unsigned i = 0; i < NAME_BUCKETS; i++)
		put_le32(p + 128 + 4 * (size_t)i, x->st.name_bucket[i]);
	for (unsigned i = 0; i < TEMPL_BUCKETS; i++)
		put_le32(p + 384 + 4 * (size_t)i, x->st.template_bucket[i]);
	crc = crc32(0, p, 120);
	put_le32(p + 124, (uint32_t)crc32(crc, p + 128, 384));
	buf_put(out, p, CHUNK_SIZE);
	x->n_chunks++;
}

static int open_evtx(void **state, struct err *e)
{
	struct evtx *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&x->chunk);
	buf_init(&x->keys);
	buf_init(&x->key);
	buf_init(&x->scratch);
	x->next_id = 1;
	begin_chunk(x);
	*state = x;
	return 0;
}

static void close_evtx(void *state)
{
	struct evtx *x = state;

	buf_free(&x->chunk);
	buf_free(&x->keys);
	buf_free(&x->key);
	buf_free(&x->scratch);
	free(x);
}

static void begin(void *state, struct buf *out)
{
	(void)state;
	buf_fill(out, 0, HEADER_BLOCK);
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	struct evtx *x = state;
	bool fields = ev->data.type == DV_STRUCT;

	(void)raw;
	if (x->n_chunks >= CHUNKS_MAX - 1)
		return 0;
	if (try_record(x, ev, fields))
		return 1;
	if (x->next_id != x->first_id) {
		end_chunk(x, out);
		begin_chunk(x);
		if (try_record(x, ev, fields))
			return 1;
	}
	return fields && try_record(x, ev, false);
}

static void end(void *state, struct buf *out)
{
	end_chunk(state, out);
}

static void head(void *state, struct buf *out)
{
	struct evtx *x = state;
	uint8_t *p = buf_grow(out, HEADER_BLOCK);

	if (!p)
		return;
	memcpy(p, "ElfFile", 8);
	put_le64(p + 16, x->n_chunks ? x->n_chunks - 1 : 0);
	put_le64(p + 24, x->next_id);
	put_le32(p + 32, 128);
	put_le16(p + 36, 1);
	put_le16(p + 38, 3);
	put_le16(p + 40, HEADER_BLOCK);
	put_le16(p + 42, (uint16_t)x->n_chunks);
	put_le32(p + 124, (uint32_t)crc32(0, p, 120));
}

const struct evsink evsink_evtx = {.name = "evtx",
				   .binary = true,
				   .unfit = "too large for a chunk, or behind the last chunk that the format can count,",
				   .open = open_evtx,
				   .close = close_evtx,
				   .begin = begin,
				   .event = event,
				   .end = end,
				   .head = head};
