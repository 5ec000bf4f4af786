/* .etl files all the way to JSON lines: events in time order, every decoder, the printer. */
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "evsink.h"
#include "jsonl.h"

#define EVENTS_MAX 4096 /* of one input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(struct evsource *s)
{
	static struct decoder *d; /* made once: that costs more than most inputs */
	struct event ev;
	struct buf out;
	struct jsonl *j = jsonl_new();
	static const char *const names[] = {"csv", "xml", "timesketch", "pcapng", "evtx"};
	enum { SINKS = sizeof(names) / sizeof(names[0]) };
	const struct evsink *sink[SINKS];
	void *state[SINKS] = {0};
	int64_t before = INT64_MIN, at;

	if (d ? decoder_forget(d, NULL) < 0 : decoder_new(&d, NULL) < 0)
		abort();
	buf_init(&out);
	for (size_t k = 0; k < SINKS; k++) {
		sink[k] = evsink_find(names[k]);
		if (sink[k]->open && sink[k]->open(&state[k], NULL) < 0)
			abort();
		if (sink[k]->begin)
			sink[k]->begin(state[k], &out);
	}
	if (decoder_learn(d, s, NULL) == 0)
		for (int i = 0; i < EVENTS_MAX && evsource_peek_time(s, &at, NULL) == 0 && evsource_next(s, &ev, NULL) > 0; i++) {
			if (ev.origin->session->clock == ETW_CLOCK_SYSTEM_TIME && at < before)
				abort();
			before = at;
			decoder_event(d, &ev);
			buf_clear(&out);
			if (j)
				jsonl_event(j, &out, &ev, i & 1);
			if (j && !out.failed && (out.n < 2 || out.p[out.n - 1] != '\n' || memchr(out.p, '\n', out.n - 1)))
				abort();
			for (size_t k = 0; k < SINKS; k++)
				if (sink[k]->event(state[k], &out, &ev, i & 1) < 0)
					abort();
		}
	for (size_t k = 0; k < SINKS; k++) {
		if (sink[k]->end)
			sink[k]->end(state[k], &out);
		if (sink[k]->head)
			sink[k]->head(state[k], &out);
		if (state[k])
			sink[k]->close(state[k]);
	}
	buf_free(&out);
	jsonl_free(j);
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
