/* mkseeds - the recipe of the fuzz seeds in testdata/fuzz: `mkseeds DIR` writes them all again, the same bytes each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "mkcrash.h"
#include "mketl.h"
#include "mkrec.h"
#include "rd.h"

static void put(const char *dir, const char *target, const char *name, const struct buf *b)
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

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: mkseeds DIR\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	etl_seeds(argv[1]);
	settle_seed(argv[1], "memory", 0, 0, 12, 0);
	settle_seed(argv[1], "holes", 0, 0x12, 12, 400);
	settle_seed(argv[1], "secondary", 1, 4, 9, 0);
	settle_seed(argv[1], "file", 2, 0x0c, 9, 300);
	xpress_seeds(argv[1]);
	crash_seeds(argv[1]);
	return 0;
}
