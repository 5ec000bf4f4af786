/* infer_see.h - one context as inference sees it, and the tests that are put to each distance. Inside kstructs only. */
#ifndef ETLIFT_INFER_SEE_H
#define ETLIFT_INFER_SEE_H

#include "infer.h"

#define INFER_SEE_BYTES (INFER_BEFORE + INFER_BEHIND)

struct infer_see {
	struct infer_root root;
	uint8_t p[INFER_SEE_BYTES]; /* p[INFER_BEFORE] is the first byte of the ring's head */
	struct vm_missing hole[4];
	size_t n_holes;
	uint32_t buffers; /* nodes of the ring, as far as it can be followed */
};

/* WEAK: nothing speaks against it, and nothing for it (zero, empty). */
enum infer_answer { INFER_NO, INFER_YES, INFER_WEAK, INFER_CANT_SEE };

typedef enum infer_answer infer_test(const struct kernel *k, const struct infer_see *s, uint32_t at, const void *arg);

void infer_see_read(const struct kernel *k, const struct infer_root *r, struct infer_see *s);

infer_test see_id, see_size, see_place, see_ring, see_string, see_string_or_none, see_pair, see_clock, see_start, see_mode, see_queue,
	see_counts, see_current;

#endif
