/* container.h - the writers of containers: one memory, many files. Each in a form that its real producer writes (docs/formats/). */
#ifndef ETLIFT_CONTAINER_H
#define ETLIFT_CONTAINER_H

#include <stdio.h>

#include "winimg.h"

/* The writers that have a file of their own (cont_NAME.c). `path` is the name of the image, for those that write files beside it; `f` is open on
 * it. */
bool cont_ewf(struct winimg *w, FILE *f, const char *path);

/* The page of RAM at this page frame number, or NULL: zeros, or none. Frames end at container_end(). */
const uint8_t *container_page(const struct winimg *w, uint64_t pfn);
uint64_t container_end(const struct winimg *w);

/* Writes the image to path. False: no such container, or the disk is full. */
bool container_write(struct winimg *w, const char *name, const char *path);
const char *container_names(void); /* for the usage line */

#endif
