/* unwrap.h - what stands around a container: pieces of a split file, compression. */
#ifndef ETLIFT_UNWRAP_H
#define ETLIFT_UNWRAP_H

#include "dumpfmt.h"

#define UNWRAP_DEPTH  4                   /* a compressed file in a compressed file ... */
#define UNWRAP_PIECES 1024                /* of one image, packed one by one */
#define UNWRAP_TRY    ((uint64_t)4 << 20) /* what a page of packed bytes can unpack to */

/* Puts the pieces of a split file together (by the name of d->in), then takes compression off, layer by layer: d->in becomes what is inside. Fills
 * compression, n_segments, advice. */
int dump_unwrap(struct dump *d, struct err *e);

/* What there is to say of the end of d->later, once it is known. */
void dump_tell_end(struct dump *d);

/* Damage of packed bytes that was met since the last call. */
void dump_tell_flaws(struct dump *d);

/* A companion's bytes: what is inside takes the place of *in, whose outer layers are handed to d. `memory`: it is what the image is made of, and compression
 * and advice speak of it too; else only damage is named. On failure *in is still the caller's. */
int dump_unwrap_beside(struct dump *d, struct input **in, bool memory, struct err *e);

/* Endings of packed files' names, NULL behind the last. By them companions are found; what a file is, its content tells. */
extern const char *const unwrap_endings[];

/* How long a file's name is without the endings of packed files (.gz, .zst ...). */
size_t unwrap_name_length(const char *name);

#endif
