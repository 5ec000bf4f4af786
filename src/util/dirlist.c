/* dirlist.c - see dirlist.h */
#include "dirlist.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"

bool path_is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool path_same(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void dirlist_free(struct dirlist *d)
{
	for (size_t i = 0; d->name && i < d->n; i++)
		free(d->name[i]);
	free(d->name);
	free(d->folder);
	memset(d, 0, sizeof(*d));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(struct dirlist *d, DIR *dir, const char *path, struct err *e)
{
	struct dirent *de;

	while ((de = readdir(dir))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (d->n == DIRLIST_MAX)
			return err_set(e, ERR_LIMIT, "%s: more than %d names in this folder", path, DIRLIST_MAX);
		if (arr_reserve((void **)&d->name, &d->cap, d->n, sizeof(*d->name)) || !(d->name[d->n] = strdup(de->d_name)))
			return err_set(e, ERR_NOMEM, "out of memory");
		d->n++;
	}
	return 0;
}

int dirlist_read(struct dirlist *d, const char *path, struct err *e)
{
	DIR *dir = opendir(path);
	struct buf b;
	int r;

	memset(d, 0, sizeof(*d));
	if (!dir)
		return err_set(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_IO, "%s: %s", path, strerror(errno));
	r = read_names(d, dir, path, e);
	closedir(dir);
	if (!r && d->n && !(d->folder = calloc(d->n, sizeof(*d->folder))))
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (r) {
		dirlist_free(d);
		return r;
	}
	if (d->n)
		qsort(d->name, d->n, sizeof(*d->name), by_name);
	buf_init(&b);
	for (size_t i = 0; d->folder && i < d->n; i++) {
		buf_clear(&b);
		buf_printf(&b, "%s/%s", path, d->name[i]);
		d->folder[i] = path_is_folder(buf_str(&b));
	}
	buf_free(&b);
	return 0;
}

int dirlist_glob(struct dirlist *d, const char *pattern, struct err *e)
{
	glob_t g;
	int rc = glob(pattern, 0, NULL, &g);

	memset(d, 0, sizeof(*d));
	if (rc == GLOB_NOMATCH)
		return 0;
	if (rc != 0)
		return err_set(e, rc == GLOB_NOSPACE ? ERR_NOMEM : ERR_IO, "%s: the pattern can't be followed", pattern);
	d->name = calloc(g.gl_pathc + 1, sizeof(*d->name));
	d->folder = calloc(g.gl_pathc + 1, sizeof(*d->folder));
	rc = d->name && d->folder ? 0 : ERR_NOMEM;
	for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++) {
		if (!(d->name[i] = strdup(g.gl_pathv[i])))
			rc = ERR_NOMEM;
		else
			d->folder[d->n++] = path_is_folder(g.gl_pathv[i]);
	}
	globfree(&g);
	if (rc < 0) {
		dirlist_free(d);
		return err_set(e, rc, "out of memory");
	}
	return 0;
}

char *path_target(const char *path)
{
	char *real = realpath(path, NULL);

	if (real && strcmp(real, path) == 0) {
		free(real);
		real = NULL;
	}
	return real;
}
