/* carveunpack.h - what carveunpack.c and carveseek.c share: one packed buffer whose pages are being looked for. */
#ifndef ETLIFT_CARVEUNPACK_H
#define ETLIFT_CARVEUNPACK_H

#include "carvepack.h"
#include "carvework.h"

#define CARVE_UNPACK_PEEK   0x40u      /* bytes behind the end of what is unpacked, so that a stream which goes on shows */
#define CARVE_UNPACK_SYMBOL 16u        /* more than one symbol of a stream takes, the flags before it included */
#define CARVE_SEEKS_MAX     (1u << 24) /* pages tried for all buffers together */
#define CARVE_PROOFS_LEAST  2u         /* carve_proofs() in what a page adds, where nothing else tells that it goes on */

struct attempt {
	struct carve *c;
	const struct carve_buf *b;
	uint32_t end, n_in; /* n_in: bytes of the stream that were read */
	uint8_t *raw;       /* owned; end + CARVE_UNPACK_PEEK */
	bool claims;        /* much for its size, so that it has limits of its own */
	bool known;         /* its pages are, and it was unpacked from them before */
	bool placed;        /* its pages stand at its addresses: that proves them */
	bool whole, spoilt; /* spoilt: what is at hand is not right; else only pages are missing */
	uint32_t good;      /* records are whole up to here */
	struct carve_walk walk;
};

/* Bytes of b in its first page. */
static inline uint32_t carve_in_first(const struct carve_buf *b)
{
	return CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);
}

/* Header to t->raw, stream to c->raw; as far as pages are there. False: not even the header is. */
bool carve_read_stream(struct attempt *t, const uint64_t *page, uint32_t n_pages);

/* Was as much unpacked as may be? A stream of a few bytes can make 16 MB: there must be an end to it. */
bool carve_unpack_spent(const struct carve *c, bool claims);

/* Records that begin and end in raw[from, to) and prove that the stream is the buffer's: not those that begin as the one before them, since a stream that goes wrong
 * makes such ones by itself, by one match. */
uint32_t carve_proofs(const struct attempt *t, uint32_t from, uint32_t to);

/* Can the ith of the packed buffers be the one that follows b in its file or row? A packed buffer is written behind the one that was flushed before it. */
bool carve_may_follow(const struct carve *c, const struct carve_buf *b, size_t i);

/* When the first of those was flushed; UINT64_MAX: there are none. */
uint64_t carve_next_flush(const struct carve *c, const struct carve_buf *b);

/* Does what stands behind a stream that ends at pa tell that it ends there: another buffer, which may be its next one? */
bool carve_followed(const struct carve *c, const struct carve_buf *b, uint64_t pa);

/* ---- carveseek.c ----------------------------------------------------------------------------------------------------------------------- */

#define CARVE_SEEK_HEAD 256u

struct seeker {
	uint64_t *page; /* owned; those that may be the inside of a stream, ascending */
	size_t n, cap;
	uint8_t *head; /* owned; the first CARVE_SEEK_HEAD bytes of as many of them */
	size_t n_heads, cap_heads;
	bool looked, all; /* all: they were, and memory is small enough to be searched */
};

/* Fills page[1, n), as far as there is one page each time and records prove it. `far`: all of memory is searched, not only the pages behind and those in which another
 * packed buffer begins. How many of page[] are known then. */
int carve_seek_pages(struct seeker *k, struct attempt *t, uint64_t *page, uint32_t n, bool far, uint32_t *known);

#endif
