/* QEMU streams: parts of the configuration, page sizes, packed pages; damage costs no more than its page, and is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "dumpfmt.h"

TestSuite(qevm, .timeout = 60);

#define PAGES 6u

struct made {
	unsigned bits;        /* 0: no part says it */
	const char *other;    /* a part of this name, or NULL */
	unsigned broken;      /* this packed page is damaged; 0: none (it is not packed) */
	uint32_t length;      /* what its length says; 0: the truth */
	unsigned caps;        /* how many are said to be there: 1 is */
	uint64_t total;       /* added to what the list of blocks says of them all */
	uint64_t size;        /* added to the size of pc.ram */
	uint32_t xml;         /* libvirt's header in front, which says so many bytes of XML: 40 is the truth; 0: no header */
	uint8_t flags[PAGES]; /* turned over in the record of a page */
	uint32_t machine;     /* added to the length of the machine's name */
	uint8_t ram;          /* the same of the section's name */
	uint8_t footer;       /* turned over in the footer between two parts, page 3 begins the second; 0: one part */
};

static void be(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		buf_u8(b, (uint8_t)(v >> (8 * bytes)));
}

static void name(struct buf *b, const char *s)
{
	buf_u8(b, (uint8_t)strlen(s));
	buf_puts(b, s);
}

static void part(struct buf *b, const char *s)
{
	buf_u8(b, 5);
	name(b, s);
	be(b, 1, 4);
}

static void fill(uint8_t *p, unsigned page, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		p[i] = (uint8_t)(i / 16 * (page + 1) + page);
}

/* Every odd page is packed; page 0 is of zeros. */
static void pages(struct buf *b, const struct made *m, uint32_t size)
{
	for (unsigned i = 0; i < PAGES; i++) {
		uint8_t plain[65536], packed[70000];
		uLongf n = sizeof(packed);

		fill(plain, i, size);
		if (m->footer && i == 3) {
			be(b, 0x10, 8);
			buf_put(b, "\x7e\0\0\0\2\2\0\0\0\2", 10);
			b->p[b->n - 10] ^= m->footer;
		}
		be(b, ((uint64_t)i * size | (i == 0 ? 2 : i % 2 ? 0x100 : 8) | (i ? 0x20 : 0)) ^ (uint64_t)m->flags[i] << 4, 8);
		if (i == 0) {
			name(b, "pc.ram");
			buf_u8(b, 0);
		} else if (i % 2 == 0) {
			buf_put(b, plain, size);
		} else {
			cr_assert_eq(compress(packed, &n, plain, size), Z_OK);
			if (i == m->broken)
				packed[n / 2] ^= 0x55;
			be(b, i == m->broken && m->length ? m->length : n, 4);
			buf_put(b, packed, n);
		}
	}
}

static void make(struct buf *b, const struct made *m)
{
	uint32_t size = m->bits ? 1u << (m->bits & 31) : 4096;

	buf_init(b);
	if (m->xml) {
		buf_puts(b, "LibvirtQemudSave");
		for (unsigned i = 0; i < 4; i++)
			buf_u8(b, i == 0 ? 2 : 0);
		for (unsigned i = 0; i < 4; i++)
			buf_u8(b, (uint8_t)(m->xml >> 8 * i));
		for (unsigned i = 24; i < 92; i++)
			buf_u8(b, 0);
		buf_puts(b, "<domain type='kvm'><name>x</name></domain");
		b->n--;
	}
	buf_put(b, "QEVM\0\0\0\3\7", 9);
	be(b, 2 + m->machine, 4);
	buf_puts(b, "pc");
	if (m->caps) {
		part(b, "configuration/capabilities");
		be(b, m->caps, 4);
		name(b, "x-ignore-shared");
	}
	if (m->other) {
		part(b, m->other);
		buf_put(b, "0123456789abcdef", 16);
	}
	if (m->bits) {
		part(b, "configuration/target-page-bits");
		be(b, m->bits, 4);
	}
	buf_put(b, "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4", 17);
	b->p[b->n - 12] = (uint8_t)(3 + m->ram);
	if (m->bits > 16)
		return;
	be(b, ((uint64_t)PAGES * size + m->total + (m->caps || m->bits ? 0 : 0x20000)) | 4, 8);
	name(b, "pc.ram");
	be(b, (uint64_t)PAGES * size + m->size, 8);
	if (m->caps)
		be(b, 0xfffc0000, 8);
	if (!m->caps && !m->bits) {
		name(b, "pc.bios");
		be(b, 0x20000, 8);
	}
	be(b, 0x200, 8);
	pages(b, m, size);
	be(b, 0x10, 8);
	buf_put(b, "\x7e\0\0\0\2\0", 6);
}

/* How many pages are there and right. *notes: of all kinds. Negative: not opened. */
static int right(const struct made *m, size_t *n_notes, char why[256])
{
	uint32_t size = m->bits ? 1u << (m->bits & 31) : 4096;
	static uint8_t want[65536], got[65536];
	struct notes notes;
	struct input *in;
	struct dump *d;
	struct err e = {0};
	struct buf b;
	int n = 0, rc;

	make(&b, m);
	notes_init(&notes);
	cr_assert_eq(input_open_memory(&in, b.p, b.n, "image", NULL), 0);
	rc = dump_open_input(&d, in, NULL, &notes, &e);
	*n_notes = notes.n;
	snprintf(why, 256, "%s", rc < 0 ? e.msg : notes.n ? notes.v[0].detail : "");
	for (unsigned i = 0; rc == 0 && i < PAGES; i++) {
		if (phys_read(d->phys, (uint64_t)i * size, got, size) != 0)
			continue;
		fill(want, i, size);
		if (i == 0)
			memset(want, 0, size);
		cr_assert(memcmp(got, want, size) == 0, "page %u", i);
		cr_assert_eq(phys_read(d->phys, (uint64_t)i * size + 100, got, 8), 0);
		cr_assert(memcmp(got, want + 100, 8) == 0, "inside of page %u", i);
		n++;
	}
	if (rc == 0)
		dump_close(d);
	notes_free(&notes);
	buf_free(&b);
	return rc < 0 ? rc : n;
}

Test(qevm, parts_of_the_configuration)
{
	static const struct made all[] = {{0},
					  {.bits = 12},
					  {.bits = 14},
					  {.bits = 16},
					  {.caps = 1},
					  {.other = "configuration/uuid"},
					  {.other = "configuration/of-a-later-day"},
					  {.bits = 14, .caps = 1, .other = "configuration/of-a-later-day"}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char why[256];
		size_t notes;

		cr_expect_eq(right(&all[i], &notes, why), PAGES, "%zu: %s", i, why);
		cr_expect_eq(notes, 0, "%zu: %s", i, why);
	}
}

Test(qevm, lies_of_the_configuration)
{
	static const struct made all[] = {{.bits = 31}, {.bits = 0xffffffff}, {.bits = 2}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char why[256];
		size_t notes;
		int rc = right(&all[i], &notes, why);

		cr_expect_lt(rc, 0, "%zu", i);
		cr_expect(strstr(why, "pages of 2^"), "%zu: %s", i, why);
	}
}

/* A number of the list of blocks lies: the records still say where their pages stand. */
Test(qevm, lies_of_the_list_of_blocks)
{
	static const struct made all[] = {{.total = 0x1000},
					  {.total = 0ull - PAGES * 4096 - 0x20000},
					  {.total = UINT64_C(1) << 60},
					  {.size = 0x1000},
					  {.size = 0ull - 0x1000},
					  {.size = UINT64_C(1) << 40},
					  {.size = UINT64_C(1) << 63}};
	static const struct made both = {.size = 0ull - 0x1000, .total = 0ull - 0x1000};
	char why[256];
	size_t notes;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_expect_eq(right(&all[i], &notes, why), PAGES, "%zu: %s", i, why);
		cr_expect(notes == 1 && strstr(why, "by the list of its blocks"), "%zu: %s", i, why);
	}
	/* a list that agrees with itself is believed: the page behind is named */
	cr_expect_eq(right(&both, &notes, why), PAGES - 1);
	cr_expect(notes == 1 && strstr(why, "1 pages stand outside of their RAM block"), "%s", why);
}

Test(qevm, lies_of_libvirts_header)
{
	static const struct made whole = {.xml = 40}, far = {.xml = UINT32_MAX};
	char why[256];
	size_t notes;

	cr_expect_eq(right(&whole, &notes, why), PAGES, "%s", why);
	cr_expect_eq(notes, 0, "%s", why);
	cr_expect_eq(right(&far, &notes, why), PAGES, "%s", why);
	cr_expect(notes == 1 && strstr(why, "the stream was found"), "%s", why);
}

Test(qevm, a_damaged_packed_page)
{
	static const struct made bytes = {.broken = 3}, longer = {.broken = 3, .length = 0x7fffffff},
				 beyond = {.broken = 5, .length = 5000};
	char why[256];
	size_t notes;

	cr_expect_eq(right(&bytes, &notes, why), PAGES - 1);
	cr_expect(notes == 1 && strstr(why, "1 packed pages do not unpack"), "%s", why);
	cr_expect_eq(right(&longer, &notes, why), PAGES - 1); /* the record behind it is found by those that follow */
	cr_expect(notes == 1 && strstr(why, "1 places of the stream make no sense"), "%s", why);
	cr_expect_eq(right(&beyond, &notes, why), PAGES - 1);
	cr_expect(notes == 1 && strstr(why, "1 places of the stream make no sense"), "%s", why);
}

/* One record that makes no sense costs its page, and no other one. */
Test(qevm, damaged_records)
{
	static const uint8_t turned[] = {0x10, 0x18, 0x08, 0xff, 0x81}; /* of flags 4 to 11: packed, packed and hook, hook ... */
	char why[256];
	size_t notes;

	for (size_t t = 0; t < sizeof(turned); t++)
		for (unsigned i = 1; i < PAGES; i++) {
			struct made m = {0};

			m.flags[i] = turned[t];
			cr_expect_eq(right(&m, &notes, why), PAGES - 1, "page %u, %02x: %s", i, turned[t], why);
			cr_expect(notes == 1 && strstr(why, " 1 places") && strstr(why, "make no sense"), "page %u, %02x: %s", i, turned[t],
				  why);
		}
	for (unsigned i = 1; i + 2 < PAGES; i++) {
		struct made m = {0};

		m.flags[i] = m.flags[i + 2] = 0xff;
		/* what stands between two of them is found where the first one's length is known, that of a plain page */
		cr_expect_eq(right(&m, &notes, why), (int)PAGES - (i % 2 ? 3 : 2), "pages %u and %u: %s", i, i + 2, why);
	}
}

Test(qevm, a_damaged_footer_and_lies_of_the_beginning)
{
	static const struct made all[] = {{.footer = 0x40},      {.footer = 0xff}, {.machine = 40}, {.machine = UINT32_MAX},
					  {.machine = 1u << 30}, {.ram = 5},       {.ram = 200},    {.ram = 0xfe},
					  {.caps = 0xffffffff},  {.caps = 900}};
	char why[256];
	size_t notes;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_expect_eq(right(&all[i], &notes, why), PAGES, "%zu: %s", i, why);
		cr_expect_eq(notes, 1, "%zu: %zu, %s", i, notes, why);
	}
}
