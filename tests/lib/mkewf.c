/* mkewf.c - see mkewf.h */
#include "mkewf.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "hash.h"
#include "rd.h"

#define DESC 76u

static const uint8_t zero_chunk[MKEWF_CHUNK];

struct maker {
	const struct mkewf *o;
	struct buf *b;
	struct hash *md5, *sha1;
	uint8_t zero[256]; /* a chunk of zeros, deflated: most of memory */
	uint32_t zero_len;
};

void mkewf_sum(uint8_t *p, size_t n)
{
	put_le32(p + n, (uint32_t)adler32(1, p, (uInt)n));
}

/* A descriptor at the end of b; its end is not known yet. */
static size_t begin(struct buf *b, const char *type)
{
	size_t at = b->n;

	buf_grow(b, DESC);
	memcpy(b->p + at, type, strlen(type));
	return at;
}

static void end(struct buf *b, size_t at)
{
	bool last = strcmp((char *)b->p + at, "next") == 0 || strcmp((char *)b->p + at, "done") == 0;

	put_le64(b->p + at + 16, last ? at : b->n);
	put_le64(b->p + at + 24, b->n - at);
	mkewf_sum(b->p + at, 72);
}

static void put_volume(struct maker *m, const char *type)
{
	size_t at = begin(m->b, type);
	uint8_t *v = buf_grow(m->b, 1052);

	v[0] = 0x10; /* memory */
	put_le32(v + 4, (uint32_t)((m->o->size + MKEWF_CHUNK - 1) / MKEWF_CHUNK));
	put_le32(v + 8, MKEWF_CHUNK / 512);
	put_le32(v + 12, 512);
	put_le64(v + 16, m->o->size / 512);
	v[52] = m->o->packed;
	memset(v + 64, 0x40 + m->o->set, 16);
	mkewf_sum(v, 1048);
	end(m->b, at);
}

/* A chunk as it stands in the file; true: deflated. */
static bool put_chunk(struct maker *m, uint64_t n)
{
	uint64_t left = m->o->size - n * MKEWF_CHUNK;
	uint32_t len = left < MKEWF_CHUNK ? (uint32_t)left : MKEWF_CHUNK;
	const uint8_t *p = m->o->chunk(m->o->ctx, n);
	uLongf packed = compressBound(MKEWF_CHUNK);
	uint8_t *out;
	size_t at;

	hash_add(m->md5, p ? p : zero_chunk, len);
	hash_add(m->sha1, p ? p : zero_chunk, len);
	if (m->o->packed && !p && len == MKEWF_CHUNK) {
		buf_put(m->b, m->zero, m->zero_len);
		return true;
	}
	out = malloc(packed);
	if (m->o->packed && compress2(out, &packed, p ? p : zero_chunk, len, 1) == Z_OK && packed < len) {
		buf_put(m->b, out, packed);
		free(out);
		return true;
	}
	free(out);
	at = m->b->n;
	buf_put(m->b, p ? p : zero_chunk, len);
	buf_grow(m->b, 4);
	mkewf_sum(m->b->p + at, len);
	return false;
}

static void put_table(struct maker *m, const char *type, const struct buf *entries, uint64_t base)
{
	size_t at = begin(m->b, type), h;

	h = m->b->n;
	buf_grow(m->b, 24);
	put_le32(m->b->p + h, (uint32_t)(entries->n / 4));
	put_le64(m->b->p + h + 8, base);
	mkewf_sum(m->b->p + h, 20);
	h = m->b->n;
	buf_put(m->b, entries->p, entries->n);
	buf_grow(m->b, 4);
	mkewf_sum(m->b->p + h, entries->n);
	end(m->b, at);
}

static void put_chunks(struct maker *m, uint64_t from, uint64_t to)
{
	size_t at = begin(m->b, "sectors");
	struct buf entries;

	buf_init(&entries);
	for (uint64_t n = from; n < to; n++) {
		uint32_t off = (uint32_t)(m->b->n - at);

		buf_u32(&entries, off | (put_chunk(m, n) ? 0x80000000u : 0));
	}
	end(m->b, at);
	put_table(m, "table", &entries, at);
	put_table(m, "table2", &entries, at);
	buf_free(&entries);
}

static void put_hashes(struct maker *m)
{
	uint8_t md5[HASH_MAX], sha1[HASH_MAX];
	size_t at, d;

	hash_end(m->md5, md5);
	hash_end(m->sha1, sha1);
	at = begin(m->b, "digest");
	d = m->b->n;
	buf_put(m->b, md5, 16);
	buf_put(m->b, sha1, 20);
	buf_grow(m->b, 44);
	mkewf_sum(m->b->p + d, 76);
	end(m->b, at);
	at = begin(m->b, "hash");
	d = m->b->n;
	buf_put(m->b, md5, 16);
	buf_grow(m->b, 20);
	mkewf_sum(m->b->p + d, 32);
	end(m->b, at);
}

size_t mkewf_build(struct buf *seg, size_t max, const struct mkewf *o)
{
	uint64_t total = (o->size + MKEWF_CHUNK - 1) / MKEWF_CHUNK, per = o->per_segment ? o->per_segment : total;
	uint32_t table = o->per_table ? o->per_table : 16375;
	struct maker m = {.o = o};
	uLongf zero_len = sizeof(m.zero);
	size_t n = 0;

	compress2(m.zero, &zero_len, zero_chunk, MKEWF_CHUNK, 9);
	m.zero_len = (uint32_t)zero_len;
	if (hash_new(&m.md5, HASH_MD5, NULL) < 0 || hash_new(&m.sha1, HASH_SHA1, NULL) < 0)
		abort();
	for (uint64_t at = 0; at < total && n < max; n++) {
		uint64_t to = total - at < per ? total : at + per;
		size_t last;

		m.b = &seg[n];
		buf_put(m.b, "EVF\x09\x0d\x0a\xff\x00\x01", 9);
		buf_u16(m.b, (uint16_t)(n + 1));
		buf_u16(m.b, 0);
		put_volume(&m, n ? "data" : "volume");
		for (; at < to; at = to - at < table ? to : at + table)
			put_chunks(&m, at, to - at < table ? to : at + table);
		if (to == total)
			put_hashes(&m);
		last = begin(m.b, to == total ? "done" : "next");
		end(m.b, last);
	}
	return n;
}

size_t mkewf_section(const struct buf *seg, const char *type, unsigned nth)
{
	for (size_t at = 13; at + DESC <= seg->n; at = (size_t)le64(seg->p + at + 16)) {
		if (strncmp((const char *)seg->p + at, type, 16) == 0 && !nth--)
			return at;
		if (le64(seg->p + at + 16) <= at)
			break;
	}
	return SIZE_MAX;
}
