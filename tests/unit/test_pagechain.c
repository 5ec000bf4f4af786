/* All ways to put a scattered buffer together (src/recover/carvechain.c): the only way is taken, of several what they share, and nothing else. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "carvework.h"
#include "rd.h"

#define PAGE  4096u
#define PAGES 64u
#define SIZE  (4 * PAGE)
#define REC   0x60u

struct scene {
	uint8_t *mem;
	struct input *in;
	struct dump dump;
	struct image im;
	struct carve *c;
};

/* A flushed buffer of SIZE bytes full of records; `tag` goes into each; they begin at ts, `apart` ticks from each other. */
static void make(uint8_t *p, uint16_t id, uint64_t ts, uint64_t apart, uint8_t tag)
{
	uint32_t off = 0x48;
	uint64_t t = ts;

	for (; off + REC <= SIZE; off += REC, t += apart) {
		uint8_t *r = p + off;

		memset(r, 0, REC);
		put_le16(r, REC);
		r[2] = 0x13;
		r[3] = 0xc0;
		put_le64(r + 0x10, t);
		memset(r + 0x18, 0x5a, 16);
		memset(r + 0x50, tag, 16);
	}
	memset(p + off, 0, SIZE - off);
	memset(p, 0, 0x48);
	put_le32(p, SIZE);
	put_le32(p + 4, off);
	put_le32(p + 8, off + SIZE);
	put_le64(p + 0x10, t);
	put_le64(p + 0x18, 7);
	put_le16(p + 0x2a, id);
	put_le64(p + 0x38, UINT64_C(0xffff9a0000000038));
	put_le64(p + 0x40, UINT64_C(0xffff9a0000108038));
}

static void setup(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->mem = calloc(PAGES, PAGE);
	notes_init(&s->im.notes);
	s->im.dump = &s->dump;
}

/* Page i of the buffer at b to page `to` of memory. */
static void put(struct scene *s, const uint8_t *b, unsigned i, unsigned to)
{
	memcpy(s->mem + (size_t)to * PAGE, b + (size_t)i * PAGE, PAGE);
}

static void look(struct scene *s)
{
	struct carve_opts o = {.threads = 1};
	struct err e;

	cr_assert_eq(input_open_memory(&s->in, s->mem, PAGES * PAGE, "m", &e), 0);
	cr_assert_eq(phys_new(&s->dump.phys, NULL, &e), 0);
	cr_assert_eq(phys_add_file(s->dump.phys, 0, PAGES * PAGE, s->in, 0, &e), 0);
	cr_assert_eq(phys_seal(s->dump.phys, &e), 0);
	cr_assert_eq(carve_open(&s->c, &s->im, &o, &e), 0);
}

static void done(struct scene *s)
{
	carve_close(s->c);
	phys_free(s->dump.phys);
	input_close(s->in);
	notes_free(&s->im.notes);
	free(s->mem);
}

/* The buffer whose first page is that page of memory, put together by all ways. */
static const struct carve_buf *join(struct scene *s, unsigned first, bool doubt)
{
	struct carve_how how = {.patience = 64, .whole = true, .all = true, .doubt = doubt};
	struct carve_buf *b = carve_at(s->c, (uint64_t)first * PAGE);

	cr_assert_not_null(b);
	cr_assert_eq(carve_join(s->c, b, &how), 0);
	return b;
}

static void expect_pages(const struct carve_buf *b, const int want[4])
{
	cr_assert_not_null(b->page);
	cr_assert_eq(b->n_pages, 4);
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(b->page[i], want[i] < 0 ? ETW_NO_PA : (uint64_t)want[i] * PAGE, "page %u: %#llx", i,
			     (unsigned long long)b->page[i]);
}

Test(pagechain, the_only_way)
{
	struct scene s;
	uint8_t a[SIZE];

	setup(&s);
	make(a, 3, 100000, 10, 1);
	for (unsigned i = 0; i < 4; i++)
		put(&s, a, i, (unsigned[]){9, 30, 5, 21}[i]);
	look(&s);
	expect_pages(join(&s, 9, false), (int[]){9, 30, 5, 21});
	done(&s);
}

/* A page that a wall of time parts from the buffer's records is no way on. */
Test(pagechain, a_page_is_lost)
{
	struct scene s;
	uint8_t a[SIZE], b[SIZE];

	setup(&s);
	make(a, 3, 100000, 10, 1);
	make(b, 4, 900000, 10, 2);
	put(&s, a, 0, 9);
	put(&s, a, 1, 30);
	put(&s, a, 3, 21);
	put(&s, b, 2, 40);
	look(&s);
	cr_expect_null(join(&s, 9, false)->page);
	done(&s);
}

/* Two buffers of the same time, records at the same places: which second half is whose, nobody knows; the first pages' is known. */
static void twins(struct scene *s, bool same_tail)
{
	uint8_t a[SIZE], b[SIZE];

	setup(s);
	make(a, 3, 100000, 10, 1);
	make(b, 3, 100000, 10, same_tail ? 1 : 2);
	put(s, a, 0, 9);
	put(s, a, 1, 30);
	put(s, a, 2, 5);
	put(s, a, 3, 21);
	put(s, b, 2, 44);
}

Test(pagechain, two_ways)
{
	struct scene s;
	const struct carve_buf *b;

	twins(&s, false);
	look(&s);
	b = join(&s, 9, false);
	cr_expect_null(b->page);
	/* what all ways share it wishes to keep meanwhile */
	cr_expect(b->wishes && b->n_held == 2 && b->held[0] == UINT64_C(21) * PAGE && b->held[1] == UINT64_C(30) * PAGE);
	expect_pages(join(&s, 9, true), (int[]){9, 30, -1, 21});
	done(&s);
}

Test(pagechain, the_same_bytes_twice)
{
	struct scene s;
	const struct carve_buf *b;

	twins(&s, true);
	look(&s);
	b = join(&s, 9, false);
	cr_assert_not_null(b->page);
	cr_expect(b->page[2] == UINT64_C(5) * PAGE || b->page[2] == UINT64_C(44) * PAGE);
	done(&s);
}

/* Of two ways the one whose pages follow each other. */
Test(pagechain, neighbours_decide)
{
	struct scene s;
	uint8_t a[SIZE], b[SIZE];

	setup(&s);
	make(a, 3, 100000, 10, 1);
	make(b, 3, 100000, 10, 2);
	put(&s, a, 0, 9);
	put(&s, a, 1, 30);
	put(&s, a, 2, 31);
	put(&s, b, 2, 5);
	put(&s, a, 3, 21);
	look(&s);
	expect_pages(join(&s, 9, false), (int[]){9, 30, 31, 21});
	done(&s);
}

/* A page that another buffer has been given is no choice any more. */
Test(pagechain, what_is_gone)
{
	struct scene s;

	twins(&s, false);
	look(&s);
	cr_assert_eq(addrset_add(&s.c->claimed, UINT64_C(44) * PAGE | 1), 1);
	expect_pages(join(&s, 9, false), (int[]){9, 30, 5, 21});
	done(&s);
}

/* In the strict round a page that begins later than the longest step so far allows is left out; where no other page is about, it is taken later. */
Test(pagechain, tight)
{
	struct scene s;
	struct carve_how how = {.patience = 64, .whole = true, .all = true, .tight = true};
	struct carve_buf *b;
	uint8_t a[SIZE];

	setup(&s);
	make(a, 3, 100000, 10, 1);
	for (uint32_t off = 0x48; off + REC <= SIZE; off += REC) /* a pause behind the second page */
		if (off > 2 * PAGE)
			put_le64(a + off + 0x10, le64(a + off + 0x10) + 300);
	put_le64(a + 0x10, le64(a + 0x10) + 300);
	for (unsigned i = 0; i < 4; i++)
		put(&s, a, i, (unsigned[]){9, 30, 5, 21}[i]);
	look(&s);
	b = carve_at(s.c, UINT64_C(9) * PAGE);
	cr_assert_not_null(b);
	cr_assert_eq(carve_join(s.c, b, &how), 0);
	cr_expect_null(b->page);
	expect_pages(join(&s, 9, false), (int[]){9, 30, 5, 21});
	done(&s);
}
