/* carve.c - see carve.h: opening, what the recovered sessions tell, and the bytes of one buffer. Groups are carvegroup.c's. */
#include "carve.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"

#define HOLES_MAX 64u
#define LIVE_MAX  65536u
#define PROC_WIN7 0x800u /* Windows 7: the high byte of the processor's word is 8 */
#define PATIENCE  UINT64_C(64)

int carve_open(struct carve **out, struct image *im, const struct carve_opts *o, struct err *e)
{
	struct carve_scan_opts so = {.deep = o->deep, .threads = o->threads, .progress = o->progress, .ctx = o->ctx};
	struct carve *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->im = im;
	c->o = *o;
	c->tables = so.tables = !im->kernel || !kernel_pfndb(im->kernel);
	rc = carve_scan_run(im->dump->phys, &so, &c->scan, e);
	if (rc < 0) {
		carve_close(c);
		return rc;
	}
	c->buf = calloc(c->scan.n_found + 1, sizeof(*c->buf));
	c->packed = calloc(c->scan.n_packed + 1, sizeof(*c->packed));
	c->times = calloc(c->scan.n_found + c->scan.n_packed + 1, sizeof(*c->times));
	c->part_times = calloc(c->scan.n_parts + 1, sizeof(*c->part_times));
	if (!c->buf || !c->packed || !c->times || !c->part_times) {
		carve_close(c);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	for (; c->n < c->scan.n_found; c->n++) {
		c->buf[c->n].f = &c->scan.found[c->n];
		c->times[c->n] = c->scan.found[c->n].shape.walk.first_ts;
	}
	for (; c->n_packed < c->scan.n_packed; c->n_packed++) {
		c->packed[c->n_packed].f = &c->scan.packed[c->n_packed];
		c->times[c->n + c->n_packed] = c->scan.packed[c->n_packed].shape.walk.first_ts;
	}
	if (c->n + c->n_packed)
		qsort(c->times, c->n + c->n_packed, sizeof(*c->times), u64_order);
	if (c->scan.limited)
		notes_add(&im->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u buffers by their shape, or %u pages with records",
			  CARVE_FOUND_MAX, CARVE_PARTS_MAX);
	c->counts.scanned = c->scan.scanned;
	c->counts.unreadable = c->scan.unreadable;
	c->counts.shapes = c->n;
	if (carve_tie(c) < 0) {
		carve_close(c);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	carve_rate_of_files(c);
	*out = c;
	return 0;
}

void carve_close(struct carve *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->buf && i < c->n; i++) {
		free(c->buf[i].page);
		free(c->buf[i].held);
		free(c->buf[i].before);
		free(c->buf[i].own);
	}
	for (size_t i = 0; c->packed && i < c->n_packed; i++)
		free(c->packed[i].page);
	for (size_t i = 0; i < c->n_live; i++)
		free(c->live[i].name);
	for (size_t i = 0; i < c->n_loose; i++)
		free(c->loose[i].b.page);
	free(c->loose);
	free(c->buf);
	free(c->packed);
	free(c->times);
	free(c->part_times);
	free(c->step);
	free(c->live);
	free(c->tied);
	free(c->body);
	free(c->mended);
	free(c->rec);
	addrset_free(&c->known_ts);
	free(c->raw);
	addrset_free(&c->claimed);
	addrset_free(&c->old);
	carve_scan_free(&c->scan);
	free(c);
}

void carve_counts(const struct carve *c, struct carve_counts *out)
{
	*out = c->counts;
}

/* ---- the bytes of one buffer ----------------------------------------------------------------------------------------------------------- */

static void place(const struct carve *c, const struct carve_buf *b, struct etw_buffer *eb)
{
	eb->from = ETW_FROM_CARVED;
	eb->has_pa = true;
	eb->pa = b->loose ? b->page[0] : b->f->pa;
	eb->has_file_offset = phys_file_offset(c->im->dump->phys, eb->pa, &eb->file_offset);
	eb->has_va = b->has_va;
	eb->va = b->va;
	eb->has_pid = b->user && b->pid; /* 0: a root was found, its process was not */
	eb->pid = b->pid;
}

static int take_pages(const struct carve_buf *b, struct etw_buffer *eb)
{
	eb->page_pa = malloc(((size_t)b->n_pages + 1) * sizeof(*eb->page_pa));
	if (!eb->page_pa)
		return ERR_NOMEM;
	memcpy(eb->page_pa, b->page, b->n_pages * sizeof(*eb->page_pa));
	eb->n_page_pa = b->n_pages;
	return 0;
}

int carve_settle(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb, struct etw_buffer *rest)
{
	const struct carve_shape *s = &b->f->shape;
	const struct kernel *k = c->im->kernel;
	struct etw_range missing[HOLES_MAX];
	struct etw_settle_opts so = {.met = s->met,
				     .buffer_size = s->h.buffer_size,
				     .missing = missing,
				     .has_latest = true,
				     .latest = carve_latest(s),
				     .in_memory = true,
				     .page_off = (uint32_t)(b->f->pa % CARVE_PAGE)};
	uint32_t len;
	int rc;

	memset(eb, 0, sizeof(*eb));
	if (rest)
		memset(rest, 0, sizeof(*rest));
	place(c, b, eb);
	if (b->loose)
		return carve_loose_settle(c, b, eb);
	if (s->stored)
		return carve_unpack(c, b, eb);
	rc = carve_bytes(c, b, &len, missing, HOLES_MAX, &so.n_missing);
	if (rc < 0 || len < ETW_BUFFER_HEADER_SIZE)
		return rc;
	carve_cut_bytes(c, b, missing, HOLES_MAX, &so.n_missing);
	so.cpu_low_byte = k && k->has_profile ? k->prof.traits.cpu_low_byte : (s->h.processor & 0xff00) == PROC_WIN7;
	rc = take_pages(b, eb);
	if (rc == 0)
		rc = etw_settle(eb, c->raw, len, &so, s->met == ETW_MET_MEMORY ? rest : NULL);
	if (rc == 0 && rest && rest->body_len)
		rc = take_pages(b, rest);
	return rc;
}

/* ---- records that were seen ------------------------------------------------------------------------------------------------------------ */

static size_t body_slot(const struct carve *c, const char *sha)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < 12; i++)
		h = h << 5 ^ (uint8_t)sha[i];
	return (size_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (c->cap_bodies - 1);
}

static int grow_bodies(struct carve *c)
{
	struct carve_body *old = c->body;
	size_t n = c->cap_bodies, cap = n ? 2 * n : 256;
	struct carve_body *v = calloc(cap, sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	c->body = v;
	c->cap_bodies = cap;
	for (size_t i = 0; i < n; i++) {
		size_t at;

		if (!old[i].sha256[0])
			continue;
		for (at = body_slot(c, old[i].sha256); v[at].sha256[0];)
			at = (at + 1) & (cap - 1);
		v[at] = old[i];
	}
	free(old);
	return 0;
}

int carve_seen(struct carve *c, const struct etw_buffer *b, uint64_t *at)
{
	char sha[SHA256_HEX];
	size_t i;

	if (2 * (c->n_bodies + 1) > c->cap_bodies && grow_bodies(c) < 0)
		return ERR_NOMEM;
	sha256_of(b->body, b->body_len, sha);
	for (i = body_slot(c, sha); c->body[i].sha256[0]; i = (i + 1) & (c->cap_bodies - 1))
		if (memcmp(c->body[i].sha256, sha, sizeof(sha)) == 0) {
			*at = c->body[i].at;
			return 1;
		}
	memcpy(c->body[i].sha256, sha, sizeof(sha));
	c->body[i].at = b->has_va ? b->va : b->pa;
	c->n_bodies++;
	return 0;
}

/* ---- what recovered sessions tell ------------------------------------------------------------------------------------------------------- */

static int add_live(struct carve *c, const struct etw_session *s)
{
	void *arr = c->live;
	struct carve_live *l;

	if (c->n_live >= LIVE_MAX)
		return 0;
	if (arr_reserve(&arr, &c->cap_live, c->n_live, sizeof(*c->live)) < 0)
		return ERR_NOMEM;
	c->live = arr;
	l = &c->live[c->n_live];
	*l = (struct carve_live){.silo = s->silo,
				 .id = s->id,
				 .buffer_size = s->has_buffer_size ? s->buffer_size : 0,
				 .has_va = s->has_va,
				 .va = s->va,
				 .clock = s->clock,
				 .has_reference = s->has_reference,
				 .reference_time = s->reference_time,
				 .start_time = s->start_time,
				 .reference_ts = s->reference_ts,
				 .mode = s->mode};
	if (s->name && !(l->name = strdup(s->name)))
		return ERR_NOMEM;
	c->n_live++;
	return 0;
}

/* Did as many of the buffers that were found begin with this time? */
static bool begin_at(const struct carve *c, uint64_t ts, size_t n)
{
	size_t lo = 0, all = c->n + c->n_packed, hi = all;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->times[mid] < ts)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo + n <= all && c->times[lo] == ts && c->times[lo + n - 1] == ts;
}

static int claim(struct carve *c, const struct etw_buffer *b)
{
	for (uint32_t i = 0; i < b->n_page_pa; i++)
		if (b->page_pa[i] != ETW_NO_PA && addrset_add(&c->claimed, (b->page_pa[i] & ~(uint64_t)(CARVE_PAGE - 1)) | 1) < 0)
			return ERR_NOMEM;
	return 0;
}

static bool lacks_pages(const struct etw_buffer *b)
{
	for (size_t i = 0; i < b->n_gaps; i++)
		if (b->gaps[i].why == ETW_PAGE_MISSING)
			return true;
	return false;
}

static void take_over(struct etw_buffer *b, struct etw_buffer *whole)
{
	struct etw_buffer t = *b;

	b->body = whole->body;
	b->body_len = whole->body_len;
	b->gaps = whole->gaps;
	b->n_gaps = whole->n_gaps;
	b->page_pa = whole->page_pa;
	b->n_page_pa = whole->n_page_pa;
	b->n_events = whole->n_events;
	b->has_ts = whole->has_ts;
	b->first_ts = whole->first_ts;
	b->last_ts = whole->last_ts;
	b->from |= ETW_FROM_CARVED;
	whole->body = t.body;
	whole->gaps = t.gaps;
	whole->page_pa = t.page_pa;
}

/* Notes are other threads' while sessions are being loaded: what they no longer need to say is kept for carve_run(). */
static int mended(struct carve *c, const struct etw_session *s, const struct etw_buffer *b)
{
	void *arr = c->mended;

	if (arr_reserve(&arr, &c->cap_mended, c->n_mended, sizeof(*c->mended)) < 0)
		return ERR_NOMEM;
	c->mended = arr;
	c->mended[c->n_mended++] = (struct carve_mended){s->silo, s->id, b->va, b->hdr.buffer_size};
	return 0;
}

static bool is_mended(void *ctx, const struct note *n)
{
	const struct carve *c = ctx;

	for (size_t i = 0; i < c->n_mended; i++) {
		const struct carve_mended *m = &c->mended[i];

		if (n->what == NOTE_PAGE_MISSING && n->silo == m->silo && n->session == m->id && n->has_va && n->va - m->va < m->bytes)
			return true;
	}
	return false;
}

/* A buffer of a session lost pages to damaged page tables: they may still be somewhere. */
static int complete(struct carve *c, struct carve_buf *cb, const struct etw_session *s, struct etw_buffer *b)
{
	struct etw_buffer whole;
	struct carve_how how = {.known = b->page_pa, .n_known = b->n_page_pa, .patience = PATIENCE};
	int rc = carve_entries(c, true);

	if (rc == 0)
		rc = carve_join(c, cb, &how);
	if (rc < 0)
		return rc;
	rc = carve_settle(c, cb, &whole, NULL);
	if (rc < 0)
		return rc;
	if (whole.n_events > b->n_events) {
		take_over(b, &whole);
		c->counts.completed++;
		if (!lacks_pages(b))
			rc = mended(c, s, b);
	}
	etw_buffer_clear(&whole);
	return rc < 0 ? rc : claim(c, b);
}

bool carve_running(const struct etw_session *s)
{
	return (s->found_by & ~(ETW_FOUND_POOL_SCAN | ETW_FOUND_SHAPE_SCAN)) != 0;
}

int carve_session(void *carve, struct etw_session *s)
{
	struct carve *c = carve;
	bool changed = false;
	int rc = add_live(c, s);

	if (c->o.alone && !carve_running(s))
		return rc; /* its buffers are written nowhere else */
	for (size_t i = 0; i < s->n_buffers && rc == 0; i++)
		rc = claim(c, &s->buffers[i]);
	for (size_t i = 0; i < s->n_buffers && rc == 0; i++) {
		struct etw_buffer *b = &s->buffers[i];
		struct carve_buf *cb = b->has_pa ? carve_at(c, b->pa) : NULL, *packed = b->has_pa ? carve_packed_at(c, b->pa) : NULL;
		uint64_t at;

		if (packed) {
			c->counts.live += !packed->live;
			c->counts.shapes += !packed->live;
			packed->live = true;
		}
		if (cb) {
			c->counts.live += !cb->live;
			cb->live = true;
			if (lacks_pages(b)) {
				rc = complete(c, cb, s, b);
				changed = true;
			}
		}
		if (rc == 0 && b->body_len && begin_at(c, b->first_ts, cb ? 2 : 1) && !b->has_same_as &&
		    (carve_seen(c, b, &at) < 0 || carve_same_add(c, b) < 0))
			rc = ERR_NOMEM;
	}
	if (changed && rc == 0)
		etw_session_order(s);
	return rc;
}

int carve_run(struct carve *c, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx, struct err *e)
{
	int rc = carve_map(c);

	notes_drop(&c->im->notes, is_mended, c);
	if (rc == 0)
		rc = carve_join_all(c);
	if (rc == 0)
		rc = carve_cut(c);
	if (rc == 0)
		rc = carve_tails(c);
	if (rc == 0)
		rc = carve_loose_find(c);
	if (rc < 0)
		return err_set(e, rc, rc == ERR_INTR ? "interrupted" : "out of memory");
	if (c->entries_limited)
		notes_add(&c->im->notes, &NOTE(NOTE_LIMIT_REACHED), "too many page tables lead to buffers: some of them are not looked at");
	return carve_groups(c, fn, ctx, e);
}

int carve_image(struct carve **out, struct image *im, const struct recover_opts *ro, const struct carve_opts *o,
		const struct etw_sink *sink, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx,
		size_t *n_sessions, struct err *none, struct err *e)
{
	struct recover_opts with = *ro;
	int rc;

	*none = (struct err){0};
	*n_sessions = 0;
	*out = NULL;
	rc = carve_open(out, im, o, e);
	if (rc < 0)
		return rc;
	with.amend = carve_session;
	with.amend_ctx = *out;
	with.want = NULL;
	rc = recover_run(im, &with, sink, n_sessions, none);
	if (rc < 0 && rc != ERR_NOKERNEL) {
		if (e)
			*e = *none;
		return rc;
	}
	return carve_run(*out, fn, ctx, e);
}
