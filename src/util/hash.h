/* hash.h - SHA-256 (and what else the evidence formats want) through libcrypto. */
#ifndef ETLIFT_HASH_H
#define ETLIFT_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define SHA256_HEX 65

struct sha256;

int sha256_new(struct sha256 **out, struct err *e);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/* Ends and frees; lower-case hex. */
void sha256_end(struct sha256 *h, char out[SHA256_HEX]);
void sha256_of(const void *p, size_t n, char out[SHA256_HEX]);

#endif
