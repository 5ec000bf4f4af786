/* layers.c - seeds of packed files: each codec, each way its packers put frames, blocks and checksums, and what may stand between them; cut ones,
 * damaged ones, packed ones in packed ones, and lies. Four bytes of options stand before each: fuzz/fuzz_layers.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "libraries.h"
#include "mklayer.h"
#include "rd.h"
#include "seeds.h"
#if LIB_LZ4
#include <lz4.h>
#endif
#if LIB_LZMA
#include <lzma.h>
#endif

static struct buf plain; /* 300,000 bytes that pack to little, of which no 64 KiB are zeros alone */

static void seed(const char *dir, const char *name, const struct buf *packed)
{
	static unsigned i;
	struct buf b;

	buf_init(&b);
	buf_u8(&b, (uint8_t)(i % 3 | (i / 2 % 4) << 2 | (i / 3 % 4) << 4 | (i % 11 == 10 ? 1u << 6 : i % 7 == 6 ? 2u << 6 : 0)));
	buf_u8(&b, (uint8_t)(2 + i % 5));
	buf_u16(&b, (uint16_t)(i * 257));
	buf_put(&b, packed->p, packed->n);
	put(dir, "layers", name, &b);
	buf_free(&b);
	i++;
}

static void skippable(struct buf *b, const char *what)
{
	buf_put(b, "\x53\x2a\x4d\x18", 4);
	buf_u32(b, (uint32_t)strlen(what));
	buf_puts(b, what);
}

/* `how` of the first n bytes between what may stand around it. */
static void around(const char *dir, const char *name, const char *how, size_t n, const char *before, size_t zeros)
{
	struct buf b;

	buf_init(&b);
	if (before)
		skippable(&b, before);
	if (mklayer(&b, how, plain.p, n)) {
		buf_fill(&b, 0, zeros);
		seed(dir, name, &b);
	}
	buf_free(&b);
}

/* Damage: a byte at `at` hundredths is another, or the file ends there. */
static void hurt(const char *dir, const char *how, bool cut, unsigned at, size_t n)
{
	struct buf b;
	char name[64];

	buf_init(&b);
	if (mklayer(&b, how, plain.p, n)) {
		if (cut)
			b.n = b.n * at / 100;
		else
			b.p[b.n * at / 100] ^= 0x55;
		snprintf(name, sizeof(name), "%s-%s", how, cut ? "cut" : "hurt");
		seed(dir, name, &b);
	}
	buf_free(&b);
}

static void nested(const char *dir, const char *name, const char *one, const char *two, const char *three)
{
	struct buf a, b, c;

	buf_init(&a);
	buf_init(&b);
	buf_init(&c);
	if (mklayer(&a, one, plain.p, 150000) && mklayer(&b, two, a.p, a.n) && (!three || mklayer(&c, three, b.p, b.n)))
		seed(dir, name, three ? &c : &b);
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
}

/* A member with every field that RFC 1952 has, and one that is stored. */
static void gzip_seed(const char *dir)
{
	static const char head[] = "\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x03\0abcname\0comment";
	struct buf b;

	buf_init(&b);
	buf_put(&b, head, sizeof(head));
	buf_u16(&b, (uint16_t)crc32(0, b.p, (uInt)b.n));
	for (unsigned i = 0; i < 3; i++) {
		buf_u8(&b, i == 2);
		buf_u16(&b, 500);
		buf_u16(&b, (uint16_t)~500);
		buf_put(&b, plain.p + 500 * (size_t)i, 500);
	}
	buf_u32(&b, (uint32_t)crc32(0, plain.p, 1500));
	buf_u32(&b, 1500);
	if (mklayer(&b, "gzip", plain.p, 70000))
		seed(dir, "gzip-fields", &b);
	buf_free(&b);
}

/* A frame of blocks that are stored (0) or one byte many times (1), sizes as told; `content` is what it claims to hold. */
static void zstd_frame(struct buf *b, uint8_t descriptor, uint32_t content, const uint32_t *block, unsigned n)
{
	buf_put(b, "\x28\xb5\x2f\xfd", 4);
	buf_u8(b, descriptor);
	if (!(descriptor & 0x20))
		buf_u8(b, 0x38); /* a window of 128 KiB */
	if (descriptor & 0x80)
		buf_u32(b, content);
	for (unsigned i = 0; i < n; i++) {
		uint32_t size = block[i] >> 1, type = block[i] & 1, v = (i + 1 == n) | type << 1 | size << 3;

		buf_u8(b, (uint8_t)v);
		buf_u16(b, (uint16_t)(v >> 8));
		if (type)
			buf_u8(b, (uint8_t)('a' + i));
		else
			buf_put(b, plain.p, size);
	}
}

/* The format of zstd 0.7, which libzstd still knows: a window, then blocks of one byte many times. */
static void old_frame(struct buf *b, unsigned n)
{
	buf_put(b, "\x27\xb5\x2f\xfd\x00\x70", 6);
	for (unsigned i = 0; i < n; i++) {
		buf_put(b, "\x81\x00\x00", 3);
		buf_u8(b, (uint8_t)('a' + i));
	}
	buf_put(b, "\xc0\x00\x00", 3);
}

static void zstd_seeds(const char *dir)
{
	static const uint32_t blocks[] = {100000 << 1 | 1, 300 << 1, 90000 << 1 | 1, 70000 << 1 | 1, 200 << 1, 100000 << 1 | 1, 100 << 1};
	static const uint32_t small[] = {100 << 1, 3000 << 1 | 1};
	struct buf b;

	buf_init(&b);
	zstd_frame(&b, 0x80, 260500, blocks, 5);
	seed(dir, "zstd-blocks", &b);
	buf_clear(&b);
	zstd_frame(&b, 0, 0, blocks, 5);
	zstd_frame(&b, 0, 0, small, 2);
	seed(dir, "zstd-blocks-nosize", &b);
	buf_clear(&b);
	zstd_frame(&b, 0xa0, 3100, small, 2); /* whole, as `pzstd` and the seekable format have it */
	skippable(&b, "between");
	zstd_frame(&b, 0x80, 70000, blocks + 3, 1);
	skippable(&b, "a table");
	seed(dir, "zstd-seekable", &b);
	buf_clear(&b);
	zstd_frame(&b, 0x80, 100000, blocks, 7); /* holds more than it says */
	zstd_frame(&b, 0x80, 3100, small, 2);
	seed(dir, "zstd-more", &b);
	buf_clear(&b);
	zstd_frame(&b, 0x80, 5000, small, 2); /* less */
	zstd_frame(&b, 0x80, 260500, blocks, 5);
	seed(dir, "zstd-less", &b);
	buf_clear(&b);
	zstd_frame(&b, 0, 0, blocks, 3);
	old_frame(&b, 2);
	zstd_frame(&b, 0, 0, small, 2);
	seed(dir, "zstd-old-behind", &b);
	buf_free(&b);
}

static void lz4_seeds(const char *dir)
{
#if LIB_LZ4
	struct buf b;
	char packed[4000];
	int n;

	buf_init(&b);
	for (unsigned i = 0; i < 3; i++) { /* two blocks in the first frame of the old kind, then one */
		if (i != 1)
			buf_put(&b, "\x02\x21\x4c\x18", 4);
		n = LZ4_compress_default((const char *)plain.p + 3000 * (size_t)i, packed, i == 2 ? 90000 : 3000, sizeof(packed));
		buf_u32(&b, (uint32_t)n);
		buf_put(&b, packed, (size_t)n);
	}
	mklayer(&b, "lz4", plain.p, 90000);
	seed(dir, "lz4-legacy", &b);
	buf_free(&b);
#endif
}

#if LIB_LZMA
static void need(lzma_ret r)
{
	if (r != LZMA_OK) {
		fprintf(stderr, "liblzma: %d\n", (int)r);
		exit(1);
	}
}
#endif

/* An index whose blocks have other lengths than the blocks themselves (which don't say theirs). */
static void xz_lies(const char *dir)
{
#if LIB_LZMA
	static const lzma_vli claimed[2][2] = {{90000, 90000}, {150000, 30000}};

	for (unsigned lie = 0; lie < 2; lie++) {
		lzma_options_lzma opts;
		lzma_filter f[2] = {{LZMA_FILTER_LZMA2, &opts}, {LZMA_VLI_UNKNOWN, NULL}};
		lzma_stream_flags flags = {.version = 0, .check = LZMA_CHECK_CRC32};
		lzma_index *x = lzma_index_init(NULL);
		size_t pos = 0;
		struct buf b;

		buf_init(&b);
		buf_grow(&b, 8192);
		if (lzma_lzma_preset(&opts, 0))
			exit(1);
		need(lzma_stream_header_encode(&flags, b.p));
		pos = LZMA_STREAM_HEADER_SIZE;
		for (unsigned i = 0; i < 2; i++) {
			lzma_block block = {.version = 0, .check = LZMA_CHECK_CRC32, .filters = f};
			lzma_stream s = LZMA_STREAM_INIT;

			block.compressed_size = block.uncompressed_size = LZMA_VLI_UNKNOWN;
			need(lzma_block_header_size(&block));
			need(lzma_block_header_encode(&block, b.p + pos));
			pos += block.header_size;
			need(lzma_block_encoder(&s, &block));
			s.next_in = plain.p + 120000 * (size_t)i;
			s.avail_in = i ? 60000 : 120000;
			s.next_out = b.p + pos;
			s.avail_out = b.n - pos;
			while (lzma_code(&s, LZMA_FINISH) == LZMA_OK)
				;
			pos = b.n - s.avail_out;
			lzma_end(&s);
			need(lzma_index_append(x, NULL, lzma_block_unpadded_size(&block), claimed[lie][i]));
		}
		need(lzma_index_buffer_encode(x, b.p, &pos, b.n - 12));
		flags.backward_size = lzma_index_size(x);
		need(lzma_stream_footer_encode(&flags, b.p + pos));
		b.n = pos + LZMA_STREAM_HEADER_SIZE;
		lzma_index_end(x, NULL);
		seed(dir, lie ? "xz-index-less" : "xz-index-more", &b);
		buf_free(&b);
	}
#endif
}

void layer_seeds(const char *dir)
{
	static const char *const hows[] = {"gzip", "gzip-members", "zlib",  "xz",     "xz-blocks", "zstd", "zstd-frames", "zstd-nosize",
					   "lz4",  "lz4-linked",   "bzip2", "snappy", "s2",        "lzop", "lzop-bare",   "lzop-members"};

	buf_init(&plain);
	for (unsigned i = 0; plain.n < 300000; i++) {
		for (unsigned k = 0; k < 100 + i % 3 * 100; k++)
			buf_puts(&plain, "the same words again ");
		buf_printf(&plain, "record %u of %u;", i, i * i % 7);
		buf_fill(&plain, 0, i % 5 * 4000);
	}
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		bool shorter = strcmp(hows[i], "snappy") == 0 || strcmp(hows[i], "bzip2") == 0;

		around(dir, hows[i], hows[i], shorter ? 120000 : 250000, NULL, 0);
		hurt(dir, hows[i], true, 60, i % 2 ? 200000 : 100000);
		hurt(dir, hows[i], false, 70, i % 2 ? 100000 : 200000);
	}
	around(dir, "snappy-small", "snappy-small", 9000, NULL, 0);
	around(dir, "lzop-small", "lzop-small", 9000, NULL, 0);
	around(dir, "zstd-skip-first", "zstd-frames", 250000, "pzstd", 0);
	around(dir, "lz4-skip-first", "lz4", 150000, "words", 0);
	around(dir, "gzip-padded", "gzip", 150000, NULL, 512);
	around(dir, "xz-padded", "xz", 150000, NULL, 512);
	around(dir, "bzip2-padded", "bzip2", 70000, NULL, 100);
	around(dir, "lzop-padded", "lzop", 150000, NULL, 100);
	around(dir, "zstd-padded", "zstd", 150000, NULL, 100);
	nested(dir, "zstd-in-gzip", "zstd-frames", "gzip", NULL);
	nested(dir, "lz4-in-xz", "lz4-linked", "xz", NULL);
	nested(dir, "gzip-in-s2-in-zstd", "gzip", "s2", "zstd");
	nested(dir, "bzip2-in-lzop-in-lz4", "bzip2", "lzop", "lz4");
	gzip_seed(dir);
	zstd_seeds(dir);
	lz4_seeds(dir);
	xz_lies(dir);
	buf_free(&plain);
}
