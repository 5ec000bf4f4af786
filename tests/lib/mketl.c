/* mketl.c - see mketl.h */
#include "mketl.h"

#include <string.h>

#include "mkrec.h"
#include "rd.h"

static void put_length(struct buf *out, uint32_t n, size_t *half)
{
	uint32_t v = n - 3 - 7, nibble = v < 15 ? v : 15;

	if (*half) {
		out->p[*half] |= (uint8_t)(nibble << 4);
		*half = 0;
	} else {
		*half = out->n;
		buf_u8(out, (uint8_t)nibble);
	}
	if (nibble < 15)
		return;
	v -= 15;
	if (v < 255) {
		buf_u8(out, (uint8_t)v);
		return;
	}
	buf_u8(out, 255);
	if (n - 3 <= 0xffff) {
		buf_u16(out, (uint16_t)(n - 3));
	} else {
		buf_u16(out, 0);
		buf_u32(out, n - 3);
	}
}

void mketl_pack(struct buf *out, const uint8_t *p, uint32_t n)
{
	size_t flags_at = 0, half = 0;
	uint32_t flags = 0, bits = 0, at = 0;

	while (at < n || bits == 0) {
		uint32_t run = 0;

		if (bits == 0) {
			flags_at = out->n;
			buf_u32(out, 0);
		}
		while (at && at + run < n && p[at + run] == p[at - 1])
			run++;
		if (at < n && run >= 3) {
			flags |= 1u << (31 - bits);
			buf_u16(out, run - 3 < 7 ? (uint16_t)(run - 3) : 7);
			if (run - 3 >= 7)
				put_length(out, run, &half);
			at += run;
		} else if (at < n) {
			buf_u8(out, p[at++]);
		}
		bits++;
		if (bits == 32 || at == n) {
			for (uint32_t b = bits; at == n && b < 32; b++)
				flags |= 1u << (31 - b);
			put_le32(out->p + flags_at, flags);
			flags = bits = 0;
			if (at == n)
				return;
		}
	}
}

/* Makes the buffer that begins at `from` whole: header fields, FF fill. */
static void finish_buffer(struct buf *out, size_t from, const struct mketl *o, uint32_t index, uint64_t ts)
{
	uint32_t end = (uint32_t)(out->n - from), size = o->buffer_size;
	uint8_t *h;

	buf_fill(out, 0xff, size - end);
	h = out->p + from;
	put_le32(h, size);
	put_le32(h + 4, end);
	put_le32(h + 8, end);
	put_le64(h + 0x10, index ? ts : 0);
	put_le64(h + 0x18, index);
	put_le16(h + 0x2a, 5);
	put_le32(h + 0x2c, 3);
	put_le32(h + 0x30, end);
	put_le16(h + 0x34, index == 0 || index == o->n_data ? 0x21 : 0x20);
	put_le16(h + 0x36, index ? 0 : 4);
}

/* The buffer at `from` as a compressed file has it. */
static void pack_buffer(struct buf *out, size_t from, uint32_t index)
{
	uint32_t end = le32(out->p + from + 0x30);
	struct buf b;

	if (index == 0) {
		out->n = from + 0x400;
		put_le32(out->p + from, 0x400);
		return;
	}
	buf_init(&b);
	buf_put(&b, out->p + from, 0x48);
	mketl_pack(&b, out->p + from + 0x48, end - 0x48);
	put_le32(b.p, (uint32_t)b.n);
	put_le16(b.p + 0x34, (uint16_t)(le16(b.p + 0x34) | 0x40));
	out->n = from;
	buf_put(out, b.p, b.n);
	buf_free(&b);
}

static void put_name(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_u16(out, (uint8_t)*s);
	buf_u16(out, 0);
}

static void put_header_record(struct buf *out, const struct mketl *o)
{
	size_t at = out->n, tail = o->narrow ? 0xf0 : 0xf8;
	uint8_t *p = buf_grow(out, 0x20 + (o->narrow ? 0x110 : 0x118));

	put_le16(p, 2);
	p[2] = o->narrow ? 1 : 2;
	p[3] = 0xc0;
	put_le64(p + 0x10, 1000);
	p += 0x20;
	put_le32(p, o->buffer_size);
	p[4] = 10;
	p[6] = o->packed ? 2 : 1;
	p[7] = o->packed ? 0 : 5;
	put_le32(p + 8, 19041);
	put_le32(p + 0xc, 4);
	put_le64(p + 0x10, UINT64_C(133000000000000000));
	put_le32(p + 0x20, o->packed ? 0x4000001 : 1);
	put_le32(p + 0x24, o->n_data + 1);
	put_le32(p + 0x28, 1);
	put_le32(p + 0x2c, o->narrow ? 4 : 8);
	put_le64(p + tail, UINT64_C(132990000000000000));
	put_le64(p + tail + 8, 10000000);
	put_le64(p + tail + 0x10, UINT64_C(132999990000000000));
	put_le32(p + tail + 0x18, 1);
	put_name(out, o->logger ? o->logger : "made");
	put_name(out, "made.etl");
	put_le16(out->p + at + 4, (uint16_t)(out->n - at));
	while ((out->n - at) % 8)
		buf_u8(out, 0);
}

/* Data buffer i, 8-aligned in a buf of its own: the records are padded by where they stand. */
static void put_data_buffer(struct buf *out, const struct mketl *o, uint32_t i, uint64_t *ts)
{
	struct buf b;

	buf_init(&b);
	buf_grow(&b, 0x48);
	for (unsigned k = 0; k < o->n_records; k++) {
		*ts += 10;
		if (k % 3 == 0)
			mkrec_event(&b, *ts, (uint16_t)k, k % 29, 0x41);
		else if (k % 3 == 1)
			mkrec_message(&b, *ts, (uint16_t)k, k % 17);
		else
			mkrec_system(&b, *ts, (uint16_t)(0x500 + k), k % 13);
	}
	finish_buffer(&b, 0, o, i, *ts);
	if (o->packed)
		pack_buffer(&b, 0, i);
	buf_put(out, b.p, b.n);
	buf_free(&b);
}

void mketl_build(struct buf *out, const struct mketl *opt)
{
	struct mketl o = *opt;
	uint64_t ts = 1000;

	if (!o.buffer_size)
		o.buffer_size = 0x2000;
	buf_grow(out, 0x48);
	put_header_record(out, &o);
	mkrec_system(out, 1000, 0x50, 0x30);
	finish_buffer(out, 0, &o, 0, 0);
	if (o.packed)
		pack_buffer(out, 0, 0);
	for (uint32_t i = 1; i <= o.n_data; i++)
		put_data_buffer(out, &o, i, &ts);
}
