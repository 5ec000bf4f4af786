/* vmwarebeside.c - see vmwarebeside.h */
#include "vmwarebeside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dirlist.h"
#include "err.h"
#include "path.h"
#include "unwrap.h"

/* ENDINGS_MAX: of a companion's own and of a packed file's, together */
#define ENDINGS_MAX 16u

/* Of the name without the endings of packed files and of pieces (NAME.vmem.001). */
static size_t name_length(const char *s)
{
	size_t n = unwrap_name_length(s), i = n;

	while (i && isdigit((unsigned char)s[i - 1]))
		i--;
	return n - i >= 3 && i && s[i - 1] == '.' ? i - 1 : n;
}

bool vmware_has_ending(const char *s, const char *end)
{
	size_t n = name_length(s), k = strlen(end);

	return n > k && strncasecmp(s + n - k, end, k) == 0;
}

static void to_upper(char *s, size_t n)
{
	for (; n && *s; s++, n--)
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 32);
}

/* NAME.xxxx, packed or not, with another ending, in lower and upper case; what is not packed first. */
static int open_beside_name(struct input **out, const char *name, const char *ending)
{
	size_t n = name_length(name), base = n, before = (size_t)(path_base(name) - name), k = strlen(ending);
	char *path = malloc(n + ENDINGS_MAX);
	int rc = ERR_NOTFOUND;

	for (size_t at = before + 1; at < n; at++)
		if (name[at] == '.')
			base = at;
	for (unsigned i = 0; path && rc < 0 && (!i || unwrap_endings[i - 1]); i++)
		for (unsigned upper = 0; rc < 0 && upper < (i ? 3 : 2); upper++) {
			snprintf(path, n + ENDINGS_MAX, "%.*s%s%s", (int)base, name, ending, i ? unwrap_endings[i - 1] : "");
			to_upper(path + base, upper == 0 ? 0 : upper == 1 ? k : SIZE_MAX);
			rc = input_open(out, path, NULL);
		}
	free(path);
	return rc;
}

/* The same beside what a link leads to. */
int vmware_open_beside(struct input **out, const char *name, const char *ending)
{
	int rc = open_beside_name(out, name, ending);
	char *target = rc < 0 ? path_target(name) : NULL;

	if (target)
		rc = open_beside_name(out, target, ending);
	free(target);
	return rc;
}

/* In the folder of `name`. */
static int open_fitting_at(struct input **out, const char *name, const char *const ending[2], vmware_fits_fn *fits, const void *ctx)
{
	const char *slash = path_last_sep(name);
	size_t n = slash ? (size_t)(slash - name) + 1 : 2, found = 0;
	char *dir = malloc(n + 1);
	struct dirlist l = {0};

	if (!dir)
		return ERR_NOMEM;
	memcpy(dir, slash ? name : "./", n);
	dir[n] = 0;
	if (dirlist_read(&l, dir, NULL) < 0)
		l.n = 0;
	for (size_t i = 0; i < l.n && found < 2; i++) {
		char *path = vmware_has_ending(l.name[i], ending[0]) || vmware_has_ending(l.name[i], ending[1])
				     ? malloc(n + strlen(l.name[i]) + 1)
				     : NULL;
		struct input *in;

		if (!path)
			continue;
		sprintf(path, "%s%s", dir, l.name[i]);
		if (input_open(&in, path, NULL) == 0) {
			if (fits(ctx, in) && !found++)
				*out = in;
			else
				input_close(in);
		}
		free(path);
	}
	dirlist_free(&l);
	free(dir);
	if (found == 2)
		input_close(*out);
	return found == 1 ? 0 : ERR_NOTFOUND;
}

/* The same beside what a link leads to. */
int vmware_open_fitting(struct input **out, const char *name, const char *const ending[2], vmware_fits_fn *fits, const void *ctx)
{
	int rc = open_fitting_at(out, name, ending, fits, ctx);
	char *target = rc < 0 ? path_target(name) : NULL;

	if (target)
		rc = open_fitting_at(out, target, ending, fits, ctx);
	free(target);
	return rc;
}

bool vmware_is_named(const char *name, const char *ending)
{
	char *target = vmware_has_ending(name, ending) ? NULL : path_target(name);
	bool is = vmware_has_ending(target ? target : name, ending);

	free(target);
	return is;
}
