/* cont_hiber.c - hiberfil.sys as several Windows versions write it. Layout: docs/formats/hiberfil.md. */
#include <stdlib.h>
#ifdef HAVE_WIM
#include <wimlib.h>
#endif

#include "container.h"
#include "mkhiber.h"

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	return container_page(ctx, pfn);
}

/* The pages in use, those of the boot loader first: every fourth 256 KiB. */
static size_t list(struct winimg *w, uint64_t *pfn, size_t *n_boot)
{
	size_t n = 0;

	for (unsigned kernel = 0; kernel < 2; kernel++) {
		for (uint64_t i = 0; i < container_end(w); i++)
			if (container_page(w, i) && (i / 64 % 4 != 0) == (kernel != 0))
				pfn[n++] = i;
		if (!kernel)
			*n_boot = n;
	}
	return n;
}

static int by_number(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static bool write_hiber(struct winimg *w, FILE *f, struct mkhiber o)
{
	uint64_t *pfn = calloc(container_end(w) + 1, sizeof(*pfn));
	struct buf b;
	bool ok;

	buf_init(&b);
	o.n = list(w, pfn, &o.n_boot);
	if (o.length < 0x200)
		qsort(pfn, o.n, sizeof(*pfn), by_number); /* one list in order of addresses */
	o.pfn = pfn;
	o.page = page;
	o.ctx = w;
	o.cr3 = container_root(w);
	o.system_time = w->o.system_time;
	mkhiber_build(&b, &o, NULL);
	ok = fwrite(b.p, 1, b.n, f) == b.n;
	buf_free(&b);
	free(pfn);
	return ok;
}

bool cont_hiber10(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_hiber(w, f, (struct mkhiber){.length = 0x3e0, .packing = MKHIBER_MIXED});
}

bool cont_hiber11(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_hiber(w, f, (struct mkhiber){.length = 0x4d8, .packing = MKHIBER_HUFF});
}

bool cont_hiber8(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_hiber(w, f, (struct mkhiber){.length = 0x360, .packing = MKHIBER_PLAIN});
}

bool cont_hiber7(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_hiber(w, f, (struct mkhiber){.length = 0x128, .packing = MKHIBER_MIXED});
}

#ifdef HAVE_WIM
/* Huffman codes by libwim, which is not ours. Out empty: it did not become smaller. */
static void wim(struct buf *out, const uint8_t *p, size_t n)
{
	struct wimlib_compressor *c;
	uint8_t *z = malloc(n);
	size_t got;

	if (!z || wimlib_create_compressor(WIMLIB_COMPRESSION_TYPE_XPRESS, n, 50, &c) != 0)
		abort();
	got = wimlib_compress(p, n, z, n - 1, c);
	buf_put(out, z, got);
	wimlib_free_compressor(c);
	free(z);
}

bool cont_hiber_wim(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_hiber(w, f, (struct mkhiber){.length = 0x448, .packing = MKHIBER_HUFF, .huff = wim});
}
#endif
