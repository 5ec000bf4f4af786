/* winpath.h - between the files of this folder only: UTF-8 paths to those of the wide calls, and errors. */
#ifndef ETLIFT_WINPATH_H
#define ETLIFT_WINPATH_H

#include <stdbool.h>
#include <wchar.h>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include "posix.h"

wchar_t *win_wide(const char *s); /* heap, or NULL with errno; unpaired surrogates (WTF-8) come back as they were */
char *win_utf8(const wchar_t *w); /* heap, or NULL with errno */

/* Absolute, with \\?\ before it, so that its length has no limit. NULL with errno. */
wchar_t *win_path(const char *path);

/* A name below a folder that was opened. A name that Windows keeps for a device (CON, NUL.txt), that it would change (a dot or a blank at the
 * end), or with a letter that no name can have, is EINVAL. AT_FDCWD: as win_path. */
wchar_t *win_path_at(int at, const char *name);

/* Folders that are open. fd of one; its path, or NULL with errno. */
#define WIN_FOLDER_FIRST 0x40000000
int win_folder_open(wchar_t *path); /* takes the heap string over, also when it fails */
const wchar_t *win_folder_path(int fd);
bool win_is_folder(int fd);
int win_folder_dup(int fd);
int win_folder_close(int fd);

int win_fail(DWORD error); /* sets errno; -1 */

#endif
