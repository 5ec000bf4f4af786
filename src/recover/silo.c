/* silo.c - the logger table of every silo: a global array of pointers (Windows 7, 8.1), an array inside the silo state (Windows 10 to 1703),
 * or one that the state points to (1709 and later). The host's state comes by symbol, a container's by the job of any of its processes. */
#include <stdlib.h>

#include "buf.h"
#include "kview.h"
#include "rd.h"

/* Slots of a logger table when nothing tells their number. */
#define LOGGERS_DEFAULT 64u

bool kview_is_ptr(const struct kview *v, uint64_t va)
{
	return va != 0 && vm_is_kernel(v->k->vm, va);
}

uint64_t kview_fast_ref(const struct kview *v, uint64_t value)
{
	return value & ~(v->k->prof.pointer_size == 4 ? KV_FASTREF_MASK32 : KV_FASTREF_MASK64);
}

/* Number of slots of the table that the state points to; what can't be believed is the default. */
static uint32_t table_slots(struct kview *v, uint64_t state)
{
	struct note n = NOTE_AT(NOTE_CONTEXT_BAD, state, 0);
	uint32_t max = 0;

	if (kread_u32(v->k, state, F_SILO_MaxLoggers, &max) != 0 || max == 0) {
		notes_add(v->notes, &n, "MaxLoggers of a silo is not known: %u slots are read", LOGGERS_DEFAULT);
		return LOGGERS_DEFAULT;
	}
	if (max > KV_LOGGERS_MAX) {
		n.what = NOTE_LIMIT_REACHED;
		notes_add(v->notes, &n, "MaxLoggers %u: the first %u slots are read", max, KV_LOGGERS_MAX);
		return KV_LOGGERS_MAX;
	}
	return max;
}

/* Fills what the silo's state says. `sure`: a symbol led here; else the state must prove itself by its table. A table that can't be reached is
 * named; slots and GUIDs are used all the same. False: no state. */
static bool read_state(struct kview *v, struct ksilo *s, uint64_t state, bool sure)
{
	const struct profile *p = &v->k->prof;
	uint64_t table = 0;

	if (prof_has(p, F_SILO_EtwpLoggerContext)) {
		bool read = kread_ptr(v->k, state, F_SILO_EtwpLoggerContext, &table) == 0 && kview_is_ptr(v, table);

		if (!read && !sure)
			return false;
		if (!read) {
			struct note n = NOTE_AT(NOTE_CONTEXT_BAD, state + prof_off(p, F_SILO_EtwpLoggerContext), 0);

			notes_add(v->notes, &n, "the host's logger table can't be reached");
			v->damaged = true;
			table = 0;
		}
		s->slots = table_slots(v, state);
	} else if (prof_has(p, F_SILO_WmipLoggerContext)) {
		table = state + prof_off(p, F_SILO_WmipLoggerContext);
		s->slots = p->traits.table_slots;
	} else {
		return false;
	}
	s->state = state;
	s->table = table;
	if (prof_has(p, F_SILO_EtwpGuidHashTable))
		s->guids = state + prof_off(p, F_SILO_EtwpGuidHashTable);
	if (prof_has(p, F_SILO_ProcessorBlocks))
		(void)kread_ptr(v->k, state, F_SILO_ProcessorBlocks, &s->blocks);
	if (!kview_is_ptr(v, s->blocks))
		s->blocks = 0;
	return true;
}

int kview_silo(struct kview *v, uint64_t state)
{
	struct ksilo s = {0};

	if (!kview_is_ptr(v, state))
		return ERR_NOTFOUND;
	for (size_t i = 0; i < v->n_silos; i++)
		if (v->silo[i].state == state)
			return (int)i;
	if (v->n_silos >= KV_SILOS_MAX) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(v->notes, &n, "more than %u silos", KV_SILOS_MAX);
		return ERR_LIMIT;
	}
	if (!read_state(v, &s, state, false))
		return ERR_NOTFOUND;
	if (v->silo[0].state == 0 && v->silo[0].table == s.table) {
		v->silo[0] = s; /* the host's, whose table was known before its state */
		return 0;
	}
	if (arr_reserve((void **)&v->silo, &v->cap_silos, v->n_silos, sizeof *v->silo) != 0)
		return ERR_NOMEM;
	v->silo[v->n_silos] = s;
	return (int)v->n_silos++;
}

bool kview_host(struct kview *v, uint64_t state)
{
	struct ksilo s = {0};

	if (!kview_is_ptr(v, state) || !read_state(v, &s, state, false))
		return false;
	v->silo[0] = s;
	return true;
}

/* The host's state by the two symbols that lead to it; the one that proves itself, else the first that is an address at all. */
static bool host_state(struct kview *v)
{
	uint64_t sym, state[2] = {0, 0};

	if (kernel_symbol(v->k, S_EtwpHostSiloState, &sym))
		(void)kread_ptr_at(v->k, sym, &state[0]);
	if (kernel_symbol(v->k, S_PspHostSiloGlobals, &sym))
		(void)kread_ptr(v->k, sym, F_SILOGLOBALS_EtwSiloState, &state[1]);
	for (unsigned sure = 0; sure < 2; sure++)
		for (unsigned i = 0; i < 2; i++)
			if (kview_is_ptr(v, state[i]) && read_state(v, &v->silo[0], state[i], sure))
				return true;
	return false;
}

/* The state of the container that a job belongs to, upwards through its parents. */
static uint64_t job_state(struct kview *v, uint64_t job)
{
	uint64_t globals, state;

	for (unsigned depth = 0; depth < 64 && kview_is_ptr(v, job); depth++) {
		if (kread_ptr(v->k, job, F_EJOB_ServerSiloGlobals, &globals) == 0 && kview_is_ptr(v, globals) &&
		    kread_ptr(v->k, globals, F_SILOGLOBALS_EtwSiloState, &state) == 0 && kview_is_ptr(v, state))
			return state;
		if (kread_ptr(v->k, job, F_EJOB_ParentJob, &job) != 0)
			break;
	}
	return 0;
}

/* Containers: every distinct state over all processes, numbered by address so that the number does not hang on the process order. */
static int container_states(struct kview *v)
{
	uint64_t *found = NULL, state;
	size_t n = 0, cap = 0;
	int r = 0;

	if (!prof_has(&v->k->prof, F_EJOB_ServerSiloGlobals))
		return 0;
	for (size_t i = 0; i < v->procs.n; i++) {
		state = job_state(v, v->procs.v[i].server_silo);
		if (state == 0)
			state = job_state(v, v->procs.v[i].job);
		if (state == 0 || state == v->silo[0].state)
			continue;
		r = arr_reserve((void **)&found, &cap, n, sizeof *found);
		if (r != 0)
			break;
		found[n++] = state;
	}
	if (n)
		qsort(found, n, sizeof *found, u64_order);
	for (size_t i = 0; i < n && r != ERR_NOMEM; i++) {
		if (i && found[i] == found[i - 1])
			continue;
		r = kview_silo(v, found[i]);
		if (r == ERR_NOTFOUND) {
			struct note note = NOTE_AT(NOTE_CONTEXT_BAD, found[i], 0);

			notes_add(v->notes, &note, "tracing state of a container can't be read");
		}
	}
	free(found);
	return r == ERR_NOMEM ? r : 0;
}

void kview_bad_slot(struct kview *v, uint32_t silo, uint32_t id, uint64_t at, uint64_t value)
{
	struct note n = NOTE_AT(NOTE_CONTEXT_BAD, at, 0);

	n.silo = silo;
	n.session = id;
	v->damaged = true;
	notes_add(v->notes, &n, "logger table slot %u holds 0x%llx", id, (unsigned long long)value);
}

/* One logger table. Slots hold a context's address, or the build's word for empty. */
int silo_read_table(struct kview *v, uint32_t silo)
{
	const struct ksilo *s = &v->silo[silo];
	size_t ps = kview_ptr_size(v);
	uint8_t *p;
	struct vm_missing hole[8];
	size_t n_holes;
	int r = 0;

	if (s->table == 0 || s->slots == 0)
		return 0;
	p = malloc((size_t)s->slots * ps);
	if (!p)
		return ERR_NOMEM;
	n_holes = vm_read_padded(v->k->vm, s->table, p, (size_t)s->slots * ps, hole, 8);
	for (size_t i = 0; i < n_holes; i++) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, hole[i].va, hole[i].len);

		n.silo = silo;
		notes_add(v->notes, &n, "logger table: %s", vm_why_text(hole[i].why));
		v->damaged = true;
	}
	for (uint32_t id = 0; id < s->slots && r == 0; id++) {
		uint64_t va = ps == 4 ? le32(p + id * ps) : le64(p + id * ps);

		if (va == 0 || va == v->k->prof.traits.empty_slot)
			continue;
		if (!kview_is_ptr(v, va)) {
			kview_bad_slot(v, silo, id, s->table + (uint64_t)id * ps, va);
			continue;
		}
		r = kview_add_ref(v, silo, id, va, ETW_FOUND_TABLE);
		if (r == ERR_LIMIT)
			r = 0;
	}
	free(p);
	return r;
}

int find_silos(struct kview *v)
{
	const struct profile *p = &v->k->prof;
	uint64_t sym;
	int r;

	if (!host_state(v) && kernel_symbol(v->k, S_WmipLoggerContext, &sym)) {
		v->silo[0].table = sym;
		v->silo[0].slots = p->traits.table_slots;
	}
	if (v->silo[0].guids == 0 && kernel_symbol(v->k, S_EtwpGuidHashTable, &sym))
		v->silo[0].guids = sym;
	r = container_states(v);
	for (size_t i = 0; i < v->n_silos && r == 0; i++)
		r = silo_read_table(v, (uint32_t)i);
	return r;
}
