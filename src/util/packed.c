/* packed.c - see packed.h */
#include "packed.h"

#include <stdlib.h>
#include <zlib.h>

char *packed_text(const struct packed_file *f)
{
	uLongf n = f->size;
	char *s = malloc(f->size + 1);

	if (!s)
		return NULL;
	if (uncompress((Bytef *)s, &n, f->data, f->packed) != Z_OK || n != f->size) {
		free(s);
		return NULL;
	}
	s[n] = 0;
	return s;
}
