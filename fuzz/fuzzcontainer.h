/* fuzzcontainer.h - opens bytes as a container and reads its physical memory from end to end, twice, in steps that cross its pieces. */
#ifndef ETLIFT_FUZZCONTAINER_H
#define ETLIFT_FUZZCONTAINER_H

#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"

#define FUZZ_READ_MAX (1u << 20)

/* In pieces: what a container reads many pages at a time must be what it reads one by one. */
static inline int fuzz_read_pieces(const struct phys *p, uint64_t pa, uint8_t *buf, size_t n)
{
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < n; at += 4096)
		rc = phys_read(p, pa + at, buf + at, n - at < 4096 ? n - at : 4096);
	return rc;
}

static inline void fuzz_read_run(const struct phys *p, const struct phys_run *r, uint64_t *left)
{
	static const size_t steps[] = {5000, 4096, 40960};
	uint8_t a[40960], b[40960];

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		for (uint64_t at = 0; at < r->len && *left; at += steps[i]) {
			size_t n = r->len - at < steps[i] ? (size_t)(r->len - at) : steps[i];
			int rc = phys_read(p, r->pa + at, a, n);

			*left -= n < *left ? n : *left;
			if (rc == 0 && (fuzz_read_pieces(p, r->pa + at, b, n) != 0 || memcmp(a, b, n) != 0))
				abort(); /* the same place, other bytes */
		}
}

static inline void fuzz_container_bytes(const uint8_t *data, size_t size)
{
	struct notes notes;
	struct input *in;
	struct dump *d;
	struct phys_run r, last = {0};
	uint64_t left = FUZZ_READ_MAX;

	notes_init(&notes);
	if (input_open_memory(&in, data, size, "fuzz", NULL) == 0 && dump_open_input(&d, in, NULL, &notes, NULL) == 0) {
		for (size_t i = 0; phys_run(d->phys, i, &r); i++) {
			if (r.len == 0 || (i && r.pa < last.pa + last.len))
				abort(); /* runs are sorted and apart */
			fuzz_read_run(d->phys, &r, &left);
			last = r;
		}
		dump_close(d);
	}
	notes_free(&notes);
}

#endif
