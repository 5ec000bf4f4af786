/* aff4volume.c - the volumes of an AFF4 image: archives, what each says of itself, and the members of all by their URNs; finds others in the folder.
 * Which image is read is not asked here. See aff4.h. */
#include "aff4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dirlist.h"
#include "path.h"
#include "wholefile.h"

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

int aff4_volume_first(struct dump *d, struct aff4 *x, struct err *e)
{
	int rc = zip_list(&x->zip[0], d->in, e);

	if (rc < 0 && rc != ERR_NOTMINE)
		return rc;
	if (rc == ERR_NOTMINE || !is_volume(&x->zip[0])) {
		bool directory = rc == 0 && !x->zip[0].salvaged;

		zip_free(&x->zip[0]);
		if (!directory && wholefile_paged(d->in)) { /* a page of memory with an archive's first bytes */
			snprintf(d->advice, sizeof(d->advice), "it begins like a ZIP archive, but is none to its end: taken as memory");
			return ERR_NOTMINE;
		}
		if (rc == ERR_NOTMINE)
			return err_set(e, ERR_NOIMAGE, "a ZIP archive without anything in it");
		return err_set(e, ERR_NOIMAGE, "a ZIP archive: unpack it first");
	}
	return add_volume(x, d->in, e);
}

/* ---- other volumes ------------------------------------------------------------------------------------------------------------------------ */

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

int aff4_volume_find(struct dump *d, struct aff4 *x, const char *path, const char *urn, struct err *e)
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
