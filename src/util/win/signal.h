/* signal.h - see win.h: posix.h includes those of the C library. */
#ifdef ETLIFT_WIN_POSIX_H
#include_next <signal.h>
#else
#include "posix.h"
#endif
