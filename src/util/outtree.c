/* outtree.c - see outtree.h */
#include "outtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int fail(struct err *e, const char *what, const char *name)
{
	return err_set(e, ERR_IO, "%s: %s: %s", name, what, strerror(errno));
}

static bool one_part(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int outtree_make(struct outdir *d, const char *name, struct err *e)
{
	if (!one_part(name))
		return err_set(e, ERR_USAGE, "'%s' can't be a folder's name", name);
	if (mkdirat(outdir_fd(d), name, 0777) < 0 && errno != EEXIST)
		return fail(e, "can't make the folder", name);
	return 0;
}

static DIR *open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* Depth first, without recursion: the folders that are open stand on a stack. A folder is left when nothing is in it any more. */
static int empty(int at, const char *name, struct err *e)
{
	DIR *stack[OUTTREE_DEPTH];
	char names[OUTTREE_DEPTH][256];
	int n = 0, rc = 0;

	stack[n++] = open_folder(at, name);
	if (!stack[0])
		return errno == ENOENT ? 0 : fail(e, "can't be removed", name);
	while (rc == 0 && n) {
		struct dirent *de = readdir(stack[n - 1]);
		int fd = dirfd(stack[n - 1]);

		if (!de) {
			closedir(stack[--n]);
			if (n && unlinkat(dirfd(stack[n - 1]), names[n], AT_REMOVEDIR) < 0)
				rc = fail(e, "can't be removed", names[n]);
			if (n)
				rewinddir(stack[n - 1]);
			continue;
		}
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 || unlinkat(fd, de->d_name, 0) == 0)
			continue;
		if (n == OUTTREE_DEPTH) {
			rc = err_set(e, ERR_LIMIT, "%s: folders deeper than %d", name, OUTTREE_DEPTH);
			break;
		}
		snprintf(names[n], sizeof(names[n]), "%s", de->d_name);
		stack[n] = open_folder(fd, de->d_name);
		if (stack[n])
			n++;
		else
			rc = fail(e, "can't be removed", de->d_name);
	}
	while (n)
		closedir(stack[--n]);
	return rc;
}

int outtree_remove(struct outdir *d, const char *name, struct err *e)
{
	int rc;

	if (!one_part(name))
		return err_set(e, ERR_USAGE, "'%s' can't be a folder's name", name);
	rc = empty(outdir_fd(d), name, e);
	if (rc == 0 && unlinkat(outdir_fd(d), name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = fail(e, "can't be removed", name);
	return rc;
}

int outtree_drop(struct outdir *d, const char *folder, const char *name, struct err *e)
{
	DIR *dir = one_part(folder) && one_part(name) ? open_folder(outdir_fd(d), folder) : NULL;
	int rc = 0;

	if (!dir)
		return fail(e, "can't be opened", folder);
	if (unlinkat(dirfd(dir), name, 0) < 0 && errno != ENOENT)
		rc = fail(e, "can't be removed", name);
	closedir(dir);
	return rc;
}

int outtree_commit(struct outdir *d, const char *from, const char *to, struct err *e)
{
	DIR *dir = one_part(from) ? open_folder(outdir_fd(d), from) : NULL;
	char old[300];
	struct stat st;
	int rc = 0;

	if (!dir)
		return fail(e, "can't be opened", from);
	if (fsync(dirfd(dir)) < 0)
		rc = fail(e, "can't be brought to the disk", from);
	closedir(dir);
	snprintf(old, sizeof(old), ".old-%.250s", to);
	if (rc == 0 && fstatat(outdir_fd(d), to, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		rc = err_set(e, ERR_EXISTS, "%s: is a file, and no folder to be replaced", to);
	if (rc == 0)
		rc = outtree_remove(d, old, e);
	if (rc == 0 && renameat(outdir_fd(d), to, outdir_fd(d), old) < 0 && errno != ENOENT)
		rc = fail(e, "can't be moved away", to);
	if (rc == 0 && renameat(outdir_fd(d), from, outdir_fd(d), to) < 0)
		rc = fail(e, "can't be renamed", from);
	if (rc == 0)
		rc = outtree_remove(d, old, e);
	if (rc == 0 && fsync(outdir_fd(d)) < 0)
		rc = fail(e, "can't be brought to the disk", to);
	return rc;
}

/* Is the open file still the one of this name? Its last holder may have removed it. */
static bool still_there(int at, const char *name, int fd)
{
	struct stat x, y;

	return fstat(fd, &x) == 0 && fstatat(at, name, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int outtree_lock(struct outdir *d, const char *name, unsigned ms, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 20000000};

	if (!one_part(name))
		return err_set(e, ERR_USAGE, "'%s' can't be a file's name", name);
	for (unsigned waited = 0;; waited += 20) {
		int fd = openat(outdir_fd(d), name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
		bool busy;

		if (fd < 0)
			return fail(e, "can't be made", name);
		busy = flock(fd, LOCK_EX | LOCK_NB) < 0 && (errno == EWOULDBLOCK || errno == EINTR);
		if (!busy && still_there(outdir_fd(d), name, fd))
			return fd;
		close(fd);
		if (waited >= ms)
			return err_set(e, ERR_EXISTS, "another process works on it");
		if (busy)
			nanosleep(&nap, NULL);
	}
}

void outtree_unlock(struct outdir *d, const char *name, int fd)
{
	unlinkat(outdir_fd(d), name, 0);
	close(fd);
}
