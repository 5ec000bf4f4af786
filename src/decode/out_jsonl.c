/* out_jsonl.c - one JSON object a line: jsonl.h. */
#include "evsink.h"
#include "jsonl.h"

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	(void)state;
	jsonl_event(out, ev, raw);
	return 1;
}

const struct evsink evsink_jsonl = {.name = "jsonl", .event = event};
