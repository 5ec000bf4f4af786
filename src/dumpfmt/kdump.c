/* kdump.c - kdump-compressed dumps (diskdump's successor: QEMU's kdump-zlib and others, makedumpfile, virsh dump --format): a bitmap of pages, a
 * descriptor for each, the pages packed one by one. Facts: docs/formats/kdump.md. The flattened form is flatkdump.c's. Somewhat long, because bitmap, gap and ranks
 * are one count of descriptors. */
#include <stdlib.h>
#include <string.h>

#include "chunkcache.h"
#include "dumpfmt.h"
#include "elfcore.h"
#include "kdumppack.h"
#include "kdumpparts.h"
#include "late.h"
#include "rd.h"

#define PAGE_MAX     65536u
#define PACKED_MAX   ((size_t)2 * PAGE_MAX)
#define BITMAP_MAX   ((uint64_t)1 << 29) /* bytes: 16 TiB of 4 KiB pages */
#define DESCRIPTOR   ((size_t)24)
#define NOTES_MAX_KD (1u << 20)
#define RANK_BITS    512u /* a rank is kept for each so many bits */
#define AT_ONCE      64u  /* pages that are read together */
#define SPAN_MAX     (AT_ONCE * PACKED_MAX)
#define TABLE_STEP   4096u /* descriptors that are looked at together */

struct kdump {
	struct input *in;
	bool wide;
	uint32_t page, sub_blocks, bitmap_blocks;
	uint64_t max_pfn, descriptors;
	uint8_t *bitmap; /* of pages that are in the file */
	uint64_t bytes;
	uint64_t *rank;            /* bits set before bit i * RANK_BITS */
	uint64_t gap_from, gap_to; /* bytes of the bitmap that are lost, from the first to the last of them; equal: none */
	uint64_t data;             /* where the first page's stands, right behind the last descriptor */
	uint64_t gap_pages;        /* descriptors of the pages in the gap, when it lies before pages */
	struct table *table;       /* while opening */
	struct chunkcache *cache;
	bool packs;           /* its writer packed pages */
	struct kdump_part of; /* which pages, when it is a part of a split dump */
	struct late late;     /* pages that can't be unpacked */
	struct kdump *next;   /* another part */
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 0x1d0 && (memcmp(head, "KDUMP   ", 8) == 0 || memcmp(head, "DISKDUMP", 8) == 0);
}

static bool is_page_size(uint32_t v)
{
	return v >= 4096 && v <= PAGE_MAX && (v & (v - 1)) == 0;
}

/* The header's members stand behind a struct timeval, which differs between the widths. */
static int read_header(struct kdump *k, struct err *e)
{
	uint8_t h[0x1d0];
	uint32_t at;

	if (input_read_all(k->in, 0, h, sizeof(h), e) < 0)
		return ERR_TRUNC;
	k->wide = is_page_size(le32(h + 0x1ac));
	if (!k->wide && !is_page_size(le32(h + 0x1a0)))
		return err_set(e, ERR_FORMAT, "kdump: no page size stands in its header");
	at = k->wide ? 0x1a8 : 0x19c;
	k->page = le32(h + at + 4);
	k->sub_blocks = le32(h + at + 8);
	k->bitmap_blocks = le32(h + at + 12);
	k->max_pfn = le32(h + at + 16);
	k->packs = (le32(h + at) & KDUMP_ANY) != 0;
	if (k->sub_blocks > 1024)
		return err_set(e, ERR_FORMAT, "kdump: a sub-header of %u blocks", k->sub_blocks);
	return 0;
}

/* All of it is in the file: in no gap of a layer beneath, and not behind the end. */
static bool is_there(const struct input *in, uint64_t off, uint64_t len)
{
	if (off > input_size(in) || len > input_size(in) - off)
		return false;
	while (len) {
		bool there;
		uint64_t n = input_extent(in, off, len, &there);

		if (!there)
			return false;
		off += n;
		len -= n;
	}
	return true;
}

static void read_notes(struct kdump *k, struct dump *d, uint64_t off, uint64_t n, bool vmcoreinfo)
{
	uint8_t *p;
	int64_t got;

	if (!off || !n || n > NOTES_MAX_KD || !(p = malloc(n)))
		return;
	got = input_read(k->in, off, p, n, NULL);
	if (got > 0 && vmcoreinfo)
		elfcore_vmcoreinfo(d, p, (uint32_t)got);
	else if (got > 0)
		elfcore_notes(d, p, (uint32_t)got);
	free(p);
}

static void read_sub_header(struct kdump *k, struct dump *d)
{
	uint8_t h[104];
	uint64_t most;

	if (k->sub_blocks && !is_there(k->in, k->page, 1))
		notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "kdump: its sub-header is lost");
	if (!k->sub_blocks || input_read_all(k->in, k->page, h, sizeof(h), NULL) < 0)
		return;
	most = le64(h + (k->wide ? 96 : 72)); /* max_mapnr_64, version 6 */
	if (most > k->max_pfn && most <= BITMAP_MAX * 8)
		k->max_pfn = most;
	kdumpparts_range(&k->of, h, k->wide);
	if (!kdumpparts_sound(&k->of, k->max_pfn)) {
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "kdump: a part of page frames 0x%llx to 0x%llx, which can't be",
			  (unsigned long long)k->of.from, (unsigned long long)k->of.to);
		k->of.split = false;
	}
	if (k->in != d->in) /* the first part says the same */
		return;
	if (k->wide) {
		read_notes(k, d, le64(h + 32), le64(h + 40), true);
		read_notes(k, d, le64(h + 48), le64(h + 56), false);
	} else {
		read_notes(k, d, le64(h + 32), le32(h + 40), false);
	}
}

struct table { /* some descriptors in hand */
	uint64_t first, n;
	uint8_t p[TABLE_STEP * DESCRIPTOR];
};

/* The descriptor n; NULL: it is not in the file. */
static const uint8_t *descriptor(struct kdump *k, uint64_t n)
{
	uint64_t off = k->descriptors + n * DESCRIPTOR;
	struct table *t = k->table;
	int64_t got;

	if (!is_there(k->in, off, DESCRIPTOR))
		return NULL;
	if (n - t->first >= t->n) {
		got = input_read(k->in, off, t->p, sizeof(t->p), NULL);
		if (got < (int64_t)DESCRIPTOR) /* damage behind it costs only what is damaged */
			got = input_read(k->in, off, t->p, DESCRIPTOR, NULL);
		t->first = n;
		t->n = got < 0 ? 0 : (uint64_t)got / DESCRIPTOR;
	}
	return t->n ? t->p + (n - t->first) * DESCRIPTOR : NULL;
}

static bool has_place(const struct kdump *k, const uint8_t *d)
{
	uint64_t off = le64(d);
	uint32_t size = le32(d + 8);

	return size && size <= PACKED_MAX && off > k->descriptors && off <= UINT64_MAX - SPAN_MAX;
}

static bool is_descriptor(const struct kdump *k, const uint8_t *d)
{
	return has_place(k, d) && !(le32(d + 12) & ~(uint32_t)KDUMP_ANY);
}

/* How many descriptors there are, whatever the bitmap says: writers put the first page's data right behind the last one. 0: that can't be told. */
static uint64_t count_descriptors(struct kdump *k)
{
	uint64_t data = UINT64_MAX, n = 0;
	const uint8_t *d;

	for (; k->descriptors + n * DESCRIPTOR < data; n++) {
		d = descriptor(k, n);
		if (!d || !is_descriptor(k, d))
			return 0;
		if (le64(d) < data)
			data = le64(d);
	}
	if (k->descriptors + n * DESCRIPTOR != data)
		return 0;
	d = descriptor(k, n); /* the table goes on: an offset lied */
	return d && is_descriptor(k, d) && le64(d) < input_size(k->in) ? 0 : n;
}

static uint64_t bits_set(const uint8_t *p, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += (uint64_t)__builtin_popcount(p[from]);
	return n;
}

/* The bitmap's bytes; those that are lost are zero and inside gap_from..gap_to. */
static void read_bits(struct kdump *k, uint64_t off)
{
	for (uint64_t at = 0, n; at < k->bytes; at += n) {
		bool there;

		n = input_extent(k->in, off + at, k->bytes - at, &there);
		if (there && input_read_all(k->in, off + at, k->bitmap + at, (size_t)n, NULL) == 0)
			continue;
		memset(k->bitmap + at, 0, (size_t)n); /* a read may have failed halfway */
		if (k->gap_from == k->gap_to)
			k->gap_from = at;
		k->gap_to = at + n;
	}
	if (k->max_pfn % 8 && k->bytes == k->max_pfn / 8 + 1)
		k->bitmap[k->bytes - 1] &= (uint8_t)((1u << k->max_pfn % 8) - 1);
}

/* Every part has the whole bitmap, and descriptors for its own pages (crash's diskdump.c): the other bits are not its. */
static void mask_part(struct kdump *k)
{
	uint64_t bits = k->bytes * 8, from = k->of.from < bits ? k->of.from : bits, to = k->of.to < bits ? k->of.to : bits;

	if (!k->of.split)
		return;
	memset(k->bitmap, 0, (size_t)(from / 8));
	if (from % 8)
		k->bitmap[from / 8] &= (uint8_t)(0xffu << from % 8);
	if (to % 8)
		k->bitmap[to / 8] &= (uint8_t)((1u << to % 8) - 1);
	if ((to + 7) / 8 < k->bytes)
		memset(k->bitmap + (to + 7) / 8, 0, (size_t)(k->bytes - (to + 7) / 8));
}

/* The bitmap where bits may be missing: where the first one (at `first`) has more. */
static void gap_by_first(struct kdump *k, uint64_t first, uint64_t wanted)
{
	uint8_t *p = first && is_there(k->in, first, k->bytes) ? malloc(k->bytes) : NULL;
	uint64_t more = 0;

	if (p && input_read_all(k->in, first, p, k->bytes, NULL) == 0)
		for (uint64_t i = 0; i < k->bytes; i++) {
			uint8_t diff = (uint8_t)(p[i] & ~k->bitmap[i]);

			if (!diff)
				continue;
			if (!more)
				k->gap_from = i;
			k->gap_to = i + 1;
			more += (uint64_t)__builtin_popcount(diff);
		}
	free(p);
	if (more >= wanted)
		return;
	k->gap_from = k->gap_to = 0; /* both bitmaps lost something: only whole blocks of zeros can be what is lost */
	for (uint64_t i = 0; i < k->bytes; i += k->page) {
		uint64_t to = i + k->page < k->bytes ? i + k->page : k->bytes;

		if (bits_set(k->bitmap, i, to))
			continue;
		if (k->gap_from == k->gap_to)
			k->gap_from = i;
		k->gap_to = to;
	}
	if (k->gap_from == k->gap_to)
		k->gap_to = k->bytes;
}

/* A flattened dump that lost a piece, rearranged: zeros stand where the piece was (makedumpfile -R). More descriptors than bits tell it. */
static void look_for_zeros(struct kdump *k, uint64_t first)
{
	uint64_t all = k->of.split ? 0 : count_descriptors(k), n = bits_set(k->bitmap, 0, k->bytes);

	if (all > n)
		gap_by_first(k, first, all - n);
}

/* What the second bitmap lost, out of the first one: what is in the file is a part of what there is. When the first one has as many bits in the
 * gap as there are descriptors for it, the two are the same there. */
static bool gap_from_first(struct kdump *k, uint64_t first, uint64_t pages)
{
	size_t n = (size_t)(k->gap_to - k->gap_from);
	uint8_t *p;
	bool same;

	if (!first || !is_there(k->in, first + k->gap_from, n) || !(p = malloc(n)))
		return false;
	same = input_read_all(k->in, first + k->gap_from, p, n, NULL) == 0 && bits_set(p, 0, n) == pages;
	for (size_t i = 0; same && i < n; i++)
		same = !(k->bitmap[k->gap_from + i] & ~p[i]);
	if (same)
		memcpy(k->bitmap + k->gap_from, p, n);
	free(p);
	return same;
}

/* A gap in the bitmap: how many descriptors belong to it is what the others leave. When that can't be told, the pages behind it have no index.
 * `first`: where the first bitmap stands; 0: there is one only. */
static void mend_bitmap(struct kdump *k, struct dump *d, uint64_t first)
{
	uint64_t room = (k->gap_to - k->gap_from) * 8, pa = k->gap_from * 8 * k->page;
	uint64_t others = bits_set(k->bitmap, 0, k->gap_from) + bits_set(k->bitmap, k->gap_to, k->bytes);
	uint64_t all = count_descriptors(k), pages = all > others ? all - others : 0;
	bool known = all >= others && all && pages <= room && pages >= bits_set(k->bitmap, k->gap_from, k->gap_to);

	if (known && pages && gap_from_first(k, first, pages)) {
		k->gap_from = k->gap_to = 0;
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, pa, 0),
			  "kdump: a part of its second bitmap is lost; the first one says the same, by the number of descriptors");
		return;
	}
	memset(k->bitmap + k->gap_from, 0, (size_t)(k->gap_to - k->gap_from));
	k->gap_pages = known ? pages : 0;
	if (known && !pages) {
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, pa, 0),
			  "kdump: a part of its bitmap is lost; by the number of descriptors, no page belongs there");
		return;
	}
	if (known) {
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, pa, pages * k->page),
			  "kdump: a part of its bitmap is lost: where %llu pages belong is not known", (unsigned long long)pages);
		return;
	}
	k->bytes = k->gap_from;
	notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, pa, 0),
		  "kdump: a part of its bitmap is lost: no page from there on can be told");
}

/* One bitmap, or two: which pages there are, and which are in the file. The second one counts. */
static int read_bitmap(struct kdump *k, struct dump *d, struct err *e)
{
	uint64_t off = (uint64_t)k->page * (1 + (uint64_t)k->sub_blocks), all = (uint64_t)k->page * k->bitmap_blocks;
	uint64_t size = input_size(k->in), first = 0;

	k->bytes = (k->max_pfn + 7) / 8;
	if (k->max_pfn <= all * 4) {
		first = off;
		off += all / 2;
		all -= all / 2;
	}
	if (off >= size)
		return err_set(e, ERR_TRUNC, "kdump: ends before its bitmap");
	if (k->bytes > all)
		k->bytes = all;
	if (k->bytes > size - off)
		k->bytes = size - off;
	if (k->bytes > BITMAP_MAX) {
		notes_add(d->notes, &NOTE(NOTE_LIMIT_REACHED), "kdump: a bitmap of %llu bytes; %llu are read", (unsigned long long)k->bytes,
			  (unsigned long long)BITMAP_MAX);
		k->bytes = BITMAP_MAX;
	}
	k->bitmap = calloc(1, k->bytes ? k->bytes : 1);
	k->rank = malloc((k->bytes * 8 / RANK_BITS + 2) * sizeof(*k->rank));
	if (!k->bitmap || !k->rank)
		return err_set(e, ERR_NOMEM, "out of memory");
	k->descriptors = (uint64_t)k->page * (1 + (uint64_t)k->sub_blocks + k->bitmap_blocks);
	read_bits(k, off);
	mask_part(k);
	if (k->gap_from == k->gap_to)
		look_for_zeros(k, first);
	if (k->gap_from < k->gap_to)
		mend_bitmap(k, d, first);
	return 0;
}

static bool bit(const struct kdump *k, uint64_t pfn)
{
	return k->bitmap[pfn / 8] >> pfn % 8 & 1;
}

static uint64_t rank_of(const struct kdump *k, uint64_t pfn)
{
	uint64_t n = k->rank[pfn / RANK_BITS] + (pfn / 8 >= k->gap_to ? k->gap_pages : 0);

	for (uint64_t i = pfn / RANK_BITS * RANK_BITS / 8; i < pfn / 8; i++)
		n += (uint64_t)__builtin_popcount(k->bitmap[i]);
	return n + (uint64_t)__builtin_popcount(k->bitmap[pfn / 8] & ((1u << pfn % 8) - 1));
}

struct span { /* packed bytes in hand */
	uint8_t *p;
	size_t cap, n;
	uint64_t off;
};

/* Brings the packed bytes of the descriptor at d; those of the ones behind it (up to `end`) come along when they stand behind it in the file, as
 * writers put them. NULL: they can't be read. */
static const uint8_t *packed_page(struct kdump *k, struct span *s, const uint8_t *d, const uint8_t *end)
{
	uint64_t off = le64(d);
	uint32_t size = le32(d + 8);
	uint64_t to = off + size;
	int64_t got;

	if (!size || size > PACKED_MAX || off > UINT64_MAX - SPAN_MAX)
		return NULL;
	if (off >= s->off && off - s->off <= s->n && size <= s->n - (size_t)(off - s->off))
		return s->p + (off - s->off);
	for (d += DESCRIPTOR; d < end; d += DESCRIPTOR)
		if (le64(d) == to && le32(d + 8) <= PACKED_MAX && to + le32(d + 8) - off <= SPAN_MAX)
			to += le32(d + 8);
		else if (le64(d) >= off) /* a page of zeros is packed once, before: it is no break */
			break;
	s->n = 0;
	if (s->cap < to - off) {
		free(s->p);
		s->cap = (size_t)(to - off);
		s->p = malloc(s->cap);
		if (!s->p) {
			s->cap = 0;
			return NULL;
		}
	}
	got = input_read(k->in, off, s->p, (size_t)(to - off), NULL);
	if (got < (int64_t)size)
		return NULL;
	s->off = off;
	s->n = (size_t)got;
	return s->p;
}

/* A page of zeros that is stored as it is, by a writer that packs pages: a lost piece was filled with zeros. But QEMU stores one such page, before all others, for
 * every page of zeros that there is. */
static bool is_hole(const struct kdump *k, const uint8_t *d, const uint8_t *out)
{
	return k->packs && le64(d) != k->data && !(le32(d + 12) & KDUMP_ANY) && out[0] == 0 && memcmp(out, out + 1, k->page - 1) == 0;
}

/* Pages of descriptors [n, n + count) to buf. Returns how many: fewer where one can't be had. */
static size_t load_pages(struct kdump *k, uint64_t n, size_t count, uint8_t *buf)
{
	uint8_t desc[AT_ONCE * DESCRIPTOR];
	struct kdumppack u = {0};
	struct span s = {0};
	size_t done = 0, zero = SIZE_MAX; /* zero: which page others share, SIZE_MAX: none was met */

	if (input_read_all(k->in, k->descriptors + n * DESCRIPTOR, desc, count * DESCRIPTOR, NULL) < 0)
		return 0;
	for (; done < count; done++) {
		const uint8_t *d = desc + done * DESCRIPTOR, *p;
		uint8_t *out = buf + done * k->page;

		if (zero < done && memcmp(d, desc + zero * DESCRIPTOR, 16) == 0) { /* place, size, how it is packed */
			memcpy(out, buf + zero * k->page, k->page);
			continue;
		}
		p = packed_page(k, &s, d, desc + count * DESCRIPTOR);
		if (!p || kdumppack_unpack(&u, p, le32(d + 8), le32(d + 12), out, k->page) != k->page || is_hole(k, d, out)) {
			late_hit(&k->late, n + done, le64(d));
			break;
		}
		if (done + 1 < count && memcmp(d, d + DESCRIPTOR, 16) == 0)
			zero = done;
	}
	kdumppack_end(&u);
	free(s.p);
	return done;
}

/* The page of descriptor n. */
static int64_t load(void *ctx, uint64_t n, uint8_t *buf, struct err *e)
{
	struct kdump *k = ctx;

	return load_pages(k, n, 1, buf) == 1 ? (int64_t)k->page
					     : err_set(e, ERR_FORMAT, "kdump: page %llu can't be unpacked", (unsigned long long)n);
}

/* How many pages from pfn on are in the file one behind the other: their descriptors are, too. */
static size_t in_a_row(const struct kdump *k, uint64_t pfn, size_t most)
{
	size_t n = 0;

	while (n < most && (pfn + n) / 8 < k->bytes && bit(k, pfn + n))
		n++;
	return n;
}

static int read_pages(void *ctx, uint64_t pa, void *buf, size_t len)
{
	struct kdump *k = ctx;
	uint8_t *out = buf;

	while (len) {
		uint64_t pfn = pa / k->page;
		size_t in = (size_t)(pa % k->page), n = k->page - in < len ? k->page - in : len;
		size_t row = in == 0 ? in_a_row(k, pfn, len / k->page < AT_ONCE ? len / k->page : AT_ONCE) : 0;

		if (pfn / 8 >= k->bytes || !bit(k, pfn))
			return ERR_FAULT;
		if (row > 1) {
			if (load_pages(k, rank_of(k, pfn), row, out) != row)
				return ERR_FAULT;
			n = row * k->page;
		} else if (chunkcache_read(k->cache, rank_of(k, pfn), in, out, n, NULL) != (int64_t)n) {
			return ERR_FAULT;
		}
		out += n;
		pa += n;
		len -= n;
	}
	return 0;
}

enum { LOST_DESCRIPTOR, LOST_DATA, LOST_SENSE, LOST_KINDS };

struct lost {
	uint64_t n, first; /* pages, where the first one belongs */
};

/* Whether the page of descriptor n can be had: LOST_KINDS; else what of it is lost. */
static int look_at(struct kdump *k, uint64_t n)
{
	const uint8_t *d = descriptor(k, n);

	if (!d)
		return LOST_DESCRIPTOR;
	if (!has_place(k, d))
		return LOST_SENSE;
	return is_there(k->in, le64(d), le32(d + 8)) ? LOST_KINDS : LOST_DATA;
}

static void tell_lost(const struct kdump *k, struct dump *d, const struct lost *lost)
{
	static const char *const what[] = {"the descriptors of", "the data of", "senseless descriptors:"};
	static const char *const why[] = {"are not in the file (cut, or pieces are lost)", "are not in the file (cut, or pieces are lost)",
					  "are lost"};

	for (int i = 0; i < LOST_KINDS; i++)
		if (lost[i].n)
			notes_add(d->notes,
				  &NOTE_AT(i == LOST_SENSE ? NOTE_PAGE_MISSING : NOTE_IMAGE_TRUNCATED, lost[i].first, lost[i].n * k->page),
				  "kdump: %s %llu pages %s", what[i], (unsigned long long)lost[i].n, why[i]);
}

/* Registers the pages, and counts them. A page whose descriptor or data are not in the file is not there. */
static int add_pages(struct kdump *k, struct dump *d, struct err *e)
{
	struct lost lost[LOST_KINDS] = {0};
	uint64_t n = 0;
	int rc = 0;

	for (uint64_t pfn = 0; rc == 0 && pfn < k->bytes * 8; pfn++) {
		int what;

		if (pfn % RANK_BITS == 0)
			k->rank[pfn / RANK_BITS] = n;
		if (pfn % 8 == 0 && !k->bitmap[pfn / 8]) {
			pfn += 7;
			continue;
		}
		if (!bit(k, pfn))
			continue;
		what = look_at(k, n++ + (pfn / 8 >= k->gap_to ? k->gap_pages : 0));
		if (what == LOST_KINDS)
			rc = phys_add(d->phys, pfn * k->page, k->page, read_pages, k, e);
		else if (lost[what].n++ == 0)
			lost[what].first = pfn * k->page;
	}
	tell_lost(k, d, lost);
	if (rc == 0 && n == 0)
		rc = err_set(e, ERR_TRUNC, "kdump: no page in it");
	return rc;
}

static void free_part(struct kdump *k)
{
	chunkcache_free(k->cache);
	late_free(&k->late);
	free(k->bitmap);
	free(k->rank);
	free(k->table);
	free(k);
}

static void close_kdump(struct dump *d)
{
	struct kdump *k = d->state, *next;

	for (; k; k = next) {
		next = k->next;
		free_part(k);
	}
}

static void tell(void *ctx, struct notes *notes)
{
	for (struct kdump *k = ctx; k; k = k->next)
		late_tell(&k->late, notes, "kdump", "pages do not unpack");
}

static int open_part(struct kdump *k, struct dump *d, struct err *e)
{
	uint64_t most = input_size(k->in) / DESCRIPTOR, pages;
	int rc;

	k->table = calloc(1, sizeof(*k->table));
	if (!k->table)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = read_header(k, e);
	if (rc == 0) {
		read_sub_header(k, d);
		rc = read_bitmap(k, d, e);
	}
	k->data = rc == 0 ? k->descriptors + DESCRIPTOR * (bits_set(k->bitmap, 0, k->bytes) + k->gap_pages) : 0;
	/* a flattened file may claim any size, the bitmap is in memory: no more pages than it has bits */
	pages = (most < 8 * k->bytes ? most : 8 * k->bytes) + 1;
	if (rc == 0)
		rc = late_init(&k->late, pages, e);
	if (rc == 0)
		rc = chunkcache_new(&k->cache, k->page, pages, load, k, e);
	if (rc == 0)
		rc = add_pages(k, d, e);
	free(k->table);
	k->table = NULL;
	return rc;
}

static struct kdump *new_part(struct input *in, struct err *e)
{
	struct kdump *k = calloc(1, sizeof(*k));

	if (k)
		k->in = in;
	else
		err_set(e, ERR_NOMEM, "out of memory");
	return k;
}

/* A part that lies beside the first one. What is wrong with it costs its own pages only. */
static int add_part(void *ctx, struct input *in, struct err *e)
{
	struct dump *d = ctx;
	struct kdump *first = d->state, *k;
	struct err why = {0};
	int rc = dump_keep(d, in, e);

	if (rc < 0)
		return rc;
	k = new_part(in, e);
	if (!k)
		return ERR_NOMEM;
	k->next = first->next;
	first->next = k;
	d->n_segments++;
	rc = open_part(k, d, &why);
	if (rc < 0 && rc != ERR_NOMEM)
		notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "kdump: a part beside this one: %s", why.msg);
	return rc == ERR_NOMEM ? rc : 0;
}

static int open_kdump(struct dump *d, struct err *e)
{
	struct kdump *k = new_part(d->in, e);
	int rc;

	if (!k)
		return ERR_NOMEM;
	d->state = k;
	rc = open_part(k, d, e);
	if (rc == 0 && k->of.split)
		rc = kdumpparts_find(d, &k->of, k->max_pfn, k->page, add_part, d, e);
	d->late = tell;
	d->late_ctx = k;
	return rc;
}

const struct dumpfmt dumpfmt_kdump = {"kdump", probe, open_kdump, close_kdump};
