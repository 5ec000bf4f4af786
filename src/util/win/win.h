/* win.h - the POSIX calls that src/util and src/cli make, on Windows.
 *
 * In a Windows build (SYS=win in the Makefile) this folder stands before the C library's headers, and this file is included ahead of every
 * source file, so that no other file knows of Windows: what the C library lacks, or has for ANSI names only, stands here under its own name
 * (unistd.h and its kin lead to posix.h). A path is UTF-8 (an unpaired surrogate of a name is kept, as WTF-8), may be longer than 260
 * characters, and has slashes or backslashes. A folder that was opened is a number like that of a file, for the calls that take a name below
 * a folder. All files are binary.
 *
 * It is not a POSIX layer: what nothing in the tree uses is not here. What it does not have: user and group, modes of files (0666 and 0777
 * are what they are by the folder's own rights), signals other than SIGINT and SIGTERM. */
#ifndef ETLIFT_WIN_H
#define ETLIFT_WIN_H

#include <stddef.h>
#include <stdio.h> /* for its inline functions: before the macros */
#include <stdlib.h>
#include <string.h>

/* Used by util/path.h, which has the slash alone where this is not given */
#define PATH_SEPARATORS "/\\"

/* -Wformat: __USE_MINGW_ANSI_STDIO (by _GNU_SOURCE) gives the formats of C99, %zu among them. */
#define format(kind, string, first) format(gnu_##kind, string, first)

char *win_strndup(const char *s, size_t n);
#define strndup win_strndup

char *realpath(const char *path, char *unused); /* of a link: what it leads to; of others: a copy. unused: NULL */

/* Stable, as glibc's are: msvcrt's are not, and has no qsort_r. Out of memory: aborts, as there is no way to say so. */
typedef int win_compare_fn(const void *a, const void *b, void *ctx);
void win_qsort_r(void *v, size_t n, size_t size, win_compare_fn *compare, void *ctx);
void win_qsort(void *v, size_t n, size_t size, int (*compare)(const void *a, const void *b));
#define qsort_r win_qsort_r
#define qsort   win_qsort

void tdestroy(void *root, void (*drop)(void *key)); /* search.h has the others of its kind */

/* The program's own main() is called with UTF-8 words (wmain.c). */
#define main etlift_main
int etlift_main(int argc, char **argv);
int wmain(int argc, wchar_t **argv);

#endif
