/* mkwevt.c - see mkwevt.h */
#include "mkwevt.h"

#include <string.h>

#include "guid.h"
#include "rd.h"
#include "utf16.h"

static uint32_t at(const struct buf *b)
{
	return (uint32_t)b->n;
}

static void text(struct buf *b, const char *s)
{
	size_t from = b->n;

	buf_u32(b, 0);
	utf8_to_utf16(b, s);
	buf_u16(b, 0);
	while (b->n & 3)
		buf_u8(b, 0);
	put_le32(b->p + from, (uint32_t)(b->n - from));
}

static void head(struct buf *b, const char *signature, uint32_t n)
{
	buf_put(b, signature, 4);
	buf_u32(b, 0);
	buf_u32(b, n);
}

static void size(struct buf *b, uint32_t from)
{
	put_le32(b->p + from + 4, (uint32_t)b->n - from);
}

struct mkitem {
	uint32_t flags, map;
	uint8_t in, out;
	uint16_t length;
	const char *name;
};

static void template(struct buf *b, const struct mkitem *it, uint32_t n)
{
	uint32_t from = at(b), items;

	head(b, "TEMP", n);
	buf_u32(b, n);
	buf_u32(b, from + 44);
	buf_u32(b, 1);
	buf_fill(b, 0xab, 16);
	buf_u32(b, 0x0f01010f); /* where binary XML stands */
	items = at(b);
	for (uint32_t i = 0; i < n; i++) {
		buf_u32(b, it[i].flags);
		buf_u8(b, it[i].in);
		buf_u8(b, it[i].out);
		buf_u16(b, 0);
		buf_u32(b, it[i].map);
		buf_u16(b, 0);
		buf_u16(b, it[i].length);
		buf_u32(b, 0);
	}
	for (uint32_t i = 0; i < n; i++) {
		put_le32(b->p + items + 20 * i + 16, at(b));
		text(b, it[i].name);
	}
	size(b, from);
}

static void event(struct buf *b, uint16_t id, uint32_t temp, uint32_t opcode, uint32_t task)
{
	uint8_t e[48] = {0};

	put_le16(e, id);
	put_le32(e + 20, temp);
	put_le32(e + 24, opcode);
	put_le32(e + 32, task);
	buf_put(b, e, sizeof(e));
}

void mkwevt_crim(struct buf *b)
{
	static const uint32_t type[6] = {7, 13, 2, 1, 5, 0};
	struct guid g;
	uint32_t el[6], map, temp[2], opcode, task;

	guid_parse(MKWEVT_PROVIDER, &g);
	buf_put(b, "CRIM", 4);
	buf_u32(b, 0);
	buf_u16(b, 3);
	buf_u16(b, 1);
	buf_u32(b, 1);
	buf_put(b, g.b, 16);
	buf_u32(b, 36);
	buf_put(b, "WEVT", 4);
	buf_fill(b, 0, 4);
	buf_u32(b, 0xffffffff);
	buf_u32(b, 6);
	buf_fill(b, 0, 48); /* from 52 on: 6 times (type, offset) */
	buf_fill(b, 0, 4);
	el[5] = at(b);
	head(b, "MAPS", 1);
	map = at(b);
	buf_put(b, "VMAP", 4);
	buf_u32(b, 24);
	buf_u32(b, map + 24);
	buf_u32(b, 1);
	buf_u32(b, 1);
	buf_u32(b, 100);
	text(b, "Kinds");
	size(b, el[5]);
	el[0] = at(b);
	head(b, "TTBL", 2);
	temp[0] = at(b);
	template(b,
		 (struct mkitem[]){{0, 0, 8, 8, 0, "len"}, {4, 0, 14, 15, 0, "blob"}, {0, 0, 7, 7, 0, "value"}, {0, map, 4, 4, 0, "kind"}},
		 4);
	temp[1] = at(b);
	template(b, (struct mkitem[]){{0x40, 0, 8, 8, 0, "odd"}}, 1);
	size(b, el[0]);
	el[1] = at(b);
	head(b, "PRVA", 1);
	buf_u32(b, 0x10000001);
	buf_u32(b, at(b) + 4);
	utf8_to_utf16(b, "Made-Compiled");
	buf_fill(b, 0, 2);
	size(b, el[1]);
	el[2] = at(b);
	head(b, "OPCO", 1);
	opcode = at(b);
	buf_u32(b, 0xa0001);
	buf_u32(b, 0xffffffff);
	buf_u32(b, at(b) + 4);
	text(b, "Go");
	size(b, el[2]);
	el[3] = at(b);
	head(b, "TASK", 1);
	task = at(b);
	buf_u32(b, 1);
	buf_u32(b, 0xffffffff);
	buf_fill(b, 0, 16);
	buf_u32(b, at(b) + 4);
	text(b, "Work");
	size(b, el[3]);
	el[4] = at(b);
	head(b, "EVNT", 3);
	buf_u32(b, 0);
	event(b, 1, temp[0], opcode, task);
	event(b, 2, 0, 0, task);
	event(b, 3, temp[1], 0, task);
	size(b, el[4]);
	for (unsigned i = 0; i < 6; i++) {
		put_le32(b->p + 52 + 8 * i, type[i]);
		put_le32(b->p + 56 + 8 * i, el[i]);
	}
	put_le32(b->p + 4, at(b));
}

void mkwevt_messages(struct buf *b)
{
	size_t entry;

	buf_u32(b, 1);
	buf_u32(b, 100);
	buf_u32(b, 101);
	buf_u32(b, 16);
	entry = b->n;
	buf_u16(b, 0);
	buf_u16(b, 1);
	utf8_to_utf16(b, "First\r\n");
	buf_fill(b, 0, 2);
	put_le16(b->p + entry, (uint16_t)(b->n - entry));
	buf_u16(b, 4 + 7);
	buf_u16(b, 0);
	buf_put(b, "Second", 7);
}

#define SECTION_RVA 0x1000u
#define SECTION_RAW 0x200u

static uint32_t directory(struct buf *b, uint32_t n)
{
	buf_fill(b, 0, 16);
	put_le16(b->p + b->n - 2, (uint16_t)n);
	buf_fill(b, 0, 8 * n);
	return at(b) - 8 * n;
}

static void entry(struct buf *b, uint32_t where, uint32_t name, uint32_t to)
{
	put_le32(b->p + where, name);
	put_le32(b->p + where + 4, to);
}

void mkwevt_pe(struct buf *out, const struct buf *crim, const struct buf *messages)
{
	const struct buf *what[2] = {crim, messages};
	struct buf r;
	uint32_t top, sub, lang, leaf, name;

	buf_init(&r);
	top = directory(&r, 2);
	name = at(&r);
	buf_u16(&r, 13);
	utf8_to_utf16(&r, "WEVT_TEMPLATE");
	for (unsigned i = 0; i < 2; i++) {
		entry(&r, top + 8 * i, i ? 11 : name | 0x80000000u, at(&r) | 0x80000000u);
		sub = directory(&r, 1);
		entry(&r, sub, 1, at(&r) | 0x80000000u);
		lang = directory(&r, 1);
		leaf = at(&r);
		entry(&r, lang, 0x409, leaf);
		buf_u32(&r, SECTION_RVA + leaf + 16);
		buf_u32(&r, (uint32_t)what[i]->n);
		buf_fill(&r, 0, 8);
		buf_put(&r, what[i]->p, what[i]->n);
		while (r.n & 3)
			buf_u8(&r, 0);
	}
	buf_fill(out, 0, SECTION_RAW);
	memcpy(out->p, "MZ", 2);
	put_le32(out->p + 0x3c, 0x40);
	memcpy(out->p + 0x40, "PE\0\0", 4);
	put_le16(out->p + 0x46, 1);
	put_le16(out->p + 0x54, 240);
	put_le16(out->p + 0x58, 0x20b);
	put_le32(out->p + 0x58 + 108, 16);
	put_le32(out->p + 0x58 + 112 + 16, SECTION_RVA);
	put_le32(out->p + 0x58 + 112 + 20, (uint32_t)r.n);
	memcpy(out->p + 0x148, ".rsrc", 5);
	put_le32(out->p + 0x148 + 8, (uint32_t)r.n);
	put_le32(out->p + 0x148 + 12, SECTION_RVA);
	put_le32(out->p + 0x148 + 16, (uint32_t)r.n);
	put_le32(out->p + 0x148 + 20, SECTION_RAW);
	buf_put(out, r.p, r.n);
	buf_free(&r);
}
