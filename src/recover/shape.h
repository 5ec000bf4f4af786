/* shape.h - does a logger context stand here? By what all of them have in common, whatever led to the address.
 *
 * Each invariant holds, fails, or can't be looked at (no such member in this layout, page missing). Facts: docs/layouts.md section 7.3. */
#ifndef ETLIFT_SHAPE_H
#define ETLIFT_SHAPE_H

#include "kview.h"

/* What is enough. A neighbour is the first or last buffer in GlobalList. */
enum shape_need {
	SHAPE_WHOLE, /* nothing fails, and the ring of buffers holds */
	SHAPE_TAGGED /* the allocation's tag says what it is: the ring may be damaged */
};

/* Reads the context at va into *s and judges it. `failed` (may be NULL) names the first invariant that failed; "" none did. */
bool shape_proves(struct kview *v, uint64_t va, enum shape_need need, struct ksnap *s, const char **failed);

/* The cheap part, for bytes [off, n) of a page at p that are all that is known: false when no context can begin at off. Reads nothing else; any
 * thread may call it. */
bool shape_may_begin(const struct kview *v, const uint8_t *p, size_t off, size_t n);

#endif
