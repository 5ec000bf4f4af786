/* Any bytes as the ETW block of an otherwise sound triage dump. */
#include "fuzzrecover.h"
#include "mkcrash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf etw, dump;
	struct mkcrash o = {.wide = true, .type = 4, .etw = &etw};

	buf_init(&etw);
	buf_init(&dump);
	buf_put(&etw, data, size);
	mkcrash_build(&dump, &o);
	fuzz_recover_bytes(dump.p, dump.n);
	buf_free(&dump);
	buf_free(&etw);
	return 0;
}
