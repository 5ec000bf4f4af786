/* layer_snappy.c - the framing of Snappy (framing_format.txt of google/snappy) and of S2 (blocks up to 4 MiB): chunks that stand for themselves, each
 * with the CRC-32C of what it unpacks to. A walk over the chunk headers gives the size and every starting place. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

#include "blockout.h"
#include "buf.h"
#include "crc32c.h"
#include "rd.h"
#include "snappyblock.h"

#define CHUNK_UNPACKED_MAX (4u << 20)
#define CHUNK_PACKED_MAX   (5u << 20)

struct place {
	uint64_t in_off, out_off;
};

struct snappy {
	const char *name;
	struct input *in;
	struct place *v;
	size_t n, cap;
	uint64_t size, in_off;
	uint32_t lost; /* what the chunk before in_off holds, which is damaged; 0: none is */
	bool known;
	uint8_t *packed;
	struct blockout out;
	size_t cap_packed, cap_out;
};

static bool snappy_probe(const uint8_t *head, size_t n)
{
	return n >= 10 && memcmp(head, "\xff\x06\x00\x00sNaPpY", 10) == 0;
}

static bool s2_probe(const uint8_t *head, size_t n)
{
	return n >= 10 && memcmp(head, "\xff\x06\x00\x00S2sTwO", 10) == 0;
}

/* The chunk header at `at`: 1 data, 2 to be skipped, 0 the end of the file, negative: damage. *len: bytes behind the header. */
static int chunk_at(struct snappy *s, uint64_t at, uint8_t *type, uint32_t *len, uint32_t *unpacked, struct err *e)
{
	uint8_t h[13];
	int64_t k = input_read(s->in, at, h, sizeof(h), e);
	size_t used;

	if (k <= 0)
		return (int)k;
	if (h[0] == 0 && (k < 4 || (h[1] | h[2] | h[3]) == 0) && input_only_zeros(s->in, at)) /* padding */
		return 0;
	if (k < 4)
		return err_set(e, ERR_TRUNC, "%s: the data ends early", s->name);
	*type = h[0];
	*len = (uint32_t)h[1] | (uint32_t)h[2] << 8 | (uint32_t)h[3] << 16;
	if (*len > input_size(s->in) - at - 4)
		return err_set(e, ERR_TRUNC, "%s: the data ends early", s->name);
	if (*type >= 0x80)
		return 2;
	if (*type > 1 || *len < (*type ? 4 : 5) || *len > CHUNK_PACKED_MAX)
		return err_set(e, ERR_FORMAT, "%s: a chunk of type 0x%02x with %u bytes", s->name, *type, *len);
	*unpacked = *len - 4;
	if (*type == 0 && !snappyblock_length(h + 8, (size_t)k - 8, unpacked, &used))
		return err_set(e, ERR_FORMAT, "%s: a block without a length", s->name);
	if (*unpacked > CHUNK_UNPACKED_MAX)
		return err_set(e, ERR_FORMAT, "%s: a block of %u bytes", s->name, *unpacked);
	return 1;
}

static void snappy_close(void *state)
{
	struct snappy *s = state;

	free(s->v);
	free(s->packed);
	free(s->out.p);
	free(s);
}

static int list_chunks(struct snappy *s, struct err *e)
{
	uint64_t at = 0, out = 0;
	uint32_t len, unpacked;
	uint8_t type;
	int rc;

	while ((rc = chunk_at(s, at, &type, &len, &unpacked, NULL)) > 0) {
		void *arr = s->v;

		if (rc == 1 && unpacked) {
			if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
				return err_set(e, ERR_NOMEM, "out of memory");
			s->v = arr;
			s->v[s->n++] = (struct place){at, out};
			out += unpacked;
		}
		at += 4 + (uint64_t)len;
	}
	s->known = rc == 0;
	s->size = out;
	return 0;
}

static int open_as(void **state, const char *name, struct input *in, struct err *e)
{
	struct snappy *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->name = name;
	s->in = in;
	rc = list_chunks(s, e);
	if (rc < 0) {
		snappy_close(s);
		return rc;
	}
	*state = s;
	return 0;
}

static int snappy_open(void **state, struct input *in, struct err *e)
{
	return open_as(state, "snappy", in, e);
}

static int s2_open(void **state, struct input *in, struct err *e)
{
	return open_as(state, "s2", in, e);
}

static bool snappy_known(void *state, uint64_t *size)
{
	struct snappy *s = state;

	*size = s->size;
	return s->known;
}

static const struct place *place_of(const struct snappy *s, uint64_t off)
{
	size_t lo = 0, hi = s->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].out_off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return &s->v[lo];
}

static uint64_t snappy_place(void *state, uint64_t off)
{
	struct snappy *s = state;

	return s->n ? place_of(s, off)->out_off : 0;
}

static int snappy_seek(void *state, uint64_t place, struct err *e)
{
	struct snappy *s = state;

	if (!s->n)
		return err_set(e, ERR_FORMAT, "%s: nothing in it", s->name);
	s->in_off = place_of(s, place)->in_off;
	s->out.n = s->out.at = s->lost = 0;
	return 0;
}

/* Room for n bytes; what was there may be lost. */
static int want_room(uint8_t **p, size_t *cap, size_t n)
{
	if (n <= *cap)
		return 0;
	free(*p);
	*p = malloc(n);
	*cap = *p ? n : 0;
	return *p ? 0 : ERR_NOMEM;
}

static int next_chunk(struct snappy *s, struct err *e)
{
	uint32_t len, unpacked = 0;
	uint8_t type;
	int rc;

	s->out.n = s->out.at = s->lost = 0;
	while ((rc = chunk_at(s, s->in_off, &type, &len, &unpacked, e)) > 0) {
		uint64_t at = s->in_off + 4;

		s->in_off = at + len;
		if (rc == 2 || unpacked == 0)
			continue;
		if (want_room(&s->packed, &s->cap_packed, len) < 0 || want_room(&s->out.p, &s->cap_out, unpacked) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		s->lost = unpacked;
		rc = input_read_all(s->in, at, s->packed, len, e);
		if (rc < 0)
			return rc;
		if (type == 1)
			memcpy(s->out.p, s->packed + 4, unpacked);
		else if (snappyblock_unpack(s->packed + 4, len - 4, s->out.p, unpacked) != (int64_t)unpacked)
			return err_set(e, ERR_FORMAT, "%s: a damaged block", s->name);
		if (crc32c_masked(s->out.p, unpacked) != le32(s->packed))
			return err_set(e, ERR_FORMAT, "%s: a block with a wrong checksum", s->name);
		s->out.n = unpacked;
		s->lost = 0;
		return 1;
	}
	return rc;
}

static int64_t snappy_read(void *state, uint8_t *buf, size_t n, struct err *e)
{
	struct snappy *s = state;

	if (s->out.at == s->out.n) {
		int rc = next_chunk(s, e);

		if (rc <= 0)
			return rc;
	}
	return (int64_t)blockout_take(&s->out, buf, n);
}

/* For a file that is damaged somewhere: snapshots at chunks. */
static int snappy_mark(void *state, void **mark, size_t *bytes)
{
	struct snappy *s = state;
	uint64_t *m = NULL;

	if (s->out.at == s->out.n) {
		m = malloc(sizeof(*m));
		if (!m)
			return ERR_NOMEM;
		*m = s->in_off;
	}
	*bytes = sizeof(*m);
	*mark = m;
	return 0;
}

static int snappy_resume(void *state, const void *mark, struct err *e)
{
	struct snappy *s = state;
	const uint64_t *m = mark;

	(void)e;
	s->in_off = m ? *m : 0;
	s->out.n = s->out.at = s->lost = 0;
	return 0;
}

static int snappy_skip(void *state, uint64_t at, uint64_t *next, struct err *e)
{
	struct snappy *s = state;
	uint32_t lost = s->lost;

	(void)e;
	s->lost = 0;
	*next = at + lost;
	return lost > 0;
}

#define CODEC(NAME)                                                                                                                        \
	const struct layer_codec layer_##NAME = {.name = #NAME,                                                                            \
						 .probe = NAME##_probe,                                                                    \
						 .open = NAME##_open,                                                                      \
						 .close = snappy_close,                                                                    \
						 .read = snappy_read,                                                                      \
						 .known = snappy_known,                                                                    \
						 .place = snappy_place,                                                                    \
						 .seek = snappy_seek,                                                                      \
						 .mark = snappy_mark,                                                                      \
						 .resume = snappy_resume,                                                                  \
						 .mark_free = free,                                                                        \
						 .skip = snappy_skip}
CODEC(snappy);
CODEC(s2);
