/* report.h - report.json and the documents of --json, exactly as the contract and docs/report.schema.json say. Plain values in, text out; it
 * knows no memory and opens no file.
 *
 * A document is: report_begin(), then what belongs to it, then report_end(). Sessions come one at a time and are text at once: nothing
 * of a session is kept. Times are FILETIME, 0 = unknown (null). */
#ifndef ETLIFT_REPORT_H
#define ETLIFT_REPORT_H

#include "etw.h"
#include "hash.h"
#include "jsonw.h"
#include "note.h"

struct report_run {
	uint64_t start, bytes;
};

struct report_image {
	const char *path, *format;
	uint64_t bytes, physical_bytes; /* of the file as it lies on disk; of memory */
	const char *compression;        /* NULL: none */
	uint32_t segments;
	const char *sha256; /* NULL: not asked for */
	const struct report_run *runs;
	size_t n_runs;
};

struct report_member {      /* of an inferred layout */
	const char *member; /* "GlobalList" */
	uint32_t offset;
	unsigned agree, of, others; /* contexts that agree, that could be asked; other places that fit as well */
	const char *how;
};

struct report_inferred {
	const char *from; /* "logger_table" "buffers" "processes" */
	unsigned contexts;
	const struct report_member *member;
	size_t n;
};

struct report_kernel {
	uint32_t build;      /* 0 unknown */
	const char *version; /* "10.0.19041.1466"; NULL unknown */
	const char *arch;    /* "x64", NULL unknown */
	bool has_base, has_dtb;
	uint64_t base, dtb;
	uint32_t cpus; /* 0 unknown */
	int64_t system_time, boot_time;
	bool has_pdb;
	const char *pdb_name;
	struct guid pdb_guid;
	uint32_t pdb_age;
	bool has_roots; /* a kernel was opened: what leads to its logger table without symbols */
	uint64_t kdbg;  /* 0 none */
	bool kdbg_encoded;
	uint64_t debugger_data;                 /* 0 none */
	const char *debugger_data_by;           /* then: "symbol" "kdbg" "pattern" */
	uint64_t tables_rebuilt;                /* lost page tables that the page frame number database told */
	const char *profile, *match;            /* NULL: none was needed, or none was found */
	const struct report_inferred *inferred; /* NULL: the layout came from a profile */
};

struct report_etl { /* a file that was written; path NULL: none, there was no event */
	const char *path;
	uint64_t bytes;
	const char *sha256;
	uint32_t buffers;
	uint64_t events;
	bool has_times;
	int64_t first_event, last_event;
};

/* `schema`: "etlift/report/1". kernel NULL: no Windows was recognised. */
void report_begin(struct jsonw *w, const char *schema, const struct report_image *image, const struct report_kernel *kernel);
void report_end(struct jsonw *w);

/* One element of "sessions", in full. Its buffers must be ordered. */
void report_session(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		    const struct report_etl *residual);
/* What a report of carved buffers says beside what it says of sessions. Words as in docs/report.schema.json. */
struct report_orphan {
	const char *origin, *anchor, *sure;
	bool has_ring;
	uint64_t ring;                /* address of the list's head */
	uint64_t raw_first, raw_last; /* times of the first and the last event in ticks of the clock, when has_raw */
	bool has_raw;
};
struct report_carve {
	uint64_t scanned, unreadable; /* bytes */
	uint64_t shapes, live, copies, orphans, completed, loose;
};

/* One element of "orphans": as a session, and where it comes from. `sys` is the machine that its times rest on. */
void report_orphan(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct report_orphan *o,
		   const struct report_etl *etl, const struct report_etl *residual);
/* One element of "live" of "carve": a session that recover has, and how many of the buffers that were found are its own. */
void report_live(struct jsonw *w, const struct etw_session *s);
/* The member "carve", behind "sessions" and "orphans"; live: text of an array. */
void report_carve(struct jsonw *w, const struct report_carve *c, const void *live, size_t n);

/* The same for `sessions --json`: "buffer_count" instead of etl, residual, buffers. */
void report_session_brief(struct jsonw *w, const struct etw_session *s);

/* One element of "consumers" and of "providers" in the commands of that name. */
void report_consumer(struct jsonw *w, const struct etw_consumer *c);
void report_provider(struct jsonw *w, const struct etw_provider *p);

/* The member "losses", sorted. 0 or ERR_NOMEM. */
int report_losses(struct jsonw *w, const struct notes *notes);

#endif
