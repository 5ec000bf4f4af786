/* EWF images: lost and damaged segments, sections, tables and chunks are holes with a name; what is intact keeps its place. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dumpfmt.h"
#include "mkewf.h"
#include "rd.h"

#define CHUNKS 12u
#define SIZE   (CHUNKS * MKEWF_CHUNK)

TestSuite(ewf, .timeout = 60);

static uint8_t expected_byte(uint64_t at)
{
	uint64_t x = (at >> 2) * UINT64_C(0x9e3779b97f4a7c15);

	return at / MKEWF_CHUNK == 3 ? 0 : at / MKEWF_CHUNK % 2 ? (uint8_t)(x >> 56) : (uint8_t)(at >> 9);
}

static const uint8_t *chunk(void *ctx, uint64_t n)
{
	static uint8_t p[MKEWF_CHUNK];

	(void)ctx;
	for (uint32_t i = 0; i < MKEWF_CHUNK; i++)
		p[i] = expected_byte(n * MKEWF_CHUNK + i);
	return n == 3 ? NULL : p;
}

struct world {
	struct buf seg[8];
	size_t n;
	char dir[64];
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void make(struct world *w, const struct mkewf *shape)
{
	struct mkewf o = *shape;

	memset(w, 0, sizeof(*w));
	o.size = o.size ? o.size : SIZE;
	o.chunk = chunk;
	w->n = mkewf_build(w->seg, 8, &o);
	snprintf(w->dir, sizeof(w->dir), "/tmp/etlift-ewf-XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	notes_init(&w->notes);
}

static void path_of(const struct world *w, unsigned n, char out[96])
{
	snprintf(out, 96, "%s/m.E%02u", w->dir, n);
}

/* Writes the segments (but those of the mask `without`) and opens number `first`. */
static void open_set(struct world *w, unsigned without, unsigned first)
{
	char path[96];

	for (unsigned i = 0; i < w->n; i++) {
		FILE *f;

		if (without >> i & 1)
			continue;
		path_of(w, i + 1, path);
		f = fopen(path, "wb");
		cr_assert(f && fwrite(w->seg[i].p, 1, w->seg[i].n, f) == w->seg[i].n && fclose(f) == 0);
	}
	path_of(w, first, path);
	w->rc = dump_open(&w->d, path, NULL, &w->notes, &w->e);
}

static void done(struct world *w)
{
	char path[96];

	dump_close(w->d);
	notes_free(&w->notes);
	for (unsigned i = 0; i < w->n; i++) {
		buf_free(&w->seg[i]);
		path_of(w, i + 1, path);
		unlink(path);
	}
	rmdir(w->dir);
}

static unsigned told(const struct world *w, const char *what)
{
	unsigned n = 0;

	for (size_t i = 0; i < w->notes.n; i++)
		n += strstr(w->notes.v[i].detail, what) != NULL;
	return n;
}

/* Chunks of which all bytes come out right, as a mask; bytes that come out wrong fail the test, but in chunks of `off`. */
static unsigned good_chunks(struct world *w, unsigned off)
{
	static uint8_t p[MKEWF_CHUNK];
	unsigned mask = 0;

	cr_assert_eq(w->rc, 0, "%s", w->e.msg);
	for (unsigned n = 0; n < CHUNKS; n++) {
		bool right = phys_read(w->d->phys, (uint64_t)n * MKEWF_CHUNK, p, MKEWF_CHUNK) == 0;

		for (uint32_t i = 0; right && i < MKEWF_CHUNK; i++)
			if (p[i] != expected_byte((uint64_t)n * MKEWF_CHUNK + i)) {
				cr_assert(off >> n & 1, "chunk %u has a wrong byte at %u", n, i);
				right = false;
			}
		mask |= (unsigned)right << n;
	}
	return mask;
}

#define ALL ((1u << CHUNKS) - 1)

Test(ewf, whole)
{
	for (unsigned k = 0; k < 8; k++) {
		struct world w;

		make(&w, &(struct mkewf){.packed = k & 1, .per_segment = k & 2 ? 5 : 0, .per_table = k & 4 ? 2 : 0});
		open_set(&w, 0, 1);
		cr_assert_eq(good_chunks(&w, 0), ALL);
		cr_assert_eq(w.notes.n, 0, "%s", w.notes.n ? w.notes.v[0].detail : "");
		cr_assert_str_eq(w.d->format, "ewf");
		cr_assert_eq(w.d->n_segments, k & 2 ? 3 : 1);
		cr_assert(w.d->has_md5 && w.d->has_sha1);
		cr_assert_eq(phys_end(w.d->phys), SIZE);
		done(&w);
	}
}

Test(ewf, any_segment_may_be_given)
{
	struct world w;

	make(&w, &(struct mkewf){.packed = true, .per_segment = 3});
	open_set(&w, 0, 3);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_eq(w.d->n_segments, 4);
	done(&w);
}

Test(ewf, odd_reads_cross_chunks)
{
	static uint8_t p[3 * MKEWF_CHUNK];
	struct world w;

	make(&w, &(struct mkewf){.packed = true, .per_segment = 5});
	open_set(&w, 0, 1);
	for (uint64_t at = 1; at + sizeof(p) < SIZE; at += 9973) {
		size_t n = 1 + (size_t)(at * 7 % (sizeof(p) - 1));

		cr_assert_eq(phys_read(w.d->phys, at, p, n), 0);
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(p[i], expected_byte(at + i));
	}
	done(&w);
}

/* What stands behind the loss is counted from the end of the medium. */
Test(ewf, lost_segments)
{
	static const struct {
		unsigned without, first, good;
	} rows[] = {{1u << 1, 1, ALL & ~0x0f0u}, {1u << 2, 1, 0x0ff}, {1u << 0, 2, ALL & ~0x00fu}, {6, 1, 0x00f}, {3, 3, 0xf00}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		make(&w, &(struct mkewf){.packed = true, .per_segment = 4});
		open_set(&w, rows[i].without, rows[i].first);
		cr_assert_eq(good_chunks(&w, 0), rows[i].good, "row %zu: %x", i, good_chunks(&w, 0));
		cr_assert_eq(phys_end(w.d->phys), rows[i].good & 0x800 ? SIZE : (rows[i].good == 0x0ff ? 8 : 4) * MKEWF_CHUNK);
		cr_assert(told(&w, "missing") >= 2);
		cr_assert(strstr(w.d->advice, "missing"));
		done(&w);
	}
}

Test(ewf, a_segment_of_another_set)
{
	struct world w, other;

	make(&w, &(struct mkewf){.packed = true, .per_segment = 4});
	make(&other, &(struct mkewf){.packed = true, .per_segment = 4, .set = 1});
	buf_clear(&w.seg[1]);
	buf_put(&w.seg[1], other.seg[1].p, other.seg[1].n);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL & ~0x0f0u);
	cr_assert_eq(told(&w, "another acquisition"), 1);
	done(&w);
	done(&other);
}

/* Every byte of both tables of one section of chunks, one after the other: its copy serves. */
Test(ewf, one_damaged_table)
{
	for (unsigned second = 0; second < 2; second++)
		for (unsigned i = 0; i < 24 + 5 * 4 + 4; i += i < 24 ? 1 : 3) {
			struct world w;
			size_t at;

			make(&w, &(struct mkewf){.packed = true, .per_table = 5});
			at = mkewf_section(&w.seg[0], second ? "table2" : "table", 1);
			w.seg[0].p[at + 76 + i] ^= 0x55;
			open_set(&w, 0, 1);
			cr_assert_eq(good_chunks(&w, 0), ALL, "byte %u of table %u", i, second);
			cr_assert_geq(w.notes.n, 1); /* padding is under the checksum too */
			done(&w);
		}
}

/* Both checksums are off and each lies about another entry: entries that lead into the chunks are believed. */
Test(ewf, both_tables_damaged)
{
	struct world w;
	size_t a, b;

	make(&w, &(struct mkewf){.packed = true});
	a = mkewf_section(&w.seg[0], "table", 0) + 76 + 24;
	b = mkewf_section(&w.seg[0], "table2", 0) + 76 + 24;
	put_le32(w.seg[0].p + a + 4 * 2, 0xfffffff0u);
	put_le32(w.seg[0].p + b + 4 * 7, 0x7ffffff0u);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_geq(told(&w, "checksum"), 2);
	done(&w);
	/* the same entry, which leads nowhere: the chunks prove themselves */
	make(&w, &(struct mkewf){.packed = true});
	put_le32(w.seg[0].p + a + 4 * 2, 0xfffffff0u);
	put_le32(w.seg[0].p + b + 4 * 2, 0x7ffffff0u);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_eq(told(&w, "by their own checksums"), 1);
	done(&w);
	/* and the chunk is damaged as well: it is lost, and no other */
	make(&w, &(struct mkewf){.packed = true});
	w.seg[0].p[le64(w.seg[0].p + a - 16) + (le32(w.seg[0].p + a + 4 * 2) & 0x7fffffff) + 2] = 0xff;
	put_le32(w.seg[0].p + a + 4 * 2, 0xfffffff0u);
	put_le32(w.seg[0].p + b + 4 * 2, 0x7ffffff0u);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL & ~4u);
	cr_assert_eq(told(&w, "lead nowhere"), 1);
	done(&w);
}

/* A table that is lost with its copy: its chunks prove themselves. */
Test(ewf, lost_tables)
{
	struct world w;

	make(&w, &(struct mkewf){.packed = true, .per_table = 4});
	memset(w.seg[0].p + mkewf_section(&w.seg[0], "table", 1), 0xa5, 76);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL); /* table2 */
	cr_assert_geq(told(&w, "no section"), 1);
	done(&w);
	make(&w, &(struct mkewf){.packed = true, .per_table = 4});
	{
		size_t a = mkewf_section(&w.seg[0], "table", 1), b = mkewf_section(&w.seg[0], "table2", 1);

		memset(w.seg[0].p + a, 0xa5, 76 + 24 + 16 + 4);
		memset(w.seg[0].p + b, 0xa5, 76 + 24 + 16 + 4);
	}
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_eq(told(&w, ": 4 are found one behind the other"), 1);
	done(&w);
}

/* Both tables lie, with checksums that don't hold, but lead into the chunks: what proves itself is believed before them. */
Test(ewf, tables_that_lead_astray)
{
	struct world w;

	make(&w, &(struct mkewf){.packed = true});
	for (unsigned k = 0; k < 2; k++) {
		uint8_t *e = w.seg[0].p + mkewf_section(&w.seg[0], k ? "table2" : "table", 0) + 76 + 24;

		put_le32(e + 4 * 2, le32(e + 4 * 2) + 40);
		put_le32(e + 4 * 7, le32(e + 4 * 6));
	}
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_geq(told(&w, "by their own checksums"), 1);
	done(&w);
}

/* A file that is cut before its only table: what stands before the cut is there, and no other byte; one damaged chunk ends what has a place. */
Test(ewf, cut_before_the_only_table)
{
	for (unsigned packed = 0; packed < 2; packed++)
		for (unsigned tenth = 1; tenth < 10; tenth++)
			for (unsigned hurt = 0; hurt < 2; hurt++) {
				struct world w;
				size_t at, end;
				unsigned good;

				make(&w, &(struct mkewf){.packed = packed, .size = SIZE - 512});
				at = mkewf_section(&w.seg[0], "sectors", 0) + 76;
				end = mkewf_section(&w.seg[0], "table", 0);
				if (hurt)
					w.seg[0].p[at + (end - at) / 6] ^= 1;
				w.seg[0].n = at + (end - at) * tenth / 10;
				open_set(&w, 0, 1);
				if (w.rc == 0) {
					good = good_chunks(&w, 0) & (ALL >> 1);
					cr_assert(good && (good & (good + 1)) == 0, "tenth %u packed %u hurt %u: %x", tenth, packed, hurt,
						  good);
					cr_assert(!hurt || tenth < 3 || good < ALL >> 1);
					cr_assert(packed || hurt || good + 1 == 1u << ((end - at) * tenth / 10 / (MKEWF_CHUNK + 4)),
						  "%u: %x", tenth, good);
					cr_assert_geq(told(&w, "by their own checksums"), 1);
					cr_assert(good == ALL >> 1 || told(&w, "of the medium"));
				} else {
					cr_assert(tenth == 1 && w.rc == ERR_TRUNC);
				}
				done(&w);
			}
}

/* All chunks are there and no table: what stands behind a damaged one is counted from the end. */
Test(ewf, a_damaged_chunk_and_no_table)
{
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w;
		size_t a, b, at;

		make(&w, &(struct mkewf){.packed = packed});
		at = mkewf_section(&w.seg[0], "sectors", 0) + 76;
		a = mkewf_section(&w.seg[0], "table", 0);
		b = mkewf_section(&w.seg[0], "table2", 0);
		if (packed) /* of the second chunk, which is stored as it is */
			at = le64(w.seg[0].p + a + 76 + 8) + (le32(w.seg[0].p + a + 76 + 24 + 4) & 0x7fffffff);
		else
			at += MKEWF_CHUNK + 4;
		w.seg[0].p[at + 5] ^= 1;
		memset(w.seg[0].p + a + 76, 0xa5, 24 + 48 + 4);
		memset(w.seg[0].p + b + 76, 0xa5, 24 + 48 + 4);
		open_set(&w, 0, 1);
		cr_assert_eq(good_chunks(&w, 0), ALL & ~2u, "%x", good_chunks(&w, 0));
		cr_assert_eq(told(&w, ": 11 are found"), 1);
		cr_assert_geq(told(&w, "of the medium"), 1);
		done(&w);
	}
}

Test(ewf, damaged_chunks)
{
	struct world w;
	size_t at;

	/* a flipped byte in a stored chunk: it is kept, and named */
	make(&w, &(struct mkewf){.packed = false});
	at = mkewf_section(&w.seg[0], "sectors", 0) + 76 + 2 * (MKEWF_CHUNK + 4) + 100;
	w.seg[0].p[at] ^= 1;
	open_set(&w, 0, 1);
	cr_assert_eq(w.notes.n, 0);
	cr_assert_eq(good_chunks(&w, 4), ALL & ~4u);
	dump_late_notes(w.d);
	cr_assert_eq(told(&w, "1 damaged chunks at offset 65536"), 1);
	dump_late_notes(w.d);
	cr_assert_eq(w.notes.n, 1);
	done(&w);
	/* a deflated one that can't be unpacked: it is not there */
	make(&w, &(struct mkewf){.packed = true});
	at = mkewf_section(&w.seg[0], "sectors", 0) + 76;
	memset(w.seg[0].p + at + 2, 0xff, 8);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL & ~1u);
	dump_late_notes(w.d);
	cr_assert_eq(told(&w, "1 damaged chunks at offset 0"), 1);
	done(&w);
}

Test(ewf, cut)
{
	for (unsigned tenth = 1; tenth < 10; tenth++) {
		struct world w;

		make(&w, &(struct mkewf){.packed = false, .per_table = 2});
		w.seg[0].n = w.seg[0].n * tenth / 10;
		open_set(&w, 0, 1);
		if (w.rc == 0) {
			unsigned good = good_chunks(&w, 0);

			cr_assert(good && (good & (good + 1)) == 0, "%x", good); /* a beginning without holes */
			cr_assert_geq(w.notes.n, 1);
		} else {
			cr_assert_eq(tenth, 1);
			cr_assert_eq(w.rc, ERR_TRUNC);
		}
		done(&w);
	}
}

/* Both hashes that are stored have a checksum that holds, and are not the same. */
Test(ewf, two_hashes_that_differ)
{
	struct world w;
	size_t at;

	make(&w, &(struct mkewf){.packed = true});
	at = mkewf_section(&w.seg[0], "digest", 0) + 76;
	w.seg[0].p[at] ^= 1;
	mkewf_sum(w.seg[0].p + at, 76);
	open_set(&w, 0, 1);
	cr_assert_eq(good_chunks(&w, 0), ALL);
	cr_assert_eq(told(&w, "another MD5"), 1);
	cr_assert_eq(w.notes.n, 1);
	done(&w);
}

/* The medium's size, chunk count and chunk size are lies (with a checksum that holds). */
Test(ewf, lying_volume)
{
	static const struct {
		unsigned off;
		uint32_t v;
	} rows[] = {{4, 0},
		    {4, 3},
		    {4, 0xffffffffu},
		    {8, 0},
		    {8, 0xffffffffu},
		    {12, 0},
		    {12, 0x80000000u},
		    {16, 1},
		    {16, 0xffffffffu},
		    {20, 0xffffffffu}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		size_t at;

		make(&w, &(struct mkewf){.packed = true});
		at = mkewf_section(&w.seg[0], "volume", 0) + 76;
		put_le32(w.seg[0].p + at + rows[i].off, rows[i].v);
		mkewf_sum(w.seg[0].p + at, 1048);
		open_set(&w, 0, 1);
		cr_assert_eq(good_chunks(&w, 0), ALL, "row %zu: %x", i, good_chunks(&w, 0));
		cr_assert_geq(w.notes.n, 1);
		done(&w);
	}
}

Test(ewf, nothing_left)
{
	struct world w;

	make(&w, &(struct mkewf){.packed = true});
	w.seg[0].n = 13;
	open_set(&w, 0, 1);
	cr_assert_eq(w.rc, ERR_TRUNC);
	cr_assert(strstr(w.e.msg, "without a chunk"), "%s", w.e.msg);
	done(&w);
}

static const uint8_t *chunk_of_buf(void *ctx, uint64_t n)
{
	static uint8_t p[MKEWF_CHUNK];
	const struct buf *b = ctx;
	size_t at = (size_t)n * MKEWF_CHUNK, len = at < b->n ? b->n - at : 0;

	memset(p, 0, sizeof(p));
	if (len)
		memcpy(p, b->p + at, len < sizeof(p) ? len : sizeof(p));
	return p;
}

/* Inside stands another container, and in that the next: to a bound. */
Test(ewf, inside_itself)
{
	struct buf in[7];

	buf_init(&in[0]);
	mkewf_build(&in[0], 1, &(struct mkewf){.size = SIZE, .chunk = chunk, .packed = true});
	for (unsigned depth = 1; depth < 7; depth++) {
		struct input *src;
		struct dump *d = NULL;
		struct err e;
		uint8_t byte;
		int rc;

		cr_assert_eq(input_open_memory(&src, in[depth - 1].p, in[depth - 1].n, "m", &e), 0);
		rc = dump_open_input(&d, src, NULL, NULL, &e);
		cr_assert_eq(rc, depth <= DUMP_LAYERS_MAX ? 0 : ERR_LIMIT, "depth %u: %s", depth, e.msg);
		if (rc == 0) {
			cr_assert_eq(phys_read(d->phys, MKEWF_CHUNK + 5, &byte, 1), 0);
			cr_assert_eq(byte, expected_byte(MKEWF_CHUNK + 5));
			cr_assert(d->has_md5 && d->n_layers == depth); /* the innermost one's */
			dump_close(d);
		}
		buf_init(&in[depth]);
		mkewf_build(&in[depth], 1,
			    &(struct mkewf){.size = (in[depth - 1].n + 511) / 512 * 512, .chunk = chunk_of_buf, .ctx = &in[depth - 1]});
	}
	for (unsigned k = 0; k < 7; k++)
		buf_free(&in[k]);
}
