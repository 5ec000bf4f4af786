/* out_csv.c - RFC 4180: a fixed set of columns, the decoded fields as one JSON text. A field that a spreadsheet would take for a formula gets a quote in
 * front: names come from evidence. */
#include <string.h>

#include "evsink.h"
#include "jsonl.h"
#include "wintime.h"

static void begin(void *state, struct buf *out)
{
	(void)state;
	buf_puts(out, "time,session,kind,provider_guid,provider,event_id,version,channel,level,opcode,task,keywords,event,pid,tid,cpu,"
		      "activity,related,"
		      "data,reason,payload,file,buffer,offset,pa,process_name,file_name,ticks\r\n");
}

static void text(struct buf *out, const char *s, size_t n)
{
	buf_u8(out, '"');
	if (n && strchr("=+-@\t\r", s[0]) && s[0])
		buf_u8(out, '\'');
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i], next = i + 1 < n ? (uint8_t)s[i + 1] : 0;
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		if (c < 0x20 || c == 0x7f || c1) { /* what could steer a terminal */
			buf_puts(out, "\xef\xbf\xbd");
			i += c1;
			continue;
		}
		if (c == '"')
			buf_u8(out, '"');
		buf_u8(out, c);
	}
	buf_puts(out, "\",");
}

static void field(struct buf *out, const char *s)
{
	if (s)
		text(out, s, strlen(s));
	else
		buf_u8(out, ',');
}

static void number(struct buf *out, bool has, uint64_t v)
{
	if (has)
		buf_printf(out, "%llu", (unsigned long long)v);
	buf_u8(out, ',');
}

static void hex(struct buf *out, bool has, uint64_t v)
{
	if (has)
		buf_printf(out, "0x%llx", (unsigned long long)v);
	buf_u8(out, ',');
}

static void guid(struct buf *out, bool has, const struct guid *g)
{
	char s[GUID_STR];

	if (has) {
		guid_text(g, s);
		buf_puts(out, s);
	}
	buf_u8(out, ',');
}

static void descriptor(struct buf *out, const struct event *ev)
{
	guid(out, ev->has_provider, &ev->provider);
	field(out, ev->provider_name);
	number(out, ev->has_id, ev->id);
	number(out, ev->has_version, ev->version);
	number(out, ev->has_channel, ev->channel);
	number(out, ev->has_level, ev->level);
	number(out, ev->has_opcode, ev->opcode);
	number(out, ev->has_task, ev->task);
	hex(out, ev->has_keywords, ev->keywords);
	field(out, ev->name);
	number(out, ev->has_pid, ev->pid);
	number(out, ev->has_pid, ev->tid);
	number(out, ev->has_cpu, ev->cpu);
	guid(out, ev->has_activity, &ev->activity);
	guid(out, ev->has_related, &ev->related);
}

static void data(struct buf *out, const struct event *ev, bool raw)
{
	struct buf b;

	if (ev->data.type == DV_NULL) {
		buf_u8(out, ',');
		field(out, ev->reason ? ev->reason : "no schema");
	} else {
		buf_init(&b);
		json_value(&b, &ev->data);
		text(out, (const char *)b.p, b.n);
		out->failed |= b.failed;
		buf_free(&b);
		buf_u8(out, ',');
	}
	if (raw || ev->data.type == DV_NULL)
		for (uint32_t i = 0; i < ev->payload.n; i++)
			buf_printf(out, "%02x", ev->payload.p[i]);
	buf_u8(out, ',');
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	char t[WINTIME_STR];

	(void)state;
	if (ev->has_time && wintime_text(ev->time, t))
		buf_puts(out, t);
	buf_u8(out, ',');
	field(out, ev->origin->session->name);
	field(out, event_kind_name(ev->kind));
	descriptor(out, ev);
	data(out, ev, raw);
	field(out, ev->origin->file);
	hex(out, ev->has_buffer, ev->buffer);
	number(out, true, ev->offset);
	hex(out, ev->has_pa, ev->pa);
	field(out, ev->process_name);
	field(out, ev->file_name);
	number(out, !ev->has_time && ev->has_ts, ev->ts);
	out->n -= out->n > 0; /* no comma behind the last */
	buf_puts(out, "\r\n");
	return 1;
}

const struct evsink evsink_csv = {.name = "csv", .begin = begin, .event = event};
