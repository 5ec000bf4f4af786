/* winses.c - logger contexts, their buffers in every form and list, consumers, providers (memory-recovery.md sections 2, 3, 7; layouts.md 3, 4). */
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "winimg.h"

#define HDR         0x48u
#define LINK        0x20u /* SlistEntry / NextBuffer */
#define ENTRY       0x38u /* GlobalEntry */
#define RECORDS_MAX 4096

/* ---- records ------------------------------------------------------------------------------------------------------------------------------ */

static void put_record_head(uint8_t *p, uint16_t size, uint64_t ts, uint8_t type)
{
	put_le16(p, size);
	p[2] = type;
	p[3] = 0xc0;
	put_le32(p + 8, 0x100 + (uint32_t)(ts % 50) * 4);
	put_le32(p + 0xc, 4 + (uint32_t)(ts % 7) * 4);
	put_le64(p + 0x10, ts);
}

/* One record of varied kind and size, its serial number inside. Returns its size; 0: it does not fit into `room`. */
static uint32_t make_record(struct winimg *w, uint8_t *p, uint32_t room, uint64_t ts)
{
	unsigned n = w->serial++, kind = n % 7;
	uint32_t extra = (n * 13) % 61, size = kind == 3   ? 40 + extra
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
		put_le16(p + 6, 0xaa);
		memset(p + 8, 0x11, 16);
		put_le64(p + 24, ts);
		put_le32(p + 32, 8);
		put_le32(p + 36, 4);
		memset(p + 40, (int)n, extra);
	} else if (kind == 4 || kind == 5) { /* SYSTEM64, PERFINFO64 */
		put_record_head(p, 2, ts, kind == 4 ? 2 : 0x11);
		put_le16(p + 4, (uint16_t)size);
		put_le16(p + 6, kind == 4 ? 0x0301 : 0x0f2e);
		if (kind == 5)
			put_le64(p + 8, ts);
		memset(p + (kind == 4 ? 0x20 : 0x10), (int)n, extra);
	} else { /* EVENT_HEADER64 */
		put_record_head(p, (uint16_t)size, ts, 0x13);
		memcpy(p + 0x18, "\x28\x9a\x95\x1c\x4f\x54\x4d\x53\x9b\xda\x2a\xaf\xbf\x9b\x5b\x01", 16);
		put_le16(p + 0x28, (uint16_t)(3000 + n % 20));
		p[0x2c] = 4;
		put_le64(p + 0x30, UINT64_C(0x8000000000000000));
		put_le32(p + 0x50, n);
		memset(p + 0x54, 'a' + (int)(n % 26), extra + 4);
	}
	return size;
}

static uint64_t ticks_per_event(const struct winimg *w, const struct wi_session *s)
{
	return s->clock == 2 ? 12345 : s->clock == 3 ? 2900 * 1234 : w->o.perf_freq / 811;
}

/* Fills raw from *off on with up to n records. */
static unsigned fill(struct winimg *w, struct wi_session *s, uint8_t *raw, uint32_t *off, uint32_t limit, unsigned n, uint64_t *ts,
		     struct wi_record *rec)
{
	unsigned made = 0;

	while (made < n && made < RECORDS_MAX) {
		uint32_t size;

		*ts += ticks_per_event(w, s);
		size = make_record(w, raw + *off, limit - *off, *ts);
		if (!size)
			break;
		rec[made++] = (struct wi_record){*off, size, *ts, false};
		*off += (size + 7) & ~7u;
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
	for (const char *c = name; *c && s->n_name16 < 510; c++)
		s->name16[s->n_name16++] = (uint8_t)*c;
	s->buffer_size = 8192;
	s->mode = 0x100;
	s->clock = 1;
	s->in_table = true;
	s->start_time = w->o.system_time - INT64_C(36000000000) + (int64_t)id * 10000000;
	return s;
}

static void put_name(struct winimg *w, uint64_t at, const uint16_t *name, unsigned n, uint64_t va)
{
	for (unsigned i = 0; i < n; i++)
		wm_put(&w->k, va + 2 * i, name[i], 2);
	wm_put(&w->k, at, 2 * n, 2);
	wm_put(&w->k, at + 2, 2 * n + 2, 2);
	wm_put(&w->k, at + 8, va, 8);
}

void wi_session_build(struct winimg *w, struct wi_session *s)
{
	uint32_t size = prof_size(&w->p, T_CTX);
	uint64_t text, pair;

	s->ctx = wi_alloc(w, size, 64);
	if (s->name_lost || s->tail_lost) /* on a page of its own */
		text = wi_alloc(w, WM_PAGE, WM_PAGE);
	else
		text = wi_alloc(w, 2 * s->n_name16 + 2, 16);
	s->start_ts = s->clock == 2 ? (uint64_t)s->start_time : s->clock == 3 ? qpc_at(w, s->start_time) * 290 : qpc_at(w, s->start_time);
	s->next_ts = s->start_ts;
	wi_set(w, s->ctx, F_CTX_LoggerId, s->id, 4);
	wi_set(w, s->ctx, F_CTX_BufferSize, s->buffer_size, 4);
	wi_set(w, s->ctx, F_CTX_LoggerMode, s->mode, 4);
	wi_set(w, s->ctx, F_CTX_ClockType, s->clock, 4);
	put_name(w, s->ctx + prof_off(&w->p, F_CTX_LoggerName), s->name16, s->n_name16, text);
	pair = s->ctx + prof_off(&w->p, F_CTX_ReferenceTime);
	wm_put(&w->k, pair, (uint64_t)s->start_time, 8);
	wm_put(&w->k, pair + 8, s->start_ts, 8);
	wi_set(w, s->ctx, F_CTX_StartTime, (uint64_t)s->start_time, 8);
	wi_set(w, s->ctx, F_CTX_EventsLost, s->events_lost, 4);
	wi_set(w, s->ctx, F_CTX_LogBuffersLost, s->buffers_lost, 4);
	wi_set(w, s->ctx, F_CTX_BuffersWritten, 7 * s->id, 4);
	if (wi_has(w, F_CTX_InstanceGuid))
		for (unsigned i = 0; i < 16; i++)
			wm_put(&w->k, s->ctx + prof_off(&w->p, F_CTX_InstanceGuid) + i, 0x30 + s->id + i, 1);
	if (w->silo[s->silo].state)
		wi_set(w, s->ctx, F_CTX_SiloState, w->silo[s->silo].state, 8);
	wm_put(&w->k, s->ctx + prof_off(&w->p, F_CTX_Consumers), s->ctx + prof_off(&w->p, F_CTX_Consumers), 8);
	wm_put(&w->k, s->ctx + prof_off(&w->p, F_CTX_Consumers) + 8, s->ctx + prof_off(&w->p, F_CTX_Consumers), 8);
	if (s->in_table)
		wm_put(&w->k, w->silo[s->silo].table + 8 * s->id, s->ctx, 8);
	if (s->name_lost)
		wm_unmap(&w->k, text);
}

static uint32_t end_wanted(const struct wi_session *s, enum wi_form form)
{
	return form == WI_FLUSHED_FULL ? s->buffer_size : s->buffer_size - 0x200;
}

/* The header as the kernel leaves it in this form (live-buffers.md section 4). */
static void put_header(struct winimg *w, const struct wi_session *s, struct wi_buffer *b)
{
	uint8_t *h = b->raw;
	uint16_t cpu = (uint16_t)b->cpu;

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
	case WI_TORN:
		put_le32(h + 0xc, 15);
		put_le32(h + 0x2c, 1);
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
		put_le32(h + 4, b->used);
		put_le32(h + 8, b->form == WI_FLUSHED ? b->used + s->buffer_size : b->used + 0x98);
		if (b->form == WI_FLUSHED_FULL && b->used + 0x98 <= s->buffer_size)
			put_le32(h + 8, s->buffer_size + 8);
		put_le64(h + 0x10, s->next_ts + 1);
		put_le32(h + 0x30, b->used);
		break;
	case WI_PLACEHOLDER:
		break;
	}
}

struct wi_buffer *wi_buffer(struct winimg *w, struct wi_session *s, enum wi_form form, unsigned cpu, unsigned ways, unsigned events,
			    unsigned old_events)
{
	struct wi_buffer *b = &s->buf[s->n_buf++];
	uint32_t off = HDR;
	uint64_t before = (old_events + 1) * ticks_per_event(w, s), old_ts = s->start_ts > before ? s->start_ts - before : 0;
	struct wi_record *old = calloc(RECORDS_MAX, sizeof(*old));

	memset(b, 0, sizeof(*b));
	b->form = form;
	b->cpu = cpu;
	b->ways = ways;
	b->sequence = s->n_buf;
	b->raw = calloc(1, s->buffer_size);
	b->rec = calloc(RECORDS_MAX, sizeof(*b->rec));
	b->va = wi_alloc(w, s->buffer_size, WM_PAGE);
	if (old_events) { /* an earlier use of the buffer, from its front */
		uint32_t o = HDR;
		unsigned n = fill(w, s, b->raw, &o, s->buffer_size - 0x40, old_events, &old_ts, old);

		b->old = old;
		b->n_old = n;
		put_le32(b->raw + o, 0xffffffffu);
		put_le32(b->raw + o + 4, 0xffffffffu);
	} else {
		free(old);
	}
	if (form != WI_UNUSED && form != WI_PLACEHOLDER)
		b->n_rec =
			fill(w, s, b->raw, &off, end_wanted(s, form), form == WI_FLUSHED_FULL ? RECORDS_MAX : events, &s->next_ts, b->rec);
	b->used = off;
	put_header(w, s, b);
	/* what the present use has overwritten of the earlier one is gone: the first whole record behind the end starts the rest */
	while (b->n_old && b->old[0].off < b->used) {
		memmove(b->old, b->old + 1, (b->n_old - 1) * sizeof(*b->old));
		b->n_old--;
	}
	wm_write(&w->k, b->va, b->raw, s->buffer_size);
	return b;
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------------------------- */

static void link_to(struct winimg *w, const struct wi_buffer *b, uint64_t next)
{
	wm_put(&w->k, b->va + LINK, next, 8);
	put_le64(b->raw + LINK, next);
}

static void tie_ring(struct winimg *w, struct wi_session *s)
{
	uint64_t head = s->ctx + prof_off(&w->p, F_CTX_GlobalList), last = head;

	wm_put(&w->k, head, head, 8);
	wm_put(&w->k, head + 8, head, 8);
	for (unsigned i = 0; i < s->n_buf; i++) {
		uint64_t node = s->buf[i].va + ENTRY;

		if (!(s->buf[i].ways & WAY_GLOBAL))
			continue;
		if (s->separate_nodes) {
			node = wi_alloc(w, 0x18, 16);
			wm_put(&w->k, node + 0x10, s->buf[i].va, 8);
		}
		wm_put(&w->k, node, head, 8);
		wm_put(&w->k, node + 8, last, 8);
		wm_put(&w->k, last, node, 8);
		wm_put(&w->k, head + 8, node, 8);
		last = node;
	}
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
		wm_put(&w->k, last, s->buf[i].va + LINK, 8);
		last = s->buf[i].va + LINK;
		link_to(w, &s->buf[i], 0);
	}
	wi_set(w, at, F_QUEUE_QueueHead, entry, 8);
	wi_set(w, at, F_QUEUE_QueueTail, last, 8);
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
			link_to(w, last, s->buf[i].va + LINK);
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
		uint64_t slots = b->cpu < 8 ? w->silo[s->silo].slot[b->cpu] : 0;

		if (b->ways & WAY_PROCESSOR && slots)
			wm_put(&w->k, slots + 8 * s->id, b->va | 15, 8);
		if (b->ways & WAY_CURRENT)
			wi_set(w, s->ctx, F_CTX_CurrentBuffer, b->va | 7, 8); /* an EX_FAST_REF with 7 references left */
		/* an older full buffer hangs behind the current one of its cpu */
		if (b->ways & WAY_DIRTY)
			for (unsigned k = 0; k < s->n_buf; k++)
				if (s->buf[k].ways & (WAY_PROCESSOR | WAY_CURRENT) && s->buf[k].cpu == b->cpu)
					link_to(w, &s->buf[k], b->va + LINK);
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
			array = wi_alloc(w, 8 * w->o.cpus, 16);
		wm_put(&w->k, array + 8 * (s->buf[i].cpu % w->o.cpus), s->buf[i].va, 8);
	}
	if (array)
		wi_set(w, s->ctx, F_CTX_ScratchArray, array, 8);
}

/* Literals only: 32 zero flags, then 32 bytes; the end by the last flags' unused bits (MS-XCA). */
static uint32_t pack_literals(const uint8_t *in, uint32_t n, uint8_t *out)
{
	uint32_t o = 0;

	for (uint32_t i = 0; i < n; i += 32) {
		uint32_t part = n - i < 32 ? n - i : 32;

		put_le32(out + o, part == 32 ? 0 : ~0u >> part);
		memcpy(out + o + 4, in + i, part);
		o += 4 + part;
	}
	return o;
}

/* A buffer whose body is a row of packed ones: each of `of`'s buffers with WAY_COMPRESSION stands in it instead of on its own pages. */
static void tie_compression(struct winimg *w, struct wi_session *s)
{
	uint8_t *raw = calloc(1, s->buffer_size), *packed = malloc(2 * s->buffer_size);
	uint64_t va = 0;
	uint32_t at = HDR;

	for (unsigned i = 0; i < s->n_buf; i++) {
		struct wi_buffer *b = &s->buf[i];
		uint32_t n;

		if (!(b->ways & WAY_COMPRESSION) || !wi_has(w, F_CTX_CompressionTarget))
			continue;
		n = pack_literals(b->raw + HDR, b->used - HDR, packed);
		if (at + HDR + n > s->buffer_size)
			continue;
		memcpy(raw + at, b->raw, HDR);
		put_le32(raw + at, HDR + n);
		put_le32(raw + at + 4, b->used);
		put_le32(raw + at + 8, b->used);
		put_le32(raw + at + 0xc, 0);
		put_le32(raw + at + 0x2c, 3);
		memcpy(raw + at + HDR, packed, n);
		at += HDR + n;
		for (uint32_t off = 0; off < s->buffer_size; off += WM_PAGE) /* it stands nowhere else */
			wm_unmap(&w->k, b->va + off);
	}
	if (at > HDR) {
		va = wi_alloc(w, s->buffer_size, WM_PAGE);
		put_le32(raw, s->buffer_size);
		put_le32(raw + 8, at);
		put_le16(raw + 0x2a, (uint16_t)s->id);
		put_le32(raw + 0x2c, 5);
		wm_write(&w->k, va, raw, s->buffer_size);
		wi_set(w, s->ctx, F_CTX_CompressionTarget, va, 8);
		wi_set(w, s->ctx, F_CTX_CompressionOn, 1, 4);
	}
	free(raw);
	free(packed);
}

void wi_session_tie(struct winimg *w, struct wi_session *s)
{
	uint64_t p;

	tie_ring(w, s);
	tie_queue(w, s, F_CTX_BufferQueue, WAY_QUEUE);
	tie_queue(w, s, F_CTX_OverflowQueue, WAY_OVERFLOW);
	tie_slots(w, s);
	tie_scratch(w, s);
	p = tie_chain(w, s, WAY_BATCHED, 0);
	if (p)
		wi_set(w, s->ctx, F_CTX_BatchedBufferList, p, 8);
	p = tie_chain(w, s, WAY_PLACEHOLDER, LINK);
	if (p)
		wi_set(w, s->ctx, F_CTX_PlaceholderList, p, 8);
	tie_compression(w, s);
	wi_set(w, s->ctx, F_CTX_NumberOfBuffers, s->n_buf, 4);
	wi_set(w, s->ctx, F_CTX_MinimumBuffers, 2, 4);
	wi_set(w, s->ctx, F_CTX_MaximumBuffers, s->n_buf + 22, 4);
}

/* ---- consumers and providers ----------------------------------------------------------------------------------------------------------------------- */

uint64_t wi_consumer(struct winimg *w, struct wi_session *s, struct wi_process *p)
{
	uint64_t c = wi_object(w, 5, prof_size(&w->p, T_CONSUMER)), head = s->ctx + prof_off(&w->p, F_CTX_Consumers);
	uint64_t last = wm_get(&w->k, head + 8, 8), list, count;
	unsigned wide = p->wow64 ? 4 : 8;

	list = p->heap;
	count = p->heap + 16;
	p->heap += WM_PAGE;
	wm_put(&p->space, list, 0, wide);
	wm_put(&p->space, count, 0, 4);
	wi_set(w, c, F_CONSUMER_ProcessObject, p->eprocess, 8);
	wi_set(w, c, F_CONSUMER_UserBufferListHead, list, 8);
	wi_set(w, c, F_CONSUMER_UserBufferCount, count, 8);
	wi_set(w, c, F_CONSUMER_LoggerId, s->id, 2);
	if (p->wow64)
		wi_set(w, c, F_CONSUMER_Flags, 0x10, 2);
	if (w->silo[s->silo].state)
		wi_set(w, c, F_CONSUMER_SiloState, w->silo[s->silo].state, 8);
	wm_put(&w->k, c, head, 8);
	wm_put(&w->k, c + 8, last, 8);
	wm_put(&w->k, last, c, 8);
	wm_put(&w->k, head + 8, c, 8);
	wi_set(w, s->ctx, F_CTX_NumConsumers, ++s->n_consumers, 4);
	s->consumers[s->n_consumers - 1] = c;
	wi_handle(w, p, c);
	return list;
}

/* A delivered buffer in the consumer's own memory: a copy of a kernel buffer, or (of NULL) one that the kernel has reused since. */
void wi_user_copy(struct winimg *w, struct wi_session *s, struct wi_process *p, const struct wi_buffer *of, unsigned events)
{
	struct wi_buffer *b = &s->buf[s->n_buf++];
	uint64_t c = s->consumers[0], list = wm_get(&w->k, c + prof_off(&w->p, F_CONSUMER_UserBufferListHead), 8), va;
	uint64_t count = wm_get(&w->k, c + prof_off(&w->p, F_CONSUMER_UserBufferCount), 8);
	unsigned wide = p->wow64 ? 4 : 8;
	uint32_t off = HDR;

	memset(b, 0, sizeof(*b));
	b->ways = WAY_USER;
	b->pid = (unsigned)p->pid;
	b->form = WI_FLUSHED;
	b->raw = calloc(1, s->buffer_size);
	b->rec = calloc(RECORDS_MAX, sizeof(*b->rec));
	if (of) {
		memcpy(b->raw, of->raw, of->used);
		memcpy(b->rec, of->rec, of->n_rec * sizeof(*b->rec));
		b->n_rec = of->n_rec;
		b->used = of->used;
		b->cpu = of->cpu;
		b->copy_of_kernel = true;
	} else {
		b->n_rec = fill(w, s, b->raw, &off, s->buffer_size, events, &s->next_ts, b->rec);
		b->used = off;
		b->sequence = 1000 + s->n_buf;
		put_header(w, s, b);
	}
	put_le32(b->raw + 4, b->used);
	put_le32(b->raw + 8, b->used);
	put_le32(b->raw + 0x30, b->used);
	put_le32(b->raw + 0x2c, 3);
	va = b->va = p->heap;
	p->heap += s->buffer_size;
	put_le64(b->raw + LINK, wm_get(&p->space, list, wide)); /* pushed at the front of the list */
	wm_write(&p->space, va, b->raw, b->used);
	wm_put(&p->space, list, va + LINK, wide);
	wm_put(&p->space, count, wm_get(&p->space, count, 4) + 1, 4);
}

uint64_t wi_provider(struct winimg *w, unsigned silo, const uint8_t guid[16], struct wi_process *p, const unsigned *sessions, unsigned n,
		     unsigned level, uint64_t any)
{
	uint64_t g = wi_alloc(w, prof_size(&w->p, T_GUIDENTRY), 16), reg, head, bucket;
	uint32_t stride = prof_size(&w->p, T_BUCKET) ? prof_size(&w->p, T_BUCKET) : 0x38;

	bucket = w->silo[silo].hash + (guid[0] ^ guid[15]) % 64 * stride;
	head = wm_get(&w->k, bucket + 8, 8); /* the last of the ring */
	wm_put(&w->k, g, bucket, 8);
	wm_put(&w->k, g + 8, head, 8);
	wm_put(&w->k, head, g, 8);
	wm_put(&w->k, bucket + 8, g, 8);
	wm_write(&w->k, g + prof_off(&w->p, F_GUIDENTRY_Guid), guid, 16);
	head = g + prof_off(&w->p, F_GUIDENTRY_RegListHead);
	wm_put(&w->k, head, head, 8);
	wm_put(&w->k, head + 8, head, 8);
	for (unsigned i = 0; i < n && i < 8; i++) {
		uint64_t e = g + prof_off(&w->p, F_GUIDENTRY_EnableInfo) + i * prof_size(&w->p, T_ENABLE);

		wi_set(w, e, F_ENABLE_IsEnabled, 1, 4);
		wi_set(w, e, F_ENABLE_Level, level, 1);
		wi_set(w, e, F_ENABLE_LoggerId, sessions[i], 2);
		wi_set(w, e, F_ENABLE_MatchAnyKeyword, any, 8);
	}
	if (w->silo[silo].state)
		wi_set(w, g, F_GUIDENTRY_SiloState, w->silo[silo].state, 8);
	if (!p)
		return g;
	reg = wi_object(w, 6, prof_size(&w->p, T_REG));
	wi_set(w, reg, F_REG_GuidEntry, g, 8);
	wi_set(w, reg, F_REG_Process, p->eprocess, 8);
	wi_set(w, reg, F_REG_EnableMask, (1u << n) - 1, 1);
	wm_put(&w->k, reg, head, 8);
	wm_put(&w->k, reg + 8, head, 8);
	wm_put(&w->k, head, reg, 8);
	wm_put(&w->k, head + 8, reg, 8);
	wi_handle(w, p, reg);
	return g;
}

void wi_lose_page(struct winimg *w, struct wi_session *s, struct wi_buffer *b, unsigned page)
{
	uint32_t from = page * WM_PAGE, to = from + WM_PAGE;

	if (from >= s->buffer_size)
		return;
	wm_unmap(&w->k, b->va + from);
	b->header_lost |= page == 0;
	for (unsigned i = 0; i < b->n_rec; i++)
		b->rec[i].lost |= b->rec[i].off < to && b->rec[i].off + b->rec[i].size > from;
	for (unsigned i = 0; i < b->n_old; i++)
		b->old[i].lost |= b->old[i].off < to && b->old[i].off + b->old[i].size > from;
}
