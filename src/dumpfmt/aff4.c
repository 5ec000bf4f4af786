/* aff4.c - AFF4 volumes (WinPmem 2 and 3, Evimetry, also before the standard): ZIP archives with streams, maps over them, and statements on what is
 * what. Picks the image of physical memory, asks for the volumes that it needs, and opens what the image holds: mostly memory itself, but any
 * container may be there. Facts: docs/formats/aff4.md. */
#include "aff4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define SUBJECTS_MAX 65536u /* that are looked at */
#define YAML_BYTES   65536u

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 4 && (le32(head) == 0x04034b50 || le32(head) == 0x06054b50);
}

void aff4_free(struct aff4 *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->n_streams; i++)
		aff4_stream_free(x->stream[i]);
	free(x->stream);
	for (size_t i = 0; i < x->n_m; i++)
		free(x->m[i].urn);
	free(x->m);
	for (size_t i = 0; i < x->n_vols; i++)
		zip_free(&x->zip[i]);
	aff4rdf_free(&x->rdf);
	free(x->volume);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* ---- which image ---------------------------------------------------------------------------------------------------------------------------- */

enum rank { R_NONE, R_STREAM, R_MAP, R_IMAGE, R_NAMED, R_MEMORY };

struct choice {
	enum rank rank;
	char *subject, *urn; /* of the image; of the map or stream that is its bytes */
	uint64_t size;
	size_t n; /* images of this rank */
};

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

static bool there(const struct aff4 *x, const char *urn)
{
	return aff4_find_in(x, urn, "map") || aff4_stream_there(x, urn);
}

/* Where an image's bytes are: itself, or what it names as its data; NULL: not in these volumes. */
static const char *bytes_of(struct aff4 *x, const char *subject)
{
	const char *d;

	if (there(x, subject))
		return subject;
	for (unsigned k = 0; k < 16 && (d = aff4rdf_get(&x->rdf, subject, "datastream", k)); k++)
		if (there(x, d))
			return d;
	return NULL;
}

static enum rank rank_of(struct aff4 *x, size_t i)
{
	const char *subject = aff4rdf_subject(&x->rdf, i);
	enum rank r = ends_with(subject, "/PhysicalMemory") ? R_NAMED : R_NONE;
	bool file = false, crypt = false;

	for (; i < x->rdf.n && strcmp(aff4rdf_subject(&x->rdf, i), subject) == 0; i++) {
		const char *o = aff4rdf_object(&x->rdf, i), *t = strrchr(o, '#');
		enum rank is = R_NONE;

		if (aff4rdf_is(&x->rdf, i, "category")) {
			if (ends_with(o, "memory/physical"))
				is = R_MEMORY;
			else if (strstr(o, "memory/"))
				file = true; /* a page file, or a process' memory */
		} else if (aff4rdf_is(&x->rdf, i, "type") && t) {
			t++;
			if (strcmp(t, "MemoryImage") == 0)
				is = R_MEMORY;
			else if (strcmp(t, "Image") == 0 || strcmp(t, "ContiguousImage") == 0 || strcmp(t, "DiskImage") == 0)
				is = R_IMAGE;
			else if (strcmp(t, "Map") == 0 || strcmp(t, "map") == 0)
				is = R_MAP;
			else if (strcmp(t, "ImageStream") == 0 || strcmp(t, "stream") == 0 || strcmp(t, "image") == 0)
				is = R_STREAM;
			file |= strcmp(t, "FileImage") == 0 || strcmp(t, "FolderImage") == 0;
			crypt |= strcmp(t, "EncryptedStream") == 0;
		}
		if (is > r)
			r = is;
	}
	return r == R_MEMORY ? r : file || crypt ? R_NONE : r;
}

static uint64_t size_of(struct aff4 *x, const char *subject, const char *urn)
{
	const char *v = aff4rdf_get(&x->rdf, urn, "size", 0);

	if (!v)
		v = aff4rdf_get(&x->rdf, subject, "size", 0);
	return v ? strtoull(v, NULL, 10) : 0;
}

static int take_choice(struct choice *c, enum rank rank, const char *subject, const char *urn, uint64_t size, struct err *e)
{
	bool same = c->urn && strcmp(c->urn, urn) == 0; /* an image and the map that is its data */

	if (rank < c->rank)
		return 0;
	c->n = rank == c->rank ? c->n + !same : 1;
	if (rank == c->rank && (same || size <= c->size))
		return 0;
	free(c->subject);
	free(c->urn);
	c->rank = rank;
	c->subject = strdup(subject);
	c->urn = strdup(urn);
	c->size = size;
	return c->subject && c->urn ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* By what the volumes say. */
static int choose_said(struct aff4 *x, struct choice *c, struct err *e)
{
	struct aff4rdf *r = &x->rdf;
	int rc = 0;

	aff4rdf_first(r, ""); /* sorts */
	for (size_t i = 0, k = 0; rc == 0 && i < r->n && k < SUBJECTS_MAX; k++) {
		const char *subject = aff4rdf_subject(r, i), *urn;
		enum rank rank = rank_of(x, i);

		urn = rank ? bytes_of(x, subject) : NULL;
		if (urn)
			rc = take_choice(c, rank, subject, urn, size_of(x, subject, urn), e);
		for (size_t from = i; i < r->n && strcmp(aff4rdf_subject(r, i), aff4rdf_subject(r, from)) == 0;)
			i++;
	}
	return rc;
}

/* By the members alone: a map, else a stream; the larger one. */
static int choose_seen(struct aff4 *x, struct choice *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < x->n_m; i++) {
		const char *u = x->m[i].urn;
		size_t n = strlen(u), cut = ends_with(u, "/map") ? n - 4 : ends_with(u, "/00000000") ? n - 9 : 0;
		enum rank rank = ends_with(u, "/map") ? R_MAP : R_STREAM;
		char *urn;

		if (!cut)
			continue;
		urn = strndup(u, cut);
		if (!urn)
			return err_set(e, ERR_NOMEM, "out of memory");
		if (ends_with(urn, "/PhysicalMemory"))
			rank = R_NAMED;
		if (rank == R_STREAM || aff4_find_in(x, urn, "idx"))
			rc = take_choice(c, rank, urn, urn, x->m[i].z->size, e);
		free(urn);
	}
	return rc;
}

static int choose(struct aff4 *x, struct choice *c, struct err *e)
{
	int rc;

	free(c->subject);
	free(c->urn);
	memset(c, 0, sizeof(*c));
	rc = choose_said(x, c, e);
	return rc < 0 || c->rank || x->rdf.n ? rc : choose_seen(x, c, e);
}

/* ---- all of its volumes -------------------------------------------------------------------------------------------------------------------- */

/* What the map points to and what is not in the volumes: looked for in the others of the folder, until all is there or nothing more is found. */
static int complete(struct dump *d, struct aff4 *x, struct choice *c, struct err *e)
{
	char *path = strdup(input_name(d->in));
	int rc = path ? 1 : err_set(e, ERR_NOMEM, "out of memory");

	while (rc == 1 && x->n_vols < AFF4_VOLUMES_MAX) {
		char *lacks = c->urn ? aff4_map_lacks(x, c->urn) : x->volume ? strdup(x->volume) : NULL;

		rc = lacks ? aff4_volume_find(d, x, path, lacks, e) : 0;
		free(lacks);
		if (rc == 1 && choose(x, c, e) < 0)
			rc = ERR_NOMEM;
	}
	free(path);
	return rc < 0 ? rc : 0;
}

/* ---- what else is said ------------------------------------------------------------------------------------------------------------------------ */

static bool yaml_number(const char *text, const char *key, uint64_t *v)
{
	const char *at = strstr(text, key);

	if (at)
		*v = strtoull(at + strlen(key), NULL, 0);
	return at && *v;
}

/* A stream whose map is lost. WinPmem lists the runs of memory (start, length) before it images them one after the other; without such a list
 * where the bytes stand is not known. Returns how many runs. */
static size_t lost_map(struct dump *d, struct aff4 *x, const struct choice *c, struct aff4_run run[AFF4_RUNS_MAX])
{
	size_t cut = strlen(c->urn) - (ends_with(c->urn, "/data") ? 5 : 0), n = 0;
	char *parent = strndup(c->urn, cut);
	const struct aff4_member *m = parent ? aff4_find_in(x, parent, "information.yaml") : NULL;
	struct buf b = {0};

	if (c->rank > R_STREAM) /* it says itself that it is the image */
		m = NULL;
	if (m && zip_read(x->vol[m->vol], m->z, YAML_BYTES, &b, NULL) == 0)
		for (const char *at = strstr(buf_str(&b), "start:"); at && n < AFF4_RUNS_MAX; at = strstr(at + 6, "start:")) {
			const char *len = strstr(at, "length:");

			if (len)
				run[n++] = (struct aff4_run){strtoull(at + 6, NULL, 0), strtoull(len + 7, NULL, 0)};
		}
	buf_free(&b);
	free(parent);
	if (c->rank > R_STREAM)
		return 0;
	notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: the map of memory is lost: where the bytes stand %s",
		  n ? "is taken from the list of runs; pages that could not be read would shift what is behind them" : "is not known");
	snprintf(d->advice, sizeof(d->advice), "the map of this AFF4 image is lost: where memory stands is %s",
		 n ? "taken from the acquisition's list of runs" : "a guess; carve works all the same");
	return n;
}

/* WinPmem: PhysicalMemory/information.yaml; Evimetry: statements on the image. */
static void take_hints(struct dump *d, struct aff4 *x, const struct choice *c)
{
	size_t cut = strlen(c->urn) - (ends_with(c->urn, "/data") ? 5 : 0);
	char *parent = strndup(c->urn, cut);
	const struct aff4_member *m = parent ? aff4_find_in(x, parent, "information.yaml") : NULL;
	struct hints *h = &d->hints;
	const char *cr3 = aff4rdf_get(&x->rdf, c->subject, "memorypagetableentryoffset", 0),
		   *base = aff4rdf_get(&x->rdf, c->subject, "ntkernelbase", 0);
	struct buf b = {0};
	uint64_t v;

	if (m && zip_read(x->vol[m->vol], m->z, YAML_BYTES, &b, NULL) == 0) {
		const char *text = buf_str(&b);

		if (yaml_number(text, "CR3:", &v)) {
			h->dtb = v & ~UINT64_C(0xfff);
			h->has_dtb = h->dtb != 0;
			hints_add_cr3(h, h->dtb);
		}
		h->has_kernel_base = yaml_number(text, "KernBase:", &h->kernel_base);
	}
	buf_free(&b);
	free(parent);
	if (!h->has_dtb && cr3) {
		h->dtb = strtoull(cr3, NULL, 0) & ~UINT64_C(0xfff);
		h->has_dtb = h->dtb != 0;
	}
	if (!h->has_kernel_base && base) {
		h->kernel_base = strtoull(base, NULL, 0);
		h->has_kernel_base = h->kernel_base != 0;
	}
	if (h->has_kernel_base && h->kernel_base <= UINT32_MAX)
		h->machine = MACHINE_X86;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------- */

static void aff4_late(void *ctx, struct notes *notes)
{
	struct aff4 *x = ctx;

	for (size_t i = 0; i < x->n_streams; i++)
		aff4_stream_late(x->stream[i], notes);
	if (x->inner_late)
		x->inner_late(x->inner_ctx, notes);
}

static bool any_encrypted(struct aff4 *x)
{
	for (size_t i = 0; i < x->rdf.n; i++)
		if (aff4rdf_is(&x->rdf, i, "type") && ends_with(aff4rdf_object(&x->rdf, i), "EncryptedStream"))
			return true;
	return false;
}

static int find_image(struct dump *d, struct aff4 *x, struct choice *c, struct err *e)
{
	int rc = aff4_volume_first(d, x, e);

	if (rc == 0)
		rc = choose(x, c, e);
	if (rc == 0)
		rc = complete(d, x, c, e);
	if (rc < 0)
		return rc;
	if (x->rdf.damaged)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "aff4: what the volume says about itself is damaged in part");
	if (!c->urn && any_encrypted(x))
		return err_set(e, ERR_UNSUPPORTED, "an encrypted AFF4 volume");
	if (!c->urn)
		return err_set(e, ERR_NOIMAGE, "an AFF4 volume without an image of memory in it");
	if (c->n > 1)
		snprintf(d->advice, sizeof(d->advice), "%zu images stand in this AFF4 volume; the largest one is read: %.100s", c->n,
			 c->subject);
	return 0;
}

static void name_it(struct dump *d, const char *packed)
{
	char inner[sizeof(d->format)];
	size_t n = strlen(d->compression);

	snprintf(inner, sizeof(inner), "%s", d->format);
	if (strcmp(inner, "raw") == 0)
		snprintf(d->format, sizeof(d->format), "aff4");
	else
		snprintf(d->format, sizeof(d->format), "aff4:%.30s", inner);
	if (packed)
		snprintf(d->compression + n, sizeof(d->compression) - n, "%s%s", n ? "+" : "", packed);
}

/* The map is there and can't be read: what is left is the stream that writers put beside it. */
static int without_map(struct dump *d, struct aff4 *x, struct choice *c, struct err *e)
{
	char *data = malloc(strlen(c->urn) + sizeof("/data"));

	if (!data)
		return err_set(e, ERR_NOMEM, "out of memory");
	sprintf(data, "%s/data", c->urn);
	notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "aff4: the map of %.200s can't be read", c->urn);
	if (!aff4_stream_there(x, data)) {
		free(data);
		return err_set(e, ERR_TRUNC, "aff4: the map of memory can't be read");
	}
	free(c->urn);
	c->urn = data;
	c->rank = R_STREAM;
	return 0;
}

static int open_aff4(struct dump *d, struct err *e)
{
	struct aff4 *x = calloc(1, sizeof(*x));
	struct input *evidence = d->file, *layer = NULL;
	struct choice c = {0};
	struct aff4_run run[AFF4_RUNS_MAX];
	size_t n_runs = 0;
	const char *packed;
	int rc;

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&x->lock, NULL);
	x->notes = d->notes;
	rc = find_image(d, x, &c, e);
	if (rc == 0 && aff4_find_in(x, c.urn, "map") && !aff4_map_there(x, c.urn))
		rc = without_map(d, x, &c, e);
	if (rc == 0 && !aff4_find_in(x, c.urn, "map"))
		n_runs = lost_map(d, x, &c, run);
	if (rc == 0)
		rc = aff4_medium(x, c.urn, run, n_runs, input_name(d->in), &layer, e);
	if (rc == 0)
		take_hints(d, x, &c);
	free(c.subject);
	free(c.urn);
	if (rc < 0) {
		aff4_free(x);
		return rc;
	}
	packed = x->compression;
	rc = dump_open_inside(d, layer, e);
	if (rc < 0)
		return rc;
	/* an image of memory has holes: what is hashed is the file */
	d->file = evidence;
	name_it(d, packed);
	x->inner_late = d->late;
	x->inner_ctx = d->late_ctx;
	d->late = aff4_late;
	d->late_ctx = x;
	return 0;
}

const struct dumpfmt dumpfmt_aff4 = {"aff4", probe, open_aff4, NULL};
