/* phys.c - see phys.h */
#include "phys.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

struct run {
	uint64_t pa, len;
	struct input *in; /* NULL: made by fn */
	uint64_t file_off;
	phys_read_fn *fn;
	void *ctx;
	uint32_t order; /* of adding: the earlier one wins */
	bool rest;      /* to the end of `in`, wherever that is; len is the most that it can be: ask len_of() */
};

struct phys {
	struct run *v;
	size_t n, cap;
	bool sealed;
	struct notes *notes;
	uint64_t bytes;      /* without a run that has an open end */
	_Atomic size_t last; /* run of the last hit: reads come in clusters. A stale value only costs a search */
};

int phys_new(struct phys **out, struct notes *notes, struct err *e)
{
	struct phys *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->notes = notes;
	*out = p;
	return 0;
}

void phys_free(struct phys *p)
{
	if (!p)
		return;
	free(p->v);
	free(p);
}

/* True if b goes on where a ends, in memory and in its source. */
static bool continues(const struct run *a, const struct run *b)
{
	if (a->pa + a->len != b->pa || a->in != b->in || a->fn != b->fn || a->ctx != b->ctx)
		return false;
	return !a->in || a->file_off + a->len == b->file_off;
}

static int add(struct phys *p, const struct run *r, struct err *e)
{
	void *arr = p->v;

	if (p->n && continues(&p->v[p->n - 1], r)) {
		p->v[p->n - 1].len += r->len;
		return 0;
	}
	if (p->n >= PHYS_RUNS_MAX)
		return err_set(e, ERR_LIMIT, "more than %u runs of physical memory", PHYS_RUNS_MAX);
	if (arr_reserve(&arr, &p->cap, p->n, sizeof(*p->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	p->v = arr;
	p->v[p->n] = *r;
	p->v[p->n].order = (uint32_t)p->n;
	p->n++;
	return 0;
}

/* The run without the holes of its input. */
static int add_extents(struct phys *p, const struct run *r, struct err *e)
{
	int rc = 0;

	for (uint64_t done = 0; rc == 0 && done < r->len;) {
		struct run part = *r;
		bool there;

		part.pa += done;
		part.file_off += done;
		part.len = input_extent(r->in, part.file_off, r->len - done, &there);
		if (there)
			rc = add(p, &part, e);
		done += part.len;
	}
	return rc;
}

int phys_add_file(struct phys *p, uint64_t pa, uint64_t len, struct input *in, uint64_t file_off, struct err *e)
{
	struct run r = {.pa = pa, .len = len, .in = in, .file_off = file_off};
	uint64_t size = input_size(in), there = file_off < size ? size - file_off : 0;

	if (len > UINT64_MAX - pa)
		r.len = UINT64_MAX - pa;
	if (r.len > there) {
		notes_add(p->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, pa + there, r.len - there),
			  "physical memory at 0x%llx: the file ends before it", (unsigned long long)pa + there);
		r.len = there;
	}
	return r.len ? add_extents(p, &r, e) : 0;
}

int phys_add_rest(struct phys *p, uint64_t pa, struct input *in, uint64_t file_off, struct err *e)
{
	struct run r = {.pa = pa, .len = UINT64_MAX - (pa > file_off ? pa : file_off), .in = in, .file_off = file_off, .rest = true};

	if (!input_size_known(in))
		return add(p, &r, e);
	return phys_add_file(p, pa, input_size(in) > file_off ? input_size(in) - file_off : 0, in, file_off, e);
}

int phys_add(struct phys *p, uint64_t pa, uint64_t len, phys_read_fn *fn, void *ctx, struct err *e)
{
	struct run r = {.pa = pa, .len = len, .fn = fn, .ctx = ctx};

	if (len > UINT64_MAX - pa)
		r.len = UINT64_MAX - pa;
	return r.len ? add(p, &r, e) : 0;
}

/* ---- sealing: sort by address; of two answers for one address the one added first stays ------------------------------------------------- */

static int by_pa(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->pa != y->pa)
		return x->pa < y->pa ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_flat(const struct phys *p)
{
	for (size_t i = 1; i < p->n; i++)
		if (p->v[i].pa < p->v[i - 1].pa + p->v[i - 1].len)
			return false;
	return true;
}

static struct run cut(const struct run *r, uint64_t from, uint64_t to)
{
	struct run c = *r;

	c.file_off += from - r->pa;
	c.pa = from;
	c.len = to - from;
	return c;
}

/* A min-heap of runs that cover the sweep's place, by order of adding: the top is the one that answers. */
struct cover {
	size_t *i; /* indexes into v */
	size_t n;
};

static bool heap_less(const struct phys *p, size_t a, size_t b)
{
	return p->v[a].order < p->v[b].order;
}

static void heap_push(const struct phys *p, struct cover *c, size_t x)
{
	size_t at = c->n++;

	while (at && heap_less(p, x, c->i[(at - 1) / 2])) {
		c->i[at] = c->i[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	c->i[at] = x;
}

static void heap_pop(const struct phys *p, struct cover *c)
{
	size_t x = c->i[--c->n], at = 0;

	for (;;) {
		size_t k = 2 * at + 1;

		if (k >= c->n)
			break;
		if (k + 1 < c->n && heap_less(p, c->i[k + 1], c->i[k]))
			k++;
		if (!heap_less(p, c->i[k], x))
			break;
		c->i[at] = c->i[k];
		at = k;
	}
	if (c->n)
		c->i[at] = x;
}

static uint64_t run_end(const struct run *r)
{
	return r->pa + r->len;
}

struct flat { /* the result being made */
	struct run *v;
	size_t n, cap;
};

static int emit(struct flat *f, const struct run *r)
{
	void *arr = f->v;

	if (f->n && continues(&f->v[f->n - 1], r) && f->v[f->n - 1].order == r->order) {
		f->v[f->n - 1].len += r->len;
		return 0;
	}
	if (arr_reserve(&arr, &f->cap, f->n, sizeof(*f->v)) < 0)
		return ERR_NOMEM;
	f->v = arr;
	f->v[f->n++] = *r;
	return 0;
}

/* Sweeps over the sorted runs; at each place the earliest added one that covers it answers. */
static int flatten(struct phys *p, struct flat *out)
{
	struct cover c = {malloc((p->n ? p->n : 1) * sizeof(size_t)), 0};
	uint64_t at = 0;
	size_t next = 0;
	int rc = c.i ? 0 : ERR_NOMEM;

	while (rc == 0 && (c.n || next < p->n)) {
		uint64_t to;
		struct run piece;

		if (!c.n)
			at = p->v[next].pa;
		while (next < p->n && p->v[next].pa <= at) {
			if (c.n && p->v[next].pa < run_end(&p->v[c.i[0]]))
				notes_add(p->notes, &NOTE_AT(NOTE_RUN_OVERLAP, p->v[next].pa, p->v[next].len),
					  "two runs hold physical address 0x%llx: the first one is taken",
					  (unsigned long long)p->v[next].pa);
			heap_push(p, &c, next++);
		}
		while (c.n && run_end(&p->v[c.i[0]]) <= at)
			heap_pop(p, &c);
		if (!c.n)
			continue;
		to = run_end(&p->v[c.i[0]]);
		if (next < p->n && p->v[next].pa < to)
			to = p->v[next].pa;
		piece = cut(&p->v[c.i[0]], at, to);
		rc = emit(out, &piece);
		at = to;
	}
	free(c.i);
	return rc;
}

/* Joins neighbours that continue each other. */
static void join(struct phys *p)
{
	size_t o = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (o && continues(&p->v[o - 1], &p->v[i]))
			p->v[o - 1].len += p->v[i].len;
		else
			p->v[o++] = p->v[i];
	}
	p->n = o;
}

int phys_seal(struct phys *p, struct err *e)
{
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_pa);
	if (!is_flat(p)) {
		struct flat f = {0};

		if (flatten(p, &f) < 0) {
			free(f.v);
			return err_set(e, ERR_NOMEM, "out of memory");
		}
		free(p->v);
		p->v = f.v;
		p->n = f.n;
		p->cap = f.cap;
	}
	join(p);
	p->bytes = 0;
	for (size_t i = 0; i < p->n; i++)
		p->bytes += p->v[i].rest ? 0 : p->v[i].len;
	p->sealed = true;
	p->notes = NULL;
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------------ */

static bool holds(const struct run *r, uint64_t pa)
{
	return pa >= r->pa && pa - r->pa < r->len;
}

/* The first run that begins behind pa; n: none does. */
static size_t first_behind(const struct phys *p, uint64_t pa)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->v[mid].pa <= pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct run *find(const struct phys *p, uint64_t pa)
{
	struct phys *shared = (struct phys *)(uintptr_t)p; /* only `last`, which is atomic, is written */
	size_t lo, last = atomic_load_explicit(&shared->last, memory_order_relaxed);

	if (last < p->n && holds(&p->v[last], pa))
		return &p->v[last];
	lo = first_behind(p, pa);
	if (!lo || !holds(&p->v[lo - 1], pa))
		return NULL;
	atomic_store_explicit(&shared->last, lo - 1, memory_order_relaxed);
	return &p->v[lo - 1];
}

/* How many of the first len bytes from pa on, all inside of r, can be read; fewer than len with *rc telling why. */
static size_t read_run(const struct run *r, uint64_t pa, void *buf, size_t len, int *rc)
{
	int64_t n;

	if (!r->in) {
		*rc = r->fn(r->ctx, pa, buf, len);
		return *rc < 0 ? 0 : len;
	}
	n = input_read(r->in, r->file_off + (pa - r->pa), buf, len, NULL);
	if (n < 0)
		*rc = ERR_IO;
	else if ((size_t)n < len)
		*rc = ERR_FAULT;
	return n < 0 ? 0 : (size_t)n;
}

static size_t read_runs(const struct phys *p, uint64_t pa, void *buf, size_t len, int *rc)
{
	uint8_t *out = buf;
	size_t got = 0;

	for (*rc = 0; got < len && *rc >= 0;) {
		const struct run *r = got && pa + got < pa ? NULL : find(p, pa + got);
		uint64_t left;

		if (!r) {
			*rc = ERR_FAULT;
			break;
		}
		left = r->len - (pa + got - r->pa);
		got += read_run(r, pa + got, out + got, len - got < left ? len - got : (size_t)left, rc);
	}
	return got;
}

int phys_read(const struct phys *p, uint64_t pa, void *buf, size_t len)
{
	int rc;

	read_runs(p, pa, buf, len, &rc);
	return rc < 0 ? rc : 0;
}

size_t phys_read_some(const struct phys *p, uint64_t pa, void *buf, size_t len)
{
	int rc;

	return read_runs(p, pa, buf, len, &rc);
}

static uint64_t len_of(const struct run *r)
{
	uint64_t size;

	if (!r->rest)
		return r->len;
	size = input_size(r->in);
	size -= size < r->file_off ? size : r->file_off;
	return size < r->len ? size : r->len;
}

/* Bytes of r from pa on, at most len: is the last of them there, then all are, and nobody needs to know where it ends. */
static uint64_t present_in(const struct run *r, uint64_t pa, uint64_t len)
{
	uint64_t at = pa - r->pa, most = r->len - at, n;
	uint8_t last;

	if (len > most)
		len = most;
	if (!r->rest || !len || (!input_size_known(r->in) && input_read(r->in, r->file_off + at + len - 1, &last, 1, NULL) == 1))
		return len;
	n = len_of(r);
	n -= n < at ? n : at;
	return n < len ? n : len;
}

uint64_t phys_present(const struct phys *p, uint64_t pa, uint64_t len)
{
	uint64_t got = 0;

	while (got < len) {
		const struct run *r = find(p, pa + got);
		uint64_t n;

		if (!r)
			break;
		n = present_in(r, pa + got, len - got);
		got += n;
		if (!n)
			break;
	}
	return got;
}

uint64_t phys_absent(const struct phys *p, uint64_t pa, uint64_t len)
{
	size_t next = first_behind(p, pa);

	if (next && holds(&p->v[next - 1], pa) && present_in(&p->v[next - 1], pa, 1))
		return 0;
	return next < p->n && p->v[next].pa - pa < len ? p->v[next].pa - pa : len;
}

bool phys_file_offset(const struct phys *p, uint64_t pa, uint64_t *off)
{
	const struct run *r = find(p, pa);

	if (!r || !r->in || !present_in(r, pa, 1))
		return false;
	*off = r->file_off + (pa - r->pa);
	return true;
}

size_t phys_n_runs(const struct phys *p)
{
	return p->n;
}

bool phys_open_end(const struct phys *p, uint64_t *pa, uint64_t *guess)
{
	if (p->n != 1 || !p->v[0].rest || input_size_known(p->v[0].in))
		return false;
	*pa = p->v[0].pa;
	*guess = input_size_guess(p->v[0].in);
	*guess -= *guess < p->v[0].file_off ? *guess : p->v[0].file_off;
	return true;
}

bool phys_run(const struct phys *p, size_t i, struct phys_run *out)
{
	if (i >= p->n)
		return false;
	*out = (struct phys_run){p->v[i].pa, len_of(&p->v[i]), p->v[i].in != NULL, p->v[i].file_off};
	return true;
}

uint64_t phys_bytes(const struct phys *p)
{
	return p->n == 1 && p->v[0].rest ? len_of(&p->v[0]) : p->bytes;
}

uint64_t phys_end(const struct phys *p)
{
	return p->n ? p->v[p->n - 1].pa + len_of(&p->v[p->n - 1]) : 0;
}
