/* Damage inside packed files: what can't be unpacked is an error to read, and named; what stands around it keeps its place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "dumpfmt.h"
#include "layer.h"
#include "libraries.h"
#include "mklayer.h"
#include "rd.h"
#include "unwrap.h"
#include "xxh32.h"
#if LIB_LZ4
#include <lz4frame.h>
#endif

#define SIZE ((size_t)3 << 20)

struct opened {
	struct input *outer, *in;
	struct layer_facts f;
};

/* Sixteen letters at random, which are no text: to all codecs but those of bytes alone they are worth packing, and damage of what is packed is seen also where there is no checksum. */
static uint8_t *sample(void)
{
	uint8_t *p = malloc(SIZE);

	for (uint64_t i = 0, x = 1; i < SIZE; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = (uint8_t)(0xa0 + (x >> 60));
	}
	return p;
}

static void open_it(struct opened *o, const struct buf *b, const struct layer_opts *opts)
{
	struct err e = {0};

	cr_assert_eq(input_open_memory(&o->outer, b->p, b->n, "packed", NULL), 0);
	cr_assert(layer_probe(b->p, b->n));
	cr_assert_eq(layer_open(&o->in, layer_probe(b->p, b->n), o->outer, opts, &o->f, &e), 0, "%s", e.msg);
}

static void close_it(struct opened *o)
{
	input_close(o->in);
	input_close(o->outer);
}

/* Bytes in [from, to) that can't be read; what can be must be p's, but for *wrong. */
static uint64_t missing(struct input *in, const uint8_t *p, uint64_t from, uint64_t to, uint64_t *wrong)
{
	uint64_t n = 0, bad = 0;
	uint8_t got[512];

	for (uint64_t at = from; at < to;) {
		int64_t k = input_read(in, at, got, to - at < 512 ? to - at : 512, NULL);

		cr_assert_leq(k, 512);
		for (int64_t i = 0; i < k; i++)
			bad += got[i] != p[at + (uint64_t)i];
		n += k <= 0;
		at += k <= 0 ? 1 : (uint64_t)k;
	}
	if (wrong)
		*wrong = bad;
	else
		cr_assert_eq(bad, 0, "%llu bytes are others", (unsigned long long)bad);
	return n;
}

/* Nine bytes near the beginning, in the middle, near the end. */
static void damage(struct buf *b, unsigned part)
{
	memset(b->p + (part == 0 ? 300 : part == 1 ? b->n / 2 : b->n - 3000), 0x5a, 9);
}

/* One block of several is damaged: with and without a temporary file, known and named, and nothing else is lost. */
Test(hurtlayer, a_block_is_a_hole, .timeout = 200)
{
	static const char *const hows[] = {"xz-blocks", "zstd-frames", "snappy", "s2", "lzop", "lzop-members"};
	static const struct layer_opts ways[] = {{0}, {.spill = "/tmp"}, {.cache_bytes = 3 * LAYER_CHUNK}, {.size_later = true}};
	uint8_t *p = sample();
	unsigned done = 0;

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		for (unsigned part = 0; part < 3; part++)
			for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
				struct opened o;
				uint64_t lost, wrong;
				struct buf b;

				buf_init(&b);
				if (mklayer(&b, hows[i], p, SIZE)) {
					damage(&b, part);
					open_it(&o, &b, &ways[k]);
					cr_assert_eq(o.f.size, SIZE, "%s %u %zu: %llu", hows[i], part, k, (unsigned long long)o.f.size);
					lost = missing(o.in, p, 0, SIZE, &wrong);
					/* these two see it at a block's end at the latest, by a checksum */
					cr_assert(i < 2 ? wrong < SIZE / 8 : wrong == 0, "%s: %llu wrong", hows[i],
						  (unsigned long long)wrong);
					cr_assert((lost || wrong) && lost <= SIZE / 2, "%s %u %zu: %llu", hows[i], part, k,
						  (unsigned long long)lost);
					layer_look(o.in, &o.f);
					cr_assert_eq(o.f.lost, lost, "%s %u %zu: %llu of %llu", hows[i], part, k,
						     (unsigned long long)o.f.lost, (unsigned long long)lost);
					cr_assert(!o.f.truncated && o.f.flaws >= 1 && o.f.flaw_why[0], "%s", hows[i]);
					cr_assert(!o.f.lost || input_read(o.in, o.f.flaw, &lost, 1, NULL) < 0);
					close_it(&o);
					done++;
				}
				buf_free(&b);
			}
	cr_assert_geq(done, 24);
	free(p);
}

/* The same in a dump: a note, once all was read, and not before; later ones only for what is new. */
Test(hurtlayer, is_told)
{
	static const char *const hows[] = {"xz-blocks", "zstd-frames", "s2", "lzop"};
	uint8_t *p = sample();

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		for (unsigned spill = 0; spill < 2; spill++) {
			struct dump_opts o = {.spill = spill ? "/tmp" : NULL};
			struct notes notes;
			struct input *file;
			struct dump *d;
			struct buf b;
			uint8_t got[512];

			buf_init(&b);
			notes_init(&notes);
			if (mklayer(&b, hows[i], p, SIZE)) {
				damage(&b, 1);
				cr_assert_eq(input_open_memory(&file, b.p, b.n, "m", NULL), 0);
				cr_assert_eq(dump_open_input(&d, file, &o, &notes, NULL), 0);
				cr_assert_eq(notes.n, 0);
				for (uint64_t at = 0; at < SIZE; at += sizeof(got))
					(void)phys_read(d->phys, at, got, sizeof(got));
				for (unsigned k = 0; k < 2; k++) {
					dump_late_notes(d);
					cr_assert_eq(notes.n, 1, "%s: %zu", hows[i], notes.n);
				}
				cr_assert(notes.v[0].what == NOTE_CONTEXT_BAD && strstr(notes.v[0].detail, "can't be unpacked"), "%s",
					  notes.v[0].detail);
				dump_close(d);
			}
			notes_free(&notes);
			buf_free(&b);
		}
	free(p);
}

static const char *const all[] = {"gzip", "zlib",  "xz",     "xz-blocks", "zstd", "zstd-frames", "zstd-nosize",
				  "lz4",  "bzip2", "snappy", "s2",        "lzop", "lzop-bare",   "lzop-members"};

/* Zeros behind the data are padding, however many; anything else is named, with how much it is, and costs nothing that stands before. */
Test(hurtlayer, what_follows, .timeout = 100)
{
	uint8_t *p = sample();
	size_t size = SIZE / 8;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (unsigned k = 0; k < 6; k++) {
			static const size_t zeros[] = {1, 3, 4096, 70001};
			struct opened o;
			struct buf b;

			buf_init(&b);
			if (mklayer(&b, all[i], p, size)) {
				if (k < 4)
					buf_fill(&b, 0, zeros[k]);
				else
					buf_fill(&b, 'x', k == 4 ? 1 : 100000);
				open_it(&o, &b, NULL);
				cr_assert_eq(o.f.size, size, "%s %u: %llu", all[i], k, (unsigned long long)o.f.size);
				cr_assert_eq(missing(o.in, p, 0, size, NULL), 0);
				cr_assert_eq(o.f.truncated, k >= 4, "%s %u: %s", all[i], k, o.f.why);
				cr_assert(!o.f.flaws && !strstr(o.f.why, "\n"));
				close_it(&o);
			}
			buf_free(&b);
		}
	free(p);
}

/* Zeros between two members are passed; where the second one's header is damaged its place is lost, and that is named. */
Test(hurtlayer, the_next_member, .timeout = 100)
{
	static const char *const hows[] = {"gzip", "bzip2", "zstd", "zstd-nosize", "lz4", "lzop"};
	uint8_t *p = sample();
	size_t size = SIZE / 8;

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		for (unsigned hurt = 0; hurt < 2; hurt++) {
			struct opened o;
			struct buf b;
			size_t at;

			buf_init(&b);
			if (mklayer(&b, hows[i], p, size)) {
				buf_fill(&b, 0, 512);
				at = b.n;
				cr_assert(mklayer(&b, hows[i], p + size, size));
				b.p[at] ^= (uint8_t)hurt;
				open_it(&o, &b, NULL);
				cr_assert_eq(o.f.size, hurt ? size : 2 * size, "%s: %llu", hows[i], (unsigned long long)o.f.size);
				cr_assert_eq(missing(o.in, p, 0, o.f.size, NULL), 0);
				cr_assert_eq(o.f.truncated, hurt == 1);
				cr_assert(!hurt || strstr(o.f.why, "left unread"), "%s", o.f.why);
				close_it(&o);
			}
			buf_free(&b);
		}
	free(p);
}

/* All came out, and the next member stands where it should: a wrong checksum is named, and costs nothing. */
Test(hurtlayer, a_wrong_checksum)
{
	static const char *const hows[] = {"gzip", "zstd", "zstd-nosize"};
	uint8_t *p = sample();
	size_t size = SIZE / 8;

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		struct opened o;
		struct buf b;

		buf_init(&b);
		if (mklayer(&b, hows[i], p, size)) {
			b.p[b.n - (i ? 1 : 5)] ^= 1; /* gzip: a length comes last */
			cr_assert(mklayer(&b, hows[i], p + size, size));
			for (unsigned spill = 0; spill < 2; spill++) {
				struct layer_opts opts = {.spill = spill ? "/tmp" : NULL};

				open_it(&o, &b, &opts);
				cr_assert(o.f.size == 2 * size && !o.f.truncated, "%s: %llu", hows[i], (unsigned long long)o.f.size);
				cr_assert_eq(missing(o.in, p, 0, 2 * size, NULL), 0);
				layer_look(o.in, &o.f);
				cr_assert(o.f.flaws == 1 && o.f.lost == 0 && strstr(o.f.flaw_why, "check"), "%s: %s", hows[i],
					  o.f.flaw_why);
				close_it(&o);
			}
		}
		buf_free(&b);
	}
	free(p);
}

static void bgzf_block(struct buf *b, const uint8_t *p, size_t n)
{
	static const uint8_t head[18] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0};
	size_t at = b->n;
	z_stream z = {0};

	buf_put(b, head, sizeof(head));
	cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = buf_grow(b, 70000);
	z.avail_out = 70000;
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	b->n -= z.avail_out;
	deflateEnd(&z);
	buf_u32(b, (uint32_t)crc32(0, p, (uInt)n));
	buf_u32(b, (uint32_t)n);
	put_le16(b->p + at + 16, (uint16_t)(b->n - at - 1));
}

/* A block of BGZF tells its packed length and how much it holds: when it is damaged nothing else is lost. */
Test(hurtlayer, bgzf)
{
	const struct layer_opts ways[] = {{0}, {.spill = "/tmp"}, {.cache_bytes = 3 * LAYER_CHUNK}};
	uint8_t *p = sample();
	const size_t size = 65280 * 8;

	for (size_t k = 0; k < 3; k++) {
		struct opened o;
		size_t hurt = 0;
		uint64_t lost, wrong;
		struct buf b;

		buf_init(&b);
		for (size_t at = 0; at < size; at += 65280) {
			if (at == 3 * (size_t)65280)
				hurt = b.n;
			bgzf_block(&b, p + at, 65280);
		}
		memset(b.p + hurt + 2000, 0xff, 5000);
		open_it(&o, &b, &ways[k]);
		cr_assert(o.f.size == size && !o.f.truncated, "%llu", (unsigned long long)o.f.size);
		cr_assert_eq(missing(o.in, p, 0, 3 * 65280, NULL), 0);
		cr_assert_eq(missing(o.in, p, 4 * 65280, size, NULL), 0);
		lost = missing(o.in, p, (uint64_t)3 * 65280, (uint64_t)4 * 65280, &wrong);
		layer_look(o.in, &o.f);
		cr_assert(o.f.flaws == 1 && o.f.lost == lost && lost > 30000, "%llu of %llu", (unsigned long long)o.f.lost,
			  (unsigned long long)lost);
		close_it(&o);
		buf_free(&b);
	}
	free(p);
}

#if LIB_LZ4
/* The header of block `k` of a frame as mklayer writes it. */
static size_t lz4_block(const struct buf *b, unsigned k)
{
	size_t at = 7;

	while (k--)
		at += 4 + (le32(b->p + at) & 0x7fffffff);
	return at;
}

/* n bytes of a block that are nothing but a literal: it unpacks to a few bytes less than n. */
static void put_literal(uint8_t *p, size_t n)
{
	size_t lengths = (n - 17) / 256 + 1, left = n - 1 - lengths - 15;

	memset(p, 'L', n);
	p[0] = 0xf0;
	for (size_t i = 0; i < lengths; i++, left -= left < 255 ? left : 255)
		p[1 + i] = (uint8_t)(left < 255 ? left : 255);
}

/* A block that unpacks without a word, but to fewer bytes than it held, is a hole, and nothing moves; one that unpacks to other bytes shows in the frame's
 * checksum. */
Test(hurtlayer, lz4_blocks)
{
	static const struct layer_opts ways[] = {{0}, {.spill = "/tmp"}, {.cache_bytes = LAYER_CHUNK}};
	uint8_t *p = sample();

	for (uint64_t i = 0, x = 1; i < SIZE; i++) { /* blocks are stored, the last one too */
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = (uint8_t)(x >> 56);
	}
	for (unsigned k = 0; k < 3; k++)
		for (unsigned other = 0; other < 2; other++) {
			uint64_t lost, wrong;
			struct opened o;
			struct buf b;
			size_t at;

			buf_init(&b);
			cr_assert(mklayer(&b, "lz4", p, SIZE));
			at = lz4_block(&b, 5);
			if (other) {
				cr_assert(le32(b.p + at) >> 31, "stored");
				b.p[at + 1000] ^= 1;
			} else { /* a stored block of as many bytes would do: make it a packed one */
				b.p[at + 3] &= 0x7f;
				put_literal(b.p + at + 4, le32(b.p + at));
			}
			open_it(&o, &b, &ways[k]);
			cr_assert(o.f.size == SIZE && !o.f.truncated, "%llu %s", (unsigned long long)o.f.size, o.f.why);
			lost = missing(o.in, p, 0, SIZE, &wrong);
			layer_look(o.in, &o.f);
			cr_assert(o.f.flaws == 1 && o.f.lost == lost, "%llu flaws: %s", (unsigned long long)o.f.flaws, o.f.flaw_why);
			cr_assert(other ? lost == 0 && wrong == 1 : lost == 65536 && wrong == 0 && o.f.flaw == (uint64_t)5 * 65536,
				  "%llu lost, %llu wrong", (unsigned long long)lost, (unsigned long long)wrong);
			close_it(&o);
			buf_free(&b);
		}
	free(p);
}

/* Blocks that their writer flushed are short and sound: one in a frame, or all of them. */
Test(hurtlayer, lz4_flushed)
{
	uint8_t *p = sample();

	for (unsigned often = 0; often < 2; often++) {
		LZ4F_preferences_t f = {.frameInfo = {.blockSizeID = LZ4F_max64KB,
						      .blockMode = LZ4F_blockIndependent,
						      .contentChecksumFlag = LZ4F_contentChecksumEnabled}};
		LZ4F_cctx *c;
		struct opened o;
		struct buf b;
		size_t n = 50000;

		buf_init(&b);
		cr_assert(!LZ4F_isError(LZ4F_createCompressionContext(&c, LZ4F_VERSION)));
		b.n = 0;
		buf_grow(&b, 2 * SIZE);
		b.n = LZ4F_compressBegin(c, b.p, 100, &f);
		for (size_t at = 0; at < SIZE; at += n) {
			size_t k = SIZE - at < n ? SIZE - at : n;

			b.n += LZ4F_compressUpdate(c, b.p + b.n, 2 * SIZE - b.n, p + at, k, NULL);
			if (often || at == 20 * n)
				b.n += LZ4F_flush(c, b.p + b.n, 2 * SIZE - b.n, NULL);
		}
		b.n += LZ4F_compressEnd(c, b.p + b.n, 2 * SIZE - b.n, NULL);
		LZ4F_freeCompressionContext(c);
		open_it(&o, &b, NULL);
		cr_assert(o.f.size == SIZE && !o.f.truncated && !o.f.flaws, "%llu: %s", (unsigned long long)o.f.size, o.f.flaw_why);
		cr_assert_eq(missing(o.in, p, 0, SIZE, NULL), 0);
		close_it(&o);
		buf_free(&b);
	}
	free(p);
}
#endif

/* xxhash_spec.md names no values; these are xxhsum's (`xxhsum -H0`) of nothing, and of a text in three pieces. */
Test(hurtlayer, xxh32)
{
	static const char text[] = "Nobody inspects the spammish repetition";
	struct xxh32 x;

	cr_assert_eq(xxh32("", 0), 0x02cc5d05);
	cr_assert_eq(xxh32(text, strlen(text)), 0xe2293b2f);
	xxh32_init(&x);
	xxh32_add(&x, text, 5);
	xxh32_add(&x, text + 5, 30);
	xxh32_add(&x, text + 35, strlen(text) - 35);
	cr_assert_eq(xxh32_end(&x), 0xe2293b2f);
}
