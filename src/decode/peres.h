/* peres.h - resources of a PE file (an .exe, .dll, .sys or .mui), by type. Only what holds definitions of events is looked for; nothing is loaded.
 * Layout: "PE Format" of Microsoft Learn. */
#ifndef ETLIFT_PERES_H
#define ETLIFT_PERES_H

#include <stddef.h>
#include <stdint.h>

#include "input.h"

#define PERES_BYTES_MAX    ((size_t)64 << 20) /* of one resource, and of the directory */
#define PERES_MAX          256u               /* resources of one type */
#define PERES_MESSAGETABLE 11u                /* RT_MESSAGETABLE */

/* Calls `fn` on every resource of the type named (upper-case ASCII), or numbered when `name` is NULL. A negative answer ends it. The count, or:
 * ERR_NOTMINE no PE file; ERR_FORMAT headers or a directory that leave the file; ERR_LIMIT, ERR_NOMEM, ERR_IO. */
int peres_each(struct input *in, const char *name, uint16_t id, int (*fn)(void *ctx, const uint8_t *p, size_t n, struct err *e), void *ctx,
	       struct err *e);

#endif
