/* cab.h - the first file of a cabinet, into memory (symbol servers keep PDBs as cabinets: ntkrnlmp.pd_). Through libmspack, on bytes in memory
 * only: it opens no file. */
#ifndef ETLIFT_CAB_H
#define ETLIFT_CAB_H

#include "buf.h"
#include "err.h"

#define CAB_NAME_MAX 256

/* Appends the file, at most max bytes; `name` gets its name (no path). ERR_NOTMINE: no cabinet; ERR_UNSUPPORTED: a build without libmspack. */
int cab_first_file(const void *p, size_t n, size_t max, struct buf *out, char name[CAB_NAME_MAX], struct err *e);

#endif
