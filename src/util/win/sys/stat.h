/* sys/stat.h - see win.h: posix.h includes those of the C library. */
#ifdef ETLIFT_WIN_POSIX_H
#include_next <sys/stat.h>
#else
#include "posix.h"
#endif
