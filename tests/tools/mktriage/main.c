/* mktriage - writes a made 64-bit triage dump with an ETW block of three sessions: mktriage [-claims=BYTES] [-none] OUT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mkcrash.h"

int main(int argc, char **argv)
{
	struct mkcrash o = {.wide = true, .type = 4};
	const char *path = NULL;
	struct buf etw, b;
	FILE *f;

	buf_init(&etw);
	buf_init(&b);
	mketw_block(&etw, &(struct mketw){.twice_name = true, .n_events = 40});
	o.etw = &etw;
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-claims=", 8) == 0)
			o.etw_claims = strtoull(argv[i] + 8, NULL, 0);
		else if (strcmp(argv[i], "-none") == 0)
			o.etw = NULL;
		else
			path = argv[i];
	}
	if (!path) {
		fprintf(stderr, "usage: mktriage [-claims=BYTES] [-none] OUT\n");
		return 2;
	}
	mkcrash_build(&b, &o);
	f = fopen(path, "wb");
	if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	buf_free(&b);
	buf_free(&etw);
	return 0;
}
