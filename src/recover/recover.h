/* recover.h - one image into sinks: finders -> sessions -> buffers, each with how it was found.
 *
 * Finders yield sessions; they never write. Those that follow pointers all run; those that scan memory run when these found nothing or less
 * than there must be, or with `deep`. Answers are merged by logger context address, else by silo + id + name + GUID. A broken list makes one finder poorer, never the
 * run shorter: what could not be had is a note. */
#ifndef ETLIFT_RECOVER_H
#define ETLIFT_RECOVER_H

#include "dumpfmt.h"
#include "etw.h"
#include "kernel.h"
#include "note.h"
#include "sink.h"

struct image {
	struct dump *dump;     /* owned */
	struct kernel *kernel; /* owned; NULL: none was found, see kernel_err */
	struct err kernel_err; /* why there is none (code 0: not looked for, the container can't hold one) */
	struct etw_system sys; /* what is known of the machine */
	struct notes notes;
};

struct image_opts {
	struct dump_opts dump;
	struct kernel_opts kernel; /* .profiles may be NULL: then no kernel is looked for */
};

/* Opens container and kernel. An image without a kernel is no failure here: secondary data needs none. */
int image_open(struct image **out, const char *path, const struct image_opts *o, struct err *e);
int image_open_input(struct image **out, struct input *in, const struct image_opts *o, struct err *e); /* takes over `in` */
void image_close(struct image *im);                                                                    /* takes NULL */

struct recover_opts {
	bool deep;      /* also run the finders that scan memory */
	bool residual;  /* collect records behind the end of live data */
	bool list_only; /* no buffer contents: sessions with buffer_count, for `sessions` */
	/* Which sessions to deliver; NULL: all. */
	bool (*want)(void *ctx, const struct etw_session *s);
	void *want_ctx;
	/* Called with each session before it is delivered, in the caller's thread; may change its buffers (and must order them again). NULL:
	 * none. 0 or ERR_NOMEM. */
	int (*amend)(void *ctx, struct etw_session *s);
	void *amend_ctx;
};

/* Yields every session to the sink, sorted by silo, id, va, one at a time. 0 with *n_sessions, ERR_NOKERNEL when there is neither a usable kernel
 * nor an ETW block (with the reason), or what the sink answered. */
int recover_run(struct image *im, const struct recover_opts *o, const struct etw_sink *sink, size_t *n_sessions, struct err *e);

/* Arrays on the heap, sorted (consumers by silo, session, pid, va; providers by guid, pid); free with the functions below. */
int recover_consumers(struct image *im, struct etw_consumer **out, size_t *n, struct err *e);
int recover_providers(struct image *im, struct etw_provider **out, size_t *n, struct err *e);
void recover_consumers_free(struct etw_consumer *c, size_t n);
void recover_providers_free(struct etw_provider *p, size_t n);

#endif
