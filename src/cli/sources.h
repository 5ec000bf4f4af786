/* sources.h - what `events` and `scan` read: trace files, and the sessions of images, as sources of events. */
#ifndef ETLIFT_SOURCES_H
#define ETLIFT_SOURCES_H

#include "cli.h"
#include "etlfile.h"
#include "evsource.h"
#include "job.h"

struct source_runs {        /* where an image's memory stands in its file */
	struct phys_run *v; /* owned; ascending by address */
	size_t n;
	struct source_runs *next;
};

struct source { /* one trace file, or one session of an image */
	struct evsource *ev;
	struct etlfile file;        /* owned; a file's */
	struct etw_session session; /* owned; an image's, with its buffers */
	struct etw_system sys;
	int64_t next;                   /* for merging by time */
	bool wanted;                    /* by --session */
	const struct source_runs *runs; /* of its image; NULL: a file's, or memory stands nowhere in it as it is */
	bool residual;                  /* events of an earlier use of the session's buffers */
};

struct sources {
	struct source **v; /* owned one by one: their addresses are borrowed */
	size_t n, cap;
	char **name; /* owned: what the user gave, as UTF-8 */
	size_t n_names, cap_names;
	struct source_runs *runs; /* owned; of all images */
	struct notes notes;       /* notes_init() by the caller */
	uint64_t losses;          /* of the images */
	bool want_residual;       /* set by the caller: an image's sessions come a second time with their residual events */
};

/* Argument `arg`: a trace file, else an image, opened by the options. 0, or an exit status (the line is printed). */
int sources_add(struct cli *c, struct sources *s, size_t arg);
void sources_free(struct sources *s);

/* Where the byte at a physical address stands in the source's image. False: nowhere as it is (a packed or a made one). */
bool source_file_offset(const struct source *src, uint64_t pa, uint64_t *off);

#endif
