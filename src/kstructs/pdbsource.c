/* pdbsource.c - what a profile needs of a PDB. See pdb.h. */
#include <stdlib.h>
#include <string.h>

#include "pdb.h"

#define MACHINE_AMD64 0x8664
#define MACHINE_I386  0x14c
#define MACHINE_ARM64 0xaa64

static int members(const struct pdb *p, const struct pdb_type *t, enum prof_type id, struct prof_source *s, struct err *e)
{
	struct pdb_member m = {.list = t->fields};

	while (pdb_next_member(p, &m)) {
		for (int f = 0; f < PROF_FIELDS; f++) {
			bool array;
			uint64_t count, size;

			if (prof_type_of((enum prof_field)f) != id || strcmp(m.name, prof_field_member((enum prof_field)f)) != 0)
				continue;
			if (m.off > PROF_SIZE_MAX || m.bit + m.bits > 64)
				return err_set(e, ERR_FORMAT, "%s.%s: no fitting offset", t->name, m.name);
			s->field[f] = (struct prof_member){(uint32_t)m.off, m.bit, m.bits};
			size = pdb_type_size(p, m.type, &array, &count);
			s->field_size[f] = size <= PROF_SIZE_MAX ? (uint32_t)size : 0;
			s->field_is_array[f] = array;
			s->field_count[f] = count <= PROF_SIZE_MAX ? (uint32_t)count : 0;
		}
	}
	return m.bad ? err_set(e, ERR_FORMAT, "PDB: %s: a damaged field list", t->name) : 0;
}

static int types(const struct pdb *p, struct prof_source *s, struct err *e)
{
	bool seen[PROF_TYPES] = {false}; /* the first definition counts */
	struct pdb_type t;
	uint32_t at = 0;

	while (pdb_next_type(p, &at, &t)) {
		for (int i = 0; i < PROF_TYPES; i++) {
			int r;

			if (seen[i] || strcmp(t.name, prof_type_name((enum prof_type)i)) != 0)
				continue;
			if (t.size > PROF_SIZE_MAX)
				return err_set(e, ERR_FORMAT, "%s: no fitting size", t.name);
			seen[i] = true;
			s->size[i] = (uint32_t)t.size;
			r = members(p, &t, (enum prof_type)i, s, e);
			if (r)
				return r;
		}
	}
	return 0;
}

static void symbols(const struct pdb *p, struct prof_source *s)
{
	struct pdb_symbol sym;
	uint32_t at = 0;

	while (pdb_next_symbol(p, &at, &sym)) {
		const char *name = sym.name;

		if (s->pointer_size == 4 && name[0] == '_')
			name++;
		for (int i = 0; i < PROF_SYMBOLS; i++)
			if (s->rva[i] == 0 && name[0] == prof_symbol_name((enum prof_symbol)i)[0] &&
			    strcmp(name, prof_symbol_name((enum prof_symbol)i)) == 0)
				s->rva[i] = sym.rva;
	}
}

int pdb_source(const struct pdb *p, const char *name, struct prof_source *out, struct err *e)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	struct prof_source *s = malloc(sizeof(*s));
	size_t n = strspn(name, plain);
	uint16_t machine;
	int r;

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	prof_source_init(s);
	pdb_identity(p, &s->guid, &s->age, &machine);
	s->has_guid = true;
	memcpy(s->pdb, name, n < sizeof(s->pdb) ? n : sizeof(s->pdb) - 1);
	if (n == 0)
		memcpy(s->pdb, "unnamed.pdb", 12);
	s->arch = machine == MACHINE_ARM64 ? VM_ARM64 : machine == MACHINE_AMD64 ? VM_X64 : VM_X86;
	s->pointer_size = machine == MACHINE_I386 ? 4 : 8;
	if (machine != MACHINE_AMD64 && machine != MACHINE_I386 && machine != MACHINE_ARM64)
		r = err_set(e, ERR_UNSUPPORTED, "PDB: machine type 0x%x", machine);
	else
		r = types(p, s, e);
	if (!r)
		symbols(p, s);
	if (!r && s->arch == VM_X86 && s->size[T_PTESOFT] == 8)
		s->arch = VM_X86_PAE;
	if (!r && s->arch == VM_X64 && strncmp(s->pdb, "ntkrla57", 8) == 0)
		s->arch = VM_X64_LA57;
	if (!r)
		*out = *s;
	free(s);
	return r;
}
