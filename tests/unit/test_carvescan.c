/* The scan under carving: its quick tests leave out nothing, and a header across the edge of two of its pieces is found. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "carvepack.h"
#include "carvescan.h"
#include "rd.h"

#define SIZE   (1u << 20)
#define MIDDLE (SIZE / 2) /* where pieces of any size end */

#define ENTRY UINT64_C(0x000fffff00000001) /* of a machine with 4 GiB */

static uint8_t marks_of(const uint8_t *b)
{
	uint8_t m = 0;

	for (unsigned i = 0; i < CARVE_BLOCK; i += 2)
		m |= b[i] == 0 && b[i + 1] == 0 ? CARVE_BLOCK_ZEROS : 0;
	for (unsigned i = 0; i < CARVE_BLOCK; i += 8)
		m |= (b[i + 3] == 0xc0 && b[i + 2] >= 1 && b[i + 2] <= 0x15) || (b[i + 3] == 0x90 && b[i + 2] == 0) ? CARVE_BLOCK_MARKER
														    : 0;
	for (unsigned i = 0; i < CARVE_BLOCK; i += 8)
		m |= (b[i] & 1) && b[i + 4] == 0 && b[i + 5] == 0 && (b[i + 6] & 15) == 0 ? CARVE_BLOCK_ENTRY : 0;
	return m;
}

static void same_marks(const uint8_t *p, size_t n)
{
	uint8_t *fast = malloc(n), *plain = malloc(n);

	carve_blocks(p, n, ENTRY, fast);
	carve_blocks_plain(p, n, ENTRY, plain);
	for (size_t i = 0; i < n; i++) {
		uint8_t all = marks_of(p + i * CARVE_BLOCK);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		cr_assert_eq(fast[i], all, "block %zu: %u, not %u", i, fast[i], all);
		cr_assert_eq(plain[i], all, "block %zu: %u, not %u", i, plain[i], all);
#else /* nothing is ruled out */
		cr_assert_eq(fast[i] & all, all, "block %zu: %u, not %u", i, fast[i], all);
		cr_assert_eq(plain[i] & all, all, "block %zu: %u, not %u", i, plain[i], all);
#endif
	}
	free(fast);
	free(plain);
}

/* Every value that a marker's two bytes can have, everywhere in a block in turn, once where it counts and once beside; zeros likewise. */
Test(carvescan, blocks)
{
	uint8_t *p = malloc((size_t)0x10000 * CARVE_BLOCK + 1);

	for (unsigned beside = 0; beside < 2; beside++) {
		memset(p, 0x11, (size_t)0x10000 * CARVE_BLOCK + 1);
		for (uint32_t v = 0; v < 0x10000; v++)
			put_le16(p + (size_t)v * CARVE_BLOCK + v % (CARVE_BLOCK / 8) * 8 + 2 + 2 * beside, (uint16_t)v);
		same_marks(p, 0x10000);
		same_marks(p + 1, 0x10000); /* at odd addresses */
	}
	memset(p, 0x11, 2 * (size_t)CARVE_BLOCK * CARVE_BLOCK);
	for (unsigned i = 0; i + 1 < CARVE_BLOCK; i++)
		put_le16(p + (size_t)i * CARVE_BLOCK + i, 0);
	same_marks(p, CARVE_BLOCK);
	memset(p, 0x11, SIZE); /* entries, and what is none by one bit */
	for (unsigned i = 0; i < SIZE / CARVE_BLOCK; i++)
		put_le64(p + (size_t)i * CARVE_BLOCK + i % (CARVE_BLOCK / 8) * 8,
			 UINT64_C(0x8000000012345867) ^ (i < CARVE_BLOCK / 8 ? 0 : UINT64_C(1) << i / (CARVE_BLOCK / 8) % 64));
	same_marks(p, SIZE / CARVE_BLOCK);
	for (size_t i = 0, x = 1; i < SIZE; i++, x = x * UINT64_C(6364136223846793005) + 1442695040888963407)
		p[i] = (uint8_t)(x >> 56);
	same_marks(p, SIZE / CARVE_BLOCK);
	free(p);
}

/* ---- packed buffers ------------------------------------------------------------------------------------------------------------------------ */

/* One of a compressed file, packed as literals only. Returns its bytes in memory. */
static uint32_t make_packed(uint8_t *p)
{
	uint8_t raw[0x400];
	uint32_t n = 0, at = ETW_BUFFER_HEADER_SIZE;

	for (unsigned i = 0; n + 0x70 <= sizeof(raw); i++, n += 0x70) {
		uint8_t *r = raw + n;

		memset(r, 0x5a, 0x70);
		put_le16(r, 0x70);
		r[2] = 0x13;
		r[3] = 0xc0;
		put_le16(r + 4, 0);
		put_le64(r + 16, 1000000 + i);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (i % 32 == 0) {
			put_le32(p + at, 0);
			at += 4;
		}
		p[at++] = raw[i];
	}
	memset(p, 0, ETW_BUFFER_HEADER_SIZE);
	put_le32(p, at);
	put_le32(p + 4, ETW_BUFFER_HEADER_SIZE + n);
	put_le64(p + 0x10, 2000000);
	put_le64(p + 0x18, 3);
	put_le16(p + 0x2a, 5);
	put_le32(p + 0x2c, 3);
	put_le32(p + 0x30, ETW_BUFFER_HEADER_SIZE + n);
	put_le16(p + 0x34, 0x60);
	return at;
}

static size_t packed_found(uint8_t *mem, uint64_t at)
{
	struct carve_scan_opts o = {.threads = 2};
	struct carve_scan s;
	struct input *in;
	struct phys *phys;
	struct err e;
	size_t n = 0;

	cr_assert_eq(input_open_memory(&in, mem, SIZE, "m", &e), 0);
	cr_assert_eq(phys_new(&phys, NULL, &e), 0);
	cr_assert_eq(phys_add_file(phys, 0, SIZE, in, 0, &e), 0);
	cr_assert_eq(phys_seal(phys, &e), 0);
	cr_assert_eq(carve_scan_run(phys, &o, &s, &e), 0);
	for (size_t i = 0; i < s.n_packed; i++)
		n += s.packed[i].pa == at;
	carve_scan_free(&s);
	phys_free(phys);
	input_close(in);
	return n;
}

Test(carvescan, packed_across_pieces)
{
	uint8_t *mem = calloc(1, SIZE);

	for (unsigned other = 0; other < 2; other++) {
		memset(mem, other ? 0xa5 : 0, SIZE);
		(void)make_packed(mem + 3 * CARVE_PAGE + 5);
		cr_assert_eq(packed_found(mem, 3 * CARVE_PAGE + 5), 1);
		for (uint32_t before = 0; before <= ETW_BUFFER_HEADER_SIZE; before++) {
			uint32_t at = MIDDLE - before, n = make_packed(mem + at);

			cr_assert_eq(packed_found(mem, at), 1, "%u bytes before the edge", before);
			memset(mem + at, other ? 0xa5 : 0, n);
		}
	}
	free(mem);
}
