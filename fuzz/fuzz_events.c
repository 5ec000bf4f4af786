/* .etl files all the way to JSON lines: events in time order, every decoder, the printer. */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "jsonl.h"

#define EVENTS_MAX 4096 /* of one input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(struct evsource *s)
{
	struct decoder *d;
	struct event ev;
	struct buf out;
	int64_t before = INT64_MIN, at;

	if (decoder_new(&d, NULL) < 0)
		return;
	buf_init(&out);
	if (decoder_learn(d, s, NULL) == 0)
		for (int i = 0; i < EVENTS_MAX && evsource_peek_time(s, &at, NULL) == 0 && evsource_next(s, &ev, NULL) > 0; i++) {
			if (ev.origin->session->clock == ETW_CLOCK_SYSTEM_TIME && at < before)
				abort();
			before = at;
			decoder_event(d, &ev);
			buf_clear(&out);
			jsonl_event(&out, &ev, i & 1);
			if (!out.failed && (out.n < 2 || out.p[out.n - 1] != '\n' || memchr(out.p, '\n', out.n - 1)))
				abort();
		}
	buf_free(&out);
	decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct evsource *s;
	struct input *in;

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	if (input_open_memory(&in, copy, size, "fuzz", NULL) == 0) {
		if (evsource_open_etl(&s, in, "fuzz", NULL, NULL) == 0) {
			decode_all(s);
			evsource_close(s);
		}
		input_close(in);
	}
	free(copy);
	return 0;
}
