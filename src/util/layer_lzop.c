/* layer_lzop.c - files of lzop (libvirt's save_image_format = "lzop") through liblzo2: blocks of 256 KiB (64 MiB at most) that stand for themselves.
 * A walk over their headers gives the size and every starting place. Checksums, where the file has them, are looked at before and after a block
 * is unpacked. The layout: docs/formats/packed.md. */
#include "layer.h"
#include "libraries.h"

#if LIB_LZO
#include <lzo/lzo1x.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "blockout.h"
#include "buf.h"
#include "rd.h"

#define MAGIC      "\x89LZO\0\r\n\x1a\n"
#define MAGIC_SIZE 9u
#define BLOCK_MAX  (64u << 20)
#define PLACES_MAX (1u << 24) /* of a file with more only the beginning is known; then there are snapshots */
#define HEADER_MAX 320u       /* of a member: a name of 255 bytes is in it */

enum { ADLER_PLAIN = 1, ADLER_PACKED = 2, EXTRA_FIELD = 0x40, CRC_PLAIN = 0x100, CRC_PACKED = 0x200, FILTER = 0x800, HEADER_CRC = 0x1000 };

struct spot { /* all there is to know before a block */
	uint64_t in_off;
	uint32_t flags;
	bool in_member;
};

struct place {
	struct spot spot;
	uint64_t out_off;
};

struct block {
	uint64_t at, in_off; /* of its header; of its data */
	uint32_t plain, packed, flags;
	uint32_t sum[4]; /* Adler-32, CRC-32 of what it unpacks to; the same of what is packed */
};

struct lzop {
	struct input *in;
	struct place *v;
	size_t n, cap;
	uint64_t size;
	bool known;
	struct spot now;    /* behind the block in `out` */
	struct spot behind; /* a damaged block of `lost` bytes */
	uint32_t lost;
	struct blockout out;
	uint8_t *packed;
	size_t out_cap, packed_cap;
};

static bool lzop_probe(const uint8_t *head, size_t n)
{
	return n >= MAGIC_SIZE && memcmp(head, MAGIC, MAGIC_SIZE) == 0;
}

/* ---- headers ------------------------------------------------------------------------------------------------------------------------------- */

struct member {
	unsigned version, needed, method;
	uint32_t flags;
};

/* Where each field stands goes by the version; all of it is big-endian. The header's length, without its checksum; 0: it ends early. */
static size_t parse_member(const uint8_t *h, size_t n, struct member *m)
{
	size_t at = MAGIC_SIZE + 4;

	if (n < 40)
		return 0;
	m->version = be16(h + MAGIC_SIZE);
	m->needed = 0;
	if (m->version >= 0x940) {
		m->needed = be16(h + at);
		at += 2;
	}
	m->method = h[at++];
	at += m->version >= 0x940; /* level: of the packer alone */
	m->flags = be32(h + at);
	at += 4 + (m->flags & FILTER ? 4 : 0) + 8 + (m->version >= 0x940 ? 4 : 0); /* mode, time */
	if (at >= n)
		return 0;
	at += 1 + (size_t)h[at];
	return at + 4 <= n ? at : 0;
}

static int check_member(const struct member *m, struct err *e)
{
	if (m->version < 0x900)
		return err_set(e, ERR_UNSUPPORTED, "lzop: a header of version %x.%03x", m->version >> 12, m->version & 0xfff);
	if (m->needed > 0x1040)
		return err_set(e, ERR_UNSUPPORTED, "lzop: packed so that version %x.%03x is needed", m->needed >> 12, m->needed & 0xfff);
	if (m->method < 1 || m->method > 3)
		return err_set(e, ERR_UNSUPPORTED, "lzop: packed by method %u, which isn't LZO1X", m->method);
	if (m->flags & FILTER)
		return err_set(e, ERR_UNSUPPORTED, "lzop: packed through a filter");
	return 0;
}

/* The member's header from s->in_off on. 1: s is before its first block; 0: the end. */
static int open_member(struct lzop *z, struct spot *s, struct err *e)
{
	uint8_t h[HEADER_MAX], x[4];
	struct member m;
	int rc = layer_next_member(lzop_probe, "lzop", z->in, &s->in_off, e);
	uint32_t sum;
	int64_t k;
	size_t n;

	if (rc <= 0)
		return rc;
	k = input_read(z->in, s->in_off, h, sizeof(h), e);
	if (k < 0)
		return (int)k;
	n = parse_member(h, (size_t)k, &m);
	if (!n)
		return err_set(e, ERR_TRUNC, "lzop: the data ends early");
	sum = (uint32_t)(m.flags & HEADER_CRC ? crc32(0, h + MAGIC_SIZE, (uInt)(n - MAGIC_SIZE))
					      : adler32(1, h + MAGIC_SIZE, (uInt)(n - MAGIC_SIZE)));
	if (sum != be32(h + n))
		return err_set(e, ERR_FORMAT, "lzop: a header with a wrong checksum at offset %llu", (unsigned long long)s->in_off);
	rc = check_member(&m, e);
	if (rc < 0)
		return rc;
	s->in_off += n + 4;
	s->flags = m.flags;
	s->in_member = true;
	if (m.flags & EXTRA_FIELD) { /* u32 length, as many bytes, u32 checksum */
		rc = input_read_all(z->in, s->in_off, x, 4, e);
		if (rc < 0)
			return rc;
		s->in_off += 8 + (uint64_t)be32(x);
	}
	return 1;
}

/* The block at s; s goes behind it. 1: there is one, 0: the end, negative: damage, s is where it was. */
static int next_header(struct lzop *z, struct spot *s, struct block *b, struct err *e)
{
	struct spot t = *s;

	for (;;) {
		uint8_t h[24];
		int64_t k;
		size_t n = 8;
		int rc = t.in_member ? 1 : open_member(z, &t, e);

		if (rc <= 0)
			return rc;
		k = input_read(z->in, t.in_off, h, sizeof(h), e);
		if (k < 0)
			return (int)k;
		if (k >= 4 && be32(h) == 0) { /* a member's end */
			t.in_off += 4;
			t.in_member = false;
			continue;
		}
		if (k < 8)
			return err_set(e, ERR_TRUNC, "lzop: the data ends early");
		*b = (struct block){.at = t.in_off, .plain = be32(h), .packed = be32(h + 4), .flags = t.flags};
		if (b->plain > BLOCK_MAX || b->packed == 0 || b->packed > b->plain)
			return err_set(e, ERR_FORMAT, "lzop: a block of %u bytes packed to %u at offset %llu", b->plain, b->packed,
				       (unsigned long long)t.in_off);
		if (b->packed == b->plain) /* stored: its sums stand there once */
			b->flags &= ~(uint32_t)(ADLER_PACKED | CRC_PACKED);
		for (unsigned i = 0; i < 4; i++) {
			static const uint32_t has[] = {ADLER_PLAIN, CRC_PLAIN, ADLER_PACKED, CRC_PACKED};

			if (!(b->flags & has[i]))
				continue;
			b->sum[i] = n + 4 <= (size_t)k ? be32(h + n) : 0;
			n += 4;
		}
		b->in_off = t.in_off + n;
		if (b->in_off > input_size(z->in) || b->packed > input_size(z->in) - b->in_off)
			return err_set(e, ERR_TRUNC, "lzop: the data ends early");
		t.in_off = b->in_off + b->packed;
		*s = t;
		return 1;
	}
}

/* ---- the codec ----------------------------------------------------------------------------------------------------------------------------- */

static void lzop_close(void *state)
{
	struct lzop *z = state;

	free(z->v);
	free(z->packed);
	free(z->out.p);
	free(z);
}

static int list_blocks(struct lzop *z, struct err *e)
{
	struct spot s = {0}, before = s;
	struct block b;
	int rc;

	while ((rc = next_header(z, &s, &b, z->n ? NULL : e)) > 0) {
		void *arr = z->v;

		if (z->n == PLACES_MAX)
			return 0;
		if (arr_reserve(&arr, &z->cap, z->n, sizeof(*z->v)) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		z->v = arr;
		z->v[z->n++] = (struct place){before, z->size};
		z->size += b.plain;
		before = s;
	}
	z->known = rc == 0;
	return rc == ERR_UNSUPPORTED && !z->n ? rc : 0;
}

static int lzop_open(void **state, struct input *in, struct err *e)
{
	struct lzop *z = calloc(1, sizeof(*z));
	int rc;

	if (!z)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->in = in;
	rc = list_blocks(z, e);
	if (rc < 0) {
		lzop_close(z);
		return rc;
	}
	*state = z;
	return 0;
}

static bool lzop_known(void *state, uint64_t *size)
{
	struct lzop *z = state;

	*size = z->size;
	return z->known;
}

static const struct place *place_of(const struct lzop *z, uint64_t off)
{
	size_t lo = 0, hi = z->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (z->v[mid].out_off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return &z->v[lo];
}

static uint64_t lzop_place(void *state, uint64_t off)
{
	struct lzop *z = state;

	return z->n ? place_of(z, off)->out_off : 0;
}

static int lzop_seek(void *state, uint64_t place, struct err *e)
{
	struct lzop *z = state;

	if (!z->n)
		return err_set(e, ERR_FORMAT, "lzop: nothing in it");
	z->now = place_of(z, place)->spot;
	z->out.n = z->out.at = z->lost = 0;
	return 0;
}

static int room_for(uint8_t **p, size_t *cap, size_t n, struct err *e)
{
	if (*cap >= n)
		return 0;
	free(*p);
	*p = malloc(n);
	*cap = *p ? n : 0;
	return *p ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static bool sums_are_right(const struct block *b, bool packed, const uint8_t *p, uint32_t n)
{
	const uint32_t *sum = b->sum + (packed ? 2 : 0);

	return (!(b->flags & (packed ? ADLER_PACKED : ADLER_PLAIN)) || adler32(1, p, n) == sum[0]) &&
	       (!(b->flags & (packed ? CRC_PACKED : CRC_PLAIN)) || crc32(0, p, n) == sum[1]);
}

static int unpack(struct lzop *z, const struct block *b, struct err *e)
{
	bool stored = b->packed == b->plain;
	lzo_uint len = b->plain;
	int rc = room_for(&z->out.p, &z->out_cap, b->plain, e);

	if (rc == 0)
		rc = room_for(&z->packed, &z->packed_cap, b->packed, e);
	if (rc == 0)
		rc = input_read_all(z->in, b->in_off, stored ? z->out.p : z->packed, b->packed, e);
	if (rc < 0)
		return rc;
	if (!stored && !sums_are_right(b, true, z->packed, b->packed))
		return err_set(e, ERR_FORMAT, "lzop: the block at offset %llu has a wrong checksum", (unsigned long long)b->at);
	if (!stored && (lzo1x_decompress_safe(z->packed, b->packed, z->out.p, &len, NULL) != LZO_E_OK || len != b->plain))
		return err_set(e, ERR_FORMAT, "lzop: the block at offset %llu is damaged", (unsigned long long)b->at);
	if (!sums_are_right(b, false, z->out.p, b->plain))
		return err_set(e, ERR_FORMAT, "lzop: the block at offset %llu has a wrong checksum", (unsigned long long)b->at);
	z->out.n = b->plain;
	return 1;
}

static int64_t lzop_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct lzop *z = state;

	if (z->out.at == z->out.n) {
		struct spot s = z->now;
		struct block b;
		int rc = next_header(z, &s, &b, e);

		z->out.n = z->out.at = z->lost = 0;
		if (rc > 0) {
			z->behind = s;
			z->lost = b.plain;
			rc = unpack(z, &b, e);
		}
		if (rc <= 0)
			return rc;
		z->lost = 0;
		z->now = s;
	}
	return (int64_t)blockout_take(&z->out, buf, n);
}

/* For a file that is damaged somewhere: snapshots between blocks. */
static int lzop_mark(void *state, void **mark, size_t *bytes)
{
	struct lzop *z = state;
	struct spot *m = NULL;

	if (z->out.at == z->out.n) {
		m = malloc(sizeof(*m));
		if (!m)
			return ERR_NOMEM;
		*m = z->now;
	}
	*bytes = sizeof(*m);
	*mark = m;
	return 0;
}

static int lzop_resume(void *state, const void *mark, struct err *e)
{
	struct lzop *z = state;
	const struct spot *m = mark;

	(void)e;
	z->now = m ? *m : (struct spot){0};
	z->out.n = z->out.at = z->lost = 0;
	return 0;
}

static int lzop_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct lzop *z = state;
	uint32_t lost = z->lost;

	(void)e;
	if (lost)
		z->now = z->behind;
	z->lost = 0;
	*next = at + lost;
	return lost > 0;
}

const struct layer_codec layer_lzop = {.name = "lzop",
				       .probe = lzop_probe,
				       .open = lzop_open,
				       .close = lzop_close,
				       .read = lzop_read,
				       .known = lzop_known,
				       .place = lzop_place,
				       .seek = lzop_seek,
				       .mark = lzop_mark,
				       .resume = lzop_resume,
				       .mark_free = free,
				       .skip = lzop_skip};
#else
const struct layer_codec layer_lzop = {.name = "lzop"};
#endif
