/* infer_roots.c - heads of buffer rings, without a layout of the contexts they lie in. See infer.h.
 *
 * Offsets here are those of _WMI_BUFFER_HEADER, one layout on all builds and word sizes since Windows 7. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "find.h"
#include "infer.h"
#include "physscan.h"
#include "rd.h"

#define PAGE        4096u
#define SLOTS       256u
#define HEAD_ROOM   0x400u /* bytes of a context in which the head of its ring is looked for */
#define BUFFERS_MAX (1u << 20)
#define PIECE_MAX   64u /* buffers in a piece of 256 KiB: they are page aligned */

enum {
	H_SIZE = 0,
	H_SAVED = 4,
	H_CURRENT = 8,
	H_CPU = 0x28,
	H_ID = 0x2a,
	H_STATE = 0x2c,
	H_FLAG = 0x34,
	H_TYPE = 0x36,
	H_ENTRY = 0x38,
	H_END = 0x48
};

struct bufinfo {
	uint32_t size;
	uint16_t id, cpu;
};

/* Does a buffer's header stand at h, by its own words? A head that was never used is blank but for its size: not taken here. */
static bool buffer_like(const uint8_t *h, struct bufinfo *b)
{
	b->size = le32(h + H_SIZE);
	b->id = le16(h + H_ID);
	b->cpu = le16(h + H_CPU);
	return b->size >= 0x400 && b->size <= 0x1000000 && b->size % 0x400 == 0 && le32(h + H_SAVED) <= b->size &&
	       le32(h + H_CURRENT) >= H_END && le32(h + H_STATE) <= 6 && (le16(h + H_FLAG) & ~0x17fu) == 0 && le16(h + H_TYPE) <= 7 &&
	       b->id != 0 && b->id < SLOTS;
}

static bool buffer_at(const struct kernel *k, uint64_t va, struct bufinfo *b)
{
	uint8_t h[H_END];

	return va % PAGE == 0 && vm_is_kernel(k->vm, va) && vm_read(k->vm, va, h, sizeof(h)) == 0 && buffer_like(h, b);
}

/* The buffer of a ring's node: around it, or named behind its links. */
static bool node_buffer(const struct kernel *k, uint64_t node, struct bufinfo *b)
{
	uint64_t va;

	return buffer_at(k, node - H_ENTRY, b) ||
	       (kread_ptr_at(k, node + (uint64_t)2 * vm_pointer_size(k->vm), &va) == 0 && buffer_at(k, va, b));
}

static void add(struct infer_roots *r, uint64_t head, const struct bufinfo *b)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].head == head)
			return;
	if (r->n < INFER_CONTEXTS)
		r->v[r->n++] = (struct infer_root){head, b->id, b->size};
}

static void count(struct infer_roots *r, const struct bufinfo *b)
{
	r->low_bytes += (b->cpu & 0xff00) == 0x800;
	r->plain += b->cpu != 0 && (b->cpu & 0xff00) != 0x800;
}

/* The head of the ring in the context at ctx, by what its neighbours are. */
static void from_context(struct kernel *k, uint64_t ctx, uint32_t id, struct infer_roots *r)
{
	size_t ps = vm_pointer_size(k->vm);
	struct vm_missing hole[4];
	uint8_t p[HEAD_ROOM];

	(void)vm_read_padded(k->vm, ctx, p, sizeof(p), hole, 4);
	for (size_t o = 0; o + 2 * ps <= HEAD_ROOM; o += ps)
		for (unsigned i = 0; i < 2; i++) {
			uint64_t node = ps == 4 ? le32(p + o + i * ps) : le64(p + o + i * ps), back;
			struct bufinfo b;

			if (!vm_is_kernel(k->vm, node) || node % ps || kread_ptr_at(k, node + (i ? 0 : ps), &back) != 0 ||
			    back != ctx + o || !node_buffer(k, node, &b) || b.id != id)
				continue;
			count(r, &b);
			add(r, ctx + o, &b);
		}
}

static void from_table(struct kernel *k, struct infer_roots *r)
{
	unsigned ps = vm_pointer_size(k->vm), ones = 0, zeros = 0;
	uint64_t table = kernel_logger_table(k), ctx;

	if (!table)
		return;
	for (uint32_t id = 0; id < SLOTS && kread_ptr_at(k, table + (uint64_t)id * ps, &ctx) == 0; id++) {
		ones += ctx == 1;
		zeros += ctx == 0 && id < 32;
		if (vm_is_kernel(k->vm, ctx) && ctx % ps == 0)
			from_context(k, ctx, id, r);
	}
	r->empty_slot = ones > zeros;
}

/* ---- from the buffers ------------------------------------------------------------------------------------------------------------------ */

struct found {
	uint64_t pa, link[2];
	struct bufinfo b;
};

struct hits {
	struct found *v;
	size_t n, cap;
};

struct scan {
	const struct kernel *k;
	struct hits *hits; /* one for each thread */
};

static int visit(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	struct scan *s = ctx;
	struct hits *h = &s->hits[thread];
	size_t ps = vm_pointer_size(s->k->vm);
	size_t before = h->n;

	(void)more;
	for (size_t at = (size_t)(-pa % PAGE); at + H_END <= n && h->n - before < PIECE_MAX && h->n < BUFFERS_MAX; at += PAGE) {
		struct found f = {.pa = pa + at};

		if (!buffer_like(p + at, &f.b))
			continue;
		for (unsigned i = 0; i < 2; i++)
			f.link[i] = ps == 4 ? le32(p + at + H_ENTRY + i * ps) : le64(p + at + H_ENTRY + i * ps);
		if (!vm_is_kernel(s->k->vm, f.link[0]) || !vm_is_kernel(s->k->vm, f.link[1]))
			continue;
		if (arr_reserve((void **)&h->v, &h->cap, h->n, sizeof(*h->v)) != 0)
			return ERR_NOMEM;
		h->v[h->n++] = f;
	}
	return 0;
}

/* A neighbour that is no buffer's entry is the head, when it points back to this buffer. */
static void head_of(struct kernel *k, const struct found *f, struct infer_roots *r)
{
	unsigned ps = vm_pointer_size(k->vm);
	uint64_t back, pa;

	for (unsigned i = 0; i < 2; i++) {
		if (f->link[i] % PAGE == H_ENTRY || f->link[i] % ps || kread_ptr_at(k, f->link[i] + (i ? 0 : ps), &back) != 0 ||
		    back % PAGE != H_ENTRY || !vm_pa(k->vm, back, &pa) || pa != f->pa + H_ENTRY)
			continue;
		add(r, f->link[i], &f->b);
	}
}

static int by_pa(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int from_buffers(struct kernel *k, struct infer_roots *r)
{
	struct physscan_opts o = {0};
	unsigned threads = physscan_threads(&o);
	struct scan s = {.k = k, .hits = calloc(threads, sizeof(*s.hits))};
	struct hits all = {0};
	int rc;

	if (!s.hits)
		return ERR_NOMEM;
	rc = physscan_run(k->phys, &o, visit, &s, NULL, NULL);
	for (unsigned t = 0; t < threads; t++) {
		for (size_t i = 0; i < s.hits[t].n && rc == 0; i++) {
			rc = arr_reserve((void **)&all.v, &all.cap, all.n, sizeof(*all.v));
			if (rc == 0)
				all.v[all.n++] = s.hits[t].v[i];
		}
		free(s.hits[t].v);
	}
	free(s.hits);
	if (rc == 0 && all.n)
		qsort(all.v, all.n, sizeof(*all.v), by_pa);
	for (size_t i = 0; i < all.n && rc == 0; i++) {
		count(r, &all.v[i].b);
		head_of(k, &all.v[i], r);
	}
	free(all.v);
	return rc;
}

static int by_head(const void *a, const void *b)
{
	const struct infer_root *x = a, *y = b;

	return x->head < y->head ? -1 : x->head > y->head;
}

int infer_roots(struct kernel *k, bool scan, struct infer_roots *out)
{
	int rc = 0;

	memset(out, 0, sizeof(*out));
	out->from = "logger_table";
	from_table(k, out);
	if (out->n < 2 && scan) {
		out->from = "buffers";
		rc = from_buffers(k, out);
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(out->v[0]), by_head);
	return rc;
}
