/* hash.c - SHA-256 in hexadecimal, on hash_provider.c. A failure there gives an empty string, never a wrong hash. */
#include "hash.h"

#include <stdlib.h>

struct sha256 {
	struct hash *h;
};

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
	struct sha256 *h;

	out[0] = 0;
	if (sha256_new(&h, NULL) < 0)
		return;
	sha256_add(h, p, n);
	sha256_end(h, out);
}
