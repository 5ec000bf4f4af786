/* Instrumentation manifests into a store of definitions. */
#include <stdlib.h>

#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct definition_counts n = {0, 0};
	struct schemas *s;
	struct err e;
	int rc;

	if (schemas_new(&s, NULL) < 0)
		return 0;
	e.msg[0] = 0;
	rc = manifest_read(s, data, size, SCHEMA_MANIFEST, NULL, &n, &e);
	if (rc < 0 && !e.msg[0])
		abort();
	schemas_free(s);
	return 0;
}
