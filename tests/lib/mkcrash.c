/* mkcrash.c - see mkcrash.h */
#include "mkcrash.h"

#include <string.h>

#include "mkrec.h"
#include "rd.h"

#define SIGNATURE   0x01ebafe1u
#define SYSTEM_TIME UINT64_C(133500000000000000)
#define BOOT_TIME   (SYSTEM_TIME - UINT64_C(50000000000))
#define START_TIME  (BOOT_TIME + UINT64_C(100000000))
#define FREQUENCY   10000000u
#define RUN2        100u /* first frame of the second run */

static const uint8_t etw_tag[16] = {0x10, 0xb7, 0x88, 0x2b, 0x93, 0x1c, 0x7c, 0x4f, 0xb0, 0x6c, 0x65, 0x5e, 0xcc, 0x50, 0xde, 0xcc};
static const uint8_t other_tag[16] = {0x95, 0xe1, 0x4a, 0x2b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/* ---- the ETW block ----------------------------------------------------------------------------------------------------------------------- */

static void put_session(struct buf *b, const struct mketw *o, uint32_t id, uint32_t mode, uint32_t clock, uint32_t size, const char *name)
{
	uint8_t *h = buf_grow(b, 0x30);
	uint32_t n = 2 * (uint32_t)strlen(name);

	put_le32(h, SIGNATURE);
	put_le32(h + 4, id);
	put_le32(h + 8, mode);
	put_le32(h + 0xc, clock);
	put_le32(h + 0x10, size);
	put_le32(h + 0x14, n);
	put_le64(h + 0x18, START_TIME);
	put_le64(h + 0x20, START_TIME);
	put_le64(h + 0x28, clock == 2 ? START_TIME : 5000000);
	for (const char *c = name; *c; c++)
		buf_u16(b, (uint8_t)*c);
	if (o->twice_name)
		buf_fill(b, 0xa5, n);
}

enum form { UNUSED, LOGGING, FLUSHED, PLACEHOLDER };

/* A buffer cut at the end of its data; its neighbours in the list stand `size` bytes away. */
static void put_buffer(struct buf *b, enum form form, uint32_t id, uint32_t size, unsigned cpu, unsigned nth, unsigned n, uint64_t ts)
{
	uint64_t va = UINT64_C(0xffffe00012340000) + (uint64_t)nth * size;
	struct buf r;
	uint8_t *h;
	uint32_t end;

	buf_init(&r);
	for (unsigned i = 0; i < n && form != UNUSED && form != PLACEHOLDER; i++) {
		if (i % 3)
			mkrec_event(&r, ts + 1000 * i, (uint16_t)(100 + i), i % 40, (uint8_t)i);
		else
			mkrec_message(&r, ts + 1000 * i, (uint16_t)i, i % 30);
	}
	end = (uint32_t)(0x48 + r.n);
	h = buf_grow(b, 0x48);
	put_le32(h, size);
	put_le32(h + 8, form == FLUSHED ? end + size : end);
	if (form != PLACEHOLDER) {
		put_le32(h + 4, form == FLUSHED ? end : 0);
		put_le32(h + 0xc, form == LOGGING ? 15 : 0);
		put_le64(h + 0x18, nth + 1);
		put_le16(h + 0x28, (uint16_t)cpu);
		put_le16(h + 0x2a, (uint16_t)id);
		put_le32(h + 0x2c, form == LOGGING);
		put_le32(h + 0x30, end);
		put_le16(h + 0x34, form == UNUSED ? 0x100 : 0);
		put_le64(h + 0x38, va + size + 0x38);
		put_le64(h + 0x40, va - size + 0x38);
	}
	buf_put(b, r.p, r.n);
	buf_free(&r);
}

void mketw_block(struct buf *b, const struct mketw *o)
{
	uint8_t *h = buf_grow(b, 0x20);

	put_le32(h, 156250);
	put_le32(h + 4, 0xf0004a65u);
	put_le32(h + 8, 2900);
	put_le64(h + 0x10, BOOT_TIME);
	put_le64(h + 0x18, FREQUENCY);
	put_session(b, o, 2, 0x90800180u, 2, 65536, "EventLog-System");
	put_buffer(b, LOGGING, 2, 65536, 0, 0, o->n_events, START_TIME + 900000);
	put_buffer(b, FLUSHED, 2, 65536, 1, 1, o->n_events, START_TIME + 100000);
	put_buffer(b, UNUSED, 2, 65536, 0, 2, 0, 0);
	put_session(b, o, 7, 0x80800002u, 1, 8192, "WiFi");
	put_buffer(b, FLUSHED, 7, 8192, 3, 0, o->n_events, 6000000);
	put_buffer(b, LOGGING, 7, 8192, 2, 1, o->n_events, 6500000);
	put_buffer(b, PLACEHOLDER, 7, 8192, 0, 2, 0, 0);
	put_session(b, o, 9, 0x80800002u, 1, 65536, "Empty");
	put_buffer(b, UNUSED, 9, 65536, 0, 0, 0, 0);
}

/* ---- dumps --------------------------------------------------------------------------------------------------------------------------------- */

static void put_block(struct buf *b, const uint8_t tag[16], const struct buf *data, uint64_t claims, bool pad)
{
	uint32_t n = data ? (uint32_t)data->n : 0, post = pad ? (8 - n % 8) % 8 : 0;
	uint8_t *h = buf_grow(b, 0x20);

	put_le32(h, 0x20);
	memcpy(h + 4, tag, 16);
	put_le32(h + 0x14, claims ? (uint32_t)claims : n);
	put_le32(h + 0x1c, post);
	if (n)
		buf_put(b, data->p, n);
	buf_fill(b, 0, post);
}

static void put_secondary(struct buf *b, const struct mkcrash *o)
{
	struct buf some;
	uint8_t *h;

	buf_init(&some);
	buf_fill(&some, 0x33, o->writer_b ? 77 : 80);
	h = buf_grow(b, 0x10);
	memcpy(h, "DumpBlob", 8);
	put_le32(h + 8, 0x10);
	put_le32(h + 0xc, 0xf0004a61u);
	put_block(b, other_tag, &some, 0, !o->writer_b);
	put_block(b, other_tag, NULL, 0, !o->writer_b);
	if (o->twin)
		put_block(b, etw_tag, NULL, 0, !o->writer_b);
	if (o->etw)
		put_block(b, etw_tag, o->etw, o->etw_claims, !o->writer_b);
	if (o->writer_b && !o->etw_claims) {
		buf_fill(b, 0, 0x200 - b->n % 0x200);
		buf_fill(b, 0x99, 3000); /* what lay in the pagefile before */
	}
	buf_free(&some);
}

static void put_header(struct buf *b, const struct mkcrash *o)
{
	uint32_t size = o->wide ? 0x2000 : 0x1000;
	uint8_t *h = buf_grow(b, size);
	uint32_t half = o->n_pages / 2;

	for (uint32_t i = 0; i < size; i += 4)
		memcpy(h + i, "PAGE", 4);
	memcpy(h + 4, o->wide ? "DU64" : "DUMP", 4);
	put_le32(h + 0xc, 19041);
	if (o->wide) {
		put_le64(h + 0x10, 0x1ad000);
		put_le32(h + 0x30, 0x8664);
		put_le32(h + 0x34, 8);
		put_le32(h + 0x88, 2);
		put_le64(h + 0x90, o->n_pages);
		put_le64(h + 0x98, 1);
		put_le64(h + 0xa0, half);
		put_le64(h + 0xa8, RUN2);
		put_le64(h + 0xb0, o->n_pages - half);
		put_le32(h + 0xf98, o->type);
		put_le64(h + 0xfa8, SYSTEM_TIME);
		put_le64(h + 0x1030, SYSTEM_TIME - BOOT_TIME);
	} else {
		put_le32(h + 0x10, 0x1ad000);
		put_le32(h + 0x20, 0x14c);
		put_le32(h + 0x24, 2);
		put_le32(h + 0x64, 2);
		put_le32(h + 0x68, o->n_pages);
		put_le32(h + 0x6c, 1);
		put_le32(h + 0x70, half);
		put_le32(h + 0x74, RUN2);
		put_le32(h + 0x78, o->n_pages - half);
		put_le32(h + 0xf88, o->type);
		put_le64(h + 0xfc0, SYSTEM_TIME);
		put_le64(h + 0xfb8, SYSTEM_TIME - BOOT_TIME);
	}
}

static void set_bits(uint8_t *map, uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++)
		map[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Types 2, 5, 6, 7: bits, then pages from the next page boundary on. */
static void put_bitmap(struct buf *b, const struct mkcrash *o)
{
	uint32_t base = (uint32_t)b->n, bits = RUN2 + o->n_pages, half = o->n_pages / 2, at, first;
	bool summary = o->type == 2;
	uint8_t *h;

	at = summary ? (o->wide ? 0x28 : 0x20) : 0x38;
	first = (base + at + bits / 8 + 1 + 0xfff) & ~0xfffu;
	h = buf_grow(b, first - base);
	memcpy(h, o->type == 5 ? "FDMPDUMP" : "SDMPDUMP", 8);
	if (summary) {
		put_le32(h + 0xc, first);
		put_le32(h + 0x10, bits);
		put_le32(h + 0x14, o->n_pages);
	} else {
		put_le64(h + 0x20, first);
		put_le64(h + 0x28, o->n_pages);
		put_le64(h + 0x30, bits);
	}
	set_bits(h + at, 1, half);
	set_bits(h + at, RUN2, o->n_pages - half);
}

/* Types 8, 9, 0xA: pairs {frame, count}. */
static void put_ranges(struct buf *b, const struct mkcrash *o)
{
	uint32_t base = (uint32_t)b->n, first = base + 0x30 + 48, half = o->n_pages / 2;
	uint8_t *h = buf_grow(b, first - base);

	put_le32(h, 0x40);
	memcpy(h + 4, "RDMPDUMP", 8);
	put_le64(h + 0x10, first - base - 0x20); /* MetadataSize - 0x20 = FirstPageOffset - 0x2040 */
	put_le64(h + 0x18, first);
	put_le64(h + 0x28, o->type == 10 ? o->n_pages : 0);
	put_le64(h + 0x30, 1);
	put_le64(h + 0x38, half);
	put_le64(h + 0x40, RUN2);
	put_le64(h + 0x48, o->n_pages - half);
}

static void put_triage(struct buf *b, const struct mkcrash *o)
{
	uint32_t base = (uint32_t)b->n, size = base + (o->writer_b ? 0x400 : 0x3f8);
	uint8_t *t = buf_grow(b, size - base);

	put_le32(t + 4, size);
	put_le32(t + 8, size - 4);
	put_le32(t + 0x44, o->writer_b ? 0x41 : 0xffffffffu);
	memcpy(t + size - base - 4, "TRGD", 4);
	put_secondary(b, o);
}

void mkcrash_build(struct buf *b, const struct mkcrash *o)
{
	put_header(b, o);
	switch (o->type) {
	case 3:
		return;
	case 4:
		put_triage(b, o);
		return;
	case 2:
	case 5:
	case 6:
	case 7:
		put_bitmap(b, o);
		break;
	case 8:
	case 9:
	case 10:
		put_ranges(b, o);
		break;
	default:
		break;
	}
	buf_put(b, o->memory, (size_t)o->n_pages * 4096);
	if (o->etw)
		put_secondary(b, o);
}
