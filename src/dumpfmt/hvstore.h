/* hvstore.h - HyperVStorage, the key-value store of Hyper-V (.vmrs, .vmcx, .vsv since 2012 R2): hands out every key that holds bytes. Not the tree of
 * keys: names are told without their path. Facts: docs/formats/vmrs.md. */
#ifndef ETLIFT_HVSTORE_H
#define ETLIFT_HVSTORE_H

#include "input.h"
#include "note.h"

#define HVSTORE_SIGNATURE 0x01282014u

struct hvstore_value { /* where the bytes of a key stand in the file */
	uint64_t off;
	uint32_t len;
};

/* name: without a NUL behind it. Negative ends the walk. */
typedef int hvstore_fn(void *ctx, const char *name, size_t n, const struct hvstore_value *v, struct err *e);

/* Damage is a note and costs its table. ERR_FORMAT, ERR_UNSUPPORTED (a version whose keys are stored in another way), what fn says. */
int hvstore_walk(struct input *in, struct notes *notes, hvstore_fn *fn, void *ctx, struct err *e);

#endif
