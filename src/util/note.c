/* note.c - see note.h */
#include "note.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

#define DETAIL_MAX 400
#define RECENT     64 /* how far back an equal note is looked for: repeats come close together */

const char *note_word(enum note_what what)
{
	static const char *const words[NOTE_KINDS] = {"page_missing",    "list_broken", "buffer_header_bad",
						      "record_bad",      "context_bad", "blob_truncated",
						      "image_truncated", "run_overlap", "limit_reached"};

	return (unsigned)what < NOTE_KINDS ? words[what] : "unknown";
}

void notes_init(struct notes *ns)
{
	memset(ns, 0, sizeof(*ns));
	notes_scope_none(ns);
}

void notes_free(struct notes *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		free(ns->v[i].detail);
	free(ns->v);
	notes_init(ns);
}

void notes_drop(struct notes *ns, bool (*which)(void *ctx, const struct note *n), void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < ns->n; i++) {
		if (which(ctx, &ns->v[i]))
			free(ns->v[i].detail);
		else
			ns->v[kept++] = ns->v[i];
	}
	ns->n = kept;
}

void notes_scope(struct notes *ns, int64_t silo, int64_t session, bool has_va, uint64_t session_va)
{
	if (!ns)
		return;
	ns->silo = silo;
	ns->session = session;
	ns->has_session_va = has_va;
	ns->session_va = session_va;
}

void notes_scope_none(struct notes *ns)
{
	notes_scope(ns, -1, -1, false, 0);
}

static bool same(const struct note *a, const struct note *b, const char *detail)
{
	return a->what == b->what && a->silo == b->silo && a->session == b->session && a->has_va == b->has_va && a->va == b->va &&
	       a->has_bytes == b->has_bytes && a->bytes == b->bytes && a->has_session_va == b->has_session_va &&
	       a->session_va == b->session_va && strcmp(a->detail, detail) == 0;
}

static bool seen(const struct notes *ns, const struct note *n, const char *detail)
{
	size_t from = ns->n > RECENT ? ns->n - RECENT : 0;

	for (size_t i = ns->n; i > from; i--)
		if (same(&ns->v[i - 1], n, detail))
			return true;
	return false;
}

static void keep(struct notes *ns, struct note n, const char *detail)
{
	void *arr = ns->v;

	n.detail = strdup(detail);
	if (!n.detail || arr_reserve(&arr, &ns->cap, ns->n, sizeof(*ns->v)) < 0) {
		free(n.detail);
		ns->failed = true;
		return;
	}
	ns->v = arr;
	ns->v[ns->n++] = n;
}

void notes_add(struct notes *ns, const struct note *n, const char *fmt, ...)
{
	struct note c = *n;
	char detail[DETAIL_MAX];
	va_list ap;

	if (!ns)
		return;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	if (c.silo < 0)
		c.silo = ns->silo;
	if (c.session < 0)
		c.session = ns->session;
	if (!c.has_session_va && ns->has_session_va) {
		c.has_session_va = true;
		c.session_va = ns->session_va;
	}
	if (seen(ns, &c, detail))
		return;
	if (ns->n >= NOTES_MAX) {
		if (!ns->dropped++)
			keep(ns, NOTE(NOTE_LIMIT_REACHED), "more than 20000 findings: the rest is not listed");
		return;
	}
	keep(ns, c, detail);
}
