/* aff4.c - AFF4 volumes (WinPmem 2 and 3, Evimetry, also before the standard): ZIP archives with streams, maps over them, and statements on what is
 * what. Picks the image of physical memory, finds the volumes that it needs, and opens what the image holds: mostly memory itself, but any
 * container may be there. Facts: docs/formats/aff4.md. */
#include "aff4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dirlist.h"
#include "path.h"
#include "rd.h"
#include "wholefile.h"

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

/* ---- members ------------------------------------------------------------------------------------------------------------------------------ */

static int by_urn(const void *a, const void *b)
{
	const struct aff4_member *x = a, *y = b;
	int c = strcmp(x->urn, y->urn);

	/* of two members of one name the later one counts */
	return c ? c : x->vol != y->vol ? (x->vol < y->vol ? -1 : 1) : x->z < y->z ? 1 : x->z > y->z;
}

size_t aff4_from(const struct aff4 *x, const char *urn)
{
	size_t lo = 0, hi = x->n_m;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(x->m[mid].urn, urn) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct aff4_member *aff4_find(const struct aff4 *x, const char *urn)
{
	size_t i = aff4_from(x, urn);

	return i < x->n_m && strcmp(x->m[i].urn, urn) == 0 ? &x->m[i] : NULL;
}

const struct aff4_member *aff4_find_in(const struct aff4 *x, const char *urn, const char *tail)
{
	char *name = malloc(strlen(urn) + strlen(tail) + 2);
	const struct aff4_member *m = NULL;

	if (name) {
		sprintf(name, "%s/%s", urn, tail);
		m = aff4_find(x, name);
	}
	free(name);
	return m;
}

int aff4_read_member(struct aff4 *x, const struct aff4_member *m, struct buf *out, struct err *e)
{
	return zip_read(x->vol[m->vol], m->z, AFF4_MEMBER_MAX, out, e);
}

/* A member's name -> its URN: %XX taken off, '\' is '/'; what is no URN stands in the volume. */
static char *urn_of(const char *volume, const char *name)
{
	char *out = malloc(strlen(volume) + strlen(name) + 2), *o = out;

	if (!out)
		return NULL;
	if (strncasecmp(name, "aff4%3a%2f%2f", 13) != 0 && strncmp(name, "aff4:", 5) != 0)
		o += sprintf(o, "%s/", volume);
	while (*name == '/')
		name++;
	for (; *name; name++)
		if (*name == '%' && aff4_hex(name[1]) >= 0 && aff4_hex(name[2]) >= 0 && (name[1] != '0' || name[2] != '0')) {
			*o++ = (char)(aff4_hex(name[1]) << 4 | aff4_hex(name[2]));
			name += 2;
		} else {
			*o++ = *name == '\\' ? '/' : *name;
		}
	*o = 0;
	return out;
}

static int add_members(struct aff4 *x, uint32_t vol, const char *urn, struct err *e)
{
	const struct zip *z = &x->zip[vol];

	for (size_t i = 0; i < z->n; i++) {
		void *arr = x->m;
		struct aff4_member m = {NULL, vol, &z->v[i]};

		if (arr_reserve(&arr, &x->cap_m, x->n_m, sizeof(*x->m)) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		x->m = arr;
		m.urn = urn_of(urn, z->v[i].name);
		if (!m.urn)
			return err_set(e, ERR_NOMEM, "out of memory");
		x->m[x->n_m++] = m;
	}
	if (x->n_m)
		qsort(x->m, x->n_m, sizeof(*x->m), by_urn);
	return 0;
}

/* ---- volumes ------------------------------------------------------------------------------------------------------------------------------ */

static const struct zip_member *plain(const struct zip *z, const char *name)
{
	for (size_t i = z->n; i-- > 0;)
		if (strcmp(z->v[i].name, name) == 0 || (z->v[i].name[0] == '/' && strcmp(z->v[i].name + 1, name) == 0))
			return &z->v[i];
	return NULL;
}

/* Bytes of an URN aff4://GUID that begins here and ends at a space or another sign; 0: none does. */
static size_t guid_urn(const char *s)
{
	static const char form[] = "aff4://xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t n = 0;

	while (form[n] && (form[n] == 'x' ? aff4_hex(s[n]) >= 0 : s[n] == form[n]))
		n++;
	return form[n] || (s[n] && !strchr("\r\n \t>", s[n])) ? 0 : n;
}

/* The URN of the volume that the statements are said to be stored in. */
static char *stored_in(const struct zip *z, struct input *in)
{
	const struct zip_member *m = plain(z, "information.turtle");
	struct buf b = {0};
	char *urn = NULL;

	if (m && zip_read(in, m, AFF4RDF_BYTES_MAX, &b, NULL) == 0)
		for (const char *at = strstr(buf_str(&b), ":stored"); at && !urn; at = strstr(at + 1, ":stored")) {
			const char *s = at + 7 + strspn(at + 7, " \t<");
			size_t n = guid_urn(s);

			urn = n ? strndup(s, n) : NULL;
		}
	buf_free(&b);
	return urn;
}

/* The volume's own URN: from container.description, else the archive's comment, else the statements; one with a GUID comes before others, which may
 * be cut. NULL: none, or no memory. */
static char *volume_urn(const struct zip *z, struct input *in)
{
	const struct zip_member *m = plain(z, "container.description");
	struct buf b = {0};
	char *urn = NULL, *other = NULL;

	if (m && zip_read(in, m, 4096, &b, NULL) == 0) {
		const char *s = buf_str(&b);

		if (strncmp(s, "aff4://", 7) == 0)
			urn = strndup(s, strcspn(s, "\r\n \t"));
	}
	buf_free(&b);
	if (m && (!urn || !guid_urn(urn))) {
		size_t n = guid_urn(z->comment);

		other = n ? strndup(z->comment, n) : stored_in(z, in);
		if (other) {
			free(urn);
			urn = other;
		}
	}
	if (!urn && strncmp(z->comment, "aff4://", 7) == 0)
		urn = strndup(z->comment, strcspn(z->comment, "\r\n \t"));
	return urn;
}

/* Some sign of AFF4 in an archive. */
static bool is_volume(const struct zip *z)
{
	if (strncmp(z->comment, "aff4://", 7) == 0 || plain(z, "information.turtle"))
		return true;
	for (size_t i = 0; i < z->n; i++)
		if (strncasecmp(z->v[i].name, "aff4%3a%2f%2f", 13) == 0 || strncmp(z->v[i].name, "aff4:", 5) == 0)
			return true;
	return plain(z, "container.description") && plain(z, "version.txt");
}

static int add_statements(struct aff4 *x, uint32_t vol, struct err *e)
{
	const struct zip_member *m = plain(&x->zip[vol], "information.turtle");
	struct buf b = {0};
	int rc = m ? zip_read(x->vol[vol], m, AFF4RDF_BYTES_MAX, &b, e) : ERR_NOTFOUND;

	if (rc == 0)
		rc = aff4rdf_add(&x->rdf, (const char *)b.p, b.n, e);
	else if (rc != ERR_NOMEM)
		rc = 0;
	buf_free(&b);
	return rc;
}

/* Adds a volume whose archive stands in x->zip[x->n_vols] already. */
static int add_volume(struct aff4 *x, struct input *in, struct err *e)
{
	uint32_t vol = (uint32_t)x->n_vols++;
	char *urn;
	int rc;

	x->vol[vol] = in;
	urn = volume_urn(&x->zip[vol], in);
	rc = add_members(x, vol, urn ? urn : "aff4://volume", e);
	if (rc == 0)
		rc = add_statements(x, vol, e);
	if (x->zip[vol].salvaged)
		notes_add(x->notes, &NOTE(NOTE_IMAGE_TRUNCATED),
			  "%s: the archive has no directory: its %zu members were found by their own headers", input_name(in),
			  x->zip[vol].n);
	else if (x->zip[vol].cut)
		notes_add(x->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "%s: the archive's directory ends early", input_name(in));
	if (!x->volume)
		x->volume = urn;
	else
		free(urn);
	return rc;
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

/* ---- other volumes -------------------------------------------------------------------------------------------------------------------------- */

/* NAME.aff4 and NAME.aff4.A01 ...; NAME_1.aff4 beside NAME_2.aff4. */
static bool is_volume_name(const char *s)
{
	size_t n = strlen(s);

	if (n > 4 && s[n - 4] == '.' && (s[n - 3] == 'A' || s[n - 3] == 'a') && strspn(s + n - 2, "0123456789") == 2)
		return true;
	return (n > 5 && strcasecmp(s + n - 5, ".aff4") == 0) || (n > 4 && strcasecmp(s + n - 4, ".af4") == 0);
}

/* Does the archive have members of this URN? */
static bool has_urn(const struct zip *z, struct input *in, const char *urn)
{
	char *volume = volume_urn(z, in);
	size_t n = strlen(urn);
	bool has = false;

	for (size_t i = 0; i < z->n && !has; i++) {
		char *u = urn_of(volume ? volume : "aff4://volume", z->v[i].name);

		has = u && strncmp(u, urn, n) == 0 && (u[n] == '/' || !u[n]);
		free(u);
	}
	free(volume);
	return has;
}

/* Adds the volume of the folder that has members of `urn`. 1: found. */
static int find_volume(struct dump *d, struct aff4 *x, const char *path, const char *urn, struct err *e)
{
	const char *slash = path_last_sep(path);
	size_t n = slash ? (size_t)(slash - path) + 1 : 2;
	char *dir = strndup(slash ? path : "./", n);
	struct dirlist l = {0};
	int rc = 0;

	if (!dir)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (dirlist_read(&l, dir, NULL) < 0)
		l.n = 0;
	for (size_t i = 0; rc == 0 && i < l.n && x->n_vols < AFF4_VOLUMES_MAX; i++) {
		char *other = is_volume_name(l.name[i]) && strcmp(l.name[i], slash ? slash + 1 : path) != 0
				      ? malloc(n + strlen(l.name[i]) + 1)
				      : NULL;
		struct zip *z = &x->zip[x->n_vols];
		struct input *in;

		if (!other)
			continue;
		sprintf(other, "%s%s", dir, l.name[i]);
		if (input_open(&in, other, NULL) == 0) {
			if (zip_list(z, in, NULL) == 0 && has_urn(z, in, urn)) {
				rc = dump_keep(d, in, e);
				if (rc == 0) {
					rc = add_volume(x, in, e);
					d->n_segments++;
				}
				rc = rc < 0 ? rc : 1;
			} else {
				zip_free(z);
				input_close(in);
			}
		}
		free(other);
	}
	dirlist_free(&l);
	free(dir);
	return rc;
}

/* What the map points to and what is not in the volumes: looked for in the others of the folder, until all is there or nothing more is found. */
static int complete(struct dump *d, struct aff4 *x, struct choice *c, struct err *e)
{
	char *path = strdup(input_name(d->in));
	int rc = path ? 1 : err_set(e, ERR_NOMEM, "out of memory");

	while (rc == 1 && x->n_vols < AFF4_VOLUMES_MAX) {
		char *lacks = c->urn ? aff4_map_lacks(x, c->urn) : x->volume ? strdup(x->volume) : NULL;

		rc = lacks ? find_volume(d, x, path, lacks, e) : 0;
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

static int list_volume(struct dump *d, struct aff4 *x, struct input *in, struct err *e)
{
	int rc = zip_list(&x->zip[0], in, e);

	if (rc < 0 && rc != ERR_NOTMINE)
		return rc;
	if (rc == ERR_NOTMINE || !is_volume(&x->zip[0])) {
		bool directory = rc == 0 && !x->zip[0].salvaged;

		zip_free(&x->zip[0]);
		if (!directory && wholefile_paged(in)) { /* a page of memory with an archive's first bytes */
			snprintf(d->advice, sizeof(d->advice), "it begins like a ZIP archive, but is none to its end: taken as memory");
			return ERR_NOTMINE;
		}
		if (rc == ERR_NOTMINE)
			return err_set(e, ERR_NOIMAGE, "a ZIP archive without anything in it");
		return err_set(e, ERR_NOIMAGE, "a ZIP archive: unpack it first");
	}
	return add_volume(x, in, e);
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
	int rc = list_volume(d, x, d->in, e);

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
