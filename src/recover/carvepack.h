/* carvepack.h - packed buffers by their shape: those of compressed .etl files in the cache, and the rows of compressed sessions.
 *
 * Pure functions of bytes. A packed buffer is a header and one XPRESS stream behind it, at any address: in a file each begins where the one before
 * ends, in a row (a buffer of State 5) too. Header: BufferSize = 0x48 + packed bytes; in a file SavedOffset = Offset = 0x48 + unpacked bytes
 * and BufferFlag 0x40; in a row SavedOffset = CurrentOffset. Facts: docs/etl-format.md section 8, docs/live-buffers.md. */
#ifndef ETLIFT_CARVEPACK_H
#define ETLIFT_CARVEPACK_H

#include "carveshape.h"

#define CARVE_PACK_PEEK 4096u /* bytes unpacked to see whether records stand in a stream */

struct carve_pack {
	struct etw_bufhdr h;    /* as found: h.buffer_size is what it takes in memory, header and all */
	uint32_t end;           /* of data when unpacked, counted from the header */
	bool row;               /* of a compressed session, not of a file */
	struct carve_walk walk; /* over the records in what was unpacked of it */
};

/* Is p the header of a packed buffer? Fills all but walk. */
bool carve_pack_header(const uint8_t p[ETW_BUFFER_HEADER_SIZE], struct carve_pack *out);

/* Does a packed buffer begin at p? `have`: bytes at hand that are certainly its own, a header's at least. Nothing in what they unpack to may be no
 * record; less than a record is no objection. */
bool carve_pack_looks(const uint8_t *p, uint32_t have, struct carve_pack *out);

/* The first place in p[from, to) where the header of a packed buffer may begin; to: none. Bytes up to `to` + 0x47 are read. marks: of the blocks of p
 * (carve_blocks()), as many as are at hand. */
size_t carve_pack_next(const uint8_t *p, size_t from, size_t to, const uint8_t *marks, size_t n_marks);

/* Across an edge at p + n: may the header of a packed buffer begin in the last 0x47 bytes of p[0, n), by what of it stands there? Those that have 8 bytes
 * or more there. */
bool carve_pack_before_edge(const uint8_t *p, size_t n);

/* And across an edge at p, for those that have fewer than 8 bytes before it. n: bytes at p. */
bool carve_pack_behind_edge(const uint8_t *p, size_t n);

/* Unpacks in[0, n_in), all of the stream that is at hand, to raw[0x48, end) of a buffer whose header stands at raw already; raw has end + 0x40 bytes. Returns
 * where what was made ends (> end: more came out than may), *w is the walk over it. */
uint32_t carve_pack_unpack(const uint8_t *in, uint32_t n_in, uint8_t *raw, uint32_t end, struct carve_walk *w, bool *broken);

#endif
