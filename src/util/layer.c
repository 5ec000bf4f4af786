/* layer.c - see layer.h: the first way through, starting places, damage. Long, because all of them are one state under one lock; what was unpacked is in layercache.c. */
#include "layer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "layercache.h"
#include "tempfile.h"

struct point {
	uint64_t off; /* unpacked */
	void *mark;
	size_t bytes;
};

/* Bytes that can't be unpacked; none: they came out, and are not what was packed. */
struct flaw {
	uint64_t off, end;
};

#define NOT_YET   UINT64_MAX
#define FAR_LEAST ((uint64_t)64 << 20)

struct layer {
	const struct layer_codec *codec;
	struct input *in;
	void *state;
	uint64_t at;   /* where the codec stands */
	uint64_t size; /* NOT_YET: the end was not met */
	uint64_t most, cache, far_chunks;
	bool seeks;  /* by the codec's own places; else by `point` */
	bool broken; /* the codec can't be used before it is set again */
	bool went_back;
	struct layer_facts facts;
	struct point *point;
	size_t n_points, cap_points, point_bytes;
	struct layer_limits limits;
	uint64_t step;     /* between points */
	unsigned ratio;    /* ... in sizes of the last one */
	bool marks;        /* there are points, or will be */
	struct flaw *flaw; /* by place; none overlaps another */
	size_t n_flaws, cap_flaws;
	uint64_t hole_left; /* bytes between `at` and where the codec stands */
	pthread_mutex_t lock;
	struct layercache chunks;
	uint8_t *bounce; /* LAYER_CHUNK */
	struct tempfile *temp;
};

/* ---- the first way through ----------------------------------------------------------------------------------------------------------------- */

/* Every second snapshot goes, and the next ones stand twice as far apart. */
static void thin_out(struct layer *l)
{
	size_t o = 0;

	for (size_t i = 0; i < l->n_points; i++) {
		if (i % 2) {
			l->point_bytes -= l->point[i].bytes;
			l->codec->mark_free(l->point[i].mark);
		} else {
			l->point[o++] = l->point[i];
		}
	}
	l->n_points = o;
	l->step *= 2;
}

static uint64_t last_point(const struct layer *l)
{
	return l->n_points ? l->point[l->n_points - 1].off : 0;
}

/* How many points stand at or before `off`: the last of them is the best. */
static size_t points_before(const struct layer *l, uint64_t off)
{
	size_t lo = 0, hi = l->n_points;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->point[mid].off <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* May a point stand here, with i of them before it? Large ones stand far apart, and farther as long as nobody goes back. */
static bool room_for_point(const struct layer *l, size_t i)
{
	uint64_t apart = i ? (uint64_t)l->point[i - 1].bytes * (l->went_back ? l->ratio : l->ratio * LAYER_AHEAD_RATIO) : 0;

	if (apart < l->step)
		apart = l->step;
	return l->at - (i ? l->point[i - 1].off : 0) >= apart && (i == l->n_points || l->point[i].off - l->at >= apart / 2);
}

static int take_mark(struct layer *l)
{
	size_t bytes = 0, i;
	void *arr = l->point, *mark = NULL;
	int rc;

	if (!l->marks || l->hole_left || !room_for_point(l, i = points_before(l, l->at)))
		return 0;
	rc = l->codec->mark(l->state, &mark, &bytes);
	if (rc < 0 || !mark)
		return rc;
	if (arr_reserve(&arr, &l->cap_points, l->n_points, sizeof(*l->point)) < 0) {
		l->codec->mark_free(mark);
		return ERR_NOMEM;
	}
	l->point = arr;
	memmove(l->point + i + 1, l->point + i, (l->n_points - i) * sizeof(*l->point));
	l->point[i] = (struct point){l->at, mark, bytes};
	l->n_points++;
	l->point_bytes += bytes;
	while (l->n_points > 1 && (l->n_points >= l->limits.marks || l->point_bytes > l->limits.all_mark_bytes))
		thin_out(l);
	return 0;
}

/* ---- damage -------------------------------------------------------------------------------------------------------------------------------- */

/* The first flaw that is not before `off`, or l->n_flaws. */
static size_t flaw_at(const struct layer *l, uint64_t off)
{
	size_t lo = 0, hi = l->n_flaws;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->flaw[mid].end <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The first hole that ends behind `off`: where it begins and ends, or UINT64_MAX. */
static struct flaw hole_at(const struct layer *l, uint64_t off)
{
	size_t i = flaw_at(l, off);

	while (i < l->n_flaws && l->flaw[i].off == l->flaw[i].end)
		i++;
	return i < l->n_flaws ? l->flaw[i] : (struct flaw){UINT64_MAX, UINT64_MAX};
}

/* Damage is met again whenever somebody comes by: it counts once. */
static int add_flaw(struct layer *l, uint64_t off, uint64_t end, const struct err *why)
{
	struct layer_facts *f = &l->facts;
	size_t i = flaw_at(l, off);
	void *arr = l->flaw;

	for (size_t k = i; off == end && k-- > 0 && l->flaw[k].end == off;)
		if (l->flaw[k].off == off)
			return 0;
	if (i < l->n_flaws && l->flaw[i].off < end) { /* a part of it is known */
		struct flaw *h = &l->flaw[i];
		uint64_t most = i + 1 < l->n_flaws ? h[1].off : UINT64_MAX, was = h->end - h->off;

		h->off = off < h->off ? off : h->off;
		h->end = end > h->end ? (end < most ? end : most) : h->end;
		f->lost += h->end - h->off - was;
		return 0;
	}
	if (l->n_flaws == LAYER_FLAWS_MAX)
		return ERR_LIMIT;
	if (arr_reserve(&arr, &l->cap_flaws, l->n_flaws, sizeof(*l->flaw)) < 0)
		return ERR_NOMEM;
	l->flaw = arr;
	memmove(l->flaw + i + 1, l->flaw + i, (l->n_flaws - i) * sizeof(*l->flaw));
	l->flaw[i] = (struct flaw){off, end};
	l->n_flaws++;
	if (!f->flaws++ || off < f->flaw) {
		f->flaw = off;
		snprintf(f->flaw_why, sizeof(f->flaw_why), "%.150s", why->msg);
	}
	f->lost += end - off;
	return 0;
}

/* Is it the evidence that is bad, or this machine? */
static bool is_damage(int64_t rc)
{
	return rc < 0 && rc != ERR_NOMEM && rc != ERR_IO;
}

/* Damage where the codec stands: on to where it certainly goes on. 1, or what read() said. */
static int64_t step_over(struct layer *l, int64_t said, struct err *why)
{
	struct err e = {0};
	uint64_t next = l->at;
	int rc = l->codec->skip && is_damage(said) ? l->codec->skip(l->state, l->at, &next, &e) : 0;

	if (rc > 0 && next >= l->at)
		rc = add_flaw(l, l->at, next, why) < 0 ? ERR_NOMEM : 1;
	if (rc < 0 && !is_damage(rc)) {
		*why = e;
		return rc;
	}
	if (rc <= 0 || next < l->at)
		return said;
	l->hole_left = next - l->at;
	return 1;
}

/* The codec's next bytes, up to n: as its read(). What it can't unpack is zeros here, and a hole. */
static int64_t take(struct layer *l, uint8_t *p, size_t n, struct err *why)
{
	int64_t k = 1;

	while (!l->hole_left && k > 0) {
		k = l->codec->read(l->state, p, n, why);
		if (k >= 0)
			return k;
		k = step_over(l, k, why);
	}
	if (k < 0)
		return k;
	n = l->hole_left < n ? (size_t)l->hole_left : n;
	memset(p, 0, n);
	l->hole_left -= n;
	return (int64_t)n;
}

/* The next chunk: fewer bytes only at the end or before damage, which *e then tells (code 0: the end). */
static size_t next_chunk(struct layer *l, uint8_t *p, struct err *e)
{
	size_t n = 0;

	e->code = 0;
	while (n < LAYER_CHUNK) {
		int64_t k = take(l, p + n, LAYER_CHUNK - n, e);

		if (k <= 0)
			e->code = (int)k;
		if (k <= 0)
			break;
		n += (size_t)k;
		l->at += (uint64_t)k;
	}
	return n;
}

static uint64_t believed(uint64_t packed)
{
	uint64_t most = packed < LAYER_BYTES_MAX / LAYER_RATIO_MAX ? packed * LAYER_RATIO_MAX : LAYER_BYTES_MAX;

	if (most < LAYER_FLOOR)
		most = packed < LAYER_FLOOR / LAYER_RATIO_ANY ? packed * LAYER_RATIO_ANY : LAYER_FLOOR;
	return most < LAYER_LEAST ? LAYER_LEAST : most;
}

/* No place to start again but the beginning, or none for longer than the cache (a streamed zstd file has places in its first MiB only). */
static bool is_far(uint64_t size, uint64_t last_place, uint64_t cache)
{
	return size > cache && (last_place == 0 || size - last_place > (cache > FAR_LEAST ? cache : FAR_LEAST));
}

static bool later(const struct layer *l)
{
	return l->size == NOT_YET;
}

/* The codec stands at the end, or on damage (*why): the size is known now. */
static void end_here(struct layer *l, const struct err *why)
{
	struct layer_facts *f = &l->facts;

	l->broken = true;
	l->size = f->size = l->at;
	f->limited = !why;
	f->truncated = why && why->code != 0;
	if (f->truncated)
		snprintf(f->why, sizeof(f->why), "%.150s", why->msg);
	f->far = !l->temp && is_far(l->size, last_point(l), l->cache);
	if (f->far && l->far_chunks > l->chunks.max_chunks)
		l->chunks.max_chunks = (size_t)l->far_chunks;
}

/* On the first way the beginning is kept, as much as the cache holds: whoever reads all of it next begins there. Where no starting place
 * was met for half as long the cache may become as large as it is for such files. NULL: nothing more is kept. */
static struct layerchunk *room_on_first_way(struct layer *l)
{
	if (l->chunks.n_chunks >= l->chunks.max_chunks && l->chunks.max_chunks < l->far_chunks &&
	    l->at - last_point(l) > (uint64_t)l->chunks.max_chunks * LAYER_CHUNK / 2)
		l->chunks.max_chunks = (size_t)l->far_chunks;
	return l->chunks.spare || l->chunks.n_chunks < l->chunks.max_chunks ? layercache_room(&l->chunks) : NULL;
}

/* The chunk was unpacked into p, which is c's memory when there is c. */
static void keep_first(struct layer *l, uint64_t number, struct layerchunk *c, const uint8_t *p, size_t n)
{
	bool zero = layercache_all_zero(p, n); /* also: nothing */

	if (zero && n)
		layercache_set_zero(&l->chunks, number);
	if (c && (zero || layercache_get(&l->chunks, number)))
		l->chunks.spare = c;
	else if (c)
		layercache_enter(&l->chunks, number, c, n);
}

/* Unpacks from where the codec stands to the end: the size, snapshots, the beginning of a cache, or the whole into the temporary file. What can't be read
 * any more for want of memory, or of a disk that works, is an error. */
static int first_way(struct layer *l, struct err *e)
{
	struct err why = {0};
	int rc = 0;

	while (rc == 0 && later(l)) {
		uint64_t number = l->at / LAYER_CHUNK;
		struct layerchunk *c = l->temp ? NULL : room_on_first_way(l);
		uint8_t *p = c ? c->bytes : l->bounce;
		size_t n = next_chunk(l, p, &why);

		if (!l->temp)
			keep_first(l, number, c, p, n);
		if (why.code == ERR_NOMEM || why.code == ERR_IO) {
			if (e)
				*e = why;
			l->broken = true;
			return why.code;
		}
		if (n && l->temp)
			rc = tempfile_write(l->temp, number * LAYER_CHUNK, p, n, e);
		if (n < LAYER_CHUNK)
			end_here(l, &why);
		else if (l->at >= l->most)
			end_here(l, NULL);
		else if (rc == 0 && !l->temp && take_mark(l) < 0)
			rc = err_set(e, ERR_NOMEM, "out of memory");
	}
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------------- */

static int go_to_place(struct layer *l, uint64_t place, struct err *e)
{
	struct err why = {0};
	int64_t rc;

	l->at = place;
	rc = l->codec->seek(l->state, place, &why);
	if (rc < 0)
		rc = step_over(l, rc, &why);
	if (rc < 0 && e)
		*e = why;
	return rc < 0 ? (int)rc : 0;
}

/* Sets the codec to the best place at or before `off`. */
static int go_back(struct layer *l, uint64_t off, struct err *e)
{
	size_t i = points_before(l, off);
	uint64_t place = l->seeks ? l->codec->place(l->state, off) : 0, point = i ? l->point[i - 1].off : 0;
	int rc;

	l->broken = true;
	l->hole_left = 0;
	l->went_back |= l->at > off;
	if (l->seeks && (!i || place >= point)) {
		rc = go_to_place(l, place, e);
	} else {
		l->at = point;
		rc = l->codec->resume(l->state, i ? l->point[i - 1].mark : NULL, e);
	}
	l->broken = rc < 0;
	return rc;
}

/* Is there a starting place between where the codec stands and `off` that makes going on from here a waste? */
static bool better_place(struct layer *l, uint64_t off)
{
	size_t i = points_before(l, off);

	return (l->seeks && l->codec->place(l->state, off) > l->at) || (i && l->point[i - 1].off > l->at);
}

/* Up to `most` bytes into p: the codec's next ones. Fewer of them than the size says is an error; while that is not known it is the end. */
static int64_t go_on(struct layer *l, uint8_t *p, size_t most, struct err *e)
{
	struct err why = {0};
	size_t n = 0;

	while (n < most) {
		int64_t k = take(l, p + n, most - n, &why);

		if (k <= 0) {
			l->broken = true;
			why.code = (int)k;
			if (!later(l) || k == ERR_NOMEM || k == ERR_IO) {
				if (e && k < 0)
					*e = why;
				return k < 0 ? k : err_set(e, ERR_FORMAT, "%s: unpacks to another length now", l->codec->name);
			}
			end_here(l, &why);
			break;
		}
		n += (size_t)k;
		l->at += (uint64_t)k;
	}
	if (later(l) && l->at >= l->most)
		end_here(l, NULL);
	return (int64_t)n;
}

/* Unpacks until chunk `number` is there; p receives it (LAYER_CHUNK bytes). Starting places need not stand at the beginning of a chunk. Not kept: a
 * chunk that its reader takes whole, unless coming back to it is dear and was done before. While the size is not known the end may come first. */
static int unpack_to(struct layer *l, uint64_t number, bool whole, uint8_t *p, struct err *e)
{
	uint64_t want = number * LAYER_CHUNK;
	int rc = 0;

	if (l->broken || l->at > want || better_place(l, want))
		rc = go_back(l, want, e);
	while (rc == 0) {
		uint64_t now = l->at / LAYER_CHUNK, left = l->size - now * LAYER_CHUNK;
		size_t skip = (size_t)(l->at % LAYER_CHUNK), most = left < LAYER_CHUNK ? (size_t)left : LAYER_CHUNK;
		int64_t n = go_on(l, p + skip, most - skip, e);

		if (n < 0)
			return (int)n;
		if (skip == 0 && n && (now != number || !whole || (l->facts.far && l->went_back)))
			layercache_keep(&l->chunks, now, p, (size_t)n);
		if (!l->broken)
			(void)take_mark(l); /* without memory for it going back is slower */
		if (l->size <= want)
			return 0;
		if (now == number)
			return skip == 0 ? 0 : err_set(e, ERR_FORMAT, "%s: no starting place before a chunk", l->codec->name);
	}
	return rc;
}

static int one_chunk(struct layer *l, uint64_t number, bool whole, uint8_t *room_for_it, const uint8_t **p, struct err *e)
{
	static const uint8_t zeros[LAYER_CHUNK];
	struct layerchunk *c;
	int rc;

	if (layercache_is_zero(&l->chunks, number)) {
		*p = zeros;
		return 0;
	}
	c = layercache_get(&l->chunks, number);
	if (c) {
		*p = c->bytes;
		return 0;
	}
	rc = unpack_to(l, number, whole, room_for_it, e);
	*p = room_for_it;
	return rc;
}

static int in_hole(const struct layer *l, const struct flaw *h, struct err *e)
{
	if (h->off == l->facts.flaw)
		return err_set(e, ERR_FORMAT, "%s", l->facts.flaw_why);
	return err_set(e, ERR_FORMAT, "%s: bytes that can't be unpacked", l->codec->name);
}

/* All holes are known, and do not change any more. */
static int64_t read_spilled(struct layer *l, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct flaw h = hole_at(l, off);

	if (h.off <= off && len && off < l->size)
		return in_hole(l, &h, e);
	if (h.off > off && h.off - off < len)
		len = (size_t)(h.off - off);
	return tempfile_read(l->temp, off, buf, len, e);
}

static int64_t layer_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct layer *l = ctx;
	uint8_t *out = buf;
	size_t done = 0;
	int rc = 0;

	if (l->temp)
		return read_spilled(l, off, buf, len, e);
	pthread_mutex_lock(&l->lock);
	while (rc == 0 && done < len && off + done < l->size) {
		uint64_t number = (off + done) / LAYER_CHUNK;
		size_t in = (size_t)((off + done) % LAYER_CHUNK), n = LAYER_CHUNK - in;
		const uint8_t *from;
		struct flaw h;

		h = hole_at(l, off + done);
		if (h.off <= off + done) {
			rc = in_hole(l, &h, e);
			break;
		}

		if (n > len - done)
			n = len - done;
		rc = n == LAYER_CHUNK ? one_chunk(l, number, true, out + done, &from, e) : one_chunk(l, number, false, l->bounce, &from, e);
		if (rc < 0 || off + done >= l->size) /* which is known now */
			break;
		if (n > l->size - (off + done))
			n = (size_t)(l->size - (off + done));
		h = hole_at(l, off + done); /* it may have been met just now */
		if (h.off <= off + done)
			rc = in_hole(l, &h, e);
		else if (h.off - (off + done) < n)
			n = (size_t)(h.off - (off + done));
		if (rc < 0)
			break;
		if (from != out + done)
			memcpy(out + done, from + in, n);
		done += n;
	}
	pthread_mutex_unlock(&l->lock);
	return rc < 0 && done == 0 ? rc : (int64_t)done;
}

static void layer_close(void *ctx)
{
	struct layer *l = ctx;

	layercache_free(&l->chunks);
	for (size_t i = 0; i < l->n_points; i++)
		l->codec->mark_free(l->point[i].mark);
	free(l->point);
	free(l->flaw);
	free(l->bounce);
	if (l->state)
		l->codec->close(l->state);
	tempfile_close(l->temp);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const struct input_ops layer_ops = {layer_read, layer_close};

/* What can't be unpacked for want of memory, or of a disk that works, is behind the end as well: then `truncated` tells. */
static void find_end(struct layer *l)
{
	struct err why = {0};
	int rc = 0;

	if (l->broken || l->at < last_point(l))
		rc = go_back(l, last_point(l), &why);
	if (rc == 0)
		(void)first_way(l, &why);
	if (later(l))
		end_here(l, &why);
}

static uint64_t layer_size(void *ctx, bool learn, bool *known)
{
	struct layer *l = ctx;
	uint64_t size, reached = input_reached(l->in), packed = input_size_guess(l->in);

	pthread_mutex_lock(&l->lock);
	if (learn && later(l))
		find_end(l);
	*known = !later(l);
	size = *known ? l->size : reached && packed >= reached ? (uint64_t)((double)l->at / (double)reached * (double)packed) : 0;
	pthread_mutex_unlock(&l->lock);
	return size;
}

/* The first chunk tells whether there is anything at all; the rest when it is asked for. */
static int begin(struct layer *l, struct err *e)
{
	int rc = unpack_to(l, 0, false, l->bounce, e);

	l->facts.later = later(l);
	return rc;
}

static int prepare(struct layer *l, const struct layer_opts *o, struct err *e)
{
	struct layer_facts *f = &l->facts;
	uint64_t known = 0;
	int rc = l->codec->open(&l->state, l->in, e);

	f->name = l->codec->name;
	l->cache = o->cache_bytes ? o->cache_bytes : LAYER_CACHE_BYTES;
	l->most = o->most_bytes ? o->most_bytes : believed(o->packed_bytes ? o->packed_bytes : input_size(l->in));
	l->far_chunks = o->cache_bytes ? 0 : LAYER_CACHE_FAR / LAYER_CHUNK;
	if (rc == 0 && o->spill)
		rc = tempfile_open(&l->temp, o->spill, e);
	if (rc < 0)
		return rc;
	f->spilled = l->temp != NULL;
	l->limits = o->limits;
	l->ratio = o->limits.step ? 0 : LAYER_STEP_RATIO;
	if (!l->limits.step)
		l->limits.step = LAYER_STEP_MIN;
	if (!l->limits.marks)
		l->limits.marks = LAYER_MARKS_MAX;
	if (!l->limits.mark_bytes)
		l->limits.mark_bytes = LAYER_MARK_MAX;
	if (!l->limits.all_mark_bytes)
		l->limits.all_mark_bytes = LAYER_MARK_BYTES;
	l->step = l->limits.step;
	if (l->codec->limit)
		l->codec->limit(l->state, &l->limits);
	l->seeks = l->codec->known && l->codec->known(l->state, &known);
	l->marks = l->codec->mark && (!l->seeks || (l->codec->marks_too && l->codec->marks_too(l->state)));
	l->chunks.max_chunks = (size_t)((l->codec->slow && !l->seeks && !o->cache_bytes ? LAYER_CACHE_FAR : l->cache) / LAYER_CHUNK);
	if (l->seeks && !l->temp) {
		f->limited = known > l->most;
		l->size = f->size = f->limited ? l->most : known;
		l->broken = true;
		f->far = !l->marks && is_far(known, known ? l->codec->place(l->state, known - 1) : 0, l->cache);
		if (f->far && l->far_chunks > l->chunks.max_chunks)
			l->chunks.max_chunks = (size_t)l->far_chunks;
	} else {
		l->size = NOT_YET;
		if (l->seeks)
			rc = known ? go_to_place(l, 0, e) : 0;
		if (rc == 0)
			rc = o->size_later && !l->temp ? begin(l, e) : first_way(l, e);
	}
	if (rc == 0 && l->size == 0)
		rc = f->why[0] ? err_set(e, ERR_FORMAT, "%s", f->why) : err_set(e, ERR_FORMAT, "%s: nothing in it", l->codec->name);
	return rc;
}

int layer_open(struct input **out, const struct layer_codec *codec, struct input *in, const struct layer_opts *o, struct layer_facts *facts,
	       struct err *e)
{
	static const struct layer_opts plain;
	struct layer *l = calloc(1, sizeof(*l));
	int rc;

	if (!l || !(l->bounce = malloc(LAYER_CHUNK))) {
		free(l);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	memset(facts, 0, sizeof(*facts));
	l->codec = codec;
	l->in = in;
	pthread_mutex_init(&l->lock, NULL);
	rc = prepare(l, o ? o : &plain, e);
	if (rc == 0)
		rc = input_new(out, &layer_ops, l, l->size, input_name(in), e);
	if (rc < 0) {
		layer_close(l);
		return rc;
	}
	if (l->facts.later)
		input_set_size_fn(*out, layer_size);
	*facts = l->facts;
	return 0;
}

void layer_look(const struct input *in, struct layer_facts *facts)
{
	struct layer *l = input_ctx(in, &layer_ops);

	pthread_mutex_lock(&l->lock);
	*facts = l->facts;
	facts->later = later(l);
	pthread_mutex_unlock(&l->lock);
}
