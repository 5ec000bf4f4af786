/* layer_xz.c - xz through liblzma. With a whole index (at the end of the file, also of several streams) every block is a starting place and the
 * size is known; without one the streams are unpacked forward. Inside a long block the decoder's memory is copied (snapmem.h). */
#include "layer.h"
#include "libraries.h"

#if LIB_LZMA
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "snapmem.h"

#define IN_BYTES      65536u
#define XZ_MEMORY_MAX ((uint64_t)1 << 30) /* what liblzma may use: -9 wants 65 MB, --lzma2=dict=1GiB more */
#define INDEX_MEMORY  ((uint64_t)512 << 20)

struct xz {
	struct input *in;
	struct layer_limits limits;
	lzma_index *index; /* NULL: forward only */
	struct snapmem *mem;
	lzma_allocator alloc; /* of it */
	lzma_stream s;
	bool ready;
	bool over; /* behind the last block, which is damaged */
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	lzma_index_iter iter;
	uint64_t in_off, out_n; /* unpacked since the block or the file began */
	uint8_t buf[IN_BYTES];
};

struct xz_mark {
	struct snapmem_copy *copy;
	lzma_stream s;
	lzma_block block; /* the decoder has its address */
	lzma_index_iter iter;
	uint64_t in_off, at; /* unpacked, since the block or the file began */
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

/* Where the last stream ends: its last byte is no zero, and what stands behind is padding, as long as it may be. */
static int without_padding(struct xz *x, uint64_t *end, struct err *e)
{
	*end = input_size(x->in);
	while (*end) {
		size_t n = *end < IN_BYTES ? (size_t)*end : IN_BYTES, i = n;
		int rc = input_read_all(x->in, *end - n, x->buf, n, e);

		if (rc < 0)
			return rc == ERR_NOMEM || rc == ERR_IO ? rc : 0;
		while (i && x->buf[i - 1] == 0)
			i--;
		*end -= n - i;
		if (i)
			break;
	}
	return 0;
}

/* The index of all streams: reads the end of the file, not all of it. Failure leaves x->index NULL. */
static int read_index(struct xz *x, struct err *e)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret r;
	uint64_t at = 0, end;
	unsigned steps = 0;
	int rc = without_padding(x, &end, e);

	if (rc < 0)
		return rc;
	r = lzma_file_info_decoder(&s, &x->index, INDEX_MEMORY, end);

	while (r == LZMA_OK && steps++ < 1000000) {
		if (s.avail_in == 0) {
			int64_t k = input_read(x->in, at, x->buf, end - at < IN_BYTES ? (size_t)(end - at) : IN_BYTES, e);

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

static void set_fresh(struct xz *x)
{
	lzma_stream fresh = LZMA_STREAM_INIT;

	if (x->ready)
		lzma_end(&x->s);
	x->s = fresh;
	x->s.allocator = &x->alloc;
	x->ready = false;
	x->over = false;
	x->out_n = 0;
}

static int forward(struct xz *x, struct err *e)
{
	lzma_ret r;

	set_fresh(x);
	r = lzma_stream_decoder(&x->s, XZ_MEMORY_MAX, LZMA_CONCATENATED);
	x->ready = r == LZMA_OK;
	x->in_off = 0;
	return r == LZMA_OK ? 0 : code_of(r, e);
}

static void xz_close(void *state)
{
	struct xz *x = state;

	set_fresh(x);
	snapmem_close(x->mem);
	lzma_index_end(x->index, NULL);
	free(x);
}

static void *alloc(void *mem, size_t n, size_t size)
{
	return size && n > SIZE_MAX / size ? NULL : snapmem_alloc(mem, n * size);
}

static int xz_open(void **state, struct input *in, struct err *e)
{
	struct xz *x = calloc(1, sizeof(*x));
	int rc;

	if (!x || !(x->mem = snapmem_new())) {
		free(x);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	x->alloc = (lzma_allocator){alloc, snapmem_release, x->mem};
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
	uint64_t at = x->iter.block.compressed_file_offset;
	bool other;
	lzma_ret r;
	int rc;

	set_fresh(x);
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
	/* places are where the index says: a block of another length would put its bytes at other blocks' */
	if (x->block.uncompressed_size == LZMA_VLI_UNKNOWN)
		x->block.uncompressed_size = x->iter.block.uncompressed_size;
	other = x->block.uncompressed_size != x->iter.block.uncompressed_size;
	r = other ? LZMA_DATA_ERROR : lzma_block_compressed_size(&x->block, x->iter.block.unpadded_size);
	if (r == LZMA_OK && lzma_raw_decoder_memusage(x->filters) > XZ_MEMORY_MAX)
		r = LZMA_MEMLIMIT_ERROR;
	if (r == LZMA_OK)
		r = lzma_block_decoder(&x->s, &x->block);
	lzma_filters_free(x->filters, NULL); /* the decoder has read them */
	x->block.filters = NULL;
	x->ready = r == LZMA_OK;
	x->in_off = at + x->block.header_size;
	if (other)
		return err_set(e, ERR_FORMAT, "xz: a block's length is not that of the index");
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
		if (x->s.avail_out < n) {
			x->out_n += n - x->s.avail_out;
			return (int64_t)(n - x->s.avail_out);
		}
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
	return x->index && !x->over ? err_set(e, ERR_FORMAT, "xz: not set to a block") : 0;
}

/* Where each block's bytes belong the index says. */
static int xz_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct xz *x = state;

	(void)at;
	if (!x->index)
		return 0;
	while (!lzma_index_iter_next(&x->iter, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
		int rc = open_block(x, e);

		*next = x->iter.block.uncompressed_file_offset;
		if (rc == ERR_NOMEM || rc == ERR_IO)
			return rc;
		if (rc == 0)
			return 1;
	}
	set_fresh(x);
	x->over = true;
	*next = lzma_index_uncompressed_size(x->index);
	return 1;
}

static void xz_limit(void *state, const struct layer_limits *limits)
{
	struct xz *x = state;

	x->limits = *limits;
}

/* Blocks that are long, and whose decoder (by the first one's header) is small enough to be copied. */
static bool xz_marks_too(void *state)
{
	struct xz *x = state;
	lzma_index_iter it;
	bool long_blocks = false;

	lzma_index_iter_init(&it, x->index);
	while (!long_blocks && !lzma_index_iter_next(&it, LZMA_INDEX_ITER_NONEMPTY_BLOCK))
		long_blocks = it.block.uncompressed_size > x->limits.step * LAYER_LONG_STEPS;
	if (!long_blocks || lzma_index_iter_locate(&x->iter, 0) || open_block(x, NULL) < 0)
		return false;
	return snapmem_bytes(x->mem) <= x->limits.mark_bytes;
}

static void xz_mark_free(void *mark)
{
	struct xz_mark *m = mark;

	snapmem_copy_free(m->copy);
	free(m);
}

static int xz_mark(void *state, void **mark, size_t *bytes)
{
	struct xz *x = state;
	struct xz_mark *m;

	*mark = NULL;
	if (!x->ready || snapmem_bytes(x->mem) > x->limits.mark_bytes)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m || !(m->copy = snapmem_save(x->mem))) {
		free(m);
		return ERR_NOMEM;
	}
	m->s = x->s;
	m->block = x->block;
	m->iter = x->iter;
	m->in_off = x->in_off - x->s.avail_in;
	m->at = x->out_n;
	*bytes = sizeof(*m) + snapmem_bytes(x->mem);
	*mark = m;
	return 0;
}

static int skip_to(struct xz *x, uint64_t at, struct err *e)
{
	uint8_t *waste = malloc(IN_BYTES);
	int rc = waste ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	while (rc == 0 && x->out_n < at) {
		int64_t k = xz_read(x, waste, at - x->out_n < IN_BYTES ? (size_t)(at - x->out_n) : IN_BYTES, e);

		if (k <= 0)
			rc = k < 0 ? (int)k : err_set(e, ERR_FORMAT, "xz: shorter now");
	}
	free(waste);
	return rc;
}

static int xz_resume(void *state, const void *mark, struct err *e)
{
	struct xz *x = state;
	const struct xz_mark *m = mark;
	int rc;

	if (m && snapmem_restore(x->mem, m->copy)) {
		x->s = m->s;
		x->s.avail_in = 0;
		x->block = m->block;
		x->iter = m->iter;
		x->in_off = m->in_off;
		x->out_n = m->at;
		x->ready = true;
		x->over = false;
		return 0;
	}
	if (m)
		x->iter = m->iter;
	rc = m && x->index ? open_block(x, e) : forward(x, e);
	return rc == 0 && m ? skip_to(x, m->at, e) : rc;
}

const struct layer_codec layer_xz = {.name = "xz",
				     .probe = xz_probe,
				     .open = xz_open,
				     .close = xz_close,
				     .read = xz_read,
				     .known = xz_known,
				     .place = xz_place,
				     .seek = xz_seek,
				     .mark = xz_mark,
				     .resume = xz_resume,
				     .mark_free = xz_mark_free,
				     .limit = xz_limit,
				     .marks_too = xz_marks_too,
				     .skip = xz_skip};
#else
const struct layer_codec layer_xz = {.name = "xz"};
#endif
