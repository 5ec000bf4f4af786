/* unwrap.h - what stands around a container: pieces of a split file, compression. */
#ifndef ETLIFT_UNWRAP_H
#define ETLIFT_UNWRAP_H

#include "dumpfmt.h"

#define UNWRAP_DEPTH 4 /* a compressed file in a compressed file ... */

/* Puts the pieces of a split file together (by the name of d->in), then takes compression off, layer by layer: d->in becomes what is inside. Fills
 * compression, n_segments, advice. */
int dump_unwrap(struct dump *d, struct err *e);

#endif
