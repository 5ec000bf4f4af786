/* windamage.c - pages that are lost, and what the report must say about them. */
#include <stdio.h>
#include <stdlib.h>

#include "winses.h"

void wi_loss(struct winimg *w, const char *what, const struct wi_session *s, uint64_t va)
{
	if (w->n_losses == WI_LOSSES) {
		fprintf(stderr, "mkdump: too many losses\n");
		exit(2);
	}
	w->loss[w->n_losses++] = (struct wi_loss){what, s ? s->silo : 0, s ? (int)s->id : -1, va};
}

/* Transition entry (x64): not present, bit 11, the frame where it was; the swizzle bit, where kernels have it, says that it stands as it is. */
static void make_transition(struct winimg *w, struct winspace *s, uint64_t va)
{
	uint64_t pa, pte = UINT64_C(1) << w->p.traits.vm.transition_bit | 4 << 5;

	if (!wm_translate(s, va, &pa))
		return;
	if (w->p.traits.vm.has_swizzle)
		pte |= UINT64_C(1) << w->p.traits.vm.swizzle_bit;
	wm_set_pte(s, va, (pa & ~(uint64_t)(WM_PAGE - 1)) | pte);
}

void wi_lose_page(struct winimg *w, struct wi_session *s, struct wi_buffer *b, unsigned page, enum page_fate fate)
{
	uint32_t from = page * WM_PAGE, to = from + WM_PAGE;

	if (from >= s->buffer_size)
		return;
	if (fate == PAGE_TRANSITION) { /* off the working set, still in memory: nothing is lost */
		if (page == 0)
			(void)wm_translate(b->pid ? &wi_process_at(w, b->pid)->space : &w->k, b->va, &b->pa);
		make_transition(w, b->pid ? &wi_process_at(w, b->pid)->space : &w->k, b->va + from);
		return;
	}
	if (b->pid) {
		struct wi_process *p = wi_process_at(w, b->pid);

		wm_unmap(&p->space, b->va + from);
	} else {
		wm_unmap(&w->k, b->va + from);
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
