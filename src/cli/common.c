/* common.c - see common.h */
#include "common.h"
#include "physscan.h"

#include <stdlib.h>
#include <string.h>

static void hash_progress(void *ctx, uint64_t done, uint64_t total)
{
	cli_progress(ctx, "hashing", done, total);
}

int open_image(struct cli *c, struct job **out, bool need_profile)
{
	const char *no_builtin = cli_str(c, OPT_NO_BUILTIN);
	struct job_opts o = {.symbols = c->opt[OPT_SYMBOLS].list,
			     .n_symbols = c->opt[OPT_SYMBOLS].count,
			     .profile = cli_str(c, OPT_PROFILE),
			     .no_builtin = cli_flag(c, OPT_NO_BUILTIN) && !no_builtin,
			     .no_builtin_build = no_builtin != NULL,
			     .has_dtb = cli_flag(c, OPT_DTB),
			     .dtb = c->opt[OPT_DTB].num,
			     .pagefiles = c->opt[OPT_PAGEFILE].list,
			     .n_pagefiles = c->opt[OPT_PAGEFILE].count,
			     .sidecar = cli_str(c, OPT_SIDECAR),
			     .spill = cli_str(c, OPT_SPILL),
			     .need_profile = need_profile};
	struct err e;
	int rc = job_open(out, c->arg[0], &o, &e);

	if (rc < 0)
		return cli_fail(c, &e, true);
	if (job_image(*out)->dump->advice[0])
		cli_warn(c, "%s: %s", c->arg[0], job_image(*out)->dump->advice);
	if (cli_flag(c, OPT_SHA256)) {
		rc = job_hash(*out, cli_stopped, hash_progress, c, &e);
		cli_progress_end(c);
		if (rc < 0) {
			job_close(*out);
			return cli_fail(c, &e, true);
		}
	}
	return 0;
}

static int add_name(void *ctx, const struct etw_session *s, struct err *e)
{
	struct session_names *names = ctx;
	char *copy = s->name ? strdup(s->name) : NULL;

	if ((s->name && !copy) || arr_reserve((void **)&names->v, &names->cap, names->n, sizeof(*names->v)) < 0) {
		free(copy);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	names->v[names->n++] = (struct session_name){s->silo, s->id, copy};
	return 0;
}

int session_names(struct session_names *out, struct job *j, struct err *e)
{
	struct recover_opts o = {.list_only = true};
	struct etw_sink sink = {NULL, add_name, out};
	size_t n;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = recover_run(job_image(j), &o, &sink, &n, e);
	if (rc == ERR_NOKERNEL)
		rc = 0;
	if (rc < 0)
		session_names_free(out);
	return rc;
}

void session_names_free(struct session_names *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

const struct session_name *session_names_find(const struct session_names *s, uint32_t silo, uint32_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].silo == silo && s->v[i].id == id)
			return &s->v[i];
	return NULL;
}

unsigned cli_threads(const struct cli *c)
{
	uint64_t n = c->opt[OPT_THREADS].num;

	return n > PHYSSCAN_THREADS_MAX ? PHYSSCAN_THREADS_MAX : (unsigned)n;
}

bool want_session_id(const struct cli *c, uint32_t id, const char *name)
{
	const struct opt_value *o = &c->opt[OPT_SESSION];
	uint64_t v;

	for (unsigned i = 0; i < o->count; i++)
		if ((cli_number(o->list[i], &v) && v == id) || (name && cli_glob(o->list[i], name)))
			return true;
	return o->count == 0;
}

bool want_session(void *cli, const struct etw_session *s)
{
	return want_session_id(cli, s->id, s->name);
}

bool want_pid(const struct cli *c, bool has_pid, uint64_t pid)
{
	const struct opt_value *o = &c->opt[OPT_PID];

	for (unsigned i = 0; i < o->count; i++)
		if (has_pid && o->nums[i] == pid)
			return true;
	return o->count == 0;
}

int fail_on_image(struct cli *c, struct err *e, bool input)
{
	if (input && strncmp(e->msg, c->arg[0], strlen(c->arg[0])) != 0)
		err_prepend(e, "%s", c->arg[0]);
	return cli_fail(c, e, input);
}

int document_begin(struct cli *c, struct job *j, struct jsonw *w, struct buf *b)
{
	const struct report_image *image;
	const struct report_kernel *kernel;
	char schema[40];
	struct err e;

	if (job_facts(j, &image, &kernel, &e) < 0)
		return cli_fail(c, &e, false);
	snprintf(schema, sizeof(schema), "etlift/%s/1", c->cmd->name);
	buf_init(b);
	jsonw_init(w, b, 0);
	report_begin(w, schema, image, kernel);
	return 0;
}

int document_end(struct cli *c, struct job *j, struct jsonw *w, struct buf *b)
{
	int status = 0;

	dump_late_notes(job_image(j)->dump);
	if (report_losses(w, &job_image(j)->notes) < 0)
		b->failed = true;
	report_end(w);
	if (b->failed) {
		cli_error(c, "out of memory");
		status = EXIT_INTERNAL;
	} else {
		fwrite(b->p, 1, b->n, stdout);
	}
	buf_free(b);
	return status;
}

int losses_status(struct cli *c, struct job *j)
{
	const struct notes *ns = &job_image(j)->notes;

	dump_late_notes(job_image(j)->dump);
	for (size_t i = 0; i < ns->n; i++)
		cli_info(c, "loss: %s: %s", note_word(ns->v[i].what), ns->v[i].detail);
	if (ns->n)
		cli_warn(c, "%s: %zu loss%s", c->arg[0], ns->n, ns->n == 1 ? "" : "es");
	return ns->n && cli_flag(c, OPT_STRICT) ? EXIT_LOSSES : EXIT_OK;
}
