/* file.h - see win.h */
#ifndef ETLIFT_WIN_FILE_H
#define ETLIFT_WIN_FILE_H

#define LOCK_EX 2
#define LOCK_NB 4

int flock(int fd, int how); /* LOCK_EX, with LOCK_NB or without; gone with the process that took it */

#endif
