/* winpath.c - see winpath.h */
#include "winpath.h"

#include "path.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FOLDERS_MAX 4096
#define PATH_UNITS  32768 /* what Windows itself can have */

int win_fail(DWORD error)
{
	static const struct {
		DWORD error;
		int no;
	} table[] = {{ERROR_FILE_NOT_FOUND, ENOENT},
		     {ERROR_PATH_NOT_FOUND, ENOENT},
		     {ERROR_INVALID_DRIVE, ENOENT},
		     {ERROR_BAD_NETPATH, ENOENT},
		     {ERROR_BAD_NET_NAME, ENOENT},
		     {ERROR_NOT_READY, ENOENT},
		     {ERROR_ACCESS_DENIED, EACCES},
		     {ERROR_SHARING_VIOLATION, EBUSY},
		     {ERROR_LOCK_VIOLATION, EBUSY},
		     {ERROR_WRITE_PROTECT, EROFS},
		     {ERROR_FILE_EXISTS, EEXIST},
		     {ERROR_ALREADY_EXISTS, EEXIST},
		     {ERROR_DIR_NOT_EMPTY, ENOTEMPTY},
		     {ERROR_DIRECTORY, ENOTDIR},
		     {ERROR_INVALID_NAME, EINVAL},
		     {ERROR_BAD_PATHNAME, EINVAL},
		     {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
		     {ERROR_DISK_FULL, ENOSPC},
		     {ERROR_HANDLE_DISK_FULL, ENOSPC},
		     {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
		     {ERROR_OUTOFMEMORY, ENOMEM},
		     {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
		     {ERROR_INVALID_HANDLE, EBADF},
		     {ERROR_BROKEN_PIPE, EPIPE},
		     {ERROR_NO_DATA, EPIPE},
		     {ERROR_INVALID_PARAMETER, EINVAL}};

	errno = EIO;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].error == error)
			errno = table[i].no;
	return -1;
}

/* One character; what is no UTF-8 is taken as Latin-1, so that every name leads somewhere. */
static size_t next_char(const unsigned char *s, uint32_t *cp)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
						 : 0;

	*cp = s[0];
	if (n < 2)
		return 1;
	*cp &= 0xffu >> (n + 1);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*cp = s[0];
			return 1;
		}
		*cp = *cp << 6 | (s[i] & 0x3fu);
	}
	return n;
}

wchar_t *win_wide(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	wchar_t *w = calloc(strlen(s) + 1, sizeof(*w));
	size_t n = 0;

	if (!w)
		return NULL;
	while (*p) {
		uint32_t cp;

		p += next_char(p, &cp);
		if (cp >= 0x10000) {
			w[n++] = (wchar_t)(0xd800 + ((cp - 0x10000) >> 10 & 0x3ff));
			w[n++] = (wchar_t)(0xdc00 + (cp & 0x3ff));
		} else {
			w[n++] = (wchar_t)cp;
		}
	}
	return w;
}

char *win_utf8(const wchar_t *w)
{
	unsigned char *s = malloc(3 * wcslen(w) + 1), *p = s;

	if (!s)
		return NULL;
	for (; *w; w++) {
		uint32_t cp = *w;

		if (cp >= 0xd800 && cp < 0xdc00 && w[1] >= 0xdc00 && w[1] < 0xe000)
			cp = 0x10000 + ((cp & 0x3ff) << 10) + (*++w & 0x3ffu);
		if (cp < 0x80) {
			*p++ = (unsigned char)cp;
		} else if (cp < 0x800) {
			*p++ = (unsigned char)(0xc0 | cp >> 6);
			*p++ = (unsigned char)(0x80 | (cp & 0x3f));
		} else {
			if (cp >= 0x10000) {
				*p++ = (unsigned char)(0xf0 | cp >> 18);
				*p++ = (unsigned char)(0x80 | (cp >> 12 & 0x3f));
			} else {
				*p++ = (unsigned char)(0xe0 | cp >> 12);
			}
			*p++ = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
			*p++ = (unsigned char)(0x80 | (cp & 0x3f));
		}
	}
	*p = 0;
	return (char *)s;
}

/* \\?\ before an absolute path: \\server\share gets \\?\UNC\. What has it, and a device (\\.\), stays. */
static wchar_t *with_prefix(const wchar_t *full)
{
	const wchar_t *prefix = L"\\\\?\\";
	wchar_t *out = calloc(wcslen(full) + 9, sizeof(*out));

	if (!out)
		return NULL;
	if (wcsncmp(full, L"\\\\?\\", 4) == 0 || wcsncmp(full, L"\\\\.\\", 4) == 0) {
		prefix = L"";
	} else if (wcsncmp(full, L"\\\\", 2) == 0) {
		prefix = L"\\\\?\\UNC\\";
		full += 2;
	}
	wcscpy(out, prefix);
	wcscat(out, full);
	return out;
}

wchar_t *win_path(const char *path)
{
	const char *base = path_base(path);
	wchar_t *w = *path ? win_wide(path) : NULL, *full = NULL, *out = NULL;
	DWORD n;

	if (!*path)
		errno = ENOENT;
	/* NUL alone is the device; x/nul.txt would be it, too, which nobody means: what is written would be gone. \\. and \\? are meant. */
	if (w && path_is_device(base) && (base != path || strchr(base, '.')) && strncmp(path, "\\\\", 2) != 0) {
		free(w);
		errno = EINVAL;
		return NULL;
	}
	if (!w)
		return NULL;
	full = calloc(PATH_UNITS + 1, sizeof(*full));
	n = full ? GetFullPathNameW(w, PATH_UNITS, full, NULL) : 0;
	if (n == 0 || n >= PATH_UNITS)
		errno = full ? ENAMETOOLONG : ENOMEM;
	else
		out = with_prefix(full);
	free(w);
	free(full);
	return out;
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || name[n - 1] == '.' || name[n - 1] == ' ' || strpbrk(name, "<>:\"/\\|?*"))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20)
			return false;
	return !path_is_device(name);
}

wchar_t *win_path_at(int at, const char *name)
{
	const wchar_t *folder;
	wchar_t *w, *out;

	if (at == AT_FDCWD)
		return win_path(name);
	folder = win_folder_path(at);
	if (!folder)
		return NULL;
	if (strcmp(name, ".") == 0)
		return _wcsdup(folder);
	if (!name_ok(name)) {
		errno = EINVAL;
		return NULL;
	}
	w = win_wide(name);
	out = w ? calloc(wcslen(folder) + wcslen(w) + 2, sizeof(*out)) : NULL;
	if (out) {
		wcscpy(out, folder);
		if (out[wcslen(out) - 1] != L'\\')
			wcscat(out, L"\\");
		wcscat(out, w);
	}
	free(w);
	return out;
}

/* ---- folders that are open ---------------------------------------------------------------------------------------------------------- */

static wchar_t *folder[FOLDERS_MAX]; /* NULL: free */
static pthread_mutex_t folder_lock = PTHREAD_MUTEX_INITIALIZER;

bool win_is_folder(int fd)
{
	return fd >= WIN_FOLDER_FIRST && fd < WIN_FOLDER_FIRST + FOLDERS_MAX;
}

int win_folder_open(wchar_t *path)
{
	int fd = -1;

	if (!path)
		return -1;
	pthread_mutex_lock(&folder_lock);
	for (int i = 0; i < FOLDERS_MAX && fd < 0; i++)
		if (!folder[i]) {
			folder[i] = path;
			fd = WIN_FOLDER_FIRST + i;
		}
	pthread_mutex_unlock(&folder_lock);
	if (fd < 0) {
		free(path);
		errno = EMFILE;
	}
	return fd;
}

const wchar_t *win_folder_path(int fd)
{
	const wchar_t *path = win_is_folder(fd) ? folder[fd - WIN_FOLDER_FIRST] : NULL;

	if (!path)
		errno = EBADF;
	return path;
}

int win_folder_dup(int fd)
{
	const wchar_t *path = win_folder_path(fd);

	return path ? win_folder_open(_wcsdup(path)) : -1;
}

int win_folder_close(int fd)
{
	if (!win_folder_path(fd))
		return -1;
	pthread_mutex_lock(&folder_lock);
	free(folder[fd - WIN_FOLDER_FIRST]);
	folder[fd - WIN_FOLDER_FIRST] = NULL;
	pthread_mutex_unlock(&folder_lock);
	return 0;
}
