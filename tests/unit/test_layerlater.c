/* Packed inputs whose size is not asked for before it is known: in order they are unpacked once, and all that is told comes out as if it had been
 * asked for at the beginning. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"
#include "layer.h"
#include "mklayer.h"
#include "physscan.h"

#define SIZE ((size_t)3 << 20)

static const char *const hows[] = {"gzip", "gzip-members", "zlib",  "xz",     "xz-blocks", "zstd", "zstd-frames", "zstd-nosize",
				   "lz4",  "lz4-linked",   "bzip2", "snappy", "s2",        "lzop", "lzop-bare",   "lzop-members"};
#define HOWS (sizeof(hows) / sizeof(hows[0]))

struct pack {
	struct buf b;
	struct input *outer, *in;
	struct layer_facts f;
};

static bool make(struct pack *x, const char *how, const uint8_t *p, size_t size)
{
	memset(x, 0, sizeof(*x));
	buf_init(&x->b);
	return mklayer(&x->b, how, p, size);
}

static int reopen(struct pack *x, const struct layer_opts *o, struct err *e)
{
	input_close(x->in);
	input_close(x->outer);
	x->in = NULL;
	cr_assert_eq(input_open_memory(&x->outer, x->b.p, x->b.n, "packed", NULL), 0);
	return layer_open(&x->in, layer_probe(x->b.p, x->b.n < LAYER_HEAD ? x->b.n : LAYER_HEAD), x->outer, o, &x->f, e);
}

static void release(struct pack *x)
{
	input_close(x->in);
	input_close(x->outer);
	buf_free(&x->b);
}

/* Reads on to the end in pieces of n bytes, which are those at p. How much came. */
static uint64_t in_order(struct input *in, const uint8_t *p, size_t n)
{
	uint8_t *got = malloc(n);
	uint64_t at = 0;

	for (;;) {
		int64_t k = input_read(in, at, got, n, NULL);

		if (k <= 0)
			break;
		cr_assert(memcmp(got, p + at, (size_t)k) == 0, "other bytes at %llu", (unsigned long long)at);
		at += (uint64_t)k;
	}
	free(got);
	return at;
}

static void anywhere(struct input *in, const uint8_t *p, unsigned reads)
{
	uint8_t got[5000];
	uint64_t x = 3;

	for (unsigned i = 0; i < reads; i++) {
		size_t off;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		off = (uint32_t)(x >> 20) % (SIZE - sizeof(got));
		cr_assert_eq(input_read(in, off, got, sizeof(got), NULL), (int64_t)sizeof(got));
		cr_assert(memcmp(got, p + off, sizeof(got)) == 0, "other bytes at %zu", off);
	}
}

Test(layerlater, the_same_in_any_order, .timeout = 200)
{
	static const size_t pieces[] = {4096, LAYER_CHUNK, 5 * LAYER_CHUNK, 100001};
	uint8_t *p = malloc(SIZE);
	unsigned later = 0;

	mklayer_sample(p, SIZE, 7);
	for (size_t i = 0; i < HOWS; i++)
		for (unsigned k = 0; k < 8; k++) {
			struct layer_opts o = {.size_later = true, .cache_bytes = k < 4 ? 0 : 3 * LAYER_CHUNK};
			struct layer_facts f;
			struct pack x;

			if (make(&x, hows[i], p, SIZE)) {
				cr_assert_eq(reopen(&x, &o, NULL), 0, "%s", hows[i]);
				later += x.f.later;
				cr_assert_eq(input_size_known(x.in), !x.f.later);
				if (k % 2)
					anywhere(x.in, p, 20);
				cr_assert_eq(in_order(x.in, p, pieces[k % 4]), SIZE, "%s", hows[i]);
				cr_assert(input_size_known(x.in) && input_size(x.in) == SIZE);
				layer_look(x.in, &f);
				cr_assert(!f.later && f.size == SIZE && !f.truncated && !f.limited, "%s: %s", hows[i], f.why);
				anywhere(x.in, p, 20);
				/* asked in the middle of it */
				cr_assert_eq(reopen(&x, &o, NULL), 0);
				if (k % 2)
					anywhere(x.in, p, k);
				cr_assert_eq(input_size(x.in), SIZE, "%s", hows[i]);
				anywhere(x.in, p, 20);
				cr_assert_eq(input_read(x.in, SIZE, &f, 1, NULL), 0);
				/* and beyond it */
				cr_assert_eq(reopen(&x, &o, NULL), 0);
				cr_assert_eq(input_read(x.in, UINT64_MAX / 2, &f, 1, NULL), 0);
				cr_assert(input_size_known(x.in) && input_size(x.in) == SIZE);
			}
			release(&x);
		}
	cr_assert_geq(later, 3 * 8);
	free(p);
}

/* Cut short, damaged, and more than is believed: where it ends and what is told are those of a layer that looked before; what is damaged without a
 * checksum makes other bytes, and always the same. */
static bool ends_alike(const char *how, const uint8_t *p, unsigned k)
{
	struct layer_opts o = {.cache_bytes = 3 * LAYER_CHUNK, .most_bytes = k == 8 ? SIZE / 2 : 0};
	struct layer_facts before, f;
	struct err e = {0};
	struct pack x;
	bool same = false;

	if (make(&x, how, p, SIZE)) {
		int rc;

		if (k < 4)
			x.b.n = x.b.n / 9 * (2 * k + 1);
		else if (k < 8)
			x.b.p[x.b.n / 9 * (2 * k - 7)] ^= 0x55;
		rc = reopen(&x, &o, &e);
		before = x.f;
		o.size_later = true;
		cr_assert_eq(reopen(&x, &o, &e), rc, "%s: %s", how, e.msg);
		if (rc == 0 && x.f.later) {
			uint8_t *q = malloc(before.size);

			o.size_later = false;
			cr_assert_eq(reopen(&x, &o, &e), 0);
			cr_assert_eq(input_read(x.in, 0, q, before.size, NULL), (int64_t)before.size);
			o.size_later = true;
			cr_assert_eq(reopen(&x, &o, &e), 0);
			cr_assert_eq(in_order(x.in, q, 7000), before.size, "%s %u", how, k);
			layer_look(x.in, &f);
			cr_assert(f.size == before.size && f.truncated == before.truncated && f.limited == before.limited);
			cr_assert_str_eq(f.why, before.why);
			free(q);
			same = true;
		}
	}
	release(&x);
	return same;
}

Test(layerlater, ends_early, .timeout = 200)
{
	uint8_t *p = malloc(SIZE);
	unsigned n = 0;

	mklayer_sample(p, SIZE, 9);
	for (size_t i = 0; i < HOWS; i++)
		for (unsigned k = 0; k < 9; k++)
			n += ends_alike(hows[i], p, k);
	cr_assert_geq(n, 9);
	free(p);
}

struct seen {
	const uint8_t *p;
	_Atomic uint8_t *times; /* for each page */
	_Atomic bool wrong;
	uint64_t last_done, last_total;
};

static int see(void *ctx, unsigned thread, uint64_t pa, const uint8_t *q, size_t n, size_t more)
{
	struct seen *s = ctx;

	(void)thread;
	if (pa + n + more > SIZE || memcmp(s->p + pa, q, n + more) != 0)
		s->wrong = true;
	for (size_t i = 0; i < n && pa + n <= SIZE; i += 4096)
		atomic_fetch_add(&s->times[(pa + i) / 4096], 1);
	return 0;
}

static bool progress(void *ctx, uint64_t done, uint64_t total)
{
	struct seen *s = ctx;

	s->wrong = s->wrong || done > total;
	s->last_done = done;
	s->last_total = total;
	return true;
}

/* All of memory by several threads while nobody knows where it ends. */
Test(layerlater, scanned, .timeout = 200)
{
	uint8_t *p = malloc(SIZE);
	unsigned open = 0;

	mklayer_sample(p, SIZE, 13);
	for (size_t i = 0; i < HOWS; i++)
		for (unsigned threads = 1; threads <= 4; threads++) {
			struct physscan_opts o = {
				.threads = threads, .chunk = 0x10000, .overlap = threads % 2 ? 0 : 1000, .progress = progress};
			struct seen s = {.p = p, .times = calloc(SIZE / 4096, 1)};
			struct input *file;
			uint64_t pa, guess;
			struct dump *d;
			struct pack x;

			o.progress_ctx = &s;
			if (make(&x, hows[i], p, SIZE)) {
				cr_assert_eq(input_open_memory(&file, x.b.p, x.b.n, "m", NULL), 0);
				cr_assert_eq(dump_open_input(&d, file, NULL, NULL, NULL), 0);
				open += phys_open_end(d->phys, &pa, &guess);
				cr_assert_eq(physscan_run(d->phys, &o, see, &s, NULL, NULL), 0);
				cr_assert(!s.wrong, "%s", hows[i]);
				for (size_t k = 0; k < SIZE / 4096; k++)
					cr_assert_eq(s.times[k], 1, "%s: page %zu: %u", hows[i], k, s.times[k]);
				cr_assert(!phys_open_end(d->phys, &pa, &guess) && phys_bytes(d->phys) == SIZE && phys_end(d->phys) == SIZE);
				cr_assert(s.last_done <= SIZE && s.last_total >= s.last_done);
				dump_close(d);
			}
			free((void *)s.times);
			release(&x);
		}
	cr_assert_geq(open, 4);
	free(p);
}

/* What is read before the end is known is memory like any other; the loss at the end is told once it is met. */
Test(layerlater, told_late, .timeout = 100)
{
	uint8_t *p = malloc(SIZE), got[100];
	struct notes notes;
	struct input *file;
	uint64_t off;
	struct dump *d;
	struct pack x;

	mklayer_sample(p, SIZE, 13);
	cr_assert(make(&x, "gzip", p, SIZE));
	cr_assert_eq(input_open_memory(&file, x.b.p, x.b.n / 2, "m", NULL), 0);
	notes_init(&notes);
	cr_assert_eq(dump_open_input(&d, file, NULL, &notes, NULL), 0);
	cr_assert_str_eq(d->compression, "gzip");
	cr_assert_eq(phys_read(d->phys, 1000, got, sizeof(got)), 0);
	cr_assert(memcmp(got, p + 1000, sizeof(got)) == 0);
	cr_assert_eq(phys_present(d->phys, 5000, 200), 200);
	cr_assert(phys_file_offset(d->phys, 5000, &off) && off == 5000);
	dump_late_notes(d);
	cr_assert_eq(notes.n, 0);
	cr_assert_eq(phys_read(d->phys, SIZE - 100, got, sizeof(got)), ERR_FAULT);
	cr_assert_eq(phys_present(d->phys, SIZE - 100, 100), 0);
	cr_assert(!phys_file_offset(d->phys, SIZE - 100, &off));
	cr_assert_lt(phys_present(d->phys, 0, SIZE), SIZE);
	cr_assert_eq(phys_present(d->phys, 0, SIZE), phys_bytes(d->phys));
	for (unsigned i = 0; i < 2; i++) {
		dump_late_notes(d);
		cr_assert_eq(notes.n, 1);
		cr_assert_eq(notes.v[0].what, NOTE_IMAGE_TRUNCATED);
	}
	cr_assert(strstr(d->advice, "cut short"));
	dump_close(d);
	notes_free(&notes);
	release(&x);
	free(p);
}
