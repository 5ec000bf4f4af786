/* mkvmrs.c - see mkvmrs.h. Layout: docs/formats/vmrs.md. */
#include "mkvmrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mkpack.h"
#include "rd.h"

#define PAGE      4096u
#define BLOCK     (1u << 20)
#define KEY_TABLE 4096u

struct file {
	struct buf *b;
	size_t table, entry, most; /* of objects: where it stands, entries used, entries it has */
	struct buf keys;           /* the table of keys under way */
	uint16_t n_keys, sequence;
};

static uint32_t crc(const uint8_t *p, size_t n)
{
	return (uint32_t)crc32_z(0, p, n);
}

static void align(struct buf *b)
{
	buf_fill(b, 0, (PAGE - b->n % PAGE) % PAGE);
}

static void new_objects(struct file *f)
{
	f->table = f->b->n;
	f->entry = 0;
	buf_u32(f->b, 0x01110001);
	buf_u32(f->b, (uint32_t)f->most);
	buf_fill(f->b, 0, f->most * 18);
	align(f->b);
}

static void put_object(struct file *f, size_t entry, uint8_t type, uint64_t off, uint64_t len)
{
	uint8_t *p = f->b->p + f->table + 8 + entry * 18;

	p[0] = type;
	put_le64(p + 5, off);
	put_le32(p + 13, (uint32_t)len);
	p[17] = 1;
	put_le32(p + 1, crc(p, 18));
}

/* The last entry of a table leads to the next table. */
static void object(struct file *f, uint8_t type, uint64_t off, uint64_t len)
{
	if (f->entry + 1 == f->most) {
		size_t old = f->table, at = f->b->n;

		new_objects(f);
		f->table = old;
		put_object(f, f->most - 1, 1, at, f->b->n - at);
		f->table = at;
	}
	put_object(f, f->entry++, type, off, len);
}

/* The rest of a table of keys is one free entry. */
static void end_keys(struct file *f)
{
	size_t left, at;

	if (!f->keys.n)
		return;
	left = KEY_TABLE - f->keys.n;
	at = f->keys.n;
	buf_fill(&f->keys, 0, left);
	if (left > 21) {
		f->keys.p[at] = 1;
		put_le32(f->keys.p + at + 2, (uint32_t)left);
	}
	at = f->b->n;
	buf_put(f->b, f->keys.p, KEY_TABLE);
	object(f, 2, at, KEY_TABLE);
	buf_clear(&f->keys);
}

static void begin_keys(struct file *f)
{
	buf_u16(&f->keys, 2);
	buf_u16(&f->keys, ++f->n_keys);
	buf_u16(&f->keys, 1);
	buf_u32(&f->keys, 0);
	put_le32(f->keys.p + 6, crc(f->keys.p, 10));
}

/* Appends a key; returns where it stands in its table. */
static uint32_t key(struct file *f, uint8_t type, uint8_t flags, uint16_t parent, uint32_t parent_at, const char *name, const uint8_t *data,
		    size_t n)
{
	size_t len = strlen(name) + 1, size = 21 + len + n, at;

	if (f->keys.n && f->keys.n + size + 22 > KEY_TABLE)
		end_keys(f);
	if (!f->keys.n)
		begin_keys(f);
	at = f->keys.n;
	buf_u8(&f->keys, type);
	buf_u8(&f->keys, flags);
	buf_u32(&f->keys, (uint32_t)size);
	buf_u16(&f->keys, parent);
	buf_u32(&f->keys, parent_at);
	buf_u32(&f->keys, 0);
	buf_u32(&f->keys, ++f->sequence);
	buf_u8(&f->keys, (uint8_t)len);
	buf_put(&f->keys, name, len);
	buf_put(&f->keys, data, n);
	put_le32(f->keys.p + at + 12, crc(f->keys.p + at, size));
	return (uint32_t)at;
}

static void array(struct file *f, uint16_t parent, uint32_t parent_at, const char *name, const uint8_t *p, size_t n)
{
	struct buf v;

	buf_init(&v);
	buf_u32(&v, (uint32_t)n);
	if (n >= 2048) { /* an object of its own */
		buf_u64(&v, f->b->n);
		buf_put(f->b, p, n);
		align(f->b);
		object(f, 3, le64(v.p + 4), f->b->n - le64(v.p + 4));
	} else {
		buf_put(&v, p, n);
	}
	key(f, 7, n >= 2048, parent, parent_at, name, v.p, v.n);
	buf_free(&v);
}

/* ---- blocks ----------------------------------------------------------------------------------------------------------------------------------- */

/* Equal pages of a repeated pattern together, other pages packed or as they are; once in a while one in two pieces. */
static void pack_pages(struct buf *z, const uint8_t *p)
{
	for (unsigned i = 0; i < BLOCK / PAGE;) {
		const uint8_t *q = p + i * PAGE;
		unsigned same = 0;
		struct buf one;

		while (i + same < BLOCK / PAGE && memcmp(q + same * PAGE, q, 8) == 0 &&
		       memcmp(q + same * PAGE, q + same * PAGE + 8, PAGE - 8) == 0)
			same++;
		if (same) {
			buf_u32(z, same == 1 ? UINT32_C(0xfffffffe) : UINT32_C(0xfffffffd));
			buf_put(z, q, 8);
			if (same > 1)
				buf_u32(z, same);
			i += same;
			continue;
		}
		buf_init(&one);
		if (i % 5 == 3) {
			buf_u32(z, UINT32_C(0xfffffffc));
			buf_u32(z, 1000);
			buf_u32(z, 1000);
			buf_put(z, q, 1000);
			mkpack_xpress(&one, q + 1000, PAGE - 1000);
			buf_u32(z, UINT32_C(0xfffffffc));
			buf_u32(z, PAGE - 1000);
			buf_u32(z, one.n < PAGE - 1000 ? (uint32_t)one.n : PAGE - 1000);
			buf_put(z, one.n < PAGE - 1000 ? one.p : q + 1000, one.n < PAGE - 1000 ? one.n : PAGE - 1000);
		} else {
			mkpack_xpress(&one, q, PAGE);
			buf_u32(z, one.n < PAGE ? (uint32_t)one.n : PAGE);
			buf_put(z, one.n < PAGE ? one.p : q, one.n < PAGE ? one.n : PAGE);
		}
		buf_free(&one);
		i++;
	}
	buf_u32(z, UINT32_MAX);
}

static void block(struct file *f, const struct mkvmrs *o, uint32_t node, uint64_t number, uint64_t pfn, uint64_t pages)
{
	uint8_t *p = calloc(1, BLOCK);
	struct buf z;
	char name[32];
	enum mkvmrs_packing how = o->packing == MKVMRS_TURNS ? (enum mkvmrs_packing)(number % 3) : o->packing;

	for (uint64_t i = 0; i < pages && i < BLOCK / PAGE; i++) {
		const uint8_t *q = o->page(o->ctx, pfn + i);

		if (q)
			memcpy(p + i * PAGE, q, PAGE);
	}
	buf_init(&z);
	if (how == MKVMRS_PAGES)
		pack_pages(&z, p);
	else if (how == MKVMRS_ONE_STREAM)
		mkpack_xpress(&z, p, BLOCK);
	snprintf(name, sizeof(name), "RamBlock%llu", (unsigned long long)number);
	array(f, 1, node, name, z.n && z.n < BLOCK ? z.p : p, z.n && z.n < BLOCK ? z.n : BLOCK);
	buf_free(&z);
	free(p);
}

static void chunk(struct buf *b, uint32_t kind, const uint64_t *v, size_t n)
{
	buf_u32(b, kind);
	buf_u32(b, (uint32_t)(n * 8));
	buf_u64(b, 0);
	for (size_t i = 0; i < n; i++)
		buf_u64(b, v[i]);
}

static void state(struct file *f, const struct mkvmrs *o, uint32_t node)
{
	const uint64_t cr[6] = {0x80050033, 0, o->cr3, 0x6f8, 0, 0xd01}, tables[4] = {0}, msrs[12] = {0}, gp[18] = {0};
	struct buf b;

	buf_init(&b);
	buf_u64(&b, 24);
	buf_u64(&b, 24);
	buf_u64(&b, 0);
	buf_fill(&b, 0, 16);
	chunk(&b, 0x30005000, gp, 18);
	chunk(&b, 0x30007000, cr, 6);
	chunk(&b, 0x3000a000, tables, 4);
	chunk(&b, 0x3000b000, msrs, 12);
	chunk(&b, 0xf0000000, NULL, 0);
	array(f, 1, node, "partition_state", b.p, b.n);
	buf_free(&b);
}

static void header(struct buf *b, size_t at, uint16_t sequence, uint64_t log)
{
	uint8_t *h = b->p + at;

	put_le32(h, 0x01282014);
	put_le16(h + 8, sequence);
	put_le32(h + 10, 0x400);
	put_le32(h + 22, PAGE);
	put_le64(h + 26, log);
	put_le64(h + 34, PAGE);
	put_le32(h + 42, PAGE);
	put_le32(h + 4, crc(h, 46));
}

void mkvmrs_build(struct buf *b, const struct mkvmrs *o)
{
	static const uint8_t twelve[12];
	struct file f = {.b = b, .most = o->objects ? o->objects : 200};
	uint32_t node, vm;
	uint64_t number = 0, log;
	char name[32];

	buf_init(&f.keys);
	buf_grow(b, 2 * PAGE);
	new_objects(&f);
	node = key(&f, 9, 0, 0, 0, "savedstate", twelve, 12);
	vm = key(&f, 9, 0, 1, node, "savedVM", twelve, 12);
	key(&f, 3, 0, 1, node, "VmVersion", (const uint8_t *)"\0\x0a\0\0\0\0\0", 8);
	state(&f, o, vm);
	for (size_t i = 0; i < o->n_ranges; i++) {
		uint8_t m[48] = {3};

		put_le64(m + 8, o->range[i].pages);
		put_le64(m + 16, number * 256);
		put_le64(m + 24, o->range[i].pfn);
		snprintf(name, sizeof(name), "RamMemoryBlock%zu", i);
		array(&f, 1, node, name, m, sizeof(m));
		for (uint64_t at = 0; at < o->range[i].pages; at += 256, number++)
			block(&f, o, node, number, o->range[i].pfn + at, o->range[i].pages - at);
	}
	end_keys(&f);
	log = b->n;
	buf_u32(b, 0x01110003);
	buf_fill(b, 0, PAGE - 4);
	header(b, 0, 1, log);
	header(b, PAGE, 2, log);
	buf_free(&f.keys);
}
