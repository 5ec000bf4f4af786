/* proffile.c - reading a profile file, and the views of it. See proffile.h; writing and merging are in profmerge.c. */
#include "proffile.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "etlift-profile/1"

void prof_source_init(struct prof_source *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < PROF_FIELDS; i++)
		s->field[i].off = PROF_ABSENT;
}

int proffile_new(struct proffile **out, uint32_t build, enum vm_arch arch, struct err *e)
{
	struct proffile *pf = calloc(1, sizeof(*pf));

	if (!pf)
		return err_set(e, ERR_NOMEM, "out of memory");
	pf->build = build;
	pf->arch = arch;
	*out = pf;
	return 0;
}

void proffile_free(struct proffile *pf)
{
	if (!pf)
		return;
	free(pf->v);
	free(pf->k);
	free(pf);
}

/* ---- identities ---- */
void prof_id_text(const struct guid *g, uint32_t age, char out[PROF_ID_STR])
{
	char t[GUID_STR];
	size_t n = 0;

	guid_text(g, t);
	for (const char *c = t; *c; c++)
		if (*c != '-')
			out[n++] = (char)(*c >= 'a' ? *c - 32 : *c);
	snprintf(out + n, PROF_ID_STR - n, "-%u", age);
}

bool prof_id_parse(const char *s, size_t n, struct guid *g, uint32_t *age)
{
	char hex[33];
	uint64_t a = 0;

	if (n < 34 || n > 43 || s[32] != '-')
		return false;
	for (size_t i = 0; i < 32; i++) /* no dashes, no braces: one spelling */
		if (s[i] == '-' || s[i] == '{')
			return false;
	memcpy(hex, s, 32);
	hex[32] = 0;
	for (size_t i = 33; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		a = a * 10 + (uint64_t)(s[i] - '0');
	}
	if (a > UINT32_MAX || !guid_parse(hex, g))
		return false;
	*age = (uint32_t)a;
	return true;
}

int prof_version_compare(const char *a, const char *b)
{
	for (;;) {
		char *ea, *eb;
		unsigned long x = strtoul(a, &ea, 10), y = strtoul(b, &eb, 10);

		if (x != y)
			return x < y ? -1 : 1;
		if (*ea != '.' || *eb != '.')
			return (*ea == '.') - (*eb == '.');
		a = ea + 1;
		b = eb + 1;
	}
}

/* ---- values of the file ---- */
static const cJSON *get(const cJSON *o, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(o, key);
}

static bool number(const cJSON *x, uint32_t max, uint32_t *out)
{
	if (!cJSON_IsNumber(x) || !(x->valuedouble >= 0) || x->valuedouble > max || (double)(uint32_t)x->valuedouble != x->valuedouble)
		return false;
	*out = (uint32_t)x->valuedouble;
	return true;
}

/* Hex digits at s: "0x" may stand before them. NULL: none or too big; else behind them. */
static const char *hex(const char *s, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;
	const char *from;

	if (s[0] == '0' && s[1] == 'x')
		s += 2;
	for (from = s; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++) {
		v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
		if (v > max)
			return NULL;
	}
	*out = (uint32_t)v;
	return s == from ? NULL : s;
}

/* "0x10", or "0x10:3+2" = bits 3 and 4 of the value at 0x10. */
static bool member(const char *s, struct prof_member *out)
{
	uint32_t off;
	unsigned bit = 0, bits = 0;
	int used = 0;

	s = hex(s, PROF_SIZE_MAX, &off);
	if (!s)
		return false;
	if (*s && (strlen(s) > 6 || sscanf(s, ":%2u+%2u%n", &bit, &bits, &used) != 2 || s[used] || bits == 0 || bit + bits > 64))
		return false;
	*out = (struct prof_member){off, (uint8_t)bit, (uint8_t)bits};
	return true;
}

/* Copies a text of printable ASCII without quotes and backslashes (it goes to terminals and back into JSON). */
static bool plain(const cJSON *x, char *out, size_t cap)
{
	size_t n = 0;

	if (!cJSON_IsString(x))
		return false;
	for (const char *c = x->valuestring; *c; c++, n++)
		if (n + 1 >= cap || *c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
			return false;
	memcpy(out, x->valuestring, n + 1);
	return true;
}

static bool name_text(const cJSON *x, char *out, size_t cap)
{
	if (!plain(x, out, cap) || !*out)
		return false;
	for (const char *c = out; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("._-", *c)))
			return false;
	return true;
}

/* ---- variants ---- */
static int parse_type(struct prof_variant *v, enum prof_type t, const cJSON *x, struct err *e)
{
	const cJSON *size = get(x, "size"), *members = get(x, "members");

	if (size && (!cJSON_IsString(size) || !hex(size->valuestring, PROF_SIZE_MAX, &v->size[t])))
		return err_set(e, ERR_FORMAT, "%s: size: not a hexadecimal text up to 0x%x", prof_type_name(t), PROF_SIZE_MAX);
	for (int i = 0; i < PROF_FIELDS; i++) {
		enum prof_field f = (enum prof_field)i;
		const cJSON *m = prof_type_of(f) == t ? get(members, prof_field_member(f)) : NULL;

		if (!m)
			continue;
		if (cJSON_IsNull(m))
			v->field[f] = (struct prof_member){PROF_ABSENT, 0, 0};
		else if (!cJSON_IsString(m) || !member(m->valuestring, &v->field[f]))
			return err_set(e, ERR_FORMAT, "%s.%s: not an offset (\"0x10\", \"0x10:BIT+COUNT\" or null)", prof_type_name(t),
				       prof_field_member(f));
	}
	return 0;
}

static int parse_traits(struct prof_variant *v, const cJSON *traits, struct err *e)
{
	const cJSON *x;

	cJSON_ArrayForEach(x, traits)
	{
		uint32_t n = 0;

		if (cJSON_IsBool(x))
			n = cJSON_IsTrue(x);
		else if (!number(x, UINT32_MAX, &n))
			return err_set(e, ERR_FORMAT, "traits: %s: neither true, false nor a number", x->string);
		if (!prof_trait_set(&v->traits, x->string, n))
			return err_set(e, ERR_FORMAT, "traits: %s: no such trait, or a value that does not fit it", x->string);
	}
	return 0;
}

static size_t variant_by_name(const struct proffile *pf, const char *name)
{
	size_t i = 0;

	while (i < pf->n_v && strcmp(pf->v[i].name, name) != 0)
		i++;
	return i;
}

static int parse_variant(struct proffile *pf, const cJSON *x, struct err *e)
{
	struct prof_variant *v;
	const cJSON *base = get(x, "base"), *types = get(x, "types");
	char name[sizeof(v->name)];
	int r;

	if (pf->n_v == PROF_VARIANTS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d variants", PROF_VARIANTS_MAX);
	if (arr_reserve((void **)&pf->v, &pf->cap_v, pf->n_v, sizeof(*pf->v)))
		return err_set(e, ERR_NOMEM, "out of memory");
	v = &pf->v[pf->n_v];
	memset(v, 0, sizeof(*v));
	prof_traits_default(&v->traits);
	for (int i = 0; i < PROF_FIELDS; i++)
		v->field[i].off = PROF_ABSENT;
	if (base) {
		size_t b = cJSON_IsString(base) ? variant_by_name(pf, base->valuestring) : pf->n_v;

		if (b == pf->n_v)
			return err_set(e, ERR_FORMAT, "base: no variant of that name before this one");
		*v = pf->v[b];
	}
	if (!name_text(get(x, "name"), name, sizeof(name)) || variant_by_name(pf, name) != pf->n_v)
		return err_set(e, ERR_FORMAT, "name: missing, not plain, too long, or there twice");
	memcpy(v->name, name, sizeof(name));
	v->source[0] = 0;
	if (get(x, "source") && !plain(get(x, "source"), v->source, sizeof(v->source)))
		return err_set(e, ERR_FORMAT, "source: not plain text, or longer than %d bytes", PROF_SOURCE_TEXT_MAX - 1);
	if (!cJSON_IsObject(types) && !base)
		return err_set(e, ERR_FORMAT, "types: missing");
	for (int t = 0; t < PROF_TYPES; t++) {
		const cJSON *type = get(types, prof_type_name((enum prof_type)t));

		r = type ? parse_type(v, (enum prof_type)t, type, e) : 0;
		if (r)
			return r;
	}
	r = parse_traits(v, get(x, "traits"), e);
	if (!r)
		pf->n_v++;
	return r;
}

/* ---- kernels ---- */
struct columns {
	int sym[PROF_SYMBOLS * 2]; /* -1: a symbol that this program doesn't use */
	size_t n;
};

static int parse_columns(struct columns *c, const cJSON *list, struct err *e)
{
	const cJSON *x;

	c->n = 0;
	cJSON_ArrayForEach(x, list)
	{
		if (c->n == sizeof(c->sym) / sizeof(c->sym[0]))
			return err_set(e, ERR_LIMIT, "symbols: more than %zu names", sizeof(c->sym) / sizeof(c->sym[0]));
		if (!cJSON_IsString(x))
			return err_set(e, ERR_FORMAT, "symbols: not a list of names");
		c->sym[c->n] = -1;
		for (int i = 0; i < PROF_SYMBOLS; i++)
			if (strcmp(x->valuestring, prof_symbol_name((enum prof_symbol)i)) == 0)
				c->sym[c->n] = i;
		c->n++;
	}
	return 0;
}

/* "1a2b - 30": one hexadecimal number or "-" per column. */
static bool parse_rvas(const struct columns *c, const char *s, uint32_t rva[PROF_SYMBOLS])
{
	for (size_t i = 0; i < c->n; i++) {
		uint32_t v = 0;

		s += strspn(s, " ");
		if (*s == '-')
			s++;
		else if (!(s = hex(s, PROF_RVA_MAX, &v)))
			return false;
		if (*s && *s != ' ')
			return false;
		if (c->sym[i] >= 0)
			rva[c->sym[i]] = v;
	}
	return s[strspn(s, " ")] == 0;
}

static int parse_kernel(struct proffile *pf, const cJSON *x, const char *pdb, const struct columns *c, struct err *e)
{
	const cJSON *id = get(x, "id"), *variant = get(x, "variant"), *rva = get(x, "rva");
	struct prof_kernel *k;

	if (pf->n_k == PROF_KERNELS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d kernels", PROF_KERNELS_MAX);
	if (arr_reserve((void **)&pf->k, &pf->cap_k, pf->n_k, sizeof(*pf->k)))
		return err_set(e, ERR_NOMEM, "out of memory");
	k = &pf->k[pf->n_k];
	memset(k, 0, sizeof(*k));
	memcpy(k->pdb, pdb, sizeof(k->pdb));
	if (!cJSON_IsString(id) || !prof_id_parse(id->valuestring, strlen(id->valuestring), &k->guid, &k->age))
		return err_set(e, ERR_FORMAT, "id: not GUID-AGE");
	if ((get(x, "pdb") && !name_text(get(x, "pdb"), k->pdb, sizeof(k->pdb))) || !k->pdb[0])
		return err_set(e, ERR_FORMAT, "pdb: missing or no plain file name");
	if ((get(x, "version") && !plain(get(x, "version"), k->version, sizeof(k->version))) ||
	    (get(x, "os") && !plain(get(x, "os"), k->os, sizeof(k->os))))
		return err_set(e, ERR_FORMAT, "version, os: not plain text, or too long");
	k->variant = cJSON_IsString(variant) ? variant_by_name(pf, variant->valuestring) : pf->n_v;
	if (k->variant == pf->n_v)
		return err_set(e, ERR_FORMAT, "variant: no such one");
	if (rva && (!cJSON_IsString(rva) || !parse_rvas(c, rva->valuestring, k->rva)))
		return err_set(e, ERR_FORMAT, "rva: not one hexadecimal number or - per name of symbols");
	pf->n_k++;
	return 0;
}

static int parse_lists(struct proffile *pf, const cJSON *root, struct err *e)
{
	const cJSON *x;
	struct columns c;
	char pdb[sizeof(((struct prof_kernel *)0)->pdb)] = "";
	size_t i = 0;
	int r;

	cJSON_ArrayForEach(x, get(root, "variants"))
	{
		r = parse_variant(pf, x, e);
		if (r) {
			err_prepend(e, "variants[%zu]", pf->n_v);
			return r;
		}
	}
	if (pf->n_v == 0)
		return err_set(e, ERR_FORMAT, "variants: none");
	if (get(root, "pdb") && !name_text(get(root, "pdb"), pdb, sizeof(pdb)))
		return err_set(e, ERR_FORMAT, "pdb: no plain file name");
	r = parse_columns(&c, get(root, "symbols"), e);
	if (r)
		return r;
	cJSON_ArrayForEach(x, get(root, "kernels"))
	{
		r = parse_kernel(pf, x, pdb, &c, e);
		if (r) {
			err_prepend(e, "kernels[%zu]", i);
			return r;
		}
		i++;
	}
	return 0;
}

int proffile_parse(struct proffile **out, const char *text, size_t n, struct err *e)
{
	struct proffile *pf = NULL;
	const cJSON *format, *arch;
	enum vm_arch a = VM_X64;
	uint32_t build;
	cJSON *root;
	int r;

	if (n > PROF_FILE_MAX)
		return err_set(e, ERR_LIMIT, "more than %u bytes", PROF_FILE_MAX);
	root = cJSON_ParseWithLength(text, n);
	format = get(root, "format");
	arch = get(root, "arch");
	if (!cJSON_IsString(format) || strcmp(format->valuestring, FORMAT) != 0)
		r = err_set(e, ERR_NOTMINE, root ? "no profile: \"format\" is not \"" FORMAT "\"" : "not JSON");
	else if (!number(get(root, "build"), PROF_BUILD_MAX, &build))
		r = err_set(e, ERR_FORMAT, "build: not a build number");
	else if (!cJSON_IsString(arch) || !prof_arch_parse(arch->valuestring, &a))
		r = err_set(e, ERR_FORMAT, "arch: none of x64, x64-la57, x86, x86-pae, arm64");
	else
		r = proffile_new(&pf, build, a, e);
	if (!r)
		r = parse_lists(pf, root, e);
	cJSON_Delete(root);
	if (r)
		proffile_free(pf);
	else
		*out = pf;
	return r;
}

/* ---- views ---- */
static void view(const struct proffile *pf, const struct prof_variant *v, struct profile *out)
{
	memset(out, 0, sizeof(*out));
	out->build = pf->build;
	out->arch = pf->arch;
	out->pointer_size = pf->arch == VM_X86 || pf->arch == VM_X86_PAE ? 4 : 8;
	memcpy(out->field, v->field, sizeof(out->field));
	memcpy(out->size, v->size, sizeof(out->size));
	out->traits = v->traits;
}

void proffile_view_variant(const struct proffile *pf, size_t i, struct profile *out)
{
	view(pf, &pf->v[i], out);
	snprintf(out->name, sizeof(out->name), "%u-%s/%s", pf->build, prof_arch_name(pf->arch), pf->v[i].name);
}

void proffile_view_kernel(const struct proffile *pf, size_t i, struct profile *out)
{
	const struct prof_kernel *k = &pf->k[i];
	char id[PROF_ID_STR];

	view(pf, &pf->v[k->variant], out);
	prof_id_text(&k->guid, k->age, id);
	snprintf(out->name, sizeof(out->name), "%u-%s/%.39s-%s", pf->build, prof_arch_name(pf->arch), k->pdb, id);
	memcpy(out->version, k->version, sizeof(out->version));
	memcpy(out->pdb, k->pdb, sizeof(out->pdb));
	out->has_guid = true;
	out->guid = k->guid;
	out->age = k->age;
	for (int s = 0; s < PROF_SYMBOLS; s++)
		out->symbol[s] = k->rva[s];
}
