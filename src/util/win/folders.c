/* folders.c - dirent.h and glob.h of this folder */
#include "dirent.h"
#include "glob.h"
#include "winpath.h"

#include <ctype.h>

#define NAMES_MAX (1u << 22)

struct win_dir {
	int fd;
	char **name; /* owned */
	size_t n, cap, next;
	struct dirent de;
};

static int add(char ***v, size_t *n, size_t *cap, char *s)
{
	if (s && *n == *cap && *cap < NAMES_MAX) {
		size_t more = *cap ? *cap * 2 : 64;
		char **p = realloc(*v, more * sizeof(*p));

		if (p) {
			*v = p;
			*cap = more;
		}
	}
	if (!s || *n == *cap) {
		free(s);
		errno = ENOMEM;
		return -1;
	}
	(*v)[(*n)++] = s;
	return 0;
}

static void drop(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static int list(DIR *d)
{
	const wchar_t *path = win_folder_path(d->fd);
	wchar_t *all = path ? calloc(wcslen(path) + 3, sizeof(*all)) : NULL;
	WIN32_FIND_DATAW found;
	HANDLE h;
	int rc = 0;

	drop(d->name, d->n);
	d->name = NULL;
	d->n = d->cap = d->next = 0;
	if (!all)
		return -1;
	wcscpy(all, path);
	wcscat(all, all[wcslen(all) - 1] == L'\\' ? L"*" : L"\\*");
	h = FindFirstFileW(all, &found);
	free(all);
	if (h == INVALID_HANDLE_VALUE)
		return GetLastError() == ERROR_FILE_NOT_FOUND ? 0 : win_fail(GetLastError());
	do
		rc = add(&d->name, &d->n, &d->cap, win_utf8(found.cFileName));
	while (rc == 0 && FindNextFileW(h, &found));
	if (rc == 0 && GetLastError() != ERROR_NO_MORE_FILES)
		rc = win_fail(GetLastError());
	FindClose(h);
	return rc;
}

DIR *fdopendir(int fd)
{
	DIR *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->fd = fd;
	if (list(d) == 0)
		return d;
	drop(d->name, d->n);
	free(d);
	return NULL;
}

DIR *opendir(const char *path)
{
	int fd = win_open(path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

struct dirent *readdir(DIR *d)
{
	if (d->next >= d->n)
		return NULL;
	d->de.d_name = d->name[d->next++];
	return &d->de;
}

void rewinddir(DIR *d)
{
	if (list(d) < 0)
		d->n = 0;
}

int closedir(DIR *d)
{
	int rc = close(d->fd);

	drop(d->name, d->n);
	free(d);
	return rc;
}

int dirfd(DIR *d)
{
	return d->fd;
}

/* ---- glob ---------------------------------------------------------------------------------------------------------------------------- */

static bool is_sep(char c)
{
	return c == '/' || c == '\\';
}

static size_t char_len(const char *s)
{
	size_t n = 1;

	while (((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* [abc], [a-z], [!a]: the length of the set, with *hit; 0: it has no end. */
static size_t match_set(const char *p, size_t n, char c, bool *hit)
{
	bool no = n > 1 && (p[1] == '!' || p[1] == '^');
	size_t i = no ? 2 : 1, first = i;

	*hit = false;
	c = (char)tolower((unsigned char)c);
	for (; i < n && (p[i] != ']' || i == first); i++) {
		char lo = (char)tolower((unsigned char)p[i]), hi = lo;

		if (i + 2 < n && p[i + 1] == '-' && p[i + 2] != ']') {
			hi = (char)tolower((unsigned char)p[i + 2]);
			i += 2;
		}
		*hit = *hit || ((unsigned char)c >= (unsigned char)lo && (unsigned char)c <= (unsigned char)hi);
	}
	*hit = *hit != no;
	return i < n ? i + 1 : 0;
}

/* One part of a path. A * is tried from the last one only, which is enough and takes no recursion. */
static bool match(const char *p, size_t n, const char *s)
{
	size_t i = 0, star = SIZE_MAX;
	const char *again = NULL;

	if (*s == '.' && (n == 0 || *p != '.'))
		return false;
	for (;;) {
		bool hit = false;
		size_t set = 0;

		if (i < n && p[i] == '*') {
			star = i++;
			again = s;
			continue;
		}
		if (!*s && i == n)
			return true;
		if (*s && i < n) {
			set = p[i] == '[' ? match_set(p + i, n - i, *s, &hit) : 0;
			if (!set)
				hit = p[i] == '?' || tolower((unsigned char)p[i]) == tolower((unsigned char)*s);
			if (hit) {
				s += i < n && p[i] == '?' ? char_len(s) : 1;
				i += set ? set : 1;
				continue;
			}
		}
		if (!again || !*again)
			return false;
		again += char_len(again);
		s = again;
		i = star + 1;
	}
}

struct paths {
	char **v;
	size_t n, cap;
};

static char *join(const char *a, const char *b, size_t n)
{
	size_t na = strlen(a);
	char *s = malloc(na + n + 1);

	if (s) {
		memcpy(s, a, na);
		memcpy(s + na, b, n);
		s[na + n] = 0;
	}
	return s;
}

/* All names in folder `base` (which ends in its separator, or is empty) that fit. A folder that can't be read has none. */
static int fitting(struct paths *out, const char *base, const char *part, size_t n)
{
	DIR *d = opendir(*base ? base : ".");
	struct dirent *de;
	int rc = 0;

	while (rc == 0 && d && (de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 && match(part, n, de->d_name))
			rc = add(&out->v, &out->n, &out->cap, join(base, de->d_name, strlen(de->d_name)));
	if (d)
		closedir(d);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One part behind every path so far. */
static int step(struct paths *now, const char *part, size_t n, size_t seps)
{
	struct paths next = {NULL, 0, 0};
	bool magic = false;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		magic = magic || strchr("*?[", part[i]);
	for (size_t i = 0; rc == 0 && i < now->n; i++)
		rc = magic ? fitting(&next, now->v[i], part, n) : add(&next.v, &next.n, &next.cap, join(now->v[i], part, n));
	for (size_t i = 0; rc == 0 && seps && i < next.n; i++) {
		char *s = join(next.v[i], part + n, seps);

		rc = s ? 0 : -1;
		if (s) {
			free(next.v[i]);
			next.v[i] = s;
		}
	}
	drop(now->v, now->n);
	*now = next;
	return rc;
}

int glob(const char *pattern, int flags, int (*broken)(const char *, int), glob_t *g)
{
	struct paths p = {NULL, 0, 0};
	size_t kept = 0;
	int rc = add(&p.v, &p.n, &p.cap, join("", "", 0));

	(void)flags;
	(void)broken;
	memset(g, 0, sizeof(*g));
	while (rc == 0 && *pattern) {
		size_t n = 0, seps = 0;

		while (pattern[n] && !is_sep(pattern[n]))
			n++;
		while (is_sep(pattern[n + seps]))
			seps++;
		rc = step(&p, pattern, n, seps);
		pattern += n + seps;
	}
	if (rc < 0) {
		drop(p.v, p.n);
		return GLOB_NOSPACE;
	}
	for (size_t i = 0; i < p.n; i++) {
		struct win_stat st;

		if (win_stat(p.v[i], &st) == 0)
			p.v[kept++] = p.v[i];
		else
			free(p.v[i]);
	}
	if (!kept) {
		free(p.v);
		return GLOB_NOMATCH;
	}
	qsort(p.v, kept, sizeof(*p.v), by_name);
	g->gl_pathv = p.v;
	g->gl_pathc = kept;
	return 0;
}

void globfree(glob_t *g)
{
	drop(g->gl_pathv, g->gl_pathc);
}
