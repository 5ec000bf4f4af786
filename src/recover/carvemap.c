/* carvemap.c - virtual addresses of buffers that were found in physical memory.
 *
 * Ring neighbours and free-list links name addresses: those that lead to a place where a buffer begins are its address. For what is left the
 * page tables are read once: the kernel's, and those of each process. */
#include <stdlib.h>

#include "carvework.h"
#include "process.h"

#define HDR_LINK   0x20u
#define HDR_ENTRY  0x38u
#define PAGES_MAX  (UINT64_C(1) << 26) /* mapped pages looked at, in all address spaces together */
#define FILTER     (1u << 17)          /* bits */
#define USER_FIRST UINT64_C(0x10000)

struct map {
	struct carve *c;
	struct kernel *k;
	uint64_t left; /* of PAGES_MAX */
	uint8_t *filter;
};

static size_t filter_bit(uint64_t pa)
{
	return (size_t)((pa >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % FILTER;
}

/* The first of b[0, n) at or above pa. */
static size_t lower(const struct carve_buf *b, size_t n, uint64_t pa)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b[mid].f->pa < pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct carve_buf *carve_at(const struct carve *c, uint64_t pa)
{
	size_t i = lower(c->buf, c->n, pa);

	return i < c->n && c->buf[i].f->pa == pa ? &c->buf[i] : NULL;
}

struct carve_buf *carve_packed_at(const struct carve *c, uint64_t pa)
{
	size_t i = lower(c->packed, c->n_packed, pa);

	return i < c->n_packed && c->packed[i].f->pa == pa ? &c->packed[i] : NULL;
}

/* ---- addresses that other buffers name ---------------------------------------------------------------------------------------------- */

static void named(struct map *m, uint64_t va)
{
	struct carve_buf *b;
	uint64_t pa;

	if (!vm_is_kernel(m->k->vm, va) || !vm_pa(m->k->vm, va, &pa))
		return;
	b = carve_at(m->c, pa);
	if (b && !b->has_va) {
		b->has_va = true;
		b->va = va;
	}
}

static void by_neighbours(struct map *m)
{
	bool narrow = vm_pointer_size(m->k->vm) == 4;

	for (size_t i = 0; i < m->c->n; i++) {
		const struct etw_bufhdr *h = &m->c->buf[i].f->shape.h;
		uint64_t flink = narrow ? h->flink & UINT32_MAX : h->flink, blink = narrow ? h->flink >> 32 : h->blink;
		uint64_t link = narrow ? h->link & UINT32_MAX : h->link;

		if (m->c->buf[i].live)
			continue;
		named(m, flink - HDR_ENTRY);
		named(m, blink - HDR_ENTRY);
		named(m, link - HDR_LINK);
	}
}

/* ---- page tables -------------------------------------------------------------------------------------------------------------------- */

static void give(struct carve_buf *v, size_t n, uint64_t va, uint64_t first, uint64_t size, uint64_t pid, uint64_t dtb, bool user)
{
	for (size_t i = lower(v, n, first); i < n && v[i].f->pa < first + size; i++) {
		struct carve_buf *b = &v[i];

		if (b->has_va || b->live)
			continue;
		b->has_va = true;
		b->user = user;
		b->va = (va & ~(size - 1)) + (b->f->pa - first);
		b->pid = pid;
		b->dtb = dtb;
	}
}

static void page_is_at(struct map *m, uint64_t va, const struct vm_page *p, uint64_t size, uint64_t pid, uint64_t dtb, bool user)
{
	uint64_t first = p->pa & ~(size - 1);

	give(m->c->buf, m->c->n, va, first, size, pid, dtb, user);
	give(m->c->packed, m->c->n_packed, va, first, size, pid, dtb, user);
}

static void walk(struct map *m, struct vm *vm, uint64_t va, uint64_t end, uint64_t pid, bool user)
{
	uint64_t start, len;

	while (m->left && vm_next_mapped(vm, va, end, &start, &len)) {
		for (va = start; va - start < len && m->left; m->left--) {
			struct vm_page p;
			uint64_t size = CARVE_PAGE, next;

			vm_page(vm, va, &p);
			if (p.why == VM_OK && p.page_size > size)
				size = p.page_size;
			if (p.why == VM_OK && !p.in_pagefile && (size > CARVE_PAGE || m->filter[filter_bit(p.pa)]))
				page_is_at(m, va, &p, size, pid, vm_dtb(vm), user);
			next = (va | (size - 1)) + 1;
			if (next <= va)
				return;
			va = next;
		}
	}
}

/* Is there anything that page tables could tell? */
static bool unplaced(const struct carve *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->buf[i].live && !c->buf[i].has_va)
			return true;
	for (size_t i = 0; i < c->n_packed; i++)
		if (!c->packed[i].live && !c->packed[i].has_va)
			return true;
	return false;
}

static int by_processes(struct map *m, uint64_t end)
{
	struct process_list l = {0};
	int rc = processes_list(&l, m->k, NULL);

	for (size_t i = 0; rc == 0 && i < l.n && unplaced(m->c); i++) {
		struct vm *vm;

		if (!l.v[i].dtb || vm_open_like(&vm, m->k->vm, l.v[i].dtb, NULL) != 0)
			continue;
		walk(m, vm, USER_FIRST, end, l.v[i].pid, true);
		vm_close(vm);
	}
	processes_free(&l);
	return rc;
}

int carve_map(struct carve *c)
{
	struct map m = {.c = c, .k = c->im->kernel, .left = PAGES_MAX};
	bool narrow;
	int rc = 0;

	if (!m.k)
		return 0;
	by_neighbours(&m);
	if (!unplaced(c))
		return 0;
	m.filter = calloc(FILTER, 1);
	if (!m.filter)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->n; i++)
		m.filter[filter_bit(c->buf[i].f->pa)] = 1;
	for (size_t i = 0; i < c->n_packed; i++)
		m.filter[filter_bit(c->packed[i].f->pa)] = 1;
	narrow = vm_pointer_size(m.k->vm) == 4;
	walk(&m, m.k->vm, narrow ? UINT64_C(0x80000000) : UINT64_C(0xffff800000000000), narrow ? UINT64_C(0xfffff000) : ~UINT64_C(0xfff), 0,
	     false);
	if (m.k->has_profile && unplaced(c))
		rc = by_processes(&m, narrow ? UINT64_C(0xc0000000) : UINT64_C(0x0000800000000000));
	free(m.filter);
	return rc;
}
