/* hvstore.c - see hvstore.h. Object tables list key tables; of those with the same number the one with the highest sequence is in force. */
#include "hvstore.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "rd.h"

#define HEADER       46u
#define COPY_AT      0x1000u
#define ROOT_AT      0x2000u
#define OBJECT_TABLE 0x01110001u
#define REPLAY_LOG   0x01110003u
#define OBJECT       18u /* bytes of an entry */
#define KEY_TABLE    10u /* of its header */
#define KEY          21u /* of an entry's header */
#define TABLES_MAX   (1u << 20)
#define TABLE_MAX    (1u << 20) /* bytes of a key table; usual are 4 KiB, 64 KiB at most */
#define OLDEST       0x101u     /* version 1.0 writes names in UTF-16 */

enum { TYPE_OBJECTS = 1, TYPE_KEYS = 2 };
enum { KEY_ARRAY = 7, FLAG_IN_FILE = 1 };

struct key_table {
	uint64_t off;
	uint32_t len;
	uint16_t index, sequence;
	uint32_t order; /* as listed */
};

struct store {
	struct input *in;
	struct notes *notes;
	struct key_table *v;
	size_t n, cap;
};

/* ---- the header ------------------------------------------------------------------------------------------------------------------------------- */

static bool read_copy(struct input *in, uint64_t at, uint8_t h[HEADER], bool *sound)
{
	uint8_t c[HEADER];

	if (input_read_all(in, at, h, HEADER, NULL) < 0 || le32(h) != HVSTORE_SIGNATURE)
		return false;
	memcpy(c, h, HEADER);
	memset(c + 4, 0, 4);
	*sound = crc32_z(0, c, HEADER) == le32(h + 4);
	return true;
}

/* Two copies are written in turn: the newer one whose checksum holds counts. */
static int read_header(struct store *s, uint8_t h[HEADER], struct err *e)
{
	uint8_t other[HEADER];
	bool sound = false, sound2 = false;
	bool one = read_copy(s->in, 0, h, &sound), two = read_copy(s->in, COPY_AT, other, &sound2);

	if (!one && !two)
		return err_set(e, ERR_FORMAT, "a Hyper-V storage file whose headers are damaged");
	if (two && (!one || (sound2 && !sound) || (sound2 == sound && le16(other + 8) > le16(h + 8)))) {
		memcpy(h, other, HEADER);
		sound = sound2;
	}
	if (!sound)
		notes_add(s->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0, HEADER), "Hyper-V storage: the checksum of its header does not hold");
	if (le32(h + 10) < OLDEST)
		return err_set(e, ERR_UNSUPPORTED,
			       "a Hyper-V storage file of version 0x%x: not read, convert it on a Windows host with Hyper-V (vm2dmp)",
			       le32(h + 10));
	return 0;
}

static void look_at_log(struct store *s, const uint8_t h[HEADER])
{
	uint8_t log[12];

	if (input_read_all(s->in, le64(h + 26), log, sizeof(log), NULL) == 0 && le32(log) == REPLAY_LOG && le32(log + 8))
		notes_add(s->notes, &NOTE_AT(NOTE_CONTEXT_BAD, le64(h + 26), 0),
			  "Hyper-V storage: %u changes were begun and not finished (the file was copied while in use?): it is read without "
			  "them",
			  le32(log + 8));
}

/* ---- object tables ---------------------------------------------------------------------------------------------------------------------------- */

static int add_keys(struct store *s, uint64_t off, uint32_t len, struct err *e)
{
	uint8_t h[KEY_TABLE];
	void *arr = s->v;

	if (input_read_all(s->in, off, h, sizeof(h), NULL) < 0 || le16(h) != 2 || len < KEY_TABLE || len > TABLE_MAX) {
		notes_add(s->notes, &NOTE_AT(NOTE_LIST_BROKEN, off, len), "Hyper-V storage: no table of keys at file offset %llu",
			  (unsigned long long)off);
		return 0;
	}
	if (s->n >= TABLES_MAX)
		return err_set(e, ERR_LIMIT, "Hyper-V storage: more than %u tables of keys", TABLES_MAX);
	if (arr_reserve(&arr, &s->cap, s->n, sizeof(*s->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->v = arr;
	s->v[s->n] = (struct key_table){off, len, le16(h + 2), le16(h + 4), (uint32_t)s->n};
	s->n++;
	return 0;
}

/* One table of objects; *next: where another one stands, 0: nowhere. *left: entries that the file may still hold. */
static int object_table(struct store *s, uint64_t at, uint64_t *next, uint64_t *left, struct err *e)
{
	uint8_t h[8], o[OBJECT];
	uint64_t count;
	int rc = 0;

	*next = 0;
	if (input_read_all(s->in, at, h, sizeof(h), NULL) < 0 || le32(h) != OBJECT_TABLE) {
		notes_add(s->notes, &NOTE_AT(NOTE_LIST_BROKEN, at, 0), "Hyper-V storage: no table of objects at file offset %llu",
			  (unsigned long long)at);
		return 0;
	}
	count = le32(h + 4);
	if (count > *left) {
		notes_add(s->notes, &NOTE_AT(NOTE_LIST_BROKEN, at, 0), "Hyper-V storage: a table of %llu objects has no room in the file",
			  (unsigned long long)count);
		count = *left;
	}
	*left -= count;
	for (uint64_t i = 0; rc == 0 && i < count && input_read_all(s->in, at + 8 + i * OBJECT, o, OBJECT, NULL) == 0; i++) {
		if (o[0] == TYPE_OBJECTS)
			*next = le64(o + 5);
		else if (o[0] == TYPE_KEYS)
			rc = add_keys(s, le64(o + 5), le32(o + 13), e);
	}
	return rc;
}

static int by_number(const void *x, const void *y)
{
	const struct key_table *a = x, *b = y;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->sequence != b->sequence)
		return a->sequence > b->sequence ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------------------------- */

/* One key of p[0, n) (its table's bytes at file offset `at`), at p + i. 0, or what fn says. */
static int one_key(struct store *s, const uint8_t *p, uint32_t i, uint32_t size, uint64_t at, hvstore_fn *fn, void *ctx, struct err *e)
{
	uint32_t name = i + KEY, n = p[i + 20], data = name + n, end = i + size;
	struct hvstore_value v;

	if (p[i] != KEY_ARRAY || !n || n > size - KEY || end - data < 4)
		return 0;
	if (p[i + 1] & FLAG_IN_FILE) {
		if (end - data < 12)
			return 0;
		v = (struct hvstore_value){le64(p + data + 4), le32(p + data)};
	} else {
		v = (struct hvstore_value){at + data + 4, le32(p + data)};
		if (v.len > end - data - 4)
			return 0;
	}
	if (v.off > input_size(s->in) || v.len > input_size(s->in) - v.off) {
		notes_add(s->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, v.off, v.len), "Hyper-V storage: the file ends before the value of %.*s",
			  (int)(n - 1), (const char *)p + name);
		return 0;
	}
	return fn(ctx, (const char *)p + name, p[name + n - 1] ? n : n - 1, &v, e);
}

static int walk_keys(struct store *s, const struct key_table *t, hvstore_fn *fn, void *ctx, struct err *e)
{
	uint8_t *p = malloc(t->len);
	int64_t n;
	int rc = 0;

	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	n = input_read(s->in, t->off, p, t->len, NULL);
	for (uint32_t i = KEY_TABLE, size; rc == 0 && (int64_t)i + KEY <= n; i += size) {
		size = le32(p + i + 2);
		if (!size)
			break;
		if (size < KEY || size > (uint64_t)n - i) {
			notes_add(s->notes, &NOTE_AT(NOTE_LIST_BROKEN, t->off + i, 0),
				  "Hyper-V storage: a key that is longer than its table");
			break;
		}
		rc = one_key(s, p, i, size, t->off, fn, ctx, e);
	}
	free(p);
	return rc;
}

int hvstore_walk(struct input *in, struct notes *notes, hvstore_fn *fn, void *ctx, struct err *e)
{
	struct store s = {.in = in, .notes = notes};
	uint64_t next = ROOT_AT, left = input_size(in) / OBJECT;
	uint8_t h[HEADER];
	int rc = read_header(&s, h, e);

	if (rc == 0)
		look_at_log(&s, h);
	for (unsigned tables = 0; rc == 0 && next && left && tables < TABLES_MAX; tables++)
		rc = object_table(&s, next, &next, &left, e);
	if (rc == 0 && s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_number);
	for (size_t i = 0; rc == 0 && i < s.n; i++)
		if (i == 0 || s.v[i].index != s.v[i - 1].index)
			rc = walk_keys(&s, &s.v[i], fn, ctx, e);
	free(s.v);
	return rc;
}
