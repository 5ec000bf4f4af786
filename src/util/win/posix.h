/* posix.h - the calls of unistd.h, fcntl.h, sys/stat.h and signal.h that src/util and src/cli make: see win.h. The headers of these names in this
 * folder lead here. */
#ifndef ETLIFT_WIN_POSIX_H
#define ETLIFT_WIN_POSIX_H

/* A name of io.h that the tree has for something of its own */
#define tell msvcrt_tell
#include <io.h>
#undef tell

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- files and folders (files.c, folders.c). errno is set as POSIX has it ---- */
#define O_CLOEXEC   _O_NOINHERIT
#define O_NOCTTY    0
#define O_NONBLOCK  0
#define O_DIRECTORY 0x01000000
#define O_NOFOLLOW  0x02000000
#define O_TMPFILE   0x04000000 /* always refused: mkostemp() makes one that goes with its last handle */

#define AT_FDCWD            (-100)
#define AT_REMOVEDIR        0x200
#define AT_SYMLINK_NOFOLLOW 0x100 /* always so */

struct win_stat {
	unsigned st_mode; /* S_IFDIR or S_IFREG; S_IFCHR for what is not on a disk */
	int64_t st_size;
	uint64_t st_dev, st_ino; /* 0: not known */
};

int win_open(const char *path, int flags, ...);
int win_openat(int at, const char *name, int flags, ...);
ssize_t win_pread(int fd, void *p, size_t n, int64_t off);
ssize_t win_pwrite(int fd, const void *p, size_t n, int64_t off);
int64_t win_lseek(int fd, int64_t off, int whence);
int win_ftruncate(int fd, int64_t size);
int win_fsync(int fd); /* nothing to do for a folder */
int win_fstat(int fd, struct win_stat *st);
int win_fstatat(int at, const char *name, struct win_stat *st, int flags);
int win_stat(const char *path, struct win_stat *st);
int win_mkdir(const char *path, unsigned mode);
int win_mkdirat(int at, const char *name, unsigned mode);
int win_unlink(const char *path);
int win_unlinkat(int at, const char *name, int flags);
int win_renameat(int from_at, const char *from, int to_at, const char *to);
int win_mkostemp(char *pattern, int flags);
int win_isatty(int fd); /* a console, not any character device */

/* close() and dup() have no other name: functions of these names stand before those of the C library, since there are members of structs that
 * are called so. */
#undef lseek
#undef ftruncate
#undef stat
#undef fstat
#undef isatty
#undef unlink
#define openat                 win_openat
#define pread                  win_pread
#define pwrite                 win_pwrite
#define lseek(fd, off, whence) win_lseek(fd, off, whence)
#define ftruncate(fd, size)    win_ftruncate(fd, size)
#define fsync                  win_fsync
#define stat                   win_stat
#define fstat(fd, st)          win_fstat(fd, st)
#define fstatat                win_fstatat
#define mkdir(path, mode)      win_mkdir(path, mode)
#define mkdirat                win_mkdirat
#define unlink(path)           win_unlink(path)
#define unlinkat               win_unlinkat
#define renameat               win_renameat
#define mkostemp               win_mkostemp
#define isatty(fd)             win_isatty(fd)

/* ---- signals: Ctrl-C ---- */
#define SIGPIPE      13
#define SIGKILL      9
#define SIGXFSZ      25
#define SA_RESETHAND 1 /* always so */
struct sigaction {
	void (*sa_handler)(int);
	int sa_flags;
	int sa_mask;
};
int win_sigaction(int sig, const struct sigaction *sa, struct sigaction *old);
void (*win_signal(int sig, void (*handler)(int)))(int);
#define sigaction(sig, sa, old) win_sigaction(sig, sa, old)
#define sigemptyset(set)        ((void)(*(set) = 0))
#define signal(sig, handler)    win_signal(sig, handler)

#define _SC_NPROCESSORS_ONLN 84
long win_sysconf(int name);
#define sysconf win_sysconf

#define ETLIFT_WIN_POSIX_DONE
#endif
