/* batchrun.c - see batchrun.h */
#include "batchrun.h"

#include <stdlib.h>
#include <string.h>

#include "input.h"

#define MEMORY_DEFAULT 4096u /* MiB */
#define ARGS_MAX       BATCH_ARGS_MAX
#define SAME           111 /* exit status of a child that found the image finished */
#define NO_WORK        112 /* of one that could not make its working folder */
#define HASH_STEP      (1u << 20)
#define LOG_BYTES_MAX  (64u << 20)
#define LOCK_WAIT      30000 /* ms: a killed batch's processes may still be dying */

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

int batch_words(struct batch *b, struct err *e)
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
	char work_name[160], lock_name[160], work[PATH_ROOM], log[PATH_ROOM], report[PATH_ROOM], done[PATH_ROOM];
};

static void paths(const struct batch *b, const struct batch_image *im, struct job_paths *p)
{
	snprintf(p->work_name, sizeof(p->work_name), ".work-%s", im->folder);
	snprintf(p->lock_name, sizeof(p->lock_name), ".lock-%s", im->folder);
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

static bool hash_file(struct sha256 *h, const char *path, uint8_t *p)
{
	struct input *in;
	int64_t n = 1;

	if (input_open(&in, path, NULL) < 0)
		return false;
	for (uint64_t off = 0; n > 0; off += (uint64_t)n) {
		n = input_read(in, off, p, HASH_STEP, NULL);
		if (n > 0)
			sha256_add(h, p, (size_t)n);
	}
	input_close(in);
	return n == 0;
}

/* "" when one of the files can't be read. */
static void hash_files(char *const *path, size_t n, char out[SHA256_HEX])
{
	uint8_t *p = malloc(HASH_STEP);
	struct sha256 *h;
	bool ok = true;

	out[0] = 0;
	if (p && n && sha256_new(&h, NULL) == 0) {
		for (size_t i = 0; i < n; i++)
			ok = hash_file(h, path[i], p) && ok;
		sha256_end(h, out);
		if (!ok)
			out[0] = 0;
	}
	free(p);
}

/* Hashing is done here, so that it runs beside the others. The hashes go to the parent in the working folder. */
static int first_steps(void *ctx)
{
	struct first *f = ctx;
	struct batch_image old = *f->im;
	char hash[2][SHA256_HEX];
	struct outfile *o;
	struct outdir *d;
	struct dirlist more;

	hash_files(&f->im->path, 1, hash[0]);
	if (batch_companions(&more, f->im->path, NULL) < 0)
		more.n = 0;
	hash_files(more.name, more.n, hash[1]);
	dirlist_free(&more);
	if (cli_flag(f->b->c, OPT_RESUME) && batch_job_read(&old, f->p->done, buf_str(&f->b->options)) && batch_finished(&old) &&
	    strcmp(old.sha256, hash[0]) == 0 && strcmp(old.companions, hash[1]) == 0)
		return SAME;
	if (outtree_remove(f->b->dir, f->p->work_name, NULL) < 0 || outtree_make(f->b->dir, f->p->work_name, NULL) < 0)
		return NO_WORK;
	if (outdir_open(&d, f->p->work, true, NULL) < 0)
		return NO_WORK;
	if (outfile_create(&o, d, "sha256", NULL) < 0 || outfile_write(o, hash, sizeof(hash), NULL) < 0 || outfile_commit(o, NULL) < 0)
		return NO_WORK;
	outdir_close(d);
	return 0;
}

int batch_start(struct batch *b, struct batch_image *im, struct err *e)
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
	rc = outtree_lock(b->dir, p.lock_name, LOCK_WAIT, e);
	if (rc < 0)
		return rc;
	im->lock = o.keep_fd = rc;
	rc = child_start(&im->pid, &o, e);
	if (rc < 0) {
		outtree_unlock(b->dir, p.lock_name, im->lock);
		return rc;
	}
	im->state = BATCH_RUNNING;
	b->running++;
	return 0;
}

/* The reason: the last line of the log, without the program's name. */
static void last_line(struct batch_image *im, const char *log)
{
	size_t n, from;
	char *p = batch_read_text(log, LOG_BYTES_MAX, &n, NULL);

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
	struct outfile *f = NULL;
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

/* What is wrong with an image that failed; its log has the last word. */
static void set_error(struct batch_image *im, const struct child_end *end, const char *log)
{
	if (end->signal)
		snprintf(im->error, sizeof(im->error), "%s: the process was killed by signal %d%s", im->path, end->signal,
			 end->signal == 9 ? " (out of memory?)" : "");
	else if (end->status == NO_WORK)
		snprintf(im->error, sizeof(im->error), "%s: its working folder can't be made: the output is full, or not writable",
			 im->path);
	else
		last_line(im, log);
	if (!im->error[0])
		snprintf(im->error, sizeof(im->error), "%s: exit status %d", im->path, end->status);
}

static void read_hashes(struct batch_image *im, const struct job_paths *p)
{
	char path[PATH_ROOM + 16];
	size_t n = 0;
	char *t;

	snprintf(path, sizeof(path), "%s/sha256", p->work);
	t = batch_read_text(path, UINT64_C(2) * SHA256_HEX, &n, NULL);
	if (t && n == 2 * (size_t)SHA256_HEX) {
		snprintf(im->sha256, sizeof(im->sha256), "%s", t);
		snprintf(im->companions, sizeof(im->companions), "%s", t + SHA256_HEX);
	}
	free(t);
}

/* The folder under its name. When that can't be done (the disk is full), this image has failed, and gives back the space for the next one. */
static void keep(struct batch *b, struct batch_image *im, const struct job_paths *p)
{
	char there[PATH_ROOM];
	struct err e;
	int rc;

	snprintf(there, sizeof(there), "%s/%s", b->out, im->folder);
	if (path_is_file(there) || (path_is_folder(there) && !path_is_file(p->done)))
		rc = err_set(&e, ERR_EXISTS, "%s is in the way, and no folder of a batch: it stays as it is", there);
	else
		rc = put_job(b, im, p, &e);
	if (rc == 0)
		rc = outtree_commit(b->dir, p->work_name, im->folder, &e);
	if (rc == 0)
		return;
	outtree_remove(b->dir, p->work_name, NULL);
	if (!batch_failed(im))
		snprintf(im->error, sizeof(im->error), "%s: %s", im->path, e.msg);
	im->exit = im->exit < 0 ? im->exit : EXIT_INTERNAL;
	im->has_counts = false;
	im->sessions = im->files = im->events = im->losses = im->build = 0;
}

void batch_ended(struct batch *b, struct batch_image *im, const struct child_end *end)
{
	struct job_paths p;

	paths(b, im, &p);
	im->state = BATCH_ENDED;
	b->running--;
	b->bytes_done += im->bytes;
	if (!end->signal && end->status == SAME && batch_job_read(im, p.done, buf_str(&b->options))) {
		outtree_remove(b->dir, p.work_name, NULL);
	} else {
		im->exit = end->signal ? -1 : end->status <= EXIT_CHECK ? end->status : EXIT_INTERNAL;
		im->signal = end->signal;
		if (batch_failed(im))
			set_error(im, end, p.log);
		read_hashes(im, &p);
		batch_counts(im, p.report);
		keep(b, im, &p);
	}
	outtree_unlock(b->dir, p.lock_name, im->lock);
}

void batch_stop(struct batch *b)
{
	struct child_end end;

	for (size_t i = 0; i < b->list.n; i++)
		if (b->list.v[i].state == BATCH_RUNNING)
			child_kill(b->list.v[i].pid);
	while (child_wait(&end, 1000, NULL) >= 0)
		;
	for (size_t i = 0; i < b->list.n; i++) {
		struct batch_image *im = &b->list.v[i];
		struct job_paths p;

		if (im->state != BATCH_RUNNING)
			continue;
		paths(b, im, &p);
		outtree_remove(b->dir, p.work_name, NULL);
		outtree_unlock(b->dir, p.lock_name, im->lock);
		im->state = BATCH_WAITING;
	}
	b->running = 0;
}

void batch_read_jobs(struct batch *b)
{
	for (size_t i = 0; i < b->list.n; i++) {
		struct batch_image *im = &b->list.v[i];
		struct job_paths p;

		if (im->state == BATCH_ENDED)
			continue;
		paths(b, im, &p);
		if (batch_job_read(im, p.done, buf_str(&b->options)))
			continue;
		im->exit = BATCH_NOT_DONE;
		snprintf(im->error, sizeof(im->error), "%s: not done yet", im->path);
	}
}

const char *batch_reason(const struct batch_image *im)
{
	size_t n = strlen(im->path);

	return strncmp(im->error, im->path, n) == 0 && strncmp(im->error + n, ": ", 2) == 0 ? im->error + n + 2 : im->error;
}
