/* cont_lime.c - LiME 1: a header of 32 bytes before each run of RAM. Layout: docs/formats/lime.md. */
#include "container.h"
#include "rd.h"

bool cont_lime(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);
	bool ok = true;

	(void)path;

	for (unsigned r = 0; ok && r < n; r++) {
		uint8_t h[32] = {'E', 'M', 'i', 'L', 1};

		put_le64(h + 8, first[r] * WM_PAGE);
		put_le64(h + 16, (first[r] + count[r]) * WM_PAGE - 1);
		ok = fwrite(h, 1, sizeof(h), f) == sizeof(h);
		for (uint64_t i = 0; ok && i < count[r]; i++)
			ok = container_put_page(f, wm_peek(&w->m, container_frame(&w->m, r, i)));
	}
	return ok;
}
