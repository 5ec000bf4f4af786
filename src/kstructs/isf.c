/* isf.c - see isf.h. Format: the public JSON schema of volatility3 (schemas/schema-6.x.json) and the real tables. */
#include "isf.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_AMD64 0x8664
#define MACHINE_I386  0x14c
#define MACHINE_ARM64 0xaa64

struct isf {
	const cJSON *base, *user, *enums, *symbols;
	unsigned pointer_size;
};

static const cJSON *get(const cJSON *o, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(o, key);
}

static bool number(const cJSON *x, double max, uint64_t *out)
{
	if (!cJSON_IsNumber(x) || !(x->valuedouble >= 0) || x->valuedouble > max)
		return false;
	*out = (uint64_t)x->valuedouble;
	return (double)*out == x->valuedouble;
}

static const char *text(const cJSON *o, const char *key)
{
	const cJSON *x = get(o, key);

	return cJSON_IsString(x) ? x->valuestring : "";
}

static uint64_t named_size(const cJSON *table, const char *name)
{
	uint64_t v;

	return number(get(get(table, name), "size"), PROF_SIZE_MAX, &v) ? v : 0;
}

/* Bytes of a value of this type; 0 unknown. *count: elements of the outermost array, 0: no array. */
static uint32_t type_size(const struct isf *f, const cJSON *type, uint32_t *count)
{
	uint64_t times = 1, v, size = 0;

	*count = 0;
	for (int depth = 0; depth < ISF_TYPE_DEPTH_MAX && cJSON_IsObject(type); depth++) {
		const char *kind = text(type, "kind"), *name = text(type, "name");

		if (!strcmp(kind, "array")) {
			if (!number(get(type, "count"), PROF_SIZE_MAX, &v))
				return 0;
			if (depth == 0)
				*count = (uint32_t)v;
			times *= v;
			if (times > PROF_SIZE_MAX)
				return 0;
			type = get(type, "subtype");
			continue;
		}
		if (!strcmp(kind, "bitfield")) {
			type = get(type, "type");
			continue;
		}
		if (!strcmp(kind, "pointer"))
			size = f->pointer_size;
		else if (!strcmp(kind, "base"))
			size = named_size(f->base, name);
		else if (!strcmp(kind, "enum"))
			size = named_size(f->enums, name);
		else
			size = named_size(f->user, name);
		break;
	}
	return size * times <= PROF_SIZE_MAX ? (uint32_t)(size * times) : 0;
}

static int one_member(const struct isf *f, const cJSON *field, uint32_t base, enum prof_field id, struct prof_source *s, struct err *e)
{
	const cJSON *type = get(field, "type");
	uint64_t off, bit = 0, bits = 0;
	uint32_t count;

	if (!number(get(field, "offset"), PROF_SIZE_MAX, &off))
		return err_set(e, ERR_FORMAT, "%s.%s: no fitting offset", prof_field_type(id), prof_field_member(id));
	if (!strcmp(text(type, "kind"), "bitfield")) {
		if (!number(get(type, "bit_position"), 63, &bit) || !number(get(type, "bit_length"), 64, &bits) || bits == 0 ||
		    bit + bits > 64)
			return err_set(e, ERR_FORMAT, "%s.%s: no fitting bit field", prof_field_type(id), prof_field_member(id));
	}
	s->field[id] = (struct prof_member){(uint32_t)off + base, (uint8_t)bit, (uint8_t)bits};
	s->field_size[id] = type_size(f, type, &count);
	s->field_is_array[id] = !strcmp(text(type, "kind"), "array");
	s->field_count[id] = count;
	return 0;
}

struct place {
	const cJSON *fields;
	uint32_t base;
};

/* All members of one type that we want, its anonymous parts included. */
static int one_type(const struct isf *f, enum prof_type t, const cJSON *def, struct prof_source *s, struct err *e)
{
	struct place todo[ISF_ANONYMOUS_MAX] = {{get(def, "fields"), 0}};
	size_t n = 1;
	uint64_t v;

	if (!number(get(def, "size"), PROF_SIZE_MAX, &v))
		return err_set(e, ERR_FORMAT, "%s: no fitting size", prof_type_name(t));
	s->size[t] = (uint32_t)v;
	for (size_t i = 0; i < n; i++) {
		const cJSON *field;

		for (int id = 0; id < PROF_FIELDS; id++) {
			const cJSON *x;
			int r;

			if (prof_type_of((enum prof_field)id) != t || s->field[id].off != PROF_ABSENT)
				continue;
			x = get(todo[i].fields, prof_field_member((enum prof_field)id));
			r = x ? one_member(f, x, todo[i].base, (enum prof_field)id, s, e) : 0;
			if (r)
				return r;
		}
		cJSON_ArrayForEach(field, todo[i].fields)
		{
			const cJSON *sub = get(field, "type");

			if (!cJSON_IsTrue(get(field, "anonymous")) || !number(get(field, "offset"), PROF_SIZE_MAX, &v))
				continue;
			if (n == ISF_ANONYMOUS_MAX)
				return err_set(e, ERR_LIMIT, "%s: more than %d anonymous members", prof_type_name(t), ISF_ANONYMOUS_MAX);
			if (todo[i].base + v <= PROF_SIZE_MAX)
				todo[n++] = (struct place){get(get(f->user, text(sub, "name")), "fields"), todo[i].base + (uint32_t)v};
		}
	}
	return 0;
}

static int types(const struct isf *f, struct prof_source *s, struct err *e)
{
	for (int t = 0; t < PROF_TYPES; t++) {
		const cJSON *def = get(f->user, prof_type_name((enum prof_type)t));
		int r = def ? one_type(f, (enum prof_type)t, def, s, e) : 0;

		if (r)
			return r;
	}
	return 0;
}

/* One pass over the (tens of thousands of) symbols; the first of a name wins. On x86 publics may carry C's underscore. */
static int symbols(const struct isf *f, struct prof_source *s, struct err *e)
{
	const cJSON *x;

	cJSON_ArrayForEach(x, f->symbols)
	{
		const char *name = x->string;
		uint64_t v;

		if (f->pointer_size == 4 && name[0] == '_')
			name++;
		for (int i = 0; i < PROF_SYMBOLS; i++) {
			if (name[0] != prof_symbol_name((enum prof_symbol)i)[0] || strcmp(name, prof_symbol_name((enum prof_symbol)i)) != 0)
				continue;
			if (!number(get(x, "address"), PROF_RVA_MAX, &v))
				return err_set(e, ERR_FORMAT, "symbol %s: no fitting address", prof_symbol_name((enum prof_symbol)i));
			if (s->rva[i] == 0)
				s->rva[i] = (uint32_t)v;
		}
	}
	return 0;
}

static int identity(const cJSON *root, struct isf *f, struct prof_source *s, struct err *e)
{
	const cJSON *pdb = get(get(get(root, "metadata"), "windows"), "pdb");
	const char *guid = text(pdb, "GUID"), *name = text(pdb, "database");
	uint64_t machine = 0, age, size;

	if (!number(get(get(f->base, "pointer"), "size"), 8, &size) || (size != 4 && size != 8))
		return err_set(e, ERR_FORMAT, "base_types.pointer: a size that is neither 4 nor 8");
	f->pointer_size = s->pointer_size = (unsigned)size;
	if (get(pdb, "machine_type") && !number(get(pdb, "machine_type"), 0xffff, &machine))
		return err_set(e, ERR_FORMAT, "metadata.windows.pdb.machine_type: no fitting number");
	if (machine == 0)
		machine = size == 8 ? MACHINE_AMD64 : MACHINE_I386;
	if (machine != MACHINE_AMD64 && machine != MACHINE_I386 && machine != MACHINE_ARM64)
		return err_set(e, ERR_UNSUPPORTED, "machine type 0x%x", (unsigned)machine);
	if ((machine == MACHINE_I386) != (size == 4))
		return err_set(e, ERR_FORMAT, "machine type 0x%x with pointers of %u bytes", (unsigned)machine, (unsigned)size);
	s->arch = machine == MACHINE_ARM64 ? VM_ARM64 : machine == MACHINE_AMD64 ? VM_X64 : VM_X86;
	if (!cJSON_IsObject(pdb) || !get(pdb, "GUID"))
		return 0;
	if (!guid_parse(guid, &s->guid) || !number(get(pdb, "age"), UINT32_MAX, &age) || strlen(name) >= sizeof(s->pdb) || !*name)
		return err_set(e, ERR_FORMAT, "metadata.windows.pdb: no fitting GUID, age or database");
	for (const char *c = name; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("._-", *c)))
			return err_set(e, ERR_FORMAT, "metadata.windows.pdb.database: not a plain file name");
	memcpy(s->pdb, name, strlen(name) + 1);
	s->age = (uint32_t)age;
	s->has_guid = true;
	if (s->arch == VM_X64 && strncmp(s->pdb, "ntkrla57", 8) == 0)
		s->arch = VM_X64_LA57;
	return 0;
}

int isf_parse(const char *json, size_t n, struct prof_source *out, struct err *e)
{
	struct prof_source *s = malloc(sizeof(*s));
	cJSON *root = s ? cJSON_ParseWithLength(json, n) : NULL;
	struct isf f = {get(root, "base_types"), get(root, "user_types"), get(root, "enums"), get(root, "symbols"), 0};
	int r;

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (!cJSON_IsObject(f.user) || !cJSON_IsObject(f.symbols)) {
		r = err_set(e, ERR_NOTMINE, root ? "no ISF: user_types or symbols is missing" : "not JSON");
	} else {
		prof_source_init(s);
		r = identity(root, &f, s, e);
		if (!r)
			r = types(&f, s, e);
		if (!r)
			r = symbols(&f, s, e);
		if (!r && s->arch == VM_X86 && s->size[T_PTESOFT] == 8)
			s->arch = VM_X86_PAE;
	}
	cJSON_Delete(root);
	if (!r)
		*out = *s;
	free(s);
	return r;
}
