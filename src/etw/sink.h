/* sink.h - where a finder's sessions go. A finder yields; it never writes. */
#ifndef ETLIFT_SINK_H
#define ETLIFT_SINK_H

#include "err.h"
#include "etw.h"

struct etw_sink {
	/* Once, before the first session. Borrowed until the run ends. */
	int (*system)(void *ctx, const struct etw_system *sys, struct err *e);
	/* Each session with its buffers settled and ordered; borrowed for the call. A negative answer ends the run with it. */
	int (*session)(void *ctx, const struct etw_session *s, struct err *e);
	void *ctx;
};

#endif
