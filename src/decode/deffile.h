/* deffile.h - definitions from files that the user gives: --manifest (manifests, and PE files with a WEVT_TEMPLATE resource). */
#ifndef ETLIFT_DEFFILE_H
#define ETLIFT_DEFFILE_H

#include "input.h"
#include "manifest.h"

#define DEFFILE_DEPTH_MAX 16      /* folders in folders */
#define DEFFILE_FILES_MAX 200000u /* files of one walk */

struct deffile_report { /* both may be NULL */
	void *ctx;
	void (*broken)(void *ctx, const struct err *why); /* a file of a folder that is one of ours, but damaged; the walk goes on */
};

/* Calls `take` on a file, or on every file of a folder and its folders, by name. `take` returns ERR_NOTMINE for a file of another kind: passed over
 * in a folder, ERR_FORMAT for the file that was named. ERR_NOMEM and ERR_INTR end a walk; other errors of a folder's file are reported. The count
 * of files taken, or ERR_*. */
int deffile_walk(const char *path, int (*take)(void *ctx, struct input *in, struct err *e), void *ctx, const struct deffile_report *report,
		 struct err *e);

/* The whole of a file of at most `max` bytes, on the heap. ERR_LIMIT, ERR_NOMEM, ERR_IO. */
int deffile_read(struct input *in, size_t max, uint8_t **out, size_t *n, struct err *e);

/* --manifest PATH. The count of files taken, or ERR_*. */
int deffile_manifests(struct schemas *s, const char *path, struct definition_counts *n, const struct deffile_report *report, struct err *e);

#endif
