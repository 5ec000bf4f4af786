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
	struct input *in;
	uint64_t off; /* of its first byte in the whole */
};

struct segments {
	struct piece *v;
	size_t n, cap;
	uint64_t size;
};

static int64_t segments_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct segments *s = ctx;
	size_t lo = 0, hi = s->n, done = 0;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	for (; lo < s->n && done < len; lo++) {
		int64_t k = input_read(s->v[lo].in, off + done - s->v[lo].off, (uint8_t *)buf + done, len - done, e);

		if (k < 0)
			return k;
		done += (size_t)k;
		if (done < len && off + done < s->v[lo].off + input_size(s->v[lo].in))
			break; /* it has become shorter */
	}
	return (int64_t)done;
}

static void segments_close(void *ctx)
{
	struct segments *s = ctx;

	for (size_t i = 0; i < s->n; i++)
		input_close(s->v[i].in);
	free(s->v);
	free(s);
}

static const struct input_ops segments_ops = {segments_read, segments_close};

static int add(struct segments *s, struct input *in)
{
	void *arr = s->v;

	if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
		return ERR_NOMEM;
	s->v = arr;
	s->v[s->n++] = (struct piece){in, s->size};
	s->size += input_size(in);
	return 0;
}

/* How pieces are named: PATH[0, at) and a number of so many digits, or letters. */
struct naming {
	const char *path;
	size_t at, width;
	uint64_t number;
	unsigned base;
	bool loose; /* a name that may mean something else: sizes must agree */
};

/* The name of a first piece: NAME.000, NAME.001 with three digits or more; as split(1) makes them: two digits or more, or letters, all of them
 * the first one (NAME00, NAME.01, NAMEaa). */
static bool first_name(const char *path, struct naming *m)
{
	size_t n = strlen(path), i = n;

	*m = (struct naming){.path = path, .base = 10};
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

static void look_behind(struct segments_facts *f, const struct naming *m, struct buf *name)
{
	for (unsigned i = 1; i <= LOOK_BEHIND && !f->gap && !m->loose; i++) {
		name_of(name, m, m->number + i);
		f->gap = path_is_file(buf_str(name));
	}
	if (f->gap) {
		name_of(name, m, m->number);
		snprintf(f->missing, sizeof(f->missing), "%s", path_base(buf_str(name)));
	}
}

static int add_all(struct segments *s, struct naming *m, struct segments_facts *f, struct err *e)
{
	struct buf name;
	int rc = 0;

	buf_init(&name);
	while (rc == 0 && s->n < SEGMENTS_MAX) {
		struct input *in;

		m->number++;
		if (!is_there(&name, m)) {
			look_behind(f, m, &name);
			break;
		}
		if (name.failed) {
			rc = err_set(e, ERR_NOMEM, "out of memory");
		} else if (input_open(&in, buf_str(&name), e) < 0) {
			rc = ERR_IO;
		} else if (add(s, in) < 0) {
			input_close(in);
			rc = err_set(e, ERR_NOMEM, "out of memory");
		}
	}
	buf_free(&name);
	return rc;
}

/* As split(1) makes them: all of one size, the last one perhaps smaller. */
static bool sizes_agree(const struct segments *s)
{
	uint64_t size = input_size(s->v[0].in);

	for (size_t i = 1; i < s->n; i++)
		if (i + 1 < s->n ? input_size(s->v[i].in) != size : input_size(s->v[i].in) > size)
			return false;
	return size != 0;
}

/* named: the file's name that tells the others' names. */
static int open_named(struct input **out, struct input *first, const char *named, const char *path, struct segments_facts *facts,
		      struct err *e)
{
	struct segments *s;
	struct naming m;
	int rc;

	memset(facts, 0, sizeof(*facts));
	if (!first_name(named, &m))
		return ERR_NOTMINE;
	s = calloc(1, sizeof(*s));
	if (!s || add(s, first) < 0) {
		free(s);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	rc = add_all(s, &m, facts, e);
	facts->n = (uint32_t)s->n;
	if (rc == 0 && s->n == 1 && !facts->gap)
		rc = ERR_NOTMINE;
	if (rc == 0 && m.loose && !sizes_agree(s))
		rc = ERR_NOTMINE;
	if (rc == 0)
		rc = input_new(out, &segments_ops, s, s->size, path, e);
	if (rc < 0) {
		s->v[0].in = NULL; /* the caller's */
		segments_close(s);
	}
	return rc;
}

int segments_open(struct input **out, struct input *first, const char *path, struct segments_facts *facts, struct err *e)
{
	int rc = open_named(out, first, path, path, facts, e);
	char *target = rc == ERR_NOTMINE ? path_target(path) : NULL;

	if (target)
		rc = open_named(out, first, target, path, facts, e);
	free(target);
	return rc;
}

bool segments_packed(const char *path, size_t n, struct segments_facts *facts)
{
	char *stem = strndup(path, n);
	struct naming m;
	struct buf name;
	bool there = false;

	buf_init(&name);
	memset(facts, 0, sizeof(*facts));
	if (stem && first_name(stem, &m) && !m.loose) {
		name_of(&name, &m, m.number + 1);
		buf_put(&name, path + n, strlen(path + n));
		there = !name.failed && path_is_file(buf_str(&name));
		if (there)
			snprintf(facts->missing, sizeof(facts->missing), "%s", path_base(buf_str(&name)));
	}
	buf_free(&name);
	free(stem);
	return there;
}
