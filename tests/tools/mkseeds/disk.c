/* disk.c - seeds of the containers of disk and virtual-machine tools. */
#include "mkaff4.h"
#include "mkewf.h"
#include "mkvmss.h"
#include "seeds.h"

static const uint8_t *ewf_chunk(void *ctx, uint64_t n)
{
	static uint8_t p[MKEWF_CHUNK];

	(void)ctx;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)((i >> 4) * (n + 3));
	return n == 1 ? NULL : p;
}

static void ewf_seeds(const char *dir)
{
	struct buf seg[2];
	struct mkewf o = {.size = 3 * MKEWF_CHUNK - 1024, .chunk = ewf_chunk, .packed = true, .per_table = 2};

	buf_init(&seg[0]);
	buf_init(&seg[1]);
	mkewf_build(seg, 1, &o);
	put(dir, "ewf", "packed", &seg[0]);
	buf_clear(&seg[0]);
	o.per_segment = 2;
	mkewf_build(seg, 2, &o);
	put(dir, "ewf", "first-of-2", &seg[0]);
	put(dir, "ewf", "second-of-2", &seg[1]);
	buf_clear(&seg[0]);
	o.packed = false;
	o.per_segment = 0;
	o.size = MKEWF_CHUNK + 512;
	mkewf_build(seg, 1, &o);
	put(dir, "ewf", "stored", &seg[0]);
	buf_free(&seg[0]);
	buf_free(&seg[1]);
}

static void vmware_seeds(const char *dir)
{
	static const struct mkvmss_region region[] = {{0, 0, 2}, {2, 0x100000, 3}};
	static const uint32_t magics[] = {0xbed2bed2u, 0xbad1bad1u, 0xbed2bed0u};

	for (unsigned i = 0; i < 3; i++) {
		struct mkvmss o = {.magic = magics[i],
				   .region = region,
				   .n_regions = i == 2 ? 0 : 2,
				   .cr3 = 0x1ad000,
				   .mem_mb = 4,
				   .inside = 5 * 4096};
		static const char *const names[] = {"two-regions", "old", "no-region"};
		struct buf b;

		buf_init(&b);
		mkvmss_build(&b, &o);
		for (unsigned k = 0; k < 5; k++)
			buf_fill(&b, (uint8_t)(0x31 + k), 4096);
		put(dir, "vmware", names[i], &b);
		buf_free(&b);
	}
}

static const uint8_t *aff4_page(void *ctx, uint64_t pfn)
{
	static uint8_t p[MKAFF4_PAGE];

	(void)ctx;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = pfn / 8 == 2 ? 0xff : (uint8_t)((i >> 6) * (pfn + 3));
	return pfn / 8 == 1 ? NULL : p;
}

static void aff4_seeds(const char *dir)
{
	static const struct mkaff4_run run[] = {{0, 24}, {0x100000, 8}};
	static const struct {
		const char *name;
		struct mkaff4 o;
	} all[] = {{"winpmem", {.form = MKAFF4_WINPMEM, .pack = "deflate", .others = true, .cr3 = 0x1ad000}},
		   {"winpmem2", {.form = MKAFF4_WINPMEM2, .pack = "zlib", .per_segment = 2, .zip32 = true}},
		   {"standard", {.form = MKAFF4_STANDARD, .pack = "zlib", .per_segment = 1}},
		   {"old", {.form = MKAFF4_OLD, .pack = "zlib", .pack_members = true}},
		   {"stopped", {.form = MKAFF4_WINPMEM, .pack = "zlib", .no_directory = true, .leave_out = "information.turtle"}}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mkaff4 o = all[i].o;
		struct buf b;

		o.run = run;
		o.n_runs = 2;
		o.page = aff4_page;
		buf_init(&b);
		mkaff4_build(&b, &o);
		put(dir, "aff4", all[i].name, &b);
		buf_free(&b);
	}
}

void disk_seeds(const char *dir)
{
	vmware_seeds(dir);
	ewf_seeds(dir);
	aff4_seeds(dir);
}
