/* vm.c - see vm.h. The walk, the caches and the reads are the same for every format; vm_fmt.h has what differs.
 *
 * Two caches keep tens of thousands of small reads away from the operating system: pages by physical address (shared by all address spaces
 * opened from one), and translations by virtual page (each vm its own). Both are small and of fixed size. Over 600 lines: the walk and the reads are about these
 * two. */
#include "vm.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "vm_fmt.h"

#define PAGE           UINT64_C(4096)
#define PAGE_MASK      (PAGE - 1)
#define CACHE_WAYS     2
#define CACHE_SETS     1024u /* 2 x 1024 pages = 8 MiB when full */
#define TLB_SIZE       512u
#define NEXT_STEPS_MAX (1u << 22) /* holes that vm_next_mapped() skips in one call */
#define NEXT_LEN_MAX   (UINT64_C(1) << 30)
#define PF_TAG         (UINT64_C(1) << 60) /* cache keys of pagefile pages: this, and the file's number from bit 56 on */

struct page_slot {
	uint64_t key; /* physical (or tagged pagefile) page address | 1; 0 empty */
	uint8_t *bytes;
};

struct page_cache {
	struct page_slot slot[CACHE_SETS][CACHE_WAYS]; /* [0] is the one used last */
};

struct tlb {
	uint64_t key; /* va of the page | 1; 0 empty */
	struct vm_page page;
};

struct vm {
	const struct phys *phys;
	const struct vm_fmt *fmt;
	enum vm_arch arch;
	uint64_t dtb;
	struct vm_traits traits;
	struct vm *like; /* the first of the machine: owns the page cache, reads prototypes; NULL: this one */
	struct page_cache *cache;
	struct tlb *tlb;
	struct input *pagefile[VM_PAGEFILES_MAX];
	vm_table_fn *lost; /* NULL: nobody knows more */
	void *lost_ctx;
	uint64_t fault_va;
	enum vm_why fault_why;
};

const struct vm_traits vm_traits_default = {.transition_bit = 11,
					    .prototype_bit = 10,
					    .pagefile_low_shift = 12,
					    .pagefile_low_bits = 4,
					    .pagefile_high_shift = 32,
					    .proto_address_shift = 16,
					    .has_swizzle = true,
					    .swizzle_bit = 4,
					    .invalid_pte_mask = 0,
					    .pfn_bits = 48};

const struct vm_fmt *vm_fmt_of(enum vm_arch arch)
{
	switch (arch) {
	case VM_X64:
		return &vm_fmt_x64;
	case VM_X64_LA57:
		return &vm_fmt_la57;
	case VM_X86:
		return &vm_fmt_x86;
	case VM_X86_PAE:
		return &vm_fmt_pae;
	case VM_ARM64:
		return &vm_fmt_arm64;
	}
	return NULL;
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------------- */

int vm_open(struct vm **out, const struct phys *phys, enum vm_arch arch, uint64_t dtb, struct err *e)
{
	const struct vm_fmt *fmt = vm_fmt_of(arch);
	struct vm *vm;

	if (!fmt)
		return err_set(e, ERR_UNSUPPORTED, "page tables of architecture %d", (int)arch);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, ERR_NOMEM, "out of memory");
	vm->cache = calloc(1, sizeof(*vm->cache));
	vm->tlb = calloc(TLB_SIZE, sizeof(*vm->tlb));
	if (!vm->cache || !vm->tlb) {
		vm_close(vm);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	vm->phys = phys;
	vm->fmt = fmt;
	vm->arch = arch;
	vm->dtb = dtb;
	vm->traits = vm_traits_default;
	*out = vm;
	return 0;
}

int vm_open_like(struct vm **out, struct vm *of, uint64_t dtb, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return err_set(e, ERR_NOMEM, "out of memory");
	vm->tlb = calloc(TLB_SIZE, sizeof(*vm->tlb));
	if (!vm->tlb) {
		free(vm);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	vm->like = of->like ? of->like : of;
	vm->phys = of->phys;
	vm->fmt = of->fmt;
	vm->arch = of->arch;
	vm->dtb = dtb;
	vm->traits = of->traits;
	memcpy(vm->pagefile, of->pagefile, sizeof(vm->pagefile));
	vm->lost = of->lost;
	vm->lost_ctx = of->lost_ctx;
	*out = vm;
	return 0;
}

void vm_close(struct vm *vm)
{
	if (!vm)
		return;
	for (unsigned s = 0; vm->cache && s < CACHE_SETS; s++)
		for (unsigned w = 0; w < CACHE_WAYS; w++)
			free(vm->cache->slot[s][w].bytes);
	free(vm->cache);
	free(vm->tlb);
	free(vm);
}

static void forget(struct vm *vm)
{
	memset(vm->tlb, 0, TLB_SIZE * sizeof(*vm->tlb));
}

void vm_set_traits(struct vm *vm, const struct vm_traits *t)
{
	vm->traits = *t;
	forget(vm);
}

const struct vm_traits *vm_traits_of(const struct vm *vm)
{
	return &vm->traits;
}

int vm_set_pagefile(struct vm *vm, unsigned n, struct input *in, struct err *e)
{
	if (n >= VM_PAGEFILES_MAX)
		return err_set(e, ERR_USAGE, "pagefile number %u: the highest is %d", n, VM_PAGEFILES_MAX - 1);
	vm->pagefile[n] = in;
	forget(vm);
	return 0;
}

void vm_set_lost_tables(struct vm *vm, vm_table_fn *fn, void *ctx)
{
	vm->lost = fn;
	vm->lost_ctx = ctx;
}

const struct phys *vm_phys(const struct vm *vm)
{
	return vm->phys;
}

enum vm_arch vm_arch(const struct vm *vm)
{
	return vm->arch;
}

uint64_t vm_dtb(const struct vm *vm)
{
	return vm->dtb;
}

unsigned vm_pointer_size(const struct vm *vm)
{
	return vm->fmt->pointer_size;
}

static bool canonical(const struct vm_fmt *f, uint64_t va)
{
	uint64_t top;

	if (f->va_bits <= 32)
		return va >> f->va_bits == 0;
	top = va >> (f->va_bits - 1);
	return top == 0 || top == UINT64_MAX >> (f->va_bits - 1);
}

bool vm_is_kernel(const struct vm *vm, uint64_t va)
{
	return va >= vm->fmt->kernel_from && canonical(vm->fmt, va);
}

/* ---- bytes of one page, through the cache ------------------------------------------------------------------------------------------ */

static bool load_page(struct vm *vm, uint64_t key, uint8_t *to)
{
	if (key & PF_TAG) {
		struct input *in = vm->pagefile[key >> 56 & 15];

		return in && input_read_all(in, key & (((UINT64_C(1) << 56) - 1) & ~PAGE_MASK), to, PAGE, NULL) >= 0;
	}
	return phys_read(vm->phys, key, to, PAGE) >= 0;
}

/* The page's 4096 bytes, valid until the next call; NULL: not all of it is there. */
static const uint8_t *cached_page(struct vm *vm, uint64_t key)
{
	struct page_cache *c = vm->like ? vm->like->cache : vm->cache;
	struct page_slot *s = c->slot[((key >> 12) ^ (key >> 22)) & (CACHE_SETS - 1)], old;

	if (s[0].key == (key | 1))
		return s[0].bytes;
	old = s[1];
	if (old.key != (key | 1)) {
		if (!old.bytes && !(old.bytes = malloc(PAGE)))
			return NULL;
		s[1].bytes = old.bytes;
		s[1].key = 0;
		if (!load_page(vm, key, old.bytes))
			return NULL;
		old.key = key | 1;
	}
	s[1] = s[0];
	s[0] = old;
	return old.bytes;
}

static bool read_at(struct vm *vm, uint64_t key, uint64_t off, void *buf, size_t len)
{
	const uint8_t *p = cached_page(vm, key);

	if (p) {
		memcpy(buf, p + off, len);
		return true;
	}
	if (key & PF_TAG)
		return false;
	return phys_read(vm->phys, key + off, buf, len) >= 0; /* a page that is there in part */
}

static uint64_t pagefile_key(unsigned n, uint64_t off)
{
	return PF_TAG | (uint64_t)(n & 15) << 56 | (off & ~PAGE_MASK);
}

bool vm_entry_at(struct vm *vm, uint64_t pa, uint8_t b[8])
{
	return read_at(vm, pa & ~PAGE_MASK, pa & PAGE_MASK, b, 8);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------------------- */

/* The entry at `at`, of a table that is zeros or not in the image. */
static bool lost_entry(struct vm *vm, uint64_t at, uint64_t *out)
{
	const uint8_t *p = vm->lost ? cached_page(vm, at & ~PAGE_MASK) : NULL;

	if (!vm->lost || (p && (p[0] || memcmp(p, p + 1, PAGE - 1) != 0)))
		return false;
	p = vm->lost(vm->lost_ctx, at & ~PAGE_MASK);
	if (!p)
		return false;
	*out = vm->fmt->entry_size == 8 ? le64(p + (at & PAGE_MASK)) : le32(p + (at & PAGE_MASK));
	return true;
}

/* One entry: 4 or 8 bytes at `key`'s page + off. */
static bool read_entry(struct vm *vm, uint64_t at, bool in_pagefile, unsigned pagefile, uint64_t *out)
{
	uint64_t key = in_pagefile ? pagefile_key(pagefile, at) : at & ~PAGE_MASK;
	uint8_t b[8];

	if (!read_at(vm, key, at & PAGE_MASK, b, vm->fmt->entry_size))
		return !in_pagefile && lost_entry(vm, at, out);
	*out = vm->fmt->entry_size == 8 ? le64(b) : le32(b);
	if (*out == 0 && !in_pagefile)
		(void)lost_entry(vm, at, out);
	return true;
}

static enum vm_why place_in_pagefile(struct vm *vm, const struct vm_ent *ent, struct vm_page *out)
{
	struct input *in = ent->pagefile < VM_PAGEFILES_MAX ? vm->pagefile[ent->pagefile] : NULL;

	if (!in || input_size(in) < PAGE || ent->pa > input_size(in) - PAGE)
		return VM_PAGED_OUT;
	out->in_pagefile = true;
	out->pagefile_n = (uint8_t)ent->pagefile;
	out->pagefile_off = ent->pa;
	return VM_OK;
}

/* A prototype PTE stands in kernel memory, in paged pool: one step of indirection, no more (a prototype that is itself marked as one
 * belongs to a mapped file that is not in memory). `depth` ends a chain that hostile tables build. */
static enum vm_why walk(struct vm *vm, uint64_t va, struct vm_page *out, unsigned depth);

static enum vm_why through_proto(struct vm *vm, uint64_t at, struct vm_page *out, unsigned depth)
{
	struct vm *kernel = vm->like ? vm->like : vm;
	struct vm_page there;
	struct vm_ent ent = {0};
	uint64_t e, off;

	if (depth > 0 || at % vm->fmt->entry_size || !vm_is_kernel(kernel, at))
		return VM_PROTO_LOST;
	memset(&there, 0, sizeof(there));
	if (walk(kernel, at, &there, depth + 1) != VM_OK)
		return VM_PROTO_LOST;
	off = at & (there.page_size - 1);
	if (!read_entry(kernel, (there.in_pagefile ? there.pagefile_off : there.pa) + off, there.in_pagefile, there.pagefile_n, &e))
		return VM_PROTO_LOST;
	if (vm->fmt->hard(&vm->traits, vm->fmt->n_levels - 1, e, &ent) == ENT_PAGE) {
		out->pa = ent.pa;
		return VM_OK;
	}
	switch (vm->fmt->soft(&vm->traits, e, &ent)) {
	case ENT_PAGE:
		out->pa = ent.pa;
		return VM_OK;
	case ENT_PAGEFILE:
		return place_in_pagefile(vm, &ent, out);
	case ENT_PROTO:
	case ENT_LOST:
		return VM_PAGED_OUT; /* a subsection: the page is in the mapped file */
	case ENT_ZERO:
		return VM_DEMAND_ZERO;
	default:
		return VM_NOT_MAPPED;
	}
}

/* The leaf of a walk: a present page, or what a software PTE says. */
static enum vm_why leaf(struct vm *vm, enum vm_kind kind, const struct vm_ent *ent, struct vm_page *out, unsigned depth)
{
	switch (kind) {
	case ENT_PAGE:
		out->pa = ent->pa;
		return VM_OK;
	case ENT_PAGEFILE:
		return place_in_pagefile(vm, ent, out);
	case ENT_PROTO:
		return through_proto(vm, ent->pa, out, depth);
	case ENT_ZERO:
		return VM_DEMAND_ZERO;
	case ENT_LOST:
		return VM_PROTO_LOST;
	default:
		return VM_NOT_MAPPED;
	}
}

/* Fills `out` for the page that holds va (out->pa: of the page's start) and returns why. */
static enum vm_why walk(struct vm *vm, uint64_t va, struct vm_page *out, unsigned depth)
{
	const struct vm_fmt *f = vm->fmt;
	uint64_t table = f->root(vm->dtb), e;
	bool in_pagefile = false;
	unsigned pagefile = 0;

	out->writable = out->executable = out->user = true;
	for (unsigned level = 0; level < f->n_levels; level++) {
		uint64_t index = va >> f->level[level].shift & ((UINT64_C(1) << f->level[level].bits) - 1);
		bool last = level + 1 == f->n_levels;
		struct vm_ent ent = {0};
		enum vm_kind kind;

		out->page_size = UINT64_C(1) << f->level[level].shift;
		if (!read_entry(vm, table + index * f->entry_size, in_pagefile, pagefile, &e)) {
			/* the whole table is missing, so is everything under it */
			out->page_size = UINT64_C(1) << (f->level[level].shift + f->level[level].bits);
			return VM_NOT_IN_IMAGE;
		}
		kind = f->hard(&vm->traits, level, e, &ent);
		if (kind == ENT_NONE && (e & 1))
			return VM_NOT_MAPPED; /* present with reserved bits */
		if (kind == ENT_NONE) {
			kind = f->soft(&vm->traits, e, &ent);
			if (last)
				return leaf(vm, kind, &ent, out, depth);
			/* a page table that is itself on its way out */
			if (kind == ENT_PAGEFILE) {
				struct vm_page t = {0};

				if (place_in_pagefile(vm, &ent, &t) != VM_OK)
					return VM_PAGED_OUT;
				in_pagefile = true;
				pagefile = ent.pagefile;
				table = ent.pa;
				continue;
			}
			if (kind != ENT_PAGE)
				return VM_NOT_MAPPED;
			kind = ENT_TABLE;
		}
		in_pagefile = false;
		out->writable = out->writable && ent.writable;
		out->executable = out->executable && ent.executable;
		out->user = out->user && ent.user;
		if (kind == ENT_PAGE)
			return leaf(vm, kind, &ent, out, depth);
		table = ent.pa;
	}
	return VM_NOT_MAPPED;
}

/* The largest aligned piece around va, of a page of `size`, of which the image has nothing: hostile entries map GiBs that are not there. */
static uint64_t absent_piece(const struct vm *vm, uint64_t pa, uint64_t size)
{
	while (size > PAGE && phys_absent(vm->phys, pa & ~(size - 1), size) < size)
		size >>= 1;
	return size;
}

void vm_page(struct vm *vm, uint64_t va, struct vm_page *out)
{
	struct tlb *t = &vm->tlb[(va >> 12 ^ va >> 21) & (TLB_SIZE - 1)];
	uint64_t page = va & ~PAGE_MASK;

	if (t->key == (page | 1)) {
		*out = t->page;
	} else {
		memset(out, 0, sizeof(*out));
		if (!canonical(vm->fmt, va)) {
			out->page_size = PAGE;
			out->why = VM_NOT_CANONICAL;
			return;
		}
		out->why = walk(vm, va, out, 0);
		if (out->why != VM_OK) {
			out->writable = out->executable = out->user = false;
			return;
		}
		if (out->in_pagefile)
			out->pagefile_off += page & (out->page_size - 1);
		else
			out->pa += page & (out->page_size - 1);
		if (!out->in_pagefile && !phys_present(vm->phys, out->pa, PAGE)) {
			out->why = VM_NOT_IN_IMAGE;
			out->page_size = absent_piece(vm, out->pa, out->page_size);
			out->pa += va & PAGE_MASK;
			return;
		}
		t->key = page | 1;
		t->page = *out;
	}
	if (out->in_pagefile)
		out->pagefile_off += va & PAGE_MASK;
	else
		out->pa += va & PAGE_MASK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------------------------- */

/* `len` bytes inside one page. */
static enum vm_why read_piece(struct vm *vm, uint64_t va, void *buf, size_t len)
{
	struct vm_page p;
	uint64_t at;

	vm_page(vm, va, &p);
	if (p.why != VM_OK)
		return p.why;
	if (p.in_pagefile)
		return read_at(vm, pagefile_key(p.pagefile_n, p.pagefile_off), p.pagefile_off & PAGE_MASK, buf, len) ? VM_OK : VM_PAGED_OUT;
	at = p.pa & PAGE_MASK;
	if (len == PAGE) /* contents, not structures: they would only push the tables out of the cache */
		return phys_read(vm->phys, p.pa, buf, len) >= 0 ? VM_OK : VM_NOT_IN_IMAGE;
	return read_at(vm, p.pa - at, at, buf, len) ? VM_OK : VM_NOT_IN_IMAGE;
}

static size_t piece_len(uint64_t va, size_t len)
{
	size_t to_end = (size_t)(PAGE - (va & PAGE_MASK));

	return len < to_end ? len : to_end;
}

int vm_read(struct vm *vm, uint64_t va, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (len && va + (len - 1) < va) {
		vm->fault_va = va;
		vm->fault_why = VM_NOT_CANONICAL;
		return ERR_FAULT;
	}
	while (len) {
		size_t n = piece_len(va, len);
		enum vm_why why = read_piece(vm, va, to, n);

		if (why != VM_OK) {
			vm->fault_va = va;
			vm->fault_why = why;
			return ERR_FAULT;
		}
		va += n;
		to += n;
		len -= n;
	}
	return 0;
}

enum vm_why vm_fault(const struct vm *vm, uint64_t *va)
{
	if (va)
		*va = vm->fault_va;
	return vm->fault_why;
}

static void add_missing(struct vm_missing *m, size_t max, size_t *n, uint64_t va, uint64_t len, enum vm_why why)
{
	if (*n && m[*n - 1].va + m[*n - 1].len == va && m[*n - 1].why == why) {
		m[*n - 1].len += len;
	} else if (*n < max) {
		m[*n].va = va;
		m[*n].len = len;
		m[*n].why = why;
		++*n;
	} else if (*n) {
		m[*n - 1].len = va + len - m[*n - 1].va;
	}
}

/* A piece of which the image holds only the front (a file cut inside a page): how many bytes that is. */
static size_t front_part(struct vm *vm, uint64_t va, uint8_t *to, size_t n)
{
	struct vm_page p;
	uint64_t have;

	vm_page(vm, va, &p);
	if (p.why != VM_OK || p.in_pagefile)
		return 0;
	have = phys_present(vm->phys, p.pa, n);
	if (!have || have >= n || phys_read(vm->phys, p.pa, to, (size_t)have) < 0)
		return 0;
	return (size_t)have;
}

size_t vm_read_padded(struct vm *vm, uint64_t va, void *buf, size_t len, struct vm_missing *missing, size_t max)
{
	uint8_t *to = buf;
	size_t n_missing = 0;

	while (len) {
		size_t n = piece_len(va, len), have = 0;
		enum vm_why why = read_piece(vm, va, to, n);

		if (why != VM_OK) {
			if (why == VM_NOT_IN_IMAGE)
				have = front_part(vm, va, to, n);
			memset(to + have, 0, n - have);
			add_missing(missing, max, &n_missing, va + have, n - have, why);
		}
		va += n; /* may wrap at the top of the space: then the rest reads as unmapped user space, and is named */
		to += n;
		len -= n;
	}
	return n_missing;
}

bool vm_pa(struct vm *vm, uint64_t va, uint64_t *pa)
{
	struct vm_page p;

	vm_page(vm, va, &p);
	if (p.why != VM_OK || p.in_pagefile)
		return false;
	*pa = p.pa;
	return true;
}

/* ---- scanning ---------------------------------------------------------------------------------------------------------------------- */

/* First canonical address at or above va; false: none. */
static bool skip_hole(const struct vm_fmt *f, uint64_t *va)
{
	if (canonical(f, *va))
		return true;
	if (f->va_bits <= 32 || *va >= f->kernel_from)
		return false;
	*va = f->kernel_from;
	return true;
}

static bool same(const struct vm_page *a, const struct vm_page *b)
{
	return a->writable == b->writable && a->executable == b->executable && a->user == b->user;
}

bool vm_next_mapped(struct vm *vm, uint64_t va, uint64_t end, uint64_t *start, uint64_t *len)
{
	struct vm_page p, first = {0};
	bool have = false;

	va &= ~PAGE_MASK;
	for (unsigned steps = 0; steps < NEXT_STEPS_MAX; steps++) {
		uint64_t size, next;

		if (va >= end || (!have && !skip_hole(vm->fmt, &va)) || va >= end)
			break;
		vm_page(vm, va, &p);
		if (p.why != VM_OK) {
			if (have)
				break;
		} else if (!have) {
			have = true;
			first = p;
			*start = va;
			*len = 0;
		} else if (!same(&p, &first)) {
			break;
		}
		/* what is left of this page or hole; a large page that is in the image only in part goes on by 4 K */
		size = p.page_size ? p.page_size : PAGE;
		if (p.why == VM_OK && size > PAGE && phys_present(vm->phys, p.pa, size - (va & (size - 1))) < size - (va & (size - 1)))
			size = PAGE;
		next = (va | (size - 1)) + 1;
		if (have) {
			*len += (next - va < end - va && next > va ? next : end) - va;
			if (*len >= NEXT_LEN_MAX) {
				*len = NEXT_LEN_MAX;
				break;
			}
		}
		if (next <= va)
			break;
		va = next;
	}
	return have;
}

const char *vm_why_text(enum vm_why why)
{
	switch (why) {
	case VM_OK:
		return "there";
	case VM_NOT_MAPPED:
		return "not mapped";
	case VM_PAGED_OUT:
		return "paged out";
	case VM_NOT_IN_IMAGE:
		return "not in the image";
	case VM_NOT_CANONICAL:
		return "not an address";
	case VM_PROTO_LOST:
		return "shared page not found";
	case VM_DEMAND_ZERO:
		return "never touched";
	}
	return "unknown";
}
