/* hash_provider.c - the hashes of hash.h by libcrypto. A failure of libcrypto itself gives no hash, never a wrong one. */
#include "hash.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct hash {
	EVP_MD_CTX *ctx;
	bool failed;
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
