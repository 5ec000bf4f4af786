/* pdbdump FILE [UNPACKED] - what pdb.c reads, one item a line, for a comparison with llvm-pdbutil:
 *   G GUID AGE MACHINE | T NAME SIZE | M OFFSET BIT BITS NAME (of the type before) | S SEGMENT OFFSET RVA P|D NAME */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cab.h"
#include "pdb.h"
#include "unpack.h"

static int dump(struct input *in, struct err *e)
{
	struct pdb_symbol s;
	struct pdb_type t;
	struct pdb *p;
	struct guid g;
	char text[GUID_STR];
	uint32_t age, at = 0;
	uint16_t machine;
	int r = pdb_open(&p, in, e);

	if (r)
		return r;
	pdb_identity(p, &g, &age, &machine);
	guid_text(&g, text);
	printf("G %s %u %x\n", text, age, machine);
	while (pdb_next_type(p, &at, &t)) {
		struct pdb_member m = {.list = t.fields};

		printf("T %s %" PRIu64 "\n", t.name, t.size);
		while (pdb_next_member(p, &m))
			printf("M %" PRIu64 " %u %u %s\n", m.off, m.bit, m.bits, m.name);
		if (m.bad)
			printf("BAD %s\n", t.name);
	}
	at = 0;
	while (pdb_next_symbol(p, &at, &s))
		printf("S %u %u %u %c %s\n", s.segment, s.offset, s.rva, s.is_public ? 'P' : 'D', s.name);
	pdb_close(p);
	return 0;
}

int main(int argc, char **argv)
{
	char name[CAB_NAME_MAX];
	struct buf raw, file;
	struct input *in;
	struct err e = {0, ""};
	int r = argc == 2 || argc == 3 ? input_open(&in, argv[1], &e) : ERR_USAGE;

	buf_init(&raw);
	buf_init(&file);
	if (!r)
		r = unpack_input(&raw, in, 512u << 20, &e);
	if (!r && cab_first_file(raw.p, raw.n, 512u << 20, &file, name, NULL) == 0) {
		r = input_open_memory(&in, file.p, file.n, name, &e);
		FILE *out = argc == 3 ? fopen(argv[2], "wb") : NULL;

		if (out) {
			fwrite(file.p, 1, file.n, out);
			fclose(out);
		}
	}
	if (!r)
		r = dump(in, &e);
	if (r)
		fprintf(stderr, "pdbdump: %s\n", e.msg);
	return r ? 1 : 0;
}
