/* buf.h - growable bytes, growable arrays, and their order.
 *
 * `struct buf` has a sticky failure flag: write freely, look once. After a failure the contents are whatever fitted. Also used as a
 * string builder: buf_str() keeps a NUL behind the bytes. */
#ifndef ETLIFT_BUF_H
#define ETLIFT_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	uint8_t *p;
	size_t n, cap;
	bool failed; /* out of memory */
};

void buf_init(struct buf *b);
void buf_free(struct buf *b);                              /* takes a zeroed one; leaves it initialised */
void buf_clear(struct buf *b);                             /* keeps the memory */
uint8_t *buf_grow(struct buf *b, size_t n);                /* n new zeroed bytes at the end, or NULL */
void buf_put_slow(struct buf *b, const void *p, size_t n); /* buf_put() when there is no room yet */
void buf_fill(struct buf *b, uint8_t v, size_t n);
void buf_u16(struct buf *b, uint16_t v); /* little endian */
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *buf_str(struct buf *b); /* NUL-terminated view, "" after a failure; valid until the next write */

/* Inline: printers put a few bytes at a time, and a literal's length is known. */
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (n > b->cap - b->n || b->failed) {
		buf_put_slow(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

static inline void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

/* Makes room for one more element: returns 0 or ERR_NOMEM. `*arr` is a heap array of *cap elements of elem bytes, n of them used. */
int arr_reserve(void **arr, size_t *cap, size_t n, size_t elem);

/* For qsort() and bsearch() of uint64_t, ascending. */
int u64_order(const void *a, const void *b);

#endif
