/* symfile.c - see symfile.h */
#include "symfile.h"

#include <stdlib.h>
#include <string.h>

#include "isf.h"
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

int symfile_open(struct symfile *out, const char *path, struct err *e)
{
	struct input *in;
	struct buf text;
	int r = input_open(&in, path, e);

	memset(out, 0, sizeof(*out));
	if (r)
		return r;
	buf_init(&text);
	r = unpack_input(&text, in, ISF_FILE_MAX, e);
	input_close(in);
	if (!r)
		r = from_text(out, &text, e);
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
