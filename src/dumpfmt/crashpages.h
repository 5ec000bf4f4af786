/* crashpages.h - where the pages of a crash dump stand: the header's runs (type 1), a bitmap (2, 5, 6, 7), a table of ranges (8, 9, 0xA).
 *
 * A dump says some of this twice: how many pages there are, how long the table is, where the first page stands, and how long the file is. A value that
 * can't be is replaced by what the others leave (and named); where they don't tell, what would come out at a guessed address is left out (and named).
 * Facts: docs/formats/crash.md. */
#ifndef ETLIFT_CRASHPAGES_H
#define ETLIFT_CRASHPAGES_H

#include "crash.h"

/* The type whose tables the dump has; `type` where the tables bear it out, or nothing else fits. h = the header's bytes. Another one is named. */
uint32_t crashpages_type(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type);

/* Registers the pages of a type that has any. *end: the file offset behind the last one. */
int crashpages_add(struct dump *d, const struct crash_layout *l, const uint8_t *h, uint32_t type, uint64_t *end, struct err *e);

#endif
