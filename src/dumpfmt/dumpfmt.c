/* dumpfmt.c - see dumpfmt.h: probing, opening, lifetimes. */
#include "dumpfmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "refuse.h"
#include "unwrap.h"

#define FORMAT(name) extern const struct dumpfmt dumpfmt_##name;
#include "formats.def"
#undef FORMAT

static const struct dumpfmt *const formats[] = {
#define FORMAT(name) &dumpfmt_##name,
#include "formats.def"
#undef FORMAT
};

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

/* "a PDF document", of words that go on. */
static void tell_beginning(struct dump *d, const char *what)
{
	int n = (int)strcspn(what, ":,");

	if (what[0] && !d->advice[0])
		snprintf(d->advice, sizeof(d->advice), "it begins like %.*s, but is none to its end: taken as memory", n, what);
}

/* Containers from number `from` on. Refusals are asked for before `raw` is: every other container has a magic of its own. */
static int choose(struct dump *d, size_t from, struct err *e)
{
	const char *begins_like = NULL;
	uint8_t *head = malloc(DUMP_HEAD);
	int64_t n = head ? input_read(d->in, 0, head, DUMP_HEAD, e) : err_set(e, ERR_NOMEM, "out of memory");
	int rc;

	if (n == ERR_FAULT || n == ERR_FORMAT) /* a layer whose beginning is lost: what is left may be raw memory */
		n = 0;
	rc = n < 0 ? (int)n : 0;
	for (size_t i = from; rc == 0 && !d->fmt && i < N_FORMATS; i++) {
		if (i + 1 == N_FORMATS)
			rc = refuse_by_content(head, (size_t)n, d->in, &begins_like, e);
		if (rc == 0 && formats[i]->probe(head, (size_t)n))
			d->fmt = formats[i];
	}
	free(head);
	if (rc == 0 && !d->fmt)
		rc = err_set(e, ERR_NOIMAGE, "no memory image");
	if (rc == 0 && begins_like)
		tell_beginning(d, begins_like);
	return rc;
}

static size_t index_of(const struct dumpfmt *fmt)
{
	size_t i = 0;

	while (formats[i] != fmt)
		i++;
	return i;
}

static int open_fmt(struct dump *d, struct err *e)
{
	int rc = dump_unwrap(d, e);

	if (rc == 0)
		rc = choose(d, 0, e);
	while (rc == 0) {
		const struct dumpfmt *fmt = d->fmt;

		snprintf(d->format, sizeof(d->format), "%s", fmt->name);
		rc = fmt->open(d, e);
		if (rc != ERR_NOTMINE)
			break;
		if (fmt->close)
			fmt->close(d);
		d->state = NULL;
		d->fmt = NULL;
		rc = choose(d, index_of(fmt) + 1, e);
	}
	return rc;
}

static int open_input(struct dump *d, struct err *e)
{
	int rc = phys_new(&d->phys, d->notes, e);

	if (rc == 0)
		rc = open_fmt(d, e);
	if (rc == 0)
		rc = phys_seal(d->phys, e);
	if (rc == 0)
		dump_tell_end(d);
	return rc;
}

int dump_open_inside(struct dump *d, struct input *layer, struct err *e)
{
	struct input *outer = d->in;
	int rc;

	d->in = d->file = layer;
	rc = dump_keep(d, outer, e);
	if (rc == 0 && ++d->n_layers > DUMP_LAYERS_MAX)
		rc = err_set(e, ERR_LIMIT, "more than %d containers inside each other", DUMP_LAYERS_MAX);
	d->fmt = NULL;
	return rc < 0 ? rc : open_fmt(d, e);
}

void dump_settle(struct dump *d)
{
	if (d->later)
		(void)input_size(d->later);
	dump_tell_end(d);
}

void dump_late_notes(struct dump *d)
{
	dump_tell_end(d);
	dump_tell_flaws(d);
	if (d->late)
		d->late(d->late_ctx, d->notes);
}

int dump_open_input(struct dump **out, struct input *in, const struct dump_opts *opts, struct notes *notes, struct err *e)
{
	struct dump *d = calloc(1, sizeof(*d));
	int rc;

	if (!d) {
		input_close(in);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	d->in = d->file = in;
	d->notes = notes;
	d->n_segments = 1;
	if (opts)
		d->opts = *opts;
	hints_init(&d->hints);
	rc = open_input(d, e);
	if (rc < 0) {
		err_prepend(e, "%s", input_name(d->in));
		dump_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

int dump_open(struct dump **out, const char *path, const struct dump_opts *opts, struct notes *notes, struct err *e)
{
	struct input *in;
	bool spill = opts && opts->spill, stream = input_is_stream(path);
	int rc;

	if (stream && !spill)
		return err_set(e, ERR_NOIMAGE,
			       "%s: a stream can be read only once: give --spill DIR, and it is copied there, or write it to a file", path);
	rc = stream ? input_open_spilled(&in, path, opts->spill, e) : input_open(&in, path, e);
	return rc < 0 ? rc : dump_open_input(out, in, opts, notes, e);
}

void dump_close(struct dump *d)
{
	if (!d)
		return;
	if (d->fmt && d->fmt->close)
		d->fmt->close(d);
	phys_free(d->phys);
	hints_free(&d->hints);
	while (d->n_more)
		input_close(d->more[--d->n_more]);
	free(d->more);
	free(d->packed);
	input_close(d->in);
	free(d);
}

int dump_keep(struct dump *d, struct input *in, struct err *e)
{
	void *arr = d->more;

	if (arr_reserve(&arr, &d->cap_more, d->n_more, sizeof(struct input *)) < 0) {
		input_close(in);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	d->more = arr;
	d->more[d->n_more++] = in;
	return 0;
}
