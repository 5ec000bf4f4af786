/* physread - reads all physical memory of an image once, as a scan does: physread [-j THREADS] [-spill DIR] [-sum] IMAGE. For bench/bench-containers.sh.
 *
 * Prints how many bytes there are and, with -sum, the sum of their 64-bit words: the same for each container of the same memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"
#include "physscan.h"

static struct {
	uint64_t sum, bytes;
	char apart[48]; /* from the next worker's cache line */
} part[PHYSSCAN_THREADS_MAX];

static int take(void *ctx, unsigned worker, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	uint64_t v, s = 0;

	(void)pa, (void)more;
	for (size_t i = 0; ctx && i + 8 <= n; i += 8) {
		memcpy(&v, p + i, 8);
		s += v;
	}
	part[worker].sum += s;
	part[worker].bytes += n;
	return 0;
}

int main(int argc, char **argv)
{
	struct physscan_opts s = {.threads = 1};
	uint64_t unreadable = 0, sum = 0, bytes = 0;
	struct dump_opts o = {0};
	const char *path = NULL;
	void *look = NULL;
	struct dump *d;
	struct err e;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-j") == 0 && i + 1 < argc)
			s.threads = (unsigned)atoi(argv[++i]);
		else if (strcmp(argv[i], "-spill") == 0 && i + 1 < argc)
			o.spill = argv[++i];
		else if (strcmp(argv[i], "-sum") == 0)
			look = part;
		else
			path = argv[i];
	}
	if (!path || dump_open(&d, path, &o, NULL, &e) < 0) {
		fprintf(stderr, "physread: %s\n", path ? e.msg : "physread [-j THREADS] [-spill DIR] [-sum] IMAGE");
		return 1;
	}
	if (physscan_run(d->phys, &s, take, look, &unreadable, &e) < 0) {
		fprintf(stderr, "physread: %s\n", e.msg);
		return 1;
	}
	for (unsigned i = 0; i < PHYSSCAN_THREADS_MAX; i++) {
		sum += part[i].sum;
		bytes += part[i].bytes;
	}
	printf("%llu bytes, sum %016llx, %llu can't be read\n", (unsigned long long)bytes, (unsigned long long)sum,
	       (unsigned long long)unreadable);
	dump_close(d);
	return unreadable != 0;
}
