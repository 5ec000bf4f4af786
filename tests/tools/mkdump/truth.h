/* truth.h - what must come out of the image, as JSON for tests/truthcmp.py: sessions with all their facts, every buffer with its records, holes and
 * the ways that lead to it, consumers, providers, and the losses that must be named. */
#ifndef ETLIFT_TRUTH_H
#define ETLIFT_TRUTH_H

#include "winimg.h"

/* A way's bit number -> the report's word. */
extern const char *const way_names[11];

bool truth_write(struct winimg *w, const char *path);

#endif
