/* zip.c - see zip.h */
#include "zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "rd.h"

#define LOCAL         30u
#define CENTRAL       46u
#define END           22u
#define END64         56u
#define LOCATOR       20u
#define COMMENT_MAX   65535u
#define STEP          65536u
#define DEFLATE_RATIO 1040u /* no stream unpacks to more times its size */
#define NAME_LOOK     4096u /* longest name that is believed of a header without a directory */

enum {
	SIG_LOCAL = 0x04034b50,
	SIG_CENTRAL = 0x02014b50,
	SIG_END = 0x06054b50,
	SIG_END64 = 0x06064b50,
	SIG_LOCATOR = 0x07064b50,
	SIG_DATA = 0x08074b50
};

struct directory {
	uint64_t at, size, n;
};

static int add(struct zip *z, const struct zip_member *m, struct err *e)
{
	void *arr = z->v;

	if (arr_reserve(&arr, &z->cap, z->n, sizeof(*z->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	z->v = arr;
	z->v[z->n++] = *m;
	return 0;
}

/* Sizes and place that did not fit into 32 bits stand in an extra field, only those, in this order. */
static void take_extra(const uint8_t *p, size_t n, struct zip_member *m, bool with_header)
{
	struct rd r = rd_init(p, n);

	for (size_t at = 0; at + 4 <= n;) {
		uint32_t len = rd_u16(&r, at + 2);
		struct rd x = rd_sub(&r, at + 4, len);
		uint64_t o = 0;

		if (r.bad)
			return;
		if (rd_u16(&r, at) == 1) {
			if (m->size == UINT32_MAX && rd_has(&x, o, 8)) {
				m->size = rd_u64(&x, o);
				o += 8;
			}
			if (m->packed == UINT32_MAX && rd_has(&x, o, 8)) {
				m->packed = rd_u64(&x, o);
				o += 8;
			}
			if (with_header && m->header == UINT32_MAX && rd_has(&x, o, 8))
				m->header = rd_u64(&x, o);
			return;
		}
		at += 4 + len;
	}
}

static char *copy_name(const uint8_t *p, size_t n)
{
	char *name = malloc(n + 1);

	if (name) {
		memcpy(name, p, n);
		name[n] = 0;
	}
	return name;
}

/* ---- with a directory ------------------------------------------------------------------------------------------------------------------- */

/* The end record: the last one whose comment ends with the file, else the last one. */
static bool find_end(struct input *in, uint64_t *at, uint8_t h[END])
{
	uint64_t size = input_size(in), n = size < END + COMMENT_MAX ? size : END + COMMENT_MAX;
	uint8_t *p = malloc((size_t)n + 1);
	bool got = false;

	if (p && input_read_all(in, size - n, p, (size_t)n, NULL) == 0)
		for (uint64_t i = n >= END ? n - END + 1 : 0; i-- > 0 && !got;)
			if (le32(p + i) == SIG_END && i + END + le16(p + i + 20) <= n) {
				*at = size - n + i;
				memcpy(h, p + i, END);
				got = true;
			}
	free(p);
	return got;
}

/* The end records of both widths. False: no directory that could be. */
static bool find_directory(struct zip *z, struct input *in, struct directory *d)
{
	uint8_t h[END], l[LOCATOR], w[END64];
	uint64_t at, end;

	if (!find_end(in, &at, h))
		return false;
	input_read(in, at + END, z->comment, le16(h + 20) < sizeof(z->comment) - 1 ? le16(h + 20) : sizeof(z->comment) - 1, NULL);
	*d = (struct directory){le32(h + 16), le32(h + 12), le16(h + 10)};
	end = at;
	if (at >= LOCATOR && input_read_all(in, at - LOCATOR, l, LOCATOR, NULL) == 0 && le32(l) == SIG_LOCATOR) {
		uint64_t at64 = le64(l + 8);

		/* where the locator says, or (something stands before the archive) right before it */
		if (input_read_all(in, at64, w, END64, NULL) < 0 || le32(w) != SIG_END64) {
			at64 = at - LOCATOR - END64;
			if (at < LOCATOR + END64 || input_read_all(in, at64, w, END64, NULL) < 0 || le32(w) != SIG_END64)
				at64 = UINT64_MAX;
		}
		if (at64 != UINT64_MAX) {
			*d = (struct directory){le64(w + 48), le64(w + 40), le64(w + 32)};
			end = at64;
		}
	}
	if (input_read_all(in, d->at, h, 4, NULL) == 0 && le32(h) == SIG_CENTRAL)
		return true;
	if (d->size > end)
		return false;
	d->at = end - d->size;
	return input_read_all(in, d->at, h, 4, NULL) == 0 && le32(h) == SIG_CENTRAL;
}

static int read_directory(struct zip *z, struct input *in, const struct directory *d, struct err *e)
{
	uint8_t h[CENTRAL], *p = malloc((size_t)2 * 65536);
	uint64_t at = d->at;
	int rc = p ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint64_t i = 0; rc == 0; i++) {
		struct zip_member m;
		uint32_t name, extra;

		if (input_read_all(in, at, h, CENTRAL, NULL) < 0 || le32(h) != SIG_CENTRAL) {
			z->cut = i < d->n;
			break;
		}
		if (z->n == ZIP_MEMBERS_MAX) {
			z->cut = true;
			break;
		}
		name = le16(h + 28);
		extra = le16(h + 30);
		if (input_read_all(in, at + CENTRAL, p, (size_t)name + extra, NULL) < 0) {
			z->cut = true;
			break;
		}
		m = (struct zip_member){copy_name(p, name), le32(h + 42), le32(h + 20), le32(h + 24), le16(h + 10)};
		if (!m.name) {
			rc = err_set(e, ERR_NOMEM, "out of memory");
			break;
		}
		take_extra(p + name, extra, &m, true);
		rc = add(z, &m, e);
		if (rc < 0)
			free(m.name);
		at += CENTRAL + name + extra + le16(h + 32);
	}
	free(p);
	return rc;
}

/* Something may stand before the archive: then all places are off by as much. */
static void settle_places(struct zip *z, struct input *in)
{
	uint64_t least = UINT64_MAX;
	uint8_t *p = malloc(STEP);
	int64_t n = 0;

	for (size_t i = 0; i < z->n; i++)
		if (z->v[i].header < least)
			least = z->v[i].header;
	if (p && z->n)
		n = input_read(in, least, p, STEP, NULL);
	for (int64_t k = 0; k + 4 <= n; k++)
		if (le32(p + k) == SIG_LOCAL) {
			for (size_t i = 0; i < z->n && k; i++)
				z->v[i].header += (uint64_t)k;
			break;
		}
	free(p);
}

/* ---- without ---------------------------------------------------------------------------------------------------------------------------- */

/* A member's own header, by more than its signature. */
static bool is_local(const uint8_t *h)
{
	uint32_t name = le16(h + 26), method = le16(h + 8);

	return le32(h) == SIG_LOCAL && le16(h + 4) < 0x100 && (method == ZIP_STORED || method == ZIP_DEFLATED) && name && name <= NAME_LOOK;
}

/* The next header of a member or of the directory at or behind `at`; the file's end when there is none. */
static uint64_t next_header(struct input *in, uint64_t at, uint8_t *p)
{
	for (;; at += STEP) {
		int64_t n = input_read(in, at, p, STEP + LOCAL, NULL);

		for (int64_t i = 0; i + 4 <= n && i < (int64_t)STEP; i++)
			if (p[i] == 'P' && p[i + 1] == 'K' &&
			    ((i + (int64_t)LOCAL <= n && is_local(p + i)) ||
			     (le32(p + i) == SIG_CENTRAL && i + 6 <= n && le16(p + i + 4) < 0x1000)))
				return at + (uint64_t)i;
		if (n < (int64_t)STEP)
			return input_size(in);
	}
}

/* How many bytes of data stand in [from, to): a descriptor may be at the end. */
static uint64_t without_descriptor(struct input *in, uint64_t from, uint64_t to)
{
	static const unsigned sizes[] = {24, 16};
	uint8_t h[4];

	for (unsigned i = 0; i < 2; i++)
		if (to - from >= sizes[i] && input_read_all(in, to - sizes[i], h, 4, NULL) == 0 && le32(h) == SIG_DATA)
			return to - from - sizes[i];
	return to - from;
}

static int salvage(struct zip *z, struct input *in, struct err *e)
{
	uint8_t h[LOCAL], *p = malloc(STEP + LOCAL + 2 * 65536);
	uint64_t at = p ? next_header(in, 0, p) : 0, size = input_size(in);
	int rc = p ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	while (rc == 0 && z->n < ZIP_MEMBERS_MAX && input_read_all(in, at, h, LOCAL, NULL) == 0 && is_local(h)) {
		uint32_t name = le16(h + 26), extra = le16(h + 28);
		uint64_t data = at + LOCAL + name + extra, next;
		struct zip_member m = {NULL, at, le32(h + 18), le32(h + 22), le16(h + 8)};
		uint8_t sig[4];

		if (input_read_all(in, at + LOCAL, p, (size_t)name + extra, NULL) < 0)
			break;
		m.name = copy_name(p, name);
		if (!m.name) {
			rc = err_set(e, ERR_NOMEM, "out of memory");
			break;
		}
		take_extra(p + name, extra, &m, false);
		next = data < size && m.packed < size - data ? data + m.packed : size;
		/* sizes that nobody wrote yet, or that lead to nothing */
		if (!m.packed || (le16(h + 6) & 8) || m.packed >= size - data ||
		    (input_read_all(in, next, sig, 4, NULL) == 0 && le32(sig) != SIG_LOCAL && le32(sig) != SIG_CENTRAL &&
		     le32(sig) != SIG_DATA)) {
			next = next_header(in, data, p);
			m.packed = without_descriptor(in, data, next);
			m.size = m.method == ZIP_STORED || !m.size ? m.packed : m.size;
		}
		rc = add(z, &m, e);
		if (rc < 0)
			free(m.name);
		at = next_header(in, next, p);
	}
	free(p);
	return rc;
}

int zip_list(struct zip *z, struct input *in, struct err *e)
{
	struct directory d;
	int rc;

	if (find_directory(z, in, &d)) {
		rc = read_directory(z, in, &d, e);
		if (rc == 0)
			settle_places(z, in);
		return rc;
	}
	z->salvaged = true;
	rc = salvage(z, in, e);
	return rc < 0 || z->n ? rc : err_set(e, ERR_NOTMINE, "no ZIP archive");
}

void zip_free(struct zip *z)
{
	for (size_t i = 0; i < z->n; i++)
		free(z->v[i].name);
	free(z->v);
	memset(z, 0, sizeof(*z));
}

/* The member's name, as its directory has it, stands behind its own header. */
static bool named(struct input *in, const struct zip_member *m, size_t n)
{
	char *p = n && n <= NAME_LOOK ? malloc(n) : NULL;
	bool same = p && input_read_all(in, m->header + LOCAL, p, n, NULL) == 0 && memcmp(p, m->name, n) == 0;

	free(p);
	return same;
}

/* Another header, a descriptor, or the directory begins at `at`. */
static bool header_at(struct input *in, uint64_t at)
{
	uint8_t h[4];

	return input_read_all(in, at, h, 4, NULL) == 0 &&
	       (le32(h) == SIG_LOCAL || le32(h) == SIG_CENTRAL || le32(h) == SIG_DATA || le32(h) == SIG_END64);
}

int zip_data(struct input *in, const struct zip_member *m, uint64_t *off, struct err *e)
{
	static const uint16_t usual[] = {0, 20, 28, 32}; /* bytes of extra fields: none, sizes of ZIP64 */
	uint8_t h[LOCAL];
	size_t name = strlen(m->name);
	uint32_t extra;
	int rc = input_read_all(in, m->header, h, LOCAL, e);

	if (rc < 0)
		return rc;
	extra = le16(h + 28);
	*off = m->header + LOCAL + le16(h + 26) + extra;
	if (le32(h) == SIG_LOCAL && header_at(in, *off + m->packed))
		return 0;
	/* a damaged header: the name is where and as the directory says it, and another header stands behind the data */
	if (named(in, m, name)) {
		uint64_t data = m->header + LOCAL + name;

		if (header_at(in, data + extra + m->packed)) {
			*off = data + extra;
			return 0;
		}
		for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
			if (header_at(in, data + usual[i] + m->packed)) {
				*off = data + usual[i];
				return 0;
			}
	}
	return le32(h) == SIG_LOCAL ? 0 : err_set(e, ERR_FORMAT, "a member of the archive is not where its directory says");
}

static int inflate_member(const struct buf *packed, const struct zip_member *m, struct buf *out, struct err *e)
{
	z_stream s = {.next_in = packed->p, .avail_in = (uInt)packed->n};
	uint8_t *p = buf_grow(out, (size_t)m->size);
	int rc;

	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
		return err_set(e, ERR_NOMEM, "out of memory");
	s.next_out = p;
	s.avail_out = (uInt)m->size;
	rc = inflate(&s, Z_FINISH);
	inflateEnd(&s);
	return rc == Z_STREAM_END && s.avail_out == 0 ? 0 : err_set(e, ERR_FORMAT, "a member of the archive that can't be unpacked");
}

int zip_read(struct input *in, const struct zip_member *m, uint64_t most, struct buf *out, struct err *e)
{
	struct buf packed;
	bool stored = m->method == ZIP_STORED;
	uint64_t off, len = stored ? m->size : m->packed;
	uint8_t *p;
	int rc = zip_data(in, m, &off, e);

	if (rc < 0)
		return rc;
	if (!stored && m->method != ZIP_DEFLATED)
		return err_set(e, ERR_UNSUPPORTED, "a member of the archive that is packed by method %u", m->method);
	if (m->size > most || len > most || most > UINT32_MAX)
		return err_set(e, ERR_LIMIT, "a member of the archive of %llu bytes", (unsigned long long)(m->size > len ? m->size : len));
	if (off > input_size(in) || len > input_size(in) - off)
		return err_set(e, ERR_TRUNC, "the archive ends inside a member");
	if (!stored && m->size / DEFLATE_RATIO > len)
		return err_set(e, ERR_FORMAT, "a member of the archive that claims more than it can hold");
	buf_init(&packed);
	p = buf_grow(stored ? out : &packed, (size_t)len);
	rc = p ? input_read_all(in, off, p, (size_t)len, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0 && !stored)
		rc = inflate_member(&packed, m, out, e);
	buf_free(&packed);
	return rc;
}
