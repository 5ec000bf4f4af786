/* pdb.h - reads a PDB file: identity, structure types, public and global symbols. Layout: LLVM's public "The PDB File Format" and the CodeView
 * record numbers of microsoft/microsoft-pdb (cvinfo.h: facts only).
 *
 * Anonymous unions and structs are flattened by the compiler already: their members stand in the field list of the type that holds them.
 * Addresses are RVAs: section headers, and the OMAP tables of images that were rearranged after linking (old kernels) are applied. */
#ifndef ETLIFT_PDB_H
#define ETLIFT_PDB_H

#include <stdbool.h>

#include "err.h"
#include "guid.h"
#include "input.h"
#include "proffile.h"

#define PDB_TYPES_MAX       (8u << 20) /* records of the type stream */
#define PDB_FIELD_LISTS_MAX 4096       /* pieces of one field list */
#define PDB_TYPE_DEPTH_MAX  16         /* typedef-like steps to a size */

struct pdb;

/* Reads what is needed of `in`; it may be closed afterwards. ERR_NOTMINE: no PDB. */
int pdb_open(struct pdb **out, struct input *in, struct err *e);
void pdb_close(struct pdb *p); /* takes NULL */

void pdb_identity(const struct pdb *p, struct guid *guid, uint32_t *age, uint16_t *machine);

/* Types with a definition (struct, class, union), in the order of the file. *at begins as 0. False: no more. Names live as long as p. */
struct pdb_type {
	const char *name;
	uint64_t size;
	uint32_t fields; /* for pdb_next_member() */
};
bool pdb_next_type(const struct pdb *p, uint32_t *at, struct pdb_type *t);

/* Data members. m->at etc. begin as zero with m->list = type.fields. False: no more (or damage: m->bad). */
struct pdb_member {
	const char *name;
	uint64_t off;
	uint8_t bit, bits; /* bits == 0: no bit field */
	uint32_t type;
	uint32_t list, at, hops; /* where the walk is */
	bool bad;
};
bool pdb_next_member(const struct pdb *p, struct pdb_member *m);

/* Bytes of a type, 0 unknown; *is_array, *count (elements, when known). */
uint64_t pdb_type_size(const struct pdb *p, uint32_t type, bool *is_array, uint64_t *count);

/* Public and global data symbols with an address. */
struct pdb_symbol {
	const char *name;
	bool is_public;
	uint16_t segment;
	uint32_t offset;
	uint32_t rva; /* 0: in no section, or optimised away */
};
bool pdb_next_symbol(const struct pdb *p, uint32_t *at, struct pdb_symbol *s);

/* What a profile needs of it. `name`: of the PDB file ("ntkrnlmp.pdb"); other characters than letters, digits, "._-" end it. */
int pdb_source(const struct pdb *p, const char *name, struct prof_source *out, struct err *e);

#endif
