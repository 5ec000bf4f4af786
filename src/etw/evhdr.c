/* evhdr.c - see evhdr.h; the table is that of docs/etl-format.md, "Records". */
#include "evhdr.h"

#include "rd.h"

#define MARKER_EVENT   0xc0u
#define MARKER_MESSAGE 0x90u

struct form {
	uint8_t size_at, ts_at;
	uint8_t min; /* least size, and header size */
	enum etw_kind kind;
};

/* By type; min 0: no such record. */
static const struct form forms[0x16] = {
	[0x01] = {4, 0x10, 0x20, ETW_KIND_SYSTEM32},   [0x02] = {4, 0x10, 0x20, ETW_KIND_SYSTEM64},
	[0x03] = {4, 0x10, 0x18, ETW_KIND_COMPACT32},  [0x04] = {4, 0x10, 0x18, ETW_KIND_COMPACT64},
	[0x10] = {4, 8, 0x10, ETW_KIND_PERFINFO32},    [0x11] = {4, 8, 0x10, ETW_KIND_PERFINFO64},
	[0x0a] = {0, 0x10, 0x30, ETW_KIND_FULL32},     [0x14] = {0, 0x10, 0x30, ETW_KIND_FULL64},
	[0x0b] = {0, 0x10, 0x38, ETW_KIND_INSTANCE32}, [0x15] = {0, 0x10, 0x38, ETW_KIND_INSTANCE64},
	[0x0d] = {0, 0x10, 0x50, ETW_KIND_ERROR},      [0x12] = {0, 0x10, 0x50, ETW_KIND_EVENT32},
	[0x13] = {0, 0x10, 0x50, ETW_KIND_EVENT64},
};

enum { MSG_SEQUENCE = 1, MSG_GUID = 2, MSG_COMPONENT = 4, MSG_TIMESTAMP = 8, MSG_SYSTEM = 0x20 };

#define INSTANCE_FULL 0x48u /* with ParentGuid */

static const struct form *form_of(uint8_t type)
{
	return type < sizeof(forms) / sizeof(forms[0]) && forms[type].min ? &forms[type] : NULL;
}

static uint32_t step_of(uint32_t size)
{
	return (size + 7) & ~7u;
}

/* A WPP message: header 8, then the members whose bits are set. */
static enum etw_peek peek_message(const uint8_t *p, uint32_t left, struct etw_record *r)
{
	uint16_t flags;
	uint32_t at = 8;

	if (p[2] != 0 || left < 8)
		return ETW_PEEK_BAD;
	r->kind = ETW_KIND_MESSAGE;
	r->size = le16(p);
	flags = le16(p + 6);
	if (flags & MSG_SEQUENCE)
		at += 4;
	if (flags & MSG_COMPONENT)
		at += 4;
	else if (flags & MSG_GUID)
		at += 16;
	if (flags & MSG_TIMESTAMP) {
		r->has_ts = true;
		at += 8;
	}
	if (flags & MSG_SYSTEM)
		at += 8;
	if (r->size < at || r->size > left)
		return ETW_PEEK_BAD;
	if (r->has_ts)
		r->ts = le64(p + at - (flags & MSG_SYSTEM ? 16 : 8));
	r->header = at;
	return ETW_PEEK_RECORD;
}

static enum etw_peek peek_event(const uint8_t *p, uint32_t left, struct etw_record *r)
{
	const struct form *f = form_of(p[2]);

	if (!f || left < f->min)
		return ETW_PEEK_BAD;
	r->kind = f->kind;
	r->size = le16(p + f->size_at);
	if (r->size < f->min || r->size > left)
		return ETW_PEEK_BAD;
	r->header = f->min;
	if ((f->kind == ETW_KIND_INSTANCE32 || f->kind == ETW_KIND_INSTANCE64) && r->size >= INSTANCE_FULL)
		r->header = INSTANCE_FULL;
	r->has_ts = true;
	r->ts = le64(p + f->ts_at);
	return ETW_PEEK_RECORD;
}

enum etw_peek etw_record_peek(const uint8_t *p, uint32_t end, uint32_t off, struct etw_record *out)
{
	struct etw_record r = {.off = off};
	enum etw_peek got;
	uint32_t left;

	if (off > end || end - off < 4)
		return ETW_PEEK_NONE;
	left = end - off;
	if (p[off + 3] == MARKER_EVENT)
		got = peek_event(p + off, left, &r);
	else if (p[off + 3] == MARKER_MESSAGE)
		got = peek_message(p + off, left, &r);
	else
		return ETW_PEEK_NONE;
	if (got == ETW_PEEK_RECORD) {
		r.step = step_of(r.size);
		*out = r;
	}
	return got;
}

const char *etw_kind_name(enum etw_kind k)
{
	static const char *const names[ETW_KINDS] = {"SYSTEM32",   "SYSTEM64", "COMPACT32", "COMPACT64",  "PERFINFO32",
						     "PERFINFO64", "FULL32",   "FULL64",    "INSTANCE32", "INSTANCE64",
						     "ERROR",      "EVENT32",  "EVENT64",   "MESSAGE"};

	return (unsigned)k < ETW_KINDS ? names[k] : "unknown";
}
