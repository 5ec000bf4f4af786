/* hiber.c - hiberfil.sys: which pages of memory stand in which compressed set, and reading them. Facts: docs/formats/hiberfil.md.
 *
 * A page that is in no set was not in use: it is not there, and is never read as zeros. Of two sets that hold the same page the later one counts, as
 * when Windows resumes; sets behind the announced pages come last. */
#include "hiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "rd.h"
#include "xpress.h"
#include "xpresshuff.h"

static const struct { /* Windows Vista and later write capitals */
	char magic[5];
	const char *advice; /* NULL: as it should be */
} states[] = {
	{"HIBR", NULL},
	{"hibr", NULL},
	{"RSTR", "a resume from this hibernation file was begun and not finished: its memory is read as it was before"},
	{"rstr", "a resume from this hibernation file was begun and not finished: its memory is read as it was before"},
	{"WAKE", "the system has resumed from this hibernation file since: what Windows has not wiped or overwritten is read"},
	{"wake", "the system has resumed from this hibernation file since: what Windows has not wiped or overwritten is read"},
};
#define N_STATES (sizeof(states) / sizeof(states[0]))

static size_t state_of(const uint8_t *head)
{
	size_t i = 0;

	while (i < N_STATES && memcmp(head, states[i].magic, 4) != 0)
		i++;
	return i;
}

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 4 && state_of(head) < N_STATES;
}

extern const struct dumpfmt dumpfmt_hiber;

/* ---- what the walkers find ------------------------------------------------------------------------------------------------------------------- */

int hiber_add_set(struct hiber *h, const struct hiber_set *s, struct err *e)
{
	void *arr = h->set;

	if (h->n_sets >= HIBER_SETS_MAX)
		return err_set(e, ERR_LIMIT, "hiberfil: more than %u compression sets", HIBER_SETS_MAX);
	if (arr_reserve(&arr, &h->cap_sets, h->n_sets, sizeof(*h->set)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->set = arr;
	h->set[h->n_sets++] = *s;
	h->pages += s->pages;
	return 0;
}

int hiber_add_span(struct hiber *h, uint64_t pfn, uint8_t first, uint8_t n, struct err *e)
{
	struct hiber_span *last = h->n_spans ? &h->span[h->n_spans - 1] : NULL;
	uint32_t set = (uint32_t)(h->n_sets - 1);
	void *arr = h->span;

	if (last && last->set == set && last->pfn + last->n == pfn && last->first + last->n == first) {
		last->n = (uint8_t)(last->n + n);
		return 0;
	}
	if (arr_reserve(&arr, &h->cap_spans, h->n_spans, sizeof(*h->span)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->span = arr;
	h->span[h->n_spans++] = (struct hiber_span){pfn, set, first, n};
	return 0;
}

/* ---- sorting ---------------------------------------------------------------------------------------------------------------------------------- */

static int by_place(const void *x, const void *y)
{
	const struct hiber_span *a = x, *b = y;

	if (a->pfn != b->pfn)
		return a->pfn < b->pfn ? -1 : 1;
	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

static bool apart(const struct hiber *h)
{
	for (size_t i = 1; i < h->n_spans; i++)
		if (h->span[i].pfn < h->span[i - 1].pfn + h->span[i - 1].n)
			return false;
	return true;
}

struct sweep {                                   /* for the 16 pages from `at` on: who holds them. A span is never longer */
	struct hiber_span hold[HIBER_SET_PAGES]; /* of one page; n 0: nobody */
	uint64_t at, twice, first_twice;
	size_t n_certain;
	struct hiber_span *out;
	size_t n, cap;
};

/* Hands out the pages below `to`. */
static int emit(struct sweep *s, uint64_t to)
{
	for (unsigned k = 0; k < HIBER_SET_PAGES && s->at < to; k++, s->at++) {
		struct hiber_span *p = &s->hold[s->at % HIBER_SET_PAGES], *last = s->n ? &s->out[s->n - 1] : NULL;
		void *arr = s->out;

		if (!p->n)
			continue;
		if (last && last->set == p->set && last->pfn + last->n == p->pfn && last->first + last->n == p->first) {
			last->n++;
		} else {
			if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->out)) < 0)
				return ERR_NOMEM;
			s->out = arr;
			s->out[s->n++] = *p;
		}
		p->n = 0;
	}
	s->at = to;
	return 0;
}

/* The set that counts: a certain one, then the later. */
static bool counts_more(const struct sweep *s, uint32_t set, uint32_t than)
{
	bool certain = set < s->n_certain, other = than < s->n_certain;

	return certain != other ? certain : set > than;
}

static void hold(struct sweep *s, const struct hiber_span *p)
{
	for (unsigned k = 0; k < p->n; k++) {
		struct hiber_span *q = &s->hold[(p->pfn + k) % HIBER_SET_PAGES];

		if (q->n && !s->twice++)
			s->first_twice = p->pfn + k;
		if (!q->n || counts_more(s, p->set, q->set) || (q->set == p->set && q->first < p->first + k))
			*q = (struct hiber_span){p->pfn + k, p->set, (uint8_t)(p->first + k), 1};
	}
}

/* By address, each page once: of those that hold it the last one in the file. */
static int settle(struct hiber *h, struct err *e)
{
	struct sweep s = {.n_certain = h->n_certain};
	int rc = 0;

	if (h->n_spans)
		qsort(h->span, h->n_spans, sizeof(*h->span), by_place);
	if (apart(h))
		return 0;
	for (size_t i = 0; rc == 0 && i < h->n_spans; i++) {
		rc = emit(&s, h->span[i].pfn);
		if (rc == 0)
			hold(&s, &h->span[i]);
	}
	if (rc == 0)
		rc = emit(&s, s.at + HIBER_SET_PAGES);
	if (rc < 0) {
		free(s.out);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	free(h->span);
	h->span = s.out;
	h->n_spans = s.n;
	h->cap_spans = s.cap;
	notes_add(h->notes, &NOTE_AT(NOTE_RUN_OVERLAP, s.first_twice * HIBER_PAGE, s.twice * HIBER_PAGE),
		  "hiberfil: %llu pages stand in more than one set, the first at physical address 0x%llx: the last set counts",
		  (unsigned long long)s.twice, (unsigned long long)s.first_twice * HIBER_PAGE);
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------------- */

/* The 256 bytes that begin Huffman data are the lengths of codes that fill their room exactly. */
static bool is_huffman(const uint8_t *p, size_t n)
{
	uint32_t room = 0;

	for (size_t i = 0; i < 512 && n > 256; i++) {
		unsigned len = p[i / 2] >> (i % 2 * 4) & 15;

		room += len ? 1u << (15 - len) : 0;
	}
	return room == 1u << 15;
}

size_t hiber_unpack(const struct hiber_set *s, const uint8_t *p, uint8_t *out)
{
	size_t want = s->pages * HIBER_PAGE, made;
	int broken = 0;

	if (s->len == want) {
		memcpy(out, p, want);
		return want;
	}
	if (s->method == HIBER_HUFFMAN || (s->method == HIBER_EITHER && is_huffman(p, s->len)))
		made = xpresshuff_unpack_some(p, s->len, out, want, &broken);
	else
		made = xpress_unpack_some(p, s->len, out, want, &broken);
	return made / HIBER_PAGE * HIBER_PAGE;
}

static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct hiber *h = ctx;
	const struct hiber_set *s = &h->set[n];
	uint8_t *p = malloc(s->len);
	size_t made = 0;
	int rc;

	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(h->in, s->off, p, s->len, e);
	if (rc == 0)
		made = hiber_unpack(s, p, buf);
	free(p);
	if (made < s->pages * HIBER_PAGE)
		late_hit(&h->late, n, s->off);
	return rc < 0 ? rc : (int64_t)made;
}

/* The span that holds a page that is there. */
static const struct hiber_span *span_of(const struct hiber *h, uint64_t pfn)
{
	size_t lo = 0, hi = h->n_spans;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->span[mid].pfn <= pfn)
			lo = mid;
		else
			hi = mid;
	}
	return &h->span[lo];
}

static int read_pages(void *ctx, uint64_t pa, void *buf, size_t len)
{
	struct hiber *h = ctx;
	uint8_t *out = buf;
	const struct hiber_span *s = span_of(h, pa / HIBER_PAGE), *end = h->span + h->n_spans;

	for (; len; s++) {
		uint64_t from = s < end ? s->pfn * HIBER_PAGE : UINT64_MAX, bytes = s < end ? s->n * HIBER_PAGE : 0;
		size_t n;

		if (pa < from || pa - from >= bytes)
			return ERR_FAULT;
		n = bytes - (pa - from) < len ? (size_t)(bytes - (pa - from)) : len;
		if (chunkcache_read(h->cache, s->set, s->first * HIBER_PAGE + (size_t)(pa - from), out, n, NULL) != (int64_t)n)
			return ERR_FAULT;
		out += n;
		pa += n;
		len -= n;
	}
	return 0;
}

static void tell(void *ctx, struct notes *notes)
{
	struct hiber *h = ctx;

	late_tell(&h->late, notes, "hiberfil", "compression sets that do not unpack to all of their pages");
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------------------------- */

static void close_hiber(struct dump *d)
{
	struct hiber *h = d->state;

	if (!h)
		return;
	chunkcache_free(h->cache);
	late_free(&h->late);
	free(h->set);
	free(h->span);
	free(h);
	d->state = NULL;
}

static int begin(struct dump *d, struct err *e)
{
	struct hiber *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->in = d->in;
	h->notes = d->notes;
	d->state = h;
	return 0;
}

static int add_runs(struct dump *d, struct hiber *h, struct err *e)
{
	int rc = settle(h, e);

	if (rc == 0)
		rc = late_init(&h->late, h->n_sets, e);
	if (rc == 0)
		rc = chunkcache_new(&h->cache, HIBER_SET_BYTES, h->n_sets, load, h, e);
	for (size_t i = 0; rc == 0 && i < h->n_spans; i++)
		rc = phys_add(d->phys, h->span[i].pfn * HIBER_PAGE, h->span[i].n * HIBER_PAGE, read_pages, h, e);
	if (rc < 0)
		return rc;
	d->late = tell;
	d->late_ctx = h;
	if (h->narrow)
		d->hints.machine = MACHINE_X86;
	snprintf(d->compression + strlen(d->compression), sizeof(d->compression) - strlen(d->compression), "%s%s%s%s",
		 d->compression[0] && (h->method[0] || h->method[1]) ? "+" : "", h->method[HIBER_XPRESS] ? "xpress" : "",
		 h->method[0] && h->method[1] ? "+" : "", h->method[HIBER_HUFFMAN] ? "xpress-huffman" : "");
	return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void advise(struct dump *d, const char *text)
{
	if (!d->advice[0] && text)
		snprintf(d->advice, sizeof(d->advice), "%s", text);
}

/* A system that has resumed wipes its hibernation file, or the first page of it: what is left after that is no longer a surprise. */
static int nothing_in_it(size_t state, const char *why, struct err *e)
{
	if (states[state].advice)
		return err_set(
			e, ERR_NOIMAGE,
			"a hibernation file of a system that has resumed (%s): Windows has wiped it, no memory is left in it; take a "
			"hiberfil.sys of a system that is still hibernated, or out of a volume shadow copy",
			states[state].magic);
	return err_set(e, ERR_TRUNC, "a hibernation file without memory: %s", why);
}

static int open_hiber(struct dump *d, struct err *e)
{
	uint8_t head[HIBER_PAGE];
	const char *why = "none of its tables can be read";
	struct hiber *h;
	size_t state;
	int rc = input_read_all(d->in, 0, head, sizeof(head), e);

	if (rc == 0)
		rc = begin(d, e);
	if (rc < 0)
		return rc;
	h = d->state;
	state = state_of(head);
	rc = hiberset_knows(head) ? hiberset_walk(h, d, head, &why, e) : 0;
	if (rc == 0 && (rc = hibertable_walk(h, d, head, e)) > 0)
		snprintf(d->format, sizeof(d->format), "hiberfil7");
	if (rc == 0 && h->n_sets)
		why = "the ranges of its tables do not fit their blocks, and where its pages stand is not known";
	else if (rc == 0 && !hiberset_knows(head))
		rc = hiberset_walk(h, d, head, &why, e);
	if (rc < 0)
		return rc;
	if (!h->n_spans)
		return nothing_in_it(state, why, e);
	advise(d, states[state].advice);
	return add_runs(d, h, e);
}

int hiber_open_headerless(struct dump *d, struct err *e)
{
	uint8_t head[HIBER_PAGE];
	struct hiber *h;
	int rc;

	if (input_read_all(d->in, 0, head, sizeof(head), NULL) < 0 || !all_zero(head, sizeof(head)))
		return 0;
	rc = begin(d, e);
	if (rc < 0)
		return rc;
	h = d->state;
	h->no_header = true;
	rc = hibertable_walk(h, d, NULL, e);
	if (rc > 0)
		snprintf(d->format, sizeof(d->format), "hiberfil7");
	if (rc == 0) {
		rc = hiberset_search(h, e);
		if (rc > 0)
			snprintf(d->format, sizeof(d->format), "hiberfil");
	}
	if (rc <= 0 || !h->n_spans) {
		close_hiber(d);
		return rc < 0 ? rc : 0;
	}
	d->fmt = &dumpfmt_hiber; /* whose close() is called */
	advise(d,
	       "the header of this hibernation file is wiped (the system has resumed since): its memory was found by its form, parts of it "
	       "may be of an earlier hibernation");
	notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0, HIBER_PAGE),
		  "hiberfil: the header is all zeros: its sets were found by their form");
	rc = add_runs(d, h, e);
	return rc < 0 ? rc : 1;
}

const struct dumpfmt dumpfmt_hiber = {"hiberfil", probe, open_hiber, close_hiber};
