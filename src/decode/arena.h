/* arena.h - memory that lives as long as one event: bump allocation, freed all at once. */
#ifndef ETLIFT_ARENA_H
#define ETLIFT_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define ARENA_MAX ((size_t)64 << 20) /* one event never needs more; over it arena_alloc fails, unless `max` says otherwise */

struct arena_chunk;

struct arena {
	struct arena_chunk *first, *now;
	size_t used, total; /* in `now`; over all chunks */
	size_t max;         /* bytes over all chunks; arena_init() sets ARENA_MAX */
};

void arena_init(struct arena *a);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* keeps the first chunks for the next event */
/* n bytes, 16-aligned, not zeroed; NULL at the limit or out of memory. */
void *arena_alloc(struct arena *a, size_t n);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* NUL-terminated copy, or NULL */

#endif
