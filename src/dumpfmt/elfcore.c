/* elfcore.c - ELF core files of whole machines: QEMU and libvirt (dump-guest-memory, virsh dump --memory-only), VirtualBox, VMware's vmss2core,
 * WinPmem 1. Xen's dump-core has sections instead of segments: xencore.c. Both classes, little endian. Facts: docs/formats/elf.md. */
#include "elfcore.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "crash.h"
#include "dumpfmt.h"
#include "rd.h"
#include "xencore.h"

#define PHDRS_MAX    (1u << 20)
#define NOTES_BYTES  (16u << 20) /* of all notes that are read */
#define PT_LOAD      1u
#define PT_NOTE      4u
#define PT_PMEM      0x6d656d70u /* WinPmem 1: text about the machine */
#define PMEM_BYTES   65536u
#define CRASH_HEADER 0x2000u
#define QEMU_CPU     0x1b8u
#define VBOX_CPU     0x220u /* of VirtualBox's note: as far as it is read */
#define CR0_PAGING   0x80000001u
#define PA_MAX       (UINT64_C(1) << 52)

struct elf {
	struct dump *d;
	bool wide; /* ELFCLASS64 */
	uint16_t machine;
	uint64_t phoff;
	uint32_t phnum, phentsize;
	struct xen_header sections;
	size_t loads, zero_loads;
};

struct segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 20 &&
	       memcmp(head,
		      "\x7f"
		      "ELF",
		      4) == 0 &&
	       head[5] == 1 && le16(head + 16) == 4;
}

/* ---- headers ------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t segment_bytes(const struct elf *x)
{
	return x->wide ? 56 : 32;
}

static bool read_segment(const struct elf *x, uint32_t i, struct segment *s)
{
	uint8_t p[56] = {0};
	uint32_t need = segment_bytes(x);

	if (input_read_all(x->d->in, x->phoff + (uint64_t)i * need, p, need, NULL) < 0)
		return false;
	if (x->wide)
		*s = (struct segment){le32(p), le64(p + 8), le64(p + 16), le64(p + 24), le64(p + 32), le64(p + 40)};
	else
		*s = (struct segment){le32(p), le32(p + 4), le32(p + 8), le32(p + 12), le32(p + 16), le32(p + 20)};
	return true;
}

/* The number of segments where 16 bits don't hold it: sh_info of section 0 (PN_XNUM). */
static void more_segments(struct elf *x)
{
	uint8_t p[4];

	if (x->phnum == 0xffff && x->sections.shoff && input_read_all(x->d->in, x->sections.shoff + (x->wide ? 44 : 28), p, 4, NULL) == 0)
		x->phnum = le32(p);
}

static int read_header(struct elf *x, struct err *e)
{
	uint8_t h[64] = {0};

	if (input_read_all(x->d->in, 0, h, 52, e) < 0)
		return ERR_TRUNC;
	x->wide = h[4] == 2;
	if (x->wide && input_read_all(x->d->in, 0, h, 64, e) < 0)
		return ERR_TRUNC;
	x->machine = le16(h + 18);
	x->phoff = x->wide ? le64(h + 32) : le32(h + 28);
	x->phentsize = le16(h + (x->wide ? 54 : 42));
	x->phnum = le16(h + (x->wide ? 56 : 44));
	x->sections = (struct xen_header){x->wide, x->wide ? le64(h + 40) : le32(h + 32), le16(h + (x->wide ? 60 : 48)),
					  le16(h + (x->wide ? 58 : 46)), le16(h + (x->wide ? 62 : 50))};
	more_segments(x);
	if (x->phnum && x->phentsize != segment_bytes(x))
		notes_add(x->d->notes, &NOTE(NOTE_CONTEXT_BAD), "elf: segments of %u bytes in the table: read as %u", x->phentsize,
			  segment_bytes(x));
	if (x->phnum > PHDRS_MAX) {
		notes_add(x->d->notes, &NOTE(NOTE_LIMIT_REACHED), "elf: %u segments; only %u are read", x->phnum, PHDRS_MAX);
		x->phnum = PHDRS_MAX;
	}
	return 0;
}

/* ---- notes: processors, a Windows dump header ---------------------------------------------------------------------------------------------- */

/* QEMU's note of a processor: registers as docs/formats/elf.md lists them. */
static void qemu_cpu(struct dump *d, const uint8_t *p, uint32_t n)
{
	struct hint_cpu *c;

	if (n < QEMU_CPU || le32(p) != 1 || le32(p + 4) < QEMU_CPU)
		return;
	c = hints_add_cpu(&d->hints);
	if (!c)
		return;
	c->idt_base = le64(p + 384);
	c->has_idt = c->idt_base != 0;
	c->cr3 = le64(p + 416);
	c->has_cr3 = c->cr3 != 0;
	c->cr4 = le64(p + 424);
	c->has_cr4 = true;
	c->kernel_gs_base = le64(p + 432);
	c->has_kernel_gs = c->kernel_gs_base != 0;
}

/* VirtualBox's note of a processor: DBGFCORECPU, docs/formats/elf.md. Its first versions held other bytes here: what can't be CR0 tells them. */
static void vbox_cpu(struct dump *d, const uint8_t *p, uint32_t n)
{
	struct hint_cpu *c;

	if (n < VBOX_CPU || le64(p + 0x120) >> 32 || (le64(p + 0x120) & CR0_PAGING) != CR0_PAGING)
		return;
	c = hints_add_cpu(&d->hints);
	if (!c)
		return;
	c->cr3 = le64(p + 0x130);
	c->has_cr3 = c->cr3 != 0;
	c->cr4 = le64(p + 0x138);
	c->has_cr4 = true;
	c->idt_base = le64(p + 0x190);
	c->has_idt = c->idt_base != 0;
	c->kernel_gs_base = le64(p + 0x218);
	c->has_kernel_gs = c->kernel_gs_base != 0;
}

/* VMCOREINFO from a Windows guest with its driver: a note header, then the DUMP_HEADER64. */
void elfcore_vmcoreinfo(struct dump *d, const uint8_t *p, uint32_t n)
{
	for (uint32_t at = 0; at + CRASH_HEADER <= n && at <= 64; at += 4)
		if (memcmp(p + at, "PAGEDU64", 8) == 0) {
			crash64_hints(&d->hints, p + at);
			return;
		}
}

static void one_note(struct dump *d, const char *name, uint32_t name_n, uint32_t type, const uint8_t *desc, uint32_t n)
{
	if (name_n >= 4 && memcmp(name, "QEMU", 4) == 0 && type == 0)
		qemu_cpu(d, desc, n);
	else if (name_n >= 5 && memcmp(name, "VBCPU", 5) == 0 && type == 0xb01)
		vbox_cpu(d, desc, n);
	else if (name_n >= 10 && memcmp(name, "VMCOREINFO", 10) == 0)
		elfcore_vmcoreinfo(d, desc, n);
}

void elfcore_notes(struct dump *d, const uint8_t *p, uint32_t n)
{
	uint32_t at = 0;

	while (n - at >= 12) {
		uint32_t name_n = le32(p + at), desc_n = le32(p + at + 4), type = le32(p + at + 8);
		uint64_t desc = (uint64_t)at + 12 + (((uint64_t)name_n + 3) & ~UINT64_C(3)),
			 next = desc + (((uint64_t)desc_n + 3) & ~UINT64_C(3));

		if (desc + desc_n > n)
			break;
		one_note(d, (const char *)p + at + 12, name_n, type, p + desc, desc_n);
		if (next >= n)
			break;
		at = (uint32_t)next;
	}
}

static void read_notes(struct elf *x, const struct segment *s)
{
	uint32_t n = s->filesz > NOTES_BYTES ? NOTES_BYTES : (uint32_t)s->filesz;
	uint8_t *p = malloc(n ? n : 1);
	int64_t got = p ? input_read(x->d->in, s->offset, p, n, NULL) : 0;

	if (got > 0)
		elfcore_notes(x->d, p, (uint32_t)got);
	free(p);
}

/* "CR3: 0x1ab000" in WinPmem's text. */
static void read_pmem(struct elf *x, const struct segment *s)
{
	char t[PMEM_BYTES + 1];
	int64_t n = input_read(x->d->in, s->offset, t, s->filesz < PMEM_BYTES ? (size_t)s->filesz : PMEM_BYTES, NULL);
	const char *at;

	if (n <= 0)
		return;
	t[n] = 0;
	at = strstr(t, "CR3:");
	if (at) {
		x->d->hints.dtb = strtoull(at + 4, NULL, 0) & ~UINT64_C(0xfff);
		x->d->hints.has_dtb = x->d->hints.dtb != 0;
		hints_add_cr3(&x->d->hints, x->d->hints.dtb);
	}
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------------------- */

struct loads { /* the segments of memory, and where in the file each begins, ascending */
	struct segment *v;
	size_t n, cap;
	struct begin {
		uint64_t offset, paddr;
	} * begins;
};

static int push_load(struct loads *l, const struct segment *s, struct err *e)
{
	void *arr = l->v;

	if (s->filesz == 0)
		return 0;
	if (arr_reserve(&arr, &l->cap, l->n, sizeof(*l->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->v = arr;
	l->v[l->n++] = *s;
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct begin *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The first segment whose bytes begin behind `offset`; NULL: none. */
static const struct begin *next_load(const struct loads *l, uint64_t offset)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->begins[mid].offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n ? &l->begins[lo] : NULL;
}

/* Bytes of a segment that can be its own. A claim past the end of the file, or over addresses of a segment whose bytes stand inside of it, is a lie when another
 * one's bytes stand inside of it; the end of the file alone only says that the file was cut. */
static uint64_t own_bytes(struct elf *x, const struct loads *l, const struct segment *s)
{
	uint64_t size = input_size(x->d->in), n = s->filesz;
	const struct begin *next = next_load(l, s->offset);

	if (s->memsz && n > s->memsz)
		n = s->memsz;
	if (next && next->offset - s->offset < n && next->offset < size &&
	    (s->offset + n < n || s->offset + n > size || (next->paddr > s->paddr && next->paddr - s->paddr < n)))
		n = next->offset - s->offset;
	if (n < s->filesz)
		notes_add(x->d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, s->paddr, 0),
			  "elf: the segment of 0x%llx claims %llu bytes: %llu can be its own", (unsigned long long)s->paddr,
			  (unsigned long long)s->filesz, (unsigned long long)n);
	return n;
}

static int add_loads(struct elf *x, struct loads *l, struct err *e)
{
	int rc = 0;

	l->begins = malloc((l->n ? l->n : 1) * sizeof(*l->begins));
	if (!l->begins)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < l->n; i++)
		l->begins[i] = (struct begin){l->v[i].offset, l->v[i].paddr};
	qsort(l->begins, l->n, sizeof(*l->begins), by_offset);
	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		const struct segment *s = &l->v[i];

		x->loads++;
		x->zero_loads += s->paddr == 0 && s->vaddr != 0;
		if (s->paddr >= PA_MAX) {
			notes_add(x->d->notes, &NOTE(NOTE_PAGE_MISSING), "elf: a segment of physical address 0x%llx, which no machine has",
				  (unsigned long long)s->paddr);
			continue;
		}
		rc = phys_add_file(x->d->phys, s->paddr, own_bytes(x, l, s), x->d->in, s->offset, e);
	}
	return rc;
}

/* A segment of memory whose bytes stand in the file, behind its own place in the table. */
static bool sound_load(const struct elf *x, uint32_t i, const struct segment *s)
{
	uint64_t size = input_size(x->d->in), end = x->phoff + (uint64_t)(i + 1) * segment_bytes(x);

	return s->type == PT_LOAD && s->filesz && s->offset >= end && s->offset < size && s->filesz <= size - s->offset &&
	       s->paddr < PA_MAX && s->filesz <= s->memsz && s->memsz - s->filesz < PA_MAX;
}

static int take_segment(struct elf *x, struct loads *l, const struct segment *s, struct err *e)
{
	if (s->type == PT_LOAD)
		return push_load(l, s, e);
	if (s->type == PT_NOTE)
		read_notes(x, s);
	else if (s->type == PT_PMEM)
		read_pmem(x, s);
	return 0;
}

static int segments(struct elf *x, struct err *e)
{
	struct loads l = {0};
	struct segment s;
	uint64_t first = UINT64_MAX; /* where the first bytes of a segment stand: the table ends before */
	uint32_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < x->phnum; i++) {
		if (!read_segment(x, i, &s)) {
			notes_add(x->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "elf: the table of segments ends at %u of %u", i, x->phnum);
			break;
		}
		if (s.filesz && s.offset < first)
			first = s.offset;
		rc = take_segment(x, &l, &s, e);
	}
	for (; rc == 0 && x->phoff && i >= x->phnum && i < PHDRS_MAX && read_segment(x, i, &s) && sound_load(x, i, &s); i++) {
		first = s.offset < first ? s.offset : first;
		if (x->phoff + (uint64_t)(i + 1) * segment_bytes(x) > first)
			break;
		rc = push_load(&l, &s, e);
	}
	if (i > x->phnum)
		notes_add(x->d->notes, &NOTE(NOTE_CONTEXT_BAD), "elf: the header tells %u segments: %u are there", x->phnum, i);
	if (rc == 0)
		rc = add_loads(x, &l, e);
	free(l.v);
	free(l.begins);
	return rc;
}

static void take_machine(struct elf *x)
{
	struct hints *h = &x->d->hints;

	if (h->machine != MACHINE_UNKNOWN)
		return;
	if (x->machine == 62)
		h->machine = MACHINE_X64;
	else if (x->machine == 183)
		h->machine = MACHINE_ARM64;
	/* 3 (EM_386) says nothing: QEMU writes it for a processor that is not in long mode at the moment */
}

static int open_elfcore(struct dump *d, struct err *e)
{
	struct elf x = {.d = d};
	uint64_t xen_pages = 0, xen_placed = 0;
	int rc = read_header(&x, e);

	if (rc == 0)
		rc = segments(&x, e);
	if (rc == 0 && !x.loads)
		rc = xencore_pages(d, &x.sections, &xen_pages, &xen_placed, e);
	if (rc < 0)
		return rc;
	if (!x.loads && !xen_placed && xen_pages)
		return err_set(e, ERR_TRUNC,
			       "a Xen dump-core that is cut before its table of frames: where its %llu pages belong is not known",
			       (unsigned long long)xen_pages);
	if (!x.loads && !xen_placed)
		return err_set(e, ERR_TRUNC, "an ELF core without memory in it");
	if (x.loads > 1 && x.zero_loads == x.loads)
		return err_set(e, ERR_NOIMAGE, "an ELF core of a process, not of a machine");
	take_machine(&x);
	return 0;
}

const struct dumpfmt dumpfmt_elfcore = {"elf-core", probe, open_elfcore, NULL};
