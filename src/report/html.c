/* html.c - see html.h */
#include "html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "evhdr.h"
#include "wintime.h"

#define BINS        256  /* of a session's own histogram */
#define COLUMNS     120  /* of the picture */
#define ROWS_MAX    400  /* sessions in the picture */
#define LOSSES_MAX  2000 /* listed; report.json has all */
#define MEMBERS_MAX 200  /* consumers or providers listed of a session */
#define SECOND      INT64_C(10000000)

/* Counts of events by time; a bin is `width` long (a power of two of 100 ns) and begins at a multiple of it. */
struct histogram {
	int64_t from, width; /* of bin 0; width 0: empty */
	uint64_t bin[BINS];
	uint64_t n;
};

struct row {         /* of the picture */
	char *label; /* owned, escaped */
	struct histogram h;
};

struct html {
	struct buf sessions, orphans;
	struct row *row;
	size_t n_rows, cap_rows;
	uint64_t n_sessions, n_orphans, events, files, residual_events, orphan_events, buffers;
};

/* ---- text ---------------------------------------------------------------------------------------------------------------------------------- */

/* Markup, control, bidi and invisible format characters become references or U+FFFD; broken UTF-8 becomes U+FFFD. */
static void esc(struct buf *b, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;

	while (s && *s) {
		size_t len = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
		uint32_t c = len == 1 ? *s : len ? *s & (0xffu >> (len + 1)) : 0;

		for (size_t i = 1; i < len; i++) {
			if ((s[i] & 0xc0) != 0x80) {
				len = 0;
				break;
			}
			c = c << 6 | (s[i] & 0x3fu);
		}
		if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
			buf_printf(b, "&#%u;", c);
		else if (!len || c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
			 (c >= 0x2060 && c <= 0x206f) || c == 0x61c || c == 0xfeff || (c >= 0xd800 && c < 0xe000) ||
			 (len == 3 && c < 0x800) || (c >= 0xe0000 && c < 0xe1000) || c > 0x10ffff)
			buf_puts(b, "&#xfffd;");
		else
			buf_put(b, s, len);
		s += len ? len : 1;
	}
}

static void time_text(struct buf *b, int64_t t)
{
	char s[WINTIME_STR];

	if (t > 0 && wintime_text(t, s))
		buf_printf(b, "<time datetime=\"%s\">%.10s %.8s</time>", s, s, s + 11);
	else
		buf_puts(b, "unknown");
}

static void fact(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	esc(b, text);
	buf_puts(b, "</td></tr>\n");
}

static void fact_time(struct buf *b, const char *name, int64_t t)
{
	buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	time_text(b, t);
	buf_puts(b, "</td></tr>\n");
}

static void fact_number(struct buf *b, const char *name, bool has, uint64_t v, const char *unit)
{
	buf_printf(b, "<tr><th scope=\"row\">%s</th><td>", name);
	if (has)
		buf_printf(b, "%" PRIu64 "%s", v, unit);
	else
		buf_puts(b, "unknown");
	buf_puts(b, "</td></tr>\n");
}

/* ---- counting ------------------------------------------------------------------------------------------------------------------------------ */

/* Floor, also of negative times. */
static int64_t floor_to(int64_t t, int64_t width)
{
	int64_t r = t % width;

	return t - (r < 0 ? r + width : r);
}

/* Bins twice as wide, until t fits in. */
static void widen(struct histogram *h, int64_t t)
{
	while (t < h->from || t >= h->from + h->width * BINS) {
		int64_t width = h->width * 2, from = floor_to(t < h->from ? t : h->from, width);
		uint64_t old[BINS];

		memcpy(old, h->bin, sizeof(old));
		memset(h->bin, 0, sizeof(h->bin));
		for (int i = 0; i < BINS; i++) {
			int64_t at = (h->from + h->width * i - from) / width;

			if (old[i])
				h->bin[at < 0 ? 0 : at >= BINS ? BINS - 1 : at] += old[i];
		}
		h->from = from;
		h->width = width;
	}
}

static void count(struct histogram *h, int64_t t)
{
	if (t <= 0 || t > WINTIME_MAX)
		return;
	if (!h->width) {
		h->width = 1 << 20; /* 0.1 s */
		h->from = floor_to(t, h->width);
	}
	widen(h, t);
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

static int add_row(struct html *h, const struct etw_session *s, const struct etw_system *sys, const char *what)
{
	void *arr = h->row;
	struct row *r;
	struct buf b;

	if (arr_reserve(&arr, &h->cap_rows, h->n_rows, sizeof(*h->row)) < 0)
		return ERR_NOMEM;
	h->row = arr;
	r = &h->row[h->n_rows];
	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < s->n_buffers; i++)
		if (!s->buffers[i].has_same_as)
			count_buffer(&r->h, s, sys, &s->buffers[i]);
	buf_init(&b);
	if (what)
		buf_printf(&b, "%s ", what);
	else
		buf_printf(&b, "%02u ", s->id);
	esc(&b, s->name ? s->name : what ? "" : "(name unreadable)");
	r->label = b.failed ? NULL : strdup(buf_str(&b));
	buf_free(&b);
	if (!r->label)
		return ERR_NOMEM;
	h->n_rows++;
	return 0;
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------------------ */

static void put_file(struct buf *b, const char *what, const struct report_etl *f)
{
	if (!f || !f->path)
		return;
	buf_printf(b, "<p>%s: <a href=\"", what);
	esc(b, f->path);
	buf_puts(b, "\">");
	esc(b, f->path);
	buf_printf(b, "</a>, %" PRIu64 " events in %u buffers, %" PRIu64 " bytes<br><span class=\"mono\">SHA-256 ", f->events, f->buffers,
		   f->bytes);
	esc(b, f->sha256);
	buf_puts(b, "</span></p>\n");
}

static void put_consumers(struct buf *b, const struct etw_session *s)
{
	if (!s->n_consumers)
		return;
	buf_puts(b, "<h4>Real-time consumers</h4><ul>\n");
	for (size_t i = 0; i < s->n_consumers && i < MEMBERS_MAX; i++) {
		const struct etw_consumer *c = &s->consumers[i];

		buf_puts(b, "<li>");
		esc(b, c->process ? c->process : "(unknown process)");
		if (c->has_pid)
			buf_printf(b, ", process %" PRIu64, c->pid);
		buf_printf(b, ", holds %u buffers</li>\n", c->buffers);
	}
	buf_puts(b, "</ul>\n");
}

static void put_providers(struct buf *b, const struct etw_session *s)
{
	char g[GUID_STR];

	if (!s->n_providers)
		return;
	buf_puts(b, "<h4>Providers enabled for it</h4><div class=\"wide\"><table><thead><tr><th scope=\"col\">Provider</th><th "
		    "scope=\"col\">GUID</th><th "
		    "scope=\"col\">Level</th><th scope=\"col\">Keywords</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < s->n_providers && i < MEMBERS_MAX; i++) {
		const struct etw_provider *p = &s->providers[i];

		guid_text(&p->guid, g);
		buf_puts(b, "<tr><td>");
		esc(b, p->name ? p->name : "");
		buf_printf(b, "</td><td class=\"mono\">%s</td>", g);
		if (p->n_enabled)
			buf_printf(b, "<td class=\"n\">%u</td><td class=\"mono\">0x%" PRIx64 "</td></tr>\n", p->enabled[0].level,
				   p->enabled[0].match_any);
		else
			buf_puts(b, "<td></td><td></td></tr>\n");
	}
	buf_puts(b, "</tbody></table></div>\n");
	if (s->n_providers > MEMBERS_MAX)
		buf_printf(b, "<p>%zu more stand in report.json.</p>\n", s->n_providers - MEMBERS_MAX);
}

static void put_buffers(struct buf *b, const struct etw_session *s)
{
	uint32_t gaps = 0, copies = 0, empty = 0;

	for (size_t i = 0; i < s->n_buffers; i++) {
		gaps += (uint32_t)s->buffers[i].n_gaps;
		copies += s->buffers[i].has_same_as;
		empty += s->buffers[i].n_events == 0;
	}
	buf_printf(b, "<p>%zu buffers read (%u without events, %u copies of others), %u gaps in them. Where each stood: report.json.</p>\n",
		   s->n_buffers, empty, copies, gaps);
}

static void put_flags(struct buf *b, uint32_t bits, const char *(*name)(unsigned bit))
{
	bool some = false;

	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1 && name(i)) {
			buf_puts(b, some ? ", " : "");
			esc(b, name(i));
			some = true;
		}
	if (!some)
		buf_puts(b, "none");
}

static void put_facts(struct buf *b, const struct etw_session *s)
{
	buf_puts(b, "<table class=\"facts\"><tbody>\n");
	if (s->silo)
		fact_number(b, "Silo", true, s->silo, "");
	fact_number(b, "Logger id", true, s->id, "");
	buf_printf(b, "<tr><th scope=\"row\">Mode</th><td><span class=\"mono\">0x%x</span> ", s->mode);
	put_flags(b, s->mode, etw_mode_name);
	buf_puts(b, "</td></tr>\n");
	fact(b, "Clock", s->clock == ETW_CLOCK_UNKNOWN ? "unknown" : etw_clock_name(s->clock));
	fact_time(b, "Started", s->start_time);
	fact(b, "Log file", s->log_file ? s->log_file : "none, or unreadable");
	fact_number(b, "Buffer size", s->has_buffer_size, s->buffer_size, " bytes");
	fact_number(b, "Buffers written by Windows", s->has_counters, s->buffers_written, "");
	fact_number(b, "Events lost by Windows", s->has_counters, s->events_lost, "");
	fact_number(b, "Buffers lost by Windows", s->has_counters, s->buffers_lost, "");
	buf_puts(b, "<tr><th scope=\"row\">Found by</th><td>");
	put_flags(b, s->found_by, etw_found_by_name);
	buf_puts(b, "</td></tr>\n");
	if (s->has_va)
		buf_printf(b, "<tr><th scope=\"row\">Context at</th><td class=\"mono\">0x%" PRIx64 "</td></tr>\n", s->va);
	buf_puts(b, "</tbody></table>\n");
}

static void put_span(struct buf *b, const struct report_etl *f)
{
	if (!f || !f->path)
		return;
	buf_puts(b, " &#8211; ");
	if (f->has_times) {
		time_text(b, f->first_event);
		buf_puts(b, " to ");
		time_text(b, f->last_event);
	} else {
		buf_puts(b, "times unknown");
	}
}

int html_session(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		 const struct report_etl *residual)
{
	struct buf *b = &h->sessions;
	uint64_t events = etl && etl->path ? etl->events : 0, old = residual && residual->path ? residual->events : 0;

	h->n_sessions++;
	h->buffers += s->n_buffers;
	h->events += events;
	h->residual_events += old;
	h->files += (events != 0) + (old != 0);
	buf_printf(b, "<details class=\"session\" open><summary><span class=\"id\">%02u</span> <strong>", s->id);
	esc(b, s->name ? s->name : "(name unreadable)");
	buf_printf(b, "</strong> %" PRIu64 " event%s", events, events == 1 ? "" : "s");
	if (old)
		buf_printf(b, ", %" PRIu64 " residual", old);
	put_span(b, etl);
	buf_puts(b, "</summary>\n");
	put_file(b, "Rebuilt", etl);
	put_file(b, "Residual events (of an earlier use of the buffers)", residual);
	put_facts(b, s);
	put_consumers(b, s);
	put_providers(b, s);
	put_buffers(b, s);
	buf_puts(b, "</details>\n");
	return b->failed ? ERR_NOMEM : add_row(h, s, sys, NULL);
}

int html_orphan(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_orphan *o,
		const struct report_etl *etl)
{
	struct buf *b = &h->orphans;

	h->n_orphans++;
	if (etl && etl->path) {
		h->orphan_events += etl->events;
		h->files++;
	}
	buf_puts(b, "<details class=\"session\" open><summary><strong>");
	esc(b, o->origin);
	buf_printf(b, "</strong> logger %u, %" PRIu64 " events in %zu buffers", s->id, etl && etl->path ? etl->events : 0, s->n_buffers);
	put_span(b, etl);
	buf_puts(b, "</summary>\n");
	put_file(b, "Rebuilt", etl);
	buf_puts(b, "<table class=\"facts\"><tbody>\n");
	fact(b, "Origin", o->origin);
	fact(b, "Times rest on", o->anchor);
	fact(b, "How sure", o->sure);
	fact(b, "Clock", s->clock == ETW_CLOCK_UNKNOWN ? "unknown" : etw_clock_name(s->clock));
	fact_number(b, "Buffer size", s->has_buffer_size, s->buffer_size, " bytes");
	buf_puts(b, "</tbody></table>\n</details>\n");
	return b->failed ? ERR_NOMEM : add_row(h, s, sys, "orphan");
}

/* ---- the picture --------------------------------------------------------------------------------------------------------------------------- */

struct span {
	int64_t from, to;
};

/* The time that all but stray events lie in: from the 1st to the last 1,000th of them, so that one wrong clock does not squeeze the rest. */
static struct span common_span(const struct html *h)
{
	struct span s = {INT64_MAX, INT64_MIN};

	for (size_t r = 0; r < h->n_rows && r < ROWS_MAX; r++) {
		const struct histogram *g = &h->row[r].h;
		uint64_t cut = g->n / 1000, sum = 0;

		for (int i = 0; i < BINS && g->width; i++) {
			bool before = sum <= cut;

			sum += g->bin[i];
			if (before && sum > cut && g->from + g->width * i < s.from)
				s.from = g->from + g->width * i;
			if (g->bin[i] && sum - g->bin[i] < g->n - cut && g->from + g->width * (i + 1) > s.to)
				s.to = g->from + g->width * (i + 1);
		}
	}
	if (s.from < s.to && s.to - s.from < SECOND)
		s.to = s.from + SECOND;
	return s;
}

/* Returns how many events are outside of the span. */
static uint64_t put_bars(struct buf *b, const struct row *row, struct span s, unsigned y)
{
	uint64_t col[COLUMNS] = {0}, most = 0, outside = 0;

	for (int i = 0; i < BINS; i++) {
		int64_t mid = row->h.from + row->h.width * i + row->h.width / 2;

		if (row->h.bin[i] && mid >= s.from && mid < s.to)
			col[(unsigned)((double)(mid - s.from) / (double)(s.to - s.from) * COLUMNS)] += row->h.bin[i];
		else
			outside += row->h.bin[i];
	}
	for (int i = 0; i < COLUMNS; i++)
		most = col[i] > most ? col[i] : most;
	for (int i = 0; i < COLUMNS; i++)
		if (col[i]) {
			unsigned tall = 3 + (unsigned)((double)col[i] / (double)most * 15.0);

			buf_printf(b, "<rect x=\"%d\" y=\"%u\" width=\"4.4\" height=\"%u\"><title>%" PRIu64 " events</title></rect>",
				   280 + i * 5, y + 20 - tall, tall, col[i]);
		}
	buf_puts(b, "\n");
	return outside;
}

static void put_picture(const struct html *h, struct buf *b)
{
	struct span s = common_span(h);
	size_t rows = h->n_rows < ROWS_MAX ? h->n_rows : ROWS_MAX;
	uint64_t outside = 0;
	unsigned y = 4;

	if (!rows || s.from >= s.to) {
		buf_puts(b, "<p>No event has a time that is known.</p>\n");
		return;
	}
	buf_printf(b,
		   "<figure><svg viewBox=\"0 0 900 %zu\" role=\"img\" aria-labelledby=\"tl-title tl-desc\"><title id=\"tl-title\">Events "
		   "of each session over "
		   "time</title><desc id=\"tl-desc\">A row of bars for each session; the height of a bar is the share of the session's "
		   "busiest bar.</desc>\n",
		   rows * 24 + 34);
	for (size_t r = 0; r < rows; r++, y += 24) {
		if (r % 2 == 0)
			buf_printf(b, "<rect class=\"band\" x=\"0\" y=\"%u\" width=\"900\" height=\"24\"/>", y - 2);
		/* an inner svg clips long names */
		buf_printf(b, "<svg x=\"4\" y=\"%u\" width=\"268\" height=\"24\"><text x=\"0\" y=\"15\">%s</text></svg>", y - 2,
			   h->row[r].label);
		outside += put_bars(b, &h->row[r], s, y);
	}
	buf_printf(b, "<line class=\"axis\" x1=\"280\" x2=\"880\" y1=\"%u\" y2=\"%u\"/>", y + 2, y + 2);
	for (int i = 0; i <= 2; i++) {
		static const char *const anchor[] = {"start", "middle", "end"};
		char t[WINTIME_STR];

		if (wintime_text(s.from + (s.to - s.from) / 2 * i, t))
			buf_printf(b, "<text x=\"%d\" y=\"%u\" text-anchor=\"%s\">%.10s %.8s</text>", 280 + i * 300, y + 18, anchor[i], t,
				   t + 11);
	}
	buf_puts(b, "</svg><figcaption>Times are UTC. Each row is scaled by itself.</figcaption></figure>\n");
	if (outside)
		buf_printf(b, "<p>%" PRIu64 " events stand before or behind the time that is shown.</p>\n", outside);
	if (h->n_rows > rows)
		buf_printf(b, "<p>%zu more sessions are not in the picture.</p>\n", h->n_rows - rows);
}

/* ---- the page ------------------------------------------------------------------------------------------------------------------------------ */

static const char style[] =
	":root{color-scheme:light dark;--fg:#1a1d21;--bg:#fff;--soft:#f2f4f7;--line:#c9ced6;--bar:#1f5fa8;--link:#0b57a4;--warn:#8a3b00}\n"
	"@media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--bg:#14171a;--soft:#1f2429;--line:#414952;--bar:#7db4f0;--link:#8fc1ff;--"
	"warn:#ffb77a}}\n"
	"body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:0 auto;max-width:1000px;padding:1.5rem}\n"
	"h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.25rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}h4{margin:1rem "
	"0 .3rem}\n"
	"a{color:var(--link)}.mono{font-family:ui-monospace,monospace;font-size:.86em;overflow-wrap:anywhere}\n"
	"table{border-collapse:collapse;margin:.4rem 0}th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem "
	"0;overflow-wrap:anywhere}"
	".facts th{font-weight:600;white-space:nowrap}td.n{text-align:right}thead th{border-bottom:1px solid "
	"var(--line)}.wide{overflow-x:auto}\n"
	".cards{display:flex;flex-wrap:wrap;gap:.6rem;padding:0;margin:1rem 0;list-style:none}.cards "
	"li{background:var(--soft);padding:.5rem "
	"1rem;border-radius:.4rem}.cards b{display:block;font-size:1.4rem}\n"
	".session{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.4rem "
	".8rem}summary{cursor:pointer;overflow-wrap:anywhere}.id{opacity:."
	"8}\n"
	"a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
	"figure{margin:0}svg{width:100%;height:auto;font-size:11px}svg text{fill:var(--fg)}svg rect{fill:var(--bar)}svg "
	".band{fill:var(--soft)}svg "
	".axis{stroke:var(--line)}\n"
	".warn{color:var(--warn)}\n"
	"@media print{body{max-width:none;font-size:10pt}.session{break-inside:avoid}a{color:inherit}}\n";

static void put_image(struct buf *b, const struct report_image *im, const struct report_kernel *k)
{
	char g[GUID_STR];

	buf_puts(b, "<h2 id=\"image\">Image and kernel</h2>\n<table class=\"facts\"><tbody>\n");
	fact(b, "Image", im->path);
	fact(b, "Format", im->format);
	if (im->compression)
		fact(b, "Packed with", im->compression);
	fact_number(b, "Size", true, im->bytes, " bytes");
	fact_number(b, "Physical memory", true, im->physical_bytes, " bytes");
	if (im->sha256)
		fact(b, "SHA-256", im->sha256);
	if (!k) {
		fact(b, "Kernel", "no Windows kernel was recognised");
		buf_puts(b, "</tbody></table>\n");
		return;
	}
	fact_number(b, "Windows build", k->build != 0, k->build, "");
	fact(b, "Architecture", k->arch ? k->arch : "unknown");
	fact_number(b, "Processors", k->cpus != 0, k->cpus, "");
	fact_time(b, "Time of the image", k->system_time);
	fact_time(b, "Booted", k->boot_time);
	if (k->has_pdb) {
		guid_text(&k->pdb_guid, g);
		buf_puts(b, "<tr><th scope=\"row\">PDB</th><td>");
		esc(b, k->pdb_name);
		buf_printf(b, " <span class=\"mono\">%s</span> age %u</td></tr>\n", g, k->pdb_age);
	}
	if (k->profile) {
		buf_puts(b, "<tr><th scope=\"row\">Layout</th><td>");
		esc(b, k->profile);
		buf_puts(b, ", matched by ");
		esc(b, k->match);
		buf_puts(b, k->inferred ? " <span class=\"warn\">(inferred: see report.json for what it rests on)</span></td></tr>\n"
					: "</td></tr>\n");
	}
	buf_puts(b, "</tbody></table>\n");
}

static void put_losses(struct buf *b, const struct notes *ns)
{
	buf_puts(b, "<h2 id=\"losses\">Losses</h2>\n");
	if (!ns->n) {
		buf_puts(b, "<p>None was met.</p>\n");
		return;
	}
	buf_puts(
		b,
		"<p>What could not be had, named one by one. Everything else was recovered.</p>\n<div class=\"wide\"><table><thead><tr><th "
		"scope=\"col\">What</th><th scope=\"col\">Session</th><th scope=\"col\">Address</th><th scope=\"col\">Bytes</th><th "
		"scope=\"col\">Detail</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < ns->n && i < LOSSES_MAX; i++) {
		const struct note *n = &ns->v[i];

		buf_printf(b, "<tr><td>%s</td><td class=\"n\">", note_word(n->what));
		if (n->session >= 0)
			buf_printf(b, "%" PRId64, n->session);
		buf_puts(b, "</td><td class=\"mono\">");
		if (n->has_va)
			buf_printf(b, "0x%" PRIx64, n->va);
		buf_puts(b, "</td><td class=\"n\">");
		if (n->has_bytes)
			buf_printf(b, "%" PRIu64, n->bytes);
		buf_puts(b, "</td><td>");
		esc(b, n->detail);
		buf_puts(b, "</td></tr>\n");
	}
	buf_puts(b, "</tbody></table></div>\n");
	if (ns->n > LOSSES_MAX)
		buf_printf(b, "<p>%zu more stand in report.json.</p>\n", ns->n - LOSSES_MAX);
}

static void put_beyond(const struct html *h, struct buf *b, const struct report_carve *c)
{
	buf_puts(b, "<h2 id=\"beyond\">Beyond the live sessions</h2>\n");
	buf_printf(b, "<p>%" PRIu64 " residual events of earlier uses of the sessions' buffers.</p>\n", h->residual_events);
	if (!c) {
		buf_puts(b, "<p>Memory was not searched for buffers that no list reaches (<code>etlift recover --carve</code>).</p>\n");
		return;
	}
	buf_printf(b,
		   "<p>%" PRIu64 " bytes of memory were searched; %" PRIu64 " buffers were found that belong to no session, with %" PRIu64
		   " events.</p>\n",
		   c->scanned, c->orphans, h->orphan_events);
	buf_put(b, h->orphans.p, h->orphans.n);
}

static void card(struct buf *b, uint64_t n, const char *what)
{
	buf_printf(b, "<li><b>%" PRIu64 "</b>%s</li>", n, what);
}

int html_write(struct html *h, struct buf *b, const struct report_image *image, const struct report_kernel *kernel,
	       const struct report_carve *carve, const struct notes *notes)
{
	buf_puts(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		    "content=\"width=device-width,initial-scale=1\">"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>ETW "
		    "sessions of ");
	esc(b, image->path);
	buf_puts(b, "</title>\n<style>\n");
	buf_puts(b, style);
	buf_puts(b, "</style></head>\n<body>\n<header><h1>ETW sessions out of memory</h1><p class=\"mono\">");
	esc(b, image->path);
	buf_puts(b, "</p></header>\n<nav aria-label=\"Parts of this page\"><a href=\"#timeline\">Timeline</a> &#183; <a "
		    "href=\"#sessions\">Sessions</a> &#183; <a "
		    "href=\"#beyond\">Beyond</a> &#183; <a href=\"#losses\">Losses</a> &#183; <a "
		    "href=\"#image\">Image</a></nav>\n<main>\n<ul class=\"cards\">");
	card(b, h->n_sessions, "sessions");
	card(b, h->events, "events");
	card(b, h->residual_events, "residual events");
	card(b, h->orphan_events, "events of orphans");
	card(b, h->files, "files");
	card(b, notes->n, "losses");
	buf_puts(b, "</ul>\n<h2 id=\"timeline\">Timeline</h2>\n");
	put_picture(h, b);
	buf_puts(b, "<h2 id=\"sessions\">Sessions</h2>\n");
	if (h->n_sessions)
		buf_put(b, h->sessions.p, h->sessions.n);
	else
		buf_puts(b, "<p>None was found.</p>\n");
	put_beyond(h, b, carve);
	put_losses(b, notes);
	put_image(b, image, kernel);
	buf_puts(b, "</main>\n<footer><p>etlift " ETLIFT_VERSION
		    ". Recovered bytes and built ones are told apart in report.json, buffer by buffer.</p></footer>\n</body>\n"
		    "</html>\n");
	return b->failed ? ERR_NOMEM : 0;
}

int html_new(struct html **out, struct err *e)
{
	struct html *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&h->sessions);
	buf_init(&h->orphans);
	*out = h;
	return 0;
}

void html_free(struct html *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_rows; i++)
		free(h->row[i].label);
	free(h->row);
	buf_free(&h->sessions);
	buf_free(&h->orphans);
	free(h);
}
