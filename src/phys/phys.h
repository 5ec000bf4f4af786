/* phys.h - physical memory: sorted runs of physical addresses -> bytes.
 *
 * Containers register runs and step aside. phys knows no container and no struct name. Build it with phys_add*(), then phys_seal(); from
 * then on it is read-only and may be shared by threads.
 * Overlaps: the run that was added first keeps the bytes, the later one is trimmed, and NOTE_RUN_OVERLAP tells (in evidence two answers
 * for one address are a finding). A run that goes past the end of its file is clamped, and NOTE_IMAGE_TRUNCATED tells. */
#ifndef ETLIFT_PHYS_H
#define ETLIFT_PHYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "input.h"
#include "note.h"

#define PHYS_RUNS_MAX (1u << 26) /* runs of one image, before neighbours are joined */

struct phys;

struct phys_run {
	uint64_t pa, len; /* bytes */
	bool in_file;
	uint64_t file_off; /* of the first byte, when in_file */
};

/* Reads len bytes at physical address pa, all inside one registered run. 0 or ERR_*. Must allow concurrent calls. */
typedef int phys_read_fn(void *ctx, uint64_t pa, void *buf, size_t len);

int phys_new(struct phys **out, struct notes *notes, struct err *e); /* notes may be NULL; used until phys_seal() */
void phys_free(struct phys *p);                                      /* takes NULL */

/* Bytes [file_off, file_off + len) of `in` stand at pa. `in` must outlive phys. len 0 is ignored. Neighbours that continue each other are
 * joined, so one call per page is fine. Holes of the input (input_extent()) are left out. 0, ERR_NOMEM, ERR_LIMIT. */
int phys_add_file(struct phys *p, uint64_t pa, uint64_t len, struct input *in, uint64_t file_off, struct err *e);

/* All that `in` has from file_off on stands at pa. Where its size is not known yet (input_size_known()) this must be the only run: the functions
 * below that give sizes may have to read all of it then, phys_read() does not. */
int phys_add_rest(struct phys *p, uint64_t pa, struct input *in, uint64_t file_off, struct err *e);

/* The same for bytes that a function makes. */
int phys_add(struct phys *p, uint64_t pa, uint64_t len, phys_read_fn *fn, void *ctx, struct err *e);

int phys_seal(struct phys *p, struct err *e); /* sorts, trims, joins; adding ends here */

/* All len bytes or ERR_FAULT (some of it is in no run) or ERR_IO. May cross runs. */
int phys_read(const struct phys *p, uint64_t pa, void *buf, size_t len);

/* The same, but what stands before the first byte that is not there or can't be read counts: how many bytes that is. */
size_t phys_read_some(const struct phys *p, uint64_t pa, void *buf, size_t len);

/* How many bytes from pa on are in the image without a break, at most len. At an open end it reads as far as that. */
uint64_t phys_present(const struct phys *p, uint64_t pa, uint64_t len);

/* How many bytes from pa on are in no run, at most len. */
uint64_t phys_absent(const struct phys *p, uint64_t pa, uint64_t len);

/* Where a physical address stands in the image file. False: nowhere (or made by a function). */
bool phys_file_offset(const struct phys *p, uint64_t pa, uint64_t *off);

/* True: the only run begins at *pa, and its end is not known yet. *guess: of its length; 0: none. */
bool phys_open_end(const struct phys *p, uint64_t *pa, uint64_t *guess);

size_t phys_n_runs(const struct phys *p);
bool phys_run(const struct phys *p, size_t i, struct phys_run *out); /* ascending by pa */
uint64_t phys_bytes(const struct phys *p);                           /* sum of all runs */
uint64_t phys_end(const struct phys *p);                             /* behind the highest byte; 0 when empty */

#endif
