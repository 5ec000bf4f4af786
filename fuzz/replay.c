/* replay.c - a fuzz target without an engine: runs it on files and folders, and on seeded changes of them.
 *
 *   fuzz-NAME [-mutate=N] [-seed=S] [-only=K] [-v] PATH...
 * N changed inputs are made in turn from the files read (sorted by path); same files, N and S: the same inputs. An empty input always
 * runs first; without any file, noise is what is changed. To find the input that crashed: -v names each changed one before it runs, -only=K runs number K alone. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1u << 20) /* bytes of a file that are read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sample {
	char *path;
	uint8_t *p;
	size_t n;
};

struct samples {
	struct sample *v;
	size_t n, cap;
};

static void *need(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "out of memory\n");
	exit(1);
}

static void add_file(struct samples *s, const char *path)
{
	FILE *f = fopen(path, "rb");
	struct sample one;

	if (!f) {
		perror(path);
		exit(1);
	}
	one.p = need(malloc(FILE_MAX));
	one.n = fread(one.p, 1, FILE_MAX, f);
	one.path = need(strdup(path));
	fclose(f);
	one.p = need(realloc(one.p, one.n + 1));
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->v = need(realloc(s->v, s->cap * sizeof(*s->v)));
	}
	s->v[s->n++] = one;
}

static void add_path(struct samples *s, const char *path)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		add_file(s, path);
		return;
	}
	dir = opendir(path);
	if (!dir) {
		perror(path);
		exit(1);
	}
	while ((d = readdir(dir))) {
		char *sub;

		if (d->d_name[0] == '.')
			continue;
		sub = need(malloc(strlen(path) + strlen(d->d_name) + 2));
		sprintf(sub, "%s/%s", path, d->d_name);
		if (stat(sub, &st) == 0 && S_ISREG(st.st_mode))
			add_file(s, sub);
		free(sub);
	}
	closedir(dir);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct sample *)a)->path, ((const struct sample *)b)->path);
}

/* ---- changes --------------------------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n)
{
	return n ? (size_t)(next_random(state) % n) : 0;
}

/* One change in place; the length may shrink. */
static size_t change(uint8_t *p, size_t n, const struct sample *other, uint64_t *state)
{
	static const uint32_t odd[] = {0,     1,      7,      8,      0x47,    0x48,       0x7f,        0x80,       0xff,
				       0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000u, 0xffffffffu};
	size_t at = below(state, below(state, 3) ? n : n < 512 ? n : 512), len;
	uint32_t v;

	if (!n)
		return 0;
	switch (below(state, 7)) {
	case 0:
	case 1:
		p[at] = (uint8_t)next_random(state);
		break;
	case 2:
		p[at] ^= (uint8_t)(1u << below(state, 8));
		break;
	case 3: /* a telling number of 1, 2 or 4 bytes */
		v = odd[below(state, sizeof(odd) / sizeof(odd[0]))];
		for (len = (size_t)1 << below(state, 3); len && at < n; len--, at++, v >>= 8)
			p[at] = (uint8_t)v;
		break;
	case 4:
		return at; /* cut */
	case 5:            /* a stretch from elsewhere */
		len = below(state, 64) + 1;
		if (other->n) {
			size_t from = below(state, other->n);

			for (; len && at < n && from < other->n; len--)
				p[at++] = other->p[from++];
		}
		break;
	default: /* a stretch taken out */
		len = below(state, n - at < 64 ? n - at : 64);
		memmove(p + at, p + at + len, n - at - len);
		return n - len;
	}
	return n;
}

static void add_noise(struct samples *s, uint64_t seed)
{
	s->v = need(calloc(1, sizeof(*s->v)));
	s->n = s->cap = 1;
	s->v[0] = (struct sample){need(strdup("noise")), need(malloc(2048)), 2048};
	for (size_t i = 0; i < 2048; i++)
		s->v[0].p[i] = (uint8_t)next_random(&seed);
}

static void run_changed(const struct samples *s, unsigned long k, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(1000003) + k;
	const struct sample *from = &s->v[k % s->n];
	size_t n = from->n;
	uint8_t *p = need(malloc(n + 1)), *exact;

	memcpy(p, from->p, n);
	for (size_t times = 1 + below(&state, 6); times; times--)
		n = change(p, n, &s->v[below(&state, s->n)], &state);
	exact = need(malloc(n ? n : 1)); /* a read behind the end is seen */
	memcpy(exact, p, n);
	free(p);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

int main(int argc, char **argv)
{
	struct samples s = {0};
	unsigned long mutate = 0, only = 0;
	bool has_only = false, verbose = false;
	uint64_t seed = 1;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-mutate=", 8) == 0)
			mutate = strtoul(argv[i] + 8, NULL, 10);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			seed = strtoull(argv[i] + 6, NULL, 10);
		else if (strncmp(argv[i], "-only=", 6) == 0)
			has_only = true, only = strtoul(argv[i] + 6, NULL, 10);
		else if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else
			add_path(&s, argv[i]);
	}
	if (!s.n && mutate)
		add_noise(&s, seed);
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_path);
	if (has_only && s.n) {
		run_changed(&s, only, seed);
		return 0;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (size_t i = 0; i < s.n; i++) {
		uint8_t *exact = need(malloc(s.v[i].n ? s.v[i].n : 1));

		memcpy(exact, s.v[i].p, s.v[i].n);
		LLVMFuzzerTestOneInput(exact, s.v[i].n);
		free(exact);
	}
	for (unsigned long k = 0; s.n && k < mutate; k++) {
		if (verbose)
			fprintf(stderr, "-only=%lu\n", k);
		run_changed(&s, k, seed);
	}
	printf("%zu files, %lu changed inputs: no crash\n", s.n, s.n ? mutate : 0);
	for (size_t i = 0; i < s.n; i++) {
		free(s.v[i].p);
		free(s.v[i].path);
	}
	free(s.v);
	return 0;
}
