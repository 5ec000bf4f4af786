/* proftraits.c - traits by name, and where their values come from: the types of the kernel where they tell, else rules by build in
 * profiles/builds.json. See proffile.h, docs/profiles.md. */
#include <cjson/cJSON.h>
#include <stddef.h>
#include <string.h>

#include "builtin.h"
#include "proffile.h"

#define AT(m) offsetof(struct prof_traits, m)

static const struct {
	const char *name;
	enum prof_trait_kind kind;
	size_t at;
} traits[] = {
	{"cpu_low_byte", TRAIT_BOOL, AT(cpu_low_byte)},
	{"partition_record", TRAIT_BOOL, AT(partition_record)},
	{"slots_in_prcb", TRAIT_BOOL, AT(slots_in_prcb)},
	{"prcb_slots_off", TRAIT_U32, AT(prcb_slots_off)},
	{"slots_inline", TRAIT_BOOL, AT(slots_inline)},
	{"empty_slot", TRAIT_U32, AT(empty_slot)},
	{"table_is_inline", TRAIT_BOOL, AT(table_is_inline)},
	{"table_slots", TRAIT_U32, AT(table_slots)},
	{"handle_object_shift", TRAIT_U8, AT(handle_object_shift)},
	{"type_index_encoded", TRAIT_BOOL, AT(type_index_encoded)},
	{"queue_has_head", TRAIT_BOOL, AT(queue_has_head)},
	{"single_list", TRAIT_BOOL, AT(single_list)},
	{"context_align", TRAIT_U32, AT(context_align)},
	{"vm.transition_bit", TRAIT_U8, AT(vm.transition_bit)},
	{"vm.prototype_bit", TRAIT_U8, AT(vm.prototype_bit)},
	{"vm.pagefile_low_shift", TRAIT_U8, AT(vm.pagefile_low_shift)},
	{"vm.pagefile_low_bits", TRAIT_U8, AT(vm.pagefile_low_bits)},
	{"vm.pagefile_high_shift", TRAIT_U8, AT(vm.pagefile_high_shift)},
	{"vm.proto_address_shift", TRAIT_U8, AT(vm.proto_address_shift)},
	{"vm.has_swizzle", TRAIT_BOOL, AT(vm.has_swizzle)},
	{"vm.swizzle_bit", TRAIT_U8, AT(vm.swizzle_bit)},
	{"vm.pfn_bits", TRAIT_U8, AT(vm.pfn_bits)},
};

size_t prof_trait_count(void)
{
	return sizeof(traits) / sizeof(traits[0]);
}

const char *prof_trait_name(size_t i)
{
	return traits[i].name;
}

enum prof_trait_kind prof_trait_kind(size_t i)
{
	return traits[i].kind;
}

uint32_t prof_trait_get(const struct prof_traits *t, size_t i)
{
	const uint8_t *p = (const uint8_t *)t + traits[i].at;
	uint32_t v;

	if (traits[i].kind == TRAIT_BOOL)
		return *(const bool *)p;
	if (traits[i].kind == TRAIT_U8)
		return *p;
	memcpy(&v, p, sizeof(v));
	return v;
}

bool prof_trait_set(struct prof_traits *t, const char *name, uint32_t value)
{
	for (size_t i = 0; i < prof_trait_count(); i++) {
		uint8_t *p = (uint8_t *)t + traits[i].at;

		if (strcmp(name, traits[i].name) != 0)
			continue;
		if (value > (traits[i].kind == TRAIT_BOOL ? 1 : traits[i].kind == TRAIT_U8 ? 63 : UINT32_MAX))
			return false;
		if (traits[i].kind == TRAIT_BOOL)
			*(bool *)p = value != 0;
		else if (traits[i].kind == TRAIT_U8)
			*p = (uint8_t)value;
		else
			memcpy(p, &value, sizeof(value));
		return true;
	}
	return false;
}

/* The values of 19041's PTEs; a profile file says all of them anyway. */
void prof_traits_default(struct prof_traits *t)
{
	memset(t, 0, sizeof(*t));
	t->context_align = 64;
	t->vm.transition_bit = 11;
	t->vm.prototype_bit = 10;
	t->vm.pagefile_low_shift = 12;
	t->vm.pagefile_low_bits = 4;
	t->vm.pagefile_high_shift = 32;
	t->vm.proto_address_shift = 16;
	t->vm.has_swizzle = true;
	t->vm.swizzle_bit = 4;
	t->vm.pfn_bits = 48;
}

static bool bits_of(const struct prof_source *s, enum prof_field f, uint8_t *bit, uint8_t *bits)
{
	const struct prof_member *m = &s->field[f];

	if (m->off == PROF_ABSENT || m->bits == 0)
		return false;
	*bit = (uint8_t)(m->off * 8 + m->bit);
	if (bits)
		*bits = m->bits;
	return true;
}

/* Where the PTE's bits stand. */
static void vm_from_types(const struct prof_source *s, struct vm_traits *t)
{
	uint8_t bit, bits;

	bits_of(s, F_PTESOFT_Transition, &t->transition_bit, NULL);
	bits_of(s, F_PTESOFT_Prototype, &t->prototype_bit, NULL);
	bits_of(s, F_PTESOFT_PageFileLow, &t->pagefile_low_shift, &t->pagefile_low_bits);
	bits_of(s, F_PTESOFT_PageFileHigh, &t->pagefile_high_shift, NULL);
	bits_of(s, F_PTEPROTO_ProtoAddress, &t->proto_address_shift, NULL);
	if (s->size[T_PTESOFT])
		t->has_swizzle = bits_of(s, F_PTESOFT_SwizzleBit, &t->swizzle_bit, NULL);
	if (!t->has_swizzle)
		t->swizzle_bit = 0;
	if (bits_of(s, F_PTETRANS_PageFrameNumber, &bit, &bits))
		t->pfn_bits = (uint8_t)(bit + bits);
}

static void from_types(const struct prof_source *s, struct prof_traits *t)
{
	bool inline_table = s->field[F_SILO_WmipLoggerContext].off != PROF_ABSENT;

	if (s->field[F_BLOCK_ProcessorBuffers].off != PROF_ABSENT)
		t->slots_inline = s->field_is_array[F_BLOCK_ProcessorBuffers];
	t->table_is_inline = inline_table || (s->field[F_SILO_EtwpLoggerContext].off == PROF_ABSENT && t->table_is_inline);
	if (inline_table && s->field_is_array[F_SILO_WmipLoggerContext])
		t->table_slots = s->field_count[F_SILO_WmipLoggerContext];
	if (!t->table_is_inline)
		t->table_slots = 0;
	bits_of(s, F_HENTRY_ObjectPointerBits, &t->handle_object_shift, NULL);
	t->queue_has_head = s->field[F_QUEUE_QueueHead].off != PROF_ABSENT;
	vm_from_types(s, &t->vm);
}

/* ---- rules by build ---- */
static bool number(const cJSON *o, const char *key, uint32_t missing, uint32_t *out)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, key);

	*out = missing;
	if (!x)
		return true;
	if (cJSON_IsBool(x))
		*out = cJSON_IsTrue(x);
	else if (cJSON_IsNumber(x) && x->valuedouble >= 0 && x->valuedouble <= UINT32_MAX)
		*out = (uint32_t)x->valuedouble;
	else
		return false;
	return true;
}

static bool rule_fits(const cJSON *rule, uint32_t build, enum vm_arch arch)
{
	const cJSON *a = cJSON_GetObjectItemCaseSensitive(rule, "arch"), *x;
	uint32_t from, to;
	bool named = false;

	if (!number(rule, "from", 0, &from) || !number(rule, "to", UINT32_MAX, &to) || build < from || build > to)
		return false;
	if (!a)
		return true;
	cJSON_ArrayForEach(x, a) named = named || (cJSON_IsString(x) && strcmp(x->valuestring, prof_arch_name(arch)) == 0);
	return named;
}

static int from_rules(const cJSON *root, uint32_t build, enum vm_arch arch, struct prof_traits *t, struct err *e)
{
	const cJSON *rule;

	cJSON_ArrayForEach(rule, cJSON_GetObjectItemCaseSensitive(root, "rules"))
	{
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(rule, "trait");
		uint32_t v;

		if (!rule_fits(rule, build, arch))
			continue;
		if (!cJSON_IsString(name) || !number(rule, "value", 1, &v) || !prof_trait_set(t, name->valuestring, v))
			return err_set(e, ERR_FORMAT, "builds.json: a rule without a known trait and a fitting value");
	}
	return 0;
}

static int open_builds(cJSON **root, struct err *e)
{
	struct buf text;
	int r;

	buf_init(&text);
	r = builtin_builds(&text, e);
	*root = r ? NULL : cJSON_ParseWithLength((const char *)text.p, text.n);
	buf_free(&text);
	return r ? r : *root ? 0 : err_set(e, ERR_FORMAT, "builds.json: not JSON");
}

int prof_build_family(uint32_t build, uint32_t *out, struct err *e)
{
	const cJSON *family, *x;
	uint32_t base;
	cJSON *root;
	int r = open_builds(&root, e);

	if (r)
		return r;
	*out = build;
	cJSON_ArrayForEach(family, cJSON_GetObjectItemCaseSensitive(root, "families"))
	{
		if (!number(family, "build", 0, &base))
			continue;
		cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(family, "also"))
		{
			if (cJSON_IsNumber(x) && x->valuedouble == build)
				*out = base;
		}
	}
	cJSON_Delete(root);
	return 0;
}

int prof_source_traits(const struct prof_source *s, uint32_t build, struct prof_traits *out, struct err *e)
{
	struct prof_traits t;
	cJSON *root;
	int r = open_builds(&root, e);

	if (r)
		return r;
	prof_traits_default(&t);
	r = from_rules(root, build, s->arch, &t, e);
	cJSON_Delete(root);
	if (r)
		return r;
	from_types(s, &t);
	*out = t;
	return 0;
}
