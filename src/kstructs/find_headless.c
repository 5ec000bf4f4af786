/* find_headless.c - a kernel image whose headers are not in the image. Its RSDS record is looked for in all of physical memory; page tables, read the
 * other way round, tell where it stands. Where the image begins then follows from the list of modules, from the known distance of a symbol (the record
 * tells the profile) or from a debugger data block; else it is the lowest page in a row, and that is said. */
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "rd.h"

#define PAGE        UINT64_C(4096)
#define CHUNK       (UINT64_C(1) << 18)
#define RECORDS_MAX 32u                 /* records of kernels in memory: the kernel's own, and copies of it in caches */
#define PAGES_MAX   (UINT64_C(1) << 22) /* of the kernel's half, looked at for a physical address */
#define RANGES_MAX  (1u << 20)
#define RECORD_MAX  96u /* bytes: 24, and a name without a folder */

struct record {
	uint64_t pa;
	struct kimage im; /* PDB, GUID, age */
};

static size_t search_chunk(const uint8_t *p, size_t n, uint64_t pa, struct record *r, size_t have)
{
	for (size_t at = 0; at + RECORD_MAX <= n && have < RECORDS_MAX; at += 4)
		if (p[at] == 'R' && kimage_rsds(p + at, RECORD_MAX, &r[have].im))
			r[have++].pa = pa + at;
	return have;
}

static size_t search_memory(const struct phys *phys, struct record *r)
{
	uint8_t *buf = malloc(CHUNK);
	struct phys_run run;
	size_t have = 0;

	for (size_t i = 0; buf && have < RECORDS_MAX && phys_run(phys, i, &run); i++)
		for (uint64_t off = 0; off < run.len; off += CHUNK) {
			size_t n = run.len - off < CHUNK ? (size_t)(run.len - off) : (size_t)CHUNK;

			if (phys_read(phys, run.pa + off, buf, n) >= 0)
				have = search_chunk(buf, n, run.pa + off, r, have);
		}
	free(buf);
	return have;
}

/* Where does the kernel's half show one of the records? */
static bool find_va(struct vm *vm, const struct record *r, size_t n, uint64_t *va, size_t *which)
{
	bool wide = vm_pointer_size(vm) == 8;
	uint64_t from = wide ? UINT64_C(0xfffff80000000000) : 0x80000000, end = wide ? UINT64_C(0xffffffffffc00000) : 0xffc00000, start,
		 len;
	uint64_t budget = PAGES_MAX;

	for (unsigned k = 0; k < RANGES_MAX && budget && from < end && vm_next_mapped(vm, from, end, &start, &len); k++) {
		for (uint64_t at = start; at - start < len && budget; at += PAGE, budget--) {
			uint64_t pa;

			if (!vm_pa(vm, at, &pa))
				continue;
			for (size_t i = 0; i < n; i++)
				if ((r[i].pa ^ pa) < PAGE) {
					*va = at + r[i].pa % PAGE;
					*which = i;
					return true;
				}
		}
		if (start + len <= from)
			break;
		from = start + len;
	}
	return false;
}

static uint64_t pointer(struct vm *vm, uint64_t va)
{
	uint8_t b[8] = {0};

	if (vm_read(vm, va, b, vm_pointer_size(vm)) < 0)
		return 0;
	return le64(b);
}

static bool may_begin(uint64_t base, uint64_t rsds)
{
	return base && base % PAGE == 0 && base <= rsds && rsds - base < FIND_IMAGE_MAX;
}

/* The first of PsLoadedModuleList is the kernel: LDR_DATA_TABLE_ENTRY.DllBase. */
static bool by_modules(struct vm *vm, const struct hints *h, uint64_t rsds, uint64_t *base)
{
	uint64_t entry;

	if (!h || !h->has_loaded_modules || !vm_is_kernel(vm, h->loaded_modules))
		return false;
	entry = pointer(vm, h->loaded_modules);
	if (!vm_is_kernel(vm, entry))
		return false;
	*base = pointer(vm, entry + (uint64_t)6 * vm_pointer_size(vm));
	return may_begin(*base, rsds);
}

/* The build's number and the ring of processes stand where the profile says. */
static bool by_profile(struct vm *vm, struct profset *set, const struct kimage *im, uint64_t rsds, const struct kuser *user, uint64_t *base)
{
	unsigned ps = vm_pointer_size(vm);
	struct profile p;
	const char *from;

	if (!set || profset_find(set, &im->guid, im->age, user->build, &p, &from, NULL) < 0 || !p.symbol[S_NtBuildNumber] ||
	    !p.symbol[S_PsActiveProcessHead])
		return false;
	for (uint64_t at = rsds & ~(PAGE - 1), n = 0; n < FIND_IMAGE_MAX; at -= PAGE, n += PAGE) {
		uint64_t head = at + p.symbol[S_PsActiveProcessHead], first;
		uint8_t b[4];

		if (vm_read(vm, at + p.symbol[S_NtBuildNumber], b, 4) < 0 || (le32(b) & 0xffff) != p.build)
			continue;
		first = pointer(vm, head);
		if (vm_is_kernel(vm, first) && pointer(vm, first + ps) == head) {
			*base = at;
			return true;
		}
	}
	return false;
}

/* A debugger data block that is not encoded: its tag, and KernBase behind. */
static bool by_kdbg(struct vm *vm, uint64_t rsds, uint64_t *base)
{
	uint64_t from = (rsds & ~(PAGE - 1)) - FIND_IMAGE_MAX;
	uint8_t b[PAGE];

	for (uint64_t at = from; at < from + 2 * FIND_IMAGE_MAX; at += PAGE) {
		if (!vm_is_kernel(vm, at) || vm_read(vm, at, b, PAGE) < 0)
			continue;
		for (size_t o = 0x10; o + 16 <= PAGE; o += 8) {
			if (le32(b + o) != 0x4742444b)
				continue;
			*base = le64(b + o + 8);
			if (vm_pointer_size(vm) == 4)
				*base &= UINT32_MAX;
			if (may_begin(*base, rsds))
				return true;
		}
	}
	return false;
}

/* Nothing tells: the lowest page that is mapped without a gap before the record. */
static uint64_t lowest(struct vm *vm, uint64_t rsds)
{
	uint64_t at = rsds & ~(PAGE - 1), pa;

	while (may_begin(at - PAGE, rsds) && vm_pa(vm, at - PAGE, &pa))
		at -= PAGE;
	return at;
}

/* NtBuildLab: "7601.17514.amd64fre.win7sp1_rtm...". */
static uint32_t build_lab(const uint8_t *p, size_t n)
{
	uint32_t v = 0;
	size_t i = 0;

	for (; i < 5 && i < n && p[i] >= '0' && p[i] <= '9'; i++)
		v = v * 10 + (p[i] - '0');
	if (i < 4 || i == n || p[i] != '.')
		return 0;
	for (; i + 3 <= n && p[i] >= 0x20 && p[i] < 0x7f; i++)
		if (memcmp(p + i, "fre", 3) == 0 || memcmp(p + i, "chk", 3) == 0)
			return v;
	return 0;
}

uint32_t kimage_build_lab(struct vm *vm, uint64_t base)
{
	uint8_t b[PAGE];

	for (uint64_t at = base; at - base < FIND_IMAGE_MAX; at += PAGE) {
		if (vm_read(vm, at, b, PAGE) < 0)
			continue;
		for (size_t i = 0; i + 8 < PAGE; i++) {
			uint32_t v;

			if ((i && b[i - 1]) || b[i] < '1' || b[i] > '9')
				continue;
			v = build_lab(b + i, PAGE - i < 40 ? PAGE - i : 40);
			if (v)
				return v;
		}
	}
	return 0;
}

bool kimage_headless(struct vm *vm, const struct hints *hints, struct profset *profiles, const struct kuser *user, struct kimage *out)
{
	struct record *r = calloc(RECORDS_MAX, sizeof(*r));
	size_t n = r ? search_memory(vm_phys(vm), r) : 0, which;
	uint64_t va, base;
	bool ok = n && find_va(vm, r, n, &va, &which);

	if (ok) {
		bool told = by_modules(vm, hints, va, &base) || by_profile(vm, profiles, &r[which].im, va, user, &base) ||
			    by_kdbg(vm, va, &base);

		if (!told)
			base = lowest(vm, va);
		*out = r[which].im;
		out->guessed = !told;
		out->base = base;
		out->rsds = va;
		out->size = FIND_IMAGE_MAX;
	}
	free(r);
	return ok;
}
