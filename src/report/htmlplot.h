/* htmlplot.h - the timeline of report.html: one row of bars for each session, events counted by time, as SVG without script.
 *
 * Of a session only a histogram is kept. Rows beyond PLOT_ROWS_MAX are counted, not drawn. */
#ifndef ETLIFT_HTMLPLOT_H
#define ETLIFT_HTMLPLOT_H

#include "buf.h"
#include "etw.h"

#define PLOT_ROWS_MAX 400

struct plot_row;

struct plot { /* zeroed: empty */
	struct plot_row *row;
	size_t n, cap;
	size_t silent, more; /* sessions without an event whose time is known; rows over the limit */
};

/* Counts the events of a session. label, href: escaped text, copied. 0 or ERR_NOMEM. */
int plot_add(struct plot *p, const struct etw_session *s, const struct etw_system *sys, const char *label, const char *href);

/* The whole picture, and the last hour apart when the whole is much longer. boot, image: FILETIME, 0 unknown. */
void plot_put(const struct plot *p, struct buf *b, int64_t boot, int64_t image);

void plot_free(struct plot *p);

#endif
