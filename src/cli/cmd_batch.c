/* cmd_batch.c - etlift batch: recover from many images, each in a process of its own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "batchlist.h"
#include "child.h"
#include "input.h"
#include "outfile.h"
#include "outtree.h"

#define JOBS_DEFAULT   2u
#define JOBS_MAX       256u
#define MEMORY_DEFAULT 4096u /* MiB */
#define ARGS_MAX       600
#define SAME           111 /* exit status of a child that found the image finished */
#define HASH_STEP      (1u << 20)
#define LOG_BYTES_MAX  (1u << 20)

struct batch {
	struct cli *c;
	struct outdir *dir;
	const char *out;
	struct batch_list list;
	struct buf options; /* the words that are handed on, one a line: part of what --resume compares */
	const char *argv[ARGS_MAX];
	size_t n_argv;
	char *word[ARGS_MAX]; /* owned */
	size_t n_words;
	uint64_t bytes_done, bytes;
	size_t running;
};

/* ---- the words for the children ------------------------------------------------------------------------------------------------------------ */

static void put_word(struct batch *b, const char *name, const char *value)
{
	struct buf w;

	if (b->n_argv + 8 >= ARGS_MAX)
		return; /* the caller looks at n_argv */
	buf_init(&w);
	buf_printf(&w, "--%s%s%s", name, value ? "=" : "", value ? value : "");
	b->word[b->n_words] = strdup(buf_str(&w));
	buf_free(&w);
	if (!b->word[b->n_words]) {
		b->options.failed = true;
		return;
	}
	buf_printf(&b->options, "%s\n", b->word[b->n_words]);
	b->argv[b->n_argv++] = b->word[b->n_words++];
}

static int put_words(struct batch *b, struct err *e)
{
	b->argv[b->n_argv++] = "etlift";
	b->argv[b->n_argv++] = "recover";
	b->argv[b->n_argv++] = "--no-progress";
	b->argv[b->n_argv++] = "--force"; /* the working folder is ours */
	for (int id = 0; id < OPT_COUNT; id++) {
		const struct opt_value *v = &b->c->opt[id];

		if (!(OPTS_FORWARD >> id & 1) || !v->set)
			continue;
		if (opt_defs[id].kind == K_LIST)
			for (unsigned i = 0; i < v->count; i++)
				put_word(b, opt_defs[id].long_name, v->list[i]);
		else
			put_word(b, opt_defs[id].long_name, opt_defs[id].kind == K_FLAG ? NULL : v->str);
	}
	if (b->n_argv + 8 >= ARGS_MAX)
		return err_set(e, ERR_USAGE, "too many options for a batch");
	return b->options.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* ---- one image ----------------------------------------------------------------------------------------------------------------------------- */

#define PATH_ROOM 4600

struct job_paths {
	char work_name[160], work[PATH_ROOM], log[PATH_ROOM], report[PATH_ROOM], done[PATH_ROOM];
};

static void paths(const struct batch *b, const struct batch_image *im, struct job_paths *p)
{
	snprintf(p->work_name, sizeof(p->work_name), ".work-%s", im->folder);
	snprintf(p->work, sizeof(p->work), "%s/%s", b->out, p->work_name);
	snprintf(p->log, sizeof(p->log), "%s/log.txt", p->work);
	snprintf(p->report, sizeof(p->report), "%s/report.json", p->work);
	snprintf(p->done, sizeof(p->done), "%s/%s/job.json", b->out, im->folder);
}

struct first { /* what a child does before it becomes `recover` */
	struct batch *b;
	struct batch_image *im;
	struct job_paths *p;
};

static bool hash_image(const char *path, char out[SHA256_HEX])
{
	struct input *in;
	struct sha256 *h;
	uint8_t *p = malloc(HASH_STEP);
	int64_t n = 1;

	out[0] = 0;
	if (!p || input_open(&in, path, NULL) < 0) {
		free(p);
		return false;
	}
	if (sha256_new(&h, NULL) < 0) {
		input_close(in);
		free(p);
		return false;
	}
	for (uint64_t off = 0; n > 0; off += (uint64_t)n) {
		n = input_read(in, off, p, HASH_STEP, NULL);
		if (n > 0)
			sha256_add(h, p, (size_t)n);
	}
	sha256_end(h, out);
	if (n < 0)
		out[0] = 0;
	input_close(in);
	free(p);
	return out[0] != 0;
}

/* Hashing is done here, so that it runs beside the others. The hash goes to the parent in the working folder. */
static int first_steps(void *ctx)
{
	struct first *f = ctx;
	struct batch_image old = *f->im;
	char hash[SHA256_HEX];
	struct outfile *o;
	struct outdir *d;

	hash_image(f->im->path, hash);
	if (cli_flag(f->b->c, OPT_RESUME) && batch_job_read(&old, f->p->done, buf_str(&f->b->options)) && strcmp(old.sha256, hash) == 0)
		return SAME;
	if (outtree_remove(f->b->dir, f->p->work_name, NULL) < 0 || outtree_make(f->b->dir, f->p->work_name, NULL) < 0)
		return EXIT_INTERNAL;
	if (outdir_open(&d, f->p->work, true, NULL) < 0)
		return EXIT_INTERNAL;
	if (outfile_create(&o, d, "sha256", NULL) < 0 || outfile_write(o, hash, strlen(hash), NULL) < 0 || outfile_commit(o, NULL) < 0)
		return EXIT_INTERNAL;
	outdir_close(d);
	return 0;
}

static int start(struct batch *b, struct batch_image *im, struct err *e)
{
	struct job_paths p;
	struct first f = {b, im, &p};
	uint64_t mib = b->c->opt[OPT_MAX_MEMORY].set ? b->c->opt[OPT_MAX_MEMORY].num : MEMORY_DEFAULT;
	struct child_opts o = {.argv = b->argv, .log = p.log, .memory_bytes = mib << 20, .prepare = first_steps, .ctx = &f};
	size_t n = b->n_argv;
	int rc;

	paths(b, im, &p);
	b->argv[n] = "-o";
	b->argv[n + 1] = p.work;
	b->argv[n + 2] = "--";
	b->argv[n + 3] = im->path;
	b->argv[n + 4] = NULL;
	rc = child_start(&im->pid, &o, e);
	if (rc < 0)
		return rc;
	im->state = BATCH_RUNNING;
	b->running++;
	return 0;
}

static char *small_file(const char *path, size_t *n)
{
	struct input *in;
	char *p;

	if (input_open(&in, path, NULL) < 0)
		return NULL;
	*n = input_size(in) < LOG_BYTES_MAX ? (size_t)input_size(in) : LOG_BYTES_MAX;
	p = malloc(*n + 1);
	if (p && input_read_all(in, 0, p, *n, NULL) < 0) {
		free(p);
		p = NULL;
	}
	if (p)
		p[*n] = 0;
	input_close(in);
	return p;
}

/* The reason: the last line of the log, without the program's name. */
static void last_line(struct batch_image *im, const char *log)
{
	size_t n, from;
	char *p = small_file(log, &n);

	if (!p)
		return;
	while (n && p[n - 1] == '\n')
		p[--n] = 0;
	for (from = n; from && p[from - 1] != '\n'; from--)
		;
	if (strncmp(p + from, "etlift: ", 8) == 0)
		from += 8;
	snprintf(im->error, sizeof(im->error), "%s", p + from);
	free(p);
}

static int put_job(struct batch *b, const struct batch_image *im, const struct job_paths *p, struct err *e)
{
	struct outfile *f;
	struct outdir *d;
	struct buf t;
	int rc = outdir_open(&d, p->work, true, e);

	if (rc < 0)
		return rc;
	buf_init(&t);
	batch_job_text(&t, im, buf_str(&b->options));
	rc = t.failed ? err_set(e, ERR_NOMEM, "out of memory") : outfile_create(&f, d, "job.json", e);
	if (rc == 0) {
		rc = outfile_write(f, t.p, t.n, e);
		if (rc < 0)
			outfile_abort(f);
		else
			rc = outfile_commit(f, e);
	}
	buf_free(&t);
	outdir_close(d);
	if (rc == 0)
		rc = outtree_drop(b->dir, p->work_name, "sha256", e);
	return rc;
}

static void say(struct batch *b, const struct batch_image *im)
{
	struct buf t;

	if (cli_flag(b->c, OPT_JSON) || b->c->level < 0)
		return;
	cli_progress_end(b->c);
	buf_init(&t);
	text_safe(&t, im->path);
	buf_puts(&t, ": ");
	if (im->exit == EXIT_OK || im->exit == EXIT_LOSSES)
		buf_printf(&t, "%" PRIu64 " sessions, %" PRIu64 " events, %" PRIu64 " losses -> ", im->sessions, im->events, im->losses);
	text_safe(&t, im->exit == EXIT_OK || im->exit == EXIT_LOSSES ? im->folder : im->error);
	printf("%s\n", buf_str(&t));
	buf_free(&t);
}

static int ended(struct batch *b, struct batch_image *im, const struct child_end *end, struct err *e)
{
	struct job_paths p;
	char sha[PATH_ROOM];
	size_t n = 0;
	char *hash;
	int rc = 0;

	paths(b, im, &p);
	im->state = BATCH_ENDED;
	b->running--;
	b->bytes_done += im->bytes;
	if (!end->signal && end->status == SAME && batch_job_read(im, p.done, buf_str(&b->options))) {
		say(b, im);
		return 0;
	}
	snprintf(sha, sizeof(sha), "%s/sha256", p.work);
	hash = small_file(sha, &n);
	if (hash)
		snprintf(im->sha256, sizeof(im->sha256), "%s", hash);
	free(hash);
	im->exit = end->signal ? -1 : end->status;
	im->signal = end->signal;
	if (im->exit != EXIT_OK && im->exit != EXIT_LOSSES)
		last_line(im, p.log);
	if (end->signal)
		snprintf(im->error, sizeof(im->error), "%s: the process was killed by signal %d%s", im->path, end->signal,
			 end->signal == 9 ? " (out of memory?)" : "");
	else if (im->exit != EXIT_OK && im->exit != EXIT_LOSSES && !im->error[0])
		snprintf(im->error, sizeof(im->error), "%s: exit status %d", im->path, im->exit);
	batch_counts(im, p.report);
	rc = put_job(b, im, &p, e);
	if (rc == 0)
		rc = outtree_commit(b->dir, p.work_name, im->folder, e);
	if (rc == 0)
		say(b, im);
	return rc;
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------------------- */

static struct batch_image *by_pid(struct batch *b, pid_t pid)
{
	for (size_t i = 0; i < b->list.n; i++)
		if (b->list.v[i].state == BATCH_RUNNING && b->list.v[i].pid == pid)
			return &b->list.v[i];
	return NULL;
}

static void kill_all(struct batch *b)
{
	struct child_end end;

	for (size_t i = 0; i < b->list.n; i++)
		if (b->list.v[i].state == BATCH_RUNNING)
			child_kill(b->list.v[i].pid);
	while (child_wait(&end, 1000, NULL) >= 0)
		;
}

static int run_all(struct batch *b, struct err *e)
{
	unsigned jobs = b->c->opt[OPT_THREADS].set ? (unsigned)b->c->opt[OPT_THREADS].num : JOBS_DEFAULT;
	size_t next = 0;
	int rc = 0;

	if (jobs < 1 || jobs > JOBS_MAX)
		jobs = jobs < 1 ? 1 : JOBS_MAX;
	while (rc >= 0 && (next < b->list.n || b->running)) {
		struct child_end end;

		if (cli_stopped(NULL)) {
			rc = err_set(e, ERR_INTR, "interrupted; --resume goes on");
			break;
		}
		while (rc >= 0 && next < b->list.n && b->running < jobs)
			rc = start(b, &b->list.v[next++], e);
		if (rc >= 0)
			rc = child_wait(&end, 200, e);
		if (rc > 0) {
			struct batch_image *im = by_pid(b, end.pid);

			rc = im ? ended(b, im, &end, e) : 0;
		}
		cli_progress(b->c, "images", b->bytes_done, b->bytes);
	}
	cli_progress_end(b->c);
	if (rc < 0)
		kill_all(b);
	return rc;
}

static int put_summary(struct batch *b, const char *name, void (*text)(struct buf *, const struct batch_list *), bool print, struct err *e)
{
	struct outfile *f;
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

	for (size_t i = 0; rc == 0 && i < b->c->n_args; i++)
		rc = batch_list_add(&b->list, b->c->arg[i], e);
	for (unsigned i = 0; rc == 0 && i < lists->count; i++)
		rc = batch_list_file(&b->list, lists->list[i], e);
	if (rc == 0)
		rc = batch_list_names(&b->list, e);
	for (size_t i = 0; i < b->list.n; i++)
		b->bytes += b->list.v[i].bytes;
	return rc;
}

static int worst_of(const struct batch_list *l)
{
	int worst = EXIT_OK;

	for (size_t i = 0; i < l->n; i++) {
		int s = l->v[i].exit;

		if (s < 0 || s > EXIT_CHECK) /* killed, or it could not even start */
			s = EXIT_INTERNAL;

		worst = s > worst ? s : worst;
	}
	return worst;
}

static int run(struct batch *b)
{
	struct err e;
	int rc = collect(b, &e);

	if (rc < 0)
		return cli_fail(b->c, &e, true);
	if (!b->list.n) {
		cli_error(b->c, "batch: no image is given, or the folders are empty");
		return EXIT_USAGE;
	}
	rc = put_words(b, &e);
	if (rc == 0)
		rc = outdir_open(&b->dir, b->out, cli_flag(b->c, OPT_FORCE) || cli_flag(b->c, OPT_RESUME), &e);
	if (rc == 0)
		rc = run_all(b, &e);
	if (rc == 0)
		rc = put_summary(b, "batch.csv", batch_summary_csv, false, &e);
	if (rc == 0)
		rc = put_summary(b, "batch.json", batch_summary_json, cli_flag(b->c, OPT_JSON), &e);
	return rc < 0 ? cli_fail(b->c, &e, false) : worst_of(&b->list);
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
	buf_init(&b.options);
	status = run(&b);
	outdir_close(b.dir);
	batch_list_free(&b.list);
	buf_free(&b.options);
	for (size_t i = 0; i < b.n_words; i++)
		free(b.word[i]);
	return status;
}
