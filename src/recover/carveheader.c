/* carveheader.c - the header buffers of .etl files that were found, and which of them can be a buffer's. See carve.h
 *
 * A file may stand in memory twice, or its header at two times of its life: these say the same of the clock and are one. An id is given to the next session again,
 * and a session of the next boot may even have its buffers at the same addresses: a header is a buffer's only if the buffer's events lie between the file's begin
 * and its end. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvework.h"
#include "rd.h"
#include "utf16.h"

#define RECORD_HEADER 0x20u
#define HEADER_WIDE   0x118u /* TRACE_LOGFILE_HEADER with 64-bit pointers */
#define HEADER_NARROW 0x110u
#define NAME_BYTES    2048u
#define SECOND        10000000u /* FILETIME */
#define END_SLACK     10u /* seconds that a file's last events lie behind its EndTime at most (relogged ones do, by 2.5 s: docs/carving.md), */
#define END_EARLY     3u    /* and before it at most: nothing happens, but the buffers are flushed when the file is closed */
#define END_SHARE     8u    /* of a file's length: the last flush of a short one is not further from its EndTime */
#define END_PARTS     1000u /* and a part of the file's length: the two clocks drift */
#define ZONE_SLACK    (UINT64_C(15) * 3600 * SECOND) /* local time is so far from UTC at most */
#define STANDARD_BIAS 0x54u                          /* in TIME_ZONE_INFORMATION */
#define DAYLIGHT_BIAS 0xa8u
#define BIAS_MAX      900 /* minutes */
#define FREQ_MAX      (UINT64_C(1) << 36)
#define LOOK_BACK     256u     /* headers tried for one buffer */
#define PRIVATE_MODES 0x20800u /* EVENT_TRACE_PRIVATE_LOGGER_MODE, _PRIVATE_IN_PROC: ids of each process's own */

static char *text_at(const uint8_t *p, uint32_t n, uint32_t *used)
{
	uint32_t i = 0;

	while (i + 2 <= n && i < NAME_BYTES && (p[i] || p[i + 1]))
		i += 2;
	*used = i + 2;
	return utf16_dup(p, i);
}

/* TRACE_LOGFILE_HEADER, of 32-bit and 64-bit systems (docs/etl-format.md). */
static void read_fixed(struct carve_file *h, const uint8_t *p, bool wide)
{
	const uint8_t *tail = p + (wide ? 0xf8 : 0xf0);

	h->size = le32(p); /* a compressed file's header buffer is smaller than the session's */
	h->major = p[4];
	h->minor = p[5];
	h->build = le32(p + 8);
	h->cpus = le32(p + 0xc);
	h->stop = (int64_t)le64(p + 0x10);
	h->timer = le32(p + 0x18);
	h->mode = le32(p + 0x20);
	h->written = le32(p + 0x24);
	h->pointer_size = wide ? 8 : 4;
	h->events_lost = le32(p + 0x30);
	h->mhz = le32(p + 0x34);
	memcpy(h->zone, p + (wide ? 0x48 : 0x40), sizeof(h->zone));
	h->boot = (int64_t)le64(tail);
	h->freq = le64(tail + 8);
	h->start = (int64_t)le64(tail + 0x10);
	h->clock = (enum etw_clock)le32(tail + 0x18);
	h->buffers_lost = le32(tail + 0x1c);
}

static void forget(struct carve_file *h)
{
	free(h->name);
	free(h->file);
	free(h->more);
}

/* Names, and the records behind (groups of events, memory partition). */
static int read_rest(struct carve_file *h, const struct etw_buffer *eb, uint32_t at)
{
	uint32_t used = 0, size = (le16(eb->body + 4) + 7u) & ~7u;

	h->name = text_at(eb->body + at, eb->body_len - at, &used);
	h->file = used < eb->body_len - at ? text_at(eb->body + at + used, eb->body_len - at - used, &used) : NULL;
	if (!h->name)
		return ERR_NOMEM;
	if (size < at || size >= eb->body_len)
		return 0;
	h->more_len = eb->body_len - size;
	h->more = malloc(h->more_len);
	if (!h->more)
		return ERR_NOMEM;
	memcpy(h->more, eb->body + size, h->more_len);
	return 0;
}

int carve_take_header(struct carve_groups *g, const struct carve_buf *b)
{
	struct carve_file h = {.id = b->f->shape.h.logger_id & ~CARVE_PRIVATE};
	struct etw_buffer eb;
	const uint8_t *p;
	uint32_t fixed;
	void *arr = g->h;
	bool wide;
	int rc = carve_settle(g->c, b, &eb, NULL);

	if (rc < 0)
		return rc;
	p = eb.body + RECORD_HEADER;
	if (eb.body_len < RECORD_HEADER + HEADER_NARROW || le16(eb.body + 6) != 0 || !carve_header_size(p, b->f->shape.h.buffer_size))
		goto out;
	h.end = carve_file_end(b);
	h.end_va = b->has_va && !b->user ? b->va + b->f->shape.h.buffer_size : 0;
	wide = le32(p + 0x2c) == 8;
	fixed = wide ? HEADER_WIDE : HEADER_NARROW;
	if ((!wide && le32(p + 0x2c) != 4) || eb.body_len < RECORD_HEADER + fixed)
		goto out;
	h.t0 = le64(eb.body + 0x10);
	read_fixed(&h, p, wide);
	if (!carve_is_date((uint64_t)h.start) || h.clock < ETW_CLOCK_QPC || h.clock > ETW_CLOCK_CPU_CYCLE)
		goto out;
	rc = read_rest(&h, &eb, RECORD_HEADER + fixed);
	rc = rc == 0 ? arr_reserve(&arr, &g->cap_h, g->n_h, sizeof(*g->h)) : rc;
	if (rc == 0) {
		g->h = arr;
		g->h[g->n_h++] = h;
	} else {
		forget(&h);
	}
out:
	etw_buffer_clear(&eb);
	return rc;
}

/* ---- one for all that say the same --------------------------------------------------------------------------------------------------- */

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static bool dates(const struct carve_file *h)
{
	return h->clock == ETW_CLOCK_SYSTEM_TIME;
}

/* Of one id and kind of clock by begin; what says the same stands together. */
static int by_begin(const void *a, const void *b)
{
	const struct carve_file *x = *(const struct carve_file *const *)a, *y = *(const struct carve_file *const *)b;
	int d = by_number(x->id, y->id);

	d = d ? d : by_number(dates(x), dates(y));
	d = d ? d : by_number(x->t0, y->t0);
	d = d ? d : by_number(x->size, y->size);
	d = d ? d : by_number(x->clock, y->clock);
	d = d ? d : by_number((uint64_t)x->start, (uint64_t)y->start);
	d = d ? d : by_number(x->freq, y->freq);
	d = d ? d : strcmp(x->name, y->name);
	return d ? d : x < y ? -1 : x > y;
}

static bool says_the_same(const struct carve_file *x, const struct carve_file *y)
{
	return x->id == y->id && x->t0 == y->t0 && x->size == y->size && x->clock == y->clock && x->start == y->start &&
	       x->freq == y->freq && strcmp(x->name, y->name) == 0;
}

/* What the later copy of the two knows. A session that goes on in a new file (FILE_MODE_NEWFILE) has one anchor and several names of files. */
static void merge(struct carve_file *to, const struct carve_file *from)
{
	bool later = from->stop > to->stop || (from->stop == to->stop && from->written > to->written);

	if (to->file && from->file && strcmp(to->file, from->file) != 0)
		to->file[0] = '\0';
	if (!later)
		return;
	to->stop = from->stop;
	to->written = from->written;
	to->events_lost = from->events_lost;
	to->buffers_lost = from->buffers_lost;
}

/* 100 ns units -> the clock's, from t0 on. */
static uint64_t clock_after(const struct carve_file *h, uint64_t span)
{
	uint64_t ticks = UINT64_MAX;

	if (dates(h))
		ticks = span;
	else if (h->clock == ETW_CLOCK_CPU_CYCLE && h->mhz && span / 10 < UINT64_MAX / h->mhz - 1)
		ticks = span / 10 * h->mhz + h->mhz;
	else if (h->clock == ETW_CLOCK_QPC && h->freq && span / SECOND < UINT64_MAX / h->freq - 1)
		ticks = span / SECOND * h->freq + h->freq;
	return ticks > UINT64_MAX - h->t0 ? UINT64_MAX : h->t0 + ticks;
}

/* The same to the tick; 0: the clock can't be told. */
static uint64_t clock_at(const struct carve_file *h, uint64_t span)
{
	uint64_t rest = span % SECOND;

	if (clock_after(h, span) == UINT64_MAX || h->freq > FREQ_MAX)
		return 0;
	if (dates(h))
		return h->t0 + span;
	return h->t0 + (h->clock == ETW_CLOCK_CPU_CYCLE ? span / 10 * h->mhz : span / SECOND * h->freq + rest * h->freq / SECOND);
}

static bool same_boot(const struct carve_file *x, const struct carve_file *y)
{
	int64_t d = x->boot - y->boot;

	return carve_is_date((uint64_t)x->boot) && carve_is_date((uint64_t)y->boot) && d < (int64_t)SECOND && d > -(int64_t)SECOND;
}

/* Until when h can have events: its EndTime, with slack, but not behind the begin of the next session that was given its id in the same boot. */
static void find_last(struct carve_groups *g, size_t at)
{
	struct carve_file *h = &g->h[g->order[at]];
	uint64_t span, early = (uint64_t)END_EARLY * SECOND;

	h->last = UINT64_MAX;
	if (h->stop < h->start || !carve_is_date((uint64_t)h->stop))
		return;
	span = (uint64_t)(h->stop - h->start);
	h->closed_at = clock_at(h, span > early ? span - early : 0);
	h->near_end = clock_at(h, span - (span / END_SHARE < early ? span / END_SHARE : early));
	h->last = clock_after(h, span + span / END_PARTS + (uint64_t)END_SLACK * SECOND);
	if (dates(h) || !h->id || h->mode & PRIVATE_MODES)
		return;
	for (size_t i = at + 1; i < g->n_order && i <= at + LOOK_BACK; i++) {
		const struct carve_file *next = &g->h[g->order[i]];

		if (next->id != h->id || dates(next) != dates(h) || next->t0 > h->last)
			break;
		if (next->t0 > h->t0 && next->start >= h->stop && !(next->mode & PRIVATE_MODES) && same_boot(h, next)) {
			h->last = next->t0 - 1;
			break;
		}
	}
}

int carve_headers_ready(struct carve_groups *g)
{
	struct carve_file **by = malloc((g->n_h + 1) * sizeof(struct carve_file *));

	g->order = calloc(g->n_h + 1, sizeof(*g->order));
	if (!by || !g->order) {
		free(by);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < g->n_h; i++)
		by[i] = &g->h[i];
	if (g->n_h)
		qsort(by, g->n_h, sizeof(struct carve_file *), by_begin);
	for (size_t i = 0, first = 0; i < g->n_h; i++) {
		if (i == 0 || !says_the_same(by[i], by[first])) {
			first = i;
			g->order[g->n_order++] = (size_t)(by[i] - g->h);
		} else {
			merge(by[first], by[i]);
		}
		by[i]->same = (size_t)(by[first] - g->h);
	}
	free(by);
	for (size_t i = 0; i < g->n_order; i++)
		find_last(g, i);
	return 0;
}

void carve_headers_free(struct carve_groups *g)
{
	for (size_t i = 0; i < g->n_h; i++)
		forget(&g->h[i]);
	free(g->h);
	free(g->order);
}

/* ---- which of them can be a buffer's ------------------------------------------------------------------------------------------------- */

/* For performance logs, it may have. */
bool carve_file_begun(const struct carve_file *h, uint64_t ts)
{
	return dates(h) ? h->t0 < ZONE_SLACK || h->t0 - ZONE_SLACK <= ts : h->t0 <= ts;
}

/* Performance logs (.blg) have the local time in their records and UTC in their header: do these records, read so, lie between its start and its end? */
static bool local_times(const struct carve_file *h, uint64_t first, uint64_t last)
{
	static const unsigned of_year[] = {STANDARD_BIAS, DAYLIGHT_BIAS};

	for (unsigned i = 0; i < 2; i++) {
		int32_t bias = (int32_t)(le32(h->zone) + le32(h->zone + of_year[i]));
		int64_t off = (int64_t)bias * 60 * SECOND;

		if (bias == 0 || bias < -BIAS_MAX || bias > BIAS_MAX || (int64_t)first + off < h->start - (int64_t)SECOND)
			continue;
		if (h->last == UINT64_MAX || (int64_t)last + off <= (int64_t)h->last)
			return true;
	}
	return false;
}

bool carve_file_holds(const struct carve_file *h, uint64_t first, uint64_t last)
{
	return carve_file_plain(h, first, last) || (dates(h) && carve_is_date(first) && carve_is_date(last) && local_times(h, first, last));
}

/* How many of g->order come before those that begin after ts. */
static size_t begun(const struct carve_groups *g, uint32_t id, bool wall, uint64_t ts)
{
	size_t lo = 0, hi = g->n_order;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct carve_file *h = &g->h[g->order[mid]];

		if (h->id != id ? h->id < id : dates(h) != wall ? !dates(h) : carve_file_begun(h, ts))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t carve_headers_fit(const struct carve_groups *g, const struct carve_item *it, uint64_t first, uint64_t last, size_t fit[CARVE_FITS],
			 bool *more, bool *inside)
{
	size_t at = begun(g, it->id, it->dates, first), n = 0, i = at;

	*inside = *more = false;
	for (; i > 0 && at - i < LOOK_BACK && n < CARVE_FITS; i--) {
		const struct carve_file *h = &g->h[g->order[i - 1]];

		if (h->id != it->id || dates(h) != it->dates)
			return n;
		if (h->size == it->size && carve_file_holds(h, first, last) && !(h->head && it->head && h->head != it->head))
			fit[n++] = g->order[i - 1];
	}
	*more = i > 0 && g->h[g->order[i - 1]].id == it->id && dates(&g->h[g->order[i - 1]]) == it->dates;
	for (i = at; i < g->n_order && i - at < LOOK_BACK && !*inside; i++) {
		const struct carve_file *h = &g->h[g->order[i]];

		if (h->id != it->id || dates(h) != it->dates || h->t0 > last)
			break;
		*inside = h->size == it->size;
	}
	return n;
}

const struct carve_file *carve_header_for(const struct carve_groups *g, const struct carve_item *it, uint64_t first, uint64_t last,
					  unsigned *n)
{
	const struct carve_file *best = NULL;
	size_t fit[CARVE_FITS];
	bool more, inside;
	size_t fits = carve_headers_fit(g, it, first, last, fit, &more, &inside);

	*n = more || inside;
	for (size_t i = 0; i < fits; i++) {
		const struct carve_file *h = &g->h[fit[i]];

		if (h->taken && !(h->head && h->head == it->head))
			continue; /* there are buffers of files that are its own */
		best = best ? best : h;
		++*n;
	}
	return best;
}
