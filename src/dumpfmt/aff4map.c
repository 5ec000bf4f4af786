/* aff4map.c - AFF4 maps: pieces of an address space and where their bytes are; also the medium that a single stream makes. See aff4.h */
#include <stdlib.h>
#include <string.h>

#include "aff4.h"
#include "rd.h"

#define ENTRY 28u

enum kind { K_STREAM, K_FILL, K_NOTHING, K_MEMBER };

struct target {
	enum kind kind;
	uint8_t fill;
	struct aff4_stream *stream;
	const struct aff4_member *member; /* a stored one: bytes as they are */
	uint64_t data;                    /* where they stand in its volume */
	bool unread;                      /* the acquisition could not read it */
};

struct piece {
	uint64_t at, len, off;
	uint32_t target;
	uint32_t order;
	bool lies; /* it claimed more than its target has: where another one begins it ends */
};

struct medium {
	struct aff4 *x;
	struct target *t;
	size_t n_t, cap_t;
	struct piece *v; /* sorted, apart */
	size_t n, cap;
	uint64_t size;
	uint64_t fill_bytes, unread_bytes, far_bytes;
	uint64_t beyond_bytes;  /* of pieces, behind the end of their target */
	size_t odd;             /* entries at no multiple of 512 */
	size_t unknown, beyond; /* entries whose target is none; that lead behind its end */
};

/* ---- targets ------------------------------------------------------------------------------------------------------------------------------ */

/* ...#Zero, ...#SymbolicStreamXX, ...SymbolicStream#XX, ...#XX (before the standard), ...#UnknownData, ...#UnreadableData */
int aff4_symbol(const char *urn, uint8_t *fill)
{
	const char *l = strrchr(urn, '#');

	*fill = 0;
	l = l ? l + 1 : strncmp(urn, "aff4:", 5) == 0 && strncmp(urn, "aff4://", 7) != 0 ? urn + 5 : NULL;
	if (!l)
		return 0;
	if (strcmp(l, "Zero") == 0)
		return 1;
	if (strcmp(l, "UnknownData") == 0 || strcmp(l, "UnreadableData") == 0)
		return 2;
	if (strncmp(l, "SymbolicStream", 14) == 0)
		l += 14;
	if (strlen(l) != 2 || aff4_hex(l[0]) < 0 || aff4_hex(l[1]) < 0)
		return 0;
	*fill = (uint8_t)(aff4_hex(l[0]) << 4 | aff4_hex(l[1]));
	return 1;
}

static int add_target(struct medium *m, const struct target *t, uint32_t *n, struct err *e)
{
	void *arr = m->t;

	if (m->n_t == AFF4_TARGETS_MAX)
		return err_set(e, ERR_LIMIT, "aff4: more than %u targets of a map", AFF4_TARGETS_MAX);
	if (arr_reserve(&arr, &m->cap_t, m->n_t, sizeof(*m->t)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->t = arr;
	*n = (uint32_t)m->n_t;
	m->t[m->n_t++] = *t;
	return 0;
}

/* A stream that is not in the volumes is nothing, and told; so is a map that a map points to (no writer makes one). */
static int open_target(struct medium *m, const char *urn, struct target *t, struct err *e)
{
	const struct aff4_member *member = aff4_find(m->x, urn);
	int symbol, rc;

	memset(t, 0, sizeof(*t));
	symbol = aff4_symbol(urn, &t->fill);
	t->kind = symbol == 1 ? K_FILL : K_NOTHING;
	t->unread = symbol == 2 && strstr(urn, "Unread");
	if (symbol)
		return 0;
	rc = aff4_stream_open(m->x, urn, &t->stream, e);
	if (rc == 0) {
		t->kind = K_STREAM;
	} else if (rc == ERR_NOTFOUND && member && member->z->method == ZIP_STORED &&
		   zip_data(m->x->vol[member->vol], member->z, &t->data, NULL) == 0) {
		t->kind = K_MEMBER;
		t->member = member;
		rc = 0;
	} else if (rc == ERR_NOTFOUND) {
		notes_add(m->x->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "aff4: the stream %.200s is not in the volumes that are here", urn);
		rc = 0;
	}
	return rc;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------------------------------- */

static int add_piece(struct medium *m, const struct piece *p, struct err *e)
{
	void *arr = m->v;
	struct piece *last = m->n ? &m->v[m->n - 1] : NULL;

	if (last && !last->lies && !p->lies && last->target == p->target && last->at + last->len == p->at &&
	    (m->t[p->target].kind == K_FILL || last->off + last->len == p->off)) {
		last->len += p->len;
		return 0;
	}
	if (m->n == AFF4_PIECES_MAX)
		return err_set(e, ERR_LIMIT, "aff4: more than %u pieces of a map", AFF4_PIECES_MAX);
	if (arr_reserve(&arr, &m->cap, m->n, sizeof(*m->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->v = arr;
	m->v[m->n] = *p;
	m->v[m->n].order = (uint32_t)m->n;
	m->n++;
	return 0;
}

/* Bytes of a target; UINT64_MAX: it has no end. */
static uint64_t target_size(const struct target *t)
{
	return t->kind == K_STREAM ? t->stream->size : t->kind == K_MEMBER ? t->member->z->size : UINT64_MAX;
}

/* A piece that is of some use; what is none is counted. */
static int take_piece(struct medium *m, struct piece p, struct err *e)
{
	const struct target *t = &m->t[p.target];
	uint64_t size = target_size(t), left = p.off < size ? size - p.off : 0;

	m->odd += p.at % 512 != 0;
	if (size != UINT64_MAX && p.len > left) {
		m->beyond++;
		m->beyond_bytes = p.len - left > UINT64_MAX - m->beyond_bytes ? UINT64_MAX : m->beyond_bytes + (p.len - left);
		p.len = left;
		p.lies = true;
	}
	if (p.at >= AFF4_PLACE_MAX || p.len > AFF4_PLACE_MAX - p.at) {
		m->far_bytes += p.len >> 10;
		if (p.at >= AFF4_PLACE_MAX)
			return 0;
		p.len = AFF4_PLACE_MAX - p.at;
	}
	if (p.len && p.at + p.len > m->size)
		m->size = p.at + p.len;
	if (t->kind == K_NOTHING) {
		m->unread_bytes += t->unread ? p.len : 0;
		return 0;
	}
	if (t->kind == K_FILL) {
		if (p.len > AFF4_FILL_MAX - m->fill_bytes) {
			notes_add(m->x->notes, &NOTE_AT(NOTE_LIMIT_REACHED, p.at, p.len),
				  "aff4: more filled space than is believed: left out");
			return 0;
		}
		m->fill_bytes += p.len;
	}
	return p.len ? add_piece(m, &p, e) : 0;
}

/* ---- a map -------------------------------------------------------------------------------------------------------------------------------- */

struct lines { /* of a text; modified in place */
	char **v;
	size_t n;
};

static int split_lines(struct buf *text, struct lines *l, struct err *e)
{
	size_t cap = 0;

	buf_u8(text, 0);
	if (text->failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (char *p = (char *)text->p; *p && l->n < AFF4_TARGETS_MAX;) {
		char *end = p + strcspn(p, "\n"), *nl = end;
		void *arr = l->v;

		if (arr_reserve(&arr, &cap, l->n, sizeof(char *)) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		l->v = arr;
		l->v[l->n++] = p;
		p = *end ? end + 1 : end;
		*nl = 0;
		if (nl > l->v[l->n - 1] && nl[-1] == '\r')
			nl[-1] = 0;
	}
	return 0;
}

struct map {
	struct buf points, idx;
	struct lines line;
	uint32_t *number; /* of a line's target; UINT32_MAX: not yet */
};

static int load_map(struct aff4 *x, const char *urn, struct map *p, struct err *e)
{
	const struct aff4_member *points = aff4_find_in(x, urn, "map"), *idx = aff4_find_in(x, urn, "idx");
	int rc = points && idx ? aff4_read_member(x, points, &p->points, e) : err_set(e, ERR_NOTFOUND, "no map");

	if (rc == 0)
		rc = aff4_read_member(x, idx, &p->idx, e);
	if (rc == 0)
		rc = split_lines(&p->idx, &p->line, e);
	if (rc < 0)
		return rc;
	if (p->points.n < ENTRY || !p->line.n)
		return err_set(e, ERR_FORMAT, "a map without an entry");
	p->number = malloc((p->line.n + 1) * sizeof(*p->number));
	for (size_t i = 0; p->number && i < p->line.n; i++)
		p->number[i] = UINT32_MAX;
	return p->number ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static void free_map(struct map *p)
{
	buf_free(&p->points);
	buf_free(&p->idx);
	free(p->line.v);
	free(p->number);
}

static int take_entry(struct medium *m, struct map *p, const uint8_t *b, struct err *e)
{
	uint64_t at = le64(b), len = le64(b + 8), off = le64(b + 16);
	uint32_t id = le32(b + 24);
	int rc = 0;

	if (len > UINT64_MAX - at)
		len = UINT64_MAX - at;
	if (id >= p->line.n) {
		m->unknown++;
		return 0;
	}
	if (p->number[id] == UINT32_MAX) {
		struct target t;

		rc = open_target(m, p->line.v[id], &t, e);
		if (rc == 0)
			rc = add_target(m, &t, &p->number[id], e);
	}
	return rc != 0 ? rc : take_piece(m, (struct piece){at, len, off, p->number[id], 0, false}, e);
}

static int read_map(struct medium *m, const char *urn, struct err *e)
{
	struct map p = {0};
	int rc = load_map(m->x, urn, &p, e);

	for (size_t i = 0; rc == 0 && (i + 1) * ENTRY <= p.points.n; i++)
		rc = take_entry(m, &p, p.points.p + i * ENTRY, e);
	free_map(&p);
	return rc;
}

bool aff4_map_there(struct aff4 *x, const char *urn)
{
	struct map p = {0};
	bool there = load_map(x, urn, &p, NULL) == 0;

	free_map(&p);
	return there;
}

char *aff4_map_lacks(struct aff4 *x, const char *urn)
{
	struct map p = {0};
	char *lacks = NULL;
	uint8_t fill;

	if (load_map(x, urn, &p, NULL) == 0)
		for (size_t i = 0; i < p.line.n && !lacks; i++) {
			const char *t = p.line.v[i];

			if (*t && !aff4_symbol(t, &fill) && !aff4_find(x, t) && !aff4_find_in(x, t, "map") && !aff4_stream_there(x, t))
				lacks = strdup(t);
		}
	free_map(&p);
	return lacks;
}

/* ---- sorted, apart ---------------------------------------------------------------------------------------------------------------------- */

static int by_place(const void *x, const void *y)
{
	const struct piece *a = x, *b = y;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int by_bytes(const void *x, const void *y)
{
	const struct piece *a = x, *b = y;

	if (a->target != b->target)
		return a->target < b->target ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

/* Bytes of the map's streams that no piece points to: a length was larger once. A part of a last chunk is none. */
static void name_unused(struct medium *m)
{
	uint64_t lost = 0;
	size_t i = 0;

	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), by_bytes);
	for (uint32_t t = 0; t < m->n_t; t++) {
		const struct aff4_stream *stream = m->t[t].kind == K_STREAM ? m->t[t].stream : NULL;
		uint64_t size = stream ? stream->n : 0, end = 0, unused = 0;

		while (size && !stream->v[size - 1].len) /* no chunk is there */
			size--;
		size *= stream ? stream->chunk_size : 0;

		for (; i < m->n && m->v[i].target == t; i++) {
			unused += m->v[i].off > end ? m->v[i].off - end : 0;
			if (m->v[i].off + m->v[i].len > end)
				end = m->v[i].off + m->v[i].len;
		}
		if (stream && size > end && size - end >= stream->chunk_size)
			unused += size - end;
		lost += stream ? unused : 0;
	}
	if (lost)
		notes_add(m->x->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, 0, lost),
			  "aff4: %llu bytes of the streams are in no piece of the map: where they stand is not known",
			  (unsigned long long)lost);
}

/* Pieces that claim too much (more than their stream has, or bytes that are the next one's too) end where the next one begins. */
static void clamp_pieces(struct medium *m)
{
	for (size_t i = 0; i + 1 < m->n; i++) {
		struct piece *p = &m->v[i];
		const struct piece *q = p + 1;

		if (q->at > p->at && q->at - p->at < p->len &&
		    (p->lies ||
		     (q->target == p->target && q->off > p->off && q->off - p->off < p->len && m->t[p->target].kind != K_FILL))) {
			if (!p->lies) {
				m->beyond++;
				m->beyond_bytes += p->len - (q->at - p->at);
			}
			p->len = q->at - p->at;
		}
	}
}

/* Of two pieces that hold the same place the lower one stays, then the earlier one in the file. */
static void settle_pieces(struct medium *m)
{
	size_t o = 0, twice = 0;
	uint64_t end = 0, first = 0;

	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), by_place);
	clamp_pieces(m);
	for (size_t i = 0; i < m->n; i++) {
		struct piece p = m->v[i];

		if (p.at < end) {
			uint64_t cut = end - p.at < p.len ? end - p.at : p.len;

			first = twice++ ? first : p.at;
			p.at += cut;
			p.off += cut;
			p.len -= cut;
		}
		if (!p.len)
			continue;
		end = p.at + p.len;
		m->v[o++] = p;
	}
	m->n = o;
	if (twice)
		notes_add(m->x->notes, &NOTE_AT(NOTE_RUN_OVERLAP, first, 0), "aff4: %zu pieces of the map overlap others, from 0x%llx on",
			  twice, (unsigned long long)first);
	if (m->unknown)
		notes_add(m->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: %zu pieces of the map lead nowhere", m->unknown);
	if (m->odd)
		notes_add(m->x->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: %zu pieces of the map stand at no multiple of 512 bytes", m->odd);
	if (m->beyond)
		notes_add(m->x->notes, &NOTE(NOTE_IMAGE_TRUNCATED),
			  "aff4: %zu pieces of the map claim %llu bytes more than their stream has for them", m->beyond,
			  (unsigned long long)m->beyond_bytes);
	if (m->far_bytes)
		notes_add(m->x->notes, &NOTE(NOTE_LIMIT_REACHED), "aff4: %llu KiB of the map stand where no memory is",
			  (unsigned long long)m->far_bytes);
	if (m->unread_bytes)
		notes_add(m->x->notes, &NOTE(NOTE_PAGE_MISSING), "aff4: %llu bytes could not be read when the image was made",
			  (unsigned long long)m->unread_bytes);
}

/* ---- the medium -------------------------------------------------------------------------------------------------------------------------- */

/* The first piece that ends behind off; m->n: none. */
static size_t piece_from(const struct medium *m, uint64_t off)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->v[mid].at + m->v[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int read_piece(struct medium *m, const struct piece *p, uint64_t off, void *buf, size_t n, struct err *e)
{
	const struct target *t = &m->t[p->target];
	uint64_t in = p->off + (off - p->at);

	if (t->kind == K_FILL) {
		memset(buf, t->fill, n);
		return 0;
	}
	if (t->kind == K_STREAM)
		return aff4_stream_read(t->stream, in, buf, n, e);
	if (in > t->member->z->size || n > t->member->z->size - in)
		return err_set(e, ERR_FAULT, "behind the end of a member");
	return input_read_all(m->x->vol[t->member->vol], t->data + in, buf, n, e);
}

static int64_t medium_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct medium *m = ctx;
	size_t done = 0;

	for (size_t i = piece_from(m, off); done < len; i++) {
		const struct piece *p = &m->v[i];
		size_t n = len - done;
		int rc;

		if (i >= m->n || p->at > off + done)
			return err_set(e, ERR_FAULT, "a place that the map leaves out");
		if (n > p->at + p->len - (off + done))
			n = (size_t)(p->at + p->len - (off + done));
		rc = read_piece(m, p, off + done, (uint8_t *)buf + done, n, e);
		if (rc < 0)
			return rc;
		done += n;
	}
	return (int64_t)done;
}

static uint64_t medium_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	struct medium *m = ctx;
	size_t i = piece_from(m, off);
	const struct piece *p = &m->v[i];
	const struct target *t;
	uint64_t n;

	*there = false;
	if (i >= m->n)
		return len;
	if (p->at > off)
		return p->at - off < len ? p->at - off : len;
	n = p->at + p->len - off < len ? p->at + p->len - off : len;
	t = &m->t[p->target];
	if (t->kind == K_STREAM)
		return aff4_stream_extent(t->stream, p->off + (off - p->at), n, there);
	*there = t->kind == K_FILL || p->off + (off - p->at) + n <= t->member->z->size;
	return n;
}

static void free_medium(struct medium *m)
{
	free(m->t);
	free(m->v);
	free(m);
}

static void medium_close(void *ctx)
{
	struct medium *m = ctx;

	aff4_free(m->x);
	free_medium(m);
}

static const struct input_ops ops = {medium_read, medium_close};

/* A stream (or a plain member) alone. */
static int take_alone(struct medium *m, const char *urn, const struct aff4_run *run, size_t n_runs, struct err *e)
{
	struct target t;
	uint64_t size, done = 0;
	uint32_t n;
	int rc = open_target(m, urn, &t, e);

	if (rc == 0)
		rc = add_target(m, &t, &n, e);
	if (rc < 0 || (t.kind != K_STREAM && t.kind != K_MEMBER))
		return rc;
	size = t.kind == K_STREAM ? t.stream->size : t.member->z->size;
	if (!n_runs)
		return take_piece(m, (struct piece){0, size, 0, n, 0, false}, e);
	for (size_t i = 0; rc == 0 && i < n_runs && done < size; i++) {
		uint64_t len = run[i].len < size - done ? run[i].len : size - done;

		rc = take_piece(m, (struct piece){run[i].at, len, done, n, 0, false}, e);
		done += len;
	}
	return rc;
}

int aff4_medium(struct aff4 *x, const char *urn, const struct aff4_run *run, size_t n_runs, const char *name, struct input **out,
		struct err *e)
{
	struct medium *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->x = x;
	rc = aff4_map_there(x, urn) ? read_map(m, urn, e) : take_alone(m, urn, run, n_runs, e);
	if (rc == 0 && aff4_find_in(x, urn, "map"))
		name_unused(m);
	if (rc == 0)
		settle_pieces(m);
	if (rc == 0 && !m->n)
		rc = err_set(e, ERR_TRUNC, "aff4: nothing of the image could be read");
	if (rc == 0)
		rc = input_new(out, &ops, m, m->size, name, e);
	if (rc != 0) {
		free_medium(m);
		return rc;
	}
	input_set_extent(*out, medium_extent);
	return 0;
}
