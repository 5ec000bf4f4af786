/* buffers.c - every way to a session's buffers (docs/live-buffers.md, "Where a buffer hangs"). GlobalList is the one that should hold them
 * all; the others find what a damaged ring no longer reaches, and tell where each buffer was in its life. */
#include "kbuffers.h"

#include <stdlib.h>
#include <string.h>

#include "kslist.h"
#include "rd.h"

#define SIZE_AGREED           2u /* buffers whose own size is believed before the context's */
#define STATE_PLACEHOLDER     6u
#define MODE_BUFFER_INTERFACE 0x40000u

/* ---- the set ------------------------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct kbufset *b, uint64_t va)
{
	return (size_t)((va >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (b->n_hash - 1);
}

static struct kbuf *set_find(const struct kbufset *b, uint64_t va)
{
	if (b->n_hash == 0)
		return NULL;
	for (size_t i = slot_of(b, va); b->hash[i]; i = (i + 1) & (b->n_hash - 1))
		if (b->buf[b->hash[i] - 1].va == va)
			return &b->buf[b->hash[i] - 1];
	return NULL;
}

static void set_hash(struct kbufset *b, size_t index)
{
	size_t i = slot_of(b, b->buf[index].va);

	while (b->hash[i])
		i = (i + 1) & (b->n_hash - 1);
	b->hash[i] = (uint32_t)(index + 1);
}

/* Adds or merges. 0, ERR_NOMEM. *out may be NULL, and is NULL after the limit. */
static int set_add(struct kbufset *b, uint64_t va, uint32_t from, const struct etw_bufhdr *hdr, struct kbuf **out)
{
	struct kbuf *k = set_find(b, va);

	if (out)
		*out = k;
	if (k) {
		k->from |= from;
		if (hdr && k->lost) {
			k->lost = false;
			k->hdr = *hdr;
		}
		return 0;
	}
	if (b->n >= b->max) {
		b->limited = true;
		return 0;
	}
	if (arr_reserve((void **)&b->buf, &b->cap, b->n, sizeof *b->buf) != 0)
		return ERR_NOMEM;
	if (2 * (b->n + 1) > b->n_hash) {
		size_t bigger = b->n_hash ? 2 * b->n_hash : 64;
		uint32_t *h = calloc(bigger, sizeof *h);

		if (!h)
			return ERR_NOMEM;
		free(b->hash);
		b->hash = h;
		b->n_hash = bigger;
		for (size_t i = 0; i < b->n; i++)
			set_hash(b, i);
	}
	b->buf[b->n] = (struct kbuf){.va = va, .from = from, .lost = hdr == NULL};
	if (hdr)
		b->buf[b->n].hdr = *hdr;
	set_hash(b, b->n);
	if (out)
		*out = &b->buf[b->n];
	b->n++;
	return 0;
}

enum kbuf_is buffers_check(const struct kbufset *b, uint64_t va, struct etw_bufhdr *hdr)
{
	uint8_t raw[ETW_BUFFER_HEADER_SIZE];
	const struct etw_session *s = b->s;
	struct etw_bufhdr h;
	bool size_ok, blank;

	if (!kview_is_ptr(b->v, va) || va % 8 != 0)
		return KBUF_ODD;
	if (vm_read(b->v->k->vm, va, raw, sizeof raw) != 0)
		return KBUF_GONE;
	etw_bufhdr_parse(&h, raw);
	h.link = le64(raw + kview_link_off(b->v));
	if (hdr)
		*hdr = h;
	size_ok = s->has_buffer_size ? h.buffer_size == s->buffer_size
				     : h.buffer_size >= KV_BUFFER_MIN && h.buffer_size <= ETW_BUFFER_SIZE_MAX;
	/* a placeholder's header is blank but for its size */
	blank = h.logger_id == 0 && h.saved_offset == 0 && h.timestamp == 0 && h.current_offset == ETW_BUFFER_HEADER_SIZE;
	if (size_ok && (h.logger_id == s->id || blank || h.state == STATE_PLACEHOLDER))
		return KBUF_OURS;
	return KBUF_ODD;
}

/* The buffer at va can't be read: the only way to name it is its address. */
static int lose(struct kbufset *b, uint64_t va, uint32_t from)
{
	return set_add(b, va, from, NULL, NULL);
}

static void broken(const struct kbufset *b, uint64_t where, const char *list, const char *what)
{
	struct note n = NOTE_AT(NOTE_LIST_BROKEN, where, 0);

	notes_add(b->v->notes, &n, "%s: %s", list, what);
}

/* ---- chains through the header's link word ------------------------------------------------------------------------------------------- */

/* A link leads to the next buffer's link word or to its first byte, by list; what stands there decides. */
static enum kbuf_is link_target(const struct kbufset *b, uint64_t p, uint64_t *va, struct etw_bufhdr *hdr)
{
	enum kbuf_is inner = buffers_check(b, p - kview_link_off(b->v), hdr);
	enum kbuf_is outer;
	struct etw_bufhdr h;

	*va = p - kview_link_off(b->v);
	if (inner == KBUF_OURS)
		return inner;
	outer = buffers_check(b, p, &h);
	if (outer == KBUF_OURS) {
		*va = p;
		*hdr = h;
		return outer;
	}
	if (outer == KBUF_GONE && p % 0x1000 == 0) {
		*va = p;
		return outer;
	}
	return inner;
}

/* Follows a chain from pointer `p` to 0 or `end`. Chains of one list may run into each other: the second then stops. */
static int chain(struct kbufset *b, uint64_t p, uint64_t end, uint32_t from, const char *list)
{
	uint32_t id = ++b->chains;
	uint64_t prev = 0;
	int rc;

	for (size_t steps = 0; p != 0 && p != end; steps++) {
		struct etw_bufhdr h;
		struct kbuf *k;
		uint64_t va;
		enum kbuf_is is = link_target(b, p, &va, &h);

		if (is == KBUF_GONE && kview_is_ptr(b->v, va))
			return lose(b, va, from);
		if (is != KBUF_OURS) {
			broken(b, prev ? prev : p, list, "a link leads to no buffer of this session");
			return 0;
		}
		k = set_find(b, va);
		if (k && k->chain == id) {
			broken(b, prev, list, "a loop");
			return 0;
		}
		if (k && k->chain && k->from & from)
			return 0;
		rc = set_add(b, va, from, &h, &k);
		if (rc != 0 || !k)
			return rc;
		k->chain = id;
		prev = va;
		p = h.link;
		if (b->v->k->prof.pointer_size == 4)
			p &= UINT32_MAX;
	}
	return 0;
}

static int queue(struct kbufset *b, enum prof_field f, uint32_t from, const char *list)
{
	const struct ksnap *s = &b->c->snap;
	const struct profile *p = &b->v->k->prof;
	size_t ps = kview_ptr_size(b->v);
	enum prof_field part[3] = {F_QUEUE_QueueEntry, F_QUEUE_QueueHead, F_QUEUE_QueueTail};
	uint64_t at, entry;
	int rc = 0;

	if (!ksnap_va(s, f, &at) || !prof_has(p, F_QUEUE_QueueEntry))
		return 0;
	entry = at + prof_off(p, F_QUEUE_QueueEntry);
	for (unsigned i = 0; i < 3 && rc == 0; i++) {
		const uint8_t *q = prof_has(p, part[i]) ? ksnap_at(s, f, prof_off(p, part[i]), ps, NULL) : NULL;

		if (q)
			rc = chain(b, ps == 4 ? le32(q) : le64(q), entry, from, list);
	}
	return rc;
}

/* ---- current buffers ----------------------------------------------------------------------------------------------------------------- */

/* The buffer that a slot holds, and what hangs behind it until the flush takes it. */
static int current(struct kbufset *b, uint64_t va, uint32_t from, const char *list)
{
	struct etw_bufhdr h;
	enum kbuf_is is = buffers_check(b, va, &h);
	int rc;

	if (is == KBUF_GONE)
		return lose(b, va, from);
	if (is == KBUF_ODD) {
		broken(b, va, list, "holds no buffer of this session");
		return 0;
	}
	rc = set_add(b, va, from, &h, NULL);
	if (rc == 0 && kview_is_ptr(b->v, h.link))
		rc = chain(b, h.link, va, ETW_FROM_DIRTY, "dirty chain");
	return rc;
}

static int processor_slots(struct kbufset *b)
{
	int rc = 0;

	for (size_t i = 0; i < b->v->n_slots && rc == 0; i++) {
		const struct kslot *s = &b->v->slot[i];

		if (s->silo == b->s->silo && s->id == b->s->id)
			rc = current(b, s->buffer, ETW_FROM_PROCESSOR, "per-CPU slot");
	}
	return rc;
}

static int current_or_batched(struct kbufset *b)
{
	uint64_t p;

	/* one slot, two meanings */
	if (b->s->mode & MODE_BUFFER_INTERFACE) {
		if (ksnap_ptr(&b->c->snap, F_CTX_BatchedBufferList, &p) == 0 && p != 0)
			return chain(b, p, 0, ETW_FROM_BATCHED, "BatchedBufferList");
		return 0;
	}
	if (ksnap_ptr(&b->c->snap, F_CTX_CurrentBuffer, &p) != 0)
		return 0;
	p = kview_fast_ref(b->v, p);
	return p ? current(b, p, ETW_FROM_CURRENT, "CurrentBuffer") : 0;
}

/* ---- flush and compression ----------------------------------------------------------------------------------------------------------- */

static int scratch(struct kbufset *b)
{
	size_t ps = kview_ptr_size(b->v);
	uint64_t array, p;
	uint32_t cpus = b->v->sys->n_cpus;
	int rc = 0;

	if (ksnap_ptr(&b->c->snap, F_CTX_ScratchArray, &array) != 0 || array == 0)
		return 0;
	if (!kview_is_ptr(b->v, array)) {
		broken(b, array, "ScratchArray", "leads nowhere");
		return 0;
	}
	if (cpus > KV_CPUS_MAX)
		cpus = KV_CPUS_MAX;
	for (uint32_t i = 0; i < cpus && rc == 0; i++) {
		if (kread_ptr_at(b->v->k, array + (uint64_t)i * ps, &p) != 0) {
			struct note n = NOTE_AT(NOTE_PAGE_MISSING, array + (uint64_t)i * ps, (uint64_t)(cpus - i) * ps);

			notes_add(b->v->notes, &n, "ScratchArray can't be read");
			break;
		}
		if (p)
			rc = chain(b, p, 0, ETW_FROM_SCRATCH, "ScratchArray");
	}
	return rc;
}

static int compression(struct kbufset *b)
{
	const struct ksnap *s = &b->c->snap;
	struct etw_bufhdr h;
	uint64_t p;
	int rc = 0;

	if (ksnap_ptr(s, F_CTX_CompressionTarget, &p) == 0 && p != 0) {
		switch (buffers_check(b, p, &h)) {
		case KBUF_OURS:
			rc = set_add(b, p, ETW_FROM_COMPRESSION, &h, NULL);
			break;
		case KBUF_GONE:
			rc = lose(b, p, ETW_FROM_COMPRESSION);
			break;
		case KBUF_ODD:
			broken(b, p, "CompressionTarget", "leads to no buffer of this session");
			break;
		}
	}
	if (rc == 0 && ksnap_ptr(s, F_CTX_PlaceholderList, &p) == 0 && p != 0)
		rc = chain(b, p, 0, ETW_FROM_PLACEHOLDER, "PlaceholderList");
	return rc;
}

/* ---- GlobalList ---------------------------------------------------------------------------------------------------------------------- */

/* The buffer that a separate node {Flink, Blink, Buffer} leads to. */
static bool node_buffer(const struct kbufset *b, uint64_t node, uint64_t *va)
{
	size_t ps = kview_ptr_size(b->v);

	return kread_ptr_at(b->v->k, node + 2 * ps, va) == 0;
}

static bool node_is_ours(void *ctx, uint64_t node)
{
	const struct kbufset *b = ctx;
	uint64_t va;

	return buffers_check(b, node - kview_entry_off(b->v), NULL) == KBUF_OURS ||
	       (node_buffer(b, node, &va) && buffers_check(b, va, NULL) == KBUF_OURS);
}

static int take_node(struct kbufset *b, uint64_t node)
{
	struct etw_bufhdr h;
	uint64_t va = node - kview_entry_off(b->v);
	enum kbuf_is is;
	struct kbuf *k;
	int rc;

	if (b->separate_nodes) {
		if (!node_buffer(b, node, &va))
			return 0;
		is = buffers_check(b, va, &h);
	} else {
		is = buffers_check(b, va, &h);
		if (is != KBUF_OURS) { /* a foreign node in an embedded ring */
			uint64_t other;

			if (node_buffer(b, node, &other) && buffers_check(b, other, &h) == KBUF_OURS)
				return set_add(b, other, ETW_FROM_GLOBAL_LIST, &h, NULL);
		}
	}
	if (is == KBUF_GONE)
		return lose(b, va, ETW_FROM_GLOBAL_LIST);
	if (is == KBUF_ODD && !kview_is_ptr(b->v, va)) {
		broken(b, node, "GlobalList", "a node holds no buffer");
		return 0;
	}
	rc = set_add(b, va, ETW_FROM_GLOBAL_LIST, &h, &k);
	if (rc == 0 && k && is == KBUF_ODD)
		k->odd = true;
	return rc;
}

/* Pool gives page-aligned blocks from a page on. */
static uint64_t buffer_align(const struct kbufset *b)
{
	return b->s->has_buffer_size && b->s->buffer_size < 0x1000 ? 0x10 : 0x1000;
}

/* Names what the walks could not follow: one note a break, one lost buffer a missing page. */
static int tell_stops(struct kbufset *b, struct kring *r)
{
	uint64_t align = buffer_align(b);
	int rc = 0;

	kring_settle(r);
	for (size_t i = 0; i < r->n_stops && rc == 0; i++) {
		const struct kring_stop *s = &r->stop[i];

		if (s->unreadable && !b->separate_nodes && (s->at - kview_entry_off(b->v)) % align == 0 && !kring_bridged(r, s))
			rc = lose(b, s->at - kview_entry_off(b->v), ETW_FROM_GLOBAL_LIST);
		else if (s->unreadable && b->separate_nodes && !kring_bridged(r, s)) {
			struct note n = NOTE_AT(NOTE_PAGE_MISSING, s->at, 0);

			notes_add(b->v->notes, &n, "node of GlobalList");
		} else {
			broken(b, s->from, "GlobalList", s->backward ? "Blink leads astray" : "Flink leads astray");
		}
	}
	if (r->limited) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(b->v->notes, &n, "GlobalList: more than %zu buffers", r->max);
	}
	return rc;
}

/* Vista: one link a node, so what stands behind a break can't be reached from the head. One note tells of the break and of how much it hides. */
static int single_list(struct kbufset *b)
{
	const uint8_t *p = ksnap_at(&b->c->snap, F_CTX_GlobalList, 0, (uint32_t)(2 * kview_ptr_size(b->v)), NULL);
	uint64_t at, from = b->c->global_list;
	uint32_t id = ++b->chains, depth, n = 0;
	const char *why = NULL;
	int rc = 0;

	if (!p)
		return 0;
	if (!kslist_head(b->v, p, &at, &depth)) {
		broken(b, from, "GlobalList", "its head is none of a list");
		return 0;
	}
	while (at != 0 && rc == 0) {
		uint64_t va = at - kview_entry_off(b->v), next = 0;
		struct etw_bufhdr h;
		enum kbuf_is is = buffers_check(b, va, &h);
		struct kbuf *k;

		if (is == KBUF_GONE && va % buffer_align(b) == 0 && n < depth) {
			why = n + 1 < depth ? "a page is missing" : NULL;
			n++;
			rc = lose(b, va, ETW_FROM_GLOBAL_LIST);
			break;
		}
		if (is != KBUF_OURS || kread_ptr_at(b->v->k, at, &next) != 0) {
			why = "a link leads to no buffer of this session";
			break;
		}
		k = set_find(b, va);
		if (k && k->chain == id) {
			why = "a loop";
			break;
		}
		rc = set_add(b, va, ETW_FROM_GLOBAL_LIST, &h, &k);
		if (rc != 0 || !k)
			return rc;
		k->chain = id;
		n++;
		from = at;
		at = next;
	}
	if (rc == 0 && (why || (n & 0xffff) != depth)) {
		struct note note = NOTE_AT(NOTE_LIST_BROKEN, from, 0);

		notes_add(b->v->notes, &note, "GlobalList: %s; %u of its %u buffers were reached", why ? why : "it ends early", n, depth);
	}
	return rc;
}

/* XP, Server 2003: counted and named, no event is read. */
static int closed_list(struct kbufset *b)
{
	const uint8_t *p = ksnap_at(&b->c->snap, F_CTX_GlobalList, 0, (uint32_t)(2 * kview_ptr_size(b->v)), NULL);
	struct note note = NOTE(NOTE_BUFFER_HEADER_BAD);
	const char *why = NULL;
	uint32_t depth = 0;
	int rc = p ? kslist_count(b->v, b->s->va, p, (uint32_t)b->max, &b->closed, &depth, &why) : 0;

	if (why) {
		struct note stop = NOTE_AT(NOTE_LIST_BROKEN, b->c->global_list, 0);

		notes_add(b->v->notes, &stop, "GlobalList: %s; %u of its %u buffers were reached", why, b->closed, depth);
	}
	notes_add(b->v->notes, &note,
		  "buffers of this Windows are not read: their headers do not tell how far records reach; GlobalList has %u", b->closed);
	return rc;
}

static int global_list(struct kbufset *b)
{
	struct kring r;
	size_t embedded = 0, separate = 0, known = b->n;
	int rc = 0;

	kring_init(&r, b->v, b->c->global_list, b->max, node_is_ours, b);
	if (b->c->has_lists)
		rc = kring_walk(&r, b->c->flink, b->c->blink);
	/* islands: buffers that other ways gave and that no walk from the head reached */
	if (rc == 0 && (!b->c->has_lists || r.n_stops))
		for (size_t i = 0; i < known && rc == 0; i++)
			if (!b->buf[i].lost && kview_is_ptr(b->v, b->buf[i].hdr.flink) && kview_is_ptr(b->v, b->buf[i].hdr.blink))
				rc = kring_seed(&r, b->buf[i].va + kview_entry_off(b->v));
	for (size_t i = 0; i < r.n && rc == 0; i++) {
		uint64_t va;

		if (buffers_check(b, r.node[i].va - kview_entry_off(b->v), NULL) == KBUF_OURS)
			embedded++;
		else if (node_buffer(b, r.node[i].va, &va) && buffers_check(b, va, NULL) == KBUF_OURS)
			separate++;
	}
	b->separate_nodes = separate > embedded;
	for (size_t i = 0; i < r.n && rc == 0; i++)
		rc = take_node(b, r.node[i].va);
	if (rc == 0)
		rc = tell_stops(b, &r);
	kring_free(&r);
	return rc;
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------------- */

static int by_va(const void *a, const void *b)
{
	uint64_t x = ((const struct kbuf *)a)->va, y = ((const struct kbuf *)b)->va;

	return x < y ? -1 : x > y;
}

void buffers_tell(const struct kbufset *b)
{
	if (b->limited) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(b->v->notes, &n, "more than %zu buffers", b->max);
	}
	for (size_t i = 0; i < b->n; i++) {
		const struct kbuf *k = &b->buf[i];
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, k->va, b->s->buffer_size);

		if (k->lost)
			notes_add(b->v->notes, &n, "the page of its header is missing: this buffer is lost");
		n.what = NOTE_BUFFER_HEADER_BAD;
		if (k->odd)
			notes_add(b->v->notes, &n, "BufferSize %u, LoggerId %u do not agree with the session", k->hdr.buffer_size,
				  k->hdr.logger_id);
	}
}

/* The size that all buffers of this session have, when there are several and none has the context's: then that lies. 0: it does not. */
static uint32_t size_agreed(const struct kbufset *b)
{
	uint32_t size = 0;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct etw_bufhdr *h = &b->buf[i].hdr;

		if (b->buf[i].lost || h->logger_id != b->s->id)
			continue;
		if (h->buffer_size == b->s->buffer_size || h->buffer_size < KV_BUFFER_MIN || h->buffer_size > ETW_BUFFER_SIZE_MAX ||
		    (size && h->buffer_size != size))
			return 0;
		size = h->buffer_size;
		n++;
	}
	return n >= SIZE_AGREED && b->s->has_buffer_size ? size : 0;
}

static int follow(struct kbufset *b)
{
	const struct kview *v = b->v;
	int rc = processor_slots(b);

	if (rc == 0 && b->s->has_va) {
		rc = current_or_batched(b);
		if (rc == 0)
			rc = queue(b, F_CTX_BufferQueue, ETW_FROM_BUFFER_QUEUE, "BufferQueue");
		if (rc == 0)
			rc = queue(b, F_CTX_OverflowQueue, ETW_FROM_OVERFLOW_QUEUE, "OverflowQueue");
		if (rc == 0)
			rc = scratch(b);
		if (rc == 0)
			rc = compression(b);
	}
	if (rc == 0)
		rc = v->k->prof.traits.single_list ? single_list(b) : global_list(b);
	return rc;
}

static void begin(struct kbufset *b, struct kview *v, struct etw_session *s, const struct kcontext *c)
{
	memset(b, 0, sizeof *b);
	b->v = v;
	b->s = s;
	b->c = c;
	b->max = c->number_of_buffers ? (size_t)c->number_of_buffers * 2 + 64 : KV_BUFFERS_MAX;
	if (b->max > KV_BUFFERS_MAX)
		b->max = KV_BUFFERS_MAX;
}

/* A list that only looked broken because the size was wrong: what is broken is told again. */
static bool looked_broken(void *ctx, const struct note *n)
{
	const struct etw_session *s = ctx;

	return n->what == NOTE_LIST_BROKEN && n->silo == (int64_t)s->silo && n->session == (int64_t)s->id &&
	       n->has_session_va == s->has_va && (!s->has_va || n->session_va == s->va);
}

int buffers_find(struct kbufset *b, struct kview *v, struct etw_session *s, const struct kcontext *c)
{
	uint32_t size;
	int rc;

	begin(b, v, s, c);
	if (kview_buffers_closed(v))
		return closed_list(b);
	rc = follow(b);
	size = rc == 0 ? size_agreed(b) : 0;
	if (size) {
		struct note n = NOTE_AT(NOTE_CONTEXT_BAD, s->va, 0);

		if (v->notes)
			notes_drop(v->notes, looked_broken, s);
		notes_add(v->notes, &n, "BufferSize says %u, that of all its buffers %u", s->buffer_size, size);
		s->buffer_size = size;
		buffers_free(b);
		begin(b, v, s, c);
		rc = follow(b);
	}
	if (rc != 0)
		return rc;
	if (b->n)
		qsort(b->buf, b->n, sizeof *b->buf, by_va);
	free(b->hash);
	b->hash = NULL;
	b->n_hash = 0;
	return 0;
}

void buffers_free(struct kbufset *b)
{
	free(b->buf);
	free(b->hash);
	memset(b, 0, sizeof *b);
}
