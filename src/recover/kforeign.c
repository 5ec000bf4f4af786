/* kforeign.c - buffers of another session on this one's ring (kbuffers.h). */
#include <stdlib.h>
#include <string.h>

#include "kbuffers.h"

#define ASKED_MAX 8u /* other contexts whose rings are looked at for one session: rings cross where somebody crossed them */

struct others {
	const struct kref *of[ASKED_MAX];
	uint32_t n_buffers[ASKED_MAX]; /* of this one, on our ring */
	uint64_t va[ASKED_MAX];        /* where the first of them stands */
	unsigned n;
	uint8_t *owner; /* of each buffer of ours: index into of[] + 1; 0: it stays */
};

static int by_va(const void *key, const void *item)
{
	uint64_t va = *(const uint64_t *)key, x = ((const struct kbuf *)item)->va;

	return va < x ? -1 : va > x;
}

/* May this node of our ring belong to context r: by the number in its header, or because it is the head of the ring itself? */
static bool may_be(const struct kbufset *b, const struct kbuf *k, const struct kref *r, bool *head)
{
	const struct profile *p = &b->v->k->prof;

	*head = prof_has(p, F_CTX_GlobalList) && k->va + kview_entry_off(b->v) == r->va + prof_off(p, F_CTX_GlobalList);
	return k->odd && !k->lost && (*head || (k->hdr.logger_id != b->s->id && k->hdr.logger_id == r->id));
}

/* Marks what the session of context r reaches by itself and has as its own. */
static int ask(struct kbufset *b, const struct kref *r, struct others *o, struct kcontext *c)
{
	struct notes *listener = b->v->notes;
	struct etw_session s = {0};
	struct kbufset other = {0};
	unsigned at = o->n;
	int rc;

	b->v->notes = NULL; /* its losses are named when it is loaded */
	rc = context_read(b->v, r, &s, c);
	if (rc == 0)
		rc = buffers_find(&other, b->v, &s, c);
	b->v->notes = listener;
	for (size_t i = 0; i < b->n && rc == 0; i++) {
		const struct kbuf *k = &b->buf[i], *x = NULL;
		bool head;

		if (o->owner[i] || !may_be(b, k, r, &head))
			continue;
		if (!head && other.n)
			x = bsearch(&k->va, other.buf, other.n, sizeof *other.buf, by_va);
		if (!head && (!x || x->odd || x->lost))
			continue;
		if (o->n == at) {
			o->of[at] = r;
			o->va[at] = k->va;
			o->n++;
		}
		o->owner[i] = (uint8_t)o->n;
		o->n_buffers[at] += !head;
	}
	buffers_free(&other);
	etw_session_clear(&s);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

static void leave(struct kbufset *b, const struct others *o)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->n; i++)
		if (!o->owner[i])
			b->buf[kept++] = b->buf[i];
	b->n = kept;
	for (unsigned i = 0; i < o->n; i++) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, o->va[i], 0);

		notes_add(b->v->notes, &n, "GlobalList leads into that of session %u: %u buffers on it are left to that session",
			  o->of[i]->id, o->n_buffers[i]);
	}
}

/* The numbers that odd headers on our ring name; false: there are none. */
static bool named(const struct kbufset *b, bool id[KV_LOGGERS_MAX])
{
	bool any = false;

	for (size_t i = 0; i < b->n; i++)
		if (b->buf[i].odd && !b->buf[i].lost) {
			any = true;
			if (b->buf[i].hdr.logger_id < KV_LOGGERS_MAX)
				id[b->buf[i].hdr.logger_id] = true;
		}
	return any;
}

static bool head_is_odd(const struct kbufset *b, const struct kref *r)
{
	const struct profile *p = &b->v->k->prof;
	uint64_t va = prof_has(p, F_CTX_GlobalList) ? r->va + prof_off(p, F_CTX_GlobalList) - kview_entry_off(b->v) : 0;
	const struct kbuf *k = bsearch(&va, b->buf, b->n, sizeof *b->buf, by_va);

	return k && k->odd;
}

int buffers_leave_foreign(struct kbufset *b, const struct kref *own)
{
	struct others o = {0};
	struct kcontext *c = NULL;
	bool id[KV_LOGGERS_MAX] = {false};
	unsigned asked = 0;
	int rc = 0;

	if (!named(b, id))
		return 0;
	c = malloc(sizeof *c);
	o.owner = calloc(b->n, sizeof *o.owner);
	if (!c || !o.owner)
		rc = ERR_NOMEM;
	for (size_t r = 0; r < b->v->n_refs && rc == 0 && asked < ASKED_MAX; r++) {
		const struct kref *x = &b->v->ref[r];

		if (!x->va || x->va == own->va || !((x->id < KV_LOGGERS_MAX && id[x->id]) || head_is_odd(b, x)))
			continue;
		asked++;
		rc = ask(b, x, &o, c);
	}
	if (rc == 0)
		leave(b, &o);
	free(o.owner);
	free(c);
	return rc;
}
