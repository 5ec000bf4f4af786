/* aff4stream.c - AFF4 image streams: chunks in bevies (members of the archive), each with an index. See aff4.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "aff4.h"
#include "libraries.h"
#include "rd.h"
#include "snappyblock.h"
#if LIB_LZ4
#include <lz4.h>
#endif

#define CHUNK_LOOK      (1u << 20)             /* chunks that are larger than they are said to be: so far */
#define PACKED_SLACK(n) ((n) + (n) / 4 + 1024) /* no chunk is packed into more */

/* ---- what it is -------------------------------------------------------------------------------------------------------------------------- */

static const struct aff4_member *bevy_of(const struct aff4 *x, const char *urn, uint32_t n)
{
	char tail[16];

	snprintf(tail, sizeof(tail), "%08u", n);
	return aff4_find_in(x, urn, tail);
}

static const struct aff4_member *index_of(const struct aff4 *x, const char *urn, uint32_t n, bool *old)
{
	const struct aff4_member *m;
	char tail[24];

	*old = false;
	snprintf(tail, sizeof(tail), "%08u.index", n);
	m = aff4_find_in(x, urn, tail);
	if (!m) {
		*old = true;
		snprintf(tail, sizeof(tail), "%08u/index", n);
		m = aff4_find_in(x, urn, tail);
	}
	return m;
}

/* The members of a stream stand together in the sorted list; a bevy has a name of eight digits. */
static uint32_t count_bevies(const struct aff4 *x, const char *urn)
{
	size_t n = strlen(urn), lo = aff4_from(x, urn);
	uint64_t most = 0, real = 0;

	for (; lo < x->n_m && strncmp(x->m[lo].urn, urn, n) == 0; lo++) {
		const char *t = x->m[lo].urn + n;

		if (t[0] != '/' || strspn(t + 1, "0123456789") != 8 || t[9])
			continue;
		real++;
		if (strtoul(t + 1, NULL, 10) >= most)
			most = strtoul(t + 1, NULL, 10) + 1;
	}
	/* some may be lost; far more of them than there are is a lie */
	return (uint32_t)(most < 2 * real + 1024 ? most : 2 * real + 1024);
}

bool aff4_stream_there(const struct aff4 *x, const char *urn)
{
	return bevy_of(x, urn, 0) || count_bevies(x, urn) > 0;
}

static uint64_t number(struct aff4 *x, const char *urn, const char *a, const char *b)
{
	const char *v = aff4rdf_get(&x->rdf, urn, a, 0);

	if (!v && b)
		v = aff4rdf_get(&x->rdf, urn, b, 0);
	return v ? strtoull(v, NULL, 10) : 0;
}

static void take_pack(struct aff4_stream *s)
{
	const char *v = aff4rdf_get(&s->x->rdf, s->urn, "compressionmethod", 0);
	static const struct {
		const char *part;
		enum aff4_pack pack;
	} ways[] = {{"snappy", AFF4_SNAPPY}, {"lz4", AFF4_LZ4},       {"rfc1951", AFF4_DEFLATE},
		    {"rfc1950", AFF4_ZLIB},  {"stored", AFF4_STORED}, {"ullCompr", AFF4_STORED}};

	if (!v)
		v = aff4rdf_get(&s->x->rdf, s->urn, "compression", 0);
	/* a stream that is described and names no way is stored; of one without a description nothing is known */
	s->pack = v || aff4rdf_first(&s->x->rdf, s->urn) == s->x->rdf.n ? AFF4_PACK_UNKNOWN : AFF4_STORED;
	for (size_t i = 0; v && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strstr(v, ways[i].part)) {
			s->pack = ways[i].pack;
			break;
		}
	s->always_packed = v && strstr(v, "github.com/google/snappy");
	if (v && s->pack == AFF4_PACK_UNKNOWN)
		notes_add(s->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: packed by a method that is not known: %.100s", v);
}

static const char *const pack_names[] = {NULL, "snappy", "lz4", "deflate", "zlib", NULL};

static void take_facts(struct aff4_stream *s)
{
	uint64_t chunk = number(s->x, s->urn, "chunksize", NULL), per = number(s->x, s->urn, "chunksinsegment", "chunkspersegment");

	if (chunk > AFF4_CHUNK_MAX || (!chunk && aff4rdf_get(&s->x->rdf, s->urn, "chunksize", 0)))
		notes_add(s->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: a stream has no chunk size that could be: %u is taken",
			  AFF4_CHUNK_USUAL);
	s->chunk_size = chunk && chunk <= AFF4_CHUNK_MAX ? (uint32_t)chunk : AFF4_CHUNK_USUAL;
	s->per_segment = per && per <= AFF4_SEGMENT_MAX ? (uint32_t)per : 0;
	s->size = number(s->x, s->urn, "size", NULL);
	take_pack(s);
	if (pack_names[s->pack])
		s->x->compression = pack_names[s->pack];
}

/* ---- the index --------------------------------------------------------------------------------------------------------------------------- */

/* Entries of a bevy's index, in the one form or the other: standard {u64 offset, u32 length}; before it u32 ends, or u32 beginnings from 0 on. */
struct index {
	struct buf b;
	bool old, from_zero;
	size_t n;
	uint64_t bevy_size;
};

static void settle_index(struct index *ix)
{
	if (!ix->old && ix->b.n % 12 && ix->b.n % 4 == 0)
		ix->old = true;
	ix->from_zero = ix->old && ix->b.n >= 4 && le32(ix->b.p) == 0;
	ix->n = ix->b.n / (ix->old ? 4 : 12);
}

static bool entry(const struct index *ix, size_t i, uint64_t *off, uint64_t *len)
{
	uint64_t end;

	if (!ix->old) {
		*off = le64(ix->b.p + 12 * i);
		*len = le32(ix->b.p + 12 * i + 8);
	} else if (ix->from_zero) {
		*off = le32(ix->b.p + 4 * i);
		end = i + 1 < ix->n ? le32(ix->b.p + 4 * i + 4) : ix->bevy_size;
		*len = end > *off ? end - *off : 0;
	} else {
		*off = i ? le32(ix->b.p + 4 * i - 4) : 0;
		end = le32(ix->b.p + 4 * i);
		*len = end > *off ? end - *off : 0;
	}
	return *len && *off < ix->bevy_size && *len <= ix->bevy_size - *off;
}

/* The chunks of one bevy, at their places in v. */
static void take_bevy(struct aff4_stream *s, uint32_t n, const struct index *ix, uint64_t *lost)
{
	const struct aff4_member *bevy = bevy_of(s->x, s->urn, n);
	size_t first = (size_t)n * s->per_segment;
	uint64_t data = 0;

	if (!bevy || (bevy->z->method == ZIP_STORED && zip_data(s->x->vol[bevy->vol], bevy->z, &data, NULL) < 0)) {
		*lost += ix->n;
		return;
	}
	for (size_t i = 0; i < ix->n && i < s->per_segment && first + i < s->n; i++) {
		uint64_t off, len;

		if (entry(ix, i, &off, &len) && len <= PACKED_SLACK((uint64_t)s->chunk_size))
			s->v[first + i] = (struct aff4_chunk){data + off, (uint32_t)len, (uint16_t)bevy->vol};
		else
			++*lost;
	}
}

static int read_index(struct aff4_stream *s, uint32_t n, struct index *ix, struct err *e)
{
	const struct aff4_member *m = index_of(s->x, s->urn, n, &ix->old), *bevy = bevy_of(s->x, s->urn, n);
	int rc = m ? aff4_read_member(s->x, m, &ix->b, e) : ERR_NOTFOUND;

	ix->bevy_size = bevy ? bevy->z->size : 0;
	settle_index(ix);
	return rc;
}

/* How many chunks a bevy has, when nothing says so: as many as the first one, or those that the size needs. */
static int settle_segment(struct aff4_stream *s, struct err *e)
{
	struct index ix = {0};
	int rc;

	if (s->per_segment)
		return 0;
	rc = read_index(s, 0, &ix, e);
	s->per_segment = rc == 0 && ix.n && ix.n <= AFF4_SEGMENT_MAX ? (uint32_t)ix.n : 1024;
	buf_free(&ix.b);
	return rc == ERR_NOMEM ? rc : 0;
}

static int index_all(struct aff4_stream *s, uint32_t n_bevies, struct err *e)
{
	uint64_t lost = 0;
	int rc = 0;

	for (uint32_t n = 0; rc == 0 && n < n_bevies && (uint64_t)n * s->per_segment < s->n; n++) {
		struct index ix = {0};

		rc = read_index(s, n, &ix, e);
		if (rc == 0)
			take_bevy(s, n, &ix, &lost);
		else if (rc != ERR_NOMEM) {
			notes_add(s->x->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "aff4: segment %u of %s has no index that could be read", n,
				  s->urn);
			rc = 0;
		}
		buf_free(&ix.b);
	}
	if (lost)
		notes_add(s->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: %llu entries of the indexes of %s lead nowhere",
			  (unsigned long long)lost, s->urn);
	return rc;
}

/* As many chunks as the last bevy's index has, and the full ones before it. 0: it can't be read. */
static uint64_t chunks_there(struct aff4_stream *s, uint32_t n_bevies)
{
	struct index ix = {0};
	uint64_t n = 0, off, len;

	if (n_bevies && read_index(s, n_bevies - 1, &ix, NULL) == 0)
		for (size_t i = ix.n < s->per_segment ? ix.n : s->per_segment; i > 0 && !n; i--)
			if (entry(&ix, i - 1, &off, &len))
				n = (n_bevies - 1) * (uint64_t)s->per_segment + i;
	buf_free(&ix.b);
	return n;
}

/* The size: as the volume says it; without a word on it, or with more chunks than it needs, as many chunks as there are. */
static int settle_size(struct aff4_stream *s, uint32_t n_bevies, struct err *e)
{
	uint64_t most = (uint64_t)n_bevies * s->per_segment, there;

	if (most > AFF4_CHUNKS_MAX)
		most = AFF4_CHUNKS_MAX;
	most *= s->chunk_size;
	if (s->size > most || !s->size) {
		struct index ix = {0};

		if (n_bevies && read_index(s, n_bevies - 1, &ix, NULL) == 0 && ix.n < s->per_segment && !s->size)
			most -= (s->per_segment - ix.n) * (uint64_t)s->chunk_size;
		buf_free(&ix.b);
		if (s->size)
			notes_add(s->x->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, most, s->size - most), "aff4: %s ends at %llu of %llu bytes",
				  s->urn, (unsigned long long)most, (unsigned long long)s->size);
		s->size = most;
	}
	there = chunks_there(s, n_bevies);
	if (there * s->chunk_size <= most && there > (s->size + s->chunk_size - 1) / s->chunk_size) {
		notes_add(s->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: %s is said to have %llu bytes and has chunks for %llu: all are read",
			  s->urn, (unsigned long long)s->size, (unsigned long long)there * s->chunk_size);
		s->size = there * s->chunk_size;
	}
	s->n = (size_t)((s->size + s->chunk_size - 1) / s->chunk_size);
	s->v = calloc(s->n ? s->n : 1, sizeof(*s->v));
	s->bad = calloc(1, s->n / 8 + 1);
	s->told = calloc(1, s->n / 8 + 1);
	return s->v && s->bad && s->told ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------------ */

static int64_t unpack_raw(const uint8_t *p, uint32_t n, int bits, uint8_t *out, uint32_t cap)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = n, .next_out = out, .avail_out = cap};
	int rc;

	if (inflateInit2(&z, bits) != Z_OK)
		return ERR_NOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return rc == Z_STREAM_END ? (int64_t)(cap - z.avail_out) : ERR_FORMAT;
}

static int64_t unpack_lz4(const uint8_t *p, uint32_t n, uint8_t *out, uint32_t cap)
{
#if LIB_LZ4
	int got = LZ4_decompress_safe((const char *)p, (char *)out, (int)n, (int)cap);

	/* one writer's library puts the unpacked size before the block */
	if ((got < 0 || (uint32_t)got < cap) && n > 4 && le32(p) == cap) {
		int other = LZ4_decompress_safe((const char *)p + 4, (char *)out, (int)n - 4, (int)cap);

		if (other < 0 && got >= 0)
			got = LZ4_decompress_safe((const char *)p, (char *)out, (int)n, (int)cap);
		else
			got = other;
	}
	return got < 0 ? ERR_FORMAT : got;
#else
	(void)p;
	(void)n;
	(void)out;
	(void)cap;
	return ERR_UNSUPPORTED;
#endif
}

static int64_t unpack_by(enum aff4_pack pack, const uint8_t *p, uint32_t n, uint8_t *out, uint32_t cap)
{
	switch (pack) {
	case AFF4_SNAPPY:
		return snappyblock_unpack(p, n, out, cap);
	case AFF4_LZ4:
		return unpack_lz4(p, n, out, cap);
	case AFF4_DEFLATE:
		return unpack_raw(p, n, -MAX_WBITS, out, cap);
	case AFF4_ZLIB:
		return unpack_raw(p, n, MAX_WBITS, out, cap);
	default:
		return ERR_FORMAT;
	}
}

/* A packed chunk; which way, the stream says, or (its description is lost) the chunk itself: only a whole one is believed then. */
static int64_t unpack(const struct aff4_stream *s, const uint8_t *p, uint32_t n, uint8_t *out)
{
	static const enum aff4_pack all[] = {AFF4_ZLIB, AFF4_SNAPPY, AFF4_LZ4, AFF4_DEFLATE};
	int64_t got = ERR_FORMAT;

	if (s->pack != AFF4_PACK_UNKNOWN)
		return unpack_by(s->pack, p, n, out, s->chunk_size);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && got != s->chunk_size; i++)
		got = unpack_by(all[i], p, n, out, s->chunk_size);
	return got == s->chunk_size ? got : ERR_FORMAT;
}

static void set_bad(struct aff4_stream *s, uint64_t i)
{
	pthread_mutex_lock(&s->x->lock);
	s->bad[i / 8] |= (uint8_t)(1u << i % 8);
	s->any_bad = true;
	pthread_mutex_unlock(&s->x->lock);
}

/* len bytes at off of a bevy that is packed as a member of the archive: it is unpacked as a whole, and a few are kept. */
static int read_unpacked(struct aff4_stream *s, uint32_t bevy, uint64_t off, void *buf, uint32_t len, struct err *e)
{
	const struct aff4_member *m = bevy_of(s->x, s->urn, bevy);
	unsigned at = 0;
	int rc = 0;

	pthread_mutex_lock(&s->unpack_lock);
	for (unsigned i = 0; i < AFF4_UNPACKED; i++) {
		if (s->unpacked[i].used && s->unpacked[i].bevy == bevy) {
			at = i;
			break;
		}
		if (s->unpacked[i].used < s->unpacked[at].used)
			at = i;
	}
	if (!s->unpacked[at].used || s->unpacked[at].bevy != bevy) {
		buf_free(&s->unpacked[at].b);
		s->unpacked[at].used = 0;
		rc = m ? aff4_read_member(s->x, m, &s->unpacked[at].b, e) : err_set(e, ERR_FAULT, "a segment that is not there");
		s->unpacked[at].bevy = bevy;
	}
	if (rc == 0) {
		s->unpacked[at].used = ++s->clock;
		if (off > s->unpacked[at].b.n || len > s->unpacked[at].b.n - off)
			rc = err_set(e, ERR_FORMAT, "a segment that is shorter than its index says");
		else
			memcpy(buf, s->unpacked[at].b.p + off, len);
	} else {
		buf_free(&s->unpacked[at].b);
	}
	pthread_mutex_unlock(&s->unpack_lock);
	return rc;
}

static int read_packed(struct aff4_stream *s, uint64_t n, void *buf, uint32_t len, struct err *e)
{
	const struct aff4_chunk *c = &s->v[n];
	uint32_t bevy = (uint32_t)(n / s->per_segment);
	const struct aff4_member *m = bevy_of(s->x, s->urn, bevy);

	if (m && m->z->method != ZIP_STORED)
		return read_unpacked(s, bevy, c->off, buf, len, e);
	return input_read_all(s->x->vol[c->vol], c->off, buf, len, e);
}

static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct aff4_stream *s = ctx;
	const struct aff4_chunk *c = &s->v[n];
	int64_t got = ERR_FORMAT;
	bool stored = c->len == s->chunk_size || s->pack == AFF4_STORED;
	uint8_t *p;
	int rc;

	if (!c->len)
		return err_set(e, ERR_FAULT, "a chunk that is not there");
	/* a zlib stream can have a chunk's size too, and its checksum tells */
	if (stored && !s->always_packed && s->pack != AFF4_ZLIB && c->len <= s->chunk_size) {
		rc = read_packed(s, n, buf, c->len, e);
		if (rc < 0)
			set_bad(s, n);
		return rc < 0 ? rc : (int64_t)c->len;
	}
	p = malloc(c->len);
	rc = p ? read_packed(s, n, p, c->len, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0)
		got = unpack(s, p, c->len, buf);
	if (rc == 0 && got < 0 && stored && c->len <= s->chunk_size) {
		memcpy(buf, p, c->len);
		got = c->len;
	}
	free(p);
	if (rc < 0 || got < 0)
		set_bad(s, n);
	return rc < 0 ? rc : got < 0 ? err_set(e, ERR_FORMAT, "a chunk that can't be unpacked") : got;
}

int aff4_stream_read(struct aff4_stream *s, uint64_t off, void *buf, size_t len, struct err *e)
{
	uint8_t *out = buf;

	while (len) {
		uint64_t n = off / s->chunk_size;
		size_t in = (size_t)(off % s->chunk_size), want = s->chunk_size - in < len ? s->chunk_size - in : len;
		int64_t got = n < s->n ? chunkcache_read(s->cache, n, in, out, want, e) : err_set(e, ERR_FAULT, "behind a stream's end");

		if (got < 0)
			return (int)got;
		if ((size_t)got < want)
			return err_set(e, ERR_FAULT, "a chunk that is shorter than it should be");
		off += want;
		out += want;
		len -= want;
	}
	return 0;
}

uint64_t aff4_stream_extent(const struct aff4_stream *s, uint64_t off, uint64_t len, bool *there)
{
	uint64_t n = off / s->chunk_size, end = off + len, at = (n + 1) * s->chunk_size;

	*there = n < s->n && off < s->size && s->v[n].len;
	if (n >= s->n || off >= s->size)
		return len;
	for (n++; at < end && n < s->n && (s->v[n].len != 0) == *there; n++)
		at += s->chunk_size;
	if (at > s->size && off < s->size)
		at = s->size;
	return (at < end ? at : end) - off;
}

bool aff4_stream_whole(const struct aff4_stream *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].len)
			return false;
	return true;
}

void aff4_stream_late(struct aff4_stream *s, struct notes *notes)
{
	pthread_mutex_lock(&s->x->lock);
	for (size_t i = 0; s->any_bad && i < s->n;) {
		unsigned long long at = (unsigned long long)i * s->chunk_size;
		size_t n = 0;

		while (i + n < s->n && (s->bad[(i + n) / 8] & ~s->told[(i + n) / 8]) >> (i + n) % 8 & 1) {
			s->told[(i + n) / 8] |= (uint8_t)(1u << (i + n) % 8);
			n++;
		}
		if (n)
			notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, at, (uint64_t)n * s->chunk_size),
				  "aff4: %zu damaged chunks at offset %llu of %s", n, at, s->urn);
		i += n ? n : 1;
	}
	s->any_bad = false;
	pthread_mutex_unlock(&s->x->lock);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------ */

void aff4_stream_free(struct aff4_stream *s)
{
	if (!s)
		return;
	chunkcache_free(s->cache);
	for (unsigned i = 0; i < AFF4_UNPACKED; i++)
		buf_free(&s->unpacked[i].b);
	pthread_mutex_destroy(&s->unpack_lock);
	free(s->urn);
	free(s->v);
	free(s->bad);
	free(s->told);
	free(s);
}

/* What a chunk at the beginning of the stream, and not its last one, unpacks to. 0: it does not, or it is not known. */
static uint32_t unpacks_to(struct aff4_stream *s, const struct aff4_member *bevy, uint64_t off, uint64_t len, uint8_t *out, uint32_t cap)
{
	uint64_t data;
	uint8_t *p;
	int64_t got = 0;

	if (s->pack == AFF4_STORED)
		return (uint32_t)len;
	if (zip_data(s->x->vol[bevy->vol], bevy->z, &data, NULL) < 0)
		return 0;
	p = malloc((size_t)len);
	if (p && input_read_all(s->x->vol[bevy->vol], data + off, p, (size_t)len, NULL) == 0) {
		got = unpack_by(s->pack, p, (uint32_t)len, out, s->chunk_size);
		if (got != s->chunk_size)
			got = unpack_by(s->pack, p, (uint32_t)len, out, cap);
	}
	free(p);
	return got > 0 ? (uint32_t)got : 0;
}

/* A chunk size that lies would leave a hole behind each chunk, or unpack none: the first chunks tell, when they agree. */
static int settle_chunk(struct aff4_stream *s, struct err *e)
{
	const struct aff4_member *bevy = bevy_of(s->x, s->urn, 0);
	struct index ix = {0};
	uint32_t cap = s->chunk_size > CHUNK_LOOK ? s->chunk_size : CHUNK_LOOK, same = 0, seen = 0;
	uint8_t *out;
	int rc = 0;

	if (!bevy || bevy->z->method != ZIP_STORED || s->pack == AFF4_PACK_UNKNOWN)
		return 0;
	out = malloc(cap);
	rc = out ? read_index(s, 0, &ix, e) : err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; rc == 0 && i + 1 < ix.n && seen < 8 && i < 64; i++) {
		uint64_t off, len;
		uint32_t got =
			entry(&ix, i, &off, &len) && len <= PACKED_SLACK((uint64_t)cap) ? unpacks_to(s, bevy, off, len, out, cap) : 0;

		if (!got)
			continue;
		if (got == s->chunk_size || (seen && got != same)) {
			same = 0;
			break;
		}
		same = got;
		seen++;
	}
	free(out);
	buf_free(&ix.b);
	if (rc == 0 && same && same <= AFF4_CHUNK_MAX && (seen > 1 || ix.n == 2)) {
		notes_add(s->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: the chunks of %s are said to have %u bytes and have %u", s->urn,
			  s->chunk_size, same);
		s->chunk_size = same;
	}
	return rc == ERR_NOMEM ? rc : 0;
}

static int fill_stream(struct aff4_stream *s, uint32_t n_bevies, struct err *e)
{
	int rc;

	take_facts(s);
	rc = settle_segment(s, e);
	if (rc == 0)
		rc = settle_chunk(s, e);
	if (rc == 0)
		rc = settle_size(s, n_bevies, e);
	if (rc == 0)
		rc = index_all(s, n_bevies, e);
	return rc < 0 ? rc : chunkcache_new(&s->cache, s->chunk_size, s->n, load, s, e);
}

int aff4_stream_open(struct aff4 *x, const char *urn, struct aff4_stream **out, struct err *e)
{
	uint32_t n_bevies = count_bevies(x, urn);
	struct aff4_stream **arr, *s;
	int rc;

	for (size_t i = 0; i < x->n_streams; i++)
		if (strcmp(x->stream[i]->urn, urn) == 0) {
			*out = x->stream[i];
			return 0;
		}
	if (!n_bevies)
		return err_set(e, ERR_NOTFOUND, "no such stream");
	if (x->n_streams == AFF4_TARGETS_MAX)
		return err_set(e, ERR_LIMIT, "aff4: more than %u streams", AFF4_TARGETS_MAX);
	arr = realloc(x->stream, (x->n_streams + 1) * sizeof(struct aff4_stream *));
	if (arr)
		x->stream = arr;
	s = arr ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->x = x;
	s->urn = strdup(urn);
	pthread_mutex_init(&s->unpack_lock, NULL);
	rc = s->urn ? fill_stream(s, n_bevies, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc < 0) {
		aff4_stream_free(s);
		return rc;
	}
	x->stream[x->n_streams++] = s;
	*out = s;
	return 0;
}
