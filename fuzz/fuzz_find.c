/* fuzz_find.c - the search for the kernel, profiles, processes and handles over hostile page tables and structures: a sound small machine
 * (tests/lib/kworld.c), the input changes words of it.
 *
 * Input: u8 flags (1: unknown GUID, 2: encoded KDBG, 4: root as hint), then changes of 8 bytes: u16 page (number of a page of the memory,
 * page tables first), u16 offset (its low bits are cut), u8 kind, 3 bytes. Kinds: < 0x40 one byte; < 0x80 a word; < 0xa0 a pool pointer; < 0xc0
 * an entry that points to a page of the memory; < 0xe0 a kernel image pointer; else all ones. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kworld.h"
#include "object.h"
#include "process.h"
#include "rd.h"

#define CHANGES_MAX 64
#define KINDS       4

static struct kworld world[KINDS];
static bool made[KINDS];

struct change {
	uint64_t pa, old;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int one_object(void *ctx, const struct object_ref *o)
{
	unsigned *n = ctx;

	(void)o;
	return ++*n > 100000 ? ERR_LIMIT : 0;
}

/* The n-th page of the memory, modulo their number. */
static uint64_t page_at(const struct phys *ph, uint64_t n)
{
	struct phys_run r;

	n %= phys_bytes(ph) / FM_PAGE;
	for (size_t i = 0; phys_run(ph, i, &r); i++) {
		if (n < r.len / FM_PAGE)
			return r.pa + n * FM_PAGE;
		n -= r.len / FM_PAGE;
	}
	return 0;
}

static void change(struct kworld *w, const uint8_t *p, struct change *c)
{
	uint32_t arg = (uint32_t)p[5] | (uint32_t)p[6] << 8 | (uint32_t)p[7] << 16;
	uint64_t v;

	c->pa = page_at(w->phys, le16(p)) + (le16(p + 2) & 0xff8);
	c->old = v = fm_r64(w->fm, c->pa);
	if (p[4] < 0x40)
		v = (v & ~(UINT64_C(0xff) << 8 * (p[4] & 7))) | (uint64_t)p[5] << 8 * (p[4] & 7);
	else if (p[4] < 0x80)
		v = arg;
	else if (p[4] < 0xa0)
		v = KW_POOL + arg;
	else if (p[4] < 0xc0)
		v = page_at(w->phys, arg) | 0x63 | (p[4] & 4 ? 0x80 : 0);
	else if (p[4] < 0xe0)
		v = KW_BASE + arg;
	else
		v = UINT64_MAX;
	fm_w64(w->fm, c->pa, v);
}

static void look(struct kworld *w)
{
	struct process_list l;
	struct kernel *k = NULL;
	unsigned n = 0;

	if (kernel_open(&k, w->phys, &w->hints, &w->opts, &w->notes, &w->e) < 0)
		return;
	if (processes_list(&l, k, NULL) == 0) {
		objects_find(k, &l, "EtwConsumer", one_object, &n);
		processes_free(&l);
	}
	kernel_close(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct change c[CHANGES_MAX];
	struct kworld *w;
	size_t n = 0;

	if (!size)
		return 0;
	w = &world[data[0] & 3];
	if (!made[data[0] & 3]) {
		kw_make(w, data[0] & 1, data[0] & 2);
		w->opts.need_profile = false;
		w->phys = fm_phys(w->fm);
		made[data[0] & 3] = true;
	}
	w->hints.has_dtb = data[0] & 4;
	w->hints.dtb = w->root;
	for (size_t at = 1; at + 8 <= size && n < CHANGES_MAX; at += 8)
		change(w, data + at, &c[n++]);
	look(w);
	while (n--)
		fm_w64(w->fm, c[n].pa, c[n].old);
	notes_free(&w->notes);
	notes_init(&w->notes);
	return 0;
}
