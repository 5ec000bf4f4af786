/* mkrec.c - see mkrec.h */
#include "mkrec.h"

#include <string.h>

#include "rd.h"

static void pad(struct buf *b)
{
	while (b->n % 8)
		buf_u8(b, 0);
}

void mkrec_event(struct buf *b, uint64_t ts, uint16_t id, uint32_t n, uint8_t fill)
{
	uint8_t *p = buf_grow(b, 0x50 + n);

	put_le16(p, (uint16_t)(0x50 + n));
	p[2] = 0x13;
	p[3] = 0xc0;
	put_le32(p + 8, 22);
	put_le32(p + 0xc, 11);
	put_le64(p + 0x10, ts);
	memset(p + 0x18, 0x5a, 16);
	put_le16(p + 0x28, id);
	memset(p + 0x50, fill, n);
	pad(b);
}

void mkrec_message(struct buf *b, uint64_t ts, uint16_t number, uint32_t n)
{
	uint8_t *p = buf_grow(b, 8 + 16 + 8 + 8 + n);

	put_le16(p, (uint16_t)(40 + n));
	p[3] = 0x90;
	put_le16(p + 4, number);
	put_le16(p + 6, 0xaa);
	memset(p + 8, 0x77, 16);
	put_le64(p + 24, ts);
	put_le32(p + 32, 22);
	put_le32(p + 36, 11);
	memset(p + 40, 0x31, n);
	pad(b);
}

void mkrec_system(struct buf *b, uint64_t ts, uint16_t hook, uint32_t n)
{
	uint8_t *p = buf_grow(b, 0x20 + n);

	put_le16(p, 2);
	p[2] = 2;
	p[3] = 0xc0;
	put_le16(p + 4, (uint16_t)(0x20 + n));
	put_le16(p + 6, hook);
	put_le32(p + 8, 22);
	put_le32(p + 0xc, 11);
	put_le64(p + 0x10, ts);
	memset(p + 0x20, 0x44, n);
	pad(b);
}

void mkrec_header(uint8_t h[0x48], uint32_t buffer_size, uint32_t current)
{
	memset(h, 0, 0x48);
	put_le32(h, buffer_size);
	put_le32(h + 8, current);
}
