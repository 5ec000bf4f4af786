/* carverate.c - the frequency of the performance counter from what carving finds (carvework.h): Windows 7 has it in one variable, to which symbols lead, and nowhere
 * else. The header of a file of this boot names it; contexts of stopped sessions are further pairs {wall time, counter}. */
#include <stdlib.h>

#include "carvework.h"
#include "clockrate.h"
#include "rd.h"

#define LOGFILE   (ETW_BUFFER_HEADER_SIZE + 0x20u) /* TRACE_LOGFILE_HEADER in a header buffer */
#define BOOT_NEAR INT64_C(600000000)               /* a minute: a boot takes no less, and setting the clock moves its time */
#define HZ_MIN    100000u
#define HZ_MAX    UINT64_C(100000000000)
#define PAIRS_MAX 256u

/* Does a header buffer of this boot stand here? What it says of the two clocks. */
static bool named(const struct carve *c, const struct carve_found *f, uint64_t *hz, uint64_t *mhz)
{
	uint8_t p[LOGFILE + 0x108];
	int64_t d;
	uint32_t boot;

	if (f->shape.h.type != CARVE_HEADER || phys_read(c->im->dump->phys, f->pa, p, sizeof(p)) != 0)
		return false;
	boot = LOGFILE + (le32(p + LOGFILE + 0x2c) == 8 ? 0xf8u : 0xf0u);
	*hz = le64(p + boot + 8);
	*mhz = le32(p + LOGFILE + 0x34);
	if (!carve_is_date(le64(p + boot)) || *hz < HZ_MIN || *hz > HZ_MAX)
		return false;
	d = (int64_t)le64(p + boot) - c->im->sys.boot_time;
	return d < BOOT_NEAR && d > -BOOT_NEAR;
}

/* What all of them say; 0: nothing, or not the same. */
struct saying {
	uint64_t value;
	bool several;
};

static void hear(struct saying *s, uint64_t value)
{
	s->several |= s->value && value && s->value != value;
	s->value = value ? value : s->value;
}

void carve_rate_of_files(struct carve *c)
{
	struct etw_system *sys = &c->im->sys;
	struct saying hz = {0}, mhz = {0};
	uint64_t one, other;

	if ((sys->perf_freq && sys->cpu_mhz) || !c->im->kernel || !carve_is_date((uint64_t)sys->boot_time))
		return;
	for (size_t i = 0; i < c->n; i++)
		if (named(c, c->buf[i].f, &one, &other)) {
			hear(&hz, one);
			hear(&mhz, other);
		}
	if (!sys->perf_freq && hz.value && !hz.several) {
		sys->perf_freq = hz.value;
		notes_add(&c->im->notes, &NOTE(NOTE_CONTEXT_BAD),
			  "frequency of the performance counter: %llu Hz, named by a file of this boot", (unsigned long long)hz.value);
	}
	if (!sys->cpu_mhz && mhz.value && !mhz.several) {
		sys->cpu_mhz = (uint32_t)mhz.value;
		notes_add(&c->im->notes, &NOTE(NOTE_CONTEXT_BAD), "the processors' clock: %u MHz, named by a file of this boot",
			  sys->cpu_mhz);
	}
}

static size_t pairs_of_live(const struct carve *c, struct clockrate_pair *p)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_live && n < PAIRS_MAX; i++)
		if (c->live[i].clock == ETW_CLOCK_QPC && c->live[i].has_reference && carve_is_date((uint64_t)c->live[i].reference_time))
			p[n++] = (struct clockrate_pair){c->live[i].reference_time, c->live[i].reference_ts};
	return n;
}

int carve_rate_of_contexts(struct carve_groups *g)
{
	struct etw_system *sys = &g->c->im->sys;
	struct clockrate_pair *p;
	size_t n;
	uint64_t last = 0;
	int rc = 0;

	if (sys->perf_freq || !g->c->im->kernel)
		return 0;
	p = calloc(PAIRS_MAX, sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	n = pairs_of_live(g->c, p);
	for (size_t i = 0; i < g->n && n < PAIRS_MAX && rc >= 0; i++) {
		const struct carve_item *it = &g->v[i];
		struct carve_orphan o = {.has_head = true, .head = it->head};

		if (it->origin != CARVE_FROM_KERNEL || !it->head || it->head == last)
			continue;
		last = it->head;
		o.s.id = it->id;
		o.s.buffer_size = it->size;
		rc = carve_context(g, &o);
		if (rc > 0 && o.s.clock == ETW_CLOCK_QPC)
			p[n++] = (struct clockrate_pair){o.s.reference_time, o.s.reference_ts};
		etw_session_clear(&o.s);
	}
	sys->perf_freq = rc < 0 ? 0 : clockrate_of(p, n);
	free(p);
	if (sys->perf_freq)
		notes_add(&g->c->im->notes, &NOTE(NOTE_CONTEXT_BAD),
			  "frequency of the performance counter: %llu Hz, worked out from the starts of %zu sessions, some of them stopped",
			  (unsigned long long)sys->perf_freq, n);
	return rc < 0 ? rc : 0;
}
