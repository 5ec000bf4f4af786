/* tempfile.c - see tempfile.h */
#include "tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tempfile {
	int fd;
	uint64_t size;
};

/* File systems without O_TMPFILE: made with a name, which goes at once. */
static int with_a_name(const char *folder)
{
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/.etlift-XXXXXX", folder) < 0)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

int tempfile_open(struct tempfile **out, const char *folder, struct err *e)
{
	struct tempfile *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_NOMEM, "out of memory");
	t->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (t->fd < 0)
		t->fd = with_a_name(folder);
	if (t->fd < 0) {
		free(t);
		return err_set(e, ERR_IO, "%s: no temporary file can be made there: %s", folder, strerror(errno));
	}
	*out = t;
	return 0;
}

void tempfile_close(struct tempfile *t)
{
	if (!t)
		return;
	close(t->fd);
	free(t);
}

int tempfile_write(struct tempfile *t, uint64_t off, const void *p, size_t n, struct err *e)
{
	const uint8_t *b = p;
	size_t done = 0;

	if (n && b[0] == 0 && memcmp(b, b + 1, n - 1) == 0)
		done = n;
	while (done < n) {
		ssize_t k = pwrite(t->fd, b + done, n - done, (off_t)(off + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_set(e, ERR_IO, "the spill folder: %s", strerror(errno));
		done += (size_t)k;
	}
	if (off + n > t->size)
		t->size = off + n;
	return 0;
}

int64_t tempfile_read(struct tempfile *t, uint64_t off, void *p, size_t n, struct err *e)
{
	size_t done = 0;

	if (off >= t->size)
		return 0;
	if (n > t->size - off)
		n = (size_t)(t->size - off);
	while (done < n) {
		ssize_t k = pread(t->fd, (uint8_t *)p + done, n - done, (off_t)(off + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_set(e, ERR_IO, "the spill folder: %s", strerror(errno));
		if (k == 0) { /* zeros at the end were not written */
			memset((uint8_t *)p + done, 0, n - done);
			break;
		}
		done += (size_t)k;
	}
	return (int64_t)n;
}
