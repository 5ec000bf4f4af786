/* input.h - a read-only byte source addressed by offset: a file, bytes in memory, or a layer over another one.
 *
 * The one module that opens and reads evidence. Files are read with pread, never mapped: no SIGBUS when a file shrinks, no 32-bit limits,
 * and many threads may read at once. Evidence is opened read-only, and nothing is ever written beside it.
 * Layers (segments, decompressors) are inputs too: see input_new(). A layer must be safe for concurrent reads, or say in its own header
 * that it is not. */
#ifndef ETLIFT_INPUT_H
#define ETLIFT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

struct input;

struct input_ops {
	/* Reads up to len bytes at off. Returns the count (short only at the end), 0 at or past the end, negative ERR_*. */
	int64_t (*read)(void *ctx, uint64_t off, void *buf, size_t len, struct err *e);
	void (*close)(void *ctx); /* frees ctx; may be NULL */
};

/* All bytes of a file, or of what is no file with offsets (a pipe; "-" = standard input), at most `max`: ERR_LIMIT. Into an initialised buf, behind what is
 * there. For lists and other words of the user, not for evidence. */
int input_slurp(struct buf *out, const char *path, uint64_t max, struct err *e);

/* Opens a regular file or block device ("-" = standard input, which must be seekable). A folder is ERR_NOIMAGE. */
int input_open(struct input **out, const char *path, struct err *e);

/* Is it a stream, of which each byte can be read once (a FIFO, a socket; "-" where that is one)? It is not opened. */
bool input_is_stream(const char *path);
/* A stream, read to its end into a nameless file in `folder` (--spill), which goes with the input. A disk that is full is ERR_IO. */
int input_open_spilled(struct input **out, const char *path, const char *folder, struct err *e);

/* Bytes in memory, borrowed: they must outlive the input. `name` is copied. */
int input_open_memory(struct input **out, const void *p, size_t n, const char *name, struct err *e);

/* A layer of your own. On failure ctx is not closed. `name` is copied. */
int input_new(struct input **out, const struct input_ops *ops, void *ctx, uint64_t size, const char *name, struct err *e);

/* Which bytes of a layer are there at all: how many from off on (at most len, at least 1) are alike, and in *there whether they can be read.
 * For layers with holes (a lost segment); an input without this function has none. Containers that register runs through phys_add_file()
 * leave holes out of memory by that. */
typedef uint64_t input_extent_fn(void *ctx, uint64_t off, uint64_t len, bool *there);
void input_set_extent(struct input *in, input_extent_fn *fn);
uint64_t input_extent(const struct input *in, uint64_t off, uint64_t len, bool *there);

/* The size of a layer that can't tell it before all of it was read. `learn`: read on until it is known. Else what is known now: *known false makes the
 * result a guess, from how much of what lies beneath was read (0: none yet). Must allow concurrent calls. */
typedef uint64_t input_size_fn(void *ctx, bool learn, bool *known);
void input_set_size_fn(struct input *in, input_size_fn *fn); /* the size that input_new() was given does not count then */
bool input_size_known(const struct input *in);               /* false: input_size() may read everything */
uint64_t input_size_guess(const struct input *in);           /* as it is known now; 0: not at all */

/* The ctx of a layer that has these ops, else NULL. */
void *input_ctx(const struct input *in, const struct input_ops *ops);

/* A window on another input, which must outlive it. Clamped to what is there. */
int input_open_window(struct input **out, struct input *of, uint64_t off, uint64_t len, struct err *e);

void input_close(struct input *in); /* takes NULL */

uint64_t input_size(const struct input *in);    /* bytes */
uint64_t input_reached(const struct input *in); /* behind the furthest byte that was read: for estimates */
const char *input_name(const struct input *in); /* as given; may hold any bytes but NUL */

/* Up to len bytes: the count (short only at the end of the input), or ERR_*. */
int64_t input_read(struct input *in, uint64_t off, void *buf, size_t len, struct err *e);

/* Nothing but zeros from `off` to the end: padding. Stops at the first other byte, or one that can't be read. */
bool input_only_zeros(struct input *in, uint64_t off);

/* All len bytes or ERR_TRUNC. */
int input_read_all(struct input *in, uint64_t off, void *buf, size_t len, struct err *e);

#endif
