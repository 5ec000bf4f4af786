/* html.c - see html.h. The page is written in one pass: its sections share the places that losses point to and the limits of what is listed, hence the length of
 * this file; plots and escaping are rooms of their own. */
#include "html.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "htmlplot.h"
#include "htmltext.h"

/* What is listed on the page; report.json has all. */
#define LOSSES_MAX   2000
#define MEMBERS_MAX  200   /* consumers, providers, buffers of one session */
#define LINES_MAX    20000 /* of those, on the whole page */
#define SESSIONS_MAX 4000
#define ORPHANS_MAX  1000
#define RUNS_MAX     100
#define SHORT        12 /* a list so long is unfolded */

struct place { /* of a session, for the losses that name it */
	int64_t silo, id;
	bool has_va;
	uint64_t va;
	char *name; /* owned, escaped; its anchor is #sN, N = index + 1 */
};

struct html {
	struct buf overview, sessions, orphans;
	struct place *place;
	size_t n_places, cap_places;
	struct plot plot;
	uint64_t n_sessions, n_orphans, events, files, residual_events, orphan_events, buffers, lines;
};

/* ---- sessions ------------------------------------------------------------------------------------------------------------------------------ */

static void put_file(struct buf *b, const char *what, const struct report_etl *f)
{
	if (!f || !f->path)
		return;
	buf_printf(b, "<p>%s: <a href=\"", what);
	html_esc(b, f->path);
	buf_puts(b, "\">");
	html_esc(b, f->path);
	buf_printf(b, "</a>, %" PRIu64 " event%s in %u buffer%s, %" PRIu64 " bytes<br><span class=\"mono dim\">SHA-256 ", f->events,
		   f->events == 1 ? "" : "s", f->buffers, f->buffers == 1 ? "" : "s", f->bytes);
	html_esc(b, f->sha256);
	buf_puts(b, "</span></p>\n");
}

/* How many of n members are listed; the rest is told by put_rest. */
static size_t take(struct html *h, size_t n)
{
	size_t k = n < MEMBERS_MAX ? n : MEMBERS_MAX;

	if (h->lines + k > LINES_MAX)
		k = LINES_MAX - (size_t)h->lines;
	h->lines += k;
	return k;
}

static void put_rest(struct buf *b, size_t n, size_t listed)
{
	if (n > listed)
		buf_printf(b, "<p>%zu more stand in report.json.</p>\n", n - listed);
}

static void put_consumer(struct buf *b, const struct etw_consumer *c)
{
	html_evidence(b, c->process, "(unknown process)");
	if (c->has_pid)
		buf_printf(b, " (%" PRIu64 ")", c->pid);
}

static void put_consumers(struct html *h, const struct etw_session *s)
{
	struct buf *b = &h->sessions;
	size_t n;

	if (!s->n_consumers)
		return;
	n = take(h, s->n_consumers);
	buf_puts(b, "<h4>Real-time consumers</h4><ul>\n");
	for (size_t i = 0; i < n; i++) {
		const struct etw_consumer *c = &s->consumers[i];

		buf_puts(b, "<li>");
		put_consumer(b, c);
		buf_printf(b, ", holds %u buffer%s%s</li>\n", c->buffers, c->buffers == 1 ? "" : "s", c->wow64 ? ", 32-bit process" : "");
	}
	buf_puts(b, "</ul>\n");
	put_rest(b, s->n_consumers, n);
}

static void unfold(struct buf *b, size_t n, const char *what)
{
	buf_printf(b, "<details%s><summary>%zu %s%s</summary>\n", n <= SHORT ? " class=\"short\" open" : "", n, what, n == 1 ? "" : "s");
}

static void put_providers(struct html *h, const struct etw_session *s)
{
	static const char *const titles[] = {"Provider", "GUID", ">Level", "Keywords: any", "Keywords: all", NULL};
	struct buf *b = &h->sessions;
	char g[GUID_STR];
	size_t n;

	if (!s->n_providers)
		return;
	n = take(h, s->n_providers);
	unfold(b, s->n_providers, "enabled provider");
	html_table_open(b, "Providers enabled for this session", titles);
	for (size_t i = 0; i < n; i++) {
		const struct etw_provider *p = &s->providers[i];

		guid_text(&p->guid, g);
		buf_puts(b, "<tr><td class=\"text\">");
		html_evidence(b, p->name, "(no known name)");
		buf_printf(b, "</td><td class=\"mono\">%s</td>", g);
		html_cell_number(b, p->n_enabled, p->n_enabled ? p->enabled[0].level : 0);
		html_cell_hex(b, p->n_enabled, p->n_enabled ? p->enabled[0].match_any : 0);
		html_cell_hex(b, p->n_enabled, p->n_enabled ? p->enabled[0].match_all : 0);
		buf_puts(b, "</tr>\n");
	}
	html_table_close(b);
	put_rest(b, s->n_providers, n);
	buf_puts(b, "</details>\n");
}

static void put_bits(struct buf *b, uint32_t bits, const char *(*name)(unsigned bit))
{
	const char *sep = "";

	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1 && name(i)) {
			buf_puts(b, sep);
			html_esc(b, name(i));
			sep = ", ";
		}
	if (!*sep)
		buf_puts(b, "none");
}

static uint64_t gaps_of(const struct etw_session *s, uint32_t *copies, uint32_t *empty)
{
	uint64_t gaps = 0;

	*copies = *empty = 0;
	for (size_t i = 0; i < s->n_buffers; i++) {
		gaps += s->buffers[i].n_gaps;
		*copies += s->buffers[i].has_same_as;
		*empty += s->buffers[i].n_events == 0;
	}
	return gaps;
}

static void put_buffer(struct buf *b, const struct etw_session *s, const struct etw_system *sys, const struct etw_buffer *u)
{
	int64_t t;

	buf_puts(b, "<tr>");
	html_cell_hex(b, u->has_va, u->va);
	html_cell_hex(b, u->has_pa, u->pa);
	html_cell_number(b, true, u->cpu);
	buf_printf(b, "<td>%s</td>", etw_state_name(&u->hdr));
	html_cell_number(b, true, u->n_events);
	buf_puts(b, "<td>");
	html_time_ms(b, u->has_ts && etw_session_time(s, sys, u->first_ts, &t) ? t : 0);
	buf_puts(b, "</td><td>");
	put_bits(b, u->from, etw_from_name);
	if (u->has_pid)
		buf_printf(b, " of process %" PRIu64, u->pid);
	buf_puts(b, "</td><td>");
	if (u->has_same_as)
		buf_printf(b, "copy of <span class=\"mono\">0x%" PRIx64 "</span>", u->same_as);
	for (size_t i = 0; i < u->n_gaps && i < 4; i++)
		buf_printf(b, "<span class=\"warn\">%s%s at %u, %u bytes</span>", i || u->has_same_as ? "; " : "",
			   etw_why_name(u->gaps[i].why), u->gaps[i].offset, u->gaps[i].bytes);
	if (u->n_gaps > 4)
		buf_printf(b, "; %zu more", u->n_gaps - 4);
	buf_puts(b, "</td></tr>\n");
}

static void put_buffers(struct html *h, const struct etw_session *s, const struct etw_system *sys)
{
	static const char *const titles[] = {"Address",     "Physical",   ">CPU",    "State", ">Events",
					     "First event", "Reached by", "Remarks", NULL};
	struct buf *b = &h->sessions;
	uint32_t copies, empty;
	uint64_t gaps;
	size_t n;

	if (!s->n_buffers)
		return;
	gaps = gaps_of(s, &copies, &empty);
	n = take(h, s->n_buffers);
	buf_printf(b, "<details><summary>%zu buffer%s: %u without events, %u copies of others, %" PRIu64 " gap%s</summary>\n", s->n_buffers,
		   s->n_buffers == 1 ? "" : "s", empty, copies, gaps, gaps == 1 ? "" : "s");
	html_table_open(b, "Buffers of this session, in the order of its file", titles);
	for (size_t i = 0; i < n; i++)
		put_buffer(b, s, sys, &s->buffers[i]);
	html_table_close(b);
	put_rest(b, s->n_buffers, n);
	buf_puts(b, "</details>\n");
}

static void put_facts(struct buf *b, const struct etw_session *s, const struct report_etl *etl)
{
	buf_puts(b, "<dl class=\"facts\">\n");
	html_fact_open(b, "Mode", true);
	buf_printf(b, "<span class=\"mono\">0x%x</span> ", s->mode);
	put_bits(b, s->mode, etw_mode_name);
	html_fact_close(b);
	html_fact_open(b, "Found by", true);
	put_bits(b, s->found_by, etw_found_by_name);
	html_fact_close(b);
	if (s->silo)
		html_fact_number(b, "Silo (container)", true, s->silo, "");
	html_fact_time(b, "Started", s->start_time);
	html_fact(b, "Clock", s->clock == ETW_CLOCK_UNKNOWN ? "unknown" : etw_clock_name(s->clock));
	if (etl && etl->path && etl->has_times) {
		html_fact_time(b, "First event", etl->first_event);
		html_fact_time(b, "Last event", etl->last_event);
	}
	html_fact(b, "Log file", s->log_file ? s->log_file : "none, or unreadable");
	html_fact_number(b, "Buffer size", s->has_buffer_size, s->buffer_size, " bytes");
	html_fact_number(b, "Buffers written", s->has_counters, s->buffers_written, "");
	html_fact_number(b, "Buffers lost", s->has_counters, s->buffers_lost, "");
	html_fact_number(b, "Events lost", s->has_counters, s->events_lost, "");
	if (s->has_va) {
		html_fact_open(b, "Logger context", false);
		buf_printf(b, "<span class=\"mono\">0x%" PRIx64 "</span>", s->va);
		html_fact_close(b);
	}
	buf_puts(b, "</dl>\n");
}

/* What the mode means to a reader: where the events go. */
static void put_kind(struct buf *b, uint32_t mode)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} kinds[] = {{ETW_MODE_REAL_TIME, "real time"},    {ETW_MODE_BUFFERING, "in memory"},  {ETW_MODE_SEQUENTIAL, "file"},
		     {ETW_MODE_CIRCULAR, "circular file"}, {ETW_MODE_APPEND, "appended file"}, {ETW_MODE_NEWFILE, "file after file"}};
	const char *sep = "";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (mode & kinds[i].bit) {
			buf_printf(b, "%s%s", sep, kinds[i].word);
			sep = ", ";
		}
}

static void put_overview(struct html *h, const struct etw_session *s, const struct report_etl *etl, const struct report_etl *residual)
{
	struct buf *b = &h->overview;
	const struct report_etl *f = etl && etl->path ? etl : NULL;
	uint32_t copies, empty;

	if (h->n_sessions > SESSIONS_MAX)
		return;
	buf_puts(b, "<tr>");
	html_cell_number(b, true, s->id);
	buf_printf(b, "<th scope=\"row\"><a href=\"#s%" PRIu64 "\">", h->n_sessions);
	html_evidence(b, s->name, s->name ? "(empty name)" : "(name unreadable)");
	buf_puts(b, "</a>");
	if (s->silo)
		buf_printf(b, " <span class=\"dim\">silo %u</span>", s->silo);
	buf_puts(b, "</th><td class=\"kind\">");
	put_kind(b, s->mode);
	buf_puts(b, "</td><td>");
	for (size_t i = 0; i < s->n_consumers && i < 3; i++) {
		buf_puts(b, i ? ", " : "");
		put_consumer(b, &s->consumers[i]);
	}
	if (s->n_consumers > 3)
		buf_printf(b, " and %zu more", s->n_consumers - 3);
	buf_puts(b, "</td>");
	html_cell_number(b, true, f ? f->events : 0);
	html_cell_number(b, true, residual && residual->path ? residual->events : 0);
	buf_puts(b, "<td>");
	if (f)
		html_time(b, f->has_times ? f->first_event : 0);
	buf_puts(b, "</td><td>");
	if (f)
		html_time(b, f->has_times ? f->last_event : 0);
	buf_puts(b, "</td>");
	html_cell_number(b, true, s->n_buffers);
	html_cell_number(b, true, gaps_of(s, &copies, &empty));
	html_cell_number(b, s->has_counters, s->events_lost);
	buf_puts(b, "</tr>\n");
}

/* The session's name and number, escaped, for picture and losses; remembers where it stands. NULL: out of memory. */
static const char *add_place(struct html *h, const struct etw_session *s)
{
	void *arr = h->place;
	struct place *p;
	struct buf b;

	if (arr_reserve(&arr, &h->cap_places, h->n_places, sizeof(*h->place)) < 0)
		return NULL;
	h->place = arr;
	buf_init(&b);
	buf_printf(&b, "%02u ", s->id);
	html_esc(&b, s->name ? s->name : "(name unreadable)");
	p = &h->place[h->n_places];
	*p = (struct place){s->silo, s->id, s->has_va, s->va, strdup(buf_str(&b))};
	if (b.failed) {
		free(p->name);
		p->name = NULL;
	}
	buf_free(&b);
	if (p->name)
		h->n_places++;
	return p->name;
}

int html_session(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		 const struct report_etl *residual)
{
	struct buf *b = &h->sessions;
	uint64_t events = etl && etl->path ? etl->events : 0, old = residual && residual->path ? residual->events : 0;
	const char *label = add_place(h, s);
	char href[32];

	if (!label)
		return ERR_NOMEM;
	h->n_sessions++;
	h->buffers += s->n_buffers;
	h->events += events;
	h->residual_events += old;
	h->files += (events != 0) + (old != 0);
	put_overview(h, s, etl, residual);
	if (h->n_sessions <= SESSIONS_MAX) {
		buf_printf(b,
			   "<section class=\"session\" id=\"s%" PRIu64 "\" aria-labelledby=\"t%" PRIu64 "\"><h3 id=\"t%" PRIu64 "\">%02u ",
			   h->n_sessions, h->n_sessions, h->n_sessions, s->id);
		html_evidence(b, s->name, s->name ? "(empty name)" : "(name unreadable)");
		buf_printf(b, " <span class=\"dim\">%" PRIu64 " event%s", events, events == 1 ? "" : "s");
		if (old)
			buf_printf(b, ", %" PRIu64 " residual", old);
		buf_puts(b, "</span></h3>\n");
		put_file(b, "Rebuilt", etl);
		put_file(b, "Residual events (of an earlier use of the buffers)", residual);
		put_facts(b, s, etl);
		put_consumers(h, s);
		put_providers(h, s);
		put_buffers(h, s, sys);
		buf_puts(b, "<p class=\"up\"><a href=\"#sessions\">All sessions</a></p></section>\n");
	}
	snprintf(href, sizeof(href), "#s%" PRIu64, h->n_sessions <= SESSIONS_MAX ? h->n_sessions : SESSIONS_MAX);
	return b->failed || h->overview.failed ? ERR_NOMEM : plot_add(&h->plot, s, sys, label, href);
}

int html_orphan(struct html *h, const struct etw_session *s, const struct etw_system *sys, const struct report_orphan *o,
		const struct report_etl *etl, const struct report_etl *residual)
{
	struct buf *b = &h->orphans;
	const struct report_etl *f = etl && etl->path ? etl : residual && residual->path ? residual : NULL;
	char label[64];

	h->n_orphans++;
	h->orphan_events += etl && etl->path ? etl->events : 0;
	h->residual_events += residual && residual->path ? residual->events : 0;
	h->files += (etl && etl->path) + (residual && residual->path);
	if (h->n_orphans > ORPHANS_MAX)
		return 0;
	buf_puts(b, "<tr>");
	if (s->no_id)
		buf_puts(b, "<td></td>");
	else
		html_cell_number(b, true, s->id);
	buf_puts(b, "<th scope=\"row\">");
	if (f) {
		buf_puts(b, "<a href=\"");
		html_esc(b, f->path);
		buf_puts(b, "\">");
		html_esc(b, f->path);
		buf_puts(b, "</a><br><span class=\"mono dim\">");
		html_esc(b, f->sha256);
		buf_puts(b, "</span>");
	} else {
		buf_puts(b, "(no event)");
	}
	buf_printf(b, "</th><td>%s</td>", o->origin);
	html_cell_number(b, true, f ? f->events : 0);
	html_cell_number(b, true, s->n_buffers);
	buf_puts(b, "<td>");
	html_time(b, f && f->has_times ? f->first_event : 0);
	buf_puts(b, "</td><td>");
	html_time(b, f && f->has_times ? f->last_event : 0);
	buf_printf(b, "</td><td>%s</td><td>%s</td></tr>\n", o->anchor ? o->anchor : "", o->sure ? o->sure : "");
	if (s->no_id)
		snprintf(label, sizeof(label), "orphan %s", o->origin);
	else
		snprintf(label, sizeof(label), "orphan %02u %s", s->id, o->origin);
	return b->failed ? ERR_NOMEM : plot_add(&h->plot, s, sys, label, "#beyond");
}

/* ---- the rest of the page ------------------------------------------------------------------------------------------------------------------ */

static void put_inferred(struct buf *b, const struct report_inferred *in)
{
	static const char *const titles[] = {"Member", ">Offset", ">Contexts that agree", ">of", ">Other places that fit", "How", NULL};

	buf_printf(b, "<p class=\"warn\">No profile fits this kernel: its layout was inferred from the image (%s, %u contexts).</p>\n",
		   in->from, in->contexts);
	html_table_open(b, "What the layout rests on", titles);
	for (size_t i = 0; i < in->n; i++) {
		const struct report_member *m = &in->member[i];

		buf_printf(b, "<tr><th scope=\"row\">%s</th>", m->member);
		html_cell_number(b, true, m->offset);
		html_cell_number(b, true, m->agree);
		html_cell_number(b, true, m->of);
		html_cell_number(b, true, m->others);
		buf_puts(b, "<td class=\"text\">");
		html_esc(b, m->how);
		buf_puts(b, "</td></tr>\n");
	}
	html_table_close(b);
}

static void put_kernel(struct buf *b, const struct report_kernel *k)
{
	char g[GUID_STR];

	if (!k) {
		html_fact(b, "Kernel", "no Windows kernel was recognised");
		return;
	}
	html_fact_number(b, "Windows build", k->build != 0, k->build, "");
	if (k->version)
		html_fact(b, "Kernel version", k->version);
	html_fact(b, "Architecture", k->arch ? k->arch : "unknown");
	html_fact_number(b, "Processors", k->cpus != 0, k->cpus, "");
	html_fact_time(b, "Image taken", k->system_time);
	html_fact_time(b, "Windows started", k->boot_time);
	if (k->has_base) {
		html_fact_open(b, "Kernel base", false);
		buf_printf(b, "<span class=\"mono\">0x%" PRIx64 "</span>", k->base);
		html_fact_close(b);
	}
	if (k->has_dtb) {
		html_fact_open(b, "Page tables", false);
		buf_printf(b, "<span class=\"mono\">0x%" PRIx64 "</span>", k->dtb);
		html_fact_close(b);
	}
	if (k->tables_rebuilt)
		html_fact_number(b, "Page tables rebuilt", true, k->tables_rebuilt, "");
	if (k->has_pdb) {
		guid_text(&k->pdb_guid, g);
		html_fact_open(b, "Symbols (PDB)", true);
		html_evidence(b, k->pdb_name, "");
		buf_printf(b, " <span class=\"mono\">%s</span> age %u", g, k->pdb_age);
		html_fact_close(b);
	}
	if (k->profile) {
		html_fact_open(b, "Layout", true);
		html_evidence(b, k->profile, "");
		buf_puts(b, ", matched by ");
		html_esc(b, k->match);
		html_fact_close(b);
	}
}

static void put_image(struct buf *b, const struct report_image *im, const struct report_kernel *k)
{
	static const char *const titles[] = {"First address", ">Bytes", NULL};
	size_t n = im->n_runs < RUNS_MAX ? im->n_runs : RUNS_MAX;

	buf_puts(b, "<h2 id=\"image\">Image and kernel</h2>\n<dl class=\"facts\">\n");
	html_fact(b, "Image", im->path);
	html_fact(b, "SHA-256", im->sha256 ? im->sha256 : "not asked for");
	html_fact(b, "Format", im->format);
	if (im->compression)
		html_fact(b, "Packed with", im->compression);
	if (im->segments > 1)
		html_fact_number(b, "Pieces", true, im->segments, "");
	html_fact_number(b, "Size", true, im->bytes, " bytes");
	html_fact_number(b, "Physical memory", true, im->physical_bytes, " bytes");
	put_kernel(b, k);
	buf_puts(b, "</dl>\n");
	if (k && k->inferred)
		put_inferred(b, k->inferred);
	if (!im->n_runs)
		return;
	buf_printf(b, "<details><summary>%zu run%s of physical memory</summary>\n", im->n_runs, im->n_runs == 1 ? "" : "s");
	html_table_open(b, "Runs of physical memory that the image holds", titles);
	for (size_t i = 0; i < n; i++) {
		buf_puts(b, "<tr>");
		html_cell_hex(b, true, im->runs[i].start);
		html_cell_number(b, true, im->runs[i].bytes);
		buf_puts(b, "</tr>\n");
	}
	html_table_close(b);
	put_rest(b, im->n_runs, n);
	buf_puts(b, "</details>\n");
}

static void put_sessions(const struct html *h, struct buf *b)
{
	static const char *const titles[] = {">Id",         "Session",    "Goes to",  "Consumers", ">Events", ">Residual",
					     "First event", "Last event", ">Buffers", ">Gaps",     ">Lost",   NULL};

	buf_puts(b, "<h2 id=\"sessions\">Sessions</h2>\n");
	if (!h->n_sessions) {
		buf_puts(b, "<p>None was found.</p>\n");
		return;
	}
	html_table_open(b, "All sessions. Lost: events that Windows itself counted as lost; ? is unknown.", titles);
	buf_put(b, h->overview.p, h->overview.n);
	html_table_close(b);
	buf_put(b, h->sessions.p, h->sessions.n);
	put_rest(b, h->n_sessions, SESSIONS_MAX);
}

static void put_beyond(const struct html *h, struct buf *b, const struct report_carve *c)
{
	static const char *const titles[] = {">Logger",     "File and SHA-256", "Origin",        ">Events",  ">Buffers",
					     "First event", "Last event",       "Times rest on", "How sure", NULL};

	buf_puts(b, "<h2 id=\"beyond\">Beyond the live sessions</h2>\n");
	buf_printf(b, "<p>%" PRIu64 " residual event%s of earlier uses of buffers.</p>\n", h->residual_events,
		   h->residual_events == 1 ? "" : "s");
	if (!c) {
		buf_puts(b, "<p>Memory was not searched for buffers that no list reaches: <code>etlift recover --carve</code> does "
			    "that.</p>\n");
		return;
	}
	buf_printf(b,
		   "<p>%" PRIu64 " bytes of memory were searched (%" PRIu64 " could not be read). %" PRIu64
		   " buffers were seen by their shape: %" PRIu64 " of the sessions above, %" PRIu64 " copies, and %" PRIu64
		   " that belong to no session any more, with %" PRIu64 " events. %" PRIu64
		   " buffers of sessions were completed by pages that the page tables no longer reach.</p>\n",
		   c->scanned, c->unreadable, c->shapes, c->live, c->copies, c->orphans, h->orphan_events, c->completed);
	if (!h->n_orphans)
		return;
	html_table_open(b, "Events that no session leads to", titles);
	buf_put(b, h->orphans.p, h->orphans.n);
	html_table_close(b);
	put_rest(b, h->n_orphans, ORPHANS_MAX);
}

static const char *const loss_means[NOTE_KINDS] = {
	[NOTE_PAGE_MISSING] = "a page of a structure or buffer is not in the image; what stood around it was kept",
	[NOTE_LIST_BROKEN] = "a linked list leads to nowhere; other ways were followed all the same",
	[NOTE_BUFFER_HEADER_BAD] = "a buffer contradicts itself and was left out, or read in part",
	[NOTE_RECORD_BAD] = "a record is torn or overwritten; those before it, and behind it where the chain was found again, were kept",
	[NOTE_CONTEXT_BAD] = "a session's own structure contradicts itself and was read in part",
	[NOTE_BLOB_TRUNCATED] = "a crash dump's block of ETW data ends early",
	[NOTE_IMAGE_TRUNCATED] = "the file is shorter than it says",
	[NOTE_RUN_OVERLAP] = "the file says two things about one address",
	[NOTE_LIMIT_REACHED] = "a named limit ended a walk over hostile data",
};

static void put_loss_kinds(struct buf *b, const struct notes *ns)
{
	static const char *const titles[] = {"Loss", ">How often", "Means", NULL};
	uint64_t n[NOTE_KINDS] = {0};

	for (size_t i = 0; i < ns->n; i++)
		n[ns->v[i].what]++;
	html_table_open(b, "Losses by kind", titles);
	for (int k = 0; k < NOTE_KINDS; k++)
		if (n[k])
			buf_printf(b, "<tr><th scope=\"row\">%s</th><td class=\"n\">%" PRIu64 "</td><td class=\"text\">%s</td></tr>\n",
				   note_word((enum note_what)k), n[k], loss_means[k]);
	html_table_close(b);
}

static void put_loss_session(const struct html *h, struct buf *b, const struct note *n)
{
	if (n->session < 0)
		return;
	for (size_t i = 0; i < h->n_places && i < SESSIONS_MAX; i++) {
		const struct place *p = &h->place[i];

		if (p->silo == n->silo && p->id == n->session && (!n->has_session_va || (p->has_va && p->va == n->session_va))) {
			buf_printf(b, "<a href=\"#s%zu\"><bdi>%s</bdi></a>", i + 1, p->name);
			return;
		}
	}
	buf_printf(b, "%02" PRId64, n->session);
}

static void put_losses(const struct html *h, struct buf *b, const struct notes *ns)
{
	static const char *const titles[] = {"What", "Session", "Address", ">Bytes", "Detail", NULL};

	buf_puts(b, "<h2 id=\"losses\">Losses</h2>\n");
	if (!ns->n) {
		buf_puts(b, "<p>None was met.</p>\n");
		return;
	}
	buf_puts(b, "<p>What could not be had, named one by one. Everything else was recovered, and nothing was filled in.</p>\n");
	put_loss_kinds(b, ns);
	html_table_open(b, "Each loss", titles);
	for (size_t i = 0; i < ns->n && i < LOSSES_MAX; i++) {
		const struct note *n = &ns->v[i];

		buf_printf(b, "<tr><td>%s</td><td>", note_word(n->what));
		put_loss_session(h, b, n);
		buf_puts(b, "</td>");
		html_cell_hex(b, n->has_va, n->va);
		if (n->has_bytes)
			html_cell_number(b, true, n->bytes);
		else
			buf_puts(b, "<td></td>");
		buf_puts(b, "<td class=\"text\">");
		html_evidence(b, n->detail, "");
		buf_puts(b, "</td></tr>\n");
	}
	html_table_close(b);
	put_rest(b, ns->n, LOSSES_MAX);
}

static void card(struct buf *b, uint64_t n, const char *what)
{
	buf_printf(b, "<li><b>%" PRIu64 "</b>%s%s</li>", n, what, n == 1 ? "" : "s");
}

static void put_head(struct buf *b, const struct report_image *image)
{
	static const char *const parts[][2] = {{"image", "Image and kernel"},
					       {"timeline", "Timeline"},
					       {"sessions", "Sessions"},
					       {"beyond", "Beyond the live sessions"},
					       {"losses", "Losses"}};

	buf_puts(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		    "content=\"width=device-width,initial-scale=1\">"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>ETW "
		    "sessions of ");
	html_esc(b, image->path);
	buf_puts(b, "</title>\n<style>\n");
	buf_puts(b, html_style);
	buf_puts(b, "</style></head>\n<body>\n<a class=\"skip\" href=\"#main\">To the contents</a>\n<header><h1>ETW sessions out of "
		    "memory</h1><p class=\"mono\">");
	html_evidence(b, image->path, "");
	buf_puts(b, "</p></header>\n<nav aria-label=\"Parts of this page\">");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		buf_printf(b, "<a href=\"#%s\">%s</a> ", parts[i][0], parts[i][1]);
	buf_puts(b, "</nav>\n<main id=\"main\">\n");
}

int html_write(struct html *h, struct buf *b, const struct report_image *image, const struct report_kernel *kernel,
	       const struct report_carve *carve, const struct notes *notes)
{
	put_head(b, image);
	buf_puts(b, "<ul class=\"cards\">");
	card(b, h->n_sessions, "session");
	card(b, h->buffers, "buffer");
	card(b, h->events, "event");
	card(b, h->residual_events, "residual event");
	if (carve)
		card(b, h->orphan_events, "orphaned event");
	card(b, h->files, "file");
	buf_printf(b, "<li%s><b>%zu</b>loss%s</li>", notes->n ? " class=\"warn\"" : "", notes->n, notes->n == 1 ? "" : "es");
	buf_puts(b, "</ul>\n");
	put_image(b, image, kernel);
	buf_puts(b, "<h2 id=\"timeline\">Timeline</h2>\n");
	plot_put(&h->plot, b, kernel ? kernel->boot_time : 0, kernel ? kernel->system_time : 0);
	put_sessions(h, b);
	put_beyond(h, b, carve);
	put_losses(h, b, notes);
	buf_puts(b, "</main>\n<footer><p>etlift " ETLIFT_VERSION ". report.json beside this page has every buffer and loss; recovered "
		    "bytes and built ones are told apart there.</p></footer>\n"
		    "</body>\n</html>\n");
	return b->failed ? ERR_NOMEM : 0;
}

int html_new(struct html **out, struct err *e)
{
	struct html *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&h->overview);
	buf_init(&h->sessions);
	buf_init(&h->orphans);
	*out = h;
	return 0;
}

void html_free(struct html *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_places; i++)
		free(h->place[i].name);
	free(h->place);
	plot_free(&h->plot);
	buf_free(&h->overview);
	buf_free(&h->sessions);
	buf_free(&h->orphans);
	free(h);
}
