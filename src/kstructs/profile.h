/* profile.h - where the members of this kernel's structures are, and where its symbols stand.
 *
 * Offsets live in profiles, members in fields.def, symbols in symbols.def: C never compares a build number and never holds an offset of
 * a kernel structure. Code asks prof_has(). A profile file (profiles/BUILD-ARCH.json) holds named layout variants, and for each kernel
 * identity (PDB GUID-age) its variant and symbol addresses; docs/profiles.md has the format. All of them are compiled in, packed one by one,
 * and unpacked when asked for. A struct profile is the flattened view of one kernel. */
#ifndef ETLIFT_PROFILE_H
#define ETLIFT_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "guid.h"
#include "vm.h"

enum prof_type {
#define TYPE(id, name) id,
#define FIELD(id, type, member)
#include "fields.def"
#undef TYPE
#undef FIELD
	PROF_TYPES
};

enum prof_field {
#define TYPE(id, name)
#define FIELD(id, type, member) id,
#include "fields.def"
#undef TYPE
#undef FIELD
	PROF_FIELDS
};

enum prof_symbol {
#define SYMBOL(id, name) id,
#include "symbols.def"
#undef SYMBOL
	PROF_SYMBOLS
};

#define PROF_ABSENT UINT32_MAX

struct prof_member {
	uint32_t off;      /* bytes from the start of the type; PROF_ABSENT: this kernel has none */
	uint8_t bit, bits; /* bit field: first bit and count; bits == 0: no bit field */
};

/* Traits: what changes with the build but is no member offset. Set by `profile make` from the build, overridable in the JSON. */
struct prof_traits {
	bool cpu_low_byte;           /* Windows 7: header processor word = index | 0x800 */
	bool partition_record;       /* writes header record 0x50 (18362 and later) */
	bool slots_in_prcb;          /* per-CPU buffers in _KPRCB.EtwSupport (up to 14393) */
	uint32_t prcb_slots_off;     /* from EtwSupport to the slot array */
	bool slots_inline;           /* 15063: ProcessorBuffers is an inline array */
	uint32_t empty_slot;         /* value of a free logger table slot: 1, or 0 before it was so */
	bool table_is_inline;        /* context table: inline array, not a pointer */
	uint32_t table_slots;        /* slots of the inline table: 64 */
	uint8_t handle_object_shift; /* ObjectPointerBits: entry >> shift, << 4 (x86: << 3); 0: plain pointer with low bits masked */
	bool type_index_encoded;     /* ^ cookie ^ second address byte (Windows 10) */
	bool queue_has_head;         /* _ETW_BUFFER_QUEUE with QueueHead */
	bool single_list;            /* Vista: GlobalList is an SLIST_HEADER, GlobalEntry one link to the next */
	uint32_t context_align;      /* logger contexts stand at multiples of this */
	struct vm_traits vm;
};

#define PROF_NAME_MAX 80

struct profile {
	char name[PROF_NAME_MAX]; /* "19041-x64/ntkrnlmp.pdb-GUID-AGE"; a variant: "19041-x64/19041.1466" */
	char version[24];         /* "10.0.19041.1466"; "" unknown */
	uint32_t build;
	enum vm_arch arch;
	unsigned pointer_size;
	bool has_guid;
	struct guid guid;
	uint32_t age;
	char pdb[40];
	struct prof_member field[PROF_FIELDS];
	uint32_t size[PROF_TYPES];     /* sizeof; 0 unknown */
	uint64_t symbol[PROF_SYMBOLS]; /* RVA; 0 unknown */
	struct prof_traits traits;
};

static inline bool prof_has(const struct profile *p, enum prof_field f)
{
	return p->field[f].off != PROF_ABSENT;
}
static inline uint32_t prof_off(const struct profile *p, enum prof_field f)
{
	return p->field[f].off;
}
static inline uint32_t prof_size(const struct profile *p, enum prof_type t)
{
	return p->size[t];
}
static inline bool prof_has_symbol(const struct profile *p, enum prof_symbol s)
{
	return p->symbol[s] != 0;
}

const char *prof_arch_name(enum vm_arch a); /* "x64" "x64-la57" "x86" "x86-pae" "arm64" */
bool prof_arch_parse(const char *s, enum vm_arch *out);
const char *prof_field_type(enum prof_field f);   /* "_WMI_LOGGER_CONTEXT" */
const char *prof_field_member(enum prof_field f); /* "GlobalList" */
const char *prof_type_name(enum prof_type t);
const char *prof_symbol_name(enum prof_symbol s);
enum prof_type prof_type_of(enum prof_field f);

/* The built-in set. `set` = where profiles come from, in this order: given files and folders (--symbols, --profile), then built-in ones. */
struct profset;

int profset_new(struct profset **out, struct err *e);
void profset_free(struct profset *s); /* takes NULL */
int profset_add_path(
	struct profset *s, const char *path,
	struct
	err *e); /* profile JSON, ISF (.json, .xz, .gz), PDB (.pdb, .pd_), or a folder of them, also Volatility 3's and symbol servers' */
void profset_disable_builtin(struct profset *s);       /* --no-builtin */
void profset_disable_builtin_build(struct profset *s); /* --no-builtin=build */

/* The profile of exactly this kernel: ERR_NOTFOUND when nobody has it. *from says where it came from: "guid" (built in), "isf", "pdb", "given". */
int profset_find(struct profset *s, const struct guid *guid, uint32_t age, uint32_t build_hint, struct profile *out, const char **from,
		 struct err *e);

/* Layout variants of a build (no symbols in them): the i-th, ERR_NOTFOUND behind the last. Given ones first, then built-in ones; those made
 * from kernels before those known by structure only, later versions first (an unknown kernel is most often newer than the tables). x86 with
 * and without PAE count as one: only the PTE traits differ. Builds of one family (19041 .. 19045) share their profiles: out->build says
 * under which they stand. */
int profset_variant(struct profset *s, uint32_t build, enum vm_arch arch, size_t i, struct profile *out, struct err *e);

/* The i-th (build, arch) that profset_variant() has something for: each once, by rising build. ERR_NOTFOUND behind the last. */
int profset_build_at(struct profset *s, size_t i, uint32_t *build, enum vm_arch *arch, struct err *e);

/* --no-builtin=build works on the build that the first profset_find() named (its hint, or the built-in profile of that GUID), or on the one
 * that is told here. */
void profset_set_image_build(struct profset *s, uint32_t build);

/* By name or file (--profile): "BUILD-ARCH/VARIANT", "BUILD-ARCH" when it has one variant only, "[PDB-]GUID-AGE", a profile file of one kernel
 * or one variant, an ISF file. */
int profset_named(struct profset *s, const char *name, struct profile *out, struct err *e);

#endif
