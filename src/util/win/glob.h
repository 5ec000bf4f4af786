/* glob.h - *, ? and [...] in any part of a path: see win.h. Sorted. Latin letters match in both cases. */
#ifndef ETLIFT_WIN_GLOB_H
#define ETLIFT_WIN_GLOB_H

#include <stddef.h>

typedef struct {
	size_t gl_pathc;
	char **gl_pathv;
} glob_t;

#define GLOB_NOSPACE 1
#define GLOB_ABORTED 2
#define GLOB_NOMATCH 3

int glob(const char *pattern, int flags, int (*broken)(const char *, int), glob_t *g); /* flags and broken: 0 */
void globfree(glob_t *g);

#endif
