/* carvefixture.h - a small memory with buffers in it, and what carving makes of it. For the tests of carving. */
#ifndef ETLIFT_CARVEFIXTURE_H
#define ETLIFT_CARVEFIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carve.h"
#include "carveshape.h"
#include "rd.h"

#define PAGES  256u
#define PAGE   4096u
#define DATE   UINT64_C(133600000001234567)
#define EVENTS 2000

struct fixture {
	uint8_t *mem;
	struct input *in;
	struct dump dump;
	struct image im;
};

static inline void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->mem = calloc(PAGES, PAGE);
	notes_init(&f->im.notes);
	f->im.dump = &f->dump;
}

static inline void ready(struct fixture *f)
{
	struct err e;

	cr_assert_eq(input_open_memory(&f->in, f->mem, PAGES * PAGE, "m", &e), 0);
	cr_assert_eq(phys_new(&f->dump.phys, NULL, &e), 0);
	cr_assert_eq(phys_add_file(f->dump.phys, 0, PAGES * PAGE, f->in, 0, &e), 0);
	cr_assert_eq(phys_seal(f->dump.phys, &e), 0);
}

static inline void done(struct fixture *f)
{
	phys_free(f->dump.phys);
	input_close(f->in);
	notes_free(&f->im.notes);
	free(f->mem);
}

/* A flushed buffer as the kernel leaves it, with as many records as fit (at most n); their times begin at ts. Returns the end of data. */
static inline uint32_t make(uint8_t *p, uint32_t size, uint16_t id, uint64_t ts, unsigned n, unsigned payload)
{
	uint32_t off = 0x48, step = (0x50 + payload + 7) & ~7u;
	unsigned i;

	for (i = 0; i < n && off + step <= size; i++, off += step) {
		uint8_t *r = p + off;

		memset(r, 0, step);
		put_le16(r, (uint16_t)(0x50 + payload));
		r[2] = 0x13;
		r[3] = 0xc0;
		put_le32(r + 8, 400);
		put_le32(r + 12, 4);
		put_le64(r + 16, ts + i);
		memset(r + 0x18, 0x5a, 16);
		memset(r + 0x50, (int)(i + id), payload);
	}
	put_le32(p, size);
	put_le32(p + 4, off);
	put_le32(p + 8, off + size);
	put_le64(p + 0x10, ts + i);
	put_le64(p + 0x18, 7);
	put_le16(p + 0x28, 1);
	put_le16(p + 0x2a, id);
	put_le32(p + 0x30, off);
	put_le64(p + 0x38, UINT64_C(0xffff9a0000101038));
	put_le64(p + 0x40, UINT64_C(0xffff9a0000108038));
	return off;
}

struct result {
	unsigned groups, buffers, events, gaps, copies, old;
	struct carve_orphan last; /* without its buffers */
	uint32_t id[16];
	enum carve_origin origin[16];
	char name[64];
	struct carve_counts counts;
};

static inline int take(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct result *r = ctx;

	(void)e;
	if (r->groups < 16) {
		r->id[r->groups] = o->s.id;
		r->origin[r->groups] = o->origin;
	}
	r->groups++;
	for (size_t i = 0; i < o->s.n_buffers; i++) {
		const struct etw_buffer *b = &o->s.buffers[i];

		r->buffers++;
		r->copies += b->has_same_as;
		r->events += b->has_same_as ? 0 : b->n_events;
		r->gaps += (unsigned)b->n_gaps;
		cr_assert(b->from == ETW_FROM_CARVED && b->has_pa && b->has_file_offset && b->file_offset == b->pa);
	}
	for (size_t i = 0; i < o->s.n_residual; i++)
		r->old += o->s.residual[i].n_events;
	snprintf(r->name, sizeof(r->name), "%s", o->s.name);
	r->last = *o;
	return 0;
}

static inline struct result run(struct fixture *f, bool deep)
{
	struct carve_opts o = {.deep = deep, .residual = true, .threads = 2};
	struct result r = {0};
	struct carve *c;
	struct err e;

	if (!f->dump.phys)
		ready(f);
	cr_assert_eq(carve_open(&c, &f->im, &o, &e), 0);
	cr_assert_eq(carve_run(c, take, &r, &e), 0);
	carve_counts(c, &r.counts);
	carve_close(c);
	return r;
}

#endif
