/* evsource.c - see evsource.h */
#include "evsource.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

struct slot { /* the index: one buffer of the source */
	uint32_t i;
	uint64_t first, last; /* order keys: raw clock */
};

struct place { /* one record of an open buffer */
	uint64_t key;
	uint32_t off;
};

struct open {
	struct etw_buffer b;
	struct place *rec;
	uint32_t n, next;
	uint32_t i; /* number of the buffer: breaks ties */
};

struct evsource {
	const struct evsource_ops *ops;
	void *ctx;
	struct event_origin origin;
	struct notes *notes;
	struct slot *index; /* by first key, then number */
	uint32_t n_index, next_index;
	struct open **heap; /* min-heap by the next record's key, then buffer number */
	uint32_t n_heap;
	size_t heap_cap, open_bytes;
	struct open *current; /* the root, when its event was handed out last: moved on late, its bytes are borrowed */
	uint32_t n_buffers;
	uint64_t bad;
	bool limit_told;
	struct etl *etl; /* owned, for evsource_open_etl */
};

static int by_first(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

/* First pass: the times of every buffer. One without any time stands behind the one before it. */
static int make_index(struct evsource *s, uint32_t n, struct err *e)
{
	uint64_t before = 0;

	s->index = calloc(n ? n : 1, sizeof(*s->index));
	if (!s->index)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		struct etw_buffer b;
		struct err why;

		memset(&b, 0, sizeof(b));
		if (s->ops->buffer(s->ctx, i, &b, &why) < 0) {
			s->bad++;
		} else if (b.body_len) {
			struct slot *x = &s->index[s->n_index++];

			x->i = i;
			x->first = b.has_ts ? b.first_ts : before;
			x->last = b.has_ts ? b.last_ts : before;
			before = x->last;
		}
		etw_buffer_clear(&b);
	}
	qsort(s->index, s->n_index, sizeof(*s->index), by_first);
	return 0;
}

int evsource_open(struct evsource **out, const struct evsource_ops *ops, void *ctx, uint32_t n_buffers, const struct event_origin *origin,
		  struct notes *notes, struct err *e)
{
	struct evsource *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->ops = ops;
	s->ctx = ctx;
	s->origin = *origin;
	s->notes = notes;
	s->n_buffers = n_buffers;
	rc = make_index(s, n_buffers, e);
	if (rc < 0) {
		free(s->index);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

uint32_t evsource_n_buffers(const struct evsource *s)
{
	return s->n_buffers;
}

int evsource_buffer(struct evsource *s, uint32_t i, struct etw_buffer *b, struct err *e)
{
	memset(b, 0, sizeof(*b));
	return s->ops->buffer(s->ctx, i, b, e);
}

static int etl_buffer_of(void *ctx, uint32_t i, struct etw_buffer *b, struct err *e)
{
	return etl_buffer(ctx, i, b, e);
}

static const struct evsource_ops etl_ops = {etl_buffer_of, NULL};

int evsource_open_etl(struct evsource **out, struct input *in, const char *name, struct notes *notes, struct err *e)
{
	struct event_origin origin = {.file = name};
	struct etl *f;
	int rc = etl_open(&f, in, notes, e);

	if (rc < 0)
		return rc;
	origin.session = etl_session(f);
	origin.sys = etl_system(f);
	rc = evsource_open(out, &etl_ops, f, etl_n_buffers(f), &origin, notes, e);
	if (rc < 0)
		etl_close(f);
	else
		(*out)->etl = f;
	return rc;
}

static void close_open(struct evsource *s, struct open *o)
{
	if (!o)
		return;
	s->open_bytes -= o->b.body_len + (size_t)o->n * sizeof(*o->rec);
	etw_buffer_clear(&o->b);
	free(o->rec);
	free(o);
}

void evsource_rewind(struct evsource *s)
{
	for (uint32_t i = 0; i < s->n_heap; i++)
		close_open(s, s->heap[i]);
	s->n_heap = 0;
	s->current = NULL;
	s->next_index = 0;
}

void evsource_close(struct evsource *s)
{
	if (!s)
		return;
	evsource_rewind(s);
	free(s->heap);
	free(s->index);
	if (s->ops->close)
		s->ops->close(s->ctx);
	etl_close(s->etl);
	free(s);
}

const struct event_origin *evsource_origin(const struct evsource *s)
{
	return &s->origin;
}

uint64_t evsource_bad(const struct evsource *s)
{
	return s->bad;
}

/* ---- the heap ------------------------------------------------------------------------------------------------------------------------ */

static bool before(const struct open *a, const struct open *b)
{
	uint64_t x = a->rec[a->next].key, y = b->rec[b->next].key;

	return x != y ? x < y : a->i < b->i;
}

static void sift_down(struct evsource *s, uint32_t at)
{
	for (;;) {
		uint32_t least = at, l = 2 * at + 1;
		struct open *t;

		if (l < s->n_heap && before(s->heap[l], s->heap[least]))
			least = l;
		if (l + 1 < s->n_heap && before(s->heap[l + 1], s->heap[least]))
			least = l + 1;
		if (least == at)
			return;
		t = s->heap[at];
		s->heap[at] = s->heap[least];
		s->heap[least] = t;
		at = least;
	}
}

static int push(struct evsource *s, struct open *o)
{
	void *arr = s->heap;
	uint32_t at = s->n_heap;

	if (arr_reserve(&arr, &s->heap_cap, s->n_heap, sizeof(struct open *)) < 0)
		return ERR_NOMEM;
	s->heap = arr;
	s->heap[s->n_heap++] = o;
	while (at && before(o, s->heap[(at - 1) / 2])) {
		s->heap[at] = s->heap[(at - 1) / 2];
		at = (at - 1) / 2;
		s->heap[at] = o;
	}
	return 0;
}

/* Lists the records of o->b with their order keys. A record without a time takes its predecessor's. */
static int list_records(struct evsource *s, struct open *o, uint64_t first)
{
	uint32_t off = 0;
	bool sorted = true;
	uint64_t key = first;
	struct etw_record r;

	o->rec = calloc(o->b.n_events ? o->b.n_events : 1, sizeof(*o->rec));
	if (!o->rec)
		return ERR_NOMEM;
	while (o->n < o->b.n_events && etw_record_peek(o->b.body, o->b.body_len, off, &r) == ETW_PEEK_RECORD) {
		if (r.has_ts) {
			sorted = sorted && r.ts >= key;
			key = r.ts;
		}
		o->rec[o->n].key = key;
		o->rec[o->n++].off = off;
		off += r.step;
	}
	if (!sorted)
		qsort(o->rec, o->n, sizeof(*o->rec), by_key);
	s->open_bytes += o->b.body_len + (size_t)o->n * sizeof(*o->rec);
	return 0;
}

static int open_slot(struct evsource *s, const struct slot *x, struct err *e)
{
	struct open *o = calloc(1, sizeof(*o));
	struct err why;
	int rc;

	if (!o)
		return err_set(e, ERR_NOMEM, "out of memory");
	o->i = x->i;
	if (s->ops->buffer(s->ctx, x->i, &o->b, &why) < 0) {
		etw_buffer_clear(&o->b);
		free(o);
		return 0; /* it was readable in the first pass: a file that changes under us */
	}
	rc = list_records(s, o, x->first);
	if (rc == 0 && o->n)
		rc = push(s, o);
	else if (rc == 0) {
		close_open(s, o);
		return 0;
	}
	if (rc < 0) {
		close_open(s, o);
		return err_set(e, rc, "out of memory");
	}
	return 0;
}

static bool at_limit(struct evsource *s)
{
	if (s->n_heap < EVSOURCE_OPEN_MAX && s->open_bytes < EVSOURCE_OPEN_BYTES)
		return false;
	if (!s->limit_told)
		notes_add(s->notes, &NOTE(NOTE_LIMIT_REACHED), "%s: too many buffers overlap in time: events may stand out of order",
			  s->origin.file ? s->origin.file : "image");
	s->limit_told = true;
	return true;
}

/* Opens every buffer that may hold the next event. */
static int fill(struct evsource *s, struct err *e)
{
	while (s->next_index < s->n_index) {
		const struct slot *x = &s->index[s->next_index];
		int rc;

		if (s->n_heap && (x->first > s->heap[0]->rec[s->heap[0]->next].key || at_limit(s)))
			break;
		s->next_index++;
		rc = open_slot(s, x, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Behind the event handed out last, which stands at the root: moves on in its buffer, or closes it. */
static void settle_current(struct evsource *s)
{
	struct open *o = s->current;

	s->current = NULL;
	if (!o || !s->n_heap)
		return;
	if (++o->next == o->n) {
		s->heap[0] = s->heap[--s->n_heap];
		close_open(s, o);
	}
	sift_down(s, 0);
}

static int advance(struct evsource *s, struct err *e)
{
	settle_current(s);
	return fill(s, e);
}

int evsource_next(struct evsource *s, struct event *ev, struct err *e)
{
	struct etw_record r;
	struct open *o;
	int rc = advance(s, e);

	if (rc < 0)
		return rc;
	if (!s->n_heap)
		return 0;
	o = s->current = s->heap[0];
	if (etw_record_peek(o->b.body, o->b.body_len, o->rec[o->next].off, &r) != ETW_PEEK_RECORD)
		return err_set(e, ERR_FORMAT, "a record changed while it was read");
	if (!event_parse(ev, &s->origin, &o->b, &r))
		s->bad++;
	return 1;
}

int evsource_peek_time(struct evsource *s, int64_t *time, struct err *e)
{
	int rc = advance(s, e);
	uint64_t key;

	if (rc < 0)
		return rc;
	*time = INT64_MAX;
	if (!s->n_heap)
		return 0;
	key = s->heap[0]->rec[s->heap[0]->next].key;
	if (!etw_session_time(s->origin.session, s->origin.sys, key, time))
		*time = key > INT64_MAX ? INT64_MAX - 1 : (int64_t)key;
	return 0;
}
