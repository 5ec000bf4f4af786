/* slots.c - the buffer that each CPU writes into, for each session: in _KPRCB.EtwSupport up to 14393, in the silo's ProcessorBlocks since.
 * A slot whose session stands in no table leads to it: the buffer hangs in GlobalList, and the ring's head lies in the context. */
#include <stdlib.h>
#include <string.h>

#include "kview.h"
#include "rd.h"

#define HEAD_STEPS   4096u /* nodes looked at on the way to a ring's head */
#define BUFFER_ALIGN 0x1000u
#define PRCB_WINDOW  0x200u  /* bytes of EtwSupport in which the row of slots may begin */
#define PRCB_MAX     0xc000u /* bytes of a _KPRCB */
#define PRCBS_LOOKED 64u
#define SLOTS_MAX    64u

static int add_slot(struct kview *v, uint32_t silo, uint32_t id, uint32_t cpu, uint64_t value)
{
	uint64_t va = kview_fast_ref(v, value);

	if (!kview_is_ptr(v, va))
		return 0;
	if (v->n_slots >= KV_SLOTS_MAX) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(v->notes, &n, "more than %u per-CPU slots are in use", KV_SLOTS_MAX);
		return 0;
	}
	if (arr_reserve((void **)&v->slot, &v->cap_slots, v->n_slots, sizeof *v->slot) != 0)
		return ERR_NOMEM;
	v->slot[v->n_slots++] = (struct kslot){silo, id, cpu, va};
	return 0;
}

/* One CPU's row of slots. */
static int read_row(struct kview *v, uint32_t silo, uint32_t cpu, uint64_t at, uint32_t n)
{
	size_t ps = kview_ptr_size(v);
	struct vm_missing hole[4];
	size_t n_holes;
	uint8_t *p;
	int r = 0;

	if (n > KV_LOGGERS_MAX)
		n = KV_LOGGERS_MAX;
	p = malloc((size_t)n * ps);
	if (!p)
		return ERR_NOMEM;
	n_holes = vm_read_padded(v->k->vm, at, p, (size_t)n * ps, hole, 4);
	for (size_t i = 0; i < n_holes; i++) {
		struct note note = NOTE_AT(NOTE_PAGE_MISSING, hole[i].va, hole[i].len);

		note.silo = silo;
		notes_add(v->notes, &note, "slots of CPU %u: %s", cpu, vm_why_text(hole[i].why));
	}
	for (uint32_t id = 0; id < n && r == 0; id++)
		r = add_slot(v, silo, id, cpu, ps == 4 ? le32(p + id * ps) : le64(p + id * ps));
	free(p);
	return r;
}

/* Rows that nothing leads to: said once for all CPUs of a silo. */
struct lost_rows {
	uint64_t at;
	uint32_t first, last, n;
};

static void no_row(struct lost_rows *l, uint32_t cpu, uint64_t at)
{
	if (l->n++ == 0) {
		l->at = at;
		l->first = cpu;
	}
	l->last = cpu;
}

static void tell_lost_rows(struct kview *v, uint32_t silo, const struct lost_rows *l)
{
	struct note n = NOTE_AT(NOTE_PAGE_MISSING, l->at, 0);

	n.silo = silo;
	if (l->n == 1)
		notes_add(v->notes, &n, "slots of CPU %u can't be reached", l->first);
	else if (l->n)
		notes_add(v->notes, &n, "slots of %u CPUs, the first %u, the last %u, can't be reached", l->n, l->first, l->last);
}

/* How many slots of a row at p lead to a buffer that says it is of that session. */
static unsigned row_hits(struct kview *v, const uint8_t *p, uint32_t n)
{
	size_t ps = kview_ptr_size(v);
	unsigned hits = 0;

	for (uint32_t id = 0; id < n; id++) {
		uint64_t va = kview_fast_ref(v, ps == 4 ? le32(p + id * ps) : le64(p + id * ps));
		uint8_t raw[ETW_BUFFER_HEADER_SIZE];
		struct etw_bufhdr h;

		if (va % BUFFER_ALIGN || !kview_is_ptr(v, va) || vm_read(v->k->vm, va, raw, sizeof raw) != 0)
			continue;
		etw_bufhdr_parse(&h, raw);
		hits += h.logger_id == id && h.buffer_size >= KV_BUFFER_MIN && h.buffer_size <= ETW_BUFFER_SIZE_MAX;
	}
	return hits;
}

/* Where the slots begin in a _KPRCB: no public symbol says it. The profile has a lead for x64, none for x86; buffers prove it, from EtwSupport on, or
 * where that is not known either, anywhere. */
static uint32_t slots_off(struct kview *v, uint64_t array, uint32_t cpus)
{
	const struct profile *p = &v->k->prof;
	bool known = prof_has(p, F_KPRCB_EtwSupport);
	uint32_t ps = (uint32_t)kview_ptr_size(v), n = p->traits.table_slots, window = known ? PRCB_WINDOW : PRCB_MAX;
	uint32_t from = known ? prof_off(p, F_KPRCB_EtwSupport) : 0, off = known ? p->traits.prcb_slots_off : 0;
	unsigned *best = calloc(PRCB_MAX / 4, sizeof(*best));
	uint8_t *b = malloc(PRCB_MAX + SLOTS_MAX * sizeof(uint64_t));
	struct vm_missing hole[4];

	if (n > SLOTS_MAX)
		n = SLOTS_MAX;
	for (uint32_t cpu = 0; best && b && cpu < cpus && cpu < PRCBS_LOOKED; cpu++) {
		uint64_t prcb;

		if (kread_ptr_at(v->k, array + (uint64_t)cpu * ps, &prcb) != 0 || !kview_is_ptr(v, prcb))
			continue;
		(void)vm_read_padded(v->k->vm, prcb + from, b, (size_t)window + (size_t)n * ps, hole, 4);
		for (uint32_t at = 0; at < window; at += ps)
			best[at / ps] += row_hits(v, b + at, n);
	}
	for (uint32_t at = 0; best && b && at < window; at += ps)
		if (best[at / ps] > (off < window ? best[off / ps] : 0))
			off = at;
	free(best);
	free(b);
	return from + off;
}

static int rows_in_prcb(struct kview *v, uint32_t cpus)
{
	const struct profile *p = &v->k->prof;
	size_t ps = kview_ptr_size(v);
	uint64_t array = kernel_processor_block(v->k), prcb;
	struct lost_rows lost = {0};
	uint32_t off;
	int r = 0;

	if (!array)
		return 0;
	off = slots_off(v, array, cpus);
	for (uint32_t cpu = 0; cpu < cpus && r == 0 && off; cpu++) {
		if (kread_ptr_at(v->k, array + (uint64_t)cpu * ps, &prcb) != 0 || !kview_is_ptr(v, prcb)) {
			no_row(&lost, cpu, array + (uint64_t)cpu * ps);
			continue;
		}
		r = read_row(v, 0, cpu, prcb + off, p->traits.table_slots);
	}
	tell_lost_rows(v, 0, &lost);
	return r;
}

static int rows_in_silo(struct kview *v, uint32_t silo, uint32_t cpus)
{
	const struct profile *p = &v->k->prof;
	const struct ksilo *s = &v->silo[silo];
	uint32_t stride = prof_size(p, T_BLOCK);
	struct lost_rows lost = {0};
	int r = 0;

	if (s->blocks == 0 || stride == 0 || !prof_has(p, F_BLOCK_ProcessorBuffers))
		return 0;
	for (uint32_t cpu = 0; cpu < cpus && r == 0; cpu++) {
		uint64_t block = s->blocks + (uint64_t)cpu * stride, row;

		if (p->traits.slots_inline) {
			row = block + prof_off(p, F_BLOCK_ProcessorBuffers);
		} else if (kread_ptr(v->k, block, F_BLOCK_ProcessorBuffers, &row) != 0 || !kview_is_ptr(v, row)) {
			no_row(&lost, cpu, block);
			continue;
		}
		r = read_row(v, silo, cpu, row, s->slots ? s->slots : p->traits.table_slots);
	}
	tell_lost_rows(v, silo, &lost);
	return r;
}

static int by_silo_id(const void *a, const void *b)
{
	const struct kslot *x = a, *y = b;

	if (x->silo != y->silo)
		return x->silo < y->silo ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? -1 : 1;
	return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* In one direction, to a node that lies in a context. */
static uint64_t along_ring(struct kview *v, uint64_t buffer, const struct etw_bufhdr *h, bool backward, unsigned *steps)
{
	size_t ps = kview_ptr_size(v);
	uint64_t at = backward ? h->blink : h->flink, head_off = prof_off(&v->k->prof, F_CTX_GlobalList);

	if (ps == 4)
		at = backward ? h->flink >> 32 : h->flink & UINT32_MAX;
	for (unsigned i = 0; i < HEAD_STEPS && kview_is_ptr(v, at) && at != buffer + kview_entry_off(v); i++, ++*steps) {
		if (context_proves(v, at - head_off, h->logger_id, h->buffer_size))
			return at - head_off;
		if (kread_ptr_at(v->k, backward ? at + ps : at, &at) != 0)
			break;
	}
	return 0;
}

uint64_t kview_ring_context(struct kview *v, uint64_t buffer, const struct etw_bufhdr *h, unsigned *steps)
{
	uint64_t ctx = 0;
	unsigned n = 0;

	/* a list of one link a node does not lead back to its head */
	for (unsigned backward = 0; backward < 2 && !ctx && prof_has(&v->k->prof, F_CTX_GlobalList) && !v->k->prof.traits.single_list;
	     backward++)
		ctx = along_ring(v, buffer, h, backward, &n);
	if (steps)
		*steps += n;
	return ctx;
}

static int hidden_session(struct kview *v, const struct kslot *s)
{
	uint8_t raw[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;
	uint64_t ctx;
	int rc;

	if (vm_read(v->k->vm, s->buffer, raw, sizeof raw) != 0)
		return 0;
	etw_bufhdr_parse(&h, raw);
	if (h.logger_id != s->id || h.buffer_size < KV_BUFFER_MIN || h.buffer_size > ETW_BUFFER_SIZE_MAX)
		return 0;
	ctx = kview_ring_context(v, s->buffer, &h, NULL);
	rc = kview_add_ref(v, s->silo, s->id, ctx, ETW_FOUND_SLOT);
	for (size_t i = v->n_refs; i-- > 0 && rc == 0;)
		if (v->ref[i].silo == s->silo && v->ref[i].id == s->id && v->ref[i].va == 0)
			v->ref[i].buffer = s->buffer;
	return rc;
}

int find_slots(struct kview *v)
{
	uint32_t cpus = v->sys->n_cpus > KV_CPUS_MAX ? KV_CPUS_MAX : v->sys->n_cpus;
	int r = 0;

	if (v->k->prof.traits.slots_in_prcb)
		r = rows_in_prcb(v, cpus);
	else
		for (uint32_t i = 0; i < v->n_silos && r == 0; i++)
			r = rows_in_silo(v, i, cpus);
	if (v->n_slots)
		qsort(v->slot, v->n_slots, sizeof *v->slot, by_silo_id);
	for (size_t i = 0; i < v->n_slots && r == 0; i++) {
		r = kview_knows_id(v, v->slot[i].silo, v->slot[i].id) ? 0 : hidden_session(v, &v->slot[i]);
		if (r == ERR_LIMIT)
			r = 0;
	}
	return r;
}
