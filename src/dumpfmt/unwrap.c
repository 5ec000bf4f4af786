/* unwrap.c - see unwrap.h */
#include "unwrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "layer.h"
#include "path.h"
#include "segments.h"
#include "wholefile.h"

struct dump_packed {
	struct input *in; /* borrowed */
	uint64_t told_flaws, told_lost;
	char whose[80]; /* what a note begins with */
};

const char *const unwrap_endings[] = {".gz", ".zst", ".xz", ".lz4", ".bz2", ".sz", ".s2", ".zz", ".lzo", ".zstd", ".gzip", ".snappy", NULL};

/* What is said of pieces that are not there. */
static void tell_pieces(struct dump *d, const struct segments_facts *f, uint64_t size)
{
	if (f->n_holes)
		notes_add(d->notes, &NOTE_AT(NOTE_PAGE_MISSING, f->hole, f->hole_bytes),
			  "the piece %s is missing, or a part of it: a hole, as large as the other pieces tell%s", f->missing,
			  f->n_holes > 1 ? "; so are others" : "");
	if (f->gap)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, size, 0),
			  "the piece %s is missing, or a part of it, and nothing tells its size: what stands behind it is left out",
			  f->missing);
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
	tell_pieces(d, &f, input_size(whole));
	return 0;
}

/* What came out of the end of a layer. */
static void tell(struct dump *d, const struct layer_facts *f, const char *whose, bool memory)
{
	if (f->truncated)
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, f->size, 0), "%s%s: only %llu bytes can be unpacked", whose,
			  f->why[0] ? f->why : f->name, (unsigned long long)f->size);
	if (f->limited)
		notes_add(d->notes, &NOTE_AT(NOTE_LIMIT_REACHED, f->size, 0), "%s%s: unpacks to more than is believed; cut at %llu bytes",
			  whose, f->name, (unsigned long long)f->size);
	if (!memory)
		return;
	if (f->truncated || f->limited)
		snprintf(d->advice, sizeof(d->advice), "%s: %s: only the first %llu unpacked bytes are read", f->name,
			 f->truncated ? "damaged or cut short" : "unpacks to more than is believed", (unsigned long long)f->size);
	else if (f->far)
		snprintf(d->advice, sizeof(d->advice),
			 "%s in one piece: going back in it means unpacking from the beginning (%u MiB are cached); --spill DIR unpacks it "
			 "once, to disk",
			 f->name, (unsigned)(LAYER_CACHE_FAR >> 20));
}

void dump_tell_end(struct dump *d)
{
	struct layer_facts f;

	if (!d->later || !input_size_known(d->later))
		return;
	layer_look(d->later, &f);
	tell(d, &f, "", true);
	d->later = NULL;
}

void dump_tell_flaws(struct dump *d)
{
	for (size_t i = 0; i < d->n_packed; i++) {
		struct dump_packed *p = &d->packed[i];
		struct layer_facts f;

		layer_look(p->in, &f);
		if (f.flaws == p->told_flaws && f.lost == p->told_lost)
			continue;
		p->told_flaws = f.flaws;
		p->told_lost = f.lost;
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, f.flaw, f.lost),
			  "%s%s: %llu damaged places: %llu bytes can't be unpacked; the first at unpacked byte %llu: %s", p->whose, f.name,
			  (unsigned long long)f.flaws, (unsigned long long)f.lost, (unsigned long long)f.flaw, f.flaw_why);
	}
}

static int watch(struct dump *d, struct input *layer, const char *whose, struct err *e)
{
	void *arr = d->packed;

	if (arr_reserve(&arr, &d->cap_packed, d->n_packed, sizeof(*d->packed)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	d->packed = arr;
	d->packed[d->n_packed] = (struct dump_packed){.in = layer};
	snprintf(d->packed[d->n_packed++].whose, sizeof(d->packed->whose), "%s", whose);
	return 0;
}

/* Memory can begin with a packed file's first page: what follows does not go on with it. Of a packed file that is damaged so early nothing could be used.
 * Zeros can be taken for codes without end; but no codec writes a page of them. */
static bool only_begins(struct dump *d, const struct layer_codec *codec, struct input *in)
{
	static const uint8_t zeros[WHOLEFILE_PAGE];
	uint8_t second[WHOLEFILE_PAGE];
	int rc = wholefile_paged(in) ? layer_try(codec, in, UNWRAP_TRY, NULL) : 0;

	if (rc == 1 && input_read_all(in, WHOLEFILE_PAGE, second, sizeof(second), NULL) == 0 && memcmp(second, zeros, sizeof(zeros)) == 0)
		rc = ERR_FORMAT;
	if (rc != ERR_FORMAT)
		return false;
	if (!d->advice[0])
		snprintf(d->advice, sizeof(d->advice), "it begins like a file packed by %s, but does not go on as one: taken as memory",
			 codec->name);
	return true;
}

/* Takes off what *in is packed with. packed_bytes: of the evidence file. share: one of so many that are open at once. */
static int take_off(struct dump *d, struct input **in, uint64_t packed_bytes, const char *whose, bool memory, uint32_t share, struct err *e)
{
	struct layer_opts o = {.spill = d->opts.spill, .packed_bytes = packed_bytes, .size_later = !whose[0]};

	if (share > 1) {
		o.cache_bytes = LAYER_CACHE_BYTES / share;
		o.limits.all_mark_bytes = LAYER_MARK_BYTES / share;
	}
	for (unsigned depth = 0;; depth++) {
		const struct layer_codec *codec;
		const char *missing;
		struct layer_facts f;
		struct input *inner, *outer = *in;
		size_t n = strlen(d->compression);
		int rc = layer_find(*in, &codec, &missing, e);

		if (rc == ERR_FAULT || rc == ERR_FORMAT) /* a container's lost beginning */
			return 0;
		if (rc < 0)
			return rc;
		if (missing)
			return err_set(e, ERR_UNSUPPORTED, "packed, and this build has no %s: unpack it first", missing);
		if (!codec || (memory && only_begins(d, codec, *in)))
			return 0;
		dump_settle(d); /* only the innermost layer may wait */
		if (depth == UNWRAP_DEPTH)
			return err_set(e, ERR_LIMIT, "packed more than %d times", UNWRAP_DEPTH);
		rc = layer_open(&inner, codec, outer, &o, &f, e);
		if (rc < 0)
			return rc;
		if (memory)
			snprintf(d->compression + n, sizeof(d->compression) - n, "%s%s", n ? "+" : "", f.name);
		if (f.later)
			d->later = inner;
		else
			tell(d, &f, whose, memory);
		*in = inner;
		rc = dump_keep(d, outer, e); /* it stays open beneath */
		if (rc == 0)
			rc = watch(d, inner, whose, e);
		if (rc < 0)
			return rc;
	}
}

/* A piece of which not a byte could be unpacked: an empty one takes its place. */
static int no_piece(struct dump *d, struct segments_part *part, const char *whose, const struct err *why, struct err *e)
{
	notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "%s%s", whose, why->msg);
	input_close(part->in);
	part->in = NULL;
	part->cut = true;
	return input_open_window(&part->in, d->file, 0, 0, e);
}

/* One piece of many, packed by itself. `n`: of them. */
static int unpack_piece(struct dump *d, const struct segments_piece *p, uint32_t n, struct segments_part *part, struct err *e)
{
	bool advised = d->advice[0] != 0;
	struct layer_facts f = {0};
	struct input *file;
	struct err why = {0};
	char whose[80];
	int rc = input_open_window(&file, d->file, p->off, p->size, e);

	if (rc < 0)
		return rc;
	part->in = file;
	part->place = p->place;
	part->name = p->name;
	snprintf(whose, sizeof(whose), "%.75s: ", path_base(p->name));
	rc = take_off(d, &part->in, p->size, whose, !d->compression[0], n, &why);
	if (rc == ERR_FORMAT || rc == ERR_TRUNC)
		return no_piece(d, part, whose, &why, e);
	if (rc < 0)
		return err_set(e, rc, "%s%s", whose, why.msg);
	if (part->in != file)
		layer_look(part->in, &f);
	part->cut = f.truncated || f.limited;
	if (part->cut && !advised) /* it speaks of one file */
		d->advice[0] = 0;
	return 0;
}

/* Pieces that were packed one by one (NAME.001.gz): each is a layer, and these are put together. */
static int join_packed(struct dump *d, struct err *e)
{
	const char *name = input_name(d->in);
	size_t n = unwrap_name_length(name);
	struct segments_part *part;
	const struct layer_codec *codec;
	struct segments_facts f;
	struct input *whole;
	uint32_t i = 0;
	int rc = name[n] && layer_find(d->in, &codec, NULL, NULL) == 0 && codec ? segments_open_packed(&whole, d->in, name, n, &f, e)
										: ERR_NOTMINE;

	if (rc < 0)
		return rc == ERR_NOTMINE ? 0 : rc;
	d->in = d->file = whole;
	part = f.n <= UNWRAP_PIECES ? calloc(f.n, sizeof(*part)) : NULL;
	if (!part)
		return f.n > UNWRAP_PIECES
			       ? err_set(e, ERR_LIMIT, "more than %d pieces packed one by one: unpack them first", UNWRAP_PIECES)
			       : err_set(e, ERR_NOMEM, "out of memory");
	for (struct segments_piece p; rc == 0 && segments_piece(whole, i, &p); i++)
		rc = unpack_piece(d, &p, f.n, &part[i], e);
	if (rc == 0)
		rc = segments_join(&d->in, part, i, strlen(name + n), name, &f, e);
	else
		while (i-- > 0)
			input_close(part[i].in);
	free(part);
	if (rc < 0)
		return rc;
	d->n_segments = f.n;
	tell_pieces(d, &f, input_size(d->in));
	return dump_keep(d, whole, e);
}

int dump_unwrap(struct dump *d, struct err *e)
{
	int rc = d->n_layers ? 0 : join_pieces(d, e); /* a layer is no file of that name */

	if (rc == 0 && !d->n_layers && d->n_segments == 1)
		rc = join_packed(d, e);
	return rc < 0 ? rc : take_off(d, &d->in, input_size(d->file), "", true, 1, e);
}

static int join_beside(struct dump *d, struct input **in, struct err *e)
{
	struct segments_facts f;
	int rc = segments_open(in, *in, input_name(*in), &f, e);

	if (rc < 0)
		return rc == ERR_NOTMINE ? 0 : rc;
	d->n_segments += f.n - 1;
	tell_pieces(d, &f, input_size(*in));
	return 0;
}

int dump_unwrap_beside(struct dump *d, struct input **in, bool memory, struct err *e)
{
	const char *slash = path_last_sep(input_name(*in));
	char whose[80];
	int rc;

	snprintf(whose, sizeof(whose), "%.75s: ", slash ? slash + 1 : input_name(*in));
	rc = memory ? join_beside(d, in, e) : 0;
	if (rc == 0)
		rc = take_off(d, in, input_size(*in), whose, memory, 1, e);
	return rc < 0 ? err_prepend(e, "%s", input_name(*in)), rc : 0;
}

static bool ends_packed(const char *name, size_t n, size_t *length)
{
	for (size_t i = 0; unwrap_endings[i]; i++) {
		size_t k = strlen(unwrap_endings[i]);

		if (n > k && strncasecmp(name + n - k, unwrap_endings[i], k) == 0) {
			*length = n - k;
			return true;
		}
	}
	return false;
}

size_t unwrap_name_length(const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < UNWRAP_DEPTH && ends_packed(name, n, &n); i++)
		;
	return n;
}
