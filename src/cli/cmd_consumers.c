/* cmd_consumers.c - etlift consumers: who reads which session in real time. */
#include "common.h"

#include <inttypes.h>

static void add_row(struct table *t, const struct etw_consumer *k, const struct session_name *s)
{
	if (k->has_session)
		table_addf(t, "%u", k->session_id);
	else
		table_add(t, NULL);
	table_add(t, s ? s->name : NULL);
	if (k->has_pid)
		table_addf(t, "%" PRIu64, k->pid);
	else
		table_add(t, NULL);
	table_add(t, k->process);
	table_addf(t, "%u", k->buffers);
	table_add(t, k->wow64 ? "yes" : "no");
	table_addf(t, "0x%" PRIx64, k->va);
}

static int print(struct cli *c, struct job *j, const struct etw_consumer *v, size_t n, const struct session_names *names)
{
	static const char *const titles[] = {">SESSION", "NAME", ">PID", "PROCESS", ">BUFFERS", "32-BIT", "ADDRESS", NULL};
	bool json = cli_flag(c, OPT_JSON);
	struct table t;
	struct jsonw w;
	struct buf b;
	int status = json ? document_begin(c, j, &w, &b) : 0;

	if (status)
		return status;
	table_init(&t, titles);
	if (json)
		jsonw_array(&w, "consumers", false);
	for (size_t i = 0; i < n; i++) {
		const struct session_name *s = v[i].has_session ? session_names_find(names, v[i].silo, v[i].session_id) : NULL;

		if (!want_pid(c, v[i].has_pid, v[i].pid))
			continue;
		if (cli_flag(c, OPT_SESSION) && !(v[i].has_session && want_session_id(c, v[i].session_id, s ? s->name : NULL)))
			continue;
		if (json)
			report_consumer(&w, &v[i]);
		else
			add_row(&t, &v[i], s);
	}
	if (json) {
		jsonw_end(&w);
		status = document_end(c, j, &w, &b);
	}
	if (table_print(&t, json ? NULL : stdout, c->color_out) < 0)
		status = EXIT_INTERNAL;
	return status ? status : losses_status(c, j);
}

int cmd_consumers(struct cli *c)
{
	struct session_names names = {0};
	struct etw_consumer *v = NULL;
	struct job *j;
	struct err e;
	size_t n = 0;
	int status = open_image(c, &j, true);

	if (status)
		return status;
	if (session_names(&names, j, &e) < 0 || recover_consumers(job_image(j), &v, &n, &e) < 0)
		status = fail_on_image(c, &e, true);
	else
		status = print(c, j, v, n, &names);
	recover_consumers_free(v, n);
	session_names_free(&names);
	job_close(j);
	return status;
}
