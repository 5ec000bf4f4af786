/* carve.h - ETW buffers by their shape in all of physical memory: what no list leads to any more.
 *
 * carve_open() scans memory once. Then, where sessions are recovered too, each of them is shown to carve_session() (recover_opts.amend): its
 * buffers are known then, and those with pages missing are completed. carve_run() puts the others together, sorts them by origin, and
 * yields groups that belong together. Works without a kernel; one makes it better (addresses, processes, clocks).
 *
 * A page of a buffer is looked for where the buffer is mapped (addresses of ring neighbours, page tables), else behind the page before it,
 * else among pages that hold records which begin nowhere: the record that crosses the page's end must go on there, and all that follow
 * must be valid, times not going back. */
#ifndef ETLIFT_CARVE_H
#define ETLIFT_CARVE_H

#include "recover.h"

enum carve_origin {                      /* words: carve_origin_name() */
		    CARVE_FROM_KERNEL,   /* freed, or of a session that nothing leads to */
		    CARVE_FROM_CONSUMER, /* a copy in a consumer's memory */
		    CARVE_FROM_PRIVATE,  /* of a logger inside a process (LoggerId bit 15) */
		    CARVE_FROM_FILE,     /* the file cache's page of an .etl file */
		    CARVE_FROM_RTBACKUP, /* of a real-time session's backup file */
		    CARVE_FROM_UNKNOWN,  /* a file's or a consumer's copy: the page that would tell was not found */
		    CARVE_FROM_LOOSE,    /* no buffer: records in pages whose header is not known; id means nothing */
		    CARVE_FROM_COUNT
};

enum carve_anchor {                           /* what a group's times rest on, best first */
		    CARVE_ANCHOR_FILE_HEADER, /* the header buffer of the same file */
		    CARVE_ANCHOR_CONTEXT,     /* the logger context, which was still there */
		    CARVE_ANCHOR_SESSION,     /* a live session with the same context, or the same id and buffer size */
		    CARVE_ANCHOR_FILETIME,    /* records carry wall-clock time */
		    CARVE_ANCHOR_SYSTEM,      /* a {time, counter} pair of the whole system */
		    CARVE_ANCHOR_BOOT,        /* boot time is counter 0: off by the clock's drift */
		    CARVE_ANCHOR_NONE         /* raw ticks */
};
enum carve_sure { CARVE_CERTAIN, CARVE_LIKELY, CARVE_GUESS, CARVE_UNKNOWN };

struct carve_orphan {
	struct etw_session s; /* buffers settled and in order; id without bit 15 */
	struct etw_system sys;
	enum carve_origin origin;
	enum carve_anchor anchor;
	enum carve_sure sure; /* of clock and anchor */
	bool has_head;
	uint64_t head; /* of the ring: inside the context */
};

struct carve_opts {
	bool deep, residual;
	bool loose;       /* also records whose buffer is not known: CARVE_FROM_LOOSE */
	bool alone;       /* sessions are not written: orphans are also the buffers of those that do not run any more (carve_running()) */
	unsigned threads; /* 0: one for each processor */
	bool (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

struct carve_counts {
	uint64_t scanned, unreadable; /* bytes */
	size_t shapes;                /* buffers with records, by shape */
	size_t live;                  /* of those: in sessions that were recovered */
	size_t copies;                /* with the same records as another one */
	size_t orphans;               /* the rest */
	size_t loose;                 /* runs of pages without a buffer */
	size_t completed;             /* buffers of sessions to which missing pages were found */
};

struct carve;

/* `im` must outlive it. 0, ERR_NOMEM, ERR_INTR. */
int carve_open(struct carve **out, struct image *im, const struct carve_opts *o, struct err *e);
void carve_close(struct carve *c); /* takes NULL */

/* Fits recover_opts.amend. 0 or ERR_NOMEM. */
int carve_session(void *carve, struct etw_session *s);

/* Yields groups in a fixed order: origin, id, buffer size, head. Borrowed for the call; a negative answer ends the run. */
int carve_run(struct carve *c, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx, struct err *e);

/* Both: the sessions into `sink`, each shown to the carver first, then the groups of what no session claims to fn (carve_run()). ro->want is left out: each session
 * tells which buffers are its own, also one that is not wanted; sink and fn see all. An image without a kernel, or without a session, is carved as well:
 * *none says why there is none (code 0: there is one), *n_sessions how many. *out is there during all calls of sink and fn, and afterwards, also on failure (NULL:
 * not opened); the caller closes it. 0, ERR_NOMEM, ERR_INTR, what sink and fn answer. */
int carve_image(struct carve **out, struct image *im, const struct recover_opts *ro, const struct carve_opts *o,
		const struct etw_sink *sink, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx,
		size_t *n_sessions, struct err *none, struct err *e);

/* Does it run? Then a logger table, a slot, a consumer or the dump itself led to it. What only a scan of memory found may be a stopped session's context
 * that kept its bytes. */
bool carve_running(const struct etw_session *s);

void carve_counts(const struct carve *c, struct carve_counts *out);

const char *carve_origin_name(enum carve_origin o); /* "freed", "consumer", "private", "file_cache", "rtbackup", "unknown", "loose" */
const char *carve_anchor_name(enum carve_anchor a); /* "file_header", "context", "session", "filetime", "system", "boot_time", "none" */
const char *carve_sure_name(enum carve_sure s);     /* "certain", "likely", "guess", "unknown" */

#endif
