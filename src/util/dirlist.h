/* dirlist.h - the names in a folder, sorted by bytes: same folder, same order, whatever the file system does. */
#ifndef ETLIFT_DIRLIST_H
#define ETLIFT_DIRLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define DIRLIST_MAX 100000 /* names; a folder with more is ERR_LIMIT */

struct dirlist {
	char **name;  /* without "." and ".."; owned */
	bool *folder; /* is it a folder (links followed)? */
	size_t n, cap;
};

/* ERR_NOTFOUND: there is no such folder (or it is no folder). ERR_IO, ERR_LIMIT, ERR_NOMEM. */
int dirlist_read(struct dirlist *d, const char *path, struct err *e);
void dirlist_free(struct dirlist *d);

/* The paths that a shell pattern fits, sorted; `name` holds whole paths. None: n is 0. */
int dirlist_glob(struct dirlist *d, const char *pattern, struct err *e);

bool path_is_folder(const char *path);
bool path_same(const char *a, const char *b); /* one file or folder under two names? Links are followed */
/* What a symbolic link leads to, or NULL: it is none. To be freed. */
char *path_target(const char *path);
bool path_is_file(const char *path); /* a regular file, or anything readable that is no folder */

#endif
