/* Packed files: any bytes as gzip, bzip2, xz, zstd, lz4, snappy, S2, lzop, up to three of them over one another, read at any offset.
 *
 * What the codec unpacks by itself, from the beginning and without a layer around it, is what every read through the layer must give, whatever was
 * read before, from a mark, a place or the cache; bytes behind a damaged place that only a later place leads to must be the same each time. Where the codec
 * itself goes on behind damage, what it passes over must be an error, and all else be there.
 * Size and facts must be those of that one way. Byte 0: chunks in the cache (2 bits), how far apart snapshots are (2), how many (2), how it is
 * opened (0 plain; 1 with a spill file; 2: one read of the packed file, number byte 1, fails; 3: its size is not asked for before, by byte 1, all or some of
 * it is read, or nothing). Bytes 2, 3: where is read. */
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "rd.h"

#define MOST   (4u * LAYER_CHUNK) /* unpacked bytes that are looked at */
#define LEVELS 3u
#define HEAD   4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The packed file, of which one read may fail once. */
struct flaky {
	const uint8_t *p;
	size_t n;
	unsigned reads, fails_at; /* 0: none does */
	unsigned failed;          /* reads that failed and no caller was told of yet */
};

static int64_t flaky_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct flaky *f = ctx;

	if (++f->reads == f->fails_at) {
		f->failed++;
		return err_set(e, ERR_IO, "as asked for");
	}
	if (off >= f->n)
		return 0;
	len = len < f->n - (size_t)off ? len : f->n - (size_t)off;
	memcpy(buf, f->p + off, len);
	return (int64_t)len;
}

struct truth {
	uint8_t bytes[MOST];
	uint8_t there[MOST]; /* behind n: the byte was read once */
	uint8_t hole[MOST];
	size_t n;          /* what comes out on the way from the beginning */
	size_t skipped;    /* where damage was stepped over first; MOST: nowhere */
	uint64_t lost;     /* bytes of holes */
	bool opens, known; /* without unpacking: `size` */
	uint64_t size;
	int end; /* 0: at the end, 1: there is more; negative: damage */
};

/* Behind damage, where the codec goes on: what it said before, or 1. */
static int64_t step_over(struct truth *t, const struct layer_codec *c, void *state, int64_t said)
{
	uint64_t next = 0;

	if (said >= 0 || said == ERR_NOMEM || said == ERR_IO || !c->skip || c->skip(state, t->n, &next, NULL) <= 0 || next < t->n)
		return said;
	t->skipped = t->skipped < t->n ? t->skipped : t->n; /* over nothing, perhaps */
	t->lost += next - t->n;
	next = next < MOST ? next : MOST;
	memset(t->bytes + t->n, 0, (size_t)next - t->n);
	memset(t->hole + t->n, 1, (size_t)next - t->n);
	t->n = (size_t)next;
	return 1;
}

/* In the pieces that the layer takes. */
static void unpack(struct truth *t, const struct layer_codec *c, struct input *in)
{
	void *state;
	int64_t k = 1;

	t->n = 0;
	t->lost = 0;
	t->skipped = MOST;
	memset(t->hole, 0, sizeof(t->hole));
	t->size = 0;
	t->known = false;
	t->end = c->open(&state, in, NULL);
	t->opens = t->end >= 0;
	if (!t->opens)
		return;
	t->known = c->known && c->known(state, &t->size);
	if (t->known)
		k = t->size ? step_over(t, c, state, c->seek(state, 0, NULL)) : 0;
	if (t->known && k == 0 && t->size)
		k = 1;
	while (k > 0 && t->n < MOST) {
		size_t want = LAYER_CHUNK - t->n % LAYER_CHUNK;

		k = c->read(state, t->bytes + t->n, want, NULL);
		if (k > (int64_t)want)
			abort();
		t->n += k > 0 ? (size_t)k : 0;
		k = step_over(t, c, state, k);
	}
	t->end = k > 0 ? 1 : (int)k;
	c->close(state);
}

/* What is asked of a packed file before it is opened. */
static void peek(const struct truth *t, const struct layer_codec *c, struct input *in)
{
	uint8_t head[5000];
	int64_t k = layer_peek(c, in, head, sizeof(head));
	size_t n = t->skipped < t->n ? t->skipped : t->n; /* no way over damage here */

	if (k > (int64_t)sizeof(head) || (k < 0 && n) || (k > 0 && memcmp(head, t->bytes, (size_t)k < n ? (size_t)k : n) != 0))
		abort();
}

static void check_facts(const struct truth *t, const struct layer_facts *f, const struct input *in)
{
	if (f->size != input_size(in) || f->size == 0 || f->size > MOST)
		abort();
	if (t->known && !f->spilled) {
		if (f->size != (t->size < MOST ? t->size : MOST) || f->limited != (t->size > MOST))
			abort();
		return;
	}
	if (f->size != t->n || f->truncated != (t->end < 0) || f->limited != (t->n == MOST) || (f->why[0] != 0) != f->truncated)
		abort();
}

/* May a read that came to `off` have failed there: is there damage in that chunk or before it? */
static bool may_fail(const struct truth *t, uint64_t off, uint64_t size)
{
	uint64_t end = (off / LAYER_CHUNK + 1) * LAYER_CHUNK;

	if (off < t->n && t->hole[off])
		return true;
	return (end < size ? end : size) > t->n;
}

static void compare(struct truth *t, const uint8_t *got, size_t off, size_t n)
{
	size_t sure = off < t->n ? t->n - off : 0;

	sure = sure < n ? sure : n;
	if (memcmp(t->bytes + off, got, sure) != 0)
		abort(); /* the same place, other bytes */
	if (memchr(t->hole + off, 1, sure))
		abort(); /* bytes that nobody has */
	for (size_t i = sure; i < n; i++) {
		if (t->there[off + i] && t->bytes[off + i] != got[i])
			abort();
		t->there[off + i] = 1;
		t->bytes[off + i] = got[i];
	}
}

static void read_one(struct truth *t, struct input *in, struct flaky *fl, uint64_t off, size_t len)
{
	static uint8_t got[MOST];
	uint64_t size = input_size(in);
	int64_t k;

	off %= size;
	len = len < size - off ? len : (size_t)(size - off);
	k = input_read(in, off, got, len, NULL);
	if (k < (int64_t)len && fl->failed && !may_fail(t, off + (uint64_t)(k > 0 ? k : 0), size)) {
		fl->failed = 0; /* that was it; the same again is another matter */
		k = input_read(in, off, got, len, NULL);
	}
	if (k > (int64_t)len || (k < (int64_t)len && !may_fail(t, off + (uint64_t)(k > 0 ? k : 0), size)))
		abort(); /* what was there is not */
	if (k > 0)
		compare(t, got, (size_t)off, (size_t)k);
}

static uint64_t roll(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *x >> 33;
}

/* Bytes before anybody knows how many there are. */
static void read_unknown(struct truth *t, struct input *in, uint64_t x, unsigned reads)
{
	static uint8_t got[MOST];
	size_t step = 1 + (size_t)(roll(&x) % (2 * LAYER_CHUNK)), at = 0;

	memset(t->there, 0, sizeof(t->there));
	for (unsigned i = 0; i < reads && at < MOST; i++) {
		size_t len = step < MOST - at ? step : MOST - at;
		int64_t k = input_read(in, at, got, len, NULL);

		size_t end = at + (size_t)(k > 0 ? k : 0);

		if ((k < 0 || (k < (int64_t)len && end < t->n)) && !(end < t->n && t->hole[end]))
			abort();
		compare(t, got, at, end - at);
		while (end < t->n && t->hole[end])
			k = (int64_t)++end;
		at = reads > 1000 ? end : (size_t)roll(&x) % MOST;
		if (k == 0 && reads > 1000)
			break;
	}
}

static void read_all(struct truth *t, struct input *in, struct flaky *fl, uint64_t x)
{
	uint64_t size = input_size(in), up, down;
	struct layer_facts f;
	size_t step = (size_t)(roll(&x) % 3 ? 40000 + roll(&x) % 60000 : 2 * LAYER_CHUNK);

	if (size > t->n)
		memset(t->there + t->n, 0, (size_t)size - t->n);
	for (uint64_t at = 0; at < size; at += step)
		read_one(t, in, fl, at, step);
	for (up = 0, down = size; down; up += step) { /* from two positions */
		down -= down < step ? down : step;
		read_one(t, in, fl, down, 1 + roll(&x) % 5000);
		read_one(t, in, fl, up, 1 + roll(&x) % 5000);
	}
	for (unsigned i = 0; i < 3; i++)
		read_one(t, in, fl, roll(&x), (size_t)1 << roll(&x) % 18);
	if (input_read(in, size, &x, 1, NULL) != 0)
		abort(); /* something behind the end */
	layer_look(in, &f);
	if (!fl->fails_at && (t->known && !f.spilled ? f.lost > t->lost : f.lost != t->lost) && t->n == size)
		abort(); /* damage that nobody tells of */
}

static void options(struct layer_opts *o, uint8_t b)
{
	static const uint64_t steps[] = {1, 1024, 8192, LAYER_CHUNK};
	static const size_t chunks[] = {0, 1, 2, 4}, marks[] = {2, 3, 4, 1000};
	const char *folder = getenv("TMPDIR");

	memset(o, 0, sizeof(*o));
	o->cache_bytes = chunks[b & 3] * LAYER_CHUNK + 1;
	o->most_bytes = MOST;
	o->limits = (struct layer_limits){.step = steps[b >> 2 & 3], .marks = marks[b >> 4 & 3], .mark_bytes = (size_t)2 << 20};
	o->spill = b >> 6 == 1 ? (folder ? folder : "/tmp") : NULL;
	o->size_later = b >> 6 == 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct input_ops ops = {flaky_read, NULL};
	static struct truth t;
	struct input *level[LEVELS + 1];
	struct flaky fl = {0};
	struct layer_opts o;
	unsigned n = 0;

	if (size < HEAD)
		return 0;
	options(&o, data[0]);
	fl.p = data + HEAD;
	fl.n = size - HEAD;
	if (input_new(&level[0], &ops, &fl, fl.n, "fuzz", NULL) == 0)
		n = 1;
	while (n && n <= LEVELS) {
		const struct layer_codec *c;
		const char *missing;
		struct layer_facts f;
		int rc;

		if (layer_find(level[n - 1], &c, &missing, NULL) < 0 || !c)
			break;
		unpack(&t, c, level[n - 1]);
		if (data[3] % 4 == 0)
			peek(&t, c, level[n - 1]);
		fl.fails_at = data[0] >> 6 == 2 && n == 1 ? fl.reads + 1 + data[1] : 0;
		rc = layer_open(&level[n], c, level[n - 1], &o, &f, NULL);
		if (rc < 0) {
			if (t.opens && rc != ERR_NOMEM && !fl.failed && (t.known && !o.spill ? t.size : t.n))
				abort(); /* there is something in it */
			break;
		}
		n++;
		if (f.later) {
			read_unknown(&t, level[n - 1], le16(data + 2) + n, data[1] % 3 == 0 ? 0 : data[1] % 3 == 1 ? 5 : UINT32_MAX);
			(void)input_size(level[n - 1]);
			layer_look(level[n - 1], &f);
		}
		if (!fl.failed)
			check_facts(&t, &f, level[n - 1]);
		else if (f.size > (t.known ? t.size : t.n) || f.size > MOST)
			abort();
		read_all(&t, level[n - 1], &fl, le16(data + 2) + n);
		fl.fails_at = 0;
	}
	while (n)
		input_close(level[--n]);
	return 0;
}
