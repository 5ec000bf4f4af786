/* layer_gzip.c - gzip (RFC 1952), also several members one behind the other, and one bare zlib stream (RFC 1950: LiME with compress=1), through zlib.
 * Snapshots are copies of zlib's state (some 45 KB). */
#include "layer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "rd.h"

#define IN_BYTES 65536u

#define FORM_ZLIB 15
#define FORM_GZIP (15 + 16)

struct gzip {
	struct input *in;
	int form; /* windowBits of inflateInit2() */
	z_stream z;
	bool ready;      /* z is initialised */
	bool over;       /* between members, or behind the last one */
	uint64_t member; /* where it began */
	uint64_t in_off; /* of what is read next */
	uint32_t have;   /* bytes of `buf` in use */
	uint8_t buf[IN_BYTES];
};

#define GZIP_STATE 45000u /* about: zlib's window and tables */

struct gzip_mark {
	z_stream z;
	bool over;
	uint64_t member;
	uint64_t in_off; /* of the first byte that zlib has not taken */
};

static bool gzip_probe(const uint8_t *head, size_t n)
{
	return n >= 10 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8 && (head[3] & 0xe0) == 0;
}

/* Two bytes are no magic: all that is there of the head must unpack. */
static bool zlib_probe(const uint8_t *head, size_t n)
{
	uint8_t out[4096];
	z_stream z = {0};
	uint64_t made;
	int r = Z_OK;

	if (n < 8 || (head[0] & 0x0f) != 8 || head[0] >> 4 > 7 || (head[0] << 8 | head[1]) % 31 != 0 || head[1] & 0x20 ||
	    inflateInit2(&z, FORM_ZLIB) != Z_OK)
		return false;
	z.next_in = (Bytef *)(uintptr_t)head;
	z.avail_in = (uInt)n;
	while (r == Z_OK && (z.avail_in || !z.avail_out)) {
		z.next_out = out;
		z.avail_out = sizeof(out);
		r = inflate(&z, Z_NO_FLUSH);
	}
	made = z.total_out;
	inflateEnd(&z);
	return made >= 32 && (r == Z_OK || r == Z_BUF_ERROR || r == Z_STREAM_END);
}

static void gzip_close(void *state)
{
	struct gzip *g = state;

	if (g->ready)
		inflateEnd(&g->z);
	free(g);
}

static const char *name_of(const struct gzip *g)
{
	return g->form == FORM_ZLIB ? "zlib" : "gzip";
}

static int start(struct gzip *g)
{
	if (g->ready)
		inflateEnd(&g->z);
	memset(&g->z, 0, sizeof(g->z));
	g->ready = inflateInit2(&g->z, g->form) == Z_OK;
	g->over = false;
	return g->ready ? 0 : ERR_NOMEM;
}

static int open_form(void **state, struct input *in, int form, struct err *e)
{
	struct gzip *g = calloc(1, sizeof(*g));

	if (g)
		g->form = form;
	if (!g || start(g) < 0) {
		free(g);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	g->in = in;
	*state = g;
	return 0;
}

static int gzip_open(void **state, struct input *in, struct err *e)
{
	return open_form(state, in, FORM_GZIP, e);
}

static int zlib_open(void **state, struct input *in, struct err *e)
{
	return open_form(state, in, FORM_ZLIB, e);
}

static int fill(struct gzip *g, struct err *e)
{
	int64_t k;

	if (g->z.avail_in)
		return 1;
	k = input_read(g->in, g->in_off, g->buf, IN_BYTES, e);
	if (k <= 0)
		return (int)k;
	g->in_off += (uint64_t)k;
	g->z.next_in = g->buf;
	g->z.avail_in = (uInt)k;
	return 1;
}

/* Behind a member: 1: another one begins, 0: the end. */
static int next_member(struct gzip *g, struct err *e)
{
	uint64_t at = g->in_off - g->z.avail_in;
	int rc = layer_next_member(g->form == FORM_ZLIB ? NULL : gzip_probe, name_of(g), g->in, &at, e);

	if (rc <= 0)
		return rc;
	g->in_off = g->member = at;
	return start(g) < 0 ? err_set(e, ERR_NOMEM, "out of memory") : 1;
}

static int64_t gzip_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct gzip *g = state;

	for (;;) {
		int rc = g->over ? next_member(g, e) : 1, z;
		bool end;

		if (rc <= 0)
			return rc;
		rc = fill(g, e);
		if (rc < 0)
			return rc;
		end = rc == 0; /* of a match that was begun some may still be to come */
		g->z.next_out = buf;
		g->z.avail_out = (uInt)n;
		z = inflate(&g->z, Z_NO_FLUSH);
		if (z == Z_STREAM_END)
			g->over = true;
		else if (z == Z_MEM_ERROR)
			return err_set(e, ERR_NOMEM, "out of memory");
		else if (z != Z_OK && z != Z_BUF_ERROR)
			return n - g->z.avail_out ? (int64_t)(n - g->z.avail_out)
						  : err_set(e, ERR_FORMAT, "%s: %s", name_of(g), g->z.msg ? g->z.msg : "damaged data");
		if (g->z.avail_out < n)
			return (int64_t)(n - g->z.avail_out);
		if (end && !g->over)
			return err_set(e, ERR_TRUNC, "%s: the data ends early", name_of(g));
	}
}

/* All of a member came out, and zlib, which has just taken the checksum or the length, says that it is another one's. */
static int skip_trailer(struct gzip *g, uint64_t at, uint64_t *next, struct err *e)
{
	bool sum = strcmp(g->z.msg, "incorrect data check") == 0;
	uint64_t end = g->in_off - g->z.avail_in;
	uint8_t length[4];

	if (!sum && strcmp(g->z.msg, "incorrect length check") != 0)
		return 0;
	if (sum && g->form == FORM_GZIP) {
		int rc = input_read_all(g->in, end, length, 4, e);

		if (rc < 0)
			return rc == ERR_IO || rc == ERR_NOMEM ? rc : 0;
		if (le32(length) != (uint32_t)g->z.total_out) /* then who knows what came out */
			return 0;
		end += 4;
	}
	g->in_off = end;
	*next = at;
	return 1;
}

/* A block of BGZF (SAM specification 4.1): its header has its packed length, and its end how much it unpacks to, 64 KiB at most. */
static int skip_bgzf(struct gzip *g, uint64_t at, uint64_t *next, struct err *e)
{
	uint8_t h[18], behind[14];
	uint64_t end;
	int64_t k = input_read(g->in, g->member, h, sizeof(h), e);
	uint32_t length;

	if (k < 0)
		return (int)k;
	if (k < (int64_t)sizeof(h) || !gzip_probe(h, sizeof(h)) || !(h[3] & 4) || le16(h + 10) < 6 || memcmp(h + 12, "BC\2\0", 4) != 0)
		return 0;
	end = g->member + le16(h + 16) + 1u;
	if (end < g->member + sizeof(h) + 8)
		return 0;
	k = input_read(g->in, end - 4, behind, sizeof(behind), e);
	if (k < 0)
		return (int)k;
	if (k < 4 || (k > 4 && !gzip_probe(behind + 4, (size_t)k - 4)))
		return 0;
	length = le32(behind);
	if (length > 65536 || length < g->z.total_out)
		return 0;
	*next = at + length - g->z.total_out;
	g->in_off = end;
	return 1;
}

static int gzip_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct gzip *g = state;
	int rc = g->over || !g->z.msg ? 0 : skip_trailer(g, at, next, e);

	if (rc == 0 && !g->over && g->form == FORM_GZIP)
		rc = skip_bgzf(g, at, next, e);
	if (rc > 0) {
		g->over = true;
		g->z.avail_in = 0;
	}
	return rc;
}

static int gzip_mark(void *state, void **mark, size_t *bytes)
{
	struct gzip *g = state;
	struct gzip_mark *m = calloc(1, sizeof(*m));

	if (!m || inflateCopy(&m->z, &g->z) != Z_OK) {
		free(m);
		return ERR_NOMEM;
	}
	m->over = g->over;
	m->member = g->member;
	m->in_off = g->in_off - g->z.avail_in;
	*bytes = GZIP_STATE;
	*mark = m;
	return 0;
}

static void gzip_mark_free(void *mark)
{
	struct gzip_mark *m = mark;

	inflateEnd(&m->z);
	free(m);
}

static int gzip_resume(void *state, const void *mark, struct err *e)
{
	struct gzip *g = state;
	const struct gzip_mark *m = mark;
	int rc;

	if (!m) {
		g->in_off = g->member = 0;
		rc = start(g);
	} else {
		if (g->ready)
			inflateEnd(&g->z);
		memset(&g->z, 0, sizeof(g->z));
		rc = inflateCopy(&g->z, (z_stream *)(uintptr_t)&m->z) == Z_OK ? 0 : ERR_NOMEM;
		g->ready = rc == 0;
		g->over = m->over;
		g->member = m->member;
		g->in_off = m->in_off;
	}
	g->z.avail_in = 0;
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}

const struct layer_codec layer_gzip = {.name = "gzip",
				       .probe = gzip_probe,
				       .open = gzip_open,
				       .close = gzip_close,
				       .read = gzip_read,
				       .mark = gzip_mark,
				       .resume = gzip_resume,
				       .mark_free = gzip_mark_free,
				       .skip = gzip_skip};

const struct layer_codec layer_zlib = {.name = "zlib",
				       .probe = zlib_probe,
				       .open = zlib_open,
				       .close = gzip_close,
				       .read = gzip_read,
				       .mark = gzip_mark,
				       .resume = gzip_resume,
				       .mark_free = gzip_mark_free,
				       .skip = gzip_skip};
