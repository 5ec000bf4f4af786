/* Hyper-V saved states: every way that blocks are packed, tables of objects that go on, ranges that lie, damage. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"
#include "mkvmrs.h"
#include "rd.h"

TestSuite(hyperv, .timeout = 120);

#define PAGE 4096u

static const struct mkvmrs_range two[] = {{0, 700}, {0x100000, 300}};

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	static uint8_t p[PAGE];
	uint32_t x = (uint32_t)pfn * 2654435761u + 1;

	(void)ctx;
	if (pfn % 11 == 5 || pfn % 11 == 6)
		return NULL;
	for (size_t i = 0; i < PAGE; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = pfn % 7 == 4 ? (uint8_t)(x >> 24) : (uint8_t) "memory of a guest; "[(i + (x >> 31)) % 19];
	}
	put_le64(p, pfn);
	return p;
}

struct world {
	struct buf file;
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void make(struct world *w, struct mkvmrs o)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->file);
	notes_init(&w->notes);
	o.range = two;
	o.n_ranges = 2;
	o.page = page;
	mkvmrs_build(&w->file, &o);
}

static void open_it(struct world *w)
{
	struct input *in;

	cr_assert_eq(input_open_memory(&in, w->file.p, w->file.n, "x.vmrs", NULL), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
}

static void close_it(struct world *w)
{
	dump_close(w->d);
	w->d = NULL;
	notes_free(&w->notes);
	notes_init(&w->notes);
}

static unsigned right_pages(const struct world *w)
{
	static const uint8_t zero[PAGE];
	unsigned n = 0;
	uint8_t p[PAGE];

	for (size_t r = 0; r < 2; r++)
		for (uint64_t i = 0; i < two[r].pages; i++) {
			const uint8_t *want = page(NULL, two[r].pfn + i);

			if (phys_read(w->d->phys, (two[r].pfn + i) * PAGE, p, PAGE) == 0) {
				cr_assert(memcmp(p, want ? want : zero, PAGE) == 0, "page %llu", (unsigned long long)(two[r].pfn + i));
				n++;
			}
		}
	return n;
}

static size_t count(const struct world *w, enum note_what what)
{
	size_t n = 0;

	for (size_t i = 0; i < w->notes.n; i++)
		n += w->notes.v[i].what == what;
	return n;
}

/* The n-th place of these bytes. */
static size_t place(const struct buf *b, const void *p, size_t len, unsigned n)
{
	for (size_t i = 0; i + len <= b->n; i++)
		if (memcmp(b->p + i, p, len) == 0 && n-- == 0)
			return i;
	cr_assert(false, "not there");
	return 0;
}

Test(hyperv, packings)
{
	for (unsigned how = 0; how < 4; how++)
		for (unsigned small = 0; small < 2; small++) {
			struct world w;

			make(&w, (struct mkvmrs){.packing = (enum mkvmrs_packing)how, .cr3 = 0x1ad000, .objects = small ? 3 : 0});
			open_it(&w);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			cr_assert_str_eq(w.d->format, "vmrs");
			cr_assert_eq(right_pages(&w), 1000);
			cr_assert_eq(phys_bytes(w.d->phys), 1000 * PAGE);
			cr_assert_eq(w.notes.n, 0, "%s", w.notes.n ? w.notes.v[0].detail : "");
			cr_assert_eq(w.d->hints.n_cpus, 1);
			cr_assert_eq(w.d->hints.cpus[0].cr3, 0x1ad000);
			cr_assert_eq(w.d->hints.machine, MACHINE_X64);
			close_it(&w);
			buf_free(&w.file);
		}
}

Test(hyperv, headers)
{
	struct world w;

	make(&w, (struct mkvmrs){.packing = MKVMRS_PAGES});
	memset(w.file.p, 0xee, 46); /* the older copy is lost: the other one is enough */
	open_it(&w);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(right_pages(&w), 1000);
	cr_assert_eq(w.notes.n, 0);
	close_it(&w);
	w.file.p[PAGE + 30] ^= 1; /* its checksum */
	open_it(&w);
	cr_assert_eq(w.rc, 0);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
	close_it(&w);
	put_le32(w.file.p + PAGE + 10, 0x100);
	open_it(&w);
	cr_assert_eq(w.rc, ERR_UNSUPPORTED);
	cr_assert_not_null(strstr(w.e.msg, "convert"));
	close_it(&w);
	buf_free(&w.file);
	make(&w, (struct mkvmrs){.packing = MKVMRS_PAGES}); /* a configuration: no memory */
	for (unsigned i = 0; i < 2; i++)
		w.file.p[place(&w.file, "RamMemoryBlock", 14, 0)] = 'x';
	open_it(&w);
	cr_assert_eq(w.rc, ERR_NOIMAGE);
	close_it(&w);
	put_le32(w.file.p + le64(w.file.p + 26) + 8, 3); /* changes in the log */
	open_it(&w);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
	close_it(&w);
	buf_free(&w.file);
}

Test(hyperv, damage)
{
	struct world w;
	size_t at;
	unsigned n;

	make(&w, (struct mkvmrs){.packing = MKVMRS_PAGES});
	at = place(&w.file, "RamBlock2", 10, 0); /* the block has no key: its pages are not there */
	w.file.p[at] = 'x';
	open_it(&w);
	cr_assert_eq(w.rc, 0);
	cr_assert_eq(right_pages(&w), 1000 - (700 - 512));
	cr_assert_eq(count(&w, NOTE_IMAGE_TRUNCATED), 1);
	close_it(&w);
	w.file.p[at] = 'R';
	at = (size_t)le64(w.file.p + at + 10 + 4); /* in the middle of the block: pages before it stay */
	memset(w.file.p + at + 3000, 0xff, 3000);
	open_it(&w);
	cr_assert_eq(w.rc, 0);
	n = right_pages(&w);
	cr_assert(n >= 1000 - (700 - 512) && n < 1000);
	dump_late_notes(w.d);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
	close_it(&w);
	buf_free(&w.file);
	make(&w, (struct mkvmrs){.packing = MKVMRS_TURNS});
	n = (unsigned)w.file.n;
	for (w.file.n = n; w.file.n > 300000; w.file.n -= 299993) { /* cut anywhere */
		open_it(&w);
		if (w.rc == 0)
			right_pages(&w);
		close_it(&w);
	}
	w.file.n = n;
	at = place(&w.file, "RamMemoryBlock1", 16, 0) + 16 + 4; /* ranges that lie over each other, and claim too much */
	put_le64(w.file.p + at + 24, 100);
	put_le64(w.file.p + at + 8, UINT64_C(1) << 39);
	open_it(&w);
	cr_assert_eq(w.rc, 0);
	cr_assert_eq(count(&w, NOTE_RUN_OVERLAP), 1);
	cr_assert_geq(right_pages(&w), 700);
	close_it(&w);
	buf_free(&w.file);
}

Test(hyperv, any_byte)
{
	struct world w;
	uint32_t x = 1;
	uint8_t p[PAGE];

	make(&w, (struct mkvmrs){.packing = MKVMRS_TURNS, .objects = 4});
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 20; k++) {
			x = x * 1664525 + 1013904223;
			w.file.p[(x >> 8) % (k % 2 ? w.file.n : 5 * PAGE)] = (uint8_t)(x >> 3);
		}
		put_le32(w.file.p, 0x01282014);
		open_it(&w);
		for (uint64_t at = 0; w.rc == 0 && at < 700; at += 50)
			phys_read(w.d->phys, at * PAGE, p, PAGE);
		close_it(&w);
	}
	buf_free(&w.file);
}
