/* carveseek.c - pages of packed buffers that nothing leads to.
 *
 * Where the first page is not mapped any more and the others are not behind it, each page of memory is one that may go on. Nearly all of them break the
 * stream, or leave no record where the next one must begin, within a few bytes. One that gives records and more records is the page; two are none, unless one gives
 * many and the other only a header that happens to look like one, of a record that never ends.
 *
 * Pages follow each other in memory more often than not, and the last one is shared with the next buffer: these few are tried first. The inside of a stream
 * is not looked for in pages that have a place elsewhere, or more zeros than a stream has. What is found has to be proven by records that end in it, or in a later page. */
#include "carveunpack.h"

#include <string.h>

#include "buf.h"
#include "xpress.h"

#define SEEK_LEAST 2u /* records that must begin in a page for it to be believed */
#define WHOLE_SURE 4u /* records that end in it: beside such a page one in which none or one ends, so that little proves it, is chance */
#define WHOLE_WEAK 1u
#define FIRST_LOOK 1024u /* bytes of a page that mostly tell */
#define ZERO_WORDS                                                                                                                         \
	(CARVE_PAGE / 16) /* 32-bit words of a page: a stream has hardly any, but one for each 36 bytes where nothing could be packed */
#define HEADS_MAX     (1u << 18) /* pages whose beginning is kept at hand: to read one takes much longer than to try it */
#define FOLLOWER_COST 64u        /* packed buffers looked at that take the time of one page tried */

struct seek {
	struct attempt *t;
	struct xpress_at x;     /* behind what is known */
	struct carve_walk walk; /* over it */
	uint32_t n;             /* bytes of the stream at hand */
};

enum look { LOOK_BAD, LOOK_MORE, LOOK_GOOD };

/* Do records begin where the next ones must, by the `n` bytes of the stream that were put behind those at hand? Not more is unpacked than tells: it is done for
 * each page of memory. The header of the next one may be at hand for the most part, so that the one behind it has to be looked at. LOOK_MORE: they are too few. */
static enum look begins(const struct seek *s, uint32_t n)
{
	struct attempt *t = s->t;
	struct carve_walk w = s->walk;

	for (;;) {
		uint32_t soon = w.off < t->end - CARVE_UNPACK_PEEK ? w.off + CARVE_UNPACK_PEEK : t->end, was = w.n, made;
		struct xpress_at x = s->x; /* what is cut in a match can't be gone on with */
		int broken;

		made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(&x, t->c->raw + ETW_BUFFER_HEADER_SIZE, s->n + n,
								       t->raw + ETW_BUFFER_HEADER_SIZE, soon - ETW_BUFFER_HEADER_SIZE,
								       &broken);
		carve_go_on(&w, t->raw, made < t->end ? made & ~7u : made, t->end);
		if (w.bad)
			return LOOK_BAD;
		if (made < soon)
			return broken && s->n + n - x.at >= CARVE_UNPACK_SYMBOL ? LOOK_BAD : LOOK_MORE;
		if (w.n >= s->walk.n + SEEK_LEAST || made >= t->end)
			return LOOK_GOOD;
		if (w.n == was)
			return LOOK_BAD;
	}
}

/* Do the records go on over them? On success *x and *w stand behind; *whole: how many of them, all there, are proof. */
static bool goes_on(const struct seek *s, uint32_t n, bool last, struct xpress_at *x, struct carve_walk *w, uint32_t *whole)
{
	struct attempt *t = s->t;
	uint32_t from = ETW_BUFFER_HEADER_SIZE + (uint32_t)s->x.made, made;
	int broken;

	*x = s->x;
	*w = s->walk;
	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(x, t->c->raw + ETW_BUFFER_HEADER_SIZE, s->n + n,
							       t->raw + ETW_BUFFER_HEADER_SIZE,
							       t->end + CARVE_UNPACK_PEEK - ETW_BUFFER_HEADER_SIZE, &broken);
	t->c->unpacked[t->claims] += made - from;
	carve_go_on(w, t->raw, made < t->end ? made & ~7u : t->end, t->end);
	if (w->bad || made > t->end)
		return false;
	*whole = carve_proofs(t, s->walk.off, made < t->end ? made : t->end);
	if (last)
		return !broken && made == t->end && w->off >= t->end;
	return w->n >= s->walk.n + SEEK_LEAST && (!broken || s->n + n - x->at < CARVE_UNPACK_SYMBOL);
}

struct choice {         /* the first page of its kind that goes on */
	uint64_t pa;    /* ETW_NO_PA: none */
	uint32_t whole; /* records that end in it */
	bool several;   /* there is another one */
	uint8_t bytes[CARVE_PAGE];
};

static void choose(struct choice *c, uint64_t pa, const uint8_t *bytes, uint32_t n, uint32_t whole)
{
	if (c->pa == ETW_NO_PA) {
		c->pa = pa;
		c->whole = whole;
		memcpy(c->bytes, bytes, n);
	} else if (memcmp(c->bytes, bytes, n) != 0) {
		c->several = true;
	}
}

static uint64_t chosen(const struct choice *weak, const struct choice *c)
{
	if (c->pa == ETW_NO_PA)
		return weak->several ? ETW_NO_PA : weak->pa;
	return c->several || (weak->pa != ETW_NO_PA && c->whole < WHOLE_SURE) ? ETW_NO_PA : c->pa;
}

/* The place in the stream that is looked for: page i of n. */
struct place {
	uint64_t *page;
	uint32_t i, n;
	uint32_t bytes; /* of the stream in it */
	bool last;
	struct choice one, weak;
};

static bool give_up(const struct attempt *t)
{
	return t->c->seeks[t->claims] >= CARVE_SEEKS_MAX || carve_unpack_spent(t->c, t->claims);
}

/* Is the page at pa one that goes on? Its bytes stand behind the stream at hand then. head: its first CARVE_SEEK_HEAD bytes; NULL: not at hand. */
static bool try_one(struct seek *s, const struct place *p, uint64_t pa, const uint8_t *head, struct xpress_at *x, struct carve_walk *w,
		    uint32_t *whole)
{
	struct attempt *t = s->t;
	const struct phys *phys = t->c->im->dump->phys;
	uint8_t *at = t->c->raw + ETW_BUFFER_HEADER_SIZE + s->n;
	uint32_t most = head ? CARVE_SEEK_HEAD : FIRST_LOOK, first = p->bytes < most ? p->bytes : most;
	enum look look;

	t->c->seeks[t->claims]++;
	for (uint32_t q = 0; q < p->i; q++)
		if (p->page[q] == pa)
			return false;
	if (head)
		memcpy(at, head, first);
	else if (phys_read(phys, pa, at, first) != 0)
		return false;
	look = begins(s, first);
	if (look == LOOK_BAD || phys_read(phys, pa + first, at + first, p->bytes - first) != 0)
		return false;
	if (look == LOOK_MORE && first < p->bytes)
		look = begins(s, p->bytes);
	return look != LOOK_BAD && goes_on(s, p->bytes, p->last, x, w, whole);
}

static void try_and_choose(struct seek *s, struct place *p, uint64_t pa, const uint8_t *head, uint32_t least)
{
	const uint8_t *at = s->t->c->raw + ETW_BUFFER_HEADER_SIZE + s->n;
	struct xpress_at x;
	struct carve_walk w;
	uint32_t whole;

	if (try_one(s, p, pa, head, &x, &w, &whole) && whole >= least)
		choose(p->last || whole > WHOLE_WEAK ? &p->one : &p->weak, pa, at, p->bytes, whole);
}

/* The page behind the one before, if it goes on without a doubt. */
static bool behind(struct seek *s, struct place *p)
{
	uint64_t pa = p->page[p->i - 1] + CARVE_PAGE;
	struct xpress_at x;
	struct carve_walk w;
	uint32_t whole;

	if (!try_one(s, p, pa, NULL, &x, &w, &whole))
		return false;
	p->page[p->i] = pa;
	return whole >= WHOLE_SURE || (p->last && (whole >= CARVE_PROOFS_LEAST || carve_followed(s->t->c, s->t->b, pa + p->bytes)));
}

/* The last page: those in which a packed buffer begins where this one ends. */
static void followers(struct seek *s, struct place *p)
{
	const struct carve *c = s->t->c;
	uint64_t next = carve_next_flush(c, s->t->b);

	s->t->c->seeks[s->t->claims] += c->n_packed / FOLLOWER_COST;
	for (size_t i = 0; i < c->n_packed && !p->one.several && !give_up(s->t); i++) {
		uint64_t pa = c->packed[i].f->pa;

		if (pa % CARVE_PAGE == p->bytes && carve_may_follow(c, s->t->b, i))
			try_and_choose(s, p, pa - p->bytes, NULL, c->packed[i].f->shape.h.timestamp == next ? 0 : CARVE_PROOFS_LEAST);
	}
}

/* The pages that may be the inside of a stream: see the top. */
static int look_around(struct seeker *k, struct carve *c)
{
	const struct phys *phys = c->im->dump->phys;
	uint8_t p[CARVE_PAGE];
	struct phys_run r;

	k->looked = true;
	if (phys_bytes(phys) / CARVE_PAGE > CARVE_SEEKS_MAX / 2)
		return 0;
	for (size_t i = 0; phys_run(phys, i, &r); i++)
		for (uint64_t pa = (r.pa + CARVE_PAGE - 1) & ~(uint64_t)(CARVE_PAGE - 1); pa + CARVE_PAGE <= r.pa + r.len;
		     pa += CARVE_PAGE) {
			void *arr = k->page, *heads = k->head;
			uint32_t zeros = 0;

			if (addrset_has(&c->claimed, pa | 1) || phys_read(phys, pa, p, sizeof(p)) != 0)
				continue;
			for (uint32_t off = 0; off < CARVE_PAGE; off += 4)
				zeros += le32(p + off) == 0;
			if (zeros > ZERO_WORDS)
				continue;
			if (arr_reserve(&arr, &k->cap, k->n, sizeof(*k->page)) < 0)
				return ERR_NOMEM;
			k->page = arr;
			if (k->n < HEADS_MAX) {
				if (arr_reserve(&heads, &k->cap_heads, k->n, CARVE_SEEK_HEAD) < 0)
					return ERR_NOMEM;
				k->head = heads;
				memcpy(k->head + k->n_heads++ * CARVE_SEEK_HEAD, p, CARVE_SEEK_HEAD);
			}
			k->page[k->n++] = pa;
		}
	k->all = true;
	return 0;
}

/* All of memory. */
static void everywhere(const struct seeker *k, struct seek *s, struct place *p)
{
	struct attempt *t = s->t;
	const struct phys *phys = t->c->im->dump->phys;
	struct phys_run r;

	for (size_t i = 0; i < k->n && !p->last && !p->one.several && !give_up(t); i++)
		if (!addrset_has(&t->c->claimed, k->page[i] | 1))
			try_and_choose(s, p, k->page[i], i < k->n_heads ? k->head + i * CARVE_SEEK_HEAD : NULL, 0);
	for (size_t i = 0; p->last && phys_run(phys, i, &r); i++) /* what stands behind the end may be anything */
		for (uint64_t pa = (r.pa + CARVE_PAGE - 1) & ~(uint64_t)(CARVE_PAGE - 1);
		     pa + CARVE_PAGE <= r.pa + r.len && !p->one.several && !give_up(t); pa += CARVE_PAGE)
			try_and_choose(s, p, pa, NULL, CARVE_PROOFS_LEAST);
	if (give_up(t)) /* there may be another one */
		p->one.several = p->weak.several = true;
}

/* Fills p->page[p->i]; ETW_NO_PA: there is none, or there are several. */
static int seek_page(struct seeker *k, struct seek *s, struct place *p, bool far)
{
	int rc = 0;

	p->one.pa = p->weak.pa = ETW_NO_PA;
	p->one.several = p->weak.several = false;
	p->page[p->i] = ETW_NO_PA;
	if (give_up(s->t) || behind(s, p))
		return 0;
	if (p->last && p->bytes < CARVE_PAGE)
		followers(s, p);
	if (far && p->one.pa == ETW_NO_PA && !give_up(s->t)) {
		if (!k->looked)
			rc = look_around(k, s->t->c);
		if (rc == 0 && k->all)
			everywhere(k, s, p);
	}
	p->page[p->i] = chosen(&p->weak, &p->one);
	return rc;
}

static bool first_page(struct seek *s, const uint64_t *page)
{
	struct attempt *t = s->t;
	uint32_t made;
	int broken;

	if (!carve_read_stream(t, page, 1))
		return false;
	s->n = t->n_in;
	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(&s->x, t->c->raw + ETW_BUFFER_HEADER_SIZE, s->n,
							       t->raw + ETW_BUFFER_HEADER_SIZE,
							       t->end + CARVE_UNPACK_PEEK - ETW_BUFFER_HEADER_SIZE, &broken);
	carve_go_on(&s->walk, t->raw, made < t->end ? made & ~7u : t->end, t->end);
	return !s->walk.bad && made < t->end;
}

int carve_seek_pages(struct seeker *k, struct attempt *t, uint64_t *page, uint32_t n, bool far, uint32_t *known)
{
	struct seek s = {.t = t, .walk = {.off = ETW_BUFFER_HEADER_SIZE}};
	struct place p = {.page = page, .n = n};
	int rc = 0;

	*known = 1;
	if (!first_page(&s, page))
		return 0;
	for (p.i = 1; p.i < n; p.i++) {
		uint32_t left = t->b->f->shape.stored - ETW_BUFFER_HEADER_SIZE - s.n;
		struct xpress_at x;
		struct carve_walk w;
		uint32_t whole;

		p.bytes = left < CARVE_PAGE ? left : CARVE_PAGE;
		p.last = p.i + 1 == n;
		rc = seek_page(k, &s, &p, far);
		if (rc < 0 || page[p.i] == ETW_NO_PA || !try_one(&s, &p, page[p.i], NULL, &x, &w, &whole))
			break;
		s.x = x;
		s.walk = w;
		s.n += p.bytes;
		if (p.last || whole >= WHOLE_SURE) /* those before, too, whatever little spoke for them */
			*known = p.i + 1;
	}
	return rc;
}
