/* cont_elf.c - ELF cores: as QEMU's dump-guest-memory writes them (section headers in front, notes of each processor, segments whose file offsets
 * are no multiple of a page), VirtualBox's debugger core, WinPmem 1, and Xen's dump-core. Layouts: docs/formats/elf.md. */
#include <string.h>

#include "container.h"
#include "rd.h"

#define NOTE_BYTES (12 + 8 + 0x1b8u) /* name "QEMU" and its padding */

static void note(struct winimg *w, uint8_t p[NOTE_BYTES])
{
	uint8_t *d = p + 20;

	memset(p, 0, NOTE_BYTES);
	put_le32(p, 5);
	put_le32(p + 4, 0x1b8);
	memcpy(p + 12, "QEMU", 5);
	put_le32(d, 1);
	put_le32(d + 4, 0x1b8);
	put_le64(d + 416, container_root(w));
	put_le64(d + 424, 0x6f8); /* CR4: PAE and what goes with it */
}

static void segment(uint8_t p[56], uint32_t type, uint64_t off, uint64_t pa, uint64_t size)
{
	memset(p, 0, 56);
	put_le32(p, type);
	put_le64(p + 8, off);
	put_le64(p + 24, pa);
	put_le64(p + 32, size);
	put_le64(p + 40, type == 1 ? size : 0);
}

static uint16_t machine_of(const struct winimg *w)
{
	return w->ps == 4 ? 3 : w->m.arch == WM_ARM64 ? 183 : 62;
}

static void elf_header(uint8_t h[64], uint16_t machine, unsigned phnum)
{
	memset(h, 0, 64);
	memcpy(h,
	       "\x7f"
	       "ELF\2\1\1",
	       7);
	put_le16(h + 16, 4);
	put_le16(h + 18, machine);
	put_le32(h + 20, 1);
	put_le64(h + 32, phnum ? 64 : 0);
	put_le16(h + 52, 64);
	put_le16(h + 54, 56);
	put_le16(h + 56, (uint16_t)phnum);
	put_le16(h + 58, 64);
}

static bool put_runs(struct winimg *w, FILE *f)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);
	bool ok = true;

	for (unsigned r = 0; ok && r < n; r++)
		for (uint64_t i = 0; ok && i < count[r]; i++)
			ok = container_put_page(f, wm_peek(&w->m, container_frame(&w->m, r, i)));
	return ok;
}

bool cont_elf(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2], off;
	unsigned n = container_runs(&w->m, first, count), cpus = w->o.cpus;
	uint8_t head[64 + 64 + 3 * 56] = "\x7f"
					 "ELF\2\1\1",
				   p[NOTE_BYTES];
	bool ok;

	(void)path;
	put_le16(head + 16, 4);
	put_le16(head + 18, machine_of(w)); /* a processor that is not in long mode: EM_386 in ELFCLASS64 */
	put_le32(head + 20, 1);
	put_le64(head + 32, 128); /* program headers behind one section header */
	put_le64(head + 40, 64);
	put_le16(head + 52, 64);
	put_le16(head + 54, 56);
	put_le16(head + 56, (uint16_t)(n + 1));
	put_le16(head + 58, 64);
	put_le16(head + 60, 1);
	off = 128 + (n + 1) * 56;
	segment(head + 128, 4, off, 0, (uint64_t)cpus * NOTE_BYTES);
	off += (uint64_t)cpus * NOTE_BYTES;
	for (unsigned r = 0; r < n; r++) {
		segment(head + 128 + 56 * (r + 1), 1, off, first[r] * WM_PAGE, count[r] * WM_PAGE);
		off += count[r] * WM_PAGE;
	}
	ok = fwrite(head, 1, 128 + (n + 1) * 56, f) == 128 + (n + 1) * 56;
	note(w, p);
	for (unsigned i = 0; ok && i < cpus; i++)
		ok = fwrite(p, 1, sizeof(p), f) == sizeof(p);
	return ok && put_runs(w, f);
}

/* ---- VirtualBox's `debugvm dumpvmcore` ------------------------------------------------------------------------------------------ */

#define VBOX_CORE 24
#define VBOX_CPU  0x250 /* as far as the registers go; a real one has the FPU's state behind them */

/* The name with its NUL and padding takes 8 bytes. */
static void vbox_note(uint8_t *p, const char *name, uint32_t type, uint32_t n)
{
	size_t len = strlen(name);

	put_le32(p, (uint32_t)len);
	put_le32(p + 4, n);
	put_le32(p + 8, type);
	memcpy(p + 12, name, len);
}

bool cont_elf_virtualbox(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2], off;
	unsigned n = container_runs(&w->m, first, count), cpus = w->o.cpus;
	uint8_t head[64 + 4 * 56], core[20 + VBOX_CORE] = {0}, cpu[20 + VBOX_CPU] = {0}, *c = cpu + 20;
	size_t head_n = 64 + (n + 2) * 56;
	bool ok;

	(void)path;
	elf_header(head, 62, n + 2); /* the host's */
	off = head_n + sizeof(core) + cpus * sizeof(cpu);
	segment(head + 64, 4, head_n, 0, sizeof(core) + cpus * sizeof(cpu));
	for (unsigned r = 0; r < n; r++) {
		segment(head + 64 + 56 * (r + 1), 1, off, first[r] * WM_PAGE, count[r] * WM_PAGE);
		off += count[r] * WM_PAGE;
	}
	segment(head + 64 + 56 * (n + 1), 1, off, 0xe0000000, 0); /* a device's memory: in the table, not in the file */
	put_le64(head + 64 + 56 * (n + 1) + 40, 0x800000);
	vbox_note(core, "VBCORE", 0xb00, VBOX_CORE);
	put_le32(core + 20, 0xc01ac0de);
	put_le32(core + 24, 0x00010006);
	put_le32(core + 28, VBOX_CORE);
	put_le32(core + 32, 6 << 24 | 1 << 16 | 50);
	put_le32(core + 40, cpus);
	vbox_note(cpu, "VBCPU", 0xb01, VBOX_CPU);
	put_le64(c + 0x120, 0x80050033);
	put_le64(c + 0x130, container_root(w));
	put_le64(c + 0x138, 0x6f8);
	ok = fwrite(head, 1, head_n, f) == head_n && fwrite(core, 1, sizeof(core), f) == sizeof(core);
	for (unsigned i = 0; ok && i < cpus; i++)
		ok = fwrite(cpu, 1, sizeof(cpu), f) == sizeof(cpu);
	return ok && put_runs(w, f);
}

/* ---- WinPmem 1: segments in any order, a text about the machine at the end --------------------------------------------------------------------- */

bool cont_elf_winpmem1(struct winimg *w, FILE *f, const char *path)
{
	uint64_t first[2], count[2], off;
	unsigned n = container_runs(&w->m, first, count);
	uint8_t head[64 + 3 * 56];
	size_t head_n = 64 + (n + 1) * 56;
	char text[200];
	int text_n = snprintf(text, sizeof(text), "# PMEM\n---\nPreviousHeader: 0x0\nCR3: 0x%llx\nNtBuildNumber: 0x1\n...\n",
			      (unsigned long long)container_root(w));

	(void)path;
	elf_header(head, machine_of(w), n + 1);
	off = head_n;
	for (unsigned r = 0; r < n; r++) {
		segment(head + 64 + 56 * r, 1, off, first[r] * WM_PAGE, count[r] * WM_PAGE);
		off += count[r] * WM_PAGE;
	}
	segment(head + 64 + 56 * n, 0x6d656d70, off, 0, (uint64_t)text_n);
	return fwrite(head, 1, head_n, f) == head_n && put_runs(w, f) && fwrite(text, 1, (size_t)text_n, f) == (size_t)text_n;
}

/* ---- Xen: sections, pages in the order of a table, some entries without a page ------------------------------------------------------------------ */

#define XEN_HOLE UINT64_MAX

static uint64_t xen_entries(struct winimg *w, FILE *f, bool p2m)
{
	uint64_t first[2], count[2], total = 0;
	unsigned n = container_runs(&w->m, first, count);
	uint8_t e[16];

	for (unsigned r = 0; r < n; r++)
		for (uint64_t i = 0; i < count[r]; i++, total++) {
			bool there = i % 8 || wm_peek(&w->m, container_frame(&w->m, r, i)); /* no hole but in pages of zeros */

			put_le64(e, there ? first[r] + i : XEN_HOLE);
			put_le64(e + 8, there ? 0x100000 + total : XEN_HOLE);
			if (f && fwrite(e, 1, p2m ? 16 : 8, f) != (p2m ? 16u : 8u))
				return 0;
		}
	return total;
}

static void xen_section(uint8_t p[64], uint32_t name, uint32_t type, uint64_t off, uint64_t size, uint64_t entry)
{
	memset(p, 0, 64);
	put_le32(p, name);
	put_le32(p + 4, type);
	put_le64(p + 24, off);
	put_le64(p + 32, size);
	put_le64(p + 56, entry);
}

static bool write_xen(struct winimg *w, FILE *f, bool p2m)
{
	static const char pfn_names[] = "\0.shstrtab\0.note.Xen\0.xen_pages\0.xen_pfn",
			  p2m_names[] = "\0.shstrtab\0.note.Xen\0.xen_pages\0.xen_p2m";
	const char *names = p2m ? p2m_names : pfn_names;
	uint64_t total = xen_entries(w, NULL, p2m), entry = p2m ? 16 : 8, pages;
	uint8_t head[64 + 5 * 64], fill[WM_PAGE] = {0};
	size_t names_n = sizeof(pfn_names), front = sizeof(head) + names_n;
	bool ok;

	pages = (front + WM_PAGE - 1) / WM_PAGE * WM_PAGE;
	elf_header(head, 62, 0);
	put_le64(head + 40, 64);
	put_le16(head + 54, 0);
	put_le16(head + 60, 5);
	put_le16(head + 62, 1);
	xen_section(head + 64, 0, 0, 0, 0, 0);
	xen_section(head + 128, 1, 3, sizeof(head), names_n, 0);
	xen_section(head + 192, 11, 7, pages, 0, 0);
	xen_section(head + 256, 21, 1, pages, total * WM_PAGE, WM_PAGE);
	xen_section(head + 320, 32, 1, pages + total * WM_PAGE, total * entry, entry);
	ok = fwrite(head, 1, sizeof(head), f) == sizeof(head) && fwrite(names, 1, names_n, f) == names_n &&
	     fwrite(fill, 1, (size_t)(pages - front), f) == pages - front;
	return ok && put_runs(w, f) && xen_entries(w, f, p2m) == total;
}

bool cont_xen(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_xen(w, f, false);
}

bool cont_xen_p2m(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_xen(w, f, true);
}
