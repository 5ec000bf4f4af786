/* layer_xz.c - xz through liblzma. With a whole index (at the end of the file, also of several streams) every block is a starting place and the
 * size is known; without one the streams are unpacked forward. */
#include "layer.h"
#include "libraries.h"

#if LIB_LZMA
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#define IN_BYTES      65536u
#define XZ_MEMORY_MAX ((uint64_t)1 << 30) /* what liblzma may use: -9 wants 65 MB, --lzma2=dict=1GiB more */
#define INDEX_MEMORY  ((uint64_t)512 << 20)

struct xz {
	struct input *in;
	lzma_index *index; /* NULL: forward only */
	lzma_stream s;
	bool ready, in_block;
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	lzma_index_iter iter;
	uint64_t in_off;
	uint8_t buf[IN_BYTES];
};

static bool xz_probe(const uint8_t *head, size_t n)
{
	return n >= 6 && memcmp(head,
				"\xfd"
				"7zXZ\0",
				6) == 0;
}

static int code_of(lzma_ret r, struct err *e)
{
	switch (r) {
	case LZMA_MEM_ERROR:
		return err_set(e, ERR_NOMEM, "out of memory");
	case LZMA_MEMLIMIT_ERROR:
		return err_set(e, ERR_LIMIT, "xz: wants more than %llu MiB to unpack", (unsigned long long)(XZ_MEMORY_MAX >> 20));
	case LZMA_BUF_ERROR:
		return err_set(e, ERR_TRUNC, "xz: the data ends early");
	default:
		return err_set(e, ERR_FORMAT, "xz: damaged data");
	}
}

/* The index of all streams: reads the end of the file, not all of it. Failure leaves x->index NULL. */
static int read_index(struct xz *x, struct err *e)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret r = lzma_file_info_decoder(&s, &x->index, INDEX_MEMORY, input_size(x->in));
	uint64_t at = 0;
	unsigned steps = 0;

	while (r == LZMA_OK && steps++ < 1000000) {
		if (s.avail_in == 0) {
			int64_t k = input_read(x->in, at, x->buf, IN_BYTES, e);

			if (k < 0) {
				lzma_end(&s);
				return (int)k;
			}
			s.next_in = x->buf;
			s.avail_in = (size_t)k;
			at += (uint64_t)k;
		}
		r = lzma_code(&s, s.avail_in ? LZMA_RUN : LZMA_FINISH);
		if (r == LZMA_SEEK_NEEDED) {
			at = s.seek_pos;
			s.avail_in = 0;
			r = LZMA_OK;
		}
	}
	lzma_end(&s);
	if (r != LZMA_STREAM_END)
		x->index = NULL;
	return r == LZMA_MEM_ERROR ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

static int forward(struct xz *x, struct err *e)
{
	lzma_stream fresh = LZMA_STREAM_INIT;
	lzma_ret r;

	if (x->ready)
		lzma_end(&x->s);
	x->s = fresh;
	r = lzma_stream_decoder(&x->s, XZ_MEMORY_MAX, LZMA_CONCATENATED);
	x->ready = r == LZMA_OK;
	x->in_off = 0;
	return r == LZMA_OK ? 0 : code_of(r, e);
}

static void end_block(struct xz *x)
{
	if (x->ready)
		lzma_end(&x->s);
	x->ready = false;
	if (x->in_block)
		lzma_filters_free(x->filters, NULL);
	x->in_block = false;
}

static void xz_close(void *state)
{
	struct xz *x = state;

	end_block(x);
	lzma_index_end(x->index, NULL);
	free(x);
}

static int xz_open(void **state, struct input *in, struct err *e)
{
	struct xz *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	x->in = in;
	rc = read_index(x, e);
	if (rc == 0 && x->index)
		lzma_index_iter_init(&x->iter, x->index);
	else if (rc == 0)
		rc = forward(x, e);
	if (rc < 0) {
		xz_close(x);
		return rc;
	}
	*state = x;
	return 0;
}

static bool xz_known(void *state, uint64_t *size)
{
	struct xz *x = state;

	if (x->index)
		*size = lzma_index_uncompressed_size(x->index);
	return x->index != NULL;
}

/* Sets the decoder to the block that x->iter stands on. */
static int open_block(struct xz *x, struct err *e)
{
	uint8_t head[LZMA_BLOCK_HEADER_SIZE_MAX];
	lzma_stream fresh = LZMA_STREAM_INIT;
	uint64_t at = x->iter.block.compressed_file_offset;
	lzma_ret r;
	int rc;

	end_block(x);
	x->filters[0].id = LZMA_VLI_UNKNOWN;
	memset(&x->block, 0, sizeof(x->block));
	x->block.version = 1;
	x->block.filters = x->filters;
	x->block.check = x->iter.stream.flags ? x->iter.stream.flags->check : LZMA_CHECK_NONE;
	rc = input_read_all(x->in, at, head, 1, e);
	if (rc < 0)
		return rc;
	if (head[0] == 0)
		return err_set(e, ERR_FORMAT, "xz: no block stands where the index says");
	x->block.header_size = lzma_block_header_size_decode(head[0]);
	rc = input_read_all(x->in, at, head, x->block.header_size, e);
	if (rc < 0)
		return rc;
	r = lzma_block_header_decode(&x->block, NULL, head);
	if (r != LZMA_OK)
		return code_of(r, e);
	x->in_block = true;
	r = lzma_block_compressed_size(&x->block, x->iter.block.unpadded_size);
	if (r == LZMA_OK && lzma_raw_decoder_memusage(x->filters) > XZ_MEMORY_MAX)
		r = LZMA_MEMLIMIT_ERROR;
	x->s = fresh;
	if (r == LZMA_OK)
		r = lzma_block_decoder(&x->s, &x->block);
	x->ready = r == LZMA_OK;
	x->in_off = at + x->block.header_size;
	return r == LZMA_OK ? 0 : code_of(r, e);
}

static uint64_t xz_place(void *state, uint64_t off)
{
	struct xz *x = state;
	lzma_index_iter it;

	lzma_index_iter_init(&it, x->index);
	return lzma_index_iter_locate(&it, off) ? 0 : it.block.uncompressed_file_offset;
}

static int xz_seek(void *state, uint64_t place, struct err *e)
{
	struct xz *x = state;

	if (lzma_index_iter_locate(&x->iter, place))
		return err_set(e, ERR_FORMAT, "xz: behind the end");
	return open_block(x, e);
}

static int64_t xz_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct xz *x = state;

	while (x->ready) {
		lzma_ret r;

		if (x->s.avail_in == 0) {
			int64_t k = input_read(x->in, x->in_off, x->buf, IN_BYTES, e);

			if (k < 0)
				return k;
			x->in_off += (uint64_t)k;
			x->s.next_in = x->buf;
			x->s.avail_in = (size_t)k;
		}
		x->s.next_out = buf;
		x->s.avail_out = n;
		r = lzma_code(&x->s, x->s.avail_in ? LZMA_RUN : LZMA_FINISH);
		if (x->s.avail_out < n)
			return (int64_t)(n - x->s.avail_out);
		if (r == LZMA_STREAM_END && x->index) {
			int rc;

			if (lzma_index_iter_next(&x->iter, LZMA_INDEX_ITER_NONEMPTY_BLOCK))
				return 0;
			rc = open_block(x, e);
			if (rc < 0)
				return rc;
		} else if (r == LZMA_STREAM_END) {
			return 0;
		} else if (r != LZMA_OK) {
			return code_of(r, e);
		}
	}
	return x->index ? err_set(e, ERR_FORMAT, "xz: not set to a block") : 0;
}

/* Without an index: the beginning is the one starting place. */
static int xz_resume(void *state, const void *mark, struct err *e)
{
	(void)mark;
	return forward(state, e);
}

const struct layer_codec layer_xz = {.name = "xz",
				     .probe = xz_probe,
				     .open = xz_open,
				     .close = xz_close,
				     .read = xz_read,
				     .known = xz_known,
				     .place = xz_place,
				     .seek = xz_seek,
				     .resume = xz_resume};
#else
const struct layer_codec layer_xz = {.name = "xz"};
#endif
