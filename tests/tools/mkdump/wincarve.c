/* wincarve.c - buffers that no list leads to: of stopped sessions, of loggers inside processes, in pages of cached files. */
#include <stdlib.h>
#include <string.h>

#include "rd.h"
#include "winses.h"

#define PRIVATE     0x8000u
#define HEADER_SIZE 0x118u

static void write_back(struct winimg *w, struct wi_buffer *b, uint32_t size)
{
	/* links stand in memory only: they stay */
	memcpy(b->raw + LINK, "\0\0\0\0\0\0\0\0", 8);
	wm_read(&w->k, b->va + LINK, b->raw + LINK, 8);
	wm_read(&w->k, b->va + ENTRY, b->raw + ENTRY, 16);
	wm_write(&w->k, b->va, b->raw, size);
}

static void note_pages(struct winimg *w, const struct wi_session *s, struct wi_buffer *b)
{
	uint32_t at = b->form == WI_PACKED ? b->va % WM_PAGE : 0, size = b->form == WI_PACKED ? b->packed : s->buffer_size;
	unsigned n = (at + size + WM_PAGE - 1) / WM_PAGE;

	b->page = calloc(n, sizeof(*b->page));
	for (unsigned i = 0; i < n; i++)
		wm_translate(b->pid ? &wi_process_at(w, b->pid)->space : &w->k, b->va + i * WM_PAGE - (i ? at : 0), &b->page[i]);
	b->n_pages = n;
}

void wi_pages(struct winimg *w)
{
	for (unsigned i = 0; i < w->n_ses; i++)
		for (unsigned k = 0; k < w->ses[i].n_buf; k++)
			if (!w->ses[i].buf[k].page)
				note_pages(w, &w->ses[i], &w->ses[i].buf[k]);
}

static void unmap(struct winimg *w, const struct wi_session *s, const struct wi_buffer *b)
{
	uint64_t end = b->va + (b->form == WI_PACKED ? b->packed : s->buffer_size);

	for (uint64_t va = b->va & ~(uint64_t)(WM_PAGE - 1); va < end; va += WM_PAGE)
		wm_unmap(&w->k, va);
}

void wi_stop(struct winimg *w, struct wi_session *s, bool mapped, bool context)
{
	uint8_t *waste = calloc(1, prof_size(&w->p, T_CTX));

	s->origin = "freed";
	s->unreachable = true;
	s->context_kept = context;
	s->certain = context || s->clock == 2;
	for (unsigned i = 0; i < s->n_buf; i++) {
		note_pages(w, s, &s->buf[i]);
		s->buf[i].pa = s->buf[i].page[0];
	}
	for (unsigned i = 0; i < s->n_buf && !mapped; i++)
		unmap(w, s, &s->buf[i]);
	for (unsigned i = 0; i < prof_size(&w->p, T_CTX); i++)
		waste[i] = (uint8_t)('a' + i % 23);
	if (!context)
		wm_write(&w->k, s->ctx, waste, prof_size(&w->p, T_CTX));
	if (s->in_table)
		wi_put_ptr(w, w->silo[s->silo].table + w->ps * s->id, w->p.traits.empty_slot);
	free(waste);
}

/* ETW_UM_LOGGER_CONTEXT as geoffchappell.com tells of it: Windows 7 and later, 64 and 32 bits. */
struct um {
	unsigned name, file, size, list, mode;
};

static const struct um *um_of(const struct winimg *w, const struct wi_process *p)
{
	static const struct um um[2][2] = {{{0x88, 0x98, 0xc0, 0xe0, 0x13c}, {0x98, 0xa8, 0xd0, 0xf0, 0x14c}},
					   {{0x60, 0x68, 0x80, 0x9c, 0xcc}, {0x6c, 0x74, 0x8c, 0xa8, 0xd8}}};

	return &um[p->wow64][w->p.build >= 9000];
}

static void private_context(struct winimg *w, struct wi_session *s, struct wi_process *p, uint64_t ctx)
{
	const struct um *um = um_of(w, p);
	uint64_t name = ctx + 0x400;

	wm_put(&p->space, ctx, (uint64_t)s->start_time, 8);
	wm_put(&p->space, ctx + 8, s->start_ts, 8);
	wm_put(&p->space, ctx + 0x10, s->clock, 4);
	wm_put(&p->space, ctx + 0x14, s->id, 4);
	wm_put(&p->space, ctx + um->name, 2 * s->n_name16, 2);
	wm_put(&p->space, ctx + um->name + 2, 2 * s->n_name16 + 2, 2);
	wm_put(&p->space, ctx + um->name + (p->wow64 ? 4 : 8), name, p->wow64 ? 4 : 8);
	for (unsigned i = 0; i < s->n_name16; i++)
		wm_put(&p->space, name + 2 * i, s->name16[i], 2);
	wm_put(&p->space, ctx + um->size, s->buffer_size, 4);
	wm_put(&p->space, ctx + um->mode, 0x20800, 4);
}

void wi_private(struct winimg *w, struct wi_session *s, struct wi_process *p, const struct wi_private_how *how)
{
	uint64_t ctx = p->heap + 0x10, head = ctx + um_of(w, p)->list, first;
	unsigned link = p->wow64 ? 4 : 8;

	p->heap = (p->heap + 2 * WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);
	first = p->heap;
	wi_stop(w, s, true, false);
	s->origin = "private";
	for (unsigned i = 0; i < s->n_buf; i++) {
		struct wi_buffer *b = &s->buf[i];
		uint64_t flink = i + 1 < s->n_buf ? p->heap + b->n_pages * WM_PAGE + ENTRY : head;
		uint64_t blink = i ? p->heap - b->n_pages * WM_PAGE + ENTRY : head;

		put_le16(b->raw + 0x2a, (uint16_t)(s->id | (how->bare ? 0 : PRIVATE)));
		wm_write(&w->k, b->va, b->raw, s->buffer_size);
		wm_put(&w->k, b->va + ENTRY, flink, link);
		wm_put(&w->k, b->va + ENTRY + link, blink, link);
		for (unsigned k = 0; k < b->n_pages; k++)
			if (how->mapped && i != how->but)
				wm_map(&p->space, p->heap + k * WM_PAGE, b->page[k]);
		for (unsigned k = 0; k < b->n_pages && how->also; k++)
			wm_map(&how->also->space, p->heap + k * WM_PAGE, b->page[k]);
		unmap(w, s, b);
		b->va = p->heap;
		b->pid = (unsigned)p->pid;
		b->ways = 0;
		p->heap += (uint64_t)b->n_pages * WM_PAGE;
	}
	if (how->also)
		how->also->heap = p->heap;
	if (!how->context)
		return;
	private_context(w, s, p, ctx);
	wm_put(&p->space, head, first + ENTRY, link);
	wm_put(&p->space, head + link, p->heap - s->buf[0].n_pages * WM_PAGE + ENTRY, link);
	s->certain = how->mapped && how->but >= s->n_buf && !how->also;
}

/* A closed file's header counts its buffers, itself among them, and has the time of the last flush. */
static int64_t end_time(const struct winimg *w, const struct wi_session *s)
{
	uint64_t last = s->start_ts;

	for (unsigned i = 0; i < s->n_buf; i++)
		if (s->buf[i].n_rec && s->buf[i].rec[s->buf[i].n_rec - 1].ts > last)
			last = s->buf[i].rec[s->buf[i].n_rec - 1].ts;
	if (s->clock == 2)
		return (int64_t)last;
	return s->clock == 1 ? s->start_time + (int64_t)((last - s->start_ts) * 10000000 / w->o.perf_freq) : 0;
}

static void file_header(struct winimg *w, struct wi_session *s, uint64_t va, bool mapped)
{
	uint8_t *raw = malloc(s->buffer_size), *r = raw + HDR, *h = r + 0x20;
	uint32_t names = 2 * s->n_name16 + 4, size = 0x20 + HEADER_SIZE + names, end = HDR + ((size + 7) & ~7u);

	memset(raw, 0xff, s->buffer_size);
	memset(raw, 0, end);
	put_le32(raw, s->buffer_size);
	put_le32(raw + 4, end);
	put_le32(raw + 8, end);
	put_le16(raw + 0x2a, (uint16_t)s->id);
	put_le32(raw + 0x2c, 3);
	put_le32(raw + 0x30, end);
	put_le16(raw + 0x34, 0x21);
	put_le16(raw + 0x36, 4);
	put_le16(r, 2);
	r[2] = 2;
	r[3] = 0xc0;
	put_le16(r + 4, (uint16_t)size);
	put_le64(r + 0x10, s->start_ts);
	put_le32(h, s->buffer_size);
	h[4] = 10;
	put_le32(h + 8, w->p.build);
	put_le32(h + 0xc, w->o.cpus);
	put_le64(h + 0x10, (uint64_t)end_time(w, s));
	put_le32(h + 0x20, 1);
	put_le32(h + 0x24, s->n_buf + 1);
	put_le32(h + 0x2c, 8);
	put_le32(h + 0x34, 2900);
	put_le64(h + 0xf8, (uint64_t)w->o.boot_time);
	put_le64(h + 0x100, w->o.perf_freq);
	put_le64(h + 0x108, (uint64_t)s->start_time);
	put_le32(h + 0x110, s->clock);
	for (unsigned i = 0; i < s->n_name16; i++)
		put_le16(h + HEADER_SIZE + 2 * i, s->name16[i]);
	wm_write(&w->k, va, raw, s->buffer_size);
	for (uint32_t off = 0; off < s->buffer_size && !mapped; off += WM_PAGE)
		wm_unmap(&w->k, va + off);
	free(raw);
}

/* The last record grows until no byte is left behind it. */
static void fill_to_brim(const struct wi_session *s, struct wi_buffer *b)
{
	struct wi_record *last = &b->rec[b->n_rec - 1];
	uint8_t *p = b->raw + last->off;
	bool first = p[3] == 0x90 || p[2] > 0x11; /* where its size stands */

	memset(p + last->size, 'z', s->buffer_size - last->off - last->size);
	last->size = s->buffer_size - last->off;
	put_le16(p + (first ? 0 : 4), (uint16_t)last->size);
	b->used = s->buffer_size;
}

void wi_cached(struct winimg *w, struct wi_session *s, bool header, unsigned flag, bool mapped, bool brim)
{
	bool view = mapped && s->buffer_size % WM_PAGE == 0; /* the file as it is, its header first */
	uint64_t at = wi_alloc(w, view ? (s->n_buf + 1) * s->buffer_size : s->buffer_size, WM_PAGE), first = at;

	wi_stop(w, s, true, false);
	s->origin = flag & 0x10 ? "rtbackup" : "file_cache";
	s->certain = header || s->clock == 2;
	for (unsigned i = 0; i < s->n_buf; i++) {
		struct wi_buffer *b = &s->buf[i];

		if (brim && b->form == WI_FLUSHED_FULL && b->n_rec)
			fill_to_brim(s, b);
		put_le32(b->raw + 4, b->used);
		put_le32(b->raw + 0xc, 0);
		put_le64(b->raw + 0x10, b->n_rec ? b->rec[b->n_rec - 1].ts : 0);
		put_le32(b->raw + 0x2c, 3);
		put_le32(b->raw + 0x30, b->used);
		put_le16(b->raw + 0x34, (uint16_t)((w->p.traits.cpu_low_byte ? 0 : 0x20) | flag));
		memset(b->raw + b->used, 0xff, s->buffer_size - b->used);
		b->n_old = 0;
		write_back(w, b, s->buffer_size);
		if (view || !mapped)
			unmap(w, s, b);
		for (unsigned k = 0; k < b->n_pages && view; k++) {
			wm_unmap(&w->k, at + s->buffer_size + k * WM_PAGE);
			wm_map(&w->k, at + s->buffer_size + k * WM_PAGE, b->page[k]);
		}
		at += s->buffer_size;
		if (view)
			b->va = at;
	}
	if (header)
		file_header(w, s, first, view);
	else if (view)
		wm_unmap(&w->k, first);
}

void wi_overwrite(struct winimg *w, struct wi_buffer *b, unsigned page, enum page_use use)
{
	uint32_t from = page * WM_PAGE;

	if (page >= b->n_pages)
		return;
	for (unsigned i = 0; i < WM_PAGE; i++) {
		static const uint8_t code[] = {0x48, 0x89, 0x5c, 0x24, 0x08, 0x57, 0x48, 0x83, 0xec,
					       0x20, 0x33, 0xc0, 0xc3, 0x90, 0x90, 0x90, 0xcc};

		*wm_at(&w->m, b->page[page] + i) = use == USE_ZEROS  ? 0
						   : use == USE_TEXT ? (uint8_t)("The page holds text now. \r\n"[i % 27])
								     : code[i % sizeof(code)];
	}
	wm_given(&w->m, b->page[page]);
	b->header_lost |= page == 0;
	/* nothing proves what stands behind a page that is gone, but for the page frame number database */
	for (unsigned i = 0; i < b->n_rec; i++)
		if (b->rec[i].off + b->rec[i].size > from && (!w->o.pfn || page == 0 || b->rec[i].off < from + WM_PAGE))
			b->rec[i].lost = LOST_PAGE;
	for (unsigned i = 0; i < b->n_old; i++)
		if (b->old[i].off + b->old[i].size > from)
			b->old[i].lost = LOST_PAGE;
}
