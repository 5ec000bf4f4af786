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
/* Brings what is in `from` to the disk, removes a folder `to` and gives its name. */
int outtree_commit(struct outdir *d, const char *from, const char *to, struct err *e);

#endif
