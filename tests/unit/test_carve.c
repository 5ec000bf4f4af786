/* Buffers by their shape: found wherever they are, put together from scattered pages, sorted by origin; nothing is found that is none. */
#include "carvefixture.h"

/* The same as it stands in a file. */
static uint32_t make_file(uint8_t *p, uint32_t size, uint16_t id, uint64_t ts, unsigned n)
{
	uint32_t end;

	memset(p, 0xff, size);
	memset(p, 0, 0x48);
	end = make(p, size, id, ts, n, 33);
	put_le32(p + 0x2c, 3);
	put_le16(p + 0x34, 0x20);
	return end;
}

Test(carve, one_page)
{
	struct fixture f;
	struct result r;

	setup(&f);
	make(f.mem + 5 * PAGE, PAGE, 3, 1000000, EVENTS, 20);
	make(f.mem + 9 * PAGE, PAGE, 3, 2000000, 5, 20);
	make(f.mem + 11 * PAGE, PAGE, 0x8004, 1000000, 6, 20);
	r = run(&f, false);
	cr_assert_eq(r.groups, 2);
	cr_assert_eq(r.buffers, 3);
	cr_assert_eq(r.events, (PAGE - 0x48) / 0x68 + 5 + 6);
	cr_assert_eq(r.counts.orphans, 3);
	cr_assert(r.origin[0] == CARVE_FROM_KERNEL && r.origin[1] == CARVE_FROM_PRIVATE && r.id[1] == 4);
	cr_assert_eq(r.last.anchor, CARVE_ANCHOR_NONE); /* nothing tells what a tick is */
	done(&f);
}

/* Pages anywhere, in any order, in the company of others like them. */
Test(carve, scattered)
{
	static const unsigned place[3][4] = {{200, 3, 100, 50}, {7, 30, 8, 60}, {90, 80, 70, 61}};
	uint8_t *b = calloc(4, PAGE);
	unsigned want = 0;
	struct fixture f;
	struct result r;

	setup(&f);
	for (unsigned k = 0; k < 3; k++) {
		memset(b, 0, 4 * PAGE);
		want += (make(b, 4 * PAGE, 5, 1000000 + 37 * k, EVENTS, 29 + k * 11) - 0x48) / ((0x50 + 29 + k * 11 + 7) & ~7u);
		for (unsigned i = 0; i < 4; i++)
			memcpy(f.mem + place[k][i] * PAGE, b + i * PAGE, PAGE);
	}
	r = run(&f, false);
	cr_assert_eq(r.buffers, 3);
	cr_assert_eq(r.gaps, 0, "%u gaps", r.gaps);
	cr_assert_eq(r.events, want, "%u of %u", r.events, want);
	done(&f);

	/* one page taken by something else: what stands before it is kept, the hole is named */
	setup(&f);
	memset(b, 0, 4 * PAGE);
	make(b, 4 * PAGE, 5, 1000000, EVENTS, 29);
	for (unsigned i = 0; i < 4; i++)
		if (i != 2)
			memcpy(f.mem + place[0][i] * PAGE, b + i * PAGE, PAGE);
	r = run(&f, false);
	cr_assert_eq(r.buffers, 1);
	cr_assert_eq(r.gaps, 1);
	cr_assert_geq(r.events, 70);
	done(&f);
	free(b);
}

/* A buffer of three pages that was full and is used again, with its first records only: what an earlier use left goes over the pages' edges. */
static unsigned reused(uint8_t *p)
{
	uint8_t b[PAGE] = {0};
	uint32_t end, full = make(p, 3 * PAGE, 5, 1000000, EVENTS, 33), step = (0x50 + 33 + 7) & ~7u;

	make(b, PAGE, 5, 5000000, 8, 33);
	end = make(b, 3 * PAGE, 5, 5000000, 8, 33);
	memcpy(p, b, end);
	return (full - end) / step;
}

Test(carve, old_records_behind_the_data)
{
	uint8_t *b = calloc(3, PAGE);
	struct fixture f;
	struct result r;
	unsigned old = reused(b);

	/* in a row: all of them */
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, 3 * PAGE);
	r = run(&f, false);
	cr_assert_eq(r.events, 8);
	cr_assert_eq(r.old, old, "%u of %u", r.old, old);
	cr_assert_eq(r.counts.loose, 0, "%zu loose runs", r.counts.loose);
	done(&f);

	/* the second page somewhere else: those of the first one, and none of what stands behind it */
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, PAGE);
	memcpy(f.mem + 40 * PAGE, b + PAGE, 2 * PAGE);
	r = run(&f, false);
	cr_assert(r.old > 8 && r.old < old / 2, "%u of %u", r.old, old);
	cr_assert_eq(r.counts.loose, 1);
	done(&f);

	/* later records behind it: another buffer's */
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, 3 * PAGE);
	for (uint32_t off = 0x48; off + 0x78 <= 3 * PAGE; off += 0x78)
		if (off >= PAGE)
			put_le64(f.mem + 20 * PAGE + off + 16, 9000000 + off);
	r = run(&f, false);
	cr_assert(r.old > 8 && r.old < old / 2, "%u of %u", r.old, old);
	cr_assert_eq(r.counts.loose, 1);
	done(&f);

	/* a buffer behind it */
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, 3 * PAGE);
	memset(f.mem + 21 * PAGE, 0, 0x48);
	make(f.mem + 21 * PAGE, PAGE, 6, 7000000, 10, 20);
	r = run(&f, false);
	cr_assert_eq(r.events, 18, "%u events", r.events);
	cr_assert(r.old > 8 && r.old < old, "%u of %u", r.old, old);
	done(&f);
	free(b);
}

/* A buffer of two pages, the second of which holds the end of its last record and nothing else; a table somewhere, whose entry number 7 leads to the first. */
static struct result with_table(uint64_t second, uint64_t flags, const char *behind)
{
	uint8_t b[2 * PAGE] = {0};
	struct fixture f;
	struct result r;

	cr_assert_gt(make(b, 2 * PAGE, 5, 1000000, 34, 33), PAGE);
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, PAGE);
	memcpy(f.mem + 90 * PAGE, b + PAGE, PAGE);
	memset(f.mem + 91 * PAGE, 'x', PAGE);
	if (behind) {
		memcpy(f.mem + 90 * PAGE + 2048, behind, strlen(behind));
	} else { /* or this one, but for what is in it: nothing but the table tells */
		memcpy(f.mem + 93 * PAGE, b + PAGE, PAGE);
		f.mem[93 * PAGE]++;
	}
	put_le64(f.mem + 60 * PAGE + 7 * 8, 20 * PAGE | 0x8000000000000867);
	put_le64(f.mem + 60 * PAGE + 8 * 8, second | flags);
	r = run(&f, false);
	cr_assert_eq(r.buffers, 1);
	done(&f);
	return r;
}

Test(carve, tables_that_nothing_leads_to)
{
	static const struct {
		uint64_t second, flags;
		const char *behind;
		unsigned events;
	} t[] = {{90 * PAGE, 0x8000000000000867, NULL, 34},
		 {90 * PAGE, 0x8000000000000827, NULL, 34},              /* not written to */
		 {90 * PAGE, 0x8000000000000866, NULL, 33},              /* not valid */
		 {90 * PAGE, 0x8000000000000863, NULL, 33},              /* not the same process's */
		 {91 * PAGE, 0x8000000000000867, NULL, 33},              /* another page, which does not end as this buffer does */
		 {92 * PAGE, 0x8000000000000867, NULL, 33},              /* zeros */
		 {20 * PAGE, 0x8000000000000867, NULL, 33},              /* the first one again */
		 {300 * PAGE, 0x8000000000000867, NULL, 33},             /* not in the image */
		 {90 * PAGE, 0x8003000000000867, NULL, 33},              /* nowhere */
		 {90 * PAGE, 0x8000000000000867, "something else", 33}}; /* used for something else since */

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct result r = with_table(t[i].second, t[i].flags, t[i].behind);

		cr_assert_eq(r.events, t[i].events, "%zu: %u events", i, r.events);
		cr_assert_eq(r.gaps, t[i].events == 34 ? 0 : 1, "%zu: %u gaps", i, r.gaps);
	}
}

/* The page in which a buffer's last record ends, where nothing leads to it. */
struct tail_test {
	struct fixture f;
	uint8_t b[2 * PAGE];
	uint32_t end;
	struct result r;
};

static void tail_begin(struct tail_test *t)
{
	memset(t->b, 0, sizeof(t->b));
	t->end = make(t->b, 2 * PAGE, 5, 1000000, 34, 33);
	cr_assert(t->end > PAGE + 8 && t->end < PAGE + 0x78);
	setup(&t->f);
	memcpy(t->f.mem + 20 * PAGE, t->b, PAGE);
	memcpy(t->f.mem + 90 * PAGE, t->b + PAGE, PAGE);
}

static void tail_end(struct tail_test *t, unsigned events, const char *what)
{
	t->r = run(&t->f, false);
	cr_assert_eq(t->r.events, events, "%s: %u events", what, t->r.events);
	done(&t->f);
}

Test(carve, ends_that_nothing_leads_to)
{
	static struct tail_test t;
	uint8_t *page;

	tail_begin(&t);
	page = t.f.mem + 90 * PAGE;
	tail_end(&t, 34, "the only one");
	cr_assert_eq(t.r.gaps, 0);
	tail_begin(&t);
	page = t.f.mem + 90 * PAGE;
	memset(page, 0, 0x18);
	tail_end(&t, 34, "begins with zeros");
	tail_begin(&t);
	memset(t.f.mem + 90 * PAGE, 0, PAGE);
	tail_end(&t, 33, "lost");
	cr_assert_eq(t.r.gaps, 1);
	tail_begin(&t);
	memcpy(t.f.mem + 95 * PAGE, t.b + PAGE, PAGE);
	t.f.mem[95 * PAGE]++;
	tail_end(&t, 33, "one of two");
	tail_begin(&t);
	memcpy(t.f.mem + 95 * PAGE, t.b + PAGE, PAGE);
	tail_end(&t, 34, "there twice");
	for (int off = -9; off <= 9; off++) { /* from where its data really end */
		tail_begin(&t);
		page = t.f.mem + 90 * PAGE;
		memset(page, 0, PAGE);
		memset(page, 0x11, (size_t)((int)(t.end - PAGE) - 7 + off)); /* the record's size is one more than a multiple of 8 */
		tail_end(&t, off == 0 ? 34 : 33, "ends elsewhere");
	}
	tail_begin(&t);
	for (unsigned i = 0; i < 2; i++)
		put_le64(t.f.mem + 60 * PAGE + (7 + i) * 8, (90 + i) * PAGE | 0x8000000000000867);
	tail_end(&t, 33, "something's page");
	tail_begin(&t);
	make(t.b, 2 * PAGE, 6, 900000, EVENTS, 33); /* steps of 0x78, as before it */
	memcpy(t.f.mem + 90 * PAGE + (t.end - PAGE), t.b + t.end, 2 * PAGE - t.end);
	tail_end(&t, 33, "old records behind"); /* they would stand anywhere, behind anybody's */
	tail_begin(&t);
	make(t.b, 2 * PAGE, 6, 1900000, EVENTS, 33);
	memcpy(t.f.mem + 90 * PAGE + (t.end - PAGE), t.b + t.end, 2 * PAGE - t.end);
	tail_end(&t, 33, "later records behind");
	tail_begin(&t);
	for (unsigned i = 0; i < 128; i++)
		memset(t.f.mem + (100 + i) * PAGE, 0x11, 1000 + 8 * i);
	tail_end(&t, 33, "too many others");
}

/* Two buffers, whose ends are told apart by what is left for each; or not at all. */
Test(carve, ends_that_several_want)
{
	static struct tail_test t;
	uint8_t other[2 * PAGE] = {0};

	for (unsigned k = 0; k < 3; k++) {
		tail_begin(&t);
		memset(other, 0, sizeof(other));
		make(other, 2 * PAGE, 7, 3000000, 34, k == 2 ? 39 : 33);
		memset(other + PAGE, 0, PAGE);
		memset(other + PAGE, 0x77, t.end - PAGE - (k == 2 ? 1 : 7)); /* 2: its records are longer by what pads the others */
		memcpy(t.f.mem + 30 * PAGE, other, PAGE);
		if (k)
			memcpy(t.f.mem + 40 * PAGE, other + PAGE, PAGE);
		tail_end(&t, k == 2 ? 68 : 66, k == 2 ? "a page for each" : k ? "two pages" : "one page");
	}
}

/* A file's header: with how many buffers, itself among them, it was closed, or 0; its ID is 12, and it began at 4000000. */
static void file_of_two(struct fixture *f, uint32_t written, unsigned second)
{
	uint8_t *h;

	setup(f);
	/* 1 KiB steps: file pages hold small buffers anywhere */
	make_file(f->mem + 20 * PAGE + 0x400, 0x400, 12, 5000000, 3);
	make_file(f->mem + 20 * PAGE + 0x800, 0x400, 12, 6000000, 4);
	make_file(f->mem + 33 * PAGE, 0x400, 12, 5000000, 3); /* the first one again */
	put_le64(f->mem + 20 * PAGE + 0x418, 1);
	put_le64(f->mem + 33 * PAGE + 0x18, 1);
	put_le64(f->mem + 20 * PAGE + 0x818, second);
	h = f->mem + 40 * PAGE;
	memset(h, 0, 0x400);
	put_le32(h, 0x400);
	put_le32(h + 8, 0x48 + 0x160);
	put_le32(h + 0x30, 0x48 + 0x160);
	put_le16(h + 0x2a, 12);
	put_le32(h + 0x2c, 3);
	put_le16(h + 0x34, 0x21);
	put_le16(h + 0x36, 4);
	h += 0x48;
	put_le16(h, 2);
	h[2] = 2;
	h[3] = 0xc0;
	put_le16(h + 4, 0x160);
	put_le64(h + 0x10, 4000000);
	h += 0x20;
	put_le32(h, 0x400);
	put_le64(h + 0x10, written ? DATE + 2001000 : 0);
	put_le32(h + 0x24, written);
	put_le32(h + 0x2c, 8);
	put_le64(h + 0x100, 10000000);
	put_le64(h + 0x108, DATE);
	put_le32(h + 0x110, 1);
	put_le16(h + 0x118, 'N');
}

Test(carve, files)
{
	struct fixture f;
	struct result r;

	file_of_two(&f, 3, 2);
	r = run(&f, false);
	cr_assert_eq(r.groups, 1);
	cr_assert_eq(r.origin[0], CARVE_FROM_FILE);
	cr_assert_eq(r.copies, 1);
	cr_assert_eq(r.events, 7);
	cr_assert(r.last.anchor == CARVE_ANCHOR_FILE_HEADER && r.last.sure == CARVE_CERTAIN);
	cr_assert(r.last.s.reference_time == (int64_t)DATE && r.last.s.reference_ts == 4000000 && r.last.sys.perf_freq == 10000000);
	cr_assert_str_eq(r.name, "N");
	done(&f);
}

/* Times alone do not make buffers a file's: two that have one number, one whose number is not among those that the header counts, a file that is still written. */
Test(carve, files_by_time)
{
	static const struct {
		uint32_t written;
		unsigned second;
		enum carve_sure sure;
	} as[] = {{3, 2, CARVE_CERTAIN}, {4, 2, CARVE_LIKELY}, {6, 2, CARVE_GUESS},
		  {3, 1, CARVE_GUESS},   {3, 30, CARVE_GUESS}, {0, 2, CARVE_GUESS}};
	struct fixture f;
	struct result r;

	for (size_t i = 0; i < sizeof(as) / sizeof(*as); i++) {
		file_of_two(&f, as[i].written, as[i].second);
		r = run(&f, false);
		cr_assert_eq(r.events, 7);
		cr_assert(r.last.anchor == CARVE_ANCHOR_FILE_HEADER && r.last.sure == as[i].sure, "%zu: %s", i,
			  carve_sure_name(r.last.sure));
		cr_assert_str_eq(r.name, as[i].sure == CARVE_GUESS ? "carved-12" : "N");
		done(&f);
	}
}

/* A buffer that is there twice, one of them or both not whole: each event once, none lost. */
Test(carve, incomplete_copies)
{
	uint8_t *b = calloc(4, PAGE), *file = calloc(4, PAGE);
	unsigned want;
	struct fixture f;
	struct result r;

	want = (make(b, 4 * PAGE, 5, 1000000, EVENTS, 29) - 0x48) / 0x70;
	memcpy(file, b, 4 * PAGE);
	put_le32(file + 0x2c, 3);
	put_le32(file + 8, le32(file + 0x30));
	put_le16(file + 0x34, 0x20);
	for (unsigned lost = 0; lost < 16; lost++) { /* bits: the second, third page of the first; of the second */
		unsigned both = 0, at = 0x48;

		setup(&f);
		memcpy(f.mem + 20 * PAGE, b, 4 * PAGE);
		memcpy(f.mem + 40 * PAGE, file, 4 * PAGE);
		for (unsigned k = 0; k < 4; k++)
			if (lost >> k & 1)
				memset(f.mem + (k / 2 * 20 + 21 + k % 2) * PAGE, 0, PAGE);
		for (unsigned i = 0; i < want; i++, at += 0x70) {
			unsigned pages = 1u << at / PAGE | 1u << (at + 0x6d - 1) / PAGE;

			both += (pages & (lost << 1 & 6)) && (pages & (lost >> 1 & 6));
		}
		r = run(&f, false);
		cr_assert_eq(r.buffers, 2, "%u", lost);
		/* a page that only one lost may be found for it at the other one's place; where both lost the same one, which of what stands behind is whose
		 * is not told by anything */
		if (!(lost & lost >> 2 & 3))
			cr_assert_geq(r.events, want - both, "lost %u: %u of %u - %u", lost, r.events, want, both);
		cr_assert_leq(r.events, want, "lost %u: %u of %u", lost, r.events, want);
		cr_assert(r.copies == 1 || (lost & 3 && lost >> 2), "lost %u: %u copies", lost, r.copies);
		done(&f);
	}
	/* the buffer has gone on since it was copied; and one that only begins alike is no copy */
	setup(&f);
	memcpy(f.mem + 20 * PAGE, b, 4 * PAGE);
	make(f.mem + 40 * PAGE, 4 * PAGE, 5, 1000000, 30, 29);
	make(f.mem + 60 * PAGE, 4 * PAGE, 5, 1000000, 30, 28);
	r = run(&f, false);
	cr_assert(r.buffers == 3 && r.copies == 1 && r.events == want + 30, "%u events, %u copies", r.events, r.copies);
	done(&f);
	free(b);
	free(file);
}

Test(carve, wall_clock_and_rtbackup)
{
	struct fixture f;
	struct result r;

	setup(&f);
	make_file(f.mem + 20 * PAGE, PAGE, 9, DATE, 9);
	put_le16(f.mem + 20 * PAGE + 0x34, 0x30);
	r = run(&f, false);
	cr_assert_eq(r.groups, 1);
	cr_assert_eq(r.origin[0], CARVE_FROM_RTBACKUP);
	cr_assert(r.last.anchor == CARVE_ANCHOR_FILETIME && r.last.sure == CARVE_CERTAIN && r.last.s.clock == ETW_CLOCK_SYSTEM_TIME);
	done(&f);
}

Test(carve, pool_sizes_want_deep)
{
	struct fixture f;

	setup(&f);
	make(f.mem + 5 * PAGE + 0x130, 0x7f0, 3, 1000000, EVENTS, 20);
	cr_assert_eq(run(&f, false).buffers, 0);
	cr_assert_eq(run(&f, true).buffers, 1);
	done(&f);
}

/* Each of these looks like a buffer to a careless eye. */
Test(carve, not_buffers)
{
	struct fixture f;
	uint8_t *p;

	setup(&f);
	p = f.mem + 10 * PAGE; /* a header, and nothing behind it */
	make(p, PAGE, 3, 1000000, 0, 20);
	put_le32(p + 8, 0x800);
	p += PAGE; /* records, but no header */
	make(p, PAGE, 3, 1000000, 9, 20);
	memset(p, 0, 0x48);
	p += PAGE; /* text behind the header */
	make(p, PAGE, 3, 1000000, 0, 20);
	put_le32(p + 8, 0x800);
	memset(p + 0x48, 'a', 0x700);
	p += PAGE; /* no time */
	make(p, PAGE, 3, 1000000, 2, 20);
	put_le64(p + 0x48 + 0x10, 0);
	p += PAGE; /* a state that there is not */
	make(p, PAGE, 3, 1000000, 9, 20);
	put_le32(p + 0x2c, 7);
	p += PAGE; /* an id that there is not */
	make(p, PAGE, 5000, 1000000, 9, 20);
	p += PAGE; /* small numbers everywhere */
	for (unsigned i = 0; i < PAGE; i += 4)
		put_le32(p + i, i % 64 == 0 ? 0x1000 : 0x48);
	p += PAGE; /* NOPs, which are the mark of a WPP message */
	make(p, PAGE, 3, 1000000, 0, 20);
	put_le32(p + 8, 0x800);
	memset(p + 0x48, 0x90, PAGE - 0x48);
	cr_assert_eq(run(&f, false).buffers, 0);
	cr_assert_eq(run(&f, true).buffers, 0);
	done(&f);
}

/* Whatever the bytes are, it ends, and what is found lies within its buffer. */
Test(carve, damaged)
{
	uint8_t *b = calloc(8, PAGE);
	uint32_t seed = 7;

	for (unsigned k = 0; k < 60; k++) {
		struct fixture f;

		setup(&f);
		for (unsigned n = 0; n < 12; n++) {
			memset(b, 0, 8 * PAGE);
			make(b, (1 + n % 8) * PAGE, (uint16_t)n, 1000000 + n, EVENTS, n * 31);
			for (unsigned i = 0; i < 1 + n % 8; i++)
				memcpy(f.mem + ((n * 8 + i) * 37 % PAGES) * PAGE, b + i * PAGE, PAGE);
		}
		for (unsigned i = 0; i < 400; i++) {
			seed = seed * 1103515245 + 12345;
			f.mem[(seed >> 4) % (PAGES * PAGE)] = (uint8_t)(seed >> 20);
		}
		run(&f, k % 2);
		done(&f);
	}
	free(b);
}

Test(carve, heads)
{
	uint8_t page[2 * PAGE] = {0};
	struct carve_head h[CARVE_HEADS];
	unsigned n;

	make(page, 2 * PAGE, 3, 77, EVENTS, 20);
	n = carve_heads(page + PAGE, h);
	cr_assert_eq(n, 1);
	cr_assert_eq(h[0].off, 0x48 + 40 * 0x68 - PAGE - 0x48 + 0x48 - 0x68 * ((0x48 + 40 * 0x68 - PAGE) / 0x68));
	cr_assert_eq(h[0].ts, 77 + (PAGE + h[0].off - 0x48) / 0x68);
	memset(page, 0xc0, PAGE);
	cr_assert_leq(carve_heads(page, h), CARVE_HEADS);
}
