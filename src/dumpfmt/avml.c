/* avml.c - AVML version 2: blocks of physical memory, each a stream of snappy frames between a header and its packed length. Facts:
 * docs/formats/avml.md. Every chunk of a frame stream stands for itself, so an index of them gives random access. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "chunkcache.h"
#include "crc32c.h"
#include "dumpfmt.h"
#include "late.h"
#include "rd.h"
#include "snappyblock.h"

#define MAGIC      0x4c4d5641u /* "AVML" */
#define HEADER     0x20u
#define CHUNK_MAX  65536u /* unpacked */
#define PACKED_MAX 98304u /* of a chunk: more than snappy's worst case */
#define PA_MAX     (UINT64_C(1) << 52)
#define CHUNKS_MAX (1u << 28) /* 16 TiB */

struct chunk {
	uint64_t pa, off; /* off: of the chunk's checksum in the file */
	uint32_t packed;  /* bytes behind the checksum */
	uint32_t unpacked;
	bool stored;
};

struct avml {
	struct input *in;
	struct chunk *v; /* by address, once they are sorted */
	size_t n, cap;
	struct chunkcache *cache;
	struct late late; /* chunks */
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 8 && le32(head) == MAGIC && le32(head + 4) == 2;
}

/* ---- the index ----------------------------------------------------------------------------------------------------------------------------- */

static int add_chunk(struct avml *a, const struct chunk *c, struct err *e)
{
	void *arr = a->v;

	if (a->n >= CHUNKS_MAX)
		return err_set(e, ERR_LIMIT, "avml: more than %u chunks", CHUNKS_MAX);
	if (arr_reserve(&arr, &a->cap, a->n, sizeof(*a->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	a->v = arr;
	a->v[a->n++] = *c;
	return 0;
}

/* The chunk header at `at`: its length (with the 4 bytes of the header), 0: none stands there. *c: what it holds, unpacked 0: nothing. */
static uint32_t chunk_at(struct avml *a, uint64_t at, struct chunk *c)
{
	uint8_t h[13];
	int64_t k = input_read(a->in, at, h, sizeof(h), NULL);
	uint32_t len = k >= 4 ? (uint32_t)h[1] | (uint32_t)h[2] << 8 | (uint32_t)h[3] << 16 : 0;
	size_t used;

	c->unpacked = 0;
	if (k < 4 || at + 4 + len > input_size(a->in))
		return 0;
	if (h[0] >= 0x80) /* the stream's name, padding */
		return 4 + len;
	if (h[0] > 1 || len < 5 || len > PACKED_MAX)
		return 0;
	c->stored = h[0] == 1;
	c->off = at + 4;
	c->packed = len - 4;
	c->unpacked = c->packed;
	if (!c->stored && !snappyblock_length(h + 8, (size_t)k - 8, &c->unpacked, &used))
		return 0;
	if (c->unpacked == 0 || c->unpacked > CHUNK_MAX)
		return 0;
	return 4 + len;
}

/* A block ends here whatever its header claims: with the packed length of what stands before, and the next block's header or the file's end behind that. */
static bool is_tail(struct avml *a, uint64_t stream, uint64_t at)
{
	uint8_t h[8 + HEADER];
	int64_t n = at > stream ? input_read(a->in, at, h, sizeof(h), NULL) : 0;

	if (n < 8 || le64(h) != at - stream)
		return false;
	return at + 8 == input_size(a->in) || (n == sizeof(h) && probe(h + 8, HEADER));
}

/* The chunks of one block from `at` on, until `bytes` of memory have come. Returns where they end; *got: bytes that are there. */
static uint64_t index_block(struct avml *a, uint64_t at, uint64_t pa, uint64_t bytes, uint64_t *got, int *rc, struct err *e)
{
	uint64_t stream = at;

	*got = 0;
	*rc = 0;
	while (*got < bytes && *rc == 0) {
		struct chunk c;
		uint32_t len = is_tail(a, stream, at) ? 0 : chunk_at(a, at, &c);

		if (!len)
			break;
		at += len;
		if (!c.unpacked)
			continue;
		c.pa = pa + *got;
		if (c.unpacked > bytes - *got)
			c.unpacked = (uint32_t)(bytes - *got);
		*rc = add_chunk(a, &c, e);
		*got += c.unpacked;
	}
	return at;
}

static bool is_header(const uint8_t *h)
{
	return probe(h, HEADER) && le64(h + 8) <= le64(h + 16) && le64(h + 8) < PA_MAX;
}

/* The next block's header from `at` on, or the end of the file. */
static uint64_t resync(struct avml *a, uint64_t at)
{
	uint8_t p[65536 + HEADER];

	for (;;) {
		int64_t n = input_read(a->in, at, p, sizeof(p), NULL);

		if (n < (int64_t)HEADER)
			return input_size(a->in);
		for (size_t i = 0; i + HEADER <= (size_t)n && i < 65536; i++)
			if (p[i] == 'A' && is_header(p + i))
				return at + i;
		at += 65536;
	}
}

static int index_all(struct dump *d, struct avml *a, struct err *e)
{
	uint64_t at = 0, size = input_size(a->in);
	int rc = 0;

	while (rc == 0 && at < size) {
		uint8_t h[HEADER];
		uint64_t first, last, got, next;

		if (input_read_all(a->in, at, h, HEADER, NULL) < 0 || !is_header(h)) {
			if (a->n && input_only_zeros(a->in, at)) /* padding is no loss */
				break;
			next = resync(a, at + 1);
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, next - at),
				  "avml: no block header at file offset %llu: %llu bytes are left out", (unsigned long long)at,
				  (unsigned long long)(next - at));
			at = next;
			continue;
		}
		first = le64(h + 8);
		last = le64(h + 16) < PA_MAX ? le64(h + 16) : PA_MAX - 1;
		next = index_block(a, at + HEADER, first, last - first + 1, &got, &rc, e);
		if (rc == 0 && got < last - first + 1) {
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, first + got, last - first + 1 - got),
				  "avml: the block of 0x%llx holds only %llu bytes", (unsigned long long)first, (unsigned long long)got);
			at = resync(a, next);
		} else {
			at = next + 8; /* behind the packed length */
		}
	}
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------------- */

static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct avml *a = ctx;
	const struct chunk *c = &a->v[n];
	uint8_t *p = malloc(PACKED_MAX);
	int64_t k = c->packed;
	int rc = p ? input_read_all(a->in, c->off, p, 4 + c->packed, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (rc == 0 && c->stored)
		memcpy(buf, p + 4, c->packed < CHUNK_MAX ? c->packed : CHUNK_MAX);
	else if (rc == 0)
		k = snappyblock_unpack(p + 4, c->packed, buf, CHUNK_MAX);
	if (rc == 0 && (k < 0 || k > CHUNK_MAX || crc32c_masked(buf, (size_t)k) != le32(p)))
		rc = err_set(e, ERR_FORMAT, "avml: a damaged chunk");
	free(p);
	if (rc < 0 && rc != ERR_NOMEM)
		late_hit(&a->late, n, c->off - 4);
	return rc < 0 ? rc : (int64_t)c->unpacked; /* never more than k: by the block's own length */
}

static int read_chunks(void *ctx, uint64_t pa, void *buf, size_t len)
{
	struct avml *a = ctx;
	uint8_t *out = buf;
	size_t lo = 0, hi = a->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->v[mid].pa <= pa)
			lo = mid;
		else
			hi = mid;
	}
	for (; len && lo < a->n && pa >= a->v[lo].pa && pa - a->v[lo].pa < a->v[lo].unpacked; lo++) {
		int64_t k = chunkcache_read(a->cache, lo, (size_t)(pa - a->v[lo].pa), out, len, NULL);

		if (k <= 0)
			return ERR_FAULT;
		out += k;
		pa += (uint64_t)k;
		len -= (size_t)k;
	}
	return len ? ERR_FAULT : 0;
}

static int by_pa(const void *x, const void *y)
{
	const struct chunk *a = x, *b = y;

	if (a->pa != b->pa)
		return a->pa < b->pa ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

/* By address; of two chunks that hold the same place the lower one, then the earlier one in the file stays. */
static void sort(struct dump *d, struct avml *a)
{
	size_t o = 0;

	qsort(a->v, a->n, sizeof(*a->v), by_pa);
	for (size_t i = 0; i < a->n; i++) {
		if (o && a->v[i].pa < a->v[o - 1].pa + a->v[o - 1].unpacked)
			notes_add(d->notes, &NOTE_AT(NOTE_RUN_OVERLAP, a->v[i].pa, a->v[i].unpacked),
				  "two chunks hold physical address 0x%llx: the first one is taken", (unsigned long long)a->v[i].pa);
		else
			a->v[o++] = a->v[i];
	}
	a->n = o;
}

static void close_avml(struct dump *d)
{
	struct avml *a = d->state;

	if (!a)
		return;
	chunkcache_free(a->cache);
	late_free(&a->late);
	free(a->v);
	free(a);
}

static void tell_late(void *ctx, struct notes *notes)
{
	struct avml *a = ctx;

	late_tell(&a->late, notes, "avml", "chunks are damaged");
}

static void name_packing(struct dump *d, const struct avml *a)
{
	size_t n = strlen(d->compression);

	for (size_t i = 0; i < a->n; i++)
		if (!a->v[i].stored) {
			snprintf(d->compression + n, sizeof(d->compression) - n, "%ssnappy", n ? "+" : "");
			return;
		}
}

static int open_avml(struct dump *d, struct err *e)
{
	struct avml *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return err_set(e, ERR_NOMEM, "out of memory");
	d->state = a;
	a->in = d->in;
	rc = index_all(d, a, e);
	if (rc == 0 && !a->n)
		return err_set(e, ERR_TRUNC, "avml: no memory in it");
	if (rc == 0)
		rc = chunkcache_new(&a->cache, CHUNK_MAX, a->n, load, a, e);
	if (rc < 0)
		return rc;
	name_packing(d, a);
	sort(d, a);
	rc = late_init(&a->late, a->n, e);
	d->late = tell_late;
	d->late_ctx = a;
	for (size_t i = 0; rc == 0 && i < a->n; i++)
		rc = phys_add(d->phys, a->v[i].pa, a->v[i].unpacked, read_chunks, a, e);
	return rc;
}

const struct dumpfmt dumpfmt_avml = {"avml", probe, open_avml, close_avml};
