/* utf16.h - UTF-16LE bytes to UTF-8 and back. Bytes come from evidence: any length, any content. */
#ifndef ETLIFT_UTF16_H
#define ETLIFT_UTF16_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Appends n_bytes of UTF-16LE as UTF-8. Unpaired surrogates become U+FFFD; an odd last byte is dropped; NULs are kept as they are. */
void utf16_to_utf8(struct buf *out, const uint8_t *p, size_t n_bytes);

/* A heap string of the bytes up to their first NUL unit, or NULL when out of memory. */
char *utf16_dup(const uint8_t *p, size_t n_bytes);

/* Appends UTF-8 text as UTF-16LE without a NUL; broken sequences become U+FFFD. */
void utf8_to_utf16(struct buf *out, const char *s);

#endif
