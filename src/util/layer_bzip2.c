/* layer_bzip2.c - bzip2, also several streams one behind the other. A block begins at any bit with 48 bits that are known, and needs nothing of
 * those before it: each is shifted to a byte boundary and given to libbz2 as a stream of its own, so every block is a starting place. */
#include "layer.h"
#include "libraries.h"

#if LIB_BZ2
#include <bzlib.h>
#include <stdlib.h>
#include <string.h>

#include "blockout.h"
#include "buf.h"
#include "rd.h"

#define BLOCK_MAGIC UINT64_C(0x314159265359)
#define END_MAGIC   UINT64_C(0x177245385090)
#define MAGIC_MASK  UINT64_C(0xffffffffffff)
#define IN_BYTES    65536u
#define PACKED_MAX  (4u << 20)  /* of one block: 900,000 bytes that do not compress, and room */
#define BLOCK_MAX   (64u << 20) /* unpacked: run lengths before the sort make 900,000 bytes 45 MB at most */

struct bzip2 {
	struct input *in;
	uint8_t level; /* '1' .. '9' of the stream under way */
	uint64_t bit;  /* of the next block's magic; 0: a stream's header is next, at `stream` */
	uint64_t stream;
	uint64_t block_bit; /* of the block in `out` */
	uint8_t block_level;
	struct blockout out; /* p is owned by `room` */
	struct buf packed, room;
	uint64_t win_off; /* window on the file */
	size_t win_n;
	uint8_t win[IN_BYTES];
};

struct bzip2_mark {
	uint64_t bit, stream;
	uint8_t level;
	size_t skip;
};

static bool bzip2_probe(const uint8_t *head, size_t n)
{
	return n >= 10 && memcmp(head, "BZh", 3) == 0 && head[3] >= '1' && head[3] <= '9' &&
	       (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 || memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static void bzip2_close(void *state)
{
	struct bzip2 *z = state;

	buf_free(&z->packed);
	buf_free(&z->room);
	free(z);
}

static int bzip2_open(void **state, struct input *in, struct err *e)
{
	struct bzip2 *z = calloc(1, sizeof(*z));

	if (!z)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->in = in;
	*state = z;
	return 0;
}

/* The byte at off; -1: behind the end (or unreadable). */
static int byte_at(struct bzip2 *z, uint64_t off)
{
	if (off < z->win_off || off - z->win_off >= z->win_n) {
		int64_t k = input_read(z->in, off, z->win, IN_BYTES, NULL);

		z->win_off = off;
		z->win_n = k > 0 ? (size_t)k : 0;
		if (!z->win_n)
			return -1;
	}
	return z->win[off - z->win_off];
}

/* 48 bits from bit `at` on. False: behind the end. */
static bool bits48(struct bzip2 *z, uint64_t at, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 7; i++) {
		int b = byte_at(z, at / 8 + i);

		if (b < 0 && (i < 6 || at % 8))
			return false;
		v = v << 8 | (uint64_t)(b < 0 ? 0 : b);
	}
	*out = v >> (8 - at % 8) & MAGIC_MASK;
	return true;
}

/* The next magic of either kind from bit `from` on. False: none within a block's greatest length. */
static bool next_magic(struct bzip2 *z, uint64_t from, uint64_t *at, bool *end)
{
	uint64_t v = 0, n = 0;

	for (uint64_t off = from / 8; n < PACKED_MAX; off++, n++) {
		int b = byte_at(z, off);

		if (b < 0)
			return false;
		v = v << 8 | (uint64_t)b;
		if (n < 6)
			continue;
		for (unsigned s = 8; s-- > 0;) { /* the magic ends s bits before this byte's end */
			uint64_t m = v >> s & MAGIC_MASK, begins = (off + 1) * 8 - s - 48;

			if ((m == BLOCK_MAGIC || m == END_MAGIC) && begins >= from) {
				*at = begins;
				*end = m == END_MAGIC;
				return true;
			}
		}
	}
	return false;
}

struct bits {
	struct buf *b;
	uint64_t acc;
	unsigned n;
};

static void put_bits(struct bits *w, uint64_t v, unsigned n)
{
	while (n) {
		unsigned take = n < 8 ? n : 8;

		w->acc = w->acc << take | (v >> (n - take) & ((1u << take) - 1));
		w->n += take;
		n -= take;
		while (w->n >= 8) {
			buf_u8(w->b, (uint8_t)(w->acc >> (w->n - 8)));
			w->n -= 8;
		}
	}
}

/* Bits [from, to) as a stream of one block: its own check is the stream's. */
static int as_stream(struct bzip2 *z, uint64_t from, uint64_t to, struct err *e)
{
	struct bits w = {.b = &z->packed};
	const char head[4] = {'B', 'Z', 'h', (char)z->level};
	uint64_t crc = 0;

	buf_clear(&z->packed);
	buf_put(&z->packed, head, 4);
	for (uint64_t at = from; at < to;) {
		unsigned in = (unsigned)(at % 8), n = 8 - in;
		int b = byte_at(z, at / 8);

		if (b < 0)
			return err_set(e, ERR_TRUNC, "bzip2: the data ends early");
		if (n > to - at)
			n = (unsigned)(to - at);
		put_bits(&w, (uint64_t)b >> (8 - in - n) & 0xff >> (8 - n), n);
		at += n;
	}
	if (z->packed.n >= 14)
		crc = be32(z->packed.p + 10);
	put_bits(&w, END_MAGIC, 48);
	put_bits(&w, crc, 32);
	put_bits(&w, 0, 7);
	return z->packed.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

static int unpack(struct bzip2 *z, struct err *e)
{
	bz_stream s;
	int rc = BZ_OK;

	memset(&s, 0, sizeof(s));
	buf_clear(&z->room);
	if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK)
		return err_set(e, ERR_NOMEM, "out of memory");
	s.next_in = (char *)z->packed.p;
	s.avail_in = (unsigned)z->packed.n;
	while (rc == BZ_OK && z->room.n < BLOCK_MAX) {
		uint8_t *p = buf_grow(&z->room, 1u << 20);

		if (!p) {
			rc = BZ_MEM_ERROR;
			break;
		}
		s.next_out = (char *)p;
		s.avail_out = 1u << 20;
		rc = BZ2_bzDecompress(&s);
		z->room.n -= s.avail_out;
		if (rc == BZ_OK && s.avail_in == 0 && s.avail_out)
			rc = BZ_UNEXPECTED_EOF;
	}
	BZ2_bzDecompressEnd(&s);
	if (rc == BZ_MEM_ERROR)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (rc != BZ_STREAM_END)
		return err_set(e, rc == BZ_OK ? ERR_LIMIT : ERR_FORMAT, "bzip2: a damaged block");
	z->out = (struct blockout){z->room.p, z->room.n, 0};
	return 0;
}

/* A stream's header at z->stream: 1, or 0: what stands there is none, the end. */
static int open_stream(struct bzip2 *z, struct err *e)
{
	uint8_t h[10];
	int64_t k = input_read(z->in, z->stream, h, sizeof(h), e);

	if (k < 0)
		return (int)k;
	if (!bzip2_probe(h, (size_t)k))
		return 0;
	z->level = h[3];
	z->bit = (z->stream + 4) * 8;
	return 1;
}

static int next_block(struct bzip2 *z, struct err *e)
{
	z->out.n = z->out.at = 0;
	while (z->out.n == 0) {
		uint64_t magic, next;
		bool end;
		int rc = z->bit ? 1 : open_stream(z, e);

		if (rc <= 0)
			return rc;
		if (!bits48(z, z->bit, &magic))
			return err_set(e, ERR_TRUNC, "bzip2: the data ends early");
		if (magic == END_MAGIC) {
			z->stream = (z->bit + 48 + 32 + 7) / 8;
			z->bit = 0;
			continue;
		}
		if (magic != BLOCK_MAGIC)
			return err_set(e, ERR_FORMAT, "bzip2: no block where one should begin");
		if (!next_magic(z, z->bit + 48, &next, &end))
			return err_set(e, ERR_TRUNC, "bzip2: the data ends early");
		rc = as_stream(z, z->bit, next, e);
		if (rc == 0)
			rc = unpack(z, e);
		if (rc < 0)
			return rc;
		z->block_bit = z->bit;
		z->block_level = z->level;
		z->bit = next;
	}
	return 1;
}

static int64_t bzip2_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct bzip2 *z = state;

	if (z->out.at == z->out.n) {
		int rc = next_block(z, e);

		if (rc <= 0)
			return rc;
	}
	return (int64_t)blockout_take(&z->out, buf, n);
}

static int bzip2_mark(void *state, void **mark)
{
	struct bzip2 *z = state;
	bool whole = z->out.at == z->out.n;
	struct bzip2_mark *m = malloc(sizeof(*m));

	if (!m)
		return ERR_NOMEM;
	*m = (struct bzip2_mark){whole ? z->bit : z->block_bit, z->stream, whole ? z->level : z->block_level, whole ? 0 : z->out.at};
	*mark = m;
	return 0;
}

static int bzip2_resume(void *state, const void *mark, struct err *e)
{
	struct bzip2 *z = state;
	const struct bzip2_mark *m = mark;
	int rc;

	z->out.n = z->out.at = 0;
	z->bit = m ? m->bit : 0;
	z->stream = m ? m->stream : 0;
	z->level = m ? m->level : 0;
	if (!m || !m->skip)
		return 0;
	rc = next_block(z, e);
	if (rc < 0)
		return rc;
	if (rc == 0 || m->skip > z->out.n)
		return err_set(e, ERR_FORMAT, "bzip2: a block is shorter now");
	z->out.at = m->skip;
	return 0;
}

const struct layer_codec layer_bzip2 = {.name = "bzip2",
					.probe = bzip2_probe,
					.open = bzip2_open,
					.close = bzip2_close,
					.read = bzip2_read,
					.mark = bzip2_mark,
					.resume = bzip2_resume,
					.mark_free = free};
#else
const struct layer_codec layer_bzip2 = {.name = "bzip2"};
#endif
