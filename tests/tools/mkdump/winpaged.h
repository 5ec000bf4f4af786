/* winpaged.h - pages that software page-table entries lead to, and the pagefile that holds some of them. */
#ifndef ETLIFT_WINPAGED_H
#define ETLIFT_WINPAGED_H

#include "winimg.h"

void pagefile_free(struct pagefile *f);
bool pagefile_write(const struct pagefile *f, const char *path); /* also one without a page */

/* Paged pool of nobody in particular, n pages, off the working set: entries with the mask. */
void wi_trimmed(struct winimg *w, unsigned n);

/* Moves the page of `va` to where `fate` says. False: it was not mapped, or the fate is none of these. */
bool wi_page_elsewhere(struct winimg *w, struct winspace *s, uint64_t va, enum page_fate fate);

#endif
