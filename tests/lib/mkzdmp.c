/* mkzdmp.c - see mkzdmp.h. Layouts: docs/formats/zdmp.md and hpak.md. */
#include "mkzdmp.h"

#include <string.h>
#include <zlib.h>

#include "mkpack.h"
#include "rd.h"

void mkzdmp_build(struct buf *b, const uint8_t *p, size_t n, uint32_t block_size)
{

	struct buf z;

	buf_init(&z);
	buf_grow(b, 0x1000);
	memcpy(b->p, "ZDMP", 4);
	put_le32(b->p + 4, 0x100);
	put_le64(b->p + 8, n);
	put_le32(b->p + 16, block_size);
	put_le16(b->p + 20, 1);
	put_le16(b->p + 22, 2);
	for (size_t at = 0; at < n; at += block_size) {
		size_t len = n - at < block_size ? n - at : block_size;

		buf_clear(&z);
		mkpack_lznt1(&z, p + at, len);
		if (z.n >= block_size) { /* stored: a whole block */
			buf_clear(&z);
			buf_put(&z, p + at, len);
			buf_fill(&z, 0, block_size - len);
		}
		buf_puts(b, "ZBLK");
		buf_u32(b, (uint32_t)z.n);
		buf_u32(b, (uint32_t)crc32_z(0, z.p, z.n));
		buf_put(b, z.p, z.n);
	}
	buf_free(&z);
}

static void section(struct buf *b, const char *name, uint64_t off, uint64_t n, uint64_t plain, bool packed, uint64_t next)
{
	uint8_t *s = buf_grow(b, 0xe0);

	memcpy(s, name, strlen(name));
	put_le32(s + 0x8c, packed);
	put_le64(s + 0x98, plain);
	put_le64(s + 0xa8, off);
	put_le64(s + 0xb0, next);
	put_le64(s + 0xb8, packed ? n : 0);
	memcpy(s + 0xd4, "memory.bin", 11);
}

void mkhpak_head(struct buf *b, uint64_t n, uint64_t plain, bool packed)
{
	buf_puts(b, "HPAK");
	buf_fill(b, 0, 0x1c);
	section(b, "HPAKSECTHPAK_SECTION_PAGEDUMP", 0x1000, 0, 0, false, 0x100); /* none was taken */
	section(b, "HPAKSECTHPAK_SECTION_PHYSDUMP", 0x1000, n, plain, packed, 0);
	buf_fill(b, 0, 0x1000 - b->n);
}
