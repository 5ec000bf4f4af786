/* layer_lz4.c - LZ4 frames (lz4_Frame_format.md) and legacy frames through liblz4's block functions: blocks are unpacked here one by one, because
 * a frame's state is then nothing but the last 64 KiB: a snapshot is cheap. Checksums of blocks and content are not looked at. */
#include "layer.h"
#include "libraries.h"

#if LIB_LZ4
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "blockout.h"
#include "rd.h"

#define MAGIC        0x184d2204u
#define MAGIC_LEGACY 0x184c2102u
#define LEGACY_BLOCK (8u << 20)
#define WINDOW       65536u
#define BLOCK_MAX    (8u << 20)

struct place {           /* all there is to know before a block */
	uint64_t in_off; /* of its size field; between frames: of the next frame */
	bool in_frame, legacy, linked, block_sums, content_sum;
	uint32_t block_max;
	uint32_t window; /* bytes of history in use */
};

struct lz4 {
	struct input *in;
	struct place now;    /* behind the block in `out` */
	struct place before; /* it */
	struct blockout out; /* p = room + WINDOW */
	uint8_t *room;       /* WINDOW of history, then a block */
	uint8_t *packed;
};

struct lz4_mark {
	struct place place;
	size_t skip;
	uint8_t window[]; /* place.window bytes */
};

static bool lz4_probe(const uint8_t *head, size_t n)
{
	return n >= 7 && (le32(head) == MAGIC || le32(head) == MAGIC_LEGACY);
}

static void lz4_close(void *state)
{
	struct lz4 *z = state;

	free(z->room);
	free(z->packed);
	free(z);
}

static int lz4_open(void **state, struct input *in, struct err *e)
{
	struct lz4 *z = calloc(1, sizeof(*z));

	if (!z || !(z->room = malloc(WINDOW + BLOCK_MAX)) || !(z->packed = malloc(LZ4_COMPRESSBOUND(BLOCK_MAX)))) {
		if (z)
			lz4_close(z);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	z->in = in;
	z->out.p = z->room + WINDOW;
	*state = z;
	return 0;
}

/* The frame header at now.in_off. 1: in a frame, 0: the end (also when what follows is no frame). */
static int open_frame(struct lz4 *z, struct err *e)
{
	for (;;) {
		uint8_t h[19];
		int64_t k = input_read(z->in, z->now.in_off, h, sizeof(h), e);
		unsigned flags, size;

		if (k < 0)
			return (int)k;
		if (k >= 8 && (le32(h) & 0xfffffff0) == 0x184d2a50) {
			z->now.in_off += 8 + (uint64_t)le32(h + 4);
			continue;
		}
		if (k >= 4 && le32(h) == MAGIC_LEGACY) {
			z->now = (struct place){.in_off = z->now.in_off + 4, .in_frame = true, .legacy = true, .block_max = LEGACY_BLOCK};
			return 1;
		}
		if (k < 7 || le32(h) != MAGIC)
			return 0;
		flags = h[4];
		size = h[5] >> 4 & 7;
		if (flags >> 6 != 1 || size < 4)
			return err_set(e, ERR_FORMAT, "lz4: a frame header of another version");
		if (flags & 1)
			return err_set(e, ERR_UNSUPPORTED, "lz4: packed with a dictionary that is not here");
		z->now = (struct place){.in_off = z->now.in_off + 7 + (flags & 8 ? 8 : 0),
					.in_frame = true,
					.linked = !(flags & 0x20),
					.block_sums = flags & 0x10,
					.content_sum = flags & 4,
					.block_max = 1u << (2 * size + 8)};
		return 1;
	}
}

/* Where does the history end up: the last 64 KiB of what came before stand right before room + WINDOW. */
static void slide(struct lz4 *z)
{
	uint32_t have = z->before.window, more = (uint32_t)z->out.n, keep;
	uint8_t *end = z->out.p + more;

	if (!z->now.linked) {
		z->now.window = 0;
		return;
	}
	keep = have + more < WINDOW ? have + more : WINDOW;
	memmove(z->out.p - keep, end - keep, keep);
	z->now.window = keep;
}

static int unpack(struct lz4 *z, uint32_t size, bool stored, struct err *e)
{
	int k;

	if (stored) {
		if (size > z->now.block_max)
			return err_set(e, ERR_FORMAT, "lz4: a block larger than the frame allows");
		z->out.n = size;
		return input_read_all(z->in, z->now.in_off, z->out.p, size, e);
	}
	if (size > (uint32_t)LZ4_COMPRESSBOUND(BLOCK_MAX))
		return err_set(e, ERR_FORMAT, "lz4: a block larger than the frame allows");
	if (input_read_all(z->in, z->now.in_off, z->packed, size, e) < 0)
		return ERR_TRUNC;
	k = LZ4_decompress_safe_usingDict((const char *)z->packed, (char *)z->out.p, (int)size, (int)z->now.block_max,
					  (const char *)z->out.p - z->now.window, (int)z->now.window);
	if (k < 0)
		return err_set(e, ERR_FORMAT, "lz4: damaged data");
	z->out.n = (size_t)k;
	return 0;
}

/* The next block into `out`: 1; 0: the end. */
static int next_block(struct lz4 *z, struct err *e)
{
	slide(z);
	z->out.n = z->out.at = 0;
	for (;;) {
		uint8_t h[4];
		uint32_t size;
		int64_t k;
		int rc = z->now.in_frame ? 1 : open_frame(z, e);

		if (rc <= 0)
			return rc;
		k = input_read(z->in, z->now.in_off, h, 4, e);
		if (k < 0)
			return (int)k;
		if (k == 0 && z->now.legacy)
			return 0;
		if (k < 4)
			return err_set(e, ERR_TRUNC, "lz4: the data ends early");
		size = le32(h);
		if (z->now.legacy && size > (uint32_t)LZ4_COMPRESSBOUND(LEGACY_BLOCK)) { /* the next frame's magic */
			z->now = (struct place){.in_off = z->now.in_off};
			continue;
		}
		if (!z->now.legacy && size == 0) {
			z->now = (struct place){.in_off = z->now.in_off + 4 + (z->now.content_sum ? 4 : 0)};
			continue;
		}
		z->before = z->now;
		z->now.in_off += 4;
		rc = unpack(z, size & 0x7fffffff, !z->now.legacy && size >> 31, e);
		if (rc < 0) {
			z->out.n = 0;
			z->now = z->before;
			return rc;
		}
		z->now.in_off += (size & 0x7fffffff) + (z->now.block_sums ? 4 : 0);
		if (z->out.n)
			return 1;
		slide(z);
	}
}

static int64_t lz4_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct lz4 *z = state;

	if (z->out.at == z->out.n) {
		int rc = next_block(z, e);

		if (rc <= 0)
			return rc;
	}
	return (int64_t)blockout_take(&z->out, buf, n);
}

static int lz4_mark(void *state, void **mark, size_t *bytes)
{
	struct lz4 *z = state;
	bool whole = z->out.at == z->out.n;
	uint32_t window;
	struct lz4_mark *m;

	if (whole) { /* behind a block: bring its history in order */
		slide(z);
		z->out.n = z->out.at = 0;
		z->before = z->now;
	}
	window = whole ? z->now.window : z->before.window;
	m = malloc(sizeof(*m) + window);
	if (!m)
		return ERR_NOMEM;
	m->place = whole ? z->now : z->before;
	m->skip = whole ? 0 : z->out.at;
	memcpy(m->window, z->out.p - window, window); /* it stands there until the next block is begun */
	*bytes = sizeof(*m) + window;
	*mark = m;
	return 0;
}

static int lz4_resume(void *state, const void *mark, struct err *e)
{
	struct lz4 *z = state;
	const struct lz4_mark *m = mark;
	int rc;

	z->out.n = z->out.at = 0;
	if (!m) {
		z->now = z->before = (struct place){0};
		return 0;
	}
	z->now = z->before = m->place;
	memcpy(z->out.p - m->place.window, m->window, m->place.window);
	if (!m->skip)
		return 0;
	rc = next_block(z, e);
	if (rc < 0)
		return rc;
	if (rc == 0 || m->skip > z->out.n)
		return err_set(e, ERR_FORMAT, "lz4: a block is shorter now");
	z->out.at = m->skip;
	return 0;
}

const struct layer_codec layer_lz4 = {.name = "lz4",
				      .skips = true,
				      .probe = lz4_probe,
				      .open = lz4_open,
				      .close = lz4_close,
				      .read = lz4_read,
				      .mark = lz4_mark,
				      .resume = lz4_resume,
				      .mark_free = free};
#else
const struct layer_codec layer_lz4 = {.name = "lz4"};
#endif
