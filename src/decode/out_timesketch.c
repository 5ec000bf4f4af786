/* out_timesketch.c - JSON lines as Timesketch imports them: message, datetime, timestamp (microseconds), timestamp_desc, and flat fields. Its importer
 * wants a time in every line, so events without one are left out (the caller counts them). */
#include <stdio.h>
#include <string.h>

#include "evsink.h"
#include "jsonl.h"
#include "wintime.h"

#define DEPTH 32

static void member(struct buf *out, const char *key)
{
	buf_u8(out, ',');
	jsonl_string(out, key, strlen(key));
	buf_u8(out, ':');
}

static void text_member(struct buf *out, const char *key, const char *s)
{
	if (!s)
		return;
	member(out, key);
	jsonl_string(out, s, strlen(s));
}

static void number_member(struct buf *out, const char *key, bool has, uint64_t v)
{
	if (!has)
		return;
	member(out, key);
	buf_printf(out, "%llu", (unsigned long long)v);
}

/* A name that our own keys can't collide with: fields are data_NAME, nested ones data_OUTER_INNER. Arrays stay JSON. */
static void put_fields(struct buf *out, const struct dval *st, const char *prefix, unsigned depth)
{
	for (uint32_t i = 0; i < st->n; i++) {
		const struct dfield *f = &st->fields[i];
		struct buf key;

		buf_init(&key);
		buf_printf(&key, "%s_%s", prefix, f->name);
		if (f->v.type == DV_STRUCT && depth < DEPTH) {
			put_fields(out, &f->v, buf_str(&key), depth + 1);
		} else {
			member(out, buf_str(&key));
			json_value(out, &f->v);
		}
		buf_free(&key);
	}
}

/* "Provider/Event: Field=value, ...": what an analyst reads in the list. */
static void put_message(struct buf *out, const struct event *ev)
{
	char g[GUID_STR];
	struct buf m;

	buf_init(&m);
	if (ev->provider_name) {
		buf_puts(&m, ev->provider_name);
	} else if (ev->has_provider) {
		guid_text(&ev->provider, g);
		buf_puts(&m, g);
	} else {
		buf_puts(&m, event_kind_name(ev->kind));
	}
	if (ev->name)
		buf_printf(&m, "/%s", ev->name);
	else if (ev->has_id)
		buf_printf(&m, "/%u", ev->id);
	for (uint32_t i = 0; ev->data.type == DV_STRUCT && i < ev->data.n; i++) {
		const struct dfield *f = &ev->data.fields[i];

		buf_printf(&m, "%s%s=", i ? ", " : ": ", f->name);
		if (f->v.type == DV_TEXT)
			buf_put(&m, f->v.text, f->v.n);
		else
			json_value(&m, &f->v);
	}
	if (ev->data.type != DV_STRUCT)
		buf_printf(&m, " (%s)", ev->reason ? ev->reason : "no schema");
	jsonl_string(out, (const char *)m.p, m.n);
	out->failed |= m.failed;
	buf_free(&m);
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	char t[WINTIME_STR], g[GUID_STR];
	int64_t us;

	(void)state;
	if (!ev->has_time || !wintime_text(ev->time, t))
		return 0;
	us = (ev->time - WINTIME_UNIX_EPOCH) / 10 - ((ev->time - WINTIME_UNIX_EPOCH) % 10 < 0);
	buf_puts(out, "{\"message\":");
	put_message(out, ev);
	buf_printf(out, ",\"datetime\":\"%.26s+00:00\",\"timestamp\":%lld,\"timestamp_desc\":\"Event Logged\"", t, (long long)us);
	text_member(out, "session", ev->origin->session->name);
	text_member(out, "kind", event_kind_name(ev->kind));
	if (ev->has_provider) {
		guid_text(&ev->provider, g);
		text_member(out, "provider_guid", g);
	}
	text_member(out, "provider", ev->provider_name);
	number_member(out, "event_id", ev->has_id, ev->id);
	text_member(out, "event_name", ev->name);
	number_member(out, "level", ev->has_level, ev->level);
	number_member(out, "pid", ev->has_pid, ev->pid);
	number_member(out, "tid", ev->has_pid, ev->tid);
	number_member(out, "cpu", ev->has_cpu, ev->cpu);
	if (ev->has_activity) {
		guid_text(&ev->activity, g);
		text_member(out, "activity", g);
	}
	if (ev->data.type == DV_STRUCT)
		put_fields(out, &ev->data, "data", 0);
	if (raw || ev->data.type != DV_STRUCT) {
		buf_puts(out, ",\"payload\":\"");
		for (uint32_t i = 0; i < ev->payload.n; i++)
			buf_printf(out, "%02x", ev->payload.p[i]);
		buf_u8(out, '"');
	}
	text_member(out, "process_name", ev->process_name);
	text_member(out, "file_name", ev->file_name);
	text_member(out, "source_file", ev->origin->file);
	if (ev->has_buffer) {
		member(out, "source_buffer");
		buf_printf(out, "\"0x%llx\"", (unsigned long long)ev->buffer);
	}
	number_member(out, "source_offset", true, ev->offset);
	buf_puts(out, "}\n");
	return 1;
}

const struct evsink evsink_timesketch = {.name = "timesketch", .unfit = "without a time", .event = event};
