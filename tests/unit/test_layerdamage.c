/* Damage inside packed files: what can't be unpacked is an error to read, and named; what stands around it keeps its place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "dumpfmt.h"
#include "layer.h"
#include "mklayer.h"
#include "rd.h"
#include "unwrap.h"

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
