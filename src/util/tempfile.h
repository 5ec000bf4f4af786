/* tempfile.h - a file without a name, in a folder that the user gave for it (--spill): gone when it is closed, also after a crash. */
#ifndef ETLIFT_TEMPFILE_H
#define ETLIFT_TEMPFILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct tempfile;

int tempfile_open(struct tempfile **out, const char *folder, struct err *e);
void tempfile_close(struct tempfile *t); /* takes NULL */
/* All n bytes at off; stretches of zeros are left as holes. */
int tempfile_write(struct tempfile *t, uint64_t off, const void *p, size_t n, struct err *e);
/* Up to n bytes: the count (short only at the end), or ERR_IO. Safe from several threads. */
int64_t tempfile_read(struct tempfile *t, uint64_t off, void *p, size_t n, struct err *e);

#endif
