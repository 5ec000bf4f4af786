/* hostile - a crash dump with an ETW block, damaged in many ways: hostile -cut=STEP FILE | hostile -flip=N -seed=S FILE
 *
 * -cut: the file cut at every STEP-th byte. -flip: N times one byte changed, seeded. Each version goes through opening and recovery. Every
 * buffer of the undamaged file whose bytes the damage left alone must still come out with the same records; what the damage cost is counted.
 * Ends with 1 when an intact buffer was lost. Crashes and hangs are the sanitizers' and the caller's to see. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recover.h"

#define BUFFERS_MAX 4096

struct seen { /* one recovered buffer */
	uint64_t off, end, fnv;
};

struct run {
	struct seen v[BUFFERS_MAX];
	size_t n;
};

static uint64_t fnv(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static int take(void *ctx, const struct etw_session *s, struct err *e)
{
	struct run *r = ctx;

	(void)e;
	for (size_t i = 0; i < s->n_buffers && r->n < BUFFERS_MAX; i++) {
		const struct etw_buffer *b = &s->buffers[i];

		if (b->body_len)
			r->v[r->n++] = (struct seen){b->file_offset, b->file_offset + b->orig_end, fnv(b->body, b->body_len)};
	}
	return 0;
}

static void recover_bytes(const uint8_t *p, size_t n, struct run *r)
{
	struct image_opts o = {0};
	struct recover_opts ro = {0};
	struct etw_sink sink = {NULL, take, r};
	struct input *in;
	struct image *im;
	size_t sessions;
	struct err e;

	r->n = 0;
	if (input_open_memory(&in, p, n, "bytes", &e) < 0)
		exit(2);
	if (image_open_input(&im, in, &o, &e) < 0)
		return;
	recover_run(im, &ro, &sink, &sessions, &e);
	image_close(im);
}

static bool has(const struct run *r, const struct seen *s)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].off == s->off && r->v[i].fnv == s->fnv)
			return true;
	return false;
}

struct tally {
	unsigned long runs, lost, lost_runs;
	uint64_t first_lost;
};

/* Buffers of `whole` that lie outside [from, to) must stand in `now`. */
static void compare(const struct run *whole, const struct run *now, uint64_t from, uint64_t to, struct tally *t)
{
	unsigned long lost = 0;

	for (size_t i = 0; i < whole->n; i++) {
		const struct seen *s = &whole->v[i];

		if ((s->off < to && from < s->end) || has(now, s))
			continue;
		lost++;
	}
	t->runs++;
	if (!lost)
		return;
	if (!t->lost_runs++)
		t->first_lost = from;
	t->lost += lost;
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* The dump's own header tells that it is a dump and where the secondary data stands: a byte of these fields may cost all of it. */
static bool tells_what_it_is(uint64_t at)
{
	return at < 8 || (at >= 0xf98 && at < 0xf9c);
}

int main(int argc, char **argv)
{
	static struct run whole, now;
	unsigned long cut = 0, flips = 0;
	uint64_t seed = 1;
	const char *path = NULL;
	struct tally t = {0};
	uint8_t *p, *copy;
	FILE *f;
	long n;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-cut=", 5) == 0)
			cut = strtoul(argv[i] + 5, NULL, 0);
		else if (strncmp(argv[i], "-flip=", 6) == 0)
			flips = strtoul(argv[i] + 6, NULL, 0);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			seed = strtoull(argv[i] + 6, NULL, 0) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		else
			path = argv[i];
	}
	f = path ? fopen(path, "rb") : NULL;
	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) <= 0 || fseek(f, 0, SEEK_SET) || !(p = malloc((size_t)n)) ||
	    fread(p, 1, (size_t)n, f) != (size_t)n) {
		fprintf(stderr, "hostile: usage: hostile -cut=STEP | -flip=N [-seed=S] FILE\n");
		return 2;
	}
	fclose(f);
	recover_bytes(p, (size_t)n, &whole);
	for (long at = 0; cut && at < n; at += (long)cut) {
		copy = malloc(at ? (size_t)at : 1); /* exact size: one byte too far is seen */
		if (!copy)
			return 2;
		memcpy(copy, p, (size_t)at);
		recover_bytes(copy, (size_t)at, &now);
		free(copy);
		compare(&whole, &now, (uint64_t)at, (uint64_t)n, &t);
	}
	for (unsigned long i = 0; i < flips; i++) {
		uint64_t at = next(&seed) % (uint64_t)n;
		uint8_t old = p[at];

		p[at] = (uint8_t)(next(&seed) >> 8);
		recover_bytes(p, (size_t)n, &now);
		p[at] = old;
		if (!tells_what_it_is(at))
			compare(&whole, &now, at, at + 1, &t);
	}
	printf("%zu buffers; %lu versions; intact buffers lost: %lu in %lu versions", whole.n, t.runs, t.lost, t.lost_runs);
	if (t.lost_runs)
		printf(", first with damage at %llu", (unsigned long long)t.first_lost);
	printf("\n");
	free(p);
	return t.lost != 0 || !whole.n;
}
