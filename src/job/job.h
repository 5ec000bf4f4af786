/* job.h - whole jobs, as the program and the public library run them: an image with everything that helps to read it, and its recovery into a
 * folder. Prints nothing; what it meets is in the image's notes. */
#ifndef ETLIFT_JOB_H
#define ETLIFT_JOB_H

#include "carve.h"
#include "etlwrite.h"
#include "outfile.h"
#include "recover.h"
#include "report.h"

struct job_opts { /* all borrowed during job_open() only */
	const char *const *symbols;
	size_t n_symbols;
	const char *profile; /* --profile or NULL */
	bool no_builtin, no_builtin_build;
	bool has_dtb;
	uint64_t dtb;
	const char *const *pagefiles;
	size_t n_pagefiles;
	const char *sidecar, *spill; /* or NULL; must outlive the job */
	bool need_profile;
};

struct job; /* an opened image with its profiles and pagefiles */

/* Errors are of the input: ERR_NOIMAGE, ERR_IO, ERR_FORMAT ... */
int job_open(struct job **out, const char *path, const struct job_opts *o, struct err *e);
void job_close(struct job *j); /* takes NULL */
struct image *job_image(struct job *j);

/* The image's and kernel's part of every document. Borrowed until job_close(). *kernel NULL: no Windows was recognised. */
int job_facts(struct job *j, const struct report_image **image, const struct report_kernel **kernel, struct err *e);

/* Hashes the evidence file (once); from then on job_facts() has it. stop may be NULL; ERR_INTR when it said so. */
int job_hash(struct job *j, bool (*stop)(void *), void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct err *e);

struct job_recover_opts {
	struct recover_opts recover; /* want, deep, residual */
	unsigned threads;            /* 0: a few */
	bool (*stop)(void *ctx);     /* or NULL: asked between sessions */
	/* Each session when its files are written (not yet under their final names); either may be NULL. etl->path NULL: no event. */
	int (*session)(void *ctx, const struct etw_session *s, const struct report_etl *etl, const struct report_etl *residual,
		       struct err *e);
	void *ctx;
	struct buf *report; /* when not NULL: receives the text of report.json */
	bool carve;         /* also look for buffers by their shape in all of memory: "orphans" of the report */
	bool carve_only;    /* nothing of the sessions is written: they only tell which buffers are theirs */
	bool carve_deep;    /* at every 16-byte boundary */
	bool carve_loose;   /* also records in pages whose buffer is not known */
	bool (*progress)(void *ctx, uint64_t done, uint64_t total); /* of the scan; may be NULL; false stops it */
	/* Each group of orphans, like `session`; may be NULL. */
	int (*orphan)(void *ctx, const struct carve_orphan *o, const struct report_etl *etl, const struct report_etl *residual,
		      struct err *e);
};

struct job_result {
	size_t sessions, files, losses;
	uint64_t events;
	size_t orphans; /* groups */
	struct carve_counts carved;
	bool output_failed; /* the error is of the output folder, not of the evidence */
};

/* Recovers into d: sessions/... and report.json. 0; ERR_NOKERNEL (with report.json written) when there is nothing to recover from: no kernel,
 * no profile, no session (and, where it carves, no buffer by its shape); ERR_INTR: the files that were finished stay. */
int job_recover(struct job *j, struct outdir *d, const struct job_recover_opts *o, struct job_result *out, struct err *e);

#endif
