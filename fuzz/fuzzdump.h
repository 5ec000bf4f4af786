/* fuzzdump.h - opens bytes as an image and reads its physical memory, up to a bound. For the targets of containers. */
#ifndef ETLIFT_FUZZDUMP_H
#define ETLIFT_FUZZDUMP_H

#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"

#define FUZZ_READ_MAX (4u << 20) /* bytes read of one image */

static inline void fuzz_dump_bytes(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1), *page = malloc(65536); /* exact size: one byte too far is seen */
	struct notes notes;
	struct input *in;
	struct dump *d;

	notes_init(&notes);
	if (copy && size)
		memcpy(copy, data, size);
	if (copy && page && input_open_memory(&in, copy, size, "fuzz", NULL) == 0 && dump_open_input(&d, in, NULL, &notes, NULL) == 0) {
		uint64_t left = FUZZ_READ_MAX;
		struct phys_run r;

		for (size_t i = 0; left && phys_run(d->phys, i, &r); i++) {
			uint64_t step = 4096;

			for (uint64_t at = 0; at < r.len && left; at += step, left -= step < left ? step : left) {
				step = at % 8 ? 65536 : 4093; /* across pages and chunks */
				if (step > r.len - at)
					step = r.len - at;
				phys_read(d->phys, r.pa + at, page, (size_t)step);
			}
			if (r.len > 1) /* and its end */
				phys_read(d->phys, r.pa + r.len - 2, page, 2);
		}
		dump_late_notes(d);
		dump_close(d);
	}
	notes_free(&notes);
	free(page);
	free(copy);
}

#endif
