/* carveanchor.c - what the times of a group of orphans rest on: a file's header buffer, a context, a live session, the system. See carve.h */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "ksession.h"
#include "rd.h"
#include "utf16.h"

#define RECORD_HEADER 0x20u
#define HEADER_WIDE   0x118u /* TRACE_LOGFILE_HEADER with 64-bit pointers */
#define HEADER_NARROW 0x110u
#define NAME_BYTES    2048u
#define STANDARD_BIAS 0x54u /* in TIME_ZONE_INFORMATION */
#define DAYLIGHT_BIAS 0xa8u
#define BIAS_MAX      900 /* minutes */
#define SECOND        INT64_C(10000000)
#define CONTEXT_MAX   0x400u /* a ring's head lies so far behind its context's first byte at most */
#define HOUR          INT64_C(36000000000)
#define MONTH         (UINT64_C(30) * 86400) /* seconds */

/* ---- words ------------------------------------------------------------------------------------------------------------------------------ */

const char *carve_origin_name(enum carve_origin o)
{
	static const char *const words[CARVE_FROM_COUNT] = {"freed", "consumer", "private", "file_cache", "rtbackup", "unknown", "loose"};

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

/* ---- header buffers of files ------------------------------------------------------------------------------------------------------------- */

static char *text_at(const uint8_t *p, uint32_t n, uint32_t *used)
{
	uint32_t i = 0;

	while (i + 2 <= n && i < NAME_BYTES && (p[i] || p[i + 1]))
		i += 2;
	*used = i + 2;
	return utf16_dup(p, i);
}

int carve_take_header(struct carve_groups *g, const struct carve_buf *b)
{
	struct carve_file h = {.id = b->f->shape.h.logger_id & ~CARVE_PRIVATE, .size = b->f->shape.h.buffer_size};
	struct etw_buffer eb;
	const uint8_t *p, *tail, *zone;
	uint32_t fixed, used = 0, left;
	void *arr = g->h;
	bool wide;
	int rc = carve_settle(g->c, b, &eb, NULL);

	if (rc < 0)
		return rc;
	p = eb.body + RECORD_HEADER;
	if (eb.body_len < RECORD_HEADER + HEADER_NARROW || le16(eb.body + 6) != 0 || !carve_header_size(p, h.size))
		goto out;
	h.end = carve_file_end(b);
	h.size = le32(p); /* a compressed file's header buffer is smaller than the session's */
	wide = le32(p + 0x2c) == 8;
	fixed = wide ? HEADER_WIDE : HEADER_NARROW;
	if ((!wide && le32(p + 0x2c) != 4) || eb.body_len < RECORD_HEADER + fixed)
		goto out;
	tail = p + (wide ? 0xf8 : 0xf0);
	h.t0 = le64(eb.body + 0x10);
	h.boot = (int64_t)le64(tail);
	h.freq = le64(tail + 8);
	h.start = (int64_t)le64(tail + 0x10);
	h.ended = (int64_t)le64(p + 0x10);
	zone = p + 0x38 + (wide ? 16 : 8);
	h.bias[0] = (int32_t)(le32(zone) + le32(zone + STANDARD_BIAS));
	h.bias[1] = (int32_t)(le32(zone) + le32(zone + DAYLIGHT_BIAS));
	h.clock = (enum etw_clock)le32(tail + 0x18);
	if (!carve_is_date((uint64_t)h.start) || h.clock < ETW_CLOCK_QPC || h.clock > ETW_CLOCK_CPU_CYCLE)
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

/* Performance logs (.blg) have the local time in their records and UTC in their header: do these records, read so, lie between its start and its end? */
static bool local_times(const struct carve_file *h, uint64_t first_ts, uint64_t last_ts)
{
	bool ended = carve_is_date((uint64_t)h->ended) && h->ended > h->start;

	if (h->clock != ETW_CLOCK_SYSTEM_TIME || !carve_is_date(first_ts) || !carve_is_date(last_ts))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		int64_t off = (int64_t)h->bias[i] * 60 * SECOND;

		if (h->bias[i] != 0 && h->bias[i] >= -BIAS_MAX && h->bias[i] <= BIAS_MAX && (int64_t)first_ts + off >= h->start - SECOND &&
		    (!ended || (int64_t)last_ts + off <= h->ended + SECOND))
			return true;
	}
	return false;
}

/* The header that fits best: of the same id and size and clock, begun before the first event, as late as can be. *sure tells how many did. */
static const struct carve_file *header_for(const struct carve_groups *g, const struct carve_item *it, uint64_t first_ts, uint64_t last_ts,
					   unsigned *n)
{
	const struct carve_file *best = NULL;

	*n = 0;
	if (it->file) {
		*n = 1;
		return &g->h[it->file - 1];
	}
	for (size_t i = 0; i < g->n_h; i++) {
		const struct carve_file *h = &g->h[i];

		if (h->taken || h->id != it->id || h->size != it->size || (h->clock == ETW_CLOCK_SYSTEM_TIME) != it->dates ||
		    (h->t0 > first_ts && !local_times(h, first_ts, last_ts)))
			continue;
		++*n;
		if (!best || h->t0 > best->t0)
			best = h;
	}
	return best;
}

/* ---- anchors ------------------------------------------------------------------------------------------------------------------------------- */

int carve_set_name(struct etw_session *s, const char *name)
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

static int from_header(struct carve_orphan *o, const struct carve_file *h)
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
	if (h->file && h->file[0] && o->sure != CARVE_GUESS && !(s->log_file = strdup(h->file)))
		return ERR_NOMEM;
	return h->name[0] && o->sure != CARVE_GUESS ? carve_set_name(s, h->name) : 0;
}

/* The context that the head lies in, if it is still there. 1: taken. */
static int from_context(struct carve_groups *g, struct carve_orphan *o)
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
	if (!kview_is_ptr(g->view, ref.va) || ref.va % kview_context_align(g->view) != 0)
		return 0;
	rc = ksession_head(g->view, &ref, &s);
	if (rc != 0)
		return rc == ERR_NOMEM ? rc : 0;
	if (s.id != o->s.id || !s.has_buffer_size || s.buffer_size != o->s.buffer_size || !s.has_reference ||
	    !carve_is_date((uint64_t)s.reference_time) || s.clock == ETW_CLOCK_UNKNOWN) {
		etw_session_clear(&s);
		return 0;
	}
	s.has_buffer_size = true;
	o->s = s; /* nothing was in it but facts */
	return 1;
}

static const struct carve_live *live_for(const struct carve_groups *g, const struct carve_orphan *o, const struct carve_item *it,
					 uint64_t first_ts, bool *same)
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
	return l->name ? carve_set_name(&o->s, l->name) : 0;
}

/* A session's own pair is one of the whole system's performance counter too: the latest before the last event, where the system names none. */
static void pair_of_sessions(const struct carve_groups *g, struct etw_system *sys, uint64_t last_ts)
{
	for (size_t i = 0; i < g->c->n_live; i++) {
		const struct carve_live *l = &g->c->live[i];

		if (l->clock != ETW_CLOCK_QPC || !l->has_reference || l->reference_ts > last_ts ||
		    !carve_is_date((uint64_t)l->reference_time) || (sys->has_qpc_pair && sys->qpc_pair_ts >= l->reference_ts))
			continue;
		sys->has_qpc_pair = true;
		sys->qpc_pair_time = l->reference_time;
		sys->qpc_pair_ts = l->reference_ts;
	}
}

/* Where the image tells nothing of its clock: the header buffer of another file, begun before, not long ago, perhaps in the same boot. */
static void from_other_file(const struct carve_groups *g, struct carve_orphan *o, uint64_t first_ts, uint64_t last_ts)
{
	const struct carve_file *best = NULL;

	for (size_t i = 0; i < g->n_h; i++) {
		const struct carve_file *h = &g->h[i];

		if (h->clock == ETW_CLOCK_QPC && h->freq && h->t0 <= first_ts && (last_ts - h->t0) / h->freq < MONTH &&
		    (!best || h->t0 > best->t0))
			best = h;
	}
	if (!best)
		return;
	o->sys.perf_freq = best->freq;
	o->sys.boot_time = best->boot;
	o->s.clock = ETW_CLOCK_QPC;
	o->s.has_reference = true;
	o->s.reference_time = o->s.start_time = best->start;
	o->s.reference_ts = best->t0;
	o->anchor = CARVE_ANCHOR_FILE_HEADER;
	o->sure = CARVE_GUESS;
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

int carve_anchor_find(struct carve_groups *g, struct carve_orphan *o, const struct carve_item *it, uint64_t first_ts, uint64_t last_ts)
{
	bool in_file = it->origin == CARVE_FROM_FILE || it->origin == CARVE_FROM_RTBACKUP, same;
	unsigned n;
	bool loose = it->origin == CARVE_FROM_LOOSE;
	const struct carve_file *h = loose ? NULL : header_for(g, it, first_ts, last_ts, &n);
	const struct carve_live *l = loose ? NULL : live_for(g, o, it, first_ts, &same);
	int rc = 0;

	o->sure = CARVE_CERTAIN;
	if (it->origin == CARVE_FROM_PRIVATE)
		rc = o->has_head ? carve_private_context(g->c, it->b, o->head, &o->s) : 0;
	else if (!in_file && !loose)
		rc = from_context(g, o);
	if (rc != 0) {
		o->anchor = CARVE_ANCHOR_CONTEXT;
		return rc < 0 ? rc : 0;
	}
	if (l && same) {
		o->anchor = CARVE_ANCHOR_SESSION;
		return from_live(o, l);
	}
	if (h) {
		o->anchor = CARVE_ANCHOR_FILE_HEADER;
		o->sure = n > 1 || it->rivals > 1 ? CARVE_GUESS : in_file ? CARVE_CERTAIN : CARVE_LIKELY;
		if (it->file)
			o->sure = CARVE_CERTAIN;
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
	if (!o->sys.has_qpc_pair)
		pair_of_sessions(g, &o->sys, last_ts);
	from_system(o, last_ts);
	if (o->sure == CARVE_LIKELY && (in_file || loose))
		o->sure = CARVE_GUESS; /* a file may be of another boot, and whose clock counts there nobody knows */
	if (o->sure == CARVE_UNKNOWN)
		from_other_file(g, o, first_ts, last_ts);
	return 0;
}

void carve_anchors_free(struct carve_groups *g)
{
	kview_close(g->view);
	for (size_t i = 0; i < g->n_h; i++) {
		free(g->h[i].name);
		free(g->h[i].file);
	}
	free(g->h);
}
