/* carvegroup.c - orphaned buffers sorted by origin, put together by session, and what their times rest on. See carve.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "ksession.h"
#include "rd.h"
#include "utf16.h"

#define HDR_ENTRY     0x38u
#define ENTRY_PAGE    0x38u /* where GlobalEntry of a page-aligned buffer stands in its page */
#define RECORD_HEADER 0x20u
#define HEADER_WIDE   0x118u /* TRACE_LOGFILE_HEADER with 64-bit pointers */
#define HEADER_NARROW 0x110u
#define NAME_BYTES    2048u
#define CONTEXT_MAX   0x400u /* a ring's head lies so far behind its context's first byte at most */
#define FILETIME_2000 UINT64_C(125911584000000000)
#define FILETIME_2100 UINT64_C(157469184000000000)
#define HOUR          INT64_C(36000000000)
#define STATE_FLUSH   3u

struct item { /* one orphaned buffer */
	struct carve_buf *b;
	enum carve_origin origin;
	uint32_t id, size;
	bool dates; /* its records carry FILETIMEs */
	bool file_header;
	uint64_t head; /* 0 unknown */
	size_t ring;   /* item that stands for all of one ring */
};

struct file_header { /* what the first buffer of an .etl file says */
	uint32_t id, size;
	enum etw_clock clock;
	int64_t start, boot;
	uint64_t t0, freq;
	uint32_t mode, build, cpus, mhz;
	uint8_t major, minor, pointer_size;
	char *name, *file; /* owned */
};

struct groups {
	struct carve *c;
	struct item *v;
	size_t n;
	struct file_header *h;
	size_t n_h, cap_h;
	struct kview *view; /* NULL: no kernel, or it was not needed yet */
};

/* ---- words ------------------------------------------------------------------------------------------------------------------------------ */

const char *carve_origin_name(enum carve_origin o)
{
	static const char *const words[CARVE_FROM_COUNT] = {"freed", "consumer", "private", "file_cache", "rtbackup"};

	return (unsigned)o < CARVE_FROM_COUNT ? words[o] : "unknown";
}

const char *carve_anchor_name(enum carve_anchor a)
{
	static const char *const words[] = {"file_header", "context", "session", "filetime", "system", "boot_time", "none"};

	return (unsigned)a <= CARVE_ANCHOR_NONE ? words[a] : "none";
}

const char *carve_sure_name(enum carve_sure s)
{
	static const char *const words[] = {"certain", "likely", "guess", "unknown"};

	return (unsigned)s <= CARVE_UNKNOWN ? words[s] : "unknown";
}

/* ---- origin ----------------------------------------------------------------------------------------------------------------------------- */

static bool is_date(uint64_t ts)
{
	return ts > FILETIME_2000 && ts < FILETIME_2100;
}

/* Does 0xff stand behind the data, up to the end of its page? */
static bool filled(const struct carve *c, const struct carve_buf *b)
{
	const struct carve_shape *s = &b->f->shape;
	uint32_t at = (uint32_t)(b->f->pa % CARVE_PAGE) + s->end, page = at / CARVE_PAGE, off = at % CARVE_PAGE;
	uint32_t n = CARVE_PAGE - off, left = s->h.buffer_size - s->end;
	uint8_t bytes[CARVE_PAGE];

	if (s->fill)
		return true;
	if (n > left)
		n = left;
	if (!n || page >= b->n_pages || b->page[page] == ETW_NO_PA || phys_read(c->im->dump->phys, b->page[page] + off, bytes, n) != 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (bytes[i] != 0xff)
			return false;
	return true;
}

static enum carve_origin origin_of(const struct carve *c, const struct carve_buf *b)
{
	const struct etw_bufhdr *h = &b->f->shape.h;
	bool by_file = b->f->shape.met == ETW_MET_FILE;

	if (h->flag & CARVE_RTBACKUP)
		return CARVE_FROM_RTBACKUP;
	if (h->type == CARVE_HEADER || (by_file && filled(c, b)))
		return CARVE_FROM_FILE;
	if (h->logger_id & CARVE_PRIVATE)
		return CARVE_FROM_PRIVATE;
	if (b->has_va && b->user)
		return CARVE_FROM_CONSUMER;
	if (by_file && h->state == STATE_FLUSH && !b->has_va) /* full to its end there is no room for fill: a file's */
		return h->buffer_size - b->f->shape.end < 8 ? CARVE_FROM_FILE : CARVE_FROM_CONSUMER;
	return CARVE_FROM_KERNEL;
}

/* ---- rings ------------------------------------------------------------------------------------------------------------------------------- */

struct end { /* one link of one buffer */
	uint64_t to;
	size_t item;
	bool forward;
};

static void links_of(const struct carve *c, const struct etw_bufhdr *h, uint64_t *flink, uint64_t *blink)
{
	bool narrow = c->im->kernel ? vm_pointer_size(c->im->kernel->vm) == 4 : h->flink >> 47 != 0 && h->flink >> 47 != 0x1ffff;

	*flink = narrow ? h->flink & UINT32_MAX : h->flink;
	*blink = narrow ? h->flink >> 32 : h->blink;
}

static size_t ring_of(struct item *v, size_t i)
{
	while (v[i].ring != i) {
		v[i].ring = v[v[i].ring].ring;
		i = v[i].ring;
	}
	return i;
}

static void unite(struct item *v, size_t a, size_t b)
{
	a = ring_of(v, a);
	b = ring_of(v, b);
	if (a < b)
		v[b].ring = a;
	else
		v[a].ring = b;
}

static int by_to(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

/* Two buffers that point to the same one from both sides, or to each other, hang in one ring. */
static int find_rings(struct groups *g)
{
	struct end *end = malloc((g->n * 3 + 1) * sizeof(*end));
	size_t n = 0;

	if (!end)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n; i++) {
		const struct carve_buf *b = g->v[i].b;
		uint64_t flink, blink;

		links_of(g->c, &b->f->shape.h, &flink, &blink);
		g->v[i].ring = i;
		if (flink >= 0x10000)
			end[n++] = (struct end){flink, i, true};
		if (blink >= 0x10000)
			end[n++] = (struct end){blink, i, false};
		if (b->has_va)
			end[n++] = (struct end){b->va + HDR_ENTRY, i, true};
	}
	if (n)
		qsort(end, n, sizeof(*end), by_to);
	for (size_t i = 1; i < n; i++) {
		const struct item *a = &g->v[end[i - 1].item], *b = &g->v[end[i].item];

		if (end[i].to == end[i - 1].to && a->id == b->id && a->size == b->size)
			unite(g->v, end[i - 1].item, end[i].item);
	}
	free(end);
	return 0;
}

/* The head is the one place in a ring that is no buffer's. */
static void find_heads(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		uint64_t link[2];

		if (g->v[i].b->f->pa % CARVE_PAGE != 0)
			continue; /* buffers of the pool begin anywhere: which place is the head can't be told */
		links_of(g->c, &g->v[i].b->f->shape.h, &link[0], &link[1]);
		for (unsigned k = 0; k < 2; k++)
			if (link[k] >= 0x10000 && link[k] % CARVE_PAGE != ENTRY_PAGE && link[k] % 4 == 0)
				g->v[ring_of(g->v, i)].head = link[k];
	}
	for (size_t i = 0; i < g->n; i++)
		g->v[i].head = g->v[ring_of(g->v, i)].head;
}

static int by_kind(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->origin != y->origin)
		return x->origin < y->origin ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	if (x->dates != y->dates)
		return x->dates ? 1 : -1;
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return x->b->f->pa < y->b->f->pa ? -1 : x->b->f->pa > y->b->f->pa;
}

static bool same_kind(const struct item *x, const struct item *y)
{
	return x->origin == y->origin && x->id == y->id && x->size == y->size && x->dates == y->dates;
}

/* Buffers of a ring whose head is not known join the only one of their kind that has one. Sorted by kind, the headless come first. */
static void adopt(struct groups *g)
{
	for (size_t i = 0, to; i < g->n; i = to) {
		size_t known = i;

		for (to = i; to < g->n && same_kind(&g->v[to], &g->v[i]);)
			to++;
		while (known < to && g->v[known].head == 0)
			known++;
		if (known == to || g->v[known].head != g->v[to - 1].head)
			continue;
		for (size_t k = i; k < known; k++)
			g->v[k].head = g->v[known].head;
	}
}

/* ---- header buffers of files ------------------------------------------------------------------------------------------------------------- */

static char *text_at(const uint8_t *p, uint32_t n, uint32_t *used)
{
	uint32_t i = 0;

	while (i + 2 <= n && i < NAME_BYTES && (p[i] || p[i + 1]))
		i += 2;
	*used = i + 2;
	return utf16_dup(p, i);
}

static int take_header(struct groups *g, const struct carve_buf *b)
{
	struct file_header h = {.id = b->f->shape.h.logger_id & ~CARVE_PRIVATE, .size = b->f->shape.h.buffer_size};
	struct etw_buffer eb;
	const uint8_t *p, *tail;
	uint32_t fixed, used = 0, left;
	void *arr = g->h;
	bool wide;
	int rc = carve_settle(g->c, b, &eb, NULL);

	if (rc < 0)
		return rc;
	p = eb.body + RECORD_HEADER;
	if (eb.body_len < RECORD_HEADER + HEADER_NARROW || le16(eb.body + 6) != 0 || le32(p) != h.size)
		goto out;
	wide = le32(p + 0x2c) == 8;
	fixed = wide ? HEADER_WIDE : HEADER_NARROW;
	if ((!wide && le32(p + 0x2c) != 4) || eb.body_len < RECORD_HEADER + fixed)
		goto out;
	tail = p + (wide ? 0xf8 : 0xf0);
	h.t0 = le64(eb.body + 0x10);
	h.boot = (int64_t)le64(tail);
	h.freq = le64(tail + 8);
	h.start = (int64_t)le64(tail + 0x10);
	h.clock = (enum etw_clock)le32(tail + 0x18);
	if (!is_date((uint64_t)h.start) || h.clock < ETW_CLOCK_QPC || h.clock > ETW_CLOCK_CPU_CYCLE)
		goto out;
	h.major = p[4];
	h.minor = p[5];
	h.build = le32(p + 8);
	h.cpus = le32(p + 0xc);
	h.mode = le32(p + 0x20);
	h.pointer_size = wide ? 8 : 4;
	h.mhz = le32(p + 0x34);
	left = eb.body_len - RECORD_HEADER - fixed;
	h.name = text_at(p + fixed, left, &used);
	h.file = used < left ? text_at(p + fixed + used, left - used, &used) : NULL;
	rc = !h.name ? ERR_NOMEM : arr_reserve(&arr, &g->cap_h, g->n_h, sizeof(*g->h));
	if (rc == 0) {
		g->h = arr;
		g->h[g->n_h++] = h;
	} else {
		free(h.name);
		free(h.file);
	}
out:
	etw_buffer_clear(&eb);
	return rc;
}

/* The header that fits best: of the same id and size and clock, begun before the first event, as late as can be. *sure tells how many did. */
static const struct file_header *header_for(const struct groups *g, const struct item *it, uint64_t first_ts, unsigned *n)
{
	const struct file_header *best = NULL;

	*n = 0;
	for (size_t i = 0; i < g->n_h; i++) {
		const struct file_header *h = &g->h[i];

		if (h->id != it->id || h->size != it->size || (h->clock == ETW_CLOCK_SYSTEM_TIME) != it->dates || h->t0 > first_ts)
			continue;
		++*n;
		if (!best || h->t0 > best->t0)
			best = h;
	}
	return best;
}

/* ---- anchors ------------------------------------------------------------------------------------------------------------------------------- */

static int set_name(struct etw_session *s, const char *name)
{
	size_t n = strlen(name);

	s->name = strdup(name);
	s->name16 = calloc(2, n + 1);
	if (!s->name || !s->name16)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		s->name16[2 * i] = (uint8_t)name[i] < 0x80 ? (uint8_t)name[i] : (uint8_t)'?';
	s->name16_len = 2 * n;
	return 0;
}

static int from_header(struct carve_orphan *o, const struct file_header *h)
{
	struct etw_session *s = &o->s;

	s->clock = h->clock;
	s->has_reference = true;
	s->reference_time = s->start_time = h->start;
	s->reference_ts = h->t0;
	s->mode = h->mode;
	o->sys.perf_freq = h->freq;
	o->sys.boot_time = h->boot;
	o->sys.build = h->build;
	o->sys.major = h->major;
	o->sys.minor = h->minor;
	o->sys.n_cpus = h->cpus <= ETW_CPUS_MAX ? h->cpus : 0;
	o->sys.cpu_mhz = h->mhz;
	o->sys.has_qpc_pair = false;
	if (h->file && h->file[0] && !(s->log_file = strdup(h->file)))
		return ERR_NOMEM;
	return h->name[0] ? set_name(s, h->name) : 0;
}

/* The context that the head lies in, if it is still there. 1: taken. */
static int from_context(struct groups *g, struct carve_orphan *o)
{
	struct kernel *k = g->c->im->kernel;
	struct kref ref = {.id = o->s.id};
	struct etw_session s;
	int rc;

	if (!o->has_head || !k || !k->has_profile || !prof_has(&k->prof, F_CTX_GlobalList))
		return 0;
	if (!g->view && kview_open(&g->view, k, &g->c->im->sys, NULL, NULL) != 0)
		return 0;
	ref.va = o->head - prof_off(&k->prof, F_CTX_GlobalList);
	if (!kview_is_ptr(g->view, ref.va) || ref.va % KV_CONTEXT_ALIGN != 0)
		return 0;
	rc = ksession_head(g->view, &ref, &s);
	if (rc != 0)
		return rc == ERR_NOMEM ? rc : 0;
	if (s.id != o->s.id || !s.has_buffer_size || s.buffer_size != o->s.buffer_size || !s.has_reference ||
	    !is_date((uint64_t)s.reference_time) || s.clock == ETW_CLOCK_UNKNOWN) {
		etw_session_clear(&s);
		return 0;
	}
	s.has_buffer_size = true;
	o->s = s; /* nothing was in it but facts */
	return 1;
}

static const struct carve_live *live_for(const struct groups *g, const struct carve_orphan *o, const struct item *it, uint64_t first_ts,
					 bool *same)
{
	const struct carve_live *best = NULL;

	*same = false;
	for (size_t i = 0; i < g->c->n_live; i++) {
		const struct carve_live *l = &g->c->live[i];

		if ((l->clock == ETW_CLOCK_SYSTEM_TIME) != it->dates || l->clock == ETW_CLOCK_UNKNOWN || l->id != it->id)
			continue;
		if (o->has_head && l->has_va && o->head > l->va && o->head - l->va < CONTEXT_MAX) {
			*same = true;
			return l;
		}
		if (l->buffer_size == it->size && l->has_reference && l->reference_ts <= first_ts && !o->has_head)
			best = l;
	}
	return best;
}

static int from_live(struct carve_orphan *o, const struct carve_live *l)
{
	o->s.silo = l->silo;
	o->s.clock = l->clock;
	o->s.has_reference = l->has_reference;
	o->s.reference_time = l->reference_time;
	o->s.reference_ts = l->reference_ts;
	o->s.start_time = l->start_time;
	o->s.mode = l->mode;
	return l->name ? set_name(&o->s, l->name) : 0;
}

/* Counter values of this boot: as performance counter, or as processor cycles, the last one must lie between boot and the image's time. */
static void from_system(struct carve_orphan *o, uint64_t last_ts)
{
	const struct etw_system *sys = &o->sys;
	int64_t t, slack = HOUR;

	o->anchor = sys->has_qpc_pair ? CARVE_ANCHOR_SYSTEM : CARVE_ANCHOR_BOOT;
	o->s.clock = ETW_CLOCK_QPC;
	if (sys->system_time && sys->boot_time) {
		slack += (sys->system_time - sys->boot_time) / 100;
		if (etw_session_time(&o->s, sys, last_ts, &t) && t >= sys->boot_time - HOUR && t <= sys->system_time + slack) {
			o->sure = CARVE_LIKELY;
			return;
		}
		o->s.clock = ETW_CLOCK_CPU_CYCLE;
		o->anchor = CARVE_ANCHOR_BOOT;
		if (etw_session_time(&o->s, sys, last_ts, &t) && t >= sys->boot_time - HOUR && t <= sys->system_time + slack) {
			o->sure = CARVE_GUESS;
			return;
		}
	}
	o->s.clock = ETW_CLOCK_UNKNOWN;
	o->anchor = CARVE_ANCHOR_NONE;
	o->sure = CARVE_UNKNOWN;
}

static int find_anchor(struct groups *g, struct carve_orphan *o, const struct item *it, uint64_t first_ts, uint64_t last_ts)
{
	bool in_file = it->origin == CARVE_FROM_FILE || it->origin == CARVE_FROM_RTBACKUP, same;
	unsigned n;
	const struct file_header *h = header_for(g, it, first_ts, &n);
	const struct carve_live *l = live_for(g, o, it, first_ts, &same);
	int rc = 0;

	o->sure = CARVE_CERTAIN;
	if (!in_file && (rc = from_context(g, o)) != 0) {
		o->anchor = CARVE_ANCHOR_CONTEXT;
		return rc < 0 ? rc : 0;
	}
	if (l && same) {
		o->anchor = CARVE_ANCHOR_SESSION;
		return from_live(o, l);
	}
	if (h) {
		o->anchor = CARVE_ANCHOR_FILE_HEADER;
		o->sure = n == 1 && in_file ? CARVE_CERTAIN : CARVE_LIKELY;
		return from_header(o, h);
	}
	if (it->dates) {
		o->s.clock = ETW_CLOCK_SYSTEM_TIME;
		o->anchor = CARVE_ANCHOR_FILETIME;
		return 0;
	}
	if (l) {
		o->anchor = CARVE_ANCHOR_SESSION;
		o->sure = CARVE_LIKELY;
		return from_live(o, l);
	}
	from_system(o, last_ts);
	if (o->sure == CARVE_LIKELY && in_file)
		o->sure = CARVE_GUESS; /* a file may be of another boot */
	return 0;
}

/* ---- one group ----------------------------------------------------------------------------------------------------------------------------- */

static int add_buffer(struct groups *g, struct etw_session *s, const struct carve_buf *b)
{
	struct etw_buffer eb, rest;
	uint64_t at;
	int rc = carve_settle(g->c, b, &eb, &rest);

	if (rc == 0 && eb.body_len) {
		rc = carve_seen(g->c, &eb, &at);
		if (rc > 0) {
			eb.has_same_as = true;
			eb.same_as = at;
			g->c->counts.copies++;
		} else {
			g->c->counts.orphans++;
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

static int one_group(struct groups *g, const struct item *v, size_t n, struct carve_orphan *o)
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
		rc = add_buffer(g, &bufs, v[i].b);
		if (v[i].b->f->shape.walk.first_ts < first)
			first = v[i].b->f->shape.walk.first_ts;
		if (v[i].b->f->shape.walk.last_ts > last)
			last = v[i].b->f->shape.walk.last_ts;
	}
	o->s.id = v->id;
	o->s.has_buffer_size = true;
	o->s.buffer_size = v->size;
	if (rc == 0 && bufs.n_buffers)
		rc = find_anchor(g, o, v, first, last);
	if (rc == 0 && !etw_session_time(&o->s, &o->sys, last, &t)) /* a clock without its frequency, say */
		o->sure = CARVE_UNKNOWN;
	if (rc == 0 && !o->s.name) {
		snprintf(name, sizeof(name), "carved-%u", v->id);
		rc = set_name(&o->s, name);
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

static int collect(struct groups *g)
{
	struct carve *c = g->c;
	int rc = 0;

	g->v = calloc(c->n + 1, sizeof(*g->v));
	if (!g->v)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct carve_buf *b = &c->buf[i];
		const struct carve_shape *s = &b->f->shape;

		if (s->h.type == CARVE_HEADER) {
			rc = b->live ? 0 : take_header(g, b);
			continue;
		}
		if (b->live)
			continue;
		g->v[g->n++] = (struct item){.b = b,
					     .origin = origin_of(c, b),
					     .id = s->h.logger_id & ~CARVE_PRIVATE,
					     .size = s->h.buffer_size,
					     .dates = is_date(s->walk.first_ts)};
	}
	return rc;
}

int carve_groups(struct carve *c, int (*fn)(void *ctx, const struct carve_orphan *o, struct err *e), void *ctx, struct err *e)
{
	struct groups g = {.c = c};
	struct carve_orphan o;
	int rc = collect(&g);

	if (rc == 0)
		rc = find_rings(&g);
	if (rc == 0 && g.n) {
		find_heads(&g);
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
		adopt(&g);
		qsort(g.v, g.n, sizeof(*g.v), by_kind);
	}
	for (size_t i = 0, to; i < g.n && rc == 0; i = to) {
		for (to = i; to < g.n && same_kind(&g.v[to], &g.v[i]) && g.v[to].head == g.v[i].head;)
			to++;
		rc = one_group(&g, &g.v[i], to - i, &o);
		if (rc == 0 && o.s.n_buffers) {
			rc = fn(ctx, &o, e);
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
	kview_close(g.view);
	for (size_t i = 0; i < g.n_h; i++) {
		free(g.h[i].name);
		free(g.h[i].file);
	}
	free(g.h);
	free(g.v);
	return rc < 0 ? rc : 0;
}
