/* carveanchor.c - what the times of a group of orphans rest on: a file's header buffer (carveheader.c, carvefiles.c), a context, a live session, the system. See carve.h */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "ksession.h"
#include "rd.h"
#include "utf16.h"

#define CONTEXT_MAX 0x400u /* a ring's head lies so far behind its context's first byte at most */
#define HOUR        INT64_C(36000000000)
#define MONTH       (UINT64_C(30) * 86400) /* seconds */

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

/* ---- anchors ------------------------------------------------------------------------------------------------------------------------------- */

static int set_text(const char *text, char **to, uint8_t **to16, size_t *to16_len)
{
	struct buf b;

	free(*to);
	free(*to16);
	*to16 = NULL;
	buf_init(&b);
	utf8_to_utf16(&b, text);
	*to = strdup(text);
	if (!*to || b.failed) {
		buf_free(&b);
		return ERR_NOMEM;
	}
	*to16 = b.p;
	*to16_len = b.n;
	return 0;
}

int carve_set_name(struct etw_session *s, const char *name)
{
	return set_text(name, &s->name, &s->name16, &s->name16_len);
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
	o->sys.pointer_size = h->pointer_size;
	o->sys.timer_resolution = h->timer;
	o->sys.has_time_zone = true;
	memcpy(o->sys.time_zone, h->zone, sizeof(o->sys.time_zone));
	if (o->sure != CARVE_GUESS) {
		s->has_counters = true;
		s->buffers_written = h->written;
		s->events_lost = h->events_lost;
		s->buffers_lost = h->buffers_lost;
		s->header_records = h->more_len ? malloc(h->more_len) : NULL;
		if (h->more_len && !s->header_records)
			return ERR_NOMEM;
		if (h->more_len)
			memcpy(s->header_records, h->more, h->more_len);
		s->header_records_len = h->more_len;
	}
	if (h->file && h->file[0] && o->sure != CARVE_GUESS && set_text(h->file, &s->log_file, &s->log_file16, &s->log_file16_len) != 0)
		return ERR_NOMEM;
	return h->name[0] && o->sure != CARVE_GUESS ? carve_set_name(s, h->name) : 0;
}

int carve_context(struct carve_groups *g, struct carve_orphan *o)
{
	struct kernel *k = g->c->im->kernel;
	struct kref ref = {.id = o->s.id};
	struct etw_session s;
	uint32_t logger;
	int rc;

	if (!o->has_head || !k || !k->has_profile || !prof_has(&k->prof, F_CTX_GlobalList))
		return 0;
	if (!g->view && kview_open(&g->view, k, &g->c->im->sys, NULL, NULL) != 0)
		return 0;
	ref.va = o->head - prof_off(&k->prof, F_CTX_GlobalList);
	if (!kview_is_ptr(g->view, ref.va) || ref.va % kview_context_align(g->view) != 0)
		return 0;
	if (kread_u32(k, ref.va, F_CTX_LoggerId, &logger) == 0 && logger != o->s.id)
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

/* A freed context is memory that something else may stand in by now: does its clock agree with the events, and both with the image's time? */
static bool clock_holds(const struct carve_orphan *o, const struct carve_item *it, uint64_t first_ts, uint64_t last_ts)
{
	const struct etw_system *sys = &o->sys;
	int64_t t, slack = HOUR, start = o->s.reference_time;

	if (sys->system_time && sys->boot_time && sys->system_time > sys->boot_time)
		slack += (sys->system_time - sys->boot_time) / 100;
	if (sys->system_time && start > sys->system_time + slack)
		return false;
	if (!last_ts)
		return true;
	if ((o->s.clock == ETW_CLOCK_SYSTEM_TIME) != it->dates)
		return false;
	if (sys->system_time && etw_session_time(&o->s, sys, last_ts, &t) && t > sys->system_time + slack)
		return false;
	return !etw_session_time(&o->s, sys, first_ts, &t) || t >= start - slack;
}

static void drop_clock(struct etw_session *s)
{
	s->clock = ETW_CLOCK_UNKNOWN;
	s->has_reference = false;
	s->reference_time = s->start_time = 0;
	s->reference_ts = 0;
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

static int by_boot(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* The boot that most of the files in memory are of; 0: no two are of the same. ERR_NOMEM below 0. */
static int64_t common_boot(const struct carve_groups *g)
{
	int64_t *boot = malloc((g->n_h + 1) * sizeof(*boot)), best = 0;
	size_t n = 0, most = 1;

	if (!boot)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n_h; i++)
		if (g->h[i].same == i && carve_is_date((uint64_t)g->h[i].boot))
			boot[n++] = g->h[i].boot;
	if (n)
		qsort(boot, n, sizeof(*boot), by_boot);
	for (size_t i = 0, from = 0; i < n; i++) {
		while (boot[i] - boot[from] > HOUR / 60)
			from++;
		if (i - from + 1 > most) {
			most = i - from + 1;
			best = boot[i];
		}
	}
	free(boot);
	return best;
}

/* Where the image tells nothing of its clock: the header buffer of another file, begun before, not long ago, perhaps in the same boot. Buffers that never were
 * in a file are of the memory's own boot: that of most files, where there is such a one. */
static int from_other_file(struct carve_groups *g, struct carve_orphan *o, bool own_boot, uint64_t first_ts, uint64_t last_ts)
{
	const struct carve_file *best = NULL;
	int64_t boot;

	if (!g->boot_looked_for) {
		g->boot = common_boot(g);
		g->boot_looked_for = g->boot >= 0;
	}
	boot = own_boot ? g->boot : 0;
	if (g->boot < 0)
		return ERR_NOMEM;
	for (size_t i = 0; g->h && i < g->n_h; i++) {
		const struct carve_file *h = &g->h[i];

		if (boot && (h->boot < boot - HOUR / 60 || h->boot > boot + HOUR / 60))
			continue;
		if (h->clock == ETW_CLOCK_QPC && h->freq && h->t0 <= first_ts && (last_ts - h->t0) / h->freq < MONTH &&
		    (!best || h->t0 > best->t0))
			best = h;
	}
	if (!best)
		return 0;
	o->sys.perf_freq = best->freq;
	o->sys.boot_time = best->boot;
	o->s.clock = ETW_CLOCK_QPC;
	o->s.has_reference = true;
	o->s.reference_time = o->s.start_time = best->start;
	o->s.reference_ts = best->t0;
	o->anchor = CARVE_ANCHOR_FILE_HEADER;
	o->sure = CARVE_GUESS;
	return 0;
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

/* Buffers that never were in a file: that a header of their id lies before them proves nothing, since it may be of another boot. It is their session's when its
 * file's buffers hang in the same ring, or when it is of the boot that the memory is of: an id is one session's at a time. */
static bool goes_by(const struct carve_orphan *o, const struct carve_file *h)
{
	int64_t boot = o->sys.boot_time;

	if (o->has_head && h->head == o->head)
		return true;
	return carve_is_date((uint64_t)boot) && carve_is_date((uint64_t)h->boot) && h->boot >= boot - HOUR / 60 &&
	       h->boot <= boot + HOUR / 60;
}

int carve_anchor_find(struct carve_groups *g, struct carve_orphan *o, const struct carve_item *it, uint64_t first_ts, uint64_t last_ts)
{
	bool in_file = it->origin == CARVE_FROM_FILE || it->origin == CARVE_FROM_RTBACKUP, same, tied;
	unsigned n = 1;
	bool loose = it->origin == CARVE_FROM_LOOSE;
	const struct carve_file *h = it->file           ? &g->h[it->file - 1]
				     : loose || in_file ? NULL
							: carve_header_for(g, it, first_ts, last_ts, &n);
	const struct carve_live *l = loose || it->origin == CARVE_FROM_PRIVATE ? NULL : live_for(g, o, it, first_ts, &same);
	int rc = 0;

	o->sure = CARVE_CERTAIN;
	if (it->origin == CARVE_FROM_PRIVATE)
		rc = o->has_head ? carve_private_context(g->c, it->b, o->head, &o->s) : 0;
	else if (!in_file && !loose)
		rc = carve_context(g, o);
	if (rc < 0)
		return rc;
	if (rc > 0 && clock_holds(o, it, first_ts, last_ts)) {
		o->anchor = CARVE_ANCHOR_CONTEXT;
		o->sure = it->inside ? it->sure : CARVE_CERTAIN;
		return 0;
	}
	if (rc > 0) /* its name may be right: the ring leads to it, id and size agree */
		drop_clock(&o->s);
	if (l && same) {
		o->anchor = CARVE_ANCHOR_SESSION;
		return from_live(o, l);
	}
	tied = h && (it->file || (n == 1 && it->rivals <= 1 && goes_by(o, h)));
	if (tied) {
		o->anchor = CARVE_ANCHOR_FILE_HEADER;
		o->sure = it->file ? it->sure : CARVE_LIKELY;
		return from_header(o, h);
	}
	if (it->dates) {
		o->s.clock = ETW_CLOCK_SYSTEM_TIME;
		o->anchor = CARVE_ANCHOR_FILETIME;
		return 0;
	}
	if (l && it->rivals <= 1) { /* several can't all be its */
		o->anchor = CARVE_ANCHOR_SESSION;
		o->sure = CARVE_LIKELY;
		return from_live(o, l);
	}
	if (!o->sys.has_qpc_pair)
		pair_of_sessions(g, &o->sys, last_ts);
	from_system(o, last_ts);
	if (o->sure == CARVE_LIKELY && (in_file || loose))
		o->sure = CARVE_GUESS; /* a file may be of another boot, and whose clock counts there nobody knows */
	if (h && o->sure != CARVE_LIKELY) {
		o->anchor = CARVE_ANCHOR_FILE_HEADER;
		o->sure = CARVE_GUESS;
		return from_header(o, h);
	}
	return o->sure == CARVE_UNKNOWN ? from_other_file(g, o, !in_file && !loose, first_ts, last_ts) : 0;
}
