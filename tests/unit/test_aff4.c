/* AFF4 volumes: every writer's form and packing gives the same memory; what is lost or damaged is a hole with a name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dumpfmt.h"
#include "libraries.h"
#include "mkaff4.h"
#include "rd.h"

TestSuite(aff4, .timeout = 60);

/* Two runs; in them pages of zeros, of ff, of noise, and of text. */
static const struct mkaff4_run runs[] = {{0, 40}, {0x100000, 24}};

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	static uint8_t p[MKAFF4_PAGE];
	uint64_t kind = pfn / 8 % 4;

	(void)ctx;
	if (kind == 1)
		return NULL;
	for (unsigned i = 0; i < MKAFF4_PAGE; i++) {
		uint64_t x = ((pfn << 12) + (i & ~3u)) * UINT64_C(0x9e3779b97f4a7c15);

		p[i] = kind == 2 ? 0xff : kind == 3 ? (uint8_t)(x >> (56 - i % 4 * 8)) : (uint8_t)((i >> 5) * (pfn + 1));
	}
	return p;
}

struct world {
	struct buf b;
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void make(struct world *w, const struct mkaff4 *shape)
{
	struct mkaff4 o = *shape;

	memset(w, 0, sizeof(*w));
	o.run = runs;
	o.n_runs = 2;
	o.page = page;
	o.pack = o.pack ? o.pack : "zlib";
	mkaff4_build(&w->b, &o);
	cr_assert(!w->b.failed);
	notes_init(&w->notes);
}

static void open_it(struct world *w)
{
	struct input *in;

	cr_assert_eq(input_open_memory(&in, w->b.p, w->b.n, "test.aff4", &w->e), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
}

static void end(struct world *w)
{
	if (w->rc == 0)
		dump_close(w->d);
	notes_free(&w->notes);
	buf_free(&w->b);
}

/* Pages of memory that differ from what they should be or are not there. */
static size_t lost_pages(const struct dump *d)
{
	static const uint8_t zeros[MKAFF4_PAGE];
	uint8_t got[MKAFF4_PAGE];
	size_t lost = 0;

	for (size_t r = 0; r < 2; r++)
		for (uint64_t i = 0; i < runs[r].pages; i++) {
			const uint8_t *want = page(NULL, runs[r].pfn + i);

			if (phys_read(d->phys, (runs[r].pfn + i) * MKAFF4_PAGE, got, MKAFF4_PAGE) < 0)
				lost++;
			else
				cr_expect_eq(memcmp(got, want ? want : zeros, MKAFF4_PAGE), 0, "page %#llx differs",
					     (unsigned long long)(runs[r].pfn + i));
		}
	return lost;
}

static bool told(const struct world *w, enum note_what what, const char *words)
{
	for (size_t i = 0; i < w->notes.n; i++)
		if (w->notes.v[i].what == what && strstr(w->notes.v[i].detail, words))
			return true;
	return false;
}

static bool built_in(const char *pack)
{
	return !(strcmp(pack, "lz4") == 0 && !LIB_LZ4) && !(strcmp(pack, "snappy") == 0 && !LIB_SNAPPY);
}

Test(aff4, every_form_and_packing)
{
	static const char *const packs[] = {"snappy", "lz4", "deflate", "zlib", "stored"};

	for (int form = 0; form < 4; form++)
		for (size_t i = 0; i < 5; i++)
			for (unsigned how = 0; how < 5; how++) {
				struct mkaff4 o = {.form = (enum mkaff4_form)form,
						   .pack = packs[i],
						   .per_segment = how == 1 ? 2 : 0,
						   .zip32 = how == 2,
						   .pack_members = how == 3,
						   .junk_before = how == 4,
						   .others = how == 1,
						   .cr3 = 0x1ad000,
						   .kernel_base = UINT64_C(0xfffff80012345000)};
				struct world w;
				struct phys_run r;

				if (!built_in(packs[i]) || o.junk_before)
					continue;
				make(&w, &o);
				open_it(&w);
				cr_assert_eq(w.rc, 0, "form %d, %s, %u: %s", form, packs[i], how, w.e.msg);
				cr_expect_eq(lost_pages(w.d), 0);
				cr_expect_eq(phys_n_runs(w.d->phys), 2);
				cr_expect(phys_run(w.d->phys, 1, &r) && r.pa == UINT64_C(0x100000000) && r.len == 24 * MKAFF4_PAGE);
				cr_expect_str_eq(w.d->format, "aff4");
				cr_expect_str_eq(w.d->compression, i == 4 ? "" : packs[i]);
				cr_expect_eq(w.d->hints.has_dtb && w.d->hints.dtb == 0x1ad000, form != MKAFF4_OLD);
				cr_expect_eq(w.d->hints.n_cpus, form == MKAFF4_WINPMEM || form == MKAFF4_WINPMEM2);
				cr_expect_eq(w.d->hints.has_kernel_base && w.d->hints.kernel_base == o.kernel_base, form != MKAFF4_OLD);
				cr_expect_eq(told(&w, NOTE_PAGE_MISSING, "could not be read"),
					     form == MKAFF4_STANDARD || form == MKAFF4_OLD);
				cr_expect_eq(w.notes.n, form == MKAFF4_STANDARD || form == MKAFF4_OLD ? 1 : 0);
				end(&w);
			}
}

/* The writer was stopped: no directory, perhaps no word on what is what. */
Test(aff4, without_a_directory)
{
	for (int form = 0; form < 4; form++)
		for (int words = 0; words < 2; words++) {
			struct mkaff4 o = {
				.form = (enum mkaff4_form)form, .no_directory = true, .leave_out = words ? NULL : "information.turtle"};
			struct world w;

			make(&w, &o);
			open_it(&w);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			cr_expect_eq(lost_pages(w.d), 0, "form %d", form);
			cr_expect(told(&w, NOTE_IMAGE_TRUNCATED, "no directory"));
			end(&w);
		}
}

/* WinPmem was stopped in the middle: no map yet, but the list of runs. */
Test(aff4, without_a_map)
{
	for (int form = MKAFF4_WINPMEM; form <= MKAFF4_WINPMEM2; form++) {
		struct mkaff4 o = {
			.form = (enum mkaff4_form)form, .no_directory = true, .leave_out = "information.turtle", .cr3 = 0x1ad000};
		struct world w;
		uint8_t *at;

		make(&w, &o);
		at = memmem(w.b.p, w.b.n, "PhysicalMemory/map", 18);
		cr_assert_not_null(at);
		w.b.n = (size_t)(at - w.b.p) - 30;
		open_it(&w);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_expect_eq(lost_pages(w.d), 0);
		cr_expect(told(&w, NOTE_CONTEXT_BAD, "taken from the list of runs"));
		cr_expect(w.d->hints.has_dtb && w.d->hints.dtb == 0x1ad000);
		end(&w);
	}
}

Test(aff4, cut_anywhere)
{
	struct mkaff4 o = {.form = MKAFF4_STANDARD, .pack = "stored", .per_segment = 2};
	struct world whole;

	make(&whole, &o);
	for (size_t n = 0; n < whole.b.n; n += 997) {
		struct world w;

		make(&w, &o);
		w.b.n = n;
		open_it(&w);
		if (w.rc == 0) {
			cr_expect(w.notes.n, "cut at %zu, and nothing is told", n);
			if (!told(&w, NOTE_CONTEXT_BAD, "where the bytes stand is not known"))
				lost_pages(w.d);
		} else {
			cr_expect(w.e.msg[0]);
		}
		end(&w);
	}
	whole.rc = -1;
	end(&whole);
}

Test(aff4, lost_members)
{
	static const struct {
		const char *name;
		size_t lost; /* of 64 pages; SIZE_MAX: no image is left */
	} members[] = {{"00000001", 16}, {"00000000.index", 16}, {"idx", 0}, {"container.description", 0}};

	for (size_t i = 0; i < 4; i++) {
		struct mkaff4 o = {.form = MKAFF4_WINPMEM, .per_segment = 2, .leave_out = members[i].name};
		struct world w;

		make(&w, &o);
		open_it(&w);
		if (strcmp(members[i].name, "idx") == 0) { /* what is left is no map of memory, but its bytes are there */
			cr_assert(w.rc == 0 || w.e.msg[0]);
		} else {
			cr_assert_eq(w.rc, 0, "%s: %s", members[i].name, w.e.msg);
			cr_expect_eq(lost_pages(w.d), members[i].lost, "%s: %zu", members[i].name, lost_pages(w.d));
			cr_expect(members[i].lost == 0 || w.notes.n);
		}
		end(&w);
	}
}

Test(aff4, a_damaged_chunk_is_named)
{
	struct mkaff4 o = {.form = MKAFF4_WINPMEM};
	struct world w;
	size_t notes;

	make(&w, &o);
	/* the first chunk stands behind the first two members' headers and the name of its bevy */
	for (size_t i = 0; i + 27 < w.b.n; i++)
		if (memcmp(w.b.p + i, "PhysicalMemory/data/00000000", 28) == 0) {
			memset(w.b.p + i + 28 + 20 + 4, 0xee, 20);
			break;
		}
	open_it(&w);
	cr_assert_eq(w.rc, 0);
	cr_expect_eq(lost_pages(w.d), 8);
	notes = w.notes.n;
	dump_late_notes(w.d);
	cr_expect_eq(w.notes.n, notes + 1);
	cr_expect(told(&w, NOTE_CONTEXT_BAD, "1 damaged chunks at offset 0"));
	end(&w);
}

/* A map that lies: pieces on top of each other, behind the end of their stream, of no target, beyond all memory. */
Test(aff4, a_map_that_lies)
{
	struct mkaff4 o = {.form = MKAFF4_STANDARD, .pack = "stored"};
	struct world w;
	size_t at = 0;

	make(&w, &o);
	for (size_t i = 0; i + 20 < w.b.n && !at; i++)
		if (memcmp(w.b.p + i, "map0/map", 8) == 0)
			at = i + 8 + 20;
	cr_assert(at);
	put_le64(w.b.p + at + 8, 0x10000);                            /* piece 0 reaches over piece 1 */
	put_le64(w.b.p + at + 2 * 28 + 16, UINT64_C(0x7fffffff0000)); /* behind its stream */
	put_le32(w.b.p + at + 3 * 28 + 24, 77);
	put_le64(w.b.p + at + 4 * 28, UINT64_C(1) << 60);
	open_it(&w);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_expect(told(&w, NOTE_RUN_OVERLAP, "1 pieces"));
	cr_expect(told(&w, NOTE_CONTEXT_BAD, "1 pieces of the map lead nowhere"));
	cr_expect(told(&w, NOTE_LIMIT_REACHED, "where no memory is"));
	end(&w);
}

static uint8_t *find(struct world *w, const char *what, size_t behind)
{
	uint8_t *at = memmem(w->b.p, w->b.n, what, strlen(what));

	cr_assert_not_null(at, "%s", what);
	return at + strlen(what) + behind;
}

/* One number of the first piece, the second, ... is another. No page stands in another's place, no more than its piece is lost, and it is told. */
Test(aff4, a_piece_that_lies)
{
	static const uint64_t lies[] = {0, 0x1000, UINT64_C(1) << 40, UINT64_C(1) << 52, UINT64_C(1) << 63, UINT64_MAX};
	static const char *const packs[] = {"stored", "zlib"};

	for (size_t form = 0; form < 2; form++)
		for (unsigned k = 0; k < 2; k++)
			for (unsigned field = 8; field <= 16; field += 8)
				for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
					struct mkaff4 o = {.form = MKAFF4_WINPMEM, .pack = packs[form]};
					struct world w;
					uint8_t *at;
					size_t lost;

					if (field == 16 && i < 2)
						continue; /* places in the stream that are there: nothing contradicts them */
					make(&w, &o);
					at = find(&w, "PhysicalMemory/map", 20) + k * 28;
					put_le64(at + field, lies[i]);
					open_it(&w);
					cr_assert_eq(w.rc, 0, "%s", w.e.msg);
					lost = lost_pages(w.d);
					cr_expect_leq(lost, 40, "piece %u, field %u, %zu: %zu lost", k, field, i, lost);
					cr_expect(field == 16 || i < 2 || lost == 0, "piece %u, %zu: %zu lost", k, i, lost);
					cr_expect(w.notes.n, "piece %u, field %u, %zu", k, field, i);
					end(&w);
				}
}

/* Numbers of the statements, of the same length. */
Test(aff4, statements_that_lie)
{
	static const char *const sizes[] = {"65536", "16384", "08192", "00001"};

	for (int form = MKAFF4_STANDARD; form <= MKAFF4_WINPMEM; form++) {
		for (size_t i = 0; i < 4; i++) {
			struct mkaff4 o = {.form = (enum mkaff4_form)form};
			struct world w;
			uint8_t *at;

			make(&w, &o);
			at = memmem(w.b.p, w.b.n, "32768", 5);
			cr_assert_not_null(at);
			while (at) {
				memcpy(at, sizes[i], 5);
				at = memmem(at, w.b.n - (size_t)(at - w.b.p), "32768", 5);
			}
			open_it(&w);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			cr_expect_eq(lost_pages(w.d), 0, "form %d, %s: %zu", form, sizes[i], lost_pages(w.d));
			cr_expect(told(&w, NOTE_CONTEXT_BAD, "are said to have"));
			end(&w);
		}
		for (unsigned digits = 1; digits < 5; digits++) {
			struct mkaff4 o = {.form = (enum mkaff4_form)form};
			struct world w;
			uint8_t *at, *stop;

			make(&w, &o);
			at = find(&w, form == MKAFF4_STANDARD ? "ImageStream" : "aff4:ImageStream", 0);
			at = memmem(at, w.b.n - (size_t)(at - w.b.p), ":size \"", 7);
			cr_assert_not_null(at);
			at += 7;
			stop = memchr(at, '"', 24);
			cr_assert_not_null(stop);
			memset(at, '0', (size_t)(stop - at));
			stop[-1 - (int)digits] = '1';
			open_it(&w);
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
			cr_expect_eq(lost_pages(w.d), 0, "form %d, %u: %zu", form, digits, lost_pages(w.d));
			cr_expect(told(&w, NOTE_CONTEXT_BAD, "all are read"));
			end(&w);
		}
	}
}

/* Four bytes of any member's own header, and the size of the description. */
Test(aff4, headers_that_lie)
{
	struct mkaff4 o = {.form = MKAFF4_WINPMEM, .per_segment = 2};
	static const uint8_t lengths[] = {0x00, 0x10, 0x2a, 0x2c, 0xff};
	struct world whole;

	make(&whole, &o);
	for (size_t i = 0; i + 30 < whole.b.n; i++) {
		if (!i || le32(whole.b.p + i) != 0x04034b50) /* by the first signature the file is told */
			continue;
		for (unsigned k = 0; k < 30; k += 4) {
			struct world w;

			make(&w, &o);
			memset(w.b.p + i + k, 'X', k == 28 ? 2 : 4);
			open_it(&w);
			cr_assert_eq(w.rc, 0, "%zu+%u: %s", i, k, w.e.msg);
			cr_expect_eq(lost_pages(w.d), 0, "%zu+%u: %zu", i, k, lost_pages(w.d));
			end(&w);
		}
	}
	for (size_t i = 0; i < sizeof(lengths); i++) {
		struct mkaff4 narrow = {.form = MKAFF4_WINPMEM, .zip32 = true};
		struct world w;
		uint8_t *at, *last = NULL;

		make(&w, &narrow);
		at = w.b.p;
		while ((at = memmem(at, w.b.n - (size_t)(at - w.b.p), "container.description", 21)))
			last = at++;
		cr_assert_not_null(last);
		last[-46 + 20] = last[-46 + 24] = lengths[i];
		open_it(&w);
		cr_assert_eq(w.rc, 0, "%u: %s", lengths[i], w.e.msg);
		cr_expect_eq(lost_pages(w.d), 0, "%u: %zu", lengths[i], lost_pages(w.d));
		end(&w);
	}
	whole.rc = -1;
	end(&whole);
}

Test(aff4, an_archive_that_is_none_of_ours)
{
	struct world w = {0};
	struct input *in;

	notes_init(&w.notes);
	buf_put(&w.b, "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0\4\0\0\0\5\0\0\0a.txttext", 39);
	cr_assert_eq(input_open_memory(&in, w.b.p, w.b.n, "a.zip", &w.e), 0);
	w.rc = dump_open_input(&w.d, in, NULL, &w.notes, &w.e);
	cr_expect_eq(w.rc, ERR_NOIMAGE);
	cr_expect(strstr(w.e.msg, "a ZIP archive: unpack it first"), "%s", w.e.msg);
	end(&w);
}

/* One image in two volumes: whichever is given, the other one is found in the folder by what is in it. */
Test(aff4, two_volumes)
{
	char dir[] = "/tmp/etlift-aff4-XXXXXX", path[3][64];

	cr_assert_not_null(mkdtemp(dir));
	for (unsigned i = 1; i <= 2; i++) {
		struct mkaff4 o = {.form = MKAFF4_STANDARD, .part = i};
		struct world w;
		FILE *f;

		snprintf(path[i], sizeof(path[i]), "%s/m_%u.aff4", dir, i);
		make(&w, &o);
		f = fopen(path[i], "wb");
		cr_assert(f && fwrite(w.b.p, 1, w.b.n, f) == w.b.n && fclose(f) == 0);
		w.rc = -1;
		end(&w);
	}
	for (unsigned i = 1; i <= 2; i++) {
		struct world w = {0};

		notes_init(&w.notes);
		w.rc = dump_open(&w.d, path[i], NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_expect_eq(lost_pages(w.d), 0);
		cr_expect_eq(w.d->n_segments, 2);
		end(&w);
	}
	unlink(path[2]);
	{
		struct world w = {0};

		notes_init(&w.notes);
		w.rc = dump_open(&w.d, path[1], NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_expect_eq(lost_pages(w.d), 8);
		cr_expect(told(&w, NOTE_IMAGE_TRUNCATED, "not in the volumes"));
		end(&w);
	}
	unlink(path[1]);
	rmdir(dir);
}

static uint8_t tight[MKAFF4_CHUNK];

static const uint8_t *tight_page(void *ctx, uint64_t pfn)
{
	(void)ctx;
	return tight + pfn % (MKAFF4_CHUNK / MKAFF4_PAGE) * MKAFF4_PAGE;
}

/* Noise that packed takes just as many bytes as it has. Writers that pack everything leave it packed, others store it: its checksum tells which. */
Test(aff4, packed_to_the_size_it_had)
{
	static const struct mkaff4_run one = {0, 40};
	uint64_t x = 88172645463325252u;
	size_t n;

	for (size_t i = 0; i < sizeof(tight); i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		tight[i] = (uint8_t)(x >> 32);
	}
	for (n = 0; n < sizeof(tight) && mkaff4_packed("zlib", tight) != MKAFF4_CHUNK; n++)
		tight[sizeof(tight) - 1 - n] = 0;
	cr_assert_lt(n, sizeof(tight), "noise that ends in zeros packs to any size");
	for (int form = MKAFF4_WINPMEM; form <= MKAFF4_WINPMEM2; form++) {
		const struct mkaff4 o = {.form = (enum mkaff4_form)form, .run = &one, .n_runs = 1, .page = tight_page, .pack = "zlib"};
		uint8_t got[MKAFF4_CHUNK];
		struct world w = {0};

		mkaff4_build(&w.b, &o);
		cr_assert(!w.b.failed);
		notes_init(&w.notes);
		open_it(&w);
		cr_assert_eq(w.rc, 0, "form %d: %s", form, w.e.msg);
		cr_assert_eq(phys_read(w.d->phys, 0, got, sizeof(got)), 0, "form %d", form);
		cr_expect_eq(memcmp(got, tight, sizeof(got)), 0, "form %d", form);
		end(&w);
	}
}
