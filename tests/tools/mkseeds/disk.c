/* disk.c - seeds of the containers of disk and virtual-machine tools. */
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

void disk_seeds(const char *dir)
{
	vmware_seeds(dir);
	ewf_seeds(dir);
}
