/* tmf.c - see tmf.h. A file's lines:
 *     // anything
 *     GUID MODULE // SRC=FILE MJ= MN=
 *     #typev PLACE NUMBER "FORMAT" //   LEVEL=L FLAGS=F FUNC=NAME
 *     {
 *     EXPRESSION, ItemTYPE[(LIST)] -- ARGUMENT
 *     } */
#include "tmf.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "deffile.h"
#include "dirlist.h"
#include "rd.h"
#include "utf16.h"

struct tmf {
	struct arena arena;
	struct tmf_message **slot; /* open addressing */
	size_t cap, n;
};

struct tmf *tmf_new(void)
{
	struct tmf *t = calloc(1, sizeof(*t));

	if (t) {
		arena_init(&t->arena);
		t->arena.max = (size_t)512 << 20;
	}
	return t;
}

void tmf_free(struct tmf *t)
{
	if (!t)
		return;
	arena_free(&t->arena);
	free(t->slot);
	free(t);
}

/* ---- the store --------------------------------------------------------------------------------------------------------------------------- */

static struct tmf_message **slot_of(struct tmf_message **slot, size_t cap, const struct guid *g, uint16_t number)
{
	uint64_t h = (le64(g->b) ^ le64(g->b + 8) * UINT64_C(0x9e3779b97f4a7c15)) + number * UINT64_C(0xbf58476d1ce4e5b9);
	size_t i = (size_t)(h ^ h >> 29) & (cap - 1);

	while (slot[i] && (slot[i]->number != number || !guid_equal(&slot[i]->guid, g)))
		i = (i + 1) & (cap - 1);
	return &slot[i];
}

const struct tmf_message *tmf_find(const struct tmf *t, const struct guid *guid, uint16_t number)
{
	return t->cap ? *slot_of(t->slot, t->cap, guid, number) : NULL;
}

static int grow(struct tmf *t)
{
	size_t cap = t->cap ? t->cap * 2 : 512;
	struct tmf_message **slot = calloc(cap, sizeof(struct tmf_message *));

	if (!slot)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slot[i])
			*slot_of(slot, cap, &t->slot[i]->guid, t->slot[i]->number) = t->slot[i];
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return 0;
}

static int put(struct tmf *t, struct tmf_message *m)
{
	struct tmf_message **s;

	if (t->n * 2 >= t->cap && grow(t) < 0)
		return ERR_NOMEM;
	s = slot_of(t->slot, t->cap, &m->guid, m->number);
	if (*s)
		return 0;
	if (t->n >= TMF_MESSAGES_MAX)
		return ERR_LIMIT;
	*s = m;
	t->n++;
	return 0;
}

/* ---- items ------------------------------------------------------------------------------------------------------------------------------- */

enum item_kind { ITEM_PLAIN, ITEM_LIST, ITEM_SET };

/* Item types by name, as the WDK's defaultwpp.ini uses them; the number is signed unless the format prints it otherwise. */
static const struct item {
	const char *name;
	uint16_t in, out, length;
	enum item_kind kind;
} items[] = {
	{"ItemChar", IN_INT8, 0, 0, ITEM_PLAIN},
	{"ItemUChar", IN_UINT8, 0, 0, ITEM_PLAIN},
	{"ItemShort", IN_INT16, 0, 0, ITEM_PLAIN},
	{"ItemLong", IN_INT32, 0, 0, ITEM_PLAIN},
	{"ItemLongLong", IN_INT64, 0, 0, ITEM_PLAIN},
	{"ItemULongLong", IN_UINT64, 0, 0, ITEM_PLAIN},
	{"ItemLongLongX", IN_HEXINT64, 0, 0, ITEM_PLAIN},
	{"ItemLongLongXX", IN_HEXINT64, 0, 0, ITEM_PLAIN},
	{"ItemLongLongO", IN_UINT64, 0, 0, ITEM_PLAIN},
	{"ItemDouble", IN_DOUBLE, 0, 0, ITEM_PLAIN},
	{"ItemPtr", IN_POINTER, 0, 0, ITEM_PLAIN},
	{"ItemGuid", IN_GUID, 0, 0, ITEM_PLAIN},
	{"ItemCLSID", IN_GUID, 0, 0, ITEM_PLAIN},
	{"ItemLIBID", IN_GUID, 0, 0, ITEM_PLAIN},
	{"ItemIID", IN_GUID, 0, 0, ITEM_PLAIN},
	{"ItemString", IN_ANSISTRING, 0, 0, ITEM_PLAIN},
	{"ItemRString", IN_ANSISTRING, 0, 0, ITEM_PLAIN},
	{"ItemWString", IN_UNICODESTRING, 0, 0, ITEM_PLAIN},
	{"ItemRWString", IN_UNICODESTRING, 0, 0, ITEM_PLAIN},
	{"ItemPString", IN_COUNTEDANSISTRING, 0, 0, ITEM_PLAIN},
	{"ItemPWString", IN_COUNTEDSTRING, 0, 0, ITEM_PLAIN},
	{"ItemSid", IN_SID, 0, 0, ITEM_PLAIN},
	{"ItemHexDump", IN_COUNTEDBINARY, 0, 0, ITEM_PLAIN},
	{"ItemNTSTATUS", IN_UINT32, OUT_NTSTATUS, 0, ITEM_PLAIN},
	{"ItemNDIS_STATUS", IN_UINT32, OUT_NTSTATUS, 0, ITEM_PLAIN},
	{"ItemNDIS_OID", IN_HEXINT32, 0, 0, ITEM_PLAIN},
	{"ItemWINERROR", IN_UINT32, OUT_WIN32ERROR, 0, ITEM_PLAIN},
	{"ItemHRESULT", IN_UINT32, OUT_HRESULT, 0, ITEM_PLAIN},
	{"ItemIPAddr", IN_UINT32, OUT_IPV4, 0, ITEM_PLAIN},
	{"ItemPort", IN_UINT16, OUT_PORT, 0, ITEM_PLAIN},
	{"ItemTimestamp", IN_FILETIME, 0, 0, ITEM_PLAIN},
	{"ItemTimeDelta", IN_INT64, 0, 0, ITEM_PLAIN},
	{"ItemWaitTime", IN_INT64, 0, 0, ITEM_PLAIN},
	{"ItemChar4", IN_ANSISTRING, 0, 4, ITEM_PLAIN},
	{"ItemEnum", IN_UINT32, 0, 0, ITEM_PLAIN},
	{"ItemFlagsEnum", IN_HEXINT32, 0, 0, ITEM_PLAIN},
	{"ItemListByte", IN_UINT8, 0, 0, ITEM_LIST},
	{"ItemListShort", IN_UINT16, 0, 0, ITEM_LIST},
	{"ItemListLong", IN_UINT32, 0, 0, ITEM_LIST},
	{"ItemSetByte", IN_UINT8, 0, 0, ITEM_SET},
	{"ItemSetShort", IN_UINT16, 0, 0, ITEM_SET},
	{"ItemSetLong", IN_UINT32, 0, 0, ITEM_SET},
};

static const struct item *item_of(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (strlen(items[i].name) == n && strncasecmp(items[i].name, s, n) == 0)
			return &items[i];
	return NULL;
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------------------- */

struct reader {
	struct tmf *t;
	const char *p, *end;
	struct guid guid;
	bool have_guid, nomem;
	const char *module, *file;
	struct tmf_message *m; /* being read; NULL: none */
	struct schema_field field[TMF_ARGS_MAX];
	int count;
};

struct span {
	const char *p;
	size_t n;
};

static const char *keep(struct reader *r, struct span s)
{
	struct dval v = s.n ? dv_ansi(&r->t->arena, (const uint8_t *)s.p, s.n) : (struct dval){.type = DV_NULL};

	r->nomem |= s.n && v.type != DV_TEXT;
	return v.type == DV_TEXT ? v.text : NULL;
}

static bool next_line(struct reader *r, struct span *line)
{
	const char *nl;

	if (r->p >= r->end)
		return false;
	nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
	line->p = r->p;
	line->n = (size_t)((nl ? nl : r->end) - r->p);
	r->p = nl ? nl + 1 : r->end;
	while (line->n && (line->p[line->n - 1] == '\r' || line->p[line->n - 1] == ' ' || line->p[line->n - 1] == '\t'))
		line->n--;
	while (line->n && (*line->p == ' ' || *line->p == '\t')) {
		line->p++;
		line->n--;
	}
	return true;
}

/* The word at the front, taken off. */
static struct span take_word(struct span *s)
{
	struct span w = {s->p, 0};

	while (w.n < s->n && s->p[w.n] != ' ' && s->p[w.n] != '\t')
		w.n++;
	s->p += w.n;
	s->n -= w.n;
	while (s->n && (*s->p == ' ' || *s->p == '\t')) {
		s->p++;
		s->n--;
	}
	return w;
}

/* The last place of `what` in s, or NULL. */
static const char *last_of(struct span s, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = s.n >= n ? s.n - n + 1 : 0; i > 0; i--)
		if (memcmp(s.p + i - 1, what, n) == 0)
			return s.p + i - 1;
	return NULL;
}

/* The word behind KEY= in s. */
static struct span value_of(struct span s, const char *key)
{
	const char *at = last_of(s, key);
	struct span v = {NULL, 0};

	if (!at)
		return v;
	v.p = at + strlen(key);
	v.n = (size_t)(s.p + s.n - v.p);
	return take_word(&v);
}

static bool header_line(struct reader *r, struct span line)
{
	struct span guid = take_word(&line);
	char text[64];

	if (guid.n >= sizeof(text))
		return false;
	memcpy(text, guid.p, guid.n);
	text[guid.n] = 0;
	if (!guid_parse(text, &r->guid))
		return false;
	r->have_guid = true;
	r->module = keep(r, take_word(&line));
	r->file = keep(r, value_of(line, "SRC="));
	return true;
}

/* #typev PLACE NUMBER "FORMAT" // LEVEL=... FLAGS=... FUNC=... */
static void message_line(struct reader *r, struct span line)
{
	struct span place, number, format;
	const char *quote;
	uint32_t v = 0;

	r->m = NULL;
	take_word(&line);
	place = take_word(&line);
	number = take_word(&line);
	for (size_t i = 0; i < number.n && v <= UINT16_MAX; i++)
		v = number.p[i] >= '0' && number.p[i] <= '9' ? v * 10 + (uint32_t)(number.p[i] - '0') : UINT32_MAX;
	quote = last_of(line, "\" //");
	if (!quote)
		quote = last_of(line, "\"");
	if (!r->have_guid || !number.n || v > UINT16_MAX || !line.n || *line.p != '"' || !quote || quote == line.p)
		return;
	format = (struct span){line.p + 1, (size_t)(quote - line.p - 1)};
	r->m = arena_alloc(&r->t->arena, sizeof(*r->m));
	r->nomem |= !r->m;
	if (!r->m)
		return;
	memset(r->m, 0, sizeof(*r->m));
	r->m->guid = r->guid;
	r->m->number = (uint16_t)v;
	r->m->module = r->module;
	r->m->file = r->file;
	r->m->place = keep(r, place);
	line = (struct span){quote, (size_t)(line.p + line.n - quote)};
	r->m->level = keep(r, value_of(line, " LEVEL="));
	r->m->flags = keep(r, value_of(line, " FLAGS="));
	r->m->function = keep(r, value_of(line, " FUNC="));
	r->m->format = keep(r, format);
	if (!r->m->format)
		r->m->format = "";
	r->m->schema.source = SCHEMA_MANIFEST;
}

/* "(A,B,C)": names of values 0, 1, 2 ... or of bits 0, 1, 2 ... */
static const struct schema_map *list_map(struct reader *r, struct span s, bool bits)
{
	struct schema_map *m = arena_alloc(&r->t->arena, sizeof(*m));
	uint32_t n = 1, at = 0, *value;
	const char **text;

	if (!s.p) /* no list at all */
		s = (struct span){"", 0};
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == ',';
	value = arena_alloc(&r->t->arena, n * sizeof(*value));
	text = arena_alloc(&r->t->arena, n * sizeof(*text));
	r->nomem |= !m || !value || !text;
	if (r->nomem)
		return NULL;
	m->bits = bits;
	m->n = 0;
	for (size_t from = 0, i = 0; i <= s.n; i++) {
		struct span one = {s.p + from, i - from};

		if (i < s.n && s.p[i] != ',')
			continue;
		while (one.n && *one.p == ' ') {
			one.p++;
			one.n--;
		}
		text[m->n] = keep(r, one);
		value[m->n] = bits ? (at < 32 ? 1u << at : 0) : at;
		m->n += text[m->n] != NULL && (!bits || at < 32);
		at++;
		from = i + 1;
	}
	m->value = value;
	m->text = text;
	return m;
}

/* The letter that ends the format of argument `arg` ("%10!04x!" -> 'x'), or 0. */
static char conversion(const char *format, unsigned arg)
{
	for (const char *p = strchr(format, '%'); p; p = strchr(p + 1, '%')) {
		char *end;
		unsigned long v = strtoul(p + 1, &end, 10);
		const char *close = *end == '!' ? strchr(end + 1, '!') : NULL;

		if (p[1] >= '0' && p[1] <= '9' && v == arg && close && close > end + 1)
			return close[-1];
	}
	return 0;
}

/* A plain number is read as the format prints it. */
static void by_format(struct schema_field *f, char c)
{
	bool hex = c == 'x' || c == 'X' || c == 'p';

	if (f->out)
		return;
	if (c == 'c' && (f->in == IN_INT8 || f->in == IN_UINT8 || f->in == IN_INT16)) {
		f->in = f->in == IN_INT16 ? IN_UINT16 : IN_UINT8;
		f->out = OUT_STRING;
	} else if (hex || c == 'u' || c == 'o') {
		if (f->in == IN_INT8 || f->in == IN_INT16 || f->in == IN_INT32 || f->in == IN_INT64)
			f->in++;
		if (hex && (f->in == IN_UINT8 || f->in == IN_UINT16 || f->in == IN_UINT32 || f->in == IN_UINT64))
			f->out = OUT_HEXINT64;
	}
}

static void name_field(struct reader *r, struct schema_field *f, struct span expression, unsigned arg)
{
	struct dval both;
	bool taken = false;

	while (expression.n && expression.p[expression.n - 1] == ' ')
		expression.n--;
	f->name = keep(r, expression);
	if (!f->name)
		f->name = "?";
	taken = strcmp(f->name, "message") == 0;
	for (uint32_t i = 0; i < r->m->schema.n_fields && !taken; i++)
		taken = strcmp(r->field[i].name, f->name) == 0;
	if (!taken)
		return;
	both = dv_format(&r->t->arena, "%s (%u)", f->name, arg);
	if (both.type == DV_TEXT)
		f->name = both.text;
}

/* EXPRESSION, ItemTYPE[(LIST)] -- ARGUMENT */
static void argument_line(struct reader *r, struct span line)
{
	const char *dashes = last_of(line, " -- "), *comma, *paren;
	unsigned long arg = dashes ? strtoul(dashes + 4, NULL, 10) : 0;
	struct span left = {line.p, dashes ? (size_t)(dashes - line.p) : 0}, type, list = {NULL, 0};
	struct schema_field *f = &r->field[r->m->schema.n_fields];
	const struct item *it;

	comma = last_of(left, ", Item");
	if (!comma || arg < TMF_FIRST_ARG || arg > UINT16_MAX || r->m->schema.n_fields >= TMF_ARGS_MAX) {
		r->m->broken = "a format whose arguments can't be read";
		return;
	}
	type = (struct span){comma + 2, (size_t)(left.p + left.n - comma - 2)};
	paren = memchr(type.p, '(', type.n);
	if (paren) {
		list = (struct span){paren + 1, (size_t)(type.p + type.n - paren - 1)};
		list.n -= list.n && list.p[list.n - 1] == ')';
		type.n = (size_t)(paren - type.p);
	}
	while (type.n && type.p[type.n - 1] == ' ')
		type.n--;
	it = item_of(type.p, type.n);
	if (!it) {
		r->m->broken = "an argument of an unknown type in the format";
		return;
	}
	memset(f, 0, sizeof(*f));
	f->in = it->in;
	f->out = it->out;
	f->length = it->length;
	f->count = 1;
	f->length_ref = f->count_ref = SCHEMA_NO_REF;
	f->map = it->kind == ITEM_PLAIN ? NULL : list_map(r, list, it->kind == ITEM_SET);
	by_format(f, it->kind == ITEM_PLAIN ? conversion(r->m->format, (unsigned)arg) : 0);
	name_field(r, f, (struct span){left.p, (size_t)(comma - left.p)}, (unsigned)arg);
	r->m->arg[r->m->schema.n_fields++] = (uint16_t)arg;
}

static int end_message(struct reader *r)
{
	struct tmf_message *m = r->m;
	struct schema_field *f;

	r->m = NULL;
	for (uint32_t i = 1; i < m->schema.n_fields; i++)
		if (m->arg[i] <= m->arg[i - 1])
			m->broken = "a format whose arguments are out of order";
	f = arena_alloc(&r->t->arena, (m->schema.n_fields + 1) * sizeof(*f));
	if (!f)
		return ERR_NOMEM;
	memcpy(f, r->field, m->schema.n_fields * sizeof(*f));
	m->schema.fields = f;
	r->count++;
	return put(r->t, m);
}

static int read_lines(struct reader *r, struct err *e)
{
	struct span line;
	bool inside = false;
	int rc = 0;

	while (rc == 0 && !r->nomem && next_line(r, &line)) {
		if (line.n > TMF_LINE_MAX && inside && r->m)
			r->m->broken = "a format whose arguments can't be read";
		if (!line.n || line.n > TMF_LINE_MAX || (line.n >= 2 && memcmp(line.p, "//", 2) == 0))
			continue;
		if (inside && line.n == 1 && *line.p == '}') {
			inside = false;
			if (r->m)
				rc = end_message(r);
		} else if (inside && r->m) {
			argument_line(r, line);
		} else if (line.n == 1 && *line.p == '{') {
			inside = true;
		} else if (!inside && line.n > 5 && memcmp(line.p, "#type", 5) == 0) {
			message_line(r, line);
		} else if (!inside) {
			header_line(r, line);
		}
	}
	if (r->nomem || rc == ERR_NOMEM)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (rc < 0)
		return err_set(e, rc, "more than %u messages", TMF_MESSAGES_MAX);
	if (!r->count && !r->have_guid)
		return err_set(e, ERR_NOTMINE, "no trace message formats");
	return r->count;
}

int tmf_read(struct tmf *t, const uint8_t *p, size_t n, struct err *e)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct buf text;
	int rc;

	if (!r)
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&text);
	r->t = t;
	r->p = (const char *)p;
	r->end = r->p + n;
	if (n >= 2 && p[0] == 0xff && p[1] == 0xfe) {
		utf16_to_utf8(&text, p + 2, n - 2);
		r->p = buf_str(&text); /* also of no text at all */
		r->end = r->p + text.n;
	} else if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		r->p += 3;
	}
	rc = text.failed         ? err_set(e, ERR_NOMEM, "out of memory")
	     : n > TMF_BYTES_MAX ? err_set(e, ERR_LIMIT, "too large")
				 : read_lines(r, e);
	buf_free(&text);
	free(r);
	return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------------- */

struct files {
	struct tmf *t;
	int messages;
	bool named; /* the path is a file: its name does not matter */
};

static int take(void *ctx, struct input *in, struct err *e)
{
	struct files *f = ctx;
	const char *name = input_name(in);
	size_t n = strlen(name);
	uint8_t *p;
	int rc;

	if (!f->named && (n < 4 || strcasecmp(name + n - 4, ".tmf") != 0))
		return err_set(e, ERR_NOTMINE, "no .tmf file");
	rc = deffile_read(in, TMF_BYTES_MAX, &p, &n, e);
	if (rc < 0)
		return rc;
	rc = tmf_read(f->t, p, n, e);
	free(p);
	f->messages += rc > 0 ? rc : 0;
	return rc < 0 ? rc : 0;
}

int tmf_read_path(struct tmf *t, const char *path, const struct deffile_report *report, struct err *e)
{
	struct files f = {.t = t, .named = !path_is_folder(path)};
	int rc = deffile_walk(path, take, &f, report, e);

	return rc < 0 ? rc : f.messages;
}
