/* zdmp.c - DumpIt's .zdmp: a crash dump in blocks that are packed one by one (LZNT1): an input whose bytes are that dump; what it is, is told by its
 * content. Facts: docs/formats/zdmp.md. A block that is lost is a hole, never zeros. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "chunkcache.h"
#include "dumpfmt.h"
#include "late.h"
#include "layer.h"
#include "lznt1.h"
#include "rd.h"

#define MAGIC      0x504d445au /* "ZDMP" */
#define BLOCK      0x4b4c425au /* "ZBLK" */
#define HEADER     24u
#define FIRST      0x1000u
#define BLOCK_HEAD 12u
#define BLOCK_MAX  (16u << 20)
#define BLOCKS_MAX (1u << 28)

#define CHECK_FLOOR (UINT64_C(64) << 20) /* so much is read for CRCs when blocks are looked for */
#define CHECK_TIMES 4u                   /* and so many times the file */

enum { KIND_PACKED = 1, KIND_ENCRYPTED = 2, FORMAT_LZNT1 = 2 };

struct block {
	uint64_t off; /* of its data; 0: it is lost */
	uint32_t len, crc;
};

struct gap {           /* where blocks stood whose headers are damaged */
	size_t before; /* blocks that were found before it */
	uint64_t at, next;
};

struct zdmp {
	struct input *in;
	struct block *v;
	size_t n, cap;
	struct gap *gap;
	size_t n_gaps, cap_gaps;
	uint64_t cut;                  /* bytes that the last block lacks */
	uint64_t mended, first_mended; /* blocks whose length is not that of their header */
	uint64_t checked;              /* bytes, for their CRC alone */
	uint32_t block_size;
	uint64_t claimed; /* by the header, of what comes out */
	uint64_t size;    /* of what does */
	struct chunkcache *cache;
	struct late late;                                   /* damaged blocks */
	void (*inner_late)(void *ctx, struct notes *notes); /* of the container inside */
	void *inner_ctx;
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= HEADER && le32(head) == MAGIC;
}

/* ---- the index -------------------------------------------------------------------------------------------------------------------------------- */

static int add(struct zdmp *z, const struct block *b, struct err *e)
{
	void *arr = z->v;

	if (z->n >= BLOCKS_MAX)
		return err_set(e, ERR_LIMIT, "zdmp: more than %u blocks", BLOCKS_MAX);
	if (arr_reserve(&arr, &z->cap, z->n, sizeof(*z->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->v = arr;
	z->v[z->n++] = *b;
	return 0;
}

static int add_gap(struct zdmp *z, uint64_t at, uint64_t next, struct err *e)
{
	void *arr = z->gap;

	if (arr_reserve(&arr, &z->cap_gaps, z->n_gaps, sizeof(*z->gap)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->gap = arr;
	z->gap[z->n_gaps++] = (struct gap){z->n, at, next};
	return 0;
}

/* So many blocks stood in a gap at least: none is longer than its header and a stored block. */
static uint64_t least_lost(const struct zdmp *z, const struct gap *g)
{
	uint64_t room = z->block_size + (uint64_t)BLOCK_HEAD;

	return (g->next - g->at + room - 1) / room;
}

/* Blocks up to here: those that were found, and the fewest that gaps have taken. */
static uint64_t blocks_at_least(const struct zdmp *z)
{
	uint64_t n = z->n;

	for (size_t i = 0; i < z->n_gaps; i++)
		n += least_lost(z, &z->gap[i]);
	return n;
}

/* By the file's header; 0: it does not say. */
static uint64_t blocks_claimed(const struct zdmp *z)
{
	return z->claimed / z->block_size + (z->claimed % z->block_size != 0);
}

/* The block whose header stands at `at`. False: none does. */
static bool block_at(const struct zdmp *z, uint64_t at, struct block *b)
{
	uint8_t h[BLOCK_HEAD];

	if (input_read_all(z->in, at, h, sizeof(h), NULL) < 0 || le32(h) != BLOCK)
		return false;
	*b = (struct block){at + BLOCK_HEAD, le32(h + 4), le32(h + 8)};
	return b->len && b->len <= z->block_size;
}

/* Another block, or the end of the file, stands behind this one. */
static bool linked(const struct zdmp *z, const struct block *b)
{
	struct block next;

	return b->off + b->len == input_size(z->in) || block_at(z, b->off + b->len, &next);
}

/* Its CRC holds. What is read for that is bounded, for a file of headers that lie. */
static bool crc_holds(struct zdmp *z, const struct block *b)
{
	uint8_t p[65536];
	uLong crc = crc32_z(0, NULL, 0);

	if (b->off + b->len > input_size(z->in) || z->checked > CHECK_FLOOR + CHECK_TIMES * input_size(z->in))
		return false;
	z->checked += b->len;
	for (uint32_t at = 0, n; at < b->len; at += n) {
		n = b->len - at < sizeof(p) ? b->len - at : (uint32_t)sizeof(p);
		if (input_read_all(z->in, b->off + at, p, n, NULL) < 0)
			return false;
		crc = crc32_z(crc, p, n);
	}
	return crc == b->crc;
}

/* The next header in [at, until) of a block that is one: packed bytes may hold the mark too. `until`: none is there. */
static uint64_t resync(struct zdmp *z, uint64_t at, uint64_t until)
{
	uint8_t p[65536 + BLOCK_HEAD];
	struct block b;

	for (; at < until; at += 65536) {
		int64_t n = input_read(z->in, at, p, sizeof(p), NULL);

		for (int64_t i = 0; i + (int64_t)BLOCK_HEAD <= n && i < 65536 && at + (uint64_t)i < until; i++)
			if (p[i] == 'Z' && le32(p + i) == BLOCK && block_at(z, at + (uint64_t)i, &b) && (linked(z, &b) || crc_holds(z, &b)))
				return at + (uint64_t)i;
		if (n < (int64_t)sizeof(p))
			break;
	}
	return until;
}

/* The block's length: when it leads nowhere and its CRC says so too, the next header tells. With `strict`, when it leads to another block as well: it
 * may swallow some. True: nothing is left of it, and it ends at *next. */
static bool mend_length(struct zdmp *z, struct block *b, bool strict, uint64_t *next)
{
	uint64_t end = b->off + b->len, size = input_size(z->in), until = linked(z, b) ? end : size;

	if ((until == end && !strict) || crc_holds(z, b))
		return false;
	*next = resync(z, b->off, until);
	if (*next == until)
		return false;
	if (*next > b->off && *next - b->off <= z->block_size) {
		b->len = (uint32_t)(*next - b->off);
		if (crc_holds(z, b)) {
			if (!z->mended++)
				z->first_mended = b->off - BLOCK_HEAD;
			return false;
		}
	}
	return true;
}

/* Blocks and gaps, in order of the file. *tail: from here on there is none (size: the file ends with a block); z->cut: it ends inside one. */
static int walk(struct zdmp *z, bool strict, uint64_t *tail, struct err *e)
{
	uint64_t at = FIRST, size = input_size(z->in), next;
	int rc = 0;

	z->n = z->n_gaps = 0;
	z->mended = z->cut = 0;
	while (rc == 0 && at < size) {
		struct block b;

		if (!block_at(z, at, &b)) {
			/* behind all that the header claims, zeros are padding and no loss */
			bool padding = z->claimed && blocks_at_least(z) >= blocks_claimed(z) && input_only_zeros(z->in, at);

			next = padding ? size : resync(z, at + 1, size);
			if (next == size) {
				*tail = padding ? size : at;
				return 0;
			}
			rc = add_gap(z, at, next, e);
			at = next;
			continue;
		}
		if (mend_length(z, &b, strict, &next)) {
			rc = add_gap(z, at, next, e);
			at = next;
			continue;
		}
		at = b.off + b.len;
		if (at > size) {
			z->cut = at - size;
			b.len = (uint32_t)(size - b.off);
			if (!b.len)
				break;
		}
		rc = add(z, &b, e);
	}
	*tail = size;
	return rc;
}

/* From the first gap to the last one so many blocks are lost that the header's count comes out: believed when about so many have room. 0: not so. */
static uint64_t lost_by_claim(const struct zdmp *z)
{
	const struct gap *first = &z->gap[0], *last = &z->gap[z->n_gaps - 1];
	uint64_t found = first->before + (z->n - last->before), claimed = blocks_claimed(z), usual = 0;
	uint64_t lost = claimed > found ? claimed - found : 0;

	for (size_t i = 0; i < z->n; i++)
		usual += z->v[i].len;
	usual = usual / (z->n ? z->n : 1) + BLOCK_HEAD;
	return lost <= 2 + 4 * (last->next - first->at) / usual ? lost : 0;
}

/* Blocks are numbered by their order alone: each gap takes the fewest it has room for when the header's count says so. When that is more, all between
 * the first gap and the last one is one hole, for there the order is not known. When the file's end is lost the count says nothing: a gap with room for
 * one takes one. Else what is behind it has no number: *tail. */
static int place(struct dump *d, struct zdmp *z, uint64_t *tail, struct err *e)
{
	uint64_t claimed = blocks_claimed(z), least = blocks_at_least(z), hole = 0;
	bool ended = !z->cut && *tail == input_size(z->in), exact = claimed == least;
	struct block *found = z->v;
	size_t n = z->n, from = 0, i = 0;
	int rc = 0;

	if (!z->n_gaps)
		return 0;
	if (claimed > least && ended)
		hole = lost_by_claim(z);
	z->v = NULL;
	z->n = z->cap = 0;
	while (rc == 0) {
		size_t to = i < z->n_gaps ? z->gap[i].before : n;
		uint64_t lost = hole;
		struct gap g;

		for (; rc == 0 && from < to; from++)
			rc = add(z, &found[from], e);
		if (rc < 0 || i == z->n_gaps)
			break;
		g = z->gap[i++];
		if (hole) {
			i = z->n_gaps;
			g.next = z->gap[i - 1].next;
			from = z->gap[i - 1].before;
		} else {
			lost = least_lost(z, &g);
			if (!exact && (lost > 1 || (claimed > least && ended))) {
				*tail = g.at;
				break;
			}
		}
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, g.at, g.next - g.at),
			  "zdmp: the block at file offset %llu is damaged and left out (%llu blocks, up to the next that is sound)",
			  (unsigned long long)g.at, (unsigned long long)lost);
		for (; rc == 0 && lost; lost--)
			rc = add(z, &(struct block){0}, e);
	}
	free(found);
	return rc;
}

static int index_all(struct dump *d, struct zdmp *z, struct err *e)
{
	uint64_t size = input_size(z->in), tail;
	int rc = walk(z, false, &tail, e);

	if (rc == 0 && z->claimed && blocks_at_least(z) < blocks_claimed(z)) /* some are missing: has a length swallowed them? */
		rc = walk(z, true, &tail, e);
	if (rc == 0)
		rc = place(d, z, &tail, e);
	if (rc < 0)
		return rc;
	if (z->mended)
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, z->first_mended, BLOCK_HEAD),
			  "zdmp: the lengths of %llu blocks lie, the first at file offset %llu: the next header and their CRC tell them",
			  (unsigned long long)z->mended, (unsigned long long)z->first_mended);
	if (z->cut && tail == size)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, size, z->cut), "zdmp: the file ends inside its last block");
	if (tail < size)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, tail, size - tail),
			  "zdmp: no block at file offset %llu, or its number is not known: %llu bytes from there on are left out",
			  (unsigned long long)tail, (unsigned long long)(size - tail));
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------------- */

/* Unpacks block n. A block that comes out shorter than the others is filled with zeros, as its writer means it, unless it is damaged: *sound. */
static int64_t unpack(struct zdmp *z, uint64_t n, uint8_t *buf, bool *sound, struct err *e)
{
	const struct block *b = &z->v[n];
	uint8_t *p = malloc(b->len);
	size_t made = 0;
	int broken = 0, rc;

	*sound = false;
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(z->in, b->off, p, b->len, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	*sound = crc32_z(0, p, b->len) == b->crc;
	if (b->len == z->block_size) {
		memcpy(buf, p, made = b->len);
	} else {
		made = lznt1_unpack_some(p, b->len, buf, z->block_size, &broken);
		*sound = *sound && !broken;
		if (*sound) {
			memset(buf + made, 0, z->block_size - made);
			made = z->block_size;
		}
	}
	free(p);
	return (int64_t)made;
}

static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct zdmp *z = ctx;
	bool sound;
	int64_t made;

	if (!z->v[n].off)
		return err_set(e, ERR_FAULT, "a block that is lost");
	made = unpack(z, n, buf, &sound, e);
	if (!sound && made != ERR_NOMEM)
		late_hit(&z->late, n, z->v[n].off); /* what comes out is kept, and the block is named */
	return made;
}

static int64_t zdmp_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct zdmp *z = ctx;
	size_t done = 0;

	while (done < len) {
		uint64_t n = (off + done) / z->block_size;
		size_t in = (size_t)((off + done) % z->block_size), want = z->block_size - in;
		int64_t got;

		if (want > len - done)
			want = len - done;
		got = chunkcache_read(z->cache, n, in, (uint8_t *)buf + done, want, e);
		if (got < 0)
			return got;
		if ((size_t)got < want)
			return err_set(e, ERR_FAULT, "a block that does not unpack");
		done += (size_t)got;
	}
	return (int64_t)done;
}

static uint64_t zdmp_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	struct zdmp *z = ctx;
	uint64_t n = off / z->block_size, at = (n + 1) * z->block_size;

	*there = n < z->n && z->v[n].off;
	for (n++; at < off + len && (n < z->n && z->v[n].off) == *there; n++)
		at += z->block_size;
	return (at < off + len ? at : off + len) - off;
}

static void zdmp_close(void *ctx)
{
	struct zdmp *z = ctx;

	chunkcache_free(z->cache);
	late_free(&z->late);
	free(z->v);
	free(z->gap);
	free(z);
}

static void tell(void *ctx, struct notes *notes)
{
	struct zdmp *z = ctx;

	late_tell(&z->late, notes, "zdmp", "damaged blocks (their CRC does not hold, or they do not unpack)");
	if (z->inner_late)
		z->inner_late(z->inner_ctx, notes);
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------------------------- */

static int read_header(struct dump *d, struct zdmp *z, struct err *e)
{
	uint8_t h[HEADER];
	unsigned kind, format;
	int rc = input_read_all(d->in, 0, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	z->claimed = le64(h + 8);
	z->block_size = le32(h + 16);
	kind = le16(h + 20);
	format = le16(h + 22);
	if (kind & KIND_ENCRYPTED)
		return err_set(e, ERR_UNSUPPORTED, "an encrypted DumpIt dump (.zdmp): decrypt it with the tool that wrote it");
	if (kind != KIND_PACKED || format != FORMAT_LZNT1)
		return err_set(e, ERR_UNSUPPORTED, "a DumpIt dump (.zdmp) packed in a way that is not known (%u, %u): unpack it first",
			       kind, format);
	if (!z->block_size || z->block_size > BLOCK_MAX)
		return err_set(e, ERR_FORMAT, "zdmp: blocks of %u bytes", z->block_size);
	return 0;
}

/* The size of what comes out: whole blocks, but for a last one that is cut or damaged. */
static int measure(struct dump *d, struct zdmp *z, struct err *e)
{
	uint64_t most = LAYER_FLOOR + LAYER_RATIO_MAX * input_size(z->in); /* what is believed of any packed file */
	uint8_t *buf = malloc(z->block_size);
	int64_t made;
	bool sound;

	if (!buf || !z->v) {
		free(buf);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	z->size = (uint64_t)z->n * z->block_size;
	made = z->v[z->n - 1].off ? unpack(z, z->n - 1, buf, &sound, e) : z->block_size;
	free(buf);
	if (made < 0)
		return (int)made;
	z->size -= z->block_size - (uint64_t)made;
	if (z->size > most) {
		notes_add(d->notes, &NOTE_AT(NOTE_LIMIT_REACHED, most, z->size - most),
			  "zdmp: unpacks to more than is believed; cut at %llu bytes", (unsigned long long)most);
		z->size = most;
	}
	return z->size ? 0 : err_set(e, ERR_TRUNC, "zdmp: none of its blocks can be unpacked");
}

static const struct input_ops ops = {zdmp_read, zdmp_close};

static int open_layer(struct dump *d, struct zdmp *z, struct input **layer, struct err *e)
{
	int rc = read_header(d, z, e);

	if (rc == 0)
		rc = index_all(d, z, e);
	if (rc == 0 && !z->n)
		rc = err_set(e, ERR_TRUNC, "zdmp: no block in it");
	if (rc == 0)
		rc = measure(d, z, e);
	if (rc == 0)
		rc = late_init(&z->late, z->n, e);
	if (rc == 0)
		rc = chunkcache_new(&z->cache, z->block_size, z->n, load, z, e);
	return rc < 0 ? rc : input_new(layer, &ops, z, z->size, input_name(d->in), e);
}

static int open_zdmp(struct dump *d, struct err *e)
{
	struct zdmp *z = calloc(1, sizeof(*z));
	struct input *layer, *file = d->file;
	char inner[sizeof(d->format)];
	int rc;

	if (!z)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->in = d->in;
	rc = open_layer(d, z, &layer, e);
	if (rc < 0) {
		zdmp_close(z);
		return rc;
	}
	input_set_extent(layer, zdmp_extent);
	snprintf(d->compression + strlen(d->compression), sizeof(d->compression) - strlen(d->compression), "%slznt1",
		 d->compression[0] ? "+" : "");
	rc = dump_open_inside(d, layer, e);
	d->file = file; /* the evidence is the packed file */
	if (rc < 0)
		return rc;
	snprintf(inner, sizeof(inner), "%s", d->format);
	snprintf(d->format, sizeof(d->format), "zdmp:%.30s", inner);
	z->inner_late = d->late;
	z->inner_ctx = d->late_ctx;
	d->late = tell;
	d->late_ctx = z;
	return 0;
}

const struct dumpfmt dumpfmt_zdmp = {"zdmp", probe, open_zdmp, NULL};
