/* fuzzrecover.h - opens bytes as an image without a kernel and walks every record of every session that comes out. */
#ifndef ETLIFT_FUZZRECOVER_H
#define ETLIFT_FUZZRECOVER_H

#include <stdlib.h>
#include <string.h>

#include "evhdr.h"
#include "recover.h"

/* What a settled buffer promises: whole records that end exactly at its end. */
static inline int fuzz_take_session(void *ctx, const struct etw_session *s, struct err *e)
{
	(void)ctx;
	(void)e;
	for (size_t i = 0; i < s->n_buffers; i++) {
		const struct etw_buffer *b = &s->buffers[i];
		uint32_t off = 0, n = 0;
		struct etw_record r;

		for (; off < b->body_len; off += r.step, n++)
			if (etw_record_peek(b->body, b->body_len, off, &r) != ETW_PEEK_RECORD)
				abort();
		if (n != b->n_events)
			abort();
	}
	return 0;
}

static inline void fuzz_recover_bytes(const uint8_t *data, size_t size)
{
	struct recover_opts ro = {0};
	struct image_opts io = {0};
	struct etw_sink sink = {NULL, fuzz_take_session, NULL};
	uint8_t *copy = malloc(size ? size : 1); /* exact size: one byte too far is seen */
	struct input *in;
	struct image *im;
	size_t n;

	if (!copy)
		return;
	if (size)
		memcpy(copy, data, size);
	if (input_open_memory(&in, copy, size, "fuzz", NULL) == 0 && image_open_input(&im, in, &io, NULL) == 0) {
		recover_run(im, &ro, &sink, &n, NULL);
		image_close(im);
	}
	free(copy);
}

#endif
