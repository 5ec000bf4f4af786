/* buf.c - see buf.h */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rd.h"

void buf_init(struct buf *b)
{
	memset(b, 0, sizeof(*b));
}

void buf_free(struct buf *b)
{
	free(b->p);
	buf_init(b);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

static bool reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *p;

	if (b->failed)
		return false;
	if (n > SIZE_MAX / 2 - b->n) {
		b->failed = true;
		return false;
	}
	if (b->n + n <= b->cap)
		return true;
	while (cap < b->n + n)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

uint8_t *buf_grow(struct buf *b, size_t n)
{
	uint8_t *p;

	if (!reserve(b, n ? n : 1))
		return NULL;
	p = b->p + b->n;
	memset(p, 0, n);
	b->n += n;
	return p;
}

void buf_put_slow(struct buf *b, const void *p, size_t n)
{
	if (!n || !reserve(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_fill(struct buf *b, uint8_t v, size_t n)
{
	if (!n || !reserve(b, n))
		return;
	memset(b->p + b->n, v, n);
	b->n += n;
}

void buf_u16(struct buf *b, uint16_t v)
{
	uint8_t t[2];

	put_le16(t, v);
	buf_put(b, t, sizeof(t));
}

void buf_u32(struct buf *b, uint32_t v)
{
	uint8_t t[4];

	put_le32(t, v);
	buf_put(b, t, sizeof(t));
}

void buf_u64(struct buf *b, uint64_t v)
{
	uint8_t t[8];

	put_le64(t, v);
	buf_put(b, t, sizeof(t));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

const char *buf_str(struct buf *b)
{
	if (!reserve(b, 1))
		return "";
	b->p[b->n] = 0;
	return (const char *)b->p;
}

int arr_reserve(void **arr, size_t *cap, size_t n, size_t elem)
{
	size_t c;
	void *p;

	if (n < *cap)
		return 0;
	c = *cap ? *cap * 2 : 16;
	if (c > SIZE_MAX / elem / 2)
		return ERR_NOMEM;
	p = realloc(*arr, c * elem);
	if (!p)
		return ERR_NOMEM;
	*arr = p;
	*cap = c;
	return 0;
}

int u64_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}
