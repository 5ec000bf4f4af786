/* kdumpparts.h - the parts of a kdump that `makedumpfile --split` wrote: files of any name, each with the whole dump's header and bitmap, and with the pages of its
 * own range of frames. The others are found in the same folder, by their headers. Facts: docs/formats/kdump.md. */
#ifndef ETLIFT_KDUMPPARTS_H
#define ETLIFT_KDUMPPARTS_H

#include "dumpfmt.h"

#define KDUMPPARTS_MAX       1024u /* of one dump */
#define KDUMPPARTS_NAMES_MAX 4096u /* files of the folder that are looked at */
#define KDUMP_SUB_HEADER     104u  /* bytes of it that are read */

struct kdump_part {
	bool split;
	uint64_t from, to; /* page frames [from, to) */
};

/* What a sub-header (KDUMP_SUB_HEADER bytes) says of this. */
void kdumpparts_range(struct kdump_part *p, const uint8_t *h, bool wide);
bool kdumpparts_sound(const struct kdump_part *p, uint64_t max_pfn); /* true too when it is no part */

/* Hands every other part of d->in's dump to add(), which takes the input over; frames of the dump that no part has are named. `page`: block size. */
int kdumpparts_find(struct dump *d, const struct kdump_part *own, uint64_t max_pfn, uint32_t page,
		    int (*add)(void *ctx, struct input *in, struct err *e), void *ctx, struct err *e);

/* The names of the other parts that lie beside this file, if it is one. */
void kdumpparts_names(struct input *in, void (*fn)(void *ctx, const char *path), void *ctx);

#endif
