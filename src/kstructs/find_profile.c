/* find_profile.c - which profile fits this kernel, proved on its memory where the PDB identity does not settle it.
 *
 * Each invariant has a name. It holds, fails, or could not be looked at (roots unknown, pages missing): only a failure refuses a profile. Some
 * refuse none and only pick among variants of a build that the others leave equal.
 * Invariants over many objects go by majority, since single objects of a live image may be torn. Those about ETW stand here because they
 * need typed reads only and pick between layouts that moved inside a build (docs/layouts.md section 4). */
#include <stdlib.h>
#include <string.h>

#include "borrow.h"
#include "find.h"
#include "infer.h"
#include "rd.h"

#define VARIANTS_MAX  64
#define BUILDS_MAX    256
#define PROCESSES_MAX 4096
#define SLOTS_LOOKED  64
#define GUIDS_LOOKED  32
#define GUID_BUCKETS  64
#define NAME_BYTES    16
#define YEAR_2000     INT64_C(125911584000000000)
#define YEAR_2100     INT64_C(157469184000000000)
#define DAY           INT64_C(864000000000)

enum verdict { SKIPPED, HOLDS, FAILS };

struct tally {
	unsigned yes, no;
};

static enum verdict majority(const struct tally *t)
{
	if (!t->yes && !t->no)
		return SKIPPED;
	return t->yes > t->no ? HOLDS : FAILS;
}

static void count(struct tally *t, bool ok)
{
	if (ok)
		t->yes++;
	else
		t->no++;
}

struct proof {
	struct kernel *k;
	uint64_t system;            /* EPROCESS of pid 4; 0 */
	uint64_t ctx[SLOTS_LOOKED]; /* contexts of the table by logger id; 0 none */
	unsigned n_ctx;
	uint64_t silo; /* host state; 0 */
};

uint64_t kernel_process_head(const struct kernel *k)
{
	uint64_t va;

	if (kernel_symbol(k, S_PsActiveProcessHead, &va))
		return va;
	va = kdbg_field(k, KDBG_PROCESSES);
	if (vm_is_kernel(k->vm, va))
		return va;
	if (vm_is_kernel(k->vm, k->claimed_head))
		return k->claimed_head;
	/* System is the first of the list: the head stands before it, in the kernel's image */
	if (!k->has_profile || !prof_has(&k->prof, F_EPROCESS_ActiveProcessLinks))
		return 0;
	va = kernel_system_process(k);
	if (!va || kread_ptr_at(k, va + prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks) + vm_pointer_size(k->vm), &va) < 0)
		return 0;
	return va > k->base && va - k->base < k->image_size ? va : 0;
}

uint64_t kernel_system_process(const struct kernel *k)
{
	const struct kimage im = {.base = k->base};
	uint64_t va, ep;

	if (!kernel_symbol(k, S_PsInitialSystemProcess, &va))
		va = kimage_export(k->vm, &im, "PsInitialSystemProcess");
	return va && kread_ptr_at(k, va, &ep) == 0 && vm_is_kernel(k->vm, ep) ? ep : 0;
}

static bool is_ptr(const struct proof *p, uint64_t va)
{
	return vm_is_kernel(p->k->vm, va);
}

/* Does the ring at head close over its first node, Flink->Blink == head? -1: can't be read. */
static int ring_holds(const struct proof *p, uint64_t head)
{
	unsigned ps = vm_pointer_size(p->k->vm);
	uint64_t flink, blink, back;

	if (kread_ptr_at(p->k, head, &flink) < 0 || kread_ptr_at(p->k, head + ps, &blink) < 0)
		return -1;
	if (!is_ptr(p, flink) || !is_ptr(p, blink) || flink % ps)
		return 0;
	if (kread_ptr_at(p->k, flink + ps, &back) < 0)
		return -1;
	return back == head;
}

static enum verdict process_list(struct proof *p)
{
	const struct kernel *k = p->k;
	uint64_t head = kernel_process_head(k), at, off, pid;
	unsigned seen = 0;
	char name[NAME_BYTES];

	if (!head || !prof_has(&k->prof, F_EPROCESS_ActiveProcessLinks) || kread_ptr_at(k, head, &at) < 0)
		return SKIPPED;
	off = prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks);
	for (; seen < PROCESSES_MAX && at != head && is_ptr(p, at); seen++) {
		uint64_t ep = at - off;

		if (kread_ptr(k, ep, F_EPROCESS_UniqueProcessId, &pid) == 0 && pid == 4 &&
		    kread_bytes(k, ep, F_EPROCESS_ImageFileName, name, 7) == 0 && memcmp(name, "System", 7) == 0) {
			p->system = ep;
			return HOLDS;
		}
		if (kread_ptr_at(k, at, &at) < 0)
			break;
	}
	return seen ? FAILS : SKIPPED;
}

static enum verdict system_dtb(struct proof *p)
{
	const struct kernel *k = p->k;
	enum verdict v;
	uint64_t dtb;
	struct vm *vm;

	if (!p->system || kread_ptr(k, p->system, F_KPROCESS_DirectoryTableBase, &dtb) != 0)
		return SKIPPED;
	if (!dtb || vm_open(&vm, k->phys, vm_arch(k->vm), dtb, NULL) < 0)
		return dtb ? SKIPPED : FAILS;
	v = kernel_maps(k, vm) ? HOLDS : FAILS;
	vm_close(vm);
	return v;
}

/* The table that EtwpDebuggerData (or a symbol) names: a context's LoggerId is its index. */
static enum verdict logger_ids(struct proof *p)
{
	const struct kernel *k = p->k;
	unsigned ps = vm_pointer_size(k->vm);
	struct tally t = {0};
	uint64_t table, ctx;
	uint32_t id;

	if (kernel_symbol(k, S_WmipLoggerContext, &table))
		;
	else if ((table = kernel_logger_table(k)) == 0)
		return SKIPPED;
	for (unsigned i = 0; i < SLOTS_LOOKED; i++) {
		if (kread_ptr_at(k, table + (uint64_t)i * ps, &ctx) < 0)
			break;
		if (!is_ptr(p, ctx) || ctx % ps || kread_u32(k, ctx, F_CTX_LoggerId, &id) != 0)
			continue;
		count(&t, (id & 0xffff) == i);
		if ((id & 0xffff) == i)
			p->ctx[p->n_ctx++] = ctx;
	}
	return majority(&t);
}

static enum verdict buffer_rings(struct proof *p)
{
	struct tally t = {0};

	if (!prof_has(&p->k->prof, F_CTX_GlobalList))
		return SKIPPED;
	for (unsigned i = 0; i < p->n_ctx; i++) {
		int r = ring_holds(p, p->ctx[i] + prof_off(&p->k->prof, F_CTX_GlobalList));

		if (r >= 0)
			count(&t, r);
	}
	return majority(&t);
}

static enum verdict logger_names(struct proof *p)
{
	const struct kernel *k = p->k;
	unsigned ps = vm_pointer_size(k->vm);
	struct tally t = {0};

	for (unsigned i = 0; i < p->n_ctx; i++) {
		uint8_t b[4];
		uint64_t at;

		if (kread_bytes(k, p->ctx[i], F_CTX_LoggerName, b, 4) != 0 ||
		    kread_ptr_at(k, p->ctx[i] + prof_off(&k->prof, F_CTX_LoggerName) + ps, &at) < 0)
			continue;
		count(&t, le16(b) % 2 == 0 && le16(b) <= le16(b + 2) && (is_ptr(p, at) || (!at && !le16(b))));
	}
	return majority(&t);
}

static enum verdict buffer_sizes(struct proof *p)
{
	struct tally t = {0};
	uint32_t size;

	for (unsigned i = 0; i < p->n_ctx; i++)
		if (kread_u32(p->k, p->ctx[i], F_CTX_BufferSize, &size) == 0)
			count(&t, size >= 0x400 && size <= 0x1000000 && size % 0x400 == 0);
	return majority(&t);
}

/* A context's silo names that context in its own table. */
static enum verdict silo_tables(struct proof *p)
{
	const struct kernel *k = p->k;
	unsigned ps = vm_pointer_size(k->vm);
	struct tally t = {0};
	uint64_t silo, table, ctx;
	uint32_t id;

	for (unsigned i = 0; i < p->n_ctx; i++) {
		if (kread_ptr(k, p->ctx[i], F_CTX_SiloState, &silo) != 0 || kread_u32(k, p->ctx[i], F_CTX_LoggerId, &id) != 0)
			continue;
		if (!is_ptr(p, silo)) {
			count(&t, false);
			continue;
		}
		if (prof_has(&k->prof, F_SILO_WmipLoggerContext))
			table = silo + prof_off(&k->prof, F_SILO_WmipLoggerContext);
		else if (kread_ptr(k, silo, F_SILO_EtwpLoggerContext, &table) != 0)
			continue;
		if (!is_ptr(p, table) || table % ps) {
			count(&t, false);
			continue;
		}
		if (kread_ptr_at(k, table + (uint64_t)(id & 0xffff) * ps, &ctx) < 0)
			continue;
		count(&t, ctx == p->ctx[i]);
		if (ctx == p->ctx[i])
			p->silo = silo;
	}
	return majority(&t);
}

static enum verdict silo_globals(struct proof *p)
{
	uint64_t globals, silo;

	if (!p->silo || kread_ptr(p->k, p->silo, F_SILO_SiloGlobals, &globals) != 0 || !globals)
		return SKIPPED;
	if (!is_ptr(p, globals))
		return FAILS;
	if (kread_ptr(p->k, globals, F_SILOGLOBALS_EtwSiloState, &silo) != 0)
		return SKIPPED;
	return silo == p->silo ? HOLDS : FAILS;
}

/* A pointer where the layout says so; updates moved it. A kernel may not have set it. */
static enum verdict silo_time_zone(struct proof *p)
{
	uint64_t globals, tz;

	if (!p->silo || kread_ptr(p->k, p->silo, F_SILO_SiloGlobals, &globals) != 0 || !is_ptr(p, globals) ||
	    kread_ptr(p->k, globals, F_SILOGLOBALS_ExTimeZoneState, &tz) != 0 || !tz)
		return SKIPPED;
	return is_ptr(p, tz) ? HOLDS : FAILS;
}

/* The GUID hash table: each entry's list of registrations is a ring. */
static enum verdict guid_entries(struct proof *p)
{
	const struct profile *f = &p->k->prof;
	uint64_t table, node;
	struct tally t = {0};

	if (!p->silo || !prof_has(f, F_SILO_EtwpGuidHashTable) || !prof_size(f, T_BUCKET) || !prof_has(f, F_GUIDENTRY_RegListHead))
		return SKIPPED;
	table = p->silo + prof_off(f, F_SILO_EtwpGuidHashTable);
	for (unsigned i = 0; i < GUID_BUCKETS && t.yes + t.no < GUIDS_LOOKED; i++) {
		uint64_t head = table + (uint64_t)i * prof_size(f, T_BUCKET) +
				(prof_has(f, F_BUCKET_ListHead) ? prof_off(f, F_BUCKET_ListHead) : 0);
		int r = ring_holds(p, head);

		if (r < 0)
			continue;
		if (!r || kread_ptr_at(p->k, head, &node) < 0) {
			count(&t, false);
			continue;
		}
		if (node == head)
			continue;
		r = ring_holds(p, node - prof_off(f, F_GUIDENTRY_GuidList) + prof_off(f, F_GUIDENTRY_RegListHead));
		if (r >= 0)
			count(&t, r);
	}
	return majority(&t);
}

/* The text of a session's name stands right behind its context, so the distance is the size of the structure (docs/profiles.md). Nothing has to
 * keep it there: this speaks for a layout, and against none. */
static enum verdict name_behind_context(struct proof *p)
{
	const struct kernel *k = p->k;
	struct tally t = {0};
	uint64_t at;

	if (!prof_has(&k->prof, F_CTX_LoggerName) || !prof_size(&k->prof, T_CTX))
		return SKIPPED;
	for (unsigned i = 0; i < p->n_ctx; i++)
		if (kread_ptr_at(k, p->ctx[i] + prof_off(&k->prof, F_CTX_LoggerName) + vm_pointer_size(k->vm), &at) == 0 && is_ptr(p, at))
			count(&t, at == p->ctx[i] + prof_size(&k->prof, T_CTX));
	return majority(&t);
}

/* A session began before now. One that has not begun yet has no time. */
static enum verdict start_times(struct proof *p)
{
	const struct kernel *k = p->k;
	int64_t end = k->system_time > YEAR_2000 && k->system_time < YEAR_2100 ? k->system_time + DAY : YEAR_2100;
	struct tally t = {0};
	uint64_t v;

	for (unsigned i = 0; i < p->n_ctx; i++)
		if (kread_u64(k, p->ctx[i], F_CTX_StartTime, &v) == 0 && v)
			count(&t, v >= (uint64_t)YEAR_2000 && v <= (uint64_t)end);
	return majority(&t);
}

static const struct {
	const char *name;
	enum verdict (*check)(struct proof *p);
	unsigned favours; /* not 0: it refuses none, and counts so much. A gap can make a distance, hardly a time */
} invariants[] = {
	{"the process list leads to System, pid 4", process_list, 0},
	{"System's page-table root maps this kernel", system_dtb, 0},
	{"a logger context's id is its place in the table", logger_ids, 0},
	{"buffer sizes are sane", buffer_sizes, 0},
	{"buffer lists are rings", buffer_rings, 0},
	{"logger names are strings", logger_names, 0},
	{"a silo's table holds its logger contexts", silo_tables, 0},
	{"the silo's globals lead back to it", silo_globals, 0},
	{"the silo's time zone state is a pointer", silo_time_zone, 0},
	{"registrations of a GUID form a ring", guid_entries, 0},
	{"a logger's name stands right behind its context", name_behind_context, 1},
	{"sessions have begun at a time before now", start_times, 2},
};

int profile_prove(struct kernel *k, unsigned *checks, struct err *e)
{
	struct proof p = {.k = k};
	unsigned n = 0;

	if (k->prof.pointer_size != vm_pointer_size(k->vm))
		return err_set(e, ERR_NOKERNEL, "profile %s is of another architecture", k->prof.name);
	for (size_t i = 0; i < sizeof(invariants) / sizeof(invariants[0]); i++) {
		switch (invariants[i].check(&p)) {
		case HOLDS:
			n += invariants[i].favours ? invariants[i].favours : 1;
			break;
		case FAILS:
			if (invariants[i].favours)
				break;
			return err_set(e, ERR_NOKERNEL, "profile %s does not fit this kernel: it fails \"%s\"", k->prof.name,
				       invariants[i].name);
		case SKIPPED:
			break;
		}
	}
	if (checks)
		*checks = n;
	return 0;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------------------------- */

static enum vm_arch layout_arch(const struct kernel *k)
{
	enum vm_arch a = vm_arch(k->vm);

	return a == VM_X64_LA57 ? VM_X64 : a;
}

/* The variant of one build with the most proofs and no failure; the first of equals. 0 or ERR_NOTFOUND. */
static int best_variant(struct kernel *k, struct profset *set, uint32_t build, unsigned *best_checks, struct profile *best)
{
	int rc = ERR_NOTFOUND;

	for (size_t i = 0; i < VARIANTS_MAX; i++) {
		unsigned checks = 0;

		if (profset_variant(set, build, layout_arch(k), i, &k->prof, NULL) < 0)
			break;
		k->has_profile = true;
		if (profile_prove(k, &checks, NULL) < 0 || checks <= *best_checks)
			continue;
		*best_checks = checks;
		*best = k->prof;
		rc = 0;
	}
	k->has_profile = false;
	return rc;
}

/* Lists of such a kernel are none that inference knows: only a layout of just this build can prove itself. */
static bool before_vista(const struct kernel *k)
{
	return k->major == 5;
}

static int by_build(struct kernel *k, struct profset *set, struct profile *best)
{
	uint32_t build[BUILDS_MAX];
	unsigned checks = 0;
	enum vm_arch arch;
	size_t n = 0;
	int rc = ERR_NOTFOUND;

	if (before_vista(k) && !kuser_may_be(k->major, k->minor, k->build))
		return ERR_NOTFOUND;
	if (k->build)
		return best_variant(k, set, k->build, &checks, best);
	for (size_t i = 0; n < BUILDS_MAX && profset_build_at(set, i, &build[n], &arch, NULL) >= 0; i++)
		n += arch == layout_arch(k) && kuser_may_be(k->major, k->minor, build[n]);
	while (n-- > 0) /* the last of equals: updates come to it */
		if (best_variant(k, set, build[n], &checks, best) == 0)
			rc = 0;
	return rc;
}

static int given(struct kernel *k, const struct kernel_opts *o, struct err *e)
{
	int rc = profset_named(o->profiles, o->profile_name, &k->prof, e);
	bool other;

	if (rc < 0)
		return rc;
	k->has_profile = true;
	other = k->prof.has_guid && !(guid_equal(&k->prof.guid, &k->pdb_guid) && k->prof.age == k->pdb_age);
	if (other) /* its symbols stand elsewhere in this kernel */
		memset(k->prof.symbol, 0, sizeof(k->prof.symbol));
	rc = profile_prove(k, NULL, e);
	if (rc < 0) {
		k->has_profile = false;
		return rc;
	}
	k->match = "given";
	if (other) {
		struct note n = NOTE(NOTE_CONTEXT_BAD);

		notes_add(k->notes, &n, "the given profile is of another kernel: its layout fits and is used, its symbols are not");
	}
	return 0;
}

/* A layout out of the memory itself. Scanning all of it is for those who can't do without. */
static int infer(struct kernel *k, bool scan, struct err *e)
{
	struct inferred *n = malloc(sizeof(*n));
	int rc = n ? infer_profile(k, scan, n, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (rc == 0) {
		k->inferred = n;
		k->has_profile = true;
		k->match = "inferred";
		return 0;
	}
	free(n);
	memset(&k->prof, 0, sizeof(k->prof));
	k->has_profile = false;
	k->match = NULL;
	return rc;
}

/* Nothing led to what proves a layout, but the memory itself told the members: is there a layout of this build that has just these? Then the rest of
 * it is known as well. */
static void build_by_inference(struct kernel *k, struct profset *set)
{
	struct profile told = k->prof, best = {0};
	unsigned most = 0;

	for (size_t i = 0; k->build && i < VARIANTS_MAX; i++) {
		unsigned checks = 0;

		if (profset_variant(set, k->build, layout_arch(k), i, &k->prof, NULL) < 0)
			break;
		if (!infer_agrees(k->inferred, &k->prof) || profile_prove(k, &checks, NULL) < 0 || checks + 1 <= most)
			continue;
		most = checks + 1;
		best = k->prof;
	}
	k->prof = most ? best : told;
	if (!most) {
		borrow_layouts(k, set);
		return;
	}
	k->match = "build";
	free(k->inferred);
	k->inferred = NULL;
}

/* Nothing in this memory bears a layout of its build out, and nothing speaks against it: what is found with it must prove itself, context by context. */
static bool unproved(struct kernel *k, struct profset *set)
{
	struct note n = NOTE(NOTE_CONTEXT_BAD);

	for (size_t i = 0; k->build && i < VARIANTS_MAX; i++) {
		if (profset_variant(set, k->build, layout_arch(k), i, &k->prof, NULL) < 0)
			break;
		k->has_profile = true;
		if (profile_prove(k, NULL, NULL) < 0)
			continue;
		k->match = "build";
		notes_add(k->notes, &n, "nothing led to what could prove a layout: that of the last known kernel of this build is used");
		return true;
	}
	memset(&k->prof, 0, sizeof(k->prof));
	k->has_profile = false;
	return false;
}

int profile_choose(struct kernel *k, const struct hints *hints, const struct kernel_opts *o, struct err *e)
{
	struct profile best;
	struct err why = {0};
	char guid[GUID_STR];
	int rc;

	if (k->build)
		profset_set_image_build(o->profiles, k->build);
	if (!o->profile_name) {
		rc = profset_find(o->profiles, &k->pdb_guid, k->pdb_age, k->build, &k->prof, &k->match, e);
		if (rc == 0) {
			k->has_profile = true;
			return 0;
		}
		if (rc != ERR_NOTFOUND)
			return rc;
	}
	kdbg_find(k, hints); /* roots without symbols, for the proof */
	debugger_data_find(k);
	process_head_find(k);
	if (o->profile_name)
		return given(k, o, e);
	if (by_build(k, o->profiles, &best) == 0) {
		k->prof = best;
		k->has_profile = true;
		k->match = "build";
		return 0;
	}
	rc = before_vista(k) ? ERR_NOTFOUND : infer(k, o->need_profile, &why);
	if (rc == 0)
		build_by_inference(k, o->profiles);
	if (rc == ERR_NOTFOUND && o->need_profile && !before_vista(k) && unproved(k, o->profiles))
		return 0;
	if (rc != ERR_NOTFOUND)
		return rc == 0 ? 0 : err_set(e, rc, "%s", why.msg);
	guid_text(&k->pdb_guid, guid);
	return err_set(
		e, ERR_NOTFOUND,
		"no profile fits this kernel (build %u%s%s): wanted is %s, GUID %s, age %u, as ISF or profile with --symbols; its layout "
		"can't be inferred: %s",
		(unsigned)k->build, k->version[0] ? ", version " : "", k->version, k->pdb_name, guid, (unsigned)k->pdb_age, why.msg);
}
