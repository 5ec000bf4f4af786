/* find_image.c - the kernel's PE image in virtual memory: headers, RSDS record, exports. Layouts: Microsoft's "PE Format". */
#include <string.h>
#include <strings.h>

#include "find.h"
#include "rd.h"

#define PAGE              UINT64_C(4096)
#define DEBUG_ENTRIES_MAX 16
#define SECTIONS_MAX      96
#define EXPORTS_MAX       (1u << 16)
#define STEPS_MAX         (1u << 14)
#define RANGES_MAX        (1u << 20)

static const char *const kernel_pdbs[] = {"ntkrnlmp.pdb", "ntkrnlpa.pdb", "ntkrpamp.pdb", "ntoskrnl.pdb", "ntkrla57.pdb"};

struct pe {
	uint64_t base;
	uint32_t opt_off; /* from base: optional header */
	uint16_t machine, n_sections, opt_size;
	uint32_t timestamp, size;
	uint32_t dirs_off, n_dirs; /* data directories, from base */
};

static bool pe_read(struct vm *vm, uint64_t base, struct pe *pe)
{
	uint8_t b[64], h[24 + 112];
	uint32_t nt, magic;
	struct rd r;

	if (vm_read(vm, base, b, sizeof(b)) < 0 || b[0] != 'M' || b[1] != 'Z')
		return false;
	nt = le32(b + 0x3c);
	if (nt < 0x40 || nt > 0x1000 - sizeof(h) || vm_read(vm, base + nt, h, sizeof(h)) < 0 || le32(h) != 0x4550)
		return false;
	r = rd_init(h, sizeof(h));
	pe->base = base;
	pe->machine = rd_u16(&r, 4);
	pe->n_sections = rd_u16(&r, 6);
	pe->timestamp = rd_u32(&r, 8);
	pe->opt_size = rd_u16(&r, 0x14);
	pe->opt_off = nt + 24;
	pe->size = rd_u32(&r, 24 + 0x38);
	magic = rd_u16(&r, 24);
	if (magic != 0x10b && magic != 0x20b)
		return false;
	pe->dirs_off = pe->opt_off + (magic == 0x20b ? 0x70 : 0x60);
	pe->n_dirs = rd_u32(&r, 24 + (magic == 0x20b ? 0x6c : 0x5c));
	return pe->size >= PAGE && pe->size <= FIND_IMAGE_MAX;
}

static bool pe_dir(struct vm *vm, const struct pe *pe, unsigned i, uint32_t *rva, uint32_t *size)
{
	uint8_t b[8];

	if (i >= pe->n_dirs || vm_read(vm, pe->base + pe->dirs_off + (uint64_t)8 * i, b, 8) < 0)
		return false;
	*rva = le32(b);
	*size = le32(b + 4);
	return *rva && *rva < pe->size;
}

static bool is_kernel_pdb(const char *name)
{
	for (size_t i = 0; i < sizeof(kernel_pdbs) / sizeof(kernel_pdbs[0]); i++)
		if (strcasecmp(name, kernel_pdbs[i]) == 0)
			return true;
	return false;
}

/* 'RSDS', GUID, age, name (often without a folder; a path's last part counts). */
bool kimage_rsds(const uint8_t *p, size_t n, struct kimage *out)
{
	uint8_t b[24 + 256] = {0};
	const char *name = (const char *)b + 24, *slash;

	if (n <= 24 + 12 || memcmp(p, "RSDS", 4) != 0)
		return false;
	memcpy(b, p, n < sizeof(b) - 1 ? n : sizeof(b) - 1);
	slash = strrchr(name, '\\');
	if (slash)
		name = slash + 1;
	if (strlen(name) >= sizeof(out->pdb) || !is_kernel_pdb(name))
		return false;
	memcpy(out->guid.b, b + 4, 16);
	out->age = le32(b + 20);
	memset(out->pdb, 0, sizeof(out->pdb));
	memcpy(out->pdb, name, strlen(name));
	return true;
}

static bool rsds_at(struct vm *vm, uint64_t va, struct kimage *out)
{
	uint8_t b[24 + 256] = {0};
	size_t n = sizeof(b);

	while (n > 24 + 13 && vm_read(vm, va, b, n) < 0)
		n = n > 96 ? n / 2 : n - 8; /* the name may end just before a page that is not there */
	return kimage_rsds(b, n, out);
}

bool kimage_at(struct vm *vm, uint64_t base, struct kimage *out)
{
	uint32_t rva, size;
	struct kimage im = {0};
	struct pe pe;

	if (!pe_read(vm, base, &pe) || !pe_dir(vm, &pe, 6, &rva, &size))
		return false;
	for (unsigned i = 0; i < size / 28 && i < DEBUG_ENTRIES_MAX; i++) {
		uint8_t d[28];

		if (vm_read(vm, base + rva + (uint64_t)28 * i, d, sizeof(d)) < 0)
			break;
		if (le32(d + 12) != 2 || !rsds_at(vm, base + le32(d + 20), &im))
			continue;
		im.base = base;
		im.size = pe.size;
		im.timestamp = pe.timestamp;
		im.machine = pe.machine;
		*out = im;
		return true;
	}
	return false;
}

/* Of most of the pages nothing else is looked at: they do not go through vm's cache. */
static bool starts_mz(struct vm *vm, uint64_t va)
{
	uint8_t b[2];
	uint64_t pa;
	bool there = vm_pa(vm, va, &pa) ? phys_read(vm_phys(vm), pa, b, sizeof(b)) >= 0 : vm_read(vm, va, b, sizeof(b)) >= 0;

	return there && b[0] == 'M' && b[1] == 'Z';
}

bool kimage_below(struct vm *vm, uint64_t va, struct kimage *out)
{
	uint64_t at = va & ~(PAGE - 1), low = at > FIND_IMAGE_MAX ? at - FIND_IMAGE_MAX : 0;

	if (!vm_is_kernel(vm, va))
		return false;
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		if (starts_mz(vm, at) && kimage_at(vm, at, out) && va - at < out->size)
			return true;
		if (at < low + PAGE || at < PAGE)
			break;
		at -= PAGE;
	}
	return false;
}

/* Every page start of one mapped range. */
static bool scan_range(struct vm *vm, uint64_t start, uint64_t len, uint64_t *budget, struct kimage *out)
{
	for (uint64_t at = start; at - start < len; at += PAGE) {
		if (*budget == 0)
			return false;
		--*budget;
		if (starts_mz(vm, at) && kimage_at(vm, at, out))
			return true;
	}
	return false;
}

static bool scan_between(struct vm *vm, uint64_t from, uint64_t end, uint64_t *budget, struct kimage *out)
{
	uint64_t start, len;

	for (unsigned i = 0; i < RANGES_MAX && *budget && from < end && vm_next_mapped(vm, from, end, &start, &len); i++) {
		if (scan_range(vm, start, len, budget, out))
			return true;
		if (start + len <= from)
			break;
		from = start + len;
	}
	return false;
}

bool kimage_scan(struct vm *vm, bool usual, uint64_t *budget, struct kimage *out)
{
	const uint64_t top = UINT64_C(0xfffff80000000000);

	if (vm_pointer_size(vm) == 4)
		return scan_between(vm, UINT64_C(0x80000000), UINT64_C(0xffc00000), budget, out);
	/* the half terabyte where 64-bit kernels of every version stand; then the rest above it; then below, where none has been seen */
	if (scan_between(vm, top, top + (UINT64_C(1) << 39), budget, out))
		return true;
	if (usual)
		return false;
	if (scan_between(vm, top + (UINT64_C(1) << 39), UINT64_C(0xffffffffffc00000), budget, out))
		return true;
	return scan_between(vm, vm_arch(vm) == VM_X64_LA57 ? UINT64_C(0xff00000000000000) : UINT64_C(0xffff800000000000), top, budget, out);
}

uint64_t kimage_export(struct vm *vm, const struct kimage *im, const char *name)
{
	uint32_t rva, size, n, lo = 0, hi;
	size_t want = strlen(name) + 1;
	uint8_t d[40], b[64];
	struct pe pe;

	if (want > sizeof(b) || !pe_read(vm, im->base, &pe) || !pe_dir(vm, &pe, 0, &rva, &size))
		return 0;
	if (vm_read(vm, im->base + rva, d, sizeof(d)) < 0)
		return 0;
	n = le32(d + 24);
	if (n > EXPORTS_MAX)
		return 0;
	for (hi = n; lo < hi;) { /* names are sorted */
		uint32_t mid = lo + (hi - lo) / 2, at;
		size_t k = want;
		int c;

		if (vm_read(vm, im->base + le32(d + 32) + 4 * (uint64_t)mid, b, 4) < 0)
			return 0;
		at = le32(b);
		if (at >= pe.size || vm_read(vm, im->base + at, b, k) < 0)
			return 0;
		c = memcmp(name, b, k);
		if (c < 0) {
			hi = mid;
		} else if (c > 0) {
			lo = mid + 1;
		} else {
			uint32_t ordinal;

			if (vm_read(vm, im->base + le32(d + 36) + 2 * (uint64_t)mid, b, 2) < 0)
				return 0;
			ordinal = le16(b);
			if (vm_read(vm, im->base + le32(d + 28) + 4 * (uint64_t)ordinal, b, 4) < 0)
				return 0;
			at = le32(b);
			return at && at < pe.size ? im->base + at : 0;
		}
	}
	return 0;
}

bool kimage_section(struct vm *vm, uint64_t base, unsigned i, uint64_t *va, uint64_t *size, bool *writable)
{
	struct pe pe;
	uint8_t s[40];
	uint32_t rva, len;

	if (!pe_read(vm, base, &pe)) {
		*va = base;
		*size = FIND_IMAGE_MAX;
		*writable = true;
		return i == 0;
	}
	if (i >= pe.n_sections || i >= SECTIONS_MAX)
		return false;
	if (vm_read(vm, base + pe.opt_off + pe.opt_size + 40 * (uint64_t)i, s, sizeof(s)) < 0)
		return false;
	len = le32(s + 8);
	rva = le32(s + 12);
	if (rva >= pe.size)
		len = 0;
	else if (len > pe.size - rva)
		len = pe.size - rva;
	*va = base + rva;
	*size = len;
	*writable = le32(s + 36) >> 31;
	return true;
}
