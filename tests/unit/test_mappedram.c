/* QEMU streams with mapped-ram: pages at fixed places, zeros by bitmap; what lies or is cut costs its block or its tail, and is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dumpfmt.h"

TestSuite(mappedram, .timeout = 60);

#define PAGE   4096u
#define PAGES  20u
#define ALIGN  16384u
#define XML    200u
#define HEADER 92u

struct made {
	const char *names[3];        /* of the blocks; NULL: pc.ram and vga.vram */
	bool libvirt;                /* behind its header, from which offsets count */
	bool empty;                  /* no bit is set */
	unsigned left_out;           /* this block (from 1) has both offsets 0; 0: none */
	uint32_t version;            /* 0: 1 */
	uint64_t page;               /* what the header says; 0: the truth */
	uint64_t size;               /* of the first block, as the list has it; 0: the truth */
	int64_t bitmap_by, pages_by; /* added to the offsets of the first block */
	uint64_t cut;                /* the file ends so many bytes behind the first block's bitmap; 0: at its end */
	uint64_t cut_pages;          /* ... behind the first byte of its pages */
};

static void be(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		buf_u8(b, (uint8_t)(v >> (8 * bytes)));
}

static void name(struct buf *b, const char *s)
{
	buf_u8(b, (uint8_t)strlen(s));
	buf_puts(b, s);
}

static bool is_written(unsigned page)
{
	return page % 3 != 1;
}

static void fill(uint8_t *p, unsigned block, unsigned page)
{
	for (unsigned i = 0; i < PAGE; i++)
		p[i] = (uint8_t)(i / 16 * (page + 1) + page + 50 * block + 1);
}

/* One block: its entry, header, bitmap, pages; one that was not written has an older one in the file. */
static void block(struct buf *b, const struct made *m, unsigned i, const char *what, uint64_t *cut)
{
	uint64_t behind, bitmap, pages;
	uint8_t page[PAGE];

	name(b, what);
	be(b, i == 0 && m->size ? m->size : PAGES * PAGE, 8);
	behind = b->n + 28;
	bitmap = behind;
	pages = (bitmap + 8 + ALIGN - 1) / ALIGN * ALIGN;
	be(b, m->version ? m->version : 1, 4);
	be(b, m->page ? m->page : PAGE, 8);
	if (m->left_out == i + 1) {
		buf_fill(b, 0, 16);
		return;
	}
	be(b, bitmap + (uint64_t)(i ? 0 : m->bitmap_by), 8);
	be(b, pages + (uint64_t)(i ? 0 : m->pages_by), 8);
	for (unsigned k = 0; k < 8; k++) {
		uint8_t bits = 0;

		for (unsigned bit = 0; bit < 8; bit++)
			bits |= (uint8_t)((k * 8 + bit < PAGES && is_written(k * 8 + bit)) << bit);
		buf_u8(b, m->empty ? 0 : bits);
	}
	buf_fill(b, 0, pages - b->n);
	for (unsigned k = 0; k < PAGES; k++) {
		fill(page, i, k);
		if (m->empty && !is_written(k))
			memset(page, 0, PAGE);
		buf_put(b, page, PAGE);
	}
	if (i == 0 && m->cut)
		*cut = bitmap + m->cut;
	if (i == 0 && m->cut_pages)
		*cut = pages + m->cut_pages;
}

static void make(struct buf *b, const struct made *m)
{
	static const char *const usual[] = {"pc.ram", "vga.vram", NULL};
	const char *const *names = m->names[0] ? m->names : usual;
	unsigned n = 0;
	uint64_t cut = 0;

	buf_init(b);
	if (m->libvirt) {
		buf_puts(b, "LibvirtQemudSave");
		buf_u32(b, 2);
		buf_u32(b, XML);
		buf_u32(b, 0);
		buf_u32(b, 6);
		buf_fill(b, 0, HEADER + XML - b->n);
	}
	buf_put(b, "QEVM\0\0\0\3\7\0\0\0\2pc\5", 16);
	name(b, "configuration/capabilities");
	be(b, 1, 4);
	be(b, 1, 4);
	name(b, "mapped-ram");
	buf_put(b, "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4", 17);
	while (n < 3 && names[n])
		n++;
	be(b, ((m->size ? m->size : PAGES * PAGE) + (uint64_t)(n - 1) * PAGES * PAGE) | 4, 8);
	for (unsigned i = 0; i < n; i++)
		block(b, m, i, names[i], &cut);
	be(b, 0x10, 8);
	buf_put(b, "\x7e\0\0\0\2\0", 6);
	if (cut)
		b->n = cut;
}

struct seen {
	int rc;         /* pages that are there and right; negative: not opened */
	size_t notes;   /* of all kinds */
	char why[300];  /* the error, or all notes */
	uint64_t bytes; /* of memory */
};

/* Reads `blocks` blocks that stand one behind the other. */
static void see(struct seen *s, const struct made *m, unsigned blocks)
{
	static uint8_t want[PAGE], got[3 * PAGES * PAGE];
	struct notes notes;
	struct input *in;
	struct dump *d;
	struct err e = {0};
	struct buf b;

	make(&b, m);
	memset(s, 0, sizeof(*s));
	notes_init(&notes);
	cr_assert_eq(input_open_memory(&in, b.p, b.n, "image", NULL), 0);
	s->rc = dump_open_input(&d, in, NULL, &notes, &e);
	snprintf(s->why, sizeof(s->why), "%s", s->rc < 0 ? e.msg : "");
	for (unsigned i = 0; s->rc >= 0 && i < blocks * PAGES; i++) {
		unsigned page = i % PAGES;

		if (phys_read(d->phys, (uint64_t)i * PAGE, got, PAGE) != 0)
			continue;
		fill(want, i / PAGES, page);
		if (!is_written(page))
			memset(want, 0, PAGE);
		cr_assert(memcmp(got, want, PAGE) == 0, "page %u", i);
		cr_assert_eq(phys_read(d->phys, (uint64_t)i * PAGE + 100, got, 8), 0);
		cr_assert(memcmp(got, want + 100, 8) == 0, "inside of page %u", i);
		s->rc++;
	}
	if (blocks && s->rc == (int)(blocks * PAGES)) { /* across pages and blocks */
		cr_assert_eq(phys_read(d->phys, 100, got, s->rc * PAGE - 200), 0);
		for (int i = 0; i < s->rc; i++) {
			size_t off = (size_t)i * PAGE + 200 - 100, n = i + 1 < s->rc ? PAGE - 200 : PAGE - 400;

			fill(want, (unsigned)i / PAGES, (unsigned)i % PAGES);
			if (!is_written((unsigned)i % PAGES))
				memset(want, 0, PAGE);
			cr_assert(memcmp(got + off, want + 200, n) == 0, "page %d of all", i);
		}
	}
	if (s->rc >= 0) {
		s->bytes = phys_bytes(d->phys);
		dump_close(d);
	}
	s->notes = notes.n;
	for (size_t i = 0; i < notes.n; i++)
		snprintf(s->why + strlen(s->why), sizeof(s->why) - strlen(s->why), "%s; ", notes.v[i].detail);
	notes_free(&notes);
	buf_free(&b);
}

Test(mappedram, pages_and_zeros)
{
	static const struct made plain = {0}, libvirt = {.libvirt = true},
				 nodes = {.names = {"ram-node0", "/objects/ram-node1", "vga.vram"}}, other = {.names = {"of-a-later-day"}};
	struct seen s;

	see(&s, &plain, 1);
	cr_expect(s.rc == PAGES && s.notes == 0 && s.bytes == PAGES * PAGE, "%d: %s", s.rc, s.why);
	see(&s, &libvirt, 1);
	cr_expect(s.rc == PAGES && s.notes == 0, "libvirt: %d: %s", s.rc, s.why);
	see(&s, &nodes, 2);
	cr_expect(s.rc == 2 * PAGES && s.notes == 0, "nodes: %d: %s", s.rc, s.why);
	see(&s, &other, 1);
	cr_expect(s.rc == PAGES && s.notes == 0, "other: %d: %s", s.rc, s.why);
}

/* QEMU writes it last: a file that was not finished has none. */
Test(mappedram, an_empty_bitmap)
{
	static const struct made empty = {.empty = true};
	struct seen s;

	see(&s, &empty, 1);
	cr_expect(s.rc == PAGES && s.notes == 1 && strstr(s.why, "pc.ram has pages, and an empty bitmap"), "%d: %s", s.rc, s.why);
}

Test(mappedram, blocks_that_were_left_out)
{
	static const struct made vga = {.left_out = 2}, node = {.names = {"ram-node0", "ram-node1"}, .left_out = 2}, all = {.left_out = 1};
	struct seen s;

	see(&s, &vga, 1);
	cr_expect(s.rc == PAGES && s.notes == 0, "%d: %s", s.rc, s.why);
	see(&s, &node, 2);
	cr_expect(s.rc == PAGES && s.notes == 1 && strstr(s.why, "ram-node1 was left out"), "%d: %s", s.rc, s.why);
	see(&s, &all, 1);
	cr_expect(s.rc < 0 && s.notes == 1 && strstr(s.why, "no page of memory"), "%d: %s", s.rc, s.why);
}

Test(mappedram, a_file_that_is_cut)
{
	static const struct made bitmap = {.cut = 1}, start = {.cut_pages = 1}, pages = {.cut_pages = 7 * PAGE + 100};
	struct seen s;

	see(&s, &bitmap, 1);
	cr_expect(s.rc < 0, "%d: %s", s.rc, s.why);
	see(&s, &start, 1);
	cr_expect(s.rc < 0, "%d: %s", s.rc, s.why);
	see(&s, &pages, 1);
	cr_expect(s.rc == 7 && s.bytes == 7 * PAGE && strstr(s.why, "pc.ram: the file ends before its last 53248 bytes"), "%d: %s", s.rc,
		  s.why);
}

Test(mappedram, headers_that_lie)
{
	static const struct made all[] = {
		{.version = 2},
		{.page = 4095},
		{.page = 12288},
		{.page = 1 << 20},
		{.page = UINT64_MAX},
		{.bitmap_by = -100},
		{.bitmap_by = INT64_MIN},
		{.pages_by = -30000},
		{.pages_by = -16384},
		{.bitmap_by = INT64_MAX, .pages_by = INT64_MAX},
		{.size = UINT64_MAX},
		{.size = UINT64_MAX - 40000},
		{.libvirt = true, .pages_by = -20000},
		{.libvirt = true, .bitmap_by = -400},
	};
	static const struct made far = {.pages_by = INT64_C(1) << 40}, large = {.size = UINT64_C(1) << 42},
				 larger = {.size = UINT64_C(1) << 50};
	struct seen s;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		see(&s, &all[i], 1);
		cr_expect(s.rc < 0 && s.notes >= 1, "%zu: %d: %s", i, s.rc, s.why);
	}
	see(&s, &far, 0);
	cr_expect(s.rc < 0 && strstr(s.why, "the file ends before its last 81920 bytes"), "%d: %s", s.rc, s.why);
	see(&s, &large, 0); /* what follows in the file is taken for more of it, and no zeros behind its end are made up */
	cr_expect(s.rc == 0 && s.bytes < UINT64_C(1) << 20 && strstr(s.why, "the file ends before its last"), "%d: %s", s.rc, s.why);
	see(&s, &larger, 0);
	cr_expect(s.rc < 0 && strstr(s.why, "is left out"), "%d: %s", s.rc, s.why);
}
