/* profmake - test tool: profmake_run() from the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profmake.h"

int main(int argc, char **argv)
{
	struct profmake_opts o = {0};
	struct profmake_done done;
	struct err e;
	int i = argc > 3 && !strcmp(argv[1], "profile") ? 4 : 1; /* "profile make -q" may stand before */

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "-o"))
			o.out = argv[i + 1];
		else if (!strcmp(argv[i], "--build"))
			o.build = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--kernel-version"))
			o.version = argv[i + 1];
		else if (!strcmp(argv[i], "--source"))
			o.source = argv[i + 1];
		else if (!strcmp(argv[i], "--os"))
			o.os = argv[i + 1];
		else if (!strcmp(argv[i], "--versions"))
			o.versions = argv[i + 1];
	}
	if (profmake_run(&o, (const char *const *)argv + i, (size_t)(argc - i), &done, &e)) {
		fprintf(stderr, "profmake: %s\n", e.msg);
		return 1;
	}
	printf("%zu files, %zu kernels, %zu variants\n", done.n_files, done.n_kernels, done.n_variants);
	return 0;
}
