/* carveshape.c - see carveshape.h */
#include "carveshape.h"

#include <string.h>

#include "rd.h"

#define REFERENCES_MAX  0xffff
#define STATES          7u
#define STATE_FREE      0u
#define STATE_FLUSH     3u
#define FLAGS_KNOWN     0x17fu
#define FLAG_PROC_INDEX 0x20u
#define FLAG_COMPRESSED 0x40u
#define TYPES           8u
#define RECORD_MAX      0x10000u
#define SEQUENCE_MAX    (UINT64_C(1) << 48)
#define TS_MAX          (UINT64_C(1) << 62)
#define PEEK_BYTES      0x40u /* what of a record tells its size and time */
#define EVENT_FLAGS     0x3ffu
#define MESSAGE_FLAGS   0xffu

/* ---- the header ---------------------------------------------------------------------------------------------------------------------- */

static bool offset_ok(uint32_t v, uint32_t size)
{
	return v == 0 || (v >= ETW_BUFFER_HEADER_SIZE && v <= size);
}

static bool header_ok(const struct etw_bufhdr *h)
{
	uint32_t id = h->logger_id & ~CARVE_PRIVATE;

	if (h->state >= STATES || h->flag & ~FLAGS_KNOWN || h->flag & FLAG_COMPRESSED || h->type >= TYPES)
		return false;
	if (id >= CARVE_IDS || h->sequence >= SEQUENCE_MAX || h->timestamp >= TS_MAX)
		return false;
	if (!offset_ok(h->saved_offset, h->buffer_size) || (h->current_offset && h->current_offset < ETW_BUFFER_HEADER_SIZE))
		return false;
	return h->current_offset || (h->offset && offset_ok(h->offset, h->buffer_size));
}

/* A value that no buffer has. A header that something has written over is still one when its records say so, but nothing less does. */
static bool header_odd(const struct etw_bufhdr *h)
{
	/* an overshot CurrentOffset is normal: by the event that did not fit, or by the buffer's size */
	if (h->current_offset > 2 * h->buffer_size + RECORD_MAX || h->reference_count < 0 || h->reference_count > REFERENCES_MAX)
		return true;
	/* Windows 7 has 8 in the high byte of the processor's word */
	return h->processor >= ETW_CPUS_MAX + 0x100;
}

static bool is_pointer(uint64_t v)
{
	uint64_t top = v >> 47;

	return v >= 0x10000 && v % 4 == 0 && (top == 0 || top == 0x1ffff);
}

/* GlobalEntry: two 64-bit pointers, or two 32-bit ones in the first. */
static bool links_ok(const struct etw_bufhdr *h)
{
	if (is_pointer(h->flink) && is_pointer(h->blink))
		return true;
	return (h->flink & UINT32_MAX) >= 0x10000 && h->flink >> 32 >= 0x10000 && h->flink % 4 == 0 && (h->flink >> 32) % 4 == 0;
}

static bool links_blank(const struct etw_bufhdr *h)
{
	return h->flink == 0 && h->blink == 0;
}

/* ---- records ------------------------------------------------------------------------------------------------------------------------- */

/* More than a record's length must make sense: what carving meets may be anything. */
static bool record_ok(const uint8_t *p, const struct etw_record *r)
{
	switch (r->kind) {
	case ETW_KIND_EVENT32:
	case ETW_KIND_EVENT64:
		return !(le16(p + 4) & ~EVENT_FLAGS) && (le64(p + 0x18) | le64(p + 0x20)) != 0;
	case ETW_KIND_MESSAGE:
		return !(le16(p + 6) & ~MESSAGE_FLAGS) && le16(p + 6) != 0;
	case ETW_KIND_FULL32:
	case ETW_KIND_FULL64:
	case ETW_KIND_INSTANCE32:
	case ETW_KIND_INSTANCE64:
	case ETW_KIND_ERROR:
	case ETW_KIND_SYSTEM32:
	case ETW_KIND_SYSTEM64:
	case ETW_KIND_COMPACT32:
	case ETW_KIND_COMPACT64:
	case ETW_KIND_PERFINFO32:
	case ETW_KIND_PERFINFO64:
	case ETW_KINDS:
		break;
	}
	return true;
}

static bool time_ok(const struct carve_walk *w, uint64_t ts)
{
	return ts != 0 && ts < TS_MAX && (!w->has_ts || (ts >= w->last_ts && ts - w->first_ts < CARVE_SPAN_MAX));
}

uint32_t carve_record_size(const uint8_t p[8])
{
	bool later = p[3] == 0xc0 && ((p[2] >= 1 && p[2] <= 4) || p[2] == 0x10 || p[2] == 0x11);

	return le16(p + (later ? 4 : 0));
}

uint32_t carve_record_step(const uint8_t p[8])
{
	return (carve_record_size(p) + 7) & ~7u;
}

enum step { STEP_ON, STEP_WAIT, STEP_BAD };

/* One record. WAIT: its header lies across the edge of what is at hand, so it is judged when the rest is there. */
static enum step step(struct carve_walk *w, const uint8_t *raw, uint32_t have, uint32_t end)
{
	uint32_t left = end - w->off;
	struct etw_record r;

	if (have < end && have - w->off < (left < PEEK_BYTES ? left : PEEK_BYTES)) {
		if (raw[w->off + 3] != 0xc0 && raw[w->off + 3] != 0x90)
			return STEP_BAD;
		if (carve_record_step(raw + w->off) > have - w->off)
			return STEP_WAIT;
	}
	if (etw_record_peek(raw, end, w->off, &r) != ETW_PEEK_RECORD || !record_ok(raw + w->off, &r) || (r.has_ts && !time_ok(w, r.ts)))
		return STEP_BAD;
	if (r.has_ts) {
		if (!w->has_ts)
			w->first_ts = r.ts;
		else if (r.ts - w->last_ts > w->step_max)
			w->step_max = r.ts - w->last_ts;
		w->has_ts = true;
		w->last_ts = r.ts;
	}
	w->n++;
	w->off += r.step;
	return STEP_ON;
}

void carve_go_on(struct carve_walk *w, const uint8_t *raw, uint32_t have, uint32_t end)
{
	enum step s = STEP_ON;

	while (s == STEP_ON && w->off < have && w->off < end)
		s = step(w, raw, have, end);
	w->bad = s == STEP_BAD;
}

bool carve_resume(struct carve_walk *w, const uint8_t *raw, uint32_t have, uint32_t end)
{
	uint32_t n = have < end ? have : end;

	for (uint32_t off = (w->off & ~7u) + 8; off + 8 <= n; off += 8) {
		struct carve_walk go = *w;

		if (raw[off + 3] != 0xc0 && raw[off + 3] != 0x90)
			continue;
		go.off = off;
		go.bad = false;
		carve_go_on(&go, raw, n, end);
		if (!go.bad && go.n > w->n) {
			*w = go;
			return true;
		}
	}
	return false;
}

/* ---- header and records -------------------------------------------------------------------------------------------------------------- */

/* The first records, of a buffer that may be bigger than what is at hand. *torn: as far as the walk came when something that is no record stands
 * among them and it was taken up again behind; n == 0: nothing does. */
static void begin(struct carve_walk *w, struct carve_walk *torn, const uint8_t *p, uint32_t have, uint32_t end)
{
	uint8_t page[CARVE_PAGE + PEEK_BYTES];
	uint32_t n = have < CARVE_PAGE ? have : CARVE_PAGE;

	/* what stands behind `have` must not be read, and a header that lies across must find zeros there */
	memcpy(page, p, n);
	memset(page + n, 0, PEEK_BYTES);
	*w = (struct carve_walk){.off = ETW_BUFFER_HEADER_SIZE};
	carve_go_on(w, page, n < end ? n : end, end);
	*torn = *w;
	if (!w->bad || !w->n || !carve_resume(torn, page, n, end))
		torn->n = 0;
}

static bool by_file(const struct etw_bufhdr *h)
{
	if (h->offset < ETW_BUFFER_HEADER_SIZE || h->offset > h->buffer_size)
		return false;
	if (h->type == CARVE_HEADER || h->current_offset == 0)
		return true;
	return h->state == STATE_FLUSH && (h->saved_offset == h->offset || h->saved_offset == 0);
}

/* How much speaks for the header beside its ranges. */
static unsigned agreement(const struct carve_shape *s)
{
	const struct etw_bufhdr *h = &s->h;
	const struct carve_walk *w = &s->walk;
	unsigned n = 0;

	n += links_ok(h) ? 2 : links_blank(h) ? 1 : 0;
	if (h->state == STATE_FREE || h->state == STATE_FLUSH)
		n += h->timestamp && h->timestamp >= w->last_ts && h->timestamp - w->last_ts < CARVE_SPAN_MAX;
	n += h->sequence != 0 && h->sequence < UINT32_MAX;
	n += h->reference_count == 0 || h->reference_count == 15;
	n += h->offset == s->end || h->saved_offset == s->end || h->current_offset == s->end;
	return n;
}

bool carve_header_size(const uint8_t *logfile, uint32_t size)
{
	uint32_t session = le32(logfile);

	if (!(le32(logfile + 0x20) & ETW_MODE_COMPRESSED))
		return session == size;
	return session >= size && session <= ETW_BUFFER_SIZE_MAX && session % CARVE_SIZE_MIN == 0;
}

/* A file's first buffer proves itself: its first record is the log file header, which repeats the size. */
static bool file_header(const uint8_t *p, uint32_t have, uint32_t size)
{
	const uint8_t *r = p + ETW_BUFFER_HEADER_SIZE, *h = r + 0x20;

	return have >= ETW_BUFFER_HEADER_SIZE + 0x50 && (r[2] == 1 || r[2] == 2) && r[3] == 0xc0 && le16(r + 6) == 0 &&
	       carve_header_size(h, size) && (le32(h + 0x2c) == 4 || le32(h + 0x2c) == 8);
}

static bool fill_behind(const uint8_t *p, uint32_t have, uint32_t end, uint32_t size)
{
	uint32_t n = size < have ? size : have;

	if (end >= n)
		return false;
	for (uint32_t i = end; i < n; i++)
		if (p[i] != 0xff)
			return false;
	return true;
}

/* Is what stands behind the header enough to believe it? `closed`: the records reach the end of what is at hand; `torn`: behind
 * something that is none they do. */
static bool believed(const struct carve_shape *s, bool closed, bool torn, bool pool)
{
	unsigned n = agreement(s), records = s->walk.n;

	if (header_odd(&s->h))
		return closed && records >= 4 && links_ok(&s->h);
	if (pool) /* there are 64 times as many places to be wrong at */
		return closed && n >= (records < 4 ? 5 : 4);
	if (closed)
		return n >= (records == 1 ? 4 : 3);
	/* a chain that breaks off (a page that something else has taken, a record that was never written) needs more */
	return n >= 4 && (records >= 4 || (n >= 5 && torn));
}

bool carve_looks(const uint8_t *p, uint32_t have, bool pool, struct carve_shape *out)
{
	struct carve_shape s = {0};
	struct carve_walk torn;
	uint32_t at_hand;
	bool closed;

	if (!carve_plain(p) && !(pool && le32(p) >= CARVE_POOL_MIN && le32(p) <= have && le32(p) % 8 == 0 && le32(p + 4) <= le32(p)))
		return false;
	if (have < ETW_BUFFER_HEADER_SIZE + 0x10)
		return false;
	etw_bufhdr_parse(&s.h, p);
	if (!header_ok(&s.h))
		return false;
	s.met = by_file(&s.h) ? ETW_MET_FILE : ETW_MET_MEMORY;
	s.end = etw_end_of_data(&s.h, s.met, s.h.buffer_size);
	if (s.end <= ETW_BUFFER_HEADER_SIZE)
		return false;
	begin(&s.walk, &torn, p, have, s.end);
	if (s.walk.bad && s.walk.n && s.walk.off == ((s.h.offset + 7) & ~7u)) { /* a copy that was cut at Offset */
		s.met = ETW_MET_SECONDARY;
		s.end = s.h.offset;
		s.walk.bad = false;
	}
	at_hand = have < s.end ? have : s.end;
	closed = !s.walk.bad && (s.walk.off >= at_hand || (have < s.end && s.walk.off + PEEK_BYTES > have));
	if (s.walk.n == 0 || !s.walk.has_ts)
		return false;
	if (s.h.type == CARVE_HEADER) {
		*out = s;
		return agreement(&s) >= 3 && file_header(p, have, s.h.buffer_size);
	}
	if (!believed(&s, closed, torn.n != 0, pool))
		return false;
	if (!closed && torn.n)
		s.walk = torn;
	s.next = !s.walk.bad && s.walk.off < at_hand ? s.walk.off + carve_record_step(p + s.walk.off) : s.walk.off;
	s.fill = fill_behind(p, have, s.end, s.h.buffer_size);
	*out = s;
	return true;
}

/* ---- heads --------------------------------------------------------------------------------------------------------------------------- */

/* Does the dword of a record's first 8 bytes that holds the marker look like one? Types 1 .. 0x15 under 0xc0, 0 under 0x90. */
static inline bool marker(uint64_t first)
{
	uint16_t m = (uint16_t)(first >> 16);

	return (uint16_t)(m - 0xc001) <= 0x14 || m == 0x9000;
}

struct search { /* for heads in one page */
	uint8_t room[CARVE_PAGE + PEEK_BYTES];
	bool copied;
	uint8_t passed[CARVE_PAGE / 8]; /* places that a chain has led to */
};

/* A chain that begins at off; false when nothing does. */
static bool head_at(struct search *s, const uint8_t *page, uint32_t off, struct carve_head *out)
{
	struct carve_walk w = {.off = off};
	uint32_t next;
	enum step on;

	if (!s->copied) {
		memcpy(s->room, page, CARVE_PAGE);
		memset(s->room + CARVE_PAGE, 0, PEEK_BYTES);
		memset(s->passed, 0, sizeof(s->passed));
		s->copied = true;
	}
	/* a record may go on in the next page: the end is out of sight */
	for (on = STEP_ON; on == STEP_ON && w.off < CARVE_PAGE;) {
		uint32_t from = w.off;

		on = step(&w, s->room, CARVE_PAGE, CARVE_PAGE + RECORD_MAX);
		if (on != STEP_BAD)
			s->passed[from / 8] = 1;
		w.bad = on == STEP_BAD;
	}
	next = w.off - CARVE_PAGE;
	if (on == STEP_WAIT)
		next += carve_record_step(s->room + w.off);
	*out = (struct carve_head){.ts = w.has_ts ? w.first_ts : 0,
				   .last_ts = w.has_ts ? w.last_ts : 0,
				   .off = (uint16_t)off,
				   .exit = w.bad || next >= CARVE_PAGE ? CARVE_NO_EXIT : (uint16_t)next,
				   .n = (uint16_t)(w.n < UINT16_MAX ? w.n : UINT16_MAX)};
	return w.n != 0 || !w.bad;
}

unsigned carve_heads_in(const uint8_t page[CARVE_PAGE], const uint8_t marks[CARVE_PAGE / CARVE_BLOCK], struct carve_head out[CARVE_HEADS])
{
	const uint64_t any = UINT64_C(0x0101010101010101) * CARVE_BLOCK_MARKER;
	struct search s;
	unsigned n = 0;

	if (!(le64(marks) & any))
		return 0;
	s.copied = false;
	for (uint32_t at = 0; at < CARVE_PAGE; at += CARVE_BLOCK) {
		if (!(marks[at / CARVE_BLOCK] & CARVE_BLOCK_MARKER))
			continue;
		for (uint32_t off = at; off < at + CARVE_BLOCK && n < CARVE_HEADS; off += 8)
			if (marker(le64(page + off)) && !(s.copied && s.passed[off / 8]))
				n += head_at(&s, page, off, &out[n]);
	}
	return n;
}

unsigned carve_heads(const uint8_t page[CARVE_PAGE], struct carve_head out[CARVE_HEADS])
{
	uint8_t marks[CARVE_PAGE / CARVE_BLOCK];

	carve_blocks(page, sizeof(marks), 0, marks);
	return carve_heads_in(page, marks, out);
}
