/* layer_bzip2.c - bzip2, also several streams one behind the other. A block begins at any bit with 48 bits that are known, and needs nothing of
 * those before it: each is shifted to a byte boundary and given to libbz2 as a stream of its own, so every block is a starting place. Once blocks are
 * taken in a row the next ones are unpacked beside the caller: libbz2 is slow. */
#include "layer.h"
#include "libraries.h"

#if LIB_BZ2
#include <bzlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blockout.h"
#include "buf.h"
#include "rd.h"
#include "task.h"

#define BLOCK_MAGIC UINT64_C(0x314159265359)
#define END_MAGIC   UINT64_C(0x177245385090)
#define MAGIC_MASK  UINT64_C(0xffffffffffff)
#define IN_BYTES    65536u
#define PACKED_MAX  (4u << 20)  /* of one block: 900,000 bytes that do not compress, and room */
#define BLOCK_MAX   (64u << 20) /* unpacked: run lengths before the sort make 900,000 bytes 45 MB at most */

#define AHEAD 4u /* blocks that are unpacked at a time, by as many threads as there are processors */

struct pos {           /* where a block begins */
	uint8_t level; /* '1' .. '9' of the stream under way */
	uint64_t bit;  /* of the block's magic; 0: a stream's header is next, at `stream` */
	uint64_t stream;
};

struct block {
	struct pos at, behind;
	struct buf packed, room;
	bool cut; /* the file ends behind it, and what would be there is missing */
	int rc;   /* 1: unpacked; 0: the end; negative: `why` */
	struct err why;
	struct task task; /* which fills `room`, `rc`, `why` */
	bool running;
};

struct bzip2 {
	struct input *in;
	unsigned most;    /* blocks at a time */
	struct pos next;  /* of the block that is looked for next */
	struct pos now;   /* of the block in `out` */
	struct pos after; /* behind it */
	struct block ring[AHEAD];
	unsigned first, n; /* in use */
	unsigned in_a_row; /* blocks handed out since the last jump */
	struct buf room;   /* of `out` */
	struct blockout out;
	uint64_t win_off; /* window on the file */
	size_t win_n;
	uint8_t win[IN_BYTES];
	uint8_t hint[256]; /* by a byte: the shifts for which it is the last but two of a magic */
};

struct bzip2_mark {
	struct pos at;
	size_t skip;
};

static bool bzip2_probe(const uint8_t *head, size_t n)
{
	return n >= 10 && memcmp(head, "BZh", 3) == 0 && head[3] >= '1' && head[3] <= '9' &&
	       (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 || memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

/* Waits for what is under way and forgets it. */
static void drop_ahead(struct bzip2 *z)
{
	for (; z->n; z->n--, z->first = (z->first + 1) % AHEAD)
		if (z->ring[z->first].running) {
			task_wait(&z->ring[z->first].task);
			z->ring[z->first].running = false;
		}
}

static void bzip2_close(void *state)
{
	struct bzip2 *z = state;

	drop_ahead(z);
	for (unsigned i = 0; i < AHEAD; i++) {
		buf_free(&z->ring[i].packed);
		buf_free(&z->ring[i].room);
	}
	buf_free(&z->room);
	free(z);
}

static int bzip2_open(void **state, struct input *in, struct err *e)
{
	struct bzip2 *z = calloc(1, sizeof(*z));
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!z)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->in = in;
	z->most = cpus < 2 ? 1 : cpus < (long)AHEAD ? (unsigned)cpus : AHEAD;
	for (unsigned s = 0; s < 8; s++) {
		z->hint[BLOCK_MAGIC << s >> 16 & 0xff] |= (uint8_t)(1u << s);
		z->hint[END_MAGIC << s >> 16 & 0xff] |= (uint8_t)(1u << s);
	}
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

/* The next magic of either kind from bit `from` on. False: none within a block's greatest length; *at is the file's end when that came first, else 0. */
static bool next_magic(struct bzip2 *z, uint64_t from, uint64_t *at, bool *end)
{
	uint64_t v = 0, n = 0;

	for (uint64_t off = from / 8; n < PACKED_MAX; off++, n++) {
		int b = byte_at(z, off);

		*at = b < 0 ? off * 8 : 0;
		if (b < 0)
			return false;
		v = v << 8 | (uint64_t)b;
		if (n < 6)
			continue;
		if (!z->hint[v >> 16 & 0xff])
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

/* Bits [from, to) as a stream of one block: its own check is the stream's. Cut: what follows the block there is left as it is. */
static int as_stream(struct bzip2 *z, uint8_t level, uint64_t from, uint64_t to, bool cut, struct buf *packed, struct err *e)
{
	struct bits w = {.b = packed};
	const char head[4] = {'B', 'Z', 'h', (char)level};
	size_t whole = (size_t)((to - from) / 8), n = (size_t)((to + 7) / 8 - from / 8);
	unsigned shift = (unsigned)(from % 8), rest = (unsigned)((to - from) % 8);
	uint64_t crc = 0;
	uint8_t *p;

	buf_clear(packed);
	buf_put(packed, head, 4);
	p = buf_grow(packed, n + 1);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (input_read_all(z->in, from / 8, p, n, e) < 0)
		return err_set(e, ERR_TRUNC, "bzip2: the data ends early");
	p[n] = 0;
	for (size_t i = 0; shift && i < n; i++)
		p[i] = (uint8_t)(p[i] << shift | p[i + 1] >> (8 - shift));
	packed->n = 4 + whole;
	if (cut)
		return 0;
	if (rest)
		put_bits(&w, (uint64_t)p[whole] >> (8 - rest), rest);
	if (packed->n >= 14)
		crc = be32(packed->p + 10);
	put_bits(&w, END_MAGIC, 48);
	put_bits(&w, crc, 32);
	put_bits(&w, 0, 7);
	return packed->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* A task: touches nothing but the block. */
static void unpack(void *ctx)
{
	struct block *b = ctx;
	bz_stream s;
	int rc = BZ_OK;

	memset(&s, 0, sizeof(s));
	buf_clear(&b->room);
	if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK) {
		b->rc = err_set(&b->why, ERR_NOMEM, "out of memory");
		return;
	}
	s.next_in = (char *)b->packed.p;
	s.avail_in = (unsigned)b->packed.n;
	while (rc == BZ_OK && b->room.n < BLOCK_MAX) {
		uint8_t *p = buf_grow(&b->room, 1u << 20);

		if (!p) {
			rc = BZ_MEM_ERROR;
			break;
		}
		s.next_out = (char *)p;
		s.avail_out = 1u << 20;
		rc = BZ2_bzDecompress(&s);
		b->room.n -= s.avail_out;
		if (rc == BZ_OK && s.avail_in == 0 && s.avail_out)
			rc = BZ_UNEXPECTED_EOF;
	}
	BZ2_bzDecompressEnd(&s);
	b->rc = 1;
	if (rc == BZ_MEM_ERROR)
		b->rc = err_set(&b->why, ERR_NOMEM, "out of memory");
	else if (b->cut && rc == BZ_UNEXPECTED_EOF && b->room.n)
		return; /* a block is handed out when all of it is there, and libbz2 has compared its check before it wants more */
	else if (b->cut)
		b->rc = err_set(&b->why, ERR_TRUNC, "bzip2: the data ends early");
	else if (rc != BZ_STREAM_END)
		b->rc = err_set(&b->why, rc == BZ_OK ? ERR_LIMIT : ERR_FORMAT, "bzip2: a damaged block");
}

/* The next stream's header from p->stream on: 1, or 0: the end. */
static int open_stream(struct bzip2 *z, struct pos *p, struct err *e)
{
	uint8_t h[4];
	int rc = layer_next_member(bzip2_probe, "bzip2", z->in, &p->stream, e);

	if (rc > 0)
		rc = input_read_all(z->in, p->stream, h, sizeof(h), e) < 0 ? ERR_TRUNC : 1;
	if (rc <= 0)
		return rc;
	p->level = h[3];
	p->bit = (p->stream + 4) * 8;
	return 1;
}

/* Finds the block at *p, and what stands behind it: 1 and its bits in b->packed; 0: the end. */
static int find_block(struct bzip2 *z, struct pos *p, struct block *b, struct err *e)
{
	for (;;) {
		uint64_t magic, next;
		bool end;
		int rc = p->bit ? 1 : open_stream(z, p, e);

		if (rc <= 0)
			return rc;
		if (!bits48(z, p->bit, &magic))
			return err_set(e, ERR_TRUNC, "bzip2: the data ends early");
		if (magic == END_MAGIC) {
			p->stream = (p->bit + 48 + 32 + 7) / 8;
			p->bit = 0;
			continue;
		}
		if (magic != BLOCK_MAGIC)
			return err_set(e, ERR_FORMAT, "bzip2: no block where one should begin");
		b->cut = !next_magic(z, p->bit + 48, &next, &end);
		if (b->cut && !next)
			return err_set(e, ERR_FORMAT, "bzip2: a damaged block");
		rc = as_stream(z, p->level, p->bit, next, b->cut, &b->packed, e);
		if (rc < 0)
			return rc;
		b->at = *p;
		p->bit = next;
		b->behind = *p;
		return 1;
	}
}

/* Begins the next blocks: one behind a jump, more once blocks are taken in a row. What ends the row is its last entry. */
static void go_ahead(struct bzip2 *z)
{
	unsigned most = z->in_a_row ? z->most : 1;

	while (z->n < most) {
		struct block *b = &z->ring[(z->first + z->n) % AHEAD];

		if (z->n && z->ring[(z->first + z->n - 1) % AHEAD].running == false)
			break; /* the row has ended */
		z->n++;
		b->rc = find_block(z, &z->next, b, &b->why);
		b->running = b->rc > 0;
		if (b->running)
			task_start(&b->task, unpack, b);
	}
}

static int next_block(struct bzip2 *z, struct err *e)
{
	z->out.n = z->out.at = 0;
	while (z->out.n == 0) {
		struct block *b;
		struct buf had = z->room;

		go_ahead(z);
		b = &z->ring[z->first];
		if (b->running)
			task_wait(&b->task);
		b->running = false;
		z->first = (z->first + 1) % AHEAD;
		z->n--;
		if (b->rc <= 0) {
			if (b->rc < 0 && e)
				*e = b->why;
			return b->rc;
		}
		z->room = b->room;
		b->room = had;
		z->out = (struct blockout){z->room.p, z->room.n, 0};
		z->now = b->at;
		z->after = b->behind;
		z->in_a_row++;
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

static int bzip2_mark(void *state, void **mark, size_t *bytes)
{
	struct bzip2 *z = state;
	bool whole = z->out.at == z->out.n;
	struct bzip2_mark *m = malloc(sizeof(*m));

	if (!m)
		return ERR_NOMEM;
	*m = (struct bzip2_mark){whole ? z->after : z->now, whole ? 0 : z->out.at};
	*bytes = sizeof(*m);
	*mark = m;
	return 0;
}

static int bzip2_resume(void *state, const void *mark, struct err *e)
{
	static const struct pos beginning;
	struct bzip2 *z = state;
	const struct bzip2_mark *m = mark;
	int rc;

	drop_ahead(z);
	z->in_a_row = 0;
	z->out.n = z->out.at = 0;
	z->next = z->now = z->after = m ? m->at : beginning;
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
					.slow = true,
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
