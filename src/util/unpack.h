/* unpack.h - a small compressed file, whole, into memory: gzip, zlib, xz, or as it is. For symbol files and built-in data; evidence goes
 * through the streaming inputs. The caller names the limit on the unpacked size: nothing bigger is ever allocated. */
#ifndef ETLIFT_UNPACK_H
#define ETLIFT_UNPACK_H

#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "input.h"

/* Appends the unpacked bytes to *out. What it is is told by its first bytes; unknown bytes are copied. ERR_FORMAT (damaged), ERR_TRUNC,
 * ERR_LIMIT (more than max bytes), ERR_UNSUPPORTED (xz in a build without liblzma), ERR_NOMEM. */
int unpack_bytes(struct buf *out, const void *p, size_t n, size_t max, struct err *e);

/* A whole zlib stream whose size is known (built-in data): 0, ERR_FORMAT or ERR_NOMEM. */
int unpack_zlib(struct buf *out, const void *p, size_t n, size_t size, struct err *e);

/* Reads all of `in` (at most max bytes) and unpacks it (at most max bytes). */
int unpack_input(struct buf *out, struct input *in, size_t max, struct err *e);

#endif
