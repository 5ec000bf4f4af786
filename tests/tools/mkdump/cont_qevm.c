/* cont_qevm.c - a QEMU migration stream, alone and behind libvirt's header. The machine is a q35 when the hole begins at 2 GiB, else a pc, whose hole
 * begins at 3 GiB: other holes can't be told in it. Layout: docs/formats/qevm.md. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "container.h"

#define FRAMES_2G (UINT64_C(2) << 18)

static void be32b(struct buf *b, uint32_t v)
{
	for (int i = 3; i >= 0; i--)
		buf_u8(b, (uint8_t)(v >> (8 * i)));
}

static void be64b(struct buf *b, uint64_t v)
{
	be32b(b, (uint32_t)(v >> 32));
	be32b(b, (uint32_t)v);
}

static void name(struct buf *b, const char *s)
{
	buf_u8(b, (uint8_t)strlen(s));
	buf_puts(b, s);
}

static void start(struct buf *b, uint8_t type, uint32_t id, const char *what)
{
	buf_u8(b, type);
	be32b(b, id);
	name(b, what);
	be32b(b, 0);
	be32b(b, 4);
}

static void footer(struct buf *b, uint32_t id)
{
	buf_u8(b, 0x7e);
	be32b(b, id);
}

/* Up to the machine's name; parts of the configuration may follow. */
static void beginning(struct buf *b, const char *machine)
{
	buf_puts(b, "QEVM");
	be32b(b, 3);
	buf_u8(b, 7);
	be32b(b, (uint32_t)strlen(machine));
	buf_puts(b, machine);
}

/* The end of the section "ram", another device's, the end of the stream. */
static void ending(struct buf *b)
{
	buf_u8(b, 3);
	be32b(b, 3);
	be64b(b, 0x10);
	footer(b, 3);
	start(b, 4, 5, "cpu");
	buf_puts(b, "registers");
	footer(b, 5);
	buf_u8(b, 0);
}

static bool flush(struct buf *b, FILE *f)
{
	bool ok = !b->failed && fwrite(b->p, 1, b->n, f) == b->n;

	buf_clear(b);
	return ok;
}

/* Offsets of pc.ram: all of it below 4 GiB's hole first. */
static bool pages(struct winimg *w, FILE *f, struct buf *b)
{
	bool ok = true;
	bool named = false;

	for (uint64_t i = 0; ok && i < w->m.frames; i++) {
		const uint8_t *p = wm_peek(&w->m, i);

		if (i == w->m.frames / 2) { /* a new part; another device's in between */
			be64b(b, 0x10);
			footer(b, 3);
			start(b, 1, 4, "dirty-bitmap");
			buf_puts(b, "something of its own");
			footer(b, 4);
			buf_u8(b, 2);
			be32b(b, 3);
			named = false;
		}
		be64b(b, i * WM_PAGE | (p ? 8 : 2) | (named ? 0x20 : 0));
		if (!named)
			name(b, "pc.ram");
		named = true;
		if (p)
			buf_put(b, p, WM_PAGE);
		else
			buf_u8(b, 0);
		ok = flush(b, f);
	}
	return ok;
}

static bool stream(struct winimg *w, FILE *f)
{
	const char *machine = w->m.hole_frames == FRAMES_2G ? "pc-q35-7.2" : "pc-i440fx-7.2";
	struct buf b;
	bool ok;

	buf_init(&b);
	beginning(&b, machine);
	start(&b, 1, 3, "ram");
	be64b(&b, (w->m.frames * WM_PAGE + 0x40000) | 4);
	name(&b, "pc.ram");
	be64b(&b, w->m.frames * WM_PAGE);
	name(&b, "pc.bios");
	be64b(&b, 0x40000);
	be64b(&b, 0x10);
	footer(&b, 3);
	buf_u8(&b, 2);
	be32b(&b, 3);
	ok = flush(&b, f) && pages(w, f, &b);
	be64b(&b, 0x10);
	footer(&b, 3);
	ending(&b);
	ok = ok && flush(&b, f);
	buf_free(&b);
	return ok;
}

bool cont_qevm(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return stream(w, f);
}

/* Parts of the configuration, pages of 16 KiB, every third one packed: what ARM machines and QEMU 2.4 to 9.0 write (`compress`). */

#define WIDE_BITS 14u
#define WIDE      (1u << WIDE_BITS)

static void part(struct buf *b, const char *what)
{
	buf_u8(b, 5);
	name(b, what);
	be32b(b, 1);
}

static void configuration(struct buf *b)
{
	part(b, "configuration/target-page-bits");
	be32b(b, WIDE_BITS);
	part(b, "configuration/capabilities");
	be32b(b, 2);
	name(b, "x-ignore-shared");
	name(b, "of-a-later-day");
	part(b, "configuration/of-a-later-day");
	buf_puts(b, "not known here");
	part(b, "configuration/uuid");
	buf_put(b, "0123456789abcdef", 16);
}

static bool wide_page(struct winimg *w, struct buf *b, uint64_t at)
{
	static uint8_t plain[WIDE];
	bool any = false;

	for (unsigned i = 0; i < WIDE / WM_PAGE; i++) {
		uint64_t frame = at / WM_PAGE + i;
		const uint8_t *p = frame < w->m.frames ? wm_peek(&w->m, frame) : NULL;

		any |= p != NULL;
		if (p)
			memcpy(plain + (size_t)i * WM_PAGE, p, WM_PAGE);
		else
			memset(plain + (size_t)i * WM_PAGE, 0, WM_PAGE);
	}
	be64b(b, at | (!any ? 2 : at / WIDE % 3 ? 8 : 0x100));
	name(b, "pc.ram");
	if (!any) {
		buf_u8(b, 0);
	} else if (at / WIDE % 3) {
		buf_put(b, plain, WIDE);
	} else {
		uint8_t packed[WIDE + 1024];
		uLongf n = sizeof(packed);

		if (compress2(packed, &n, plain, WIDE, 1) != Z_OK)
			return false;
		be32b(b, (uint32_t)n);
		buf_put(b, packed, n);
	}
	return true;
}

bool cont_qevm_packed(struct winimg *w, FILE *f, const char *path)
{
	struct buf b;
	bool ok;

	(void)path;
	buf_init(&b);
	beginning(&b, "pc-q35-9.0");
	configuration(&b);
	start(&b, 1, 3, "ram");
	be64b(&b, w->m.frames * WM_PAGE | 4);
	name(&b, "pc.ram");
	be64b(&b, w->m.frames * WM_PAGE);
	be64b(&b, 0); /* x-ignore-shared: its address */
	be64b(&b, 0x10);
	footer(&b, 3);
	buf_u8(&b, 3);
	be32b(&b, 3);
	be64b(&b, 0x200); /* nothing follows */
	ok = flush(&b, f);
	for (uint64_t at = 0; ok && at < w->m.frames * WM_PAGE; at += WIDE)
		ok = wide_page(w, &b, at) && flush(&b, f);
	be64b(&b, 0x10);
	footer(&b, 3);
	buf_u8(&b, 0);
	ok = ok && flush(&b, f);
	buf_free(&b);
	return ok;
}

/* Pages at fixed places, and a bitmap of those that were written (mapped-ram). Offsets count from the beginning of the file. */

#define ALIGNED (UINT64_C(1) << 20)

static bool block(struct buf *b, FILE *f, const char *what, uint64_t size, uint64_t *bitmap, uint64_t *pages_at)
{
	name(b, what);
	be64b(b, size);
	*bitmap = (uint64_t)ftello(f) + b->n + 28;
	*pages_at = (*bitmap + (size / WM_PAGE + 63) / 64 * 8 + ALIGNED - 1) / ALIGNED * ALIGNED;
	be32b(b, 1);
	be64b(b, WM_PAGE);
	be64b(b, *bitmap);
	be64b(b, *pages_at);
	return flush(b, f) && fseeko(f, (off_t)(*pages_at + size), SEEK_SET) == 0;
}

/* A page of zeros may have been another one before: what the file has there is older memory. */
static bool fixed_pages(const struct winimg *w, FILE *f, uint64_t bitmap, uint64_t pages_at)
{
	size_t n = (w->m.frames + 63) / 64 * 8;
	uint8_t *bits = calloc(n, 1), old[WM_PAGE];
	bool ok = bits != NULL;

	memset(old, 0x5a, sizeof(old));
	for (uint64_t i = 0; ok && i < w->m.frames; i++) {
		const uint8_t *p = wm_peek(&w->m, i);

		if (p)
			bits[i / 8] |= (uint8_t)(1u << (i % 8));
		if (p || i % 1000 == 7)
			ok = fseeko(f, (off_t)(pages_at + i * WM_PAGE), SEEK_SET) == 0 && fwrite(p ? p : old, WM_PAGE, 1, f) == 1;
	}
	ok = ok && fseeko(f, (off_t)bitmap, SEEK_SET) == 0 && fwrite(bits, n, 1, f) == 1;
	free(bits);
	return ok;
}

static bool mapped(struct winimg *w, FILE *f)
{
	const char *machine = w->m.hole_frames == FRAMES_2G ? "pc-q35-9.0" : "pc-i440fx-9.0";
	uint64_t bitmap, pages_at, vga_bitmap, vga;
	struct buf b;
	bool ok;

	buf_init(&b);
	beginning(&b, machine);
	part(&b, "configuration/capabilities");
	be32b(&b, 1);
	name(&b, "mapped-ram");
	start(&b, 1, 3, "ram");
	be64b(&b, (w->m.frames * WM_PAGE + 0x1000000) | 4);
	ok = block(&b, f, "pc.ram", w->m.frames * WM_PAGE, &bitmap, &pages_at) && block(&b, f, "vga.vram", 0x1000000, &vga_bitmap, &vga);
	be64b(&b, 0x10);
	footer(&b, 3);
	ending(&b);
	ok = ok && flush(&b, f) && fixed_pages(w, f, bitmap, pages_at);
	buf_free(&b);
	return ok;
}

bool cont_qevm_mapped(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return mapped(w, f);
}

static const char xml[] = "<domain type='kvm'><name>made</name></domain>\n";

static bool libvirt_header(FILE *f, uint32_t format, uint32_t padding)
{
	struct buf b;
	bool ok;

	buf_init(&b);
	buf_puts(&b, "LibvirtQemudSave");
	buf_u32(&b, 2);
	buf_u32(&b, sizeof(xml) + padding);
	buf_u32(&b, 1);
	buf_u32(&b, format);
	buf_fill(&b, 0, 92 - 32);
	buf_put(&b, xml, sizeof(xml));
	buf_fill(&b, 0, padding);
	ok = flush(&b, f);
	buf_free(&b);
	return ok;
}

bool cont_libvirt(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return libvirt_header(f, 0, 0) && stream(w, f);
}

bool cont_libvirt_sparse(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return libvirt_header(f, 6, 65536) && mapped(w, f);
}
