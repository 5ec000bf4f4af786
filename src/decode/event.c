/* event.c - see event.h */
#include "event.h"

#include <string.h>

#include "rd.h"
#include "settle.h"

#define EVENT_FLAG_EXTENDED 0x0001u
#define EXT_ITEMS_MAX       4096 /* items of one event; each takes at least 8 bytes of at most 64 K */

enum { /* EVENT_HEADER_EXT_TYPE_* */
       EXT_RELATED_ACTIVITY = 1,
       EXT_SID = 2,
       EXT_TS_ID = 3,
       EXT_INSTANCE = 4,
       EXT_STACK32 = 5,
       EXT_STACK64 = 6,
       EXT_PSM_KEY = 9,
       EXT_EVENT_KEY = 0xa,
       EXT_SCHEMA_TL = 0xb,
       EXT_TRAITS = 0xc,
       EXT_START_KEY = 0xd,
       EXT_CONTROL_GUID = 0xe,
       EXT_QPC_DELTA = 0xf,
       EXT_CONTAINER_ID = 0x10
};

enum {
	WPP_SEQUENCE = 1,
	WPP_GUID = 2,
	WPP_COMPONENT = 4,
	WPP_TIMESTAMP = 8,
	WPP_SYSTEM = 0x20,
	WPP_POINTER32 = 0x40,
	WPP_POINTER64 = 0x80
};

const char *event_kind_name(enum event_kind k)
{
	static const char *const names[EVENT_KINDS] = {"manifest", "tracelogging", "mof", "wpp", "system", "perfinfo"};

	return (unsigned)k < EVENT_KINDS ? names[k] : "unknown";
}

static void copy_guid(struct guid *g, const uint8_t *p)
{
	memcpy(g->b, p, sizeof(g->b));
}

static void take_stack(struct event *ev, const uint8_t *p, uint32_t n, bool wide)
{
	if (n < 8)
		return;
	ev->stack_match = le64(p);
	ev->stack.p = p + 8;
	ev->stack.n = n - 8;
	ev->stack_wide = wide;
}

static void take_item(struct event *ev, unsigned type, const uint8_t *p, uint32_t n)
{
	struct event_bytes bytes = {p, n};

	switch (type) {
	case EXT_RELATED_ACTIVITY:
		if (n >= 16) {
			copy_guid(&ev->related, p);
			ev->has_related = true;
		}
		break;
	case EXT_SID:
		ev->sid = bytes;
		break;
	case EXT_TS_ID:
		if (n >= 4) {
			ev->ts_id = le32(p);
			ev->has_ts_id = true;
		}
		break;
	case EXT_INSTANCE:
		if (n >= 24) {
			ev->instance_id = le32(p);
			ev->parent_instance_id = le32(p + 4);
			copy_guid(&ev->parent_guid, p + 8);
			ev->has_instance = true;
		}
		break;
	case EXT_STACK32:
	case EXT_STACK64:
		take_stack(ev, p, n, type == EXT_STACK64);
		break;
	case EXT_PSM_KEY:
		ev->psm_key = bytes;
		break;
	case EXT_EVENT_KEY:
		ev->event_key = bytes;
		break;
	case EXT_SCHEMA_TL:
		ev->schema = bytes;
		ev->kind = EVENT_TRACELOGGING;
		break;
	case EXT_TRAITS:
		ev->traits = bytes;
		break;
	case EXT_START_KEY:
		if (n >= 8) {
			ev->start_key = le64(p);
			ev->has_start_key = true;
		}
		break;
	case EXT_CONTROL_GUID:
		if (n >= 16) {
			copy_guid(&ev->control_guid, p);
			ev->has_control_guid = true;
		}
		break;
	case EXT_QPC_DELTA:
		if (n >= 8) {
			ev->qpc_delta = le64(p);
			ev->has_qpc_delta = true;
		}
		break;
	case EXT_CONTAINER_ID:
		ev->container_id = bytes;
		break;
	default: /* kinds that nothing here prints: TS counters, PMC, PEBS, stack keys */
		break;
	}
}

/* Items at p[off, size): each {u16 total size, u16 type, u16 bit 0 = another follows, u16 data size}. Returns where the payload begins; 0: broken. */
static uint32_t take_items(struct event *ev, const uint8_t *p, uint32_t off, uint32_t size)
{
	for (int i = 0; i < EXT_ITEMS_MAX; i++) {
		uint32_t total, n;

		if (size - off < 8)
			return 0;
		total = le16(p + off);
		n = le16(p + off + 6);
		if (total < 8 || total > size - off || n > total - 8)
			return 0;
		take_item(ev, le16(p + off + 2), p + off + 8, n);
		if (!(le16(p + off + 4) & 1))
			return off + total;
		off += total;
	}
	return 0;
}

static bool parse_event_header(struct event *ev, const uint8_t *p, uint32_t size)
{
	uint32_t payload = 0x50;

	ev->kind = EVENT_MANIFEST;
	ev->tid = le32(p + 8);
	ev->pid = le32(p + 0xc);
	ev->has_pid = true;
	copy_guid(&ev->provider, p + 0x18);
	ev->id = le16(p + 0x28);
	ev->version = p[0x2a];
	ev->channel = p[0x2b];
	ev->level = p[0x2c];
	ev->opcode = p[0x2d];
	ev->task = le16(p + 0x2e);
	ev->keywords = le64(p + 0x30);
	ev->has_provider = ev->has_id = ev->has_version = ev->has_channel = ev->has_level = ev->has_opcode = ev->has_task =
		ev->has_keywords = true;
	ev->kernel_time = le32(p + 0x38);
	ev->user_time = le32(p + 0x3c);
	copy_guid(&ev->activity, p + 0x40);
	ev->has_activity = !guid_is_zero(&ev->activity);
	if (le16(p + 4) & EVENT_FLAG_EXTENDED)
		payload = take_items(ev, p, 0x50, size);
	if (!payload) {
		ev->reason = "an extended item leaves the event";
		return false;
	}
	ev->payload = (struct event_bytes){p + payload, size - payload};
	return true;
}

static void parse_system(struct event *ev, const uint8_t *p, const struct etw_record *rec)
{
	ev->kind = EVENT_SYSTEM;
	ev->version = p[0]; /* 16 bits wide; the kernel's versions are small */
	ev->has_version = true;
	ev->id = le16(p + 6);
	ev->has_id = true;
	ev->tid = le32(p + 8);
	ev->pid = le32(p + 0xc);
	ev->has_pid = true;
	if (rec->header >= 0x20) {
		ev->kernel_time = le32(p + 0x18);
		ev->user_time = le32(p + 0x1c);
	}
	ev->payload = (struct event_bytes){p + rec->header, rec->size - rec->header};
}

/* PERFINFO: behind the header a PEBS index (version bit 15) and counters (bits 8 to 10) may stand before the payload. */
static bool parse_perfinfo(struct event *ev, const uint8_t *p, const struct etw_record *rec)
{
	uint16_t version = le16(p);
	uint32_t extra = (version & 0x8000 ? 8 : 0) + 8u * (version >> 8 & 7);

	ev->kind = EVENT_PERFINFO;
	ev->version = (uint8_t)version;
	ev->has_version = true;
	ev->id = le16(p + 6);
	ev->has_id = true;
	if (extra > rec->size - rec->header) {
		ev->reason = "counters leave the event";
		return false;
	}
	ev->payload = (struct event_bytes){p + rec->header + extra, rec->size - rec->header - extra};
	return true;
}

static void parse_full(struct event *ev, const uint8_t *p, const struct etw_record *rec, bool instance)
{
	ev->kind = EVENT_MOF;
	ev->opcode = p[4];
	ev->level = p[5];
	ev->version = (uint8_t)le16(p + 6);
	ev->has_opcode = ev->has_level = ev->has_version = true;
	ev->tid = le32(p + 8);
	ev->pid = le32(p + 0xc);
	ev->has_pid = true;
	copy_guid(&ev->provider, p + 0x18);
	ev->has_provider = true;
	ev->kernel_time = le32(p + 0x28);
	ev->user_time = le32(p + 0x2c);
	if (instance) {
		ev->instance_id = le32(p + 0x30);
		ev->parent_instance_id = le32(p + 0x34);
		if (rec->header >= 0x48)
			copy_guid(&ev->parent_guid, p + 0x38);
		ev->has_instance = true;
	}
	ev->payload = (struct event_bytes){p + rec->header, rec->size - rec->header};
}

/* MESSAGE: optional members stand in a fixed order, each if its bit is set. */
static bool parse_message(struct event *ev, const uint8_t *p, uint32_t size)
{
	uint16_t flags = le16(p + 6);
	struct rd r = rd_init(p, size);
	uint32_t off = 8;

	ev->kind = EVENT_WPP;
	ev->id = le16(p + 4);
	ev->has_id = true;
	ev->wpp_flags = flags;
	if (flags & WPP_SEQUENCE) {
		ev->wpp_sequence = rd_u32(&r, off);
		ev->has_wpp_sequence = true;
		off += 4;
	}
	if (flags & WPP_COMPONENT) {
		ev->wpp_component = rd_u32(&r, off);
		ev->has_wpp_component = true;
		off += 4;
	} else if (flags & WPP_GUID) {
		rd_copy(&r, off, ev->provider.b, 16);
		ev->has_provider = !r.bad;
		off += 16;
	}
	if (flags & WPP_TIMESTAMP)
		off += 8;
	if (flags & WPP_SYSTEM) {
		ev->tid = rd_u32(&r, off);
		ev->pid = rd_u32(&r, off + 4);
		ev->has_pid = !r.bad;
		off += 8;
	}
	if (r.bad || off > size) {
		ev->reason = "the message ends inside its header";
		return false;
	}
	if (flags & (WPP_POINTER32 | WPP_POINTER64))
		ev->pointer_size = flags & WPP_POINTER64 ? 8 : 4;
	ev->payload = (struct event_bytes){p + off, size - off};
	return true;
}

static unsigned writer_pointer_size(enum etw_kind k, unsigned sys_size)
{
	switch (k) {
	case ETW_KIND_SYSTEM32:
	case ETW_KIND_COMPACT32:
	case ETW_KIND_PERFINFO32:
	case ETW_KIND_FULL32:
	case ETW_KIND_INSTANCE32:
	case ETW_KIND_EVENT32:
		return 4;
	case ETW_KIND_ERROR:
	case ETW_KIND_MESSAGE:
		return sys_size == 4 ? 4 : 8;
	default:
		return 8;
	}
}

static bool parse_by_kind(struct event *ev, const uint8_t *p, const struct etw_record *rec)
{
	switch (rec->kind) {
	case ETW_KIND_EVENT32:
	case ETW_KIND_EVENT64:
		return parse_event_header(ev, p, rec->size);
	case ETW_KIND_SYSTEM32:
	case ETW_KIND_SYSTEM64:
	case ETW_KIND_COMPACT32:
	case ETW_KIND_COMPACT64:
		parse_system(ev, p, rec);
		return true;
	case ETW_KIND_PERFINFO32:
	case ETW_KIND_PERFINFO64:
		return parse_perfinfo(ev, p, rec);
	case ETW_KIND_INSTANCE32:
	case ETW_KIND_INSTANCE64:
		parse_full(ev, p, rec, true);
		return true;
	case ETW_KIND_FULL32:
	case ETW_KIND_FULL64:
	case ETW_KIND_ERROR:
		parse_full(ev, p, rec, false);
		return true;
	case ETW_KIND_MESSAGE:
		return parse_message(ev, p, rec->size);
	case ETW_KINDS:
		break;
	}
	ev->reason = "a record of an unknown kind";
	return false;
}

/* Where the record stood. */
static void locate(struct event *ev, const struct etw_buffer *b, uint32_t off)
{
	ev->offset = etw_original_offset(b, ETW_BUFFER_HEADER_SIZE + off);
	ev->has_buffer = ev->origin->is_image ? b->has_va || b->has_file_offset : b->has_file_offset;
	ev->buffer_is_va = ev->origin->is_image && b->has_va;
	ev->buffer = ev->buffer_is_va ? b->va : b->file_offset;
	ev->has_pa = etw_buffer_pa(b, ev->offset, &ev->pa);
}

bool event_parse(struct event *ev, const struct event_origin *origin, const struct etw_buffer *b, const struct etw_record *rec)
{
	memset(ev, 0, sizeof(*ev));
	ev->origin = origin;
	ev->record = rec->kind;
	ev->pointer_size = writer_pointer_size(rec->kind, origin->sys->pointer_size);
	ev->cpu = b->cpu;
	ev->has_cpu = !b->headless;
	ev->ts = rec->ts;
	ev->has_ts = rec->has_ts;
	ev->has_time = rec->has_ts && etw_session_time(origin->session, origin->sys, rec->ts, &ev->time);
	locate(ev, b, rec->off);
	return parse_by_kind(ev, b->body + rec->off, rec);
}
