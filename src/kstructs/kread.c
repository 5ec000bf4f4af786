/* kread.c - typed reads of members, strings and rings. See kernel.h. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "kernel.h"
#include "rd.h"

static uint64_t le_n(const uint8_t *b, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | b[n];
	return v;
}

int kread_uint(const struct kernel *k, uint64_t obj, enum prof_field f, unsigned size, uint64_t *out)
{
	const struct prof_member *m = &k->prof.field[f];
	uint8_t b[8];
	uint64_t v;

	if (!k->has_profile || m->off == PROF_ABSENT || size > 8)
		return ERR_NOTFOUND;
	if (m->bits && size < (m->bit + m->bits + 7u) / 8u)
		size = (m->bit + m->bits + 7u) / 8u;
	if (size > 8 || vm_read(k->vm, obj + m->off, b, size) < 0)
		return ERR_FAULT;
	v = le_n(b, size);
	if (m->bits) {
		v >>= m->bit & 63;
		if (m->bits < 64)
			v &= (UINT64_C(1) << m->bits) - 1;
	}
	*out = v;
	return 0;
}

int kread_u16(const struct kernel *k, uint64_t obj, enum prof_field f, uint16_t *out)
{
	uint64_t v;
	int rc = kread_uint(k, obj, f, 2, &v);

	if (rc == 0)
		*out = (uint16_t)v;
	return rc;
}

int kread_u32(const struct kernel *k, uint64_t obj, enum prof_field f, uint32_t *out)
{
	uint64_t v;
	int rc = kread_uint(k, obj, f, 4, &v);

	if (rc == 0)
		*out = (uint32_t)v;
	return rc;
}

int kread_u64(const struct kernel *k, uint64_t obj, enum prof_field f, uint64_t *out)
{
	return kread_uint(k, obj, f, 8, out);
}

int kread_ptr(const struct kernel *k, uint64_t obj, enum prof_field f, uint64_t *out)
{
	return kread_uint(k, obj, f, vm_pointer_size(k->vm), out);
}

int kread_bytes(const struct kernel *k, uint64_t obj, enum prof_field f, void *buf, size_t n)
{
	if (!k->has_profile || !prof_has(&k->prof, f))
		return ERR_NOTFOUND;
	return vm_read(k->vm, obj + prof_off(&k->prof, f), buf, n);
}

int kread_ptr_at(const struct kernel *k, uint64_t va, uint64_t *out)
{
	unsigned n = vm_pointer_size(k->vm);
	uint8_t b[8];

	if (vm_read(k->vm, va, b, n) < 0)
		return ERR_FAULT;
	*out = le_n(b, n);
	return 0;
}

/* ---- UNICODE_STRING: Length, MaximumLength (bytes), pointer at the next pointer-aligned place ---- */

int kread_unicode_at(const struct kernel *k, uint64_t va, uint8_t *buf, size_t max, size_t *n)
{
	unsigned ps = vm_pointer_size(k->vm);
	uint8_t b[16];
	size_t len;

	if (vm_read(k->vm, va, b, (size_t)2 * ps) < 0)
		return ERR_FAULT;
	len = le16(b) & ~1u;
	if (len > max)
		len = max & ~(size_t)1;
	if (len && vm_read(k->vm, le_n(b + ps, ps), buf, len) < 0)
		return ERR_FAULT;
	*n = len;
	return 0;
}

int kread_unicode(const struct kernel *k, uint64_t obj, enum prof_field f, uint8_t *buf, size_t max, size_t *n)
{
	if (!k->has_profile || !prof_has(&k->prof, f))
		return ERR_NOTFOUND;
	return kread_unicode_at(k, obj + prof_off(&k->prof, f), buf, max, n);
}

/* ---- LIST_ENTRY rings ---- */

/* Open addressing over node addresses; grows at two thirds. */
struct seen {
	uint64_t *v;
	size_t n, cap; /* cap: a power of two */
};

static size_t seen_slot(const struct seen *s, uint64_t va)
{
	size_t i = (size_t)((va >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->cap - 1);

	while (s->v[i] && s->v[i] != va)
		i = (i + 1) & (s->cap - 1);
	return i;
}

/* 1: new, 0: known, ERR_NOMEM. va is never 0. */
static int seen_add(struct seen *s, uint64_t va)
{
	size_t i;

	if (s->n * 3 >= s->cap * 2) {
		struct seen t = {calloc(s->cap ? s->cap * 2 : 64, sizeof(uint64_t)), s->n, s->cap ? s->cap * 2 : 64};

		if (!t.v)
			return ERR_NOMEM;
		for (i = 0; i < s->cap; i++)
			if (s->v[i])
				t.v[seen_slot(&t, s->v[i])] = s->v[i];
		free(s->v);
		*s = t;
	}
	i = seen_slot(s, va);
	if (s->v[i])
		return 0;
	s->v[i] = va;
	s->n++;
	return 1;
}

static int push(struct klist *l, uint64_t va)
{
	void *arr = l->node;

	if (arr_reserve(&arr, &l->cap, l->n, sizeof(*l->node)) < 0)
		return ERR_NOMEM;
	l->node = arr;
	l->node[l->n++] = va;
	return 0;
}

static void broken(struct klist *l, uint64_t where, const char *why)
{
	if (l->broken)
		return;
	l->broken = true;
	l->where = where;
	l->why = why;
}

/* Follows links (word 0: Flink, 1: Blink) from the head until the ring closes or breaks. True: it closed. */
static int follow(struct klist *l, struct seen *seen, unsigned word, bool *closed)
{
	unsigned ps = vm_pointer_size(l->k->vm);
	uint64_t at = l->head, next;

	*closed = false;
	for (size_t steps = 0; steps <= l->max; steps++) {
		int rc;

		if (kread_ptr_at(l->k, at + (uint64_t)word * ps, &next) < 0) {
			broken(l, at, "a link could not be read");
			return 0;
		}
		if (next == l->head) {
			*closed = true;
			return 0;
		}
		if (next % ps || !vm_is_kernel(l->k->vm, next)) {
			broken(l, at, "a link leads nowhere");
			return 0;
		}
		if (l->n == l->max) {
			broken(l, at, "longer than it may be");
			return 0;
		}
		rc = seen_add(seen, next);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			if (word == 0)
				broken(l, at, "a loop");
			return 0; /* backwards: met what the forward walk had */
		}
		rc = push(l, next);
		if (rc < 0)
			return rc;
		at = next;
	}
	broken(l, at, "longer than it may be");
	return 0;
}

static void reverse(uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint64_t t = v[i];

		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

/* The last nodes of a walk are only hearsay until their own page was read: a node that can't be is dropped. */
static void drop_unreadable(struct klist *l)
{
	uint64_t v;
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (kread_ptr_at(l->k, l->node[i], &v) >= 0)
			l->node[n++] = l->node[i];
	l->n = n;
}

int klist_collect(struct klist *l, const struct kernel *k, uint64_t head, size_t max)
{
	struct seen seen = {0};
	uint64_t flink;
	bool closed;
	size_t forward;
	int rc;

	memset(l, 0, sizeof(*l));
	l->k = k;
	l->head = head;
	l->max = max;
	if (kread_ptr_at(k, head, &flink) < 0)
		return ERR_FAULT;
	rc = follow(l, &seen, 0, &closed);
	forward = l->n;
	if (rc == 0 && !closed) {
		rc = follow(l, &seen, 1, &closed);
		if (l->n > forward)
			reverse(l->node + forward, l->n - forward);
		drop_unreadable(l);
	}
	free(seen.v);
	if (rc < 0)
		klist_free(l);
	return rc < 0 ? rc : 0;
}

void klist_free(struct klist *l)
{
	free(l->node);
	l->node = NULL;
	l->n = l->cap = 0;
}
