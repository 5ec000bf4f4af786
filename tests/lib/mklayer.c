/* mklayer.c - see mklayer.h */
#include "mklayer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "crc32c.h"
#include "libraries.h"
#include "rd.h"
#if LIB_LZMA
#include <lzma.h>
#endif
#if LIB_ZSTD
#include <zstd.h>
#endif
#if LIB_LZ4
#include <lz4frame.h>
#endif
#if LIB_BZ2
#include <bzlib.h>
#endif
#if LIB_SNAPPY
#include <snappy-c.h>
#endif
#if LIB_LZO
#include <lzo/lzo1x.h>
#endif

static uint64_t next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void mklayer_sample(uint8_t *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n;) {
		size_t len = 1 + next(&seed) % 150000;
		unsigned kind = (unsigned)(next(&seed) % 3);

		for (size_t k = 0; k < len && i < n; k++, i++)
			p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t) "the same words again "[k % 21] : (uint8_t)next(&seed);
	}
}

static bool deflate_one(struct buf *out, int window_bits, const uint8_t *p, size_t n)
{
	z_stream z;
	size_t most = n + n / 100 + 1024;
	uint8_t *o;

	memset(&z, 0, sizeof(z));
	if (deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK || !(o = buf_grow(out, most)))
		return false;
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = o;
	z.avail_out = (uInt)most;
	deflate(&z, Z_FINISH);
	out->n -= z.avail_out;
	deflateEnd(&z);
	return true;
}

static bool gzip_one(struct buf *out, const uint8_t *p, size_t n)
{
	return deflate_one(out, 15 + 16, p, n);
}

#if LIB_LZMA
static bool xz_one(struct buf *out, const uint8_t *p, size_t n, uint64_t block)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_mt mt = {.threads = 1, .block_size = block, .preset = 0, .check = LZMA_CHECK_CRC64};
	size_t most = n + n / 50 + 4096;
	uint8_t *o = buf_grow(out, most);

	if (!o || (block ? lzma_stream_encoder_mt(&s, &mt) : lzma_easy_encoder(&s, 0, LZMA_CHECK_CRC64)) != LZMA_OK)
		return false;
	s.next_in = p;
	s.avail_in = n;
	s.next_out = o;
	s.avail_out = most;
	while (lzma_code(&s, LZMA_FINISH) == LZMA_OK)
		;
	out->n -= s.avail_out;
	lzma_end(&s);
	return true;
}
#endif

#if LIB_ZSTD
static bool zstd_one(struct buf *out, const uint8_t *p, size_t n, bool with_size)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t most = ZSTD_compressBound(n), k;
	uint8_t *o = buf_grow(out, most);

	if (!c || !o)
		return false;
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, with_size);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	k = ZSTD_compress2(c, o, most, p, n);
	ZSTD_freeCCtx(c);
	out->n -= most - k;
	return !ZSTD_isError(k);
}
#endif

#if LIB_LZ4
static bool lz4_one(struct buf *out, const uint8_t *p, size_t n, bool linked)
{
	LZ4F_preferences_t f;
	size_t most, k;
	uint8_t *o;

	memset(&f, 0, sizeof(f));
	f.frameInfo.blockMode = linked ? LZ4F_blockLinked : LZ4F_blockIndependent;
	f.frameInfo.blockSizeID = linked ? LZ4F_max256KB : LZ4F_max64KB;
	f.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
	f.frameInfo.blockChecksumFlag = linked ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
	most = LZ4F_compressFrameBound(n, &f);
	if (!(o = buf_grow(out, most)))
		return false;
	k = LZ4F_compressFrame(o, most, p, n, &f);
	out->n -= most - k;
	return !LZ4F_isError(k);
}
#endif

#if LIB_BZ2
static bool bzip2_one(struct buf *out, const uint8_t *p, size_t n)
{
	unsigned most = (unsigned)(n + n / 50 + 1024);
	uint8_t *o = buf_grow(out, most);
	unsigned k = most;

	if (!o || BZ2_bzBuffToBuffCompress((char *)o, &k, (char *)(uintptr_t)p, (unsigned)n, 1, 0, 0) != BZ_OK)
		return false;
	out->n -= most - k;
	return true;
}
#endif

static void chunk(struct buf *out, uint8_t type, const struct buf *body, const uint8_t *plain, size_t n)
{
	buf_u8(out, type);
	buf_u8(out, (uint8_t)(body->n + 4));
	buf_u16(out, (uint16_t)((body->n + 4) >> 8));
	buf_u32(out, crc32c_masked(plain, n));
	buf_put(out, body->p, body->n);
}

#if LIB_SNAPPY
static bool snappy_all(struct buf *out, const uint8_t *p, size_t n, size_t block)
{
	buf_put(out, "\xff\x06\x00\x00sNaPpY", 10);
	for (size_t i = 0; i < n; i += block) {
		size_t k = n - i < block ? n - i : block, most = snappy_max_compressed_length(k);
		struct buf b;
		uint8_t *o;

		buf_init(&b);
		o = buf_grow(&b, most);
		if (!o || snappy_compress((const char *)p + i, k, (char *)o, &most) != SNAPPY_OK)
			return false;
		b.n = most;
		if (i / block % 5 == 4) { /* stored, and a chunk to be skipped */
			buf_put(out,
				"\xfe\x03\x00\x00"
				"abc",
				7);
			buf_clear(&b);
			buf_put(&b, p + i, k);
		}
		chunk(out, i / block % 5 == 4, &b, p + i, k);
		buf_free(&b);
	}
	return true;
}
#endif

#if LIB_LZO
static void be32b(struct buf *b, uint32_t v)
{
	for (int i = 3; i >= 0; i--)
		buf_u8(b, (uint8_t)(v >> (8 * i)));
}

static void lzop_sums(struct buf *out, uint32_t adler_flag, uint32_t crc_flag, const uint8_t *p, size_t n)
{
	if (adler_flag)
		be32b(out, (uint32_t)adler32(1, p, (uInt)n));
	if (crc_flag)
		be32b(out, (uint32_t)crc32(0, p, (uInt)n));
}

/* A member of an lzop file; the flags are those of its header. Of every five blocks one is stored. */
static bool lzop_one(struct buf *out, const uint8_t *p, size_t n, uint32_t flags, size_t block)
{
	size_t from;

	buf_put(out, "\x89LZO\0\r\n\x1a\n", 9);
	from = out->n;
	buf_put(out, "\x10\x40\x20\xa0\x09\x40\x01\x05", 8); /* lzop 1.04, LZO 2.10, lzop 0.94 to unpack; LZO1X-1, level 5 */
	be32b(out, flags);
	be32b(out, 0100644);
	be32b(out, 0x65000000);
	be32b(out, 0);
	buf_u8(out, 5);
	buf_puts(out, "image");
	be32b(out, (uint32_t)(flags & 0x1000 ? crc32(0, out->p + from, (uInt)(out->n - from))
					     : adler32(1, out->p + from, (uInt)(out->n - from))));
	if (flags & 0x40) {
		be32b(out, 3);
		buf_puts(out, "abc");
		be32b(out, (uint32_t)adler32(1, (const uint8_t *)"abc", 3));
	}
	for (size_t i = 0; i < n; i += block) {
		size_t k = n - i < block ? n - i : block;
		lzo_uint len = k + k / 16 + 64 + 3;
		uint8_t *packed = malloc(len), *work = malloc(LZO1X_1_MEM_COMPRESS);
		bool ok = packed && work && lzo1x_1_compress(p + i, k, packed, &len, work) == LZO_E_OK,
		     stored = len >= k || i / block % 5 == 4;

		if (ok) {
			be32b(out, (uint32_t)k);
			be32b(out, (uint32_t)(stored ? k : len));
			lzop_sums(out, flags & 1, flags & 0x100, p + i, k);
			if (!stored)
				lzop_sums(out, flags & 2, flags & 0x200, packed, len);
			buf_put(out, stored ? p + i : packed, stored ? k : len);
		}
		free(packed);
		free(work);
		if (!ok)
			return false;
	}
	be32b(out, 0);
	return true;
}
#endif

static void varint(struct buf *out, size_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_u8(out, (uint8_t)(v | 0x80));
	buf_u8(out, (uint8_t)v);
}

static void literal(struct buf *b, const uint8_t *p, size_t n)
{
	if (n <= 60) {
		buf_u8(b, (uint8_t)((n - 1) << 2));
	} else {
		buf_u8(b, 62 << 2);
		buf_u8(b, (uint8_t)(n - 1));
		buf_u16(b, (uint16_t)((n - 1) >> 8));
	}
	buf_put(b, p, n);
}

/* A repeat of the last offset, in the shortest of its forms. */
static void repeat(struct buf *b, size_t n)
{
	if (n <= 8) {
		buf_u8(b, (uint8_t)((n - 4) << 2 | 1));
		buf_u8(b, 0);
	} else if (n < 8 + 256) {
		buf_u8(b, 5 << 2 | 1);
		buf_u8(b, 0);
		buf_u8(b, (uint8_t)(n - 8));
	} else if (n < 260 + 65536) {
		buf_u8(b, 6 << 2 | 1);
		buf_u8(b, 0);
		buf_u16(b, (uint16_t)(n - 260));
	} else {
		buf_u8(b, 7 << 2 | 1);
		buf_u8(b, 0);
		buf_u16(b, (uint16_t)(n - 65540));
		buf_u8(b, (uint8_t)((n - 65540) >> 16));
	}
}

static size_t equal(const uint8_t *p, size_t a, size_t b, size_t n)
{
	size_t k = 0;

	while (b + k < n && p[a + k] == p[b + k])
		k++;
	return k;
}

/* S2: greedy, candidates only at distances 1 and 21 (zeros and words of the sample); a second match at the same distance becomes a repeat. */
static void s2_block(struct buf *b, const uint8_t *p, size_t n)
{
	size_t from = 0, last = 0;

	varint(b, n);
	for (size_t i = 0; i < n;) {
		size_t dist = i >= 1 && equal(p, i - 1, i, n) >= 64 ? 1 : i >= 21 && equal(p, i - 21, i, n) >= 64 ? 21 : 0, len;

		if (!dist) {
			i++;
			continue;
		}
		if (i > from)
			literal(b, p + from, i - from);
		len = equal(p, i - dist, i, n);
		if (len > 5000 && len % 2)
			len = 5000; /* so that another repeat follows at once */
		if (dist != last) { /* a copy of 64 with two bytes of offset, then repeats */
			buf_u8(b, 63 << 2 | 2);
			buf_u16(b, (uint16_t)dist);
			last = dist;
			if (len - 64 >= 4)
				repeat(b, len - 64);
			else
				len = 64;
		} else {
			repeat(b, len);
		}
		i += len;
		from = i;
	}
	if (n > from)
		literal(b, p + from, n - from);
}

static void s2_all(struct buf *out, const uint8_t *p, size_t n)
{
	buf_put(out, "\xff\x06\x00\x00S2sTwO", 10);
	for (size_t i = 0; i < n; i += 1u << 20) {
		size_t k = n - i < 1u << 20 ? n - i : 1u << 20;
		struct buf b;

		buf_init(&b);
		s2_block(&b, p + i, k);
		chunk(out, 0, &b, p + i, k);
		buf_free(&b);
	}
	buf_put(out,
		"\x99\x04\x00\x00"
		"indx",
		8);
}

bool mklayer(struct buf *out, const char *how, const uint8_t *p, size_t n)
{
	size_t half = n / 3;

	if (strcmp(how, "gzip") == 0)
		return gzip_one(out, p, n);
	if (strcmp(how, "zlib") == 0)
		return deflate_one(out, 15, p, n);
	if (strcmp(how, "gzip-members") == 0)
		return gzip_one(out, p, half) && gzip_one(out, p + half, n - half);
#if LIB_LZMA
	if (strcmp(how, "xz") == 0)
		return xz_one(out, p, half, 0) && xz_one(out, p + half, n - half, 0);
	if (strcmp(how, "xz-blocks") == 0)
		return xz_one(out, p, n, n / 6 + 1);
#endif
#if LIB_ZSTD
	if (strcmp(how, "zstd") == 0)
		return zstd_one(out, p, n, true);
	if (strcmp(how, "zstd-frames") == 0)
		return zstd_one(out, p, half, true) && (buf_put(out, "\x53\x2a\x4d\x18\x03\x00\x00\x00xyz", 11), true) &&
		       zstd_one(out, p + half, n - half, true);
	if (strcmp(how, "zstd-nosize") == 0)
		return zstd_one(out, p, half, false) && zstd_one(out, p + half, n - half, false);
#endif
#if LIB_LZ4
	if (strcmp(how, "lz4") == 0)
		return lz4_one(out, p, half, false) && lz4_one(out, p + half, n - half, false);
	if (strcmp(how, "lz4-linked") == 0)
		return lz4_one(out, p, n, true);
#endif
#if LIB_BZ2
	if (strcmp(how, "bzip2") == 0)
		return bzip2_one(out, p, half) && bzip2_one(out, p + half, n - half);
#endif
#if LIB_SNAPPY
	if (strcmp(how, "snappy") == 0)
		return snappy_all(out, p, n, 65536);
	if (strcmp(how, "snappy-small") == 0)
		return snappy_all(out, p, n, 1000);
#endif
#if LIB_LZO
	if (strcmp(how, "lzop") == 0)
		return lzop_one(out, p, n, 0x3000001, 262144);
	if (strcmp(how, "lzop-small") == 0)
		return lzop_one(out, p, n, 0x303, 1000);
	if (strcmp(how, "lzop-bare") == 0)
		return lzop_one(out, p, n, 0, 65536);
	if (strcmp(how, "lzop-members") == 0)
		return lzop_one(out, p, half, 0x1041 | 0x302, 262144) && lzop_one(out, p + half, n - half, 0x300, 100000);
#endif
	if (strcmp(how, "s2") == 0) {
		s2_all(out, p, n);
		return true;
	}
	return false;
}
