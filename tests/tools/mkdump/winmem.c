/* winmem.c - see winmem.h. Page-table entries: Intel SDM volume 3, "4-level paging and 5-level paging". */
#include "winmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define FRAME_4G    (UINT64_C(1) << 20)
#define FRAME_3G    (UINT64_C(3) << 18)
#define FIRST_FREE  0x200u /* the first 2 MiB stay free of scattered pages: low stub, BIOS */
#define PTE_PRESENT 0x63u  /* present, write, accessed, dirty */
#define PTE_LARGE   0x80u
#define PTE_USER    4u
#define ADDRESS     UINT64_C(0x000ffffffffff000)

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "mkdump: out of memory\n");
		exit(1);
	}
	return p;
}

void wm_init(struct winmem *m, uint64_t mib, uint64_t hole_mib, int levels, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->frames = mib << 8;
	m->hole_frames = hole_mib ? hole_mib << 8 : FRAME_3G;
	if (m->hole_frames > m->frames)
		m->hole_frames = m->frames;
	m->page = need(calloc(m->frames, sizeof(uint8_t *)));
	m->taken = need(calloc(m->frames, 1));
	m->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	m->levels = levels;
	for (uint64_t i = 0; i < FIRST_FREE && i < m->frames; i++)
		m->taken[i] = 1;
}

void wm_free(struct winmem *m)
{
	for (uint64_t i = 0; i < m->frames; i++)
		free(m->page[i]);
	free(m->page);
	free(m->taken);
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

uint64_t wm_frames_2m(struct winmem *m)
{
	uint64_t blocks = m->large_frames / 512, b = blocks ? wm_rand(m) % blocks : 0;

	for (uint64_t n = 0; n < blocks; n++, b = (b + 1) % blocks) {
		uint64_t k = 0;

		while (k < 512 && !m->taken[b * 512 + k])
			k++;
		if (k < 512)
			continue;
		memset(m->taken + b * 512, 1, 512);
		return wm_pa(m, b * 512);
	}
	fprintf(stderr, "mkdump: no 2 MiB left\n");
	exit(1);
}

static uint64_t entry_pa(uint64_t table, uint64_t va, int level)
{
	return table + ((va >> (12 + 9 * (level - 1))) & 511) * 8;
}

static uint64_t load(struct winmem *m, uint64_t pa)
{
	return le64(wm_at(m, pa));
}

static void store(struct winmem *m, uint64_t pa, uint64_t v)
{
	put_le64(wm_at(m, pa), v);
}

uint64_t wm_new_root(struct winmem *m, bool kernel)
{
	uint64_t root = wm_frame(m);
	uint64_t self = 256 + wm_rand(m) % 200; /* any of the upper half since 1607 */

	wm_at(m, root);
	if (kernel) {
		m->kernel_dtb = root;
		/* upper-half tables exist from the start, so that user roots can share them */
		for (uint64_t i = 256; i < 512; i++)
			if (i != self)
				store(m, root + i * 8, wm_frame(m) | PTE_PRESENT);
	} else {
		for (uint64_t i = 256; i < 512; i++)
			store(m, root + i * 8, load(m, m->kernel_dtb + i * 8));
		for (uint64_t i = 256; i < 512; i++)
			if ((load(m, root + i * 8) & ADDRESS) == m->kernel_dtb)
				self = i;
	}
	store(m, root + self * 8, root | PTE_PRESENT);
	return root;
}

static uint64_t walk(struct winspace *s, uint64_t va, int to_level, bool make)
{
	uint64_t table = s->dtb;
	bool user = !(va >> 63);

	for (int level = s->m->levels; level > to_level; level--) {
		uint64_t at = entry_pa(table, va, level), e = load(s->m, at);

		if (!(e & 1)) {
			if (!make)
				return 0;
			e = wm_frame(s->m) | PTE_PRESENT | (user ? PTE_USER : 0);
			wm_at(s->m, e & ADDRESS);
			store(s->m, at, e);
		}
		if (e & PTE_LARGE)
			return make ? 0 : at | 1; /* bit 0: a large entry ends the walk */
		table = e & ADDRESS;
	}
	return entry_pa(table, va, to_level);
}

void wm_map(struct winspace *s, uint64_t va, uint64_t pa, uint64_t flags)
{
	store(s->m, walk(s, va, 1, true), pa | PTE_PRESENT | (va >> 63 ? 0 : PTE_USER) | flags);
}

void wm_map_2m(struct winspace *s, uint64_t va, uint64_t pa)
{
	store(s->m, walk(s, va, 2, true), pa | PTE_PRESENT | PTE_LARGE);
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
	wm_set_pte(s, va, 0);
}

bool wm_translate(struct winspace *s, uint64_t va, uint64_t *pa)
{
	uint64_t at = walk(s, va, 1, false), e;

	if (!at)
		return false;
	e = load(s->m, at & ~UINT64_C(1));
	if (at & 1) {
		*pa = (e & ADDRESS & ~UINT64_C(0x1fffff)) + (va & 0x1fffff);
		return true;
	}
	*pa = (e & ADDRESS) + va % WM_PAGE;
	return e & 1;
}

static uint8_t *byte_at(struct winspace *s, uint64_t va)
{
	uint64_t pa;

	if (!wm_translate(s, va, &pa)) {
		pa = wm_frame(s->m);
		wm_map(s, va & ~(uint64_t)(WM_PAGE - 1), pa, 0);
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
