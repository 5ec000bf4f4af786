/* note.h - findings that do not stop a run: the losses of the report.
 *
 * A broken list, a missing page, a length that claims too much: the item is skipped or shortened, a note is added, the run goes on.
 * Equal notes (same kind, place and detail) are kept once. One collector per run, one thread. */
#ifndef ETLIFT_NOTE_H
#define ETLIFT_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum note_what { /* the contract's "losses[].what", same order as note_word() */
		 NOTE_PAGE_MISSING,
		 NOTE_LIST_BROKEN,
		 NOTE_BUFFER_HEADER_BAD,
		 NOTE_RECORD_BAD,
		 NOTE_CONTEXT_BAD,
		 NOTE_BLOB_TRUNCATED,
		 NOTE_IMAGE_TRUNCATED,
		 NOTE_RUN_OVERLAP,
		 NOTE_LIMIT_REACHED,
		 NOTE_KINDS
};

#define NOTES_MAX 20000 /* kept notes; what comes after is counted in `dropped` and told by one NOTE_LIMIT_REACHED */

struct note {
	enum note_what what;
	int64_t silo, session; /* -1: none */
	bool has_session_va, has_va, has_bytes;
	uint64_t session_va, va;
	uint64_t bytes;
	char *detail; /* UTF-8, owned by the collector; never NULL in a kept note */
};

struct notes {
	struct note *v;
	size_t n, cap;
	uint64_t dropped;
	int64_t silo, session; /* scope: filled into notes that have -1 there */
	bool has_session_va;
	uint64_t session_va;
	bool failed; /* out of memory: a note was lost */
};

/* A note without a place. */
#define NOTE(kind) ((struct note){.what = (kind), .silo = -1, .session = -1})
/* A note at an address with a length (0: unknown). */
#define NOTE_AT(kind, addr, len)                                                                                                           \
	((struct note){.what = (kind), .silo = -1, .session = -1, .has_va = true, .va = (addr), .has_bytes = (len) != 0, .bytes = (len)})

void notes_init(struct notes *ns);
void notes_free(struct notes *ns);

/* Adds a copy of *n with a detail text. `ns` may be NULL (nobody listens). */
void notes_add(struct notes *ns, const struct note *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Takes back the notes that `which` picks: what was missing has been found elsewhere. */
void notes_drop(struct notes *ns, bool (*which)(void *ctx, const struct note *n), void *ctx);

/* Notes added from here on belong to this session. notes_scope_none() ends it. */
void notes_scope(struct notes *ns, int64_t silo, int64_t session, bool has_va, uint64_t session_va);
void notes_scope_none(struct notes *ns);

const char *note_word(enum note_what what); /* "page_missing" ... */

#endif
