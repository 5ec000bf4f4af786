/* Any bytes as an image without a kernel: containers, secondary data, sessions, and one .etl's worth of work on each. */
#include "fuzzrecover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_recover_bytes(data, size);
	return 0;
}
