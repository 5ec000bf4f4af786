/* kdump: what is cut or lost is named, and no page stands in another's place, whichever piece of a flattened one is missing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dumpfmt.h"
#include "rd.h"

TestSuite(kdump, .timeout = 60);

#define PAGE   4096u
#define BLOCKS 3u  /* of each bitmap */
#define STEP   97u /* every so many frames there is a page */
#define FRAMES (BLOCKS * PAGE * 8)
#define PAGES  ((FRAMES + STEP - 1) / STEP)
#define FIRST  2u /* blocks: the first bitmap, the second, the descriptors */
#define SECOND (FIRST + BLOCKS)
#define TABLE  (FIRST + 2 * BLOCKS)
#define DATA   (TABLE * (size_t)PAGE + PAGES * (size_t)24)

static void fill(uint8_t *p, uint32_t pfn)
{
	for (unsigned i = 0; i < PAGE; i += 4)
		put_le32(p + i, pfn * 31 + i / 512);
}

/* Pages are stored as they are; `more`: the first bitmap knows of a page that is not in the file. */
static void make(struct buf *b, bool more)
{
	uint8_t *p = calloc(1, DATA + PAGES * (size_t)PAGE);

	cr_assert(p);
	memcpy(p, "KDUMP   ", 8);
	put_le32(p + 8, 6);
	put_le32(p + 0x1ac, PAGE);
	put_le32(p + 0x1b0, 1);
	put_le32(p + 0x1b4, 2 * BLOCKS);
	put_le32(p + 0x1b8, FRAMES);
	put_le64(p + PAGE + 96, FRAMES);
	for (uint32_t i = 0; i < PAGES; i++) {
		uint32_t pfn = i * STEP;
		uint8_t *d = p + TABLE * PAGE + i * (size_t)24;

		p[FIRST * PAGE + pfn / 8] |= (uint8_t)(1u << pfn % 8);
		p[SECOND * PAGE + pfn / 8] |= (uint8_t)(1u << pfn % 8);
		put_le64(d, DATA + i * (uint64_t)PAGE);
		put_le32(d + 8, PAGE);
		fill(p + DATA + i * (size_t)PAGE, pfn);
	}
	if (more)
		p[FIRST * PAGE + PAGE + 1] |= 1;
	buf_init(b);
	buf_put(b, p, DATA + PAGES * (size_t)PAGE);
	free(p);
}

static void put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Pieces of a block; those of `lost` (n blocks) are not there. */
static void flatten(struct buf *out, const struct buf *b, const size_t *lost, size_t n)
{
	uint8_t h[PAGE] = "makedumpfile";

	put_be64(h + 16, 1);
	put_be64(h + 24, 1);
	buf_init(out);
	buf_put(out, h, sizeof(h));
	for (size_t at = 0; at < b->n; at += PAGE) {
		size_t len = b->n - at < PAGE ? b->n - at : PAGE;
		bool gone = false;

		for (size_t i = 0; i < n; i++)
			gone = gone || lost[i] * PAGE == at;
		put_be64(h, at);
		put_be64(h + 8, len);
		if (!gone) {
			buf_put(out, h, 16);
			buf_put(out, b->p + at, len);
		}
	}
	memset(h, 0xff, 16);
	buf_put(out, h, 16);
}

struct world {
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
	unsigned right, unread;
	size_t told;    /* notes */
	uint64_t named; /* pages in notes */
};

static bool late;

/* Opens it, and reads all there is: every page must be the one that belongs there. */
static void read_it(struct world *w)
{
	struct phys_run r;

	w->told = w->notes.n;
	for (size_t i = 0; i < w->notes.n; i++) {
		cr_assert(late || w->notes.v[i].what == NOTE_IMAGE_TRUNCATED);
		w->named += w->notes.v[i].bytes / PAGE;
	}
	for (size_t i = 0; w->rc == 0 && phys_run(w->d->phys, i, &r); i++)
		for (uint64_t pa = r.pa; pa < r.pa + r.len; pa += PAGE) {
			uint8_t got[PAGE], want[PAGE];

			cr_assert_eq(pa / PAGE % STEP, 0, "a page at %llx", (unsigned long long)pa);
			fill(want, (uint32_t)(pa / PAGE));
			if (late && phys_read(w->d->phys, pa, got, PAGE) < 0) {
				w->unread++;
				continue;
			}
			cr_assert_eq(phys_read(w->d->phys, pa, got, PAGE), 0, "what is offered can be read");
			cr_assert_eq(memcmp(got, want, PAGE), 0, "another page at %llx", (unsigned long long)pa);
			w->right++;
		}
}

static void open_it(struct world *w, const void *p, size_t n)
{
	struct input *in;

	memset(w, 0, sizeof(*w));
	notes_init(&w->notes);
	cr_assert_eq(input_open_memory(&in, p, n, "image", NULL), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
	read_it(w);
}

static void end(struct world *w)
{
	if (w->rc == 0)
		dump_close(w->d);
	notes_free(&w->notes);
}

static void open_without(struct world *w, bool more, const size_t *lost, size_t n)
{
	struct buf b, flat;

	make(&b, more);
	flatten(&flat, &b, lost, n);
	open_it(w, flat.p, flat.n);
	end(w); /* everything that a test asks for was counted */
	buf_free(&flat);
	buf_free(&b);
}

static unsigned pages_before(size_t block_of_bitmap)
{
	return (unsigned)((block_of_bitmap * PAGE * 8 + STEP - 1) / STEP);
}

Test(kdump, whole)
{
	struct world w;
	struct buf b;

	make(&b, true);
	open_it(&w, b.p, b.n);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(w.right, PAGES);
	cr_assert_eq(w.notes.n, 0);
	end(&w);
	buf_free(&b);
	open_without(&w, true, NULL, 0);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(w.right, PAGES);
	cr_assert_eq(w.told, 0);
}

Test(kdump, cut)
{
	static const size_t gone[] = {1, 3 * PAGE, 300 * PAGE, (PAGES - 1) * (size_t)PAGE, PAGES * (size_t)PAGE + 50 * 24};
	struct world w;
	struct buf b;

	make(&b, false);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		unsigned lost = i == 4 ? PAGES : (unsigned)((gone[i] + PAGE - 1) / PAGE);

		open_it(&w, b.p, b.n - gone[i]);
		if (i < 4)
			cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.right, PAGES - lost, "%u pages of %u, without %zu bytes", w.right, PAGES, gone[i]);
		cr_assert_eq(w.named, lost, "%llu named, %u lost", (unsigned long long)w.named, lost);
		end(&w);
	}
	buf_free(&b);
}

Test(kdump, bitmap_piece_lost)
{
	struct world w;

	for (size_t k = 0; k < BLOCKS; k++) { /* the first bitmap says the same: by the number of descriptors */
		open_without(&w, false, (size_t[]){SECOND + k}, 1);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.right, PAGES, "block %zu: %u", k, w.right);
		cr_assert_eq(w.told, 1);
		open_without(&w, true, (size_t[]){SECOND + k}, 1);
		cr_assert_eq(w.right + w.named, PAGES, "block %zu: %u right, %llu named", k, w.right, (unsigned long long)w.named);
		cr_assert_eq(w.named, k == 1 ? pages_before(2) - pages_before(1) : 0);
		open_without(&w, false, (size_t[]){SECOND + k, FIRST + k}, 2);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.named, pages_before(k + 1) - pages_before(k));
		cr_assert_eq(w.right, PAGES - w.named);
	}
	open_without(&w, false, (size_t[]){FIRST + 1, SECOND + 0, SECOND + 1}, 3);
	cr_assert_eq(w.right, PAGES - pages_before(2));
	cr_assert_eq(w.named, pages_before(2));
}

/* With a piece of the descriptors gone too, how many there are is not known: what is behind the gap has no index. */
Test(kdump, bitmap_and_descriptors_lost)
{
	struct world w;

	open_without(&w, false, (size_t[]){SECOND + 1, TABLE + 4}, 2);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(w.right, pages_before(1));
	cr_assert_geq(w.told, 1);
}

Test(kdump, descriptors_or_data_lost)
{
	struct world w;

	open_without(&w, false, (size_t[]){TABLE + 1}, 1);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(w.right + w.named, PAGES);
	cr_assert(w.named >= PAGE / 24 && w.named <= PAGE / 24 + 2, "%llu", (unsigned long long)w.named);
	open_without(&w, false, (size_t[]){DATA / PAGE + 10, DATA / PAGE + 20}, 2);
	cr_assert_eq(w.right + w.named, PAGES);
	cr_assert_eq(w.named, DATA % PAGE ? 4 : 2);
}

Test(kdump, header_lost)
{
	struct world w;

	open_without(&w, false, (size_t[]){0}, 1);
	cr_assert_eq(w.rc, ERR_TRUNC);
}

/* makedumpfile -R fills a lost piece with zeros. */
static void open_zeroed(struct world *w, bool more, const size_t *lost, size_t n)
{
	struct buf b;

	make(&b, more);
	put_le32(b.p + 0x1a8, 1); /* its writer packs pages, though it didn't pack these */
	for (size_t i = 0; i < n; i++)
		memset(b.p + lost[i] * PAGE, 0, PAGE);
	open_it(w, b.p, b.n);
	if (w->rc == 0)
		dump_late_notes(w->d);
	w->told = w->notes.n;
	end(w);
	buf_free(&b);
}

Test(kdump, rearranged_with_zeros)
{
	struct world w;

	for (size_t k = 0; k < BLOCKS; k++) { /* as if the gap were known */
		open_zeroed(&w, false, (size_t[]){SECOND + k}, 1);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.right, PAGES, "block %zu: %u", k, w.right);
		cr_assert_eq(w.told, 1);
		open_zeroed(&w, true, (size_t[]){SECOND + k}, 1);
		cr_assert_eq(w.right + w.named, PAGES, "block %zu: %u right, %llu named", k, w.right, (unsigned long long)w.named);
		open_zeroed(&w, false, (size_t[]){SECOND + k, FIRST + k}, 2);
		cr_assert_eq(w.named, pages_before(k + 1) - pages_before(k), "block %zu: %llu named", k, (unsigned long long)w.named);
		cr_assert_eq(w.right, PAGES - w.named);
	}
	open_zeroed(&w, false, (size_t[]){FIRST + 1}, 1); /* nobody needs it */
	cr_assert(w.right == PAGES && w.told == 0);
	late = true;
	open_zeroed(&w, false, (size_t[]){TABLE + 1}, 1);
	cr_assert(w.right >= PAGES - PAGE / 24 - 2 && w.right < PAGES && w.told == 1, "%u, %zu", w.right, w.told);
	late = false;
}

/* A writer that packs pages stores no page of zeros as it is: it is a piece that was lost. */
Test(kdump, zeros_for_a_page)
{
	uint8_t got[PAGE];
	struct input *in;
	struct world w;
	struct buf b;

	late = true;
	make(&b, false);
	put_le32(b.p + 0x1a8, 1);
	memset(b.p + DATA + 10 * PAGE, 0, PAGE);
	open_it(&w, b.p, b.n);
	cr_assert(w.rc == 0 && w.right == PAGES - 1 && w.unread == 1 && w.told == 0);
	dump_late_notes(w.d);
	cr_assert(w.notes.n == 1 && strstr(w.notes.v[0].detail, "do not unpack"));
	end(&w);
	buf_free(&b);
	/* QEMU's one page of zeros, which stands before all others, is none */
	make(&b, false);
	put_le32(b.p + 0x1a8, 1);
	memset(b.p + DATA, 0, PAGE);
	memset(&w, 0, sizeof(w));
	notes_init(&w.notes);
	cr_assert_eq(input_open_memory(&in, b.p, b.n, "image", NULL), 0);
	cr_assert_eq(dump_open_input(&w.d, in, NULL, &w.notes, &w.e), 0);
	cr_assert_eq(phys_read(w.d->phys, 0, got, PAGE), 0);
	cr_assert(got[0] == 0 && memcmp(got, got + 1, PAGE - 1) == 0);
	dump_late_notes(w.d);
	cr_assert_eq(w.notes.n, 0);
	end(&w);
	buf_free(&b);
	late = false;
}

/* ---- split ---- */

static void write_part(const char *name, uint64_t from, uint64_t to, bool other)
{
	struct buf b;
	size_t first = SIZE_MAX, n = 0;
	FILE *f = fopen(name, "wb");

	cr_assert(f);
	make(&b, false);
	put_le32(b.p + PAGE + 12, 1);
	put_le64(b.p + PAGE + 80, from);
	put_le64(b.p + PAGE + 88, to);
	if (other)
		b.p[20] ^= 1; /* of another machine */
	for (size_t i = 0; i < PAGES; i++)
		if (i * STEP >= from && i * STEP < to) {
			first = first == SIZE_MAX ? i : first;
			n++;
		}
	/* the whole bitmap, its own descriptors and pages */
	cr_assert_eq(fwrite(b.p, 1, TABLE * PAGE, f), TABLE * PAGE);
	for (size_t i = first; i < first + n; i++) {
		uint8_t *d = b.p + TABLE * PAGE + i * 24;

		put_le64(d, TABLE * PAGE + n * 24 + (i - first) * PAGE);
		cr_assert_eq(fwrite(d, 1, 24, f), 24);
	}
	cr_assert_eq(fwrite(b.p + DATA + first * PAGE, 1, n * PAGE, f), n * PAGE);
	fclose(f);
	buf_free(&b);
}

static void open_file(struct world *w, const char *name)
{
	memset(w, 0, sizeof(*w));
	notes_init(&w->notes);
	w->rc = dump_open(&w->d, name, NULL, &w->notes, &w->e);
	read_it(w);
	w->named = w->rc == 0 ? w->d->n_segments : 0;
	end(w);
}

Test(kdump, split)
{
	char dir[] = "/tmp/kdump.XXXXXX", name[4][64];
	struct world w;

	cr_assert(mkdtemp(dir));
	for (int i = 0; i < 4; i++)
		snprintf(name[i], sizeof(name[i]), "%s/%s", dir, ((const char *[]){"c", "part.1", "b", "x"})[i]);
	write_part(name[0], 0, 20001, false);
	write_part(name[1], 20001, 60005, false);
	write_part(name[2], 60005, FRAMES, false);
	write_part(name[3], 20001, 60005, true);
	for (int i = 0; i < 3; i++) {
		open_file(&w, name[i]);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.right, PAGES, "part %d: %u pages", i, w.right);
		cr_assert(w.told == 0 && w.named == 3);
	}
	open_file(&w, name[3]); /* the others are of another dump */
	cr_assert_eq(w.right, (60005 + STEP - 1) / STEP - (20001 + STEP - 1) / STEP);
	cr_assert(w.told == 2 && w.named == 1);
	remove(name[1]);
	open_file(&w, name[0]);
	cr_assert_eq(w.right, PAGES - ((60005 + STEP - 1) / STEP - (20001 + STEP - 1) / STEP));
	cr_assert(w.told == 1 && w.named == 2);
	for (int i = 0; i < 4; i++)
		remove(name[i]);
	rmdir(dir);
}
