/* cont_avml.c - AVML 2 as avml writes it: blocks of at most 16 MiB, all-zero ones left out; snappy frames by libsnappy. Layout: docs/formats/avml.md. */
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "crc32c.h"
#include "libraries.h"
#include "rd.h"
#if LIB_SNAPPY
#include <snappy-c.h>
#endif

#define BLOCK_PAGES 4096u
#define CHUNK       65536u

/* One frame; returns its length in the file, 0: it could not be written. */
static uint64_t put_chunk(FILE *f, const uint8_t *p)
{
	uint8_t h[8];
	size_t n = CHUNK;
	const uint8_t *body = p;
#if LIB_SNAPPY
	static char z[CHUNK * 2];

	n = sizeof(z);
	if (snappy_compress((const char *)p, CHUNK, z, &n) != SNAPPY_OK)
		return 0;
	body = (const uint8_t *)z;
	if (n >= CHUNK - CHUNK / 8) {
		n = CHUNK;
		body = p;
	}
#endif
	put_le32(h, (uint32_t)(n + 4) << 8 | (body == p));
	put_le32(h + 4, crc32c_masked(p, CHUNK));
	return fwrite(h, 1, 8, f) == 8 && fwrite(body, 1, n, f) == n ? 8 + n : 0;
}

static bool put_block(struct winimg *w, FILE *f, uint64_t pfn, uint64_t pages)
{
	static uint8_t p[CHUNK];
	uint8_t h[32] = "AVML\2";
	uint64_t packed = 10;
	bool any = false;

	for (uint64_t i = 0; i < pages && !any; i++)
		any = container_page(w, pfn + i) != NULL;
	if (!any)
		return true;
	put_le64(h + 8, pfn * WM_PAGE);
	put_le64(h + 16, (pfn + pages) * WM_PAGE - 1);
	if (fwrite(h, 1, 32, f) != 32 || fwrite("\xff\x06\x00\x00sNaPpY", 1, 10, f) != 10)
		return false;
	for (uint64_t i = 0; i < pages; i += CHUNK / WM_PAGE) {
		uint64_t n;

		memset(p, 0, CHUNK);
		for (uint64_t k = 0; k < CHUNK / WM_PAGE; k++)
			if (container_page(w, pfn + i + k))
				memcpy(p + k * WM_PAGE, container_page(w, pfn + i + k), WM_PAGE);
		n = put_chunk(f, p);
		if (!n)
			return false;
		packed += n;
	}
	put_le64(h, packed);
	return fwrite(h, 1, 8, f) == 8;
}

bool cont_avml(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);
	bool ok = true;

	(void)path;
	for (unsigned r = 0; ok && r < n; r++)
		for (uint64_t i = 0; ok && i < count[r]; i += BLOCK_PAGES)
			ok = put_block(w, f, first[r] + i, count[r] - i < BLOCK_PAGES ? count[r] - i : BLOCK_PAGES);
	return ok;
}
