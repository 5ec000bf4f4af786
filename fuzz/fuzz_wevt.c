/* Compiled manifests: a PE file, or a WEVT_TEMPLATE resource by itself; then two made payloads read by whatever the first events' definitions
 * are. */
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "wevt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The definitions of the provider that stands first. */
static void use(struct schemas *s, const uint8_t *crim)
{
	static const uint8_t payload[96] = {2, 0, 0, 0, 1, 1, 0, 'a', 0, 'b', 0, 0, 0};
	struct schema_key key;
	struct arena a;

	memset(&key, 0, sizeof(key));
	memcpy(key.guid.b, crim + 16, 16);
	arena_init(&a);
	for (unsigned id = 0; id < 8; id++) {
		const struct schema *d;
		struct event ev;

		key.id = (uint16_t)id;
		d = schemas_find(s, &key, NULL);
		memset(&ev, 0, sizeof(ev));
		ev.payload = (struct event_bytes){payload, (uint32_t)sizeof(payload)};
		ev.pointer_size = id & 1 ? 4 : 8;
		if (d && !schema_decode(&ev, d, &a) && !ev.reason)
			abort();
		arena_reset(&a);
	}
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct definition_counts n = {0, 0};
	static struct schemas *s; /* made once, with the parts of the catalogue that were asked for */
	struct input *in;

	if (s)
		schemas_forget(s);
	else if (schemas_new(&s, NULL) < 0)
		abort();
	if (wevt_read(s, data, size, size > 64 ? data + size / 2 : NULL, size > 64 ? size - size / 2 : 0, &n, NULL) == 0 && size >= 36)
		use(s, data);
	if (input_open_memory(&in, data, size, "fuzz", NULL) == 0) {
		wevt_read_file(s, in, &n, NULL);
		input_close(in);
	}
	return 0;
}
