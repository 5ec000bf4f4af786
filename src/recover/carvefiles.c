/* carvefiles.c - which cached buffers are of one file. In a file they stand one behind the other, the header buffer first; its pages often follow each other in
 * memory too, and packed buffers, which begin at any byte, share them. A buffer that begins where the one before ends, with the same id, is the same file's:
 * an id alone proves nothing, since Windows gives it to the next session again. For the others there are their ring, their numbers and the times between which
 * a file can have had them; times alone do not decide, because ids and clock values come again with each boot and headers get lost. */
#include <stdlib.h>

#include "carvework.h"

#define TURN_SLACK 8u
#define RING_FITS  16u

uint64_t carve_file_end(const struct carve_buf *b)
{
	const struct carve_shape *s = &b->f->shape;
	uint32_t len = s->stored ? s->stored : s->h.buffer_size, first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);
	uint32_t last = len <= first ? 0 : (len - first + CARVE_PAGE - 1) / CARVE_PAGE, rest;
	bool row = b->page != NULL;

	/* pages of fill behind the data were not looked for: that the next buffer stands where it should is proof enough */
	for (uint32_t i = 1; row && i <= last && i < b->n_pages; i++)
		row = b->page[i] == b->page[0] + (uint64_t)i * CARVE_PAGE || b->page[i] == ETW_NO_PA;
	if (row)
		return b->f->pa + len;
	if (!b->page || last >= b->n_pages)
		return 0;
	rest = (len - first) % CARVE_PAGE;
	return rest && b->page[last] != ETW_NO_PA ? b->page[last] + rest : 0;
}

static bool in_file(const struct carve_item *it)
{
	return it->origin == CARVE_FROM_FILE || it->origin == CARVE_FROM_RTBACKUP || it->origin == CARVE_FROM_UNKNOWN;
}

struct place {
	uint64_t at;
	struct carve_item *it;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static struct carve_item *item_at(const struct place *v, size_t n, uint64_t at)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && v[lo].at == at ? v[lo].it : NULL;
}

/* A file's buffers are numbered in the order of their flush, which is nearly that of the file: those of a processor that was idle come late, never early (20 real
 * files: at most 7 before their turn). A file written in a circle begins anywhere. */
static bool in_turn(const struct carve_file *h, const struct carve_item *it, uint64_t turn)
{
	uint64_t slack = h->cpus > TURN_SLACK && h->cpus <= ETW_CPUS_MAX ? h->cpus : TURN_SLACK;

	return it->b->f->shape.h.sequence <= turn + slack;
}

static bool goes_with(const struct carve_groups *g, size_t which, const struct carve_item *it)
{
	const struct carve_file *h = &g->h[which];

	return it->id == h->id && (it->file == 0 || it->file == which + 1) && it->dates == (h->clock == ETW_CLOCK_SYSTEM_TIME) &&
	       (!it->size || it->size == h->size);
}

/* What stands behind a closed file's last buffer is another file's. The header is one of those that it counts. */
static bool in_count(const struct carve_file *h, uint64_t turn)
{
	return !h->closed_at || h->written < 2 || h->mode & ETW_MODE_CIRCULAR || turn < h->written;
}

/* The row that begins behind a header, in memory or in the view of it that the kernel maps: each buffer that goes with it in id, clock, number and time. One alone
 * may stand there by chance, unless it is all that the file has. */
static void walk_row(struct carve_groups *g, const struct place *v, size_t n, size_t which, bool view)
{
	size_t same = g->h[which].same, taken = 0;
	const struct carve_file *h = &g->h[same];
	struct carve_item *it, *only = NULL;
	uint64_t at = view ? g->h[which].end_va : g->h[which].end, turn = 1;

	for (; at != 0 && (it = item_at(v, n, at)) != NULL && goes_with(g, same, it) && in_count(h, turn); turn++) {
		if (in_turn(h, it, turn) && carve_file_begun(h, carve_first_ts(it->b))) {
			it->file = same + 1;
			it->firm = carve_file_holds(h, carve_first_ts(it->b), carve_last_ts(it->b));
			it->late = !it->firm;
			only = it;
			taken++;
		} else if (!(h->mode & ETW_MODE_CIRCULAR)) {
			break;
		}
		at = view ? it->b->va + it->size : carve_file_end(it->b);
	}
	if (taken == 1 && h->written != 2)
		only->firm = only->late = false;
}

/* Those that the kernel maps, by virtual address; or all by physical one. */
static void walk_rows(struct carve_groups *g, struct place *v, bool view)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct carve_item *it = &g->v[i];
		const struct carve_buf *b = it->b;

		if (in_file(it) && (!view || (b->has_va && !b->user && it->size)))
			v[n++] = (struct place){view ? b->va : b->f->pa, it};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0; i < g->n_h; i++)
		walk_row(g, v, n, i, view);
}

int carve_find_files(struct carve_groups *g)
{
	struct place *v = malloc((g->n + 1) * sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	walk_rows(g, v, true);
	walk_rows(g, v, false);
	free(v);
	return 0;
}

/* ---- views ------------------------------------------------------------------------------------------------------------------------------- */

struct view { /* a buffer that the kernel maps */
	uint64_t va, end;
	uint32_t id, size;
	bool file;
	struct carve_item *it; /* NULL: a file's first buffer */
};

static int by_va(const void *a, const void *b)
{
	const struct view *x = a, *y = b;

	return x->va < y->va ? -1 : x->va > y->va;
}

/* In a view the buffers of a file stand one behind the other. */
static void hand_on(const struct view *from, struct view *to, bool behind)
{
	if (!from->file || to->file || !to->it || !to->it->open || from->id != to->id || from->size != to->size)
		return;
	if (behind ? from->end == to->va : to->end == from->va) {
		to->file = true;
		to->it->origin = CARVE_FROM_FILE;
	}
}

int carve_find_views(struct carve_groups *g)
{
	const struct carve *c = g->c;
	struct view *v = malloc((g->n + c->n + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n; i++) {
		const struct carve_buf *b = g->v[i].b;

		if (b->has_va && !b->user && !b->f->shape.stored)
			v[n++] = (struct view){b->va, b->va + g->v[i].size, g->v[i].id, g->v[i].size, in_file(&g->v[i]), &g->v[i]};
	}
	for (size_t i = 0; i < c->n; i++) {
		const struct carve_buf *b = &c->buf[i];
		const struct etw_bufhdr *h = &b->f->shape.h;

		if (h->type == CARVE_HEADER && b->has_va && !b->user && !b->live)
			v[n++] = (struct view){b->va, b->va + h->buffer_size, h->logger_id & ~CARVE_PRIVATE, h->buffer_size, true, NULL};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_va);
	for (size_t i = 1; i < n; i++)
		hand_on(&v[i - 1], &v[i], true);
	for (size_t i = n; i > 1; i--)
		hand_on(&v[i - 1], &v[i - 2], false);
	free(v);
	return 0;
}

/* ---- by ring, id and time ------------------------------------------------------------------------------------------------------------- */

struct vote { /* a buffer that stands in a header's row, and the head of the ring that it hangs in */
	size_t file;
	uint64_t head;
	struct carve_item *it;
};

static int by_vote(const void *a, const void *b)
{
	const struct vote *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return x->it->b->f->pa < y->it->b->f->pa ? -1 : x->it->b->f->pa > y->it->b->f->pa;
}

/* All buffers of a file hang in one ring. Where those behind its header point to several heads, the most decide, and the others stand there by chance. */
static void settle_heads(struct carve_groups *g, const struct vote *v, size_t n)
{
	for (size_t i = 0, end; i < n; i = end) {
		size_t most = 0;
		uint64_t head = 0;

		for (end = i; end < n && v[end].file == v[i].file;) {
			size_t to = end;

			while (to < n && v[to].file == v[i].file && v[to].head == v[end].head)
				to++;
			if (to - end >= most) {
				head = to - end == most ? 0 : v[end].head;
				most = to - end;
			}
			end = to;
		}
		g->h[v[i].file - 1].head = head;
		for (size_t k = i; k < end; k++)
			if (v[k].head != head) {
				v[k].it->file = 0;
				v[k].it->firm = v[k].it->late = false;
			}
	}
}

static int find_heads(struct carve_groups *g)
{
	struct vote *v = malloc((g->n + 1) * sizeof(*v));
	size_t n = 0;

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].firm && g->v[i].head)
			v[n++] = (struct vote){g->v[i].file, g->v[i].head, &g->v[i]};
	if (n)
		qsort(v, n, sizeof(*v), by_vote);
	settle_heads(g, v, n);
	free(v);
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].firm)
			g->h[g->v[i].file - 1].taken = true;
	return 0;
}

/* The items of one ring, which may be one alone. */
struct ring {
	const size_t *item;
	size_t n;
	size_t file; /* which the firm ones are of; 0: none, or several */
	size_t n_firm;
	size_t fits[RING_FITS]; /* headers that may have had any of them, */
	size_t held[RING_FITS]; /* and how many of them */
	size_t n_fits;
	bool more;              /* there are more headers than that */
	bool once;              /* no two have one number: one session's, as far as can be told */
	bool alien;             /* there are some that can't be `file`'s */
	size_t holder;          /* `file`, else the one header that may have had all of them; 0 */
	enum carve_borne borne; /* what they say of that */
};

struct number {
	uint64_t n, ts;
};

static int by_value(const void *a, const void *b)
{
	const struct number *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

/* The same buffer may have been found twice: it begins with the same event then. */
static int numbers_once(const struct carve_groups *g, struct ring *r)
{
	struct number *v = malloc(r->n * sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < r->n; i++) {
		const struct carve_buf *b = g->v[r->item[i]].b;

		v[i] = (struct number){b->f->shape.h.sequence, carve_first_ts(b)};
	}
	qsort(v, r->n, sizeof(*v), by_value);
	r->once = true;
	for (size_t i = 1; i < r->n; i++)
		r->once &= v[i].n == 0 || v[i].n != v[i - 1].n || v[i].ts == v[i - 1].ts;
	free(v);
	return 0;
}

static void count_fit(struct ring *r, size_t file)
{
	for (size_t i = 0; i < r->n_fits; i++)
		if (r->fits[i] == file) {
			r->held[i]++;
			return;
		}
	if (r->n_fits == RING_FITS) {
		r->more = true;
		return;
	}
	r->fits[r->n_fits] = file;
	r->held[r->n_fits++] = 1;
}

/* The one header that may have had all of them; 0: none, or several. */
static size_t the_holder(const struct ring *r)
{
	size_t all = 0, which = 0;

	for (size_t i = 0; i < r->n_fits; i++)
		if (r->held[i] == r->n) {
			all++;
			which = r->fits[i];
		}
	return all == 1 && !r->more && r->once ? which : 0;
}

static size_t fits_of(const struct carve_groups *g, const struct carve_item *it, size_t fit[CARVE_FITS], bool *more)
{
	bool inside;

	return carve_headers_fit(g, it, carve_first_ts(it->b), carve_last_ts(it->b), fit, more, &inside);
}

static bool among(const size_t *v, size_t n, size_t which)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == which)
			return true;
	return false;
}

/* What a ring and all others say of the file: where one ring alone has all numbers that the header counts, the others are another file's. */
static enum carve_borne borne_by(const struct carve_file *h, const struct ring *r, bool own)
{
	bool all = own && r->borne >= CARVE_BORNE_ALL;

	if (h->whole == 0)
		return h->borne;
	return h->whole == 1 && all ? r->borne : CARVE_BORNE_NOT;
}

/* Buffers that hang in one ring with those that stand in a row are the same file's, unless something speaks against it. A head is known by both sides. */
static enum carve_sure sure_by_ring(const struct carve_groups *g, const struct carve_item *it, const struct ring *r, bool alone)
{
	const struct carve_file *h = &g->h[r->file - 1];
	enum carve_borne borne = borne_by(h, r, true);

	if (!r->once || r->alien || !carve_number_fits(h, it) || (h->whole && borne == CARVE_BORNE_NOT))
		return CARVE_GUESS;
	if (alone && (borne == CARVE_BORNE_WHOLE || (h->head && h->head == it->head)))
		return CARVE_CERTAIN;
	return (alone && (borne != CARVE_BORNE_NOT || !h->strangers)) || r->n_firm > r->n / 2 ? CARVE_LIKELY : CARVE_GUESS;
}

/* That a buffer lies between a file's begin and its end makes it that file's only with all, or most, of the numbers that the header counts. */
static enum carve_sure sure_by_time(const struct carve_groups *g, const struct carve_item *it, const struct ring *r, bool alone)
{
	const struct carve_file *h = &g->h[it->file - 1];
	bool own = r->holder == it->file;
	enum carve_borne borne = borne_by(h, r, own);

	if (borne == CARVE_BORNE_NOT || !(alone || own) || (borne == CARVE_BORNE_MOST && h->strangers && h->clock != ETW_CLOCK_SYSTEM_TIME))
		return CARVE_GUESS;
	return alone && borne == CARVE_BORNE_WHOLE ? CARVE_CERTAIN : CARVE_LIKELY;
}

/* Its ring's file if that can be, else the latest begun. */
static void choose(struct carve_groups *g, struct carve_item *it, const struct ring *r)
{
	size_t fit[CARVE_FITS], n, row = it->file;
	bool more, alone;

	it->sure = CARVE_CERTAIN;
	if (it->firm)
		return;
	n = fits_of(g, it, fit, &more);
	if (it->late && n == 0) { /* it stands in its place: the wall clock was set, then */
		it->sure = CARVE_LIKELY;
		return;
	}
	it->late = false;
	it->file = 0;
	if (n == 0)
		return;
	alone = n == 1 && !more;
	it->held = alone && g->h[fit[0]].last != UINT64_MAX;
	if (r->file && among(fit, n, r->file - 1)) {
		it->file = r->file;
		it->sure = sure_by_ring(g, it, r, alone);
		return;
	}
	if (r->holder && among(fit, n, r->holder - 1))
		it->file = r->holder;
	else
		it->file = row && among(fit, n, row - 1) ? row : fit[0] + 1;
	it->sure = sure_by_time(g, it, r, alone);
}

/* What the members of a ring have in common: the file of those that stand in a row, and the headers that can have had any of them. v: room
 * for n. */
static int take_ring(struct carve_groups *g, const size_t *item, size_t n, struct carve_claim *v, struct ring *r)
{
	size_t fit[CARVE_FITS], n_fits;
	bool several = false, more;

	*r = (struct ring){.item = item, .n = n};
	if (numbers_once(g, r) != 0)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct carve_item *it = &g->v[item[i]];

		if (it->firm) {
			several |= r->file && r->file != it->file;
			r->file = it->file;
			r->n_firm++;
		}
		for (size_t k = fits_of(g, it, fit, &more); k > 0; k--)
			count_fit(r, fit[k - 1] + 1);
		r->more |= more;
	}
	if (several)
		r->file = 0;
	for (size_t i = 0; i < n && r->file; i++) {
		const struct carve_item *it = &g->v[item[i]];

		n_fits = fits_of(g, it, fit, &more);
		r->alien |= !among(fit, n_fits, r->file - 1) && !((it->firm || it->late) && it->file == r->file);
	}
	r->holder = r->file ? r->file : the_holder(r);
	for (size_t i = 0; i < n && r->holder; i++)
		v[i] = carve_claim_of(r->holder - 1, &g->v[item[i]]);
	r->borne = r->holder && !r->alien ? carve_borne_out(g, v, n) : CARVE_BORNE_NOT;
	return 0;
}

static int one_ring(struct carve_groups *g, const size_t *item, size_t n, struct carve_claim *v)
{
	struct ring r;

	if (take_ring(g, item, n, v, &r) != 0)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct carve_item *it = &g->v[item[i]];

		choose(g, it, &r);
		it->local = it->file && !it->firm && !carve_file_plain(&g->h[it->file - 1], carve_first_ts(it->b), carve_last_ts(it->b));
	}
	return 0;
}

struct claims { /* what all rings together say */
	struct carve_claim *v;
	uint64_t *stranger;
	size_t n, n_strangers;
};

/* All files that a ring's members may be of. Those in a row are of that one only, and so are the others of its ring where they can be. */
static int claims_of(struct carve_groups *g, const size_t *item, size_t n, struct claims *c)
{
	struct ring r;

	if (take_ring(g, item, n, c->v + c->n, &r) != 0)
		return ERR_NOMEM;
	if (r.borne >= CARVE_BORNE_ALL)
		g->h[r.holder - 1].whole++;
	for (size_t i = 0; i < n; i++) {
		struct carve_item *it = &g->v[item[i]];
		size_t fit[CARVE_FITS];
		bool more, own;
		size_t fits = fits_of(g, it, fit, &more);

		if (it->firm || (it->late && fits == 0)) {
			c->v[c->n++] = carve_claim_of(it->file - 1, it);
			continue;
		}
		own = r.holder && among(fit, fits, r.holder - 1);
		for (size_t k = 0; k < fits; k++)
			if (!own || fit[k] == r.holder - 1)
				c->v[c->n++] = carve_claim_of(fit[k], it);
		if (fits == 0)
			c->stranger[c->n_strangers++] = carve_stranger_key(it);
	}
	return 0;
}

struct member {
	size_t ring, item;
};

static int by_ring(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->ring != y->ring)
		return x->ring < y->ring ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

static int by_rings(struct carve_groups *g, const struct member *v, size_t *item, size_t n, struct claims *c)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		item[i] = v[i].item;
	for (size_t i = 0, to; i < n && rc == 0; i = to) {
		for (to = i; to < n && v[to].ring == v[i].ring;)
			to++;
		rc = claims_of(g, item + i, to - i, c);
	}
	if (rc != 0)
		return rc;
	carve_weigh_files(g, c->v, c->n);
	carve_tell_strangers(g, c->stranger, c->n_strangers);
	for (size_t i = 0, to; i < n && rc == 0; i = to) {
		for (to = i; to < n && v[to].ring == v[i].ring;)
			to++;
		rc = one_ring(g, item + i, to - i, c->v);
	}
	return rc;
}

int carve_choose_files(struct carve_groups *g)
{
	struct member *v = malloc((g->n + 1) * sizeof(*v));
	size_t *item = malloc((g->n + 1) * sizeof(*item)), n = 0;
	struct claims c = {malloc((g->n + 1) * CARVE_FITS * sizeof(*c.v)), malloc((g->n + 1) * sizeof(*c.stranger)), 0, 0};
	int rc = v && item && c.v && c.stranger ? find_heads(g) : ERR_NOMEM;

	for (size_t i = 0; i < g->n && rc == 0; i++)
		if (in_file(&g->v[i]))
			v[n++] = (struct member){g->v[i].ring, i};
	if (n)
		qsort(v, n, sizeof(*v), by_ring);
	if (rc == 0)
		rc = by_rings(g, v, item, n, &c);
	free(c.stranger);
	free(c.v);
	free(item);
	free(v);
	return rc;
}
