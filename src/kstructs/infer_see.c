/* infer_see.c - see infer_see.h. `at` is an index into p; what `arg` is, each test says. */
#include "infer_see.h"

#include <stdlib.h>

#include "rd.h"

#define PAGE       4096u
#define HDR_LINK   0x20u
#define HDR_ID     0x2au
#define DAY        INT64_C(864000000000)
#define SECOND     INT64_C(10000000)
#define YEAR_2000  INT64_C(125911584000000000)
#define STRING_MAX 0x1000u
#define REF_MASK   0xfu
#define RING_STEPS 4096u

void infer_see_read(const struct kernel *k, const struct infer_root *r, struct infer_see *s)
{
	s->root = *r;
	uint64_t at = r->head;

	s->n_holes = vm_read_padded(k->vm, r->head - INFER_BEFORE, s->p, sizeof(s->p), s->hole, 4);
	s->buffers = 0;
	while (s->buffers < RING_STEPS && kread_ptr_at(k, at, &at) == 0 && at != r->head)
		s->buffers++;
}

static bool seen(const struct infer_see *s, uint32_t at, uint32_t n)
{
	uint64_t va = s->root.head - INFER_BEFORE + at;

	if (at + n > INFER_SEE_BYTES)
		return false;
	for (size_t i = 0; i < s->n_holes; i++)
		if (va < s->hole[i].va + s->hole[i].len && s->hole[i].va < va + n)
			return false;
	return true;
}

static uint64_t ptr(const struct kernel *k, const uint8_t *p)
{
	return vm_pointer_size(k->vm) == 4 ? le32(p) : le64(p);
}

static enum infer_answer yes(bool b)
{
	return b ? INFER_YES : INFER_NO;
}

enum infer_answer see_id(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	(void)k;
	(void)arg;
	return seen(s, at, 4) ? yes(le32(s->p + at) == s->root.id) : INFER_CANT_SEE;
}

enum infer_answer see_size(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	(void)k;
	(void)arg;
	return seen(s, at, 4) ? yes(le32(s->p + at) == s->root.buffer_size) : INFER_CANT_SEE;
}

/* arg: uint32_t, the place in its line of 64 bytes. */
enum infer_answer see_place(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	(void)k;
	return yes((s->root.head - INFER_BEFORE + at) % 64 == *(const uint32_t *)arg);
}

/* One neighbour that points back is enough. */
enum infer_answer see_ring(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	size_t ps = vm_pointer_size(k->vm);
	uint64_t va = s->root.head - INFER_BEFORE + at, back;

	(void)arg;
	if (!seen(s, at, (uint32_t)(2 * ps)))
		return INFER_CANT_SEE;
	for (unsigned i = 0; i < 2; i++)
		if (kread_ptr_at(k, ptr(k, s->p + at + i * ps) + (i ? 0 : ps), &back) == 0 && back == va)
			return INFER_YES;
	return INFER_NO;
}

/* Length, maximum and place of the UNICODE_STRING at `at`; false: none could be there. */
static bool string_head(const struct kernel *k, const struct infer_see *s, uint32_t at, uint16_t *len, uint64_t *va)
{
	uint16_t max = le16(s->p + at + 2);

	*len = le16(s->p + at);
	*va = ptr(k, s->p + at + vm_pointer_size(k->vm));
	return *len % 2 == 0 && *len <= max && max % 2 == 0 && (*len == 0 || vm_is_kernel(k->vm, *va));
}

enum infer_answer see_string(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint8_t text[64];
	uint16_t len;
	uint64_t va;
	size_t n;

	(void)arg;
	if (!seen(s, at, 2 * vm_pointer_size(k->vm)))
		return INFER_CANT_SEE;
	if (!string_head(k, s, at, &len, &va) || len == 0 || (len > STRING_MAX && len % 2))
		return INFER_NO;
	n = len < sizeof(text) ? len : sizeof(text);
	if (vm_read(k->vm, va, text, n) != 0)
		return INFER_WEAK;
	for (size_t i = 0; i + 2 <= n; i += 2)
		if (le16(text + i) == 0)
			return INFER_NO;
	return INFER_YES;
}

enum infer_answer see_string_or_none(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint16_t len;
	uint64_t va;

	if (!seen(s, at, 2 * vm_pointer_size(k->vm)))
		return INFER_CANT_SEE;
	if (!string_head(k, s, at, &len, &va))
		return INFER_NO;
	return len == 0 ? INFER_WEAK : see_string(k, s, at, arg);
}

static bool filetime(const struct kernel *k, uint64_t v)
{
	int64_t t = (int64_t)v, from = k->boot_time ? k->boot_time - DAY : YEAR_2000;

	if (!k->boot_time && k->system_time > YEAR_2000 + 400 * DAY)
		from = k->system_time - 400 * DAY; /* no machine runs longer */
	return t >= from && (!k->system_time || t <= k->system_time + DAY);
}

/* A value of a session's clock: no FILETIME, no pointer, not zero. */
static bool clock_value(const struct kernel *k, uint64_t v)
{
	return v > 0x10000 && v < UINT64_C(1) << 62 && !vm_is_kernel(k->vm, v) && !filetime(k, v);
}

static bool twice(const uint8_t *p)
{
	int64_t d = (int64_t)(le64(p) - le64(p + 8));

	return d > -SECOND && d < SECOND;
}

enum infer_answer see_pair(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	(void)arg;
	if (!seen(s, at, 16))
		return INFER_CANT_SEE;
	return yes(filetime(k, le64(s->p + at)) && (twice(s->p + at) || clock_value(k, le64(s->p + at + 8))));
}

/* arg: uint32_t, where the pair is. */
enum infer_answer see_clock(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint32_t v, pair = *(const uint32_t *)arg;

	(void)k;
	if (!seen(s, at, 4) || !seen(s, pair, 16))
		return INFER_CANT_SEE;
	v = le32(s->p + at);
	return yes(v >= 1 && v <= 3 && (v == 2) == twice(s->p + pair));
}

/* arg: uint32_t, where the pair is. */
enum infer_answer see_start(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint32_t pair = *(const uint32_t *)arg;
	int64_t d;

	(void)k;
	if (!seen(s, at, 8) || !seen(s, pair, 8))
		return INFER_CANT_SEE;
	if (at == pair || at == pair + 8) /* that of a system-time session is the pair's second word */
		return INFER_NO;
	d = (int64_t)(le64(s->p + at) - le64(s->p + pair));
	return yes(d > -SECOND && d < SECOND);
}

/* Bits of LoggerMode (evntrace.h): 4 and 30 mean nothing; of the kinds of file at most one; paged and per-file buffers not with real time only. */
enum infer_answer see_mode(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint32_t v, kinds;

	(void)k;
	(void)arg;
	if (!seen(s, at, 4))
		return INFER_CANT_SEE;
	v = le32(s->p + at);
	kinds = (v & 1) + (v >> 1 & 1) + (v >> 3 & 1);
	if (v == 0)
		return INFER_WEAK;
	return yes((v & 0x40000010u) == 0 && kinds <= 1 && (v & 0xc000) != 0xc000);
}

/* MinimumBuffers, BuffersAvailable, NumberOfBuffers, MaximumBuffers, side by side in every known layout. */
enum infer_answer see_counts(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint32_t min, available, have, max;

	(void)k;
	(void)arg;
	if (!seen(s, at, 16))
		return INFER_CANT_SEE;
	min = le32(s->p + at);
	available = le32(s->p + at + 4);
	have = le32(s->p + at + 8);
	max = le32(s->p + at + 12);
	return yes(min >= 1 && min <= max && max <= 0x100000 && have <= 2 * max && available <= have && have >= s->buffers &&
		   have <= 4 * s->buffers + 64);
}

/* Is a buffer of this session at va? */
static bool ours(const struct kernel *k, const struct infer_see *s, uint64_t va)
{
	uint8_t h[0x30];

	return va % PAGE == 0 && vm_is_kernel(k->vm, va) && vm_read(k->vm, va, h, sizeof(h)) == 0 && le32(h) == s->root.buffer_size &&
	       (le16(h + HDR_ID) == s->root.id || le16(h + HDR_ID) == 0);
}

enum infer_answer see_queue(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint64_t first, next;

	(void)arg;
	if (!seen(s, at, vm_pointer_size(k->vm)))
		return INFER_CANT_SEE;
	first = ptr(k, s->p + at);
	if (first == 0)
		return INFER_WEAK;
	if (!ours(k, s, first - HDR_LINK) || kread_ptr_at(k, first, &next) != 0)
		return INFER_NO;
	return next && ours(k, s, next - HDR_LINK) ? INFER_YES : INFER_WEAK;
}

/* A fast reference counts in its low bits. */
enum infer_answer see_current(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg)
{
	uint64_t v;

	(void)arg;
	if (!seen(s, at, vm_pointer_size(k->vm)))
		return INFER_CANT_SEE;
	v = ptr(k, s->p + at);
	if (v == 0)
		return INFER_WEAK;
	if (!ours(k, s, v & ~(uint64_t)(vm_pointer_size(k->vm) == 4 ? REF_MASK >> 1 : REF_MASK)))
		return INFER_NO;
	return v % PAGE ? INFER_YES : INFER_WEAK;
}
