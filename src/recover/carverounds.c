/* carverounds.c - in which order buffers are put together.
 *
 * Buffers whose pages are found by their records compete for them. So those that leave no doubt come first: mapped ones, those of whose pages Windows noted
 * where they were, then whole ones whose pages follow each other, then what of others follows so far that it is no chance, with what stands in its place
 * behind a lost page. Then those that can be put together in one way only, again and again, since each that is leaves less to choose from for the rest. What
 * is the only way by a rule that can fail (a page seldom begins much later than the one before ends) is believed only when no other buffer wants one of its
 * pages by the same rule: else it has failed for one of them. Where there are several ways, what they have in common is taken; what can't be had whole at last
 * keeps the pages that fit it alone. Those are tried again, since what the others have left may fit in one way now. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvejoin.h"

#define PATIENCE   UINT64_C(64)
#define PASSES_MAX 32u
#define TRIES_MAX  4u

struct round {
	bool mapped, again;
	struct carve_how how;
};

static const struct round sure[] = {{true, false, {.patience = PATIENCE, .whole = true}},
				    {true, false, {.patience = PATIENCE}},
				    {false, false, {.patience = PATIENCE, .whole = true, .tied = true}},
				    {false, false, {.patience = PATIENCE, .tied = true}}};
static const struct round rows[] = {{false, false, {.patience = PATIENCE, .whole = true, .row = true}},
				    {false, false, {.patience = PATIENCE, .row = true}}};
static const struct round one_way[] = {{false, true, {.patience = PATIENCE, .whole = true, .all = true, .tight = true}},
				       {false, true, {.patience = PATIENCE, .whole = true, .all = true}},
				       {false, true, {.patience = 16, .whole = true, .all = true}},
				       {false, true, {.patience = 64 * PATIENCE, .whole = true, .all = true}},
				       {false, true, {.patience = UINT64_MAX, .whole = true, .all = true}}};
static const struct round common[] = {{false, false, {.patience = PATIENCE, .whole = true, .all = true, .doubt = true, .tight = true}},
				      {false, false, {.patience = 16, .whole = true, .all = true, .doubt = true, .tight = true}},
				      {false, false, {.patience = UINT64_MAX, .whole = true, .all = true, .doubt = true, .tight = true}}};
static const struct round parts[] = {{false, false, {.patience = 16, .mutual = true}}};
/* Whose page is lost finds another one that fits somewhere, if it may wait for it long enough. */
static const struct round again[] = {{false, true, {.patience = PATIENCE, .whole = true, .all = true, .tight = true}}};
#define N(rounds) (sizeof(rounds) / sizeof((rounds)[0]))

/* When the parts that no buffer has yet begin. */
static void note_times(struct carve *c)
{
	c->n_part_times = 0;
	for (size_t i = 0; i < c->scan.n_parts; i++)
		if (!addrset_has(&c->claimed, c->scan.part[i].pa | 1))
			c->part_times[c->n_part_times++] = c->scan.part[i].ts;
	if (c->n_part_times)
		qsort(c->part_times, c->n_part_times, sizeof(*c->part_times), u64_order);
}

/* ---- what several buffers want ----------------------------------------------------------------------------------------------------------- */

struct wish {
	uint64_t pa;
	size_t buf;
};

static int by_page(const void *a, const void *b)
{
	const struct wish *x = a, *y = b;

	if (x->pa != y->pa)
		return x->pa < y->pa ? -1 : 1;
	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static size_t count_wishes(const struct carve *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += (c->buf[i].pending ? c->buf[i].n_used : 0) + (c->buf[i].wishes ? c->buf[i].n_held : 0);
	return n;
}

static size_t list_wishes(const struct carve *c, struct wish *v)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct carve_buf *b = &c->buf[i];

		for (uint32_t k = 1; b->pending && k <= b->n_used; k++)
			if (b->page[k] != ETW_NO_PA)
				v[n++] = (struct wish){b->page[k], i};
		for (size_t k = 0; b->wishes && k < b->n_held; k++)
			v[n++] = (struct wish){b->held[k], i};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_page);
	return n;
}

static void forget(struct carve_buf *b, uint64_t pa)
{
	size_t o = 0;

	if (b->pending) { /* and not its wishes: its one way had all of them */
		free(b->page);
		b->page = NULL;
		b->n_pages = 0;
		b->pending = false;
	}
	for (size_t i = 0; i < b->n_held; i++)
		if (b->held[i] != pa)
			b->held[o++] = b->held[i];
	b->n_held = o;
}

static int keep(struct carve *c, struct carve_buf *b)
{
	bool more = false;
	int rc = b->pending ? carve_claim(c, b) : 0;

	for (size_t i = 0; b->wishes && i < b->n_held && rc >= 0; i++) {
		rc = addrset_add(&c->claimed, b->held[i] | 2);
		more |= rc > 0;
	}
	b->wishes = false;
	c->progress += more;
	return rc < 0 ? rc : 0;
}

/* A copy in a consumer's or the file cache's memory: of two pages with the same bytes both want the first. */
static bool copies(const struct carve_buf *a, const struct carve_buf *b)
{
	const struct carve_shape *x = &a->f->shape, *y = &b->f->shape;

	return x->end == y->end && x->walk.first_ts == y->walk.first_ts && x->walk.last_ts == y->walk.last_ts;
}

/* A pass is through: what one buffer alone wants it gets. */
static int agree(struct carve *c)
{
	struct wish *v = malloc((count_wishes(c) + 1) * sizeof(*v));
	size_t n;
	int rc = 0;

	if (!v)
		return ERR_NOMEM;
	n = list_wishes(c, v);
	for (size_t i = 0, to; i < n; i = to) {
		bool twins = true;

		for (to = i + 1; to < n && v[to].pa == v[i].pa;)
			to++;
		for (size_t k = i; k < to; k++)
			twins = twins && copies(&c->buf[v[i].buf], &c->buf[v[k].buf]);
		for (size_t k = i; v[to - 1].buf != v[i].buf && k < to; k++)
			if (!twins || v[k].buf != v[i].buf)
				forget(&c->buf[v[k].buf], v[i].pa);
	}
	free(v);
	for (size_t i = 0; i < c->n && rc == 0; i++)
		rc = keep(c, &c->buf[i]);
	return rc;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------------------------------ */

static int run(struct carve *c, const struct round *round, size_t n)
{
	int rc = 0;

	for (size_t k = 0; k < n && rc == 0; k++) {
		size_t before = c->progress + 1;

		for (unsigned pass = 0; before != c->progress && pass < (round[k].again ? PASSES_MAX : 1) && rc == 0; pass++) {
			bool noted = false;

			before = c->progress;
			for (size_t i = 0; i < c->n && rc == 0; i++) {
				struct carve_buf *b = &c->buf[i];

				if (b->live || b->page || (round[k].mapped && !b->has_va) || (round[k].how.tied && !b->n_tied))
					continue;
				if (!noted)
					note_times(c);
				noted = true;
				rc = carve_join(c, b, &round[k].how);
			}
			if (rc == 0)
				rc = agree(c);
		}
	}
	return rc;
}

static bool lacks_pages(const struct carve_buf *b)
{
	uint32_t first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE), end = b->f->shape.end;

	for (uint32_t i = 1, at = first; at < end; i++, at += CARVE_PAGE)
		if (i >= b->n_pages || b->page[i] == ETW_NO_PA)
			return true;
	return false;
}

/* Buffers with gaps are put together anew, from their own pages and what nobody has. How many became whole, or ERR_NOMEM. */
static int try_again(struct carve *c)
{
	int whole = 0, rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct carve_buf *b = &c->buf[i];

		if (b->live || !b->page || !lacks_pages(b))
			continue;
		b->own = malloc(((size_t)b->n_pages + 1) * sizeof(*b->own));
		if (!b->own) {
			rc = ERR_NOMEM;
			break;
		}
		memcpy(b->own, b->page, b->n_pages * sizeof(*b->own));
		qsort(b->own, b->n_pages, sizeof(*b->own), u64_order);
		b->before = b->page;
		b->n_before = b->n_pages;
		b->page = NULL;
	}
	if (rc == 0)
		rc = run(c, again, N(again));
	for (size_t i = 0; i < c->n; i++) {
		struct carve_buf *b = &c->buf[i];

		if (!b->before)
			continue;
		whole += b->page != NULL;
		if (b->page) {
			free(b->before);
		} else {
			b->page = b->before;
			b->n_pages = b->n_before;
		}
		free(b->own);
		b->own = b->before = NULL;
		b->n_before = 0;
	}
	return rc < 0 ? rc : whole;
}

static int tries(struct carve *c)
{
	int rc = 1;

	for (unsigned i = 0; i < TRIES_MAX && rc > 0; i++)
		rc = try_again(c);
	return rc < 0 ? rc : 0;
}

/* Each buffer that gets its own pages leaves fewer that could be another's. */
static int behind(struct carve *c, bool early)
{
	size_t before = c->progress + 1;
	int rc = 0;

	for (unsigned pass = 0; before != c->progress && pass < PASSES_MAX && rc == 0; pass++) {
		before = c->progress;
		for (size_t i = 0; i < c->n && rc == 0; i++)
			rc = carve_behind(c, &c->buf[i], early);
	}
	return rc;
}

/* ---- nothing is lost --------------------------------------------------------------------------------------------------------------------- */

struct before { /* a buffer that is not put together yet */
	size_t buf, n_held;
	uint64_t *held; /* owned */
	bool back;      /* it is as it was */
};

static bool open_buffer(const struct carve_buf *b)
{
	return !b->live && !b->page;
}

static int remember(const struct carve *c, struct before **v, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < c->n; i++)
		*n += open_buffer(&c->buf[i]);
	*v = calloc(*n + 1, sizeof(**v));
	if (!*v)
		return ERR_NOMEM;
	for (size_t i = 0, k = 0; i < c->n; i++) {
		const struct carve_buf *b = &c->buf[i];

		if (!open_buffer(b))
			continue;
		(*v)[k] = (struct before){.buf = i, .n_held = b->n_held};
		if (b->n_held) {
			(*v)[k].held = malloc(b->n_held * sizeof(*b->held));
			if (!(*v)[k].held)
				return ERR_NOMEM;
			memcpy((*v)[k].held, b->held, b->n_held * sizeof(*b->held));
		}
		k++;
	}
	return 0;
}

static void put_back(struct carve_buf *b, struct before *v)
{
	free(b->page);
	free(b->held);
	b->page = NULL;
	b->n_pages = b->n_used = 0;
	b->held = v->held;
	b->n_held = v->n_held;
	b->pending = b->wishes = false;
	v->held = NULL;
	v->back = true;
}

/* *to becomes from and the pages of those of v that are put together. */
static int claims_of(const struct carve *c, struct addrset *to, const struct addrset *from, const struct before *v, size_t n)
{
	int rc = 0;

	addrset_free(to);
	*to = *from;
	if (from->cap) {
		to->slot = malloc(from->cap * sizeof(*from->slot));
		if (!to->slot) {
			*to = (struct addrset){0};
			return ERR_NOMEM;
		}
		memcpy(to->slot, from->slot, from->cap * sizeof(*from->slot));
	}
	for (size_t i = 0; i < n && rc >= 0; i++) {
		const struct carve_buf *b = &c->buf[v[i].buf];

		for (uint32_t k = 1; b->page && k <= b->n_used && rc >= 0; k++)
			if (b->page[k] != ETW_NO_PA)
				rc = addrset_add(to, b->page[k] | 1);
	}
	return rc < 0 ? rc : 0;
}

/* The buffers that have a step which still is doubtful. */
static void mark_doubtful(struct carve *c)
{
	for (size_t i = 0; i < c->n_steps; i++) {
		const struct carve_step *s = &c->step[i];

		if (s->b->page && !s->b->doubt)
			s->b->doubt = carve_doubtful(c, s->before, s->last, s->p);
	}
}

/* A step that is doubtful where a page is lost is right where none is: the page that leads to the same place has another one behind it in the end. So buffers are put together as if
 * none were lost, and those taken apart again of which that has not become true. */
static int trust(struct carve *c)
{
	struct addrset claimed = c->claimed;
	struct before *v = NULL;
	uint64_t ways = c->ways;
	bool more = true;
	size_t n = 0;
	int rc = remember(c, &v, &n);

	c->claimed = (struct addrset){0};
	rc = rc == 0 ? claims_of(c, &c->claimed, &claimed, v, 0) : rc;
	c->trust = true;
	rc = rc == 0 && n ? run(c, one_way, N(one_way)) : rc;
	c->trust = false;
	for (unsigned pass = 0; more && rc == 0; pass++) {
		more = false;
		mark_doubtful(c);
		for (size_t i = 0; i < n; i++) {
			struct carve_buf *b = &c->buf[v[i].buf];

			if (!b->page || (pass < PASSES_MAX && !b->doubt))
				continue;
			put_back(b, &v[i]);
			more = true;
		}
		if (more)
			rc = claims_of(c, &c->claimed, &claimed, v, n);
	}
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!c->buf[v[i].buf].page && !v[i].back)
			put_back(&c->buf[v[i].buf], &v[i]);
	rc = rc == 0 && n ? claims_of(c, &c->claimed, &claimed, v, n) : rc;
	c->ways = ways;
	c->n_steps = 0;
	for (size_t i = 0; v && i < n; i++)
		free(v[i].held);
	free(v);
	addrset_free(&claimed);
	return rc;
}

int carve_join_all(struct carve *c)
{
	int rc = run(c, sure, 2);

	rc = rc == 0 && c->tables ? run(c, rows, 1) : rc; /* what follows each other needs no table that may be an old one */
	rc = rc == 0 ? carve_entries(c, false) : rc;
	rc = rc == 0 ? run(c, sure + 2, c->tables ? 1 : N(sure) - 2) : rc; /* only the database says where a part of a buffer ends */
	rc = rc == 0 ? run(c, rows, N(rows)) : rc;
	rc = rc == 0 ? behind(c, true) : rc;
	if (rc == 0)
		rc = run(c, one_way, N(one_way));
	if (rc == 0)
		rc = trust(c);
	if (rc == 0)
		rc = run(c, common, N(common));
	if (rc == 0)
		rc = tries(c);
	if (rc == 0)
		rc = run(c, parts, N(parts));
	if (rc == 0)
		rc = tries(c);
	rc = rc == 0 ? behind(c, false) : rc;
	return rc == 0 ? carve_last(c) : rc;
}
