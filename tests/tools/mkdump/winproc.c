/* winproc.c - objects, processes and handle tables of a made machine (docs/live-buffers.md; docs/testing.md). */
#include <stdlib.h>
#include <string.h>

#include "winimg.h"

/* In the order of ObTypeIndexTable, as far as it is the same everywhere (Type 2 .. Thread 8); the rest stand where they like. */
static const char *const type_names[WI_TYPES] = {"",    "",        "Type",   "Directory", "SymbolicLink",    "Token",
						 "Job", "Process", "Thread", "File",      "EtwRegistration", "EtwConsumer"};

static void put_unicode(struct winimg *w, uint64_t at, const char *s)
{
	size_t n = strlen(s);
	uint64_t va = wi_alloc(w, 2 * n + 2, 8);

	for (size_t i = 0; i < n; i++)
		wm_put(&w->k, va + 2 * i, (uint8_t)s[i], 2);
	wm_put(&w->k, at, 2 * n, 2);
	wm_put(&w->k, at + 2, 2 * n + 2, 2);
	wi_put_ptr(w, at + w->ps, va);
}

void wi_types(struct winimg *w)
{
	uint64_t table = wi_symbol_va(w, S_ObTypeIndexTable);

	w->cookie = (uint8_t)wm_rand(&w->m);
	if (w->p.traits.type_index_encoded)
		wi_symbol(w, S_ObHeaderCookie, w->cookie, 1);
	for (unsigned i = 2; i < WI_TYPES; i++) {
		uint64_t va = wi_object(w, TYPE_TYPE, prof_size(&w->p, T_OTYPE));

		w->type_va[i] = va;
		wi_set(w, va, F_OTYPE_Index, i, 1);
		put_unicode(w, va + prof_off(&w->p, F_OTYPE_Name), type_names[i]);
		if (table)
			wi_put_ptr(w, table + w->ps * i, va);
	}
	wi_symbol(w, S_EtwpRealTimeConnectionObjectType, w->type_va[TYPE_CONSUMER], w->ps);
	wi_symbol(w, S_EtwpRegistrationObjectType, w->type_va[TYPE_REGISTRATION], w->ps);
}

uint64_t wi_object(struct winimg *w, unsigned type, uint32_t body_size)
{
	uint64_t header = wi_alloc(w, prof_off(&w->p, F_OHDR_Body) + body_size, 2 * w->ps), index = type;

	if (w->p.traits.type_index_encoded)
		index = (type ^ w->cookie ^ (header >> 8)) & 0xff;
	wi_set(w, header, F_OHDR_PointerCount, 3, w->ps);
	wi_set(w, header, F_OHDR_TypeIndex, index, 1);
	wi_set(w, header, F_OHDR_Type, w->type_va[type], w->ps); /* before Windows 7 */
	return header + prof_off(&w->p, F_OHDR_Body);
}

/* A type's size; some layouts know members only. */
static uint32_t size_or(const struct winimg *w, enum prof_type t, uint32_t otherwise)
{
	return prof_size(&w->p, t) ? prof_size(&w->p, t) : otherwise;
}

struct wi_process *wi_process_at(struct winimg *w, uint64_t pid)
{
	for (unsigned i = 0; i < w->n_proc; i++)
		if (w->proc[i].pid == pid)
			return &w->proc[i];
	return NULL;
}

/* The root that is loaded while the process runs in user mode: KUSER_SHARED_DATA and no kernel. */
static uint64_t user_root(struct winimg *w, const struct winspace *of)
{
	struct winspace u = {of->m, wm_frame(of->m)};
	uint64_t pa;

	wm_at(of->m, u.dtb);
	if (wm_translate(&w->k, wi_kuser(w), &pa))
		wm_map(&u, wi_kuser(w), pa & ~(uint64_t)(WM_PAGE - 1));
	return u.dtb;
}

struct wi_process *wi_process(struct winimg *w, uint64_t pid, const char *name, bool wow64, unsigned silo)
{
	struct wi_process *p = &w->proc[w->n_proc++];
	uint64_t e = wi_object(w, TYPE_PROCESS, size_or(w, T_EPROCESS, 0xc00));

	wow64 = wow64 && w->ps == 8;
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	p->eprocess = e;
	p->wow64 = wow64;
	p->silo = silo;
	p->heap = wow64 || w->ps == 4 ? 0x10000000 : UINT64_C(0x1d000000000);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->space.m = &w->m;
	p->space.dtb = pid == 4 ? w->m.kernel_dtb : wm_new_root(&w->m, false);
	wi_set(w, e + (wi_has(w, F_EPROCESS_Pcb) ? prof_off(&w->p, F_EPROCESS_Pcb) : 0), F_KPROCESS_DirectoryTableBase, p->space.dtb,
	       w->ps);
	if (w->o.kpti && wi_has(w, F_KPROCESS_UserDirectoryTableBase)) {
		p->user_root = user_root(w, &p->space);
		wi_set(w, e + (wi_has(w, F_EPROCESS_Pcb) ? prof_off(&w->p, F_EPROCESS_Pcb) : 0), F_KPROCESS_UserDirectoryTableBase,
		       p->user_root | 1, w->ps);
	}
	wi_set(w, e, F_EPROCESS_UniqueProcessId, pid, w->ps);
	wm_write(&w->k, e + prof_off(&w->p, F_EPROCESS_ImageFileName), p->name, strlen(p->name));
	wi_set(w, e, F_EPROCESS_CreateTime, (uint64_t)w->o.boot_time + pid * 10000000, 8);
	if (pid != 4)
		wi_set(w, e, F_EPROCESS_Peb, wow64 ? 0x7efdf000 : UINT64_C(0x7ffdf000), w->ps);
	if (wow64) {
		wi_set(w, e, F_EPROCESS_Wow64Process, wi_alloc(w, 0x40, 16), w->ps);
		wi_set(w, e, F_EPROCESS_WoW64Process, wi_alloc(w, 0x40, 16), w->ps);
	}
	wi_ring_add(w, w->head_process, e + prof_off(&w->p, F_EPROCESS_ActiveProcessLinks));
	if (pid == 4)
		wi_symbol(w, S_PsInitialSystemProcess, e, w->ps);
	if (silo && w->n_silos > silo) {
		uint64_t job = wi_object(w, TYPE_JOB, size_or(w, T_EJOB, 0x800)),
			 globals = wi_alloc(w, size_or(w, T_SILOGLOBALS, 0x800), 16);
		uint64_t inner = job;

		if (wi_has(w, F_EJOB_ParentJob) && pid % 200 == 100) { /* a job inside the container's */
			inner = wi_object(w, TYPE_JOB, size_or(w, T_EJOB, 0x800));
			wi_set(w, inner, F_EJOB_ParentJob, job, w->ps);
		}
		wi_set(w, e, F_EPROCESS_ServerSilo, job, w->ps);
		wi_set(w, e, F_EPROCESS_Job, inner, w->ps);
		wi_set(w, job, F_EJOB_ServerSiloGlobals, globals, w->ps);
		wi_set(w, globals, F_SILOGLOBALS_EtwSiloState, w->silo[silo].state, w->ps);
	}
	return p;
}

void wi_handle(struct winimg *w, struct wi_process *p, uint64_t body)
{
	(void)w;
	if (p->n_handles < sizeof(p->handle) / sizeof(p->handle[0]))
		p->handle[p->n_handles++] = body;
}

/* One entry of a handle table (layouts.md: ObjectPointerBits; Windows 7: a plain pointer with attribute bits). */
static void put_entry(struct winimg *w, uint64_t at, uint64_t body)
{
	uint64_t header = body - prof_off(&w->p, F_OHDR_Body);
	unsigned shift = w->p.traits.handle_object_shift;

	wi_put_ptr(w, at, (shift && w->ps == 8 ? header >> 4 << shift : header) | 1); /* 32 bits: the pointer's own 29 */
	wi_put_ptr(w, at + w->ps, 0x1f0003);
}

/* Pages of entries of two pointers' size (entry 0 of each is never used), one level up: pages of pointers. */
void wi_handles(struct winimg *w, struct wi_process *p, unsigned fillers)
{
	unsigned each = WM_PAGE / (2 * w->ps) - 1, per = WM_PAGE / w->ps, n = p->n_handles + fillers, pages = n / each + 1;
	uint64_t table = wi_alloc(w, prof_size(&w->p, T_HTABLE), 16), code, filler = fillers ? wi_object(w, TYPE_FILE, 0x100) : 0;
	uint64_t *leaf = calloc(pages, sizeof(*leaf));
	int level = pages == 1 ? 0 : pages <= per ? 1 : 2;

	for (unsigned i = 0; i < pages; i++)
		leaf[i] = wi_alloc(w, WM_PAGE, WM_PAGE);
	for (unsigned i = 0; i < n; i++) {
		/* those of interest stand at the end, behind the others */
		uint64_t body = i < fillers ? filler : p->handle[i - fillers];

		if (i < fillers && i % 1000 == 0)
			continue; /* a free entry */
		put_entry(w, leaf[i / each] + 2 * w->ps * (1 + i % each), body);
	}
	code = leaf[0];
	if (level > 0) {
		uint64_t mid[8] = {0}, top = level == 2 ? wi_alloc(w, WM_PAGE, WM_PAGE) : 0;

		for (unsigned i = 0; i < pages && i < 8 * per; i++) {
			if (i % per == 0)
				mid[i / per] = wi_alloc(w, WM_PAGE, WM_PAGE);
			wi_put_ptr(w, mid[i / per] + w->ps * (i % per), leaf[i]);
		}
		for (unsigned i = 0; top && i < 8; i++)
			wi_put_ptr(w, top + w->ps * i, mid[i]);
		code = top ? top : mid[0];
	}
	if (p->pid == w->bad_handles)
		code = wi_nowhere(w);
	wi_set(w, table, F_HTABLE_TableCode, code | (unsigned)level, w->ps);
	wi_set(w, table, F_HTABLE_UniqueProcessId, p->pid, w->ps);
	wi_set(w, table, F_HTABLE_NextHandleNeedingPool, pages * (each + 1) * 4, 4);
	wi_set(w, p->eprocess, F_EPROCESS_ObjectTable, table, w->ps);
	free(leaf);
}
