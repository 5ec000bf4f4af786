/* snappyblock.c - see snappyblock.h */
#include "snappyblock.h"

#include <string.h>

#include "rd.h"

bool snappyblock_length(const uint8_t *p, size_t n, uint32_t *length, size_t *used)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 5 && i < n; i++) {
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] & 0x80)
			continue;
		if (v > UINT32_MAX)
			return false;
		*length = (uint32_t)v;
		*used = i + 1;
		return true;
	}
	return false;
}

struct block {
	const uint8_t *p;
	size_t n, at;
	uint8_t *out;
	size_t have, cap;
	size_t offset; /* of the last copy: S2 repeats it */
};

static bool literal(struct block *b, uint8_t tag)
{
	size_t len = tag >> 2, more = len < 60 ? 0 : len - 59;

	if (more) {
		if (b->n - b->at < more)
			return false;
		len = 0;
		for (size_t i = 0; i < more; i++)
			len |= (size_t)b->p[b->at + i] << (8 * i);
		b->at += more;
	}
	len++;
	if (len > b->n - b->at || len > b->cap - b->have)
		return false;
	if (len <= 16 && b->n - b->at >= 16 && b->cap - b->have >= 16)
		memcpy(b->out + b->have, b->p + b->at, 16);
	else
		memcpy(b->out + b->have, b->p + b->at, len);
	b->at += len;
	b->have += len;
	return true;
}

/* S2: a copy with one offset byte and offset 0 repeats the last offset; its length may go on in 1 to 3 bytes. */
static bool repeat_length(struct block *b, size_t *len)
{
	size_t code = *len - 4, more = code < 5 ? 0 : code - 4; /* len is 4 to 11 here */
	size_t v = 0;

	if (code < 5) {
		*len = code + 4;
		return true;
	}
	if (b->n - b->at < more)
		return false;
	for (size_t i = 0; i < more; i++)
		v |= (size_t)b->p[b->at + i] << (8 * i);
	b->at += more;
	*len = v + (more == 1 ? 8 : more == 2 ? (1u << 8) + 4 : (1u << 16) + 4);
	return true;
}

static bool copy(struct block *b, uint8_t tag)
{
	size_t len, offset = 0, bytes = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;

	if (b->n - b->at < bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		offset |= (size_t)b->p[b->at + i] << (8 * i);
	b->at += bytes;
	if (bytes == 1) {
		len = 4 + (tag >> 2 & 7);
		offset |= (size_t)(tag >> 5) << 8;
	} else {
		len = 1 + (size_t)(tag >> 2);
	}
	if (bytes == 1 && offset == 0) {
		if (!b->offset || !repeat_length(b, &len))
			return false;
		offset = b->offset;
	}
	if (offset == 0 || offset > b->have || len > b->cap - b->have)
		return false;
	b->offset = offset;
	if (offset >= 8 && b->cap - b->have >= len + 8) { /* eight at a time; what is written too much is written over */
		for (size_t i = 0; i < len; i += 8)
			memcpy(b->out + b->have + i, b->out + b->have + i - offset, 8);
		b->have += len;
		return true;
	}
	for (size_t i = 0; i < len; i++, b->have++)
		b->out[b->have] = b->out[b->have - offset];
	return true;
}

int64_t snappyblock_unpack(const uint8_t *p, size_t n, uint8_t *out, size_t cap)
{
	struct block b = {.p = p, .n = n, .out = out};
	uint32_t length;

	if (!snappyblock_length(p, n, &length, &b.at) || length > cap)
		return -1;
	b.cap = length;
	while (b.at < n) {
		uint8_t tag = p[b.at++];

		if (!((tag & 3) == 0 ? literal(&b, tag) : copy(&b, tag)))
			return -1;
	}
	return b.have == length ? (int64_t)length : -1;
}
