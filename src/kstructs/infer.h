/* infer.h - the layout of _WMI_LOGGER_CONTEXT for a kernel that is in no table, out of the memory itself.
 *
 * Two steps. infer_roots.c finds heads of buffer rings: in the contexts that EtwpDebuggerData's table names, or from the buffers, whose own
 * header has had one layout since Windows 7 (docs/layouts.md section 2). infer.c then asks, for each distance from the heads, what stands
 * there in all contexts: the number and size that the buffers tell, a string, a pair of time and clock, and so on. A member is taken when the
 * contexts agree (INFER_AGREE percent of those that can be read) and one distance only fits; where several fit and a rule that holds for
 * every known layout picks one of them, `how` says so; else the member stays unknown. Nothing here is a guess that is not told:
 * every member comes with its evidence. */
#ifndef ETLIFT_INFER_H
#define ETLIFT_INFER_H

#include "kernel.h"

#define INFER_AGREE    80u /* percent */
#define INFER_CONTEXTS 256u
#define INFER_MEMBERS  32u
#define INFER_BEFORE   0x200u /* bytes of a context looked at before the head of its buffer ring */
#define INFER_BEHIND   0x800u

/* ---- infer_roots.c ---- */
struct infer_root {
	uint64_t head; /* of the ring of buffers */
	uint32_t id, buffer_size;
};

struct infer_roots {
	struct infer_root v[INFER_CONTEXTS]; /* by address */
	size_t n;
	const char *from;          /* "logger_table" "buffers" */
	unsigned plain, low_bytes; /* buffers whose processor word is an index that is not 0; with the mark of Windows 7 in it */
	uint32_t empty_slot;       /* of the logger table: 0 or 1 */
};

/* What the logger table leads to; `scan`: else what the buffers in physical memory lead to. 0 or ERR_NOMEM. */
int infer_roots(struct kernel *k, bool scan, struct infer_roots *out);

/* ---- infer.c ---- */
struct infer_member {
	enum prof_field field;
	uint32_t off;
	unsigned agree, of; /* contexts */
	unsigned others;    /* other distances that fit as well */
	const char *how;    /* the invariant, and the rule that picked it among others */
};

struct inferred {
	const char *roots; /* "logger_table" "buffers"; "processes": of processes only, the rest stands in a table */
	unsigned contexts;
	uint64_t ctx[INFER_CONTEXTS]; /* their addresses */
	unsigned n_ctx;
	struct infer_member member[INFER_MEMBERS];
	size_t n;
};

/* Does every inferred member stand where this layout has it? */
bool infer_agrees(const struct inferred *n, const struct profile *p);

/* Fills k->prof. 0; ERR_NOTFOUND with what is missing or ambiguous; ERR_NOMEM. */
int infer_profile(struct kernel *k, bool scan, struct inferred *out, struct err *e);

#endif
