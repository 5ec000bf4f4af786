/* DumpIt's .zdmp and HPAK: what is inside comes out; damage is named, costs no more than its block, and nothing stands in another's place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "dumpfmt.h"
#include "mkcrash.h"
#include "mkzdmp.h"
#include "rd.h"

TestSuite(zdmp, .timeout = 60);

#define PAGE  4096u
#define PAGES 180u
#define BLOCK 0x8000u /* eight pages; the crash header is two */

static uint8_t memory[PAGES * PAGE];

static void make_crash(struct buf *b)
{
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = PAGES};

	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i % PAGE < 8 ? i / PAGE : (i / 37) * (i / PAGE % 3));
	buf_init(b);
	mkcrash_build(b, &o);
}

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
	cr_assert_eq(input_open_memory(&in, b->p, b->n, "image", NULL), 0);
	w->rc = dump_open_input(&w->d, in, NULL, &w->notes, &w->e);
}

static void end(struct world *w)
{
	dump_close(w->d);
	notes_free(&w->notes);
}

/* mkcrash: the first half from frame 1 on, the rest from frame 100 on. */
static unsigned right_pages(const struct world *w)
{
	unsigned n = 0;
	uint8_t p[PAGE];

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t pfn = i < PAGES / 2 ? 1 + i : 100 + i - PAGES / 2;

		if (phys_read(w->d->phys, pfn * PAGE, p, PAGE) == 0) {
			cr_assert(memcmp(p, memory + i * PAGE, PAGE) == 0, "page %u", i);
			n++;
		}
	}
	return n;
}

static bool told(const struct world *w, const char *words)
{
	for (size_t i = 0; i < w->notes.n; i++)
		if (strstr(w->notes.v[i].detail, words))
			return true;
	return false;
}

static size_t block_at(const struct buf *b, unsigned k)
{
	size_t at = 0x1000;

	while (k--)
		at += 12 + le32(b->p + at + 4);
	return at;
}

Test(zdmp, whole)
{
	struct buf crash, b;
	struct world w;

	make_crash(&crash);
	buf_init(&b);
	mkzdmp_build(&b, crash.p, crash.n, BLOCK);
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_str_eq(w.d->format, "zdmp:crash64-full");
	cr_assert_str_eq(w.d->compression, "lznt1");
	cr_assert_eq(input_size(w.d->file), b.n, "the evidence is the packed file");
	cr_assert(w.d->hints.is_crash_dump);
	cr_assert_eq(right_pages(&w), PAGES);
	dump_late_notes(w.d);
	cr_assert(!told(&w, "zdmp"));
	end(&w);
	buf_free(&b);
	buf_free(&crash);
}

/* Zeros behind a whole file are padding. Behind one that lacks a block, or with a byte in them, they are not. */
Test(zdmp, padded)
{
	static const size_t pads[] = {1, 11, 512, 200000};
	struct buf crash, b;
	struct world w;

	make_crash(&crash);
	for (unsigned i = 0; i < 4 * 3; i++) {
		buf_init(&b);
		mkzdmp_build(&b, crash.p, crash.n, BLOCK);
		if (i % 3 == 1)
			b.n = block_at(&b, (unsigned)((crash.n + BLOCK - 1) / BLOCK) - 1);
		buf_fill(&b, 0, pads[i / 3]);
		if (i % 3 == 2)
			b.p[b.n - 1] = 1;
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(told(&w, "no block at"), i % 3 != 0, "%u", i);
		if (i % 3 != 1)
			cr_assert_eq(right_pages(&w), PAGES);
		end(&w);
		buf_free(&b);
	}
	buf_free(&crash);
}

Test(zdmp, damage)
{
	struct buf crash, b;
	unsigned all;
	struct world w;

	make_crash(&crash);
	buf_init(&b);
	mkzdmp_build(&b, crash.p, crash.n, BLOCK);
	open_it(&w, &b);
	all = right_pages(&w);
	end(&w);
	for (unsigned k = 1; k < 20; k++) { /* the CRC alone: nothing is lost, and it is named once */
		size_t at = block_at(&b, k);

		b.p[at + 8] ^= 1;
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0);
		cr_assert_eq(right_pages(&w), all);
		cr_assert(!told(&w, "CRC"));
		dump_late_notes(w.d);
		dump_late_notes(w.d);
		cr_assert(told(&w, "1 damaged blocks"));
		end(&w);
		b.p[at + 8] ^= 1;
		b.p[at] ^= 1; /* its signature: the block is lost */
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0);
		cr_assert_eq(right_pages(&w), all - 8, "block %u", k);
		cr_assert(told(&w, "damaged and left out"));
		end(&w);
		b.p[at] ^= 1;
	}
	b.n -= 20;
	open_it(&w, &b);
	cr_assert_eq(w.rc, 0);
	cr_assert_geq(right_pages(&w), all - 8);
	cr_assert(told(&w, "ends inside"));
	end(&w);
	put_le16(b.p + 20, 2);
	open_it(&w, &b);
	cr_assert_eq(w.rc, ERR_UNSUPPORTED);
	cr_assert_not_null(strstr(w.e.msg, "encrypted"));
	end(&w);
	buf_free(&b);
	buf_free(&crash);
}

/* A length that lies: the next header and the CRC tell the right one, and what is behind stands where it did. */
Test(zdmp, lengths_that_lie)
{
	struct buf crash, b;
	struct world w;

	make_crash(&crash);
	buf_init(&b);
	mkzdmp_build(&b, crash.p, crash.n, BLOCK);
	for (unsigned k = 1; k < 20; k++) {
		size_t at = block_at(&b, k), two = block_at(&b, k + 2) - at - 12;
		uint32_t len = le32(b.p + at + 4);
		const uint32_t lies[] = {1, 2, 0x10, 0xff, 0x1000, len - 1, len + 1, len * 2, BLOCK, (uint32_t)two, 0, BLOCK + 1};

		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			if (lies[i] == len || (lies[i] == two && two > BLOCK))
				continue;
			put_le32(b.p + at + 4, lies[i]);
			open_it(&w, &b);
			cr_assert_eq(w.rc, 0, "%u %x: %s", k, lies[i], w.e.msg);
			cr_assert_geq(right_pages(&w), PAGES - 8, "block %u of %x", k, lies[i]);
			cr_assert(told(&w, "zdmp: "));
			if (lies[i] && lies[i] <= BLOCK)
				cr_assert_eq(right_pages(&w), PAGES, "block %u of %x", k, lies[i]);
			end(&w);
			b.p[at + 8] ^= 1; /* and the CRC does not help */
			open_it(&w, &b);
			cr_assert_eq(w.rc, 0, "%u %x: %s", k, lies[i], w.e.msg);
			cr_assert_geq(right_pages(&w), PAGES - 8, "block %u of %x", k, lies[i]);
			cr_assert(told(&w, "damaged and left out"));
			end(&w);
			b.p[at + 8] ^= 1;
		}
		put_le32(b.p + at + 4, len);
	}
	buf_free(&b);
	buf_free(&crash);
}

/* Two headers in a row, and two apart: the header's size says how many blocks are lost. */
Test(zdmp, two_lost)
{
	struct buf crash, b;
	struct world w;

	make_crash(&crash);
	buf_init(&b);
	mkzdmp_build(&b, crash.p, crash.n, BLOCK);
	for (unsigned k = 1; k < 15; k++)
		for (unsigned apart = 1; apart < 4; apart++) {
			size_t at = block_at(&b, k), other = block_at(&b, k + apart);

			b.p[at] ^= 1;
			b.p[other] ^= 1;
			open_it(&w, &b);
			cr_assert_eq(w.rc, 0);
			cr_assert_geq(right_pages(&w), PAGES - 16, "blocks %u, %u", k, k + apart);
			cr_assert(told(&w, "damaged and left out"));
			end(&w);
			b.p[at] ^= 1;
			b.p[other] ^= 1;
		}
	buf_free(&b);
	buf_free(&crash);
}

Test(zdmp, hpak)
{
	struct buf crash, b, z;
	unsigned all = 0;
	struct world w;

	make_crash(&crash);
	for (unsigned packed = 0; packed < 2; packed++) {
		buf_init(&b);
		buf_init(&z);
		if (packed) {
			z_stream s = {.next_in = crash.p, .avail_in = (uInt)crash.n, .avail_out = (uInt)crash.n};

			cr_assert_not_null(s.next_out = buf_grow(&z, crash.n));
			cr_assert(deflateInit2(&s, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
				  deflate(&s, Z_FINISH) == Z_STREAM_END);
			z.n = s.total_out;
			deflateEnd(&s);
		} else {
			buf_put(&z, crash.p, crash.n);
		}
		mkhpak_head(&b, z.n, crash.n, packed);
		buf_put(&b, z.p, z.n);
		buf_puts(&b, "what stands behind");
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_str_eq(w.d->format, "hpak:crash64-full");
		cr_assert_str_eq(w.d->compression, packed ? "gzip" : "");
		all = right_pages(&w);
		cr_assert_eq(all, PAGES);
		end(&w);
		b.n -= z.n / 2;
		open_it(&w, &b);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert(right_pages(&w) > 40 && right_pages(&w) < all);
		cr_assert(told(&w, "hpak: the file ends"));
		end(&w);
		put_le64(b.p + 0x100 + 0xa8, UINT64_MAX);
		open_it(&w, &b);
		cr_assert_eq(w.rc, ERR_TRUNC);
		end(&w);
		b.p[0x100 + 20] = 'x'; /* another section, and none of memory */
		open_it(&w, &b);
		cr_assert_eq(w.rc, ERR_FORMAT);
		end(&w);
		buf_free(&b);
		buf_free(&z);
	}
	buf_free(&crash);
}
