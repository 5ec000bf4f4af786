/* cont_zdmp.c - DumpIt's .zdmp around a full crash dump; HPAK archives, plain around raw memory, packed around a kernel dump (raw memory with its
 * hole would take long). Layouts: docs/formats/zdmp.md and hpak.md. */
#include <stdlib.h>
#include <zlib.h>

#include "container.h"
#include "mkzdmp.h"

/* What another writer writes, in memory. */
static bool inside(struct winimg *w, container_fn *write, char **p, size_t *n)
{
	FILE *f = open_memstream(p, n);
	bool ok = f && write(w, f, "");

	return f && fclose(f) == 0 && ok;
}

static bool put(FILE *f, struct buf *b)
{
	bool ok = !b->failed && fwrite(b->p, 1, b->n, f) == b->n;

	buf_free(b);
	return ok;
}

bool cont_zdmp(struct winimg *w, FILE *f, const char *path)
{
	char *p = NULL;
	size_t n = 0;
	struct buf b;
	bool ok = inside(w, crash64_full, &p, &n);

	(void)path;
	buf_init(&b);
	if (ok)
		mkzdmp_build(&b, (const uint8_t *)p, n, 0x10000);
	free(p);
	return put(f, &b) && ok;
}

bool cont_hpak(struct winimg *w, FILE *f, const char *path)
{
	uint64_t end = container_end(w);
	struct buf b;
	bool ok;

	(void)path;
	buf_init(&b);
	mkhpak_head(&b, end * WM_PAGE, end * WM_PAGE, false);
	ok = put(f, &b);
	for (uint64_t i = 0; ok && i < end; i++)
		if (container_page(w, i) || i + 1 == end)
			ok = fseeko(f, (off_t)(0x1000 + i * WM_PAGE), SEEK_SET) == 0 && container_put_page(f, container_page(w, i));
	return ok;
}

bool cont_hpak_gzip(struct winimg *w, FILE *f, const char *path)
{
	char *p = NULL;
	size_t n = 0;
	struct buf b;
	z_stream z = {0};
	uint8_t *out;
	bool ok = inside(w, crash64_kernel, &p, &n);

	(void)path;
	buf_init(&b);
	if (!ok || deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	z.next_in = (Bytef *)p;
	z.avail_in = (uInt)n;
	z.avail_out = (uInt)deflateBound(&z, n);
	z.next_out = out = malloc(z.avail_out);
	ok = out && deflate(&z, Z_FINISH) == Z_STREAM_END;
	mkhpak_head(&b, z.total_out, n, true);
	if (ok)
		buf_put(&b, out, z.total_out);
	deflateEnd(&z);
	free(out);
	free(p);
	return put(f, &b) && ok;
}
