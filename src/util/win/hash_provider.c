/* hash_provider.c - the hashes of hash.h by Windows' own library (CNG), which every Windows since Vista has. */
#include "hash.h"

#include "winpath.h"

#include <bcrypt.h>

#define STEP_MAX (1u << 30)

struct hash {
	BCRYPT_ALG_HANDLE algorithm;
	BCRYPT_HASH_HANDLE h;
	ULONG size;
	bool failed;
};

int hash_new(struct hash **out, enum hash_kind kind, struct err *e)
{
	const wchar_t *name = kind == HASH_MD5 ? BCRYPT_MD5_ALGORITHM : kind == HASH_SHA1 ? BCRYPT_SHA1_ALGORITHM : BCRYPT_SHA256_ALGORITHM;
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, ERR_NOMEM, "out of memory");
	h->size = kind == HASH_MD5 ? 16 : kind == HASH_SHA1 ? 20 : 32;
	if (BCryptOpenAlgorithmProvider(&h->algorithm, name, NULL, 0) < 0) {
		free(h);
		return err_set(e, ERR_UNSUPPORTED, "Windows does not do this hash");
	}
	if (BCryptCreateHash(h->algorithm, &h->h, NULL, 0, NULL, 0, 0) < 0) {
		BCryptCloseAlgorithmProvider(h->algorithm, 0);
		free(h);
		return err_set(e, ERR_UNSUPPORTED, "Windows can't start this hash");
	}
	*out = h;
	return 0;
}

void hash_add(struct hash *h, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n) {
		ULONG k = n > STEP_MAX ? STEP_MAX : (ULONG)n;

		if (BCryptHashData(h->h, (uint8_t *)(uintptr_t)b, k, 0) < 0)
			h->failed = true;
		b += k;
		n -= k;
	}
}

size_t hash_end(struct hash *h, uint8_t out[HASH_MAX])
{
	size_t n = h->size;

	if (BCryptFinishHash(h->h, out, h->size, 0) < 0 || h->failed)
		n = 0;
	BCryptDestroyHash(h->h);
	BCryptCloseAlgorithmProvider(h->algorithm, 0);
	free(h);
	return n;
}
