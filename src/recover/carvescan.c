/* carvescan.c - see carvescan.h */
#include "carvescan.h"

#include <stdlib.h>

#include "buf.h"
#include "carvepack.h"
#include "rd.h"

#define CHUNK      (128u << 10) /* what one thread reads at once stays in the second-level cache */
#define FILL_MIN   8u           /* bytes of fill that tell anything */
#define LED_STEPS  64u          /* times the usual time between two records */
#define REST_BEGIN 128u         /* bytes at the beginning of a page that are not all zeros when anything is in it */

struct share { /* what one thread found */
	struct carve_scan s;
	bool deep;
	uint64_t entry; /* see carve_blocks(); 0: tables are not wanted */
	uint64_t *edge; /* owned; ends of pieces that the header of a packed buffer may lie across */
	size_t n_edges, cap_edges;
	uint8_t marks[CHUNK / CARVE_BLOCK]; /* of the piece at hand */
};

static int add_found(struct carve_scan *s, uint64_t pa, const struct carve_shape *shape)
{
	void *arr = s->found;

	if (s->n_found >= CARVE_FOUND_MAX) {
		s->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_found, s->n_found, sizeof(*s->found)) < 0)
		return ERR_NOMEM;
	s->found = arr;
	s->found[s->n_found++] = (struct carve_found){.pa = pa, .shape = *shape};
	return 0;
}

static int put_packed(struct carve_scan *s, const struct carve_found *f)
{
	void *arr = s->packed;

	if (s->n_packed >= CARVE_PACKED_MAX) {
		s->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_packed, s->n_packed, sizeof(*s->packed)) < 0)
		return ERR_NOMEM;
	s->packed = arr;
	s->packed[s->n_packed++] = *f;
	return 0;
}

/* A packed buffer whose header may begin at p; n: bytes that follow each other in memory. Those of its first page are its own, or, where the header
 * lies across the edge, those of the next one too. */
static int look_packed(struct carve_scan *s, uint64_t pa, const uint8_t *p, size_t n)
{
	uint32_t have = CARVE_PAGE - (uint32_t)(pa % CARVE_PAGE);
	struct carve_pack k;

	if (have < ETW_BUFFER_HEADER_SIZE)
		have += CARVE_PAGE;
	if (have > n)
		have = (uint32_t)n;
	if (!carve_pack_looks(p, have, &k))
		return 0;
	return put_packed(s, &(struct carve_found){.pa = pa,
						   .shape = {.h = k.h,
							     .met = k.row ? ETW_MET_MEMORY : ETW_MET_FILE,
							     .end = k.end,
							     .walk = k.walk,
							     .stored = k.h.buffer_size,
							     .row = k.row}});
}

/* The places [0, to) of p[0, n). */
static int packed_in(struct carve_scan *s, uint64_t pa, const uint8_t *p, size_t to, size_t n, const uint8_t *marks, size_t n_marks)
{
	int rc = 0;

	for (size_t i = carve_pack_next(p, 0, to, marks, n_marks); i < to && rc == 0; i = carve_pack_next(p, i + 1, to, marks, n_marks))
		rc = look_packed(s, pa + i, p + i, n - i);
	return rc;
}

static int add_pa(uint64_t **v, size_t *cap, size_t *n, uint64_t pa)
{
	void *arr = *v;

	if (arr_reserve(&arr, cap, *n, sizeof(**v)) < 0)
		return ERR_NOMEM;
	*v = arr;
	(*v)[(*n)++] = pa;
	return 0;
}

static int add_edge(struct share *t, uint64_t pa)
{
	return add_pa(&t->edge, &t->cap_edges, &t->n_edges, pa);
}

/* The packed buffers of a piece; what may lie across its edges is left for packed_across(). */
static int packed_of(struct share *t, uint64_t pa, const uint8_t *p, size_t n)
{
	int rc = 0;

	if (n >= ETW_BUFFER_HEADER_SIZE)
		rc = packed_in(&t->s, pa, p, n - (ETW_BUFFER_HEADER_SIZE - 1), n, t->marks, n / CARVE_BLOCK);
	if (rc == 0 && carve_pack_behind_edge(p, n))
		rc = add_edge(t, pa);
	if (rc == 0 && carve_pack_before_edge(p, n))
		rc = add_edge(t, pa + n);
	return rc;
}

/* Headers across the edge of two pieces of the scan; looked for where there are packed buffers at all. */
static int packed_across(struct carve_scan *s, const struct phys *p, uint64_t *edge, size_t n)
{
	enum { BEFORE = ETW_BUFFER_HEADER_SIZE - 1, BEHIND = 1024 };
	uint8_t b[BEFORE + BEHIND];
	int rc = 0;

	if (!n || !s->n_packed)
		return 0;
	qsort(edge, n, sizeof(*edge), u64_order);
	for (size_t i = 0; i < n && rc == 0; i++)
		if ((i == 0 || edge[i] != edge[i - 1]) && edge[i] >= BEFORE && phys_read(p, edge[i] - BEFORE, b, sizeof(b)) == 0)
			rc = packed_in(s, edge[i] - BEFORE, b, BEFORE, sizeof(b), NULL, 0);
	return rc;
}

static int add_part(struct carve_scan *s, uint64_t pa, const struct carve_head *h)
{
	void *arr = s->part;

	if (s->n_parts >= CARVE_PARTS_MAX) {
		s->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_parts, s->n_parts, sizeof(*s->part)) < 0)
		return ERR_NOMEM;
	s->part = arr;
	s->part[s->n_parts++] =
		(struct carve_part){.pa = pa, .ts = h->ts, .last_ts = h->last_ts, .off = h->off, .exit = h->exit, .n = h->n};
	return 0;
}

static int put_tail(struct carve_scan *s, struct carve_tail t)
{
	void *arr = s->tail;

	if (s->n_tails >= CARVE_TAILS_MAX) {
		s->limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_tails, s->n_tails, sizeof(*s->tail)) < 0)
		return ERR_NOMEM;
	s->tail = arr;
	s->tail[s->n_tails++] = t;
	return 0;
}

static int add_tail(struct carve_scan *s, uint64_t pa, const uint8_t *page, bool records)
{
	uint32_t off = CARVE_PAGE;

	while (off > 0 && page[off - 1] == 0xff)
		off--;
	return off == 0 || CARVE_PAGE - off < FILL_MIN ? 0 : put_tail(s, (struct carve_tail){pa, (uint16_t)off, records});
}

static int put_table(struct carve_scan *s, uint64_t pa)
{
	if (s->n_tables >= CARVE_TABLES_MAX) {
		s->tables_limited = true;
		return 0;
	}
	return add_pa(&s->table, &s->cap_tables, &s->n_tables, pa);
}

static int put_rest(struct carve_scan *s, struct carve_rest r)
{
	void *arr = s->rest;

	if (s->n_rests >= CARVE_RESTS_MAX) {
		s->rests_limited = true;
		return 0;
	}
	if (arr_reserve(&arr, &s->cap_rests, s->n_rests, sizeof(*s->rest)) < 0)
		return ERR_NOMEM;
	s->rest = arr;
	s->rest[s->n_rests++] = r;
	return 0;
}

/* A valid bit and bits that every address of this memory has zero: 0 where there can be no such. */
static uint64_t entry_mask(const struct phys *p)
{
	uint64_t top = CARVE_PAGE, end = phys_end(p);

	if (end > CARVE_ENTRY_FRAME)
		return 0;
	while (top < end)
		top <<= 1;
	return CARVE_ENTRY_VALID | CARVE_ENTRY_NEVER | (CARVE_ENTRY_FRAME & ~(top - 1));
}

static bool is_entry(uint64_t e, uint64_t mask)
{
	return (e & mask) == CARVE_ENTRY_VALID && e & CARVE_ENTRY_FRAME;
}

/* Do two entries stand side by side that may be those of one buffer? */
static bool is_table(const uint8_t *page, const uint8_t *marks, uint64_t mask)
{
	for (uint32_t off = 0; off + 16 <= CARVE_PAGE; off += 8) {
		uint64_t a, b;

		if (!(marks[off / CARVE_BLOCK] & CARVE_BLOCK_ENTRY)) {
			off += CARVE_BLOCK - 8;
			continue;
		}
		a = le64(page + off);
		b = le64(page + off + 8);
		if (is_entry(a, mask) && is_entry(b, mask) && !((a ^ b) & CARVE_ENTRY_SAME) && (a ^ b) & CARVE_ENTRY_FRAME)
			return true;
	}
	return false;
}

/* A page that holds no record's beginning: does it end in zeros, as the last page of a buffer may? */
static int rest_of(struct share *t, uint64_t pa, const uint8_t *page)
{
	uint32_t off = CARVE_PAGE, at = 0;

	while (at < REST_BEGIN && !le64(page + at))
		at += 8;
	if (at == REST_BEGIN || is_entry(le64(page + at), t->entry))
		return 0;
	while (page[off - 1] == 0)
		off--;
	return CARVE_PAGE - off < FILL_MIN ? 0 : put_rest(&t->s, (struct carve_rest){pa, (uint16_t)off, false});
}

/* What stands in a page before `first`, where a buffer begins (the page's end: none does): records, or the end of one with fill behind. */
static int parts_of(struct share *t, uint64_t pa, const uint8_t *page, const uint8_t *marks, uint32_t first)
{
	struct carve_scan *s = &t->s;
	struct carve_head head[CARVE_HEADS];
	unsigned n = carve_heads_in(page, marks, head);
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++)
		if (head[i].off < first)
			rc = add_part(s, pa, &head[i]);
	if (rc == 0 && page[CARVE_PAGE - 1] == 0xff && first == CARVE_PAGE)
		rc = add_tail(s, pa, page, n != 0);
	if (rc == 0 && t->entry && n == 0 && first == CARVE_PAGE)
		rc = rest_of(t, pa, page);
	if (rc == 0 && t->entry && is_table(page, marks, t->entry))
		rc = put_table(s, pa);
	return rc;
}

static int look(struct carve_scan *s, uint64_t pa, const uint8_t *p, uint32_t have, bool pool, uint32_t *size)
{
	struct carve_shape shape;

	*size = 0;
	if (!carve_looks(p, have, pool, &shape))
		return 0;
	*size = shape.h.buffer_size;
	return add_found(s, pa, &shape);
}

/* One page, or the piece of one at the edge of what is in the image. marks: of a page's blocks. */
static int visit_page(struct share *t, uint64_t pa, const uint8_t *p, uint32_t n, const uint8_t *marks)
{
	uint32_t at = (uint32_t)(pa % CARVE_PAGE), step = t->deep ? CARVE_STEP_ANY : CARVE_STEP, size;
	uint32_t off = (step - at % step) % step;
	uint32_t first = CARVE_PAGE; /* where the first buffer begins */
	int rc = 0;

	while (rc == 0 && off + ETW_BUFFER_HEADER_SIZE <= n) {
		const uint8_t *q = p + off;
		uint32_t v = le32(q);
		bool plain = carve_plain(q);

		if (plain || (t->deep && v - CARVE_POOL_MIN < CARVE_PAGE)) {
			rc = look(&t->s, pa + off, q, n - off, !plain || (pa + off) % CARVE_STEP, &size);
			if (size && off < first)
				first = off;
			if (size >= step && size <= n - off) {
				off += size / step * step;
				continue;
			}
		}
		off += step;
	}
	if (rc == 0 && first && at == 0 && n == CARVE_PAGE)
		rc = parts_of(t, pa, p, marks, first);
	return rc;
}

static int visit(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	struct share *t = (struct share *)ctx + thread;
	uint32_t lead = (uint32_t)(-pa % CARVE_PAGE), step; /* bytes before the first page's start */
	int rc;

	(void)more;
	t->s.scanned += n;
	if (lead > n)
		lead = (uint32_t)n;
	carve_blocks(p, n / CARVE_BLOCK, t->entry, t->marks);
	rc = packed_of(t, pa, p, n);
	if (lead) { /* then blocks begin elsewhere than pages do */
		if (rc == 0)
			rc = visit_page(t, pa, p, lead, NULL);
		carve_blocks(p + lead, (n - lead) / CARVE_BLOCK, t->entry, t->marks);
	}
	for (size_t at = lead; rc == 0 && at < n; at += step) {
		step = n - at < CARVE_PAGE ? (uint32_t)(n - at) : CARVE_PAGE;
		rc = visit_page(t, pa + at, p + at, step, t->marks + (at - lead) / CARVE_BLOCK);
	}
	return rc;
}

static int by_pa(const void *a, const void *b)
{
	const struct carve_found *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_rest(const void *a, const void *b)
{
	const struct carve_rest *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_off(const void *a, const void *b)
{
	const struct carve_part *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_fill(const void *a, const void *b)
{
	const struct carve_tail *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_exit(const void *a, const void *b)
{
	const struct carve_exit *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int by_page(const void *a, const void *b)
{
	const struct carve_exit *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

/* Does this page lead to the part? */
static bool leads(const struct carve_exit *x, const struct carve_part *p)
{
	uint64_t usual = p->n > 1 ? (p->last_ts - p->ts) / (p->n - 1u) + 1 : 1;

	return x->off == p->off && x->ts <= p->ts && (p->ts - x->ts) / usual <= LED_STEPS;
}

/* Which parts follow the page before them in memory. by_pa[0, n): the exits. */
static void find_led(struct carve_scan *s, const struct carve_exit *by_pa, size_t n)
{
	for (size_t i = 0; i < s->n_parts; i++) {
		struct carve_part *p = &s->part[i];
		size_t lo = 0, hi = n;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (by_pa[mid].pa + CARVE_PAGE < p->pa)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (; lo < n && by_pa[lo].pa + CARVE_PAGE == p->pa && p->ts && !p->led; lo++)
			p->led = leads(&by_pa[lo], p);
	}
}

static int find_exits(struct carve_scan *s)
{
	s->exit = malloc((s->n_found + s->n_parts + 1) * sizeof(*s->exit));
	if (!s->exit)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->n_found; i++) {
		const struct carve_shape *h = &s->found[i].shape;
		uint32_t first = CARVE_PAGE - (uint32_t)(s->found[i].pa % CARVE_PAGE), off = h->next - first;

		if (h->end > first && h->next >= first && off < CARVE_PAGE && !h->walk.bad)
			s->exit[s->n_exits++] =
				(struct carve_exit){s->found[i].pa - s->found[i].pa % CARVE_PAGE, h->walk.last_ts, (uint16_t)off};
	}
	for (size_t i = 0; i < s->n_parts; i++)
		if (s->part[i].exit != CARVE_NO_EXIT && s->part[i].last_ts)
			s->exit[s->n_exits++] = (struct carve_exit){s->part[i].pa, s->part[i].last_ts, s->part[i].exit};
	if (s->n_exits) {
		qsort(s->exit, s->n_exits, sizeof(*s->exit), by_page);
		find_led(s, s->exit, s->n_exits);
		qsort(s->exit, s->n_exits, sizeof(*s->exit), by_exit);
	}
	return 0;
}

static int add_edges(struct share *to, const struct share *from)
{
	int rc = 0;

	for (size_t i = 0; i < from->n_edges && rc == 0; i++)
		rc = add_edge(to, from->edge[i]);
	return rc;
}

/* Takes over what one thread has. */
static int join(struct carve_scan *to, struct carve_scan *from)
{
	int rc = 0;

	to->scanned += from->scanned;
	to->limited |= from->limited;
	to->tables_limited |= from->tables_limited;
	to->rests_limited |= from->rests_limited;
	for (size_t i = 0; i < from->n_found && rc == 0; i++)
		rc = add_found(to, from->found[i].pa, &from->found[i].shape);
	for (size_t i = 0; i < from->n_parts && rc == 0; i++) {
		struct carve_part *p = &from->part[i];
		struct carve_head h = {.ts = p->ts, .last_ts = p->last_ts, .off = p->off, .exit = p->exit, .n = p->n};

		rc = add_part(to, p->pa, &h);
	}
	for (size_t i = 0; i < from->n_tails && rc == 0; i++)
		rc = put_tail(to, from->tail[i]);
	for (size_t i = 0; i < from->n_packed && rc == 0; i++)
		rc = put_packed(to, &from->packed[i]);
	for (size_t i = 0; i < from->n_tables && rc == 0; i++)
		rc = put_table(to, from->table[i]);
	for (size_t i = 0; i < from->n_rests && rc == 0; i++)
		rc = put_rest(to, from->rest[i]);
	carve_scan_free(from);
	return rc;
}

int carve_scan_run(const struct phys *p, const struct carve_scan_opts *o, struct carve_scan *out, struct err *e)
{
	struct physscan_opts po = {.threads = o->threads, .chunk = CHUNK, .progress = o->progress, .progress_ctx = o->ctx};
	unsigned n = physscan_threads(&po);
	struct share *t = calloc(n, sizeof(*t));
	uint64_t unreadable = 0;
	int rc;

	*out = (struct carve_scan){0};
	if (!t)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		t[i].deep = o->deep;
		t[i].entry = o->tables ? entry_mask(p) : 0;
	}
	rc = physscan_run(p, &po, visit, t, &unreadable, e);
	for (unsigned i = 0; i < n; i++) {
		if (rc == 0 && (join(out, &t[i].s) < 0 || (i > 0 && add_edges(&t[0], &t[i]) < 0)))
			rc = err_set(e, ERR_NOMEM, "out of memory");
		carve_scan_free(&t[i].s);
	}
	if (rc == 0 && (find_exits(out) < 0 || packed_across(out, p, t[0].edge, t[0].n_edges) < 0))
		rc = err_set(e, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++)
		free(t[i].edge);
	free(t);
	if (rc < 0) {
		carve_scan_free(out);
		return rc;
	}
	out->unreadable = unreadable;
	if (out->n_found)
		qsort(out->found, out->n_found, sizeof(*out->found), by_pa);
	if (out->n_packed)
		qsort(out->packed, out->n_packed, sizeof(*out->packed), by_pa);
	if (out->n_tails)
		qsort(out->tail, out->n_tails, sizeof(*out->tail), by_fill);
	if (out->n_parts)
		qsort(out->part, out->n_parts, sizeof(*out->part), by_off);
	if (out->n_tables)
		qsort(out->table, out->n_tables, sizeof(*out->table), u64_order);
	if (out->n_rests)
		qsort(out->rest, out->n_rests, sizeof(*out->rest), by_rest);
	return 0;
}

void carve_scan_free(struct carve_scan *s)
{
	free(s->found);
	free(s->part);
	free(s->exit);
	free(s->packed);
	free(s->tail);
	free(s->table);
	free(s->rest);
	*s = (struct carve_scan){0};
}
