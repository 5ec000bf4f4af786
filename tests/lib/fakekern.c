#include "fakekern.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define PRESENT_RW 0x3u
#define USER_BIT   0x4u

static int read_mem(void *ctx, uint64_t pa, void *buf, size_t len)
{
	memcpy(buf, ((const struct fk *)ctx)->mem + pa, len);
	return 0;
}

static uint64_t take_page(struct fk *f)
{
	uint64_t pa = f->used;

	if (f->used + 0x1000 > f->size)
		abort();
	f->used += 0x1000;
	return pa;
}

/* The PTE of va; makes tables on the way when `make`. */
static uint8_t *pte(struct fk *f, uint64_t dtb, uint64_t va, bool make)
{
	uint64_t table = dtb;

	for (int shift = 39; shift >= 12; shift -= 9) {
		uint8_t *e = f->mem + table + ((va >> shift) & 0x1ff) * 8;

		if (shift == 12)
			return e;
		if (!(le64(e) & 1)) {
			if (!make)
				return NULL;
			put_le64(e, take_page(f) | PRESENT_RW | USER_BIT);
		}
		table = le64(e) & UINT64_C(0xffffffffff000);
	}
	return NULL;
}

bool fk_open(struct fk *f, uint32_t build, size_t bytes)
{
	struct profset *set = NULL;
	struct profile *p = malloc(sizeof *p);
	bool ok = p && profset_new(&set, NULL) == 0 && profset_variant(set, build, VM_X64, 0, p, NULL) == 0;

	if (ok)
		fk_open_profile(f, p, bytes);
	profset_free(set);
	free(p);
	return ok;
}

void fk_open_profile(struct fk *f, const struct profile *p, size_t bytes)
{
	memset(f, 0, sizeof *f);
	f->k.prof = *p;
	f->size = bytes;
	f->used = 0x2000;
	f->mem = calloc(1, bytes);
	f->next = FK_BASE;
	notes_init(&f->notes);
	if (phys_new(&f->phys, &f->notes, NULL) != 0 || phys_add(f->phys, 0, bytes, read_mem, f, NULL) != 0 ||
	    phys_seal(f->phys, NULL) != 0 || vm_open(&f->k.vm, f->phys, VM_X64, 0x1000, NULL) != 0)
		abort();
	(void)pte(f, 0x1000, FK_BASE, true); /* so that other address spaces can share the kernel half */
	f->k.phys = f->phys;
	f->k.has_profile = true;
	f->k.base = FK_BASE; /* symbols may stand anywhere */
	f->k.image_size = UINT64_C(1) << 32;
	f->k.notes = &f->notes;
	f->k.build = p->build;
	f->k.n_cpus = f->sys.n_cpus = 2;
	f->sys.perf_freq = 10000000;
	f->sys.pointer_size = 8;
	f->sys.system_time = f->k.system_time = INT64_C(133600000000000000);
}

void fk_close(struct fk *f)
{
	vm_close(f->k.vm);
	phys_free(f->phys);
	notes_free(&f->notes);
	free(f->mem);
	memset(f, 0, sizeof *f);
}

void fk_map(struct fk *f, uint64_t dtb, uint64_t va)
{
	uint8_t *e = pte(f, dtb, va, true);

	put_le64(e, take_page(f) | PRESENT_RW | (va < UINT64_C(0x800000000000) ? USER_BIT : 0));
}

uint64_t fk_pages(struct fk *f, size_t n)
{
	uint64_t va = f->next;

	for (size_t i = 0; i < n; i++)
		fk_map(f, 0x1000, va + i * 0x1000);
	f->next += (n + 1) * 0x1000;
	return va;
}

uint64_t fk_dtb(struct fk *f)
{
	uint64_t dtb = take_page(f);

	memcpy(f->mem + dtb + 0x800, f->mem + 0x1000 + 0x800, 0x800);
	return dtb;
}

void fk_unmap(struct fk *f, uint64_t va)
{
	put_le64(pte(f, 0x1000, va, true), 0);
	fk_fresh(f);
}

void fk_fresh(struct fk *f)
{
	vm_close(f->k.vm);
	if (vm_open(&f->k.vm, f->phys, VM_X64, 0x1000, NULL) != 0)
		abort();
}

uint8_t *fk_at(struct fk *f, uint64_t dtb, uint64_t va)
{
	uint8_t *e = pte(f, dtb ? dtb : 0x1000, va, false);

	return e && le64(e) & 1 ? f->mem + (le64(e) & UINT64_C(0xffffffffff000)) + (va & 0xfff) : NULL;
}

void fk_put(struct fk *f, uint64_t va, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++) {
		uint8_t *p = fk_at(f, 0, va + i);

		if (!p)
			abort();
		*p = (uint8_t)(v >> (8 * i));
	}
}

uint64_t fk_va(struct fk *f, uint64_t obj, enum prof_field m)
{
	if (!prof_has(&f->k.prof, m))
		abort();
	return obj + prof_off(&f->k.prof, m);
}

void fk_field(struct fk *f, uint64_t obj, enum prof_field m, unsigned size, uint64_t v)
{
	fk_put(f, fk_va(f, obj, m), size, v);
}

void fk_unicode(struct fk *f, uint64_t obj, enum prof_field m, const char *s)
{
	uint64_t at = fk_va(f, obj, m), text = fk_pages(f, 1);
	size_t n = strlen(s);

	fk_put(f, at, 2, 2 * n);
	fk_put(f, at + 2, 2, 2 * n + 2);
	fk_put(f, at + 8, 8, text);
	for (size_t i = 0; i < n; i++)
		fk_put(f, text + 2 * i, 2, (uint8_t)s[i]);
}

void fk_symbol(struct fk *f, enum prof_symbol s, uint64_t va)
{
	f->k.prof.symbol[s] = va - f->k.base;
}

void fk_ring(struct fk *f, uint64_t head, const uint64_t *node, size_t n)
{
	for (size_t i = 0; i <= n; i++) {
		uint64_t a = i == 0 ? head : node[i - 1], b = i == n ? head : node[i];

		fk_put(f, a, 8, b);
		fk_put(f, b + 8, 8, a);
	}
}

uint32_t fk_buffer(struct fk *f, uint64_t va, uint32_t size, uint16_t logger, uint16_t cpu, uint64_t ts, unsigned n)
{
	uint32_t at = ETW_BUFFER_HEADER_SIZE;

	for (unsigned i = 0; i < n; i++, at += 0x58) {
		fk_put(f, va + at, 8, UINT64_C(0xc0130058)); /* EVENT_HEADER64, 0x58 bytes */
		fk_put(f, va + at + 8, 4, 100 + i);
		fk_put(f, va + at + 0x10, 8, ts + i);
		fk_put(f, va + at + 0x50, 8, va + i);
	}
	fk_put(f, va, 4, size);
	fk_put(f, va + 8, 4, at);
	fk_put(f, va + 0xc, 4, 15);
	fk_put(f, va + 0x28, 2, cpu);
	fk_put(f, va + 0x2a, 2, logger);
	fk_put(f, va + 0x2c, 4, 1);
	return at;
}
