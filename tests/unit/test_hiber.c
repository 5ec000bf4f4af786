/* hiberfil.sys: every header that is known, both kinds of packing; what is damaged is named, and what is left is right. The contents of a page tell its
 * number, so a page in another's place is seen. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"
#include "mkhiber.h"
#include "rd.h"

TestSuite(hiber, .timeout = 120);

#define PAGE  4096u
#define PAGES 700u

/* Text that packs, bytes that don't. */
static const uint8_t *page(void *ctx, uint64_t pfn)
{
	static uint8_t p[PAGE];
	uint32_t x = (uint32_t)pfn * 2654435761u + 1;

	(void)ctx;
	for (size_t i = 0; i < PAGE; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = pfn % 5 == 4 ? (uint8_t)(x >> 24) : (uint8_t) "page of memory; "[(i + (x >> 31)) % 16];
	}
	put_le64(p, pfn);
	return p;
}

static uint64_t numbers[PAGES];

/* Runs of different lengths, some above 4 GiB. */
static const uint64_t *list(void)
{
	uint64_t pfn = 1;

	for (size_t i = 0; i < PAGES; i++) {
		numbers[i] = pfn;
		pfn += i % 7 == 0 ? 3 : i % 41 == 40 ? 0x10000 : 1;
	}
	return numbers;
}

struct world {
	struct buf file;
	struct mkhiber_map map;
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void make(struct world *w, struct mkhiber o)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->file);
	notes_init(&w->notes);
	if (!o.pfn) {
		o.pfn = list();
		o.n = PAGES;
		o.n_boot = o.n_boot ? o.n_boot : PAGES / 3;
	}
	o.page = page;
	mkhiber_build(&w->file, &o, &w->map);
}

static void open_it(struct world *w, size_t n)
{
	struct input *in;

	cr_assert_eq(input_open_memory(&in, w->file.p, n, "hiberfil.sys", NULL), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
}

static void close_it(struct world *w)
{
	dump_close(w->d);
	w->d = NULL;
	notes_free(&w->notes);
	notes_init(&w->notes);
}

static void end(struct world *w)
{
	close_it(w);
	notes_free(&w->notes);
	buf_free(&w->file);
}

/* Pages that can be read; each is what it should be. */
static unsigned right_pages(const struct world *w)
{
	unsigned n = 0;
	uint8_t p[PAGE];

	for (size_t i = 0; i < PAGES; i++)
		if (phys_read(w->d->phys, numbers[i] * PAGE, p, PAGE) == 0) {
			cr_assert(memcmp(p, page(NULL, numbers[i]), PAGE) == 0, "page %zu", i);
			n++;
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

static const uint32_t lengths[] = {0x360, 0x3b0, 0x3c8, 0x3d8, 0x3e0, 0x448, 0x4d8, 0x2c8, 0x310,
				   0x328, 0x338, 0x340, 0x128, 0xe0,  0x138, 0x140, 0xf0};
#define N_LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static bool is_old(uint32_t length)
{
	return length < 0x200;
}

Test(hiber, every_windows)
{
	for (size_t i = 0; i < N_LENGTHS; i++)
		for (unsigned how = 0; how < 4; how++) {
			struct world w;

			make(&w, (struct mkhiber){.length = lengths[i], .packing = (enum mkhiber_packing)how, .cr3 = 0x1ad000});
			open_it(&w, w.file.n);
			cr_assert_eq(w.rc, 0, "%x: %s", lengths[i], w.e.msg);
			cr_assert_str_eq(w.d->format, is_old(lengths[i]) ? "hiberfil7" : "hiberfil");
			cr_assert_eq(right_pages(&w), PAGES, "%x", lengths[i]);
			cr_assert_eq(phys_bytes(w.d->phys), PAGES * PAGE);
			cr_assert_eq(w.notes.n, 0, "%x: %s", lengths[i], w.notes.n ? w.notes.v[0].detail : "");
			cr_assert_str_empty(w.d->advice);
			if (lengths[i] == 0x128) {
				cr_assert_eq(w.d->hints.n_cpus, 1);
				cr_assert_eq(w.d->hints.cpus[0].cr3, 0x1ad000);
			}
			end(&w);
		}
}

Test(hiber, letters)
{
	static const struct {
		const char *magic;
		bool advice;
	} all[] = {{"hibr", false}, {"HIBR", false}, {"RSTR", true}, {"rstr", true}, {"wake", true}, {"WAKE", true}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = 0x3e0, .packing = MKHIBER_MIXED, .magic = all[i].magic});
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0);
		cr_assert_eq(right_pages(&w), PAGES);
		cr_assert_eq(w.d->advice[0] != 0, all[i].advice);
		end(&w);
	}
}

/* Windows wipes the first page, or all, when it has resumed. */
Test(hiber, wiped)
{
	for (size_t i = 0; i < N_LENGTHS; i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = lengths[i], .packing = MKHIBER_MIXED});
		memset(w.file.p, 0, PAGE);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%x: %s", lengths[i], w.e.msg);
		cr_assert_eq(right_pages(&w), PAGES, "%x", lengths[i]);
		cr_assert_not_null(strstr(w.d->advice, "wiped"));
		end(&w);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = 0x3e0, .magic = i ? "HIBR" : "WAKE"});
		memset(w.file.p + PAGE, 0, w.file.n - PAGE);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, i ? ERR_TRUNC : ERR_NOIMAGE, "%s", w.e.msg);
		cr_assert_not_null(strstr(w.e.msg, i ? "no compression set" : "wiped"));
		end(&w);
	}
}

/* Raw memory that begins with a page of zeros is no hibernation file. */
Test(hiber, raw_stays_raw)
{
	struct world w;

	make(&w, (struct mkhiber){.length = 0x3e0});
	for (size_t i = 0; i < w.file.n; i++)
		w.file.p[i] = i < PAGE ? 0 : (uint8_t)(i * 2654435761u >> 13);
	open_it(&w, w.file.n);
	cr_assert_eq(w.rc, 0);
	cr_assert_str_eq(w.d->format, "raw");
	end(&w);
}

Test(hiber, cut)
{
	static const uint32_t some[] = {0x3e0, 0x340, 0x128, 0xf0};

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		struct world w;
		unsigned last = PAGES;

		make(&w, (struct mkhiber){.length = some[i], .packing = MKHIBER_MIXED});
		for (size_t n = w.file.n - 1; n > 8 * PAGE; n -= 19997) {
			open_it(&w, n);
			if (w.rc == 0) {
				unsigned now = right_pages(&w);

				cr_assert_leq(now, last);
				cr_assert_geq(now + 500, last); /* a step is no more than a few sets */
				cr_assert(now == PAGES || count(&w, NOTE_IMAGE_TRUNCATED));
				last = now;
			}
			close_it(&w);
		}
		cr_assert_lt(last, PAGES / 4);
		end(&w);
	}
}

/* One set's or block's beginning is overwritten: no more than it is lost, and nothing stands in another's place. */
Test(hiber, damaged_sets)
{
	static const uint32_t some[] = {0x3e0, 0x2c8, 0x128, 0xe0, 0x140};

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = some[i], .packing = MKHIBER_MIXED, .table_pages = 40});
		cr_assert_gt(w.map.n, 40);
		for (size_t k = 0; k < w.map.n; k += 3)
			for (unsigned two = 0; two < 2 && k + two < w.map.n; two++) {
				uint8_t saved[2][12];

				for (unsigned t = 0; t <= two; t++) {
					memcpy(saved[t], w.file.p + w.map.at[k + t], 12);
					memset(w.file.p + w.map.at[k + t], 0xee, 12);
				}
				open_it(&w, w.file.n);
				cr_assert_eq(w.rc, 0, "%x %zu: %s", some[i], k, w.e.msg);
				/* the first block behind a table, and the last set of a row, can take others with them: see docs */
				cr_assert_geq(right_pages(&w), PAGES - 16 * (2 + two), "%x set %zu", some[i], k);
				cr_assert(w.notes.n);
				close_it(&w);
				for (unsigned t = 0; t <= two; t++)
					memcpy(w.file.p + w.map.at[k + t], saved[t], 12);
			}
		end(&w);
	}
}

/* Bytes inside of sets: what does not unpack is not there, and is told once all is read. */
Test(hiber, damaged_bytes)
{
	struct world w;
	unsigned n;

	make(&w, (struct mkhiber){.length = 0x4d8, .packing = MKHIBER_HUFF});
	memset(w.file.p + w.map.at[5] + 200, 0xff, 40); /* the table of code lengths */
	open_it(&w, w.file.n);
	cr_assert_eq(w.rc, 0);
	n = right_pages(&w);
	cr_assert(n < PAGES && n >= PAGES - 16);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 0);
	dump_late_notes(w.d);
	dump_late_notes(w.d);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
	end(&w);
}

Test(hiber, counts_that_lie)
{
	static const uint64_t lies[] = {0, 1, UINT64_MAX, 1 << 20};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = 0x3e0, .packing = MKHIBER_PLAIN});
		put_le64(w.file.p + 0x58, lies[i]);
		put_le64(w.file.p + 0x230, lies[i]);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_geq(right_pages(&w), PAGES);
		cr_assert(w.notes.n);
		put_le64(w.file.p + 0x70, UINT64_MAX); /* where the kernel's sets begin */
		close_it(&w);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0);
		cr_assert_geq(right_pages(&w), 16);
		end(&w);
	}
}

/* Counts that are too small, one at a time: the sets behind are read, and that is told. */
Test(hiber, counts_too_small)
{
	static const uint32_t some[] = {0x3e0, 0x448, 0x360};

	for (size_t i = 0; i < 3; i++) {
		const uint16_t counts[] = {0x58, some[i] == 0x360 ? 0x1c8 : 0x230};

		for (uint64_t lie = 0; lie < 48; lie += lie ? 15 : 1)
			for (unsigned k = 0; k < 2; k++) {
				struct world w;

				make(&w, (struct mkhiber){.length = some[i], .packing = MKHIBER_MIXED});
				put_le64(w.file.p + counts[k], lie);
				open_it(&w, w.file.n);
				cr_assert_eq(w.rc, 0, "%s", w.e.msg);
				cr_assert_eq(right_pages(&w), PAGES, "%x at %x: %u", some[i], counts[k], (unsigned)lie);
				cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
				end(&w);
			}
	}
}

/* A header of a Windows to come. */
Test(hiber, unknown_length)
{
	struct world w;

	make(&w, (struct mkhiber){.length = 0x448, .packing = MKHIBER_MIXED});
	put_le32(w.file.p + 0xc, 0x520);
	open_it(&w, w.file.n);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(right_pages(&w), PAGES);
	cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1);
	end(&w);
}

/* A length of another Windows, of 32 bits even: the sets tell. */
Test(hiber, length_of_another_windows)
{
	static const uint32_t lengths[] = {0x340, 0x338, 0x2c8, 0x360};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct world w;

		make(&w, (struct mkhiber){.length = 0x448, .packing = MKHIBER_MIXED});
		put_le32(w.file.p + 0xc, lengths[i]);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%x: %s", lengths[i], w.e.msg);
		cr_assert_eq(right_pages(&w), PAGES, "%x", lengths[i]);
		cr_assert_eq(count(&w, NOTE_CONTEXT_BAD), 1, "%x", lengths[i]);
		end(&w);
	}
}

static const uint8_t *other_page(void *ctx, uint64_t pfn)
{
	unsigned *calls = ctx;
	static uint8_t p[PAGE];

	memset(p, ++*calls > 40 ? 2 : 1, PAGE);
	(void)pfn;
	return p;
}

/* Of method 1 the sources disagree: the bytes tell. */
Test(hiber, method_one)
{
	for (unsigned how = 0; how < 2; how++) {
		struct world w;

		make(&w, (struct mkhiber){.length = 0x3e0, .packing = (enum mkhiber_packing)how, .method_one = true});
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(right_pages(&w), PAGES);
		end(&w);
	}
}

/* The same pages in the boot loader's row and in the kernel's, in another order: the kernel's count. */
Test(hiber, twice)
{
	uint64_t pfn[80];
	unsigned calls = 0;
	struct mkhiber o = {.length = 0x3e0, .pfn = pfn, .n = 80, .n_boot = 40, .page = other_page, .ctx = &calls};
	struct world w = {0};
	uint8_t p[PAGE];

	for (unsigned i = 0; i < 80; i++)
		pfn[i] = i < 40 ? 100 + i : 100 + 79 - i + (i > 70);
	buf_init(&w.file);
	notes_init(&w.notes);
	mkhiber_build(&w.file, &o, NULL);
	open_it(&w, w.file.n);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	for (unsigned i = 0; i < 40; i++) {
		cr_assert_eq(phys_read(w.d->phys, (100 + i) * PAGE, p, PAGE), 0);
		cr_assert_eq(p[0], i == 0 ? 1 : 2, "page %u", i);
	}
	cr_assert_eq(count(&w, NOTE_RUN_OVERLAP), 1);
	end(&w);
}

/* Tables that lead back, to themselves, and nowhere. */
Test(hiber, table_links)
{
	for (unsigned how = 0; how < 3; how++) {
		struct world w;
		uint64_t to;

		make(&w, (struct mkhiber){.length = 0x128, .packing = MKHIBER_PLAIN, .table_pages = 30});
		cr_assert_gt(w.map.n_tables, 3);
		to = how == 0 ? w.map.table[1] / PAGE : how == 1 ? w.map.table[0] / PAGE : 0x123456789;
		put_le64(w.file.p + w.map.table[1], to);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_geq(right_pages(&w), 60);
		end(&w);
	}
}

/* A table that is damaged as a whole, or its count, or the link to it: it costs its own pages, those behind it are found by their form. */
Test(hiber, tables_behind_damage)
{
	for (unsigned how = 0; how < 7; how++) {
		struct world w;
		uint8_t *table;

		make(&w, (struct mkhiber){.length = 0x128, .packing = MKHIBER_MIXED, .table_pages = 30});
		cr_assert_gt(w.map.n_tables, 3);
		table = w.file.p + w.map.table[1];
		if (how == 0)
			memset(table, 0, PAGE);
		else if (how == 1)
			memset(table, 0xff, PAGE);
		else if (how < 4)
			put_le32(table + 8, how == 2 ? 0 : 0xffffffff);
		else
			put_le64(table, how == 4 ? UINT64_C(1) << 63 : how == 5 ? w.map.table[1] / PAGE : 0);
		open_it(&w, w.file.n);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_geq(right_pages(&w), how < 4 ? PAGES - 30 * 8 : PAGES, "%u: %u", how, right_pages(&w));
		cr_assert_eq(count(&w, NOTE_LIST_BROKEN), 1, "%u", how);
		end(&w);
	}
}

/* A range of more pages than there is room for, and a block that is damaged: found by fuzzing. */
Test(hiber, range_that_lies)
{
	struct world w;
	size_t table;

	make(&w, (struct mkhiber){.length = 0x128, .packing = MKHIBER_PLAIN, .table_pages = 30});
	table = w.map.table[1];
	put_le64(w.file.p + table + 0x10 + 29 * 16 + 8, UINT64_C(1) << 39);
	memset(w.file.p + table + PAGE, 0xee, 12);
	open_it(&w, w.file.n);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert(w.notes.n);
	cr_assert_geq(right_pages(&w), 60);
	end(&w);
}

/* One number of a table's ranges is another: the blocks hold so many pages as before. No page stands in another's place, it is told, and of the other
 * tables nothing is lost. */
Test(hiber, ranges_against_blocks)
{
	static const int64_t lies[] = {-1, 1, 2, -2, 5, 16, -16, 40, 0x10000, INT64_C(1) << 39, -(INT64_C(1) << 39)};
	static const uint32_t some[] = {0x128, 0xe0};
	unsigned mended = 0;

	for (size_t n = 0; n < 2; n++) {
		struct world w;
		size_t width = n ? 4 : 8, ranges = n ? 8 : 16;

		make(&w, (struct mkhiber){.length = some[n], .packing = MKHIBER_MIXED, .table_pages = 30});
		cr_assert_gt(w.map.n_tables, 3);
		for (size_t t = 0; t < 3; t += 2)
			for (size_t k = t; k < 2 * 30; k += 7)
				for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
					uint8_t *at = w.file.p + w.map.table[t] + ranges + k * width, saved[8];
					uint64_t was = n ? le32(at) : le64(at);
					unsigned right;

					memcpy(saved, at, width);
					n ? put_le32(at, (uint32_t)(was + (uint64_t)lies[i])) : put_le64(at, was + (uint64_t)lies[i]);
					if (memcmp(saved, at, width) == 0)
						continue;
					open_it(&w, w.file.n);
					cr_assert_eq(w.rc, 0, "%s", w.e.msg);
					cr_assert(w.notes.n, "table %zu, number %zu, %d", t, k, (int)lies[i]);
					right = right_pages(&w);
					cr_assert_geq(right, PAGES - 30 * 8, "table %zu, number %zu, %d: %u", t, k, (int)lies[i], right);
					mended += right == PAGES;
					close_it(&w);
					memcpy(at, saved, width);
				}
		end(&w);
	}
	cr_assert_gt(mended, 20);
}

Test(hiber, any_byte)
{
	static const uint32_t some[] = {0x3e0, 0x2c8, 0x128, 0x140};
	uint32_t x = 1;
	struct world w;

	for (size_t i = 0; i < 4 * 300; i++) {
		if (i % 300 == 0)
			make(&w, (struct mkhiber){.length = some[i / 300], .packing = MKHIBER_MIXED});
		for (unsigned k = 0; k < 5; k++) {
			x = x * 1664525 + 1013904223;
			w.file.p[(x >> 8) % (k ? w.file.n : 0x500)] = (uint8_t)(x >> 3);
		}
		open_it(&w, w.file.n);
		if (w.rc == 0) {
			uint8_t p[PAGE];

			for (size_t n = 0; n < PAGES; n += 50)
				phys_read(w.d->phys, numbers[n] * PAGE, p, PAGE);
			dump_late_notes(w.d);
		}
		close_it(&w);
		if (i % 300 == 299)
			end(&w);
	}
}
