/* carveunpack.c - packed buffers that were found: their pages, and what they unpack to.
 *
 * Nothing in the middle of a packed stream tells whose it is. But a stream is its own proof: all of it unpacks to exactly the length that its header names,
 * and records chain through that to its end. So pages are tried where they may be - where they were (carvepfn.c), where the first one is mapped, behind it,
 * and for the last one the pages in which another packed buffer begins where this one ends - and are believed when all is right. Else what was unpacked from
 * the pages before the one where it goes wrong is kept, record by record; the rest is a gap. */
#include <stdlib.h>
#include <string.h>

#include "carvepack.h"
#include "carvework.h"
#include "xpress.h"

#define PART_LEAST     3u   /* records that must come out of a stream which is not whole */
#define LAST_MAX       256u /* pages tried for the last one */
#define PEEK_BYTES     0x40u
#define SEEK_LEAST     2u /* records that must begin in a page for it to be believed */
#define WHOLE_SURE     4u /* records that end in it: beside such a page one in which none or one ends, so that little proves it, is chance */
#define WHOLE_WEAK     1u
#define SEEKS_MAX      (1u << 23)          /* pages tried for all buffers together */
#define FOLLOWERS_EACH 64u                 /* packed buffers looked at that take the time of one of these */
#define UNPACK_MAX     (UINT64_C(1) << 30) /* bytes made out of all of them, and so many times the image's: */
#define UNPACK_TIMES   16u
#define CLAIM_TIMES                                                                                                                        \
	64u /* bytes that a byte of a stream makes; those that claim more have limits of their own, so that they cost the others nothing */
#define SYMBOL_MAX 16u /* more than one takes, the flags before it included */

struct attempt {
	struct carve *c;
	const struct carve_buf *b;
	uint32_t end, n_in; /* n_in: bytes of the stream that were read */
	uint8_t *raw;       /* owned; end + PEEK_BYTES */
	bool claims;        /* much for its size: see CLAIM_TIMES */
	bool known;         /* its pages are, and it was unpacked from them before */
	bool whole, spoilt; /* spoilt: what is at hand is not right; else only pages are missing */
	uint32_t good;      /* records are whole up to here */
	struct carve_walk walk;
};

static uint32_t in_first(const struct carve_buf *b)
{
	return CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);
}

/* Header to t->raw, stream to c->raw; as far as pages are there. False: not even the header is. */
static bool read_stream(struct attempt *t, const uint64_t *page, uint32_t n_pages)
{
	struct carve *c = t->c;
	uint32_t stored = t->b->f->shape.stored, n = 0;

	for (uint32_t i = 0; i < n_pages && n < stored; i++) {
		uint32_t step = i ? CARVE_PAGE : in_first(t->b);
		uint64_t pa = page[i] + (i ? 0 : CARVE_PAGE - step);

		if (step > stored - n)
			step = stored - n;
		if (page[i] == ETW_NO_PA || phys_read(c->im->dump->phys, pa, c->raw + n, step) != 0)
			break;
		n += step;
	}
	if (n <= ETW_BUFFER_HEADER_SIZE)
		return false;
	memcpy(t->raw, c->raw, ETW_BUFFER_HEADER_SIZE);
	t->n_in = n - ETW_BUFFER_HEADER_SIZE;
	return true;
}

/* How far the first n bytes of the stream lead, at most behind `most`. */
static uint32_t leads_to(struct attempt *t, uint32_t n, uint32_t most)
{
	uint32_t made;
	int torn;

	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_unpack_some(t->c->raw + ETW_BUFFER_HEADER_SIZE, n, t->raw + ETW_BUFFER_HEADER_SIZE,
								     most - ETW_BUFFER_HEADER_SIZE, &torn);
	t->c->unpacked[t->claims] += made;
	return made;
}

/* The walk went wrong at `bad`. What is wrong in the stream stands in the page that leads there, or in one before it that a long record passes over:
 * all that was unpacked from whole pages before the place is sound. */
static uint32_t sound_to(struct attempt *t, uint32_t bad)
{
	uint32_t lo = 0, hi = (t->n_in + ETW_BUFFER_HEADER_SIZE + CARVE_PAGE - 1) / CARVE_PAGE + 1, first = in_first(t->b);

	if (bad >= t->end)
		bad = t->end - 1;
	while (lo + 1 < hi) { /* the most pages that do not lead beyond it */
		uint32_t mid = lo + (hi - lo) / 2, n = first + (mid - 1) * CARVE_PAGE;

		n = n > ETW_BUFFER_HEADER_SIZE ? n - ETW_BUFFER_HEADER_SIZE : 0;
		if (n < t->n_in && leads_to(t, n, bad) < bad)
			lo = mid;
		else
			hi = mid;
	}
	if (lo == 0)
		return ETW_BUFFER_HEADER_SIZE;
	lo = first + (lo - 1) * CARVE_PAGE;
	return lo > ETW_BUFFER_HEADER_SIZE ? leads_to(t, lo - ETW_BUFFER_HEADER_SIZE, t->end) : ETW_BUFFER_HEADER_SIZE;
}

/* Whole records in raw[0x48, to). */
static uint32_t whole_records(const struct attempt *t, uint32_t to)
{
	uint32_t off = ETW_BUFFER_HEADER_SIZE;

	while (off + 8 <= to && off < t->walk.off) {
		uint32_t size = carve_record_size(t->raw + off);

		if (size < 8 || size > to - off)
			break;
		off += carve_record_step(t->raw + off);
	}
	return off < t->end ? off : t->end;
}

/* Did the stream break only because it was cut, in the midst of a symbol? */
static bool by_cut(struct attempt *t, uint32_t made)
{
	memset(t->c->raw + ETW_BUFFER_HEADER_SIZE + t->n_in, 0, SYMBOL_MAX);
	return leads_to(t, t->n_in + SYMBOL_MAX, t->end) > made;
}

/* A stream of a few bytes can make 16 MB: there must be an end to it. */
static bool spent(const struct carve *c, bool claims)
{
	return c->unpacked[claims] / UNPACK_TIMES > UNPACK_MAX / UNPACK_TIMES + phys_bytes(c->im->dump->phys);
}

static void try_pages(struct attempt *t, const uint64_t *page, uint32_t n_pages)
{
	uint32_t all = t->b->f->shape.stored - ETW_BUFFER_HEADER_SIZE, made, sound;
	bool broken;

	t->whole = t->spoilt = false;
	t->good = ETW_BUFFER_HEADER_SIZE;
	t->walk = (struct carve_walk){0};
	if ((!t->known && spent(t->c, t->claims)) || !read_stream(t, page, n_pages))
		return;
	made = carve_pack_unpack(t->c->raw + ETW_BUFFER_HEADER_SIZE, t->n_in, t->raw, t->end, &t->walk, &broken);
	t->c->unpacked[t->claims] += made;
	if (t->n_in == all && !broken && made == t->end && !t->walk.bad && t->walk.off >= t->end) {
		t->whole = true;
		t->good = t->end;
		return;
	}
	t->spoilt = t->n_in == all || t->walk.bad || made > t->end || (broken && !by_cut(t, made));
	sound = t->spoilt ? sound_to(t, t->walk.bad && t->walk.off < made ? t->walk.off : made) : made;
	t->good = whole_records(t, sound);
	t->walk = (struct carve_walk){.off = ETW_BUFFER_HEADER_SIZE};
	carve_go_on(&t->walk, t->raw, t->good, t->good);
}

/* ---- pages ----------------------------------------------------------------------------------------------------------------------------- */

static struct vm *space_of(struct carve *c, const struct carve_buf *b)
{
	struct vm *vm;

	if (!b->has_va)
		return NULL;
	if (!b->user)
		return c->im->kernel->vm;
	return vm_open_like(&vm, c->im->kernel->vm, b->dtb, NULL) == 0 ? vm : NULL;
}

static void mapped_pages(struct carve *c, const struct carve_buf *b, uint64_t *page, uint32_t n)
{
	struct vm *vm = space_of(c, b);
	uint64_t va = b->va & ~(uint64_t)(CARVE_PAGE - 1);

	for (uint32_t i = 1; i < n; i++)
		if (!vm || !vm_pa(vm, va + (uint64_t)i * CARVE_PAGE, &page[i]))
			page[i] = ETW_NO_PA;
	if (b->user)
		vm_close(vm);
}

/* Those that are or were behind the first one's address, as far as there is one each. */
static void tied_pages(const struct carve_buf *b, uint64_t *page, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		size_t k = carve_tied_from(b, i), of = k;

		while (of < b->n_tied && b->tied[of].page == i)
			of++;
		page[i] = of == k + 1 ? b->tied[k].pa : ETW_NO_PA;
	}
}

static void next_pages(uint64_t *page, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		page[i] = page[i - 1] + CARVE_PAGE;
}

/* The last page: another packed buffer begins in it where this one ends. One such page that makes the stream whole, or none. */
static void by_follower(struct attempt *t, uint64_t *page, uint32_t n)
{
	const struct carve_scan *s = &t->c->scan;
	uint64_t off = (t->b->f->pa + t->b->f->shape.stored) % CARVE_PAGE, got = ETW_NO_PA, was = page[n - 1];
	unsigned tried = 0;

	t->c->seeks[t->claims] += s->n_packed / FOLLOWERS_EACH;
	for (size_t i = 0; off && i < s->n_packed && tried < LAST_MAX && t->c->seeks[t->claims] < SEEKS_MAX; i++) {
		if (s->packed[i].pa % CARVE_PAGE != off || s->packed[i].pa - off == page[0])
			continue;
		tried++;
		page[n - 1] = s->packed[i].pa - off;
		try_pages(t, page, n);
		if (t->whole && got != ETW_NO_PA) { /* two: the same bytes, or a wonder */
			got = was;
			break;
		}
		if (t->whole)
			got = page[n - 1];
	}
	page[n - 1] = got != ETW_NO_PA ? got : was;
}

static int keep(struct carve_buf *b, const struct attempt *t, const uint64_t *page, uint32_t n)
{
	if (!b->page && !(b->page = malloc(n * sizeof(*b->page))))
		return ERR_NOMEM;
	memcpy(b->page, page, n * sizeof(*page));
	b->n_pages = n;
	b->good = t->good;
	b->spoilt = t->spoilt;
	b->first_ts = t->walk.first_ts;
	b->last_ts = t->walk.last_ts;
	return 0;
}

static bool better(const struct attempt *t, const struct carve_buf *b)
{
	return t->walk.has_ts && (t->whole || t->walk.n >= PART_LEAST) && (!b->page || t->good > b->good);
}

/* ---- pages that nothing leads to ---------------------------------------------------------------------------------------------------------
 *
 * Where the first page is not mapped any more and the others are not behind it, each page of memory is one that may go on. Nearly all of them break the
 * stream, or leave no record where the next one must begin, within a few bytes. One that gives records and more records is the page; two are none, unless one gives
 * many and the other only a header that happens to look like one, of a record that never ends. */

struct seek {
	struct attempt *t;
	struct xpress_at x;     /* behind what is known */
	struct carve_walk walk; /* over it */
	uint32_t n;             /* bytes of the stream at hand */
};

/* Do the records go on over the `n` bytes of the stream that were put behind those at hand? On success *x and *w stand behind;
 * *whole: how many of them end there. */
static bool goes_on(const struct seek *s, uint32_t n, bool last, struct xpress_at *x, struct carve_walk *w, uint32_t *whole)
{
	struct attempt *t = s->t;
	const uint8_t *in = t->c->raw + ETW_BUFFER_HEADER_SIZE;
	uint8_t *out = t->raw + ETW_BUFFER_HEADER_SIZE;
	uint32_t soon = s->walk.off < t->end - PEEK_BYTES ? s->walk.off + PEEK_BYTES : t->end, made;
	uint32_t from = ETW_BUFFER_HEADER_SIZE + (uint32_t)s->x.made;
	int broken;

	*x = s->x;
	*w = s->walk;
	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(x, in, s->n + n, out, soon - ETW_BUFFER_HEADER_SIZE, &broken);
	carve_go_on(w, t->raw, made < t->end ? made & ~7u : made, t->end);
	if (w->bad || w->n == s->walk.n)
		return false;
	*x = s->x;
	*w = s->walk;
	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(x, in, s->n + n, out, t->end + PEEK_BYTES - ETW_BUFFER_HEADER_SIZE, &broken);
	t->c->unpacked[t->claims] += made - from;
	carve_go_on(w, t->raw, made < t->end ? made & ~7u : t->end, t->end);
	if (w->bad || made > t->end)
		return false;
	*whole = w->n - s->walk.n - (w->n > s->walk.n && w->off > made);
	if (last)
		return !broken && made == t->end && w->off >= t->end;
	return w->n >= s->walk.n + SEEK_LEAST && (!broken || s->n + n - x->at < SYMBOL_MAX);
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

/* The one page that goes on, or ETW_NO_PA. */
static uint64_t seek_page(struct seek *s, const uint64_t *page, uint32_t i, bool last)
{
	struct attempt *t = s->t;
	const struct phys *p = t->c->im->dump->phys;
	uint32_t left = t->b->f->shape.stored - ETW_BUFFER_HEADER_SIZE - s->n, n = left < CARVE_PAGE ? left : CARVE_PAGE;
	uint8_t *at = t->c->raw + ETW_BUFFER_HEADER_SIZE + s->n;
	struct choice one = {.pa = ETW_NO_PA}, weak = {.pa = ETW_NO_PA};
	struct phys_run r;

	for (size_t k = 0; phys_run(p, k, &r); k++)
		for (uint64_t pa = (r.pa + CARVE_PAGE - 1) & ~(uint64_t)(CARVE_PAGE - 1); pa + CARVE_PAGE <= r.pa + r.len;
		     pa += CARVE_PAGE) {
			struct xpress_at x;
			struct carve_walk w;
			uint32_t whole;
			bool used = false;

			if (++t->c->seeks[t->claims] >= SEEKS_MAX || spent(t->c, t->claims))
				return ETW_NO_PA;
			for (uint32_t q = 0; q < i && !used; q++)
				used = page[q] == pa;
			if (used || phys_read(p, pa, at, n) != 0 || !goes_on(s, n, last, &x, &w, &whole))
				continue;
			choose(last || whole > WHOLE_WEAK ? &one : &weak, pa, at, n, whole);
			if (one.several)
				return ETW_NO_PA;
		}
	return chosen(&weak, &one);
}

/* Goes on from the page that is known, as far as there is one page each time. How many are known then. */
static uint32_t seek_pages(struct attempt *t, uint64_t *page, uint32_t n)
{
	struct seek s = {.t = t, .walk = {.off = ETW_BUFFER_HEADER_SIZE}};
	uint32_t i = 1, made;
	int broken;

	if (!read_stream(t, page, 1))
		return 1;
	s.n = t->n_in;
	made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_go_on(&s.x, t->c->raw + ETW_BUFFER_HEADER_SIZE, s.n,
							       t->raw + ETW_BUFFER_HEADER_SIZE,
							       t->end + PEEK_BYTES - ETW_BUFFER_HEADER_SIZE, &broken);
	carve_go_on(&s.walk, t->raw, made < t->end ? made & ~7u : t->end, t->end);
	if (s.walk.bad || made >= t->end)
		return 1;
	for (; i < n; i++) {
		uint32_t left = t->b->f->shape.stored - ETW_BUFFER_HEADER_SIZE - s.n, step = left < CARVE_PAGE ? left : CARVE_PAGE;
		struct xpress_at x;
		struct carve_walk w;
		uint32_t whole;

		page[i] = seek_page(&s, page, i, i + 1 == n);
		if (page[i] == ETW_NO_PA || phys_read(t->c->im->dump->phys, page[i], t->c->raw + ETW_BUFFER_HEADER_SIZE + s.n, step) != 0 ||
		    !goes_on(&s, step, i + 1 == n, &x, &w, &whole))
			break;
		s.x = x;
		s.walk = w;
		s.n += step;
	}
	return i;
}

/* ---- the best way -------------------------------------------------------------------------------------------------------------------------- */

enum way {
	WAY_TIED,
	WAY_MAPPED,
	WAY_NEXT,
	WAY_MAPPED_LAST,
	WAY_NEXT_LAST,
	WAYS
}; /* _LAST: but for the last page, which a follower tells */

static int find_pages(struct attempt *t, struct carve_buf *b, uint64_t *page, uint32_t n)
{
	int rc = 0;

	page[0] = b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
	for (enum way way = n > 1 ? WAY_TIED : WAY_NEXT; way < (n > 1 ? WAYS : WAY_MAPPED_LAST) && rc == 0; way++) {
		if (way == WAY_TIED ? !b->n_tied : (way == WAY_MAPPED || way == WAY_MAPPED_LAST) && !b->has_va)
			continue;
		if (way == WAY_TIED)
			tied_pages(b, page, n);
		else if (way == WAY_MAPPED || way == WAY_MAPPED_LAST)
			mapped_pages(t->c, b, page, n);
		else
			next_pages(page, n);
		if (way >= WAY_MAPPED_LAST)
			by_follower(t, page, n);
		try_pages(t, page, n);
		if (better(t, b))
			rc = keep(b, t, page, n);
		if (t->whole)
			break;
	}
	return rc;
}

static int find_more(struct attempt *t, struct carve_buf *b, uint64_t *page, uint32_t n)
{
	page[0] = b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
	for (uint32_t i = seek_pages(t, page, n); i < n; i++)
		page[i] = ETW_NO_PA;
	try_pages(t, page, n);
	return better(t, b) ? keep(b, t, page, n) : 0;
}

static int start(struct attempt *t, struct carve *c, const struct carve_buf *b)
{
	*t = (struct attempt){.c = c, .b = b, .end = b->f->shape.end, .claims = b->f->shape.end / CLAIM_TIMES > b->f->shape.stored};
	t->raw = malloc((size_t)t->end + PEEK_BYTES);
	return !t->raw || carve_room(c, (size_t)b->f->shape.stored + SYMBOL_MAX) < 0 ? ERR_NOMEM : 0;
}

int carve_unpack_find(struct carve *c, struct carve_buf *b, bool seek)
{
	uint32_t n = (b->f->shape.stored - 1 + CARVE_PAGE - in_first(b)) / CARVE_PAGE + 1;
	uint64_t *page = malloc(n * sizeof(*page));
	struct attempt t;
	int rc;

	if (seek && (n == 1 || (b->page && b->good == b->f->shape.end))) {
		free(page);
		return 0;
	}
	rc = start(&t, c, b);
	if (!page)
		rc = ERR_NOMEM;
	if (rc == 0)
		rc = seek ? find_more(&t, b, page, n) : find_pages(&t, b, page, n);
	free(t.raw);
	free(page);
	return rc;
}

int carve_unpack(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb)
{
	struct etw_range missing = {b->good, b->f->shape.end - b->good};
	struct etw_settle_opts so = {
		.met = b->f->shape.met, .buffer_size = b->f->shape.end, .missing = &missing, .n_missing = missing.bytes != 0};
	struct attempt t;
	int rc = start(&t, c, b);

	if (rc == 0) {
		t.known = true;
		try_pages(&t, b->page, b->n_pages);
		rc = etw_settle(eb, t.raw, t.end, &so, NULL);
	}
	free(t.raw);
	if (rc < 0)
		return rc;
	eb->packed_bytes = b->f->shape.stored - ETW_BUFFER_HEADER_SIZE;
	for (size_t i = 0; b->spoilt && i < eb->n_gaps; i++)
		eb->gaps[i].why = ETW_BAD_RECORD;
	return 0;
}

bool carve_unpack_limited(const struct carve *c)
{
	return c->seeks[0] >= SEEKS_MAX || c->seeks[1] >= SEEKS_MAX || spent(c, false) || spent(c, true);
}
