/* cont_elf.c - an ELF core as QEMU's dump-guest-memory writes it: section headers in front, notes of each processor, segments whose file offsets
 * are no multiple of a page. Layout: docs/formats/elf.md. */
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
	put_le16(head + 18, w->ps == 4              ? 3
			    : w->m.arch == WM_ARM64 ? 183
						    : 62); /* a processor that is not in long mode: EM_386 in ELFCLASS64 */
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
	for (unsigned r = 0; ok && r < n; r++)
		for (uint64_t i = 0; ok && i < count[r]; i++)
			ok = container_put_page(f, wm_peek(&w->m, container_frame(&w->m, r, i)));
	return ok;
}
