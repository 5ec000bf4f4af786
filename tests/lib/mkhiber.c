/* mkhiber.c - see mkhiber.h. Layout: docs/formats/hiberfil.md. */
#include "mkhiber.h"

#include <stdlib.h>
#include <string.h>

#include "mkpack.h"
#include "rd.h"

#define PAGE 4096u
#define SET  16u

static const struct sets { /* PO_MEMORY_IMAGE of Windows 8 and later */
	uint32_t length;
	bool narrow;
	uint32_t loader_pages, boot, kernel, kernel_pages, highest;
} all_sets[] = {
	{0x360, false, 0x58, 0x60, 0x68, 0x1c8, 0x330},                                                 /* 9600 */
	{0x3b0, false, 0x58, 0x68, 0x70, 0x218, 0x380}, {0x3c8, false, 0x58, 0x68, 0x70, 0x220, 0x388}, /* 14393 */
	{0x3d8, false, 0x58, 0x68, 0x70, 0x230, 0x398}, {0x3e0, false, 0x58, 0x68, 0x70, 0x230, 0x398}, /* 17763 to 19041 */
	{0x448, false, 0x58, 0x68, 0x70, 0x230, 0x400},                                                 /* 20348, 22000 */
	{0x4d8, false, 0x58, 0x68, 0x70, 0x238, 0x498}, {0x2c8, true, 0x48, 0x50, 0x54, 0x1b0, 0x2b0},
	{0x310, true, 0x48, 0x50, 0x54, 0x1f8, 0x2f8},  {0x328, true, 0x48, 0x50, 0x54, 0x200, 0x300},
	{0x338, true, 0x48, 0x50, 0x54, 0x210, 0x310},  {0x340, true, 0x48, 0x50, 0x54, 0x210, 0x310},
};

static const struct tables { /* and before; told apart by `length` + `vista` */
	uint32_t length;
	bool narrow;
	uint32_t first_table, next, count, ranges, range, start, most, cpu_page;
} all_tables[] = {
	{0x128, false, 0x60, 0, 8, 0x10, 16, 0, 255, 1},    /* Windows 7 */
	{0xe0, true, 0x4c, 0, 4, 8, 8, 0, 511, 1},          /* the same, x86 */
	{0x138, false, 0x68, 8, 0x10, 0x18, 16, 0, 254, 1}, /* Vista SP2 */
	{0x140, false, 0x68, 8, 0x14, 0x20, 32, 8, 127, 1}, /* Vista SP1 */
	{0xf0, true, 0x50, 4, 8, 0xc, 8, 0, 510, 1},        /* Vista SP2, x86 */
};

static void put(struct buf *b, size_t at, uint64_t v, bool narrow)
{
	if (narrow)
		put_le32(b->p + at, (uint32_t)v);
	else
		put_le64(b->p + at, v);
}

static void pad(struct buf *b)
{
	buf_fill(b, 0, (PAGE - b->n % PAGE) % PAGE);
}

static void mark(struct mkhiber_map *map, size_t at)
{
	if (map && map->n < sizeof(map->at) / sizeof(map->at[0]))
		map->at[map->n++] = at;
}

static void gather(struct buf *plain, const struct mkhiber *o, size_t from, size_t n)
{
	buf_clear(plain);
	for (size_t i = 0; i < n; i++)
		buf_put(plain, o->page(o->ctx, o->pfn[from + i]), PAGE);
}

/* One row of sets. */
static void row(struct buf *b, const struct mkhiber *o, bool narrow, size_t from, size_t to, struct mkhiber_map *map)
{
	struct buf plain, z;

	buf_init(&plain);
	buf_init(&z);
	for (size_t at = from, k = 0; at < to; k++) {
		size_t n = to - at < SET ? to - at : SET, descriptors = 0, head = b->n;
		enum mkhiber_packing how = o->packing == MKHIBER_MIXED ? (enum mkhiber_packing)(k % 3) : o->packing;

		gather(&plain, o, at, n);
		buf_clear(&z);
		if (how == MKHIBER_PLAIN)
			mkpack_xpress(&z, plain.p, plain.n);
		else if (how == MKHIBER_HUFF)
			(o->huff ? o->huff : mkpack_xpresshuff)(&z, plain.p, plain.n);
		if (!z.n || z.n >= plain.n) {
			buf_clear(&z);
			buf_put(&z, plain.p, plain.n);
		}
		mark(map, head);
		buf_u32(b, 0);
		for (size_t i = 0; i < n; descriptors++) {
			size_t k2 = 1;

			while (i + k2 < n && o->pfn[at + i + k2] == o->pfn[at + i] + k2)
				k2++;
			if (narrow)
				buf_u32(b, (uint32_t)(o->pfn[at + i] << 4 | (k2 - 1)));
			else
				buf_u64(b, o->pfn[at + i] << 4 | (k2 - 1));
			i += k2;
		}
		put_le32(b->p + head, (uint32_t)(descriptors | z.n << 8) | (o->method_one ? 1u << 30 : how == MKHIBER_HUFF ? 2u << 30 : 0));
		buf_put(b, z.p, z.n);
		at += n;
	}
	buf_free(&plain);
	buf_free(&z);
}

static void build_sets(struct buf *b, const struct mkhiber *o, const struct sets *s, struct mkhiber_map *map)
{
	uint64_t highest = 0;

	for (size_t i = 0; i < o->n; i++)
		highest = o->pfn[i] > highest ? o->pfn[i] : highest;
	buf_grow(b, 7 * PAGE);
	put_le64(b->p + (s->narrow ? 0x18 : 0x20), (uint64_t)o->system_time);
	put_le32(b->p + (s->narrow ? 0x14 : 0x18), PAGE);
	put_le64(b->p + s->loader_pages, o->n_boot);
	put_le64(b->p + s->kernel_pages, o->n - o->n_boot);
	put(b, s->highest, highest, s->narrow);
	put(b, s->boot, b->n / PAGE, s->narrow);
	row(b, o, s->narrow, 0, o->n_boot, map);
	pad(b);
	put(b, s->kernel, b->n / PAGE, s->narrow);
	row(b, o, s->narrow, o->n_boot, o->n, map);
}

static void xpress_block(struct buf *b, const struct buf *plain, bool stored)
{
	struct buf z;
	size_t head = b->n;

	buf_init(&z);
	if (!stored)
		mkpack_xpress(&z, plain->p, plain->n);
	if (!z.n || z.n > plain->n - 8) {
		buf_clear(&z);
		buf_put(&z, plain->p, plain->n);
	}
	buf_grow(b, 0x20);
	memcpy(b->p + head, "\x81\x81xpress", 8);
	put_le32(b->p + head + 8, (uint32_t)((z.n - 1) << 10 | (plain->n / PAGE - 1)));
	buf_put(b, z.p, z.n);
	buf_fill(b, 0, (8 - b->n % 8) % 8);
	buf_free(&z);
}

static void build_tables(struct buf *b, const struct mkhiber *o, const struct tables *t, struct mkhiber_map *map)
{
	unsigned most = o->table_pages ? o->table_pages : t->most;
	size_t link = t->first_table; /* where the number of the next table goes */
	struct buf plain;

	buf_init(&plain);
	buf_grow(b, 6 * PAGE);
	put_le64(b->p + (t->narrow ? 0x18 : 0x20), (uint64_t)o->system_time);
	put_le32(b->p + (t->narrow ? 0x14 : 0x18), PAGE);
	if (!t->narrow) {
		put_le64(b->p + t->cpu_page * PAGE, 0x80050031);
		put_le64(b->p + t->cpu_page * PAGE + 0x10, o->cr3);
		put_le64(b->p + t->cpu_page * PAGE + 0x18, 0x6f8);
	}
	for (size_t at = 0; at < o->n;) {
		size_t table, from = at;
		uint32_t n = 0;

		pad(b);
		table = b->n;
		put(b, link, table / PAGE, t->narrow);
		link = table + t->next;
		if (map && map->n_tables < 64)
			map->table[map->n_tables++] = table;
		buf_grow(b, PAGE);
		for (; at < o->n && n < most; n++) {
			size_t k = 1, r = table + t->ranges + n * t->range + t->start;

			while (at + k < o->n && o->pfn[at + k] == o->pfn[at] + k)
				k++;
			put(b, r, o->pfn[at], t->narrow);
			put(b, r + (t->narrow ? 4 : 8), o->pfn[at] + k, t->narrow);
			at += k;
		}
		put_le32(b->p + table + t->count, n);
		for (; from < at; from += SET) {
			gather(&plain, o, from, at - from < SET ? at - from : SET);
			mark(map, b->n);
			xpress_block(b, &plain, o->packing == MKHIBER_STORED || (o->packing == MKHIBER_MIXED && from / SET % 5 == 2));
		}
	}
	buf_free(&plain);
}

void mkhiber_build(struct buf *b, const struct mkhiber *o, struct mkhiber_map *map)
{
	if (map)
		memset(map, 0, sizeof(*map));
	for (size_t i = 0; i < sizeof(all_sets) / sizeof(all_sets[0]); i++)
		if (all_sets[i].length == o->length)
			build_sets(b, o, &all_sets[i], map);
	for (size_t i = 0; i < sizeof(all_tables) / sizeof(all_tables[0]); i++)
		if (all_tables[i].length == o->length)
			build_tables(b, o, &all_tables[i], map);
	if (b->failed || b->n < PAGE)
		abort();
	memcpy(b->p, o->magic ? o->magic : "HIBR", 4);
	put_le32(b->p + 0xc, o->length);
}
