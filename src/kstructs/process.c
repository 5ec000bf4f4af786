/* process.c - see process.h */
#include "process.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "find.h"

#define SYSTEM_PID 4u

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

static int read_all(struct process_list *l, const struct kernel *k, const struct klist *ring, uint64_t off)
{
	struct process p;
	int rc = 0;

	for (size_t i = 0; i < ring->n && rc == 0; i++) {
		if (process_read(k, ring->node[i] - off, &p)) {
			rc = add(l, &p);
		} else {
			struct note n = NOTE_AT(NOTE_PAGE_MISSING, ring->node[i] - off, 0);

			notes_add(k->notes, &n, "a process");
		}
	}
	return rc;
}

/* The head is lost, or what it says is: System is on the same ring. What the list does not have yet. */
static int from_system(struct process_list *l, const struct kernel *k, uint64_t head, uint64_t off)
{
	uint64_t system = kernel_system_process(k), *known;
	size_t n = l->n;
	struct klist ring;
	struct process p;
	int rc;

	if (!system || !process_read(k, system, &p) || p.pid != SYSTEM_PID)
		return 0;
	known = calloc(n + 1, sizeof(*known));
	if (!known)
		return ERR_NOMEM;
	rc = klist_collect(&ring, k, system + off, PROCESSES_MAX);
	if (rc < 0) {
		free(known);
		return rc == ERR_FAULT ? 0 : rc;
	}
	for (size_t i = 0; i < n; i++)
		known[i] = l->v[i].va;
	qsort(known, n, sizeof(*known), u64_order);
	if (!bsearch(&system, known, n, sizeof(*known), u64_order))
		rc = add(l, &p);
	for (size_t i = 0; i < ring.n && rc == 0; i++) {
		uint64_t va = ring.node[i] - off;

		/* a node in the kernel's image is the head, whatever its address was said to be */
		if (ring.node[i] != head && ring.node[i] - k->base >= k->image_size && !bsearch(&va, known, n, sizeof(*known), u64_order) &&
		    process_read(k, va, &p))
			rc = add(l, &p);
	}
	free(known);
	klist_free(&ring);
	return rc;
}

static int collect(struct process_list *l, const struct kernel *k, uint64_t head)
{
	uint64_t off = prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks);
	struct klist ring;
	int rc = klist_collect(&ring, k, head, PROCESSES_MAX);

	if (rc == ERR_FAULT) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, head, (uint64_t)2 * vm_pointer_size(k->vm));

		notes_add(k->notes, &n, "the head of the process list");
		l->broken = true;
		return from_system(l, k, head, off);
	}
	if (rc < 0)
		return rc;
	rc = read_all(l, k, &ring, off);
	l->broken = ring.broken;
	if (ring.broken) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, ring.where, 0);

		notes_add(k->notes, &n, "process list: %s", ring.why);
		if (rc == 0)
			rc = from_system(l, k, head, off);
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
