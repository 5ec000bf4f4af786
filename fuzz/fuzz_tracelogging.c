/* Events that carry their own schema: u16 length of the metadata, u8 length of the traits, u8 pointer size (even: 8), metadata, traits, payload. */
#include <stdlib.h>
#include <string.h>

#include "jsonl.h"
#include "rd.h"
#include "tracelogging.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t meta, traits, left = (uint32_t)size;
	struct arena a;
	struct event ev;
	struct buf out;
	uint8_t *p;

	if (size < 4)
		return 0;
	p = malloc(size);
	if (!p)
		return 0;
	memcpy(p, data, size);
	left -= 4;
	meta = le16(p) < left ? le16(p) : left;
	left -= meta;
	traits = p[2] < left ? p[2] : left;
	left -= traits;
	memset(&ev, 0, sizeof(ev));
	ev.schema = (struct event_bytes){p + 4, meta};
	ev.traits = (struct event_bytes){p + 4 + meta, traits};
	ev.payload = (struct event_bytes){p + 4 + meta + traits, left};
	ev.pointer_size = p[3] & 1 ? 4 : 8;
	arena_init(&a);
	buf_init(&out);
	tracelogging_traits(ev.traits, &a, &ev.provider_name, &ev.provider_group, &ev.has_provider_group);
	if (tracelogging_decode(&ev, &a)) {
		if (ev.data.type != DV_STRUCT)
			abort();
		json_value(&out, &ev.data);
	} else if (!ev.reason) {
		abort();
	}
	buf_free(&out);
	arena_free(&a);
	free(p);
	return 0;
}
