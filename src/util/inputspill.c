/* inputspill.c - streams as inputs: read once, into a file without a name. See input.h */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input.h"
#include "tempfile.h"

#define STEP ((size_t)1 << 20)

bool input_is_stream(const char *path)
{
	struct stat st;
	int rc = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) : stat(path, &st);

#ifdef S_ISSOCK
	if (rc == 0 && S_ISSOCK(st.st_mode))
		return true;
#endif
	return rc == 0 && S_ISFIFO(st.st_mode);
}

static int64_t spilled_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	return tempfile_read(ctx, off, buf, len, e);
}

static void spilled_close(void *ctx)
{
	tempfile_close(ctx);
}

static const struct input_ops spilled_ops = {spilled_read, spilled_close};

/* All that comes. */
static int copy(struct tempfile *t, int fd, const char *path, uint64_t *size, struct err *e)
{
	uint8_t *p = malloc(STEP);
	int rc = p ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (*size = 0; rc == 0;) {
		ssize_t n = read(fd, p, STEP);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
		if (n <= 0)
			break;
		rc = tempfile_write(t, *size, p, (size_t)n, e);
		*size += (uint64_t)n;
	}
	free(p);
	return rc;
}

int input_open_spilled(struct input **out, const char *path, const char *folder, struct err *e)
{
	struct tempfile *t;
	uint64_t size = 0;
	int fd, rc = tempfile_open(&t, folder, e);

	if (rc < 0)
		return rc;
	fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	rc = fd < 0 ? err_set(e, ERR_IO, "%s: %s", path, strerror(errno)) : copy(t, fd, path, &size, e);
	if (fd > STDERR_FILENO)
		close(fd);
	if (rc == 0)
		rc = input_new(out, &spilled_ops, t, size, path, e);
	if (rc < 0)
		tempfile_close(t);
	return rc;
}
