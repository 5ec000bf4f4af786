#include "kernel_versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packed.h"

extern const struct packed_file kernel_versions_packed[];

bool kernel_version(uint32_t timestamp, uint64_t size, char out[KERNEL_VERSION_MAX])
{
	char *text = packed_text(&kernel_versions_packed[0]), key[32];
	const char *line, *version = NULL;
	size_t n = 0;

	if (!text)
		return false;
	/* lines "TIMESTAMP SIZE ARCH VERSION" */
	snprintf(key, sizeof(key), "%08x %llx ", (unsigned)timestamp, (unsigned long long)size);
	for (line = text; line && !version; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			version = strchr(line + strlen(key), ' ');
	if (version) {
		version++;
		n = strcspn(version, "\n");
	}
	if (n && n < KERNEL_VERSION_MAX) {
		memcpy(out, version, n);
		out[n] = 0;
	}
	free(text);
	return n && n < KERNEL_VERSION_MAX;
}
