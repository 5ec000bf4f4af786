/* Every byte of physical memory is visited once, whatever the pieces and threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "physscan.h"

#define SIZE 400000u

struct seen {
	pthread_mutex_t lock;
	uint8_t times[4 * SIZE];
	const uint8_t *truth; /* by pa */
	bool wrong;
	size_t stop_after, visits;
};

static int see(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	struct seen *s = ctx;

	(void)thread;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++)
		s->times[pa + i]++;
	s->wrong |= memcmp(p, s->truth + pa, n + more) != 0;
	s->visits++;
	pthread_mutex_unlock(&s->lock);
	return s->stop_after && s->visits >= s->stop_after ? ERR_LIMIT : 0;
}

struct fixture {
	uint8_t *bytes;
	struct input *in;
	struct phys *p;
	struct seen *s;
};

static int bad_page(void *ctx, uint64_t pa, void *buf, size_t len)
{
	const uint8_t *bytes = ctx;

	if (pa < 0x70000 + 0x2000 && pa + len > 0x70000 + 0x1000) /* the second page */
		return ERR_IO;
	memcpy(buf, bytes + pa, len);
	return 0;
}

static void setup(struct fixture *f)
{
	struct err e;

	f->bytes = malloc(SIZE + 0x100000);
	f->s = calloc(1, sizeof(*f->s));
	pthread_mutex_init(&f->s->lock, NULL);
	for (size_t i = 0; i < SIZE + 0x100000; i++)
		f->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	f->s->truth = f->bytes;
	cr_assert_eq(input_open_memory(&f->in, f->bytes, SIZE + 0x100000, "m", &e), 0);
	cr_assert_eq(phys_new(&f->p, NULL, &e), 0);
	/* two runs that touch, one that begins and ends in the middle of pages, one with a page that can't be read */
	cr_assert_eq(phys_add_file(f->p, 0x1000, 0x20000, f->in, 0x1000, &e), 0);
	cr_assert_eq(phys_add(f->p, 0x21000, 0x3000, bad_page, f->bytes, &e), 0);
	cr_assert_eq(phys_add_file(f->p, 0x40123, 0x1e000, f->in, 0x40123, &e), 0);
	cr_assert_eq(phys_add(f->p, 0x70000, 0x4000, bad_page, f->bytes, &e), 0);
	cr_assert_eq(phys_seal(f->p, &e), 0);
}

static void teardown(struct fixture *f)
{
	phys_free(f->p);
	input_close(f->in);
	free(f->bytes);
	free(f->s);
}

Test(physscan, each_byte_once)
{
	static const size_t chunks[] = {0, 4096, 8192, 0x10000};

	for (unsigned threads = 1; threads <= 4; threads++)
		for (size_t c = 0; c < 4; c++)
			for (size_t overlap = 0; overlap <= 4096; overlap += 1000) {
				struct physscan_opts o = {.threads = threads, .chunk = chunks[c], .overlap = overlap};
				struct fixture f;
				uint64_t unreadable;

				setup(&f);
				cr_assert_eq(physscan_run(f.p, &o, see, f.s, &unreadable, NULL), 0);
				cr_assert_eq(unreadable, 4096);
				cr_assert(!f.s->wrong);
				for (uint64_t pa = 0; pa < SIZE; pa++) {
					bool there = phys_present(f.p, pa, 1) && !(pa >= 0x71000 && pa < 0x72000);

					cr_assert_eq(f.s->times[pa], there, "0x%llx: %u times", (unsigned long long)pa, f.s->times[pa]);
				}
				teardown(&f);
			}
}

Test(physscan, a_visit_can_stop_it)
{
	struct physscan_opts o = {.threads = 2, .chunk = 4096};
	struct fixture f;
	struct err e;

	setup(&f);
	f.s->stop_after = 3;
	cr_assert_eq(physscan_run(f.p, &o, see, f.s, NULL, &e), ERR_LIMIT);
	cr_assert_lt(f.s->visits, 10);
	teardown(&f);
}

static bool no(void *ctx, uint64_t done, uint64_t total)
{
	*(uint64_t *)ctx = total;
	return done > total;
}

Test(physscan, progress_tells_and_interrupts)
{
	uint64_t total = 0;
	struct physscan_opts o = {.threads = 1, .chunk = 4096, .progress = no, .progress_ctx = &total};
	struct fixture f;

	setup(&f);
	cr_assert_eq(physscan_run(f.p, &o, see, f.s, NULL, NULL), ERR_INTR);
	cr_assert_eq(total, phys_bytes(f.p));
	teardown(&f);
}
