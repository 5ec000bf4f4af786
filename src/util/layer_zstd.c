/* layer_zstd.c - Zstandard (RFC 8878) through libzstd: any number of frames, skippable ones between them. When every frame says how much it holds
 * (zstd does for a file, the seekable format does), frames are starting places and the size is known; else they are found on the way.
 * Inside a long frame the state is copied (snapmem.h): libzstd has no function for that, but takes all its memory from an allocator. */
#include "layer.h"
#include "libraries.h"

#if LIB_ZSTD
#include <stdlib.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createDStream_advanced, which the shared library exports too */
#include <zstd.h>
#include <zstd_errors.h>

#include "buf.h"
#include "rd.h"
#include "snapmem.h"

#define IN_BYTES         131072u
#define WINDOW_LOG       31 /* zstd --long=31: 2 GiB */
#define WINDOW_LOG_SMALL 27 /* what zstd itself takes unasked: enough for a small file, whose header could ask for anything */
#define SMALL            ((uint64_t)16 << 20) /* bytes of a small file */
#define FRAMES_MAX       (1u << 24)
#define SKIP_STEPS       4u /* unpacked steps behind a frame's beginning that a mark may be */
#define NO_SIZE          UINT64_MAX

struct frame {
	uint64_t in_off, out_off;
};

struct zstd {
	struct input *in;
	struct snapmem *mem;
	ZSTD_DStream *s;
	struct frame *frame; /* when all sizes are known */
	size_t n, cap;
	uint64_t size;
	int window_log; /* the largest window that is taken */
	struct layer_limits limits;
	bool known;                   /* what every frame holds */
	uint64_t frame_in, frame_out; /* of the frame under way: where it began, bytes taken of it */
	bool between;                 /* frames: the next byte begins one */
	bool ignores;                 /* libzstd looks at no checksum, as ... */
	uint64_t unsound;             /* ... that of the frame here is wrong */
	uint64_t in_off;
	ZSTD_inBuffer ib;
	uint8_t buf[IN_BYTES];
};

struct zstd_mark {
	uint64_t in_off, skip;
	/* inside a frame; copy is NULL where the two are enough */
	struct snapmem_copy *copy;
	bool ignores;
	uint64_t next_in; /* of what libzstd has not taken */
};

static bool is_skippable(const uint8_t *p)
{
	return (le32(p) & 0xfffffff0) == 0x184d2a50;
}

static bool frame_probe(const uint8_t *head, size_t n)
{
	return n >= 4 && (le32(head) == ZSTD_MAGICNUMBER || (n >= 8 && is_skippable(head)));
}

static bool zstd_probe(const uint8_t *head, size_t n)
{
	return n >= 4 && le32(head) == ZSTD_MAGICNUMBER;
}

/* Bytes of the file for the walk over block headers: small blocks come together, and of large ones no more than a page is read. */
struct window {
	uint64_t off;
	size_t n;
	uint8_t bytes[4096];
};

static bool block_header(struct input *in, struct window *w, uint64_t at, uint32_t *v)
{
	const uint8_t *b;

	if (at < w->off || at - w->off > w->n || w->n - (size_t)(at - w->off) < 3) {
		int64_t k = input_read(in, at, w->bytes, sizeof(w->bytes), NULL);

		w->off = at;
		w->n = k > 0 ? (size_t)k : 0;
		if (w->n < 3)
			return false;
	}
	b = w->bytes + (at - w->off);
	*v = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
	return true;
}

/* Length of the frame at `at` by its block headers, and its content size. 0: it does not end, or is none. */
static uint64_t frame_length(struct input *in, uint64_t at, uint64_t *content)
{
	struct window w = {0};
	uint8_t h[18];
	int64_t k = input_read(in, at, h, sizeof(h), NULL);
	uint64_t off = at;
	unsigned fhd, header;
	size_t n = k > 0 ? (size_t)k : 0;

	if (n >= 8 && is_skippable(h)) {
		*content = 0;
		off += 8 + (uint64_t)le32(h + 4);
		return off <= input_size(in) ? off - at : 0;
	}
	if (n < 6 || le32(h) != ZSTD_MAGICNUMBER)
		return 0;
	*content = ZSTD_getFrameContentSize(h, n);
	if (*content == ZSTD_CONTENTSIZE_ERROR)
		return 0;
	if (*content == ZSTD_CONTENTSIZE_UNKNOWN)
		*content = NO_SIZE;
	fhd = h[4];
	header = 5 + (fhd & 0x20 ? 0 : 1) + ((fhd & 3) == 3 ? 4 : fhd & 3) +
		 ((fhd >> 6) == 0   ? (fhd & 0x20 ? 1 : 0)
		  : (fhd >> 6) == 1 ? 2
		  : (fhd >> 6) == 2 ? 4
				    : 8);
	for (off += header;;) {
		uint32_t v;

		if (!block_header(in, &w, off, &v))
			return 0;
		off += 3 + ((v >> 1 & 3) == 1 ? 1 : v >> 3);
		if ((v >> 1 & 3) == 3)
			return 0;
		if (v & 1)
			break;
	}
	off += fhd & 4 ? 4 : 0;
	return off <= input_size(in) ? off - at : 0;
}

/* The window that the frame at `at` wants; libzstd keeps as much, and little else. */
static uint64_t window_at(struct input *in, uint64_t at)
{
	uint8_t h[18];
	int64_t k = input_read(in, at, h, sizeof(h), NULL);
	ZSTD_frameHeader f;

	return k > 0 && ZSTD_getFrameHeader(&f, h, (size_t)k) == 0 ? f.windowSize : UINT64_MAX;
}

/* Not a frame is unpacked whose window is larger than what is taken: *e names both. */
static int window_fits(const struct zstd *z, uint64_t at, struct err *e)
{
	uint64_t want = window_at(z->in, at), most = (uint64_t)1 << z->window_log;

	if (want == UINT64_MAX || want <= most)
		return 0;
	return err_set(e, ERR_LIMIT,
		       "zstd: it wants a window of %llu MiB, and %s no more than %llu MiB is taken: unpack it first (zstd -d --long=31)",
		       (unsigned long long)(want >> 20), input_size(z->in) < SMALL ? "of a file under 16 MiB" : "here",
		       (unsigned long long)(most >> 20));
}

/* The first frame that is not skippable, or the end. */
static uint64_t first_frame(struct input *in)
{
	uint64_t at = 0;
	uint8_t h[8];

	for (unsigned i = 0; i <= LAYER_SKIPS_MAX && input_read_all(in, at, h, sizeof(h), NULL) == 0 && is_skippable(h); i++)
		at += 8 + (uint64_t)le32(h + 4);
	return at;
}

/* Frames one behind the other, when all of them say what they hold and end where the file does. */
static int list_frames(struct zstd *z, struct err *e)
{
	uint64_t at = 0, out = 0;

	while (at < input_size(z->in) && z->n < FRAMES_MAX) {
		uint64_t content = 0, len = frame_length(z->in, at, &content);
		void *arr = z->frame;

		if (!len && at && input_only_zeros(z->in, at)) /* padding */
			break;
		if (!len || content == NO_SIZE || content > LAYER_BYTES_MAX)
			return 0;
		if (content) {
			if (arr_reserve(&arr, &z->cap, z->n, sizeof(*z->frame)) < 0)
				return err_set(e, ERR_NOMEM, "out of memory");
			z->frame = arr;
			z->frame[z->n++] = (struct frame){at, out};
		}
		at += len;
		out += content;
	}
	z->known = at == input_size(z->in) || z->n < FRAMES_MAX;
	z->size = out;
	return 0;
}

static void zstd_close(void *state)
{
	struct zstd *z = state;

	ZSTD_freeDStream(z->s);
	snapmem_close(z->mem);
	free(z->frame);
	free(z);
}

static void go(struct zstd *z, uint64_t in_off)
{
	ZSTD_DCtx_reset(z->s, ZSTD_reset_session_only);
	z->in_off = in_off;
	z->ib.size = z->ib.pos = 0;
	z->between = true;
}

static int zstd_open(void **state, struct input *in, struct err *e)
{
	struct zstd *z = calloc(1, sizeof(*z));
	int rc;

	if (!z || !(z->mem = snapmem_new()) ||
	    !(z->s = ZSTD_createDStream_advanced((ZSTD_customMem){snapmem_alloc, snapmem_release, z->mem}))) {
		if (z)
			snapmem_close(z->mem);
		free(z);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	z->window_log = input_size(in) < SMALL ? WINDOW_LOG_SMALL : sizeof(size_t) == 8 ? WINDOW_LOG : 30;
	ZSTD_DCtx_setParameter(z->s, ZSTD_d_windowLogMax, z->window_log);
	z->in = in;
	z->ib.src = z->buf;
	z->unsound = UINT64_MAX;
	rc = window_fits(z, first_frame(in), e);
	if (rc == 0)
		rc = list_frames(z, e);
	if (rc < 0) {
		zstd_close(z);
		return rc;
	}
	go(z, 0);
	*state = z;
	return 0;
}

static bool zstd_known(void *state, uint64_t *size)
{
	struct zstd *z = state;

	*size = z->size;
	return z->known;
}

static size_t frame_at(const struct zstd *z, uint64_t off)
{
	size_t lo = 0, hi = z->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (z->frame[mid].out_off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static uint64_t zstd_place(void *state, uint64_t off)
{
	struct zstd *z = state;

	return z->n ? z->frame[frame_at(z, off)].out_off : 0;
}

static int zstd_seek(void *state, uint64_t place, struct err *e)
{
	struct zstd *z = state;

	if (!z->n)
		return err_set(e, ERR_FORMAT, "zstd: nothing in it");
	go(z, z->frame[frame_at(z, place)].in_off);
	return 0;
}

static int set_ignores(struct zstd *z, bool to)
{
	if (z->ignores == to)
		return 0;
	ZSTD_DCtx_reset(z->s, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_DCtx_setParameter(z->s, ZSTD_d_forceIgnoreChecksum, to ? ZSTD_d_ignoreChecksum : ZSTD_d_validateChecksum)))
		return ERR_UNSUPPORTED;
	z->ignores = to;
	return 0;
}

/* A frame begins where libzstd stands: 1, or 0: none does, the end. Formats from before zstd 0.8, which it may know too, are refused: it does not ask our allocator for their memory, so
 * copies of its state would share that, and it leaks once one is put back. */
static int begin_frame(struct zstd *z, struct err *e)
{
	size_t n = z->ib.size - z->ib.pos;

	z->frame_in = z->in_off - n;
	z->frame_out = 0;
	if (!frame_probe(z->buf + z->ib.pos, n)) { /* or in two reads of the file */
		uint64_t at = z->frame_in;
		int rc = layer_next_member(frame_probe, "zstd", z->in, &at, e);

		if (rc <= 0)
			return rc;
		if (at != z->frame_in)
			go(z, at);
		z->frame_in = at;
	}
	if (set_ignores(z, z->unsound == z->frame_in) < 0)
		return err_set(e, ERR_FORMAT, "zstd: a wrong checksum");
	z->between = false;
	return 1;
}

static int64_t zstd_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct zstd *z = state;
	ZSTD_outBuffer ob = {buf, n, 0};
	bool ended = false;

	while (ob.pos == 0) {
		size_t r;
		int rc;

		if (z->ib.pos == z->ib.size) {
			int64_t k = input_read(z->in, z->in_off, z->buf, IN_BYTES, e);

			if (k < 0)
				return k;
			if (k == 0 && z->between)
				return 0;
			if (ended)
				return err_set(e, ERR_TRUNC, "zstd: the data ends early");
			ended = k == 0; /* of a block that was read whole some may still be to come */
			z->in_off += (uint64_t)k;
			z->ib.size = (size_t)k;
			z->ib.pos = 0;
		}
		rc = z->between ? begin_frame(z, e) : 1;
		if (rc <= 0)
			return rc;
		r = ZSTD_decompressStream(z->s, &ob, &z->ib);
		if (ZSTD_isError(r)) {
			if (ZSTD_getErrorCode(r) == ZSTD_error_memory_allocation)
				return err_set(e, ERR_NOMEM, "out of memory");
			if (window_fits(z, z->frame_in, e) < 0)
				return ERR_LIMIT;
			if (ZSTD_getErrorCode(r) == ZSTD_error_checksum_wrong)
				z->unsound = z->frame_in;
			return err_set(e, ERR_FORMAT, "zstd: %s", ZSTD_getErrorName(r));
		}
		z->frame_out += ob.pos;
		z->between = r == 0;
	}
	return (int64_t)ob.pos;
}

/* A frame begins here, and `skip` of its bytes have been handed out. Once its checksum has turned out to be wrong nobody looks at that again. */
static int skip_to(struct zstd *z, uint64_t skip, struct err *e)
{
	uint64_t all = skip;

	uint8_t *waste = malloc(IN_BYTES);
	int rc = waste ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	while (rc == 0 && skip) {
		int64_t k = zstd_read(z, waste, skip < IN_BYTES ? (size_t)skip : IN_BYTES, e);

		if (k < 0 && !z->ignores && z->unsound == z->frame_in) {
			go(z, z->frame_in);
			skip = all;
		} else if (k <= 0)
			rc = k < 0 ? (int)k : err_set(e, ERR_FORMAT, "zstd: a frame is shorter now");
		else
			skip -= (uint64_t)k;
	}
	free(waste);
	return rc;
}

/* Over the frame under way, when it says how much it holds and where it ends, and another one begins there, or nothing. */
static int skip_frame(struct zstd *z, uint64_t at, uint64_t *next, struct err *e)
{
	uint64_t content = NO_SIZE, len = z->between ? 0 : frame_length(z->in, z->frame_in, &content);
	uint8_t h[4];
	int64_t k;

	if (!len || content == NO_SIZE || content < z->frame_out)
		return 0;
	k = input_read(z->in, z->frame_in + len, h, sizeof(h), e);
	if (k < 0)
		return (int)k;
	if (k && (k < 4 || (le32(h) != ZSTD_MAGICNUMBER && !is_skippable(h))))
		return 0;
	*next = at - z->frame_out + content;
	go(z, z->frame_in + len);
	return 1;
}

/* A wrong checksum: the frame once more, and nobody looks at that. */
static int zstd_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct zstd *z = state;
	uint64_t had = z->frame_out;
	int rc;

	if (!z->between && !z->ignores && z->unsound == z->frame_in) {
		*next = at;
		go(z, z->frame_in);
		rc = skip_to(z, had, e);
		return rc < 0 ? rc : 1;
	}
	return skip_frame(z, at, next, e);
}

static void zstd_limit(void *state, const struct layer_limits *limits)
{
	struct zstd *z = state;

	z->limits = *limits;
}

/* Is a frame so long that places in it are wanted? */
static bool zstd_marks_too(void *state)
{
	const struct zstd *z = state;

	for (size_t i = 0; i < z->n; i++) {
		uint64_t content = (i + 1 < z->n ? z->frame[i + 1].out_off : z->size) - z->frame[i].out_off;

		if (content > z->limits.step * LAYER_LONG_STEPS && window_at(z->in, z->frame[i].in_off) <= z->limits.mark_bytes)
			return true;
	}
	return false;
}

static void zstd_mark_free(void *mark)
{
	struct zstd_mark *m = mark;

	snapmem_copy_free(m->copy);
	free(m);
}

static int zstd_mark(void *state, void **mark, size_t *bytes)
{
	struct zstd *z = state;
	bool inside = !z->between && z->frame_out > z->limits.step * SKIP_STEPS;
	struct zstd_mark *m;

	*mark = NULL;
	if (inside ? snapmem_bytes(z->mem) > z->limits.mark_bytes : z->known)
		return 0; /* too large; or the frame is a place itself */
	m = calloc(1, sizeof(*m));
	if (!m)
		return ERR_NOMEM;
	m->ignores = z->ignores;
	m->next_in = z->in_off - (z->ib.size - z->ib.pos);
	m->in_off = z->between ? m->next_in : z->frame_in;
	m->skip = z->between ? 0 : z->frame_out;
	if (inside && !(m->copy = snapmem_save(z->mem))) {
		free(m);
		return ERR_NOMEM;
	}
	*bytes = sizeof(*m) + (inside ? snapmem_bytes(z->mem) : 0);
	*mark = m;
	return 0;
}

static int zstd_resume(void *state, const void *mark, struct err *e)
{
	struct zstd *z = state;
	const struct zstd_mark *m = mark;

	if (m && m->copy && snapmem_restore(z->mem, m->copy)) {
		z->in_off = m->next_in;
		z->ib.size = z->ib.pos = 0;
		z->between = false;
		z->ignores = m->ignores; /* it is in what was put back */
		z->frame_in = m->in_off;
		z->frame_out = m->skip;
		return 0;
	}
	go(z, m ? m->in_off : 0);
	return m && m->skip ? skip_to(z, m->skip, e) : 0;
}

const struct layer_codec layer_zstd = {.name = "zstd",
				       .slow = true,
				       .skips = true,
				       .probe = zstd_probe,
				       .open = zstd_open,
				       .close = zstd_close,
				       .read = zstd_read,
				       .known = zstd_known,
				       .place = zstd_place,
				       .seek = zstd_seek,
				       .mark = zstd_mark,
				       .resume = zstd_resume,
				       .mark_free = zstd_mark_free,
				       .limit = zstd_limit,
				       .marks_too = zstd_marks_too,
				       .skip = zstd_skip};
#else
const struct layer_codec layer_zstd = {.name = "zstd"};
#endif
