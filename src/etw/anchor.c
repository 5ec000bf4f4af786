/* anchor.c - the pair {FILETIME, clock value} of a session (etw.h, etw_session_anchor). */
#include "etw.h"

static bool system_pair(const struct etw_session *s, const struct etw_system *sys, int64_t *time, uint64_t *ts)
{
	if (s->clock == ETW_CLOCK_QPC && sys->has_qpc_pair) {
		*time = sys->qpc_pair_time;
		*ts = sys->qpc_pair_ts;
		return true;
	}
	if (!sys->boot_time)
		return false;
	*time = sys->boot_time;
	*ts = 0;
	return true;
}

bool etw_session_anchor(const struct etw_session *s, const struct etw_system *sys, int64_t *time, uint64_t *ts)
{
	if (s->has_reference) {
		*time = s->reference_time;
		*ts = s->reference_ts;
		return true;
	}
	switch (s->clock) {
	case ETW_CLOCK_QPC:
	case ETW_CLOCK_CPU_CYCLE:
		return system_pair(s, sys, time, ts);
	case ETW_CLOCK_SYSTEM_TIME:
		if (!s->start_time)
			return false;
		*time = s->start_time;
		*ts = (uint64_t)s->start_time;
		return true;
	case ETW_CLOCK_UNKNOWN:
		break;
	}
	return false;
}
