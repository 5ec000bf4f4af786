/* carveblocks.c - see carveblocks.h */
#include "carveblocks.h"

#include <stdbool.h>
#include <string.h>

#include "rd.h"

/* Not for Windows: GCC does not align 32-byte vectors on the stack there (its bug 54412). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)
#define HAVE_AVX2 1
#include <immintrin.h>
#else
#define HAVE_AVX2 0
#endif

typedef uint16_t lanes16 __attribute__((vector_size(16)));
typedef uint32_t lanes32 __attribute__((vector_size(16)));
typedef uint64_t lanes64 __attribute__((vector_size(16)));

/* Types 1 .. 0x15 under 0xc0, 0 under 0x90. The first dword of each of four places at a time, of which the upper half counts. */
static inline bool any_marker(const uint8_t *block)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	lanes16 any = {0}, v;
	lanes32 a, b;

	for (unsigned i = 0; i < CARVE_BLOCK; i += 2 * sizeof(v)) {
		memcpy(&a, block + i, sizeof(a));
		memcpy(&b, block + i + sizeof(a), sizeof(b));
		v = (lanes16)__builtin_shufflevector(a, b, 0, 2, 4, 6);
		any |= (lanes16)(v - 0xc001 <= 0x14) | (lanes16)(v == 0x9000);
	}
	return (any[1] | any[3] | any[5] | any[7]) != 0;
#else
	(void)block;
	return true;
#endif
}

static inline bool any_zeros(const uint8_t *block)
{
	lanes16 any = {0}, v[4];
	lanes64 a;

	for (unsigned i = 0; i < CARVE_BLOCK; i += sizeof(v)) {
		memcpy(v, block + i, sizeof(v));
		any |= (lanes16)(v[0] == 0) | (lanes16)(v[1] == 0) | (lanes16)(v[2] == 0) | (lanes16)(v[3] == 0);
	}
	a = (lanes64)any;
	return (a[0] | a[1]) != 0;
}

static inline bool any_entry(const uint8_t *block, uint64_t entry)
{
	bool any = false;

	for (unsigned i = 0; i < CARVE_BLOCK; i += 8)
		any |= (le64(block + i) & entry) == 1;
	return any;
}

void carve_blocks_plain(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out)
{
	for (size_t i = 0; i < n; i++, p += CARVE_BLOCK)
		out[i] = (uint8_t)((any_marker(p) ? CARVE_BLOCK_MARKER : 0) | (any_zeros(p) ? CARVE_BLOCK_ZEROS : 0) |
				   (entry && any_entry(p, entry) ? CARVE_BLOCK_ENTRY : 0));
}

#if HAVE_AVX2

/* The least of what is left when a value that is looked for is taken away shows whether it was there. */
__attribute__((target("avx2"))) static void blocks_avx2(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out)
{
	const __m256i first = _mm256_set1_epi16((short)0xc001), other = _mm256_set1_epi16((short)0x9000);
	const __m256i low = _mm256_set1_epi32(0xffff), last = _mm256_set1_epi16(0x14);
	const __m256i never = _mm256_set1_epi64x((long long)entry), one = _mm256_set1_epi64x(1);

	for (size_t i = 0; i < n; i++, p += CARVE_BLOCK) {
		__m256i zeros = _mm256_set1_epi16(-1), m = zeros, k = zeros, entries = _mm256_setzero_si256(), hit;

		for (unsigned at = 0; at < CARVE_BLOCK; at += 64) {
			__m256i a = _mm256_loadu_si256((const __m256i *)(p + at)), b = _mm256_loadu_si256((const __m256i *)(p + at + 32));
			/* the first dword of each place */
			__m256i v = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));

			zeros = _mm256_min_epu16(zeros, _mm256_min_epu16(a, b));
			m = _mm256_min_epu16(m, _mm256_sub_epi16(v, first));
			k = _mm256_min_epu16(k, _mm256_xor_si256(v, other));
			a = _mm256_cmpeq_epi64(_mm256_and_si256(a, never), one);
			b = _mm256_cmpeq_epi64(_mm256_and_si256(b, never), one);
			entries = _mm256_or_si256(entries, _mm256_or_si256(a, b));
		}
		m = _mm256_or_si256(m, low); /* the upper half counts */
		k = _mm256_or_si256(k, low);
		hit = _mm256_or_si256(_mm256_cmpeq_epi16(_mm256_min_epu16(m, last), m), _mm256_cmpeq_epi16(k, _mm256_setzero_si256()));
		zeros = _mm256_cmpeq_epi16(zeros, _mm256_setzero_si256());
		out[i] = (uint8_t)((_mm256_movemask_epi8(hit) ? CARVE_BLOCK_MARKER : 0) |
				   (_mm256_movemask_epi8(zeros) ? CARVE_BLOCK_ZEROS : 0) |
				   (_mm256_movemask_epi8(entries) ? CARVE_BLOCK_ENTRY : 0));
	}
}

void carve_blocks(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out)
{
	if (__builtin_cpu_supports("avx2"))
		blocks_avx2(p, n, entry, out);
	else
		carve_blocks_plain(p, n, entry, out);
}

#else

void carve_blocks(const uint8_t *p, size_t n, uint64_t entry, uint8_t *out)
{
	carve_blocks_plain(p, n, entry, out);
}

#endif
