/* consumers.c - real-time consumers: EtwConsumer objects from handle tables and from each context's Consumers ring, and the copies of buffers
 * that wait in their address spaces.
 *
 * UserBufferListHead and UserBufferCount of _ETW_REALTIME_CONSUMER are addresses in the consumer, not values: the list's head is read through
 * the process' own page tables, its links are 32 bits wide in a 32-bit process. Each link leads to a copy's +0x20. */
#include <stdlib.h>
#include <string.h>

#include "addrset.h"
#include "copies.h"
#include "kbuffers.h"
#include "rd.h"

#define HDR_LINK    0x20u
#define COPY_HOLES  64u
#define COPIES_MAX  65536u
#define RING_STEPS  4096u
#define TYPE_EMPTY  6u /* an empty marker carries no events */
#define USER_TOP_64 UINT64_C(0x00007fffffffffff)
#define USER_TOP_32 UINT64_C(0xffffffff)

/* ---- finding them -------------------------------------------------------------------------------------------------------------------- */

static struct kconsumer *known(struct kview *v, uint64_t va)
{
	for (size_t i = 0; i < v->n_consumers; i++)
		if (v->consumer[i].va == va)
			return &v->consumer[i];
	return NULL;
}

/* Reads the object; false when this can be none. */
static bool read_consumer(struct kview *v, uint64_t va, struct kconsumer *c)
{
	struct ksnap s;
	uint64_t id, wow = 0, state;
	int silo;

	memset(c, 0, sizeof *c);
	c->va = va;
	if (ksnap_read(&s, v->k, T_CONSUMER, va) < 0 || ksnap_uint(&s, F_CONSUMER_LoggerId, 2, &id) != 0)
		return false;
	c->id = (uint32_t)id;
	c->has_session = c->id < KV_LOGGERS_MAX;
	(void)ksnap_ptr(&s, F_CONSUMER_ProcessObject, &c->eprocess);
	(void)ksnap_ptr(&s, F_CONSUMER_UserBufferListHead, &c->list_head);
	(void)ksnap_ptr(&s, F_CONSUMER_UserBufferCount, &c->count);
	if (ksnap_uint(&s, F_CONSUMER_Wow, 1, &wow) == 0)
		c->wow64 = wow != 0;
	if (ksnap_ptr(&s, F_CONSUMER_SiloState, &state) == 0) {
		silo = kview_silo(v, state);
		c->silo = silo > 0 ? (uint32_t)silo : 0;
	}
	return true;
}

static int add_consumer(struct kview *v, uint64_t va, uint64_t context, bool from_handle)
{
	struct kconsumer c, *k = known(v, va);

	if (!k) {
		if (v->n_consumers >= KV_CONSUMERS_MAX) {
			struct note n = NOTE(NOTE_LIMIT_REACHED);

			notes_add(v->notes, &n, "more than %u consumers", KV_CONSUMERS_MAX);
			return 0;
		}
		if (!read_consumer(v, va, &c)) {
			struct note n = NOTE_AT(NOTE_PAGE_MISSING, va, prof_size(&v->k->prof, T_CONSUMER));

			notes_add(v->notes, &n, "consumer object can't be read");
			return 0;
		}
		if (arr_reserve((void **)&v->consumer, &v->cap_consumers, v->n_consumers, sizeof *v->consumer) != 0)
			return ERR_NOMEM;
		k = &v->consumer[v->n_consumers++];
		*k = c;
	}
	if (context)
		k->context = context;
	k->from_handle |= from_handle;
	k->from_ring |= context != 0;
	return 0;
}

static int handle_object(void *ctx, const struct object_ref *o)
{
	return add_consumer(ctx, o->body, 0, true);
}

/* Consumers hang in this ring, but how they are laid out is nowhere told (Windows Vista). */
static void tell_unread(struct kview *v, const struct kref *r, uint64_t head)
{
	struct note n = NOTE_AT(NOTE_CONTEXT_BAD, head, 0);
	uint64_t first;
	uint32_t many;

	if (!v->k->prof.traits.single_list || kread_ptr_at(v->k, head, &first) != 0 || first == head || !kview_is_ptr(v, first))
		return;
	n.silo = (int)r->silo;
	n.session = (int)r->id;
	n.has_session_va = true;
	n.session_va = r->va;
	if (kread_u32(v->k, r->va, F_CTX_NumConsumers, &many) == 0)
		notes_add(v->notes, &n, "%u real-time consumers are not read: no table tells how this kernel lays them out", many);
	else
		notes_add(v->notes, &n, "real-time consumers are not read: no table tells how this kernel lays them out");
}

/* The ring of one context. */
static int ring_of(struct kview *v, const struct kref *r)
{
	const struct profile *p = &v->k->prof;
	struct klist l;
	uint64_t head;
	uint32_t link;
	int rc;

	if (r->va == 0 || !prof_has(p, F_CTX_Consumers))
		return 0;
	head = r->va + prof_off(p, F_CTX_Consumers);
	if (!prof_has(p, F_CONSUMER_Links)) {
		tell_unread(v, r, head);
		return 0;
	}
	link = prof_off(p, F_CONSUMER_Links);
	rc = klist_collect(&l, v->k, head, KV_CONSUMERS_MAX);
	if (rc != 0)
		return rc == ERR_NOMEM ? rc : 0; /* a missing page of the context is named when it is read */
	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = add_consumer(v, l.node[i] - link, r->va, false);
	if (l.broken) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, l.where, 0);

		n.silo = r->silo;
		n.session = r->id;
		n.has_session_va = true;
		n.session_va = r->va;
		notes_add(v->notes, &n, "Consumers: %s", l.why ? l.why : "the ring does not close");
	}
	klist_free(&l);
	return rc;
}

/* From a consumer along its ring to the head, which lies in the context. */
static uint64_t context_of(struct kview *v, const struct kconsumer *c)
{
	const struct profile *p = &v->k->prof;
	size_t ps = kview_ptr_size(v);
	uint64_t links, at;

	if (!prof_has(p, F_CONSUMER_Links) || !prof_has(p, F_CTX_Consumers))
		return 0;
	links = c->va + prof_off(p, F_CONSUMER_Links);
	for (unsigned backward = 0; backward < 2; backward++) {
		if (kread_ptr_at(v->k, links + backward * ps, &at) != 0)
			continue;
		for (unsigned i = 0; i < RING_STEPS && kview_is_ptr(v, at) && at != links; i++) {
			uint64_t ctx = at - prof_off(p, F_CTX_Consumers);

			if (context_proves(v, ctx, c->id, 0))
				return ctx;
			if (kread_ptr_at(v->k, at + backward * ps, &at) != 0)
				break;
		}
	}
	return 0;
}

static int by_va(const void *a, const void *b)
{
	uint64_t x = ((const struct kconsumer *)a)->va, y = ((const struct kconsumer *)b)->va;

	return x < y ? -1 : x > y;
}

int consumers_of_refs(struct kview *v, size_t from)
{
	int rc = 0;

	for (size_t i = from; i < v->n_refs && rc == 0; i++)
		rc = ring_of(v, &v->ref[i]);
	for (size_t i = 0; i < v->n_consumers && rc == 0; i++)
		rc = kview_add_process(v, v->consumer[i].eprocess);
	if (v->n_consumers)
		qsort(v->consumer, v->n_consumers, sizeof *v->consumer, by_va);
	return rc;
}

int find_consumers(struct kview *v)
{
	size_t refs;
	int rc = objects_find(v->k, &v->procs, "EtwConsumer", handle_object, v);

	if (rc == ERR_NOMEM)
		return rc;
	rc = 0;
	for (size_t i = 0; i < v->n_refs && rc == 0; i++)
		rc = ring_of(v, &v->ref[i]);
	refs = v->n_refs;
	for (size_t i = 0; i < v->n_consumers && rc == 0; i++) {
		struct kconsumer *c = &v->consumer[i];

		if (c->context == 0)
			c->context = context_of(v, c);
		if (c->context == 0 || !c->has_session)
			continue;
		rc = kview_add_ref(v, c->silo, c->id, c->context, ETW_FOUND_CONSUMER);
		if (rc == ERR_LIMIT)
			rc = 0;
	}
	return rc == 0 ? consumers_of_refs(v, refs) : rc;
}

/* ---- copies in user memory ----------------------------------------------------------------------------------------------------------- */

struct walk {
	struct kview *v;
	struct kconsumer *c;
	struct vm *vm;
	uint64_t *copy; /* owned: addresses of headers, newest first */
	size_t n, cap;
};

static bool user_ptr(const struct walk *w, uint64_t p)
{
	return p >= 0x1000 && p <= (w->c->wow64 || w->v->k->prof.pointer_size == 4 ? USER_TOP_32 : USER_TOP_64);
}

static bool user_read(const struct walk *w, uint64_t va, uint64_t *out)
{
	unsigned ps = w->c->wow64 || w->v->k->prof.pointer_size == 4 ? 4 : 8;
	uint8_t b[8];

	if (!user_ptr(w, va) || vm_read(w->vm, va, b, ps) != 0)
		return false;
	*out = ps == 4 ? le32(b) : le64(b);
	return true;
}

static void user_note(const struct walk *w, enum note_what what, uint64_t va, uint64_t n, const char *text)
{
	struct note note = NOTE_AT(what, va, n);
	const struct process *p = kview_process(w->v, w->c->eprocess);

	notes_add(w->v->notes, &note, "user buffers of process %llu: %s", (unsigned long long)(p ? p->pid : 0), text);
}

/* Collects the copies' addresses. */
static int walk_list(struct walk *w)
{
	struct addrset seen = {0};
	uint64_t p;
	int rc = 0;

	if (w->c->list_head == 0)
		return 0;
	if (!user_read(w, w->c->list_head, &p)) {
		user_note(w, NOTE_PAGE_MISSING, w->c->list_head, 0, "the list's head can't be read");
		return 0;
	}
	while (p != 0 && rc == 0) {
		uint64_t next;

		if (!user_ptr(w, p)) {
			user_note(w, NOTE_LIST_BROKEN, p, 0, "a link leads nowhere");
			break;
		}
		rc = addrset_add(&seen, p);
		if (rc <= 0) {
			if (rc == 0)
				user_note(w, NOTE_LIST_BROKEN, p, 0, "a loop");
			break;
		}
		rc = 0;
		if (w->n >= COPIES_MAX) {
			user_note(w, NOTE_LIMIT_REACHED, p, 0, "too many");
			break;
		}
		if (!user_read(w, p, &next)) {
			user_note(w, NOTE_PAGE_MISSING, p - HDR_LINK, 0,
				  "the page of a copy's header is missing: it is lost, and those behind it");
			break;
		}
		rc = arr_reserve((void **)&w->copy, &w->cap, w->n, sizeof *w->copy);
		if (rc == 0)
			w->copy[w->n++] = p - HDR_LINK;
		p = next;
	}
	addrset_free(&seen);
	return rc < 0 ? rc : 0;
}

/* Is b a copy of one of s->buffers[0, n)? Records that only one of the two has (the other lost a page) stay where they are. 0 or ERR_NOMEM. */
static int compare(const struct etw_session *s, size_t n, struct etw_buffer *b)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0 && b->n_events; i++) {
		const struct etw_buffer *o = &s->buffers[i];
		uint32_t copied;

		if (!o->has_va || o->has_same_as || o->cpu != b->cpu || o->hdr.sequence != b->hdr.sequence ||
		    o->hdr.timestamp != b->hdr.timestamp)
			continue;
		copied = etw_count_copied(b, etw_other_has, &(struct etw_other){.b = o});
		if (copied == b->n_events) {
			b->has_same_as = true;
			b->same_as = o->va;
			return 0;
		}
		if (copied)
			rc = etw_drop_copied(b, etw_other_has, &(struct etw_other){.b = o});
	}
	return rc;
}

static void locate_copy(const struct walk *w, uint64_t va, struct etw_buffer *eb)
{
	const struct process *p = kview_process(w->v, w->c->eprocess);

	memset(eb, 0, sizeof *eb);
	eb->has_va = true;
	eb->va = va;
	eb->has_pa = vm_pa(w->vm, va, &eb->pa);
	eb->has_file_offset = eb->has_pa && phys_file_offset(w->v->k->phys, eb->pa, &eb->file_offset);
	eb->has_pid = p != NULL;
	eb->pid = p ? p->pid : 0;
	eb->from = ETW_FROM_USER_LIST;
}

static int load_copy(struct walk *w, struct etw_session *s, uint64_t va, const struct recover_opts *o, uint64_t *budget)
{
	struct vm_missing hole[COPY_HOLES];
	struct etw_range range[COPY_HOLES];
	struct bufload_raw raw = {.missing = range, .met = ETW_MET_SECONDARY, .vm = w->vm};
	struct recover_opts live = *o;
	uint8_t head[ETW_BUFFER_HEADER_SIZE], *bytes;
	struct etw_buffer eb;
	struct etw_bufhdr h;
	uint32_t size, end;
	size_t before = s->n_buffers;
	int rc;

	if (vm_read(w->vm, va, head, sizeof head) != 0) {
		user_note(w, NOTE_PAGE_MISSING, va, sizeof head, "the page of a copy's header is missing: it is lost");
		return 0;
	}
	etw_bufhdr_parse(&h, head);
	if ((h.logger_id & 0x7fff) != s->id || h.buffer_size < ETW_BUFFER_HEADER_SIZE || h.buffer_size > ETW_BUFFER_SIZE_MAX) {
		user_note(w, NOTE_BUFFER_HEADER_BAD, va, 0, "no copy of this session's buffers");
		return 0;
	}
	if (h.type == TYPE_EMPTY)
		return 0;
	size = s->has_buffer_size && s->buffer_size < h.buffer_size ? s->buffer_size : h.buffer_size;
	end = etw_end_of_data(&h, ETW_MET_SECONDARY, size);
	if (end > *budget) {
		user_note(w, NOTE_LIMIT_REACHED, va, end, "more buffer bytes than the image has memory");
		return 0;
	}
	*budget -= end;
	bytes = malloc(end);
	if (!bytes)
		return ERR_NOMEM;
	raw.n_missing = vm_read_padded(w->vm, va, bytes, end, hole, COPY_HOLES);
	for (size_t i = 0; i < raw.n_missing; i++) {
		range[i] = (struct etw_range){(uint32_t)(hole[i].va - va), (uint32_t)hole[i].len};
		user_note(w, NOTE_PAGE_MISSING, hole[i].va, hole[i].len, vm_why_text(hole[i].why));
	}
	raw.raw = bytes;
	raw.len = end;
	locate_copy(w, va, &eb);
	live.residual = false; /* behind a copy's data stands somebody else's */
	rc = bufload_settle(w->v, s, &eb, &raw, &live);
	free(bytes);
	if (rc == 0 && s->n_buffers > before)
		rc = compare(s, before, &s->buffers[before]);
	return rc;
}

static int load_consumer(struct kview *v, struct kconsumer *c, struct etw_session *s, const struct recover_opts *o, uint64_t *budget)
{
	const struct process *p = kview_process(v, c->eprocess);
	struct walk w = {.v = v, .c = c};
	int rc = 0;

	if (!p || p->dtb == 0 || vm_open_like(&w.vm, v->k->vm, p->dtb, NULL) != 0) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, c->va, 0);

		if (c->list_head)
			notes_add(v->notes, &n, "the consumer's process can't be reached: its user buffers are lost");
		return 0;
	}
	rc = walk_list(&w);
	c->buffers = (uint32_t)w.n;
	s->buffer_count += (uint32_t)w.n;
	for (size_t i = w.n; i > 0 && rc == 0 && !o->list_only; i--) /* oldest first */
		rc = load_copy(&w, s, w.copy[i - 1], o, budget);
	free(w.copy);
	vm_close(w.vm);
	return rc;
}

static bool belongs(const struct kconsumer *c, const struct etw_session *s)
{
	if (c->context && s->has_va)
		return c->context == s->va;
	return c->has_session && c->silo == s->silo && c->id == s->id;
}

static int attach(struct kview *v, const struct kconsumer *c, struct etw_session *s)
{
	struct etw_consumer e;
	int rc = consumer_value(v, c, &e);

	if (rc != 0)
		return rc;
	rc = arr_reserve((void **)&s->consumers, &s->cap_consumers, s->n_consumers, sizeof *s->consumers);
	if (rc != 0) {
		etw_consumer_clear(&e);
		return rc;
	}
	s->consumers[s->n_consumers++] = e;
	return 0;
}

int consumers_load(struct kview *v, struct etw_session *s, const struct recover_opts *o, uint64_t *budget)
{
	int rc = 0;

	for (size_t i = 0; i < v->n_consumers && rc == 0; i++) {
		struct kconsumer *c = &v->consumer[i];

		if (!belongs(c, s))
			continue;
		rc = load_consumer(v, c, s, o, budget);
		if (rc == 0)
			rc = attach(v, c, s);
	}
	return rc;
}

int consumer_value(struct kview *v, const struct kconsumer *c, struct etw_consumer *out)
{
	const struct process *p = kview_process(v, c->eprocess);

	memset(out, 0, sizeof *out);
	out->va = c->va;
	out->wow64 = c->wow64;
	out->buffers = c->buffers;
	out->silo = c->silo;
	out->session_id = c->id;
	out->has_session = c->has_session;
	if (p) {
		out->has_pid = true;
		out->pid = p->pid;
		return kview_process_name(p, &out->process);
	}
	return 0;
}

int consumers_count(struct kview *v)
{
	int rc = 0;

	for (size_t i = 0; i < v->n_consumers && rc == 0; i++) {
		struct kconsumer *c = &v->consumer[i];
		const struct process *p = kview_process(v, c->eprocess);
		struct walk w = {.v = v, .c = c};

		if (!p || p->dtb == 0 || vm_open_like(&w.vm, v->k->vm, p->dtb, NULL) != 0)
			continue;
		rc = walk_list(&w);
		c->buffers = (uint32_t)w.n;
		free(w.copy);
		vm_close(w.vm);
	}
	return rc;
}
