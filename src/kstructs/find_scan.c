/* find_scan.c - page-table roots by a look at all of physical memory. See find.h.
 *
 * Two marks make a page worth a try. It maps itself, as Windows' roots do: x64 and ARM64 at any place of the upper half, 32-bit ones at C0300000 or
 * C0600000. Or its entries lead to a page at the address of KUSER_SHARED_DATA that looks like one: then it need not map itself. Neither is a proof,
 * the caller tries. Pages are read once; a mark's first entry decides for nearly all of them. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "rd.h"

#define PAGE              UINT64_C(4096)
#define CHUNK             (UINT64_C(1) << 18)
#define FRAME             UINT64_C(0x000ffffffffff000)
#define SCANNED_TRIES_MAX 4096       /* roots that are tried: every process has one, and a hostile image only such pages */
#define WALKS_MAX         (1u << 20) /* ways to the shared page that are followed */

/* The way to KUSER_SHARED_DATA: fffff78000000000, on 32 bits ffdf0000. */
#define KUSER_TOP64  0x1efu
#define KUSER_PD_PAE 0x1feu
#define KUSER_PT     0x1f0u
#define KUSER_PD_X86 0x3ffu
#define ACCESSED     0x20u /* of x64: set in the tables of the kernel's half; ARM64 has nothing there. Which form is tried first */

struct scan {
	const struct phys *phys;
	uint64_t end;
	try_root_fn *fn;
	void *ctx;
	unsigned tries, walks;
};

/* Does one of the upper half's entries point to the page itself, present and not large? A look at every page of memory, hence without
 * branches, in a form that compilers turn into vector code: (x - 1) & ~x has the top bit set for x == 0 (and for no x below 2^63 else). */
static bool maps_itself(const uint8_t *p, uint64_t pa)
{
	uint64_t want = pa | 1, hit = 0;

	for (unsigned i = 256; i < 512; i++) {
		uint64_t e, x;

		memcpy(&e, p + (size_t)8 * i, 8);
		x = (le64toh(e) & (FRAME | 0x81)) ^ want;
		hit |= (x - 1) & ~x;
	}
	return hit >> 63;
}

/* Every entry of the user's half is empty or a plausible table. */
static bool sane_root(const uint8_t *p, uint64_t end)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t e = le64(p + (size_t)8 * i);

		if ((e & 1) && ((e & 0x80) || (e & FRAME) >= end))
			return false;
	}
	return true;
}

/* An entry that leads on: present, no large page, inside memory. */
static bool leads(const struct scan *s, uint64_t e)
{
	return (e & 0x81) == 1 && (e & FRAME) < s->end && (e & FRAME);
}

static bool entry64(const struct scan *s, uint64_t table, unsigned i, uint64_t *e)
{
	uint8_t b[8];

	if (phys_read(s->phys, (table & FRAME) + 8 * (uint64_t)i, b, 8) < 0)
		return false;
	*e = le64(b);
	return (*e & 1) && (*e & FRAME) < s->end;
}

/* Version words of the shared page, and a clock that runs. */
static bool shared_page(const struct scan *s, uint64_t e)
{
	uint8_t b[0x274];
	uint32_t major, minor;

	if (phys_read(s->phys, e & FRAME, b, sizeof(b)) < 0)
		return false;
	major = le32(b + 0x26c);
	minor = le32(b + 0x270);
	return (major == 10 && minor == 0) || ((major == 6 || major == 5) && minor <= 4);
}

/* From a table of the third level from below: one entry, and twice the first. */
static bool kuser64(const struct scan *s, uint64_t e)
{
	for (unsigned level = 0; level < 3; level++)
		if (!leads(s, e) || !entry64(s, e, 0, &e))
			return false;
	return shared_page(s, e);
}

static bool attempt(struct scan *s, enum vm_arch arch, uint64_t dtb)
{
	struct root_hint r = {.arch = arch, .dtb = dtb};

	return s->fn(s->ctx, &r);
}

static bool walk_more(struct scan *s)
{
	return s->walks < WALKS_MAX && ++s->walks;
}

/* x64 with four or five levels, ARM64. */
static bool look64(struct scan *s, const uint8_t *p, uint64_t pa)
{
	static const enum vm_arch forms[2][3] = {{VM_X64, VM_X64_LA57, VM_ARM64}, {VM_ARM64, VM_X64, VM_X64_LA57}};
	uint64_t e = le64(p + (size_t)8 * KUSER_TOP64), top = le64(p + PAGE - 8);
	bool way = leads(s, e) && walk_more(s) && kuser64(s, e);
	const enum vm_arch *form = forms[leads(s, e) && !(e & ACCESSED)];

	if (!way && leads(s, top) && (top & FRAME) != pa && walk_more(s))
		way = entry64(s, top, KUSER_TOP64, &e) && kuser64(s, e);
	if (!way && !(maps_itself(p, pa) && sane_root(p, s->end)))
		return false;
	s->tries++;
	for (unsigned i = 0; i < 3; i++)
		if (attempt(s, form[i], pa))
			return true;
	return false;
}

/* x86 without PAE: a page directory. */
static bool look_x86(struct scan *s, const uint8_t *p, uint64_t pa)
{
	uint32_t pde = le32(p + (size_t)4 * KUSER_PD_X86);
	uint8_t b[4];
	bool ok = (le32(p + 0xc00) & 0xfffff081u) == (uint32_t)(pa | 1) && pa <= UINT32_MAX && (le32(p + 0x800) & 1);

	if (!ok && leads(s, pde) && walk_more(s))
		ok = phys_read(s->phys, (pde & 0xfffff000u) + 4 * KUSER_PT, b, 4) >= 0 && leads(s, le32(b)) && shared_page(s, le32(b));
	if (!ok)
		return false;
	s->tries++;
	return attempt(s, VM_X86, pa);
}

/* An entry of a PAE root: a table and nothing else, or empty. */
static bool pae_entry(const struct scan *s, uint64_t e)
{
	return e == 0 || ((e & ~FRAME & ~UINT64_C(0xe18)) == 1 && (e & FRAME) < s->end && e >> 52 == 0);
}

/* PAE: any four entries on a place of 32 bytes. */
static bool look_pae(struct scan *s, const uint8_t *p, uint64_t pa)
{
	for (unsigned at = 0; at < PAGE && pa <= UINT32_MAX; at += 32) {
		uint64_t last = le64(p + at + 24), e;
		bool ok;

		if (!(last & 1) || !pae_entry(s, last) || !pae_entry(s, le64(p + at)) || !pae_entry(s, le64(p + at + 8)) ||
		    !pae_entry(s, le64(p + at + 16)) || !walk_more(s))
			continue;
		ok = entry64(s, last, 3, &e) && ((e ^ last) & FRAME) == 0;
		if (!ok)
			ok = entry64(s, last, KUSER_PD_PAE, &e) && leads(s, e) && entry64(s, e, KUSER_PT, &e) && shared_page(s, e);
		if (!ok)
			continue;
		s->tries++;
		if (attempt(s, VM_X86_PAE, pa + at))
			return true;
	}
	return false;
}

static bool scan_run(struct scan *s, const struct phys_run *run, uint8_t *buf)
{
	uint64_t pa = (run->pa + PAGE - 1) & ~(PAGE - 1), last = run->pa + run->len;

	while (pa + PAGE <= last) {
		uint64_t n = last - pa < CHUNK ? (last - pa) & ~(PAGE - 1) : CHUNK;

		if (phys_read(s->phys, pa, buf, (size_t)n) < 0) {
			pa += n;
			continue;
		}
		for (uint64_t off = 0; off < n; off += PAGE) {
			const uint8_t *p = buf + off;

			if (look64(s, p, pa + off) || look_x86(s, p, pa + off) || look_pae(s, p, pa + off))
				return true;
			if (s->tries >= SCANNED_TRIES_MAX)
				return false;
		}
		pa += n;
	}
	return false;
}

bool roots_scanned(const struct phys *phys, try_root_fn *fn, void *ctx)
{
	struct scan s = {.phys = phys, .end = phys_end(phys), .fn = fn, .ctx = ctx};
	uint8_t *buf = malloc(CHUNK);
	bool found = false;
	struct phys_run run;

	for (size_t i = 0; buf && !found && s.tries < SCANNED_TRIES_MAX && phys_run(phys, i, &run); i++)
		found = scan_run(&s, &run, buf);
	free(buf);
	return found;
}
