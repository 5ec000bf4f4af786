/* utf16.c - see utf16.h */
#include "utf16.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

static void put_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_u8(out, (uint8_t)c);
	} else if (c < 0x800) {
		buf_u8(out, (uint8_t)(0xc0 | c >> 6));
		buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_u8(out, (uint8_t)(0xe0 | c >> 12));
		buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		buf_u8(out, (uint8_t)(0xf0 | c >> 18));
		buf_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

void utf16_to_utf8(struct buf *out, const uint8_t *p, size_t n_bytes)
{
	for (size_t i = 0; i + 2 <= n_bytes; i += 2) {
		uint32_t c = le16(p + i);

		if (c >= 0xd800 && c < 0xdc00 && i + 4 <= n_bytes) {
			uint32_t lo = le16(p + i + 2);

			if (lo >= 0xdc00 && lo < 0xe000) {
				put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (lo - 0xdc00));
				i += 2;
				continue;
			}
		}
		put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	}
}

char *utf16_dup(const uint8_t *p, size_t n_bytes)
{
	struct buf b;
	size_t n = 0;

	while (n + 2 <= n_bytes && le16(p + n))
		n += 2;
	buf_init(&b);
	utf16_to_utf8(&b, p, n);
	buf_u8(&b, 0);
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	return (char *)b.p;
}

/* Decodes one code point at *s; advances by at least one byte. */
static uint32_t next_utf8(const uint8_t **s)
{
	uint32_t c = *(*s)++;
	uint32_t min;
	int more;

	if (c < 0x80)
		return c;
	if (c >= 0xc2 && c < 0xe0) {
		more = 1, min = 0x80, c &= 0x1f;
	} else if (c >= 0xe0 && c < 0xf0) {
		more = 2, min = 0x800, c &= 0x0f;
	} else if (c >= 0xf0 && c < 0xf5) {
		more = 3, min = 0x10000, c &= 0x07;
	} else {
		return 0xfffd;
	}
	for (; more; more--) {
		if ((**s & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (*(*s)++ & 0x3f);
	}
	return c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
}

void utf8_to_utf16(struct buf *out, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;

	while (*p) {
		uint32_t c = next_utf8(&p);

		if (c >= 0x10000) {
			c -= 0x10000;
			buf_u16(out, (uint16_t)(0xd800 + (c >> 10)));
			buf_u16(out, (uint16_t)(0xdc00 + (c & 0x3ff)));
		} else {
			buf_u16(out, (uint16_t)c);
		}
	}
}
