/* cab.c - see cab.h */
#include "cab.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_MSPACK
#include <mspack.h>

/* libmspack works on "files" of a struct mspack_system; ours are bytes in memory. Two names: "in" and "out". */
struct memory {
	struct mspack_system sys; /* first: the library hands its address back */
	const uint8_t *in;
	size_t n_in;
	struct buf *out;
	size_t max, start;
	bool full;
};

struct mem_file {
	struct memory *m;
	bool write;
	size_t at;
};

static struct mspack_file *mem_open(struct mspack_system *self, const char *name, int mode)
{
	struct memory *m = (struct memory *)(void *)self;
	struct mem_file *f = calloc(1, sizeof(*f));

	if (!f || (mode != MSPACK_SYS_OPEN_READ && strcmp(name, "out") != 0)) {
		free(f);
		return NULL;
	}
	f->m = m;
	f->write = mode != MSPACK_SYS_OPEN_READ;
	return (struct mspack_file *)(void *)f;
}

static void mem_close(struct mspack_file *file)
{
	free(file);
}

static int mem_read(struct mspack_file *file, void *buffer, int bytes)
{
	struct mem_file *f = (struct mem_file *)(void *)file;
	size_t left = f->m->n_in - f->at, n = bytes < 0 ? 0 : (size_t)bytes;

	if (f->write)
		return -1;
	n = n < left ? n : left;
	memcpy(buffer, f->m->in + f->at, n);
	f->at += n;
	return (int)n;
}

static int mem_write(struct mspack_file *file, void *buffer, int bytes)
{
	struct mem_file *f = (struct mem_file *)(void *)file;
	struct memory *m = f->m;

	if (!f->write || bytes < 0)
		return -1;
	if ((size_t)bytes > m->max - (m->out->n - m->start)) {
		m->full = true;
		return -1;
	}
	buf_put(m->out, buffer, (size_t)bytes);
	return m->out->failed ? -1 : bytes;
}

static int mem_seek(struct mspack_file *file, off_t offset, int mode)
{
	struct mem_file *f = (struct mem_file *)(void *)file;
	int64_t base = mode == MSPACK_SYS_SEEK_START ? 0 : mode == MSPACK_SYS_SEEK_CUR ? (int64_t)f->at : (int64_t)f->m->n_in;

	if (f->write || base + offset < 0 || (uint64_t)(base + offset) > f->m->n_in)
		return -1;
	f->at = (size_t)(base + offset);
	return 0;
}

static off_t mem_tell(struct mspack_file *file)
{
	struct mem_file *f = (struct mem_file *)(void *)file;
	return (off_t)(f->write ? f->m->out->n - f->m->start : f->at);
}

static void mem_message(struct mspack_file *file, const char *format, ...)
{
	(void)file, (void)format;
}

static void *mem_alloc(struct mspack_system *self, size_t bytes)
{
	(void)self;
	return malloc(bytes);
}

static void mem_free(void *p)
{
	free(p);
}

static void mem_copy(void *from, void *to, size_t bytes)
{
	memmove(to, from, bytes);
}

static int extract(struct memory *m, struct mscab_decompressor *d, char name[CAB_NAME_MAX], struct err *e)
{
	struct mscabd_cabinet *cab = (d->open)(d, "in"); /* not the system call: ours, on memory */
	const char *base;
	int r = 0;

	if (!cab)
		return err_set(e, ERR_FORMAT, "a damaged cabinet (libmspack error %d)", d->last_error(d));
	if (!cab->files) {
		r = err_set(e, ERR_FORMAT, "an empty cabinet");
	} else {
		base = strrchr(cab->files->filename, '\\');
		base = base ? base + 1 : cab->files->filename;
		strncpy(name, base, CAB_NAME_MAX - 1);
		name[CAB_NAME_MAX - 1] = 0;
		if (d->extract(d, cab->files, "out") != MSPACK_ERR_OK)
			r = m->full ? err_set(e, ERR_LIMIT, "more than %zu bytes when unpacked", m->max)
				    : err_set(e, ERR_FORMAT, "a damaged cabinet (libmspack error %d)", d->last_error(d));
	}
	d->close(d, cab);
	return r;
}

int cab_first_file(const void *p, size_t n, size_t max, struct buf *out, char name[CAB_NAME_MAX], struct err *e)
{
	struct memory m = {{mem_open, mem_close, mem_read, mem_write, mem_seek, mem_tell, mem_message, mem_alloc, mem_free, mem_copy, NULL},
			   p,
			   n,
			   out,
			   max,
			   out->n,
			   false};
	struct mscab_decompressor *d;
	int r;

	if (n < 4 || memcmp(p, "MSCF", 4) != 0)
		return err_set(e, ERR_NOTMINE, "no cabinet");
	d = mspack_create_cab_decompressor(&m.sys);
	if (!d)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = extract(&m, d, name, e);
	mspack_destroy_cab_decompressor(d);
	return r;
}
#else
int cab_first_file(const void *p, size_t n, size_t max, struct buf *out, char name[CAB_NAME_MAX], struct err *e)
{
	(void)max, (void)out, (void)name;
	if (n < 4 || memcmp(p, "MSCF", 4) != 0)
		return err_set(e, ERR_NOTMINE, "no cabinet");
	return err_set(e, ERR_UNSUPPORTED, "a cabinet: this build has no libmspack; unpack the file first (cabextract)");
}
#endif
