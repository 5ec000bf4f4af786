/* dumpfmt.h - the containers of physical memory: tells which one a file is, registers its runs with phys, hands over hints, steps aside.
 *
 * A container knows nothing of paging, Windows structures or ETW. The type is told by content, never by file name; companions (.002, .vmss,
 * E02) are found by name or given with --sidecar.
 * To add one: src/dumpfmt/NAME.c with a `const struct dumpfmt dumpfmt_NAME`, a line in formats.def (probing order), its writer in
 * tests/tools/mkdump, a fuzz target, a page in docs/formats/. */
#ifndef ETLIFT_DUMPFMT_H
#define ETLIFT_DUMPFMT_H

#include "err.h"
#include "hash.h"
#include "hints.h"
#include "input.h"
#include "note.h"
#include "phys.h"

struct dump_packed;

struct dump_opts {
	const char *sidecar; /* --sidecar, or NULL */
	const char *spill;   /* --spill DIR, or NULL: never write a temporary file; nothing in it outlives the dump */
};

/* An opened image. Filled by the container's open(); lives until dump_close(). */
struct dump {
	const struct dumpfmt *fmt;
	char format[40];      /* the report's image.format: "raw", "crash64-full", "lime" ... */
	char compression[40]; /* "" or what the bytes were packed with */
	char advice[200];     /* "" or one line that `info` prints: what would make the image better readable */
	uint32_t n_segments;  /* files read; at least 1 */
	uint32_t n_layers;    /* opened by dump_open_inside() */
	struct input *in;     /* owned; the file, or what the innermost layer makes of it: containers read this */
	struct input
		*file; /* borrowed; the evidence: the file as it lies on disk (pieces as one), or what an EWF image holds: this is hashed */
	uint64_t in_at;      /* bytes before `in`, when it is a window on something whose offsets count from its own beginning */
	struct input **more; /* owned: segments, companions, decompressing layers; closed in reverse order */
	size_t n_more, cap_more;
	struct phys *phys; /* owned; sealed by dump_open() */
	struct hints hints;
	void *state;            /* the container's own; freed by its close() */
	bool has_md5, has_sha1; /* what the container says all bytes of `file` hash to */
	uint8_t md5[HASH_MAX], sha1[HASH_MAX];
	struct input *later;        /* borrowed; a layer whose end is still to be told, or NULL */
	struct dump_packed *packed; /* layers, whose damage is told as it is met; owned */
	size_t n_packed, cap_packed;
	void (*late)(void *ctx, struct notes *notes); /* damage met while reading: see dump_late_notes(); may be NULL */
	void *late_ctx;
	struct notes *notes; /* borrowed; may be NULL */
	struct dump_opts opts;
};

struct dumpfmt {
	const char *name;
	/* Looks at magic only. `head` = the first bytes of the input (up to DUMP_HEAD). True: this one, and open() has the last word. */
	bool (*probe)(const uint8_t *head, size_t n);
	/* Registers runs and hints. A container that is mine but broken beyond use is ERR_FORMAT/ERR_TRUNC/ERR_NOIMAGE/ERR_UNSUPPORTED with the
	 * reason in words; damage that leaves something is a note. ERR_NOTMINE: only the magic was mine, and nothing is registered: the next ones are
	 * asked. */
	int (*open)(struct dump *d, struct err *e);
	void (*close)(struct dump *d); /* frees d->state; may be NULL */
};

#define DUMP_HEAD       8192
#define DUMP_LAYERS_MAX 4

/* Opens an image. A stream (a pipe) is copied into the spill folder first; without one it is ERR_NOIMAGE. Files that are no memory image (PE, JPEG, PDF, MDMP, archives ...) are refused by name with ERR_NOIMAGE. `notes` may be
 * NULL and must live as long as the dump. */
int dump_open(struct dump **out, const char *path, const struct dump_opts *opts, struct notes *notes, struct err *e);

/* The same on an input that is open; takes it over, also on failure. For tests, fuzzing and layers. */
int dump_open_input(struct dump **out, struct input *in, const struct dump_opts *opts, struct notes *notes, struct err *e);

void dump_close(struct dump *d); /* takes NULL */

/* A packed raw image that can't tell its size is not unpacked for that alone: who reads all of it in order (physscan.h) unpacks it once, and what there is to
 * say of its end comes with dump_late_notes(). This learns the size now: reads all of it, unless it is known. */
void dump_settle(struct dump *d);

/* Adds notes on what was met since opening (or since the last call): chunks that don't unpack, checksums that don't hold, a packed image that ends early. From the thread that
 * owns the notes, before they are written down. */
void dump_late_notes(struct dump *d);

/* For containers that hold another one (EWF): `layer` takes the place of d->in, what was there is kept open beneath it, and probing goes on
 * inside. Takes the layer over, also on failure. */
int dump_open_inside(struct dump *d, struct input *layer, struct err *e);

/* For containers: hands an input to the dump, which closes it. On failure the input is closed. */
int dump_keep(struct dump *d, struct input *in, struct err *e);

#endif
