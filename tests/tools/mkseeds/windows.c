/* windows.c - seeds of hibernation files and of what other Windows tools write. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mkcrash.h"
#include "mkhiber.h"
#include "mkvmrs.h"
#include "mkzdmp.h"
#include "rd.h"
#include "seeds.h"

#define PAGE 4096u

static const uint8_t *page(void *ctx, uint64_t pfn)
{
	static uint8_t p[PAGE];

	(void)ctx;
	memset(p, (int)pfn, PAGE);
	for (unsigned i = 0; i < 200; i++)
		p[i * 20 % PAGE] = (uint8_t)(i * pfn);
	return p;
}

static void hiber_seeds(const char *dir)
{
	static const uint64_t pfn[40] = {1,     2,     3,     7,     8,     0x100000, 0x100001, 20, 21, 22, 23, 24, 25, 26,
					 27,    28,    29,    30,    31,    32,       33,       40, 41, 42, 43, 44, 45, 46,
					 0x200, 0x202, 0x204, 0x206, 0x208, 0x20a,    9,        1,  2,  50, 51, 52};
	static const struct {
		const char *name;
		struct mkhiber o;
	} all[] = {
		{"win10", {.length = 0x3e0, .packing = MKHIBER_MIXED, .n_boot = 18}},
		{"win11-huffman", {.length = 0x4d8, .packing = MKHIBER_HUFF, .n_boot = 5}},
		{"win8", {.length = 0x360, .packing = MKHIBER_PLAIN, .n_boot = 20, .magic = "RSTR"}},
		{"win10-x86", {.length = 0x340, .packing = MKHIBER_PLAIN, .n_boot = 20}},
		{"win7", {.length = 0x128, .packing = MKHIBER_PLAIN, .table_pages = 7, .cr3 = 0x1ad000}},
		{"win7-x86", {.length = 0xe0, .packing = MKHIBER_PLAIN}},
		{"vista-sp1", {.length = 0x140, .packing = MKHIBER_PLAIN, .table_pages = 5, .magic = "hibr"}},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mkhiber o = all[i].o;
		struct buf b;

		buf_init(&b);
		o.pfn = pfn;
		o.n = 40;
		o.page = page;
		mkhiber_build(&b, &o, NULL);
		put(dir, "hiber", all[i].name, &b);
		if (i == 0 || i == 4) {
			memset(b.p, 0, PAGE);
			put(dir, "hiber", i ? "win7-wiped" : "win10-wiped", &b);
		}
		buf_free(&b);
	}
}

static void zdmp_seeds(const char *dir)
{
	static uint8_t memory[4 * PAGE];
	struct mkcrash o = {.wide = true, .type = 1, .memory = memory, .n_pages = 4};
	struct buf crash, b, z;

	buf_init(&crash);
	buf_init(&b);
	buf_init(&z);
	for (size_t i = 0; i < sizeof(memory); i += 100)
		memory[i] = (uint8_t)i;
	mkcrash_build(&crash, &o);
	mkzdmp_build(&b, crash.p, crash.n, 4 * PAGE);
	put(dir, "zdmp", "full", &b);
	b.n -= 90;
	put(dir, "zdmp", "cut", &b);
	b.n += 90;
	memset(b.p + 0x1000, 0, 4);
	put(dir, "zdmp", "lost", &b);
	buf_clear(&b);
	mkhpak_head(&b, crash.n, crash.n, false);
	buf_put(&b, crash.p, crash.n);
	put(dir, "hpak", "plain", &b);
	buf_clear(&b);
	buf_grow(&z, 20000);
	{
		z_stream s = {.next_in = crash.p, .avail_in = (uInt)crash.n, .next_out = z.p, .avail_out = 20000};

		if (deflateInit2(&s, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&s, Z_FINISH) != Z_STREAM_END)
			abort();
		z.n = s.total_out;
		deflateEnd(&s);
	}
	mkhpak_head(&b, z.n, crash.n, true);
	buf_put(&b, z.p, z.n);
	put(dir, "hpak", "gzip", &b);
	buf_free(&crash);
	buf_free(&b);
	buf_free(&z);
}

static const uint8_t *few_pages(void *ctx, uint64_t pfn)
{
	return pfn % 16 < 3 ? page(ctx, pfn) : NULL;
}

static void vmrs_seeds(const char *dir)
{
	static const struct mkvmrs_range range[] = {{0, 40}, {0x100000, 30}};
	static const char *const names[] = {"pages", "one-stream"};

	for (unsigned i = 0; i < 2; i++) {
		struct mkvmrs o = {.range = range,
				   .n_ranges = 2,
				   .page = few_pages,
				   .packing = i ? MKVMRS_ONE_STREAM : MKVMRS_PAGES,
				   .cr3 = 0x1ad000,
				   .objects = 3};
		struct buf b;

		buf_init(&b);
		mkvmrs_build(&b, &o);
		put(dir, "vmrs", names[i], &b);
		buf_free(&b);
	}
}

void windows_seeds(const char *dir)
{
	hiber_seeds(dir);
	zdmp_seeds(dir);
	vmrs_seeds(dir);
}
