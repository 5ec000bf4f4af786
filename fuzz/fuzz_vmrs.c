/* Any bytes as an image: seeds and words are those of Hyper-V's saved states. */
#include "fuzzcontainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_container_bytes(data, size);
	return 0;
}
