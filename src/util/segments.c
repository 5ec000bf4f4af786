/* segments.c - see segments.h */
#include "segments.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dirlist.h"

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

/* Where the number at the end of the path begins, when it is 0 or 1 and has three digits or more. */
static bool number_at(const char *path, size_t *at, unsigned *number)
{
	size_t n = strlen(path), i = n;

	while (i && isdigit((unsigned char)path[i - 1]))
		i--;
	if (n - i < 3 || i == 0 || path[i - 1] != '.')
		return false;
	*at = i;
	*number = (unsigned)(path[n - 1] - '0');
	for (size_t k = i; k + 1 < n; k++)
		if (path[k] != '0')
			return false;
	return *number <= 1;
}

static void name_of(struct buf *out, const char *path, size_t at, uint64_t number)
{
	buf_clear(out);
	buf_put(out, path, at);
	buf_printf(out, "%0*llu", (int)(strlen(path) - at), (unsigned long long)number);
}

static void look_behind(struct segments_facts *f, const char *path, size_t at, uint64_t number, struct buf *name)
{
	for (unsigned i = 1; i <= LOOK_BEHIND && !f->gap; i++) {
		name_of(name, path, at, number + i);
		f->gap = path_is_file(buf_str(name));
	}
	if (f->gap) {
		const char *slash;

		name_of(name, path, at, number);
		slash = strrchr(buf_str(name), '/');
		snprintf(f->missing, sizeof(f->missing), "%s", slash ? slash + 1 : buf_str(name));
	}
}

static int add_all(struct segments *s, const char *path, size_t at, uint64_t number, struct segments_facts *f, struct err *e)
{
	struct buf name;
	int rc = 0;

	buf_init(&name);
	while (rc == 0 && s->n < SEGMENTS_MAX) {
		struct input *in;

		name_of(&name, path, at, ++number);
		if (name.failed) {
			rc = err_set(e, ERR_NOMEM, "out of memory");
		} else if (!path_is_file(buf_str(&name))) {
			look_behind(f, path, at, number, &name);
			break;
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

int segments_open(struct input **out, struct input *first, const char *path, struct segments_facts *facts, struct err *e)
{
	struct segments *s;
	unsigned number;
	size_t at;
	int rc;

	memset(facts, 0, sizeof(*facts));
	if (!number_at(path, &at, &number))
		return ERR_NOTMINE;
	s = calloc(1, sizeof(*s));
	if (!s || add(s, first) < 0) {
		free(s);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	rc = add_all(s, path, at, number, facts, e);
	facts->n = (uint32_t)s->n;
	if (rc == 0 && s->n == 1 && !facts->gap)
		rc = ERR_NOTMINE;
	if (rc == 0)
		rc = input_new(out, &segments_ops, s, s->size, path, e);
	if (rc < 0) {
		s->v[0].in = NULL; /* the caller's */
		segments_close(s);
	}
	return rc;
}
