#include "kview.h"

#include <stdlib.h>
#include <string.h>

#include "utf16.h"

int kview_open(struct kview **out, struct kernel *k, const struct etw_system *sys, struct notes *notes, struct err *e)
{
	struct kview *v = calloc(1, sizeof *v);
	int rc;

	if (!v || arr_reserve((void **)&v->silo, &v->cap_silos, 0, sizeof *v->silo) != 0) {
		free(v);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	v->k = k;
	v->sys = sys;
	v->notes = notes;
	memset(&v->silo[0], 0, sizeof v->silo[0]); /* the host, always number 0 */
	v->n_silos = 1;
	rc = processes_list(&v->procs, k, e);
	if (rc != 0) {
		kview_close(v);
		return rc;
	}
	*out = v;
	return 0;
}

void kview_close(struct kview *v)
{
	if (!v)
		return;
	processes_free(&v->procs);
	free(v->silo);
	free(v->ref);
	free(v->slot);
	free(v->consumer);
	free(v->enable);
	free(v);
}

struct kref *kview_ref(struct kview *v, uint64_t va)
{
	for (size_t i = 0; i < v->n_refs; i++)
		if (v->ref[i].va == va)
			return &v->ref[i];
	return NULL;
}

bool kview_knows_id(const struct kview *v, uint32_t silo, uint32_t id)
{
	for (size_t i = 0; i < v->n_refs; i++)
		if (v->ref[i].silo == silo && v->ref[i].id == id)
			return true;
	return false;
}

int kview_add_ref(struct kview *v, uint32_t silo, uint32_t id, uint64_t va, uint32_t found_by)
{
	for (size_t i = 0; i < v->n_refs; i++) {
		struct kref *r = &v->ref[i];

		if (r->va == va && va != 0) {
			r->found_by |= found_by;
			return 0;
		}
	}
	for (size_t i = 0; i < v->n_refs; i++) {
		struct kref *r = &v->ref[i];

		if (r->silo == silo && r->id == id && (r->va == 0 || va == 0)) {
			r->found_by |= found_by;
			if (r->va == 0)
				r->va = va;
			return 0;
		}
	}
	if (v->n_refs >= KV_REFS_MAX) {
		struct note n = NOTE(NOTE_LIMIT_REACHED);

		notes_add(v->notes, &n, "more than %u logger contexts", KV_REFS_MAX);
		return ERR_LIMIT;
	}
	if (arr_reserve((void **)&v->ref, &v->cap_refs, v->n_refs, sizeof *v->ref) != 0)
		return ERR_NOMEM;
	v->ref[v->n_refs++] = (struct kref){silo, id, va, found_by, 0};
	return 0;
}

const struct process *kview_process(const struct kview *v, uint64_t eprocess)
{
	for (size_t i = 0; eprocess && i < v->procs.n; i++)
		if (v->procs.v[i].va == eprocess)
			return &v->procs.v[i];
	return NULL;
}

int kview_add_process(struct kview *v, uint64_t eprocess)
{
	struct process p;

	if (!kview_is_ptr(v, eprocess) || kview_process(v, eprocess) || v->procs.n >= PROCESSES_MAX || !process_read(v->k, eprocess, &p) ||
	    p.pid == 0 || p.pid > UINT32_MAX || p.dtb == 0)
		return 0;
	if (arr_reserve((void **)&v->procs.v, &v->procs.cap, v->procs.n, sizeof *v->procs.v) != 0)
		return ERR_NOMEM;
	v->procs.v[v->procs.n++] = p;
	return 0;
}

int kview_process_name(const struct process *p, char **out)
{
	struct buf u16;
	size_t n = 0;

	*out = NULL;
	while (n < sizeof p->name && p->name[n])
		n++;
	if (n == 0)
		return 0;
	buf_init(&u16);
	for (size_t i = 0; i < n; i++) /* bytes of an unknown code page: those above ASCII can't be told */
		buf_u16(&u16, (uint8_t)p->name[i] < 0x80 ? (uint8_t)p->name[i] : 0xfffd);
	*out = u16.failed ? NULL : utf16_dup(u16.p, u16.n);
	buf_free(&u16);
	return *out ? 0 : ERR_NOMEM;
}

static int by_silo_id_va(const void *a, const void *b)
{
	const struct kref *x = a, *y = b;

	if (x->silo != y->silo)
		return x->silo < y->silo ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->va < y->va ? -1 : x->va > y->va;
}

/* Enable entries that name sessions which nothing has led to. `tell`: each session once, in a note. */
static size_t enabled_unknown(const struct kview *v, bool tell)
{
	const struct kguid_enable *last = NULL;
	size_t n = 0;

	for (size_t i = 0; i < v->n_enables; i++) {
		const struct kguid_enable *e = &v->enable[i]; /* sorted by silo and id */
		struct note note = NOTE_AT(NOTE_CONTEXT_BAD, e->entry, 0);

		if ((last && last->silo == e->silo && last->id == e->id) || e->id >= KV_LOGGERS_MAX || kview_knows_id(v, e->silo, e->id))
			continue;
		last = e;
		n++;
		note.silo = (int)e->silo;
		note.session = (int)e->id;
		if (tell)
			notes_add(v->notes, &note, "providers are enabled for this session, which stands in no table and was not found");
	}
	return n;
}

/* Sessions that a slot names and whose context nothing has led to. */
static void tell_contextless(const struct kview *v)
{
	for (size_t i = 0; i < v->n_refs; i++) {
		struct note n = NOTE_AT(NOTE_CONTEXT_BAD, v->ref[i].buffer, 0);

		if (v->ref[i].va != 0 || v->ref[i].buffer == 0)
			continue;
		n.silo = (int)v->ref[i].silo;
		n.session = (int)v->ref[i].id;
		notes_add(v->notes, &n, "a per-CPU slot holds a buffer, but no logger context could be found");
	}
}

int kview_find(struct kview *v)
{
	static const struct {
		int (*fn)(struct kview *v);
		bool scans;
	} finders[] = {
#define FINDER(fn, scans) {fn, scans},
#include "finders.def"
#undef FINDER
	};
	const size_t n = sizeof finders / sizeof finders[0];
	uint64_t guids;
	size_t silos;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		if (!finders[i].scans)
			rc = finders[i].fn(v);
	if (rc == 0)
		rc = guids_collect(v);
	guids = v->silo[0].guids;
	silos = v->n_silos;
	if (rc == 0 && (v->deep || v->damaged || v->n_refs == 0 || enabled_unknown(v, false)))
		for (size_t i = 0; i < n && rc == 0; i++)
			if (finders[i].scans)
				rc = finders[i].fn(v);
	if (rc == 0 && (guids != v->silo[0].guids || silos != v->n_silos)) /* a scan has found where more GUIDs are */
		rc = guids_collect(v);
	if (rc == 0) {
		tell_contextless(v);
		(void)enabled_unknown(v, true);
	}
	if (v->n_refs)
		qsort(v->ref, v->n_refs, sizeof *v->ref, by_silo_id_va);
	return rc;
}
