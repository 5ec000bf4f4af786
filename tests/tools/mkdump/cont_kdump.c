/* cont_kdump.c - kdump-zlib as QEMU writes it, in order and flattened; the same with the other libraries that makedumpfile packs with. Layout: docs/formats/kdump.md. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "container.h"
#include "libraries.h"
#include "rd.h"
#if LIB_SNAPPY
#include <snappy-c.h>
#endif
#if LIB_LZO
#include <lzo/lzo1x.h>
#endif
#if LIB_ZSTD
#include <zstd.h>
#endif

enum packing { ZLIB = 1, LZO = 2, SNAPPY = 4, ZSTD = 0x20 }; /* flags of a descriptor */
#define PACKED_MAX (2 * WM_PAGE)

struct out { /* a file in order, or its flattened pieces */
	FILE *f;
	bool flat;
	enum packing packing;
	bool ok;
};

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void put(struct out *o, uint64_t off, const void *p, size_t n)
{
	if (o->flat) {
		uint8_t h[16];

		put_be64(h, off);
		put_be64(h + 8, n);
		o->ok = o->ok && fwrite(h, 1, 16, o->f) == 16;
	} else {
		o->ok = o->ok && fseeko(o->f, (off_t)off, SEEK_SET) == 0;
	}
	o->ok = o->ok && fwrite(p, 1, n, o->f) == n;
}

static void headers(struct winimg *w, struct out *o, uint64_t frames, uint64_t bitmap_blocks)
{
	uint8_t h[WM_PAGE] = "KDUMP   ", s[WM_PAGE] = {0}, note[20 + 0x1b8] = {0};

	put_le32(h + 8, 6);
	put_le32(h + 0x1ac, WM_PAGE);
	put_le32(h + 0x1b0, 1);
	put_le32(h + 0x1b4, (uint32_t)bitmap_blocks);
	put_le32(h + 0x1b8, (uint32_t)frames);
	put_le32(h + 0x1cc, w->o.cpus);
	put_le32(s + 8, 1);
	put_le64(s + 48, WM_PAGE + 1024); /* notes: inside the sub-header's block */
	put_le64(s + 56, sizeof(note));
	put_le64(s + 96, frames);
	put_le32(note, 5);
	put_le32(note + 4, 0x1b8);
	memcpy(note + 12, "QEMU", 5);
	put_le32(note + 20, 1);
	put_le32(note + 24, 0x1b8);
	put_le64(note + 20 + 416, container_root(w));
	memcpy(s + 1024, note, sizeof(note));
	put(o, 0, h, WM_PAGE);
	put(o, WM_PAGE, s, WM_PAGE);
}

/* A page's packed bytes into z (PACKED_MAX); 0: the library is not there, or failed. */
static size_t pack_page(enum packing how, const uint8_t *p, uint8_t *z)
{
	size_t n = PACKED_MAX;

	if (how == ZLIB) {
		uLongf k = PACKED_MAX;

		return compress2(z, &k, p, WM_PAGE, 1) == Z_OK ? k : 0;
	}
#if LIB_SNAPPY
	if (how == SNAPPY)
		return snappy_compress((const char *)p, WM_PAGE, (char *)z, &n) == SNAPPY_OK ? n : 0;
#endif
#if LIB_LZO
	if (how == LZO) {
		static uint8_t work[LZO1X_1_MEM_COMPRESS];
		lzo_uint k = PACKED_MAX;

		return lzo_init() == LZO_E_OK && lzo1x_1_compress(p, WM_PAGE, z, &k, work) == LZO_E_OK ? k : 0;
	}
#endif
#if LIB_ZSTD
	if (how == ZSTD) {
		n = ZSTD_compress(z, PACKED_MAX, p, WM_PAGE, 1);
		return ZSTD_isError(n) ? 0 : n;
	}
#endif
	return 0;
}

static bool is_ram(const struct winimg *w, uint64_t pfn)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);

	for (unsigned r = 0; r < n; r++)
		if (pfn >= first[r] && pfn - first[r] < count[r])
			return true;
	return false;
}

static bool write_kdump(struct winimg *w, struct out *o)
{
	static const uint8_t zero[WM_PAGE];
	uint64_t frames = container_end(w), half = (frames / 8 + WM_PAGE) / WM_PAGE, blocks = 2 * half;
	uint64_t desc = (2 + blocks) * WM_PAGE, pages = 0, data, at, zero_at = 0;
	uint32_t zero_n = 0;
	uint8_t *map = calloc(half, WM_PAGE);

	headers(w, o, frames, blocks);
	for (uint64_t pfn = 0; pfn < frames; pfn++)
		if (is_ram(w, pfn)) {
			map[pfn / 8] |= (uint8_t)(1u << pfn % 8);
			pages++;
		}
	put(o, 2 * WM_PAGE, map, half * WM_PAGE);
	put(o, (2 + half) * WM_PAGE, map, half * WM_PAGE);
	data = at = desc + pages * 24;
	for (uint64_t pfn = 0; o->ok && pfn < frames; pfn++) {
		uint8_t z[PACKED_MAX], d[24] = {0};
		const uint8_t *p = container_page(w, pfn), *body = z;
		size_t n;

		if (!(map[pfn / 8] >> pfn % 8 & 1))
			continue;
		if (!p && zero_n) { /* zero pages share one */
			put_le64(d, zero_at);
			put_le32(d + 8, zero_n);
			put_le32(d + 12, o->packing);
		} else {
			n = pack_page(o->packing, p ? p : zero, z);
			o->ok = o->ok && n;
			put_le32(d + 12, n < WM_PAGE ? o->packing : 0);
			if (n >= WM_PAGE) {
				body = p;
				n = WM_PAGE;
			}
			put_le64(d, at);
			put_le32(d + 8, (uint32_t)n);
			put(o, at, body, n);
			if (!p) {
				zero_at = at;
				zero_n = (uint32_t)n;
			}
			at += n;
		}
		put(o, desc, d, 24);
		desc += 24;
	}
	free(map);
	return o->ok && data <= at;
}

bool cont_kdump(struct winimg *w, FILE *f, const char *path)
{
	struct out o = {.f = f, .packing = ZLIB, .ok = true};

	(void)path;
	return write_kdump(w, &o);
}

#define KDUMP(name, how)                                                                                                                   \
	bool name(struct winimg *w, FILE *f, const char *path)                                                                             \
	{                                                                                                                                  \
		struct out o = {.f = f, .packing = (how), .ok = true};                                                                     \
                                                                                                                                           \
		(void)path;                                                                                                                \
		return write_kdump(w, &o);                                                                                                 \
	}
KDUMP(cont_kdump_snappy, SNAPPY)
KDUMP(cont_kdump_lzo, LZO)
KDUMP(cont_kdump_zstd, ZSTD)
#undef KDUMP

bool cont_kdump_flat(struct winimg *w, FILE *f, const char *path)
{
	struct out o = {.f = f, .flat = true, .packing = ZLIB, .ok = true};
	uint8_t head[WM_PAGE] = "makedumpfile", end[16];

	(void)path;
	put_be64(head + 16, 1);
	put_be64(head + 24, 1);
	memset(end, 0xff, sizeof(end));
	return fwrite(head, 1, WM_PAGE, f) == WM_PAGE && write_kdump(w, &o) && fwrite(end, 1, 16, f) == 16;
}
