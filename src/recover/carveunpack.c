/* carveunpack.c - packed buffers that were found: their pages, and what they unpack to.
 *
 * Nothing in the middle of a packed stream tells whose it is. But a stream is its own proof: all of it unpacks to exactly the length that its header names,
 * and records chain through that to its end. So pages are tried where they may be - where they were (carvepfn.c), where the first one is mapped, behind it,
 * and for the last one the pages in which another packed buffer begins where this one ends - and are believed when all is right. Else what was unpacked from
 * the pages before the one where it goes wrong is kept, record by record; the rest is a gap. */
#include <stdlib.h>
#include <string.h>

#include "carveunpack.h"
#include "xpress.h"

#define PART_LEAST     3u                  /* records that must come out of a stream which is not whole */
#define LAST_MAX       256u                /* pages tried for the last one */
#define FOLLOWERS_EACH 64u                 /* packed buffers looked at that take the time of one page tried */
#define DROPS_MAX      32u                 /* pages given up at the end of a stream which is not whole, one by one; more are none of its */
#define PROOF_SAME     24u                 /* the first bytes of a record, up to its time */
#define SIZES_BYTES    8u                  /* BufferSize and SavedOffset, in the first bytes of a header */
#define UNPACK_MAX     (UINT64_C(1) << 30) /* bytes made out of all of them, and so many times the image's: */
#define UNPACK_TIMES   16u
#define CLAIM_TIMES                                                                                                                        \
	64u /* bytes that a byte of a stream makes; those that claim more have limits of their own, so that they cost the others nothing */

bool carve_read_stream(struct attempt *t, const uint64_t *page, uint32_t n_pages)
{
	struct carve *c = t->c;
	uint32_t stored = t->b->f->shape.stored, n = 0;

	for (uint32_t i = 0; i < n_pages && n < stored; i++) {
		uint32_t step = i ? CARVE_PAGE : carve_in_first(t->b);
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

/* Bytes of the stream in its first pages. */
static uint32_t stream_in(const struct attempt *t, uint32_t pages)
{
	uint32_t n = carve_in_first(t->b) + (pages - 1) * CARVE_PAGE;

	n = n > ETW_BUFFER_HEADER_SIZE ? n - ETW_BUFFER_HEADER_SIZE : 0;
	return n < t->n_in ? n : t->n_in;
}

/* Pages that the stream was read from. */
static uint32_t pages_read(const struct attempt *t)
{
	uint32_t have = t->n_in + ETW_BUFFER_HEADER_SIZE, first = carve_in_first(t->b);

	return have <= first ? 1 : 1 + (have - first + CARVE_PAGE - 1) / CARVE_PAGE;
}

/* The walk went wrong at `bad`. What is wrong in the stream stands in the page that leads there, or in one before it that a long record passes over:
 * all that was unpacked from whole pages before the place is sound. */
static uint32_t sound_to(struct attempt *t, uint32_t bad, uint32_t *pages)
{
	uint32_t lo = 0, hi = (t->n_in + ETW_BUFFER_HEADER_SIZE + CARVE_PAGE - 1) / CARVE_PAGE + 1, first = carve_in_first(t->b);

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
	*pages = lo;
	return lo ? leads_to(t, stream_in(t, lo), t->end) : ETW_BUFFER_HEADER_SIZE;
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
	memset(t->c->raw + ETW_BUFFER_HEADER_SIZE + t->n_in, 0, CARVE_UNPACK_SYMBOL);
	return leads_to(t, t->n_in + CARVE_UNPACK_SYMBOL, t->end) > made;
}

bool carve_unpack_spent(const struct carve *c, bool claims)
{
	return c->unpacked[claims] / UNPACK_TIMES > UNPACK_MAX / UNPACK_TIMES + phys_bytes(c->im->dump->phys);
}

uint32_t carve_proofs(const struct attempt *t, uint32_t from, uint32_t to)
{
	uint32_t off = ETW_BUFFER_HEADER_SIZE, before = 0, n = 0;

	while (off + 8 <= to) {
		uint32_t size = carve_record_size(t->raw + off), same = size < PROOF_SAME ? size : PROOF_SAME;

		if (size < 8 || size > to - off)
			break;
		n += off >= from && (!before || memcmp(t->raw + before, t->raw + off, same) != 0);
		before = off;
		off += carve_record_step(t->raw + off);
	}
	return n;
}

/* Those that the last of the stream's first pages adds. */
static uint32_t proofs_in_last(struct attempt *t, uint32_t pages)
{
	uint32_t from = leads_to(t, stream_in(t, pages - 1), t->end);

	return carve_proofs(t, from, leads_to(t, stream_in(t, pages), t->end));
}

/* The stream is not whole. A page of anything else may end the record before it and begin another one by chance, which claims all that comes: the last page
 * is believed when records begin and end in it, or when it is the header's. What the pages that are left lead to. */
static uint32_t proven_to(struct attempt *t, uint32_t pages)
{
	uint32_t least = pages > DROPS_MAX ? pages - DROPS_MAX : 1;

	while (pages > 1 && proofs_in_last(t, pages) < CARVE_PROOFS_LEAST)
		if ((--pages == least && least > 1) || carve_unpack_spent(t->c, t->claims))
			return ETW_BUFFER_HEADER_SIZE;
	return pages ? leads_to(t, stream_in(t, pages), t->end) : ETW_BUFFER_HEADER_SIZE;
}

/* The first bytes of a last page that something else took may make the end of the last record as well as its own: where that is all they do, another buffer
 * must begin behind them, or nothing stand there. */
static bool closed(struct attempt *t, const uint64_t *page, uint32_t pages)
{
	uint32_t in = (uint32_t)((t->b->f->pa + t->b->f->shape.stored) % CARVE_PAGE), same = 1;
	uint8_t p[CARVE_PAGE];

	if (pages == 1 || in == 0 || proofs_in_last(t, pages) >= CARVE_PROOFS_LEAST || carve_followed(t->c, t->b, page[pages - 1] + in))
		return true;
	if (phys_read(t->c->im->dump->phys, page[pages - 1], p, sizeof(p)) != 0 || (p[in] != 0 && p[in] != 0xff))
		return false;
	while (same < in && p[same] == p[0])
		same++;
	return same < in && memcmp(p + in, p + in + 1, CARVE_PAGE - in - 1) == 0;
}

static void try_pages(struct attempt *t, const uint64_t *page, uint32_t n_pages)
{
	uint32_t all = t->b->f->shape.stored - ETW_BUFFER_HEADER_SIZE, made, sound, pages;
	bool broken;

	t->whole = t->spoilt = false;
	t->good = ETW_BUFFER_HEADER_SIZE;
	t->walk = (struct carve_walk){0};
	if ((!t->known && carve_unpack_spent(t->c, t->claims)) || !carve_read_stream(t, page, n_pages))
		return;
	made = carve_pack_unpack(t->c->raw + ETW_BUFFER_HEADER_SIZE, t->n_in, t->raw, t->end, &t->walk, &broken);
	if (t->known)
		return;
	t->c->unpacked[t->claims] += made;
	pages = pages_read(t);
	if (t->n_in == all && !broken && made == t->end && !t->walk.bad && t->walk.off >= t->end && (t->placed || closed(t, page, pages))) {
		t->whole = true;
		t->good = t->end;
		return;
	}
	t->spoilt = t->n_in == all || t->walk.bad || made > t->end || (broken && !by_cut(t, made));
	sound = t->spoilt ? sound_to(t, t->walk.bad && t->walk.off < made ? t->walk.off : made, &pages) : made;
	if (!t->placed)
		sound = proven_to(t, pages);
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

/* One that was flushed after b, in the same session. */
static bool is_later(const struct carve_buf *b, const struct carve_buf *o)
{
	const struct carve_shape *x = &b->f->shape, *y = &o->f->shape;

	return o != b && y->h.logger_id == x->h.logger_id && y->row == x->row && y->h.timestamp >= x->h.timestamp;
}

bool carve_may_follow(const struct carve *c, const struct carve_buf *b, size_t i)
{
	return is_later(b, &c->packed[i]);
}

uint64_t carve_next_flush(const struct carve *c, const struct carve_buf *b)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < c->n_packed; i++)
		if (is_later(b, &c->packed[i]) && c->packed[i].f->shape.h.timestamp < next)
			next = c->packed[i].f->shape.h.timestamp;
	return next;
}

bool carve_followed(const struct carve *c, const struct carve_buf *b, uint64_t pa)
{
	const struct carve_buf *o = carve_packed_at(c, pa);

	return (o && carve_may_follow(c, b, (size_t)(o - c->packed))) || carve_at(c, pa);
}

/* The last page: another packed buffer begins in it where this one ends. One such page that makes the stream whole, or none. */
static void by_follower(struct attempt *t, uint64_t *page, uint32_t n)
{
	const struct carve_scan *s = &t->c->scan;
	uint64_t off = (t->b->f->pa + t->b->f->shape.stored) % CARVE_PAGE, got = ETW_NO_PA, was = page[n - 1];
	unsigned tried = 0;

	t->c->seeks[t->claims] += s->n_packed / FOLLOWERS_EACH + 1;
	for (size_t i = 0; off && i < s->n_packed && tried < LAST_MAX && t->c->seeks[t->claims] < CARVE_SEEKS_MAX; i++) {
		if (s->packed[i].pa % CARVE_PAGE != off || s->packed[i].pa - off == page[0] || !carve_may_follow(t->c, t->b, i))
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
	/* a header of which hardly anything stands before the edge of its page: any page before it would do, and its BufferSize is not what it was */
	if (!t->whole && carve_in_first(b) < SIZES_BYTES)
		return false;
	return t->walk.has_ts && (t->whole || t->walk.n >= PART_LEAST) && (!b->page || t->good > b->good);
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
		t->placed = way == WAY_MAPPED || way == WAY_MAPPED_LAST;
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

static int find_more(struct attempt *t, struct carve_buf *b, uint64_t *page, uint32_t n, struct seeker *k, bool far)
{
	uint32_t known;
	int rc;

	page[0] = b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
	rc = carve_seek_pages(k, t, page, n, far, &known);
	if (rc < 0)
		return rc;
	for (uint32_t i = known; i < n; i++)
		page[i] = ETW_NO_PA;
	try_pages(t, page, n);
	return better(t, b) ? keep(b, t, page, n) : 0;
}

static int start(struct attempt *t, struct carve *c, const struct carve_buf *b)
{
	*t = (struct attempt){.c = c, .b = b, .end = b->f->shape.end, .claims = b->f->shape.end / CLAIM_TIMES > b->f->shape.stored};
	t->raw = malloc((size_t)t->end + CARVE_UNPACK_PEEK);
	return !t->raw || carve_room(c, (size_t)b->f->shape.stored + CARVE_UNPACK_SYMBOL) < 0 ? ERR_NOMEM : 0;
}

enum pass {
	PASS_KNOWN, /* pages that something leads to */
	PASS_NEAR,  /* what goes on from the last one that is known */
	PASS_FAR,   /* wherever it is */
	PASSES
};

/* The pages inside of a whole stream are no other's. */
static int claim_inside(struct carve *c, const struct carve_buf *b)
{
	for (uint32_t i = 1; i + 1 < b->n_pages; i++)
		if (addrset_add(&c->claimed, b->page[i] | 1) < 0)
			return ERR_NOMEM;
	return 0;
}

static int find(struct carve *c, struct carve_buf *b, struct seeker *k, enum pass pass)
{
	uint32_t n = (b->f->shape.stored - 1 + CARVE_PAGE - carve_in_first(b)) / CARVE_PAGE + 1;
	uint64_t *page;
	struct attempt t;
	int rc;

	if (b->live || (pass != PASS_KNOWN && (n == 1 || (b->page && b->good == b->f->shape.end))))
		return 0;
	page = malloc(n * sizeof(*page));
	rc = start(&t, c, b);
	if (!page)
		rc = ERR_NOMEM;
	if (rc == 0)
		rc = pass == PASS_KNOWN ? find_pages(&t, b, page, n) : find_more(&t, b, page, n, k, pass == PASS_FAR);
	if (rc == 0 && b->page && b->good == b->f->shape.end)
		rc = claim_inside(c, b);
	free(t.raw);
	free(page);
	return rc;
}

static bool limited(const struct carve *c)
{
	return c->seeks[0] >= CARVE_SEEKS_MAX || c->seeks[1] >= CARVE_SEEKS_MAX || carve_unpack_spent(c, false) ||
	       carve_unpack_spent(c, true);
}

/* Of a header from which nothing came: are there records in its first page, or was it flushed between others of its session? */
static bool is_header(const struct carve *c, const struct carve_buf *b)
{
	const struct etw_bufhdr *h = &b->f->shape.h;
	bool before = false, behind = false;

	if (carve_in_first(b) < SIZES_BYTES)
		return false;
	if (b->f->shape.walk.n)
		return true;
	for (size_t i = 0; i < c->n_packed && !(before && behind); i++) {
		const struct carve_buf *o = &c->packed[i];

		if (!o->page || o->f->shape.h.logger_id != h->logger_id || o->f->shape.row != b->f->shape.row)
			continue;
		before |= o->f->shape.h.timestamp <= h->timestamp;
		behind |= o->f->shape.h.timestamp >= h->timestamp;
	}
	return before && behind;
}

/* What was found and could not be followed is a loss. */
static void tell_lost(struct carve *c)
{
	uint64_t looks = 0;

	if (limited(c))
		notes_add(&c->im->notes, &NOTE(NOTE_LIMIT_REACHED), "more packed buffers by their shape than could be unpacked");
	for (size_t i = 0; i < c->n_packed && looks < CARVE_SEEKS_MAX; i++) {
		const struct carve_buf *b = &c->packed[i];
		struct note n = NOTE(NOTE_PAGE_MISSING);

		if (b->live || b->page)
			continue;
		looks += b->f->shape.walk.n ? 1 : c->n_packed;
		if (!is_header(c, b))
			continue;
		n.session = b->f->shape.h.logger_id & ~CARVE_PRIVATE;
		n.has_bytes = true;
		n.bytes = b->f->shape.end - ETW_BUFFER_HEADER_SIZE;
		notes_add(&c->im->notes, &n, "packed buffer at physical address 0x%llx, of which nothing but the header was found",
			  (unsigned long long)b->f->pa);
	}
}

int carve_unpack_all(struct carve *c)
{
	struct seeker k = {0};
	int rc = 0;

	for (enum pass pass = PASS_KNOWN; pass < PASSES; pass++)
		for (size_t i = 0; i < c->n_packed && rc == 0; i++)
			rc = find(c, &c->packed[i], &k, pass);
	free(k.page);
	free(k.head);
	if (rc == 0)
		tell_lost(c);
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
