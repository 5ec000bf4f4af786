/* layer.h - a compressed file as an input that can be read at any offset.
 *
 * Each format (layers.def) is a codec: it unpacks forward from a place, and knows places where it can start again: a snapshot of its state (gzip,
 * lz4; zstd inside a frame, xz inside a block), a block of its own (bzip2, xz, snappy), a frame (zstd). What is unpacked on the way stays in a
 * bounded cache; pages of zeros cost one bit. Where a state is too large for snapshots (zstd --long, xz with a dictionary of 128 MiB) and there is
 * no place but the beginning, going back means from there: layer_open() says so, and a spill folder is the mend. Reads are safe from several threads (one at a time unpacks).
 * Facts and costs: docs/formats/packed.md. */
#ifndef ETLIFT_LAYER_H
#define ETLIFT_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input.h"

#define LAYER_CHUNK       65536u              /* bytes that are cached together */
#define LAYER_CACHE_BYTES ((size_t)192 << 20) /* of the cache */
#define LAYER_CACHE_FAR   ((size_t)768 << 20) /* the same where going back means from the beginning, and where unpacking is slow */
#define LAYER_MARKS_MAX   1024u               /* snapshots; when there are more, every second one goes */
#define LAYER_LONG_STEPS  16u                 /* steps between places: snapshots in between are wanted */
#define LAYER_STEP_MIN    ((uint64_t)1 << 20) /* unpacked bytes between two snapshots, at least */
#define LAYER_STEP_RATIO  8u                  /* ... and so many times a snapshot's size; */
#define LAYER_AHEAD_RATIO 4u                  /* times that, while all is read in order */
#define LAYER_MARK_MAX    ((size_t)80 << 20)  /* bytes of a snapshot: xz -9 has a dictionary of 64 MiB */
#define LAYER_MARK_BYTES  ((size_t)256 << 20) /* of all snapshots */
#define LAYER_FLAWS_MAX   ((size_t)1 << 20)   /* damaged places; at the next one it ends */
/* What is believed of unpacked sizes: a bomb ends here, and the result says so. */
#define LAYER_BYTES_MAX ((uint64_t)1 << 43) /* 8 TiB */
#define LAYER_RATIO_MAX 4096u               /* times the evidence file's size; whatever that is, */
#define LAYER_FLOOR     ((uint64_t)1 << 32) /* 4 GiB, which may be mostly zeros; */
#define LAYER_RATIO_ANY 65536u              /* but no more than this many times the size, */
#define LAYER_LEAST     ((uint64_t)1 << 26) /* and 64 MiB of the smallest */

struct layer_limits {          /* of snapshots; 0: the numbers above */
	uint64_t step;         /* LAYER_STEP_MIN. Where it is given, LAYER_STEP_RATIO does not count */
	size_t marks;          /* LAYER_MARKS_MAX */
	size_t mark_bytes;     /* LAYER_MARK_MAX */
	size_t all_mark_bytes; /* LAYER_MARK_BYTES */
};

struct layer_codec {
	const char *name; /* "gzip": image.compression */
	bool slow;        /* what had to be unpacked to learn its size is worth a larger cache */
	bool skips; /* skippable frames (RFC 8878 3.1.2) may stand before the first one that tells which codec it is; read() passes them */
	bool (*probe)(const uint8_t *head, size_t n);
	/* At the beginning of `in`, which outlives the state. */
	int (*open)(void **state, struct input *in, struct err *e);
	void (*close)(void *state);
	/* Up to n bytes from where it is. 0: the end. Negative: damage, here or a little before; everything handed out until then is sound. */
	int64_t (*read)(void *state, uint8_t *buf, size_t n, struct err *e);
	/* Either the unpacked size and the starting places are known without unpacking (true; then the next two are used) ... */
	bool (*known)(void *state, uint64_t *size);
	uint64_t (*place)(void *state, uint64_t off); /* the last starting place at or before off, which is below the size */
	int (*seek)(void *state, uint64_t place, struct err *e);
	/* ... or they are snapshots, taken on the way: *mark NULL when none can be taken here, else *bytes is its size. resume(NULL) is the beginning. */
	int (*mark)(void *state, void **mark, size_t *bytes);
	int (*resume)(void *state, const void *mark, struct err *e);
	void (*mark_free)(void *mark);
	/* What the layer goes by, no member 0; called behind open(), before known(). NULL: of no interest. */
	void (*limit)(void *state, const struct layer_limits *limits);
	bool (*marks_too)(void *state); /* snapshots are taken although places are known: those stand far apart. May be NULL. */
	/* Behind damage that read() met when `at` bytes had come out. 1: the codec stands where it certainly goes on with byte *next; *next == at: all bytes
	 * came out, but something says that they are not what was packed. 0: there is no such place. Negative: that can't be told now. May be NULL. */
	int (*skip)(void *state, uint64_t at, uint64_t *next, struct err *e);
};

struct layer_facts {
	const char *name;
	uint64_t size;  /* unpacked */
	bool far;       /* no starting place but the beginning: see above */
	bool spilled;   /* unpacked into a file without a name in the spill folder */
	bool truncated; /* the packed data is damaged or ends early at `size` */
	bool limited;   /* more than is believed: cut at `size` */
	bool later;     /* the size is not known yet (layer_opts.size_later), nor what stands above but the name */
	char why[160];  /* of truncated */
	/* Damage that was met until now and does not end it: reading goes on behind. */
	uint64_t flaws;     /* places */
	uint64_t lost;      /* bytes there that can't be unpacked: reading them is an error */
	uint64_t flaw;      /* the lowest place, in unpacked bytes */
	char flaw_why[160]; /* what it is there */
};

#define LAYER_HEAD 4096u /* bytes that a probe likes to see */

#define LAYER_SKIPS_MAX 1024u /* skippable frames before the first real one */

/* The codec for these first bytes, or NULL. */
const struct layer_codec *layer_probe(const uint8_t *head, size_t n);

/* The codec of a whole file; where it begins with skippable frames (pzstd's do), by the first frame behind them. NULL in *codec: none; then *missing, which
 * may be NULL, is as layer_missing() gives it. ERR_*: the beginning can't be read. */
int layer_find(struct input *in, const struct layer_codec **codec, const char **missing, struct err *e);

/* The first up to n unpacked bytes, without opening the layer. How many, or negative. */
int64_t layer_peek(const struct layer_codec *codec, struct input *in, uint8_t *buf, size_t n);

/* Unpacks up to `most` bytes, to see whether it goes. 1: there are more; 0: that is its end; or what ended it, damage that the codec can go on behind left
 * aside. */
int layer_try(const struct layer_codec *codec, struct input *in, uint64_t most, struct err *e);

/* Which library a packed file would want that is not built in: its name, or NULL. */
const char *layer_missing(const uint8_t *head, size_t n);

/* For codecs: what stands behind a member, stream or frame that ends at *at. 1: another one, by `probe` (NULL: there never is one), and *at is where; zeros
 * between them are padding. 0: nothing, or zeros. ERR_FORMAT: something else, and *e says how much of it is left unread. */
int layer_next_member(bool (*probe)(const uint8_t *head, size_t n), const char *name, struct input *in, uint64_t *at, struct err *e);

struct layer_opts {
	const char *spill;     /* a folder for a temporary file; NULL: none */
	size_t cache_bytes;    /* 0: the limits above */
	uint64_t most_bytes;   /* unpacked; 0: the limits above */
	uint64_t packed_bytes; /* of the evidence file, when `in` is a layer itself; 0: the size of `in` */
	struct layer_limits limits;
	/* Where the size is learned by unpacking everything, do so when input_size() is called, not before: whoever reads from the beginning to the end
	 * never waits for it, and all is unpacked once. */
	bool size_later;
};

/* Opens the layer over `in`, which must outlive it. May read all of `in` once. o may be NULL. ERR_FORMAT: not a byte could be unpacked. */
int layer_open(struct input **out, const struct layer_codec *codec, struct input *in, const struct layer_opts *o, struct layer_facts *facts,
	       struct err *e);

/* What is known now of a layer that layer_open() made. */
void layer_look(const struct input *in, struct layer_facts *facts);

#endif
