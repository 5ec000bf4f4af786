/* relatives.c - see relatives.h */
#include "relatives.h"

#include "input.h"
#include "kdumpparts.h"
#include "segments.h"
#include "vmware.h"

/* True: it is the first of some pieces; `in` is closed then. */
static bool tell_pieces(struct input *in, void (*fn)(void *ctx, const char *other), void *ctx)
{
	struct segments_facts f;
	struct segments_piece p;
	struct input *whole;

	if (segments_open(&whole, in, input_name(in), &f, NULL) < 0)
		return false;
	for (uint32_t i = 1; segments_piece(whole, i, &p); i++)
		if (p.name)
			fn(ctx, p.name);
	input_close(whole);
	return true;
}

void dump_relatives(const char *path, void (*fn)(void *ctx, const char *other), void *ctx)
{
	struct input *in;

	if (input_is_stream(path) || input_open(&in, path, NULL) < 0 || tell_pieces(in, fn, ctx))
		return;
	kdumpparts_names(in, fn, ctx);
	vmware_state_name(in, fn, ctx);
	input_close(in);
}
