/* src/report: the timeline counts every event once, wherever it lies in time; text from evidence comes out harmless. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etw.h"
#include "htmlplot.h"
#include "htmltext.h"
#include "mkrec.h"
#include "wintime.h"

#define HOUR INT64_C(36000000000)

static const struct etw_system sys = {.pointer_size = 8};

static int64_t at(const char *s)
{
	int64_t t = 0;

	cr_assert(wintime_parse(s, &t), "%s", s);
	return t;
}

static void add(struct plot *p, const int64_t *t, size_t n, const char *label)
{
	struct etw_session s = {.clock = ETW_CLOCK_SYSTEM_TIME};
	struct etw_buffer b = {0};
	struct buf body;

	buf_init(&body);
	for (size_t i = 0; i < n; i++)
		mkrec_event(&body, (uint64_t)t[i], 1, 8, 0x41);
	b.body = body.p;
	b.body_len = (uint32_t)body.n;
	s.buffers = &b;
	s.n_buffers = 1;
	cr_assert_eq(plot_add(p, &s, &sys, label, "#s1"), 0);
	buf_free(&body);
}

/* Sum of the bars' counts in [from, to). */
static unsigned long sum(const char *from, const char *to)
{
	unsigned long n = 0;

	for (const char *p = from; (p = strstr(p, "<title>")) && (!to || p < to); p++)
		n += strtoul(p + 7, NULL, 10);
	return n;
}

static const char *draw(const struct plot *p, struct buf *b, int64_t boot, int64_t image)
{
	buf_clear(b);
	plot_put(p, b, boot, image);
	return buf_str(b);
}

/* Days apart, in an order that makes the histogram grow both ways; the last hour has a picture of its own. */
Test(plot, days_and_the_last_hour)
{
	int64_t end = at("2024-05-12T15:00:00"), t[500];
	struct plot p = {0};
	struct buf b;
	const char *page, *hour;

	for (int i = 0; i < 500; i++)
		t[i] = end - (i * 37 % 500) * HOUR / 7;
	buf_init(&b);
	add(&p, t, 500, "long");
	add(&p, t, 0, "silent");
	page = draw(&p, &b, 0, end + 1);
	hour = strstr(page, "The last hour");
	cr_assert(hour);
	cr_expect_eq(sum(page, hour), 500, "%lu", sum(page, hour));
	cr_expect_geq(sum(hour, NULL), 7);
	cr_expect_leq(sum(hour, NULL), 9);
	cr_expect(strstr(page, "2024-05-10"));
	cr_expect(strstr(page, "image taken"));
	cr_expect(strstr(page, "Not drawn: 1 without"));
	plot_free(&p);
	buf_free(&b);
}

/* Times of another century, or after the image, do not squeeze the rest, and are counted. */
Test(plot, wrong_clocks)
{
	int64_t end = at("2024-05-12T15:00:00"), t[100], wrong[] = {1, WINTIME_MAX, 5000};
	struct plot p = {0};
	struct buf b;
	const char *page;

	for (int i = 0; i < 100; i++)
		t[i] = end - i * HOUR / 100;
	buf_init(&b);
	add(&p, t, 100, "right");
	add(&p, wrong, 3, "wrong");
	page = draw(&p, &b, end - 2 * HOUR, end + 1);
	cr_expect(strstr(page, "2024-05-12 14:"));
	cr_expect(strstr(page, " 3 events lie before or after"));
	cr_expect_eq(sum(page, NULL), 100, "%lu", sum(page, NULL));
	cr_expect_null(strstr(page, "1601"));
	/* nothing known of the machine: all of it is drawn */
	page = draw(&p, &b, 0, 0);
	cr_expect_eq(sum(page, strstr(page, "The last hour")), 103, "%lu", sum(page, NULL));
	plot_free(&p);
	/* no time that is one */
	wrong[0] = 0;
	add(&p, wrong, 1, "none");
	cr_expect(strstr(draw(&p, &b, 0, 0), "No event has a time"));
	plot_free(&p);
	buf_free(&b);
}

Test(plot, rows_are_bounded)
{
	int64_t t = at("2024-05-12T15:00:00");
	struct plot p = {0};
	struct buf b;

	buf_init(&b);
	for (int i = 0; i < PLOT_ROWS_MAX + 5; i++)
		add(&p, &t, 1, "one");
	cr_expect_eq(p.n, (size_t)PLOT_ROWS_MAX);
	cr_expect(strstr(draw(&p, &b, 0, 0), "Not drawn: 5 more"));
	plot_free(&p);
	buf_free(&b);
}

Test(htmltext, escapes)
{
	static const char *const rows[][2] = {
		{"<script>&\"'", "&#60;script&#62;&#38;&#34;&#39;"},
		{"a\x1b[31m\x7f", "a&#xfffd;[31m&#xfffd;"},
		{"\xe2\x80\xae"
		 "gpj.exe",
		 "&#xfffd;gpj.exe"},
		{"\xff\xc3", "&#xfffd;&#xfffd;"},
		{"\xed\xa0\x80", "&#xfffd;&#xfffd;&#xfffd;"},
		{"\xc0\xbc\xf0\x80\x80\xbc", "&#xfffd;&#xfffd;&#xfffd;&#xfffd;&#xfffd;&#xfffd;"},
		{"\xc2\xad\xe3\x85\xa4\xef\xbf\xbf", "&#xfffd;&#xfffd;&#xfffd;"},
		{"\xc3\xa4\xe6\x97\xa5\xf0\x9f\x98\x80", "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x98\x80"},
	};
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		html_esc(&b, rows[i][0]);
		cr_expect_str_eq(buf_str(&b), rows[i][1]);
	}
	buf_clear(&b);
	html_evidence(&b, "  ", "(empty)");
	html_evidence(&b, "a<", "");
	cr_expect_str_eq(buf_str(&b), "(empty)<bdi>a&#60;</bdi>");
	buf_free(&b);
}
