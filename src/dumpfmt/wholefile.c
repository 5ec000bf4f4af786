/* wholefile.c - see wholefile.h. Sources: ELF gABI; Microsoft "PE Format"; PNG (ISO 15948); ITU T.81; GIF89a; ISO 32000; the public notes on hives, .evtx, SQLite, 7z, MSF;
 * Microsoft's cabinet format; POSIX pax. */
#include "wholefile.h"

#include <string.h>

#include "rd.h"

#define PAGE        WHOLEFILE_PAGE
#define LEAST       65536u
#define HEADERS_MAX 4096u    /* program headers, sections */
#define CHUNKS_MAX  1000000u /* of a picture */

bool wholefile_paged(struct input *in)
{
	uint64_t size = input_size(in);

	return size >= LEAST && size % PAGE == 0;
}

/* The last byte that it speaks of is in the last page, or only zeros are behind. */
static bool ends_at(struct input *in, uint64_t end)
{
	uint64_t size = input_size(in);

	return end <= size && (size - end < PAGE || input_only_zeros(in, end));
}

static uint64_t furthest(uint64_t end, uint64_t off, uint64_t len)
{
	uint64_t to = len > UINT64_MAX - off ? UINT64_MAX : off + len;

	return to > end ? to : end;
}

/* A number of `n` bytes in the file's own byte order; 0 behind the end. */
static uint64_t number(struct input *in, uint64_t off, unsigned n, bool big)
{
	uint8_t p[8];
	uint64_t v = 0;

	if (input_read_all(in, off, p, n, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[big ? i : n - 1 - i];
	return v;
}

bool wholefile_elf(const uint8_t *head, size_t n, struct input *in)
{
	bool wide, big;
	uint64_t ph, sh, end = 0;
	unsigned ph_size, n_ph, sh_size, n_sh, w;

	if (n < 64 || head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2 || head[6] != 1)
		return false;
	wide = head[4] == 2;
	big = head[5] == 2;
	w = wide ? 8 : 4;
	ph = number(in, wide ? 32 : 28, w, big);
	sh = number(in, wide ? 40 : 32, w, big);
	ph_size = (unsigned)number(in, wide ? 54 : 42, 2, big);
	n_ph = (unsigned)number(in, wide ? 56 : 44, 2, big);
	sh_size = (unsigned)number(in, wide ? 58 : 46, 2, big);
	n_sh = (unsigned)number(in, wide ? 60 : 48, 2, big);
	if ((n_ph && ph_size != (wide ? 56 : 32)) || (n_sh && sh_size != (wide ? 64 : 40)) || (!n_ph && !n_sh))
		return false;
	end = furthest(n_ph ? furthest(0, ph, (uint64_t)n_ph * ph_size) : 0, n_sh ? sh : 0, (uint64_t)n_sh * sh_size);
	for (unsigned i = 0; i < n_ph && i < HEADERS_MAX; i++) {
		uint64_t at = ph + (uint64_t)i * ph_size, len = number(in, at + (wide ? 32 : 16), w, big);

		if (len)
			end = furthest(end, number(in, at + (wide ? 8 : 4), w, big), len);
	}
	for (unsigned i = 0; i < n_sh && i < HEADERS_MAX; i++) {
		uint64_t at = sh + (uint64_t)i * sh_size;

		if (number(in, at + 4, 4, big) != 8) /* NOBITS has none */
			end = furthest(end, number(in, at + (wide ? 24 : 16), w, big), number(in, at + (wide ? 32 : 20), w, big));
	}
	return ends_at(in, end);
}

bool wholefile_pe(const uint8_t *head, size_t n, struct input *in)
{
	struct rd r = rd_init(head, n);
	uint32_t pe = rd_u32(&r, 0x3c), symbols = rd_u32(&r, pe + 12), n_symbols = rd_u32(&r, pe + 16);
	uint32_t opt = pe + 24, dirs = opt + (rd_u16(&r, opt) == 0x20b ? 112 : 96), sections = opt + rd_u16(&r, pe + 20);
	uint64_t end = 0;

	for (unsigned i = 0; i < rd_u16(&r, pe + 6) && i < HEADERS_MAX; i++) {
		uint64_t at = sections + (uint64_t)i * 40;

		if (number(in, at + 16, 4, false))
			end = furthest(end, number(in, at + 20, 4, false), number(in, at + 16, 4, false));
	}
	if (dirs + 40 <= sections) /* the fifth directory: signatures, by their place in the file */
		end = furthest(end, rd_u32(&r, dirs + 32), rd_u32(&r, dirs + 36));
	if (symbols) {
		uint64_t names = symbols + (uint64_t)n_symbols * 18;

		end = furthest(end, names, number(in, names, 4, false));
	}
	return end && ends_at(in, end);
}

bool wholefile_png(const uint8_t *head, size_t n, struct input *in)
{
	uint64_t at = 8;

	(void)head;
	(void)n;
	for (unsigned i = 0; i < CHUNKS_MAX; i++) {
		uint8_t p[8];

		if (input_read_all(in, at, p, 8, NULL) < 0)
			return false;
		for (unsigned k = 4; k < 8; k++)
			if (!((p[k] >= 'a' && p[k] <= 'z') || (p[k] >= 'A' && p[k] <= 'Z')))
				return false;
		at += 12 + (uint64_t)be32(p);
		if (memcmp(p + 4, "IEND", 4) == 0)
			return ends_at(in, at);
	}
	return false;
}

/* Are these bytes in the last page? */
static bool last_page_has(struct input *in, const char *what, size_t k)
{
	uint8_t p[PAGE];
	int64_t n = input_read(in, input_size(in) - PAGE, p, PAGE, NULL);

	for (int64_t i = 0; i + (int64_t)k <= n; i++)
		if (memcmp(p + i, what, k) == 0)
			return true;
	return false;
}

bool wholefile_jpeg(const uint8_t *head, size_t n, struct input *in)
{
	(void)head;
	(void)n;
	return last_page_has(in, "\xff\xd9", 2);
}

bool wholefile_gif(const uint8_t *head, size_t n, struct input *in)
{
	(void)head;
	(void)n;
	return number(in, input_size(in) - 1, 1, false) == 0x3b;
}

bool wholefile_pdf(const uint8_t *head, size_t n, struct input *in)
{
	(void)head;
	(void)n;
	return last_page_has(in, "%%EOF", 5);
}

bool wholefile_hive(const uint8_t *head, size_t n, struct input *in)
{
	(void)in;
	return n >= PAGE + 4 && memcmp(head + PAGE, "hbin", 4) == 0;
}

bool wholefile_evtx(const uint8_t *head, size_t n, struct input *in)
{
	(void)in;
	return n >= PAGE + 8 && memcmp(head + PAGE, "ElfChnk", 7) == 0;
}

bool wholefile_sqlite(const uint8_t *head, size_t n, struct input *in)
{
	uint64_t page = n < 100 ? 0 : be16(head + 16) == 1 ? 65536 : be16(head + 16);

	/* the count is not kept by old versions: then the file is as many pages, and each is of a kind that there is */
	return page >= 512 && (page & (page - 1)) == 0 &&
	       (be32(head + 28) ? ends_at(in, be32(head + 28) * page) : number(in, page, 1, false) <= 13);
}

bool wholefile_msf(const uint8_t *head, size_t n, struct input *in)
{
	struct rd r = rd_init(head, n);

	return ends_at(in, (uint64_t)rd_u32(&r, 32) * rd_u32(&r, 40)) && rd_u32(&r, 40);
}

bool wholefile_7z(const uint8_t *head, size_t n, struct input *in)
{
	struct rd r = rd_init(head, n);
	uint64_t off = rd_u64(&r, 12), len = rd_u64(&r, 20), size = input_size(in);

	return off < size && len < size && ends_at(in, 32 + off + len);
}

bool wholefile_cab(const uint8_t *head, size_t n, struct input *in)
{
	struct rd r = rd_init(head, n);

	return ends_at(in, rd_u32(&r, 8)) && rd_u32(&r, 8);
}

bool wholefile_tar(const uint8_t *head, size_t n, struct input *in)
{
	uint64_t at = 0;
	uint8_t p[512];

	(void)head;
	(void)n;
	for (unsigned i = 0; i < CHUNKS_MAX; i++) {
		uint64_t len = 0;

		if (input_read_all(in, at, p, sizeof(p), NULL) < 0)
			return at == input_size(in);
		if (memcmp(p + 257, "ustar", 5) != 0)
			return input_only_zeros(in, at);
		for (unsigned k = 124; k < 136 && p[k] >= '0' && p[k] <= '7'; k++)
			len = len * 8 + (uint64_t)(p[k] - '0');
		at += 512 + (len + 511) / 512 * 512;
	}
	return true;
}
