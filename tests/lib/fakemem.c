/* fakemem.c - see fakemem.h */
#include "fakemem.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define SLOTS (1u << 16)

struct fakemem {
	struct {
		uint64_t key; /* page address | 1; 0 empty; a dropped page keeps its key and has no bytes */
		uint8_t *bytes;
	} slot[SLOTS];
	size_t n;
	uint64_t next;
};

struct fakemem *fm_new(void)
{
	struct fakemem *fm = calloc(1, sizeof(*fm));

	if (!fm)
		abort();
	fm->next = 16u << 20;
	return fm;
}

void fm_free(struct fakemem *fm)
{
	if (!fm)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(fm->slot[i].bytes);
	free(fm);
}

static size_t slot_of(const struct fakemem *fm, uint64_t page)
{
	size_t i = (size_t)((page >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 48);

	while (fm->slot[i].key && fm->slot[i].key != (page | 1))
		i = (i + 1) & (SLOTS - 1);
	return i;
}

static uint8_t *page_at(struct fakemem *fm, uint64_t pa, bool make)
{
	uint64_t page = pa & ~UINT64_C(0xfff);
	size_t i = slot_of(fm, page);

	if (!fm->slot[i].bytes && make) {
		if (!fm->slot[i].key && ++fm->n > SLOTS / 2)
			abort();
		fm->slot[i].key = page | 1;
		fm->slot[i].bytes = calloc(1, FM_PAGE);
		if (!fm->slot[i].bytes)
			abort();
	}
	return fm->slot[i].bytes;
}

void fm_write(struct fakemem *fm, uint64_t pa, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		size_t off = (size_t)(pa & 0xfff), k = n < FM_PAGE - off ? n : FM_PAGE - off;

		memcpy(page_at(fm, pa, true) + off, from, k);
		pa += k;
		from += k;
		n -= k;
	}
}

void fm_w16(struct fakemem *fm, uint64_t pa, uint16_t v)
{
	uint8_t b[2];

	put_le16(b, v);
	fm_write(fm, pa, b, 2);
}

void fm_w32(struct fakemem *fm, uint64_t pa, uint32_t v)
{
	uint8_t b[4];

	put_le32(b, v);
	fm_write(fm, pa, b, 4);
}

void fm_w64(struct fakemem *fm, uint64_t pa, uint64_t v)
{
	uint8_t b[8];

	put_le64(b, v);
	fm_write(fm, pa, b, 8);
}

uint64_t fm_r64(struct fakemem *fm, uint64_t pa)
{
	uint8_t *p = page_at(fm, pa, false);

	return p ? le64(p + (pa & 0xff8)) : 0;
}

void fm_drop(struct fakemem *fm, uint64_t pa)
{
	size_t i = slot_of(fm, pa & ~UINT64_C(0xfff));

	free(fm->slot[i].bytes);
	fm->slot[i].bytes = NULL;
}

uint64_t fm_alloc(struct fakemem *fm, size_t pages)
{
	uint64_t pa = fm->next;

	for (size_t i = 0; i < pages; i++)
		page_at(fm, pa + i * FM_PAGE, true);
	fm->next += pages * FM_PAGE;
	return pa;
}

static int read_fn(void *ctx, uint64_t pa, void *buf, size_t len)
{
	struct fakemem *fm = ctx;
	uint8_t *to = buf;

	while (len) {
		size_t off = (size_t)(pa & 0xfff), k = len < FM_PAGE - off ? len : FM_PAGE - off;
		const uint8_t *p = fm->slot[slot_of(fm, pa & ~UINT64_C(0xfff))].bytes;

		if (!p)
			return ERR_FAULT;
		memcpy(to, p + off, k);
		pa += k;
		to += k;
		len -= k;
	}
	return 0;
}

struct phys *fm_phys(struct fakemem *fm)
{
	struct phys *ph;

	if (phys_new(&ph, NULL, NULL) < 0)
		abort();
	for (size_t i = 0; i < SLOTS; i++)
		if (fm->slot[i].bytes && phys_add(ph, fm->slot[i].key & ~UINT64_C(1), FM_PAGE, read_fn, fm, NULL) < 0)
			abort();
	if (phys_seal(ph, NULL) < 0)
		abort();
	return ph;
}

/* ---- page tables ------------------------------------------------------------------------------------------------------------------- */

uint64_t fm_root(struct fakemem *fm)
{
	return fm_alloc(fm, 1);
}

/* Physical address of the entry for va in the table whose entries cover 1 << shift bytes. */
static uint64_t entry_at(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, unsigned shift)
{
	uint64_t table = root;

	for (unsigned s = arch == VM_X64_LA57 ? 48 : 39; s > shift; s -= 9) {
		uint64_t at = table + 8 * (va >> s & 511), e = fm_r64(fm, at);

		if (!(e & 1)) {
			e = fm_alloc(fm, 1) | 0x67;
			if (va >> 47)
				e &= ~UINT64_C(4);
			fm_w64(fm, at, e);
		} else if (e & 0x80) {
			abort(); /* mapped large */
		}
		table = e & UINT64_C(0x000ffffffffff000);
	}
	return table + 8 * (va >> shift & 511);
}

void fm_map(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t pa, uint64_t size, unsigned flags)
{
	unsigned shift = size == FM_PAGE ? 12 : size == 2u << 20 ? 21 : 30;
	uint64_t e = pa | 0x61 | (shift > 12 ? 0x80 : 0);

	if (flags & FM_WRITE)
		e |= 2;
	if (flags & FM_USER)
		e |= 4;
	if (flags & FM_NX)
		e |= UINT64_C(1) << 63;
	fm_w64(fm, entry_at(fm, arch, root, va, shift), e);
}

uint64_t fm_pte(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va)
{
	return entry_at(fm, arch, root, va, 12);
}

void fm_map_new(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t len, unsigned flags)
{
	for (uint64_t at = va & ~UINT64_C(0xfff); at < va + len; at += FM_PAGE)
		if (!fm_r64(fm, fm_pte(fm, arch, root, at)))
			fm_map(fm, arch, root, at, fm_alloc(fm, 1), FM_PAGE, flags);
}

static uint64_t to_pa(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va)
{
	uint64_t table = root;

	for (unsigned s = arch == VM_X64_LA57 ? 48 : 39;; s -= 9) {
		uint64_t e = fm_r64(fm, table + 8 * (va >> s & 511));

		if (!(e & 1))
			abort();
		table = e & UINT64_C(0x000ffffffffff000);
		if (s == 12 || (e & 0x80))
			return (table & ~((UINT64_C(1) << s) - 1)) + (va & ((UINT64_C(1) << s) - 1));
	}
}

void fm_vwrite(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n) {
		size_t off = (size_t)(va & 0xfff), k = n < FM_PAGE - off ? n : FM_PAGE - off;

		fm_write(fm, to_pa(fm, arch, root, va), from, k);
		va += k;
		from += k;
		n -= k;
	}
}

void fm_v8(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint8_t v)
{
	fm_vwrite(fm, arch, root, va, &v, 1);
}

void fm_v16(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint16_t v)
{
	uint8_t b[2];

	put_le16(b, v);
	fm_vwrite(fm, arch, root, va, b, 2);
}

void fm_v32(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint32_t v)
{
	uint8_t b[4];

	put_le32(b, v);
	fm_vwrite(fm, arch, root, va, b, 4);
}

void fm_v64(struct fakemem *fm, enum vm_arch arch, uint64_t root, uint64_t va, uint64_t v)
{
	uint8_t b[8];

	put_le64(b, v);
	fm_vwrite(fm, arch, root, va, b, 8);
}
