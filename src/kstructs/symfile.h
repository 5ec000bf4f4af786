/* symfile.h - opens a file of symbols or a profile, whichever it is: profile JSON, ISF (.json, .json.xz, .json.gz), PDB
 * (also as a cabinet, .pd_). Told by contents. */
#ifndef ETLIFT_SYMFILE_H
#define ETLIFT_SYMFILE_H

#include "err.h"
#include "proffile.h"

enum symfile_kind { SYMFILE_PROFILE, SYMFILE_ISF, SYMFILE_PDB };

struct symfile {
	enum symfile_kind kind;
	struct proffile *pf;      /* SYMFILE_PROFILE */
	struct prof_source *syms; /* else */
};

/* ERR_NOTMINE: none of them. The message begins with the path. */
int symfile_open(struct symfile *out, const char *path, struct err *e);
void symfile_close(struct symfile *f);

const char *symfile_word(enum symfile_kind k); /* "given" "isf" "pdb": the report's kernel.profile.match */

#endif
