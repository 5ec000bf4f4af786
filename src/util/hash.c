/* hash.c - see hash.h. A failure of libcrypto itself gives an empty string, never a wrong hash. */
#include "hash.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

struct sha256 {
	EVP_MD_CTX *ctx;
	bool failed;
};

int sha256_new(struct sha256 **out, struct err *e)
{
	struct sha256 *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(h->ctx);
		free(h);
		return err_set(e, ERR_NOMEM, "libcrypto can't start SHA-256");
	}
	*out = h;
	return 0;
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->ctx, p, n) != 1)
		h->failed = true;
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
	uint8_t md[32];
	unsigned n = 0;

	out[0] = 0;
	if (!h->failed && EVP_DigestFinal_ex(h->ctx, md, &n) == 1 && n == sizeof(md))
		hex(md, n, out);
	EVP_MD_CTX_free(h->ctx);
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
