/* Any bytes as an AFF4 volume: the archive, what it says about itself, maps, indexes, chunks. */
#include "fuzzdump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_dump_bytes(data, size);
	return 0;
}
