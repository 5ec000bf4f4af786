/* cmd_recover.c - etlift recover, the main job, and etlift carve: buffers that no session leads to. */
#include "common.h"

#include <inttypes.h>

static int on_session(void *ctx, const struct etw_session *s, const struct report_etl *etl, const struct report_etl *residual,
		      struct err *e)
{
	struct cli *c = ctx;
	struct buf b;

	(void)e;
	if (cli_flag(c, OPT_JSON) || c->level < 0)
		return 0;
	cli_progress_end(c);
	buf_init(&b);
	text_safe(&b, s->name ? s->name : "(unreadable)");
	if (s->silo)
		printf("silo %u ", s->silo);
	printf("%02u %s%s%s: ", s->id, c->color_out ? "\033[1m" : "", buf_str(&b), c->color_out ? "\033[0m" : "");
	if (etl->path)
		printf("%" PRIu64 " event%s in %u buffer%s -> %s\n", etl->events, etl->events == 1 ? "" : "s", etl->buffers,
		       etl->buffers == 1 ? "" : "s", etl->path);
	else
		printf("no event\n");
	if (residual->path)
		printf("   residual: %" PRIu64 " event%s -> %s\n", residual->events, residual->events == 1 ? "" : "s", residual->path);
	buf_free(&b);
	return 0;
}

static int on_orphan(void *ctx, const struct carve_orphan *o, const struct report_etl *etl, const struct report_etl *residual,
		     struct err *e)
{
	struct cli *c = ctx;

	(void)e;
	if (cli_flag(c, OPT_JSON) || c->level < 0)
		return 0;
	cli_progress_end(c);
	if (o->s.no_id)
		printf("pages without a buffer");
	else
		printf("orphans of id %02u", o->s.id);
	printf(" (%s, times: %s, %s): ", carve_origin_name(o->origin), carve_anchor_name(o->anchor), carve_sure_name(o->sure));
	if (etl->path)
		printf("%" PRIu64 " event%s in %u buffer%s -> %s\n", etl->events, etl->events == 1 ? "" : "s", etl->buffers,
		       etl->buffers == 1 ? "" : "s", etl->path);
	else
		printf("copies of what is there\n");
	if (residual->path)
		printf("   residual: %" PRIu64 " event%s -> %s\n", residual->events, residual->events == 1 ? "" : "s", residual->path);
	return 0;
}

static bool progress(void *ctx, uint64_t done, uint64_t total)
{
	cli_guard(); /* it asks, here and in stop() */
	cli_progress(ctx, "carving", done, total);
	return !cli_stopped(ctx);
}

static bool stop(void *ctx)
{
	cli_guard();
	return cli_stopped(ctx);
}

static int run(struct cli *c, struct job *j, struct outdir *d, bool carve_only)
{
	struct buf report;
	struct job_recover_opts o = {.recover = {.deep = cli_flag(c, OPT_DEEP), .residual = !cli_flag(c, OPT_NO_RESIDUAL)},
				     .threads = cli_threads(c),
				     .stop = stop,
				     .session = on_session,
				     .carve = carve_only || cli_flag(c, OPT_CARVE) || cli_flag(c, OPT_LOOSE),
				     .carve_only = carve_only,
				     .carve_deep = cli_flag(c, OPT_DEEP),
				     .carve_loose = cli_flag(c, OPT_LOOSE),
				     .progress = progress,
				     .orphan = on_orphan,
				     .ctx = c,
				     .report = cli_flag(c, OPT_JSON) ? &report : NULL};
	struct job_result res;
	struct err e;
	int rc, status;

	if (cli_flag(c, OPT_SESSION)) {
		o.recover.want = want_session;
		o.recover.want_ctx = c;
	}
	buf_init(&report);
	rc = job_recover(j, d, &o, &res, &e);
	cli_progress_end(c);
	if (report.n)
		fwrite(report.p, 1, report.n, stdout);
	buf_free(&report);
	if (rc < 0)
		return fail_on_image(c, &e, !res.output_failed);
	status = losses_status(c, j);
	if (!res.sessions && !res.orphans && cli_flag(c, OPT_SESSION))
		cli_warn(c, "--session: no session fits");
	if (o.carve)
		cli_info(c, "%zu buffers by their shape: %zu of recovered sessions (%zu of them completed), %zu orphans, %zu copies",
			 res.carved.shapes, res.carved.live, res.carved.completed, res.carved.orphans, res.carved.copies);
	if (res.carved.loose)
		cli_info(c, "%zu run%s of pages with records whose buffer is not known%s", res.carved.loose,
			 res.carved.loose == 1 ? "" : "s", cli_flag(c, OPT_LOOSE) ? "" : ": --loose writes them");
	cli_info(c, "%zu sessions, %zu files, %" PRIu64 " events", res.sessions, res.files, res.events);
	return status;
}

static int recover_or_carve(struct cli *c, bool carve_only)
{
	struct outdir *d;
	struct job *j;
	struct err e;
	int status;

	if (!cli_flag(c, OPT_OUTPUT)) {
		cli_error(c, "%s: no output folder is given; add -o DIR", c->cmd->name);
		return EXIT_USAGE;
	}
	status = open_image(c, &j, !carve_only);
	if (status)
		return status;
	if (outdir_open(&d, cli_str(c, OPT_OUTPUT), cli_flag(c, OPT_FORCE), &e) < 0) {
		status = cli_fail(c, &e, false);
	} else {
		status = run(c, j, d, carve_only);
		outdir_close(d);
	}
	job_close(j);
	return status;
}

int cmd_recover(struct cli *c)
{
	return recover_or_carve(c, false);
}

int cmd_carve(struct cli *c)
{
	return recover_or_carve(c, true);
}
