/* carvepack.c - see carvepack.h */
#include "carvepack.h"

#include <string.h>

#include "rd.h"
#include "xpress.h"

#define STATES          7u
#define FLAGS_KNOWN     0x17fu
#define FLAG_COMPRESSED 0x40u
#define STREAM_MIN      5u /* flags and one byte */
#define SEQUENCE_MAX    (UINT64_C(1) << 48)
#define TS_MAX          (UINT64_C(1) << 62)
#define PEEK_BYTES      0x40u

/* ---- the header ---------------------------------------------------------------------------------------------------------------------- */

bool carve_pack_header(const uint8_t p[ETW_BUFFER_HEADER_SIZE], struct carve_pack *out)
{
	struct etw_bufhdr h;
	uint32_t packed, unpacked;
	bool file;

	etw_bufhdr_parse(&h, p);
	if (h.reference_count != 0 || h.state >= STATES || h.flag & ~FLAGS_KNOWN || h.type != 0)
		return false;
	if ((h.logger_id & ~CARVE_PRIVATE) >= CARVE_IDS || h.sequence >= SEQUENCE_MAX || h.timestamp >= TS_MAX)
		return false;
	file = h.flag & FLAG_COMPRESSED;
	if (h.saved_offset != (file ? h.offset : h.current_offset) || h.saved_offset <= ETW_BUFFER_HEADER_SIZE ||
	    h.saved_offset > ETW_BUFFER_SIZE_MAX || h.buffer_size < ETW_BUFFER_HEADER_SIZE + STREAM_MIN)
		return false;
	packed = h.buffer_size - ETW_BUFFER_HEADER_SIZE;
	unpacked = h.saved_offset - ETW_BUFFER_HEADER_SIZE;
	if (packed > ETW_BUFFER_SIZE_MAX || packed > unpacked + unpacked / 8 + 8) /* nothing to gain: 4 bytes of flags for 32 literals */
		return false;
	*out = (struct carve_pack){.h = h, .end = h.saved_offset, .row = !file};
	return true;
}

/* ---- where one may begin ---------------------------------------------------------------------------------------------------------------
 *
 * At any byte, in all of memory: so it must be quick. ReferenceCount is 0, and a 32-bit zero at any address holds an even pair of zero bytes:
 * most blocks of memory that is not empty have none. Then 16 places at a time: bytes that are 0 in every such header, and SavedOffset, which is not. */

#define BLOCK CARVE_BLOCK
#define REF   0xcu /* ReferenceCount */

typedef uint8_t lanes8 __attribute__((vector_size(16)));
typedef uint64_t lanes64 __attribute__((vector_size(16)));

/* Is a block all zeros? */
static bool blank(const uint8_t *block)
{
	lanes64 bits = {0}, v;

	for (unsigned i = 0; i < BLOCK; i += sizeof(v)) {
		memcpy(&v, block + i, sizeof(v));
		bits |= v;
	}
	return (bits[0] | bits[1]) == 0;
}

static inline void or_at(lanes8 *v, const uint8_t *p) /* no vector is returned: 32-bit x86 without SSE has no convention for it */
{
	lanes8 x;

	memcpy(&x, p, sizeof(x));
	*v |= x;
}

/* Of the 16 places from p on, is there one that has zeros and no zeros where a header has them? */
static inline bool any_of_16(const uint8_t *p)
{
	static const uint8_t zeros[] = {0xc, 0xd, 0xe, 0xf, 0x2d, 0x2e, 0x2f, 0x37};
	lanes8 zero = {0}, some = {0};
	lanes64 hit;

	for (size_t i = 0; i < sizeof(zeros); i++)
		or_at(&zero, p + zeros[i]);
	for (size_t i = 4; i < 7; i++)
		or_at(&some, p + i);
	hit = (lanes64)((lanes8)(zero == 0) & (lanes8)(some != 0));

	return (hit[0] | hit[1]) != 0;
}

/* SavedOffset, and BufferSize by it. */
static inline bool sizes_ok(uint32_t size, uint32_t saved)
{
	return saved > ETW_BUFFER_HEADER_SIZE && saved <= ETW_BUFFER_SIZE_MAX && size <= saved + saved / 8 + ETW_BUFFER_HEADER_SIZE;
}

/* The quick part of carve_pack_header(). */
static inline bool may_begin(const uint8_t *p)
{
	uint32_t saved = le32(p + 4);

	return le32(p + REF) == 0 && sizes_ok(le32(p), saved) && le32(p + 0x2c) < STATES &&
	       saved == le32(p + (p[0x34] & FLAG_COMPRESSED ? 0x30 : 8));
}

static size_t next_of(const uint8_t *p, size_t from, size_t to)
{
	for (; from + 16 <= to; from += 16) {
		if (!any_of_16(p + from))
			continue;
		for (unsigned i = 0; i < 16; i++)
			if (may_begin(p + from + i))
				return from + i;
	}
	while (from < to && !may_begin(p + from))
		from++;
	return from;
}

size_t carve_pack_next(const uint8_t *p, size_t from, size_t to, const uint8_t *marks, size_t n_marks)
{
	while (from < to) {
		/* headers whose ReferenceCount's even pair lies in the block that begins at z */
		size_t z = (from + REF + 1) & ~(size_t)1, k = z / BLOCK, stop = (k + 1) * BLOCK - REF - 1, found;

		if (stop > to)
			stop = to;
		if (z % BLOCK == 0 && k < n_marks) {
			if (!(marks[k] & CARVE_BLOCK_ZEROS)) {
				while (++k < n_marks && !(marks[k] & CARVE_BLOCK_ZEROS))
					;
				from = k * BLOCK - REF - 1;
				continue;
			}
			if (from + REF < stop && blank(p + z)) { /* SavedOffset must lie before it */
				found = next_of(p, from, from + REF);
				if (found < from + REF)
					return found;
				from = stop;
				continue;
			}
		}
		found = next_of(p, from, stop);
		if (found < stop)
			return found;
		from = stop > from ? stop : from + 1;
	}
	return to;
}

bool carve_pack_before_edge(const uint8_t *p, size_t n)
{
	for (size_t there = 8; there < ETW_BUFFER_HEADER_SIZE && there <= n; there++) {
		const uint8_t *h = p + n - there;

		if (sizes_ok(le32(h), le32(h + 4)) && (there < REF + 4 || le32(h + REF) == 0))
			return true;
	}
	return false;
}

bool carve_pack_behind_edge(const uint8_t *p, size_t n)
{
	for (size_t before = 1; before < 8 && n >= ETW_BUFFER_HEADER_SIZE; before++)
		if (le32(p + REF - before) == 0 && le32(p + 0x2c - before) < STATES &&
		    sizes_ok(0, le32(p + (p[0x34 - before] & FLAG_COMPRESSED ? 0x30 : 8) - before)))
			return true;
	return false;
}

/* ---- what is in it --------------------------------------------------------------------------------------------------------------------- */

uint32_t carve_pack_unpack(const uint8_t *in, uint32_t n_in, uint8_t *raw, uint32_t end, struct carve_walk *w, bool *broken)
{
	int torn = 0;
	/* with room for more, so that a stream that does not end with the data shows */
	uint32_t made = ETW_BUFFER_HEADER_SIZE + (uint32_t)xpress_unpack_some(in, n_in, raw + ETW_BUFFER_HEADER_SIZE,
									      end - ETW_BUFFER_HEADER_SIZE + PEEK_BYTES, &torn);

	*broken = torn != 0;
	memset(raw + made, 0, end + PEEK_BYTES - made);
	*w = (struct carve_walk){.off = ETW_BUFFER_HEADER_SIZE};
	carve_go_on(w, raw, made < end ? made & ~7u : end, end);
	return made;
}

bool carve_pack_looks(const uint8_t *p, uint32_t have, struct carve_pack *out)
{
	uint8_t page[ETW_BUFFER_HEADER_SIZE + CARVE_PACK_PEEK + PEEK_BYTES];
	uint32_t n, most, made;
	int torn = 0;

	if (!carve_pack_header(p, out))
		return false;
	n = (have < out->h.buffer_size ? have : out->h.buffer_size) - ETW_BUFFER_HEADER_SIZE;
	most = out->end - ETW_BUFFER_HEADER_SIZE;
	if (most > CARVE_PACK_PEEK)
		most = CARVE_PACK_PEEK;
	made = ETW_BUFFER_HEADER_SIZE +
	       (uint32_t)xpress_unpack_some(p + ETW_BUFFER_HEADER_SIZE, n, page + ETW_BUFFER_HEADER_SIZE, most, &torn);
	if (torn && have >= out->h.buffer_size)
		return false;
	memset(page + made, 0, PEEK_BYTES);
	out->walk = (struct carve_walk){.off = ETW_BUFFER_HEADER_SIZE};
	carve_go_on(&out->walk, page, made < out->end ? made & ~7u : made, out->end);
	return !out->walk.bad;
}
