/* bufload.c - buffer bytes out of memory into etw_buffers: padded reads, what was missing named once, compressed rows unpacked. */
#include <stdlib.h>
#include <string.h>

#include "kbuffers.h"
#include "rd.h"
#include "settle.h"
#include "xpress.h"

#define HOLES_MAX        64u /* pieces missing of one buffer; behind that the rest counts as missing */
#define STATE_COMPRESSED 5u
#define STATES           7u

/* How far behind the image's own time a record may stand: clocks drift from the wall (28 s in 6 days were seen), and a live image is taken
 * over minutes. */
#define FUTURE_SLACK (INT64_C(60) * 10000000)
#define DRIFT_PART   5000 /* 200 ppm */

static bool latest(const struct kview *v, const struct etw_session *s, uint64_t *ts)
{
	int64_t t = v->sys->system_time, age;

	if (t <= 0)
		return false;
	age = s->has_reference && s->reference_time < t ? t - s->reference_time : 0;
	return etw_session_clock_at(s, v->sys, t + FUTURE_SLACK + age / DRIFT_PART, ts);
}

/* Where each page of the len bytes from b->va on stands. */
static int pages_of(struct vm *vm, struct etw_buffer *b, uint32_t len)
{
	uint64_t first = b->va & ~UINT64_C(0xfff);
	uint32_t n = (uint32_t)((b->va + len - first + 0xfff) >> 12);

	b->page_pa = malloc(n * sizeof(*b->page_pa));
	if (!b->page_pa)
		return ERR_NOMEM;
	for (b->n_page_pa = 0; b->n_page_pa < n; b->n_page_pa++)
		if (!vm_pa(vm, first + ((uint64_t)b->n_page_pa << 12), &b->page_pa[b->n_page_pa]))
			b->page_pa[b->n_page_pa] = ETW_NO_PA;
	return 0;
}

int bufload_settle(struct kview *v, struct etw_session *s, struct etw_buffer *eb, const struct bufload_raw *raw,
		   const struct recover_opts *o)
{
	struct etw_settle_opts so = {.met = raw->met,
				     .buffer_size = s->buffer_size,
				     .cpu_low_byte = v->k->prof.traits.cpu_low_byte,
				     .missing = raw->missing,
				     .n_missing = raw->n_missing};
	struct etw_buffer rest;
	int rc;

	memset(&rest, 0, sizeof rest);
	so.in_memory = raw->vm != NULL;
	so.page_off = (uint32_t)(eb->va & 0xfff);
	so.has_max_ts = latest(v, s, &so.max_ts);
	rc = etw_settle(eb, raw->raw, raw->len, &so, o->residual ? &rest : NULL);
	if (rc == 0 && raw->vm)
		rc = pages_of(raw->vm, eb, raw->len);
	if (rc == 0 && raw->vm && rest.body_len)
		rc = pages_of(raw->vm, &rest, raw->len);
	if (rc == 0)
		rc = etw_session_add_buffer(s, eb);
	if (rc == 0 && rest.body_len)
		rc = etw_session_add_residual(s, &rest);
	etw_buffer_clear(&rest);
	if (rc != 0)
		etw_buffer_clear(eb);
	return rc;
}

static void locate(struct kview *v, struct etw_buffer *eb, uint64_t va)
{
	eb->has_va = true;
	eb->va = va;
	eb->has_pa = vm_pa(v->k->vm, va, &eb->pa);
	eb->has_file_offset = eb->has_pa && phys_file_offset(v->k->phys, eb->pa, &eb->file_offset);
}

/* ---- compressed rows ----------------------------------------------------------------------------------------------------------------- */

/* Does a packed sub-buffer begin at raw + at? Its header says so: BufferSize = packed + 0x48, Saved = Current = unpacked + 0x48. */
static bool sub_header(const struct etw_session *s, const uint8_t *raw, uint32_t len, uint32_t at, struct etw_bufhdr *h)
{
	uint32_t limit = s->has_buffer_size ? s->buffer_size : ETW_BUFFER_SIZE_MAX;

	if (at > len || len - at < ETW_BUFFER_HEADER_SIZE)
		return false;
	etw_bufhdr_parse(h, raw + at);
	return h->buffer_size > ETW_BUFFER_HEADER_SIZE && h->buffer_size <= len - at && h->current_offset > ETW_BUFFER_HEADER_SIZE &&
	       h->current_offset <= limit && h->saved_offset == h->current_offset && h->logger_id == s->id && h->state < STATES &&
	       h->reference_count == 0;
}

static bool is_packed(const struct etw_session *s, const uint8_t *raw, uint32_t len, const struct kbuf *k)
{
	struct etw_bufhdr h;

	if (k->hdr.state == STATE_COMPRESSED || k->from & ETW_FROM_COMPRESSION)
		return true;
	return s->mode & ETW_MODE_COMPRESSED && sub_header(s, raw, len, ETW_BUFFER_HEADER_SIZE, &h);
}

static bool hits(const struct bufload_raw *r, uint32_t at, uint32_t n)
{
	for (size_t i = 0; i < r->n_missing; i++)
		if (r->missing[i].offset < at + n && at < r->missing[i].offset + r->missing[i].bytes)
			return true;
	return false;
}

static int unpack_one(struct kview *v, struct etw_session *s, const struct kbuf *k, const struct bufload_raw *row, uint32_t at,
		      const struct etw_bufhdr *h, const struct recover_opts *o)
{
	uint32_t want = h->current_offset;
	struct etw_buffer eb;
	struct bufload_raw one = {.met = ETW_MET_MEMORY};
	uint8_t *p = malloc(want);
	size_t got;
	int torn = 0, rc;

	if (!p)
		return ERR_NOMEM;
	memcpy(p, row->raw + at, ETW_BUFFER_HEADER_SIZE);
	got = xpress_unpack_some(row->raw + at + ETW_BUFFER_HEADER_SIZE, h->buffer_size - ETW_BUFFER_HEADER_SIZE,
				 p + ETW_BUFFER_HEADER_SIZE, want - ETW_BUFFER_HEADER_SIZE, &torn);
	if (torn || got != want - ETW_BUFFER_HEADER_SIZE) {
		struct note n = NOTE_AT(NOTE_RECORD_BAD, k->va + at, h->buffer_size);

		notes_add(v->notes, &n, "compressed sub-buffer unpacks to %zu of its %u bytes", got, want - ETW_BUFFER_HEADER_SIZE);
	}
	memset(&eb, 0, sizeof eb);
	locate(v, &eb, k->va + at);
	eb.from = k->from;
	one.raw = p;
	one.len = (uint32_t)got + ETW_BUFFER_HEADER_SIZE;
	eb.packed_bytes = h->buffer_size - ETW_BUFFER_HEADER_SIZE;
	rc = bufload_settle(v, s, &eb, &one, o);
	free(p);
	return rc;
}

/* The row of sub-buffers in raw[0x48, end). */
static int unpack_row(struct kview *v, struct etw_session *s, const struct kbuf *k, const struct bufload_raw *row, uint32_t end,
		      const struct recover_opts *o)
{
	uint32_t at = ETW_BUFFER_HEADER_SIZE;
	struct recover_opts live = *o;
	int rc = 0;

	live.residual = false; /* behind a sub-buffer stands the next one, not an older life */
	while (rc == 0 && end - at > ETW_BUFFER_HEADER_SIZE) {
		struct etw_bufhdr h;
		bool gone = hits(row, at, ETW_BUFFER_HEADER_SIZE);

		if (gone || !sub_header(s, row->raw, end, at, &h)) {
			uint32_t from = at;
			struct note n = NOTE_AT(NOTE_RECORD_BAD, k->va + from, 0);

			/* take the row up again at the next place where a sub-buffer's header stands */
			do
				at++;
			while (end - at > ETW_BUFFER_HEADER_SIZE &&
			       (hits(row, at, ETW_BUFFER_HEADER_SIZE) || !sub_header(s, row->raw, end, at, &h)));
			n.bytes = at - from;
			n.has_bytes = true;
			if (!gone)
				notes_add(v->notes, &n, "compressed row: no sub-buffer stands here");
			continue;
		}
		if (hits(row, at, h.buffer_size)) {
			struct note n = NOTE_AT(NOTE_RECORD_BAD, k->va + at, h.buffer_size);

			notes_add(v->notes, &n, "compressed sub-buffer with a missing page");
		} else {
			rc = unpack_one(v, s, k, row, at, &h, &live);
		}
		at += h.buffer_size;
	}
	return rc;
}

/* ---- one buffer ---------------------------------------------------------------------------------------------------------------------- */

static uint32_t size_of(const struct etw_session *s, const struct kbuf *k)
{
	uint32_t n = s->has_buffer_size ? s->buffer_size : k->hdr.buffer_size;

	if (n < ETW_BUFFER_HEADER_SIZE)
		n = ETW_BUFFER_HEADER_SIZE;
	return n > ETW_BUFFER_SIZE_MAX ? ETW_BUFFER_SIZE_MAX : n;
}

/* Missing pieces as ranges of the buffer. Those before the end of data are losses and are named. */
static size_t ranges(struct kview *v, const struct kbuf *k, const struct vm_missing *hole, size_t n, uint32_t end, struct etw_range *out)
{
	for (size_t i = 0; i < n; i++) {
		struct note note = NOTE_AT(NOTE_PAGE_MISSING, hole[i].va, hole[i].len);

		out[i].offset = (uint32_t)(hole[i].va - k->va);
		out[i].bytes = (uint32_t)hole[i].len;
		if (out[i].offset < end)
			notes_add(v->notes, &note, "%s", vm_why_text(hole[i].why));
	}
	return n;
}

static int load_one(struct kview *v, struct etw_session *s, const struct kbuf *k, const struct recover_opts *o, uint64_t *budget,
		    struct buf *room)
{
	struct vm_missing hole[HOLES_MAX];
	struct etw_range range[HOLES_MAX];
	struct bufload_raw raw = {.missing = range, .met = ETW_MET_MEMORY, .vm = v->k->vm};
	uint32_t size = size_of(s, k), end = etw_end_of_data(&k->hdr, ETW_MET_MEMORY, size), want = o->residual ? size : end;
	struct etw_buffer eb;

	if (want > *budget) {
		struct note n = NOTE_AT(NOTE_LIMIT_REACHED, k->va, want);

		notes_add(v->notes, &n, "more buffer bytes than the image has memory: this buffer was left out");
		return 0;
	}
	*budget -= want;
	if (room->n < want && !buf_grow(room, want - room->n))
		return ERR_NOMEM;
	raw.raw = room->p;
	raw.len = want;
	raw.n_missing = ranges(v, k, hole, vm_read_padded(v->k->vm, k->va, room->p, want, hole, HOLES_MAX), end, range);
	if (is_packed(s, room->p, end, k))
		return unpack_row(v, s, k, &raw, end, o);
	memset(&eb, 0, sizeof eb);
	locate(v, &eb, k->va);
	eb.from = k->from;
	return bufload_settle(v, s, &eb, &raw, o);
}

int buffers_load(struct kbufset *b, const struct recover_opts *o, uint64_t *budget)
{
	struct buf room;
	int rc = 0;

	buf_init(&room);
	for (size_t i = 0; i < b->n && rc == 0; i++)
		if (!b->buf[i].lost)
			rc = load_one(b->v, b->s, &b->buf[i], o, budget, &room);
	buf_free(&room);
	return rc;
}
