/* unpack.c - see unpack.h */
#include "unpack.h"

#include <string.h>
#include <zlib.h>
#ifdef HAVE_LZMA
#include <lzma.h>
#endif

#define STEP 65536 /* the output grows by as much */

#define XZ_MEMORY_MAX (192u << 20) /* what liblzma may use: -9 needs 65 MB */

/* Room for up to STEP bytes behind b, not beyond max in all (counted from start). 0 room: the limit. */
static size_t room(struct buf *b, size_t start, size_t max)
{
	size_t used = b->n - start, n = max - used < STEP ? max - used : STEP;

	return n && buf_grow(b, n) ? n : 0;
}

static int limit(const struct buf *b, size_t max, struct err *e)
{
	if (b->failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	return err_set(e, ERR_LIMIT, "more than %zu bytes when unpacked", max);
}

static int inflate_all(struct buf *out, const void *p, size_t n, size_t max, struct err *e)
{
	z_stream z;
	size_t start = out->n;
	int r = Z_OK;

	memset(&z, 0, sizeof(z));
	if (n > UINT32_MAX)
		return err_set(e, ERR_LIMIT, "more than 4 GB packed");
	if (inflateInit2(&z, 15 + 32) != Z_OK) /* zlib or gzip, by its header */
		return err_set(e, ERR_NOMEM, "out of memory");
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	while (r == Z_OK) {
		size_t got = room(out, start, max);
		uint8_t one; /* at the limit: is there another byte? */

		z.next_out = got ? out->p + out->n - got : &one;
		z.avail_out = got ? (uInt)got : 1;
		r = inflate(&z, Z_NO_FLUSH);
		if (!got && (out->failed || z.avail_out == 0)) {
			inflateEnd(&z);
			return limit(out, max, e);
		}
		if (got)
			out->n -= z.avail_out;
		if (r == Z_BUF_ERROR || (r == Z_OK && z.avail_in == 0 && z.avail_out != 0)) {
			inflateEnd(&z);
			return err_set(e, ERR_TRUNC, "the compressed data ends early");
		}
	}
	inflateEnd(&z);
	return r == Z_STREAM_END ? 0 : err_set(e, ERR_FORMAT, "damaged compressed data");
}

#ifdef HAVE_LZMA
static int unxz_all(struct buf *out, const void *p, size_t n, size_t max, struct err *e)
{
	lzma_stream z = LZMA_STREAM_INIT;
	size_t start = out->n;
	lzma_ret r = LZMA_OK;

	if (lzma_stream_decoder(&z, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
		return err_set(e, ERR_NOMEM, "out of memory");
	z.next_in = p;
	z.avail_in = n;
	while (r == LZMA_OK) {
		size_t got = room(out, start, max);
		uint8_t one;

		z.next_out = got ? out->p + out->n - got : &one;
		z.avail_out = got ? got : 1;
		r = lzma_code(&z, LZMA_FINISH);
		if (!got && (out->failed || z.avail_out == 0)) {
			lzma_end(&z);
			return limit(out, max, e);
		}
		if (got)
			out->n -= z.avail_out;
	}
	lzma_end(&z);
	if (r == LZMA_STREAM_END)
		return 0;
	if (r == LZMA_BUF_ERROR)
		return err_set(e, ERR_TRUNC, "the compressed data ends early");
	if (r == LZMA_MEM_ERROR)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (r == LZMA_MEMLIMIT_ERROR)
		return err_set(e, ERR_LIMIT, "needs more than %u bytes to unpack", XZ_MEMORY_MAX);
	return err_set(e, ERR_FORMAT, "damaged compressed data");
}
#else
static int unxz_all(struct buf *out, const void *p, size_t n, size_t max, struct err *e)
{
	(void)out, (void)p, (void)n, (void)max;
	return err_set(e, ERR_UNSUPPORTED, "xz: this build has no liblzma; unpack the file first (xz -d)");
}
#endif

int unpack_bytes(struct buf *out, const void *p, size_t n, size_t max, struct err *e)
{
	static const uint8_t xz[6] = {0xfd, '7', 'z', 'X', 'Z', 0};
	const uint8_t *b = p;

	if (n >= 2 && b[0] == 0x1f && b[1] == 0x8b)
		return inflate_all(out, p, n, max, e);
	if (n >= 6 && memcmp(b, xz, 6) == 0)
		return unxz_all(out, p, n, max, e);
	if (n > max)
		return err_set(e, ERR_LIMIT, "more than %zu bytes", max);
	buf_put(out, p, n);
	return out->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int unpack_zlib(struct buf *out, const void *p, size_t n, size_t size, struct err *e)
{
	size_t start = out->n;
	int r = inflate_all(out, p, n, size, e);

	if (r)
		return r;
	return out->n - start == size ? 0 : err_set(e, ERR_FORMAT, "damaged built-in data");
}

int unpack_input(struct buf *out, struct input *in, size_t max, struct err *e)
{
	uint64_t size = input_size(in);
	struct buf raw;
	int r;

	if (size > max)
		return err_set(e, ERR_LIMIT, "more than %zu bytes", max);
	buf_init(&raw);
	if (size && !buf_grow(&raw, (size_t)size)) {
		buf_free(&raw);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	r = input_read_all(in, 0, raw.p, (size_t)size, e);
	if (!r)
		r = unpack_bytes(out, raw.p, (size_t)size, max, e);
	buf_free(&raw);
	return r;
}
