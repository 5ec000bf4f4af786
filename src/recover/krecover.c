#include "krecover.h"

#include <stdlib.h>
#include <string.h>

#include "clockrate.h"
#include "kbuffers.h"
#include "kproviders.h"
#include "ksession.h"
#include "task.h"

/* Buffers of one session can't hold more than the image has memory; all together, sessions that share buffers by a hostile list may read
 * no more than this often all of it. */
#define BUDGET_FACTOR 2u

/* ---- merging ------------------------------------------------------------------------------------------------------------------------- */

static bool same_name(const struct etw_session *a, const struct etw_session *b)
{
	return a->name && b->name && strcmp(a->name, b->name) == 0;
}

static bool same_session(const struct etw_session *a, const struct etw_session *b)
{
	if (a->has_va && b->has_va)
		return a->va == b->va;
	return a->silo == b->silo && a->id == b->id && same_name(a, b) && (!a->has_guid || !b->has_guid || guid_equal(&a->guid, &b->guid));
}

static bool same_buffer(const struct etw_buffer *a, const struct etw_buffer *b)
{
	if (a->has_pid || b->has_pid)
		return false;
	if (a->has_va && b->has_va)
		return a->va == b->va;
	return a->cpu == b->cpu && a->hdr.sequence == b->hdr.sequence && a->hdr.timestamp == b->hdr.timestamp &&
	       a->body_len == b->body_len && a->body_len != 0 && memcmp(a->body, b->body, a->body_len) == 0;
}

#define TAKE_PTR(member)                                                                                                                   \
	do {                                                                                                                               \
		if (!to->member) {                                                                                                         \
			to->member = from->member;                                                                                         \
			from->member = NULL;                                                                                               \
		}                                                                                                                          \
	} while (0)

static void merge_facts(struct etw_session *to, struct etw_session *from)
{
	to->found_by |= from->found_by;
	if (!to->name16) {
		to->name16_len = from->name16_len;
		TAKE_PTR(name16);
	}
	TAKE_PTR(name);
	if (!to->has_reference && from->has_reference) {
		to->has_reference = true;
		to->reference_time = from->reference_time;
		to->reference_ts = from->reference_ts;
	}
	if (to->clock == ETW_CLOCK_UNKNOWN)
		to->clock = from->clock;
	if (to->start_time == 0)
		to->start_time = from->start_time;
	if (!to->has_buffer_size && from->has_buffer_size) {
		to->has_buffer_size = true;
		to->buffer_size = from->buffer_size;
	}
	if (to->mode == 0)
		to->mode = from->mode;
	if (to->buffer_count < from->buffer_count)
		to->buffer_count = from->buffer_count;
}

/* `b` is what the other source has of `have`: the one with more records stays. */
static void merge_buffer(struct etw_buffer *have, struct etw_buffer *b)
{
	uint32_t from = have->from | b->from;

	if (b->n_events > have->n_events) {
		struct etw_buffer t = *have;

		*have = *b;
		have->has_va = t.has_va || b->has_va;
		have->va = t.has_va ? t.va : b->va;
		have->has_pa = t.has_pa;
		have->pa = t.pa;
		have->page_pa = t.page_pa;
		have->n_page_pa = t.n_page_pa;
		have->has_file_offset = t.has_file_offset;
		have->file_offset = t.file_offset;
		t.page_pa = b->page_pa;
		t.n_page_pa = b->n_page_pa;
		*b = t;
	}
	have->from = from;
	etw_buffer_clear(b);
}

int session_merge(struct etw_session *to, struct etw_session *from)
{
	size_t n = to->n_buffers;
	int rc = 0;

	merge_facts(to, from);
	for (size_t i = 0; i < from->n_buffers && rc == 0; i++) {
		struct etw_buffer *b = &from->buffers[i];
		size_t j = 0;

		while (j < n && !same_buffer(&to->buffers[j], b))
			j++;
		if (j < n)
			merge_buffer(&to->buffers[j], b);
		else
			rc = etw_session_add_buffer(to, b);
	}
	for (size_t i = 0; i < from->n_residual && rc == 0; i++)
		rc = etw_session_add_residual(to, &from->residual[i]);
	return rc;
}

void session_note_clock(struct notes *ns, const struct etw_system *sys, const struct etw_session *s)
{
	size_t i = 0;

	while (i < s->n_buffers && s->buffers[i].n_events == 0)
		i++;
	if (s->clock != ETW_CLOCK_CPU_CYCLE || sys->cpu_mhz || i == s->n_buffers)
		return;
	notes_scope(ns, s->silo, s->id, s->has_va, s->va);
	notes_add(ns, &NOTE(NOTE_CONTEXT_BAD),
		  "the processors' MHz are not known, and this session counts their cycles: the times of its events are not known");
	notes_scope_none(ns);
}

/* ---- the run ------------------------------------------------------------------------------------------------------------------------- */

struct item {                      /* one session to yield */
	const struct kref *ref;    /* NULL: only from elsewhere */
	struct etw_session *extra; /* NULL: only the kernel's */
	uint32_t silo, id;
	uint64_t va;
};

struct run {
	struct image *im;
	struct kview *v;
	const struct recover_opts *o;
	const struct etw_sink *sink;
	struct item *item;
	size_t n;
	uint64_t budget;
	size_t yielded;
};

static int by_item(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->silo != y->silo)
		return x->silo < y->silo ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->va < y->va ? -1 : x->va > y->va;
}

/* The item whose context is this extra session. */
static int match(struct run *r, const struct etw_session *x, struct item **out)
{
	*out = NULL;
	for (size_t i = 0; i < r->v->n_refs; i++) {
		struct item *it = &r->item[i];
		struct etw_session head;
		bool same;
		int rc;

		if (it->extra || it->silo != x->silo || it->id != x->id)
			continue;
		rc = ksession_head(r->v, it->ref, &head);
		if (rc == ERR_NOMEM)
			return rc;
		if (rc != 0)
			continue;
		same = same_session(&head, x);
		etw_session_clear(&head);
		if (same) {
			*out = it;
			return 0;
		}
	}
	return 0;
}

static int make_items(struct run *r, struct etw_session *extra, size_t n_extra)
{
	int rc = 0;

	r->item = calloc(r->v->n_refs + n_extra + 1, sizeof *r->item);
	if (!r->item)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->v->n_refs; i++) {
		const struct kref *f = &r->v->ref[i];

		r->item[r->n++] = (struct item){.ref = f, .silo = f->silo, .id = f->id, .va = f->va};
	}
	for (size_t i = 0; i < n_extra && rc == 0; i++) {
		struct item *it;

		rc = match(r, &extra[i], &it);
		if (rc == 0 && it)
			it->extra = &extra[i];
		else if (rc == 0)
			r->item[r->n++] = (struct item){.extra = &extra[i], .silo = extra[i].silo, .id = extra[i].id, .va = extra[i].va};
	}
	if (r->n)
		qsort(r->item, r->n, sizeof *r->item, by_item);
	return rc;
}

/* What `want` decides on: the session without its buffers. */
static int wanted(struct run *r, const struct item *it, bool *yes)
{
	struct etw_session head;
	int rc;

	*yes = true;
	if (!r->o->want)
		return 0;
	if (!it->ref) {
		*yes = r->o->want(r->o->want_ctx, it->extra);
		return 0;
	}
	rc = ksession_head(r->v, it->ref, &head);
	if (rc != 0) {
		*yes = rc == ERR_NOTFOUND; /* loading it names what is wrong */
		return rc == ERR_NOTFOUND ? 0 : rc;
	}
	*yes = r->o->want(r->o->want_ctx, &head);
	etw_session_clear(&head);
	return 0;
}

/* The next session is read in a thread of its own while the caller's writes the last one. Callbacks come from the caller's thread only; the
 * kernel's memory is read by one thread at a time. */
struct loading {
	struct run *r;
	struct item *it;
	struct etw_session s;
	int rc;
	struct task task;
};

static void load_item(void *ctx)
{
	struct loading *l = ctx;
	struct item *it = l->it;
	int rc = 0;

	if (it->ref)
		rc = ksession_load(l->r->v, it->ref, l->r->o, &l->r->budget, &l->s);
	if (rc == ERR_NOTFOUND && it->extra)
		rc = 0;
	if (rc == 0 && it->extra && l->s.found_by == 0) {
		l->s = *it->extra;
		memset(it->extra, 0, sizeof *it->extra);
	} else if (rc == 0 && it->extra) {
		rc = session_merge(&l->s, it->extra);
		etw_session_order(&l->s);
	}
	if (rc == 0)
		session_note_clock(&l->r->im->notes, &l->r->im->sys, &l->s);
	l->rc = rc;
}

/* Starts on the next item from *i on that is wanted. 1: started; 0: there is none. */
static int start_next(struct run *r, size_t *i, struct loading *l)
{
	bool yes = false;

	for (; *i < r->n && !yes; (*i)++) {
		int rc = wanted(r, &r->item[*i], &yes);

		if (rc != 0)
			return rc;
		l->it = &r->item[*i];
	}
	if (!yes)
		return 0;
	l->r = r;
	memset(&l->s, 0, sizeof l->s);
	task_start(&l->task, load_item, l);
	return 1;
}

static int deliver(struct run *r, struct loading *l, struct err *e)
{
	if (l->rc == ERR_NOTFOUND) /* no context stands there: noted */
		return 0;
	if (l->rc != 0)
		return err_set(e, l->rc, "out of memory");
	if (r->o->amend && r->o->amend(r->o->amend_ctx, &l->s) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->yielded++;
	return r->sink->session(r->sink->ctx, &l->s, e);
}

static int yield_all(struct run *r, struct err *e)
{
	struct loading two[2];
	size_t i = 0;
	unsigned now = 0;
	int more = start_next(r, &i, &two[0]), rc = 0;

	while (more > 0 && rc >= 0) {
		task_wait(&two[now].task);
		more = start_next(r, &i, &two[!now]);
		rc = deliver(r, &two[now], e);
		etw_session_clear(&two[now].s);
		now = !now;
	}
	if (more > 0) { /* the caller wants no more */
		task_wait(&two[now].task);
		etw_session_clear(&two[now].s);
	}
	if (more < 0 && rc >= 0)
		return err_set(e, more, "out of memory");
	return rc < 0 ? rc : 0;
}

int krecover_run(struct image *im, const struct recover_opts *o, struct etw_session *extra, size_t n_extra, const struct etw_sink *sink,
		 size_t *n, struct err *e)
{
	struct run r = {.im = im, .o = o, .sink = sink};
	int rc = kview_open(&r.v, im->kernel, &im->sys, &im->notes, e);

	if (rc != 0)
		return rc;
	r.v->deep = o->deep;
	r.budget = BUDGET_FACTOR * phys_bytes(im->kernel->phys);
	rc = kview_find(r.v);
	if (rc == 0)
		rc = clockrate_solve(r.v, &im->sys);
	if (rc == 0)
		rc = make_items(&r, extra, n_extra);
	if (rc != 0)
		err_set(e, rc, "out of memory");
	if (rc == 0 && r.n == 0) /* not: none that is wanted */
		rc = ERR_NOTFOUND;
	if (rc == 0 && sink->system)
		rc = sink->system(sink->ctx, &im->sys, e);
	if (rc >= 0)
		rc = yield_all(&r, e);
	free(r.item);
	kview_close(r.v);
	if (rc < 0)
		return rc;
	*n = r.yielded;
	return 0;
}

/* ---- lists --------------------------------------------------------------------------------------------------------------------------- */

static int by_consumer(const void *a, const void *b)
{
	const struct etw_consumer *x = a, *y = b;

	if (x->silo != y->silo)
		return x->silo < y->silo ? -1 : 1;
	if (x->session_id != y->session_id)
		return x->session_id < y->session_id ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->va < y->va ? -1 : x->va > y->va;
}

int krecover_consumers(struct image *im, struct etw_consumer **out, size_t *n, struct err *e)
{
	struct etw_consumer *all = NULL;
	struct kview *v;
	size_t made = 0;
	int rc = kview_open(&v, im->kernel, &im->sys, &im->notes, e);

	if (rc != 0)
		return rc;
	rc = kview_find(v);
	if (rc == 0)
		rc = consumers_count(v);
	if (rc == 0) {
		all = calloc(v->n_consumers ? v->n_consumers : 1, sizeof *all);
		rc = all ? 0 : ERR_NOMEM;
	}
	for (; rc == 0 && made < v->n_consumers; made += rc == 0)
		rc = consumer_value(v, &v->consumer[made], &all[made]);
	kview_close(v);
	if (rc != 0) {
		recover_consumers_free(all, made);
		return err_set(e, rc, "out of memory");
	}
	if (made)
		qsort(all, made, sizeof *all, by_consumer);
	*out = all;
	*n = made;
	return 0;
}

int krecover_providers(struct image *im, struct etw_provider **out, size_t *n, struct err *e)
{
	struct kview *v;
	int rc = kview_open(&v, im->kernel, &im->sys, &im->notes, e);

	if (rc != 0)
		return rc;
	rc = find_silos(v);
	if (rc == 0)
		rc = find_debugger_data(v);
	if (rc == 0)
		rc = providers_list(v, out, n);
	kview_close(v);
	return rc == 0 ? 0 : err_set(e, rc, "out of memory");
}
