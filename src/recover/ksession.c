#include "ksession.h"

#include <stdlib.h>
#include <string.h>

#include "kbuffers.h"
#include "kproviders.h"

int ksession_head(struct kview *v, const struct kref *r, struct etw_session *s)
{
	struct kcontext *c = malloc(sizeof *c);
	struct notes *listener = v->notes;
	int rc;

	if (!c)
		return ERR_NOMEM;
	memset(s, 0, sizeof *s);
	v->notes = NULL; /* losses are named when the session is loaded */
	rc = context_read(v, r, s, c);
	v->notes = listener;
	free(c);
	if (rc != 0)
		etw_session_clear(s);
	return rc;
}

/* A session that no context describes: what its buffers say. */
static void size_from_buffers(struct etw_session *s, const struct kbufset *b)
{
	for (size_t i = 0; i < b->n && !s->has_buffer_size; i++)
		if (!b->buf[i].lost && !b->buf[i].odd) {
			s->has_buffer_size = true;
			s->buffer_size = b->buf[i].hdr.buffer_size;
		}
}

int ksession_load(struct kview *v, const struct kref *r, const struct recover_opts *o, uint64_t *budget, struct etw_session *s)
{
	struct kcontext *c = malloc(sizeof *c);
	struct kbufset set;
	int rc;

	if (!c)
		return ERR_NOMEM;
	memset(s, 0, sizeof *s);
	memset(&set, 0, sizeof set);
	notes_scope(v->notes, r->silo, r->id, r->va != 0, r->va);
	rc = context_read(v, r, s, c);
	if (rc == 0)
		rc = buffers_find(&set, v, s, c);
	if (rc == 0)
		rc = buffers_leave_foreign(&set, r);
	if (rc == 0) {
		buffers_tell(&set);
		if (!s->has_buffer_size)
			size_from_buffers(s, &set);
		s->buffer_count = (uint32_t)set.n + set.closed;
		if (!o->list_only)
			rc = buffers_load(&set, o, budget);
	}
	if (rc == 0)
		rc = consumers_load(v, s, o, budget);
	if (rc == 0)
		rc = providers_attach(v, s);
	if (rc == 0)
		etw_session_order(s);
	notes_scope_none(v->notes);
	buffers_free(&set);
	free(c);
	if (rc != 0)
		etw_session_clear(s);
	return rc;
}
