/* segments.c - see segments.h */
#include "segments.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dirlist.h"
#include "path.h"

#define LOOK_BEHIND 16 /* numbers that are tried behind a missing piece */

struct piece {
	struct input *in; /* NULL: a hole */
	uint64_t off;     /* of its first byte in the whole */
	uint64_t size;
	uint32_t place; /* which one it is, from 0 */
	bool cut;       /* there was more of it */
	char *name;     /* owned */
};

struct segments {
	struct piece *v;
	size_t n, cap;
	uint64_t size;
};

static size_t piece_at(const struct segments *s, uint64_t off)
{
	size_t lo = 0, hi = s->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static int64_t segments_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct segments *s = ctx;
	size_t done = 0;

	for (size_t i = piece_at(s, off); i < s->n && done < len; i++) {
		const struct piece *p = &s->v[i];
		int64_t k;

		if (!p->in)
			return done ? (int64_t)done : err_set(e, ERR_FAULT, "a piece that is not there");
		k = input_read(p->in, off + done - p->off, (uint8_t *)buf + done, len - done, e);
		if (k < 0)
			return k;
		done += (size_t)k;
		if (done < len && off + done < p->off + p->size)
			break; /* it has become shorter */
	}
	return (int64_t)done;
}

static uint64_t segments_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	struct segments *s = ctx;
	size_t i = piece_at(s, off);
	uint64_t end = off;

	*there = s->n && s->v[i].in;
	for (; i < s->n && (s->v[i].in != NULL) == *there && end - off < len; i++)
		end = s->v[i].off + s->v[i].size;
	return end <= off ? len : end - off < len ? end - off : len;
}

static void segments_close(void *ctx)
{
	struct segments *s = ctx;

	for (size_t i = 0; i < s->n; i++) {
		input_close(s->v[i].in);
		free(s->v[i].name);
	}
	free(s->v);
	free(s);
}

static const struct input_ops segments_ops = {segments_read, segments_close};

static int add(struct segments *s, const struct piece *p)
{
	void *arr = s->v;

	if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
		return ERR_NOMEM;
	s->v = arr;
	s->v[s->n++] = *p;
	return 0;
}

/* ---- names --------------------------------------------------------------------------------------------------------------------------------- */

/* How pieces are named: PATH[0, at) and a number of so many digits, or letters. */
struct naming {
	const char *path, *ending;
	size_t at, width;
	uint64_t first, number;
	unsigned base;
	bool loose; /* a name that may mean something else: sizes must agree */
};

/* The name of a first piece: NAME.000, NAME.001 with three digits or more; as split(1) makes them: two digits or more, or letters, all of them
 * the first one (NAME00, NAME.01, NAMEaa). */
static bool first_name(const char *path, size_t n, struct naming *m)
{
	size_t i = n;

	*m = (struct naming){.path = path, .ending = path + n, .base = 10};
	while (i && isdigit((unsigned char)path[i - 1]))
		i--;
	if (n - i >= 2 && i) {
		m->number = (unsigned)(path[n - 1] - '0');
		if (m->number == 1) /* of NAME2001 the number is 001 */
			while (i < n && path[i] != '0')
				i++;
		for (size_t k = i; k + 1 < n; k++)
			if (path[k] != '0')
				return false;
		m->loose = n - i < 3 || path[i - 1] != '.';
	} else {
		i = n;
		while (i && path[i - 1] == 'a')
			i--;
		m->base = 26;
		m->loose = true;
	}
	m->at = i;
	m->width = n - i;
	m->first = m->number;
	return i && m->width >= 2 && path[i - 1] != '/' && m->number <= 1;
}

static uint64_t ten_to(size_t n)
{
	uint64_t v = 1;

	while (n--)
		v *= 10;
	return v;
}

static void name_of(struct buf *out, const struct naming *m, uint64_t number)
{
	uint8_t *p;

	size_t width = m->width;

	for (uint64_t n = number; !m->loose && width < 20 && n / ten_to(width);) /* behind 999 comes 1000 */
		width++;
	buf_clear(out);
	buf_put(out, m->path, m->at);
	p = buf_grow(out, width);
	for (size_t i = width; p && i-- > 0; number /= m->base)
		p[i] = (uint8_t)((m->base == 10 ? '0' : 'a') + number % m->base);
	buf_puts(out, m->ending);
}

/* split(1) runs out of numbers before the last: behind 89 comes 9000, behind yz zaaa. */
static bool is_there(struct buf *name, struct naming *m)
{
	uint64_t square = (uint64_t)m->base * m->base, all = 1;

	for (size_t i = 0; m->loose && i < m->width && all <= m->number; i++)
		all *= m->base;
	if (m->loose && m->number >= all) /* no name is left: a number of more digits would be cut to that of an earlier piece */
		return false;
	name_of(name, m, m->number);
	if (path_is_file(buf_str(name)) || !m->loose || m->width > 8)
		return path_is_file(buf_str(name));
	m->width += 2;
	name_of(name, m, m->number * square);
	if (path_is_file(buf_str(name))) {
		m->number *= square;
		return true;
	}
	m->width -= 2;
	name_of(name, m, m->number);
	return false;
}

/* Behind a piece that is missing: the next one that is there. */
static bool look_behind(struct naming *m, struct buf *name)
{
	for (unsigned i = 1; i <= LOOK_BEHIND && !m->loose; i++) {
		name_of(name, m, m->number + i);
		if (path_is_file(buf_str(name))) {
			m->number += i;
			return true;
		}
	}
	return false;
}

/* An opened file. Takes it over, also on failure. */
static int add_file(struct segments *s, struct input *in, const char *name, uint64_t place)
{
	struct piece p = {.in = in, .off = s->size, .size = input_size(in), .place = (uint32_t)place, .name = strdup(name)};

	if (!p.name || add(s, &p) < 0) {
		free(p.name);
		input_close(in);
		return ERR_NOMEM;
	}
	s->size += p.size;
	return 0;
}

static int add_all(struct segments *s, struct naming *m, struct err *e)
{
	struct buf name;
	int rc = 0;

	buf_init(&name);
	while (rc == 0 && s->n < SEGMENTS_MAX) {
		struct input *in;

		m->number++;
		if (!is_there(&name, m) && !look_behind(m, &name))
			break;
		rc = name.failed ? ERR_NOMEM : input_open(&in, buf_str(&name), e) < 0 ? ERR_IO : 0;
		if (rc == 0)
			rc = add_file(s, in, buf_str(&name), m->loose ? s->n : m->number - m->first);
		if (rc == ERR_NOMEM)
			err_set(e, rc, "out of memory");
	}
	buf_free(&name);
	return rc;
}

/* ---- which piece stands where -------------------------------------------------------------------------------------------------------------- */

/* A piece as large as the others, `lost` bytes of it not there, the one that stands at `at`. */
static int add_hole(struct segments *s, uint32_t place, uint64_t lost, uint64_t at, const char *name, struct segments_facts *f)
{
	struct piece hole = {.size = lost, .place = place};

	if (!f->n_holes++) {
		f->hole = at;
		f->hole_bytes = lost;
		snprintf(f->missing, sizeof(f->missing), "%s", path_base(name));
	}
	return add(s, &hole);
}

/* The size that all pieces have but the last one; 0: they don't agree. One that was cut says nothing. */
static uint64_t size_of_all(const struct segments *s)
{
	uint64_t size = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].cut && s->v[i].size > size)
			size = s->v[i].size;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].size > size || (i + 1 < s->n && !s->v[i].cut && s->v[i].size != size))
			return 0;
	return size;
}

/* Gives each piece its place. What is missing between others, or of one of them, has the size that all have; where they don't agree, it ends there. `keep` is not closed. */
static int settle(struct segments *s, const struct naming *m, const struct input *keep, struct segments_facts *f)
{
	struct segments all = {0};
	uint64_t size = size_of_all(s);
	struct buf b;
	size_t i;
	int rc = 0;

	buf_init(&b);
	for (i = 0; rc == 0 && i < s->n && !f->gap; i++) {
		struct piece p = s->v[i];
		uint32_t place = all.n ? all.v[all.n - 1].place + 1 : 0;

		for (; rc == 0 && place < p.place && !f->gap; place++) {
			name_of(&b, m, m->first + place);
			if (!size)
				f->gap = true;
			else
				rc = add_hole(&all, place, size, all.size, buf_str(&b), f);
			all.size += size;
		}
		if (rc < 0 || f->gap)
			break;
		p.off = all.size;
		rc = add(&all, &p);
		if (rc < 0)
			break;
		s->v[i].in = NULL; /* it belongs to the other one now */
		s->v[i].name = NULL;
		all.size += p.size;
		f->n++;
		if (!p.cut || i + 1 == s->n)
			continue;
		if (size && p.size < size)
			rc = add_hole(&all, p.place, size - p.size, all.size, p.name, f);
		else
			f->gap = true;
		all.size += size > p.size ? size - p.size : 0;
		buf_clear(&b);
		buf_puts(&b, p.name);
	}
	if (f->gap)
		snprintf(f->missing, sizeof(f->missing), "%s", path_base(buf_str(&b)));
	for (uint64_t at = 0, k = 0; k < all.n; at += all.v[k++].size)
		all.v[k].off = at;
	for (i = 0; i < s->n; i++) {
		if (s->v[i].in != keep)
			input_close(s->v[i].in);
		free(s->v[i].name);
	}
	free(s->v);
	*s = all;
	rc = b.failed ? ERR_NOMEM : rc;
	buf_free(&b);
	return rc;
}

/* As split(1) makes them: all of one size, the last one perhaps smaller. */
static bool sizes_agree(const struct segments *s)
{
	return size_of_all(s) == s->v[0].size && s->v[0].size != 0;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

static int make_input(struct input **out, struct segments *s, const char *path, struct err *e)
{
	int rc = input_new(out, &segments_ops, s, s->size, path, e);

	if (rc == 0)
		input_set_extent(*out, segments_extent);
	return rc;
}

/* named: the file's name that tells the others' names, without its ending n bytes long. packed: they are not put together yet. */
static int open_named(struct input **out, struct input *first, const char *named, size_t n, bool packed, const char *path,
		      struct segments_facts *facts, struct err *e)
{
	struct segments *s;
	struct naming m;
	int rc;

	memset(facts, 0, sizeof(*facts));
	if (!first_name(named, n, &m) || (packed && m.loose))
		return ERR_NOTMINE;
	s = calloc(1, sizeof(*s));
	if (!s)
		return no_memory(e);
	s->v = calloc(1, sizeof(*s->v));
	s->cap = 1;
	if (!s->v || !(s->v[0].name = strdup(named))) {
		free(s->v);
		free(s);
		return no_memory(e);
	}
	s->v[0].in = first;
	s->v[0].size = s->size = input_size(first);
	s->n = 1;
	rc = add_all(s, &m, e);
	if (rc == 0 && (s->n == 1 || (m.loose && !sizes_agree(s))))
		rc = ERR_NOTMINE;
	if (rc == 0 && packed)
		facts->n = (uint32_t)s->n;
	else if (rc == 0 && settle(s, &m, first, facts) < 0)
		rc = no_memory(e);
	if (rc == 0)
		rc = make_input(out, s, path, e);
	if (rc < 0) {
		if (s->n)
			s->v[0].in = NULL; /* the caller's */
		segments_close(s);
	}
	return rc;
}

static int open_both(struct input **out, struct input *first, const char *path, size_t n, bool packed, struct segments_facts *facts,
		     struct err *e)
{
	int rc = open_named(out, first, path, n, packed, path, facts, e);
	char *target = rc == ERR_NOTMINE ? path_target(path) : NULL;
	size_t ending = strlen(path) - n, k = target ? strlen(target) : 0;

	/* what it leads to has the same ending, or another name that tells nothing */
	if (target && k > ending && strcmp(target + k - ending, path + n) == 0)
		rc = open_named(out, first, target, k - ending, packed, path, facts, e);
	free(target);
	return rc;
}

int segments_open(struct input **out, struct input *first, const char *path, struct segments_facts *facts, struct err *e)
{
	return open_both(out, first, path, strlen(path), false, facts, e);
}

int segments_open_packed(struct input **out, struct input *first, const char *path, size_t n, struct segments_facts *facts, struct err *e)
{
	return open_both(out, first, path, n, true, facts, e);
}

bool segments_piece(const struct input *whole, uint32_t i, struct segments_piece *out)
{
	const struct segments *s = input_ctx(whole, &segments_ops);

	if (!s || i >= s->n)
		return false;
	*out = (struct segments_piece){s->v[i].off, s->v[i].size, s->v[i].place, s->v[i].name};
	return true;
}

int segments_join(struct input **out, const struct segments_part *part, uint32_t n, size_t ending, const char *path,
		  struct segments_facts *facts, struct err *e)
{
	struct segments *s = calloc(1, sizeof(*s));
	struct naming m;
	int rc = s ? 0 : ERR_NOMEM;

	memset(facts, 0, sizeof(*facts));
	(void)first_name(part[0].name, strlen(part[0].name) - ending, &m);
	for (uint32_t i = 0; i < n; i++) {
		if (rc < 0) {
			input_close(part[i].in);
			continue;
		}
		rc = add_file(s, part[i].in, part[i].name, part[i].place);
		if (rc == 0)
			s->v[s->n - 1].cut = part[i].cut;
	}
	if (rc == 0)
		rc = settle(s, &m, NULL, facts);
	rc = rc < 0 ? no_memory(e) : make_input(out, s, path, e);
	if (rc < 0 && s)
		segments_close(s);
	return rc;
}
