/* providers.c - ETW providers: the GUID hash table of every silo, registrations that hang in its entries, and EtwRegistration objects of every
 * process (which also lead to entries that a damaged table no longer holds). One pass gathers all of it, hence the length of this file.
 *
 * An entry has eight enable slots, one for each session that wants the provider; all of them count. */
#include <stdlib.h>
#include <string.h>

#include "addrset.h"
#include "kproviders.h"
#include "provider_names.h"
#include "rd.h"
#include "utf16.h"

#define GUID_BUCKETS    64u
#define ENABLE_SLOTS    8u
#define SYSTEM_PID      4u
#define TRAITS_NAME_MAX 512u
#define SILO_BY_ENTRY   UINT32_MAX /* the entry itself says which */

enum guid_kind { KIND_TRACE, KIND_NOTIFICATION, KIND_GROUP, KINDS }; /* the three lists of a bucket */

struct entry {
	uint64_t va;
	uint32_t silo;
	enum guid_kind kind;
	struct guid guid;
	bool bad; /* could not be read */
	bool has_reg;
};

struct reg {
	uint64_t va, entry, group, process, callback, traits;
	uint64_t holder; /* process with a handle on it; 0 none. Filled at the end */
	struct guid guid;
	struct etw_provider value; /* filled at the end */
};

struct holding { /* a process' handle on a registration */
	uint64_t reg, process;
};

/* What one pass over the tables gathers. */
struct gather {
	struct kview *v;
	struct entry *entry;
	size_t n, cap;
	struct addrset seen;
	struct reg *reg;
	size_t n_regs, cap_regs;
	struct addrset seen_reg;
	struct holding *holding;
	size_t n_holdings, cap_holdings;
	bool regs; /* collect registrations too */
};

static void limit(struct kview *v, const char *what)
{
	struct note n = NOTE(NOTE_LIMIT_REACHED);

	notes_add(v->notes, &n, "too many %s", what);
}

/* ---- entries ------------------------------------------------------------------------------------------------------------------------- */

static int add_enable(struct kview *v, const struct entry *e, const struct ksnap *s, uint32_t at)
{
	const struct profile *p = &v->k->prof;
	struct kguid_enable x;
	const uint8_t *on = ksnap_at(s, F_GUIDENTRY_EnableInfo, at + prof_off(p, F_ENABLE_IsEnabled), 4, NULL);
	const uint8_t *level = ksnap_at(s, F_GUIDENTRY_EnableInfo, at + prof_off(p, F_ENABLE_Level), 1, NULL);
	const uint8_t *id = ksnap_at(s, F_GUIDENTRY_EnableInfo, at + prof_off(p, F_ENABLE_LoggerId), 2, NULL);
	const uint8_t *any = ksnap_at(s, F_GUIDENTRY_EnableInfo, at + prof_off(p, F_ENABLE_MatchAnyKeyword), 8, NULL);
	const uint8_t *all = ksnap_at(s, F_GUIDENTRY_EnableInfo, at + prof_off(p, F_ENABLE_MatchAllKeyword), 8, NULL);

	if (!on || !level || !id || !any || !all || le32(on) == 0)
		return 0;
	memset(&x, 0, sizeof x);
	x.silo = e->silo;
	x.id = le16(id);
	x.entry = e->va;
	x.guid = e->guid;
	x.is_group = e->kind == KIND_GROUP;
	x.enable.silo = x.silo;
	x.enable.session_id = x.id;
	x.enable.level = *level;
	x.enable.match_any = le64(any);
	x.enable.match_all = le64(all);
	if (arr_reserve((void **)&v->enable, &v->cap_enables, v->n_enables, sizeof *v->enable) != 0)
		return ERR_NOMEM;
	v->enable[v->n_enables++] = x;
	return 0;
}

static int add_enables(struct kview *v, const struct entry *e, const struct ksnap *s)
{
	const struct profile *p = &v->k->prof;
	uint32_t step = prof_size(p, T_ENABLE), slots = ENABLE_SLOTS;
	int rc = 0;

	if (step == 0 || !prof_has(p, F_GUIDENTRY_EnableInfo) || !prof_has(p, F_ENABLE_IsEnabled) || !prof_has(p, F_ENABLE_Level) ||
	    !prof_has(p, F_ENABLE_LoggerId) || !prof_has(p, F_ENABLE_MatchAnyKeyword) || !prof_has(p, F_ENABLE_MatchAllKeyword))
		return 0;
	if (prof_has(p, F_GUIDENTRY_FilterData) && prof_off(p, F_GUIDENTRY_FilterData) > prof_off(p, F_GUIDENTRY_EnableInfo)) {
		uint32_t fit = (prof_off(p, F_GUIDENTRY_FilterData) - prof_off(p, F_GUIDENTRY_EnableInfo)) / step;

		if (fit < slots)
			slots = fit;
	}
	for (uint32_t i = 0; i < slots && rc == 0; i++)
		rc = add_enable(v, e, s, i * step);
	return rc;
}

static int add_reg(struct gather *g, uint64_t va);

/* The registrations in an entry's ring. */
static int add_ring_regs(struct gather *g, uint64_t entry)
{
	const struct profile *p = &g->v->k->prof;
	struct klist l;
	int rc;

	if (!g->regs || !prof_has(p, F_GUIDENTRY_RegListHead) || !prof_has(p, F_REG_RegList))
		return 0;
	rc = klist_collect(&l, g->v->k, entry + prof_off(p, F_GUIDENTRY_RegListHead), KV_LIST_MAX);
	if (rc != 0)
		return rc == ERR_NOMEM ? rc : 0;
	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = add_reg(g, l.node[i] - prof_off(p, F_REG_RegList));
	if (l.broken) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, l.where, 0);

		notes_add(g->v->notes, &n, "registrations of a provider: %s", l.why ? l.why : "the ring does not close");
	}
	klist_free(&l);
	return rc;
}

static int add_entry(struct gather *g, uint64_t va, uint32_t silo, enum guid_kind kind)
{
	struct ksnap s;
	struct entry e = {.va = va, .silo = silo, .kind = kind};
	const uint8_t *guid;
	int rc = addrset_add(&g->seen, va);

	if (rc <= 0)
		return rc;
	if (g->n >= KV_GUIDS_MAX) {
		limit(g->v, "GUID entries");
		return 0;
	}
	if (ksnap_read(&s, g->v->k, T_GUIDENTRY, va) < 0 || !(guid = ksnap_at(&s, F_GUIDENTRY_Guid, 0, 16, NULL))) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, va, 0);

		notes_add(g->v->notes, &n, "a provider's GUID entry can't be read");
		e.bad = true;
	} else {
		uint64_t state;
		int at;

		memcpy(e.guid.b, guid, 16);
		if (silo == SILO_BY_ENTRY) {
			at = ksnap_ptr(&s, F_GUIDENTRY_SiloState, &state) == 0 ? kview_silo(g->v, state) : 0;
			e.silo = at > 0 ? (uint32_t)at : 0;
		}
	}
	if (arr_reserve((void **)&g->entry, &g->cap, g->n, sizeof *g->entry) != 0)
		return ERR_NOMEM;
	g->entry[g->n++] = e;
	rc = 0;
	if (!e.bad && kind != KIND_NOTIFICATION) {
		rc = add_enables(g->v, &e, &s);
		if (rc == 0)
			rc = add_ring_regs(g, va);
	}
	return rc;
}

/* What one table's list heads could not give: said once for the table. */
struct bad_heads {
	uint64_t first_gone, last_gone, first_blank;
	unsigned gone, blank;
};

static bool is_blank(struct kview *v, uint64_t head)
{
	uint64_t flink, blink;

	return kread_ptr_at(v->k, head, &flink) == 0 && kread_ptr_at(v->k, head + kview_ptr_size(v), &blink) == 0 && flink == 0 &&
	       blink == 0;
}

static void tell_bad_heads(struct kview *v, uint32_t silo, const struct bad_heads *b)
{
	struct note n = NOTE_AT(NOTE_PAGE_MISSING, b->first_gone, b->last_gone - b->first_gone + 2 * kview_ptr_size(v));

	n.silo = silo;
	if (b->gone)
		notes_add(v->notes, &n, "GUID table: %u of %u lists can't be read", b->gone, GUID_BUCKETS * KINDS);
	n = (struct note)NOTE_AT(NOTE_LIST_BROKEN, b->first_blank, 0);
	n.silo = silo;
	if (b->blank)
		notes_add(v->notes, &n, "GUID table: the heads of %u of %u lists are zero", b->blank, GUID_BUCKETS * KINDS);
}

static int bucket_list(struct gather *g, uint64_t head, uint32_t silo, enum guid_kind kind, struct bad_heads *bad)
{
	struct klist l;
	int rc;

	if (is_blank(g->v, head)) {
		bad->first_blank = bad->blank++ ? bad->first_blank : head;
		return 0;
	}
	rc = klist_collect(&l, g->v->k, head, KV_LIST_MAX);

	if (rc == ERR_NOMEM)
		return rc;
	if (rc != 0) {
		bad->first_gone = bad->gone++ ? bad->first_gone : head;
		bad->last_gone = head;
		return 0;
	}
	for (size_t i = 0; i < l.n && rc == 0; i++)
		rc = add_entry(g, l.node[i] - prof_off(&g->v->k->prof, F_GUIDENTRY_GuidList), silo, kind);
	if (l.broken) {
		struct note n = NOTE_AT(NOTE_LIST_BROKEN, l.where, 0);

		n.silo = silo;
		notes_add(g->v->notes, &n, "GUID table: %s", l.why ? l.why : "a bucket's ring does not close");
	}
	klist_free(&l);
	return rc;
}

static int tables(struct gather *g)
{
	const struct profile *p = &g->v->k->prof;
	size_t ps = kview_ptr_size(g->v);
	/* a bucket is three list heads and a lock; kernels before 10586 have no type for it */
	size_t stride = prof_size(p, T_BUCKET) ? prof_size(p, T_BUCKET) : (2 * KINDS + 1) * ps;
	uint32_t at = prof_has(p, F_BUCKET_ListHead) ? prof_off(p, F_BUCKET_ListHead) : 0;
	int rc = 0;

	if (!prof_has(p, F_GUIDENTRY_GuidList))
		return 0;
	for (size_t s = 0; s < g->v->n_silos && rc == 0; s++) {
		struct bad_heads bad = {0};

		for (uint32_t b = 0; b < GUID_BUCKETS && rc == 0 && g->v->silo[s].guids; b++)
			for (unsigned kind = 0; kind < KINDS && rc == 0; kind++)
				rc = bucket_list(g, g->v->silo[s].guids + (uint64_t)b * stride + at + 2 * ps * kind, (uint32_t)s,
						 (enum guid_kind)kind, &bad);
		tell_bad_heads(g->v, (uint32_t)s, &bad);
	}
	return rc;
}

static int by_enable(const void *a, const void *b)
{
	const struct kguid_enable *x = a, *y = b;
	int c;

	if (x->silo != y->silo)
		return x->silo < y->silo ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	c = guid_compare(&x->guid, &y->guid);
	if (c != 0)
		return c;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void gather_free(struct gather *g)
{
	addrset_free(&g->seen);
	addrset_free(&g->seen_reg);
	free(g->holding);
	free(g->entry);
	for (size_t i = 0; i < g->n_regs; i++)
		etw_provider_clear(&g->reg[i].value);
	free(g->reg);
}

/* ---- values -------------------------------------------------------------------------------------------------------------------------- */

static int set_name(struct etw_provider *p, const char *name)
{
	if (!name)
		return 0;
	p->name = strdup(name);
	return p->name ? 0 : ERR_NOMEM;
}

static int add_value_enable(struct etw_provider *p, const struct etw_enable *e)
{
	struct etw_enable *more = realloc(p->enabled, (p->n_enabled + 1) * sizeof *more);

	if (!more)
		return ERR_NOMEM;
	more[p->n_enabled++] = *e;
	p->enabled = more;
	return 0;
}

int providers_attach(const struct kview *v, struct etw_session *s)
{
	size_t lo = 0, hi = v->n_enables;

	while (lo < hi) { /* the first of this session */
		size_t mid = lo + (hi - lo) / 2;
		const struct kguid_enable *e = &v->enable[mid];

		if (e->silo < s->silo || (e->silo == s->silo && e->id < s->id))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < v->n_enables && v->enable[lo].silo == s->silo && v->enable[lo].id == s->id; lo++) {
		const struct kguid_enable *e = &v->enable[lo];
		struct etw_provider p = {.guid = e->guid, .is_group = e->is_group};
		int rc;

		rc = set_name(&p, provider_name(&e->guid));
		if (rc == 0)
			rc = add_value_enable(&p, &e->enable);
		if (rc == 0)
			rc = arr_reserve((void **)&s->providers, &s->cap_providers, s->n_providers, sizeof *s->providers);
		if (rc != 0) {
			etw_provider_clear(&p);
			return rc;
		}
		s->providers[s->n_providers++] = p;
	}
	return 0;
}

/* ---- registrations ------------------------------------------------------------------------------------------------------------------- */

static int add_reg(struct gather *g, uint64_t va)
{
	struct ksnap s;
	struct reg r;
	int rc = addrset_add(&g->seen_reg, va);

	if (rc <= 0)
		return rc;
	if (g->n_regs >= KV_REGS_MAX) {
		limit(g->v, "registrations");
		return 0;
	}
	memset(&r, 0, sizeof r);
	r.va = va;
	if (ksnap_read(&s, g->v->k, T_REG, va) < 0 || ksnap_ptr(&s, F_REG_GuidEntry, &r.entry) != 0) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, va, 0);

		notes_add(g->v->notes, &n, "a provider's registration can't be read");
		return 0;
	}
	(void)ksnap_ptr(&s, F_REG_GroupEntry, &r.group);
	(void)ksnap_ptr(&s, F_REG_Process, &r.process);
	(void)ksnap_ptr(&s, F_REG_Callback, &r.callback);
	(void)ksnap_ptr(&s, F_REG_Traits, &r.traits);
	if (arr_reserve((void **)&g->reg, &g->cap_regs, g->n_regs, sizeof *g->reg) != 0)
		return ERR_NOMEM;
	g->reg[g->n_regs++] = r;
	return 0;
}

static int handle_reg(void *ctx, const struct object_ref *o)
{
	struct gather *g = ctx;

	if (g->n_holdings < KV_REGS_MAX) {
		if (arr_reserve((void **)&g->holding, &g->cap_holdings, g->n_holdings, sizeof *g->holding) != 0)
			return ERR_NOMEM;
		g->holding[g->n_holdings++] = (struct holding){o->body, o->process};
	}
	return add_reg(g, o->body);
}

static int by_holding(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;

	if (x->reg != y->reg)
		return x->reg < y->reg ? -1 : 1;
	return x->process < y->process ? -1 : x->process > y->process;
}

static void set_holders(struct gather *g)
{
	if (g->n_holdings)
		qsort(g->holding, g->n_holdings, sizeof *g->holding, by_holding);
	for (size_t i = 0; i < g->n_regs; i++) {
		size_t lo = 0, hi = g->n_holdings;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (g->holding[mid].reg < g->reg[i].va)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < g->n_holdings && g->holding[lo].reg == g->reg[i].va)
			g->reg[i].holder = g->holding[lo].process;
	}
}

static int by_entry_va(const void *a, const void *b)
{
	uint64_t x = ((const struct entry *)a)->va, y = ((const struct entry *)b)->va;

	return x < y ? -1 : x > y;
}

static struct entry *entry_at(const struct gather *g, uint64_t va)
{
	struct entry key = {.va = va};

	return g->n ? bsearch(&key, g->entry, g->n, sizeof *g->entry, by_entry_va) : NULL;
}

/* A provider's own name out of its traits: u16 size, then a NUL-ended UTF-8 name. */
static int traits_name(struct kview *v, uint64_t traits, struct etw_provider *p)
{
	uint8_t raw[2 + TRAITS_NAME_MAX];
	uint64_t at;
	uint32_t n;
	struct buf u16;
	int rc = 0;

	if (!kview_is_ptr(v, traits) || !prof_has(&v->k->prof, F_TRAITS_Traits))
		return 0;
	at = traits + prof_off(&v->k->prof, F_TRAITS_Traits);
	if (vm_read(v->k->vm, at, raw, 2) != 0)
		return 0;
	n = le16(raw) < 3 ? 0 : le16(raw) - 2u;
	if (n > TRAITS_NAME_MAX)
		n = TRAITS_NAME_MAX;
	if (n == 0 || vm_read(v->k->vm, at + 2, raw, n) != 0 || !memchr(raw, 0, n) || raw[0] == 0)
		return 0;
	buf_init(&u16); /* there and back: broken UTF-8 does not get through */
	utf8_to_utf16(&u16, (const char *)raw);
	p->name = u16.failed ? NULL : utf16_dup(u16.p, u16.n);
	if (!p->name)
		rc = ERR_NOMEM;
	buf_free(&u16);
	return rc;
}

static int set_process(struct etw_provider *p, const struct process *proc, uint64_t pid)
{
	p->has_pid = true;
	p->pid = proc ? proc->pid : pid;
	return proc ? kview_process_name(proc, &p->process) : 0;
}

/* Whose registration is it? Its own member where that is a process, the System process for a kernel callback, else the handle's owner. */
static int reg_process(struct kview *v, struct etw_provider *p, const struct reg *r)
{
	const struct process *own = kview_process(v, r->process), *holder = kview_process(v, r->holder);

	if (own)
		return set_process(p, own, 0);
	if (holder)
		return set_process(p, holder, 0);
	if (kview_is_ptr(v, r->callback)) {
		for (size_t i = 0; i < v->procs.n; i++)
			if (v->procs.v[i].pid == SYSTEM_PID)
				return set_process(p, &v->procs.v[i], 0);
		return set_process(p, NULL, SYSTEM_PID);
	}
	return 0;
}

static int set_enables(const struct kview *v, struct etw_provider *p, uint64_t entry)
{
	size_t lo = 0, hi = v->n_enables;
	int rc = 0;

	while (lo < hi) { /* sorted by entry for this, see providers_list() */
		size_t mid = lo + (hi - lo) / 2;

		if (v->enable[mid].entry < entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < v->n_enables && v->enable[lo].entry == entry && rc == 0; lo++)
		rc = add_value_enable(p, &v->enable[lo].enable);
	return rc;
}

static int by_enable_entry(const void *a, const void *b)
{
	const struct kguid_enable *x = a, *y = b;

	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	return by_enable(a, b);
}

static int reg_value(struct gather *g, struct reg *r)
{
	struct kview *v = g->v;
	struct etw_provider *p = &r->value;
	struct entry *e = entry_at(g, r->entry), *group = entry_at(g, r->group);
	int rc;

	p->registered = true;
	if (e) {
		p->guid = e->guid;
		e->has_reg = true;
	}
	r->guid = p->guid;
	if (group && !group->bad) {
		p->has_group = true;
		p->group = group->guid;
	}
	rc = set_name(p, provider_name(&p->guid));
	if (rc == 0 && !p->name)
		rc = traits_name(v, r->traits, p);
	if (rc == 0)
		rc = reg_process(v, p, r);
	if (rc == 0)
		rc = set_enables(v, p, r->entry);
	return rc;
}

static int by_reg(const void *a, const void *b)
{
	const struct reg *x = a, *y = b;
	int c = guid_compare(&x->guid, &y->guid);

	if (c != 0)
		return c;
	if (x->value.has_pid != y->value.has_pid)
		return x->value.has_pid ? 1 : -1;
	if (x->value.pid != y->value.pid)
		return x->value.pid < y->value.pid ? -1 : 1;
	return x->va < y->va ? -1 : x->va > y->va;
}

/* Entries nobody registers: provider groups, and GUIDs that a session enabled in advance. */
static int add_bare_entries(struct gather *g)
{
	int rc = 0;

	for (size_t i = 0; i < g->n && rc == 0; i++) {
		const struct entry *e = &g->entry[i];
		struct reg r = {.va = e->va, .entry = e->va, .guid = e->guid};

		if (e->bad || e->has_reg || e->kind == KIND_NOTIFICATION)
			continue;
		r.value.guid = e->guid;
		r.value.is_group = e->kind == KIND_GROUP;
		rc = set_enables(g->v, &r.value, e->va);
		if (rc == 0 && r.value.n_enabled == 0 && !r.value.is_group)
			continue;
		if (rc == 0)
			rc = set_name(&r.value, provider_name(&e->guid));
		if (rc == 0)
			rc = arr_reserve((void **)&g->reg, &g->cap_regs, g->n_regs, sizeof *g->reg);
		if (rc != 0) {
			etw_provider_clear(&r.value);
			return rc;
		}
		g->reg[g->n_regs++] = r;
	}
	return rc;
}

/* Entries that only registrations lead to, their group entries too. */
static int add_reg_entries(struct gather *g)
{
	int rc = 0;

	for (size_t i = 0; i < g->n_regs && rc == 0; i++) { /* g->regs may grow on the way */
		uint64_t entry = g->reg[i].entry, group = g->reg[i].group;

		if (kview_is_ptr(g->v, entry))
			rc = add_entry(g, entry, SILO_BY_ENTRY, KIND_TRACE);
		if (rc == 0 && kview_is_ptr(g->v, group))
			rc = add_entry(g, group, SILO_BY_ENTRY, KIND_GROUP);
	}
	return rc;
}

int guids_collect(struct kview *v)
{
	struct gather g = {.v = v};
	int rc;

	v->n_enables = 0;
	rc = tables(&g);
	if (rc == 0 &&
	    v->silo[0].guids == 0) { /* no symbol leads to the host's table: what processes have registered is known all the same */
		rc = objects_find(v->k, &v->procs, "EtwRegistration", handle_reg, &g);
		if (rc != ERR_NOMEM)
			rc = add_reg_entries(&g);
	}
	gather_free(&g);
	if (v->n_enables)
		qsort(v->enable, v->n_enables, sizeof *v->enable, by_enable);
	return rc;
}

static bool is_notification(const struct gather *g, const struct reg *r)
{
	const struct entry *e = entry_at(g, r->entry);

	return !e || e->bad || e->kind == KIND_NOTIFICATION;
}

int providers_list(struct kview *v, struct etw_provider **out, size_t *n)
{
	struct gather g = {.v = v, .regs = true};
	size_t kept = 0;
	int rc;

	v->n_enables = 0;
	rc = tables(&g);
	if (rc == 0) {
		rc = objects_find(v->k, &v->procs, "EtwRegistration", handle_reg, &g);
		if (rc != ERR_NOMEM)
			rc = add_reg_entries(&g);
	}
	set_holders(&g);
	if (g.n)
		qsort(g.entry, g.n, sizeof *g.entry, by_entry_va);
	if (v->n_enables)
		qsort(v->enable, v->n_enables, sizeof *v->enable, by_enable_entry);
	for (size_t i = 0; i < g.n_regs && rc == 0; i++) {
		if (is_notification(&g, &g.reg[i]))
			continue;
		rc = reg_value(&g, &g.reg[i]);
		if (kept != i) {
			g.reg[kept] = g.reg[i];
			memset(&g.reg[i].value, 0, sizeof g.reg[i].value);
		}
		kept++;
	}
	if (rc == 0) {
		g.n_regs = kept;
		rc = add_bare_entries(&g);
	}
	if (rc == 0) {
		struct etw_provider *all = calloc(g.n_regs ? g.n_regs : 1, sizeof *all);

		if (g.n_regs)
			qsort(g.reg, g.n_regs, sizeof *g.reg, by_reg);
		if (!all) {
			rc = ERR_NOMEM;
		} else {
			for (size_t i = 0; i < g.n_regs; i++) {
				all[i] = g.reg[i].value;
				memset(&g.reg[i].value, 0, sizeof g.reg[i].value);
			}
			*out = all;
			*n = g.n_regs;
		}
	}
	gather_free(&g);
	return rc;
}
