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

enum { KIND_PACKED = 1, KIND_ENCRYPTED = 2, FORMAT_LZNT1 = 2 };

struct block {
	uint64_t off; /* of its data; 0: it is lost */
	uint32_t len, crc;
};

struct zdmp {
	struct input *in;
	struct block *v;
	size_t n, cap;
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

/* The block whose header stands at `at`. False: none does. */
static bool block_at(const struct zdmp *z, uint64_t at, struct block *b)
{
	uint8_t h[BLOCK_HEAD];

	if (input_read_all(z->in, at, h, sizeof(h), NULL) < 0 || le32(h) != BLOCK)
		return false;
	*b = (struct block){at + BLOCK_HEAD, le32(h + 4), le32(h + 8)};
	return b->len && b->len <= z->block_size;
}

/* The next block's header from `at` on, or the end of the file. */
static uint64_t resync(const struct zdmp *z, uint64_t at)
{
	uint8_t p[65536 + BLOCK_HEAD];
	struct block b;

	for (;; at += 65536) {
		int64_t n = input_read(z->in, at, p, sizeof(p), NULL);

		for (int64_t i = 0; i + (int64_t)BLOCK_HEAD <= n && i < 65536; i++)
			if (p[i] == 'Z' && le32(p + i) == BLOCK && block_at(z, at + (uint64_t)i, &b))
				return at + (uint64_t)i;
		if (n < (int64_t)sizeof(p))
			return input_size(z->in);
	}
}

/* Damage from `at` to `next`. Blocks are numbered by their order alone: so much room is one block's at most, or all behind it has no place. */
static int lose(struct dump *d, struct zdmp *z, uint64_t at, uint64_t *next, struct err *e)
{
	uint64_t size = input_size(z->in);

	if (*next < size && *next - at <= z->block_size + (uint64_t)BLOCK_HEAD) {
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, *next - at),
			  "zdmp: the block at file offset %llu is damaged and left out", (unsigned long long)at);
		return add(z, &(struct block){0}, e);
	}
	notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, size - at),
		  "zdmp: no block at file offset %llu: %llu bytes from there on are left out", (unsigned long long)at,
		  (unsigned long long)(size - at));
	*next = size;
	return 0;
}

static int index_all(struct dump *d, struct zdmp *z, struct err *e)
{
	uint64_t at = FIRST, size = input_size(z->in);
	int rc = 0;

	while (rc == 0 && at < size) {
		struct block b;
		uint64_t next;

		if (!block_at(z, at, &b)) {
			/* behind all that the header claims, zeros are padding and no loss */
			if (z->claimed && (uint64_t)z->n * z->block_size >= z->claimed && input_only_zeros(z->in, at))
				break;
			next = resync(z, at + 1);
			rc = lose(d, z, at, &next, e);
			at = next;
			continue;
		}
		at = b.off + b.len;
		if (at > size) {
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, b.off, at - size), "zdmp: the file ends inside its last block");
			b.len = (uint32_t)(size - b.off);
			if (!b.len)
				break;
		}
		rc = add(z, &b, e);
	}
	return rc;
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
