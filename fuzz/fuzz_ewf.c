/* Any bytes as an EWF image: sections, tables, chunks. */
#include "fuzzdump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_dump_bytes(data, size);
	return 0;
}
