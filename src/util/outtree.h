/* outtree.h - whole folders in an output folder: made under a working name, renamed when they are whole. Names have one part; links are not
 * followed. */
#ifndef ETLIFT_OUTTREE_H
#define ETLIFT_OUTTREE_H

#include "outfile.h"

#define OUTTREE_DEPTH 16

int outtree_make(struct outdir *d, const char *name, struct err *e);   /* an empty folder; there may be one already */
int outtree_remove(struct outdir *d, const char *name, struct err *e); /* with all that is in it; none there is fine */
/* Removes one file of a folder; none there is fine. */
int outtree_drop(struct outdir *d, const char *folder, const char *name, struct err *e);
/* Brings what is in `from` to the disk and gives it the name `to`. A folder of that name is moved away first (".old-" before its name) and removed
 * afterwards: at no moment stands half of it there. A file of that name is ERR_EXISTS. */
int outtree_commit(struct outdir *d, const char *from, const char *to, struct err *e);

/* Only one process at a time works on something: takes the lock file `name` of the folder, waiting at most `ms` milliseconds. Returns a descriptor,
 * or ERR_EXISTS: another process holds it. A process that inherits the descriptor holds it too. Where the file system has no locks, everybody gets it. */
int outtree_lock(struct outdir *d, const char *name, unsigned ms, struct err *e);
void outtree_unlock(struct outdir *d, const char *name, int fd); /* removes the file */

#endif
