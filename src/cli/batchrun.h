/* batchrun.h - one image of a batch: its process, its working folder, its folder when it is whole. */
#ifndef ETLIFT_BATCHRUN_H
#define ETLIFT_BATCHRUN_H

#include "batchlist.h"
#include "child.h"
#include "outtree.h"

#define BATCH_ARGS_MAX 600

struct batch {
	struct cli *c;
	struct outdir *dir;
	const char *out;
	struct batch_list list;
	struct buf options; /* the words that are handed on, one a line: part of what --resume compares */
	const char *argv[BATCH_ARGS_MAX];
	size_t n_argv;
	char *word[BATCH_ARGS_MAX]; /* owned */
	size_t n_words;
	uint64_t bytes_done, bytes;
	size_t running, done, n_own;
	unsigned part, parts; /* the images that are this run's own: every parts-th from number part (0-based) on */
	char label[64];
};

/* The words that every process gets. 0, ERR_USAGE: too many. */
int batch_words(struct batch *b, struct err *e);
/* Starts the process of an image. ERR_EXISTS: another batch is at it. */
int batch_start(struct batch *b, struct batch_image *im, struct err *e);
/* Its process has ended: its folder gets its name, its counts come in; what fails here is this image's failure. */
void batch_ended(struct batch *b, struct batch_image *im, const struct child_end *end);
/* Ends those that run. What they were at is removed; what is finished stays. */
void batch_stop(struct batch *b);
/* For a summary: what is known of images that this run did not come to, or that other runs did. */
void batch_read_jobs(struct batch *b);
/* Why it failed, without its path. */
const char *batch_reason(const struct batch_image *im);

#endif
