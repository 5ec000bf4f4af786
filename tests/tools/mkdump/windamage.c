/* windamage.c - pages that are lost, and what the report must say about them. */
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
