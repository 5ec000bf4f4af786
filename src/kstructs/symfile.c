/* symfile.c - see symfile.h */
#include "symfile.h"

#include <stdlib.h>
#include <string.h>

#include "cab.h"
#include "isf.h"
#include "path.h"
#include "pdb.h"
#include "unpack.h"

const char *symfile_word(enum symfile_kind k)
{
	return k == SYMFILE_PROFILE ? "given" : k == SYMFILE_ISF ? "isf" : "pdb";
}

static int from_text(struct symfile *out, const struct buf *text, struct err *e)
{
	int r = text->n <= PROF_FILE_MAX ? proffile_parse(&out->pf, (const char *)text->p, text->n, e) : ERR_NOTMINE;

	if (r != ERR_NOTMINE) {
		out->kind = SYMFILE_PROFILE;
		return r;
	}
	out->kind = SYMFILE_ISF;
	out->syms = malloc(sizeof(*out->syms));
	if (!out->syms)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = isf_parse((const char *)text->p, text->n, out->syms, e);
	if (r == ERR_NOTMINE)
		err_prepend(e, "neither a profile nor a symbol table");
	return r;
}

#define PDB_FILE_MAX (512u << 20) /* bytes, unpacked; a kernel's has some 10 MB */

/* `name`: the PDB's, as its folder or cabinet calls it. */
static int from_pdb(struct symfile *out, struct input *in, const char *name, struct err *e)
{
	struct pdb *p;
	int r = pdb_open(&p, in, e);

	if (r)
		return r;
	out->kind = SYMFILE_PDB;
	out->syms = malloc(sizeof(*out->syms));
	r = out->syms ? pdb_source(p, name, out->syms, e) : err_set(e, ERR_NOMEM, "out of memory");
	pdb_close(p);
	return r;
}

static int from_cab(struct symfile *out, const struct buf *packed, struct err *e)
{
	char name[CAB_NAME_MAX];
	struct input *in;
	struct buf file;
	int r;

	buf_init(&file);
	r = cab_first_file(packed->p, packed->n, PDB_FILE_MAX, &file, name, e);
	if (!r)
		r = input_open_memory(&in, file.p, file.n, name, e);
	if (!r) {
		r = from_pdb(out, in, name, e);
		input_close(in);
		if (r == ERR_NOTMINE)
			r = err_set(e, ERR_FORMAT, "a cabinet without a PDB");
	}
	buf_free(&file);
	return r;
}

int symfile_open(struct symfile *out, const char *path, struct err *e)
{
	struct input *in;
	struct buf text;
	int r = input_open(&in, path, e);

	memset(out, 0, sizeof(*out));
	if (r)
		return r;
	buf_init(&text);
	r = from_pdb(out, in, path_base(path), e);
	if (r == ERR_NOTMINE) {
		r = unpack_input(&text, in, ISF_FILE_MAX, e);
		if (!r && text.n >= 4 && memcmp(text.p, "MSCF", 4) == 0)
			r = from_cab(out, &text, e);
		else if (!r)
			r = from_text(out, &text, e);
	}
	input_close(in);
	buf_free(&text);
	if (r) {
		symfile_close(out);
		err_prepend(e, "%s", path);
	}
	return r;
}

void symfile_close(struct symfile *f)
{
	proffile_free(f->pf);
	free(f->syms);
	memset(f, 0, sizeof(*f));
}
