/* cmd_providers.c - etlift providers: registrations, and the sessions that enable them. */
#include "common.h"

#include <inttypes.h>

static bool wanted(const struct cli *c, const struct etw_provider *p, const struct session_names *names)
{
	const struct opt_value *o = &c->opt[OPT_PROVIDER];
	bool ok = o->count == 0;
	struct guid g;

	for (unsigned i = 0; i < o->count && !ok; i++)
		ok = (guid_parse(o->list[i], &g) && guid_equal(&g, &p->guid)) || (p->name && cli_glob(o->list[i], p->name));
	if (!ok || !want_pid(c, p->has_pid, p->pid) || (cli_flag(c, OPT_ENABLED) && !p->n_enabled))
		return false;
	ok = !cli_flag(c, OPT_SESSION);
	for (size_t i = 0; i < p->n_enabled && !ok; i++) {
		const struct session_name *s = session_names_find(names, p->enabled[i].silo, p->enabled[i].session_id);

		ok = want_session_id(c, p->enabled[i].session_id, s ? s->name : NULL);
	}
	return ok;
}

static void add_row(struct table *t, const struct etw_provider *p, const struct session_names *names)
{
	char guid[GUID_STR];
	struct buf b;

	guid_text(&p->guid, guid);
	table_add(t, guid);
	table_add(t, p->name);
	if (p->has_pid)
		table_addf(t, "%" PRIu64, p->pid);
	else
		table_add(t, NULL);
	table_add(t, p->process);
	buf_init(&b);
	for (size_t i = 0; i < p->n_enabled; i++) {
		const struct etw_enable *en = &p->enabled[i];
		const struct session_name *s = session_names_find(names, en->silo, en->session_id);

		buf_printf(&b, "%s%u", i ? "; " : "", en->session_id);
		if (s && s->name)
			buf_printf(&b, " %s", s->name);
		buf_printf(&b, " level %u any 0x%" PRIx64 " all 0x%" PRIx64, en->level, en->match_any, en->match_all);
	}
	table_add(t, p->n_enabled ? buf_str(&b) : p->registered ? "(not enabled)" : "(not registered)");
	buf_free(&b);
}

static int print(struct cli *c, struct job *j, const struct etw_provider *v, size_t n, const struct session_names *names)
{
	static const char *const titles[] = {"GUID", "NAME", ">PID", "PROCESS", "ENABLED FOR", NULL};
	bool json = cli_flag(c, OPT_JSON);
	struct table t;
	struct jsonw w;
	struct buf b;
	int status = json ? document_begin(c, j, &w, &b) : 0;

	if (status)
		return status;
	table_init(&t, titles);
	if (json)
		jsonw_array(&w, "providers", false);
	for (size_t i = 0; i < n; i++) {
		if (!wanted(c, &v[i], names))
			continue;
		if (json)
			report_provider(&w, &v[i]);
		else
			add_row(&t, &v[i], names);
	}
	if (json) {
		jsonw_end(&w);
		status = document_end(c, j, &w, &b);
	}
	if (table_print(&t, json ? NULL : stdout, c->color_out) < 0)
		status = EXIT_INTERNAL;
	return status ? status : losses_status(c, j);
}

int cmd_providers(struct cli *c)
{
	struct session_names names = {0};
	struct etw_provider *v = NULL;
	struct job *j;
	struct err e;
	size_t n = 0;
	int status = open_image(c, &j, true);

	if (status)
		return status;
	if (session_names(&names, j, &e) < 0 || recover_providers(job_image(j), &v, &n, &e) < 0)
		status = fail_on_image(c, &e, true);
	else
		status = print(c, j, v, n, &names);
	recover_providers_free(v, n);
	session_names_free(&names);
	job_close(j);
	return status;
}
