/* debugger_data.c - EtwpDebuggerData, a small block that the kernel keeps for debuggers; KDBG points to it, so that it is found without a
 * symbol. At +0x10 stands the address of the host's logger table. From the table, or from any context in it, the host's silo state follows
 * when no symbol gave it. */
#include "kview.h"
#include "rd.h"

/* Layout of the block, not of a kernel structure of fields.def: table at KV_DBGDATA_TABLE, and since 17763 a pointer more. */
#define DBGDATA_MORE 0x18u

/* Slots of a table whose real number the silo state tells: its default. */
#define SLOTS_AT_LEAST 64u

/* How many of the table's first slots hold a context that says its own number. Negative: this is no logger table. */
static int table_proves(struct kview *v, uint64_t table, uint32_t slots)
{
	size_t ps = kview_ptr_size(v);
	int good = 0, bad = 0;

	for (uint32_t id = 0; id < slots; id++) {
		uint64_t va;
		uint32_t is;

		if (kread_ptr_at(v->k, table + (uint64_t)id * ps, &va) != 0)
			break;
		if (va == 0 || va == v->k->prof.traits.empty_slot)
			continue;
		if (!kview_is_ptr(v, va) || kread_u32(v->k, va, F_CTX_LoggerId, &is) != 0) {
			bad++;
			continue;
		}
		if (is == id)
			good++;
		else
			bad++;
	}
	return good > 0 && good >= bad ? good : ERR_NOTFOUND;
}

/* The host's silo state: the array may be a member of it, a context may point to it, the block may. */
static void host_from_table(struct kview *v, uint64_t table, uint64_t block)
{
	const struct profile *p = &v->k->prof;
	size_t ps = kview_ptr_size(v);
	uint64_t va, state, back;

	if (prof_has(p, F_SILO_WmipLoggerContext)) {
		(void)kview_silo(v, table - prof_off(p, F_SILO_WmipLoggerContext));
		return;
	}
	if (!prof_has(p, F_SILO_EtwpLoggerContext))
		return;
	if (kread_ptr_at(v->k, block + DBGDATA_MORE, &state) == 0 && kview_is_ptr(v, state) &&
	    kread_ptr(v->k, state, F_SILO_EtwpLoggerContext, &back) == 0 && back == table) {
		(void)kview_silo(v, state);
		return;
	}
	for (uint32_t id = 0; id < v->silo[0].slots; id++) {
		if (kread_ptr_at(v->k, table + (uint64_t)id * ps, &va) != 0 || !kview_is_ptr(v, va))
			continue;
		if (kread_ptr(v->k, va, F_CTX_SiloState, &state) == 0 && kview_is_ptr(v, state) &&
		    kread_ptr(v->k, state, F_SILO_EtwpLoggerContext, &back) == 0 && back == table) {
			(void)kview_silo(v, state);
			return;
		}
	}
}

static int by_block(struct kview *v)
{
	uint64_t block = v->k->debugger_data, table, va;
	size_t ps = kview_ptr_size(v);
	uint32_t slots = v->silo[0].slots;
	int r = 0;

	if (block == 0)
		return 0;
	if (kread_ptr_at(v->k, block + KV_DBGDATA_TABLE, &table) != 0) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, block + KV_DBGDATA_TABLE, ps);

		if (v->silo[0].table == 0)
			notes_add(v->notes, &n, "EtwpDebuggerData can't be read");
		return 0;
	}
	if (slots == 0)
		slots = v->k->prof.traits.table_slots ? v->k->prof.traits.table_slots : SLOTS_AT_LEAST;
	if (!kview_is_ptr(v, table) || table_proves(v, table, slots) < 0)
		return 0;
	if (v->silo[0].table == 0) {
		v->silo[0].table = table;
		v->silo[0].slots = slots;
		host_from_table(v, table, block);
		slots = v->silo[0].slots;
	}
	for (uint32_t id = 0; id < slots && r == 0; id++) {
		if (kread_ptr_at(v->k, table + (uint64_t)id * ps, &va) != 0 || va == 0 || va == v->k->prof.traits.empty_slot)
			continue;
		if (!kview_is_ptr(v, va)) {
			kview_bad_slot(v, 0, id, table + (uint64_t)id * ps, va);
			continue;
		}
		r = kview_add_ref(v, 0, id, va, ETW_FOUND_DEBUGGER_DATA);
		if (r == ERR_LIMIT)
			r = 0;
	}
	return r;
}

int find_debugger_data(struct kview *v)
{
	int rc = by_block(v);

	if (rc == 0 && v->silo[0].table == 0 && v->silo[0].state == 0) {
		rc = host_search(v);
		if (rc == 0)
			rc = silo_read_table(v, 0);
	}
	if (rc == 0 && v->silo[0].table == 0) {
		struct note n = NOTE(NOTE_CONTEXT_BAD);

		v->damaged = true;
		if (!v->k->prof.traits.single_list) /* before Windows 7 nothing leads to it: the scan is the way */
			notes_add(v->notes, &n, "the host's logger table was not found: neither symbols nor EtwpDebuggerData lead to it");
	}
	return rc;
}
