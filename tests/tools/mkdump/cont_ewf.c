/* cont_ewf.c - the image as EWF, deflated, in segments of some 20 MiB: NAME.E01, NAME.E02 ... See tests/lib/mkewf.h. */
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "mkewf.h"

#define SEGMENTS    2000
#define PER_SEGMENT 8192 /* chunks: 256 MiB of memory */
#define PAGES       (MKEWF_CHUNK / WM_PAGE)

struct media {
	const struct winimg *w;
	uint8_t chunk[MKEWF_CHUNK];
};

static const uint8_t *chunk(void *ctx, uint64_t n)
{
	struct media *m = ctx;
	bool any = false;

	memset(m->chunk, 0, sizeof(m->chunk));
	for (unsigned i = 0; i < PAGES; i++) {
		const uint8_t *p = container_page(m->w, n * PAGES + i);

		if (p)
			memcpy(m->chunk + i * WM_PAGE, p, WM_PAGE);
		any |= p != NULL;
	}
	return any ? m->chunk : NULL;
}

static bool write_segment(const char *path, size_t n, const struct buf *b)
{
	size_t len = strlen(path);
	char *name = malloc(len + 16);
	FILE *f;
	bool ok;

	/* IMAGE.E01 goes on in IMAGE.E02; another name is one that only its content tells */
	if (len > 4 && path[len - 4] == '.')
		len -= 4;
	snprintf(name, len + 16, "%.*s.E%02zu", (int)len, path, n + 1);
	f = fopen(name, "wb");
	free(name);
	ok = f && fwrite(b->p, 1, b->n, f) == b->n;
	return f && fclose(f) == 0 && ok;
}

bool cont_ewf(struct winimg *w, FILE *f, const char *path)
{
	struct media *m = calloc(1, sizeof(*m));
	struct buf *seg = calloc(SEGMENTS, sizeof(*seg));
	struct mkewf o = {.size = container_end(w) * WM_PAGE, .chunk = chunk, .ctx = m, .packed = true, .per_segment = PER_SEGMENT};
	bool ok = m && seg;
	size_t n = 0;

	if (ok) {
		m->w = w;
		n = mkewf_build(seg, 99, &o);
		ok = n && fwrite(seg[0].p, 1, seg[0].n, f) == seg[0].n;
	}
	for (size_t i = 0; i < n; i++) {
		ok = ok && (!i || write_segment(path, i, &seg[i]));
		buf_free(&seg[i]);
	}
	free(seg);
	free(m);
	return ok;
}
