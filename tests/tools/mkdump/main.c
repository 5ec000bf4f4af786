/* mkdump - makes a Windows memory image from a recipe: mkdump [-a ARCH] [-b BUILD] [-k VERSION] [-m MIB] [-H MIB_BELOW_HOLE] [-f CONTAINER] [-p PAGEFILE]
 *   [-F FILE] RECIPE IMAGE [TRUTH.json]
 *
 * -F: what three quarters of the pages that nobody wrote hold, over and over: an image that is worth packing.
 * -p: the pages that the recipe pages out are written there, and are no loss in the truth.
 * recipe.h says what a recipe is, docs/testing.md what the made memory is like; TRUTH.json says what must come out. */
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "recipe.h"
#include "truth.h"
#include "winpaged.h"

static void fill(struct winmem *m, const char *path)
{
	FILE *f = fopen(path, "rb");
	long n = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		n = ftell(f);
	if (n < (long)WM_PAGE || !(m->fill = malloc((size_t)n)) || fseek(f, 0, SEEK_SET) != 0 ||
	    fread(m->fill, 1, (size_t)n, f) != (size_t)n)
		die("%s: can't be read, or holds no page", path);
	m->fill_frames = (uint64_t)n / WM_PAGE;
	fclose(f);
}

int main(int argc, char **argv)
{
	static struct recipe r;
	const char *container = "raw", *pagefile = NULL, *filler = NULL;
	char line[4096];
	FILE *f;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "-b") == 0)
			r.build = (unsigned)strtoul(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-k") == 0)
			r.version = argv[i + 1];
		else if (strcmp(argv[i], "-m") == 0)
			r.mib = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-H") == 0)
			r.hole = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-a") == 0)
			r.arch = argv[i + 1];
		else if (strcmp(argv[i], "-f") == 0)
			container = argv[i + 1];
		else if (strcmp(argv[i], "-p") == 0)
			pagefile = argv[i + 1];
		else if (strcmp(argv[i], "-F") == 0)
			filler = argv[i + 1];
		else
			die("no such option: %s", argv[i]);
	}
	if (argc - i < 2 || argc - i > 3)
		die("usage: mkdump [-a ARCH] [-b BUILD] [-k VERSION] [-m MIB] [-H MIB_BELOW_HOLE] [-f CONTAINER] [-p PAGEFILE] [-F FILE] "
		    "RECIPE "
		    "IMAGE "
		    "[TRUTH.json]; "
		    "containers: %s",
		    container_names());
	r.pagefile = pagefile != NULL;
	f = fopen(argv[i], "r");
	if (!f)
		die("%s: can't be read", argv[i]);
	while (fgets(line, sizeof(line), f))
		recipe_line(&r, line);
	fclose(f);
	recipe_end(&r);
	if (filler)
		fill(&r.w.m, filler);
	if (!container_write(&r.w, container, argv[i + 1]))
		die("%s: can't be written as %s", argv[i + 1], container);
	if (argc - i == 3 && !truth_write(&r.w, argv[i + 2]))
		die("%s: can't be written", argv[i + 2]);
	if (pagefile && !pagefile_write(&r.w.pagefile, pagefile))
		die("%s: can't be written", pagefile);
	wi_free(&r.w);
	return 0;
}
