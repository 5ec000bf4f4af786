/* unwrap.c - see unwrap.h */
#include "unwrap.h"

#include <stdio.h>
#include <string.h>

#include "layer.h"
#include "segments.h"

/* `inner` takes the place of d->in, which stays open beneath it. */
static int put_inside(struct dump *d, struct input *inner, struct err *e)
{
	struct input *outer = d->in;

	d->in = inner;
	return dump_keep(d, outer, e);
}

static int join_pieces(struct dump *d, struct err *e)
{
	struct segments_facts f;
	struct input *whole;
	int rc = segments_open(&whole, d->in, input_name(d->in), &f, e);

	if (rc == ERR_NOTMINE)
		return 0;
	if (rc < 0)
		return rc;
	d->in = d->file = whole; /* it owns the first piece now */
	d->n_segments = f.n;
	if (f.gap)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, input_size(whole), 0),
			  "the piece %s is missing: what stands behind it is left out", f.missing);
	return 0;
}

static void tell(struct dump *d, const struct layer_facts *f)
{
	size_t n = strlen(d->compression);

	snprintf(d->compression + n, sizeof(d->compression) - n, "%s%s", n ? "+" : "", f->name);
	if (f->truncated)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, f->size, 0), "%s: only %llu bytes can be unpacked",
			  f->why[0] ? f->why : f->name, (unsigned long long)f->size);
	if (f->limited)
		notes_add(d->notes, &NOTE_AT(NOTE_LIMIT_REACHED, f->size, 0), "%s: unpacks to more than is believed; cut at %llu bytes",
			  f->name, (unsigned long long)f->size);
	if (f->truncated || f->limited)
		snprintf(d->advice, sizeof(d->advice), "%s: %s: only the first %llu unpacked bytes are read", f->name,
			 f->truncated ? "damaged or cut short" : "unpacks to more than is believed", (unsigned long long)f->size);
	else if (f->far)
		snprintf(d->advice, sizeof(d->advice),
			 "%s in one piece: going back in it means unpacking from the beginning (%u MiB are cached); --spill DIR unpacks it "
			 "once, to disk",
			 f->name, (unsigned)(LAYER_CACHE_FAR >> 20));
}

int dump_unwrap(struct dump *d, struct err *e)
{
	struct layer_opts o = {.spill = d->opts.spill};
	int rc = d->n_layers ? 0 : join_pieces(d, e); /* a layer is no file of that name */

	o.packed_bytes = input_size(d->file);
	for (unsigned depth = 0; rc == 0; depth++) {
		uint8_t head[LAYER_HEAD];
		int64_t n = input_read(d->in, 0, head, sizeof(head), e);
		const struct layer_codec *codec;
		struct layer_facts f;
		struct input *inner;

		if (n == ERR_FAULT || n == ERR_FORMAT) /* a container's lost beginning */
			return 0;
		if (n < 0)
			return (int)n;
		codec = layer_probe(head, (size_t)n);
		if (!codec && layer_missing(head, (size_t)n))
			return err_set(e, ERR_UNSUPPORTED, "packed, and this build has no %s: unpack it first",
				       layer_missing(head, (size_t)n));
		if (!codec)
			break;
		if (depth == UNWRAP_DEPTH)
			return err_set(e, ERR_LIMIT, "packed more than %d times", UNWRAP_DEPTH);
		rc = layer_open(&inner, codec, d->in, &o, &f, e);
		if (rc == 0) {
			tell(d, &f);
			rc = put_inside(d, inner, e);
		}
	}
	return rc;
}
