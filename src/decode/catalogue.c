/* catalogue.c - see catalogue.h. The providers' lines of a text are looked up by GUID; the events behind one are searched line by line: what is found is kept
 * by the caller, so each is asked for once. */
#include "catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "packed.h"

extern const struct packed_file events_packed[];
extern const size_t events_packed_n;

#define DIGITS 16

struct part {
	char *text;            /* NULL: not unpacked yet */
	const char **provider; /* the lines "P<guid> <name>" in it, by GUID */
	size_t n, cap;
	bool failed;
};

struct catalogue {
	struct part part[DIGITS]; /* by the GUID's first digit */
};

struct catalogue *catalogue_new(void)
{
	return calloc(1, sizeof(struct catalogue));
}

void catalogue_free(struct catalogue *c)
{
	if (!c)
		return;
	for (int i = 0; i < DIGITS; i++) {
		free(c->part[i].text);
		free(c->part[i].provider);
	}
	free(c);
}

static int by_guid(const void *a, const void *b)
{
	return strncmp(*(const char *const *)a, *(const char *const *)b, GUID_STR);
}

static bool list_providers(struct part *p)
{
	for (const char *s = p->text, *nl; s && *s; s = nl ? nl + 1 : NULL) {
		void *arr = p->provider;

		nl = strchr(s, '\n');
		if (*s != 'P')
			continue;
		if (arr_reserve(&arr, &p->cap, p->n, sizeof(*p->provider)) < 0)
			return false;
		p->provider = arr;
		p->provider[p->n++] = s;
	}
	qsort(p->provider, p->n, sizeof(*p->provider), by_guid);
	return true;
}

static struct part *part_of(struct catalogue *c, char digit)
{
	struct part *p = &c->part[digit <= '9' ? digit - '0' : digit - 'a' + 10];

	if (p->text || p->failed)
		return p;
	for (size_t k = 0; k < events_packed_n; k++)
		if (events_packed[k].name[0] == digit)
			p->text = packed_text(&events_packed[k]);
	p->failed = !p->text || !list_providers(p);
	return p;
}

/* The provider's line ("P<guid> <name>"), or NULL. */
static const char *provider_line(struct catalogue *c, const struct guid *guid)
{
	char want[GUID_STR + 2] = "P";
	const char *key = want, **found;
	struct part *p;

	guid_text(guid, want + 1);
	p = part_of(c, want[1]);
	found = p->failed || !p->n ? NULL : bsearch(&key, p->provider, p->n, sizeof(*p->provider), by_guid);
	return found ? *found : NULL;
}

static size_t line_len(const char *s)
{
	const char *nl = strchr(s, '\n');

	return nl ? (size_t)(nl - s) : strlen(s);
}

const char *catalogue_provider_name(struct catalogue *c, const struct guid *guid, struct arena *a)
{
	const char *s = provider_line(c, guid);
	size_t n = s ? line_len(s) : 0;

	return n > GUID_STR + 1 ? arena_strndup(a, s + GUID_STR + 1, n - GUID_STR - 1) : NULL;
}

struct type_name {
	const char *name;
	uint16_t type;
};

static const struct type_name types[] = {{"u8", IN_UINT8},
					 {"u16", IN_UINT16},
					 {"u32", IN_UINT32},
					 {"u64", IN_UINT64},
					 {"i8", IN_INT8},
					 {"i16", IN_INT16},
					 {"i32", IN_INT32},
					 {"i64", IN_INT64},
					 {"f32", IN_FLOAT},
					 {"f64", IN_DOUBLE},
					 {"wstr", IN_UNICODESTRING},
					 {"str", IN_ANSISTRING},
					 {"guid", IN_GUID},
					 {"sid", IN_SID},
					 {"systemtime", IN_SYSTEMTIME},
					 {"filetime", IN_FILETIME},
					 {"bool", IN_BOOLEAN},
					 {"ptr", IN_POINTER},
					 {"hex32", IN_HEXINT32},
					 {"hex64", IN_HEXINT64},
					 {"bytes", IN_BINARY},
					 {"cwstr", IN_COUNTEDSTRING},
					 {"cstr", IN_COUNTEDANSISTRING},
					 {"struct", IN_STRUCT}};

static const struct type_name outs[] = {
	{"hex", OUT_HEXINT64}, {"ipv4", OUT_IPV4}, {"ipv6", OUT_IPV6}, {"port", OUT_PORT}, {"sockaddr", OUT_SOCKETADDRESS}};

static int type_of(const struct type_name *t, size_t n, const char *s, size_t len)
{
	for (size_t k = 0; k < n; k++)
		if (strlen(t[k].name) == len && memcmp(t[k].name, s, len) == 0)
			return t[k].type;
	return -1;
}

/* A field that a length or count names: the nearest before it, which is one of the same struct or stands outside of any other. */
static int field_index(const struct schema_field *f, uint32_t n, const char *name, size_t len)
{
	for (uint32_t i = n; i > 0; i--)
		if (strlen(f[i - 1].name) == len && memcmp(f[i - 1].name, name, len) == 0)
			return (int)i - 1;
	return SCHEMA_NO_REF;
}

/* What stands between two brackets at the end of s[0, *n), taken off: a number or a field. False: neither. */
static bool take_size(const struct schema_field *f, uint32_t i, const char *s, size_t *n, char left, char right, uint32_t *constant,
		      int16_t *ref)
{
	const char *open;
	size_t len;

	if (!*n || s[*n - 1] != right)
		return true;
	open = memchr(s, left, *n);
	if (!open)
		return false;
	len = *n - 2 - (size_t)(open - s);
	*n = (size_t)(open - s);
	if (len && open[1] >= '0' && open[1] <= '9')
		*constant = (uint32_t)strtoul(open + 1, NULL, 10);
	else
		*ref = (int16_t)field_index(f, i, open + 1, len);
	return *constant || *ref >= 0;
}

/* One "type name" of n bytes into f[i]; the grammar stands in tools/make-catalogue.py. */
static bool parse_field(struct schema_field *f, uint32_t i, const char *s, size_t n, struct arena *a)
{
	const char *space = memchr(s, ' ', n), *colon;
	size_t t = space ? (size_t)(space - s) : 0;
	uint32_t count = 0;
	int type, out = OUT_NULL;
	bool is_bytes = t > 6 && memcmp(s, "bytes[", 6) == 0; /* of the list: a length in brackets */

	if (!space)
		return false;
	memset(&f[i], 0, sizeof(f[i]));
	f[i].length_ref = f[i].count_ref = SCHEMA_NO_REF;
	f[i].name = arena_strndup(a, space + 1, n - t - 1);
	if (!f[i].name)
		return false;
	if (is_bytes) {
		if (!take_size(f, i, s, &t, '[', ']', &f[i].length, &f[i].length_ref))
			return false;
	} else if (!take_size(f, i, s, &t, '[', ']', &count, &f[i].count_ref) ||
		   !take_size(f, i, s, &t, '(', ')', &f[i].length, &f[i].length_ref)) {
		return false;
	}
	f[i].is_array = count || f[i].count_ref >= 0;
	f[i].count = count ? count : 1;
	colon = memchr(s, ':', t);
	if (colon) {
		out = type_of(outs, sizeof(outs) / sizeof(outs[0]), colon + 1, t - (size_t)(colon + 1 - s));
		t = (size_t)(colon - s);
	}
	if (t > 6 && memcmp(s, "struct", 6) == 0) {
		f[i].n_members = (uint16_t)strtoul(s + 6, NULL, 10);
		t = 6;
	}
	type = type_of(types, sizeof(types) / sizeof(types[0]), s, t);
	if (type < 0 || out < 0 || (type == IN_BINARY && !f[i].length && f[i].length_ref < 0 && out != OUT_IPV6))
		return false;
	f[i].in = (uint16_t)type;
	f[i].out = (uint16_t)out;
	return true;
}

/* "<id>.<version>" or "<id>.<version> <name>", then fields. */
static struct schema *parse_line(const char *s, size_t n, struct arena *a)
{
	struct schema *made = arena_alloc(a, sizeof(*made));
	struct schema_field *f;
	uint32_t cap = 0, i = 0;
	const char *end = s + n, *tab = memchr(s, '\t', n), *head = tab ? tab : end, *space = memchr(s, ' ', (size_t)(head - s));

	for (const char *p = s; p < end; p++)
		cap += *p == '\t';
	f = arena_alloc(a, (cap ? cap : 1) * sizeof(*f));
	if (!made || !f || cap > SCHEMA_FIELDS_MAX)
		return NULL;
	while (tab) {
		const char *from = tab + 1, *next = memchr(from, '\t', (size_t)(end - from));

		if (!parse_field(f, i, from, (size_t)((next ? next : end) - from), a))
			return NULL;
		i++;
		tab = next;
	}
	memset(made, 0, sizeof(*made));
	made->source = SCHEMA_CATALOGUE;
	made->exact_types = space != NULL;
	made->name = space && space + 1 < head ? arena_strndup(a, space + 1, (size_t)(head - space - 1)) : NULL;
	made->n_fields = i;
	made->fields = f;
	return made;
}

const struct schema *catalogue_find(struct catalogue *c, const struct guid *guid, uint16_t id, uint8_t version, struct arena *a)
{
	const char *s = provider_line(c, guid);
	struct schema *first = NULL, *last = NULL, *made;

	if (!s)
		return NULL;
	for (s += line_len(s); *s == '\n'; s += line_len(s)) {
		char *dot;

		s++;
		if (*s < '0' || *s > '9')
			break;
		if (strtoul(s, &dot, 10) != id || *dot != '.' || strtoul(dot + 1, NULL, 10) != version)
			continue;
		made = parse_line(s, line_len(s), a);
		if (made && last)
			last->next = made;
		else if (made)
			first = made;
		last = made ? made : last;
	}
	return first;
}

const struct schema *schema_narrow(const struct schema *s, struct arena *a)
{
	struct schema *made = arena_alloc(a, sizeof(*made));
	struct schema_field *f = arena_alloc(a, (s->n_fields ? s->n_fields : 1) * sizeof(*f));

	if (!made || !f)
		return NULL;
	*made = *s;
	if (s->n_fields)
		memcpy(f, s->fields, s->n_fields * sizeof(*f));
	for (uint32_t i = 0; i < s->n_fields; i++)
		if (f[i].in == IN_UINT64)
			f[i].in = IN_POINTER;
	made->fields = f;
	return made;
}
