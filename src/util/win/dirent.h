/* dirent.h - names in a folder: see win.h. All of them are read when it is opened; rewinddir() reads them again. */
#ifndef ETLIFT_WIN_DIRENT_H
#define ETLIFT_WIN_DIRENT_H

struct dirent {
	const char *d_name; /* UTF-8; lives until rewinddir() or closedir() */
};
typedef struct win_dir DIR;

DIR *opendir(const char *path);
DIR *fdopendir(int fd); /* takes fd over; it must be a folder's */
struct dirent *readdir(DIR *d);
void rewinddir(DIR *d);
int closedir(DIR *d);
int dirfd(DIR *d);

#endif
