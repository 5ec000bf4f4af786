/* htmltext.h - small pieces of report.html: text from evidence made harmless, times, facts. Private to the page (html.c, htmlplot.c). */
#ifndef ETLIFT_HTMLTEXT_H
#define ETLIFT_HTMLTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* The page's style sheet (htmlstyle.c). */
extern const char html_style[];

/* Escaped text, for elements and for quoted attributes. Markup becomes references; what has no shape of its own (control, bidi, invisible and
 * format characters, noncharacters, broken UTF-8) becomes U+FFFD. NULL gives nothing. */
void html_esc(struct buf *b, const char *text);
/* The same for text from evidence: isolated, so that a name written from right to left turns nothing around it. NULL or blank: `none`. */
void html_evidence(struct buf *b, const char *text, const char *none);

/* <time>, UTC to the second, or to the millisecond; "unknown" when t is 0 or no date. */
void html_time(struct buf *b, int64_t t);
void html_time_ms(struct buf *b, int64_t t);

/* One <dt>/<dd> pair; html_fact_open leaves the value to the caller, html_fact_close ends it. `broad` takes a line of its own. */
void html_fact_open(struct buf *b, const char *name, bool broad);
void html_fact_close(struct buf *b);
void html_fact(struct buf *b, const char *name, const char *text); /* text of our own or of evidence */
void html_fact_time(struct buf *b, const char *name, int64_t t);
void html_fact_number(struct buf *b, const char *name, bool has, uint64_t v, const char *unit);

/* A box that scrolls sideways by itself, also by keyboard; then <table>, <caption> and a head row. Titles end with NULL; one that begins with
 * '>' is of numbers. The caller writes the rows. */
void html_table_open(struct buf *b, const char *caption, const char *const *titles);
void html_table_close(struct buf *b);
void html_cell_number(struct buf *b, bool has, uint64_t v);
void html_cell_hex(struct buf *b, bool has, uint64_t v);

#endif
