/* image.c - opening an image: container, then kernel (recover.h). */
#include <stdlib.h>
#include <string.h>

#include "recover.h"
#include "sysfacts.h"

static int open_kernel(struct image *im, const struct image_opts *o)
{
	int rc;

	if (!o->kernel.profiles || !phys_n_runs(im->dump->phys))
		return 0;
	rc = kernel_open(&im->kernel, im->dump->phys, &im->dump->hints, &o->kernel, &im->notes, &im->kernel_err);

	if (rc == 0)
		sysfacts_read(im->kernel, &im->sys);
	return rc;
}

static int open_on(struct image *im, int (*opener)(struct image *im, void *arg, const struct image_opts *o, struct err *e), void *arg,
		   const struct image_opts *o, struct err *e)
{
	int rc = opener(im, arg, o, e);

	if (rc < 0)
		return rc;
	rc = open_kernel(im, o);
	if (rc == ERR_NOMEM || rc == ERR_USAGE || rc == ERR_INTR) {
		if (e)
			*e = im->kernel_err;
		return rc;
	}
	return 0;
}

/* Pages are looked for from the first moment, anywhere: what a packed image holds is known before. */
static int settled(struct image *im, int rc)
{
	if (rc == 0)
		dump_settle(im->dump);
	return rc;
}

static int by_path(struct image *im, void *arg, const struct image_opts *o, struct err *e)
{
	return settled(im, dump_open(&im->dump, arg, &o->dump, &im->notes, e));
}

static int by_input(struct image *im, void *arg, const struct image_opts *o, struct err *e)
{
	return settled(im, dump_open_input(&im->dump, arg, &o->dump, &im->notes, e));
}

static int open_image(struct image **out, int (*opener)(struct image *im, void *arg, const struct image_opts *o, struct err *e), void *arg,
		      const struct image_opts *o, struct err *e)
{
	struct image *im = calloc(1, sizeof(*im));
	int rc;

	if (!im)
		return err_set(e, ERR_NOMEM, "out of memory");
	notes_init(&im->notes);
	rc = open_on(im, opener, arg, o, e);
	if (rc < 0) {
		image_close(im);
		return rc;
	}
	*out = im;
	return 0;
}

int image_open(struct image **out, const char *path, const struct image_opts *o, struct err *e)
{
	return open_image(out, by_path, (void *)(uintptr_t)path, o, e);
}

int image_open_input(struct image **out, struct input *in, const struct image_opts *o, struct err *e)
{
	return open_image(out, by_input, in, o, e);
}

void image_close(struct image *im)
{
	if (!im)
		return;
	kernel_close(im->kernel);
	dump_close(im->dump);
	notes_free(&im->notes);
	free(im);
}
