/* clockrate.c - see clockrate.h. Each context holds a pair {wall time, counter} of its start (docs/live-buffers.md): two of them give the
 * frequency. The wall time of a pair moves in steps of a clock tick (up to 15.6 ms), so the nearest usual frequency is taken when it is
 * inside that error. */
#include "clockrate.h"

#include <stdlib.h>

#include "wintime.h"

#define TICK    INT64_C(156250)   /* 100 ns units */
#define FAR     INT64_C(10000000) /* two starts a second apart at least */
#define HZ_MIN  100000
#define HZ_MAX  INT64_C(100000000000)
#define PER_SEC 10000000

static int by_time(const void *a, const void *b)
{
	const struct clockrate_pair *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

static bool read_pair(const struct kview *v, const struct kref *r, struct clockrate_pair *p)
{
	const struct profile *prof = &v->k->prof;
	uint32_t clock;
	uint64_t at, time;

	if (!r->va || !prof_has(prof, F_CTX_ReferenceTime) || !prof_has(prof, F_REFCLOCK_StartTime) ||
	    !prof_has(prof, F_REFCLOCK_StartPerfClock))
		return false;
	at = r->va + prof_off(prof, F_CTX_ReferenceTime);
	if (kread_u32(v->k, r->va, F_CTX_ClockType, &clock) != 0 || clock != ETW_CLOCK_QPC ||
	    kread_u64(v->k, at, F_REFCLOCK_StartTime, &time) != 0 || kread_u64(v->k, at, F_REFCLOCK_StartPerfClock, &p->ts) != 0)
		return false;
	p->time = (int64_t)time;
	return p->time > 0;
}

static int64_t usual(int64_t hz, int64_t error)
{
	/* TSC / 1024 has no usual values; these are the invariant clock of Windows 10, HPET, the ACPI timer, and what ARM64 machines have */
	static const int64_t known[] = {10000000, 14318180, 3579545, 19200000, 24000000};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (hz - known[i] <= error && known[i] - hz <= error)
			return known[i];
	return hz;
}

/* What the counter did between two pairs. False: more than can be. */
static bool counted(const struct clockrate_pair *from, const struct clockrate_pair *to, int64_t *n)
{
	bool back = to->ts < from->ts;
	uint64_t d = back ? from->ts - to->ts : to->ts - from->ts;

	*n = back ? -(int64_t)d : (int64_t)d;
	return d <= INT64_MAX;
}

/* 0: the pairs don't agree on one, or are too near to each other. */
static int64_t frequency(const struct clockrate_pair *p, size_t n)
{
	int64_t dt, dts, hz, error;

	if (n < 2 || !counted(&p[0], &p[n - 1], &dts))
		return 0;
	dt = p[n - 1].time - p[0].time; /* times are positive, and in order */
	if (dt < FAR || dts <= 0)
		return 0;
	hz = muldiv_floor(dts, PER_SEC, dt);
	if (hz > HZ_MAX || hz < HZ_MIN)
		return 0;
	if ((uint64_t)dts * PER_SEC - (uint64_t)hz * (uint64_t)dt >= (uint64_t)(dt - dt / 2)) /* what is left over: below dt */
		hz++;
	for (size_t i = 1; i + 1 < n; i++) {
		int64_t off;

		if (!counted(&p[0], &p[i], &off) || __builtin_sub_overflow(off, muldiv_floor(p[i].time - p[0].time, hz, PER_SEC), &off) ||
		    off > hz / 10 || off < -hz / 10)
			return 0;
	}
	error = muldiv_floor(hz, 2 * TICK, dt) + 1;
	return usual(hz, error);
}

uint64_t clockrate_of(struct clockrate_pair *p, size_t n)
{
	if (n)
		qsort(p, n, sizeof *p, by_time);
	return (uint64_t)frequency(p, n);
}

int clockrate_solve(struct kview *v, struct etw_system *sys)
{
	struct note note = NOTE(NOTE_CONTEXT_BAD);
	struct clockrate_pair *p;
	size_t n = 0;
	uint64_t hz;

	if (sys->perf_freq || v->n_refs == 0)
		return 0;
	p = calloc(v->n_refs, sizeof *p);
	if (!p)
		return ERR_NOMEM;
	for (size_t i = 0; i < v->n_refs; i++)
		n += read_pair(v, &v->ref[i], &p[n]);
	hz = clockrate_of(p, n);
	free(p);
	if (hz) {
		sys->perf_freq = hz;
		notes_add(v->notes, &note, "frequency of the performance counter: %llu Hz, worked out from the starts of %zu sessions",
			  (unsigned long long)hz, n);
	} else if (n) {
		notes_add(v->notes, &note,
			  "the performance counter's frequency is not known: times of sessions that count in it are not sure");
	}
	return 0;
}
