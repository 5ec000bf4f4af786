/* segments.h - a file in pieces (NAME.001, NAME.002 ...; NAMEaa, NAMEab ... and the like, as split(1) makes them) as one input. */
#ifndef ETLIFT_SEGMENTS_H
#define ETLIFT_SEGMENTS_H

#include <stdbool.h>

#include "input.h"

#define SEGMENTS_MAX 100000u

struct segments_facts {
	uint32_t n;        /* pieces that were opened */
	bool gap;          /* a later piece exists behind one that is missing: the input ends before it */
	char missing[256]; /* its name, without the folder */
};

/* When `path` is the name of a first piece and the next one exists: opens all of them. Names that may mean something else (no dot, two digits, letters)
 * count only when the sizes are those of pieces. Pieces beside a symbolic link come before those beside what it leads to. ERR_NOTMINE: it is no such
 * file. `first` is the opened first piece; it is taken over on success. */
int segments_open(struct input **out, struct input *first, const char *path, struct segments_facts *facts, struct err *e);

/* `path` is that of a first piece and, from byte n on, an ending of packed files (NAME.001.gz), and the next piece lies beside it; its name is left in
 * facts->missing. Such pieces are not joined. */
bool segments_packed(const char *path, size_t n, struct segments_facts *facts);

#endif
