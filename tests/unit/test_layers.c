/* Compressed inputs: every byte at any offset, with a cache too small to help; damage; bombs; pieces. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "crc32c.h"
#include "layer.h"
#include "mklayer.h"
#include "rd.h"
#include "segments.h"
#include "snapmem.h"
#include "snappyblock.h"

#define SIZE ((size_t)3 << 20)

static const char *const hows[] = {"gzip", "gzip-members", "zlib",  "xz",     "xz-blocks", "zstd", "zstd-frames", "zstd-nosize",
				   "lz4",  "lz4-linked",   "bzip2", "snappy", "s2",        "lzop", "lzop-bare",   "lzop-members"};
#define HOWS (sizeof(hows) / sizeof(hows[0]))

static uint8_t *sample(void)
{
	uint8_t *p = malloc(SIZE);

	mklayer_sample(p, SIZE, 7);
	return p;
}

static int open_layer(struct input **inner, struct input **outer, const struct buf *b, const struct layer_opts *o, struct layer_facts *f)
{
	const struct layer_codec *c = layer_probe(b->p, b->n);
	struct err e;

	cr_assert(c);
	cr_assert_eq(input_open_memory(outer, b->p, b->n, "packed", &e), 0);
	return layer_open(inner, c, *outer, o, f, &e);
}

static void compare(struct input *in, const uint8_t *p, size_t size, unsigned reads)
{
	uint8_t *buf = malloc(300000);
	uint64_t x = 1;

	for (unsigned i = 0; i < reads; i++) {
		size_t off, n;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		off = (uint32_t)(x >> 20) % size;
		n = (uint32_t)(x >> 7) % (i % 8 ? 5000 : 300000) + 1;
		if (n > size - off)
			n = size - off;
		cr_assert_eq(input_read(in, off, buf, n, NULL), (int64_t)n, "at %zu", off);
		cr_assert(memcmp(buf, p + off, n) == 0, "other bytes at %zu (%zu)", off, n);
	}
	cr_assert_eq(input_read(in, size, buf, 10, NULL), 0);
	free(buf);
}

Test(layers, any_offset_any_format, .timeout = 120)
{
	const struct layer_opts tiny = {.cache_bytes = 3 * LAYER_CHUNK}, *opts[] = {NULL, &tiny};
	uint8_t *p = sample();
	unsigned done = 0;

	for (size_t i = 0; i < HOWS; i++)
		for (size_t k = 0; k < 2; k++) {
			struct input *in, *outer;
			struct layer_facts f;
			struct buf b;

			buf_init(&b);
			if (mklayer(&b, hows[i], p, SIZE)) {
				cr_assert_eq(open_layer(&in, &outer, &b, opts[k], &f), 0, "%s", hows[i]);
				cr_assert_eq(f.size, SIZE, "%s: %llu", hows[i], (unsigned long long)f.size);
				cr_assert(!f.truncated && !f.limited, "%s: %s", hows[i], f.why);
				compare(in, p, SIZE, k ? 60 : 300);
				input_close(in);
				input_close(outer);
				done++;
			}
			buf_free(&b);
		}
	cr_assert_geq(done, 6);
	free(p);
}

Test(layers, far_is_told)
{
	const struct layer_opts tiny = {.cache_bytes = 3 * LAYER_CHUNK};
	uint8_t *p = sample();

	for (size_t i = 0; i < HOWS; i++) {
		struct input *in, *outer;
		struct layer_facts f;
		struct buf b;

		buf_init(&b);
		if (mklayer(&b, hows[i], p, SIZE)) {
			cr_assert_eq(open_layer(&in, &outer, &b, &tiny, &f), 0);
			cr_assert_eq(f.far, strcmp(hows[i], "zstd") == 0, "%s", hows[i]);
			input_close(in);
			input_close(outer);
		}
		buf_free(&b);
	}
	free(p);
}

struct counted {
	const struct buf *b;
	uint64_t taken, reads;
};

static int64_t counted_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct counted *c = ctx;
	size_t n = off < c->b->n ? c->b->n - (size_t)off : 0;

	(void)e;
	n = n < len ? n : len;
	memcpy(buf, c->b->p + off, n);
	c->taken += n;
	c->reads++;
	return (int64_t)n;
}

/* Inside a long frame or block there are places to start again: going back does not mean from the beginning. */
Test(layers, places_inside, .timeout = 300)
{
	static const struct input_ops ops = {counted_read, NULL};
	static const char *const how[] = {"zstd", "zstd-nosize", "xz"};
	const struct layer_opts tiny = {.cache_bytes = 3 * LAYER_CHUNK};
	size_t size = (size_t)48 << 20;
	uint8_t *p = malloc(size), got[5000];

	mklayer_sample(p, size, 11);
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct input *in, *outer;
		struct layer_facts f;
		struct counted c;
		struct buf b;

		buf_init(&b);
		if (!mklayer(&b, how[i], p, size)) {
			buf_free(&b);
			continue;
		}
		c = (struct counted){.b = &b};
		cr_assert_eq(input_new(&outer, &ops, &c, b.n, "packed", NULL), 0);
		cr_assert_eq(layer_open(&in, layer_probe(b.p, b.n), outer, &tiny, &f, NULL), 0, "%s", how[i]);
		cr_assert(!f.far && f.size == size, "%s", how[i]);
		cr_assert_eq(input_read(in, size - 10, got, 10, NULL), 10); /* the way there */
		compare(in, p, size, 60);
		c.taken = 0;
		for (size_t at = size - 5000; at > size / 16; at -= size / 16) {
			cr_assert_eq(input_read(in, at, got, sizeof(got), NULL), sizeof(got));
			cr_assert(memcmp(got, p + at, sizeof(got)) == 0, "%s at %zu", how[i], at);
		}
		/* 15 ways back: 7.5 times the file without a place; two or three of them in 48 MiB, more for xz */
		cr_assert_lt(c.taken, 4 * b.n, "%s: %llu of %zu", how[i], (unsigned long long)c.taken, b.n);
		input_close(in);
		input_close(outer);
		buf_free(&b);
	}
	free(p);
}

/* A zstd file of tiny blocks, which a layer below may have to unpack: their headers are not read one by one. */
Test(layers, tiny_blocks)
{
	static const struct input_ops ops = {counted_read, NULL};
	const unsigned n = 100000;
	struct input *in, *outer;
	struct layer_facts f;
	struct counted c;
	struct buf b;

	buf_init(&b);
	buf_put(&b, "\x28\xb5\x2f\xfd\x00\x00", 6);
	for (unsigned i = 0; i < n; i++)
		buf_put(&b, i + 1 < n ? "\x08\x00\x00z" : "\x09\x00\x00z", 4);
	c = (struct counted){.b = &b};
	cr_assert_eq(input_new(&outer, &ops, &c, b.n, "packed", NULL), 0);
	if (layer_probe(b.p, b.n)) {
		cr_assert_eq(layer_open(&in, layer_probe(b.p, b.n), outer, NULL, &f, NULL), 0);
		cr_assert_eq(f.size, n);
		cr_assert_lt(c.reads, n / 100, "%llu reads", (unsigned long long)c.reads);
		input_close(in);
	}
	input_close(outer);
	buf_free(&b);
}

/* What a decoder allocates and releases between a copy and its restoring; a copy whose memory is gone says so. */
Test(layers, memory_put_back)
{
	struct snapmem *m = snapmem_new();
	uint8_t *a = snapmem_alloc(m, 1000), *b = snapmem_alloc(m, 70), *x;
	struct snapmem_copy *c;

	memset(a, 1, 1000);
	memset(b, 2, 70);
	c = snapmem_save(m);
	cr_assert(c);
	cr_assert_eq(snapmem_bytes(m), 1070);
	snapmem_release(m, b);
	x = snapmem_alloc(m, 70); /* the same memory: it may be put back at any time */
	cr_assert_eq(x, b);
	memset(a, 9, 1000);
	memset(x, 9, 70);
	cr_assert(snapmem_alloc(m, 5000));
	cr_assert(snapmem_restore(m, c));
	cr_assert_eq(snapmem_bytes(m), 1070);
	for (size_t i = 0; i < 1000; i++)
		cr_assert_eq(a[i], 1);
	for (size_t i = 0; i < 70; i++)
		cr_assert_eq(b[i], 2);
	snapmem_copy_free(c);
	x = snapmem_alloc(m, (size_t)100 << 20);
	c = snapmem_save(m);
	cr_assert(x && c);
	snapmem_release(m, x); /* more than is kept */
	cr_assert(!snapmem_restore(m, c));
	snapmem_release(m, a);
	snapmem_copy_free(c);
	snapmem_release(m, b);
	cr_assert_eq(snapmem_bytes(m), 0);
	snapmem_close(m);
}

Test(layers, spilled)
{
	const struct layer_opts spill = {.spill = "/tmp"};
	uint8_t *p = sample();

	for (size_t i = 0; i < HOWS; i++) {
		struct input *in, *outer;
		struct layer_facts f;
		struct buf b;

		buf_init(&b);
		if (mklayer(&b, hows[i], p, SIZE)) {
			cr_assert_eq(open_layer(&in, &outer, &b, &spill, &f), 0, "%s", hows[i]);
			cr_assert(f.spilled && f.size == SIZE, "%s", hows[i]);
			compare(in, p, SIZE, 100);
			input_close(in);
			input_close(outer);
		}
		buf_free(&b);
	}
	free(p);
}

/* A file cut anywhere gives what stands before the cut, and says so. */
Test(layers, truncated, .timeout = 120)
{
	const struct layer_opts tiny = {.cache_bytes = 3 * LAYER_CHUNK};
	uint8_t *p = sample();

	for (size_t i = 0; i < HOWS; i++)
		for (unsigned part = 1; part < 10; part += 2) {
			struct input *in, *outer;
			struct layer_facts f;
			struct buf b;

			buf_init(&b);
			if (mklayer(&b, hows[i], p, SIZE)) {
				b.n = b.n * part / 10;
				if (open_layer(&in, &outer, &b, &tiny, &f) == 0) {
					cr_assert(f.truncated, "%s cut at %u0 %%", hows[i], part);
					cr_assert(f.size < SIZE);
					cr_assert(part < 5 || f.size > SIZE / 10, "%s cut at %u0 %%: %llu", hows[i], part,
						  (unsigned long long)f.size);
					compare(in, p, (size_t)f.size, 20);
					input_close(in);
				}
				input_close(outer);
			}
			buf_free(&b);
		}
	free(p);
}

/* A cut in what stands behind the data (checks, end marks) costs none of it. */
Test(layers, cut_behind_the_data, .timeout = 120)
{
	static const struct {
		const char *how;
		size_t behind;
	} ends[] = {{"gzip", 8}, {"zlib", 4}, {"lz4", 4}, {"lz4-linked", 4}, {"bzip2", 10}, {"lzop", 4}};
	uint8_t *p = sample();

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		for (size_t cut = 1; cut <= ends[i].behind; cut++) {
			struct input *in, *outer;
			struct layer_facts f;
			struct buf b;

			buf_init(&b);
			if (mklayer(&b, ends[i].how, p, SIZE)) {
				b.n -= cut;
				cr_assert_eq(open_layer(&in, &outer, &b, NULL, &f), 0, "%s", ends[i].how);
				cr_assert_eq(f.size, SIZE, "%s, %zu cut off: %llu", ends[i].how, cut, (unsigned long long)f.size);
				compare(in, p, SIZE, 20);
				input_close(in);
				input_close(outer);
			}
			buf_free(&b);
		}
	free(p);
}

/* What can't be unpacked is refused, in one line that says why. */
Test(layers, lzop_refusals)
{
	static const struct {
		size_t at; /* what is written over, before the checksum is made */
		uint8_t v[4];
		unsigned n;
		const char *says;
	} ways[] = {{9, {0x08, 0x00}, 2, "version"},        /* written by a version before all that are known */
		    {13, {0x20, 0x00}, 2, "version 2.000"}, /* needs one that is not known */
		    {15, {4}, 1, "method 4"},               /* no LZO1X */
		    {15, {128}, 1, "method 128"},           /* zlib */
		    {17, {0, 0, 0x08, 1}, 4, "filter"},
		    {0, {0}, 0, "checksum"}};

	if (!layer_probe((const uint8_t *)"\x89LZO\0\r\n\x1a\n", 9))
		cr_skip_test("this build has no lzo");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		/* version, library's, needed; method, level; flags; mode, time, time; name's length; checksum; no block */
		uint8_t h[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n', 0x10, 0x30, 0x20, 0x80, 0x09, 0x40, 1, 5,
			       0,    0,   0,   1,   0, 0,    0x81, 0xa4, 0,    0,    0,    0,    0,    0,    0,    0, 0,
			       0,    0,   0,   0,   0, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
		size_t end = 34;
		struct layer_facts f;
		struct input *in, *outer;
		struct err e = {0};
		uint32_t sum;
		int rc;

		if (strcmp(ways[i].says, "checksum") != 0)
			memcpy(h + ways[i].at, ways[i].v, ways[i].n);
		if (strcmp(ways[i].says, "filter") == 0)
			end += 4;
		if (h[9] < 9) /* older headers have neither of two fields */
			end = 34 - 2 - 1 - 4;
		sum = (uint32_t)adler32(1, h + 9, (uInt)(end - 9));
		for (unsigned k = 0; k < 4; k++)
			h[end + k] = (uint8_t)(sum >> (24 - 8 * k));
		if (strcmp(ways[i].says, "checksum") == 0)
			h[end] ^= 1;
		cr_assert_eq(input_open_memory(&outer, h, sizeof(h), "packed", NULL), 0);
		rc = layer_open(&in, layer_probe(h, sizeof(h)), outer, NULL, &f, &e);
		cr_assert(rc < 0, "way %zu is taken", i);
		cr_assert(strstr(e.msg, ways[i].says) && strstr(e.msg, "lzop: "), "way %zu: %s", i, e.msg);
		cr_assert_null(strchr(e.msg, '\n'));
		input_close(outer);
	}
}

/* A changed byte of a block is seen by its checksums; what stands before it is read, and its place is named. */
Test(layers, lzop_checks)
{
	static const struct {
		const char *how;
		size_t at; /* of the changed byte */
		const char *why;
	} ways[] = {{"lzop", 70, "block"}, {"lzop-members", 120, "block"}, {"lzop", 9 + 8 + 3, "header"}, {"lzop-members", 20, "header"}};
	uint8_t *p = sample();

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		for (unsigned far = 0; far < 2; far++) {
			struct input *in, *outer;
			struct layer_facts f;
			struct err e = {0};
			struct buf b;
			char got[16];
			int rc;

			buf_init(&b);
			if (mklayer(&b, ways[i].how, p, SIZE)) {
				size_t at = far && i < 2 ? b.n / 8 * 7 : ways[i].at;

				b.p[at] ^= 0x10;
				cr_assert_eq(input_open_memory(&outer, b.p, b.n, "packed", NULL), 0);
				rc = layer_open(&in, layer_probe(b.p, b.n), outer, NULL, &f, &e);
				if (rc == 0) { /* what is damaged shows when it is read */
					cr_assert(i < 2, "%s: a damaged header", ways[i].how);
					for (uint64_t o = 0; rc >= 0 && o < SIZE; o += 16) {
						rc = (int)input_read(in, o, got, 16, &e);
						cr_assert(rc < 0 || memcmp(got, p + o, (size_t)rc) == 0);
						cr_assert(rc < 0 || rc == 16 || f.truncated);
						if (rc >= 0 && rc < 16)
							break;
					}
					cr_assert(rc < 16, "%s: damage is not seen", ways[i].how);
					input_close(in);
				}
				cr_expect(strstr(rc < 0 ? e.msg : f.why, ways[i].why), "%s: %s", ways[i].how, rc < 0 ? e.msg : f.why);
				input_close(outer);
			}
			buf_free(&b);
		}
	free(p);
}

/* Changed bytes: no crash, no endless loop, never more than what is believed. */
Test(layers, flipped, .timeout = 120)
{
	const struct layer_opts o = {.cache_bytes = 3 * LAYER_CHUNK, .most_bytes = 4 * SIZE};
	uint8_t *p = sample(), room[4096];
	uint64_t x = 99;

	for (size_t i = 0; i < HOWS; i++)
		for (unsigned k = 0; k < 12; k++) {
			struct input *in, *outer;
			struct layer_facts f;
			struct buf b;

			buf_init(&b);
			if (mklayer(&b, hows[i], p, SIZE / 8)) {
				x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
				b.p[12 + (x >> 16) % (k < 6 ? 60 : b.n - 12)] ^= (uint8_t)(1u << (x >> 60 & 7));
				if (strcmp(hows[i], "zlib") == 0 && !layer_probe(b.p, b.n)) { /* it has no other magic */
					buf_free(&b);
					continue;
				}
				if (open_layer(&in, &outer, &b, &o, &f) == 0) {
					cr_assert_leq(f.size, 4 * SIZE + LAYER_CHUNK);
					for (uint64_t at = 0; at < f.size; at += 100001)
						input_read(in, at, room, sizeof(room), NULL);
					input_close(in);
				}
				input_close(outer);
			}
			buf_free(&b);
		}
	free(p);
}

Test(layers, a_bomb_is_cut)
{
	const struct layer_opts o = {.most_bytes = 1 << 20};
	uint8_t *zeros = calloc(1, 64u << 20);

	for (size_t i = 0; i < HOWS; i++) {
		struct input *in, *outer;
		struct layer_facts f;
		struct buf b;

		buf_init(&b);
		if (mklayer(&b, hows[i], zeros, 64u << 20)) {
			cr_assert_eq(open_layer(&in, &outer, &b, &o, &f), 0, "%s", hows[i]);
			cr_assert(f.limited && f.size <= (1 << 20) + LAYER_CHUNK, "%s: %llu", hows[i], (unsigned long long)f.size);
			input_close(in);
			input_close(outer);
		}
		buf_free(&b);
	}
	free(zeros);
}

Test(layers, nothing_in_it)
{
	static const uint8_t junk[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 this is no deflate data at all, or hardly";
	struct layer_facts f;
	struct input *in, *outer;
	struct buf b = {.p = (uint8_t *)(uintptr_t)junk, .n = sizeof(junk)};

	cr_assert_lt(open_layer(&in, &outer, &b, NULL, &f), 0);
	input_close(outer);
	cr_assert(!layer_probe((const uint8_t *)"BZh9 is no bzip2", 16));
	cr_assert(!layer_probe(junk, 3));
	/* two bytes of zlib's, and what does not unpack */
	cr_assert(!layer_probe((const uint8_t *)"\x78\x9c\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16));
}

static void put_skippable(struct buf *b, unsigned k, uint32_t claims, uint32_t n)
{
	uint8_t h[8];

	put_le32(h, 0x184d2a50 + k % 16);
	put_le32(h + 4, claims);
	buf_put(b, h, sizeof(h));
	buf_fill(b, 0xa5, n);
}

static const struct layer_codec *found(const struct buf *b)
{
	const struct layer_codec *codec;
	struct input *in;

	cr_assert_eq(input_open_memory(&in, b->p, b->n, "packed", NULL), 0);
	cr_assert_eq(layer_find(in, &codec, NULL, NULL), 0);
	input_close(in);
	return codec;
}

/* Skippable frames come first, as pzstd writes it: one, several, one longer than a probe sees. The first real frame tells the codec, and all of it is read. */
Test(layers, skippable_first, .timeout = 120)
{
	static const char *const how[] = {"zstd", "zstd-frames", "zstd-nosize", "lz4", "lz4-linked", "gzip", "snappy"};
	static const uint32_t sizes[][3] = {{4, 0, 0}, {1, LAYER_HEAD, 3}, {200000, 0, 70000}};
	uint8_t *p = sample();

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++)
		for (unsigned k = 0; k < 3; k++) {
			struct input *in, *outer;
			struct layer_facts f;
			struct buf b;

			buf_init(&b);
			for (unsigned j = 0; j < 3; j++)
				put_skippable(&b, i + 5 * j, sizes[k][j], sizes[k][j]);
			if (mklayer(&b, how[i], p, SIZE)) {
				const struct layer_codec *codec = found(&b);

				if (i >= 5) { /* of these formats it would be garbage */
					cr_assert_null(codec);
				} else {
					cr_assert_not_null(codec, "%s", how[i]);
					cr_assert(strncmp(how[i], codec->name, strlen(codec->name)) == 0);
					cr_assert_eq(input_open_memory(&outer, b.p, b.n, "packed", NULL), 0);
					cr_assert_eq(layer_open(&in, codec, outer, NULL, &f, NULL), 0);
					cr_assert(f.size == SIZE && !f.truncated);
					compare(in, p, SIZE, 100);
					input_close(in);
					input_close(outer);
				}
			}
			buf_free(&b);
		}
	free(p);
}

/* A length that lies, frames without end, nothing behind them: no codec, and no crash. */
Test(layers, skippable_lies)
{
	struct buf b;

	buf_init(&b);
	put_skippable(&b, 0, 4, 4);
	cr_assert_null(found(&b));
	put_skippable(&b, 1, UINT32_MAX, 100);
	cr_assert_null(found(&b));
	buf_clear(&b);
	for (unsigned i = 0; i < LAYER_SKIPS_MAX + 1; i++)
		put_skippable(&b, i, 0, 0);
	if (!mklayer(&b, "zstd", (const uint8_t *)"abc", 3))
		cr_skip("no libzstd");
	cr_assert_null(found(&b), "more than are believed");
	cr_assert_not_null(found(&(struct buf){.p = b.p + 8, .n = b.n - 8}));
	buf_free(&b);
}

/* zstd --long=31 of a few bytes: what is too much, and the way out. */
Test(layers, window_too_large)
{
	static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0x19, 0, 0, 'a', 'b', 'c'};
	struct layer_facts f;
	struct input *in, *outer;
	struct err e;

	cr_assert_eq(input_open_memory(&outer, frame, sizeof(frame), "packed", NULL), 0);
	if (!layer_probe(frame, sizeof(frame)))
		cr_skip("no libzstd");
	cr_assert_eq(layer_open(&in, layer_probe(frame, sizeof(frame)), outer, NULL, &f, &e), ERR_LIMIT);
	cr_assert(strstr(e.msg, "window of 2048 MiB") && strstr(e.msg, "128 MiB") && strstr(e.msg, "unpack it first"), "%s", e.msg);
	input_close(outer);
}

Test(layers, snappy_and_s2_by_name)
{
	cr_assert_str_eq(layer_probe((const uint8_t *)"\xff\x06\x00\x00sNaPpY", 10)->name, "snappy");
	cr_assert_str_eq(layer_probe((const uint8_t *)"\xff\x06\x00\x00S2sTwO", 10)->name, "s2");
}

/* The check value of RFC 3720, and a block with each kind of element: repeats are S2's. */
Test(layers, snappy_blocks)
{
	static const uint8_t block[] = {
		33,         3 << 2, 'a', 'b', 'c', 'd', (5 - 4) << 2 | 1, 4, /* copy 5 from 4 back */
		0 << 2 | 1, 0,                                               /* repeat 4 */
		5 << 2 | 1, 0,      12,                                      /* repeat 8 + 12 */
	};
	uint8_t out[64];

	cr_assert_eq(crc32c("123456789", 9), 0xe3069283);
	cr_assert_eq(snappyblock_unpack(block, sizeof(block), out, sizeof(out)), 33);
	for (int i = 0; i < 33; i++)
		cr_assert_eq(out[i], "abcd"[i % 4]);
	cr_assert_eq(snappyblock_unpack(block, sizeof(block), out, 32), -1);
	cr_assert_eq(snappyblock_unpack(block, sizeof(block) - 1, out, 64), -1);
	cr_assert_eq(snappyblock_unpack((const uint8_t *)"\x04\x01\x00", 3, out, 64), -1); /* a repeat of nothing */
	cr_assert_eq(snappyblock_unpack((const uint8_t *)"\x08\x0c"
							 "abcd"
							 "\x01\x09",
					8, out, 64),
		     -1); /* before the beginning */
}

static void put_file(const char *dir, const char *name, const void *p, size_t n)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	cr_assert(f);
	fwrite(p, 1, n, f);
	fclose(f);
}

Test(layers, pieces_of_a_file)
{
	char dir[] = "/tmp/etlift-seg-XXXXXX", path[200], text[40];
	struct segments_facts f;
	struct input *first, *all;
	struct err e;

	cr_assert(mkdtemp(dir));
	put_file(dir, "m.001", "abcdefghij", 10);
	put_file(dir, "m.002", "klmnopqrst", 10);
	put_file(dir, "m.003", "uvw", 3);
	put_file(dir, "m.005", "lost", 4);
	put_file(dir, "alone.001", "abc", 3);
	snprintf(path, sizeof(path), "%s/m.001", dir);
	cr_assert_eq(input_open(&first, path, &e), 0);
	cr_assert_eq(segments_open(&all, first, path, &f, &e), 0);
	cr_assert(f.n == 3 && f.gap && strcmp(f.missing, "m.004") == 0, "%u %d %s", f.n, f.gap, f.missing);
	cr_assert_eq(input_size(all), 23);
	cr_assert_eq(input_read(all, 0, text, 40, &e), 23);
	cr_assert(memcmp(text, "abcdefghijklmnopqrstuvw", 23) == 0);
	cr_assert_eq(input_read(all, 8, text, 6, &e), 6);
	cr_assert(memcmp(text, "ijklmn", 6) == 0);
	cr_assert_eq(input_read(all, 21, text, 6, &e), 2);
	input_close(all);
	snprintf(path, sizeof(path), "%s/alone.001", dir);
	cr_assert_eq(input_open(&first, path, &e), 0);
	cr_assert_eq(segments_open(&all, first, path, &f, &e), ERR_NOTMINE);
	cr_assert_eq(segments_open(&all, first, "/tmp/m.002", &f, &e), ERR_NOTMINE);
	cr_assert_eq(segments_open(&all, first, "/tmp/m.raw", &f, &e), ERR_NOTMINE);
	input_close(first);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	cr_assert_eq(system(path), 0);
}
