/* mkseeds - the recipe of the fuzz seeds in testdata/fuzz: `mkseeds DIR` writes them all again, the same bytes each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "mkcrash.h"
#include "mketl.h"
#include "mklayer.h"
#include "mkpack.h"
#include "mkrec.h"
#include "mkwevt.h"
#include "rd.h"
#include "seeds.h"

void put(const char *dir, const char *target, const char *name, const struct buf *b)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s", dir, target, name);
	f = fopen(path, "wb");
	if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void etl_seeds(const char *dir)
{
	static const struct {
		char name[16];
		struct mketl o;
	} all[] = {
		{"wide", {.buffer_size = 0x800, .n_data = 3, .n_records = 12, .narrow = false}},
		{"narrow", {.buffer_size = 0x800, .n_data = 2, .n_records = 12, .narrow = true}},
		{"packed", {.buffer_size = 0x1000, .n_data = 3, .n_records = 20, .packed = true}},
		{"kernel", {.buffer_size = 0x800, .n_data = 1, .n_records = 5, .logger = "NT Kernel Logger"}},
		{"empty", {.buffer_size = 0x400, .n_data = 0}},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct buf b;

		buf_init(&b);
		mketl_build(&b, &all[i].o);
		put(dir, "etl", all[i].name, &b);
		put(dir, "events", all[i].name, &b);
		buf_free(&b);
	}
}

/* The packed buffers of a file as they stand in a row: SavedOffset names CurrentOffset, not Offset. */
static void as_row(struct buf *b)
{
	for (size_t at = le32(b->p); at + 0x48 <= b->n && le32(b->p + at) >= 0x48; at += le32(b->p + at)) {
		put_le32(b->p + at + 8, le32(b->p + at + 4));
		put_le16(b->p + at + 0x34, 0);
	}
}

/* A buffer of two pages that lie apart, and a page table that leads to both: pages 1 and 3, and 2. */
static void table_seed(const char *dir)
{
	enum { PAGE = 4096 };
	static uint8_t m[1 + 4 * PAGE];
	struct buf r, b;

	buf_init(&r);
	buf_init(&b);
	buf_grow(&r, 0x48);
	for (unsigned i = 0; r.n < PAGE + 8; i++)
		mkrec_event(&r, 1000000 + i, (uint16_t)i, 33, 0x41);
	put_le32(r.p, 2 * PAGE);
	put_le32(r.p + 4, (uint32_t)r.n);
	put_le32(r.p + 8, (uint32_t)r.n + 2 * PAGE);
	put_le64(r.p + 0x10, 2000000);
	put_le64(r.p + 0x18, 7);
	put_le16(r.p + 0x28, 1);
	put_le16(r.p + 0x2a, 5);
	put_le32(r.p + 0x30, (uint32_t)r.n);
	put_le64(r.p + 0x38, UINT64_C(0xffff9a0000101038));
	put_le64(r.p + 0x40, UINT64_C(0xffff9a0000108038));
	memcpy(m + 1 + PAGE, r.p, PAGE);
	memcpy(m + 1 + 3 * PAGE, r.p + PAGE, r.n - PAGE);
	put_le64(m + 1 + 2 * PAGE + 56, PAGE | 0x867);
	put_le64(m + 1 + 2 * PAGE + 64, 3 * PAGE | 0x867);
	buf_put(&b, m, sizeof(m));
	put(dir, "carve", "table", &b);
	buf_free(&r);
	buf_free(&b);
}

/* Pages of cached .etl files as a memory; see fuzz/fuzz_carve.c. */
static void carve_seeds(const char *dir)
{
	static const struct {
		char name[16];
		uint8_t flags;
		struct mketl o;
		bool row;
	} all[] = {
		{"packed", 0, {.buffer_size = 0x1000, .n_data = 6, .n_records = 20, .packed = true}, false},
		{"packed-apart", 2, {.buffer_size = 0x4000, .n_data = 4, .n_records = 70, .packed = true}, false},
		{"packed-row", 1, {.buffer_size = 0x2000, .n_data = 4, .n_records = 40, .packed = true}, true},
		{"small", 1, {.buffer_size = 0x400, .n_data = 3, .n_records = 4}, false},
		{"pages", 4, {.buffer_size = 0x2000, .n_data = 2, .n_records = 60}, false},
		{"reversed", 2, {.buffer_size = 0x3000, .n_data = 2, .n_records = 90}, false},
		{"narrow", 0, {.buffer_size = 0x1000, .n_data = 1, .n_records = 9, .narrow = true}, false},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct buf file, b;

		buf_init(&file);
		buf_init(&b);
		mketl_build(&file, &all[i].o);
		if (all[i].row)
			as_row(&file);
		buf_u8(&b, all[i].flags);
		buf_put(&b, file.p, file.n);
		put(dir, "carve", all[i].name, &b);
		buf_free(&file);
		buf_free(&b);
	}
}

/* Records of every kind, then the tail of an older life. `end`: 0 filled to the end. */
static void settle_seed(const char *dir, const char *name, uint8_t met, uint8_t options, unsigned n, uint32_t hole)
{
	struct buf b, old;
	uint32_t end;

	buf_init(&b);
	buf_init(&old);
	buf_grow(&b, 18 + 0x48);
	b.p[0] = met;
	b.p[1] = options;
	put_le64(b.p + 2, 1000000);
	put_le16(b.p + 10, (uint16_t)hole);
	put_le16(b.p + 12, 200);
	put_le16(b.p + 14, 150);
	put_le16(b.p + 16, 40);
	for (unsigned i = 0; i < 2 * n; i++) {
		struct buf *to = i < n ? &b : &old;
		uint64_t ts = i < n ? 5000 + i : 100 + i;
		struct buf one;

		buf_init(&one); /* padded by itself: the prefix has 18 bytes */
		if (i % 3 == 0)
			mkrec_event(&one, ts, (uint16_t)i, i % 29, 0x41);
		else if (i % 3 == 1)
			mkrec_message(&one, ts, (uint16_t)i, i % 17);
		else
			mkrec_system(&one, ts, (uint16_t)i, i % 13);
		buf_put(to, one.p, one.n);
		buf_free(&one);
	}
	end = (uint32_t)b.n - 18;
	buf_put(&b, old.p + 16, old.n - 16); /* the older life is cut at its front */
	buf_fill(&b, 0xff, 96);
	mkrec_header(b.p + 18, (uint32_t)b.n - 18, end);
	put_le32(b.p + 18 + 0x30, end);
	put(dir, "settle", name, &b);
	buf_free(&b);
	buf_free(&old);
}

static void crash_seeds(const char *dir)
{
	static uint8_t memory[8 * 4096];
	static const uint32_t types[] = {1, 2, 4, 5, 8, 10};

	for (unsigned k = 0; k < 2; k++) {
		struct buf etw;

		buf_init(&etw);
		mketw_block(&etw, &(struct mketw){.twice_name = k, .n_events = 5});
		put(dir, "etwblock", k ? "twice" : "once", &etw);
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			struct mkcrash o = {.wide = true,
					    .type = types[i],
					    .writer_b = k,
					    .memory = memory,
					    .n_pages = types[i] == 4 ? 0 : 4,
					    .etw = &etw};
			char name[32];
			struct buf b;

			if (k && types[i] != 4)
				continue;
			buf_init(&b);
			mkcrash_build(&b, &o);
			snprintf(name, sizeof(name), "type%u%s", types[i], k ? "b" : "");
			put(dir, "crashdump", name, &b);
			if (types[i] < 8 && !k) {
				buf_clear(&b);
				o.wide = false;
				mkcrash_build(&b, &o);
				snprintf(name, sizeof(name), "type%u-32", types[i]);
				put(dir, "crashdump", name, &b);
			}
			buf_free(&b);
		}
		buf_free(&etw);
	}
}

static void xpress_seeds(const char *dir)
{
	static const uint8_t abc[] = {0x2c, 1, 0xff, 0xff, 0xff, 0x1f, 0x61, 0x62, 0x63, 0x17, 0x00, 0x0f, 0xff, 0x26, 0x01};
	struct buf plain, b;

	buf_init(&plain);
	buf_init(&b);
	for (unsigned i = 0; i < 60; i++)
		buf_fill(&plain, (uint8_t)(i * 7), i * i % 97);
	buf_fill(&plain, 0x11, 3000);
	buf_u16(&b, (uint16_t)plain.n);
	mketl_pack(&b, plain.p, (uint32_t)plain.n);
	put(dir, "xpress", "runs", &b);
	buf_clear(&b);
	buf_put(&b, abc, sizeof(abc));
	put(dir, "xpress", "abc", &b);
	buf_free(&plain);
	buf_free(&b);
}

static void wevt_seeds(const char *dir)
{
	struct buf crim, messages, pe;

	buf_init(&crim);
	buf_init(&messages);
	buf_init(&pe);
	mkwevt_crim(&crim);
	mkwevt_messages(&messages);
	mkwevt_pe(&pe, &crim, &messages);
	put(dir, "wevt", "crim", &crim);
	put(dir, "wevt", "pe", &pe);
	buf_free(&crim);
	buf_free(&messages);
	buf_free(&pe);
}

/* Input form: fuzz/fuzz_tracelogging.c. `meta`: name, then fields (name, in-type ...), without its size. */
static void tl_seed(const char *dir, const char *name, const void *meta, uint16_t meta_n, const void *payload, uint32_t payload_n)
{
	static const uint8_t traits[] = {26, 0, 'M', 'a', 'd', 'e', 0, 19, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	struct buf b;

	buf_init(&b);
	buf_u16(&b, (uint16_t)(meta_n + 3));
	buf_u8(&b, sizeof(traits));
	buf_u8(&b, 0);
	buf_u16(&b, (uint16_t)(meta_n + 3));
	buf_u8(&b, 0);
	buf_put(&b, meta, meta_n);
	buf_put(&b, traits, sizeof(traits));
	buf_put(&b, payload, payload_n);
	put(dir, "tracelogging", name, &b);
	buf_free(&b);
}

static void tracelogging_seeds(const char *dir)
{
	static const char numbers[] = "Numbers\0a\0\x03b\0\x84\x03c\0\x05d\0\x86\x07"
				      "e\0\x07"
				      "f\0\x88\x08"
				      "g\0\x09h\0\x0ai\0\x0bj\0\x0ck\0\x0dl\0\x14m\0\x15n\0\x11o\0\x92\x26p\0\x0f";
	static const char texts[] = "Texts\0a\0\x01"
				    "b\0\x82\x23"
				    "c\0\x16"
				    "d\0\x97\x0c"
				    "e\0\x8e\x09"
				    "f\0\x13g\0\x8e\x0a";
	static const char groups[] = "Groups\0s\0\x58\x02x\0\x48y\0\x01t\0\x98\x01u\0\x26\x02\0";
	static const uint8_t text_data[] = {'h', 0, 'i', 0,  0, 0, 'u', 0, 2,  0,   'c', 0, 2, 0, '{', '}', 16, 0, 0, 0, 0,
					    0,   0, 0,   0,  0, 0, 0,   0, 0,  0,   0,   1, 1, 1, 0,   0,   0,  0, 0, 5, 18,
					    0,   0, 0,   16, 0, 2, 0,   0, 80, 127, 0,   0, 1, 0, 0,   0,   0,  0, 0, 0, 0};
	static const uint8_t group_data[] = {1, 0, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0, 'y', 0, 0, 0, 7, 0, 8, 0};
	uint8_t zeros[110] = {0};

	tl_seed(dir, "numbers", numbers, sizeof(numbers) - 1, zeros, sizeof(zeros));
	tl_seed(dir, "texts", texts, sizeof(texts) - 1, text_data, sizeof(text_data));
	tl_seed(dir, "groups", groups, sizeof(groups) - 1, group_data, sizeof(group_data));
}

/* The first block of a framed file. */
static void framed(struct buf *out, const char *how, const uint8_t *p, size_t n)
{
	struct buf b;

	buf_init(&b);
	if (mklayer(&b, how, p, n))
		buf_put(out, b.p + 18, (le32(b.p + 10) >> 8) - 4);
	buf_free(&b);
}

static void snappy_block(struct buf *out, const uint8_t *p, size_t n)
{
	framed(out, "snappy", p, n);
}

static void s2_block(struct buf *out, const uint8_t *p, size_t n)
{
	framed(out, "s2", p, n);
}

static void codec_seeds(const char *dir)
{
	static const struct {
		const char *name;
		uint8_t which;
		void (*pack)(struct buf *out, const uint8_t *p, size_t n);
		size_t n;
	} all[] = {{"huff", 0, mkpack_xpresshuff, 3000},
		   {"huff-two-blocks", 0, mkpack_xpresshuff, 70000},
		   {"lznt1", 1, mkpack_lznt1, 3000},
		   {"lznt1-chunks", 1, mkpack_lznt1, 9000},
		   {"plain", 2, mkpack_xpress, 5000},
		   {"snappy", 3, snappy_block, 3000},
		   {"s2", 3, s2_block, 3000}};
	struct buf plain;

	buf_init(&plain);
	for (unsigned i = 0; plain.n < 70000; i++) {
		buf_printf(&plain, "record %u of %u;", i, i * i % 7);
		buf_fill(&plain, (uint8_t)i, i * i % 97);
		if (i % 50 == 49)
			buf_fill(&plain, 0, 9000);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct buf b;

		buf_init(&b);
		buf_u8(&b, all[i].which);
		buf_u16(&b, (uint16_t)(all[i].n / 4));
		all[i].pack(&b, plain.p, all[i].n);
		put(dir, "codecs", all[i].name, &b);
		buf_free(&b);
	}
	buf_free(&plain);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: mkseeds DIR\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	etl_seeds(argv[1]);
	carve_seeds(argv[1]);
	table_seed(argv[1]);
	settle_seed(argv[1], "memory", 0, 0, 12, 0);
	settle_seed(argv[1], "holes", 0, 0x12, 12, 400);
	settle_seed(argv[1], "secondary", 1, 4, 9, 0);
	settle_seed(argv[1], "file", 2, 0x0c, 9, 300);
	xpress_seeds(argv[1]);
	codec_seeds(argv[1]);
	crash_seeds(argv[1]);
	wevt_seeds(argv[1]);
	tracelogging_seeds(argv[1]);
	disk_seeds(argv[1]);
	windows_seeds(argv[1]);
	container_seeds(argv[1]);
	layer_seeds(argv[1]);
	return 0;
}
