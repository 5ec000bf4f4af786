/* ewf.c - EWF images (E01 and the like, one or many segments): an input whose bytes are the medium; what container that is, is told by its
 * content. Our own reader on zlib. Facts: docs/formats/ewf.md.
 *
 * What is lost (a segment, a table, a chunk that does not unpack) is a hole in the medium, never zeros. */
#include "ewf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "dirlist.h"
#include "rd.h"

#define LOOK_AHEAD   64    /* names tried behind a missing segment */
#define SEGMENTS_MAX 14971 /* E01 .. ZZZ */

static const uint8_t magic[8] = {'E', 'V', 'F', 9, 13, 10, 0xff, 0};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= EWF_HEADER && memcmp(head, magic, sizeof(magic)) == 0;
}

/* ---- reading the medium ------------------------------------------------------------------------------------------------------------------ */

/* The chunk of v for chunk n of the medium, or SIZE_MAX. */
static size_t chunk_of(const struct ewf *x, uint64_t n)
{
	size_t i = SIZE_MAX;

	if (n < x->first_n)
		i = (size_t)n;
	else if (n >= x->second_at && n - x->second_at < x->n - x->second)
		i = x->second + (size_t)(n - x->second_at);
	return i == SIZE_MAX || !x->v[i].len ? SIZE_MAX : i;
}

static void set_bad(struct ewf *x, size_t i)
{
	pthread_mutex_lock(&x->lock);
	x->bad[i / 8] |= (uint8_t)(1u << i % 8);
	x->any_bad = true;
	pthread_mutex_unlock(&x->lock);
}

/* Unpacks len bytes at p into buf. Returns the count; *sound: the stream's own checksum holds. */
static size_t inflate_chunk(const uint8_t *p, uint32_t len, uint8_t *buf, size_t want, bool *sound)
{
	z_stream z = {0};
	int rc;

	*sound = false;
	if (inflateInit(&z) != Z_OK)
		return 0;
	z.next_in = (Bytef *)p;
	z.avail_in = len;
	z.next_out = buf;
	z.avail_out = (uInt)want;
	rc = inflate(&z, Z_FINISH);
	*sound = rc == Z_STREAM_END;
	inflateEnd(&z);
	return want - z.avail_out;
}

static int64_t load_packed(struct ewf *x, size_t i, uint8_t *buf, size_t want, struct err *e)
{
	const struct ewf_chunk *c = &x->v[i];
	uint8_t *p = malloc(c->len);
	int64_t n = p ? inputset_read(x->files, c->seg, c->off, p, c->len, e) : err_set(e, ERR_NOMEM, "out of memory");
	size_t got;
	bool sound;

	if (n < 0) {
		free(p);
		return n;
	}
	got = inflate_chunk(p, (uint32_t)n, buf, want, &sound);
	free(p);
	if (!sound)
		set_bad(x, i);
	/* all bytes came out and only the checksum is off: they are kept, and the chunk is named */
	if (got < want && !sound)
		return err_set(e, ERR_FORMAT, "a chunk that can't be unpacked");
	if (got < want)
		set_bad(x, i);
	return (int64_t)got;
}

static int64_t load_stored(struct ewf *x, size_t i, uint8_t *buf, size_t want, struct err *e)
{
	const struct ewf_chunk *c = &x->v[i];
	size_t n = c->len < want ? c->len : want;
	int64_t got = inputset_read(x->files, c->seg, c->off, buf, n, e);
	uint8_t sum[4];

	if (got < 0)
		return got;
	if ((size_t)got < want || inputset_read_all(x->files, c->seg, c->off + want, sum, 4, NULL) < 0 || ewf_adler(buf, want) != le32(sum))
		set_bad(x, i);
	return got;
}

static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct ewf *x = ctx;
	size_t i = chunk_of(x, n), want = x->chunk_size;
	uint64_t at = n * x->chunk_size;

	if (i == SIZE_MAX)
		return err_set(e, ERR_FAULT, "a chunk that is not there");
	if (x->media - at < want)
		want = (size_t)(x->media - at);
	return x->v[i].packed ? load_packed(x, i, buf, want, e) : load_stored(x, i, buf, want, e);
}

static int64_t ewf_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct ewf *x = ctx;
	size_t done = 0;

	while (done < len) {
		uint64_t n = (off + done) / x->chunk_size;
		size_t in = (size_t)((off + done) % x->chunk_size), want = x->chunk_size - in;
		int64_t got;

		if (want > len - done)
			want = len - done;
		got = chunkcache_read(x->cache, n, in, (uint8_t *)buf + done, want, e);
		if (got < 0)
			return got;
		if ((size_t)got < want)
			return err_set(e, ERR_FAULT, "a chunk that is shorter than it should be");
		done += (size_t)got;
	}
	return (int64_t)done;
}

static uint64_t ewf_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	struct ewf *x = ctx;
	uint64_t n = off / x->chunk_size, end = off + len, at = (n + 1) * x->chunk_size;

	*there = chunk_of(x, n) != SIZE_MAX;
	for (n++; at < end && (chunk_of(x, n) != SIZE_MAX) == *there; n++, at += x->chunk_size)
		if (n >= x->first_n && n < x->second_at) { /* all of this is lost */
			n = x->second_at - 1;
			at = x->second_at > end / x->chunk_size ? end : n * x->chunk_size;
		} else if (n >= x->second_at && n - x->second_at >= x->n - x->second) {
			at = end;
		}
	return (at < end ? at : end) - off;
}

static void ewf_close(void *ctx)
{
	struct ewf *x = ctx;

	chunkcache_free(x->cache);
	inputset_free(x->files);
	pthread_mutex_destroy(&x->lock);
	free(x->v);
	free(x->gap);
	free(x->bad);
	free(x->told);
	free(x);
}

/* Names the chunks that were found damaged since the last time. */
static void ewf_late(void *ctx, struct notes *notes)
{
	struct ewf *x = ctx;

	pthread_mutex_lock(&x->lock);
	for (size_t i = 0; x->any_bad && i < x->n;) {
		size_t n = 0;
		uint64_t at;

		while (i + n < x->n && (x->bad[(i + n) / 8] & ~x->told[(i + n) / 8]) >> (i + n) % 8 & 1 && (i + n != x->second || !n)) {
			x->told[(i + n) / 8] |= (uint8_t)(1u << (i + n) % 8);
			n++;
		}
		at = (i >= x->second ? x->second_at + (i - x->second) : i) * x->chunk_size;
		if (n)
			notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, at, (uint64_t)n * x->chunk_size),
				  "EWF: %zu damaged chunks at offset %llu of the medium: their checksum does not hold", n,
				  (unsigned long long)at);
		i += n ? n : 1;
	}
	x->any_bad = false;
	pthread_mutex_unlock(&x->lock);
	if (x->inner_late)
		x->inner_late(x->inner_ctx, notes);
}

/* ---- segments ------------------------------------------------------------------------------------------------------------------------------ */

/* The name of segment n, made of the name of any other: NAME.E01 .. .E99, .EAA .. .EZZ, .FAA ... NULL: the name has no such ending. */
static char *segment_name(const char *name, unsigned n, char first)
{
	size_t len = strlen(name);
	char *out = len >= 4 && name[len - 4] == '.' ? strdup(name) : NULL, *x;

	if (!out)
		return NULL;
	x = out + len - 3;
	if (n < 100) {
		x[0] = first;
		x[1] = (char)('0' + n / 10);
		x[2] = (char)('0' + n % 10);
		return out;
	}
	n -= 100;
	x[0] = (char)(first + n / 676);
	x[1] = (char)((first >= 'a' ? 'a' : 'A') + n / 26 % 26);
	x[2] = (char)((first >= 'a' ? 'a' : 'A') + n % 26);
	if (x[0] > (first >= 'a' ? 'z' : 'Z')) {
		free(out);
		return NULL;
	}
	return out;
}

static char first_letter(const char *name)
{
	size_t len = strlen(name);
	char c = len >= 4 ? name[len - 3] : 'E';

	/* E, L or S begin a set; F and on are those of a long one, which begins with E */
	if (c >= 'a' && c <= 'z')
		return c == 's' ? 's' : 'e';
	return c == 'S' ? 'S' : 'E';
}

struct chain { /* walking from segment to segment */
	struct dump *d;
	struct ewf *x;
	char *target;                /* what the file's name leads to, if it is a link; or NULL */
	unsigned given, found, last; /* number of the file that was given; how many; the highest */
	unsigned first_missing;      /* 0: none is known to be */
	enum ewf_end end;
};

/* Adds segment n to the files. 1: it is there; 0: not; ERR_*. */
static int add_segment(struct chain *c, unsigned n, struct err *e)
{
	const char *name = input_name(c->d->in);
	uint8_t h[EWF_HEADER];
	char *path;
	int i;

	if (n == c->given) {
		i = inputset_add(c->x->files, c->d->in, e);
		return i < 0 ? i : 1;
	}
	path = segment_name(name, n, first_letter(name));
	i = path ? inputset_add_path(c->x->files, path, NULL) : ERR_NOTFOUND;
	free(path);
	if (i < 0 && i != ERR_NOMEM && i != ERR_LIMIT && c->target) {
		path = segment_name(c->target, n, first_letter(c->target));
		i = path ? inputset_add_path(c->x->files, path, NULL) : ERR_NOTFOUND;
		free(path);
	}
	if (i < 0)
		return i == ERR_NOMEM || i == ERR_LIMIT ? err_set(e, i, "too many segments") : 0;
	if (inputset_read_all(c->x->files, (unsigned)i, 0, h, sizeof(h), NULL) < 0 || memcmp(h, magic, sizeof(magic)) != 0 ||
	    le16(h + 9) != n) {
		notes_add(c->d->notes, &NOTE(NOTE_CONTEXT_BAD), "%s is not segment %u of this image",
			  inputset_name(c->x->files, (unsigned)i), n);
		return 0;
	}
	return 1;
}

static int walk_segments(struct chain *c, struct err *e)
{
	unsigned until = c->given > SEGMENTS_MAX ? c->given : SEGMENTS_MAX;
	int rc = 0;

	for (unsigned n = 1; n <= until && (n <= c->given || c->end != EWF_END_DONE); n++) {
		if (n > c->given && n > c->last + LOOK_AHEAD)
			break;
		rc = add_segment(c, n, e);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		if (n > c->last + 1) {
			c->first_missing = c->first_missing ? c->first_missing : c->last + 1;
			notes_add(c->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "segments %u to %u are missing", c->last + 1, n - 1);
			rc = ewf_add_gap(c->x, e);
			if (rc < 0)
				return rc;
		}
		c->last = n;
		c->found++;
		c->x->foreign = false;
		rc = ewf_walk(c->x, inputset_n(c->x->files) - 1, &c->end, e);
		if (rc < 0)
			return rc;
	}
	if (c->end == EWF_END_NEXT) {
		c->first_missing = c->first_missing ? c->first_missing : c->last + 1;
		notes_add(c->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "segment %u is missing, and there may be more of them", c->last + 1);
		return ewf_add_gap(c->x, e);
	}
	return 0;
}

/* ---- where the chunks stand in the medium --------------------------------------------------------------------------------------------------- */

/* Chunks are numbered by their order alone. What stands before the first gap keeps its place; what stands behind the last one is counted from
 * the end of the medium; what stands between two gaps has no place. */
static void place_chunks(struct dump *d, struct ewf *x)
{
	uint64_t total = x->n_chunks > x->n ? x->n_chunks : x->n, from, bytes;

	x->first_n = x->second = x->n;
	x->second_at = total;
	if (total == x->n)
		return;
	if (x->n_gaps) {
		size_t first = x->gap[0].at, last = x->gap[x->n_gaps - 1].at;

		x->first_n = first;
		x->second = x->volume_sound ? last : x->n;
		x->second_at = total - (x->n - x->second);
		if (x->second > first)
			notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED),
				  "%zu chunks stand between two losses: their place is not known, they are left out", x->second - first);
	}
	from = (uint64_t)x->first_n * x->chunk_size;
	bytes = (x->second_at - x->first_n) * x->chunk_size;
	notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, from, bytes), "%llu bytes of the medium, from offset %llu on, are missing",
		  (unsigned long long)bytes, (unsigned long long)from);
}

/* The size of the medium: as many chunks as there should be, and no more than its sectors. */
static void settle_size(struct dump *d, struct ewf *x)
{
	uint64_t total = x->n_chunks > x->n ? x->n_chunks : x->n, most = total * x->chunk_size;

	if (x->volume_sound && x->media && x->media <= most && most - x->media < x->chunk_size)
		return;
	if (x->media && x->media < most && x->media > (uint64_t)(x->n ? x->n - 1 : 0) * x->chunk_size)
		most = x->media;
	else if (x->has_volume)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the medium is said to have %llu bytes; its chunks make %llu",
			  (unsigned long long)x->media, (unsigned long long)most);
	x->media = most;
}

/* Holes are told once, when all chunks have their places. */
static int finish(struct dump *d, struct ewf *x, struct err *e)
{
	if (!x->has_volume) {
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the description of the medium is lost: chunks of %u bytes are assumed",
			  EWF_CHUNK_USUAL);
	} else if (!x->volume_sound && x->n_chunks > x->n) {
		x->n_chunks = (uint32_t)x->n;
	}
	if (x->n_chunks < x->n && x->volume_sound)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the medium is said to have %u chunks; the tables have %zu", x->n_chunks,
			  x->n);
	settle_size(d, x);
	place_chunks(d, x);
	x->bad = calloc(1, x->n / 8 + 1);
	x->told = calloc(1, x->n / 8 + 1);
	if (!x->bad || !x->told)
		return err_set(e, ERR_NOMEM, "out of memory");
	return chunkcache_new(&x->cache, x->chunk_size, x->n, load, x, e);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------ */

static int walk_all(struct dump *d, struct ewf *x, struct err *e)
{
	struct chain c = {.d = d, .x = x, .end = EWF_END_CUT};
	uint8_t h[EWF_HEADER];
	int rc = input_read_all(d->in, 0, h, sizeof(h), e);

	if (rc < 0)
		return rc;
	c.given = le16(h + 9);
	if (!c.given) {
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "a segment file that says it is number 0: taken for the first");
		c.given = 1;
	}
	c.target = path_target(input_name(d->in));
	rc = walk_segments(&c, e);
	free(c.target);
	if (rc < 0)
		return rc;
	d->n_segments = c.found;
	if (!x->n)
		return err_set(e, ERR_TRUNC, "an EWF image without a chunk that could be read");
	if (c.first_missing)
		snprintf(d->advice, sizeof(d->advice), "segments of this EWF image are missing (the first: %u): memory in them is lost",
			 c.first_missing);
	return 0;
}

static const struct input_ops ops = {ewf_read, ewf_close};

static void name_it(struct dump *d, const struct ewf *x)
{
	char inner[sizeof(d->format)];

	snprintf(inner, sizeof(inner), "%s", d->format);
	if (strcmp(inner, "raw") == 0)
		snprintf(d->format, sizeof(d->format), "ewf");
	else
		snprintf(d->format, sizeof(d->format), "ewf:%.30s", inner);
	for (size_t i = 0; i < x->n; i++)
		if (x->v[i].packed) {
			size_t n = strlen(d->compression);

			snprintf(d->compression + n, sizeof(d->compression) - n, "%sdeflate", n ? "+" : "");
			break;
		}
}

static int open_ewf(struct dump *d, struct err *e)
{
	struct ewf *x = calloc(1, sizeof(*x));
	struct input *layer = NULL;
	int rc;

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&x->lock, NULL);
	x->notes = d->notes;
	x->chunk_size = EWF_CHUNK_USUAL;
	rc = inputset_new(&x->files, e);
	if (rc == 0)
		rc = walk_all(d, x, e);
	if (rc == 0)
		rc = finish(d, x, e);
	if (rc == 0)
		rc = input_new(&layer, &ops, x, x->media, input_name(d->in), e);
	if (rc < 0) {
		ewf_close(x);
		return rc;
	}
	input_set_extent(layer, ewf_extent);
	rc = dump_open_inside(d, layer, e);
	if (rc < 0)
		return rc;
	name_it(d, x);
	x->inner_late = d->late;
	x->inner_ctx = d->late_ctx;
	d->late = ewf_late;
	d->late_ctx = x;
	if (d->in == layer && x->has_md5) {
		d->has_md5 = true;
		memcpy(d->md5, x->md5, sizeof(x->md5));
	}
	if (d->in == layer && x->has_sha1) {
		d->has_sha1 = true;
		memcpy(d->sha1, x->sha1, sizeof(x->sha1));
	}
	return 0;
}

const struct dumpfmt dumpfmt_ewf = {"ewf", probe, open_ewf, NULL};
