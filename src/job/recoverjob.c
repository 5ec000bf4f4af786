/* recoverjob.c - the recover job of job.h: sessions from the finders into .etl files and report.json.
 *
 * Files are written under temporary names and get their final ones in batches: fsync of many small files is nearly all waiting, and a batch
 * waits in several threads. */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#define BATCH          96 /* files open at once: two descriptors and a write buffer each */
#define COMMIT_DEFAULT 8
#define NAME_TRIES     100000u

struct run {
	struct outdir *dir;
	const struct job_recover_opts *o;
	struct job_result *res;
	const struct etw_system *sys;
	struct outfile *pending[BATCH];
	size_t n_pending;
	char **name; /* owned; every name that was given out */
	size_t n_names, cap_names;
	struct buf text; /* the elements of "sessions" */
	struct jsonw w;
};

static int commit_pending(struct run *r, struct err *e)
{
	int rc = outfile_commit_all(r->pending, r->n_pending, r->o->threads ? r->o->threads : COMMIT_DEFAULT, e);

	r->n_pending = 0;
	if (rc < 0)
		r->res->output_failed = true;
	return rc;
}

static bool name_taken(const struct run *r, const char *name)
{
	for (size_t i = 0; i < r->n_names; i++)
		if (strcmp(r->name[i], name) == 0)
			return true;
	return false;
}

static int give_name(struct run *r, const struct etw_session *s, bool residual, const char **out, struct err *e)
{
	char name[ETL_NAME_MAX];
	unsigned attempt = 1;

	do
		etl_file_name(s, attempt, residual, name);
	while (name_taken(r, name) && ++attempt < NAME_TRIES);
	if (arr_reserve((void **)&r->name, &r->cap_names, r->n_names, sizeof(*r->name)) < 0 || !(r->name[r->n_names] = strdup(name)))
		return err_set(e, ERR_NOMEM, "out of memory");
	*out = r->name[r->n_names++];
	return 0;
}

static bool has_events(const struct etw_buffer *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i].n_events && !b[i].has_same_as)
			return true;
	return false;
}

/* One file of a session; *out keeps path NULL when there is nothing to write. out->sha256 points into *res. */
static int write_one(struct run *r, const struct etw_session *s, bool residual, struct report_etl *out, struct etlwrite_result *res,
		     struct err *e)
{
	struct etlwrite_opts wo = {.residual = residual};
	struct outfile *f = NULL;
	const char *name = NULL;
	int rc;

	memset(out, 0, sizeof(*out));
	if (!has_events(residual ? s->residual : s->buffers, residual ? s->n_residual : s->n_buffers))
		return 0;
	rc = r->n_pending == BATCH ? commit_pending(r, e) : 0;
	if (rc == 0)
		rc = give_name(r, s, residual, &name, e);
	if (rc < 0)
		return rc;
	rc = outfile_create(&f, r->dir, name, e);
	if (rc == 0)
		rc = etlwrite_session(f, s, r->sys, &wo, res, e);
	if (rc == 0)
		rc = outfile_whole(f, e);
	if (rc == ERR_NOTFOUND) {
		outfile_abort(f);
		return 0;
	}
	if (rc < 0) {
		outfile_abort(f);
		r->res->output_failed = rc == ERR_IO;
		return rc;
	}
	r->pending[r->n_pending++] = f;
	r->res->files++;
	r->res->events += res->events;
	*out = (struct report_etl){name,        res->bytes,     res->sha256,      res->buffers,
				   res->events, res->has_times, res->first_event, res->last_event};
	return 0;
}

static int on_system(void *ctx, const struct etw_system *sys, struct err *e)
{
	struct run *r = ctx;

	(void)e;
	r->sys = sys;
	return 0;
}

static int on_session(void *ctx, const struct etw_session *s, struct err *e)
{
	struct run *r = ctx;
	struct etlwrite_result live, old;
	struct report_etl etl, residual;
	int rc;

	if (r->o->stop && r->o->stop(r->o->ctx))
		return err_set(e, ERR_INTR, "interrupted; what was finished is whole");
	rc = write_one(r, s, false, &etl, &live, e);
	if (rc == 0)
		rc = write_one(r, s, true, &residual, &old, e);
	if (rc < 0)
		return rc;
	report_session(&r->w, s, r->sys, &etl, &residual);
	if (r->text.failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->res->sessions++;
	return r->o->session ? r->o->session(r->o->ctx, s, &etl, &residual, e) : 0;
}

static int write_report(struct job *j, struct run *r, struct err *e)
{
	const struct report_image *image;
	const struct report_kernel *kernel;
	struct outfile *f = NULL;
	struct jsonw w;
	struct buf b;
	int rc = job_facts(j, &image, &kernel, e);

	if (rc < 0)
		return rc;
	buf_init(&b);
	jsonw_init(&w, &b, 0);
	report_begin(&w, "etlift/report/1", image, kernel);
	jsonw_raw(&w, "sessions", r->text.p, r->text.n);
	if (report_losses(&w, &job_image(j)->notes) < 0)
		b.failed = true;
	report_end(&w);
	if (b.failed)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	else
		rc = outfile_create(&f, r->dir, "report.json", e);
	if (rc == 0) {
		rc = outfile_write(f, b.p, b.n, e);
		if (rc < 0)
			outfile_abort(f);
		else
			rc = outfile_commit(f, e);
	}
	if (rc == ERR_IO)
		r->res->output_failed = true;
	if (r->o->report)
		buf_put(r->o->report, b.p, b.n);
	buf_free(&b);
	return rc;
}

static int finish(struct job *j, struct run *r, int rc, struct err *e)
{
	struct err later;
	int rc2;

	if (rc == ERR_INTR || rc == ERR_NOKERNEL || rc == 0) {
		rc2 = commit_pending(r, &later);
		if (rc2 < 0) {
			if (e)
				*e = later;
			return rc2;
		}
	}
	if (rc == 0 && r->res->sessions == 0 && !r->o->recover.want)
		rc = err_set(e, ERR_NOKERNEL, "%s: no ETW session in it", input_name(job_image(j)->dump->in));
	if (rc != 0 && rc != ERR_NOKERNEL)
		return rc;
	jsonw_end(&r->w);
	rc2 = write_report(j, r, &later);
	if (rc2 < 0) {
		if (e)
			*e = later;
		return rc2;
	}
	return rc;
}

int job_recover(struct job *j, struct outdir *d, const struct job_recover_opts *o, struct job_result *out, struct err *e)
{
	struct run r = {.dir = d, .o = o, .res = out};
	struct etw_sink sink = {on_system, on_session, &r};
	size_t n = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	r.sys = &job_image(j)->sys;
	buf_init(&r.text);
	jsonw_init(&r.w, &r.text, 1);
	jsonw_array(&r.w, NULL, false);
	rc = recover_run(job_image(j), &o->recover, &sink, &n, e);
	rc = finish(j, &r, rc, e);
	out->losses = job_image(j)->notes.n;
	for (size_t i = 0; i < r.n_pending; i++)
		outfile_abort(r.pending[i]);
	for (size_t i = 0; i < r.n_names; i++)
		free(r.name[i]);
	free(r.name);
	buf_free(&r.text);
	return rc;
}
