/* segments.h - a file in pieces (NAME.001, NAME.002 ...; NAMEaa, NAMEab ... and the like, as split(1) makes them) as one input.
 *
 * A piece that is missing between others is a hole, when those others tell its size; else the input ends before it. */
#ifndef ETLIFT_SEGMENTS_H
#define ETLIFT_SEGMENTS_H

#include <stdbool.h>

#include "input.h"

#define SEGMENTS_MAX 100000u

struct segments_facts {
	uint32_t n;                /* pieces that are read */
	bool gap;                  /* a piece is missing, or short: the input ends there */
	uint32_t n_holes;          /* ... or it is a hole of the size that the others have: how many */
	uint64_t hole, hole_bytes; /* the first one's place and length */
	char missing[256];         /* the first one's name, without the folder */
};

/* When `path` is the name of a first piece and a further one exists: opens all of them. Names that may mean something else (no dot, two digits, letters)
 * count only when the sizes are those of pieces. Pieces beside a symbolic link come before those beside what it leads to. ERR_NOTMINE: it is no such
 * file. `first` is the opened first piece; it is taken over on success. */
int segments_open(struct input **out, struct input *first, const char *path, struct segments_facts *facts, struct err *e);

/* The same where, from byte n on, the path has an ending of packed files (NAME.001.gz, NAME.002.gz): all that there are, one behind the other as they lie. What each
 * unpacks to goes to segments_join(). */
int segments_open_packed(struct input **out, struct input *first, const char *path, size_t n, struct segments_facts *facts, struct err *e);

struct segments_piece {
	uint64_t off, size; /* in the input that segments_open_packed() made */
	uint32_t place;     /* which piece it is, from 0: those that are missing count */
	const char *name;   /* borrowed; with the folder */
};
bool segments_piece(const struct input *whole, uint32_t i, struct segments_piece *out);

/* What the pieces of segments_open_packed() unpacked to. */
struct segments_part {
	struct input *in;
	uint32_t place;
	bool cut; /* there was more of it */
	const char *name;
};

/* One input of them (n > 0), which owns them; on failure they are closed. Names are borrowed until it returns; `ending`: bytes of the ending that all have. */
int segments_join(struct input **out, const struct segments_part *part, uint32_t n, size_t ending, const char *path,
		  struct segments_facts *facts, struct err *e);

#endif
