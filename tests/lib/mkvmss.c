/* mkvmss.c - see mkvmss.h */
#include "mkvmss.h"

#include <string.h>

#include "rd.h"

#define PAGE 4096u

static void tag(struct buf *b, const char *name, unsigned n_index, uint32_t i, uint32_t k, const void *data, unsigned len)
{
	buf_u8(b, (uint8_t)(len | n_index << 6));
	buf_u8(b, (uint8_t)strlen(name));
	buf_puts(b, name);
	if (n_index > 0)
		buf_u32(b, i);
	if (n_index > 1)
		buf_u32(b, k);
	buf_put(b, data, len);
}

static void tag32(struct buf *b, const char *name, unsigned n_index, uint32_t i, uint32_t v)
{
	uint8_t p[4];

	put_le32(p, v);
	tag(b, name, n_index, i, 0, p, 4);
}

static void put_cpus(struct buf *b, const struct mkvmss *o)
{
	uint8_t p[8];

	tag32(b, "cpuid", 0, 0, 0x506e3);
	for (unsigned i = 0; i < (o->cpus ? o->cpus : 1); i++)
		for (unsigned reg = 0; reg < 5; reg++) {
			put_le64(p, reg == 3 ? o->cr3 + i * 0x1000 : reg == 4 ? 0x370678 : 0);
			tag(b, "CR64", 2, i, reg, p, 8);
		}
	buf_u16(b, 0);
}

/* Large data: 63, two sizes, the length of the padding, padding, data. */
static void put_inside(struct buf *b, const struct mkvmss *o, size_t at)
{
	bool wide = !o->magic || (o->magic & 0xf) != 0;
	size_t pad;

	buf_u8(b, 63 | 2 << 6);
	buf_u8(b, 6);
	buf_puts(b, "Memory");
	buf_u32(b, 0);
	buf_u32(b, 0);
	for (unsigned k = 0; k < 2; k++)
		if (wide)
			buf_u64(b, o->inside);
		else
			buf_u32(b, (uint32_t)o->inside);
	pad = (PAGE - (at + b->n + 2) % PAGE) % PAGE;
	buf_u16(b, (uint16_t)pad);
	buf_fill(b, 0xee, pad);
}

void mkvmss_build(struct buf *b, const struct mkvmss *o)
{
	static const char *const names[] = {"Checkpoint", "cpu", "memory"};
	struct buf part[3];
	size_t off = 12 + 80 * 3;

	for (unsigned i = 0; i < 3; i++)
		buf_init(&part[i]);
	tag32(&part[0], "memSize", 0, 0, o->mem_mb);
	tag32(&part[0], "Platform", 0, 0, o->platform);
	buf_u16(&part[0], 0);
	put_cpus(&part[1], o);
	tag32(&part[2], "regionsCount", 0, 0, o->n_regions + (uint32_t)o->claims);
	for (unsigned i = 0; i < o->n_regions; i++) {
		tag32(&part[2], "regionPageNum", 1, i, o->region[i].page);
		tag32(&part[2], "regionPPN", 1, i, o->region[i].ppn);
		tag32(&part[2], "regionSize", 1, i, o->region[i].pages);
	}
	if (o->inside)
		put_inside(&part[2], o, off + part[0].n + part[1].n);
	else
		buf_u16(&part[2], 0);
	buf_u32(b, o->magic ? o->magic : 0xbed2bed2u);
	buf_u32(b, 8);
	buf_u32(b, 3);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *g = buf_grow(b, 80);

		memcpy(g, names[i], strlen(names[i]));
		put_le64(g + 64, off);
		put_le64(g + 72, part[i].n + (i == 2 ? o->inside : 0));
		off += part[i].n;
	}
	for (unsigned i = 0; i < 3; i++) {
		buf_put(b, part[i].p, part[i].n);
		buf_free(&part[i]);
	}
}
