/* Almost buffers: each breaks one rule of the test by shape (src/recover/carveshape.c), and none comes out; its sound twin, which differs in that only, does. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "carve.h"
#include "carveshape.h"
#include "rd.h"

#define PAGES 8u
#define PAGE  4096u
#define AT    (3 * PAGE)
#define TS    UINT64_C(1000000)
#define REC   0x60u /* bytes of one record */

/* ---- makers ------------------------------------------------------------------------------------------------------------------------------ */

static void put_n(uint8_t *p, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void record(uint8_t *r, uint64_t ts)
{
	memset(r, 0, REC);
	put_le16(r, REC);
	r[2] = 0x13;
	r[3] = 0xc0;
	put_le32(r + 8, 400);
	put_le32(r + 12, 4);
	put_le64(r + 0x10, ts);
	memset(r + 0x18, 0x5a, 16);
}

static void header(uint8_t *p, uint32_t size, uint32_t end)
{
	put_le32(p, size);
	put_le32(p + 4, end);
	put_le32(p + 8, end + size);
	put_le16(p + 0x2a, 3);
}

/* Flushed, n records, and nothing else that speaks for the header but its ReferenceCount and its end of data: agreement 2. */
static void bare(uint8_t *p, uint32_t size, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		record(p + 0x48 + i * REC, TS + i);
	header(p, size, 0x48 + n * REC);
}

static void link_it(uint8_t *p)
{
	put_le64(p + 0x38, UINT64_C(0xffff9a0000000038)); /* its halves are no links of 32 bits */
	put_le64(p + 0x40, UINT64_C(0xffff9a0000108038));
}

static void full(uint8_t *p) /* all there is: agreement 6 */
{
	bare(p, PAGE, 20);
	link_it(p);
	put_le64(p + 0x10, TS + 100);
	put_le64(p + 0x18, 7);
}

static void logging(uint8_t *p)
{
	bare(p, PAGE, 20);
	link_it(p);
	put_le32(p + 4, 0);
	put_le32(p + 8, 0x48 + 20 * REC);
	put_le32(p + 0xc, 15);
	put_le32(p + 0x2c, 1);
}

static void one_linked(uint8_t *p) /* one record needs 4: links are 2 */
{
	bare(p, PAGE, 1);
	link_it(p);
}

static void one_linked_32(uint8_t *p)
{
	bare(p, PAGE, 1);
	put_le64(p + 0x38, UINT64_C(0x8500003886000038));
}

static void one_timed(uint8_t *p) /* blank links 1, time of flushing 1 */
{
	bare(p, PAGE, 1);
	put_le64(p + 0x10, TS + 1);
}

static void one_numbered(uint8_t *p)
{
	bare(p, PAGE, 1);
	put_le64(p + 0x18, 7);
}

static void one_to_its_end(uint8_t *p) /* a writer ran over the end: Offset alone names it */
{
	bare(p, 0x400, 1);
	link_it(p);
	put_le16(p + 0x48, 0x400 - 0x48);
	put_le32(p + 4, 0);
	put_le32(p + 8, 0x500);
	put_le32(p + 0x30, 0x400);
}

static void two(uint8_t *p) /* more than one record: 3 are enough */
{
	bare(p, PAGE, 2);
}

static void message(uint8_t *p) /* WPP, with its time */
{
	uint8_t *r = p + 0x48;

	bare(p, PAGE, 1);
	link_it(p);
	memset(r, 0, REC);
	put_le16(r, REC);
	r[3] = 0x90;
	put_le16(r + 6, 0xaa);
	memset(r + 8, 0x5a, 16);
	put_le64(r + 0x18, TS);
}

static void odd(uint8_t *p) /* a value that no buffer has, four records to the end, links */
{
	bare(p, PAGE, 4);
	link_it(p);
	put_le32(p + 8, UINT32_MAX);
}

static void odd_references(uint8_t *p)
{
	bare(p, PAGE, 4);
	link_it(p);
	put_le32(p + 0xc, 0x80000000);
}

static void odd_processor(uint8_t *p)
{
	bare(p, PAGE, 4);
	link_it(p);
	put_le16(p + 0x28, 0xffff);
}

static void broken_off(uint8_t *p) /* something has taken what follows: four records, and 4 that speak for it */
{
	bare(p, PAGE, 4);
	link_it(p);
	put_le32(p + 4, 0x800);
}

static void torn(uint8_t *p) /* two, a hole, more to the end; and 5 */
{
	full(p);
	memset(p + 0x48 + 2 * REC, 0xee, REC);
	put_le64(p + 0x18, 0);
}

static void file_head(uint8_t *p) /* the first buffer of a file */
{
	uint8_t *r = p + 0x48;

	memset(r, 0, 0x200);
	put_le16(r, 2);
	r[2] = 2;
	r[3] = 0xc0;
	put_le16(r + 4, 0x1b8);
	put_le64(r + 0x10, TS);
	put_le32(r + 0x20, PAGE);
	put_le32(r + 0x20 + 0x2c, 8);
	put_le32(p, PAGE);
	put_le32(p + 0x30, 0x48 + 0x1b8);
	put_le16(p + 0x2a, 3);
	put_le32(p + 0x2c, 3);
	put_le16(p + 0x34, 0x21);
	put_le16(p + 0x36, 4);
}

static void packed_head(uint8_t *p) /* of a compressed one: trimmed */
{
	file_head(p);
	put_le32(p, 0x200);
	put_le32(p + 0x48 + 0x20 + 0x20, 0x4000001);
}

static void pool(uint8_t *p) /* a place and a size of the pool: one record more, 5 */
{
	bare(p, 0x3f8, 3);
	link_it(p);
	put_le64(p + 0x18, 7);
}

static void pool_four(uint8_t *p)
{
	bare(p, 0x3f8, 4);
	link_it(p);
}

/* ---- the rules --------------------------------------------------------------------------------------------------------------------------- */

struct rule {
	char name[40];
	void (*twin)(uint8_t *p);
	uint32_t off, n; /* where the almost buffer differs */
	uint64_t value;
	unsigned deep; /* at a 16-byte boundary: how far from the page's first byte */
};

static const struct rule rules[] = {
	/* the header */
	{"size: no multiple of 1 KiB", full, 0, 4, PAGE + 0x10, 0},
	{"size: a multiple of 512 only", full, 0, 4, PAGE + 0x200, 0},
	{"size: 0", full, 0, 4, 0, 0},
	{"size: more than 16 MB", full, 0, 4, 0x1000400, 0},
	{"saved: behind the size", full, 4, 4, PAGE + 8, 0},
	{"saved: in the header", full, 4, 4, 0x40, 0},
	{"current: in the header", full, 8, 4, 0x40, 0},
	{"current and offset: neither", full, 8, 4, 0, 0},
	{"state", full, 0x2c, 4, 7, 0},
	{"flag: unknown", full, 0x34, 2, 0x8000, 0},
	{"flag: compressed", full, 0x34, 2, 0x40, 0},
	{"type", full, 0x36, 2, 8, 0},
	{"id", full, 0x2a, 2, 1024, 0},
	{"id of a private logger", full, 0x2a, 2, 0x8400, 0},
	{"sequence", full, 0x18, 8, UINT64_C(1) << 48, 0},
	{"time", full, 0x10, 8, UINT64_C(1) << 62, 0},
	{"no data", logging, 8, 4, 0x48, 0},
	/* the first record: without it there is nothing */
	{"record: no marker", one_linked, 0x4b, 1, 0x80, 0},
	{"record: no kind", one_linked, 0x4a, 1, 0x16, 0},
	{"record: a kind that stops readers", one_linked, 0x4a, 1, 0x0c, 0},
	{"record: less than its header", one_linked, 0x48, 2, 0x4f, 0},
	{"record: beyond the end", one_linked, 0x48, 2, REC + 8, 0},
	{"record: no time", one_linked, 0x58, 8, 0, 0},
	{"record: no such time", one_linked, 0x58, 8, UINT64_C(1) << 62, 0},
	{"record: flags", one_linked, 0x4c, 2, 0x400, 0},
	{"message: no flags", message, 0x4e, 2, 0, 0},
	{"message: unknown flags", message, 0x4e, 2, 0x1aa, 0},
	{"message: no time in it", message, 0x4e, 2, 0xa2, 0},
	/* the second */
	{"record: the time goes back", two, 0x48 + REC + 0x10, 8, TS - 1, 0},
	{"record: years later", two, 0x48 + REC + 0x10, 8, TS + (UINT64_C(1) << 56), 0},
	{"record: the next is none", two, 0x48 + REC + 3, 1, 0, 0},
	/* what speaks for a header, where just enough does */
	{"links: no address", one_linked, 0x38, 8, UINT64_C(0x4141414141414141), 0},
	{"links: one only", one_linked, 0x40, 8, 0, 0},
	{"links: no multiple of 4", one_linked, 0x38, 8, UINT64_C(0xffff9a0000000039), 0},
	{"links of 32 bits: no address", one_linked_32, 0x38, 8, UINT64_C(0x8500003800000038), 0},
	{"links of 32 bits: no multiple of 4", one_linked_32, 0x38, 8, UINT64_C(0x8500003a86000038), 0},
	{"references: 7", one_linked, 0xc, 4, 7, 0},
	{"flushed before its last record", one_timed, 0x10, 8, TS - 1, 0},
	{"flushed years later", one_timed, 0x10, 8, TS + (UINT64_C(1) << 56), 0},
	{"flushed, in a state without that", one_timed, 0x2c, 4, 1, 0},
	{"no number", one_numbered, 0x18, 8, 0, 0},
	{"too high a number", one_numbered, 0x18, 8, UINT32_MAX, 0},
	{"no offset agrees", one_to_its_end, 0x30, 4, 0x200, 0},
	{"two records: references", two, 0xc, 4, 7, 0},
	/* values that no buffer has */
	{"odd: three records", odd, 0x48 + 3 * REC, 4, 0, 0},
	{"odd: no links", odd, 0x38, 8, 0, 0},
	{"odd references: no links", odd_references, 0x38, 8, 0, 0},
	{"odd references: three records", odd_references, 0x48 + 3 * REC, 4, 0, 0},
	{"odd processor: no links", odd_processor, 0x38, 8, 0, 0},
	/* chains that break off */
	{"broken off: three records", broken_off, 0x48 + 3 * REC, 4, 0, 0},
	{"broken off: no links", broken_off, 0x38, 8, 1, 0},
	{"torn: no way on to the end", torn, 0x48 + 19 * REC, 4, 0, 0},
	{"torn: no time of flushing", torn, 0x10, 8, 0, 0},
	/* files' first buffers */
	{"file: another size", file_head, 0x68, 4, 2 * PAGE, 0},
	{"file: no width", file_head, 0x68 + 0x2c, 4, 5, 0},
	{"file: another record", file_head, 0x4e, 2, 5, 0},
	{"file: of another kind", file_head, 0x4a, 1, 0x10, 0},
	{"file: references", file_head, 0xc, 4, 7, 0},
	{"compressed file: less than the buffer", packed_head, 0x68, 4, 0, 0},
	{"compressed file: no multiple of 1 KiB", packed_head, 0x68, 4, 0x1200, 0},
	{"compressed file: not compressed", packed_head, 0x68 + 0x20, 4, 1, 0},
	/* the pool's */
	{"pool: references", pool, 0xc, 4, 7, 0x210},
	{"pool: no number", pool, 0x18, 8, 0, 0x210},
	{"pool: not to the end", pool, 0x48 + 2 * REC, 4, 0, 0x210},
	{"pool: no links", pool_four, 0x38, 8, 1, 0x210},
	{"pool: no multiple of 8", pool_four, 0, 4, 0x3fc, 0x210},
	{"pool: over the page", pool_four, 0, 4, 0xdf8, 0x210},
};

static int count(void *ctx, const struct carve_orphan *o, struct err *e)
{
	(void)e;
	*(size_t *)ctx += o->s.n_buffers;
	return 0;
}

/* How many buffers the carver finds, and hands out, when this stands in a memory of zeros. */
static size_t carved(const struct rule *r, bool almost, size_t *out)
{
	uint8_t *mem = calloc(PAGES, PAGE), *p = mem + AT + r->deep;
	struct dump dump = {0};
	struct image im = {.dump = &dump};
	struct carve_opts o = {.deep = r->deep != 0, .threads = 1};
	struct carve_counts n;
	struct input *in;
	struct carve *c;
	struct err e;

	r->twin(p);
	if (almost)
		put_n(p + r->off, r->n, r->value);
	notes_init(&im.notes);
	cr_assert_eq(input_open_memory(&in, mem, PAGES * PAGE, "m", &e), 0);
	cr_assert_eq(phys_new(&dump.phys, NULL, &e), 0);
	cr_assert_eq(phys_add_file(dump.phys, 0, PAGES * PAGE, in, 0, &e), 0);
	cr_assert_eq(phys_seal(dump.phys, &e), 0);
	*out = 0;
	cr_assert_eq(carve_open(&c, &im, &o, &e), 0);
	cr_assert_eq(carve_run(c, count, out, &e), 0);
	carve_counts(c, &n);
	carve_close(c);
	phys_free(dump.phys);
	input_close(in);
	notes_free(&im.notes);
	free(mem);
	return n.shapes;
}

Test(almost, none_comes_out)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];
		bool head = r->twin == file_head || r->twin == packed_head; /* no buffer of records: found, and not handed out */
		size_t out;

		cr_expect_eq(carved(r, false, &out), 1, "%s: the twin is not found", r->name);
		cr_expect_eq(out, head ? 0 : 1, "%s: the twin does not come out", r->name);
		cr_expect_eq(carved(r, true, &out), 0, "%s: it is found", r->name);
		cr_expect_eq(out, 0, "%s: it comes out", r->name);
	}
}

/* Without a GUID an event is none, with one byte of it it is. */
Test(almost, provider)
{
	uint8_t p[PAGE] = {0};
	struct carve_shape s;

	one_linked(p);
	memset(p + 0x60, 0, 16);
	cr_expect(!carve_looks(p, PAGE, false, &s));
	p[0x6f] = 1;
	cr_expect(carve_looks(p, PAGE, false, &s));
}

/* A header at the edge of memory: fewer bytes than a record's least are at hand. */
Test(almost, room)
{
	uint8_t p[PAGE] = {0};
	struct carve_shape s;

	full(p);
	cr_expect(!carve_looks(p, 0x57, false, &s));
	cr_expect(carve_looks(p, PAGE, false, &s));
}
