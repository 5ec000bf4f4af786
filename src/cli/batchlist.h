/* batchlist.h - which images a batch is about, and what became of each. */
#ifndef ETLIFT_BATCHLIST_H
#define ETLIFT_BATCHLIST_H

#include <sys/types.h>

#include "cli.h"
#include "dirlist.h"
#include "hash.h"

#define BATCH_IMAGES_MAX 1000000u
#define BATCH_DEPTH      16   /* of folders in folders */
#define BATCH_NOT_DONE   (-2) /* exit, in a summary: no part has done it yet */

enum batch_state { BATCH_WAITING, BATCH_RUNNING, BATCH_ENDED };

struct batch_image {
	char *path, *folder; /* owned; folder: one name in the output folder */
	uint64_t bytes;
	enum batch_state state;
	pid_t pid;
	int lock; /* while it runs */
	/* from here on: what job.json keeps */
	char sha256[SHA256_HEX]; /* "": the image can't be read */
	char companions
		[SHA256_HEX]; /* of the bytes of its other segments and its state file, in the order of their names; "": it has none */
	int exit;             /* exit status; -1: killed by `signal` */
	int signal;
	char error[ERR_MSG_MAX]; /* the last line that it said, "" none */
	bool has_counts;
	uint64_t sessions, files, events, losses, build;
};

struct batch_list {
	struct batch_image *v;
	size_t n, cap;
	void *paths;      /* tree (search.h) of the paths in v */
	const char *skip; /* borrowed: a folder that is not walked, the output; may be NULL */
};

/* Files, folders (all files below, sorted; companions of another file left out), patterns, lists. A path that is not there stays in: it fails by
 * itself; so does a folder that can't be walked (it is ended already). 0 or ERR_*. */
int batch_list_add(struct batch_list *l, const char *word, struct err *e);
int batch_list_file(struct batch_list *l, const char *path, struct err *e); /* one path a line; empty lines and # comments */
int batch_list_settle(struct batch_list *l, struct err *e);                 /* takes companions out that stand there beside their image */
int batch_list_names(struct batch_list *l, struct err *e);                  /* gives every image its folder */
void batch_list_free(struct batch_list *l);

/* The paths of the files that belong to an image: its further segments, its state file. None: d->n is 0. dirlist_free() it. */
int batch_companions(struct dirlist *d, const char *path, struct err *e);
/* A whole file with a NUL behind it, on the heap. */
char *batch_read_text(const char *path, uint64_t max, size_t *n, struct err *e);

/* ---- what became of them (batchjob.c) ---- */

/* job.json: what was done, with which options. */
void batch_job_text(struct buf *out, const struct batch_image *im, const char *options);
/* Reads one; false: there is none, or not of this image with these options by this version. */
bool batch_job_read(struct batch_image *im, const char *path, const char *options);
bool batch_finished(const struct batch_image *im); /* a further run would do no more: not killed, not interrupted, no failure of our own */
bool batch_failed(const struct batch_image *im);
size_t batch_failures(const struct batch_list *l);
/* Counts out of a report.json. */
void batch_counts(struct batch_image *im, const char *path);

void batch_summary_json(struct buf *out, const struct batch_list *l);
void batch_summary_csv(struct buf *out, const struct batch_list *l);

#endif
