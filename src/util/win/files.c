/* files.c - the calls of win.h about files. A file is opened so that it can be renamed and removed while it is open, as POSIX has it. */
#include "winpath.h"

#include <stdarg.h>
#include <sys/file.h>
#include <winioctl.h>

#define IO_MAX       (1u << 30) /* bytes of one call */
#define OPEN_TRIES   10
#define REMOVE_TRIES 15 /* about a second in all */

static HANDLE handle_of(int fd)
{
	return fd < 0 || win_is_folder(fd) ? INVALID_HANDLE_VALUE : (HANDLE)_get_osfhandle(fd);
}

/* Takes path over. */
static int open_wide(wchar_t *path, int flags)
{
	DWORD access = flags & O_RDWR ? GENERIC_READ | GENERIC_WRITE : flags & O_WRONLY ? GENERIC_WRITE : GENERIC_READ;
	DWORD how = !(flags & O_CREAT) ? OPEN_EXISTING : flags & O_EXCL ? CREATE_NEW : flags & O_TRUNC ? CREATE_ALWAYS : OPEN_ALWAYS;
	DWORD attributes = path ? GetFileAttributesW(path) : 0;
	bool there = attributes != INVALID_FILE_ATTRIBUTES;
	HANDLE h = INVALID_HANDLE_VALUE;
	int fd;

	if (!path)
		return -1;
	if (there && (flags & O_NOFOLLOW) && (attributes & FILE_ATTRIBUTE_REPARSE_POINT)) {
		free(path);
		errno = EACCES;
		return -1;
	}
	if (there && (attributes & FILE_ATTRIBUTE_DIRECTORY) && !(flags & (O_CREAT | O_WRONLY | O_RDWR)))
		return win_folder_open(path);
	if (flags & O_DIRECTORY) {
		if (!there)
			win_fail(GetLastError());
		else
			errno = ENOTDIR;
		free(path);
		return -1;
	}
	for (unsigned attempt = 0; attempt < OPEN_TRIES; attempt++) {
		h = CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, how,
				FILE_ATTRIBUTE_NORMAL | (flags & O_NOFOLLOW ? FILE_FLAG_OPEN_REPARSE_POINT : 0), NULL);
		/* what was removed keeps its name until its last holder is gone: a new one can't be made for a moment */
		if (h != INVALID_HANDLE_VALUE || !(flags & O_CREAT) || GetLastError() != ERROR_ACCESS_DENIED)
			break;
		Sleep(10);
	}
	free(path);
	if (h == INVALID_HANDLE_VALUE)
		return win_fail(GetLastError());
	fd = _open_osfhandle((intptr_t)h, _O_BINARY | _O_NOINHERIT | (access == GENERIC_READ ? _O_RDONLY : 0));
	if (fd < 0)
		CloseHandle(h);
	return fd;
}

int win_open(const char *path, int flags, ...)
{
	if (flags & O_TMPFILE) {
		errno = EINVAL;
		return -1;
	}
	return open_wide(win_path(strcmp(path, "/dev/null") == 0 ? "NUL" : path), flags);
}

int win_openat(int at, const char *name, int flags, ...)
{
	return open_wide(win_path_at(at, name), flags);
}

int close(int fd)
{
	return win_is_folder(fd) ? win_folder_close(fd) : _close(fd);
}

int dup(int fd)
{
	return win_is_folder(fd) ? win_folder_dup(fd) : _dup(fd);
}

ssize_t win_pread(int fd, void *p, size_t n, int64_t off)
{
	OVERLAPPED at = {.Offset = (DWORD)off, .OffsetHigh = (DWORD)((uint64_t)off >> 32)};
	DWORD got = 0;

	if (ReadFile(handle_of(fd), p, n > IO_MAX ? IO_MAX : (DWORD)n, &got, &at))
		return (ssize_t)got;
	return GetLastError() == ERROR_HANDLE_EOF ? 0 : win_fail(GetLastError());
}

ssize_t win_pwrite(int fd, const void *p, size_t n, int64_t off)
{
	OVERLAPPED at = {.Offset = (DWORD)off, .OffsetHigh = (DWORD)((uint64_t)off >> 32)};
	DWORD put = 0;

	if (WriteFile(handle_of(fd), p, n > IO_MAX ? IO_MAX : (DWORD)n, &put, &at))
		return (ssize_t)put;
	return win_fail(GetLastError());
}

int64_t win_lseek(int fd, int64_t off, int whence)
{
	HANDLE h = handle_of(fd);
	LARGE_INTEGER to = {.QuadPart = off}, at = {.QuadPart = 0};

	if (h == INVALID_HANDLE_VALUE || GetFileType(h) != FILE_TYPE_DISK) {
		errno = ESPIPE;
		return -1;
	}
	if (!SetFilePointerEx(h, to, &at, whence == SEEK_SET ? FILE_BEGIN : whence == SEEK_CUR ? FILE_CURRENT : FILE_END))
		return win_fail(GetLastError());
	return at.QuadPart;
}

int win_ftruncate(int fd, int64_t size)
{
	FILE_END_OF_FILE_INFO end = {.EndOfFile = {.QuadPart = size}};

	return SetFileInformationByHandle(handle_of(fd), FileEndOfFileInfo, &end, sizeof(end)) ? 0 : win_fail(GetLastError());
}

int win_fsync(int fd)
{
	return win_is_folder(fd) || FlushFileBuffers(handle_of(fd)) ? 0 : win_fail(GetLastError());
}

static int facts_of(HANDLE h, struct win_stat *st)
{
	BY_HANDLE_FILE_INFORMATION f;

	*st = (struct win_stat){.st_mode = S_IFCHR};
	if (GetFileType(h) != FILE_TYPE_DISK)
		return 0;
	if (!GetFileInformationByHandle(h, &f))
		return win_fail(GetLastError());
	*st = (struct win_stat){.st_mode = f.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? S_IFDIR : S_IFREG,
				.st_size = (int64_t)((uint64_t)f.nFileSizeHigh << 32 | f.nFileSizeLow),
				.st_dev = f.dwVolumeSerialNumber,
				.st_ino = (uint64_t)f.nFileIndexHigh << 32 | f.nFileIndexLow};
	return 0;
}

/* Takes w over. */
static int facts_at(wchar_t *w, DWORD flags, struct win_stat *st)
{
	HANDLE h = w ? CreateFileW(w, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
				   FILE_FLAG_BACKUP_SEMANTICS | flags, NULL)
		     : INVALID_HANDLE_VALUE;
	DWORD error = GetLastError();
	int rc;

	free(w);
	if (!w)
		return -1;
	if (h == INVALID_HANDLE_VALUE)
		return win_fail(error);
	rc = facts_of(h, st);
	CloseHandle(h);
	return rc;
}

int win_fstat(int fd, struct win_stat *st)
{
	const wchar_t *folder = win_is_folder(fd) ? win_folder_path(fd) : NULL;

	if (win_is_folder(fd))
		return folder ? facts_at(_wcsdup(folder), 0, st) : -1;
	if (handle_of(fd) != INVALID_HANDLE_VALUE)
		return facts_of(handle_of(fd), st);
	errno = EBADF;
	return -1;
}

int win_fstatat(int at, const char *name, struct win_stat *st, int flags)
{
	(void)flags;
	return facts_at(win_path_at(at, name), FILE_FLAG_OPEN_REPARSE_POINT, st);
}

int win_stat(const char *path, struct win_stat *st)
{
	return facts_at(win_path(path), 0, st);
}

char *realpath(const char *path, char *unused)
{
	wchar_t *w = win_path(path), final[4096];
	DWORD attributes = w ? GetFileAttributesW(w) : INVALID_FILE_ATTRIBUTES, n = 0;
	HANDLE h = INVALID_HANDLE_VALUE;

	(void)unused;
	if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_REPARSE_POINT))
		h = CreateFileW(w, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
				FILE_FLAG_BACKUP_SEMANTICS, NULL);
	free(w);
	if (h != INVALID_HANDLE_VALUE) {
		n = GetFinalPathNameByHandleW(h, final, 4096, 0);
		CloseHandle(h);
	}
	return n && n < 4096 ? win_utf8(final) : strdup(path);
}

int flock(int fd, int how)
{
	OVERLAPPED behind = {.OffsetHigh = 0x7fffffff}; /* behind every byte that is read or written */

	if (LockFileEx(handle_of(fd), LOCKFILE_EXCLUSIVE_LOCK | (how & LOCK_NB ? LOCKFILE_FAIL_IMMEDIATELY : 0), 0, 1, 0, &behind))
		return 0;
	win_fail(GetLastError());
	if (errno == EBUSY || GetLastError() == ERROR_IO_PENDING)
		errno = EWOULDBLOCK;
	return -1;
}

/* ---- names --------------------------------------------------------------------------------------------------------------------------- */

static int make_folder(wchar_t *w)
{
	BOOL ok = w && CreateDirectoryW(w, NULL);
	DWORD error = GetLastError();

	/* the root of a drive, and a folder that we may not write to */
	if (w && !ok && error == ERROR_ACCESS_DENIED && GetFileAttributesW(w) != INVALID_FILE_ATTRIBUTES)
		error = ERROR_ALREADY_EXISTS;
	free(w);
	return !w ? -1 : ok ? 0 : win_fail(error);
}

/* \\, \\server and \\?: the beginning of a path that is no folder itself. */
static bool is_beginning(const char *path)
{
	size_t n = strspn(path, "/\\");

	return n >= 1 && (!path[n] || (n == 2 && !strpbrk(path + n, "/\\")));
}

int win_mkdir(const char *path, unsigned mode)
{
	(void)mode;
	if (is_beginning(path)) {
		errno = EEXIST;
		return -1;
	}
	return make_folder(win_path(path));
}

int win_mkdirat(int at, const char *name, unsigned mode)
{
	(void)mode;
	return make_folder(win_path_at(at, name));
}

/* What a process that is just ending still holds goes on being there for a moment: a folder is not empty, a file is in use. */
static bool is_for_a_moment(DWORD error)
{
	return error == ERROR_DIR_NOT_EMPTY || error == ERROR_SHARING_VIOLATION || error == ERROR_ACCESS_DENIED;
}

static int remove_wide(wchar_t *w, bool is_folder)
{
	DWORD attributes = w ? GetFileAttributesW(w) : INVALID_FILE_ATTRIBUTES, error = 0;
	BOOL ok = FALSE;

	if (!w)
		return -1;
	if (!is_folder && attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) {
		free(w);
		errno = EISDIR;
		return -1;
	}
	if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_READONLY)) /* POSIX asks the folder, not the file */
		SetFileAttributesW(w, attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY);
	for (unsigned attempt = 0; !ok && attempt < REMOVE_TRIES; attempt++) {
		if (attempt)
			Sleep(10 * attempt);
		ok = is_folder ? RemoveDirectoryW(w) : DeleteFileW(w);
		error = GetLastError();
		if (!ok && !is_for_a_moment(error))
			break;
	}
	free(w);
	return ok ? 0 : win_fail(error);
}

int win_unlink(const char *path)
{
	return remove_wide(win_path(path), false);
}

int win_unlinkat(int at, const char *name, int flags)
{
	return remove_wide(win_path_at(at, name), flags & AT_REMOVEDIR);
}

int win_renameat(int from_at, const char *from, int to_at, const char *to)
{
	wchar_t *a = win_path_at(from_at, from), *b = a ? win_path_at(to_at, to) : NULL;
	BOOL ok = a && b && MoveFileExW(a, b, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
	DWORD error = GetLastError();

	free(a);
	free(b);
	return !a || !b ? -1 : ok ? 0 : win_fail(error);
}

int win_mkostemp(char *pattern, int flags)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char *x = pattern + strlen(pattern) - 6;
	LARGE_INTEGER t;

	(void)flags;
	for (unsigned attempt = 0; attempt < 1000; attempt++) {
		DWORD unused;
		wchar_t *w;
		HANDLE h;

		QueryPerformanceCounter(&t);
		t.QuadPart = (t.QuadPart ^ (LONGLONG)GetCurrentProcessId() << 24) * 0x9e3779b97f4a7c1 + attempt;
		for (int i = 0; i < 6; i++)
			x[i] = letters[((uint64_t)t.QuadPart >> (10 + 8 * i)) % (sizeof(letters) - 1)];
		w = win_path(pattern);
		h = w ? CreateFileW(w, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
				    CREATE_NEW, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL)
		      : INVALID_HANDLE_VALUE;
		free(w);
		if (h != INVALID_HANDLE_VALUE) {
			DeviceIoControl(h, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &unused, NULL); /* only saves room */
			return _open_osfhandle((intptr_t)h, _O_BINARY | _O_NOINHERIT);
		}
		if (!w || GetLastError() != ERROR_FILE_EXISTS)
			return w ? win_fail(GetLastError()) : -1;
	}
	errno = EEXIST;
	return -1;
}

int win_isatty(int fd)
{
	DWORD mode;

	return GetConsoleMode(handle_of(fd), &mode) ? 1 : 0;
}
