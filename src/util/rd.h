/* rd.h - a bounds-checked little-endian window on bytes, addressed by offset.
 *
 * The one place in the program that compares an offset with a length. Reads outside give 0 and set the sticky flag `bad`: make thirty
 * reads, then look at the flag once. The window borrows its bytes. Everything in ETW, Windows and most containers is little endian;
 * the _be forms serve QEMU streams and flattened kdump. The le_ and be_ functions below are for places whose bounds are known. */
#ifndef ETLIFT_RD_H
#define ETLIFT_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}
static inline uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t le64(const uint8_t *p)
{
	return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}
static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}
static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}
static inline uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | (uint64_t)be32(p + 4);
}
static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}

struct rd {
	const uint8_t *p;
	size_t len;
	bool bad; /* set by the first read outside; never cleared */
};

static inline struct rd rd_init(const void *p, size_t len)
{
	struct rd r = {(const uint8_t *)p, len, false};
	return r;
}

/* True if [off, off + n) lies inside. Does not touch the flag. */
static inline bool rd_has(const struct rd *r, uint64_t off, uint64_t n)
{
	return off <= r->len && n <= r->len - off;
}

/* Pointer to n bytes at off, or NULL (and the flag). */
static inline const uint8_t *rd_ptr(struct rd *r, uint64_t off, uint64_t n)
{
	if (!rd_has(r, off, n)) {
		r->bad = true;
		return NULL;
	}
	return r->p + off;
}

static inline uint8_t rd_u8(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 1);
	return p ? *p : 0;
}
static inline uint16_t rd_u16(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 2);
	return p ? le16(p) : 0;
}
static inline uint32_t rd_u32(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 4);
	return p ? le32(p) : 0;
}
static inline uint64_t rd_u64(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 8);
	return p ? le64(p) : 0;
}
static inline uint16_t rd_be16(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 2);
	return p ? be16(p) : 0;
}
static inline uint32_t rd_be32(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 4);
	return p ? be32(p) : 0;
}
static inline uint64_t rd_be64(struct rd *r, uint64_t off)
{
	const uint8_t *p = rd_ptr(r, off, 8);
	return p ? be64(p) : 0;
}

/* Copies n bytes to dst; outside: dst is zeroed, the flag set. */
static inline void rd_copy(struct rd *r, uint64_t off, void *dst, size_t n)
{
	const uint8_t *p = rd_ptr(r, off, n);

	if (p)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
}

/* The window [off, off + n) of r, or an empty bad one. */
static inline struct rd rd_sub(struct rd *r, uint64_t off, uint64_t n)
{
	const uint8_t *p = rd_ptr(r, off, n);
	struct rd s = {p, p ? (size_t)n : 0, p == NULL};
	return s;
}

#endif
