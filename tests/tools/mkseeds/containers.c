/* containers.c - seeds of the containers: three pages of memory in each, and one of each oddity. */
#include "seeds.h"

#include <string.h>
#include <zlib.h>

#include "crc32c.h"
#include "mklayer.h"
#include "rd.h"

#define PAGE 4096u

static void page(struct buf *b, uint8_t v)
{
	uint8_t *p = buf_grow(b, PAGE);

	memset(p, v, 16);
	p[PAGE - 1] = v;
}

static void lime_range(struct buf *b, uint64_t first, uint64_t last)
{
	buf_u32(b, 0x4c694d45);
	buf_u32(b, 1);
	buf_u64(b, first);
	buf_u64(b, last);
	buf_u64(b, 0);
}

static void lime_seeds(const char *dir)
{
	struct buf b;

	buf_init(&b);
	lime_range(&b, 0x1000, 0x1fff);
	page(&b, 1);
	lime_range(&b, 0x100000000, 0x100001fff);
	page(&b, 2);
	page(&b, 3);
	put(dir, "lime", "two-ranges", &b);
	b.n -= 100;
	put(dir, "lime", "cut", &b);
	buf_clear(&b);
	lime_range(&b, 0x3000, 0x3fff);
	page(&b, 1);
	buf_puts(&b, "something else in between");
	lime_range(&b, 0x1000, 0x3fff); /* overlaps, and is longer than the file */
	page(&b, 2);
	buf_fill(&b, 0, 64);
	put(dir, "lime", "resync", &b);
	buf_free(&b);
}

/* One block of snappy frames: a stored chunk, or literals. */
static void avml_block(struct buf *b, uint64_t first, const struct buf *plain, bool packed)
{
	size_t from;

	buf_u32(b, 0x4c4d5641);
	buf_u32(b, 2);
	buf_u64(b, first);
	buf_u64(b, first + plain->n - 1);
	buf_u64(b, 0);
	from = b->n;
	buf_put(b, "\xff\x06\x00\x00sNaPpY", 10);
	if (packed) { /* length, one literal of everything but 100 bytes, a copy */
		struct buf z;
		size_t n = plain->n - 60;

		buf_init(&z);
		buf_u8(&z, (uint8_t)(plain->n | 0x80));
		buf_u8(&z, (uint8_t)(plain->n >> 7));
		buf_u8(&z, 61 << 2);
		buf_u16(&z, (uint16_t)(n - 1));
		buf_put(&z, plain->p, n);
		buf_u8(&z, 59 << 2 | 2);
		buf_u16(&z, 1);
		buf_u32(b, (uint32_t)(z.n + 4) << 8);
		buf_u32(b, crc32c_masked(plain->p, plain->n));
		buf_put(b, z.p, z.n);
		buf_free(&z);
	} else {
		buf_u32(b, (uint32_t)(plain->n + 4) << 8 | 1);
		buf_u32(b, crc32c_masked(plain->p, plain->n));
		buf_put(b, plain->p, plain->n);
	}
	buf_u64(b, b->n - from);
}

static void avml_seeds(const char *dir)
{
	struct buf b, plain;

	buf_init(&b);
	buf_init(&plain);
	page(&plain, 7);
	plain.p[PAGE - 1] = 0;
	avml_block(&b, 0x1000, &plain, true);
	avml_block(&b, 0x100000000, &plain, false);
	put(dir, "avml", "two-blocks", &b);
	b.n -= 200;
	put(dir, "avml", "cut", &b);
	buf_clear(&b);
	avml_block(&b, 0x2000, &plain, false);
	buf_puts(&b, "in between");
	avml_block(&b, 0x2800, &plain, true);
	put(dir, "avml", "resync", &b);
	buf_free(&plain);
	buf_free(&b);
}

static void elf_header(struct buf *b, bool wide, uint16_t n_segments, uint16_t n_sections)
{
	buf_put(b,
		"\x7f"
		"ELF",
		4);
	buf_u8(b, wide ? 2 : 1);
	buf_u8(b, 1);
	buf_u8(b, 1);
	buf_fill(b, 0, 9);
	buf_u16(b, 4);
	buf_u16(b, wide ? 62 : 3);
	buf_u32(b, 1);
	for (int i = 0; i < 3; i++) { /* entry, phoff, shoff */
		uint64_t v = i == 0 ? 0 : i == 1 ? (wide ? 64 : 52) : n_sections ? (wide ? 64u : 52u) + n_segments * (wide ? 56u : 32u) : 0;

		if (wide)
			buf_u64(b, v);
		else
			buf_u32(b, (uint32_t)v);
	}
	buf_u32(b, 0);
	buf_u16(b, wide ? 64 : 52);
	buf_u16(b, wide ? 56 : 32);
	buf_u16(b, n_segments);
	buf_u16(b, wide ? 64 : 40);
	buf_u16(b, n_sections);
	buf_u16(b, n_sections ? (uint16_t)(n_sections - 1) : 0);
}

static void elf_segment(struct buf *b, bool wide, uint32_t type, uint64_t off, uint64_t pa, uint64_t size)
{
	const uint64_t v[] = {off, 0, pa, size, type == 1 ? size : 0};

	buf_u32(b, type);
	if (wide)
		buf_u32(b, 0);
	for (int i = 0; i < 5; i++)
		if (wide)
			buf_u64(b, v[i]);
		else
			buf_u32(b, (uint32_t)v[i]);
	if (wide)
		buf_u64(b, 0);
	else
		buf_u64(b, 0);
}

static void elf_section(struct buf *b, uint32_t name, uint64_t off, uint64_t size)
{
	buf_u32(b, name);
	buf_u32(b, 1);
	buf_u64(b, 0);
	buf_u64(b, 0);
	buf_u64(b, off);
	buf_u64(b, size);
	buf_fill(b, 0, 24);
}

static void qemu_note(struct buf *b)
{
	uint8_t *d;

	buf_u32(b, 5);
	buf_u32(b, 0x1b8);
	buf_u32(b, 0);
	buf_put(b, "QEMU\0\0\0", 8);
	d = buf_grow(b, 0x1b8);
	put_le32(d, 1);
	put_le32(d + 4, 0x1b8);
	put_le64(d + 416, 0x1000);
}

static void elf_seeds(const char *dir)
{
	static const char names[] = "\0.xen_pages\0.xen_pfn\0.xen_p2m\0.shstrtab";
	struct buf b;

	buf_init(&b);
	for (int wide = 0; wide < 2; wide++) {
		uint64_t at = wide ? 64 + 3 * 56 : 52 + 3 * 32;

		buf_clear(&b);
		elf_header(&b, wide, 3, 0);
		elf_segment(&b, wide, 4, at, 0, 20 + 0x1b8);
		elf_segment(&b, wide, 1, at + 20 + 0x1b8, 0, 2 * PAGE);
		elf_segment(&b, wide, 1, at + 20 + 0x1b8 + 2 * PAGE, 0x100000, PAGE);
		qemu_note(&b);
		page(&b, 1);
		page(&b, 2);
		page(&b, 3);
		put(dir, "elf", wide ? "qemu64" : "qemu32", &b);
	}
	buf_clear(&b); /* Xen: no segment, sections */
	elf_header(&b, true, 0, 4);
	elf_section(&b, 0, 0, 0);
	elf_section(&b, 1, 320 + 24 + sizeof(names), 3 * PAGE);
	elf_section(&b, 12, 320, 24);
	elf_section(&b, 30, 344, sizeof(names));
	buf_u64(&b, 5);
	buf_u64(&b, UINT64_MAX);
	buf_u64(&b, 0x100);
	buf_put(&b, names, sizeof(names));
	page(&b, 1);
	page(&b, 2);
	page(&b, 3);
	put(dir, "elf", "xen", &b);
	buf_clear(&b); /* WinPmem 1 */
	elf_header(&b, true, 2, 0);
	elf_segment(&b, true, 0x6d656d70, 64 + 112, 0, 16);
	elf_segment(&b, true, 1, 64 + 112 + 16, 0x2000, PAGE);
	buf_put(&b, "CR3: 0x1ab000\n#\n", 16);
	page(&b, 1);
	put(dir, "elf", "winpmem", &b);
	buf_free(&b);
}

/* Three pages: zlib, stored, and one that shares the first one's bytes; two bitmaps. */
static void kdump_file(struct buf *b)
{
	struct buf plain;
	uint8_t *h, z[8192];
	uLongf n = sizeof(z);

	buf_init(&plain);
	page(&plain, 9);
	compress2(z, &n, plain.p, PAGE, 9);
	h = buf_grow(b, 4 * PAGE);
	memcpy(h, "KDUMP   ", 8);
	put_le32(h + 8, 6);
	put_le32(h + 0x1ac, PAGE);
	put_le32(h + 0x1b0, 1);
	put_le32(h + 0x1b4, 2);
	put_le32(h + 0x1b8, 64);
	put_le64(h + PAGE + 96, 64);
	h[2 * PAGE] = h[3 * PAGE] = 0x16; /* pages 1, 2, 4 */
	for (int i = 0; i < 3; i++) {
		buf_u64(b, 4 * PAGE + 72 + (i == 1 ? n : 0));
		buf_u32(b, i == 1 ? PAGE : (uint32_t)n);
		buf_u32(b, i != 1);
		buf_u64(b, 0);
	}
	buf_put(b, z, n);
	buf_put(b, plain.p, PAGE);
	buf_free(&plain);
}

static void be64b(struct buf *b, uint64_t v)
{
	for (int i = 7; i >= 0; i--)
		buf_u8(b, (uint8_t)(v >> (8 * i)));
}

static void kdump_seeds(const char *dir)
{
	struct buf b, flat;

	buf_init(&b);
	buf_init(&flat);
	kdump_file(&b);
	put(dir, "kdump", "in-order", &b);
	buf_puts(&flat, "makedumpfile");
	buf_fill(&flat, 0, 4);
	be64b(&flat, 1);
	be64b(&flat, 1);
	buf_fill(&flat, 0, PAGE - 32);
	be64b(&flat, 5000); /* the end first, then the beginning over it */
	be64b(&flat, b.n - 5000);
	buf_put(&flat, b.p + 5000, b.n - 5000);
	be64b(&flat, 0);
	be64b(&flat, 6000);
	buf_put(&flat, b.p, 6000);
	be64b(&flat, UINT64_MAX);
	be64b(&flat, UINT64_MAX);
	put(dir, "kdump", "flattened", &flat);
	b.n -= 5000;
	put(dir, "kdump", "cut", &b);
	buf_free(&b);
	buf_free(&flat);
}

static void qevm_section(struct buf *b, uint8_t type, uint8_t id, const char *name)
{
	buf_u8(b, type);
	buf_put(b, "\0\0\0", 3);
	buf_u8(b, id);
	if (name) {
		buf_u8(b, (uint8_t)strlen(name));
		buf_puts(b, name);
		buf_put(b, "\0\0\0\0\0\0\0\4", 8);
	}
}

/* Parts of the configuration, and a packed page. */
static void qevm_packed(const char *dir)
{
	uint8_t packed[256];
	uLongf n = sizeof(packed);
	struct buf b, plain;

	buf_init(&b);
	buf_init(&plain);
	page(&plain, 7);
	compress(packed, &n, plain.p, PAGE);
	buf_put(&b, "QEVM\0\0\0\3\7\0\0\0\2pc", 15);
	buf_put(&b,
		"\5\x1a"
		"configuration/capabilities\0\0\0\1\0\0\0\1\3abc",
		40);
	buf_put(&b,
		"\5\x13"
		"configuration/later\0\0\0\1?",
		26);
	buf_put(&b,
		"\5\x1e"
		"configuration/target-page-bits\0\0\0\1\0\0\0\xc",
		40);
	qevm_section(&b, 1, 2, "ram");
	be64b(&b, 0x3000 | 4);
	buf_puts(&b, "\6pc.ram");
	be64b(&b, 0x3000);
	for (unsigned i = 0; i < 3; i++) {
		be64b(&b, i * PAGE | (i ? 0x120 : 0x100));
		if (i == 0)
			buf_puts(&b, "\6pc.ram");
		buf_put(&b, "\0\0\0", 3);
		buf_u8(&b, (uint8_t)n);
		buf_put(&b, packed, n);
		if (i == 1)
			b.p[b.n - 9] ^= 1;
	}
	be64b(&b, 0x10);
	put(dir, "qevm", "packed", &b);
	buf_free(&b);
	buf_free(&plain);
}

/* Pages at fixed places: eight of memory, four of them written; then a smaller block. In front of it, or not, libvirt's header, from which offsets count. */
static void qevm_mapped(const char *dir, bool libvirt)
{
	struct buf b;
	uint64_t at;

	buf_init(&b);
	if (libvirt) {
		buf_puts(&b, "LibvirtQemudSave");
		buf_u32(&b, 2);
		buf_u32(&b, 100);
		buf_u32(&b, 0);
		buf_u32(&b, 6); /* "sparse" */
		buf_fill(&b, 0, 92 - 32 + 100);
	}
	buf_put(&b, "QEVM\0\0\0\3\7\0\0\0\2pc", 15);
	buf_put(&b,
		"\5\x1a"
		"configuration/capabilities\0\0\0\1\0\0\0\1\12mapped-ram",
		47);
	qevm_section(&b, 1, 2, "ram");
	be64b(&b, 0x9000 | 4);
	for (unsigned i = 0; i < 2; i++) {
		buf_puts(&b, i ? "\4vram" : "\6pc.ram");
		be64b(&b, i ? 0x1000 : 0x8000);
		at = b.n + 28;
		buf_put(&b, "\0\0\0\1", 4);
		be64b(&b, PAGE);
		be64b(&b, at);
		be64b(&b, (at + 8 + PAGE - 1) / PAGE * PAGE);
		buf_u8(&b, i ? 0 : 0x55);
		buf_fill(&b, 0, PAGE - b.n % PAGE);
		for (unsigned k = 0; k < (i ? 1 : 8); k++)
			page(&b, k);
	}
	be64b(&b, 0x10);
	qevm_section(&b, 0x7e, 2, NULL);
	buf_u8(&b, 0);
	put(dir, "qevm", libvirt ? "libvirt-sparse" : "mapped", &b);
	buf_free(&b);
}

static void qevm_seeds(const char *dir)
{
	struct buf b, l;

	buf_init(&b);
	buf_init(&l);
	buf_put(&b, "QEVM\0\0\0\3\7\0\0\0\2pc", 15);
	qevm_section(&b, 1, 2, "ram");
	be64b(&b, 0x5000 | 4);
	buf_puts(&b, "\6pc.ram");
	be64b(&b, 0x4000);
	buf_puts(&b, "\7pc.bios");
	be64b(&b, 0x1000);
	be64b(&b, 0x10);
	qevm_section(&b, 0x7e, 2, NULL);
	qevm_section(&b, 1, 3, "other");
	buf_puts(&b, "what it likes");
	qevm_section(&b, 0x7e, 3, NULL);
	qevm_section(&b, 3, 2, NULL);
	be64b(&b, 0x1000 | 8);
	buf_puts(&b, "\6pc.ram");
	page(&b, 5);
	be64b(&b, 0x2000 | 0x22);
	buf_u8(&b, 0xaa);
	be64b(&b, 0x1000 | 0x28); /* the same page again */
	page(&b, 6);
	be64b(&b, 0x10);
	qevm_section(&b, 0x7e, 2, NULL);
	buf_u8(&b, 0);
	put(dir, "qevm", "stream", &b);
	qevm_packed(dir);
	qevm_mapped(dir, false);
	qevm_mapped(dir, true);
	buf_puts(&l, "LibvirtQemudSave");
	buf_u32(&l, 2);
	buf_u32(&l, 4);
	buf_fill(&l, 0, 92 - 24);
	buf_puts(&l, "<d/>");
	buf_put(&l, b.p, b.n);
	put(dir, "qevm", "libvirt", &l);
	l.n = 92 + 4;
	put_le32(l.p + 28, 4); /* save_image_format = "lzop" */
	if (mklayer(&l, "lzop", b.p, b.n))
		put(dir, "qevm", "libvirt-lzop", &l);
	buf_free(&b);
	buf_free(&l);
}

void container_seeds(const char *dir)
{
	lime_seeds(dir);
	elf_seeds(dir);
	avml_seeds(dir);
	kdump_seeds(dir);
	qevm_seeds(dir);
}
