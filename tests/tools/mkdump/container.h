/* container.h - the writers of containers: one memory, many files. Each in a form that its real producer writes (docs/formats/). */
#ifndef ETLIFT_CONTAINER_H
#define ETLIFT_CONTAINER_H

#include <stdio.h>

#include "winimg.h"

/* Writers: containers.def. `path` is the name of the image, for those that write files beside it; `f` is open on it. */
typedef bool container_fn(struct winimg *w, FILE *f, const char *path);
#define CONTAINER(name, fn) container_fn fn;
#include "containers.def"
#undef CONTAINER

/* The page of RAM at this page frame number, or NULL: zeros, or none. Frames end at container_end(). */
const uint8_t *container_page(const struct winimg *w, uint64_t pfn);
uint64_t container_end(const struct winimg *w);

/* Physical runs of RAM by page frame number: below the hole, and from 4 GiB on. Returns how many. */
unsigned container_runs(const struct winmem *m, uint64_t first[2], uint64_t count[2]);
bool container_put_page(FILE *f, const uint8_t *p); /* NULL: zeros */
/* The frame of RAM (for wm_peek) at a page frame number of run r. */
static inline uint64_t container_frame(const struct winmem *m, unsigned r, uint64_t i)
{
	return r ? m->hole_frames + i : i;
}
uint64_t container_root(const struct winimg *w); /* the page-table root that the container names; see HINT_* */

/* Writes the image to path. False: no such container, or the disk is full. */
bool container_write(struct winimg *w, const char *name, const char *path);
const char *container_names(void); /* for the usage line */

#endif
