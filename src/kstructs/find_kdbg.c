/* find_kdbg.c - what is found in the kernel's image by its shape: the debugger data block (wdbgexts.h: KDDEBUGGER_DATA64), EtwpDebuggerData,
 * the head of the list of processes.
 *
 * Live systems keep the block encoded: per word v = bswap(rol(c ^ KiWaitNever, KiWaitNever) ^ KdpDataBlockEncoded) ^ KiWaitAlways (QEMU
 * contrib/elf2dmp). The difference of two words depends on the rotation only: v1 ^ v2 = bswap(rol(c1 ^ c2, s)). The block's own word
 * KernBase is known, so that the whole block can be read without any key: 64 rotations are tried on each place where "KDBG" may stand.
 *
 * EtwpDebuggerData: a version, offsets of the buffer header that debuggers are to use, and at +0x10 the address of the logger table. What a symbol
 * or KDBG leads to need not have the known offsets, when its table is one: a later version may publish others. */
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "rd.h"

#define PAGE       4096u
#define KDBG_TAG   0x4742444bu /* 'KDBG' */
#define KDBG_MIN   0x200u
#define KDBG_MAX   0x400u
#define SECTIONS   96u
#define TAG_OFF    0x10u
#define BASE_OFF   0x18u
#define HEAD_BYTES 0x20u
#define DATA_TABLE 0x10u /* in EtwpDebuggerData */
#define DATA_BYTES 0x18u
#define SLOTS      64u   /* of a logger table: at least */
#define ID_WITHIN  0x40u /* a context begins with its LoggerId, or shortly before it */

static uint64_t rol64(uint64_t v, unsigned s)
{
	s &= 63;
	return s ? v << s | v >> (64 - s) : v;
}

static bool size_ok(uint32_t n)
{
	return n >= KDBG_MIN && n <= 0x1000 && n % 8 == 0;
}

/* Takes the words at va as the block: plain (s < 0), or with rotation s. */
static bool take(struct kernel *k, uint64_t va, int s)
{
	uint8_t b[KDBG_MAX];
	uint64_t head, base;
	size_t n;

	if (vm_read(k->vm, va, b, HEAD_BYTES) < 0)
		return false;
	base = le64(b + BASE_OFF);
	head = le64(b + TAG_OFF);
	if (s >= 0)
		head = __builtin_bswap64(rol64(head ^ base, (unsigned)s)) ^ k->base;
	else if (vm_pointer_size(k->vm) == 4 ? (uint32_t)base != k->base : base != k->base) /* 32-bit words are sign-extended */
		return false;
	if ((uint32_t)head != KDBG_TAG || !size_ok((uint32_t)(head >> 32)))
		return false;
	n = head >> 32 < KDBG_MAX ? (size_t)(head >> 32) : KDBG_MAX;
	if (vm_read(k->vm, va, b, n) < 0)
		return false;
	for (size_t i = 0; s >= 0 && i + 8 <= n; i += 8)
		put_le64(b + i, __builtin_bswap64(rol64(le64(b + i) ^ base, (unsigned)s)) ^ k->base);
	k->kdbg = va;
	k->kdbg_encoded = s >= 0;
	k->kdbg_len = n;
	memcpy(k->kdbg_bytes, b, n);
	return true;
}

/* At one address: as it stands, else by the rotation that gives the tag. */
static bool take_any(struct kernel *k, uint64_t va)
{
	uint8_t b[HEAD_BYTES];
	uint64_t x;

	if (take(k, va, -1))
		return true;
	if (vm_read(k->vm, va, b, sizeof(b)) < 0)
		return false;
	x = le64(b + TAG_OFF) ^ le64(b + BASE_OFF);
	for (int s = 0; s < 64; s++) {
		uint64_t v = __builtin_bswap64(rol64(x, (unsigned)s)) ^ k->base;

		if ((uint32_t)v == KDBG_TAG && take(k, va, s))
			return true;
	}
	return false;
}

/* Could an encoded block's head stand at p, by its tag and size? */
static bool encoded_tag(const uint8_t *p, uint64_t base)
{
	uint64_t x = le64(p + TAG_OFF) ^ le64(p + BASE_OFF);

	for (unsigned s = 0; x && s < 64; s++) {
		uint64_t v = __builtin_bswap64(rol64(x, s)) ^ base;

		if ((uint32_t)v == KDBG_TAG && size_ok((uint32_t)(v >> 32)))
			return true;
	}
	return false;
}

static bool hit_kdbg(struct kernel *k, uint64_t va, const uint8_t *p)
{
	if (le32(p + TAG_OFF) == KDBG_TAG && take(k, va, -1))
		return true;
	/* its two list words are equal, as long as it is alone in its list: that spares most places the rotations */
	return le64(p) && le64(p) == le64(p + 8) && encoded_tag(p, k->base) && take_any(k, va);
}

static bool hit_any_list(struct kernel *k, uint64_t va, const uint8_t *p)
{
	return encoded_tag(p, k->base) && take_any(k, va);
}

/* Header offsets State, CurrentOffset, SavedOffset, GlobalEntry, ReferenceCount of _WMI_BUFFER_HEADER, behind a version word: the kernel tells
 * debuggers with them where to look (docs/layouts.md 7.2b). */
static bool debugger_data_head(const uint8_t *p)
{
	static const uint8_t pat[] = {0x2c, 0x08, 0x04, 0x38, 0x0c};

	return memcmp(p + 2, pat, sizeof(pat)) == 0;
}

/* Slots of the table whose context names its own place, and those that hold neither an address nor a word for empty. */
static bool table_holds(const struct kernel *k, uint64_t table)
{
	unsigned ps = vm_pointer_size(k->vm), good = 0, bad = 0;
	uint8_t b[ID_WITHIN];
	uint64_t ctx;

	for (unsigned id = 0; id < SLOTS && kread_ptr_at(k, table + (uint64_t)id * ps, &ctx) == 0; id++) {
		bool names = false;

		if (ctx <= 1)
			continue;
		if (!vm_is_kernel(k->vm, ctx) || ctx % ps) {
			bad++;
			continue;
		}
		if (vm_read(k->vm, ctx, b, sizeof(b)) < 0)
			continue;
		for (unsigned i = 0; i < sizeof(b); i += 4)
			names |= le32(b + i) == id;
		good += names;
		bad += !names;
	}
	return good > bad;
}

/* `by`: what led here. The known offsets or a table of contexts prove it; *sure: the table does. */
static bool debugger_data_at(struct kernel *k, uint64_t va, const char *by, bool *sure)
{
	uint8_t b[DATA_BYTES];
	uint64_t table;
	unsigned ps = vm_pointer_size(k->vm);

	if (va < k->base || va - k->base >= k->image_size || vm_read(k->vm, va, b, sizeof(b)) < 0)
		return false;
	table = ps == 8 ? le64(b + DATA_TABLE) : le32(b + DATA_TABLE);
	if (!vm_is_kernel(k->vm, table) || table % ps)
		return false;
	*sure = table_holds(k, table);
	if (!*sure && !debugger_data_head(b))
		return false;
	k->debugger_data = va;
	k->debugger_data_by = by;
	return true;
}

/* The first place with the pattern counts, but for one whose table proves it. */
static bool hit_data(struct kernel *k, uint64_t va, const uint8_t *p)
{
	uint64_t first = k->debugger_data;
	bool sure;

	if (!debugger_data_head(p) || !debugger_data_at(k, va, "pattern", &sure))
		return false;
	if (!sure && first)
		k->debugger_data = first;
	return sure;
}

/* Every aligned place of [va, va + len) whose page is there. A head may run over a page's end, hence the overlap. */
static bool scan(struct kernel *k, uint64_t va, uint64_t len, bool (*hit)(struct kernel *, uint64_t, const uint8_t *))
{
	unsigned step = vm_pointer_size(k->vm);
	uint8_t b[PAGE + HEAD_BYTES];

	va &= ~(uint64_t)(step - 1);
	for (uint64_t at = va; at < va + len; at = (at & ~(uint64_t)(PAGE - 1)) + PAGE) {
		size_t n = PAGE - (size_t)(at & (PAGE - 1));

		if (vm_read(k->vm, at, b, n) < 0)
			continue;
		if (vm_read(k->vm, at + n, b + n, HEAD_BYTES) < 0)
			memset(b + n, 0, HEAD_BYTES);
		for (size_t i = 0; i < n; i += step)
			if (hit(k, at + i, b + i))
				return true;
	}
	return false;
}

/* The image's writable sections first, then the others, then all of it: a table of sections may be paged out, or lie. */
static bool scan_image(struct kernel *k, bool (*hit)(struct kernel *, uint64_t, const uint8_t *))
{
	uint64_t va, size;
	bool writable;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < SECTIONS && kimage_section(k->vm, k->base, i, &va, &size, &writable); i++)
			if (writable == (pass == 0) && size && scan(k, va, size, hit))
				return true;
	return scan(k, k->base, k->image_size, hit);
}

void kdbg_find(struct kernel *k, const struct hints *hints)
{
	uint64_t va;

	if (vm_pointer_size(k->vm) == 8) {
		if (hints && hints->has_kdbg && vm_is_kernel(k->vm, hints->kdbg) && take_any(k, hints->kdbg))
			return;
		if (kernel_symbol(k, S_KdDebuggerDataBlock, &va) && take_any(k, va))
			return;
		if (!scan_image(k, hit_kdbg) && !kernel_symbol(k, S_KdDebuggerDataBlock, &va))
			scan_image(k, hit_any_list);
		return;
	}
	/* 32-bit kernels never encode it */
	if (hints && hints->has_kdbg && vm_is_kernel(k->vm, hints->kdbg) && take(k, hints->kdbg, -1))
		return;
	scan_image(k, hit_kdbg);
}

uint64_t kdbg_field(const struct kernel *k, unsigned off)
{
	uint64_t v;

	if (!k->kdbg || off + 8 > k->kdbg_len)
		return 0;
	v = le64(k->kdbg_bytes + off);
	return vm_pointer_size(k->vm) == 4 ? v & UINT32_MAX : v;
}

uint64_t kernel_processor_block(const struct kernel *k)
{
	uint64_t va;

	return kernel_symbol(k, S_KiProcessorBlock, &va) ? va : kdbg_field(k, KDBG_PRCBS);
}

void debugger_data_find(struct kernel *k)
{
	bool sure;
	uint64_t va;

	if (kernel_symbol(k, S_EtwpDebuggerData, &va) && debugger_data_at(k, va, "symbol", &sure))
		return;
	va = kdbg_field(k, KDBG_ETW);
	if (va && debugger_data_at(k, va, "kdbg", &sure))
		return;
	scan_image(k, hit_data);
}

uint64_t kernel_logger_table(const struct kernel *k)
{
	uint64_t va;

	if (!k->debugger_data || kread_ptr_at(k, k->debugger_data + DATA_TABLE, &va) < 0 || !vm_is_kernel(k->vm, va))
		return 0;
	return va;
}

/* The head of a ring whose first entry is System's: UniqueProcessId, which is 4, stands right before ActiveProcessLinks in every known layout. */
static bool hit_process_head(struct kernel *k, uint64_t va, const uint8_t *p)
{
	unsigned ps = vm_pointer_size(k->vm);
	uint64_t first = ps == 8 ? le64(p) : le32(p), last = ps == 8 ? le64(p + 8) : le32(p + 4), pid, back;

	if (!vm_is_kernel(k->vm, first) || !vm_is_kernel(k->vm, last) || first % ps || last % ps || first - k->base < k->image_size)
		return false;
	if (kread_ptr_at(k, first - ps, &pid) < 0 || pid != 4 || kread_ptr_at(k, first + ps, &back) < 0 || back != va ||
	    kread_ptr_at(k, last, &back) < 0 || back != va)
		return false;
	k->claimed_head = va;
	return true;
}

void process_head_find(struct kernel *k)
{
	if (k->head_looked_for || kernel_process_head(k) || kernel_system_process(k))
		return;
	k->head_looked_for = true;
	scan_image(k, hit_process_head);
}
