/* layercache.h - what of a packed file has been unpacked: chunks of LAYER_CHUNK bytes, the least recently used leaves first; one of zeros costs a bit.
 * Not safe for several threads: layer.c has the lock. */
#ifndef ETLIFT_LAYERCACHE_H
#define ETLIFT_LAYERCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct layerslab;

struct layerchunk {
	uint64_t number;
	struct layerchunk *newer, *older; /* by last use */
	struct layerchunk *next;          /* in its hash row */
	uint8_t *bytes;                   /* LAYER_CHUNK, in a slab */
};

#define LAYERCACHE_ROWS 4096u

struct layercache { /* all zeros but max_chunks: an empty one */
	size_t max_chunks, n_chunks;
	struct layerchunk *row[LAYERCACHE_ROWS], *newest, *oldest;
	struct layerslab *slabs;  /* the newest first */
	struct layerslab *ahead;  /* the next one; NULL: none was begun */
	struct layerchunk *spare; /* in no list: layercache_room() hands it out next */
	uint8_t *zero;            /* owned; a bit for each chunk that is known to be all zeros */
	uint64_t zero_bits;
};

void layercache_free(struct layercache *l); /* what it owns */

/* The chunk, now the newest one; NULL: it is not there. */
struct layerchunk *layercache_get(struct layercache *l, uint64_t number);
bool layercache_is_zero(const struct layercache *l, uint64_t number);

/* A chunk that is in no list: new memory, or the oldest one's when the cache is full; NULL: there is none. It is entered, or becomes `spare`. */
struct layerchunk *layercache_room(struct layercache *l);

/* Chunk `number` is in c now, n bytes of it; the rest is behind the end. */
void layercache_enter(struct layercache *l, uint64_t number, struct layerchunk *c, size_t n);

/* Keeps a copy of a chunk. Memory that is not there makes it slower, not wrong. */
void layercache_keep(struct layercache *l, uint64_t number, const uint8_t *p, size_t n);

bool layercache_all_zero(const uint8_t *p, size_t n);           /* of nothing too */
int layercache_set_zero(struct layercache *l, uint64_t number); /* 0 or ERR_NOMEM */

#endif
