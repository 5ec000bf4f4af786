/* input.c - see input.h */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_YET UINT64_MAX

struct input {
	const struct input_ops *ops;
	void *ctx;
	_Atomic uint64_t size;  /* NOT_YET: ask size_fn */
	input_size_fn *size_fn; /* NULL: it was known from the beginning */
	_Atomic uint64_t reached;
	char *name;
	input_extent_fn *extent; /* NULL: without holes */
};

struct file_ctx {
	int fd;
};

struct memory_ctx {
	const uint8_t *p;
	size_t n;
};

struct window_ctx {
	struct input *of;
	uint64_t off, len;
};

static int64_t file_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct file_ctx *f = ctx;
	size_t got = 0;

	if (off > (uint64_t)INT64_MAX - len)
		return 0;
	while (got < len) {
		ssize_t n = pread(f->fd, (uint8_t *)buf + got, len - got, (off_t)(off + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_IO, "read at offset %llu: %s", (unsigned long long)(off + got), strerror(errno));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (int64_t)got;
}

static void file_close(void *ctx)
{
	struct file_ctx *f = ctx;

	if (f->fd > STDERR_FILENO)
		close(f->fd);
	free(f);
}

static int64_t memory_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct memory_ctx *m = ctx;

	(void)e;
	if (off >= m->n)
		return 0;
	if (len > m->n - off)
		len = m->n - (size_t)off;
	memcpy(buf, m->p + off, len);
	return (int64_t)len;
}

static int64_t window_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct window_ctx *w = ctx;

	if (off >= w->len)
		return 0;
	if (len > w->len - off)
		len = (size_t)(w->len - off);
	return input_read(w->of, w->off + off, buf, len, e);
}

static uint64_t window_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	struct window_ctx *w = ctx;

	return input_extent(w->of, w->off + off, len, there);
}

static const struct input_ops file_ops = {file_read, file_close};
static const struct input_ops memory_ops = {memory_read, free};
static const struct input_ops window_ops = {window_read, free};

int input_new(struct input **out, const struct input_ops *ops, void *ctx, uint64_t size, const char *name, struct err *e)
{
	struct input *in = calloc(1, sizeof(*in));
	char *copy = strdup(name);

	if (!in || !copy) {
		free(in);
		free(copy);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	in->ops = ops;
	in->ctx = ctx;
	in->size = size;
	in->name = copy;
	*out = in;
	return 0;
}

static int describe_refusal(const char *path, int saved, struct err *e)
{
	return err_set(e, ERR_IO, "%s: %s", path, strerror(saved));
}

/* Size of what fd is, or a refusal: a folder and a pipe have no bytes to address. */
static int size_of(int fd, const char *path, uint64_t *size, struct err *e)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return describe_refusal(path, errno, e);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_NOIMAGE, "%s: is a folder, not a file", path);
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return err_set(e, ERR_NOIMAGE, "%s: can't be read at an offset (a pipe?): write it to a file first", path);
	*size = (uint64_t)end;
	return 0;
}

int input_open(struct input **out, const char *path, struct err *e)
{
	struct file_ctx *f;
	uint64_t size = 0;
	int rc;

	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	f->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0) {
		rc = describe_refusal(path, errno, e);
		free(f);
		return rc;
	}
	rc = size_of(f->fd, path, &size, e);
	if (rc == 0)
		rc = input_new(out, &file_ops, f, size, path, e);
	if (rc < 0)
		file_close(f);
	return rc;
}

static int slurp(struct buf *out, int fd, const char *path, uint64_t max, struct err *e)
{
	uint64_t got = 0;

	for (;;) {
		uint8_t some[16384];
		ssize_t n = read(fd, some, sizeof(some));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return describe_refusal(path, errno, e);
		if (n == 0)
			return out->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
		got += (uint64_t)n;
		if (got > max)
			return err_set(e, ERR_LIMIT, "%s: too big", path);
		buf_put(out, some, (size_t)n);
	}
}

int input_slurp(struct buf *out, const char *path, uint64_t max, struct err *e)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0)
		return describe_refusal(path, errno, e);
	rc = slurp(out, fd, path, max, e);
	if (!is_stdin)
		close(fd);
	return rc;
}

int input_open_memory(struct input **out, const void *p, size_t n, const char *name, struct err *e)
{
	struct memory_ctx *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->p = p;
	m->n = n;
	rc = input_new(out, &memory_ops, m, n, name, e);
	if (rc < 0)
		free(m);
	return rc;
}

int input_open_window(struct input **out, struct input *of, uint64_t off, uint64_t len, struct err *e)
{
	struct window_ctx *w = calloc(1, sizeof(*w));
	uint64_t size;
	int rc;

	if (!w)
		return err_set(e, ERR_NOMEM, "out of memory");
	size = input_size(of);
	if (off > size)
		off = size;
	if (len > size - off)
		len = size - off;
	w->of = of;
	w->off = off;
	w->len = len;
	rc = input_new(out, &window_ops, w, len, of->name, e);
	if (rc < 0)
		free(w);
	else
		input_set_extent(*out, window_extent);
	return rc;
}

void input_set_extent(struct input *in, input_extent_fn *fn)
{
	in->extent = fn;
}

uint64_t input_extent(const struct input *in, uint64_t off, uint64_t len, bool *there)
{
	uint64_t n = len;

	*there = true;
	if (in->extent && len)
		n = in->extent(in->ctx, off, len, there);
	return n > len || (len && !n) ? len : n;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	if (in->ops->close)
		in->ops->close(in->ctx);
	free(in->name);
	free(in);
}

void *input_ctx(const struct input *in, const struct input_ops *ops)
{
	return in->ops == ops ? in->ctx : NULL;
}

void input_set_size_fn(struct input *in, input_size_fn *fn)
{
	in->size_fn = fn;
	atomic_store(&in->size, NOT_YET);
}

/* The size, or with !learn what stands for it while it is not known. */
static uint64_t size_now(const struct input *in, bool learn, bool *known)
{
	struct input *shared = (struct input *)(uintptr_t)in; /* only `size`, which is atomic, is written */
	uint64_t size = atomic_load_explicit(&shared->size, memory_order_relaxed);

	*known = true;
	if (size != NOT_YET)
		return size;
	size = in->size_fn(in->ctx, learn, known);
	if (*known)
		atomic_store_explicit(&shared->size, size, memory_order_relaxed);
	return size;
}

uint64_t input_size(const struct input *in)
{
	bool known;

	return size_now(in, true, &known);
}

bool input_size_known(const struct input *in)
{
	bool known;

	size_now(in, false, &known);
	return known;
}

uint64_t input_size_guess(const struct input *in)
{
	bool known;

	return size_now(in, false, &known);
}

uint64_t input_reached(const struct input *in)
{
	return atomic_load_explicit(&((struct input *)(uintptr_t)in)->reached, memory_order_relaxed);
}

const char *input_name(const struct input *in)
{
	return in->name;
}

int64_t input_read(struct input *in, uint64_t off, void *buf, size_t len, struct err *e)
{
	uint64_t size = atomic_load_explicit(&in->size, memory_order_relaxed); /* NOT_YET: no end is known */
	int64_t n;

	if (off >= size || len == 0)
		return 0;
	if (len > size - off)
		len = (size_t)(size - off);
	n = in->ops->read(in->ctx, off, buf, len, e);
	if (n < 0)
		err_prepend(e, "%s", in->name);
	else if (off + (uint64_t)n > atomic_load_explicit(&in->reached, memory_order_relaxed))
		atomic_store_explicit(&in->reached, off + (uint64_t)n, memory_order_relaxed);
	return n;
}

bool input_only_zeros(struct input *in, uint64_t off)
{
	uint64_t size = input_size(in);
	uint8_t p[16384];

	while (off < size) {
		int64_t n = input_read(in, off, p, sizeof(p), NULL);

		if (n <= 0 || p[0] || memcmp(p, p + 1, (size_t)n - 1) != 0)
			return false;
		off += (uint64_t)n;
	}
	return true;
}

int input_read_all(struct input *in, uint64_t off, void *buf, size_t len, struct err *e)
{
	int64_t n = input_read(in, off, buf, len, e);

	if (n < 0)
		return (int)n;
	if ((size_t)n < len)
		return err_set(e, ERR_TRUNC, "%s: ends at %llu, wanted %zu bytes at %llu", in->name, (unsigned long long)input_size(in),
			       len, (unsigned long long)off);
	return 0;
}
