/* physscan.c - see physscan.h */
#include "physscan.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "task.h"

#define PAGE 4096u

struct extent { /* runs that touch each other */
	uint64_t pa, len;
	uint64_t first; /* number of its first piece */
};

struct scan {
	const struct phys *p;
	const struct physscan_opts *o;
	physscan_fn *fn;
	void *ctx;
	struct extent *v;
	size_t n, cap;
	size_t chunk;
	uint64_t n_pieces, total;
	bool open_end; /* pieces are taken until there is nothing */
	_Atomic uint64_t next, done, unreadable;
	_Atomic int rc; /* the first failure */
};

struct worker {
	struct scan *s;
	unsigned number;
	uint8_t *room; /* owned */
	uint8_t *buf;  /* in it, behind what stands before a piece */
	struct task task;
};

unsigned physscan_threads(const struct physscan_opts *o)
{
	long n = o && o->threads ? (long)o->threads : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > PHYSSCAN_THREADS_MAX ? PHYSSCAN_THREADS_MAX : (unsigned)n;
}

static uint64_t pieces_of(const struct scan *s, const struct extent *x)
{
	return (x->pa + x->len - 1) / s->chunk - x->pa / s->chunk + 1;
}

static int collect(struct scan *s)
{
	uint64_t pa, guess;
	struct phys_run r;

	if (phys_open_end(s->p, &pa, &guess)) {
		s->v = calloc(1, sizeof(*s->v));
		if (!s->v)
			return ERR_NOMEM;
		s->v[s->n++] = (struct extent){.pa = pa, .len = UINT64_MAX - pa};
		s->n_pieces = UINT64_MAX;
		s->open_end = true;
		return 0;
	}
	for (size_t i = 0; phys_run(s->p, i, &r); i++) {
		void *arr = s->v;

		s->total += r.len;
		if (s->n && s->v[s->n - 1].pa + s->v[s->n - 1].len == r.pa) {
			s->v[s->n - 1].len += r.len;
			continue;
		}
		if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
			return ERR_NOMEM;
		s->v = arr;
		s->v[s->n++] = (struct extent){.pa = r.pa, .len = r.len};
	}
	for (size_t i = 0; i < s->n; i++) {
		s->v[i].first = s->n_pieces;
		s->n_pieces += pieces_of(s, &s->v[i]);
	}
	return 0;
}

/* Where piece k stands: [*pa, *pa + *n), and how much of its extent comes behind it. */
static void piece(const struct scan *s, uint64_t k, uint64_t *pa, size_t *n, uint64_t *behind)
{
	size_t lo = 0, hi = s->n;
	uint64_t from, to, end;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].first <= k)
			lo = mid;
		else
			hi = mid;
	}
	end = s->v[lo].pa + s->v[lo].len;
	from = (s->v[lo].pa / s->chunk + (k - s->v[lo].first)) * s->chunk;
	to = from + s->chunk;
	if (to > end || to < from)
		to = end;
	if (from < s->v[lo].pa)
		from = s->v[lo].pa;
	*pa = from;
	*n = (size_t)(to - from);
	*behind = end - to;
}

/* How much of [pa, pa + n) is memory; while its end is not known, all of it. */
static size_t there_of(const struct scan *s, uint64_t pa, size_t n)
{
	uint64_t at, guess;

	return s->open_end && !phys_open_end(s->p, &at, &guess) ? (size_t)phys_present(s->p, pa, n) : n;
}

/* Hands out what w->buf holds, with the bytes before it. */
static int hand_out(struct worker *w, uint64_t pa, size_t n, size_t more)
{
	const struct scan *s = w->s;
	size_t k = s->o->before;

	if (k && (pa < k || phys_read(s->p, pa - k, w->buf - k, k) != 0))
		memset(w->buf - k, 0, k);
	return s->fn(s->ctx, w->number, pa, w->buf, n, more);
}

/* A piece of which something can't be read: what can be, page by page, in stretches without a break. */
static int by_pages(struct worker *w, uint64_t pa, size_t n)
{
	struct scan *s = w->s;
	size_t have = 0, at = 0;
	int rc = 0;

	while (rc >= 0 && at < n) {
		size_t step = PAGE - (size_t)((pa + at) % PAGE);
		bool good;

		if (step > n - at)
			step = n - at;
		good = phys_read(s->p, pa + at, w->buf + have, step) == 0;
		if (!good && there_of(s, pa + at, step) < step) { /* memory ends here, as is known now */
			n = at + there_of(s, pa + at, step);
			step = n - at;
			good = step && phys_read(s->p, pa + at, w->buf + have, step) == 0;
		}
		if (good)
			have += step;
		else
			atomic_fetch_add(&s->unreadable, step);
		at += step;
		if (have && (!good || at == n)) {
			rc = hand_out(w, pa + at - (good ? 0 : step) - have, have, 0);
			have = 0;
		}
	}
	return rc;
}

/* While the end of memory is not known what comes says how much there is; *end: nothing any more. */
static int read_on(struct worker *w, uint64_t pa, size_t *n, bool *end)
{
	size_t have = phys_read_some(w->s->p, pa, w->buf, *n + w->s->o->overlap);

	if (have >= *n)
		return hand_out(w, pa, *n, have - *n);
	*n = there_of(w->s, pa, *n);
	*end = *n == 0;
	if (have < *n)
		return by_pages(w, pa, *n);
	return *n ? hand_out(w, pa, *n, 0) : 0;
}

/* *end: piece k is behind the end of memory. */
static int visit(struct worker *w, uint64_t k, bool *end)
{
	struct scan *s = w->s;
	uint64_t pa, behind;
	size_t n, more;
	int rc;

	piece(s, k, &pa, &n, &behind);
	more = behind < s->o->overlap ? (size_t)behind : s->o->overlap;
	if (s->open_end) {
		rc = read_on(w, pa, &n, end);
	} else if (phys_read(s->p, pa, w->buf, n + more) == 0) {
		rc = hand_out(w, pa, n, more);
	} else if (more && phys_read(s->p, pa, w->buf, n) == 0) {
		rc = hand_out(w, pa, n, 0);
	} else {
		rc = by_pages(w, pa, n);
	}
	atomic_fetch_add(&s->done, n);
	return rc;
}

static bool tell(struct scan *s)
{
	uint64_t done = atomic_load(&s->done), total = s->total, pa;

	if (s->open_end && !phys_open_end(s->p, &pa, &total))
		total = phys_bytes(s->p);
	return s->o->progress(s->o->progress_ctx, done, total < done ? done : total);
}

static void work(void *ctx)
{
	struct worker *w = ctx;
	struct scan *s = w->s;

	while (atomic_load(&s->rc) == 0) {
		uint64_t k = atomic_fetch_add(&s->next, 1);
		int rc, none = 0;
		bool end = false;

		if (k >= s->n_pieces)
			break;
		rc = visit(w, k, &end);
		if (end)
			break;
		if (rc >= 0 && w->number == 0 && s->o->progress && !tell(s))
			rc = ERR_INTR;
		if (rc < 0)
			atomic_compare_exchange_strong(&s->rc, &none, rc);
	}
}

static int run(struct scan *s, unsigned threads)
{
	struct worker *w = calloc(threads, sizeof(*w));
	int rc = w ? 0 : ERR_NOMEM;

	for (unsigned i = 0; rc == 0 && i < threads; i++) {
		size_t lead = s->o->before ? PAGE : 0;

		w[i] = (struct worker){.s = s, .number = i, .room = malloc(lead + s->chunk + s->o->overlap)};
		if (w[i].room)
			w[i].buf = w[i].room + lead;
		else
			rc = ERR_NOMEM;
	}
	if (rc == 0) {
		for (unsigned i = 1; i < threads; i++)
			task_start(&w[i].task, work, &w[i]);
		work(&w[0]);
		for (unsigned i = 1; i < threads; i++)
			task_wait(&w[i].task);
		rc = atomic_load(&s->rc);
	}
	for (unsigned i = 0; w && i < threads; i++)
		free(w[i].room);
	free(w);
	return rc;
}

int physscan_run(const struct phys *p, const struct physscan_opts *o, physscan_fn *fn, void *ctx, uint64_t *unreadable, struct err *e)
{
	static const struct physscan_opts plain;
	struct scan s = {.p = p, .o = o ? o : &plain, .fn = fn, .ctx = ctx};
	int rc;

	s.chunk = s.o->chunk ? s.o->chunk : PHYSSCAN_CHUNK;
	rc = collect(&s);
	if (rc == 0 && s.n_pieces)
		rc = run(&s, physscan_threads(s.o));
	free(s.v);
	if (unreadable)
		*unreadable = atomic_load(&s.unreadable);
	if (rc == ERR_NOMEM)
		return err_set(e, rc, "out of memory");
	if (rc == ERR_INTR)
		return err_set(e, rc, "interrupted");
	return rc < 0 ? err_set(e, rc, "the scan of memory stopped") : 0;
}
