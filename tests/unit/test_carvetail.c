/* What an earlier use left behind a buffer's data: all that is the buffer's, and nothing that is not shown to be. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "carve.h"
#include "carveshape.h"
#include "rd.h"

#define PAGES 64u
#define PAGE  4096u
#define LEAST 0x50u             /* bytes of a record without payload */
#define OLD   UINT64_C(1000000) /* times of the old records */
#define NOW   UINT64_C(5000000)
#define LATER UINT64_C(9000000)

struct result {
	unsigned events, gaps, old, buffers;
	struct carve_counts counts;
};

struct image_of {
	uint8_t *mem, *p; /* p: the first page of the buffer */
	uint64_t ts;      /* of the next old record */
};

static void put(uint8_t *r, uint32_t step, uint64_t ts)
{
	memset(r, 0, step);
	put_le16(r, (uint16_t)step);
	r[2] = 0x13;
	r[3] = 0xc0;
	put_le32(r + 8, 400);
	put_le32(r + 12, 4);
	put_le64(r + 16, ts);
	memset(r + 0x18, 0x5a, 16);
	memset(r + LEAST, 0x77, step - LEAST);
}

/* Records of many lengths from p + off exactly up to p + to. Returns how many. */
static unsigned fill(uint8_t *p, uint32_t off, uint32_t to, uint64_t *ts)
{
	unsigned n = 0;

	while (off < to) {
		uint32_t step = LEAST + 8 * (n * 7 % 11);

		if (to - off < step + LEAST)
			step = to - off;
		put(p + off, step, (*ts)++);
		off += step;
		n++;
	}
	return n;
}

/* A flushed buffer at page 20, with records up to `end`. Returns how many. */
static unsigned begin(struct image_of *m, uint32_t size, uint32_t end)
{
	uint64_t ts = NOW;
	unsigned n;

	m->mem = calloc(PAGES, PAGE);
	m->p = m->mem + 20 * PAGE;
	m->ts = OLD;
	n = fill(m->p, 0x48, end, &ts);
	put_le32(m->p, size);
	put_le32(m->p + 4, end);
	put_le32(m->p + 8, end + size);
	put_le64(m->p + 0x10, ts);
	put_le64(m->p + 0x18, 7);
	put_le16(m->p + 0x28, 1);
	put_le16(m->p + 0x2a, 5);
	put_le32(m->p + 0x30, end);
	put_le64(m->p + 0x38, UINT64_C(0xffff9a0000101038));
	put_le64(m->p + 0x40, UINT64_C(0xffff9a0000108038));
	return n;
}

/* More old records, from `from` to `to`. */
static unsigned old(struct image_of *m, uint32_t from, uint32_t to)
{
	return fill(m->p, from, to, &m->ts);
}

/* One more. */
static unsigned one(struct image_of *m, uint32_t from, uint32_t to)
{
	put(m->p + from, to - from, m->ts++);
	return 1;
}

static int take(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct result *r = ctx;

	(void)e;
	for (size_t i = 0; i < o->s.n_buffers; i++) {
		r->buffers++;
		r->events += o->s.buffers[i].n_events;
		r->gaps += (unsigned)o->s.buffers[i].n_gaps;
	}
	for (size_t i = 0; i < o->s.n_residual; i++)
		r->old += o->s.residual[i].n_events;
	return 0;
}

static struct result run(struct image_of *m)
{
	struct carve_opts o = {.residual = true, .threads = 1};
	struct dump dump = {0};
	struct image im = {.dump = &dump};
	struct result r = {0};
	struct input *in;
	struct carve *c;
	struct err e;

	notes_init(&im.notes);
	cr_assert_eq(input_open_memory(&in, m->mem, PAGES * PAGE, "m", &e), 0);
	cr_assert_eq(phys_new(&dump.phys, NULL, &e), 0);
	cr_assert_eq(phys_add_file(dump.phys, 0, PAGES * PAGE, in, 0, &e), 0);
	cr_assert_eq(phys_seal(dump.phys, &e), 0);
	cr_assert_eq(carve_open(&c, &im, &o, &e), 0);
	cr_assert_eq(carve_run(c, take, &r, &e), 0);
	carve_counts(c, &r.counts);
	carve_close(c);
	phys_free(dump.phys);
	input_close(in);
	notes_free(&im.notes);
	free(m->mem);
	return r;
}

static void expect(struct image_of *m, unsigned events, unsigned gaps, unsigned n_old, const char *what)
{
	struct result r = run(m);

	cr_assert(r.buffers == 1 && r.events == events && r.gaps == gaps && r.old == n_old,
		  "%s: %u of %u events, %u gaps, %u of %u old ones", what, r.events, events, r.gaps, r.old, n_old);
}

/* A record whose header lies across the page's edge begins there, but no chain does: what leads to it is one. */
Test(carvetail, header_across_the_edge)
{
	uint8_t page[PAGE] = {0};
	struct carve_head h[CARVE_HEADS];
	uint64_t ts = OLD;
	unsigned n = fill(page, 0x20, PAGE - 0x10, &ts);

	put_le32(page + PAGE - 0x10, 0xc0130060);
	cr_assert_eq(carve_heads(page, h), 1);
	cr_assert(h[0].off == 0x20 && h[0].n == n && h[0].exit == 0x50, "%u of %u records, next at %x", h[0].n, n, h[0].exit);
}

/* The last page of the data, in which none of its records begins, holds old ones: they tell that it is the buffer's. */
Test(carvetail, last_page_with_old_records)
{
	/* where the data end; the first old record; where one begins that goes over the page's edge */
	static const struct {
		uint32_t end, first, cross;
	} t[] = {{2 * PAGE + 0x38, 2 * PAGE + 0x60, 3 * PAGE - 0x88},
		 {2 * PAGE + 0x38, 2 * PAGE + 0x60, 3 * PAGE - 0x10},   /* its header lies across */
		 {3 * PAGE - 0x100, 3 * PAGE - 0x88, 3 * PAGE - 0x88}}; /* it is the only one: those behind prove it */

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct image_of m;
		unsigned n, n_old;

		n = begin(&m, 8 * PAGE, 2 * PAGE - 0x60) + 1;
		put(m.p + 2 * PAGE - 0x60, t[i].end - (2 * PAGE - 0x60), NOW + n - 1);
		put_le32(m.p + 4, t[i].end);
		put_le32(m.p + 8, t[i].end + 8 * PAGE);
		put_le64(m.p + 0x10, NOW + n);
		put_le32(m.p + 0x30, t[i].end);
		memset(m.p + t[i].end, 0x11, t[i].first - t[i].end);
		n_old = old(&m, t[i].first, t[i].cross);
		n_old += one(&m, t[i].cross, t[i].cross + 0xa8);
		n_old += old(&m, t[i].cross + 0xa8, 8 * PAGE - 0x40);
		expect(&m, n, 0, n_old, t[i].cross == t[i].first ? "one" : "many");
	}
}

/* Records of one length stand at the same places in every buffer: only a row of pages tells whose page such old ones are in. */
Test(carvetail, last_page_of_one_length)
{
	for (unsigned k = 0; k < 2; k++) {
		struct image_of m;
		unsigned n = 0, n_old = 0;

		begin(&m, 8 * PAGE, 0x48);
		for (uint32_t off = 0x48; off < 8 * PAGE - 0x80; off += 0x80)
			put(m.p + off, 0x80, off < 3 * PAGE ? NOW + n++ : OLD + n_old++);
		put_le32(m.p + 4, 3 * PAGE + 0x48);
		put_le32(m.p + 8, 11 * PAGE + 0x48);
		put_le64(m.p + 0x10, NOW + n);
		put_le32(m.p + 0x30, 3 * PAGE + 0x48);
		if (k) { /* the first two elsewhere */
			memcpy(m.mem + 8 * PAGE, m.p, PAGE);
			memset(m.p, 0, PAGE);
			memcpy(m.mem + 12 * PAGE, m.p + PAGE, PAGE);
			memset(m.p + PAGE, 0, PAGE);
		}
		expect(&m, k ? n - 1 : n, k, k ? 0 : n_old, k ? "elsewhere" : "a row");
	}
}

/* Few begin before the edge of the data's last page, many behind it. */
Test(carvetail, few_before_the_edge)
{
	for (unsigned few = 1; few <= 3; few++) {
		uint32_t first = PAGE + 0xf00 - 0x60 * few;
		struct image_of m;
		unsigned n = begin(&m, 4 * PAGE, PAGE + 0xd00), n_old = 0;

		for (unsigned i = 0; i < few; i++) /* the last one goes over it */
			n_old += one(&m, first + 0x60 * i, first + 0x60 * (i + 1) + (i + 1 == few ? 0x170 : 0));
		n_old += old(&m, PAGE + 0x1070, 4 * PAGE);
		expect(&m, n, 0, n_old, "few");
	}
}

/* The last old record ends in the page behind, and nothing follows it; or something else does, which is no proof. */
Test(carvetail, end_behind_the_edge)
{
	struct image_of m;
	unsigned n, n_old;

	for (unsigned k = 0; k < 4; k++) {
		n = begin(&m, 4 * PAGE, PAGE + 0x800);
		n_old = old(&m, PAGE + 0x840, 2 * PAGE - 0x80);
		n_old += one(&m, 2 * PAGE - 0x80, 2 * PAGE + 0x60);
		if (k == 1)
			memset(m.p + 2 * PAGE + 0x60, 0x12, 0x300);
		else if (k == 2)
			memset(m.p + 2 * PAGE, 0, 0x60);
		else if (k == 3) /* it would be the end of a record, but for what stands behind */
			put_le32(m.p + 2 * PAGE + 0x900, 0x12345678);
		expect(&m, n, 0, k ? n_old - 1 : n_old, k ? "no end" : "an end");
	}
}

/* The data end so near to the page's edge that no old record begins behind them: where the others end tells whose they are. */
Test(carvetail, nothing_leads_to_them)
{
	for (unsigned k = 0; k < 7; k++) {
		uint32_t size = 8 * PAGE, end = (k == 1 ? 0 : 2 * PAGE) + 0xf80, first = (end & ~(PAGE - 1)) + PAGE + 0x70;
		struct image_of m;
		unsigned n = begin(&m, size, end), n_old;

		memset(m.p + end, 0x11, first - end);
		switch (k) {
		case 0: /* to the end of the buffer */
		case 1: /* the same, of the first page */
			n_old = old(&m, first, size - 0x40);
			break;
		case 2: /* not to the end, but over many pages */
			n_old = old(&m, first, size - 0x700);
			break;
		case 3: /* a page or two, and an end in the middle: anybody's */
			old(&m, first, first + 0x1300);
			n_old = 0;
			break;
		case 4: /* over the end */
			old(&m, first, size - 0x40);
			one(&m, size - 0x40, size + 0x200);
			n_old = 0;
			break;
		case 5: /* the buffer was not used before */
			old(&m, first, size - 0x40);
			memset(m.p + end, 0, first - end);
			n_old = 0;
			break;
		default: /* later ones */
			m.ts = LATER;
			old(&m, first, size - 0x40);
			n_old = 0;
			break;
		}
		expect(&m, n, 0, n_old, "apart");
	}
}

/* A chain that goes over the buffer's end is another one's. */
Test(carvetail, over_the_end)
{
	struct image_of m;
	unsigned n, n_old, all;

	for (unsigned k = 0; k < 2; k++) {
		n = begin(&m, 3 * PAGE, PAGE + 0x800);
		n_old = old(&m, PAGE + 0x840, 2 * PAGE - 0x80);
		all = n_old + one(&m, 2 * PAGE - 0x80, 2 * PAGE + 0x60);
		all += old(&m, 2 * PAGE + 0x60, 3 * PAGE - 0x60);
		if (k)
			one(&m, 3 * PAGE - 0x60, 3 * PAGE + 0x200);
		expect(&m, n, 0, k ? n_old : all, k ? "over" : "before");
	}
}

/* A buffer that was never used stands behind: old records of one length would end where its header does. */
Test(carvetail, empty_buffer_behind)
{
	for (unsigned k = 0; k < 2; k++) {
		struct image_of m;
		unsigned n = begin(&m, 4 * PAGE, 0x7c8), n_old = 0;

		for (uint32_t off = 0x7c8; off < PAGE; off += 0x70, n_old++)
			put(m.p + off, 0x70, m.ts++);
		memset(m.p + PAGE, 0, PAGE);
		put_le64(m.p + PAGE + 0x10, m.ts); /* the rest of the last record */
		if (k) {
			put_le32(m.p + PAGE, 4 * PAGE);
			n_old--;
		}
		expect(&m, n, 0, n_old, k ? "empty" : "none");
	}
}

/* A page somewhere else, with old records of one length that would go on there, at quite another time. */
Test(carvetail, another_time)
{
	for (unsigned k = 0; k < 2; k++) {
		struct image_of m;
		unsigned n = begin(&m, 4 * PAGE, 0x800), n_old = 0;

		for (uint32_t off = 0x800; off < 4 * PAGE; off += 0x80, n_old++) {
			if (k && off == PAGE)
				m.ts += 100000;
			put(m.p + off, 0x80, m.ts += 10);
		}
		expect(&m, n, 0, k ? 0x800 / 0x80 : n_old, k ? "later" : "soon");
	}
}
