/* carvegroup.c - orphaned buffers sorted by origin, put together by session. See carve.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"

#define STATE_FLUSH     3u
#define FLAG_PROC_INDEX 0x20u
#define PACKED_LEAST    65536u
#define RECORDS_MAX     16u /* times the image, and */
#define RECORDS_LEAST   (UINT64_C(256) << 20)
#define PACKED_PAD      4u /* times the largest packed buffer of a session that its buffers may have */

/* ---- origin ----------------------------------------------------------------------------------------------------------------------------- */

enum told { TOLD_NOT, TOLD_YES, TOLD_NOTHING };

/* Does 0xff stand behind the data, up to the end of its page? TOLD_NOTHING: the page was not found. */
static enum told filled(const struct carve *c, const struct carve_buf *b)
{
	const struct carve_shape *s = &b->f->shape;
	uint32_t at = (uint32_t)(b->f->pa % CARVE_PAGE) + s->end, page = at / CARVE_PAGE, off = at % CARVE_PAGE;
	uint32_t n = CARVE_PAGE - off, left = s->h.buffer_size - s->end;
	uint8_t bytes[CARVE_PAGE];
	uint64_t pa = ETW_NO_PA;

	if (s->fill)
		return TOLD_YES;
	if (n > left)
		n = left;
	if (page < b->n_pages)
		pa = b->page[page];
	else if (page == b->n_pages && page && b->page[page - 1] != ETW_NO_PA) /* the data end with their page: what stands behind it? */
		pa = b->page[page - 1] + CARVE_PAGE;
	if (!n || pa == ETW_NO_PA || phys_read(c->im->dump->phys, pa + off, bytes, n) != 0)
		return n ? TOLD_NOTHING : TOLD_NOT;
	for (uint32_t i = 0; i < n; i++)
		if (bytes[i] != 0xff)
			return TOLD_NOT;
	return TOLD_YES;
}

static enum carve_origin origin_of_packed(const struct carve_buf *b)
{
	if (b->f->shape.h.flag & CARVE_RTBACKUP)
		return CARVE_FROM_RTBACKUP;
	if (!b->f->shape.row)
		return CARVE_FROM_FILE;
	return b->f->shape.h.logger_id & CARVE_PRIVATE || (b->has_va && b->user) ? CARVE_FROM_PRIVATE : CARVE_FROM_KERNEL;
}

/* Could it be a file's as well as a buffer that the kernel is writing: nothing is behind its data that tells? */
static bool full_to_its_end(const struct carve_buf *b, enum told fill)
{
	const struct etw_bufhdr *h = &b->f->shape.h;

	return b->f->shape.met == ETW_MET_FILE && h->state == STATE_FLUSH && h->saved_offset == h->offset &&
	       (h->buffer_size - b->f->shape.end < 8 || fill == TOLD_NOTHING);
}

/* Both links lead to places in a process: a consumer's copy has those of the kernel's buffer. Not every private logger sets bit 15. */
static bool in_process(const struct carve *c, const struct carve_buf *b)
{
	uint64_t flink, blink;

	carve_links(c, b, &flink, &blink);
	return flink >= CARVE_LINK_LEAST && blink >= CARVE_LINK_LEAST && !vm_is_kernel(c->im->kernel->vm, flink) &&
	       !vm_is_kernel(c->im->kernel->vm, blink);
}

static enum carve_origin origin_of(const struct carve *c, const struct carve_buf *b, bool *open)
{
	const struct etw_bufhdr *h = &b->f->shape.h;
	bool by_file = b->f->shape.met == ETW_MET_FILE;
	enum told fill;

	*open = false;
	if (h->flag & CARVE_RTBACKUP)
		return CARVE_FROM_RTBACKUP;
	fill = by_file ? filled(c, b) : TOLD_NOT;
	if (h->type == CARVE_HEADER || fill == TOLD_YES)
		return CARVE_FROM_FILE;
	if (h->logger_id & CARVE_PRIVATE)
		return CARVE_FROM_PRIVATE;
	if (b->has_va && b->user)
		return in_process(c, b) ? CARVE_FROM_PRIVATE : CARVE_FROM_CONSUMER;
	/* the kernel maps a view of the file cache as well; flag 0x20 says that all of the processor word counts (etl-format.md), and the kernel's own
	 * buffers have none of it. Windows 7 has no such flag: there its neighbours must tell */
	if (b->has_va && full_to_its_end(b, fill)) {
		*open = !(h->flag & FLAG_PROC_INDEX);
		return *open ? CARVE_FROM_KERNEL : CARVE_FROM_FILE;
	}
	if (by_file && h->state == STATE_FLUSH && !b->has_va) {
		if (h->buffer_size - b->f->shape.end < 8) /* full to its end there is no room for fill: a file's */
			return CARVE_FROM_FILE;
		return fill == TOLD_NOTHING ? CARVE_FROM_UNKNOWN : CARVE_FROM_CONSUMER;
	}
	return CARVE_FROM_KERNEL;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------------------------------- */

static int by_kind(const void *a, const void *b)
{
	const struct carve_item *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	if (x->dates != y->dates)
		return x->dates ? 1 : -1;
	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->file && x->sure != y->sure)
		return x->sure < y->sure ? -1 : 1;
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	if (x->apart != y->apart)
		return x->apart < y->apart ? -1 : 1;
	return x->b->f->pa < y->b->f->pa ? -1 : x->b->f->pa > y->b->f->pa;
}

bool carve_same_kind(const struct carve_item *x, const struct carve_item *y)
{
	return x->origin == y->origin && x->id == y->id && x->size == y->size && x->dates == y->dates && x->space == y->space;
}

static bool same_group(const struct carve_item *x, const struct carve_item *y)
{
	return carve_same_kind(x, y) && carve_same_claim(x, y) && x->head == y->head && x->apart == y->apart;
}

/* Also of several processes: those are files of none. */
static bool same_file(const struct carve_item *x, const struct carve_item *y)
{
	return x->origin == y->origin && x->id == y->id && x->size == y->size && x->dates == y->dates && x->file == y->file;
}

/* Local times lie hours away from the file's own: where others of the kind do not fit even so, these may be as little that file's. Sorted by kind. */
static void doubt_local(struct carve_groups *g)
{
	for (size_t i = 0, to; i < g->n; i = to) {
		bool others = false;

		for (to = i; to < g->n && carve_same_kind(&g->v[to], &g->v[i]); to++)
			others |= g->v[to].file == 0;
		for (size_t k = i; k < to && others; k++)
			if (g->v[k].local)
				g->v[k].sure = CARVE_GUESS;
	}
}

/* Groups that can't all be what their kind leads to; and how sure a group is. */
static void count_rivals(struct carve_groups *g)
{
	for (size_t i = 0, to; i < g->n; i = to) {
		size_t groups = 0;

		for (to = i; to < g->n && same_file(&g->v[to], &g->v[i]); to++)
			groups += to == i || !same_group(&g->v[to], &g->v[to - 1]);
		for (size_t k = i; k < to; k++)
			g->v[k].rivals = groups;
	}
	for (size_t i = 0, to; i < g->n; i = to) {
		enum carve_sure least = CARVE_CERTAIN;

		for (to = i; to < g->n && same_group(&g->v[to], &g->v[i]); to++)
			least = g->v[to].sure > least ? g->v[to].sure : least;
		for (size_t k = i; k < to; k++)
			g->v[k].sure = least;
	}
}

/* ---- one group ----------------------------------------------------------------------------------------------------------------------------- */

/* What a buffer has lost is a loss of the image. */
static void tell_gaps(struct carve_groups *g, const struct carve_buf *b, const struct etw_buffer *eb, uint32_t id)
{
	for (size_t i = 0; i < eb->n_gaps && !b->loose; i++) {
		const struct etw_gap *gap = &eb->gaps[i];
		struct note n =
			NOTE_AT(gap->why == ETW_PAGE_MISSING ? NOTE_PAGE_MISSING : NOTE_RECORD_BAD, eb->va + gap->offset, gap->bytes);

		if (gap->why == ETW_COPIED)
			continue;
		n.has_va = eb->has_va;
		n.session = (int64_t)id;
		notes_add(&g->c->im->notes, &n, "carved buffer at physical address 0x%llx, %s at offset %u", (unsigned long long)b->f->pa,
			  etw_why_name(gap->why), gap->offset);
	}
}

/* Page tables that lie can give one page to any number of buffers: what they hold together can't be many times the image. Packed ones may be some. */
static bool too_much(struct carve *c, uint64_t bytes)
{
	uint64_t max = RECORDS_LEAST + RECORDS_MAX * phys_bytes(c->im->dump->phys);

	if (bytes > max - c->settled) {
		if (c->settled != max)
			notes_add(&c->im->notes, &NOTE(NOTE_LIMIT_REACHED), "carved buffers hold more than %u times the image's bytes",
				  (unsigned)RECORDS_MAX);
		c->settled = max;
		return true;
	}
	c->settled += bytes;
	return false;
}

static int add_buffer(struct carve_groups *g, struct etw_session *s, const struct carve_item *it)
{
	const struct carve_buf *b = it->b;
	struct etw_buffer eb, rest = {0};
	uint64_t at;
	int rc = carve_settle(g->c, b, &eb, g->c->o.residual ? &rest : NULL);

	if (rc == 0 && too_much(g->c, (uint64_t)eb.body_len + rest.body_len)) {
		etw_buffer_clear(&eb);
		etw_buffer_clear(&rest);
		return 0;
	}
	if (rc == 0 && eb.body_len) {
		rc = b->loose ? 0 : carve_same(g->c, &eb);
		if (rc == 0) {
			rc = carve_seen(g->c, &eb, &at);
			if (rc > 0) {
				eb.has_same_as = true;
				eb.same_as = at;
			}
		}
		if (rc > 0) {
			g->c->counts.copies++;
		} else if (!b->loose) {
			g->c->counts.orphans++;
			tell_gaps(g, b, &eb, it->id);
		}
		if (rc >= 0)
			rc = etw_session_add_buffer(s, &eb);
	}
	if (rc == 0 && rest.body_len)
		rc = etw_session_add_residual(s, &rest);
	etw_buffer_clear(&eb);
	etw_buffer_clear(&rest);
	return rc;
}

/* Which of them stands for all: the context of a ring inside a process is read where that ring is. */
static const struct carve_item *speaker(const struct carve_item *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].b->user && (!v->space || v[i].b->dtb == v->space))
			return &v[i];
	return v;
}

static int one_group(struct carve_groups *g, const struct carve_item *v, size_t n, struct carve_orphan *o)
{
	uint64_t first = UINT64_MAX, last = 0;
	struct etw_session bufs;
	char name[40];
	int64_t t;
	int rc = 0;

	memset(o, 0, sizeof(*o));
	memset(&bufs, 0, sizeof(bufs));
	o->sys = g->c->im->sys;
	o->origin = v->origin;
	o->has_head = v->head != 0;
	o->head = v->head;
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = add_buffer(g, &bufs, &v[i]);
		if (carve_first_ts(v[i].b) < first)
			first = carve_first_ts(v[i].b);
		if (carve_last_ts(v[i].b) > last)
			last = carve_last_ts(v[i].b);
	}
	o->s.id = v->id;
	o->s.no_id = v->b->loose;
	o->s.has_buffer_size = true;
	o->s.buffer_size = v->size;
	if (rc == 0 && bufs.n_buffers)
		rc = carve_anchor_find(g, o, speaker(v, n), first, last);
	if (rc == 0 && !etw_session_time(&o->s, &o->sys, last, &t)) /* a clock without its frequency, say */
		o->sure = CARVE_UNKNOWN;
	if (rc == 0 && !o->s.name) {
		snprintf(name, sizeof(name), v->b->loose ? "carved-loose" : "carved-%u", v->id);
		rc = carve_set_name(&o->s, name);
	}
	o->s.found_by = ETW_FOUND_CARVED;
	o->s.buffers = bufs.buffers;
	o->s.n_buffers = bufs.n_buffers;
	o->s.cap_buffers = bufs.cap_buffers;
	o->s.residual = bufs.residual;
	o->s.n_residual = bufs.n_residual;
	o->s.cap_residual = bufs.cap_residual;
	o->s.buffer_count = (uint32_t)bufs.n_buffers;
	etw_session_order(&o->s);
	return rc;
}

/* ---- packed buffers -------------------------------------------------------------------------------------------------------------------- */

static int collect_packed(struct carve_groups *g)
{
	struct carve *c = g->c;
	int rc = carve_unpack_all(c);

	for (size_t i = 0; i < c->n_packed && rc == 0; i++) {
		struct carve_buf *b = &c->packed[i];

		if (b->live || !b->page)
			continue;
		c->counts.shapes++;
		g->v[g->n++] = (struct carve_item){.b = b,
						   .origin = origin_of_packed(b),
						   .id = b->f->shape.h.logger_id & ~CARVE_PRIVATE,
						   .dates = carve_is_date(b->first_ts)};
	}
	return rc;
}

/* The BufferSize in the header of the row that b is the first sub-buffer of; 0: it is not, or nothing sensible stands there. */
static uint32_t row_size(const struct carve *c, const struct carve_buf *b)
{
	uint8_t p[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;

	if (!b->f->shape.row || b->f->pa % CARVE_PAGE != ETW_BUFFER_HEADER_SIZE ||
	    phys_read(c->im->dump->phys, b->f->pa - sizeof(p), p, sizeof(p)) != 0)
		return 0;
	etw_bufhdr_parse(&h, p);
	if (h.logger_id != b->f->shape.h.logger_id || !carve_plain(p) || h.buffer_size < b->f->shape.stored)
		return 0;
	return h.buffer_size;
}

/* What a file's header buffer of this id names. */
static uint32_t file_size(const struct carve_groups *g, const struct carve_item *it, uint32_t least)
{
	uint32_t size = 0;

	if (it->file)
		return g->h[it->file - 1].size;
	for (size_t i = 0; i < g->n_h && !it->b->f->shape.row; i++)
		if (g->h[i].id == it->id && g->h[i].mode & ETW_MODE_COMPRESSED && g->h[i].size >= least && (!size || g->h[i].size < size))
			size = g->h[i].size;
	return size;
}

/* Packed buffers do not say how big their session's are: the row that they stand in does, or the header of their file, or other buffers of
 * the session; else it is the least that all of them fit into. v[0, n): of one origin and id. */
static void packed_size(const struct carve_groups *g, struct carve_item *v, size_t n)
{
	uint32_t least = CARVE_SIZE_MIN, size = 0;
	size_t packed = 0;

	while (packed < n && !v[packed].size)
		packed++;
	for (size_t i = 0; i < packed; i++)
		if (v[i].b->f->shape.end > least)
			least = (v[i].b->f->shape.end + CARVE_SIZE_MIN - 1) / CARVE_SIZE_MIN * CARVE_SIZE_MIN;
	for (size_t i = 0; i < packed && size < least; i++)
		size = row_size(g->c, v[i].b);
	if (size < least && packed)
		size = file_size(g, v, least);
	if (size < least && packed < n && v[packed].size == v[n - 1].size)
		size = v[packed].size;
	if (size > PACKED_PAD * (least > PACKED_LEAST ? least : PACKED_LEAST)) /* every buffer of a file is written in full */
		size = least;
	for (size_t i = 0; i < packed; i++)
		v[i].size = size < least ? least : size;
}

static void packed_sizes(struct carve_groups *g)
{
	for (size_t i = 0, to; i < g->n; i = to) {
		for (to = i; to < g->n && g->v[to].origin == g->v[i].origin && g->v[to].id == g->v[i].id && g->v[to].file == g->v[i].file;)
			to++;
		packed_size(g, &g->v[i], to - i);
	}
}

/* ---- all ----------------------------------------------------------------------------------------------------------------------------------- */

static int collect(struct carve_groups *g)
{
	struct carve *c = g->c;
	int rc = 0;

	g->v = calloc(c->n + c->n_packed + c->n_loose + 1, sizeof(*g->v));
	if (!g->v)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct carve_buf *b = &c->buf[i];
		const struct carve_shape *s = &b->f->shape;

		if (s->h.type == CARVE_HEADER) {
			rc = b->live ? 0 : carve_take_header(g, b);
			continue;
		}
		if (b->live)
			continue;
		g->v[g->n] = (struct carve_item){
			.b = b, .id = s->h.logger_id & ~CARVE_PRIVATE, .size = s->h.buffer_size, .dates = carve_is_date(s->walk.first_ts)};
		g->v[g->n].origin = origin_of(c, b, &g->v[g->n].open);
		g->n++;
	}
	for (size_t i = 0; i < c->n_loose && c->o.loose && rc == 0; i++)
		g->v[g->n++] = (struct carve_item){.b = &c->loose[i].b,
						   .origin = CARVE_FROM_LOOSE,
						   .size = c->loose[i].f.shape.h.buffer_size,
						   .dates = carve_is_date(c->loose[i].f.shape.walk.first_ts)};
	return rc;
}

int carve_groups(struct carve *c, carve_orphan_fn *fn, void *ctx, struct err *e)
{
	struct carve_groups g = {.c = c};
	struct carve_orphan o;
	int rc = collect(&g);

	if (rc == 0)
		rc = collect_packed(&g);
	if (rc == 0)
		rc = carve_headers_ready(&g);
	if (rc == 0)
		rc = carve_find_views(&g);
	if (rc == 0)
		rc = carve_find_files(&g);
	if (rc == 0 && g.n)
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
	packed_sizes(&g);
	if (rc == 0)
		rc = carve_find_rings(&g);
	if (rc == 0 && g.n) {
		rc = carve_choose_files(&g);
		rc = rc == 0 ? carve_rate_of_contexts(&g) : rc;
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
		doubt_local(&g);
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
		carve_adopt(&g);
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
		count_rivals(&g);
		if (rc == 0)
			rc = carve_same_find(&g);
	}
	for (size_t i = 0, to; i < g.n && rc == 0; i = to) {
		for (to = i; to < g.n && same_group(&g.v[to], &g.v[i]);)
			to++;
		rc = one_group(&g, &g.v[i], to - i, &o);
		if (rc == 0 && o.s.n_buffers) {
			rc = carve_emit(c, &o, fn, ctx, e);
			if (rc < 0) {
				etw_session_clear(&o.s);
				goto out;
			}
		}
		etw_session_clear(&o.s);
	}
	if (rc < 0)
		err_set(e, rc, "out of memory");
out:
	carve_headers_free(&g);
	kview_close(g.view);
	free(g.v);
	return rc < 0 ? rc : 0;
}
