/* out_jsonl.c - one JSON object a line: jsonl.h. */
#include "evsink.h"
#include "jsonl.h"

static int open_lines(void **state, struct err *e)
{
	*state = jsonl_new();
	return *state ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static void close_lines(void *state)
{
	jsonl_free(state);
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	jsonl_event(state, out, ev, raw);
	return 1;
}

const struct evsink evsink_jsonl = {.name = "jsonl", .open = open_lines, .close = close_lines, .event = event};
