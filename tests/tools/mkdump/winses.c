/* winses.c - logger contexts and their buffers in every form and list (docs/live-buffers.md); long by the number of forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"
#include "payload.h"
#include "rd.h"
#include "winses.h"

#define DNS_EACH 5 /* every 5th event of a session with names is a DNS query */

/* ---- records ------------------------------------------------------------------------------------------------------------------------------ */

/* Types of records come in pairs: the lower number is that of 32-bit writers. */
static void put_record_head(const struct winimg *w, uint8_t *p, uint16_t size, uint64_t ts, uint8_t type)
{
	put_le16(p, size);
	p[2] = (uint8_t)(type - (w->ps == 4));
	p[3] = 0xc0;
	put_le32(p + 8, 0x100 + (uint32_t)(ts % 50) * 4);
	put_le32(p + 0xc, 4 + (uint32_t)(ts % 7) * 4);
	put_le64(p + 0x10, ts);
}

/* One record of varied kind and size, its serial number inside. Returns its size; 0: it does not fit into `room`. */
static uint32_t make_record(struct winimg *w, bool even, uint8_t *p, uint32_t room, uint64_t ts)
{
	unsigned n = w->serial++, kind = even ? 0 : n % 7;
	uint32_t extra = even ? 4 : (n * 13) % 61, size = kind == 3   ? 40 + extra
							  : kind == 4 ? 0x20 + extra
							  : kind == 5 ? 0x10 + extra
								      : 0x50 + 8 + extra;

	if (((size + 7) & ~7u) > room)
		return 0;
	memset(p, 0, (size + 7) & ~7u);
	if (kind == 3) { /* WPP message: GUID, time, system info */
		put_le16(p, (uint16_t)size);
		p[3] = 0x90;
		put_le16(p + 4, (uint16_t)(n % 100));
		put_le16(p + 6, w->ps == 4 ? 0x6a : 0xaa);
		memset(p + 8, 0x11, 16);
		put_le64(p + 24, ts);
		put_le32(p + 32, 8);
		put_le32(p + 36, 4);
		memset(p + 40, (int)n, extra);
	} else if (kind == 4 || kind == 5) { /* SYSTEM64, PERFINFO64 */
		if (kind == 4)
			put_record_head(w, p, 2, ts, 2);
		else
			put_le32(p, 0xc0000002 | (0x11u - (w->ps == 4)) << 16);
		put_le16(p + 4, (uint16_t)size);
		put_le16(p + 6, kind == 4 ? 0x0301 : 0x0f2e);
		if (kind == 5)
			put_le64(p + 8, ts);
		memset(p + (kind == 4 ? 0x20 : 0x10), (int)n, extra);
	} else { /* EVENT_HEADER64 */
		put_record_head(w, p, (uint16_t)size, ts, 0x13);
		memcpy(p + 0x18, "\x28\x9a\x95\x1c\x4f\x54\x4d\x53\x9b\xda\x2a\xaf\xbf\x9b\x5b\x01", 16);
		put_le16(p + 0x28, (uint16_t)(3000 + n % 20));
		p[0x2c] = 4;
		put_le64(p + 0x30, UINT64_C(0x8000000000000000));
		put_le32(p + 0x50, n);
		memset(p + 0x54, 'a' + (int)(n % 26), extra + 4);
	}
	return size;
}

static uint32_t put_wide(uint8_t *p, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_le16(p + 2 * i, (uint8_t)s[i]);
	put_le16(p + 2 * n, 0);
	return (uint32_t)(2 * n + 2);
}

/* Microsoft-Windows-DNS-Client 3008, "query completed": QueryName, QueryType, QueryOptions, QueryStatus, QueryResults (the event's public manifest). The
 * name is the next one of names ("a|b|c"), which are asked for in turn. 0: it does not fit. */
static uint32_t make_dns(struct winimg *w, const char *names, uint8_t *p, uint32_t room, uint64_t ts)
{
	unsigned count = 1, pick, at = 0x50;
	char answer[20];
	size_t n;

	for (const char *s = names; *s; s++)
		count += *s == '|';
	for (pick = w->serial / DNS_EACH % count; pick; pick--)
		names = strchr(names, '|') + 1;
	n = strcspn(names, "|");
	if (0x50 + 2 * n + 80 > room)
		return 0;
	memset(p, 0, 0x50 + 2 * n + 80);
	at += put_wide(p + at, names, n);
	put_le32(p + at, 1); /* A */
	put_le64(p + at + 4, 0x4000a000);
	put_le32(p + at + 12, 0);
	at += 16;
	snprintf(answer, sizeof(answer), "198.51.100.%u;", w->serial % 250);
	at += put_wide(p + at, answer, strlen(answer));
	put_record_head(w, p, (uint16_t)at, ts, 0x13);
	memcpy(p + 0x18, "\x6e\x12\x95\x1c\xea\x7e\xa9\x49\xa3\xfe\xa3\x78\xb0\x3d\xdb\x4d", 16);
	put_le16(p + 0x28, 3008);
	p[0x2b] = 16;
	p[0x2c] = 4;
	put_le64(p + 0x30, UINT64_C(0x8000000000000000));
	w->serial++;
	return at;
}

uint64_t ses_ticks(const struct winimg *w, const struct wi_session *s)
{
	return s->clock == 2 ? 12345 : s->clock == 3 ? 2900 * 1234 : w->o.perf_freq / 811;
}

unsigned ses_fill(struct winimg *w, struct wi_session *s, struct ses_fill *f, unsigned n, uint64_t *ts, struct wi_record *rec)
{
	unsigned made = 0;
	bool made_up = f->made_up || !s->payload;

	while (made < n && made < RECORDS_MAX) {
		bool timed = true;
		uint32_t size;

		if (made_up) {
			*ts += ses_ticks(w, s) * (s->even ? 1 + wm_rand(&w->m) % 3 : 1);
			size = s->dns[0] && w->serial % DNS_EACH == 0 ? make_dns(w, s->dns, f->raw + f->off, f->limit - f->off, *ts)
								      : make_record(w, s->even, f->raw + f->off, f->limit - f->off, *ts);
		} else {
			size = payload_next(s->payload, f->raw + f->off, f->limit - f->off, made ? *ts : 0, ts, &timed);
		}
		if (!size)
			break;
		rec[made++] = (struct wi_record){.off = f->off, .size = size, .ts = timed ? *ts : 0};
		f->off += (size + 7) & ~7u;
	}
	return made;
}

/* ---- sessions -------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t qpc_at(const struct winimg *w, int64_t time)
{
	return (uint64_t)((__int128)(time - w->o.boot_time) * (int64_t)w->o.perf_freq / 10000000);
}

struct wi_session *wi_session(struct winimg *w, unsigned silo, unsigned id, const char *name)
{
	struct wi_session *s = &w->ses[w->n_ses++];

	memset(s, 0, sizeof(*s));
	s->silo = silo;
	s->id = id;
	snprintf(s->name, sizeof(s->name), "%s", name);
	for (const char *c = name; *c; c++)
		s->name16[s->n_name16++] = (uint8_t)*c;
	s->buffer_size = 8192;
	s->mode = 0x100;
	s->clock = 1;
	s->in_table = true;
	s->start_time = w->o.system_time - INT64_C(36000000000) + (int64_t)id * 10000000;
	return s;
}

struct wi_buffer *ses_new_buffer(struct wi_session *s)
{
	struct wi_buffer *b = &s->buf[s->n_buf];

	if (s->n_buf == sizeof(s->buf) / sizeof(s->buf[0])) {
		fprintf(stderr, "mkdump: too many buffers in session %u\n", s->id);
		exit(2);
	}
	s->n_buf++;
	memset(b, 0, sizeof(*b));
	b->packed_in = -1;
	b->raw = calloc(1, s->buffer_size);
	b->rec = calloc(RECORDS_MAX, sizeof(*b->rec));
	return b;
}

static void put_name(struct winimg *w, uint64_t at, const uint16_t *name, unsigned n, uint64_t va)
{
	for (unsigned i = 0; i < n; i++)
		wm_put(&w->k, va + 2 * i, name[i], 2);
	wm_put(&w->k, at, 2 * n, 2);
	wm_put(&w->k, at + 2, 2 * n + 2, 2);
	wi_put_ptr(w, at + w->ps, va);
}

void wi_session_build(struct winimg *w, struct wi_session *s)
{
	uint32_t size = prof_size(&w->p, T_CTX);
	uint64_t text, pair;

	s->ctx = s->big ? wi_alloc(w, size, WM_PAGE) : wi_alloc(w, size, 64);
	if (s->big)
		w->pool = (w->pool + WM_PAGE - 1) & ~(uint64_t)(WM_PAGE - 1);
	if (s->tag) { /* what the pool keeps before an allocation */
		uint64_t head = s->ctx - prof_size(&w->p, T_POOLHDR);

		wi_set(w, head, F_POOLHDR_BlockSize, (size + 31) / 16, 1);
		wi_set(w, head, F_POOLHDR_PoolType, 2, 1);
		wi_set(w, head, F_POOLHDR_PoolTag, 0x4c777445, 4); /* EtwL */
	}
	if (s->name_lost || s->tail_lost) /* on a page of its own */
		text = wi_alloc(w, WM_PAGE, WM_PAGE);
	else
		text = wi_alloc(w, 2 * s->n_name16 + 2, 16);
	if (!s->payload)
		s->start_ts = s->clock == 2   ? (uint64_t)s->start_time
			      : s->clock == 3 ? qpc_at(w, s->start_time) * 290
					      : qpc_at(w, s->start_time);
	s->next_ts = s->start_ts;
	wi_set(w, s->ctx, F_CTX_LoggerId, s->id, 4);
	wi_set(w, s->ctx, F_CTX_BufferSize, s->buffer_size, 4);
	wi_set(w, s->ctx, F_CTX_LoggerMode, s->mode, 4);
	wi_set(w, s->ctx, F_CTX_ClockType, s->clock, 4);
	put_name(w, s->ctx + prof_off(&w->p, F_CTX_LoggerName), s->name16, s->n_name16, text);
	if (wi_has(w, F_CTX_ReferenceTime)) {
		pair = s->ctx + prof_off(&w->p, F_CTX_ReferenceTime);
		wm_put(&w->k, pair, (uint64_t)s->start_time, 8);
		wm_put(&w->k, pair + 8, s->start_ts, 8);
	}
	wi_set(w, s->ctx, F_CTX_StartTime, (uint64_t)s->start_time, 8);
	wi_set(w, s->ctx, F_CTX_EventsLost, s->events_lost, 4);
	wi_set(w, s->ctx, F_CTX_LogBuffersLost, s->buffers_lost, 4);
	wi_set(w, s->ctx, F_CTX_BuffersWritten, 7 * s->id, 4);
	if (wi_has(w, F_CTX_InstanceGuid))
		for (unsigned i = 0; i < 16; i++)
			wm_put(&w->k, s->ctx + prof_off(&w->p, F_CTX_InstanceGuid) + i, 0x30 + s->id + i, 1);
	if (w->silo[s->silo].state)
		wi_set(w, s->ctx, F_CTX_SiloState, w->silo[s->silo].state, w->ps);
	if (wi_has(w, F_CTX_Consumers))
		wi_ring_init(w, s->ctx + prof_off(&w->p, F_CTX_Consumers));
	if (s->in_table)
		wi_put_ptr(w, w->silo[s->silo].table + w->ps * s->id, s->ctx);
	if (s->name_lost) {
		wm_unmap(&w->k, text);
		wi_loss(w, "page_missing", s, 0);
	}
}

static uint32_t end_wanted(const struct wi_session *s, enum wi_form form)
{
	return form == WI_FLUSHED_FULL ? s->buffer_size : s->buffer_size - 0x200;
}

/* XP, Server 2003: a WNODE_HEADER's room, neither size nor number in it; the context's address is. What SavedOffset, CurrentOffset and Offset hold
 * when is not known: nobody may rely on what stands here. */
static void old_header(struct winimg *w, const struct wi_session *s, struct wi_buffer *b)
{
	uint8_t *at = b->raw + prof_off(&w->p, F_BUFHDR_LoggerContext);

	put_le32(b->raw, b->form == WI_UNUSED ? 0 : 1);
	put_le32(b->raw + 8, b->used);
	put_le32(b->raw + 0x28, b->cpu);
	if (w->ps == 4)
		put_le32(at, (uint32_t)s->ctx);
	else
		put_le64(at, s->ctx);
}

/* The header as the kernel leaves it in this form (docs/live-buffers.md, "A buffer's life"). */
void ses_header(struct winimg *w, const struct wi_session *s, struct wi_buffer *b)
{
	uint8_t *h = b->raw;
	uint16_t cpu = (uint16_t)b->cpu;

	if (wi_has(w, F_BUFHDR_LoggerContext)) {
		old_header(w, s, b);
		return;
	}
	if (w->p.traits.cpu_low_byte)
		cpu |= 0x800;
	put_le32(h, s->buffer_size);
	put_le32(h + 8, b->used);
	put_le64(h + 0x18, b->sequence);
	if (b->form == WI_PLACEHOLDER)
		return;
	put_le16(h + 0x28, cpu);
	put_le16(h + 0x2a, (uint16_t)s->id);
	switch (b->form) {
	case WI_UNUSED:
		put_le16(h + 0x34, 0x100);
		put_le16(h + 0x28, 0);
		break;
	case WI_LOGGING:
	case WI_CSWITCH:
	case WI_TORN:
		put_le32(h + 0xc, 15);
		put_le32(h + 0x2c, b->form == WI_CSWITCH ? 2 : 1);
		if (b->form == WI_TORN)
			put_le32(h + 8, s->buffer_size + 0x98);
		break;
	case WI_REUSED:
		put_le32(h + 0xc, 15);
		put_le32(h + 0x2c, 1);
		put_le32(h + 0x30, 0x1c8); /* stale */
		put_le64(h + 0x10, s->start_ts + 1);
		break;
	case WI_FLUSHED:
	case WI_FLUSHED_FULL:
	case WI_FLUSHING:
	case WI_PENDING:
		put_le32(h + 4, b->used);
		put_le32(h + 8, b->form == WI_FLUSHED ? b->used + s->buffer_size : b->used + 0x98);
		if (b->form != WI_FLUSHED && b->used + 0x98 <= s->buffer_size)
			put_le32(h + 8, s->buffer_size + 8);
		put_le32(h + 0x2c, b->form == WI_FLUSHING ? 3 : b->form == WI_PENDING ? 4 : 0);
		put_le64(h + 0x10, s->next_ts + 1);
		put_le32(h + 0x30, b->used);
		break;
	case WI_STANDS_FOR:
		put_le32(h + 0x2c, 6);
		break;
	case WI_PLACEHOLDER:
	case WI_PACKED:
	case WI_FORMS:
		break;
	}
}

bool wi_fill_forms(enum wi_form form)
{
	return form != WI_UNUSED && form != WI_PLACEHOLDER && form != WI_STANDS_FOR;
}

/* An earlier use of the buffer, from its front; behind it the fill of a flush. */
static void fill_old(struct winimg *w, struct wi_session *s, struct wi_buffer *b, unsigned n)
{
	struct ses_fill f = {.raw = b->raw, .off = HDR, .limit = s->buffer_size - 0x40, .made_up = true};
	uint64_t before = (n + 1) * ses_ticks(w, s), ts = s->start_ts > before ? s->start_ts - before : 0;

	b->old = calloc(RECORDS_MAX, sizeof(*b->old));
	b->n_old = ses_fill(w, s, &f, n, &ts, b->old);
	put_le32(b->raw + f.off, 0xffffffffu);
	put_le32(b->raw + f.off + 4, 0xffffffffu);
	b->under = malloc(s->buffer_size);
	memcpy(b->under, b->raw, s->buffer_size);
}

struct wi_buffer *wi_buffer(struct winimg *w, struct wi_session *s, enum wi_form form, unsigned cpu, unsigned ways, unsigned events,
			    unsigned old_events)
{
	struct wi_buffer *b = ses_new_buffer(s);
	struct ses_fill f = {.off = HDR, .limit = end_wanted(s, form)};
	uint64_t next = s->next_ts;

	b->form = form;
	b->cpu = cpu;
	b->ways = ways;
	b->sequence = form == WI_PLACEHOLDER || form == WI_STANDS_FOR ? 0 : s->n_buf;
	b->va = s->over && s->n_buf <= s->over->n_buf ? s->over->buf[s->n_buf - 1].va : wi_alloc(w, s->buffer_size, WM_PAGE);
	f.raw = b->raw;
	if (s->even) /* the processors log side by side */
		s->next_ts = s->cpu_ts[cpu % WI_CPUS_MAX] ? s->cpu_ts[cpu % WI_CPUS_MAX] : s->start_ts;
	if (old_events)
		fill_old(w, s, b, old_events);
	if (wi_fill_forms(form))
		b->n_rec = ses_fill(w, s, &f, form == WI_FLUSHED_FULL ? RECORDS_MAX : events, &s->next_ts, b->rec);
	b->used = f.off;
	b->tail_gap = form == WI_TORN ? s->buffer_size - b->used : 0;
	ses_header(w, s, b);
	if (s->even)
		s->cpu_ts[cpu % WI_CPUS_MAX] = s->next_ts;
	s->next_ts = s->next_ts > next ? s->next_ts : next;
	/* what the present use has overwritten of the earlier one is gone: the first whole record behind the end starts the rest */
	while (b->n_old && b->old[0].off < b->used + b->tail_gap) {
		memmove(b->old, b->old + 1, (b->n_old - 1) * sizeof(*b->old));
		b->n_old--;
	}
	wm_write(&w->k, b->va, b->raw, s->buffer_size);
	return b;
}

void wi_tear(struct winimg *w, struct wi_buffer *b, unsigned k)
{
	uint32_t off, n;

	if (k >= b->n_rec)
		return;
	off = b->rec[k].off;
	n = (b->rec[k].size + 7) & ~7u;
	if (b->under)
		memcpy(b->raw + off, b->under + off, n);
	else
		memset(b->raw + off, 0, n);
	b->rec[k].lost = LOST_TORN;
	wm_write(&w->k, b->va + off, b->raw + off, n);
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t link_off(const struct winimg *w)
{
	return wi_has(w, F_BUFHDR_SlistEntry) ? prof_off(&w->p, F_BUFHDR_SlistEntry) : LINK;
}

static void link_to(struct winimg *w, const struct wi_buffer *b, uint64_t next)
{
	uint32_t at = link_off(w);

	wi_put_ptr(w, b->va + at, next);
	wm_read(&w->k, b->va + at, b->raw + at, w->ps);
}

/* Pushes a node onto an SLIST_HEADER (ntdef.h): of 32 bits Next, Depth, Sequence; of 64 bits the form for processors with cmpxchg16b, whose second
 * word holds the address, or the one for those without, whose first word holds 39 bits of it. */
static void slist_push(struct winimg *w, uint64_t head, uint64_t node)
{
	uint64_t a = wm_get(&w->k, head, 8), b = w->ps == 8 ? wm_get(&w->k, head + 8, 8) : 0, next, depth;

	if (w->ps == 4) {
		depth = (a >> 32 & 0xffff) + 1;
		wi_put_ptr(w, node, a & 0xffffffff);
		wm_put(&w->k, head, node | depth << 32 | depth << 48, 8);
		return;
	}
	depth = (a & 0xffff) + 1;
	if (w->o.narrow_slist) {
		next = a >> 25 << 4;
		wi_put_ptr(w, node, next ? next | UINT64_C(0xfffff80000000000) : 0);
		wm_put(&w->k, head, depth | (depth & 0x1ff) << 16 | (node >> 4) << 25, 8);
		wm_put(&w->k, head + 8, UINT64_C(7) << 61, 8);
		return;
	}
	wi_put_ptr(w, node, b & ~UINT64_C(0xf));
	wm_put(&w->k, head, depth | depth << 16, 8);
	wm_put(&w->k, head + 8, node | 1, 8);
}

static void ring_node(struct winimg *w, const struct wi_session *s, uint64_t va)
{
	uint64_t node = va + (wi_has(w, F_BUFHDR_GlobalEntry) ? prof_off(&w->p, F_BUFHDR_GlobalEntry) : ENTRY);

	if (w->p.traits.single_list) {
		slist_push(w, s->ctx + prof_off(&w->p, F_CTX_GlobalList), node);
		return;
	}
	if (s->separate_nodes) {
		node = wi_alloc(w, 3 * w->ps, 16);
		wi_put_ptr(w, node + 2 * w->ps, va);
	}
	wi_ring_add(w, s->ctx + prof_off(&w->p, F_CTX_GlobalList), node);
}

static void tie_ring(struct winimg *w, struct wi_session *s)
{
	for (unsigned i = 0; i < s->n_buf; i++)
		if (s->buf[i].ways & WAY_GLOBAL && s->buf[i].packed_in < 0)
			ring_node(w, s, s->buf[i].va);
}

/* XP, Server 2003: free buffers and those that wait for the flush hang in lists of their own as well. */
static void tie_slist(struct winimg *w, struct wi_session *s, enum prof_field f, unsigned way)
{
	for (unsigned i = 0; i < s->n_buf && wi_has(w, f); i++)
		if (s->buf[i].ways & way && wi_has(w, F_BUFHDR_LoggerContext))
			slist_push(w, s->ctx + prof_off(&w->p, f), s->buf[i].va + link_off(w));
}

static void tie_queue(struct winimg *w, struct wi_session *s, enum prof_field f, unsigned way)
{
	uint64_t at, entry, last;

	if (!wi_has(w, f))
		return;
	at = s->ctx + prof_off(&w->p, f);
	entry = last = at + prof_off(&w->p, F_QUEUE_QueueEntry);
	for (unsigned i = 0; i < s->n_buf; i++) {
		if (!(s->buf[i].ways & way))
			continue;
		wi_put_ptr(w, last, s->buf[i].va + link_off(w));
		last = s->buf[i].va + link_off(w);
		link_to(w, &s->buf[i], 0);
	}
	wi_set(w, at, F_QUEUE_QueueHead, entry, w->ps);
	wi_set(w, at, F_QUEUE_QueueTail, last, w->ps);
}

/* A chain of plain pointers through +0x20; returns its first pointer (to a buffer, or to its link). */
static uint64_t tie_chain(struct winimg *w, struct wi_session *s, unsigned way, uint32_t at)
{
	uint64_t first = 0;
	struct wi_buffer *last = NULL;

	for (unsigned i = 0; i < s->n_buf; i++) {
		if (!(s->buf[i].ways & way))
			continue;
		if (last)
			link_to(w, last, s->buf[i].va + link_off(w));
		else
			first = s->buf[i].va + at;
		last = &s->buf[i];
	}
	return first;
}

static void tie_slots(struct winimg *w, struct wi_session *s)
{
	for (unsigned i = 0; i < s->n_buf; i++) {
		struct wi_buffer *b = &s->buf[i];
		uint64_t slots = b->cpu < WI_CPUS_MAX ? w->silo[s->silo].slot[b->cpu] : 0;

		if (b->ways & WAY_PROCESSOR && slots)
			wi_put_ptr(w, slots + w->ps * s->id, b->va | (2 * w->ps - 1)); /* an EX_FAST_REF, all references left */
		if (b->ways & WAY_CURRENT)
			wi_set(w, s->ctx, F_CTX_CurrentBuffer, b->va | (w->ps - 1), w->ps); /* some taken */
		/* an older full buffer hangs behind the current one of its cpu */
		if (b->ways & WAY_DIRTY)
			for (unsigned k = 0; k < s->n_buf; k++)
				if (s->buf[k].ways & (WAY_PROCESSOR | WAY_CURRENT) && s->buf[k].cpu == b->cpu)
					link_to(w, &s->buf[k], b->va + link_off(w));
	}
}

static void tie_scratch(struct winimg *w, struct wi_session *s)
{
	uint64_t array = 0;

	if (!wi_has(w, F_CTX_ScratchArray))
		return;
	for (unsigned i = 0; i < s->n_buf; i++) {
		if (!(s->buf[i].ways & WAY_SCRATCH))
			continue;
		if (!array)
			array = wi_alloc(w, w->ps * w->o.cpus, 16);
		wi_put_ptr(w, array + w->ps * (s->buf[i].cpu % w->o.cpus), s->buf[i].va);
	}
	if (array)
		wi_set(w, s->ctx, F_CTX_ScratchArray, array, w->ps);
}

/* One row: a buffer whose body is sub-buffers, each of the buffers with this number, instead of their own pages. Row 0 is what
 * CompressionTarget leads to, the others are buffers of state 5 in GlobalList. */
static void tie_row(struct winimg *w, struct wi_session *s, int number)
{
	uint8_t *raw = calloc(1, s->buffer_size), *zeros = calloc(1, s->buffer_size), *packed = malloc(2 * (size_t)s->buffer_size + 64);
	uint64_t va = 0;
	uint32_t at = HDR;

	for (unsigned i = 0; i < s->n_buf; i++) {
		struct wi_buffer *b = &s->buf[i];
		uint32_t n;

		if (b->packed_in != number)
			continue;
		n = pack_xpress(b->raw + HDR, b->used - HDR, packed);
		if (at + HDR + n > s->buffer_size) {
			b->packed_in = -1; /* the row is full: it stays where it is */
			b->ways = WAY_GLOBAL;
			continue;
		}
		if (!va)
			va = wi_alloc(w, s->buffer_size, WM_PAGE);
		memcpy(raw + at, b->raw, HDR);
		put_le32(raw + at, HDR + n);
		put_le32(raw + at + 4, b->used);
		put_le32(raw + at + 8, b->used);
		put_le32(raw + at + 0xc, 0);
		put_le32(raw + at + 0x2c, 3);
		memcpy(raw + at + HDR, packed, n);
		wm_write(&w->k, b->va, zeros, s->buffer_size); /* somebody else's now */
		for (uint32_t off = 0; off < s->buffer_size; off += WM_PAGE)
			wm_unmap(&w->k, b->va + off);
		b->va = va + at;
		b->form = WI_PACKED;
		b->packed = HDR + n;
		b->ways = number ? WAY_GLOBAL : WAY_COMPRESSION;
		at += HDR + n;
	}
	if (va) {
		put_le32(raw, s->buffer_size);
		put_le32(raw + 8, at);
		put_le16(raw + 0x2a, (uint16_t)s->id);
		put_le32(raw + 0x2c, 5);
		wm_write(&w->k, va, raw, s->buffer_size);
		if (number) {
			ring_node(w, s, va);
		} else {
			wi_set(w, s->ctx, F_CTX_CompressionTarget, va, w->ps);
			wi_set(w, s->ctx, F_CTX_CompressionOn, 1, 4);
		}
	}
	free(raw);
	free(zeros);
	free(packed);
}

void wi_session_tie(struct winimg *w, struct wi_session *s)
{
	uint64_t p;

	if (!w->p.traits.single_list)
		wi_ring_init(w, s->ctx + prof_off(&w->p, F_CTX_GlobalList));
	for (int row = 0; row < ROWS_MAX; row++)
		tie_row(w, s, row);
	tie_ring(w, s);
	tie_queue(w, s, F_CTX_BufferQueue, WAY_QUEUE);
	tie_slist(w, s, F_CTX_FreeList, WAY_QUEUE);
	tie_slist(w, s, F_CTX_FlushList, WAY_OVERFLOW);
	tie_queue(w, s, F_CTX_OverflowQueue, WAY_OVERFLOW);
	tie_slots(w, s);
	tie_scratch(w, s);
	p = tie_chain(w, s, WAY_BATCHED, 0);
	if (p)
		wi_set(w, s->ctx, F_CTX_BatchedBufferList, p, w->ps);
	p = tie_chain(w, s, WAY_PLACEHOLDER, link_off(w));
	if (p)
		wi_set(w, s->ctx, F_CTX_PlaceholderList, p, w->ps);
	wi_set(w, s->ctx, F_CTX_NumberOfBuffers, s->n_buf + ROWS_MAX, 4);
	wi_set(w, s->ctx, F_CTX_MinimumBuffers, 2, 4);
	wi_set(w, s->ctx, F_CTX_MaximumBuffers, s->n_buf + 22, 4);
}
