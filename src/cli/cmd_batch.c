/* cmd_batch.c - etlift batch: recover from many images, each in a process of its own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "batchrun.h"
#include "outfile.h"

#define JOBS_DEFAULT 2u
#define JOBS_MAX     256u

static void say(struct batch *b, const struct batch_image *im)
{
	struct buf t;

	b->done++;
	if (cli_flag(b->c, OPT_JSON) || b->c->level < 0)
		return;
	cli_progress_end(b->c);
	buf_init(&t);
	text_safe(&t, im->path);
	buf_puts(&t, ": ");
	if (!batch_failed(im))
		buf_printf(&t, "%" PRIu64 " sessions, %" PRIu64 " events, %" PRIu64 " losses -> ", im->sessions, im->events, im->losses);
	text_safe(&t, batch_failed(im) ? batch_reason(im) : im->folder);
	printf("%s\n", buf_str(&t));
	fflush(stdout);
	buf_free(&t);
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------------------- */

static struct batch_image *by_pid(struct batch *b, pid_t pid)
{
	for (size_t i = 0; i < b->list.n; i++)
		if (b->list.v[i].state == BATCH_RUNNING && b->list.v[i].pid == pid)
			return &b->list.v[i];
	return NULL;
}

/* Bytes of what is done, and of what the processes have read: an image counts as nine tenths done when as many bytes as it has were read. */
static void progress(struct batch *b)
{
	uint64_t bytes = b->bytes_done;

	if (!b->c->progress)
		return;
	for (size_t i = 0; i < b->list.n && b->running; i++) {
		const struct batch_image *im = &b->list.v[i];
		uint64_t n = im->state == BATCH_RUNNING ? child_bytes_read(im->pid) : 0;

		bytes += n < im->bytes / 10 * 9 ? n : im->bytes / 10 * 9;
	}
	snprintf(b->label, sizeof(b->label), "%zu of %zu images", b->done, b->n_own);
	cli_progress(b->c, b->label, bytes, b->bytes);
}

/* Starts the next image. One that can't be started waits for another one to end; when none runs, it has failed. */
static void start_next(struct batch *b, size_t *next, bool *full)
{
	struct batch_image *im = &b->list.v[*next];
	struct err e;

	if (im->state == BATCH_WAITING && batch_start(b, im, &e) < 0) {
		*full = e.code != ERR_EXISTS && b->running > 0;
		if (*full)
			return;
		im->state = BATCH_ENDED;
		im->exit = EXIT_INTERNAL;
		snprintf(im->error, sizeof(im->error), "%s: %s", im->path, e.msg);
	}
	if (im->state == BATCH_ENDED)
		say(b, im);
	*next += b->parts;
}

static int run_all(struct batch *b, struct err *e)
{
	unsigned jobs = b->c->opt[OPT_THREADS].set ? (unsigned)b->c->opt[OPT_THREADS].num : JOBS_DEFAULT;
	size_t next = b->part;
	bool full = false;
	int rc = 0;

	if (jobs < 1 || jobs > JOBS_MAX)
		jobs = jobs < 1 ? 1 : JOBS_MAX;
	while (next < b->list.n || b->running) {
		struct child_end end;

		while (!cli_stopped(NULL) && next < b->list.n && b->running < jobs && !full)
			start_next(b, &next, &full);
		rc = b->running ? child_wait(&end, 200, e) : 0;
		if (cli_stopped(NULL)) {
			rc = err_set(e, ERR_INTR, "interrupted; --resume goes on");
			break;
		}
		if (rc < 0)
			break;
		if (rc > 0) {
			struct batch_image *im = by_pid(b, end.pid);

			full = false;
			if (im) {
				batch_ended(b, im, &end);
				say(b, im);
			}
		}
		progress(b);
	}
	cli_progress_end(b->c);
	if (rc < 0)
		batch_stop(b);
	return rc < 0 ? rc : 0;
}

static int put_summary(struct batch *b, const char *name, void (*text)(struct buf *, const struct batch_list *), bool print, struct err *e)
{
	struct outfile *f = NULL;
	struct buf t;
	int rc;

	buf_init(&t);
	text(&t, &b->list);
	rc = t.failed ? err_set(e, ERR_NOMEM, "out of memory") : outfile_create(&f, b->dir, name, e);
	if (rc == 0) {
		rc = outfile_write(f, t.p, t.n, e);
		if (rc < 0)
			outfile_abort(f);
		else
			rc = outfile_commit(f, e);
	}
	if (rc == 0 && print)
		fwrite(t.p, 1, t.n, stdout);
	buf_free(&t);
	return rc;
}

static int collect(struct batch *b, struct err *e)
{
	const struct opt_value *lists = &b->c->opt[OPT_LIST];
	int rc = 0;

	b->list.skip = b->out;
	for (size_t i = 0; rc == 0 && i < b->c->n_args; i++)
		rc = batch_list_add(&b->list, b->c->arg[i], e);
	for (unsigned i = 0; rc == 0 && i < lists->count; i++)
		rc = batch_list_file(&b->list, lists->list[i], e);
	if (rc == 0)
		rc = batch_list_settle(&b->list, e);
	if (rc == 0)
		rc = batch_list_names(&b->list, e);
	for (size_t i = b->part; rc == 0 && i < b->list.n; i += b->parts) {
		b->bytes += b->list.v[i].bytes;
		b->n_own++;
	}
	return rc;
}

/* --part K/N */
static int read_part(struct batch *b, struct err *e)
{
	const char *text = cli_str(b->c, OPT_PART), *slash = text ? strchr(text, '/') : NULL;
	uint64_t k = 1, n = 1;
	char first[24];

	if (text) {
		snprintf(first, sizeof(first), "%.*s", slash ? (int)(slash - text) : 0, text);
		if (!slash || slash - text > 20 || !cli_number(first, &k) || !cli_number(slash + 1, &n) || k < 1 || k > n ||
		    n > BATCH_IMAGES_MAX)
			return err_set(e, ERR_USAGE, "--part: '%s' is not like 3/20: a part, and how many there are", text);
		if (cli_flag(b->c, OPT_SUM_UP))
			return err_set(e, ERR_USAGE, "--part and --sum-up exclude each other");
	}
	b->part = (unsigned)k - 1;
	b->parts = (unsigned)n;
	return 0;
}

static int sum_up(struct batch *b, struct err *e)
{
	int rc = put_summary(b, "batch.csv", batch_summary_csv, false, e);

	return rc < 0 ? rc : put_summary(b, "batch.json", batch_summary_json, cli_flag(b->c, OPT_JSON), e);
}

/* The failed ones once more, behind all the lines of the others. */
static void name_failures(struct batch *b)
{
	size_t failed = 0;

	for (size_t i = b->part; i < b->list.n; i += b->parts)
		failed += batch_failed(&b->list.v[i]);
	if (!failed)
		return;
	cli_error(b->c, "%zu of %zu images failed:", failed, b->n_own);
	for (size_t i = b->part; i < b->list.n; i += b->parts)
		if (batch_failed(&b->list.v[i]))
			cli_error(b->c, "%s: %s", b->list.v[i].path, batch_reason(&b->list.v[i]));
}

static int worst_of(const struct batch *b)
{
	int worst = EXIT_OK;

	for (size_t i = b->part; i < b->list.n; i += b->parts) {
		int s = b->list.v[i].exit;

		if (s < 0) /* killed, or not done */
			s = EXIT_INTERNAL;
		worst = s > worst ? s : worst;
	}
	return worst;
}

static int run(struct batch *b)
{
	struct err e, e2;
	int rc = read_part(b, &e);

	if (rc < 0)
		return cli_fail(b->c, &e, false);
	rc = collect(b, &e);
	if (rc < 0)
		return cli_fail(b->c, &e, true);
	if (!b->list.n) {
		cli_error(b->c, "batch: no image is given, or the folders are empty");
		return EXIT_USAGE;
	}
	rc = batch_words(b, &e);
	if (rc == 0)
		rc = outdir_open(&b->dir, b->out, cli_flag(b->c, OPT_FORCE) || cli_flag(b->c, OPT_RESUME) || cli_flag(b->c, OPT_SUM_UP),
				 &e);
	if (rc < 0)
		return cli_fail(b->c, &e, false);
	if (!cli_flag(b->c, OPT_SUM_UP))
		rc = run_all(b, &e);
	if (!cli_flag(b->c, OPT_PART)) {
		batch_read_jobs(b);
		if (sum_up(b, &e2) < 0 && rc == 0) {
			rc = e2.code;
			e = e2;
		}
	}
	if (rc < 0)
		return cli_fail(b->c, &e, false);
	name_failures(b);
	return worst_of(b);
}

int cmd_batch(struct cli *c)
{
	struct batch b = {.c = c, .out = cli_str(c, OPT_OUTPUT)};
	int status;

	if (!b.out) {
		cli_error(c, "batch: no output folder is given; add -o DIR");
		return EXIT_USAGE;
	}
	if (strlen(b.out) > 4000) {
		cli_error(c, "batch: the output folder's name is too long");
		return EXIT_USAGE;
	}
	cli_guard();
	buf_init(&b.options);
	status = run(&b);
	outdir_close(b.dir);
	batch_list_free(&b.list);
	buf_free(&b.options);
	for (size_t i = 0; i < b.n_words; i++)
		free(b.word[i]);
	return status;
}
