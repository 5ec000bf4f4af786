/* htmlplot.c - see htmlplot.h */
#include "htmlplot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "evhdr.h"
#include "htmltext.h"
#include "wintime.h"

#define BINS        4096  /* of a row's histogram */
#define FIRST_WIDTH 65536 /* of a bin: 6.6 ms */
#define COLUMNS     150
#define COLUMN_W    4u
#define LEFT        280u /* where the bars begin; labels stand left of it */
#define PLOT_W      (COLUMNS * COLUMN_W)
#define ROW_H       22u
#define TICKS_MAX   6
#define SECOND      INT64_C(10000000)
#define HOUR        (3600 * SECOND)
#define DAY         (24 * HOUR)

/* Counts of events by time; a bin is `width` long (a power of two of 100 ns) and begins at a multiple of it. */
struct histogram {
	int64_t from, width; /* of bin 0; width 0: empty */
	int64_t least, most; /* times seen */
	uint64_t n;
	uint32_t bin[BINS];
};

struct plot_row {
	char *label, *href; /* owned, escaped */
	struct histogram *h;
};

struct span {
	int64_t from, to;
};

/* ---- counting ------------------------------------------------------------------------------------------------------------------------------ */

/* Bins so wide that all times seen and t fit in. Times are 0 .. WINTIME_MAX < 2^62: a width of 2^50 always does. */
static void widen(struct histogram *h, int64_t t)
{
	int64_t least = t < h->least ? t : h->least, most = t > h->most ? t : h->most, width = h->width, from = h->from;
	uint32_t old[BINS];

	if (t >= from && t < from + width * BINS)
		return;
	for (;;) {
		from = least - least % width;
		if (most < from + width * BINS)
			break;
		width *= 2;
	}
	memcpy(old, h->bin, sizeof(old));
	memset(h->bin, 0, sizeof(h->bin));
	for (int64_t i = 0; i < BINS; i++)
		if (old[i])
			h->bin[(h->from + h->width * i - from) / width] += old[i];
	h->from = from;
	h->width = width;
}

static void count(struct histogram *h, int64_t t)
{
	if (t <= 0 || t > WINTIME_MAX)
		return;
	if (!h->width) {
		h->width = FIRST_WIDTH;
		h->from = t - t % FIRST_WIDTH;
		h->least = h->most = t;
	}
	widen(h, t);
	h->least = t < h->least ? t : h->least;
	h->most = t > h->most ? t : h->most;
	if (h->bin[(t - h->from) / h->width] < UINT32_MAX)
		h->bin[(t - h->from) / h->width]++;
	h->n++;
}

static void count_buffer(struct histogram *h, const struct etw_session *s, const struct etw_system *sys, const struct etw_buffer *b)
{
	struct etw_record r;
	int64_t t;

	for (uint32_t off = 0; etw_record_peek(b->body, b->body_len, off, &r) == ETW_PEEK_RECORD && r.step; off += r.step)
		if (r.has_ts && etw_session_time(s, sys, r.ts, &t))
			count(h, t);
}

static void row_clear(struct plot_row *r)
{
	free(r->label);
	free(r->href);
	free(r->h);
}

int plot_add(struct plot *p, const struct etw_session *s, const struct etw_system *sys, const char *label, const char *href)
{
	void *arr = p->row;
	struct plot_row r;

	if (p->n == PLOT_ROWS_MAX) {
		p->more++;
		return 0;
	}
	if (arr_reserve(&arr, &p->cap, p->n, sizeof(*p->row)) < 0)
		return ERR_NOMEM;
	p->row = arr;
	r = (struct plot_row){strdup(label), strdup(href), calloc(1, sizeof(*r.h))};
	if (!r.h || !r.label || !r.href) {
		row_clear(&r);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < s->n_buffers; i++)
		if (!s->buffers[i].has_same_as)
			count_buffer(r.h, s, sys, &s->buffers[i]);
	if (r.h->n) {
		p->row[p->n++] = r;
	} else {
		p->silent++;
		row_clear(&r);
	}
	return 0;
}

void plot_free(struct plot *p)
{
	for (size_t i = 0; i < p->n; i++)
		row_clear(&p->row[i]);
	free(p->row);
	memset(p, 0, sizeof(*p));
}

/* ---- the time that is shown --------------------------------------------------------------------------------------------------------------- */

/* Of each row from the 1st to the last 1,000th of its events, so that a stray clock does not squeeze the rest. No event is younger than the
 * image; what is a month older than the last start of Windows is of another time. */
static struct span common_span(const struct plot *p, int64_t boot, int64_t image)
{
	struct span s = {INT64_MAX, INT64_MIN};

	for (size_t r = 0; r < p->n; r++) {
		const struct histogram *g = p->row[r].h;
		uint64_t cut = g->n / 1000, sum = 0;

		for (int64_t i = 0; i < BINS; i++) {
			int64_t from = g->from + g->width * i, to = from + g->width;

			if (!g->bin[i])
				continue;
			sum += g->bin[i];
			if (sum <= cut || (image && from > image) || (boot && to < boot - 30 * DAY))
				continue;
			if (from < s.from)
				s.from = from;
			if (sum - g->bin[i] < g->n - cut && to > s.to)
				s.to = to;
		}
	}
	if (s.from < s.to && image > s.to && (image - s.to) < (s.to - s.from) / 4 + SECOND)
		s.to = image + (image - s.from) / 100;
	if (s.from < s.to && s.to - s.from < SECOND)
		s.to = s.from + SECOND;
	return s;
}

/* ---- drawing -------------------------------------------------------------------------------------------------------------------------------- */

static double place(struct span s, int64_t t)
{
	return LEFT + (double)(t - s.from) / (double)(s.to - s.from) * PLOT_W;
}

static void put_bars(struct buf *b, const uint64_t col[COLUMNS], struct span s, unsigned y)
{
	uint64_t most = 1;

	for (int i = 0; i < COLUMNS; i++)
		most = col[i] > most ? col[i] : most;
	for (int i = 0; i < COLUMNS; i++) {
		unsigned tall = 3 + (unsigned)((double)col[i] / (double)most * (ROW_H - 8));
		char t[WINTIME_STR] = "";

		if (!col[i])
			continue;
		wintime_text(s.from + (int64_t)((double)(s.to - s.from) / COLUMNS * i), t);
		buf_printf(b,
			   "<rect class=\"bar\" x=\"%u\" y=\"%u\" width=\"3.4\" height=\"%u\"><title>%" PRIu64
			   " from %.10s %.10s</title></rect>",
			   LEFT + (unsigned)i * COLUMN_W, y + ROW_H - 2 - tall, tall, col[i], t, t + 11);
	}
}

/* Events of a row by column. Returns how many are in the span. */
static uint64_t columns(const struct histogram *h, struct span s, uint64_t col[COLUMNS])
{
	uint64_t inside = 0;

	memset(col, 0, COLUMNS * sizeof(*col));
	for (int64_t i = 0; i < BINS; i++) {
		int64_t mid = h->from + h->width * i + h->width / 2;
		unsigned c;

		if (!h->bin[i] || mid < s.from || mid >= s.to)
			continue;
		c = (unsigned)((double)(mid - s.from) / (double)(s.to - s.from) * COLUMNS);
		col[c < COLUMNS ? c : COLUMNS - 1] += h->bin[i];
		inside += h->bin[i];
	}
	return inside;
}

/* The smallest handy step that gives at most TICKS_MAX ticks. */
static int64_t tick_step(int64_t length)
{
	static const int64_t seconds[] = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200};

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		if (length / (seconds[i] * SECOND) <= TICKS_MAX)
			return seconds[i] * SECOND;
	for (int64_t days = 1;; days *= 2)
		if (length / (days * DAY) <= TICKS_MAX)
			return days * DAY;
}

/* Lines through all rows and their times; the day stands below the first tick and where it changes. */
static void put_ticks(struct buf *b, struct span s, unsigned bottom)
{
	int64_t step = tick_step(s.to - s.from), first = s.from - s.from % step + (s.from % step ? step : 0);
	char day[11] = "";

	for (int64_t t = first; t < s.to; t += step) {
		char text[WINTIME_STR];
		double x = place(s, t);

		if (!wintime_text(t, text))
			break;
		buf_printf(b,
			   "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%u\"/><text x=\"%.1f\" y=\"%u\" text-anchor=\"middle\">%.*s</text>",
			   x, x, bottom + 4, x, bottom + 16, step < DAY ? 8 : 10, step < DAY ? text + 11 : text);
		if (step < DAY && strncmp(day, text, 10) != 0)
			buf_printf(b, "<text x=\"%.1f\" y=\"%u\" text-anchor=\"middle\">%.10s</text>", x, bottom + 30, text);
		memcpy(day, text, 10);
	}
}

static void put_mark(struct buf *b, struct span s, int64_t t, const char *what, unsigned bottom)
{
	double x = place(s, t);

	if (t >= s.from && t <= s.to)
		buf_printf(b,
			   "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%u\"/><text class=\"marked\" x=\"%.1f\" y=\"%u\" "
			   "text-anchor=\"%s\">%s</text>\n",
			   x, x, bottom + 40, x, bottom + 44, x > LEFT + PLOT_W / 2.0 ? "end" : "start", what);
}

static void put_row(struct buf *b, const struct plot_row *r, const uint64_t col[COLUMNS], uint64_t inside, struct span s, unsigned y)
{
	/* an inner svg clips long names */
	buf_printf(b, "<svg x=\"4\" y=\"%u\" width=\"%u\" height=\"%u\"><a href=\"%s\"><text x=\"0\" y=\"15\">%s</text></a></svg>", y,
		   LEFT - 12, ROW_H, r->href, r->label);
	buf_printf(b, "<g role=\"img\" aria-label=\"%s: %" PRIu64 " events\">", r->label, inside);
	put_bars(b, col, s, y);
	buf_puts(b, "</g>\n");
}

static void put_figure(const struct plot *p, struct buf *b, struct span s, const char *title, int64_t boot, int64_t image)
{
	uint64_t col[COLUMNS], outside = 0;
	unsigned n = 0, y = 0;
	char from[WINTIME_STR], to[WINTIME_STR];

	for (size_t r = 0; r < p->n; r++)
		n += columns(p->row[r].h, s, col) != 0;
	buf_printf(b,
		   "<figure><div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><svg viewBox=\"0 0 %u %u\" role=\"group\" "
		   "aria-label=\"%s\">\n",
		   title, LEFT + PLOT_W + 20, n * ROW_H + 50, title);
	for (unsigned band = 0; band < n; band += 2)
		buf_printf(b, "<rect class=\"band\" x=\"0\" y=\"%u\" width=\"%u\" height=\"%u\"/>", band * ROW_H, LEFT + PLOT_W + 20,
			   ROW_H);
	put_ticks(b, s, n * ROW_H);
	for (size_t r = 0; r < p->n; r++) {
		uint64_t inside = columns(p->row[r].h, s, col);

		outside += p->row[r].h->n - inside;
		if (!inside)
			continue;
		put_row(b, &p->row[r], col, inside, s, y);
		y += ROW_H;
	}
	put_mark(b, s, boot, "start of Windows", y);
	put_mark(b, s, image, "image taken", y);
	buf_printf(b, "<line x1=\"%u\" x2=\"%u\" y1=\"%u\" y2=\"%u\"/></svg></div>\n", LEFT, LEFT + PLOT_W, y, y);
	if (wintime_text(s.from, from) && wintime_text(s.to, to))
		buf_printf(b, "<figcaption>%s, %.10s %.8s to %.10s %.8s UTC. Each row is scaled by its own busiest moment.", title, from,
			   from + 11, to, to + 11);
	if (outside)
		buf_printf(b, " %" PRIu64 " events lie before or after.", outside);
	buf_puts(b, "</figcaption></figure>\n");
}

void plot_put(const struct plot *p, struct buf *b, int64_t boot, int64_t image)
{
	struct span s = common_span(p, boot, image), hour;
	uint64_t col[COLUMNS];
	bool some = false;

	if (s.from >= s.to) {
		buf_puts(b, "<p>No event has a time that is known.</p>\n");
		return;
	}
	hour = (struct span){s.to - HOUR, s.to};
	put_figure(p, b, s, "Events of each session over time", boot, image);
	for (size_t r = 0; r < p->n && s.to - s.from > 3 * HOUR && !some; r++)
		some = columns(p->row[r].h, hour, col) != 0;
	if (some)
		put_figure(p, b, hour, "The last hour", boot, image);
	if (p->silent)
		buf_printf(b, "<p>Not drawn: %zu without an event whose time is known.</p>\n", p->silent);
	if (p->more)
		buf_printf(b, "<p>Not drawn: %zu more.</p>\n", p->more);
}
