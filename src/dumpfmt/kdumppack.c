/* kdumppack.c - see kdumppack.h */
#include "kdumppack.h"

#include <string.h>

#include "err.h"
#include "snappyblock.h"
#if LIB_LZO
#include <lzo/lzo1x.h>
#endif

void kdumppack_end(struct kdumppack *u)
{
	if (u->z_ready)
		inflateEnd(&u->z);
#if LIB_ZSTD
	ZSTD_freeDCtx(u->zstd);
#endif
}

static int64_t unpack_zlib_page(struct kdumppack *u, const uint8_t *p, uint32_t n, uint8_t *out, uint32_t page)
{
	if (!u->z_ready && inflateInit(&u->z) != Z_OK)
		return ERR_NOMEM;
	u->z_ready = true;
	inflateReset(&u->z);
	u->z.next_in = (Bytef *)(uintptr_t)p;
	u->z.avail_in = n;
	u->z.next_out = out;
	u->z.avail_out = page;
	return inflate(&u->z, Z_FINISH) == Z_STREAM_END ? (int64_t)(page - u->z.avail_out) : ERR_FORMAT;
}

int64_t kdumppack_unpack(struct kdumppack *u, const uint8_t *p, uint32_t n, uint32_t flags, uint8_t *out, uint32_t page)
{
	switch (flags & (KDUMP_ZLIB | KDUMP_LZO | KDUMP_SNAPPY | KDUMP_ZSTD)) {
	case 0:
		memcpy(out, p, n < page ? n : page);
		return n < page ? n : page;
	case KDUMP_ZLIB:
		return unpack_zlib_page(u, p, n, out, page);
	case KDUMP_SNAPPY:
		return snappyblock_unpack(p, n, out, page);
#if LIB_LZO
	case KDUMP_LZO: {
		lzo_uint len = page;

		return lzo1x_decompress_safe(p, n, out, &len, NULL) == LZO_E_OK ? (int64_t)len : ERR_FORMAT;
	}
#endif
#if LIB_ZSTD
	case KDUMP_ZSTD: {
		size_t len;

		if (!u->zstd && !(u->zstd = ZSTD_createDCtx()))
			return ERR_NOMEM;
		len = ZSTD_decompressDCtx(u->zstd, out, page, p, n);
		return ZSTD_isError(len) ? ERR_FORMAT : (int64_t)len;
	}
#endif
	default:
		return ERR_UNSUPPORTED;
	}
}
