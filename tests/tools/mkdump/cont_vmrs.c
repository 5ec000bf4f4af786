/* cont_vmrs.c - a Hyper-V saved state. Layout: docs/formats/vmrs.md. */
#include "container.h"
#include "mkvmrs.h"

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	return container_page(ctx, pfn);
}

bool cont_vmrs(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);
	struct mkvmrs_range range[2] = {{first[0], count[0]}, {n > 1 ? first[1] : 0, n > 1 ? count[1] : 0}};
	struct mkvmrs o = {.range = range, .n_ranges = n, .page = page, .ctx = w, .packing = MKVMRS_PAGES, .cr3 = container_root(w)};
	struct buf b;
	bool ok;

	(void)path;
	buf_init(&b);
	mkvmrs_build(&b, &o);
	ok = !b.failed && fwrite(b.p, 1, b.n, f) == b.n;
	buf_free(&b);
	return ok;
}
