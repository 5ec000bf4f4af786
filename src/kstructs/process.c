/* process.c - see process.h */
#include "process.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "find.h"

static uint64_t ptr_or_0(const struct kernel *k, uint64_t obj, enum prof_field f)
{
	uint64_t v;

	return kread_ptr(k, obj, f, &v) == 0 ? v : 0;
}

static int64_t time_or_0(const struct kernel *k, uint64_t obj, enum prof_field f)
{
	uint64_t v;

	return kread_u64(k, obj, f, &v) == 0 && v <= INT64_MAX ? (int64_t)v : 0;
}

bool process_read(const struct kernel *k, uint64_t eprocess, struct process *out)
{
	struct process p = {.va = eprocess};

	if (kread_ptr(k, eprocess, F_EPROCESS_UniqueProcessId, &p.pid) != 0)
		return false;
	if (kread_bytes(k, eprocess, F_EPROCESS_ImageFileName, p.name, sizeof(p.name) - 1) != 0)
		p.name[0] = 0;
	p.parent_pid = ptr_or_0(k, eprocess, F_EPROCESS_InheritedFromUniqueProcessId);
	p.dtb = ptr_or_0(k, eprocess + (prof_has(&k->prof, F_EPROCESS_Pcb) ? prof_off(&k->prof, F_EPROCESS_Pcb) : 0),
			 F_KPROCESS_DirectoryTableBase);
	p.wow64 = vm_pointer_size(k->vm) == 8 &&
		  (ptr_or_0(k, eprocess, F_EPROCESS_WoW64Process) || ptr_or_0(k, eprocess, F_EPROCESS_Wow64Process));
	p.peb = ptr_or_0(k, eprocess, F_EPROCESS_Peb);
	p.create_time = time_or_0(k, eprocess, F_EPROCESS_CreateTime);
	p.exit_time = time_or_0(k, eprocess, F_EPROCESS_ExitTime);
	p.object_table = ptr_or_0(k, eprocess, F_EPROCESS_ObjectTable);
	p.job = ptr_or_0(k, eprocess, F_EPROCESS_Job);
	p.server_silo = ptr_or_0(k, eprocess, F_EPROCESS_ServerSilo);
	*out = p;
	return true;
}

static int add(struct process_list *l, const struct process *p)
{
	void *arr = l->v;

	if (arr_reserve(&arr, &l->cap, l->n, sizeof(*l->v)) < 0)
		return ERR_NOMEM;
	l->v = arr;
	l->v[l->n++] = *p;
	return 0;
}

static int collect(struct process_list *l, const struct kernel *k, uint64_t head)
{
	uint64_t off = prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks);
	struct klist ring;
	struct process p;
	int rc = klist_collect(&ring, k, head, PROCESSES_MAX);

	if (rc == ERR_FAULT) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, head, (uint64_t)2 * vm_pointer_size(k->vm));

		notes_add(k->notes, &n, "the head of the process list");
		l->broken = true;
		return 0;
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ring.n && rc == 0; i++) {
		if (process_read(k, ring.node[i] - off, &p)) {
			rc = add(l, &p);
		} else {
			struct note n = NOTE_AT(NOTE_PAGE_MISSING, ring.node[i] - off, 0);

			notes_add(k->notes, &n, "a process");
		}
	}
	l->broken = ring.broken;
	if (ring.broken) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, ring.where, 0);

		notes_add(k->notes, &n, "process list: %s", ring.why);
	}
	klist_free(&ring);
	return rc;
}

int processes_list(struct process_list *l, const struct kernel *k, struct err *e)
{
	uint64_t head = k->has_profile ? kernel_process_head(k) : 0;
	int rc;

	memset(l, 0, sizeof(*l));
	if (!head || !prof_has(&k->prof, F_EPROCESS_ActiveProcessLinks)) {
		struct note n = NOTE(NOTE_LIST_BROKEN);

		notes_add(k->notes, &n, "the process list can't be found: neither symbols nor a debugger data block");
		l->broken = true;
		return 0;
	}
	rc = collect(l, k, head);
	if (rc < 0) {
		processes_free(l);
		return err_set(e, rc, "out of memory");
	}
	return 0;
}

void processes_free(struct process_list *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}
