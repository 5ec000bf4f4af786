/* bigpool.c - see bigpool.h */
#include "bigpool.h"

#include <stdlib.h>

#include "rd.h"

#define PAGE        4096u
#define ENTRIES_MAX (UINT64_C(1) << 22)
#define FREE        UINT64_C(1) /* bit 0 of Va: the entry is free, the bytes may still be there; alone: never used */
#define PROTECTED   0x80u       /* top bit of a tag: the allocation is freed with its tag only */
#define LEAST       4u          /* entries of the first pages that must be allocations */
#define LOOKED      8u          /* first pages of a possible table */
#define IMAGE_MAX   UINT64_C(0x4000000)
#define TRIES_MAX   65536u

struct table {
	uint64_t va, entries; /* entries: at most */
	uint32_t stride;
};

enum kind { EMPTY, ALLOCATION, BAD };

/* Is it four characters, as a tag is? */
static bool tag_like(uint32_t tag)
{
	for (unsigned i = 0; i < 4; i++) {
		uint8_t c = (uint8_t)(tag >> 8 * i & (i == 3 ? 0xffu & ~PROTECTED : 0xffu));

		if (c < 0x20 || c > 0x7e)
			return false;
	}
	return true;
}

static enum kind look(const struct kview *v, const uint8_t *p, uint64_t *va, uint32_t *tag)
{
	const struct profile *f = &v->k->prof;
	size_t ps = kview_ptr_size(v);

	*va = ps == 4 ? le32(p + prof_off(f, F_BIGPAGES_Va)) : le64(p + prof_off(f, F_BIGPAGES_Va));
	*tag = le32(p + prof_off(f, F_BIGPAGES_Key));
	if (*va <= FREE)
		return EMPTY;
	*va &= ~FREE;
	return *va % PAGE == 0 && kview_is_ptr(v, *va) && tag_like(*tag) ? ALLOCATION : BAD;
}

/* Allocations in the entries of [0, n); *whole: nothing else but empty ones stands there. */
static unsigned count(const struct kview *v, const uint8_t *p, size_t n, uint32_t stride, bool *whole)
{
	unsigned have = 0;
	uint64_t va;
	uint32_t tag;

	*whole = true;
	for (size_t i = 0; i + stride <= n && *whole; i += stride) {
		enum kind k = look(v, p + i, &va, &tag);

		have += k == ALLOCATION;
		*whole = k != BAD;
	}
	return have;
}

/* How many allocations the first pages of a table at `at` hold, of which `page` is the first one; 0: it is none. */
static unsigned table_like(const struct kview *v, uint64_t at, const uint8_t page[PAGE], uint32_t stride)
{
	uint8_t p[LOOKED * PAGE];
	struct vm_missing hole[LOOKED];
	unsigned n;
	bool whole;

	(void)count(v, page, PAGE, stride, &whole);
	if (!whole)
		return 0;
	(void)vm_read_padded(v->k->vm, at, p, sizeof p, hole, LOOKED);
	n = count(v, p, sizeof p, stride, &whole);
	return n >= LEAST ? n : 0;
}

struct search {
	struct table best;
	unsigned most;  /* allocations in the best one's first pages */
	unsigned tries; /* places that may still be looked at */
	uint64_t last;
};

/* One page of the image: each pointer in it that leads to a page of its own, outside of the image. */
static void in_page(const struct kview *v, const uint8_t *page, struct search *s)
{
	uint32_t ps = (uint32_t)kview_ptr_size(v), size = prof_size(&v->k->prof, T_BIGPAGES);
	const uint32_t strides[] = {size, size + ps, size - ps}; /* a later build may have added or dropped a word */
	uint8_t first[PAGE];

	for (size_t i = 0; i + ps <= PAGE && s->tries; i += ps) {
		uint64_t at = ps == 4 ? le32(page + i) : le64(page + i);

		if (at % PAGE || at == s->last || !kview_is_ptr(v, at) || at - v->k->base < v->k->image_size)
			continue;
		s->last = at;
		s->tries--;
		if (vm_read(v->k->vm, at, first, PAGE) != 0)
			continue;
		for (size_t k = 0; k < sizeof strides / sizeof strides[0]; k++) {
			unsigned n = table_like(v, at, first, strides[k]);

			if (n > s->most) {
				s->most = n;
				s->best = (struct table){at, ENTRIES_MAX, strides[k]};
			}
		}
	}
}

static bool by_shape(const struct kview *v, struct table *t)
{
	uint64_t size = v->k->image_size < IMAGE_MAX ? v->k->image_size : IMAGE_MAX;
	struct search s = {.tries = TRIES_MAX};
	uint8_t page[PAGE];

	for (uint64_t at = 0; at < size && s.tries; at += PAGE)
		if (vm_read(v->k->vm, v->k->base + at, page, PAGE) == 0)
			in_page(v, page, &s);
	*t = s.best;
	return s.most > 0;
}

static bool by_symbol(const struct kview *v, struct table *t)
{
	uint64_t sym;

	t->stride = prof_size(&v->k->prof, T_BIGPAGES);
	return kernel_symbol(v->k, S_PoolBigPageTable, &sym) && kread_ptr_at(v->k, sym, &t->va) == 0 && kview_is_ptr(v, t->va) &&
	       kernel_symbol(v->k, S_PoolBigPageTableSize, &sym) && kread_ptr_at(v->k, sym, &t->entries) == 0 && t->entries <= ENTRIES_MAX;
}

/* Entries whose page is missing are passed over; without a size, what is no entry ends the table. */
static int walk(struct kview *v, const struct table *t, bool sized, int (*fn)(void *ctx, uint64_t va, uint32_t tag), void *ctx)
{
	uint8_t b[2 * PAGE];
	uint64_t va;
	uint32_t tag;
	int rc = 0;

	for (uint64_t i = 0; i < t->entries && rc == 0; i++) {
		if (vm_read(v->k->vm, t->va + i * t->stride, b, t->stride) != 0) {
			if (!sized)
				break;
			continue;
		}
		switch (look(v, b, &va, &tag)) {
		case ALLOCATION:
			rc = fn(ctx, va, tag);
			break;
		case BAD:
			if (!sized)
				return 0;
			break;
		case EMPTY:
			break;
		}
	}
	return rc;
}

int bigpool_each(struct kview *v, int (*fn)(void *ctx, uint64_t va, uint32_t tag), void *ctx)
{
	const struct profile *p = &v->k->prof;
	uint32_t size = prof_size(p, T_BIGPAGES), ps = (uint32_t)kview_ptr_size(v);
	struct table t = {0};
	bool sized;

	if (!prof_has(p, F_BIGPAGES_Va) || !prof_has(p, F_BIGPAGES_Key) || size < 2 * ps || size > PAGE ||
	    prof_off(p, F_BIGPAGES_Va) + ps > size - ps || prof_off(p, F_BIGPAGES_Key) + 4 > size - ps)
		return 0;
	sized = by_symbol(v, &t);
	if (!sized && !by_shape(v, &t))
		return 0;
	return walk(v, &t, sized, fn, ctx);
}
