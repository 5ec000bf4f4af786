/* fcntl.h - see win.h: posix.h includes those of the C library. open() is a macro only where this was asked for: members of structs are called
 * so, too. */
#ifdef ETLIFT_WIN_POSIX_H
#include_next <fcntl.h>
#else
#include "posix.h"
#endif
#if defined(ETLIFT_WIN_POSIX_DONE) && !defined(open)
#define open(...) win_open(__VA_ARGS__)
#endif
