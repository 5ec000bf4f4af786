/* src/dumpfmt/crash*.c and src/recover/secondary.c on made dumps: every type, both writers, both name forms, damage. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mkcrash.h"
#include "rd.h"
#include "recover.h"
#include "secondary.h"

#define PAGES      20u
#define CRASH_FILL UINT64_C(0x45474150)

static uint8_t memory[PAGES * 4096];

static void make_memory(void)
{
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7 + i / 4096);
}

static int open_bytes(struct dump **d, const struct buf *b, struct notes *notes, struct err *e)
{
	struct input *in;

	cr_assert_eq(input_open_memory(&in, b->p, b->n, "made", NULL), 0);
	return dump_open_input(d, in, NULL, notes, e);
}

/* Frames 1 .. and 100 .. must hold the pages, and nothing else may be there. */
static void expect_memory(struct dump *d)
{
	uint8_t p[4096];

	cr_assert_eq(phys_bytes(d->phys), sizeof(memory));
	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t frame = i < PAGES / 2 ? 1 + i : 100 + i - PAGES / 2;

		cr_assert_eq(phys_read(d->phys, frame * 4096, p, sizeof(p)), 0, "frame %llu", (unsigned long long)frame);
		cr_assert_eq(memcmp(p, memory + i * 4096, sizeof(p)), 0, "frame %llu", (unsigned long long)frame);
	}
	cr_assert_eq(phys_read(d->phys, 0, p, 1), ERR_FAULT);
	cr_assert_eq(phys_read(d->phys, 4096 * (1 + PAGES / 2), p, 1), ERR_FAULT);
}

Test(crash, every_type_with_memory)
{
	static const uint32_t types[] = {1, 2, 5, 6, 7, 8, 9, 10};
	struct notes notes;

	make_memory();
	for (int wide = 0; wide < 2; wide++)
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			struct mkcrash o = {.wide = wide, .type = types[i], .memory = memory, .n_pages = PAGES};
			struct buf b;
			struct dump *d;
			struct err e = {0};

			if (!wide && types[i] > 7)
				continue; /* 64-bit only */
			buf_init(&b);
			notes_init(&notes);
			mkcrash_build(&b, &o);
			cr_assert_eq(open_bytes(&d, &b, &notes, &e), 0, "wide %d type %u: %s", wide, types[i], e.msg);
			expect_memory(d);
			cr_assert_eq(notes.n, 0, "wide %d type %u: %s", wide, types[i], notes.n ? notes.v[0].detail : "");
			cr_assert(d->hints.is_crash_dump && d->hints.has_dtb && d->hints.dtb == 0x1ad000);
			cr_assert_eq(d->hints.machine, wide ? MACHINE_X64 : MACHINE_X86);
			dump_close(d);
			notes_free(&notes);
			buf_free(&b);
		}
}

Test(crash, secondary_data_behind_the_pages)
{
	struct buf b, etw;
	struct mkcrash o = {.wide = true, .type = 5, .memory = memory, .n_pages = PAGES, .etw = &etw};
	struct dump *d;

	make_memory();
	buf_init(&b);
	buf_init(&etw);
	mketw_block(&etw, &(struct mketw){.n_events = 4});
	mkcrash_build(&b, &o);
	cr_assert_eq(open_bytes(&d, &b, NULL, NULL), 0);
	expect_memory(d);
	cr_assert(secondary_present(d));
	dump_close(d);
	buf_free(&b);
	buf_free(&etw);
}

Test(crash, truncated_anywhere_gives_what_is_there)
{
	static const uint32_t types[] = {1, 2, 5, 6, 8, 10};

	make_memory();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct mkcrash o = {.wide = true, .type = types[i], .memory = memory, .n_pages = PAGES};
		struct buf b;

		buf_init(&b);
		mkcrash_build(&b, &o);
		for (size_t n = 1; n < b.n; n += 509) {
			struct buf cut = {.p = b.p, .n = n};
			struct notes notes;
			struct dump *d;

			notes_init(&notes);
			if (open_bytes(&d, &cut, &notes, NULL) == 0) {
				uint64_t have = phys_bytes(d->phys), most = n > b.n - sizeof(memory) ? n - (b.n - sizeof(memory)) : 0;

				cr_assert_eq(have, most, "type %u cut at %zu", types[i], n);
				cr_assert(notes.n > 0 || !most, "type %u cut at %zu: no note", types[i], n);
				dump_close(d);
			}
			notes_free(&notes);
		}
		buf_free(&b);
	}
}

Test(crash, lying_tables_are_clamped_and_named)
{
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct dump *d;
	struct buf b;

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	put_le32(b.p + 0x88, 5000);              /* runs */
	put_le64(b.p + 0xb0, UINT64_C(1) << 50); /* pages of the second run */
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	expect_memory(d);
	cr_assert_geq(notes.n, 2);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
}

Test(crash, a_frame_that_no_machine_has_moves_nothing)
{
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct dump *d;
	struct buf b;
	uint8_t p[4096];

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	put_le64(b.p + 0x98,
		 UINT64_C(1) << 40); /* the first run's frame: its pages are in the file, and the second run's stand behind them */
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	cr_assert_eq(phys_bytes(d->phys), sizeof(memory) / 2);
	for (uint32_t i = PAGES / 2; i < PAGES; i++) {
		cr_assert_eq(phys_read(d->phys, (uint64_t)(100 + i - PAGES / 2) * 4096, p, sizeof(p)), 0);
		cr_assert_eq(memcmp(p, memory + i * 4096, sizeof(p)), 0);
	}
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_PAGE_MISSING);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
}

/* ---- one word of a table is a lie ---- */

struct lie {
	uint32_t type;
	bool etw;          /* secondary data behind the pages */
	uint32_t at, size; /* what is written over: size 4 or 8 */
	uint64_t v;
	int left;    /* pages: all, the first run's, the second run's, none */
	bool silent; /* it harms nothing, and nothing is said */
};

enum { ALL, FIRST_RUN, SECOND_RUN, NONE };

#define HUGE_ (UINT64_C(1) << 63)

static const struct lie lies[] = {
	/* the first page's place, how many pages, how many bits */
	{5, false, 0x2020, 8, 0, ALL, false},
	{5, true, 0x2020, 8, 0, ALL, false},
	{5, false, 0x2020, 8, HUGE_, ALL, false},
	{5, false, 0x2028, 8, 0, ALL, true},
	{5, false, 0x2028, 8, HUGE_, ALL, false},
	{5, false, 0x2028, 8, 7, ALL, false},
	{5, false, 0x2020, 8, 0x4000, ALL, false},
	{10, false, 0x2018, 8, 0x4000, ALL, false},
	{5, false, 0x2030, 8, 0, ALL, false},
	{6, true, 0x2030, 8, 0, ALL, false},
	{7, false, 0x2030, 8, HUGE_, ALL, false},
	{5, false, 0x2030, 8, 50, ALL, false},
	{5, true, 0x2030, 8, 50, ALL, false},
	{5, false, 0x2000, 4, 0x58585858, ALL, false},
	{2, false, 0x200c, 4, 0, ALL, false},
	{2, true, 0x2010, 4, 0, ALL, false},
	{2, false, 0x2010, 4, 0xffffffff, ALL, false},
	{8, false, 0x2010, 8, 0, ALL, false},
	{8, false, 0x2010, 8, HUGE_, ALL, false},
	{8, false, 0x2018, 8, 0, ALL, false},
	{9, true, 0x2018, 8, HUGE_, ALL, false},
	{10, false, 0x2010, 8, 0, ALL, false},
	{10, false, 0x2018, 8, 0, ALL, false},
	{10, true, 0x2018, 8, HUGE_, ALL, false},
	{10, false, 0x2028, 8, 0, ALL, false},
	{10, false, 0x2028, 8, HUGE_, ALL, false},
	{10, false, 0x2028, 8, 7, ALL, false},
	/* the count of a range */
	{10, false, 0x2038, 8, HUGE_, ALL, false},
	{10, true, 0x2038, 8, 0, ALL, false},
	{8, false, 0x2038, 8, HUGE_, ALL, false},
	{8, true, 0x2038, 8, HUGE_, NONE, false}, /* what the pages number isn't said, and the file's end does not tell */
	/* runs of the header */
	{1, false, 0x88, 4, 0, ALL, false},
	{1, true, 0x88, 4, 0x45474150, ALL, false},
	{1, false, 0x88, 4, 1, ALL, false},
	{1, false, 0x88, 4, 3, ALL, false},
	{1, false, 0x88, 4, 200, ALL, false},
	{1, false, 0x88, 4, 0xffffffff, ALL, false},
	{1, false, 0x90, 8, 0, ALL, true},
	{1, false, 0x90, 8, HUGE_, ALL, false},
	{1, false, 0x90, 8, 7, ALL, false},
	{1, false, 0x90, 8, 1000, ALL, false},
	{1, false, 0xa0, 8, 0, ALL, false},
	{1, true, 0xa0, 8, HUGE_, ALL, false},
	{1, true, 0xb0, 8, 0, ALL, false},
	{1, false, 0x98, 8, HUGE_, SECOND_RUN, false},
	/* the type */
	{5, false, 0xf98, 4, 0x77, ALL, false},
	{10, false, 0xf98, 4, 0, ALL, false},
	{1, false, 0xf98, 4, 0x77, ALL, false},
	{1, false, 0xf98, 4, 5, ALL, false},
	{8, false, 0xf98, 4, 5, ALL, false},
};

static bool holds(struct dump *d, uint32_t i)
{
	uint64_t frame = i < PAGES / 2 ? 1 + i : 100 + i - PAGES / 2;
	uint8_t p[4096];

	return phys_read(d->phys, frame * 4096, p, sizeof(p)) == 0 && memcmp(p, memory + (size_t)i * 4096, sizeof(p)) == 0;
}

static void check_lie(size_t i)
{
	const struct lie *l = &lies[i];
	struct buf b, etw;
	struct mkcrash o = {.wide = true, .type = l->type, .memory = memory, .n_pages = PAGES, .etw = l->etw ? &etw : NULL};
	unsigned n[2] = {0};
	struct notes notes;
	struct err e = {0};
	struct dump *d;
	int rc;

	buf_init(&b);
	buf_init(&etw);
	notes_init(&notes);
	mketw_block(&etw, &(struct mketw){.n_events = 4});
	mkcrash_build(&b, &o);
	if (l->type != 1) /* such dumps need no runs in the header */
		put_le32(b.p + 0x88, CRASH_FILL), put_le64(b.p + 0x90, CRASH_FILL | CRASH_FILL << 32);
	if (l->size == 4)
		put_le32(b.p + l->at, (uint32_t)l->v);
	else
		put_le64(b.p + l->at, l->v);
	rc = open_bytes(&d, &b, &notes, &e);
	cr_assert_eq(rc, 0, "lie %zu: %s", i, e.msg);
	for (uint32_t k = 0; k < PAGES; k++)
		n[k / (PAGES / 2)] += holds(d, k);
	cr_assert_eq(n[0], l->left == ALL || l->left == FIRST_RUN ? PAGES / 2 : 0, "lie %zu: %u pages of the first run", i, n[0]);
	cr_assert_eq(n[1], l->left == ALL || l->left == SECOND_RUN ? PAGES / 2 : 0, "lie %zu: %u pages of the second run", i, n[1]);
	cr_assert_eq(notes.n == 0, l->silent, "lie %zu: %zu notes", i, notes.n);
	if (l->left == ALL)
		cr_assert_eq(phys_bytes(d->phys), sizeof(memory), "lie %zu: more than there is", i);
	cr_assert_eq(l->left == ALL && l->etw, l->etw && secondary_present(d), "lie %zu: the secondary data", i);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
	buf_free(&etw);
}

/* A header says some things twice: what can't be is seen through by what the rest says, and named. */
Test(crash, a_lie_that_the_rest_gives_away)
{
	make_memory();
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		check_lie(i);
}

/* Whatever type the header says, the tables and the file tell; where it says none at all, nothing has lied. */
static void check_type(bool wide, uint32_t is, uint32_t says)
{
	struct mkcrash o = {.wide = wide, .type = is, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct err e = {0};
	struct dump *d;
	struct buf b;

	buf_init(&b);
	notes_init(&notes);
	mkcrash_build(&b, &o); /* its header has runs, as Windows writes them for every type */
	put_le32(b.p + (wide ? 0xf98 : 0xf88), says);
	cr_assert_eq(open_bytes(&d, &b, &notes, &e), 0, "%u said to be %x: %s", is, says, e.msg);
	expect_memory(d);
	cr_assert_eq(notes.n, says != CRASH_FILL, "%u said to be %x: %zu notes", is, says, notes.n);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
}

Test(crash, the_type_is_that_of_the_tables)
{
	static const uint32_t is[] = {1, 2, 5, 10, 8}, says[] = {1, 2, 3, 4, 5, 8, 0, 11, CRASH_FILL};

	make_memory();
	for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++)
		for (size_t k = 0; k < sizeof(says) / sizeof(says[0]); k++) {
			if (is[i] == says[k] || (is[i] == 10 && says[k] == 8))
				continue;
			check_type(true, is[i], says[k]);
			if (is[i] < 8 && says[k] < 8)
				check_type(false, is[i], says[k]);
		}
}

/* Frame 0 ends a table of ranges, but not where its pages are what the file still has. */
Test(crash, a_range_from_frame_0_on)
{
	struct mkcrash o = {.wide = true, .type = 9, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct dump *d;
	uint8_t p[4096];
	struct buf b;

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	put_le64(b.p + 0x2030 + 16, 0); /* the second range */
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	cr_assert_eq(phys_bytes(d->phys), 4096 + sizeof(memory) / 2); /* frame 1 on is the first range's */
	cr_assert_eq(phys_read(d->phys, 0, p, sizeof(p)), 0);
	cr_assert_eq(memcmp(p, memory + sizeof(memory) / 2, sizeof(p)), 0);
	dump_close(d);
	notes_free(&notes);
	b.n -= 5000; /* a cut file tells nothing */
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	cr_assert_eq(phys_bytes(d->phys), sizeof(memory) / 2);
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_PAGE_MISSING);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
}

/* A run without a page whose pages are in the file; pages that no run has; a file of nothing but its header. */
Test(crash, what_no_count_has_is_named)
{
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = PAGES};
	static const uint32_t types[] = {2, 4, 5, 8, 10};
	struct notes notes;
	struct dump *d;
	struct buf b;

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	put_le64(b.p + 0xa0, 0);
	put_le64(b.p + 0x90, PAGES / 2);
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	expect_memory(d);
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_CONTEXT_BAD);
	dump_close(d);
	notes_free(&notes);
	put_le64(b.p + 0xa0, PAGES / 2);
	put_le64(b.p + 0x90, PAGES);
	buf_fill(&b, 0x99, 8192);
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	expect_memory(d);
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_PAGE_MISSING && notes.v[0].bytes == 8192);
	dump_close(d);
	notes_free(&notes);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		b.n = 0;
		o.type = types[i];
		mkcrash_build(&b, &o);
		b.n = 0x2000;
		notes_init(&notes);
		cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0, "type %u", types[i]);
		cr_assert(phys_bytes(d->phys) == 0 && notes.n == 1 && notes.v[0].what == NOTE_IMAGE_TRUNCATED, "type %u", types[i]);
		dump_close(d);
		notes_free(&notes);
	}
	buf_free(&b);
}

/* Of a bitmap with a bit gone it is known only that one is. */
Test(crash, a_bit_that_is_gone_is_named)
{
	struct mkcrash o = {.wide = true, .type = 5, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct dump *d;
	struct buf b;

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	b.p[0x2039] &= 0xfb;
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_PAGE_MISSING);
	dump_close(d);
	notes_free(&notes);
	buf_free(&b);
}

/* Where nothing tells, nothing stands at a guessed address. */
Test(crash, no_table_is_named)
{
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = PAGES};
	struct notes notes;
	struct dump *d;
	struct buf b;

	make_memory();
	buf_init(&b);
	mkcrash_build(&b, &o);
	put_le32(b.p + 0x88, 0);
	put_le64(b.p + 0x90, 0);
	notes_init(&notes);
	cr_assert_eq(open_bytes(&d, &b, &notes, NULL), 0);
	cr_assert_eq(phys_bytes(d->phys), 0);
	cr_assert(notes.n == 1 && notes.v[0].what == NOTE_PAGE_MISSING && notes.v[0].bytes == sizeof(memory));
	dump_close(d);
	notes_free(&notes);
	b.n = 0;
	o.type = 8; /* no first page, no length of the table, and rubbish behind it */
	mkcrash_build(&b, &o);
	put_le64(b.p + 0x2010, 0);
	put_le64(b.p + 0x2018, 0);
	buf_fill(&b, 0x99, 100);
	cr_assert_eq(open_bytes(&d, &b, NULL, NULL), ERR_FORMAT);
	buf_free(&b);
}

/* ---- the ETW block --------------------------------------------------------------------------------------------------------------------------- */

struct got {
	unsigned sessions, buffers, events, used;
	uint32_t ids[16];
	char names[16][32];
};

static int take(void *ctx, const struct etw_session *s, struct err *e)
{
	struct got *g = ctx;

	(void)e;
	g->ids[g->sessions % 16] = s->id;
	snprintf(g->names[g->sessions % 16], 32, "%s", s->name ? s->name : "-");
	g->sessions++;
	for (size_t i = 0; i < s->n_buffers; i++) {
		g->buffers++;
		g->used += s->buffers[i].body_len > 0;
		g->events += s->buffers[i].n_events;
	}
	return 0;
}

static int recover_bytes(const struct buf *b, struct got *g, size_t *losses)
{
	struct recover_opts ro = {0};
	struct image_opts io = {0};
	struct etw_sink sink = {NULL, take, g};
	struct input *in;
	struct image *im;
	size_t n;
	int rc;

	memset(g, 0, sizeof(*g));
	cr_assert_eq(input_open_memory(&in, b->p, b->n, "made", NULL), 0);
	rc = image_open_input(&im, in, &io, NULL);
	if (rc < 0)
		return rc;
	rc = recover_run(im, &ro, &sink, &n, NULL);
	if (losses)
		*losses = im->notes.n;
	image_close(im);
	return rc;
}

static void make_triage(struct buf *b, bool writer_b, bool twice, uint64_t claims, bool twin)
{
	struct buf etw;
	struct mkcrash o = {.wide = true, .type = 4, .writer_b = writer_b, .etw = &etw, .etw_claims = claims, .twin = twin};

	buf_init(&etw);
	buf_init(b);
	mketw_block(&etw, &(struct mketw){.twice_name = twice, .n_events = 12});
	mkcrash_build(b, &o);
	buf_free(&etw);
}

static void expect_all(const struct got *g)
{
	cr_assert_eq(g->sessions, 3);
	cr_assert_eq(g->buffers, 7);
	cr_assert_eq(g->used, 4);
	cr_assert_eq(g->events, 48);
	cr_assert(g->ids[0] == 2 && g->ids[1] == 7 && g->ids[2] == 9);
	cr_assert_str_eq(g->names[0], "EventLog-System");
	cr_assert_str_eq(g->names[1], "WiFi");
}

Test(secondary, both_writers_both_name_forms_twin_tags)
{
	for (unsigned k = 0; k < 8; k++) {
		struct got g;
		struct buf b;
		size_t losses;

		make_triage(&b, k & 1, k & 2, 0, k & 4);
		cr_assert_eq(recover_bytes(&b, &g, &losses), 0, "form %u", k);
		expect_all(&g);
		cr_assert_eq(losses, 0, "form %u", k);
		buf_free(&b);
	}
}

Test(secondary, a_block_that_claims_4_gib_is_clamped_and_named)
{
	struct got g;
	struct buf b;
	size_t losses;

	make_triage(&b, false, true, 0xffffffffu, false);
	cr_assert_eq(recover_bytes(&b, &g, &losses), 0);
	expect_all(&g);
	cr_assert_geq(losses, 1);
	buf_free(&b);
}

Test(secondary, no_block_no_session)
{
	struct mkcrash o = {.wide = true, .type = 4};
	struct got g;
	struct buf b;

	buf_init(&b);
	mkcrash_build(&b, &o);
	cr_assert_eq(recover_bytes(&b, &g, NULL), ERR_NOKERNEL);
	buf_free(&b);
	buf_init(&b);
	o.twin = true; /* an empty shell */
	mkcrash_build(&b, &o);
	cr_assert_eq(recover_bytes(&b, &g, NULL), ERR_NOKERNEL);
	buf_free(&b);
	buf_init(&b);
	o.type = 3;
	mkcrash_build(&b, &o);
	cr_assert_eq(recover_bytes(&b, &g, NULL), ERR_NOKERNEL);
	buf_free(&b);
}

/* One byte of the secondary data changed, each in turn: at most the record it stands in (and what its buffer then can't chain) is lost. */
Test(secondary, every_single_byte_changed)
{
	struct got g;
	struct buf b;

	make_triage(&b, true, true, 0, false);
	for (size_t i = 0x2400; i < b.n - 3000; i++) {
		uint8_t old = b.p[i];

		b.p[i] = (uint8_t)(old ^ 0x41);
		cr_assert_eq(recover_bytes(&b, &g, NULL), 0, "byte %zu", i);
		cr_assert_geq(g.events, 48 - 12, "byte %zu: %u events are left", i, g.events);
		b.p[i] = old;
	}
	buf_free(&b);
}
