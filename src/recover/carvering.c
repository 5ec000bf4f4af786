/* carvering.c - which buffers hang in one ring, and where its head is. See carvework.h
 *
 * A link names an address of the kernel, or, in a ring inside a process, one of that process: the same number in another process is another place. So addresses of
 * user space are compared together with the root of the page tables of the process that the buffer is mapped in. A buffer that is mapped in no process, or in
 * several at once, joins the ring of that process in whose memory the ring has a place for it; where nothing tells which process that is, it joins none. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"
#include "rd.h"

#define HDR_LINK      0x20u
#define HDR_ENTRY     0x38u
#define ENTRY_PAGE    0x38u  /* where GlobalEntry of a page-aligned buffer stands in its page */
#define ASKS_MAX      65536u /* address spaces asked whether a buffer has a place in them */
#define JOINS_MAX     1024u  /* halves of rings put together */
#define LED_MAX       16u    /* links that lead to one address of a ring */
#define NO_RING       SIZE_MAX
#define SEVERAL_RINGS (SIZE_MAX - 1)
#define SPACES_MAX    64u /* processes that have a ring at one address */

enum end_kind { END_FLINK, END_BLINK, END_SELF };

struct end { /* one link of one buffer, or its own place */
	uint64_t to, space;
	size_t item;
	uint32_t id, size;
	enum end_kind kind;
};

struct rings {
	struct carve_groups *g;
	struct carve_item *v;
	struct end *end; /* owned; ascending by address, id, size, space */
	size_t n;
	struct vm *vm; /* of the address space asked last */
	uint64_t dtb;
	unsigned asked;
};

/* ---- links ------------------------------------------------------------------------------------------------------------------------------ */

/* Two 32-bit pointers, seen as one of 64 bits, are none that a 64-bit system has. */
bool carve_narrow(const struct carve *c, const struct carve_buf *b)
{
	uint64_t flink = b->f->shape.h.flink, blink = b->f->shape.h.blink, top = flink >> 47;
	bool no_pointer = top != 0 && top != 0x1ffff;

	if (c->im->kernel && vm_pointer_size(c->im->kernel->vm) == 4)
		return true;
	if (c->im->kernel) /* a 32-bit process of a 64-bit system */
		return no_pointer && (b->user || b->f->shape.h.logger_id & CARVE_PRIVATE);
	return no_pointer && !(flink >> 56 == 0xff && blink >> 56 == 0xff); /* those of five levels of page tables */
}

void carve_links(const struct carve *c, const struct carve_buf *b, uint64_t *flink, uint64_t *blink)
{
	const struct etw_bufhdr *h = &b->f->shape.h;
	bool narrow = carve_narrow(c, b);

	*flink = narrow ? h->flink & UINT32_MAX : h->flink;
	*blink = narrow ? h->flink >> 32 : h->blink;
}

static bool in_user_space(const struct carve *c, uint64_t va)
{
	return c->im->kernel ? !vm_is_kernel(c->im->kernel->vm, va) : va >> 47 == 0;
}

static size_t ring_of(struct carve_item *v, size_t i)
{
	while (v[i].ring != i) {
		v[i].ring = v[v[i].ring].ring;
		i = v[i].ring;
	}
	return i;
}

/* Rings of two processes stay two, whatever leads from one to the other. */
static void unite(struct carve_item *v, size_t a, size_t b)
{
	size_t from, to;

	a = ring_of(v, a);
	b = ring_of(v, b);
	from = a < b ? b : a;
	to = a < b ? a : b;
	if (a == b || (v[a].space && v[b].space && v[a].space != v[b].space))
		return;
	v[from].ring = to;
	v[to].space = v[from].space ? v[from].space : v[to].space;
	v[to].head = v[to].head ? v[to].head : v[from].head;
}

static int by_to(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

static bool same_place(const struct end *x, const struct end *y)
{
	return x->to == y->to && x->id == y->id && x->size == y->size;
}

static void add_end(struct rings *r, uint64_t to, uint64_t space, size_t item, enum end_kind kind)
{
	r->end[r->n++] = (struct end){to, space, item, r->v[item].id, r->v[item].size, kind};
}

static int list_ends(struct rings *r)
{
	struct carve *c = r->g->c;

	r->end = malloc((r->g->n * 3 + 1) * sizeof(*r->end));
	if (!r->end)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->g->n; i++) {
		struct carve_item *it = &r->v[i];
		const struct carve_buf *b = it->b;
		uint64_t flink, blink;

		carve_links(c, b, &flink, &blink);
		it->ring = i;
		it->inside = it->origin == CARVE_FROM_PRIVATE;
		it->space = it->inside && b->user && !b->shared ? b->dtb : 0;
		if (flink >= CARVE_LINK_LEAST)
			add_end(r, flink, it->space, i, END_FLINK);
		if (blink >= CARVE_LINK_LEAST)
			add_end(r, blink, it->space, i, END_BLINK);
		if (b->has_va)
			add_end(r, b->va + HDR_ENTRY, b->user && !b->shared ? b->dtb : 0, i, END_SELF);
	}
	if (r->n)
		qsort(r->end, r->n, sizeof(*r->end), by_to);
	return 0;
}

/* ---- a buffer whose process is not known ------------------------------------------------------------------------------------------------------ */

enum fit { FIT_NOT, FIT_CAN, FIT_YES };

static struct vm *vm_of(struct rings *r, uint64_t dtb)
{
	if (r->dtb == dtb)
		return r->vm;
	vm_close(r->vm);
	r->dtb = dtb;
	if (vm_open_like(&r->vm, r->g->c->im->kernel->vm, dtb, NULL) != 0)
		r->vm = NULL;
	return r->vm;
}

/* Has the ring that runs through e->to in this address space a place for e's buffer? The place is what that entry names on the other side. */
static enum fit fits(struct rings *r, const struct end *e, uint64_t dtb, uint64_t *va)
{
	const struct carve_buf *b = r->v[e->item].b;
	unsigned size = carve_narrow(r->g->c, b) ? 4 : 8;
	struct vm *vm = r->asked++ < ASKS_MAX ? vm_of(r, dtb) : NULL;
	uint8_t p[8];
	uint64_t pa;

	if (!vm)
		return FIT_NOT;
	if (e->kind == END_SELF)
		*va = e->to - HDR_ENTRY;
	else if (vm_read(vm, e->to + (e->kind == END_FLINK ? size : 0), p, size) != 0)
		return FIT_CAN;
	else
		*va = (size == 4 ? le32(p) : le64(p)) - HDR_ENTRY;
	if (!vm_pa(vm, *va, &pa))
		return e->kind == END_SELF ? FIT_NOT : FIT_CAN;
	return pa == b->f->pa ? FIT_YES : FIT_NOT;
}

/* In one ring an entry is the next one of one buffer, and the one before of one. */
static bool clash(const struct rings *r, const struct end *e, size_t n)
{
	size_t seen[2] = {0};

	for (size_t i = 0; i < n; i++) {
		if (e[i].kind == END_SELF || !r->v[e[i].item].inside)
			continue;
		if (seen[e[i].kind] && seen[e[i].kind] != e[i].item + 1)
			return true;
		seen[e[i].kind] = e[i].item + 1;
	}
	return false;
}

/* It is mapped in several processes: this is the one. */
static void settle_space(struct carve_buf *b, const struct carve_buf *like, uint64_t va)
{
	if (!b->user || !b->shared)
		return;
	b->va = va;
	b->pid = like->pid;
	b->dtb = like->dtb;
}

/* e[0, n) lead to one address of user space; the first n_open of them are of buffers whose process is not known. */
static void place_open(struct rings *r, const struct end *e, size_t n_open, size_t n)
{
	bool mixed = clash(r, e, n), open_mixed = clash(r, e, n_open);
	size_t space[SPACES_MAX], n_spaces = 0; /* the first of e in each */

	for (size_t k = n_open; k < n && n_spaces < SPACES_MAX; k++)
		if (k == n_open || e[k].space != e[k - 1].space)
			space[n_spaces++] = k;
	if (n_spaces == SPACES_MAX)
		n_spaces = 0;
	for (size_t i = 0; i < n_open; i++) {
		size_t can = n, yes = n, n_can = 0, n_yes = 0;
		uint64_t va, at = 0;

		for (size_t j = 0; j < n_spaces; j++) {
			size_t k = space[j];
			enum fit f = fits(r, &e[i], e[k].space, &va);

			if (f == FIT_YES) {
				yes = k;
				n_yes++;
				at = va;
			}
			if (f == FIT_CAN) {
				can = k;
				n_can++;
			}
		}
		if (n_yes == 1) {
			settle_space(r->v[e[i].item].b, r->v[e[yes].item].b, at);
			r->v[e[i].item].placed = true;
			unite(r->v, e[i].item, e[yes].item);
		} else if (n_yes == 0 && n_can == 1 && !mixed) {
			unite(r->v, e[i].item, e[can].item);
		} else if (i > 0 && !open_mixed) {
			unite(r->v, e[i].item, e[i - 1].item);
		}
	}
}

static void one_place(struct rings *r, const struct end *e, size_t n)
{
	size_t n_open = 0;

	if (!in_user_space(r->g->c, e[0].to)) {
		for (size_t i = 1; i < n; i++)
			unite(r->v, e[i].item, e[0].item);
		return;
	}
	while (n_open < n && !e[n_open].space)
		n_open++;
	for (size_t i = n_open + 1; i < n; i++)
		if (e[i].space == e[i - 1].space)
			unite(r->v, e[i].item, e[i - 1].item);
	place_open(r, e, n_open, n);
}

/* ---- heads -------------------------------------------------------------------------------------------------------------------------------- */

/* The head is the one place in a ring that is no buffer's. */
static void find_heads(struct rings *r)
{
	for (size_t i = 0; i < r->g->n; i++) {
		uint64_t link[2];

		if (r->v[i].b->f->pa % CARVE_PAGE != 0 && !r->v[i].b->f->shape.stored)
			continue; /* buffers of the pool begin anywhere: which place is the head can't be told */
		carve_links(r->g->c, r->v[i].b, &link[0], &link[1]);
		for (unsigned k = 0; k < 2; k++)
			if (link[k] >= CARVE_LINK_LEAST && link[k] % CARVE_PAGE != ENTRY_PAGE && link[k] % 4 == 0)
				r->v[ring_of(r->v, i)].head = link[k];
	}
}

static void spread(struct rings *r)
{
	for (size_t i = 0; i < r->g->n; i++) {
		struct carve_item *it = &r->v[i];
		size_t root = ring_of(r->v, i);

		it->head = r->v[root].head;
		it->ring_pa = r->v[root].b->f->pa;
		it->in_ring = root != i;
		r->v[root].in_ring |= root != i;
	}
	for (size_t i = 0; i < r->g->n; i++) {
		struct carve_item *it = &r->v[i];
		uint64_t own = it->inside && it->b->user && !it->b->shared ? it->b->dtb : 0;

		it->space = it->inside ? r->v[ring_of(r->v, i)].space : 0;
		if (it->inside && !it->placed && ((it->space && it->space != own) || it->b->shared))
			it->sure = CARVE_LIKELY; /* nothing speaks against it */
	}
}

/* ---- halves ------------------------------------------------------------------------------------------------------------------------------- */

/* Those at this address, of this id and size. */
static size_t ends_at(const struct rings *r, const struct end *key, size_t *n)
{
	size_t lo = 0, hi = r->n, to;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_to(&r->end[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (to = lo; to < r->n && same_place(&r->end[to], key) && to - lo < LED_MAX;)
		to++;
	*n = to - lo;
	return lo;
}

/* Is an entry the next one, or the one before, of a buffer in each of the two rings? Then they are two. */
static bool apart(struct rings *r, size_t a, size_t b)
{
	for (size_t i = 0; i < r->n; i++) {
		size_t of = ring_of(r->v, r->end[i].item), n, at;
		struct end key = r->end[i];

		if (of != a || key.kind == END_SELF)
			continue;
		key.space = key.item = 0;
		at = ends_at(r, &key, &n);
		for (size_t k = at; k < at + n; k++)
			if (r->end[k].kind == key.kind && ring_of(r->v, r->end[k].item) == b)
				return true;
		if (n == LED_MAX)
			return true;
	}
	return false;
}

/* The one other ring in which the buffer hangs that it's linked to as a free one; NO_RING: none, or several. */
static size_t linked_ring(struct rings *r, size_t i)
{
	const struct carve_buf *b = r->v[i].b;
	uint64_t link = b->f->shape.h.link;
	size_t n, at, own = ring_of(r->v, i), found = NO_RING;
	struct end key = {.id = r->v[i].id, .size = r->v[i].size};

	if (r->v[i].origin != CARVE_FROM_KERNEL && r->v[i].origin != CARVE_FROM_PRIVATE)
		return NO_RING; /* a consumer's copies hang in a list of their own, and a file's in none */
	link = carve_narrow(r->g->c, b) ? link & UINT32_MAX : link;
	if (link < CARVE_LINK_LEAST)
		return NO_RING;
	key.to = link - HDR_LINK + HDR_ENTRY;
	at = ends_at(r, &key, &n);
	for (size_t k = at; k < at + n; k++) {
		size_t ring = ring_of(r->v, r->end[k].item);

		if (ring == own || r->v[ring].space != r->v[own].space || r->v[ring].origin != r->v[own].origin)
			continue;
		if (found != NO_RING && found != ring)
			return NO_RING;
		found = ring;
	}
	return n < LED_MAX ? found : NO_RING;
}

/* Every other entry of a ring with an odd number of buffers is one half of it: neither half's buffers point to a place that the other's do too, and only one
 * has the head. The list of free buffers leads from one into the other. A half that it leads to rings with several heads stays alone. */
static int join_halves(struct rings *r)
{
	size_t *head = malloc((r->g->n + 1) * sizeof(*head)); /* of each root without a head: the ring with one; SEVERAL_RINGS */
	unsigned left = JOINS_MAX;

	if (!head)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->g->n && left; i++) {
		size_t to = linked_ring(r, i), own = ring_of(r->v, i);

		if (to != NO_RING && !r->v[own].head && !r->v[to].head && left-- && !apart(r, own, to))
			unite(r->v, own, to);
	}
	for (size_t i = 0; i < r->g->n; i++)
		head[i] = NO_RING;
	for (size_t i = 0; i < r->g->n; i++) {
		size_t to = linked_ring(r, i), own = ring_of(r->v, i), without = r->v[own].head ? to : own,
		       with = r->v[own].head ? own : to;

		if (to == NO_RING || r->v[without].head || !r->v[with].head)
			continue;
		head[without] = head[without] == NO_RING || head[without] == with ? with : SEVERAL_RINGS;
	}
	for (size_t i = 0; i < r->g->n && left; i++)
		if (head[i] != NO_RING && head[i] != SEVERAL_RINGS && left-- && !apart(r, i, ring_of(r->v, head[i])))
			unite(r->v, i, head[i]);
	free(head);
	return 0;
}

/* A buffer that may be a file's hangs in a ring of which files alone have buffers, and stands at no place that the ring has. */
static int settle_open(struct rings *r)
{
	struct told {
		bool file, other;
	} *ring = calloc(r->g->n + 1, sizeof(*ring));

	if (!ring)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->g->n; i++) {
		struct told *t = &ring[ring_of(r->v, i)];

		t->file |= r->v[i].origin == CARVE_FROM_FILE;
		t->other |= r->v[i].origin != CARVE_FROM_FILE && !r->v[i].open;
	}
	for (size_t i = 0; i < r->g->n; i++) {
		struct carve_item *it = &r->v[i];
		struct end key = {.to = it->b->va + HDR_ENTRY, .id = it->id, .size = it->size};
		const struct told *t = &ring[ring_of(r->v, i)];
		bool named = false;
		size_t n, at;

		if (!it->open || !t->file || t->other)
			continue;
		at = ends_at(r, &key, &n);
		for (size_t k = at; k < at + n; k++)
			named |= r->end[k].kind != END_SELF;
		if (!named)
			it->origin = CARVE_FROM_FILE;
	}
	free(ring);
	return 0;
}

int carve_find_rings(struct carve_groups *g)
{
	struct rings r = {.g = g, .v = g->v};
	int rc = list_ends(&r);

	for (size_t i = 0, to; i < r.n && rc == 0; i = to) {
		for (to = i + 1; to < r.n && same_place(&r.end[to], &r.end[i]);)
			to++;
		one_place(&r, &r.end[i], to - i);
	}
	if (rc == 0) {
		find_heads(&r);
		rc = join_halves(&r);
		rc = rc == 0 ? settle_open(&r) : rc;
		spread(&r);
	}
	vm_close(r.vm);
	free(r.end);
	return rc;
}

/* ---- rings without a head -------------------------------------------------------------------------------------------------------------- */

/* The one head of the items of one kind and file; 0 none. False: there are several. */
static bool the_only(const struct carve_item *v, size_t n, uint64_t *head)
{
	*head = 0;
	for (size_t i = 0; i < n; i++) {
		if (v[i].head && *head && v[i].head != *head)
			return false;
		*head = v[i].head ? v[i].head : *head;
	}
	return true;
}

/* Buffers of a ring whose head is not known join the only one of their kind and file that has one. Where there are several, each ring stands for itself: an id
 * is given to the next session again, and half of a ring with an odd number of buffers knows no head. So it is where they are a file's by a guess only, which may be
 * another file's each. `heads`: of the kind. Sorted by kind. */
static void adopt_file(struct carve_item *v, size_t n, bool heads)
{
	uint64_t head;
	bool one = the_only(v, n, &head), guess = v->file && v->sure == CARVE_GUESS;

	for (size_t k = 0; k < n; k++) {
		struct carve_item *it = &v[k];

		if (it->head || (one && !heads && !(guess && !head)) || (one && (it->firm || it->held))) {
			it->head = one ? head : it->head;
		} else if (it->in_ring) {
			it->apart = it->ring_pa;
		}
	}
}

void carve_adopt(struct carve_groups *g)
{
	for (size_t i = 0, to; i < g->n; i = to) {
		uint64_t head;
		bool heads;

		for (to = i; to < g->n && carve_same_kind(&g->v[to], &g->v[i]);)
			to++;
		heads = !the_only(&g->v[i], to - i, &head);
		for (size_t k = i, end; k < to; k = end) {
			for (end = k; end < to && carve_same_claim(&g->v[end], &g->v[k]);)
				end++;
			adopt_file(&g->v[k], end - k, heads);
		}
	}
}
