/* recoverjob.c - the recover job of job.h: sessions from the finders into .etl files, report.json and report.html.
 *
 * Files are written under temporary names and get their final ones in batches: fsync of many small files is nearly all waiting, and a batch
 * waits in several threads. */
#include "job.h"

#include "html.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	struct carve *carve; /* NULL: not asked for */
	struct buf orphans;  /* the elements of "orphans", and of "live" of "carve" */
	struct jsonw wo;
	struct buf live;
	struct jsonw wl;
	struct html *html;
};

struct part { /* one file to be */
	const struct etw_session *s;
	const struct etw_system *sys;
	const char *origin; /* of orphans; NULL: a session */
	bool residual;
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
		if (strcasecmp(r->name[i], name) == 0) /* some file systems take them for one */
			return true;
	return false;
}

static void orphan_name(const struct part *p, unsigned attempt, char name[ETL_NAME_MAX])
{
	char again[16] = "", id[16] = "";

	if (attempt > 1)
		snprintf(again, sizeof(again), "-%u", attempt);
	if (!p->s->no_id)
		snprintf(id, sizeof(id), "%02u-", p->s->id);
	snprintf(name, ETL_NAME_MAX, "sessions/orphan-%s%u-%s%s%s.etl", id, p->s->buffer_size, p->origin, again,
		 p->residual ? ".residual" : "");
}

static int give_name(struct run *r, const struct part *p, const char **out, struct err *e)
{
	char name[ETL_NAME_MAX];
	unsigned attempt = 1;

	do
		if (p->origin)
			orphan_name(p, attempt, name);
		else
			etl_file_name(p->s, attempt, p->residual, name);
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
static int write_one(struct run *r, const struct part *p, struct report_etl *out, struct etlwrite_result *res, struct err *e)
{
	struct etlwrite_opts wo = {.residual = p->residual};
	const struct etw_session *s = p->s;
	struct outfile *f = NULL;
	const char *name = NULL;
	int rc;

	memset(out, 0, sizeof(*out));
	memset(res, 0, sizeof(*res));
	if (!has_events(p->residual ? s->residual : s->buffers, p->residual ? s->n_residual : s->n_buffers))
		return 0;
	rc = r->n_pending == BATCH ? commit_pending(r, e) : 0;
	if (rc == 0)
		rc = give_name(r, p, &name, e);
	if (rc < 0)
		return rc;
	rc = outfile_create(&f, r->dir, name, e);
	if (rc == 0)
		rc = etlwrite_session(f, s, p->sys, &wo, res, e);
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

/* Both files of a session or of a group of orphans. */
static int write_both(struct run *r, struct part p, struct report_etl *etl, struct etlwrite_result *live, struct report_etl *residual,
		      struct etlwrite_result *old, struct err *e)
{
	int rc;

	if (r->o->stop && r->o->stop(r->o->ctx))
		return err_set(e, ERR_INTR, "interrupted; what was finished is whole");
	rc = write_one(r, &p, etl, live, e);
	p.residual = true;
	return rc < 0 ? rc : write_one(r, &p, residual, old, e);
}

static int on_session(void *ctx, const struct etw_session *s, struct err *e)
{
	struct run *r = ctx;
	struct etlwrite_result live, old;
	struct report_etl etl, residual;
	int rc;

	if (r->carve && (!r->o->carve_only || carve_running(s)))
		report_live(&r->wl, s);
	if (r->o->carve_only || (r->carve && r->o->recover.want && !r->o->recover.want(r->o->recover.want_ctx, s)))
		return r->o->stop && r->o->stop(r->o->ctx) ? err_set(e, ERR_INTR, "interrupted; what was finished is whole") : 0;
	rc = write_both(r, (struct part){.s = s, .sys = r->sys}, &etl, &live, &residual, &old, e);
	if (rc < 0)
		return rc;
	report_session(&r->w, s, r->sys, &etl, &residual);
	if (r->text.failed || html_session(r->html, s, r->sys, &etl, &residual) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->res->sessions++;
	return r->o->session ? r->o->session(r->o->ctx, s, &etl, &residual, e) : 0;
}

static int on_orphan(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct run *r = ctx;
	struct report_orphan ro = {.origin = carve_origin_name(o->origin),
				   .anchor = carve_anchor_name(o->anchor),
				   .sure = carve_sure_name(o->sure),
				   .has_ring = o->has_head,
				   .ring = o->head};
	struct etlwrite_result live, old;
	struct report_etl etl, residual;
	int rc;

	if (r->o->recover.want && (o->s.no_id || !r->o->recover.want(r->o->recover.want_ctx, &o->s)))
		return 0;
	for (size_t i = 0; i < o->s.n_buffers; i++) {
		const struct etw_buffer *b = &o->s.buffers[i];

		if (!b->has_ts)
			continue;
		ro.raw_first = !ro.has_raw || b->first_ts < ro.raw_first ? b->first_ts : ro.raw_first;
		ro.raw_last = b->last_ts > ro.raw_last ? b->last_ts : ro.raw_last;
		ro.has_raw = true;
	}
	rc = write_both(r, (struct part){.s = &o->s, .sys = &o->sys, .origin = ro.origin}, &etl, &live, &residual, &old, e);
	if (rc < 0)
		return rc;
	report_orphan(&r->wo, &o->s, &o->sys, &ro, &etl, &residual);
	if (r->orphans.failed || html_orphan(r->html, &o->s, &o->sys, &ro, &etl, &residual) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->res->orphans++;
	return r->o->orphan ? r->o->orphan(r->o->ctx, o, &etl, &residual, e) : 0;
}

static struct report_carve carve_facts(const struct run *r)
{
	const struct carve_counts *n = &r->res->carved;

	return (struct report_carve){.scanned = n->scanned,
				     .unreadable = n->unreadable,
				     .shapes = n->shapes,
				     .live = n->live,
				     .copies = n->copies,
				     .orphans = n->orphans,
				     .completed = n->completed,
				     .loose = n->loose};
}

static void put_carved(struct run *r, struct jsonw *w)
{
	struct report_carve rc = carve_facts(r);

	jsonw_end(&r->wo);
	jsonw_end(&r->wl);
	jsonw_raw(w, "orphans", r->orphans.p, r->orphans.n);
	report_carve(w, &rc, r->live.p, r->live.n);
}

/* Written now; its name comes with the next commit_pending(). */
static int put_file(struct run *r, const char *name, const struct buf *b, struct err *e)
{
	struct outfile *f = NULL;
	int rc = b->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;

	if (rc == 0 && r->n_pending == BATCH)
		rc = commit_pending(r, e);
	if (rc == 0)
		rc = outfile_create(&f, r->dir, name, e);
	if (rc == 0) {
		rc = outfile_write(f, b->p, b->n, e);
		if (rc == 0)
			rc = outfile_whole(f, e);
		if (rc < 0)
			outfile_abort(f);
		else
			r->pending[r->n_pending++] = f;
	}
	if (rc == ERR_IO)
		r->res->output_failed = true;
	return rc;
}

/* report.json, and report.html for people. */
static int write_report(struct job *j, struct run *r, struct err *e)
{
	const struct report_image *image;
	const struct report_kernel *kernel;
	struct report_carve carve = carve_facts(r);
	struct jsonw w;
	struct buf b;
	int rc = job_facts(j, &image, &kernel, e);

	if (rc < 0)
		return rc;
	buf_init(&b);
	jsonw_init(&w, &b, 0);
	report_begin(&w, "etlift/report/1", image, kernel);
	jsonw_raw(&w, "sessions", r->text.p, r->text.n);
	if (r->carve)
		put_carved(r, &w);
	dump_late_notes(job_image(j)->dump);
	if (report_losses(&w, &job_image(j)->notes) < 0)
		b.failed = true;
	report_end(&w);
	rc = put_file(r, "report.json", &b, e);
	if (r->o->report)
		buf_put(r->o->report, b.p, b.n);
	buf_clear(&b);
	if (rc == 0 && html_write(r->html, &b, image, kernel, r->carve ? &carve : NULL, &job_image(j)->notes) < 0)
		b.failed = true;
	if (rc == 0)
		rc = put_file(r, "report.html", &b, e);
	buf_free(&b);
	return rc;
}

/* The last batch holds the reports behind the sessions that they tell of. */
static int finish(struct job *j, struct run *r, int rc, struct err *e)
{
	struct err later, last;
	int rc2, rc3;

	if (rc == 0 && r->res->sessions == 0 && r->res->orphans == 0 && !r->o->recover.want && !r->carve)
		rc = err_set(e, ERR_NOKERNEL, "%s: no ETW session in it", input_name(job_image(j)->dump->in));
	if (rc != 0 && rc != ERR_NOKERNEL && rc != ERR_INTR)
		return rc;
	jsonw_end(&r->w);
	rc2 = rc == ERR_INTR ? 0 : write_report(j, r, &later);
	rc3 = commit_pending(r, &last); /* also when there is no report: what was finished is whole */
	if (rc2 < 0 || rc3 < 0) {
		if (e)
			*e = rc2 < 0 ? later : last;
		return rc2 < 0 ? rc2 : rc3;
	}
	return rc;
}

static void begin_text(struct buf *b, struct jsonw *w)
{
	buf_init(b);
	jsonw_init(w, b, 1);
	jsonw_array(w, NULL, false);
}

/* The sessions, then what no session claims. An image without a kernel, or without a session, can be carved as well. */
static int run_both(struct job *j, struct run *r, struct err *e)
{
	struct etw_sink sink = {on_system, on_session, r};
	const struct recover_opts *ro = &r->o->recover;
	struct carve_opts co = {.deep = r->o->carve_deep,
				.loose = r->o->carve_loose,
				.alone = r->o->carve_only,
				.residual = ro->residual,
				.threads = r->o->threads,
				.progress = r->o->progress,
				.ctx = r->o->ctx};
	struct err none;
	size_t n = 0;
	int rc;

	if (!r->o->carve)
		return recover_run(job_image(j), ro, &sink, &n, e);
	rc = carve_image(&r->carve, job_image(j), ro, &co, &sink, on_orphan, r, &n, &none, e);
	r->sys = &job_image(j)->sys;
	if (r->carve)
		carve_counts(r->carve, &r->res->carved);
	if (rc == 0 && r->res->orphans == 0 && n == 0 && !(ro->want && r->res->carved.orphans)) {
		rc = ERR_NOKERNEL;
		err_set(e, rc, "%s, and no buffer by its shape%s", none.code ? none.msg : "no ETW session in the image",
			r->res->carved.loose ? "; --loose writes records whose buffer is not known" : "");
	}
	return rc;
}

int job_recover(struct job *j, struct outdir *d, const struct job_recover_opts *o, struct job_result *out, struct err *e)
{
	struct run r = {.dir = d, .o = o, .res = out};
	int rc;

	memset(out, 0, sizeof(*out));
	r.sys = &job_image(j)->sys;
	begin_text(&r.text, &r.w);
	begin_text(&r.orphans, &r.wo);
	begin_text(&r.live, &r.wl);
	rc = html_new(&r.html, e);
	if (rc == 0) {
		rc = run_both(j, &r, e);
		rc = finish(j, &r, rc, e);
	}
	out->losses = job_image(j)->notes.n;
	for (size_t i = 0; i < r.n_pending; i++)
		outfile_abort(r.pending[i]);
	for (size_t i = 0; i < r.n_names; i++)
		free(r.name[i]);
	free(r.name);
	carve_close(r.carve);
	html_free(r.html);
	buf_free(&r.text);
	buf_free(&r.orphans);
	buf_free(&r.live);
	return rc;
}
