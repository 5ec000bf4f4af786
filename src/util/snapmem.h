/* snapmem.h - memory of a library's state that can be copied and put back.
 *
 * For unpackers that can't say where they stand (libzstd in a frame, liblzma in a block) but take an allocator: all they know is in memory that was
 * given to them, so a copy of that is a snapshot. It is put back at the same addresses, whatever has happened since. Not safe for
 * several threads. */
#ifndef ETLIFT_SNAPMEM_H
#define ETLIFT_SNAPMEM_H

#include <stdbool.h>
#include <stddef.h>

struct snapmem;
struct snapmem_copy;

struct snapmem *snapmem_new(void);     /* NULL: out of memory */
void snapmem_close(struct snapmem *m); /* takes NULL; gives all of it back. Copies must be gone. */

/* As malloc() and free(); `m` is a struct snapmem, void for the libraries' sake. */
void *snapmem_alloc(void *m, size_t n);
void snapmem_release(void *m, void *p); /* takes NULL */

size_t snapmem_bytes(const struct snapmem *m); /* in use: what a copy holds */

struct snapmem_copy *snapmem_save(struct snapmem *m); /* NULL: out of memory */
/* False: some of it was given back meanwhile (see snapmem.c for when), and nothing has changed. */
bool snapmem_restore(struct snapmem *m, const struct snapmem_copy *c);
void snapmem_copy_free(struct snapmem_copy *c); /* takes NULL */

#endif
