/* profmake.h - `etlift profile make` and `merge`: symbol files and profiles in, one profile file per build and architecture out. */
#ifndef ETLIFT_PROFMAKE_H
#define ETLIFT_PROFMAKE_H

#include "err.h"
#include "proffile.h"

#define PROFMAKE_FILES_MAX    256  /* builds times architectures */
#define PROFMAKE_VERSIONS_MAX 8192 /* lines of a versions file */

struct profmake_opts {
	uint32_t build;       /* --build; 0: from the versions, else from the built-in profile of the same GUID */
	const char *version;  /* "10.0.19041.1466" for all files, or NULL */
	const char *os;       /* or NULL */
	const char *source;   /* kept in new variants, or NULL: the file's name */
	const char *versions; /* path of a table: lines of GUID-AGE, version, os (tabs; the first two in any order), or NULL */
	bool profiles_only;   /* merge: symbol files are refused */
	bool replace;         /* begin anew: what stands in `out` is replaced, not joined */
	const char *out;      /* folder */
};

struct profmake_done { /* what was written */
	size_t n_files, n_kernels, n_variants;
};

/* Reads every file, joins what belongs to one build and architecture (with what stands in the folder already), writes BUILD-ARCH.json.
 * Nothing is written when a file is refused. */
int profmake_run(const struct profmake_opts *o, const char *const *path, size_t n, struct profmake_done *done, struct err *e);

#endif
