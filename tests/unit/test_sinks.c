/* src/decode/out_evtx.c: limits of the format, which real events seldom meet. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evsink.h"
#include "rd.h"

static struct etw_session session;
static struct etw_system sys = {.pointer_size = 8};
static const struct event_origin origin = {.file = "f", .session = &session, .sys = &sys};
static uint8_t payload[65500];

struct log {
	const struct evsink *sink;
	void *state;
	struct buf out;
};

static void log_open(struct log *l)
{
	memset(l, 0, sizeof(*l));
	l->sink = evsink_find("evtx");
	cr_assert_eq(l->sink->open(&l->state, NULL), 0);
	l->sink->begin(l->state, &l->out);
}

/* Ends the file; the count of records by walking the chunks. */
static unsigned log_end(struct log *l)
{
	unsigned records = 0;
	struct buf head;

	buf_init(&head);
	l->sink->end(l->state, &l->out);
	l->sink->head(l->state, &head);
	cr_assert_eq(head.n, 4096);
	cr_assert_eq(l->out.n, 4096 + 65536u * le16(head.p + 42));
	for (size_t chunk = 4096; chunk < l->out.n; chunk += 65536) {
		const uint8_t *p = l->out.p + chunk;

		for (uint32_t at = 512; at < le32(p + 48); at += le32(p + at + 4)) {
			cr_assert_eq(le32(p + at), 0x2a2a);
			cr_assert_eq(le64(p + at + 8), ++records);
			cr_assert_geq(le32(p + at + 4), 28);
			cr_assert_eq(le32(p + at + le32(p + at + 4) - 4), le32(p + at + 4));
		}
	}
	cr_assert_eq(le64(head.p + 24), records + 1);
	l->sink->close(l->state);
	buf_free(&l->out);
	buf_free(&head);
	return records;
}

static struct event with_payload(uint32_t n)
{
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.origin = &origin;
	ev.payload = (struct event_bytes){payload, n};
	return ev;
}

static int put(struct log *l, const struct event *ev)
{
	return l->sink->event(l->state, &l->out, ev, false);
}

/* Every size of payload up to what a chunk holds; what it does not hold leaves no trace. */
Test(sinks, evtx_sizes)
{
	struct log l;
	unsigned written = 0;

	log_open(&l);
	for (uint32_t n = 0; n <= sizeof(payload); n += n < 61000 ? 1009 : 1) {
		struct event ev = with_payload(n);
		int rc = put(&l, &ev);

		cr_assert(rc == 1 || (rc == 0 && n > 60000), "%u", n);
		written += rc == 1;
	}
	cr_assert_gt(written, 100);
	cr_assert_lt(written, 4560);
	cr_assert_eq(log_end(&l), written);
}

/* Fields beyond a chunk, or more of them than a template may have: the payload stands for them. */
Test(sinks, evtx_fields_that_do_not_fit)
{
	static struct dfield many[5000];
	static char text[70000];
	struct dfield one = {"long", {.type = DV_TEXT, .n = sizeof(text)}};
	struct event ev = with_payload(3);
	struct log l;

	memset(text, 'x', sizeof(text));
	one.v.text = text;
	for (size_t i = 0; i < 5000; i++)
		many[i] = (struct dfield){"f", {.type = DV_UINT, .u = i}};
	log_open(&l);
	ev.data = (struct dval){.type = DV_STRUCT, .n = 1, .fields = &one};
	cr_assert_eq(put(&l, &ev), 1);
	one.v.n = 20000;
	cr_assert_eq(put(&l, &ev), 1);
	one.v.n = 32767; /* its bytes just fit 16 bits, not a chunk with the rest */
	cr_assert_eq(put(&l, &ev), 1);
	ev.data = (struct dval){.type = DV_STRUCT, .n = 5000, .fields = many};
	cr_assert_eq(put(&l, &ev), 1);
	ev.data = (struct dval){.type = DV_STRUCT, .n = 0};
	cr_assert_eq(put(&l, &ev), 1);
	cr_assert_eq(log_end(&l), 5);
}

/* A template for every event: more than a chunk may have, and each kept apart from the next. */
Test(sinks, evtx_many_templates)
{
	struct event ev = with_payload(0);
	struct dfield f;
	char name[20];
	struct log l;

	log_open(&l);
	f.name = name;
	f.v = (struct dval){.type = DV_NULL};
	ev.data = (struct dval){.type = DV_STRUCT, .n = 1, .fields = &f};
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i % 1500);
		cr_assert_eq(put(&l, &ev), 1);
	}
	cr_assert_eq(log_end(&l), 3000);
}
