/* inputset.c - see inputset.h */
#include "inputset.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

struct member {
	char *path;       /* NULL: the caller's own */
	struct input *in; /* NULL: closed */
	uint64_t size, used;
	unsigned readers;
};

struct inputset {
	pthread_mutex_t lock;
	struct member *v;
	size_t n, cap;
	unsigned n_open; /* of ours */
	uint64_t clock;
};

int inputset_new(struct inputset **out, struct err *e)
{
	struct inputset *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return 0;
}

void inputset_free(struct inputset *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].path) {
			input_close(s->v[i].in);
			free(s->v[i].path);
		}
	free(s->v);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int add(struct inputset *s, const struct member *m, struct err *e)
{
	void *arr = s->v;

	if (s->n >= INPUTSET_MAX)
		return err_set(e, ERR_LIMIT, "more than %d files", INPUTSET_MAX);
	if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->v = arr;
	s->v[s->n] = *m;
	return (int)s->n++;
}

/* Closes files nobody reads until there is room for one more. */
static void make_room(struct inputset *s)
{
	while (s->n_open >= INPUTSET_OPEN_MAX) {
		struct member *oldest = NULL;

		for (size_t i = 0; i < s->n; i++) {
			struct member *m = &s->v[i];

			if (m->path && m->in && !m->readers && (!oldest || m->used < oldest->used))
				oldest = m;
		}
		if (!oldest)
			return;
		input_close(oldest->in);
		oldest->in = NULL;
		s->n_open--;
	}
}

int inputset_add_path(struct inputset *s, const char *path, struct err *e)
{
	struct member m = {.used = ++s->clock};
	int rc;

	make_room(s);
	rc = input_open(&m.in, path, e);
	if (rc < 0)
		return rc;
	m.size = input_size(m.in);
	m.path = strdup(path);
	rc = m.path ? add(s, &m, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc < 0) {
		input_close(m.in);
		free(m.path);
		return rc;
	}
	s->n_open++;
	return rc;
}

int inputset_add(struct inputset *s, struct input *in, struct err *e)
{
	struct member m = {.in = in, .size = input_size(in)};

	return add(s, &m, e);
}

unsigned inputset_n(const struct inputset *s)
{
	return (unsigned)s->n;
}

uint64_t inputset_size(const struct inputset *s, unsigned i)
{
	return s->v[i].size;
}

const char *inputset_name(const struct inputset *s, unsigned i)
{
	return s->v[i].path ? s->v[i].path : input_name(s->v[i].in);
}

static struct input *hold(struct inputset *s, struct member *m, struct err *e)
{
	struct input *in;

	pthread_mutex_lock(&s->lock);
	m->used = ++s->clock;
	if (!m->in) {
		make_room(s);
		if (input_open(&m->in, m->path, e) == 0)
			s->n_open++;
		else
			m->in = NULL;
	}
	in = m->in;
	if (in)
		m->readers++;
	pthread_mutex_unlock(&s->lock);
	return in;
}

int64_t inputset_read(struct inputset *s, unsigned i, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct member *m = &s->v[i];
	struct input *in;
	int64_t n;

	if (!m->path)
		return input_read(m->in, off, buf, len, e);
	in = hold(s, m, e);
	if (!in)
		return ERR_IO;
	n = input_read(in, off, buf, len, e);
	pthread_mutex_lock(&s->lock);
	m->readers--;
	pthread_mutex_unlock(&s->lock);
	return n;
}

int inputset_read_all(struct inputset *s, unsigned i, uint64_t off, void *buf, size_t len, struct err *e)
{
	int64_t n = inputset_read(s, i, off, buf, len, e);

	if (n < 0)
		return (int)n;
	if ((size_t)n < len)
		return err_set(e, ERR_TRUNC, "%s: ends at %llu, wanted %zu bytes at %llu", inputset_name(s, i),
			       (unsigned long long)s->v[i].size, len, (unsigned long long)off);
	return 0;
}
