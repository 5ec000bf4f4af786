/* proffile.h - one profile file (profiles/BUILD-ARCH.json) in memory: layout variants, and the kernels that point to them.
 *
 * docs/profiles.md has the format. Reading: proffile_parse(); the text may be hostile, every count and number has a named limit, a refusal
 * names the place. Writing: proffile_write() gives the same bytes for the same contents. prof_source is what a symbol file (ISF, PDB) says
 * about one kernel; proffile_add_source() turns it into a variant (joined with an equal one) and a kernel row. */
#ifndef ETLIFT_PROFFILE_H
#define ETLIFT_PROFFILE_H

#include "buf.h"
#include "err.h"
#include "profile.h"

#define PROF_FILE_MAX        (8u << 20)  /* bytes of a profile file */
#define PROF_VARIANTS_MAX    256         /* in one file */
#define PROF_KERNELS_MAX     4096        /* in one file */
#define PROF_SIZE_MAX        0x1000000u  /* of a type; also the limit of an offset */
#define PROF_RVA_MAX         0xffffffffu /* of a symbol */
#define PROF_SOURCE_TEXT_MAX 160         /* bytes of a "source" text */
#define PROF_BUILD_MAX       0x0fffffff  /* NtBuildNumber's low 28 bits */

struct prof_variant {
	char name[32];
	char source[PROF_SOURCE_TEXT_MAX]; /* who says so */
	struct prof_member field[PROF_FIELDS];
	uint32_t size[PROF_TYPES];
	struct prof_traits traits;
};

struct prof_kernel {
	struct guid guid;
	uint32_t age;
	char pdb[40];
	char version[24], os[32]; /* "" unknown */
	size_t variant;
	uint32_t rva[PROF_SYMBOLS]; /* 0: none */
};

struct proffile {
	uint32_t build;
	enum vm_arch arch;
	struct prof_variant *v;
	size_t n_v, cap_v;
	struct prof_kernel *k; /* by version, then GUID */
	size_t n_k, cap_k;
};

/* What a symbol file says about one kernel. */
struct prof_source {
	bool has_guid;
	struct guid guid;
	uint32_t age;
	char pdb[40];
	enum vm_arch arch;
	unsigned pointer_size;
	struct prof_member field[PROF_FIELDS];
	uint32_t field_size[PROF_FIELDS]; /* bytes of the member, 0 unknown */
	bool field_is_array[PROF_FIELDS];
	uint32_t field_count[PROF_FIELDS]; /* elements, when an array */
	uint32_t size[PROF_TYPES];
	uint32_t rva[PROF_SYMBOLS];
};

/* What no symbol file says. Texts may be NULL. */
struct prof_facts {
	uint32_t build;
	const char *version; /* "10.0.19041.1466" */
	const char *os;
	const char *source; /* who says so: kept in the variant */
};

/* All members absent. */
void prof_source_init(struct prof_source *s);

int proffile_new(struct proffile **out, uint32_t build, enum vm_arch arch, struct err *e);
void proffile_free(struct proffile *pf); /* takes NULL */

/* Parses n bytes of JSON. ERR_NOTMINE: JSON or not, it is no profile file ("format" is not ours). ERR_FORMAT with the place. */
int proffile_parse(struct proffile **out, const char *text, size_t n, struct err *e);

/* The JSON text. ERR_NOMEM. Call proffile_settle() after changes. */
int proffile_write(const struct proffile *pf, struct buf *out, struct err *e);

/* Traits of a build from the types, where they tell, else from the built-in table of builds (profiles/builds.json). */
int prof_source_traits(const struct prof_source *s, uint32_t build, struct prof_traits *out, struct err *e);

/* The build under which the profiles of this one stand (profiles/builds.json): 19045 -> 19041; itself when it is in no family. */
int prof_build_family(uint32_t build, uint32_t *out, struct err *e);

/* Adds the kernel (when s has a GUID) and its layout. ERR_USAGE when build or architecture is not the file's. A kernel that is there already is
 * replaced. */
int proffile_add_source(struct proffile *pf, const struct prof_source *s, const struct prof_facts *f, struct err *e);

/* Adds everything of `from` (same build and architecture). */
int proffile_merge(struct proffile *pf, const struct proffile *from, struct err *e);

/* Sorts kernels, drops layouts that nothing points to and that another one holds whole, names variants. */
int proffile_settle(struct proffile *pf, struct err *e);

/* The flattened view: of kernel k, or of variant v (no symbols). */
void proffile_view_kernel(const struct proffile *pf, size_t k, struct profile *out);
void proffile_view_variant(const struct proffile *pf, size_t v, struct profile *out);

/* Compares "10.0.19041.1466" by numbers: < 0, 0, > 0. */
int prof_version_compare(const char *a, const char *b);

/* "GUID-AGE" as in file names: GUID upper case without dashes, age decimal. */
#define PROF_ID_STR 44
void prof_id_text(const struct guid *g, uint32_t age, char out[PROF_ID_STR]);
bool prof_id_parse(const char *s, size_t n, struct guid *g, uint32_t *age);

/* ---- traits by name: one table for reading, writing, rules and show */
enum prof_trait_kind { TRAIT_BOOL, TRAIT_U8, TRAIT_U32 };
size_t prof_trait_count(void);
const char *prof_trait_name(size_t i); /* "cpu_low_byte" ... "vm.swizzle_bit" */
enum prof_trait_kind prof_trait_kind(size_t i);
uint32_t prof_trait_get(const struct prof_traits *t, size_t i);
/* False when there is no such trait or the value doesn't fit it. */
bool prof_trait_set(struct prof_traits *t, const char *name, uint32_t value);
void prof_traits_default(struct prof_traits *t);

#endif
