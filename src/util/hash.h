/* hash.h - SHA-256 (and what else the evidence formats want) through libcrypto (on Windows: its own library). */
#ifndef ETLIFT_HASH_H
#define ETLIFT_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define SHA256_HEX 65
#define HASH_MAX   32 /* bytes of the longest one */

enum hash_kind { HASH_MD5, HASH_SHA1, HASH_SHA256 };

struct hash;

/* Any of them, as evidence formats store them. ERR_UNSUPPORTED: this libcrypto does not do it (MD5 under FIPS). */
int hash_new(struct hash **out, enum hash_kind kind, struct err *e);
void hash_add(struct hash *h, const void *p, size_t n);
/* Ends and frees; the count of bytes (16, 20, 32), 0 if libcrypto failed. */
size_t hash_end(struct hash *h, uint8_t out[HASH_MAX]);

struct sha256;

int sha256_new(struct sha256 **out, struct err *e);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/* Ends and frees; lower-case hex. */
void sha256_end(struct sha256 *h, char out[SHA256_HEX]);
void sha256_of(const void *p, size_t n, char out[SHA256_HEX]);

#endif
