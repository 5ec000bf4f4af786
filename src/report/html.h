/* html.h - report.html: what report.json says, for people. One page that wants nothing else: no script, no network, style inside; readable on paper, in the
 * dark, by keyboard. Text from memory is escaped everywhere. Same input, same bytes.
 *
 * Use: html_new, html_session / html_orphan for each in the report's order, html_write once. Only text and a histogram of each session are kept. */
#ifndef ETLIFT_HTML_H
#define ETLIFT_HTML_H

#include "report.h"

struct html;

int html_new(struct html **out, struct err *e);
void html_free(struct html *h); /* takes NULL */

/* 0 or ERR_NOMEM. */
int html_session(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		 const struct report_etl *residual);
int html_orphan(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_orphan *o,
		const struct report_etl *etl, const struct report_etl *residual);

/* The whole page. kernel NULL: none was recognised. carve NULL: memory was not carved. 0 or ERR_NOMEM. */
int html_write(struct html *h, struct buf *out, const struct report_image *image, const struct report_kernel *kernel,
	       const struct report_carve *carve, const struct notes *notes);

#endif
