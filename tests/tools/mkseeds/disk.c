/* disk.c - seeds of the containers of disk and virtual-machine tools. */
#include "mkewf.h"
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

void disk_seeds(const char *dir)
{
	ewf_seeds(dir);
}
