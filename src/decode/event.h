/* event.h - one event: its header facts (all record kinds, all extended items), then its decoded data.
 *
 * Everything is borrowed: from the buffer's body, the arena of the event, or a schema that outlives it. Facts: docs/etl-format.md section 3. */
#ifndef ETLIFT_EVENT_H
#define ETLIFT_EVENT_H

#include "etw.h"
#include "evhdr.h"
#include "value.h"

enum event_kind { EVENT_MANIFEST, EVENT_TRACELOGGING, EVENT_MOF, EVENT_WPP, EVENT_SYSTEM, EVENT_PERFINFO, EVENT_KINDS };

struct event_bytes {
	const uint8_t *p;
	uint32_t n;
};

struct event_origin {     /* what all events of one source share */
	const char *file; /* as the user gave it */
	bool is_image;    /* buffer = VA, else file offset */
	const struct etw_session *session;
	const struct etw_system *sys;
};

struct event {
	const struct event_origin *origin;
	enum event_kind kind;
	enum etw_kind record;
	bool has_ts; /* ts is there, whether or not it can be converted */
	bool has_time, has_provider, has_id, has_version, has_channel, has_level, has_opcode, has_task, has_keywords, has_pid, has_cpu;
	bool has_activity, has_related;
	int64_t time;              /* FILETIME */
	uint64_t ts;               /* raw clock value; valid if the record has one */
	struct guid provider;      /* provider, class, or message GUID */
	const char *provider_name; /* NULL unknown */
	uint32_t id;               /* event id, HookId, or message number */
	uint8_t version, channel, level, opcode;
	uint16_t task, wpp_flags; /* MESSAGE: OptionFlags */
	uint64_t keywords;
	const char *name; /* event name; NULL unknown */
	uint32_t pid, tid, cpu;
	struct guid activity, related;
	struct event_bytes sid;   /* extended item 2 */
	struct event_bytes stack; /* item 5, 6 or 18: addresses, stack_wide bytes each (behind the match id) */
	uint64_t stack_match;
	struct event_bytes schema;                           /* item 0xB: TraceLogging metadata */
	struct event_bytes traits;                           /* item 0xC: provider traits */
	struct event_bytes event_key, psm_key, container_id; /* items 0xA, 9, 0x10 */
	bool has_start_key, has_control_guid, has_qpc_delta, has_ts_id, has_instance, has_provider_group;
	bool has_wpp_sequence, has_wpp_component, has_buffer, buffer_is_va, has_pa, stack_wide;
	uint64_t start_key, qpc_delta; /* items 0xD, 0xF */
	struct guid control_guid;      /* item 0xE */
	struct guid provider_group;    /* from the traits */
	uint32_t ts_id;                /* item 3: terminal session */
	uint32_t instance_id, parent_instance_id;
	struct guid parent_guid;
	uint32_t wpp_sequence, wpp_component;
	uint64_t kernel_time, user_time; /* raw counts of the header; 0 where there are none */
	unsigned pointer_size;           /* of the writer: 4 or 8 */
	struct event_bytes payload;      /* user data */
	struct dval data;                /* DV_STRUCT, or DV_NULL: then reason says why */
	const char *reason;
	const char *process_name, *file_name; /* told by other events of the trace (names.h); NULL unknown */
	uint64_t buffer; /* VA in an image (buffer_is_va); file offset in a file, and in an image of a buffer mapped nowhere */
	uint64_t pa;     /* of the record's first byte, when its page is known */
	uint32_t offset; /* of the record, in the buffer as it was */
};

/* Header facts of one record of b->body (rec.off counts from its start; the first record stands there at 0). data stays DV_NULL. False: the
 * record contradicts itself (an extended item leaves it ...): *ev then has what could be read, and reason. */
bool event_parse(struct event *ev, const struct event_origin *origin, const struct etw_buffer *b, const struct etw_record *rec);

const char *event_kind_name(enum event_kind k);

#endif
