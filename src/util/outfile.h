/* outfile.h - the output folder: the one module that creates files.
 *
 * A file appears under its final name only when it is whole: written under a temporary name in the same folder, fsync, rename. Names are
 * relative to the output folder; one that is absolute, empty, or has a "." or ".." part is refused (ERR_USAGE), and no symbolic link is
 * followed below the folder: nothing is written outside it, whatever a dump says. */
#ifndef ETLIFT_OUTFILE_H
#define ETLIFT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct outdir;
struct outfile;

/* Opens or creates the folder (and missing parents). A folder that is not empty is ERR_EXISTS unless `force`. */
int outdir_open(struct outdir **out, const char *path, bool force, struct err *e);
void outdir_close(struct outdir *d);   /* takes NULL */
int outdir_fd(const struct outdir *d); /* for util itself */

/* Starts a file; folders in `rel` are made. The outdir must outlive it. */
int outfile_create(struct outfile **out, struct outdir *d, const char *rel, struct err *e);

/* A single file by path (the user's own words): for -o FILE. Replaces an existing file on commit; of a link, what it leads to. A pipe or a character
 * device (/dev/stdout, /dev/null) is written to in order, as it is; a folder or another device is ERR_USAGE. */
int outfile_create_path(struct outfile **out, const char *path, struct err *e);

int outfile_write(struct outfile *f, const void *p, size_t n, struct err *e);                /* at the end */
int outfile_pwrite(struct outfile *f, uint64_t off, const void *p, size_t n, struct err *e); /* over what is there */
/* Nothing more will be written: starts bringing the bytes to the disk while the caller goes on, so that the commit finds little left to wait for. */
int outfile_whole(struct outfile *f, struct err *e);
uint64_t outfile_size(const struct outfile *f); /* bytes so far */

/* Finishes (fsync, rename) or drops the file; both free it. abort takes NULL. */
int outfile_commit(struct outfile *f, struct err *e);
void outfile_abort(struct outfile *f);

/* Finishes many files: fsync `threads` at a time (with small files it is nearly all waiting), then their names in the order of f, so that a
 * report may stand behind what it tells of. Frees all of them; one that fails is dropped, the others still appear. 0, or what the first failure (in the order of f) was. */
int outfile_commit_all(struct outfile **f, size_t n, unsigned threads, struct err *e);

#endif
