/* ewfsalvage.c - chunks of an EWF segment that no table leads to. See ewf.h
 *
 * Chunks stand one behind the other, and each proves itself: a zlib stream of as many bytes as a chunk has, with its Adler-32, or so many bytes and their
 * Adler-32. What proves nothing is no chunk. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ewf.h"
#include "rd.h"

#define SEARCH_MAX   (16u << 20) /* bytes that the next chunk is looked for in, behind damaged ones of one section */
#define SEARCH_STEP  65536u
#define SEARCH_TRIES 64u /* stored chunks that may be damaged in a row */

struct salvage {
	const struct ewf *x;
	unsigned seg;
	uint64_t end;       /* of the section */
	uint8_t *in, *out;  /* of PACKED_MAX and chunk_size bytes */
	uint32_t short_one; /* bytes of the medium's last chunk; 0: it is as long as all */
	uint64_t left;      /* bytes that may still be searched */
};

static bool zlib_begins(const uint8_t *p)
{
	return p[0] == 0x78 && (p[0] * 256u + p[1]) % 31 == 0 && !(p[1] & 0x20);
}

/* A zlib stream of one chunk at p. Returns its length, or 0. */
static uint32_t packed_at(struct salvage *s, const uint8_t *p, size_t n)
{
	z_stream z = {0};
	uint32_t len = 0, got;
	int rc;

	if (n < 2 || !zlib_begins(p) || inflateInit(&z) != Z_OK)
		return 0;
	z.next_in = (Bytef *)p;
	z.avail_in = (uInt)n;
	z.next_out = s->out;
	z.avail_out = s->x->chunk_size;
	rc = inflate(&z, Z_FINISH);
	got = s->x->chunk_size - z.avail_out;
	if (rc == Z_STREAM_END && (got == s->x->chunk_size || (got && got == s->short_one)))
		len = (uint32_t)n - z.avail_in;
	inflateEnd(&z);
	return len;
}

static bool stored_at(const uint8_t *p, size_t n, uint32_t bytes)
{
	return bytes && n >= (size_t)bytes + 4 && ewf_adler(p, bytes) == le32(p + bytes);
}

/* A chunk at off that proves itself. */
static bool chunk_at(struct salvage *s, uint64_t off, struct ewf_chunk *c)
{
	uint64_t want = EWF_PACKED_MAX(s->x->chunk_size);
	int64_t n;

	if (off >= s->end)
		return false;
	if (want > s->end - off)
		want = s->end - off;
	n = inputset_read(s->x->files, s->seg, off, s->in, (size_t)want, NULL);
	if (n <= 0)
		return false;
	*c = (struct ewf_chunk){.off = off, .seg = (uint16_t)s->seg};
	c->len = packed_at(s, s->in, (size_t)n);
	c->packed = c->len != 0;
	if (!c->len && stored_at(s->in, (size_t)n, s->x->chunk_size))
		c->len = s->x->chunk_size + 4;
	else if (!c->len && stored_at(s->in, (size_t)n, s->short_one))
		c->len = s->short_one + 4;
	return c->len != 0;
}

/* The next chunk behind what is none at off. */
static bool next_chunk(struct salvage *s, uint64_t off, struct ewf_chunk *c)
{
	uint64_t stored = (uint64_t)s->x->chunk_size + 4, until = s->end;
	uint8_t *p = malloc(SEARCH_STEP);
	struct ewf_chunk far;
	bool got = false, is_far = false;

	for (unsigned k = 1; k <= SEARCH_TRIES && !is_far && off + k * stored < s->end; k++)
		is_far = chunk_at(s, off + k * stored, &far);
	if (is_far)
		until = far.off;
	for (off++; p && !got && off + 1 < until && s->left; off += SEARCH_STEP - 1) {
		int64_t n = inputset_read(s->x->files, s->seg, off, p, SEARCH_STEP, NULL);

		for (int64_t i = 0; i + 1 < n && off + (uint64_t)i < until && !got && s->left; i++, s->left--)
			got = zlib_begins(p + i) && chunk_at(s, off + (uint64_t)i, c);
		if (n < (int64_t)SEARCH_STEP)
			break;
	}
	free(p);
	if (!got && is_far)
		*c = far;
	return got || is_far;
}

int ewf_salvage(const struct ewf *x, unsigned seg, uint64_t from, uint64_t end, ewf_found_fn *found, void *ctx, uint64_t *proved,
		struct err *e)
{
	struct salvage s = {.x = x, .seg = seg, .end = end, .left = SEARCH_MAX};
	struct ewf_chunk c;
	bool lost, any = false;
	int rc = 0;

	s.short_one = x->volume_sound ? (uint32_t)(x->media % x->chunk_size) : 0;
	s.in = malloc(EWF_PACKED_MAX(x->chunk_size));
	s.out = malloc(x->chunk_size);
	if (!s.in || !s.out)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	for (*proved = 0; rc == 0 && from < end; from = c.off + c.len, *proved += c.len) {
		lost = !chunk_at(&s, from, &c);
		if (lost && !next_chunk(&s, from, &c))
			break;
		rc = found(ctx, &c, lost, e);
		any |= lost;
	}
	free(s.in);
	free(s.out);
	if (rc < 0)
		return rc;
	return from < end ? EWF_SALVAGE_CUT : any ? EWF_SALVAGE_TO_END : EWF_SALVAGE_ALL;
}
