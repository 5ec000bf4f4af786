/* etlfile.h - a trace file by its path, out of its compression: people keep them as .etl.gz, OneDrive writes .etlgz. Told by content.
 *
 * Only a file whose first unpacked bytes are those of a trace is unpacked; anything else is handed over as it stands. Offsets that the readers
 * above tell of are those in the unpacked file. */
#ifndef ETLIFT_ETLFILE_H
#define ETLIFT_ETLFILE_H

#include "input.h"
#include "layer.h"

struct etlfile {
	struct input *in;          /* what to read; owned */
	struct input *outer;       /* the packed file beneath it, or NULL; owned */
	struct layer_facts packed; /* with outer: how it is packed, whether all of it could be unpacked */
};

/* 0; ERR_* of input_open(), ERR_FORMAT when it can't be unpacked. */
int etlfile_open(struct etlfile *f, const char *path, struct err *e);
void etlfile_close(struct etlfile *f); /* takes one that was zeroed or closed */

#endif
