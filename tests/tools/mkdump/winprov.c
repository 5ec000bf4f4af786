/* winprov.c - consumers with their copies of buffers, and providers (docs/live-buffers.md, "Consumers", "Providers"). */
#include <string.h>

#include "rd.h"
#include "winses.h"

uint64_t wi_consumer(struct winimg *w, struct wi_session *s, struct wi_process *p)
{
	uint64_t c = wi_object(w, TYPE_CONSUMER, prof_size(&w->p, T_CONSUMER) ? prof_size(&w->p, T_CONSUMER) : 0x60),
		 head = s->ctx + prof_off(&w->p, F_CTX_Consumers);
	uint64_t list, count;
	unsigned wide = p->wow64 ? 4 : w->ps;

	if (!prof_size(&w->p, T_CONSUMER)) { /* Vista: something hangs in the ring, nobody knows how it is laid out */
		wi_ring_add(w, head, c);
		wi_set(w, s->ctx, F_CTX_NumConsumers, ++s->n_unread, 4);
		if (s->n_unread == 1)
			wi_loss(w, "context_bad", s, head);
		return 0;
	}
	list = p->heap;
	count = p->heap + 16;
	p->heap += WM_PAGE;
	wm_put(&p->space, list, UINT64_C(0x5a5a5a5a00000000), 8); /* whoever reads 8 bytes of a 32-bit head goes astray */
	wm_put(&p->space, list, 0, wide);
	wm_put(&p->space, count, 0, 4);
	wi_set(w, c, F_CONSUMER_ProcessObject, p->eprocess, w->ps);
	wi_set(w, c, F_CONSUMER_UserBufferListHead, list, w->ps);
	wi_set(w, c, F_CONSUMER_UserBufferCount, count, w->ps);
	wi_set(w, c, F_CONSUMER_LoggerId, s->id, 2);
	wi_set(w, c, F_CONSUMER_Wow, p->wow64, 1); /* a bit of Flags, in Windows 7 a byte of its own */
	if (w->silo[s->silo].state)
		wi_set(w, c, F_CONSUMER_SiloState, w->silo[s->silo].state, w->ps);
	wi_ring_add(w, head, c);
	wi_set(w, s->ctx, F_CTX_NumConsumers, ++s->n_consumers, 4);
	s->consumers[s->n_consumers - 1].va = c;
	s->consumers[s->n_consumers - 1].pid = (unsigned)p->pid;
	wi_handle(w, p, c);
	return list;
}

/* The consumer of the session that the process is. */
static unsigned consumer_of(const struct wi_session *s, const struct wi_process *p)
{
	unsigned i = 0;

	while (i + 1 < s->n_consumers && s->consumers[i].pid != p->pid)
		i++;
	return i;
}

/* A delivered buffer in the consumer's own memory: a copy of a kernel buffer, or (of NULL) one that the kernel has reused since. */
void wi_user_copy(struct winimg *w, struct wi_session *s, struct wi_process *p, const struct wi_buffer *of, unsigned events)
{
	struct wi_buffer *b = ses_new_buffer(s);
	unsigned at = consumer_of(s, p);
	uint64_t c = s->consumers[at].va, list = wi_get_ptr(w, c + prof_off(&w->p, F_CONSUMER_UserBufferListHead)), va;
	uint64_t count = wi_get_ptr(w, c + prof_off(&w->p, F_CONSUMER_UserBufferCount));
	unsigned wide = p->wow64 ? 4 : w->ps;
	struct ses_fill f = {.raw = b->raw, .off = HDR, .limit = s->buffer_size};

	s->consumers[at].copies++;
	b->ways = WAY_USER;
	b->pid = (unsigned)p->pid;
	b->form = WI_FLUSHED;
	if (of) {
		memcpy(b->raw, of->raw, of->used);
		memcpy(b->rec, of->rec, of->n_rec * sizeof(*b->rec));
		b->n_rec = of->n_rec;
		b->used = of->used;
		b->cpu = of->cpu;
		b->sequence = of->sequence;
		b->copy_of_kernel = true;
	} else {
		b->n_rec = ses_fill(w, s, &f, events, &s->next_ts, b->rec);
		b->used = f.off;
		b->sequence = 1000 + s->n_buf;
		ses_header(w, s, b);
	}
	put_le32(b->raw + 4, b->used);
	put_le32(b->raw + 8, b->used);
	put_le32(b->raw + 0x30, b->used);
	put_le32(b->raw + 0x2c, 3);
	va = b->va = p->heap;
	p->heap += s->buffer_size;
	wm_write(&p->space, va, b->raw, b->used);
	wm_put(&p->space, va + LINK, UINT64_C(0x5a5a5a5a00000000), 8);
	wm_put(&p->space, va + LINK, wm_get(&p->space, list, wide), wide); /* pushed at the front of the list */
	wm_put(&p->space, list, va + LINK, wide);
	wm_put(&p->space, count, wm_get(&p->space, count, 4) + 1, 4);
}

/* An entry in ring `list` (0 providers, 2 groups) of the GUID's bucket, with empty slots. */
static uint64_t guid_entry(struct winimg *w, unsigned silo, const uint8_t guid[16], unsigned list)
{
	uint64_t g = wi_alloc(w, prof_size(&w->p, T_GUIDENTRY), 16), head;
	uint32_t stride = prof_size(&w->p, T_BUCKET) ? prof_size(&w->p, T_BUCKET) : 7 * w->ps;

	head = w->silo[silo].hash + (guid[0] ^ guid[15]) % 64 * stride + 2 * w->ps * list;
	wi_ring_add(w, head, g);
	wm_write(&w->k, g + prof_off(&w->p, F_GUIDENTRY_Guid), guid, 16);
	wi_ring_init(w, g + prof_off(&w->p, F_GUIDENTRY_RegListHead));
	if (w->silo[silo].state)
		wi_set(w, g, F_GUIDENTRY_SiloState, w->silo[silo].state, w->ps);
	return g;
}

/* Slots are taken from the back to the front, with a free one in between: none may be skipped by a reader. */
static void put_enables(struct winimg *w, uint64_t g, const struct wi_provider *f)
{
	for (unsigned i = 0; i < f->n && i < 8; i++) {
		unsigned slot = f->n <= 4 ? 7 - 2 * i : 7 - i;
		uint64_t e = g + prof_off(&w->p, F_GUIDENTRY_EnableInfo) + slot * prof_size(&w->p, T_ENABLE);

		wi_set(w, e, F_ENABLE_IsEnabled, 1, 4);
		wi_set(w, e, F_ENABLE_Level, f->level, 1);
		wi_set(w, e, F_ENABLE_LoggerId, f->id[i], 2);
		wi_set(w, e, F_ENABLE_MatchAnyKeyword, f->any, 8);
		wi_set(w, e, F_ENABLE_MatchAllKeyword, f->all, 8);
	}
}

/* The group's own entry: one for all of its members. */
static uint64_t group_entry(struct winimg *w, const struct wi_provider *f)
{
	for (unsigned i = 0; i + 1 < w->n_prov; i++)
		if (w->prov[i].is_group && w->prov[i].silo == f->silo && memcmp(w->prov[i].guid, f->group, 16) == 0)
			return w->prov_entry[i];
	return 0;
}

void wi_provider(struct winimg *w, const struct wi_provider *f, struct wi_process *p)
{
	uint64_t g, reg, head, group;

	if (w->n_prov == WI_PROVIDERS)
		return;
	g = guid_entry(w, f->silo, f->guid, f->is_group ? 2 : 0);
	w->prov_entry[w->n_prov] = g;
	w->prov[w->n_prov++] = *f;
	put_enables(w, g, f);
	if (!p)
		return;
	w->prov[w->n_prov - 1].registered = true;
	w->prov[w->n_prov - 1].pid = (unsigned)p->pid;
	head = g + prof_off(&w->p, F_GUIDENTRY_RegListHead);
	reg = wi_object(w, TYPE_REGISTRATION, prof_size(&w->p, T_REG));
	wi_set(w, reg, F_REG_GuidEntry, g, w->ps);
	wi_set(w, reg, F_REG_Process, p->eprocess, w->ps);
	wi_set(w, reg, F_REG_EnableMask, (1u << f->n) - 1, 1);
	group = f->has_group && wi_has(w, F_REG_GroupEntry) ? group_entry(w, f) : 0;
	w->prov[w->n_prov - 1].has_group = group != 0;
	wi_set(w, reg, F_REG_GroupEntry, group, w->ps);
	wi_put_ptr(w, reg, head);
	wi_put_ptr(w, reg + w->ps, head);
	wi_put_ptr(w, head, reg);
	wi_put_ptr(w, head + w->ps, reg);
	wi_handle(w, p, reg);
}
