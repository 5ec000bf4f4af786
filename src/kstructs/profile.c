/* profile.c - the names of everything in a profile. See profile.h; files are proffile.c, sources profset.c. */
#include "profile.h"

#include <string.h>

static const struct {
	enum prof_type type;
	const char *name;
} fields[PROF_FIELDS] = {
#define TYPE(id, name)
#define FIELD(id, type, member) {type, member},
#include "fields.def"
#undef TYPE
#undef FIELD
};

static const char *const types[PROF_TYPES] = {
#define TYPE(id, name) name,
#define FIELD(id, type, member)
#include "fields.def"
#undef TYPE
#undef FIELD
};

static const char *const symbols[PROF_SYMBOLS] = {
#define SYMBOL(id, name) name,
#include "symbols.def"
#undef SYMBOL
};

static const char *const arches[] = {
	[VM_X64] = "x64", [VM_X64_LA57] = "x64-la57", [VM_X86] = "x86", [VM_X86_PAE] = "x86-pae", [VM_ARM64] = "arm64"};

enum prof_type prof_type_of(enum prof_field f)
{
	return fields[f].type;
}

const char *prof_field_type(enum prof_field f)
{
	return types[fields[f].type];
}

const char *prof_field_member(enum prof_field f)
{
	return fields[f].name;
}

const char *prof_type_name(enum prof_type t)
{
	return types[t];
}

const char *prof_symbol_name(enum prof_symbol s)
{
	return symbols[s];
}

const char *prof_arch_name(enum vm_arch a)
{
	return arches[a];
}

bool prof_arch_parse(const char *s, enum vm_arch *out)
{
	for (size_t i = 0; i < sizeof(arches) / sizeof(arches[0]); i++) {
		if (strcmp(s, arches[i]) == 0) {
			*out = (enum vm_arch)i;
			return true;
		}
	}
	return false;
}
