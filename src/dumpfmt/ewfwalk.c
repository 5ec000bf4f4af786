/* ewfwalk.c - the sections of one EWF segment file. See ewf.h */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "ewf.h"
#include "rd.h"

#define TABLE_HEADER  24u
#define VOLUME_ENCASE 1052u
#define VOLUME_SMART  94u
#define OFFSET_31     0x7fffffffu
#define SEARCH_MAX    (UINT64_C(1) << 32) /* how far the next section is looked for behind a damaged one */
#define SEARCH_CHUNK  65536u

struct section {
	uint64_t off, next, size; /* of the descriptor in the file; size with it */
	char type[17];
};

struct table { /* as read; entries stay little-endian */
	bool there, header_ok, entries_ok;
	uint32_t n;
	uint64_t base, end; /* end: of its section */
	uint8_t *e;
};

struct walk {
	struct ewf *x;
	unsigned seg;
	uint64_t size;               /* of the file */
	uint64_t data_off, data_end; /* payload of the last `sectors`; 0, 0: none since the last table */
	struct table t[2];
};

uint32_t ewf_adler(const void *p, size_t n)
{
	return (uint32_t)adler32(1, p, (uInt)n);
}

int ewf_add_gap(struct ewf *x, struct err *e)
{
	void *arr = x->gap;

	if (x->n_gaps && x->gap[x->n_gaps - 1].at == x->n)
		return 0;
	if (arr_reserve(&arr, &x->cap_gaps, x->n_gaps, sizeof(*x->gap)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	x->gap = arr;
	x->gap[x->n_gaps++].at = x->n;
	return 0;
}

static void note_bad(struct walk *w, uint64_t off, const char *what)
{
	notes_add(w->x->notes, &NOTE(NOTE_CONTEXT_BAD), "%s: %s at file offset %llu", inputset_name(w->x->files, w->seg), what,
		  (unsigned long long)off);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------------------ */

static void drop_tables(struct walk *w)
{
	free(w->t[0].e);
	free(w->t[1].e);
	memset(w->t, 0, sizeof(w->t));
}

/* Reads a table's header and entries. What its header claims is held against the room in the section and the file. */
static int read_table(struct walk *w, const struct section *s, struct table *t, struct err *e)
{
	uint64_t at = s->off + EWF_SECTION, end = s->size > w->size - s->off ? w->size : s->off + s->size, room;
	uint8_t h[TABLE_HEADER], sum[4];

	if (end < at + TABLE_HEADER || inputset_read_all(w->x->files, w->seg, at, h, sizeof(h), NULL) < 0) {
		note_bad(w, s->off, "a chunk table without its header");
		return 0;
	}
	t->there = true;
	t->end = end;
	t->header_ok = ewf_adler(h, 20) == le32(h + 20);
	t->n = le32(h);
	t->base = le64(h + 8);
	room = (end - at - TABLE_HEADER) / 4;
	if (!t->header_ok || t->n > room) {
		note_bad(w, s->off,
			 t->header_ok ? "a chunk table that claims more entries than it has" : "a damaged header of a chunk table");
		if (t->n > room || !t->n)
			t->n = room > 0 ? (uint32_t)(room - 1 < EWF_TABLE_MAX ? room - 1 : EWF_TABLE_MAX)
					: 0; /* the last word is their checksum */
		t->header_ok = false;
	}
	if (t->n > EWF_TABLE_MAX)
		return err_set(e, ERR_LIMIT, "a chunk table of %u entries", t->n);
	t->e = malloc((size_t)t->n * 4 + 1);
	if (!t->e)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (inputset_read_all(w->x->files, w->seg, at + TABLE_HEADER, t->e, (size_t)t->n * 4, NULL) < 0) {
		t->there = false;
		note_bad(w, s->off, "a chunk table that can't be read");
		return 0;
	}
	at += TABLE_HEADER + (uint64_t)t->n * 4;
	/* the first version has no checksum behind the entries, but the chunks themselves */
	t->entries_ok = !w->data_end || (at + 4 <= end && inputset_read_all(w->x->files, w->seg, at, sum, 4, NULL) == 0 &&
					 ewf_adler(t->e, (size_t)t->n * 4) == le32(sum));
	if (!t->entries_ok)
		note_bad(w, s->off, "a chunk table whose checksum does not hold");
	return 0;
}

struct frame {           /* what entries are read against */
	uint64_t lo, hi; /* chunks stand in here */
	uint64_t base[2];
};

static bool inside(const struct frame *f, uint64_t off)
{
	return off >= f->lo && off < f->hi;
}

/* Entry i of the better table, or of the other one when it leads nowhere. `wide`: offsets have 32 bits and no flag. */
static bool entry(const struct walk *w, const struct frame *f, unsigned best, uint32_t i, bool wide, uint64_t *off, bool *packed)
{
	for (unsigned k = 0; k < 2; k++) {
		const struct table *t = &w->t[best ^ k];
		uint32_t raw;

		if (!t->there || i >= t->n)
			continue;
		raw = le32(t->e + 4 * (size_t)i);
		*off = f->base[best ^ k] + (wide ? raw : raw & OFFSET_31);
		*packed = !wide && raw >> 31;
		if (inside(f, *off))
			return true;
	}
	return false;
}

/* A damaged header may lie about the base: takes the first that makes entry 0 lead into the chunks. */
static void settle_base(const struct walk *w, struct frame *f, unsigned k)
{
	const uint64_t guess[] = {w->t[k].base, w->t[k ^ 1].base, 0, w->data_off - EWF_SECTION};
	const struct table *t = &w->t[k];

	f->base[k] = t->base;
	if (!t->there || !t->n || t->header_ok)
		return;
	for (unsigned i = 0; i < sizeof(guess) / sizeof(guess[0]); i++)
		if (guess[i] < w->size && inside(f, guess[i] + (le32(t->e) & OFFSET_31))) {
			f->base[k] = guess[i];
			return;
		}
}

static int add_chunk(struct walk *w, const struct ewf_chunk *c, struct err *e)
{
	void *arr = w->x->v;

	if (w->x->n >= EWF_CHUNKS_MAX)
		return err_set(e, ERR_LIMIT, "more than %llu chunks", (unsigned long long)EWF_CHUNKS_MAX);
	if (arr_reserve(&arr, &w->x->cap, w->x->n, sizeof(*w->x->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	w->x->v = arr;
	w->x->v[w->x->n++] = *c;
	return 0;
}

/* Chunk i, from its own entry and where the next one begins. */
static struct ewf_chunk place(const struct walk *w, const struct frame *f, unsigned best, uint32_t i, uint32_t n, bool *wide)
{
	struct ewf_chunk c = {.seg = (uint16_t)w->seg};
	uint64_t off, next, most, stored = (uint64_t)w->x->chunk_size + 4;
	bool packed, next_packed;

	if (!entry(w, f, best, i, *wide, &off, &packed))
		return c;
	if (i + 1 >= n || !entry(w, f, best, i + 1, *wide, &next, &next_packed) || next <= off)
		next = f->hi;
	if (!*wide && off - f->base[best] + stored > OFFSET_31 && i + 1 < n && next == f->hi) {
		/* segments beyond 2 GiB by one version of the best-known program: from here on all 32 bits are the offset */
		*wide = true;
		if (!entry(w, f, best, i + 1, true, &next, &next_packed) || next <= off)
			next = f->hi;
		packed = packed && next - off < stored;
	} else if (*wide) {
		packed = next - off < stored;
	}
	most = packed ? EWF_PACKED_MAX(w->x->chunk_size) : stored;
	c.off = off;
	c.len = (uint32_t)(next - off < most ? next - off : most);
	c.packed = packed;
	return c;
}

static int salvaged(void *ctx, const struct ewf_chunk *c, bool lost, struct err *e)
{
	struct walk *w = ctx;
	int rc = lost ? ewf_add_gap(w->x, e) : 0;

	return rc < 0 ? rc : add_chunk(w, c, e);
}

/* No table is of use: the chunks that prove themselves, if they are more than `least` (0: any), or all that stand there. 1: they are taken; 0: not. */
static int salvage(struct walk *w, uint64_t least, struct err *e)
{
	size_t n = w->x->n, n_gaps = w->x->n_gaps;
	uint64_t proved, bytes = w->data_end - w->data_off;
	int rc = ewf_salvage(w->x, w->seg, w->data_off, w->data_end, salvaged, w, &proved, e);

	if (rc < 0)
		return rc;
	if (least && rc != EWF_SALVAGE_ALL && w->x->n - n <= least) {
		w->x->n = n;
		w->x->n_gaps = n_gaps;
		return 0;
	}
	notes_add(w->x->notes, &NOTE(NOTE_CONTEXT_BAD),
		  "%s: chunks without a table that is of use, at file offset %llu: %zu are found one behind the other by their own "
		  "checksums, in %llu of %llu bytes",
		  inputset_name(w->x->files, w->seg), (unsigned long long)w->data_off, w->x->n - n, (unsigned long long)proved,
		  (unsigned long long)bytes);
	if (rc == EWF_SALVAGE_CUT)
		rc = ewf_add_gap(w->x, e);
	return rc < 0 ? rc : 1;
}

/* How many entries of the better table lead into the chunks, each behind the one before. */
static uint64_t useful(const struct walk *w, const struct frame *f, unsigned best)
{
	uint64_t count = 0, last = 0, off;
	bool packed;

	for (uint32_t i = 0; i < w->t[best].n; i++)
		if (entry(w, f, best, i, false, &off, &packed) && off > last) {
			last = off;
			count++;
		}
	return count;
}

/* Makes chunks of the table (and its copy) that were read. */
static int take_tables(struct walk *w, struct err *e)
{
	struct frame f = {w->data_off, w->data_end, {0, 0}};
	const struct table *a = &w->t[0], *b = &w->t[1];
	unsigned best;
	uint64_t lost = 0;
	bool wide = false;
	uint32_t n;
	int rc = 0;

	if (!a->there && !b->there) {
		if (w->data_end)
			rc = salvage(w, 0, e);
		w->data_off = w->data_end = 0;
		drop_tables(w);
		return rc < 0 ? rc : 0;
	}
	best = a->there && ((a->header_ok && a->entries_ok) || !b->there || !(b->header_ok && (b->entries_ok || !a->header_ok))) ? 0 : 1;
	if (!w->data_end) {
		f.lo = EWF_HEADER;
		f.hi = w->t[best].end;
	}
	settle_base(w, &f, 0);
	settle_base(w, &f, 1);
	if (w->data_end && !(w->t[best].header_ok && w->t[best].entries_ok)) {
		rc = salvage(w, useful(w, &f, best) + 1, e);
		if (rc) {
			w->data_off = w->data_end = 0;
			drop_tables(w);
			return rc < 0 ? rc : 0;
		}
	}
	n = w->t[best].n;
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		struct ewf_chunk c = place(w, &f, best, i, n, &wide);

		lost += !c.len;
		rc = add_chunk(w, &c, e);
	}
	if (lost)
		notes_add(w->x->notes, &NOTE(NOTE_CONTEXT_BAD), "%s: %llu entries of a chunk table lead nowhere",
			  inputset_name(w->x->files, w->seg), (unsigned long long)lost);
	w->data_off = w->data_end = 0;
	drop_tables(w);
	return rc;
}

/* ---- the other sections -------------------------------------------------------------------------------------------------------------------- */

static void take_volume(struct walk *w, const struct section *s)
{
	struct ewf *x = w->x;
	uint8_t h[VOLUME_ENCASE] = {0};
	uint64_t size = s->size - EWF_SECTION, chunk;
	bool smart = size < VOLUME_ENCASE, sound;
	uint32_t n = smart ? VOLUME_SMART : VOLUME_ENCASE;

	if (s->size < EWF_SECTION + VOLUME_SMART || inputset_read_all(x->files, w->seg, s->off + EWF_SECTION, h, n, NULL) < 0)
		return;
	sound = ewf_adler(h, n - 4) == le32(h + n - 4);
	if (x->volume_sound && sound && !smart && memcmp(h + 64, x->set, 16) != 0) {
		note_bad(w, s->off, "the mark of another acquisition: this segment is left out, it stands");
		x->foreign = true;
	}
	if (x->volume_sound)
		return;
	if (!sound)
		note_bad(w, s->off, "the description of the medium has a checksum that does not hold");
	if (!sound && x->has_volume)
		return;
	chunk = (uint64_t)le32(h + 8) * le32(h + 12);
	if (!chunk || chunk > EWF_CHUNK_MAX) {
		note_bad(w, s->off, "the description of the medium has no chunk size that could be");
		chunk = EWF_CHUNK_USUAL;
		sound = false;
	}
	x->has_volume = true;
	x->volume_sound = sound;
	if (!smart)
		memcpy(x->set, h + 64, 16);
	x->n_chunks = le32(h + 4);
	x->chunk_size = (uint32_t)chunk;
	x->media = smart ? le32(h + 16) : le64(h + 16);
	x->media = x->media > UINT64_MAX / 2 / (le32(h + 12) ? le32(h + 12) : 1) ? 0 : x->media * le32(h + 12);
}

static bool zeros(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void take_hashes(struct walk *w, const struct section *s)
{
	struct ewf *x = w->x;
	bool digest = strcmp(s->type, "digest") == 0;
	uint8_t h[80];
	uint32_t n = digest ? 80 : 36;

	if (inputset_read_all(x->files, w->seg, s->off + EWF_SECTION, h, n, NULL) < 0 || ewf_adler(h, n - 4) != le32(h + n - 4)) {
		note_bad(w, s->off, "the stored hashes have a checksum that does not hold");
		return;
	}
	if (!zeros(h, 16)) {
		if (x->has_md5 && memcmp(x->md5, h, 16) != 0 && !x->md5_differs) {
			x->md5_differs = true;
			note_bad(w, s->off, "another MD5 than the one stored before it");
		}
		x->has_md5 = true;
		memcpy(x->md5, h, 16);
	}
	if (digest && !zeros(h + 16, 20)) {
		x->has_sha1 = true;
		memcpy(x->sha1, h + 16, 20);
	}
}

static int take_section(struct walk *w, const struct section *s, struct err *e)
{
	uint64_t end = s->size > w->size - s->off ? w->size : s->off + s->size;
	bool table = strcmp(s->type, "table") == 0, second = strcmp(s->type, "table2") == 0;
	int rc = 0;

	if (table || second) {
		if ((table && (w->t[0].there || w->t[1].there)) || (second && w->t[1].there))
			rc = take_tables(w, e);
		return rc < 0 ? rc : read_table(w, s, &w->t[second ? 1 : 0], e);
	}
	if (strcmp(s->type, "sectors") == 0) {
		rc = take_tables(w, e);
		w->data_off = s->off + EWF_SECTION;
		w->data_end = end > w->data_off ? end : w->data_off;
		if (s->size > w->size - s->off)
			notes_add(w->x->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "%s: ends inside a section of chunks",
				  inputset_name(w->x->files, w->seg));
	} else if (strcmp(s->type, "volume") == 0 || strcmp(s->type, "disk") == 0 || strcmp(s->type, "data") == 0) {
		take_volume(w, s);
	} else if (strcmp(s->type, "digest") == 0 || strcmp(s->type, "hash") == 0) {
		take_hashes(w, s);
	}
	return rc;
}

/* ---- the walk ------------------------------------------------------------------------------------------------------------------------------ */

static const char *const types[] = {"header", "header2", "volume", "disk",   "data",  "sectors", "table",   "table2", "next",
				    "done",   "digest",  "hash",   "error2", "xhash", "xheader", "session", "ltree",  "ltypes"};

static bool is_type(const uint8_t *p)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp((const char *)p, types[i], 16) == 0)
			return true;
	return false;
}

static bool sound(const uint8_t *h)
{
	return is_type(h) && ewf_adler(h, EWF_SECTION - 4) == le32(h + EWF_SECTION - 4);
}

/* Looks for the next sound section descriptor, from `from` on. */
static bool search(const struct walk *w, uint64_t from, uint64_t *found)
{
	uint8_t *p = malloc(SEARCH_CHUNK);
	bool got = false;

	for (uint64_t off = from; p && !got && off < w->size && off - from < SEARCH_MAX; off += SEARCH_CHUNK - EWF_SECTION) {
		int64_t n = inputset_read(w->x->files, w->seg, off, p, SEARCH_CHUNK, NULL);

		for (int64_t i = 0; i + EWF_SECTION <= n && !got; i++)
			if (p[i] >= 'd' && p[i] <= 'x' && sound(p + i)) {
				got = true;
				*found = off + (uint64_t)i;
			}
		if (n <= (int64_t)EWF_SECTION)
			break;
	}
	free(p);
	return got;
}

/* The descriptor at off. False: none that is of use, and none behind it. */
static bool read_section(struct walk *w, uint64_t off, struct section *s)
{
	uint8_t h[EWF_SECTION];
	int rc = inputset_read_all(w->x->files, w->seg, off, h, sizeof(h), NULL);

	if (rc < 0 || (!is_type(h) && ewf_adler(h, EWF_SECTION - 4) != le32(h + EWF_SECTION - 4))) {
		if (rc < 0 && off >= w->size)
			return false;
		note_bad(w, off, "no section where one should be");
		if (!search(w, off, &off) || inputset_read_all(w->x->files, w->seg, off, h, sizeof(h), NULL) < 0)
			return false;
	}
	s->off = off;
	memcpy(s->type, h, 16);
	s->type[16] = 0;
	s->next = le64(h + 16);
	s->size = le64(h + 24);
	if (ewf_adler(h, EWF_SECTION - 4) != le32(h + EWF_SECTION - 4)) {
		note_bad(w, off, "a section whose checksum does not hold");
		if (s->next <= off + EWF_SECTION || s->next > w->size)
			s->next = search(w, off + EWF_SECTION, &s->next) ? s->next : w->size;
		if (!s->size || s->size > w->size - off)
			s->size = s->next - off;
	}
	if (s->size < EWF_SECTION || (s->size > s->next - off && s->next > off)) /* some writers leave the size out */
		s->size = s->next > off ? s->next - off : w->size - off;
	return true;
}

int ewf_walk(struct ewf *x, unsigned seg, enum ewf_end *ended, struct err *e)
{
	struct walk w = {.x = x, .seg = seg, .size = inputset_size(x->files, seg)};
	struct section s;
	uint64_t off = EWF_HEADER;
	int rc = 0;

	*ended = EWF_END_CUT;
	for (uint32_t i = 0; rc == 0 && i < EWF_SECTIONS_MAX && read_section(&w, off, &s); i++) {
		if (s.off != off && strncmp(s.type, "table", 5) != 0) {
			rc = take_tables(&w, e); /* what stood between is not known */
			if (rc == 0)
				rc = ewf_add_gap(x, e);
			if (rc < 0)
				break;
		}
		if (strcmp(s.type, "next") == 0 || strcmp(s.type, "done") == 0) {
			*ended = s.type[0] == 'n' ? EWF_END_NEXT : EWF_END_DONE;
			break;
		}
		rc = take_section(&w, &s, e);
		if (x->foreign) {
			drop_tables(&w);
			return rc < 0 ? rc : ewf_add_gap(x, e);
		}
		if (s.next <= s.off)
			break;
		off = s.next;
	}
	if (rc == 0)
		rc = take_tables(&w, e);
	if (rc == 0 && *ended == EWF_END_CUT) {
		notes_add(x->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "%s: ends without a last section", inputset_name(x->files, seg));
		rc = ewf_add_gap(x, e);
	}
	drop_tables(&w);
	return rc;
}
