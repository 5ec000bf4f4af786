/* Run tables that lie, in containers that are little more than such a table: LiME, ELF, Xen's dump-core. Cut, out of order, on top of each other,
 * behind the end, of absurd length: what is left is read, and what is wrong is named. (Crash dumps: test_crash, AFF4: test_aff4, HPAK: test_zdmp.) */
#include <criterion/criterion.h>
#include <string.h>

#include "buf.h"
#include "crc32c.h"
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

/* Three ranges; the one of 0x5000 claims `claim` bytes. What stands at its second page looks like a header too. */
static void lime_lie(struct buf *b, uint64_t claim, bool pages_of_headers)
{
	b->n = 0;
	lime(b, 0x1000, 0x1fff);
	page(b, 1);
	lime(b, 0x5000, 0x5000 + claim - 1);
	page(b, 2);
	if (pages_of_headers) { /* memory with headers in it: of another image's file */
		lime(b, 0x6000, 0x6fff);
		buf_fill(b, 3, PAGE - 32);
	} else {
		page(b, 3);
	}
	lime(b, 0x9000, 0xafff);
	page(b, 4);
	page(b, 5);
	lime(b, 0x20000, 0x20fff);
	page(b, 6);
}

Test(runtables, lime_that_claims_what_is_not_its_own)
{
	static const uint64_t claims[] = {4 * PAGE, 8 * PAGE, 5 * PAGE - 32, 1000 * PAGE, UINT64_C(1) << 45};
	struct world w;
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		for (int headers = 0; headers < 2; headers++) {
			lime_lie(&b, 0x9000 - 0x5000 + claims[i], headers);
			open_it(&w, &b);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			expect(&w, 0x1000, 1);
			expect(&w, 0x5000, 2);
			if (!headers)
				expect(&w, 0x6000, 3);
			expect(&w, 0x7000, 0);
			expect(&w, 0x9000, 4);
			expect(&w, 0xa000, 5);
			expect(&w, 0x20000, 6);
			cr_assert_eq(phys_bytes(w.d->phys), 6 * PAGE, "%zu: %llu", i, (unsigned long long)phys_bytes(w.d->phys));
			cr_assert(told(&w, NOTE_CONTEXT_BAD));
			end(&w);
		}
	/* a claim that can be is believed: whatever looks like a header in it is memory */
	b.n = 0;
	lime(&b, 0x5000, 0x8fff);
	page(&b, 2);
	lime(&b, 0x6000, 0x6fff);
	buf_fill(&b, 3, PAGE);
	lime(&b, 0x8000, 0x8fff);
	buf_fill(&b, 3, 2 * PAGE - 64);
	lime(&b, 0x9000, 0x9fff);
	page(&b, 4);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(w.notes.n, 0);
	cr_assert_eq(phys_bytes(w.d->phys), 5 * PAGE);
	end(&w);
	b.n -= 2 * PAGE + 64; /* and one that was cut, with one header in it that leads nowhere */
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert(told(&w, NOTE_IMAGE_TRUNCATED) && !told(&w, NOTE_CONTEXT_BAD));
	cr_assert_gt(phys_bytes(w.d->phys), 2 * PAGE);
	end(&w);
	buf_free(&b);
}

static void avml(struct buf *b, uint64_t pa, uint64_t claim, uint8_t v)
{
	uint8_t p[PAGE];
	uint32_t at;

	buf_u32(b, 0x4c4d5641);
	buf_u32(b, 2);
	buf_u64(b, pa);
	buf_u64(b, pa + claim - 1);
	buf_u64(b, 0);
	at = (uint32_t)b->n;
	buf_put(b, "\xff\6\0\0sNaPpY", 10);
	buf_u32(b, 1 | (PAGE + 4) << 8); /* a stored chunk */
	memset(p, v, PAGE);
	buf_u32(b, crc32c_masked(p, PAGE));
	buf_put(b, p, PAGE);
	buf_u64(b, b->n - at);
}

/* A stream ends with its own length: what a header claims beyond that is not read out of the blocks behind. */
Test(runtables, avml_that_claims_what_is_not_its_own)
{
	struct world w;
	struct buf b;

	for (uint64_t claim = 2; claim < UINT64_C(1) << 40; claim *= 7) {
		buf_init(&b);
		avml(&b, 0x1000, PAGE, 1);
		avml(&b, 0x5000, claim * PAGE, 2);
		avml(&b, 0x6000, PAGE, 3);
		avml(&b, 0x20000, claim * PAGE, 4);
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		expect(&w, 0x1000, 1);
		expect(&w, 0x5000, 2);
		expect(&w, 0x6000, 3);
		expect(&w, 0x20000, 4);
		cr_assert_eq(phys_bytes(w.d->phys), 4 * PAGE);
		cr_assert(told(&w, NOTE_IMAGE_TRUNCATED));
		end(&w);
		buf_free(&b);
	}
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

/* A segment longer than it covers, past the end of the file, or over another one's addresses, while that one's bytes stand inside of it. */
Test(runtables, elf_that_claims_what_is_not_its_own)
{
	static const uint64_t claims[] = {16 * PAGE, 3 * PAGE, UINT64_MAX - 100, UINT64_C(1) << 50};
	const uint64_t at = 64 + 3 * 56;
	struct world w;
	struct buf b;

	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		for (int covers = 0; covers < 2; covers++) {
			buf_init(&b);
			elf_header(&b, 3, 0);
			load(&b, at, 0x1000, 2 * PAGE);
			load(&b, at + 2 * PAGE, 0x3000, 2 * PAGE);
			load(&b, at + 4 * PAGE, 0x5000, 2 * PAGE);
			put_le64(b.p + 64 + 32, claims[i]);
			if (covers)
				put_le64(b.p + 64 + 40, claims[i]);
			for (uint8_t v = 1; v <= 6; v++)
				page(&b, v);
			open_it(&w, &b);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			for (uint8_t v = 1; v <= 6; v++)
				expect(&w, v * (uint64_t)PAGE, v);
			cr_assert_eq(phys_bytes(w.d->phys), 6 * PAGE);
			cr_assert(told(&w, NOTE_CONTEXT_BAD) && !told(&w, NOTE_RUN_OVERLAP));
			end(&w);
			buf_free(&b);
		}
}

/* The header's number and size of segments, wrong: the table itself tells. */
Test(runtables, elf_header_that_lies)
{
	const uint64_t at = 64 + 3 * 56;

	for (unsigned i = 0; i < 5; i++) {
		static const struct {
			size_t at;
			uint16_t v;
		} lies[] = {{56, 0}, {56, 1}, {56, 2}, {54, 0}, {54, 57}};
		struct world w;
		struct buf b;

		buf_init(&b);
		elf_header(&b, 3, 0);
		for (uint8_t v = 1; v <= 3; v++)
			load(&b, at + (v - 1) * (uint64_t)PAGE, v * UINT64_C(0x3000), PAGE);
		for (uint8_t v = 1; v <= 3; v++)
			page(&b, v);
		put_le16(b.p + lies[i].at, lies[i].v);
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "%u: %s", i, w.e.msg);
		for (uint8_t v = 1; v <= 3; v++)
			expect(&w, v * UINT64_C(0x3000), v);
		cr_assert(told(&w, NOTE_CONTEXT_BAD), "%u", i);
		end(&w);
		buf_free(&b);
	}
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
	put_le64(b.p + 64 + 2 * 64 + 32, 2 * 8); /* a table for two of the pages: it has room for all */
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, 0x9000, 1);
	expect(&w, 0x2000, 3);
	cr_assert(told(&w, NOTE_PAGE_MISSING));
	end(&w);
	put_le64(b.p + 64 + 64 + 24, UINT64_MAX - 100); /* pages behind the end: nothing is left */
	open_it(&w, &b);
	cr_assert(w.rc < 0 || phys_bytes(w.d->phys) == 0);
	end(&w);
	buf_free(&b);
}

static void section_of(struct buf *b, uint32_t name, uint64_t off, uint64_t size, uint64_t entry)
{
	section(b, name, off, size);
	put_le64(b->p + b->n - 8, entry);
}

/* As Xen writes it: pages, their table, the names. */
static void xen_core(struct buf *b)
{
	static const char names[] = "\0.xen_pages\0.xen_pfn";
	const uint64_t shared = 64 + 5 * 64, pages = shared + PAGE, table = pages + 5 * PAGE, text = table + 5 * 8;

	buf_init(b);
	elf_header(b, 0, 5);
	section(b, 0, 0, 0);
	section_of(b, 1, pages, 5 * PAGE, PAGE);
	section_of(b, 12, table, 5 * 8, 8);
	section_of(b, 0, shared, PAGE, PAGE); /* the shared page looks like the others */
	section(b, 0, text, sizeof(names));
	page(b, 0xee);
	for (uint8_t v = 1; v <= 5; v++)
		page(b, v);
	for (uint64_t v = 1; v <= 5; v++)
		buf_u64(b, 10 - v);
	buf_put(b, names, sizeof(names));
}

/* One number of the header or of a section's that lies: the rest of the file decides, and it is told. */
Test(runtables, xen_that_lies)
{
	static const struct {
		size_t at;
		unsigned n;
		uint64_t v;
	} lies[] = {{60, 2, 0},
		    {60, 2, 0xffff},
		    {58, 2, 1},
		    {62, 2, 0xffff},
		    {62, 2, 1},
		    {40, 8, 0},
		    {40, 8, 1 << 30},
		    {64 + 64 + 32, 8, 2 * PAGE},
		    {64 + 64 + 32, 8, 9 * PAGE},
		    {64 + 64 + 24, 8, UINT64_C(1) << 63},
		    {64 + 128 + 32, 8, 3 * 8},
		    {64 + 128 + 24, 8, UINT64_C(1) << 62},
		    {64 + 128 + 24, 8, 64},
		    {64 + 64 + 24, 8, UINT64_MAX - 5}};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct world w;
		struct buf b;

		xen_core(&b);
		for (unsigned k = 0; k < lies[i].n; k++)
			b.p[lies[i].at + k] = (uint8_t)(lies[i].v >> 8 * k);
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "lie %zu: %s", i, w.e.msg);
		for (uint8_t v = 1; v <= 5; v++)
			expect(&w, (10 - v) * (uint64_t)PAGE, v);
		cr_assert_eq(phys_bytes(w.d->phys), 5 * PAGE, "lie %zu", i);
		cr_assert(lies[i].at == 62 || w.notes.n, "lie %zu", i);
		cr_assert(!told(&w, NOTE_RUN_OVERLAP));
		end(&w);
		buf_free(&b);
	}
}

Test(runtables, xen_frames_that_no_machine_has)
{
	const size_t table = 64 + 5 * 64 + 6 * PAGE;
	struct world w;
	struct buf b;

	xen_core(&b);
	put_le64(b.p + table + 8, UINT64_C(1) << 62);
	put_le64(b.p + table + 16, UINT64_C(1) << 40);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(phys_bytes(w.d->phys), 3 * PAGE);
	expect(&w, 9 * (uint64_t)PAGE, 1);
	expect(&w, 6 * (uint64_t)PAGE, 4);
	cr_assert(told(&w, NOTE_PAGE_MISSING) && w.notes.n == 2);
	end(&w);
	buf_free(&b);
}

Test(runtables, xen_cut_before_its_table)
{
	const size_t names = sizeof("\0.xen_pages\0.xen_pfn");
	struct world w;
	struct buf b;

	xen_core(&b);
	for (size_t cut = 0; cut <= names + 5 * 8 + PAGE; cut += cut < names ? names : 8) {
		struct buf part = {.p = b.p, .n = b.n - cut};
		uint64_t left = cut <= names ? 5 : cut < names + 5 * 8 ? (names + 5 * 8 - cut) / 8 : 0;

		open_it(&w, &part);
		if (!left) {
			cr_assert_eq(w.rc, ERR_TRUNC);
			cr_assert(strstr(w.e.msg, "Xen") && strstr(w.e.msg, "5 pages"), "%s", w.e.msg);
		} else {
			cr_assert_eq(w.rc, 0, "%zu: %s", cut, w.e.msg);
			cr_assert_eq(phys_bytes(w.d->phys), left * PAGE, "%zu: %llu bytes", cut, (unsigned long long)phys_bytes(w.d->phys));
			for (uint8_t v = 1; v <= left; v++)
				expect(&w, (10 - v) * (uint64_t)PAGE, v);
			cr_assert_eq(told(&w, NOTE_IMAGE_TRUNCATED), left < 5);
		}
		end(&w);
	}
	buf_free(&b);
}

/* A chunk with a wrong checksum is a hole that is named once it was met; its neighbours are read. */
Test(runtables, avml_names_a_damaged_chunk)
{
	uint8_t got[PAGE];
	struct world w;
	struct buf b;

	buf_init(&b);
	for (unsigned i = 1; i <= 3; i++)
		avml(&b, i * PAGE, PAGE, (uint8_t)i);
	b.p[b.n / 2] ^= 1;
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	expect(&w, PAGE, 1);
	expect(&w, 3 * PAGE, 3);
	dump_late_notes(w.d);
	cr_assert_eq(w.notes.n, 0);
	cr_assert_lt(phys_read(w.d->phys, 2 * PAGE, got, PAGE), 0);
	dump_late_notes(w.d);
	dump_late_notes(w.d);
	cr_assert(w.notes.n == 1 && told(&w, NOTE_CONTEXT_BAD));
	end(&w);
	buf_free(&b);
}
