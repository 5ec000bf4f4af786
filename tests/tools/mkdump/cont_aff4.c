/* cont_aff4.c - AFF4 in the forms of several writers. See tests/lib/mkaff4.h. */
#include "container.h"
#include "mkaff4.h"

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	return container_page(ctx, pfn);
}

static bool put(struct winimg *w, FILE *f, enum mkaff4_form form, const char *pack)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);
	const struct mkaff4_run run[2] = {{first[0], count[0]}, {n > 1 ? first[1] : 0, n > 1 ? count[1] : 0}};
	struct mkaff4 o = {.form = form,
			   .pack = pack,
			   .run = run,
			   .n_runs = n,
			   .page = page,
			   .ctx = w,
			   .cr3 = container_root(w),
			   .kernel_base = w->base,
			   .others = true,
			   .per_segment = 1024};
	struct buf b;
	bool ok;

	buf_init(&b);
	mkaff4_build(&b, &o);
	ok = !b.failed && fwrite(b.p, 1, b.n, f) == b.n;
	buf_free(&b);
	return ok;
}

bool cont_aff4(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return put(w, f, MKAFF4_WINPMEM, "snappy");
}

bool cont_aff4_standard(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return put(w, f, MKAFF4_STANDARD, "lz4");
}

bool cont_aff4_winpmem2(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return put(w, f, MKAFF4_WINPMEM2, "zlib");
}
