/* PDB files: container, types, symbols; all that can be asked for is asked for. */
#include <stdlib.h>

#include "pdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct pdb *p)
{
	static struct prof_source s;
	struct pdb_symbol sym;
	struct pdb_type t;
	uint32_t at = 0;
	struct err e;
	size_t budget = 100000; /* members in all: lists may be shared */

	while (pdb_next_type(p, &at, &t)) {
		struct pdb_member m = {.list = t.fields};

		while (budget && pdb_next_member(p, &m)) {
			uint64_t count;
			bool array;

			pdb_type_size(p, m.type, &array, &count);
			budget--;
		}
	}
	at = 0;
	while (pdb_next_symbol(p, &at, &sym))
		if (!sym.name)
			abort();
	if (pdb_source(p, "ntkrnlmp.pdb", &s, &e) == 0 && s.pointer_size != 4 && s.pointer_size != 8)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input *in;
	struct pdb *p;
	struct err e;

	if (size > 1 << 20 || input_open_memory(&in, data, size, "fuzz.pdb", &e))
		return 0;
	if (pdb_open(&p, in, &e) == 0) {
		walk(p);
		pdb_close(p);
	}
	input_close(in);
	return 0;
}
