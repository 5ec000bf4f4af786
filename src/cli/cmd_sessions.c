/* cmd_sessions.c - etlift sessions: every ETW session of every silo. */
#include "common.h"

#include "wintime.h"

struct list {
	struct jsonw w;
	struct buf b;
	struct table t;
	bool json;
};

static void found_by(struct table *t, uint32_t bits)
{
	char s[200] = "";
	size_t n = 0;

	for (unsigned i = 0; i < 32 && n < sizeof(s); i++)
		if (bits >> i & 1)
			n += (size_t)snprintf(s + n, sizeof(s) - n, "%s%s", n ? "," : "", etw_found_by_name(i));
	table_add(t, *s ? s : NULL);
}

static void add_row(struct table *t, const struct etw_session *s)
{
	char when[WINTIME_STR];

	table_addf(t, "%u", s->silo);
	table_addf(t, "%u", s->id);
	table_add(t, s->name ? s->name : "(unreadable)");
	table_addf(t, "0x%x", s->mode);
	table_add(t, etw_clock_name(s->clock));
	table_add(t, s->start_time && wintime_text(s->start_time, when) ? when : NULL);
	if (s->has_buffer_size)
		table_addf(t, "%u", s->buffer_size);
	else
		table_add(t, NULL);
	table_addf(t, "%u", s->buffer_count);
	if (s->has_counters)
		table_addf(t, "%u", s->events_lost);
	else
		table_add(t, NULL);
	found_by(t, s->found_by);
}

static int on_session(void *ctx, const struct etw_session *s, struct err *e)
{
	struct list *l = ctx;

	if (l->json)
		report_session_brief(&l->w, s);
	else
		add_row(&l->t, s);
	return l->b.failed || l->t.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int cmd_sessions(struct cli *c)
{
	static const char *const titles[] = {">SILO",        ">ID",      "NAME",         "MODE",     "CLOCK", "STARTED",
					     ">BUFFER SIZE", ">BUFFERS", ">EVENTS LOST", "FOUND BY", NULL};
	struct recover_opts o = {.deep = cli_flag(c, OPT_DEEP), .list_only = true, .want = want_session, .want_ctx = c};
	struct list l = {.json = cli_flag(c, OPT_JSON)};
	struct etw_sink sink = {NULL, on_session, &l};
	struct job *j;
	struct err e;
	size_t n = 0;
	int rc, status = open_image(c, &j, true);

	if (status)
		return status;
	table_init(&l.t, titles);
	if (l.json)
		status = document_begin(c, j, &l.w, &l.b);
	if (status) {
		job_close(j);
		return status;
	}
	if (l.json)
		jsonw_array(&l.w, "sessions", false);
	rc = recover_run(job_image(j), &o, &sink, &n, &e);
	if (rc == 0 && n == 0 && !cli_flag(c, OPT_SESSION))
		rc = err_set(&e, ERR_NOKERNEL, "%s: no ETW session in it", c->arg[0]);
	if (l.json) {
		jsonw_end(&l.w);
		status = document_end(c, j, &l.w, &l.b);
	}
	if (table_print(&l.t, l.json || n == 0 ? NULL : stdout, c->color_out) < 0)
		status = EXIT_INTERNAL;
	if (rc < 0)
		status = fail_on_image(c, &e, true);
	else if (!status)
		status = losses_status(c, j);
	job_close(j);
	return status;
}
