/* carvemap.c - virtual addresses of buffers that were found in physical memory.
 *
 * Ring neighbours and free-list links name addresses: those that lead to a place where a buffer begins are its address. For what is left the
 * page tables are read once: the kernel's, and those of each process. Where the process list is damaged, roots that the whole of memory shows as well: a
 * private logger's buffer that stands there at the very address its ring names is mapped there, whoever's the process is. */
#include <stdlib.h>

#include "carvework.h"
#include "find.h"
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
	struct addrset entry; /* addresses of user space that rings inside processes name */
	struct addrset root;  /* of processes, walked */
	bool strict;          /* only what stands where its ring says */
	uint64_t end;         /* of user space */
	int rc;
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

struct mapping {
	uint64_t va, first, size; /* of a page: virtual and physical address, bytes */
	uint64_t pid, dtb;
	bool user;
};

/* A private logger's buffer may be mapped more than once: the address that its ring names is the logger's own. Two of them as good as each other tell nothing. */
static bool better(const struct map *m, struct carve_buf *b, const struct mapping *p, uint64_t va)
{
	bool now, then;

	if (!p->user || !(b->f->shape.h.logger_id & CARVE_PRIVATE))
		return false;
	now = addrset_has(&m->entry, va + HDR_ENTRY);
	then = b->user && addrset_has(&m->entry, b->va + HDR_ENTRY);
	if (now == then && b->user && b->dtb != p->dtb)
		b->shared = true;
	return now && !then;
}

static void give(const struct map *m, struct carve_buf *v, size_t n, const struct mapping *p)
{
	for (size_t i = lower(v, n, p->first); i < n && v[i].f->pa < p->first + p->size; i++) {
		struct carve_buf *b = &v[i];
		uint64_t va = p->va + (b->f->pa - p->first);

		if (b->live || (b->has_va && (m->strict || !better(m, b, p, va))) || (m->strict && !addrset_has(&m->entry, va + HDR_ENTRY)))
			continue;
		b->has_va = true;
		b->shared = false;
		b->user = p->user;
		b->va = va;
		b->pid = p->pid;
		b->dtb = p->dtb;
	}
}

static void page_is_at(struct map *m, uint64_t va, const struct vm_page *p, uint64_t size, uint64_t pid, uint64_t dtb, bool user)
{
	struct mapping at = {va & ~(size - 1), p->pa & ~(size - 1), size, pid, dtb, user};

	give(m, m->c->buf, m->c->n, &at);
	give(m, m->c->packed, m->c->n_packed, &at);
	carve_mapped(m->c, at.first, at.size);
}

/* Whether its links are of 64 or 32 bits is not known of a buffer without a process: both. */
static int name_entries(struct map *m, const struct carve_buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct etw_bufhdr *h = &b[i].f->shape.h;
		const uint64_t link[4] = {h->flink, h->blink, h->flink & UINT32_MAX, h->flink >> 32};

		for (unsigned k = 0; k < 4 && !b[i].live; k++)
			if (!vm_is_kernel(m->k->vm, link[k]) && addrset_add(&m->entry, link[k]) < 0)
				return ERR_NOMEM;
	}
	return 0;
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

/* Is there anything that page tables could tell? Of a private logger's buffers, whether other processes have them too. */
static bool asks(const struct carve_buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!b[i].live && (!b[i].has_va || b[i].f->shape.h.logger_id & CARVE_PRIVATE))
			return true;
	return false;
}

static bool unplaced(const struct carve *c)
{
	return asks(c->buf, c->n) || asks(c->packed, c->n_packed);
}

/* Does this root belong to the same system? Its kernel half has the kernel where it is; where the tables of that are lost, the page that all share. */
static bool same_system(const struct map *m, struct vm *vm)
{
	const uint64_t shared = vm_pointer_size(vm) == 4 ? UINT64_C(0xffdf0000) : UINT64_C(0xfffff78000000000);
	uint64_t here, there;

	if (vm_pa(m->k->vm, m->k->base, &there))
		return vm_pa(vm, m->k->base, &here) && here == there;
	return vm_pa(m->k->vm, shared, &there) && vm_pa(vm, shared, &here) && here == there;
}

static bool by_root(void *ctx, const struct root_hint *h)
{
	struct map *m = ctx;
	struct vm *vm;

	if (h->arch != vm_arch(m->k->vm) || addrset_has(&m->root, h->dtb))
		return false;
	if (addrset_add(&m->root, h->dtb) < 0)
		m->rc = ERR_NOMEM;
	if (m->rc == 0 && vm_open_like(&vm, m->k->vm, h->dtb, NULL) == 0) {
		if (same_system(m, vm))
			walk(m, vm, USER_FIRST, m->end, 0, true);
		vm_close(vm);
	}
	return m->rc != 0 || !unplaced(m->c);
}

static int by_processes(struct map *m)
{
	struct process_list l = {0};
	int rc = processes_list(&l, m->k, NULL);

	for (size_t i = 0; rc == 0 && i < l.n && unplaced(m->c); i++) {
		struct vm *vm;

		if (!l.v[i].dtb || vm_open_like(&vm, m->k->vm, l.v[i].dtb, NULL) != 0) {
			l.broken = true;
			continue;
		}
		rc = addrset_add(&m->root, vm_dtb(vm)) < 0 ? ERR_NOMEM : 0;
		walk(m, vm, USER_FIRST, m->end, l.v[i].pid, true);
		vm_close(vm);
	}
	m->strict = true;
	if (rc == 0 && l.broken && m->entry.n)
		roots_scanned(m->k->phys, by_root, m);
	processes_free(&l);
	return rc < 0 ? rc : m->rc;
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
	for (size_t i = 0; i < c->scan.n_rests; i++)
		m.filter[filter_bit(c->scan.rest[i].pa)] = 1;
	narrow = vm_pointer_size(m.k->vm) == 4;
	walk(&m, m.k->vm, narrow ? UINT64_C(0x80000000) : UINT64_C(0xffff800000000000), narrow ? UINT64_C(0xfffff000) : ~UINT64_C(0xfff), 0,
	     false);
	rc = name_entries(&m, c->buf, c->n);
	if (rc == 0)
		rc = name_entries(&m, c->packed, c->n_packed);
	m.end = narrow ? UINT64_C(0xc0000000) : UINT64_C(0x0000800000000000);
	if (rc == 0 && m.k->has_profile && unplaced(c))
		rc = by_processes(&m);
	addrset_free(&m.entry);
	addrset_free(&m.root);
	free(m.filter);
	return rc;
}
