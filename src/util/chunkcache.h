/* chunkcache.h - unpacked chunks of a container whose chunks can be unpacked one by one: a bounded cache, safe for many threads.
 *
 * A chunk is unpacked outside of any lock; two threads that want the same chunk at the same time may both unpack it. A chunk that can't be
 * unpacked is not kept: whoever asks again gets the same error again. A read of a whole chunk goes straight to the reader's memory. */
#ifndef ETLIFT_CHUNKCACHE_H
#define ETLIFT_CHUNKCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define CHUNKCACHE_BYTES (UINT64_C(64) << 20) /* what a cache holds, unless a few single chunks are larger */

struct chunkcache;

/* Unpacks chunk n into buf (chunk_size bytes). Returns how many bytes it has, or ERR_*. Called by many threads at once. */
typedef int64_t chunkcache_load_fn(void *ctx, uint64_t n, uint8_t *buf, struct err *e);

/* `chunks`: how many there are at most; only room for them is made. */
int chunkcache_new(struct chunkcache **out, size_t chunk_size, uint64_t chunks, chunkcache_load_fn *load, void *ctx, struct err *e);
void chunkcache_free(struct chunkcache *c); /* takes NULL */

/* Bytes [off, off + len) of chunk n: the count (short at the chunk's end, 0 behind it), or ERR_*. */
int64_t chunkcache_read(struct chunkcache *c, uint64_t n, size_t off, void *buf, size_t len, struct err *e);

#endif
