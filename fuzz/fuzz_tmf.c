/* A trace message format file up to the first NUL; what is behind it is the payload of its messages 0 .. 31 of message GUID
 * 0b6c077e-f983-3543-6bbc-baec3455628b. */
#include <stdlib.h>
#include <string.h>

#include "jsonl.h"
#include "wpp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	struct tmf *t = tmf_new();
	struct arena a;
	struct buf scratch, out;
	struct guid g;

	if (!t)
		return 0;
	arena_init(&a);
	buf_init(&scratch);
	buf_init(&out);
	guid_parse("0b6c077e-f983-3543-6bbc-baec3455628b", &g);
	tmf_read(t, data, n, NULL);
	for (uint16_t i = 0; i < 32; i++) {
		const struct tmf_message *m = tmf_find(t, &g, i);
		struct event ev;

		memset(&ev, 0, sizeof(ev));
		ev.payload = (struct event_bytes){data + n + (nul != NULL), (uint32_t)(size - n - (nul != NULL))};
		ev.pointer_size = i & 1 ? 4 : 8;
		if (m && wpp_decode(&ev, m, &a, &scratch))
			json_value(&out, &ev.data);
		else if (m && !ev.reason)
			abort();
		arena_reset(&a);
		buf_clear(&out);
	}
	buf_free(&scratch);
	buf_free(&out);
	arena_free(&a);
	tmf_free(t);
	return 0;
}
