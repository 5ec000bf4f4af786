/* Run tables that lie, in containers that are little more than such a table: LiME, ELF, Xen's dump-core. Cut, out of order, on top of each other,
 * behind the end, of absurd length: what is left is read, and what is wrong is named. (Crash dumps: test_crash, AFF4: test_aff4, HPAK: test_zdmp.) */
#include <criterion/criterion.h>
#include <string.h>

#include "buf.h"
#include "dumpfmt.h"
#include "rd.h"

#define PAGE 4096u

struct world {
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void open_it(struct world *w, const struct buf *b)
{
	struct input *in;

	memset(w, 0, sizeof(*w));
	notes_init(&w->notes);
	cr_assert_eq(input_open_memory(&in, b->p, b->n, "made", &w->e), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
}

static void end(struct world *w)
{
	if (w->rc == 0)
		dump_close(w->d);
	notes_free(&w->notes);
}

static bool told(const struct world *w, enum note_what what)
{
	for (size_t i = 0; i < w->notes.n; i++)
		if (w->notes.v[i].what == what)
			return true;
	return false;
}

/* The page at pa is filled with v; v 0: it is not there. */
static void expect(const struct world *w, uint64_t pa, uint8_t v)
{
	uint8_t p[PAGE];
	int rc = phys_read(w->d->phys, pa, p, PAGE);

	if (!v) {
		cr_assert(rc < 0, "0x%llx is there", (unsigned long long)pa);
		return;
	}
	cr_assert_eq(rc, 0, "0x%llx is not there", (unsigned long long)pa);
	cr_assert(p[0] == v && memcmp(p, p + 1, PAGE - 1) == 0, "0x%llx holds %u", (unsigned long long)pa, p[0]);
}

static void page(struct buf *b, uint8_t v)
{
	buf_fill(b, v, PAGE);
}

static void lime(struct buf *b, uint64_t first, uint64_t last)
{
	buf_u32(b, 0x4c694d45);
	buf_u32(b, 1);
	buf_u64(b, first);
	buf_u64(b, last);
	buf_u64(b, 0);
}

Test(runtables, lime_that_names_the_byte_behind)
{
	struct world w;
	struct buf b;

	buf_init(&b);
	lime(&b, 0x1000, 0x2000); /* another header stands a page behind this one */
	page(&b, 1);
	lime(&b, 0x2000, 0x4000);
	page(&b, 2);
	page(&b, 3);
	lime(&b, 0x9000, 0xa000); /* and the file's end */
	page(&b, 4);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0);
	expect(&w, 0x1000, 1);
	expect(&w, 0x2000, 2);
	expect(&w, 0x3000, 3);
	expect(&w, 0x9000, 4);
	cr_assert_eq(w.notes.n, 0);
	cr_assert_eq(phys_bytes(w.d->phys), 4 * PAGE);
	end(&w);
	buf_free(&b);
}

Test(runtables, lime)
{
	struct world w;
	struct buf b;

	buf_init(&b);
	lime(&b, 0x9000, 0x9fff); /* out of order */
	page(&b, 1);
	lime(&b, 0x1000, 0x2fff);
	page(&b, 2);
	page(&b, 3);
	lime(&b, 0x2000, 0x3fff); /* its first page stands there already */
	page(&b, 4);
	page(&b, 5);
	lime(&b, 0x20000, 0x2ffff); /* cut */
	page(&b, 6);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_str_eq(w.d->format, "lime");
	expect(&w, 0x9000, 1);
	expect(&w, 0x1000, 2);
	expect(&w, 0x2000, 3);
	expect(&w, 0x3000, 5);
	expect(&w, 0x20000, 6);
	expect(&w, 0x21000, 0);
	cr_assert(told(&w, NOTE_RUN_OVERLAP) && told(&w, NOTE_IMAGE_TRUNCATED));
	end(&w);
	b.n = 0;
	lime(&b, 0x1000, 0x1fff);
	page(&b, 1);
	lime(&b, 0x5000, 0x4fff); /* ends before it begins: no header */
	page(&b, 2);
	lime(&b, 0x7000, 0x7fff);
	page(&b, 3);
	lime(&b, 0x100000, UINT64_MAX); /* longer than there is room in the world */
	page(&b, 4);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x1000, 1);
	expect(&w, 0x5000, 0);
	expect(&w, 0x7000, 3);
	cr_assert(told(&w, NOTE_IMAGE_TRUNCATED));
	end(&w);
	b.n = 0;
	lime(&b, 0x1000, 0x1fff); /* nothing behind its only header */
	open_it(&w, &b);
	cr_assert(w.rc < 0 || phys_bytes(w.d->phys) == 0);
	end(&w);
	buf_free(&b);
}

static void elf_header(struct buf *b, uint16_t n_segments, uint16_t n_sections)
{
	buf_put(b,
		"\x7f"
		"ELF\2\1\1",
		7);
	buf_fill(b, 0, 9);
	buf_u16(b, 4);
	buf_u16(b, 62);
	buf_u32(b, 1);
	buf_u64(b, 0);
	buf_u64(b, 64);
	buf_u64(b, n_sections ? 64 + n_segments * UINT64_C(56) : 0);
	buf_u32(b, 0);
	buf_u16(b, 64);
	buf_u16(b, 56);
	buf_u16(b, n_segments);
	buf_u16(b, 64);
	buf_u16(b, n_sections);
	buf_u16(b, n_sections ? (uint16_t)(n_sections - 1) : 0);
}

static void load(struct buf *b, uint64_t off, uint64_t pa, uint64_t size)
{
	buf_u32(b, 1);
	buf_u32(b, 0);
	buf_u64(b, off);
	buf_u64(b, 0);
	buf_u64(b, pa);
	buf_u64(b, size);
	buf_u64(b, size);
	buf_u64(b, 0);
}

Test(runtables, elf)
{
	const uint64_t at = 64 + 6 * 56;
	struct world w;
	struct buf b;

	buf_init(&b);
	elf_header(&b, 6, 0);
	load(&b, at + PAGE, 0x9000, PAGE); /* out of order */
	load(&b, at, 0x1000, PAGE);
	load(&b, at + 2 * PAGE, 0x1000, 2 * PAGE);   /* its first page is there */
	load(&b, at + 4 * PAGE, 0x20000, 16 * PAGE); /* cut: two of its pages are there */
	load(&b, UINT64_MAX - 5, 0x50000, PAGE);     /* behind the end */
	load(&b, at, UINT64_MAX - 5, UINT64_MAX);    /* no such memory */
	for (uint8_t v = 1; v <= 6; v++)
		page(&b, v);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x9000, 2);
	expect(&w, 0x1000, 1);
	expect(&w, 0x2000, 4);
	expect(&w, 0x20000, 5);
	expect(&w, 0x21000, 6);
	expect(&w, 0x22000, 0);
	expect(&w, 0x50000, 0);
	cr_assert(told(&w, NOTE_RUN_OVERLAP) && told(&w, NOTE_IMAGE_TRUNCATED));
	end(&w);
	put_le16(b.p + 56, 2000); /* more segments than the file has room for */
	b.n = at + 3 * PAGE;
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x1000, 1);
	end(&w);
	buf_free(&b);
}

static void section(struct buf *b, uint32_t name, uint64_t off, uint64_t size)
{
	buf_u32(b, name);
	buf_u32(b, 1);
	buf_u64(b, 0);
	buf_u64(b, 0);
	buf_u64(b, off);
	buf_u64(b, size);
	buf_fill(b, 0, 24);
}

Test(runtables, xen)
{
	static const char names[] = "\0.xen_pages\0.xen_pfn";
	const uint64_t table = 64 + 4 * 64, text = table + 5 * 8, pages = text + sizeof(names);
	struct world w;
	struct buf b;

	buf_init(&b);
	elf_header(&b, 0, 4);
	section(&b, 0, 0, 0);
	section(&b, 1, pages, 5 * PAGE);
	section(&b, 12, table, 5 * 8);
	section(&b, 0, text, sizeof(names));
	buf_u64(&b, 9); /* out of order */
	buf_u64(&b, UINT64_MAX);
	buf_u64(&b, 2);
	buf_u64(&b, 9); /* twice */
	buf_u64(&b, 3);
	buf_put(&b, names, sizeof(names));
	for (uint8_t v = 1; v <= 5; v++)
		page(&b, v);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x9000, 1);
	expect(&w, 0x2000, 3);
	expect(&w, 0x3000, 5);
	expect(&w, 0x1000, 0);
	cr_assert(told(&w, NOTE_RUN_OVERLAP));
	end(&w);
	b.n -= PAGE + PAGE / 2; /* the last page and a half are cut off */
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x2000, 3);
	expect(&w, 0x3000, 0);
	cr_assert(told(&w, NOTE_IMAGE_TRUNCATED));
	end(&w);
	put_le64(b.p + 64 + 2 * 64 + 32, 2 * 8); /* a table for two of the pages */
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x9000, 1);
	expect(&w, 0x2000, 0);
	end(&w);
	put_le64(b.p + 64 + 64 + 24, UINT64_MAX - 100); /* pages behind the end: nothing is left */
	open_it(&w, &b);
	cr_assert(w.rc < 0 || phys_bytes(w.d->phys) == 0);
	end(&w);
	buf_free(&b);
}
