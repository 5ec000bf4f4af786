/* path.h - the parts of a path that a person gave. Names that come from evidence are cleaned before they are part of one. */
#ifndef ETLIFT_PATH_H
#define ETLIFT_PATH_H

#include <stdbool.h>
#include <string.h>

#ifndef PATH_SEPARATORS /* Windows has another one: win/win.h */
#define PATH_SEPARATORS "/"
#endif

/* A name that Windows keeps for a device, with whatever ending: CON, nul.txt. No file is to be called so, on any system. */
bool path_is_device(const char *name);

static inline bool path_is_sep(char c)
{
	return c && strchr(PATH_SEPARATORS, c);
}

/* The last separator, or NULL. */
static inline const char *path_last_sep(const char *path)
{
	const char *at = NULL;

	for (; *path; path++)
		if (path_is_sep(*path))
			at = path;
	return at;
}

/* The file's name: what is behind the last separator. */
static inline const char *path_base(const char *path)
{
	const char *sep = path_last_sep(path);

	return sep ? sep + 1 : path;
}

#endif
