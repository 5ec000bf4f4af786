/* xencore.c - Xen's dump-core ("xl dump-core"): pages in .xen_pages, the frame of each in .xen_p2m or .xen_pfn, both told by name; a note tells how many.
 * Three places tell the number of pages and two where things stand: where one lies, the others decide. Facts: docs/formats/elf.md. */
#include "xencore.h"

#include <string.h>

#include "rd.h"

#define PAGE          4096u
#define SECTIONS_MAX  64u   /* Xen writes seven */
#define NAMES_MAX     4096u /* bytes of the names of sections */
#define XEN_PAGES_MAX (UINT64_C(1) << 32)
#define FRAMES_END    (UINT64_C(1) << 40) /* of 52 bits of address */
#define TRIED         256u                /* entries that show whether a place holds the table */
#define SHT_PROGBITS  1u
#define SHT_STRTAB    3u
#define SHT_NOTE      7u
#define NOTE_HEADER   0x2000001u /* XEN_ELFNOTE_DUMPCORE_HEADER: magic, processors, pages, bytes of a page; u64 each */
#define MAGIC_PV      0xf00febedu
#define MAGIC_HVM     0xf00febeeu

struct section {
	uint32_t name, type, entsize;
	uint64_t offset, size;
};

struct xen {
	struct dump *d;
	bool wide;
	uint64_t size, headers; /* of the file; where the headers of the sections begin */
	struct section v[SECTIONS_MAX];
	uint32_t n;
	char names[NAMES_MAX + 1];
	size_t names_n;     /* 0: not in the file */
	uint64_t names_end; /* as its header says */
	struct section *pages, *table;
	uint32_t entry; /* bytes of an entry of the table: 8 or 16 */
	uint64_t told;  /* pages, by the note; 0: no note */
};

/* ---- the sections -------------------------------------------------------------------------------------------------------------------------- */

static uint32_t header_bytes(const struct xen *x)
{
	return x->wide ? 64 : 40;
}

static bool read_section(const struct xen *x, uint32_t i, struct section *s)
{
	uint8_t p[64] = {0};

	if (x->headers > x->size || input_read_all(x->d->in, x->headers + (uint64_t)i * header_bytes(x), p, header_bytes(x), NULL) < 0)
		return false;
	if (x->wide)
		*s = (struct section){le32(p), le32(p + 4), (uint32_t)le64(p + 56), le64(p + 24), le64(p + 32)};
	else
		*s = (struct section){le32(p), le32(p + 4), le32(p + 36), le32(p + 16), le32(p + 20)};
	return true;
}

static const char *name_of(const struct xen *x, const struct section *s)
{
	return s->name < x->names_n ? x->names + s->name : "";
}

/* The section's bytes are taken for names when one of Xen's is among them. */
static bool take_names(struct xen *x, const struct section *s)
{
	size_t want = s->size < NAMES_MAX ? (size_t)s->size : NAMES_MAX;
	int64_t got = s->offset < x->size ? input_read(x->d->in, s->offset, x->names, want, NULL) : 0;

	x->names_n = 0;
	x->names_end = 0;
	for (int64_t i = 0; i + 4 < got; i++)
		if (memcmp(x->names + i, ".xen", 4) == 0) {
			x->names_n = (size_t)got;
			x->names[got] = 0;
			x->names_end = s->size;
			return true;
		}
	return false;
}

/* Bytes of something else, read as a header, are no section. */
static bool plausible(const struct xen *x, const struct section *s)
{
	return (s->type <= 0x13 || s->type >> 28 == 6) && (x->names_n ? s->name < x->names_end : s->name < NAMES_MAX);
}

/* How many there are is asked of the sections; the header's number only says whether that was to be expected. */
static void read_sections(struct xen *x, const struct xen_header *h)
{
	struct section s;
	bool found = read_section(x, h->shstrndx, &s) && take_names(x, &s);

	for (uint32_t i = 0; !found && i < SECTIONS_MAX && read_section(x, i, &s); i++)
		found = s.type == SHT_STRTAB && take_names(x, &s);
	for (x->n = 0; x->n < SECTIONS_MAX && read_section(x, x->n, &s) && plausible(x, &s); x->n++)
		x->v[x->n] = s;
}

/* Names stand at the end of the file, and may be cut off: then the size of its entries tells a section, which Xen gives to both (libxc's xc_core.c). */
static bool nameless(const struct xen *x, const struct section *s)
{
	return s->type == SHT_PROGBITS && (s->name >= x->names_n || !memchr(x->names + s->name, 0, x->names_n - s->name));
}

static void find_pages(struct xen *x)
{
	for (uint32_t i = 0; i < x->n; i++)
		if (strcmp(name_of(x, &x->v[i]), ".xen_pages") == 0) {
			x->pages = &x->v[i];
			return;
		}
	for (uint32_t i = 0; i < x->n; i++) /* Xen's shared page looks the same */
		if (nameless(x, &x->v[i]) && x->v[i].entsize == PAGE && (!x->pages || x->v[i].size >= x->pages->size))
			x->pages = &x->v[i];
}

static void find_table(struct xen *x)
{
	for (uint32_t i = 0; i < x->n; i++) {
		const char *name = name_of(x, &x->v[i]);

		x->entry = strcmp(name, ".xen_p2m") == 0 ? 16 : strcmp(name, ".xen_pfn") == 0 ? 8 : 0;
		if (x->entry) {
			x->table = &x->v[i];
			return;
		}
	}
	for (uint32_t i = 0; i < x->n; i++) {
		struct section *s = &x->v[i];

		if (nameless(x, s) && (s->entsize == 8 || s->entsize == 16) && s->size / s->entsize >= x->pages->size / PAGE) {
			x->entry = s->entsize;
			x->table = s;
		}
	}
}

static void read_note(struct xen *x)
{
	uint8_t p[PAGE] = {0};

	for (uint32_t i = 0; i < x->n; i++) {
		const struct section *s = &x->v[i];
		int64_t n = s->type == SHT_NOTE && s->offset < x->size ? input_read(x->d->in, s->offset, p, sizeof(p), NULL) : 0;

		for (int64_t at = 0; at + 48 <= n; at += 4) /* 12 bytes of header, "Xen\0", 32 bytes */
			if (le32(p + at) == 4 && le32(p + at + 8) == NOTE_HEADER && memcmp(p + at + 12, "Xen", 4) == 0 &&
			    (le64(p + at + 16) == MAGIC_PV || le64(p + at + 16) == MAGIC_HVM) && le64(p + at + 40) == PAGE) {
				x->told = le64(p + at + 32);
				return;
			}
	}
}

/* ---- where pages and table stand, and how many there are ------------------------------------------------------------------------------------- */

/* Bytes up to where the next section begins; the end of the file bounds nothing, since files are cut. */
static uint64_t room(const struct xen *x, const struct section *s)
{
	uint64_t end = UINT64_MAX;

	for (uint32_t i = 0; i < x->n; i++)
		if (x->v[i].offset > s->offset && x->v[i].offset < end && x->v[i].size)
			end = x->v[i].offset;
	return end - s->offset;
}

/* Where the last section before `s` in the file ends, of those that stand before `limit`. */
static uint64_t end_before(const struct xen *x, const struct section *s, uint64_t limit)
{
	uint64_t end = x->headers + (uint64_t)x->n * header_bytes(x);

	for (uint32_t i = 0; i < x->n; i++) {
		const struct section *o = &x->v[i];

		if (o != s && o->offset < limit && o->size <= limit - o->offset && o->offset + o->size > end)
			end = o->offset + o->size;
	}
	return end;
}

static bool frame_ok(uint64_t pfn)
{
	return pfn < FRAMES_END || pfn == UINT64_MAX || pfn == UINT32_MAX;
}

static bool table_at(const struct xen *x, uint64_t offset, uint64_t n)
{
	uint8_t p[TRIED * 16] = {0};
	uint64_t tried = n < TRIED ? n : TRIED, twice = 0, last = 0, pages = 0;
	int64_t got = offset < x->size ? input_read(x->d->in, offset, p, (size_t)(tried * x->entry), NULL) : 0;

	if (!tried || got < (int64_t)(tried * x->entry))
		return false;
	for (uint64_t i = 0; i < tried; i++) {
		uint64_t pfn = le64(p + i * x->entry);

		if (!frame_ok(pfn))
			return false;
		if (pfn >= FRAMES_END || pfn == UINT32_MAX)
			continue;
		twice += pages && pfn == last;
		last = pfn;
		pages++;
	}
	return pages && twice * 8 <= pages; /* no field of zeros */
}

static bool outside(const struct xen *x, const struct section *s)
{
	return s->offset >= x->size;
}

static bool inside(const struct section *a, const struct section *b)
{
	return a->offset >= b->offset && a->offset - b->offset < b->size;
}

/* Pages that begin behind the file's end or inside of their table, and a table where there is none, stand where Xen puts them, if the rest bears it out. */
static void place(struct xen *x, uint64_t n)
{
	struct section *p = x->pages, *t = x->table;
	uint64_t at;

	if ((outside(x, p) || inside(p, t)) && !outside(x, t) && n <= t->offset / PAGE) {
		at = t->offset - n * PAGE;
		if (at >= end_before(x, p, t->offset) && at - end_before(x, p, t->offset) < PAGE) {
			notes_add(x->d->notes, &NOTE(NOTE_CONTEXT_BAD),
				  "elf: Xen's pages are said to stand at 0x%llx: they stand before their table, at 0x%llx",
				  (unsigned long long)p->offset, (unsigned long long)at);
			p->offset = at;
		}
	} else if (!table_at(x, t->offset, n) && !outside(x, p) && n <= (x->size - p->offset) / PAGE) {
		at = p->offset + n * PAGE;
		if (table_at(x, at, n)) {
			notes_add(x->d->notes, &NOTE(NOTE_CONTEXT_BAD),
				  "elf: Xen's table of frames is said to stand at 0x%llx: it stands behind the pages, at 0x%llx",
				  (unsigned long long)t->offset, (unsigned long long)at);
			t->offset = at;
		}
	}
}

/* Pages and frames should be as many; where they are not, the note decides, else the larger number that has room. */
static uint64_t count(struct xen *x)
{
	uint64_t pages = x->pages->size / PAGE, frames = x->table->size / x->entry, page_room = room(x, x->pages) / PAGE,
		 frame_room = room(x, x->table) / x->entry, n = pages > frames ? pages : frames;

	if (pages == frames)
		return n;
	if (x->told && (x->told == pages || x->told == frames))
		n = x->told;
	else if (n > page_room || n > frame_room)
		n = pages < frames ? pages : frames;
	notes_add(x->d->notes, &NOTE(NOTE_PAGE_MISSING), "elf: Xen's table has %llu frames for %llu pages: %llu are taken",
		  (unsigned long long)frames, (unsigned long long)pages, (unsigned long long)n);
	return n;
}

/* ---- pages --------------------------------------------------------------------------------------------------------------------------------- */

static int add_page(struct xen *x, uint64_t i, uint64_t pfn, uint64_t *bad, struct err *e)
{
	if (pfn == UINT64_MAX || pfn == UINT32_MAX)
		return 0;
	if (pfn < FRAMES_END)
		return phys_add_file(x->d->phys, pfn * PAGE, PAGE, x->d->in, x->pages->offset + i * PAGE, e);
	if (!*bad)
		notes_add(x->d->notes, &NOTE(NOTE_PAGE_MISSING),
			  "elf: Xen's page %llu is said to belong to frame 0x%llx, which no machine has", (unsigned long long)i,
			  (unsigned long long)pfn);
	++*bad;
	return 0;
}

static int add_pages(struct xen *x, uint64_t n, uint64_t *placed, struct err *e)
{
	uint8_t p[PAGE] = {0};
	uint64_t bad = 0, in_file = x->pages->offset < x->size ? (x->size - x->pages->offset + PAGE - 1) / PAGE : 0;
	int rc = 0;

	if (n > in_file) {
		notes_add(x->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "elf: the file ends in Xen's page %llu of %llu",
			  (unsigned long long)in_file, (unsigned long long)n);
		n = in_file;
	}
	while (*placed < n && rc == 0) {
		uint64_t at = x->table->offset + *placed * x->entry, k;
		int64_t got = at < x->size ? input_read(x->d->in, at, p, sizeof(p), NULL) : 0;

		for (k = 0; k < (uint64_t)(got > 0 ? got : 0) / x->entry && *placed < n && rc == 0; k++, ++*placed)
			rc = add_page(x, *placed, le64(p + k * x->entry), &bad, e);
		if (k == 0) {
			notes_add(x->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED),
				  "elf: Xen's table of frames ends at page %llu of %llu: where the others belong is not known",
				  (unsigned long long)*placed, (unsigned long long)n);
			break;
		}
	}
	if (bad > 1)
		notes_add(x->d->notes, &NOTE(NOTE_PAGE_MISSING), "elf: %llu of Xen's pages have such frames", (unsigned long long)bad);
	return rc;
}

static void find_sections(struct xen *x, const struct xen_header *h, uint64_t headers)
{
	x->headers = headers;
	x->pages = x->table = NULL;
	read_sections(x, h);
	find_pages(x);
	if (x->pages)
		find_table(x);
}

int xencore_pages(struct dump *d, const struct xen_header *h, uint64_t *n_pages, uint64_t *n_placed, struct err *e)
{
	struct xen x = {.d = d, .wide = h->wide, .size = input_size(d->in)};
	uint64_t behind = h->wide ? 64 : 52, n; /* where Xen puts the headers: behind the file's own */

	*n_pages = *n_placed = 0;
	find_sections(&x, h, h->shoff);
	if (!x.pages && h->shoff != behind)
		find_sections(&x, h, behind);
	if (!x.pages)
		return 0;
	if (x.headers != h->shoff || h->shentsize != header_bytes(&x) || h->shnum > x.n || !h->shnum)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD),
			  "elf: the header tells %u sections of %u bytes at 0x%llx: %u of %u at 0x%llx are there", h->shnum, h->shentsize,
			  (unsigned long long)h->shoff, x.n, header_bytes(&x), (unsigned long long)x.headers);
	*n_pages = x.pages->size / PAGE;
	if (!x.table)
		return 0;
	read_note(&x);
	n = count(&x);
	if (n > XEN_PAGES_MAX) {
		notes_add(d->notes, &NOTE(NOTE_LIMIT_REACHED), "elf: %llu pages of Xen; only %llu are read", (unsigned long long)n,
			  (unsigned long long)XEN_PAGES_MAX);
		n = XEN_PAGES_MAX;
	}
	place(&x, n);
	return add_pages(&x, n, n_placed, e);
}
