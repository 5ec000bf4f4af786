/* windamage.c - pages that are lost, and what the report must say about them; rings that are broken everywhere; the pool's table of big
 * allocations. */
#include <stdio.h>
#include <stdlib.h>

#include "winpaged.h"
#include "winses.h"

void wi_loss(struct winimg *w, const char *what, const struct wi_session *s, uint64_t va)
{
	if (w->n_losses == WI_LOSSES) {
		fprintf(stderr, "mkdump: too many losses\n");
		exit(2);
	}
	w->loss[w->n_losses++] = (struct wi_loss){what, s ? s->silo : 0, s ? (int)s->id : -1, va};
}

void wi_lose_page(struct winimg *w, struct wi_session *s, struct wi_buffer *b, unsigned page, enum page_fate fate)
{
	uint32_t from = page * WM_PAGE, to = from + WM_PAGE;
	struct winspace *space = b->pid ? &wi_process_at(w, b->pid)->space : &w->k;

	if (from >= s->buffer_size)
		return;
	if (fate != PAGE_GONE) {
		uint64_t pa = 0;

		if (page == 0)
			(void)wm_translate(space, b->va, &pa);
		if (wi_page_elsewhere(w, space, b->va + from, fate) && (fate != PAGE_PAGEFILE || w->o.with_pagefile)) {
			if (page == 0 && fate != PAGE_PAGEFILE)
				b->pa = pa;
			return; /* nothing is lost */
		}
	} else {
		wm_unmap(space, b->va + from);
	}
	b->header_lost |= page == 0;
	if (from < b->used + b->tail_gap)
		wi_loss(w, "page_missing", s, b->va + from);
	for (unsigned i = 0; i < b->n_rec; i++)
		if (b->rec[i].off < to && b->rec[i].off + b->rec[i].size > from)
			b->rec[i].lost = LOST_PAGE;
	for (unsigned i = 0; i < b->n_old; i++)
		if (b->old[i].off < to && b->old[i].off + b->old[i].size > from)
			b->old[i].lost = LOST_PAGE;
}

void wi_unlink(struct winimg *w)
{
	uint64_t nowhere = wi_nowhere(w);

	for (unsigned i = 0; i < w->n_ses; i++) {
		uint64_t ring = w->ses[i].ctx + prof_off(&w->p, F_CTX_GlobalList),
			 consumers = w->ses[i].ctx + prof_off(&w->p, F_CTX_Consumers);
		uint64_t first = wi_get_ptr(w, ring), last = wi_get_ptr(w, ring + w->ps);

		if (w->o.bad_ends && first != ring) {
			wi_put_ptr(w, first + w->ps, nowhere);
			wi_put_ptr(w, last, nowhere);
		}
		if (w->o.bad_consumers) {
			wi_put_ptr(w, consumers, 0x1238);
			wi_put_ptr(w, consumers + w->ps, 0x1238);
		}
	}
}

static void big_entry(struct winimg *w, uint64_t table, unsigned at, uint64_t va, const char *tag, uint64_t bytes)
{
	uint64_t e = table + (uint64_t)at * prof_size(&w->p, T_BIGPAGES);

	wi_set(w, e, F_BIGPAGES_Va, va, w->ps);
	wm_write(&w->k, e + prof_off(&w->p, F_BIGPAGES_Key), tag, 4);
	wi_set(w, e, F_BIGPAGES_NumberOfBytes, bytes, w->ps);
}

/* A hash table in Windows: entries stand apart, some are free (bit 0 of Va), most were never used (Va is 1). */
void wi_bigpool(struct winimg *w)
{
	static const char *const others[] = {"MmSt", "Thre", "CM25", "NtFs", "Even"};
	enum { ENTRIES = 1024, STEP = 331 }; /* no common factor */
	uint32_t stride = prof_size(&w->p, T_BIGPAGES);
	unsigned n = 0;
	uint64_t table;

	if (!w->o.bigpool || !stride || !w->p.symbol[S_PoolBigPageTable])
		return;
	table = wi_alloc(w, (uint64_t)ENTRIES * stride, WM_PAGE);
	for (unsigned i = 0; i < ENTRIES; i++)
		wi_set(w, table + (uint64_t)i * stride, F_BIGPAGES_Va, 1, w->ps);
	for (unsigned i = 0; i < 40; i++)
		big_entry(w, table, n++ * STEP % ENTRIES, wi_alloc(w, WM_PAGE, WM_PAGE) | (i % 8 == 7), others[i % 5], WM_PAGE);
	for (unsigned i = 0; i < w->n_ses; i++) {
		const struct wi_session *s = &w->ses[i];

		if (s->big && w->o.bigpool & 1)
			big_entry(w, table, n++ * STEP % ENTRIES, s->ctx, "EtwL", WM_PAGE);
		for (unsigned k = 0; k < s->n_buf && w->o.bigpool & 2 && n < ENTRIES; k++)
			if (!s->buf[k].pid && s->buf[k].va % WM_PAGE == 0)
				big_entry(w, table, n++ * STEP % ENTRIES, s->buf[k].va, "EtwB", s->buffer_size);
	}
	wi_symbol(w, S_PoolBigPageTable, table, w->ps);
	wi_symbol(w, S_PoolBigPageTableSize, ENTRIES, w->ps);
}
