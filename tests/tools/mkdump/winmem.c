/* winmem.c - see winmem.h. Page-table entries: Intel SDM volume 3, "32-bit paging", "PAE paging", "4-level paging and 5-level paging"; Arm ARM,
 * "VMSAv8-64 translation table format descriptors", 4 KB granule. */
#include "winmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define FRAME_4G    (UINT64_C(1) << 20)
#define FRAME_3G    (UINT64_C(3) << 18)
#define FIRST_FREE  0x200u /* the first 2 MiB stay free of scattered pages: low stub, BIOS */
#define PTE_PRESENT 0x63u  /* x86, x64: present, write, accessed, dirty */
#define PTE_LARGE   0x80u
#define PTE_USER    4u
#define ARM_TABLE   3u /* ARM64: a table, or on the last level a page */
#define ARM_BLOCK   1u
#define ARM_FLAGS   0x700u /* accessed, inner shareable */
#define ARM_USER    0x840u /* not global, for EL0 too */
#define ARM_UXN     (UINT64_C(1) << 54)

static const struct {
	unsigned levels, entry, bits, top_bits, pointer;
	uint64_t address, kernel;
} format[] = {
	[WM_X64] = {4, 8, 9, 9, 8, UINT64_C(0x000ffffffffff000), UINT64_C(0xffff800000000000)},
	[WM_LA57] = {5, 8, 9, 9, 8, UINT64_C(0x000ffffffffff000), UINT64_C(0xff00000000000000)},
	[WM_PAE] = {3, 8, 9, 2, 4, UINT64_C(0x000ffffffffff000), 0x80000000},
	[WM_X86] = {2, 4, 10, 10, 4, 0xfffff000, 0x80000000},
	[WM_ARM64] = {4, 8, 9, 9, 8, UINT64_C(0x0000fffffffff000), UINT64_C(0xffff800000000000)},
};

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "mkdump: out of memory\n");
		exit(1);
	}
	return p;
}

unsigned wm_pointer_size(const struct winmem *m)
{
	return format[m->arch].pointer;
}

bool wm_is_kernel(const struct winmem *m, uint64_t va)
{
	return va >= format[m->arch].kernel;
}

uint64_t wm_large(const struct winmem *m)
{
	return UINT64_C(4096) << format[m->arch].bits;
}

void wm_init(struct winmem *m, uint64_t mib, uint64_t hole_mib, enum wm_arch arch, bool self_map, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->frames = mib << 8;
	m->hole_frames = hole_mib ? hole_mib << 8 : FRAME_3G;
	if (m->hole_frames > m->frames || arch == WM_X86) /* without PAE nothing above 4 GiB is reached */
		m->hole_frames = m->frames;
	m->page = need(calloc(m->frames, sizeof(uint8_t *)));
	m->taken = need(calloc(m->frames, 1));
	m->entry = need(calloc(m->frames, sizeof(uint64_t)));
	m->freed = need(calloc(m->frames, sizeof(uint64_t)));
	m->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	m->arch = arch;
	m->self_map = self_map;
	for (uint64_t i = 0; i < FIRST_FREE && i < m->frames; i++)
		m->taken[i] = 1;
}

void wm_free(struct winmem *m)
{
	for (uint64_t i = 0; i < m->frames; i++)
		free(m->page[i]);
	free(m->page);
	free(m->taken);
	free(m->entry);
	free(m->freed);
	free(m->fill);
}

uint64_t wm_rand(struct winmem *m)
{
	uint64_t z = m->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t wm_pa(const struct winmem *m, uint64_t frame)
{
	return (frame < m->hole_frames ? frame : frame - m->hole_frames + FRAME_4G) * WM_PAGE;
}

static uint64_t frame_of(const struct winmem *m, uint64_t pa)
{
	uint64_t f = pa / WM_PAGE;

	return f >= FRAME_4G ? f - FRAME_4G + m->hole_frames : f;
}

uint8_t *wm_at(struct winmem *m, uint64_t pa)
{
	uint64_t f = frame_of(m, pa);

	if (f >= m->frames) {
		fprintf(stderr, "mkdump: physical address 0x%llx is outside\n", (unsigned long long)pa);
		exit(1);
	}
	if (!m->page[f])
		m->page[f] = need(calloc(1, WM_PAGE));
	return m->page[f] + pa % WM_PAGE;
}

const uint8_t *wm_peek(const struct winmem *m, uint64_t frame)
{
	if (!m->page[frame] && m->fill_frames && frame / 256 % 4 != 0)
		return m->fill + frame % m->fill_frames * WM_PAGE;
	return m->page[frame];
}

uint64_t wm_frame(struct winmem *m)
{
	uint64_t f = m->large_frames + wm_rand(m) % (m->frames - m->large_frames);

	for (uint64_t n = 0; n < m->frames; n++, f = (f + 1) % m->frames)
		if (!m->taken[f]) {
			m->taken[f] = 1;
			return wm_pa(m, f);
		}
	fprintf(stderr, "mkdump: the machine has too little memory\n");
	exit(1);
}

uint64_t wm_frames_large(struct winmem *m)
{
	uint64_t size = wm_large(m) / WM_PAGE, blocks = m->large_frames / size, b = blocks ? wm_rand(m) % blocks : 0;

	for (uint64_t n = 0; n < blocks; n++, b = (b + 1) % blocks) {
		uint64_t k = 0;

		while (k < size && !m->taken[b * size + k])
			k++;
		if (k < size)
			continue;
		memset(m->taken + b * size, 1, size);
		return wm_pa(m, b * size);
	}
	fprintf(stderr, "mkdump: no large page left\n");
	exit(1);
}

static uint64_t entry_pa(const struct winmem *m, uint64_t table, uint64_t va, unsigned level)
{
	unsigned bits = level == format[m->arch].levels ? format[m->arch].top_bits : format[m->arch].bits;

	return table + (va >> (12 + format[m->arch].bits * (level - 1)) & ((1u << bits) - 1)) * format[m->arch].entry;
}

static uint64_t load(struct winmem *m, uint64_t pa)
{
	return format[m->arch].entry == 8 ? le64(wm_at(m, pa)) : le32(wm_at(m, pa));
}

static void store(struct winmem *m, uint64_t pa, uint64_t v)
{
	if (format[m->arch].entry == 8)
		put_le64(wm_at(m, pa), v);
	else
		put_le32(wm_at(m, pa), (uint32_t)v);
}

static uint64_t frame_in(const struct winmem *m, uint64_t e)
{
	return e & format[m->arch].address;
}

/* An entry for a table on this level (counted from 1, the last one). The four of a PAE root have no rights. */
static uint64_t table_entry(const struct winmem *m, uint64_t pa, unsigned level, bool user)
{
	if (m->arch == WM_ARM64)
		return pa | ARM_TABLE;
	if (m->arch == WM_PAE && level == 3)
		return pa | 1;
	return pa | PTE_PRESENT | (user ? PTE_USER : 0);
}

static uint64_t page_entry(const struct winmem *m, uint64_t pa, bool large, bool user)
{
	if (m->arch == WM_ARM64)
		return pa | (large ? ARM_BLOCK : ARM_TABLE) | ARM_FLAGS | (user ? ARM_USER : ARM_UXN);
	return pa | PTE_PRESENT | (large ? PTE_LARGE : 0) | (user ? PTE_USER : 0);
}

static bool is_large(const struct winmem *m, uint64_t e, unsigned level)
{
	if (level == 1 || (m->arch == WM_PAE && level == 3))
		return false;
	return m->arch == WM_ARM64 ? !(e & 2) : e & PTE_LARGE;
}

/* All tables of the kernel's half under a table on this level exist from the start, so that the roots of processes share them. */
static void fill_half(struct winmem *m, uint64_t table, unsigned level, unsigned from, unsigned to, unsigned skip_from, unsigned skip_to)
{
	for (unsigned i = from; i < to; i++)
		if (i < skip_from || i >= skip_to)
			store(m, table + (uint64_t)i * format[m->arch].entry, table_entry(m, wm_frame(m), level, false));
}

static void copy_half(struct winmem *m, uint64_t to, uint64_t from, unsigned first, unsigned n)
{
	for (unsigned i = first; i < n; i++)
		store(m, to + (uint64_t)i * format[m->arch].entry, load(m, from + (uint64_t)i * format[m->arch].entry));
}

/* x64, ARM64: one page, which maps itself somewhere in its upper half (any place since 1607). */
static uint64_t root64(struct winmem *m, bool kernel)
{
	uint64_t root = wm_frame(m);
	unsigned self = 256 + (unsigned)(wm_rand(m) % 200);

	wm_at(m, root);
	if (kernel) {
		fill_half(m, root, format[m->arch].levels, 256, 512, self, self + 1);
	} else {
		copy_half(m, root, m->kernel_dtb, 256, 512);
		for (unsigned i = 256; i < 512; i++)
			if (frame_in(m, load(m, root + i * 8)) == m->kernel_dtb)
				self = i;
	}
	if (m->self_map)
		store(m, root + self * 8, table_entry(m, root, format[m->arch].levels, false));
	else if (kernel)
		store(m, root + self * 8, table_entry(m, wm_frame(m), format[m->arch].levels, false));
	return root;
}

/* x86 without PAE: a page directory, at C0300000 in the space that it makes. */
static uint64_t root_x86(struct winmem *m, bool kernel)
{
	uint64_t root = wm_frame(m);

	wm_at(m, root);
	if (kernel)
		fill_half(m, root, 2, 0x200, 0x400, 0x300, 0x301);
	else
		copy_half(m, root, m->kernel_dtb, 0x200, 0x400);
	store(m, root + 0x300 * 4, m->self_map ? table_entry(m, root, 2, false) : 0);
	return root;
}

/* PAE: four entries of 8 bytes, many roots in a page; the fourth directory has all four at its front (C0600000). */
static uint64_t root_pae(struct winmem *m, bool kernel)
{
	uint64_t dir[4], root;

	if (!m->roots || m->roots % WM_PAGE == 0)
		m->roots = wm_frame(m) + 0x60; /* the front of the page was somebody's before */
	root = m->roots;
	m->roots += 0x20;
	for (unsigned i = 0; i < 4; i++) {
		dir[i] = i == 2 && !kernel ? frame_in(m, load(m, m->kernel_dtb + 16)) : wm_frame(m);
		wm_at(m, dir[i]);
		store(m, root + i * 8, table_entry(m, dir[i], 3, false));
	}
	if (kernel) {
		fill_half(m, dir[2], 2, 0, 512, 0, 0);
		fill_half(m, dir[3], 2, 4, 512, 0, 0);
	} else {
		copy_half(m, dir[3], frame_in(m, load(m, m->kernel_dtb + 24)), 4, 512);
	}
	for (unsigned i = 0; i < 4 && m->self_map; i++)
		store(m, dir[3] + i * 8, table_entry(m, dir[i], 2, false));
	return root;
}

uint64_t wm_new_root(struct winmem *m, bool kernel)
{
	uint64_t root = m->arch == WM_PAE ? root_pae(m, kernel) : m->arch == WM_X86 ? root_x86(m, kernel) : root64(m, kernel);

	if (kernel)
		m->kernel_dtb = root;
	return root;
}

static uint64_t walk(struct winspace *s, uint64_t va, unsigned to_level, bool make)
{
	struct winmem *m = s->m;
	uint64_t table = s->dtb;

	for (unsigned level = format[m->arch].levels; level > to_level; level--) {
		uint64_t at = entry_pa(m, table, va, level), e = load(m, at);

		if (!(e & 1)) {
			if (!make)
				return 0;
			e = table_entry(m, wm_frame(m), level, !wm_is_kernel(m, va));
			wm_at(m, frame_in(m, e));
			store(m, at, e);
		}
		if (is_large(m, e, level))
			return make ? 0 : at | 1; /* bit 0: a large entry ends the walk */
		table = frame_in(m, e);
	}
	return entry_pa(m, table, va, to_level);
}

void wm_map(struct winspace *s, uint64_t va, uint64_t pa)
{
	uint64_t at = walk(s, va, 1, true), f = frame_of(s->m, pa);

	store(s->m, at, page_entry(s->m, pa, false, !wm_is_kernel(s->m, va)));
	if (f < s->m->frames) {
		s->m->entry[f] = at;
		s->m->freed[f] = 0;
	}
}

void wm_map_large(struct winspace *s, uint64_t va, uint64_t pa)
{
	store(s->m, walk(s, va, 2, true), page_entry(s->m, pa, true, !wm_is_kernel(s->m, va)));
}

void wm_set_pte(struct winspace *s, uint64_t va, uint64_t pte)
{
	uint64_t at = walk(s, va, 1, false);

	if (!at || at & 1) {
		fprintf(stderr, "mkdump: no page-table entry for 0x%llx\n", (unsigned long long)va);
		exit(1);
	}
	store(s->m, at, pte);
}

void wm_unmap(struct winspace *s, uint64_t va)
{
	uint64_t at = walk(s, va, 1, false), pa;

	if (wm_translate(s, va, &pa) && at == s->m->entry[frame_of(s->m, pa)])
		s->m->freed[frame_of(s->m, pa)] = at;
	wm_set_pte(s, va, 0);
}

void wm_given(struct winmem *m, uint64_t pa)
{
	m->freed[frame_of(m, pa)] = 0;
}

bool wm_translate(struct winspace *s, uint64_t va, uint64_t *pa)
{
	uint64_t at = walk(s, va, 1, false), e, large = wm_large(s->m) - 1;

	if (!at)
		return false;
	e = load(s->m, at & ~UINT64_C(1));
	if (at & 1) {
		*pa = (frame_in(s->m, e) & ~large) + (va & large);
		return true;
	}
	*pa = frame_in(s->m, e) + va % WM_PAGE;
	return e & 1;
}

static uint8_t *byte_at(struct winspace *s, uint64_t va)
{
	uint64_t pa;

	if (!wm_translate(s, va, &pa)) {
		pa = wm_frame(s->m);
		wm_map(s, va & ~(uint64_t)(WM_PAGE - 1), pa);
		pa += va % WM_PAGE;
	}
	return wm_at(s->m, pa);
}

void wm_write(struct winspace *s, uint64_t va, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n) {
		size_t part = WM_PAGE - va % WM_PAGE;

		if (part > n)
			part = n;
		memcpy(byte_at(s, va), b, part);
		va += part;
		b += part;
		n -= part;
	}
}

void wm_read(struct winspace *s, uint64_t va, void *p, size_t n)
{
	uint8_t *b = p;

	while (n) {
		size_t part = WM_PAGE - va % WM_PAGE;
		uint64_t pa;

		if (part > n)
			part = n;
		if (wm_translate(s, va, &pa))
			memcpy(b, wm_at(s->m, pa), part);
		else
			memset(b, 0, part);
		va += part;
		b += part;
		n -= part;
	}
}

void wm_put(struct winspace *s, uint64_t va, uint64_t v, unsigned size)
{
	uint8_t b[8];

	put_le64(b, v);
	wm_write(s, va, b, size);
}

uint64_t wm_get(struct winspace *s, uint64_t va, unsigned size)
{
	uint8_t b[8] = {0};

	wm_read(s, va, b, size);
	return le64(b);
}

void wm_touch(struct winspace *s, uint64_t va, uint64_t n)
{
	for (uint64_t a = va & ~(uint64_t)(WM_PAGE - 1); a < va + n; a += WM_PAGE)
		byte_at(s, a);
}
