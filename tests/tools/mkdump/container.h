/* container.h - the writers of containers: one memory, many files. Each in a form that its real producer writes (docs/formats/). */
#ifndef ETLIFT_CONTAINER_H
#define ETLIFT_CONTAINER_H

#include "winimg.h"

/* Writes the image to path. False: no such container, or the disk is full. */
bool container_write(struct winimg *w, const char *name, const char *path);
const char *container_names(void); /* for the usage line */

#endif
