/* outfile.c - see outfile.h */
#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "path.h"

#define WRITE_BUFFER 65536

struct outdir {
	int fd;
	char *path;
};

struct outfile {
	int fd, dirfd;      /* dirfd: -1 when direct */
	char *final, *temp; /* names in dirfd */
	bool direct;        /* a pipe or a device: written to as it is, nothing is renamed */
	uint64_t size;      /* bytes given to outfile_write */
	size_t n_pending;
	uint8_t *pending; /* owned; WRITE_BUFFER bytes while the file is written to, else NULL: many wait for their commit at once */
};

static int fail(struct err *e, const char *what, const char *name)
{
	return err_set(e, ERR_IO, "%s: %s: %s", name, what, strerror(errno));
}

static int make_path(char *path, struct err *e)
{
	for (char *s = path + 1; *s; s++) {
		char sep = *s;

		if (!path_is_sep(sep))
			continue;
		*s = 0;
		if (mkdir(path, 0777) < 0 && errno != EEXIST) {
			int rc = fail(e, "can't make the folder", path);

			*s = sep;
			return rc;
		}
		*s = sep;
	}
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return fail(e, "can't make the folder", path);
	return 0;
}

static int is_empty(int fd, const char *path, bool *empty, struct err *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return fail(e, "can't list", path);
	}
	*empty = true;
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			*empty = false;
	closedir(d);
	return 0;
}

int outdir_open(struct outdir **out, const char *path, bool force, struct err *e)
{
	struct outdir *d = calloc(1, sizeof(*d));
	bool empty = false;
	int rc;

	if (!d || !(d->path = strdup(path))) {
		free(d);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	d->fd = -1;
	rc = *path ? make_path(d->path, e) : err_set(e, ERR_USAGE, "the output folder has no name");
	if (rc == 0) {
		d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (d->fd < 0)
			rc = fail(e, "can't open the folder", path);
	}
	if (rc == 0)
		rc = is_empty(d->fd, path, &empty, e);
	if (rc == 0 && !empty && !force)
		rc = err_set(e, ERR_EXISTS, "%s: is not empty; choose another folder, or give --force", path);
	if (rc < 0) {
		outdir_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

void outdir_close(struct outdir *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
	free(d);
}

int outdir_fd(const struct outdir *d)
{
	return d->fd;
}

static bool part_ok(const char *s, size_t n)
{
	return n > 0 && n < 256 && !(n == 1 && s[0] == '.') && !(n == 2 && s[0] == '.' && s[1] == '.');
}

static bool rel_ok(const char *rel)
{
	for (;;) {
		const char *slash = strchr(rel, '/');

		if (!part_ok(rel, slash ? (size_t)(slash - rel) : strlen(rel)))
			return false;
		if (!slash)
			return true;
		rel = slash + 1;
	}
}

/* Opens (making it) the folder that rel's last part stands in; *name = that last part. */
static int open_parent(int base, const char *rel, int *dirfd, const char **name, struct err *e)
{
	int fd;

	if (!rel_ok(rel))
		return err_set(e, ERR_USAGE, "'%s' can't be a name in the output folder", rel);
	fd = dup(base);
	if (fd < 0)
		return fail(e, "dup", rel);
	for (;;) {
		const char *slash = strchr(rel, '/');
		char part[256];
		int next;

		if (!slash)
			break;
		memcpy(part, rel, (size_t)(slash - rel));
		part[slash - rel] = 0;
		if (mkdirat(fd, part, 0777) < 0 && errno != EEXIST) {
			close(fd);
			return fail(e, "can't make the folder", part);
		}
		next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		if (next < 0)
			return fail(e, "can't open the folder", part);
		fd = next;
		rel = slash + 1;
	}
	*dirfd = fd;
	*name = rel;
	return 0;
}

static int start(struct outfile **out, int dirfd, const char *name, struct err *e)
{
	struct outfile *f = calloc(1, sizeof(*f));
	size_t n = strlen(name) + 16;

	if (!f)
		goto nomem;
	f->fd = -1;
	f->dirfd = dirfd;
	f->final = strdup(name);
	f->temp = malloc(n);
	if (!f->final || !f->temp)
		goto nomem;
	snprintf(f->temp, n, ".%.200s.part", name);
	if (unlinkat(dirfd, f->temp, 0) < 0 && errno != ENOENT)
		goto failed;
	f->fd = openat(dirfd, f->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (f->fd < 0)
		goto failed;
	*out = f;
	return 0;
failed:
	fail(e, "can't create", name);
	outfile_abort(f);
	return ERR_IO;
nomem:
	if (f)
		outfile_abort(f);
	else
		close(dirfd);
	return err_set(e, ERR_NOMEM, "out of memory");
}

int outfile_create(struct outfile **out, struct outdir *d, const char *rel, struct err *e)
{
	const char *name = NULL;
	int dirfd = -1, rc = open_parent(d->fd, rel, &dirfd, &name, e);

	if (rc < 0)
		return rc;
	return start(out, dirfd, name, e);
}

/* A pipe, a terminal, /dev/null: there is nothing to make whole, and the thing itself must stay what it is. */
static int start_direct(struct outfile **out, const char *path, struct err *e)
{
	struct outfile *f = calloc(1, sizeof(*f));

	if (!f || !(f->final = strdup(path))) {
		free(f);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	f->direct = true;
	f->dirfd = -1;
	f->fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (f->fd < 0) {
		fail(e, "can't open", path);
		outfile_abort(f);
		return ERR_IO;
	}
	*out = f;
	return 0;
}

/* A regular file (there, or to be made) by its path without a link at its end. */
static int start_path(struct outfile **out, const char *path, struct err *e)
{
	const char *slash = path_last_sep(path);
	char *dir;
	int dirfd;

	if (slash)
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	else
		dir = strdup(".");
	if (!dir)
		return err_set(e, ERR_NOMEM, "out of memory");
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (dirfd < 0)
		return fail(e, "can't open its folder", path);
	if (!part_ok(slash ? slash + 1 : path, strlen(slash ? slash + 1 : path))) {
		close(dirfd);
		return err_set(e, ERR_USAGE, "%s: is not a file name", path);
	}
	return start(out, dirfd, slash ? slash + 1 : path, e);
}

int outfile_create_path(struct outfile **out, const char *path, struct err *e)
{
	struct stat st;
	char *real;
	int rc;

	if (stat(path, &st) < 0)
		return start_path(out, path, e);
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		return start_direct(out, path, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "%s: is %s, and no file to write", path, S_ISDIR(st.st_mode) ? "a folder" : "a device");
	real = realpath(path, NULL); /* of a link, what it leads to is replaced, not the link */
	rc = start_path(out, real ? real : path, e);
	free(real);
	return rc;
}

/* What can't be sought in is written in order. */
static ssize_t put_some(struct outfile *f, uint64_t off, const uint8_t *p, size_t n)
{
	return f->direct ? write(f->fd, p, n) : pwrite(f->fd, p, n, (off_t)off);
}

static int put(struct outfile *f, uint64_t off, const uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t w = put_some(f, off, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return fail(e, "write", f->final);
		p += w;
		off += (uint64_t)w;
		n -= (size_t)w;
	}
	return 0;
}

static int flush(struct outfile *f, struct err *e)
{
	int rc = put(f, f->size - f->n_pending, f->pending, f->n_pending, e);

	if (rc == 0)
		f->n_pending = 0;
	return rc;
}

int outfile_write(struct outfile *f, const void *p, size_t n, struct err *e)
{
	int rc;

	if (n > WRITE_BUFFER - f->n_pending) {
		rc = flush(f, e);
		if (rc < 0)
			return rc;
	}
	if (n > WRITE_BUFFER) {
		rc = put(f, f->size, p, n, e);
		if (rc < 0)
			return rc;
	} else if (n) {
		if (!f->pending && !(f->pending = malloc(WRITE_BUFFER)))
			return err_set(e, ERR_NOMEM, "out of memory");
		memcpy(f->pending + f->n_pending, p, n);
		f->n_pending += n;
	}
	f->size += n;
	return 0;
}

int outfile_pwrite(struct outfile *f, uint64_t off, const void *p, size_t n, struct err *e)
{
	int rc = flush(f, e);

	if (rc < 0)
		return rc;
	if (off > f->size || n > f->size - off)
		return err_set(e, ERR_USAGE, "%s: write past the end", f->final);
	if (f->direct)
		return err_set(e, ERR_USAGE, "%s: a pipe or a device can't hold this format: its beginning is written last", f->final);
	return put(f, off, p, n, e);
}

int outfile_whole(struct outfile *f, struct err *e)
{
	int rc = flush(f, e);

	if (rc == 0) {
		free(f->pending);
		f->pending = NULL;
	}
#ifdef SYNC_FILE_RANGE_WRITE
	if (rc == 0) /* only a start: the answer does not matter, fsync has the last word */
		(void)sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
	return rc;
}

uint64_t outfile_size(const struct outfile *f)
{
	return f->size;
}

static void release(struct outfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->dirfd >= 0)
		close(f->dirfd);
	free(f->final);
	free(f->temp);
	free(f->pending);
	free(f);
}

/* Everything written is on the disk, under the temporary name still. */
static int settle(struct outfile *f, struct err *e)
{
	int rc = flush(f, e);

	if (rc == 0 && !f->direct && fsync(f->fd) < 0)
		rc = fail(e, "fsync", f->final);
	return rc;
}

/* The last step, after settle() gave `rc`: the final name, or nothing. Frees f. */
static int appear(struct outfile *f, int rc, struct err *e)
{
	if (rc == 0 && !f->direct && renameat(f->dirfd, f->temp, f->dirfd, f->final) < 0)
		rc = fail(e, "rename", f->final);
	if (rc < 0 && !f->direct)
		unlinkat(f->dirfd, f->temp, 0);
	release(f);
	return rc;
}

int outfile_commit(struct outfile *f, struct err *e)
{
	return appear(f, settle(f, e), e);
}

void outfile_abort(struct outfile *f)
{
	if (!f)
		return;
	if (f->fd >= 0 && !f->direct)
		unlinkat(f->dirfd, f->temp, 0);
	release(f);
}

#define COMMIT_THREADS 16

struct committer {
	pthread_t thread;
	struct outfile **f;
	int *rc;
	struct err *e;
	size_t first, step, n;
};

static void *settle_some(void *arg)
{
	struct committer *c = arg;

	for (size_t i = c->first; i < c->n; i += c->step)
		c->rc[i] = settle(c->f[i], &c->e[i]);
	return NULL;
}

int outfile_commit_all(struct outfile **f, size_t n, unsigned threads, struct err *e)
{
	struct committer c[COMMIT_THREADS];
	bool started[COMMIT_THREADS] = {false};
	size_t k = threads < 1 ? 1 : threads > COMMIT_THREADS ? COMMIT_THREADS : threads;
	int *rc = calloc(n ? n : 1, sizeof(*rc)), worst = 0;
	struct err *why = calloc(n ? n : 1, sizeof(*why));

	if (k > n)
		k = n;
	for (size_t i = 0; rc && why && i < k; i++) {
		c[i] = (struct committer){.f = f, .rc = rc, .e = why, .first = i, .step = k, .n = n};
		started[i] = i > 0 && pthread_create(&c[i].thread, NULL, settle_some, &c[i]) == 0;
	}
	for (size_t i = 0; rc && why && i < k; i++) /* the first share, and those that got no thread, are done here */
		if (!started[i])
			settle_some(&c[i]);
	for (size_t i = 0; rc && why && i < k; i++)
		if (started[i])
			pthread_join(c[i].thread, NULL);
	for (size_t i = 0; i < n; i++) {
		struct err one;
		int r = rc && why ? rc[i] : settle(f[i], &one);

		if (r < 0 && rc && why)
			one = why[i];
		r = appear(f[i], r, &one);
		if (r < 0 && worst == 0) {
			worst = r;
			if (e)
				*e = one;
		}
	}
	free(rc);
	free(why);
	return worst;
}
