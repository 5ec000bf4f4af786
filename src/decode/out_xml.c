/* out_xml.c - events in Windows' own Event XML (schema http://schemas.microsoft.com/win/2004/08/events/event, [MS-EVEN6] and the Windows SDK's event.xsd).
 * An event without a definition keeps its payload in ProcessingErrorData, as Windows writes it. */
#include <string.h>

#include "evsink.h"
#include "jsonl.h"
#include "wintime.h"

#define NAMESPACE     "http://schemas.microsoft.com/win/2004/08/events/event"
#define NO_DEFINITION 15003u /* ERROR_EVT_INVALID_EVENT_DATA */
#define DEPTH         32

static void begin(void *state, struct buf *out)
{
	(void)state;
	buf_puts(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Events xmlns=\"" NAMESPACE "\">\n");
}

static void end(void *state, struct buf *out)
{
	(void)state;
	buf_puts(out, "</Events>\n");
}

/* Length of the well-formed UTF-8 character at s that XML 1.0 allows; 0: none. */
static size_t character(const uint8_t *s, size_t n)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	uint32_t c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (len == 1)
		return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
	if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c < 0xe000) || c == 0xfffe ||
	    c == 0xffff)
		return 0;
	return len;
}

/* What XML can't hold becomes U+FFFD. */
static void escaped(struct buf *out, const char *text, size_t n)
{
	const uint8_t *s = (const uint8_t *)text;

	for (size_t i = 0; i < n;) {
		size_t len = character(s + i, n - i);

		if (len == 1 && s[i] == '&')
			buf_puts(out, "&amp;");
		else if (len == 1 && s[i] == '<')
			buf_puts(out, "&lt;");
		else if (len == 1 && s[i] == '>')
			buf_puts(out, "&gt;");
		else if (len == 1 && s[i] == '"')
			buf_puts(out, "&quot;");
		else if (len == 1 && (s[i] < 0x20 || s[i] == 0x7f))
			buf_printf(out, "&#%u;", s[i]);
		else if (len == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0)
			buf_printf(out, "&#%u;", s[i + 1]);
		else if (len)
			buf_put(out, s + i, len);
		else
			buf_puts(out, "\xef\xbf\xbd");
		i += len ? len : 1;
	}
}

static void attribute(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, " %s=\"", name);
	escaped(out, text, strlen(text));
	buf_u8(out, '"');
}

static void guid_attribute(struct buf *out, const char *name, const struct guid *g)
{
	char s[GUID_STR];

	guid_text(g, s);
	buf_printf(out, " %s=\"{%s}\"", name, s);
}

static void element(struct buf *out, const char *name, bool has, uint64_t v)
{
	if (has)
		buf_printf(out, "<%s>%llu</%s>", name, (unsigned long long)v, name);
}

static void put_system(struct buf *out, const struct event *ev)
{
	char t[WINTIME_STR];

	buf_puts(out, "<System><Provider");
	if (ev->provider_name)
		attribute(out, "Name", ev->provider_name);
	if (ev->has_provider)
		guid_attribute(out, "Guid", &ev->provider);
	buf_puts(out, "/>");
	buf_printf(out, "<EventID>%u</EventID>", ev->has_id ? ev->id & 0xffff : 0);
	element(out, "Version", ev->has_version, ev->version);
	element(out, "Level", ev->has_level, ev->level);
	element(out, "Task", ev->has_task, ev->task);
	element(out, "Opcode", ev->has_opcode, ev->opcode);
	if (ev->has_keywords)
		buf_printf(out, "<Keywords>0x%llx</Keywords>", (unsigned long long)ev->keywords);
	if (ev->has_time && wintime_text(ev->time, t))
		buf_printf(out, "<TimeCreated SystemTime=\"%s\"/>", t);
	else if (!ev->has_time && ev->has_ts)
		buf_printf(out, "<TimeCreated RawTime=\"%llu\"/>", (unsigned long long)ev->ts);
	if (ev->has_activity || ev->has_related) {
		buf_puts(out, "<Correlation");
		if (ev->has_activity)
			guid_attribute(out, "ActivityID", &ev->activity);
		if (ev->has_related)
			guid_attribute(out, "RelatedActivityID", &ev->related);
		buf_puts(out, "/>");
	}
	if (ev->has_pid) {
		buf_printf(out, "<Execution ProcessID=\"%u\" ThreadID=\"%u\"", ev->pid, ev->tid);
		if (ev->has_cpu)
			buf_printf(out, " ProcessorID=\"%u\"", ev->cpu);
		buf_puts(out, "/>");
	}
	element(out, "Channel", ev->has_channel, ev->channel);
	buf_puts(out, "<Computer/></System>");
}

static void value(struct buf *out, const struct dval *v)
{
	struct buf b;

	if (v->type == DV_TEXT) {
		escaped(out, v->text, v->n);
		return;
	}
	buf_init(&b);
	json_value(&b, v);
	if (b.n >= 2 && b.p[0] == '"')
		escaped(out, (const char *)b.p + 1, b.n - 2);
	else
		escaped(out, (const char *)b.p, b.n);
	out->failed |= b.failed;
	buf_free(&b);
}

/* Fields of nested structures follow each other as Outer.Inner: EventData is flat. */
static void put_data(struct buf *out, const struct dval *st, const char *prefix, unsigned depth)
{
	for (uint32_t i = 0; i < st->n; i++) {
		const struct dfield *f = &st->fields[i];

		if (f->v.type == DV_STRUCT && depth < DEPTH) {
			struct buf name;

			buf_init(&name);
			buf_printf(&name, "%s%s.", prefix, f->name);
			put_data(out, &f->v, buf_str(&name), depth + 1);
			buf_free(&name);
			continue;
		}
		buf_puts(out, "<Data Name=\"");
		escaped(out, prefix, strlen(prefix));
		escaped(out, f->name, strlen(f->name));
		buf_puts(out, "\">");
		value(out, &f->v);
		buf_puts(out, "</Data>");
	}
}

static void put_payload(struct buf *out, const struct event *ev)
{
	for (uint32_t i = 0; i < ev->payload.n; i++)
		buf_printf(out, "%02X", ev->payload.p[i]);
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	(void)state;
	(void)raw;
	buf_puts(out, "<Event xmlns=\"" NAMESPACE "\">");
	put_system(out, ev);
	if (ev->data.type == DV_STRUCT) {
		buf_puts(out, "<EventData");
		if (ev->name)
			attribute(out, "Name", ev->name);
		buf_puts(out, ">");
		put_data(out, &ev->data, "", 0);
		buf_puts(out, "</EventData>");
	} else {
		buf_printf(out, "<ProcessingErrorData><ErrorCode>%u</ErrorCode><DataItemName>", NO_DEFINITION);
		escaped(out, ev->reason ? ev->reason : "no schema", strlen(ev->reason ? ev->reason : "no schema"));
		buf_puts(out, "</DataItemName><EventPayload>");
		put_payload(out, ev);
		buf_puts(out, "</EventPayload></ProcessingErrorData>");
	}
	buf_puts(out, "</Event>\n");
	return 1;
}

const struct evsink evsink_xml = {.name = "xml", .begin = begin, .event = event, .end = end};
