/* Buffers of which pages are lost, in memories where many pages would fit: what is given is their own, in its place. */
#include "carvefixture.h"

#define STEP    0x80u /* of a record: pages that begin alike, so that place tells nothing */
#define N_PAGES 16u

/* The same records with times that are `every` apart. */
static void spread(uint8_t *p, uint64_t ts, uint64_t every, unsigned id)
{
	uint32_t end = make(p, N_PAGES * PAGE, (uint16_t)id, ts, EVENTS, STEP - 0x50);

	for (uint32_t off = 0x48, i = 0; off < end; off += STEP, i++)
		put_le64(p + off + 16, ts + i * every);
	put_le64(p + 0x10, ts + EVENTS * every);
}

/* Records that touch none of the pages in `lost` (bits). */
static unsigned intact(uint32_t lost)
{
	unsigned n = 0;

	for (uint32_t off = 0x48; off + STEP <= N_PAGES * PAGE; off += STEP)
		n += !((lost >> off / PAGE | lost >> (off + STEP - 1) / PAGE) & 1);
	return n;
}

struct seen {
	unsigned events, gaps, mixed;
};

/* Every record says whose it is, and its payload has one value. */
static int check(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	for (size_t i = 0; i < o->s.n_buffers; i++) {
		const struct etw_buffer *b = &o->s.buffers[i];

		s->events += b->n_events;
		s->gaps += (unsigned)b->n_gaps;
		for (uint32_t off = 0; off + STEP <= b->body_len; off += STEP) {
			const uint8_t *r = b->body + off;

			s->mixed += memcmp(r + 0x50, r + 0x51, STEP - 0x51) != 0 || (le64(r + 16) + o->s.id) % 3 != 0;
		}
	}
	return 0;
}

static struct seen look(struct fixture *f)
{
	struct carve_opts o = {.threads = 1};
	struct seen s = {0};
	struct carve *c;
	struct err e;

	ready(f);
	cr_assert_eq(carve_open(&c, &f->im, &o, &e), 0);
	cr_assert_eq(carve_run(c, check, &s, &e), 0);
	carve_close(c);
	done(f);
	return s;
}

/* Three processors' buffers of the same time, each in a row, each without a page. */
Test(carvelost, rows)
{
	static const unsigned at[3] = {20, 40, 60};

	for (unsigned k = 1; k + 1 < N_PAGES; k++) {
		const unsigned lost[3] = {k, (k * 5) % (N_PAGES - 2) + 1, (k * 3) % (N_PAGES - 2) + 1};
		unsigned want = 0;
		struct fixture f;
		struct seen s;

		setup(&f);
		for (unsigned i = 0; i < 3; i++) {
			spread(f.mem + at[i] * PAGE, 3000000 + (9 - (3 + i)) % 3, 3, 3 + i);
			memset(f.mem + (at[i] + lost[i]) * PAGE, 0, PAGE);
			want += intact(1u << lost[i]);
		}
		s = look(&f);
		cr_assert_eq(s.mixed, 0, "%u: %u records of two buffers, or under another one", k, s.mixed);
		cr_assert_eq(s.gaps, 3, "%u: %u gaps", k, s.gaps);
		cr_assert_eq(s.events, want, "%u: %u of %u", k, s.events, want);
	}
}

/* Two losses in one row: what stands between them is kept. */
Test(carvelost, twice)
{
	for (unsigned a = 2; a + 5 < N_PAGES; a++) {
		struct fixture f;
		struct seen s;

		setup(&f);
		spread(f.mem + 20 * PAGE, 3000000, 3, 3);
		memset(f.mem + (20 + a) * PAGE, 0, PAGE);
		memset(f.mem + (23 + a) * PAGE, 0, PAGE);
		s = look(&f);
		cr_assert_eq(s.events, intact(9u << a), "%u: %u of %u", a, s.events, intact(9u << a));
		cr_assert(s.gaps == 2 && s.mixed == 0);
	}
}

/* The rest of a buffer stands elsewhere, and behind its beginning the rest of another one, in the very place. */
Test(carvelost, another_ones_in_place)
{
	uint8_t *a = calloc(N_PAGES, PAGE), *b = calloc(N_PAGES, PAGE);
	struct fixture f;
	struct seen s;

	spread(a, 3000000, 3, 3);
	spread(b, 3000002, 3, 4);
	put_le64(b + 0x48 + 16, 3000002);
	setup(&f);
	memcpy(f.mem + 20 * PAGE, a, 7 * PAGE);
	memset(f.mem + 27 * PAGE, 0x11, PAGE);
	memcpy(f.mem + 28 * PAGE, b + 8 * PAGE, 8 * PAGE);
	memcpy(f.mem + 60 * PAGE, a + 7 * PAGE, 9 * PAGE);
	memcpy(f.mem + 80 * PAGE, b, 8 * PAGE);
	s = look(&f);
	cr_assert_eq(s.mixed, 0, "%u mixed, %u events, %u gaps", s.mixed, s.events, s.gaps);
	free(a);
	free(b);
}

/* An old table leads from the buffer's first page to another one's. The buffer stands in a row. */
Test(carvelost, old_table)
{
	struct fixture f;
	struct seen s;

	setup(&f);
	spread(f.mem + 20 * PAGE, 3000000, 3, 3);
	spread(f.mem + 40 * PAGE, 3000002, 3, 4);
	for (unsigned i = 0; i < N_PAGES; i++) {
		uint64_t pa = i == 0 ? 20 : 40 + i;

		put_le64(f.mem + 100 * PAGE + (7 + i) * 8, pa * PAGE | 0x8000000000000867);
	}
	s = look(&f);
	cr_assert_eq(s.events, 2 * intact(0), "%u", s.events);
	cr_assert(s.mixed == 0 && s.gaps == 0);
}
