/* Any bytes as a VMware state file with memory inside: parts, tags, regions. */
#include "fuzzdump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_dump_bytes(data, size);
	return 0;
}
