/* scan.c - logger contexts that nothing leads to, out of all of physical memory: by their shape, and by the tag of their allocation ('EtwL', in
 * the pool header before them or in the table of big allocations).
 *
 * Physical memory tells no virtual address. A ring gives it: the neighbour of GlobalList's head points back to the head; an empty ring's head
 * points to itself. A context whose lists lie behind the end of its page is found by a pass over the kernel's page tables, made once and only
 * when there is one. Whatever the way, the address must translate back to where the bytes are, and the context must prove itself there
 * (shape.h). */
#include <stdlib.h>
#include <string.h>

#include "addrset.h"
#include "bigpool.h"
#include "physscan.h"
#include "rd.h"
#include "shape.h"

#define PAGE          4096u
#define ETW_TAG       0x4c777445u /* 'EtwL' (pooltag.txt: Etw LoggerContext) */
#define PIECE_MAX     256u        /* contexts in 256 KiB: not one can be smaller than 0x300 bytes and still be */
#define SELF_BYTES    0x1000u     /* of a context, looked at for heads that point to themselves */
#define REVERSE_PAGES (UINT64_C(1) << 23)
#define KERNEL_HALF   UINT64_C(0xffff800000000000)
#define BUFFER_TAG    0x42777445u /* 'EtwB' (pooltag.txt: Etw Buffer) */
#define STEPS_MAX     (1u << 22)  /* along rings, from buffers */

struct cand {
	uint64_t pa, va; /* va 0: not known yet */
	bool tagged, shaped;
};

struct hits { /* of one thread */
	struct cand *v;
	size_t n, cap;
	bool limited;
};

struct scan {
	struct kview *v;
	struct hits *hits; /* one for each thread */
	struct cand *c;    /* all of them, by pa */
	size_t n, cap;
	bool limited;
	struct addrset done; /* buffers whose ring has been followed */
	unsigned steps;      /* along rings, so far */
};

static int add(struct cand **v, size_t *n, size_t *cap, const struct cand *c)
{
	if (arr_reserve((void **)v, cap, *n, sizeof **v) != 0)
		return ERR_NOMEM;
	(*v)[(*n)++] = *c;
	return 0;
}

/* Is a pool header with the tag right before off, or with the room that alignment leaves? */
static bool tagged_at(const struct kview *v, const uint8_t *page, size_t off)
{
	const struct profile *p = &v->k->prof;
	size_t size = prof_size(p, T_POOLHDR), tag = prof_has(p, F_POOLHDR_PoolTag) ? prof_off(p, F_POOLHDR_PoolTag) : 0;

	if (!size || !prof_has(p, F_POOLHDR_PoolTag) || tag + 4 > size)
		return false;
	for (size_t back = size; back <= off && back < size + kview_context_align(v); back += size)
		if (le32(page + off - back + tag) == ETW_TAG)
			return true;
	return false;
}

static int visit(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	struct scan *s = ctx;
	struct hits *h = &s->hits[thread];
	size_t before = h->n, align = kview_context_align(s->v);

	(void)more;
	for (size_t at = 0; at < n;) {
		size_t len = PAGE - (size_t)((pa + at) % PAGE);

		if (len > n - at)
			len = n - at;
		for (size_t off = (size_t)(-(pa + at)) % align; off < len; off += align) {
			struct cand c = {.pa = pa + at + off};

			if (!shape_may_begin(s->v, p + at, off, len))
				continue;
			if (h->n - before >= PIECE_MAX) {
				h->limited = true;
				return 0;
			}
			c.tagged = tagged_at(s->v, p + at, off);
			c.shaped = true;
			if (add(&h->v, &h->n, &h->cap, &c) != 0)
				return ERR_NOMEM;
		}
		at += len;
	}
	return 0;
}

static int by_pa(const void *a, const void *b)
{
	const struct cand *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int collect(struct scan *s)
{
	struct physscan_opts o = {0};
	unsigned threads = physscan_threads(&o);
	int rc;

	s->hits = calloc(threads, sizeof *s->hits);
	if (!s->hits)
		return ERR_NOMEM;
	rc = physscan_run(s->v->k->phys, &o, visit, s, NULL, NULL);
	for (unsigned t = 0; t < threads; t++) {
		for (size_t i = 0; i < s->hits[t].n && rc == 0; i++)
			rc = add(&s->c, &s->n, &s->cap, &s->hits[t].v[i]);
		s->limited |= s->hits[t].limited;
		free(s->hits[t].v);
	}
	free(s->hits);
	if (rc == 0 && s->n)
		qsort(s->c, s->n, sizeof *s->c, by_pa);
	return rc;
}

/* ---- from physical to virtual -------------------------------------------------------------------------------------------------------- */

static bool stands_at(const struct scan *s, uint64_t va, uint64_t pa)
{
	uint64_t is;

	return kview_is_ptr(s->v, va) && vm_pa(s->v->k->vm, va, &is) && is == pa;
}

/* By the neighbours of GlobalList's head. */
static uint64_t va_by_ring(const struct scan *s, const struct cand *c, const uint8_t *page)
{
	const struct profile *p = &s->v->k->prof;
	size_t ps = kview_ptr_size(s->v), off = c->pa % PAGE;
	uint64_t link, head;

	if (!prof_has(p, F_CTX_GlobalList) || p->traits.single_list || off + prof_off(p, F_CTX_GlobalList) + 2 * ps > PAGE)
		return 0;
	page += off + prof_off(p, F_CTX_GlobalList);
	for (unsigned i = 0; i < 2; i++) {
		link = ps == 4 ? le32(page + i * ps) : le64(page + i * ps);
		if (!kview_is_ptr(s->v, link) || link % ps || kread_ptr_at(s->v->k, link + (i ? 0 : ps), &head) != 0)
			continue;
		head -= prof_off(p, F_CTX_GlobalList);
		if (stands_at(s, head, c->pa))
			return head;
	}
	return 0;
}

/* By a word that holds its own address. */
static uint64_t va_by_self(const struct scan *s, const struct cand *c, const uint8_t *page)
{
	size_t ps = kview_ptr_size(s->v), off = c->pa % PAGE, end = off + SELF_BYTES < PAGE ? off + SELF_BYTES : PAGE;

	for (size_t at = off; at + ps <= end; at += ps) {
		uint64_t w = ps == 4 ? le32(page + at) : le64(page + at);

		if (w % PAGE == at && stands_at(s, w, c->pa - off + at))
			return w - at + off;
	}
	return 0;
}

/* Each mapped page of the kernel's half whose frame holds a context of unknown address. */
static void reverse(struct scan *s)
{
	uint64_t va = vm_pointer_size(s->v->k->vm) == 4 ? UINT64_C(0x80000000) : KERNEL_HALF, left = REVERSE_PAGES, start, len, pa;
	uint64_t end = vm_pointer_size(s->v->k->vm) == 4 ? UINT64_C(0x100000000) : UINT64_MAX;

	while (left && vm_next_mapped(s->v->k->vm, va, end, &start, &len)) {
		for (uint64_t at = start; at < start + len && left; at += PAGE, left--) {
			size_t lo = 0, hi = s->n;

			if (!vm_pa(s->v->k->vm, at, &pa))
				continue;
			pa &= ~(uint64_t)(PAGE - 1);
			while (lo < hi) {
				size_t mid = lo + (hi - lo) / 2;

				if (s->c[mid].pa < pa)
					lo = mid + 1;
				else
					hi = mid;
			}
			for (; lo < s->n && s->c[lo].pa - pa < PAGE; lo++)
				if (s->c[lo].va == 0)
					s->c[lo].va = at + (s->c[lo].pa - pa);
		}
		if (start + len <= va)
			break;
		va = start + len;
	}
}

/* Could it be one whose lists can't be seen from its page? */
static bool hidden(const struct scan *s, const struct cand *c)
{
	const struct profile *p = &s->v->k->prof;

	return c->tagged || !prof_has(p, F_CTX_GlobalList) || p->traits.single_list ||
	       c->pa % PAGE + prof_off(p, F_CTX_GlobalList) + 2 * kview_ptr_size(s->v) > PAGE;
}

static void resolve(struct scan *s)
{
	uint8_t page[PAGE];
	uint64_t have = UINT64_MAX;
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		struct cand *c = &s->c[i];
		uint64_t at = c->pa & ~(uint64_t)(PAGE - 1);

		if (at != have && phys_read(s->v->k->phys, at, page, PAGE) != 0)
			continue;
		have = at;
		c->va = va_by_ring(s, c, page);
		if (!c->va)
			c->va = va_by_self(s, c, page);
		any |= !c->va && hidden(s, c);
	}
	if (any)
		reverse(s);
}

/* ---- allocations of a page and more have no header: a table names them ----------------------------------------------------------------- */

/* The context that a buffer's ring leads to, once for each ring. */
static int by_buffer(struct scan *s, uint64_t va, uint64_t *ctx)
{
	const struct profile *p = &s->v->k->prof;
	uint8_t raw[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;
	uint64_t at;
	int rc;

	*ctx = 0;
	if (s->steps >= STEPS_MAX || vm_read(s->v->k->vm, va, raw, sizeof raw) != 0)
		return 0;
	etw_bufhdr_parse(&h, raw);
	if (h.logger_id >= KV_LOGGERS_MAX || h.buffer_size < KV_BUFFER_MIN || h.buffer_size > ETW_BUFFER_SIZE_MAX)
		return 0;
	rc = addrset_add(&s->done, va);
	if (rc <= 0)
		return rc;
	*ctx = kview_ring_context(s->v, va, &h, &s->steps);
	at = *ctx ? *ctx + prof_off(p, F_CTX_GlobalList) : 0;
	for (unsigned i = 0; at && i < KV_BUFFERS_MAX && rc >= 0; i++, s->steps++) { /* the others of this ring need no walk of their own */
		if (kread_ptr_at(s->v->k, at, &at) != 0 || !kview_is_ptr(s->v, at) || at == *ctx + prof_off(p, F_CTX_GlobalList))
			break;
		rc = addrset_add(&s->done, at - kview_entry_off(s->v));
	}
	return rc < 0 ? rc : 0;
}

static int big_one(void *arg, uint64_t va, uint32_t tag)
{
	struct scan *s = arg;
	struct cand c = {.va = va, .tagged = true};
	int rc = tag == BUFFER_TAG ? by_buffer(s, va, &c.va) : 0;

	if (rc == 0 && (tag == ETW_TAG || tag == BUFFER_TAG) && c.va && vm_pa(s->v->k->vm, c.va, &c.pa))
		rc = add(&s->c, &s->n, &s->cap, &c);
	return rc;
}

/* ---- what was found ------------------------------------------------------------------------------------------------------------------ */

/* The host's state, when nothing else told it: the one that most contexts name and no job. */
static void host_of(struct kview *v, const uint64_t *state, size_t n)
{
	uint64_t best = 0;
	size_t most = 0;

	if (v->silo[0].state)
		return;
	for (size_t i = 0; i < n; i++) {
		size_t same = 0;
		bool job = !kview_is_ptr(v, state[i]);

		for (size_t k = 1; k < v->n_silos && !job; k++)
			job = v->silo[k].state == state[i];
		for (size_t k = 0; k < n && !job; k++)
			same += state[k] == state[i];
		if (same > most || (same == most && same && state[i] < best)) {
			most = same;
			best = state[i];
		}
	}
	if (best)
		(void)kview_host(v, best);
}

static int take(struct kview *v, uint64_t va, uint32_t id, uint64_t state, uint32_t found_by)
{
	struct kref *known = kview_ref(v, va);
	int silo = state ? kview_silo(v, state) : 0, rc;

	if (known) {
		known->found_by |= found_by;
		return 0;
	}
	if (silo == ERR_NOMEM)
		return silo;
	if (silo < 0)
		silo = 0;
	rc = kview_add_ref(v, (uint32_t)silo, id, va, found_by);
	return rc == ERR_LIMIT ? 0 : rc;
}

/* Drops what proves nothing; fills id[] and state[] of the rest. */
static void prove(struct scan *s, uint32_t *id, uint64_t *state, struct ksnap *snap)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct cand c = s->c[i];
		bool whole = shape_proves(s->v, c.va, SHAPE_WHOLE, snap, NULL);

		if (!whole && !(c.tagged && shape_proves(s->v, c.va, SHAPE_TAGGED, snap, NULL)))
			continue;
		c.shaped &= whole;
		state[n] = 0;
		(void)ksnap_u32(snap, F_CTX_LoggerId, &id[n]);
		(void)ksnap_ptr(snap, F_CTX_SiloState, &state[n]);
		s->c[n++] = c;
	}
	s->n = n;
}

static int deliver(struct scan *s)
{
	size_t room = s->n ? s->n : 1;
	uint32_t *id = calloc(room, sizeof *id);
	uint64_t *state = calloc(room, sizeof *state);
	struct ksnap *snap = malloc(sizeof *snap);
	int rc = id && state && snap ? 0 : ERR_NOMEM;

	if (rc == 0) {
		prove(s, id, state, snap);
		host_of(s->v, state, s->n);
	}
	for (size_t i = 0; i < s->n && rc == 0; i++)
		rc = take(s->v, s->c[i].va, id[i], state[i],
			  (s->c[i].shaped ? ETW_FOUND_SHAPE_SCAN : 0u) | (s->c[i].tagged ? ETW_FOUND_POOL_SCAN : 0u));
	free(id);
	free(state);
	free(snap);
	return rc;
}

int find_scan(struct kview *v)
{
	struct scan s = {.v = v};
	size_t refs = v->n_refs;
	int rc;

	if (!prof_has(&v->k->prof, F_CTX_LoggerId) || !prof_has(&v->k->prof, F_CTX_BufferSize))
		return 0;
	rc = collect(&s);
	if (s.limited) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(v->notes, &n, "scan for logger contexts: more than %u possible ones in 256 KiB", PIECE_MAX);
	}
	if (rc == 0) {
		resolve(&s);
		rc = bigpool_each(v, big_one, &s);
	}
	if (rc == 0)
		rc = deliver(&s);
	addrset_free(&s.done);
	free(s.c);
	return rc == 0 ? consumers_of_refs(v, refs) : rc;
}
