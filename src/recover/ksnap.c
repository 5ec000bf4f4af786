#include "ksnap.h"

#include <string.h>

#include "rd.h"

/* Members longer than a pointer that are read whole: GUIDs (16), UNICODE_STRINGs (16), the eight enable slots (0x100). */
#define TAIL_ROOM 0x20u

static uint32_t want_bytes(const struct profile *p, enum prof_type t)
{
	uint32_t n = prof_size(p, t);

	for (unsigned f = 0; f < PROF_FIELDS; f++) {
		uint32_t end;

		if (prof_type_of((enum prof_field)f) != t || !prof_has(p, (enum prof_field)f))
			continue;
		end = prof_off(p, (enum prof_field)f);
		if (end >= KSNAP_MAX)
			continue;
		end += TAIL_ROOM;
		if (prof_size(p, t) != 0 && end > prof_size(p, t))
			end = prof_size(p, t);
		if (end > n)
			n = end;
	}
	return n > KSNAP_MAX ? KSNAP_MAX : n;
}

int ksnap_read(struct ksnap *s, const struct kernel *k, enum prof_type type, uint64_t va)
{
	uint64_t lost = 0;

	s->k = k;
	s->type = type;
	s->va = va;
	s->n_holes = 0;
	s->len = want_bytes(&k->prof, type);
	if (s->len == 0)
		return ERR_NOTFOUND;
	s->n_holes = vm_read_padded(k->vm, va, s->p, s->len, s->hole, KSNAP_HOLES);
	for (size_t i = 0; i < s->n_holes; i++)
		lost += s->hole[i].len;
	return lost >= s->len ? ERR_FAULT : (int)s->n_holes;
}

const uint8_t *ksnap_at(const struct ksnap *s, enum prof_field f, uint32_t at, uint32_t n, int *why)
{
	uint64_t off, va;

	if (why)
		*why = ERR_NOTFOUND;
	if (prof_type_of(f) != s->type || !prof_has(&s->k->prof, f))
		return NULL;
	off = (uint64_t)prof_off(&s->k->prof, f) + at;
	if (off + n > s->len)
		return NULL;
	va = s->va + off;
	for (size_t i = 0; i < s->n_holes; i++) {
		const struct vm_missing *h = &s->hole[i];

		if (va < h->va + h->len && h->va < va + n) {
			if (why)
				*why = ERR_FAULT;
			return NULL;
		}
	}
	return s->p + off;
}

int ksnap_uint(const struct ksnap *s, enum prof_field f, unsigned size, uint64_t *out)
{
	int why;
	const uint8_t *p = ksnap_at(s, f, 0, size, &why);
	const struct prof_member *m = &s->k->prof.field[f];
	uint64_t v = 0;

	if (!p)
		return why;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	if (m->bits && m->bits < 64 && m->bit < 64)
		v = v >> m->bit & ((UINT64_C(1) << m->bits) - 1);
	*out = v;
	return 0;
}

int ksnap_u32(const struct ksnap *s, enum prof_field f, uint32_t *out)
{
	uint64_t v = 0;
	int r = ksnap_uint(s, f, 4, &v);

	if (r == 0)
		*out = (uint32_t)v;
	return r;
}

int ksnap_u64(const struct ksnap *s, enum prof_field f, uint64_t *out)
{
	return ksnap_uint(s, f, 8, out);
}

int ksnap_ptr(const struct ksnap *s, enum prof_field f, uint64_t *out)
{
	return ksnap_uint(s, f, s->k->prof.pointer_size == 4 ? 4 : 8, out);
}

bool ksnap_va(const struct ksnap *s, enum prof_field f, uint64_t *va)
{
	if (prof_type_of(f) != s->type || !prof_has(&s->k->prof, f))
		return false;
	*va = s->va + prof_off(&s->k->prof, f);
	return true;
}
