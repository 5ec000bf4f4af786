/* hash.c - see hash.h. A failure of libcrypto itself gives an empty string, never a wrong hash. */
#include "hash.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct hash {
	EVP_MD_CTX *ctx;
	bool failed;
};

struct sha256 {
	struct hash *h;
};

int hash_new(struct hash **out, enum hash_kind kind, struct err *e)
{
	const EVP_MD *md = kind == HASH_MD5 ? EVP_md5() : kind == HASH_SHA1 ? EVP_sha1() : EVP_sha256();
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, md, NULL) != 1) {
		EVP_MD_CTX_free(h->ctx);
		free(h);
		return err_set(e, ERR_UNSUPPORTED, "libcrypto can't start this hash");
	}
	*out = h;
	return 0;
}

void hash_add(struct hash *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->ctx, p, n) != 1)
		h->failed = true;
}

size_t hash_end(struct hash *h, uint8_t out[HASH_MAX])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (h->failed || EVP_DigestFinal_ex(h->ctx, md, &n) != 1 || n > HASH_MAX)
		n = 0;
	memcpy(out, md, n);
	EVP_MD_CTX_free(h->ctx);
	free(h);
	return n;
}

int sha256_new(struct sha256 **out, struct err *e)
{
	struct sha256 *s = calloc(1, sizeof(*s));
	int rc = s ? hash_new(&s->h, HASH_SHA256, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (rc < 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
	hash_add(h->h, p, n);
}

static void hex(const uint8_t *p, unsigned n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = 0;
}

void sha256_end(struct sha256 *h, char out[SHA256_HEX])
{
	uint8_t md[HASH_MAX];
	size_t n = hash_end(h->h, md);

	out[0] = 0;
	if (n == 32)
		hex(md, 32, out);
	free(h);
}

void sha256_of(const void *p, size_t n, char out[SHA256_HEX])
{
	uint8_t md[32];
	unsigned len = 0;

	out[0] = 0;
	if (EVP_Digest(p, n, md, &len, EVP_sha256(), NULL) == 1 && len == sizeof(md))
		hex(md, len, out);
}
