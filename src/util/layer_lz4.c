/* layer_lz4.c - LZ4 frames (lz4_Frame_format.md) and legacy frames through liblz4's block functions: blocks are unpacked here one by one, because
 * a frame's state is then nothing but the last 64 KiB: a snapshot is cheap. Checksums are compared here too.
 * A damaged block can unpack to fewer bytes without a word. Where it stands for itself and others follow it should have been full: then it is a hole. */
#include "layer.h"
#include "libraries.h"

#if LIB_LZ4
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "blockout.h"
#include "rd.h"
#include "xxh32.h"

#define MAGIC        0x184d2204u
#define MAGIC_LEGACY 0x184c2102u
#define LEGACY_BLOCK (8u << 20)
#define WINDOW       65536u
#define BLOCK_LEAST  (64u << 10)

struct place {           /* all there is to know before a block */
	uint64_t in_off; /* of its size field; between frames: of the next frame */
	bool in_frame, legacy, linked, block_sums, content_sum, has_size;
	bool unsure; /* damage could have made a block of the frame shorter unseen */
	bool holes;  /* a block of the frame was passed over */
	uint32_t block_max;
	uint64_t first;         /* block of the frame: in_off */
	uint64_t content, done; /* of the frame: bytes it says it holds; bytes that came out */
	struct xxh32 sum;       /* of them */
	uint32_t window;        /* bytes of history in use */
};

struct lz4 {
	struct input *in;
	struct place now;                        /* behind the block in `out` */
	struct place before;                     /* it */
	enum { NO_WAY, BAD_BLOCK, BAD_END } bad; /* what damage was met: the block at `before`, the end of the frame before `now` */
	uint64_t gap;                            /* BAD_END: bytes that the frame should have had */
	uint64_t judged;                         /* `first` of the frame that was judged */
	bool flushed;                            /* ... and has short blocks that are sound */
	struct blockout out;                     /* p = room + WINDOW */
	uint8_t *room;                           /* WINDOW of history, then a block */
	uint8_t *packed;
	uint32_t block_max; /* that there is room for */
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

/* Room for blocks of this size; what is at hand stays. */
static int want_room(struct lz4 *z, uint32_t block_max)
{
	uint8_t *room, *packed;

	if (block_max <= z->block_max)
		return 0;
	room = realloc(z->room, (size_t)WINDOW + block_max);
	if (!room)
		return ERR_NOMEM;
	z->room = room;
	z->out.p = room + WINDOW;
	packed = realloc(z->packed, (size_t)LZ4_COMPRESSBOUND(block_max) + 4);
	if (!packed)
		return ERR_NOMEM;
	z->packed = packed;
	z->block_max = block_max;
	return 0;
}

static int lz4_open(void **state, struct input *in, struct err *e)
{
	struct lz4 *z = calloc(1, sizeof(*z));

	if (!z || want_room(z, BLOCK_LEAST) < 0) {
		if (z)
			lz4_close(z);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	z->in = in;
	*state = z;
	return 0;
}

static bool frame_probe(const uint8_t *head, size_t n)
{
	return lz4_probe(head, n) || (n >= 4 && le32(head) == MAGIC_LEGACY) || (n >= 8 && (le32(head) & 0xfffffff0) == 0x184d2a50);
}

/* The frame header from now.in_off on. 1: in a frame, 0: the end. */
static int open_frame(struct lz4 *z, struct err *e)
{
	for (;;) {
		uint8_t h[19];
		unsigned flags, size;
		int64_t k;
		int rc = layer_next_member(frame_probe, "lz4", z->in, &z->now.in_off, e);

		if (rc <= 0)
			return rc;
		k = input_read(z->in, z->now.in_off, h, sizeof(h), e);
		if (k < 0)
			return (int)k;
		if (k >= 8 && (le32(h) & 0xfffffff0) == 0x184d2a50) {
			z->now.in_off += 8 + (uint64_t)le32(h + 4);
			continue;
		}
		if (k >= 4 && le32(h) == MAGIC_LEGACY) {
			z->now = (struct place){.in_off = z->now.in_off + 4, .in_frame = true, .legacy = true, .block_max = LEGACY_BLOCK};
			z->now.first = z->now.in_off;
			return 1;
		}
		flags = h[4];
		size = h[5] >> 4 & 7;
		if (flags >> 6 != 1 || size < 4)
			return err_set(e, ERR_FORMAT, "lz4: a frame header of another version");
		if (flags & 1)
			return err_set(e, ERR_UNSUPPORTED, "lz4: packed with a dictionary that is not here");
		if (flags & 8 && k < 15)
			return err_set(e, ERR_TRUNC, "lz4: the data ends early");
		z->now = (struct place){.in_off = z->now.in_off + 7 + (flags & 8 ? 8 : 0),
					.in_frame = true,
					.has_size = flags & 8,
					.content = flags & 8 ? le64(h + 6) : 0,
					.linked = !(flags & 0x20),
					.block_sums = flags & 0x10,
					.content_sum = flags & 4,
					.block_max = 1u << (2 * size + 8)};
		z->now.first = z->now.in_off;
		xxh32_init(&z->now.sum);
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

/* The block at `at`, of `size` bytes, into out: its length. `packed` has room for it and a checksum. */
static int64_t unpack(const struct lz4 *z, const struct place *p, uint64_t at, uint32_t word, uint8_t *packed, uint8_t *out, struct err *e)
{
	uint32_t size = p->legacy ? word : word & 0x7fffffff;
	bool stored = !p->legacy && word >> 31;
	int rc;
	int k;

	if (size > (stored ? p->block_max : (uint32_t)LZ4_COMPRESSBOUND(p->block_max)))
		return err_set(e, ERR_FORMAT, "lz4: a block larger than the frame allows");
	rc = input_read_all(z->in, at, packed, size, e);
	if (rc < 0)
		return rc == ERR_TRUNC ? err_set(e, rc, "lz4: the data ends early") : rc;
	if (p->block_sums) {
		int64_t n = input_read(z->in, at + size, packed + size, 4, e);

		if (n < 0)
			return n;
		if (n == 4 && le32(packed + size) != xxh32(packed, size))
			return err_set(e, ERR_FORMAT, "lz4: a block with a wrong checksum");
	}
	if (stored) {
		memcpy(out, packed, size);
		return size;
	}
	k = LZ4_decompress_safe_usingDict((const char *)packed, (char *)out, (int)size, (int)p->block_max, (const char *)out - p->window,
					  (int)p->window);
	return k < 0 ? err_set(e, ERR_FORMAT, "lz4: damaged data") : k;
}

/* Behind the block at p: where the next one's header stands, and its word. 1: there is one, 0: it was the frame's last, negative: can't be read, or is none. */
static int word_behind(const struct lz4 *z, const struct place *p, uint32_t word, uint64_t *at, uint32_t *next)
{
	uint8_t h[4];
	int64_t k;

	*at = p->in_off + 4 + (p->legacy ? word : word & 0x7fffffff) + (p->block_sums ? 4 : 0);
	k = input_read(z->in, *at, h, 4, NULL);
	if (k < 0)
		return (int)k;
	*next = k == 4 ? le32(h) : 0;
	if (p->legacy)
		return k == 0 || (k == 4 && (*next == 0 || *next == MAGIC || *next == MAGIC_LEGACY)) ? 0
		       : k == 4 && *next <= (uint32_t)LZ4_COMPRESSBOUND(LEGACY_BLOCK)                ? 1
												     : ERR_FORMAT;
	if (k < 4)
		return ERR_TRUNC;
	if (*next == 0)
		return 0;
	return (*next & 0x7fffffff) <= (*next >> 31 ? p->block_max : (uint32_t)LZ4_COMPRESSBOUND(p->block_max)) ? 1 : ERR_FORMAT;
}

#define FLUSH_LEAST 8u /* blocks after which ... */
#define FLUSH_SHARE 4u /* ... one in so many that is short means that short ones are this file's way */

/* A block of independent ones came out short, and is not the frame's last. Its writer may have put it so (it flushed), or it is damaged: the frame's checksum
 * tells, over all of the frame, once. */
static int judge(struct lz4 *z, struct err *e)
{
	struct place p = z->before;
	uint8_t *packed = malloc((size_t)LZ4_COMPRESSBOUND(p.block_max) + 4), *out = malloc(p.block_max), h[4] = {0};
	uint64_t blocks = 0, shorts = 0;
	int rc = packed && out ? 1 : err_set(e, ERR_NOMEM, "out of memory");
	bool same = false;
	uint32_t word = 0;

	p.in_off = p.first;
	p.window = 0;
	xxh32_init(&p.sum);
	if (rc > 0)
		rc = input_read_all(z->in, p.in_off, h, 4, e);
	word = le32(h);
	for (rc = rc < 0 ? rc : 1; rc > 0 && word; blocks++) {
		int64_t k = unpack(z, &p, p.in_off + 4, word, packed, out, e);

		if (k == ERR_IO || k == ERR_NOMEM)
			rc = (int)k;
		if (k < 0)
			break;
		xxh32_add(&p.sum, out, (size_t)k);
		rc = word_behind(z, &p, word, &p.in_off, &word);
		shorts += rc > 0 && (uint64_t)k < p.block_max;
		if (blocks >= FLUSH_LEAST && shorts * FLUSH_SHARE > blocks)
			break;
		if (rc == 0)
			same = input_read(z->in, p.in_off + 4, h, 4, NULL) < 4 || le32(h) == xxh32_end(&p.sum);
	}
	free(packed);
	free(out);
	if (rc == ERR_IO || rc == ERR_NOMEM)
		return rc;
	z->judged = p.first;
	z->flushed = same || (shorts > 1 && shorts * FLUSH_SHARE > blocks);
	return 0;
}

/* Is the block that came out as z->out, and is no longer where z->now stands, as long as it must be? */
static int check_length(struct lz4 *z, uint32_t word, struct err *e)
{
	uint64_t at;
	uint32_t next;
	int rc;

	if (z->out.n == z->before.block_max || z->before.linked || word_behind(z, &z->before, word, &at, &next) <= 0)
		return 0;
	if (!z->before.legacy && (z->before.block_sums || !z->before.content_sum)) /* it is what was packed; or nobody knows */
		return 0;
	if (!z->before.legacy && z->judged != z->before.first) {
		rc = judge(z, e);
		if (rc < 0)
			return rc;
	}
	return !z->before.legacy && z->flushed ? 0 : err_set(e, ERR_FORMAT, "lz4: a damaged block, which is too short");
}

/* The end mark of the frame stands at now.in_off; now goes behind it. */
static int end_frame(struct lz4 *z, struct err *e)
{
	struct place p = z->now;
	uint8_t sum[4];
	int64_t k = p.content_sum ? input_read(z->in, p.in_off + 4, sum, 4, e) : 0;
	bool right;

	if (k < 0)
		return (int)k;
	right = k == 4 && !p.holes && le32(sum) == xxh32_end(&p.sum);
	z->now = (struct place){.in_off = p.in_off + 4 + (p.content_sum ? 4 : 0)};
	/* what stands behind has a place only if the frame's length is sure, or where nothing does */
	z->bad = p.has_size || !p.unsure || input_only_zeros(z->in, z->now.in_off) ? BAD_END : NO_WAY;
	z->gap = p.has_size && !right && p.content > p.done && p.content - p.done <= p.block_max ? p.content - p.done : 0;
	if (p.has_size && p.content != p.done)
		return err_set(e, ERR_FORMAT, "lz4: a frame that says %llu bytes has %llu", (unsigned long long)p.content,
			       (unsigned long long)p.done);
	if (k == 4 && !p.holes && !right)
		return err_set(e, ERR_FORMAT, "lz4: a frame with a wrong checksum");
	z->bad = NO_WAY;
	return 0;
}

/* The next block into `out`: 1; 0: the end. */
static int next_block(struct lz4 *z, struct err *e)
{
	slide(z);
	z->out.n = z->out.at = 0;
	z->bad = NO_WAY;
	for (;;) {
		uint8_t h[4];
		uint32_t word;
		int64_t k;
		int rc = z->now.in_frame ? 1 : open_frame(z, e);

		if (rc <= 0)
			return rc;
		k = input_read(z->in, z->now.in_off, h, 4, e);
		if (k < 0)
			return (int)k;
		if (k == 0 && z->now.legacy)
			return 0;
		word = k == 4 ? le32(h) : 0;
		if (z->now.legacy &&
		    (word > (uint32_t)LZ4_COMPRESSBOUND(LEGACY_BLOCK) || word == 0)) { /* the next frame's magic, or padding */
			z->now = (struct place){.in_off = z->now.in_off};
			continue;
		}
		if (k < 4)
			return err_set(e, ERR_TRUNC, "lz4: the data ends early");
		if (word == 0) {
			rc = end_frame(z, e);
			if (rc < 0)
				return rc;
			continue;
		}
		z->before = z->now;
		if (want_room(z, z->before.block_max) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		k = unpack(z, &z->before, z->before.in_off + 4, word, z->packed, z->out.p, e);
		z->out.n = k > 0 ? (size_t)k : 0;
		rc = k < 0 ? (int)k : check_length(z, word, e);
		if (rc < 0) {
			z->out.n = 0;
			z->now = z->before;
			z->bad = BAD_BLOCK;
			return rc;
		}
		z->now.in_off += 4 + (z->now.legacy ? word : word & 0x7fffffff) + (z->now.block_sums ? 4 : 0);
		z->now.done += z->out.n;
		z->now.unsure |= z->out.n < z->now.block_max && (z->now.legacy || !(word >> 31)) && !z->now.block_sums;
		if (z->now.content_sum && !z->now.holes)
			xxh32_add(&z->now.sum, z->out.p, z->out.n);
		if (z->out.n)
			return 1;
		slide(z);
	}
}

/* Over a damaged block: an independent one before another is full; of the rest of a frame the frame must say how much it holds. */
static int skip_block(struct lz4 *z, uint64_t at, uint64_t *next, struct err *e)
{
	struct place p = z->before;
	uint32_t word;
	uint8_t h[4];
	int rc = input_read_all(z->in, p.in_off, h, 4, e);

	if (rc < 0)
		return rc;
	word = le32(h);
	do {
		rc = word_behind(z, &p, word, &p.in_off, &word);
		if (rc == ERR_IO || rc == ERR_NOMEM)
			return rc;
	} while (rc > 0 && p.linked);
	if (rc < 0 || (rc == 0 && (!p.has_size || p.content < p.done || (!p.linked && p.content - p.done > p.block_max))))
		return 0;
	*next = at + (rc > 0 ? p.block_max : p.content - p.done);
	p.done += *next - at;
	p.holes = true;
	p.window = 0;
	z->now = z->before = p;
	return 1;
}

static int lz4_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct lz4 *z = state;
	int rc = 0;

	if (z->bad == BAD_END) {
		*next = at + z->gap;
		rc = 1;
	} else if (z->bad == BAD_BLOCK) {
		rc = skip_block(z, at, next, e);
	}
	z->bad = NO_WAY;
	z->out.n = z->out.at = 0;
	return rc;
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
	z->bad = NO_WAY;
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
				      .mark_free = free,
				      .skip = lz4_skip};
#else
const struct layer_codec layer_lz4 = {.name = "lz4"};
#endif
