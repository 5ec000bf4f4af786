/* carvejoin.h - what the two ways to find a buffer's pages share: the search that takes the best place first (carvejoin.c), and the one that
 * looks at all of them (carvechain.c). Inside src/recover only. */
#ifndef ETLIFT_CARVEJOIN_H
#define ETLIFT_CARVEJOIN_H

#include "carvework.h"

enum carve_place { /* the kinds of places for one page, in the order in which they are tried */
		   CARVE_MAPPED,
		   CARVE_TIED,
		   CARVE_NEXT,
		   CARVE_TIMED,
		   CARVE_UNTIMED,
		   CARVE_BEHIND,
		   CARVE_FILL,
		   CARVE_NONE,
		   CARVE_PLACES
};

struct carve_level { /* one page that is looked for */
	struct carve_walk before;
	size_t next;            /* in scan.part, of the place that is tried */
	unsigned tried, looked; /* pages; those that were some other buffer's as well */
	enum carve_place how;
	uint64_t pa;   /* what it has been given */
	bool proved;   /* by a record in it */
	bool doubt;    /* another page leads to it as well: it is possible, and no more than that */
	uint32_t node; /* carvechain.c's own */
};

struct join {
	struct carve *c;
	struct carve_buf *b;
	struct vm *vm; /* of the space it is mapped in, or NULL */
	const struct carve_how *o;
	uint64_t latest;           /* no record is later: the buffer's own time of flushing; UINT64_MAX unknown */
	uint32_t first;            /* bytes of the buffer in its first page */
	uint32_t end;              /* of data */
	struct carve_level *level; /* [0]: the buffer's second page */
	uint32_t n, n_all;         /* taken; n: but for those at the end that nothing proves */
	uint32_t b_pages;          /* that are looked for */
	bool zero_pads;            /* in its first page, zeros stand between records whose sizes are no multiples of 8 */
	struct carve_walk walk;    /* behind the last page taken */
};

static inline uint32_t carve_page_start(const struct join *j, uint32_t i)
{
	return j->first + i * CARVE_PAGE;
}

/* The next place for level i. False: there is none left. */
bool carve_next_place(struct join *j, uint32_t i, uint64_t *pa);

/* Is it a buffer of an .etl file, behind whose data fill stands? */
bool carve_of_file(const struct carve_shape *s);

/* carvelead.c. The first of s->part that begins at `off` from time `ts` on. */
size_t carve_parts_from(const struct carve_scan *s, uint16_t off, uint64_t ts);
/* p is to stand behind the page `before`, whose last record is from `last`: is there no page that leads to it later than that? `open`: but those that have one behind
 * them, or may have another one. */
bool carve_nearest(const struct carve *c, uint64_t before, uint64_t last, const struct carve_part *p, bool open);
/* Is there, or does the page before p in memory lead to it? */
bool carve_doubtful(const struct carve *c, uint64_t before, uint64_t last, const struct carve_part *p);

/* Takes the page at pa for level i if it is mapped, or if the records go on over it: level[i].pa and .proved, j->walk and the bytes at c->raw. */
bool carve_take(struct join *j, uint32_t i, uint64_t pa);

#define CARVE_ROW_SURE   3u /* pages that follow each other with records that go on: no chance */
#define CARVE_PADS_LEAST 8u /* bytes between records that tell a habit */

/* carvefits.c. What usually lies between two records. */
uint64_t carve_usual(const struct carve_walk *w);
/* Do the times of the records behind `before` go with those before it? Other buffers have records that would fit just as well otherwise. */
bool carve_times_fit(const struct join *j, enum carve_place how, const struct carve_walk *before, const struct carve_walk *w);
/* Behind the end of data stands what an earlier use left, or fill. Later records there are another buffer's. */
bool carve_goes_on(const struct join *j, const struct carve_walk *w, uint32_t have);
/* The last page, in which no record begins: does it end as this buffer does? */
bool carve_ends_here(const struct join *j, uint32_t start, uint32_t have);
/* The same of the page at pa, by what stands in the pages right behind it too. */
bool carve_ends_at(const struct join *j, uint64_t pa, uint32_t start, uint32_t have);
/* Are the bytes that pad records in raw[off, have) all zeros? off: of a record. *n: how many these are. */
bool carve_pads_zero(const uint8_t *raw, uint32_t off, uint32_t have, uint32_t *n);
/* Where the first page and this one show that padding is zeros: is it also zeros in the record that leads from one page into the other? */
bool carve_pads_fit(const struct join *j, uint32_t off, uint32_t start, uint32_t to);

/* All pages, by all places that fit: carvechain.c. `doubt`: pages that can't be told apart are left out; without, only what is the one way
 * there is counts. Fills level[0, want), or leaves j->n_all at 0. 0 or ERR_NOMEM. */
int carve_chain(struct join *j, uint32_t want, bool doubt);

/* The buffer can't do without these pages, whichever way it is put together: no other gets them, unless one wants them as well. 0 or ERR_NOMEM. */
int carve_hold(struct join *j, const uint64_t *pa, size_t n);

#endif
