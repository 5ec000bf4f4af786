/* borrow.c - layouts of other builds for a kernel whose own build is in no table.
 *
 * Inference (infer.c) tells where the members stand that sessions and buffers rest on. The rest of a context, processes, objects, silos, consumers and
 * registrations move little from build to build: each group of types is taken from the nearest build whose layout of it this memory bears out, by a
 * test of its own; a group that none fits stays unknown. Symbols are never borrowed. Builds known by their sessions' structures only lack processor
 * blocks, and borrow these alone. Over 600 lines: the groups' tests rest on each other and on the same walk over candidates. */
#include "borrow.h"

#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "infer.h"
#include "object.h"
#include "process.h"
#include "proffile.h"
#include "rd.h"

#define BUILDS_MAX       128u
#define VARIANTS_MAX     64u
#define TAIL_FROM        0x100u /* of a context: what stands behind StackTraceBlock begins above this */
#define TAIL_END         0xa00u
#define BUCKETS          64u
#define CPUS_LOOKED      64u
#define OBJECT_TRIES     4u
#define MHZ_MIN          200u
#define SCRATCH_BEFORE   0x80u
#define SHIFT_MAX        0x40
#define BUFFER_LOGGER_ID 0x2au /* in _WMI_BUFFER_HEADER, the same everywhere (docs/layouts.md section 2) */
#define MHZ_MAX          20000u
#define STATE_PROVES     12u /* of state_fits(): the rings of GUIDs, and the way back from the globals */

struct borrow {
	struct kernel *k;
	struct profset *set;
	struct inferred *evidence;
	enum vm_arch arch;
	uint32_t build[BUILDS_MAX]; /* nearest first */
	size_t n;
	unsigned ps;
};

struct candidates { /* a walk over all variants, nearest build first */
	const struct borrow *b;
	size_t build, variant;
};

static bool next(struct candidates *c, struct profile *out)
{
	for (; c->build < c->b->n; c->build++, c->variant = 0)
		if (c->variant < VARIANTS_MAX &&
		    profset_variant(c->b->set, c->b->build[c->build], c->b->arch, c->variant++, out, NULL) >= 0)
			return true;
	return false;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

static void list_builds(struct borrow *b)
{
	enum vm_arch arch;
	uint32_t build;

	for (size_t i = 0; b->n < BUILDS_MAX && profset_build_at(b->set, i, &build, &arch, NULL) >= 0; i++) {
		size_t at = b->n;

		if (b->n && b->build[b->n - 1] == build)
			continue;
		while (at > 0 && distance(b->build[at - 1], b->k->build) > distance(build, b->k->build)) {
			b->build[at] = b->build[at - 1];
			at--;
		}
		b->build[at] = build;
		b->n++;
	}
}

static bool is_tail(enum prof_field f)
{
	return f == F_CTX_ScratchArray || f == F_CTX_SiloState || f == F_CTX_CompressionTarget || f == F_CTX_CompressionOn ||
	       f == F_CTX_PlaceholderList;
}

static void copy_type(struct profile *to, const struct profile *from, enum prof_type t)
{
	for (unsigned f = 0; f < PROF_FIELDS; f++)
		if (prof_type_of((enum prof_field)f) == t && !is_tail((enum prof_field)f))
			to->field[f] = from->field[f];
	to->size[t] = from->size[t];
}

static void copy_types(struct profile *to, const struct profile *from, const enum prof_type *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		copy_type(to, from, t[i]);
}
#define COPY(to, from, ...)                                                                                                                \
	do {                                                                                                                               \
		static const enum prof_type types_[] = {__VA_ARGS__};                                                                      \
		copy_types(to, from, types_, sizeof(types_) / sizeof(types_[0]));                                                          \
	} while (0)

static void tell(struct borrow *b, enum prof_field f, unsigned agree, unsigned of, const char *how)
{
	if (b->evidence && prof_has(&b->k->prof, f) && b->evidence->n < INFER_MEMBERS)
		b->evidence->member[b->evidence->n++] = (struct infer_member){f, prof_off(&b->k->prof, f), agree, of, 0, how};
}

/* What the rules say about this very build; without a number, what the layout came with. */
static void set_traits(struct borrow *b, const struct profile *from)
{
	struct prof_traits *t = &b->k->prof.traits, told = *t;
	struct prof_source *src = malloc(sizeof(*src));

	*t = from->traits;
	if (src) {
		prof_source_init(src);
		src->arch = b->arch;
		src->pointer_size = b->ps;
		if (b->k->build)
			(void)prof_source_traits(src, b->k->build, t, NULL);
		free(src);
	}
	t->queue_has_head = from->traits.queue_has_head;
	t->vm = from->traits.vm;
	t->empty_slot = told.empty_slot;
	t->cpu_low_byte = told.cpu_low_byte;
}

/* ---- the context ------------------------------------------------------------------------------------------------------------------------- */

static bool context(struct borrow *b)
{
	struct candidates c = {.b = b};
	struct profile p;
	unsigned of = b->evidence->contexts;

	while (next(&c, &p)) {
		if (!infer_agrees(b->evidence, &p))
			continue;
		COPY(&b->k->prof, &p, T_CTX, T_QUEUE, T_REFCLOCK, T_KUSER, T_POOLHDR, T_BIGPAGES, T_PTESOFT, T_PTETRANS, T_PTEPROTO);
		set_traits(b, &p);
		tell(b, F_CTX_EventsLost, of, of, "as in the nearest build whose context has all inferred members at the same places");
		return true;
	}
	return false;
}

/* Contexts whose array at `off` leads to a buffer of theirs; *wrong: one has something there that is no array. */
static unsigned scratch_hits(const struct borrow *b, uint32_t off, bool *wrong)
{
	const struct inferred *n = b->evidence;
	unsigned hits = 0;

	*wrong = false;
	for (unsigned i = 0; i < n->n_ctx; i++) {
		uint64_t array, at;
		uint32_t id;
		bool hit = false;

		if (kread_ptr_at(b->k, n->ctx[i] + off, &array) < 0 || array == 0)
			continue;
		*wrong |= !vm_is_kernel(b->k->vm, array) || array % b->ps;
		for (unsigned cpu = 0; !*wrong && cpu < b->k->n_cpus && cpu < CPUS_LOOKED; cpu++) {
			uint8_t w[2];

			if (kread_ptr_at(b->k, array + (uint64_t)cpu * b->ps, &at) < 0 || at == 0)
				continue;
			if (!vm_is_kernel(b->k->vm, at) || at % 0x400) {
				*wrong = true;
				break;
			}
			hit |= vm_read(b->k->vm, at + BUFFER_LOGGER_ID, w, 2) >= 0 &&
			       kread_u32(b->k, n->ctx[i], F_CTX_LoggerId, &id) == 0 && le16(w) == (id & 0xffff);
		}
		hits += hit;
	}
	return hits;
}

/* ScratchArray moves more than its surroundings do: any build's place for it, or one shortly before SiloState, if arrays there lead to buffers. */
static void scratch(struct borrow *b)
{
	struct candidates c = {.b = b};
	uint32_t last = PROF_ABSENT, best = PROF_ABSENT;
	unsigned most = 0;
	struct profile p;
	bool wrong;

	while (next(&c, &p)) {
		uint32_t off = p.field[F_CTX_ScratchArray].off;
		unsigned hits;

		if (off == PROF_ABSENT || off == last)
			continue;
		last = off;
		hits = scratch_hits(b, off, &wrong);
		if (wrong || hits <= most)
			continue;
		most = hits;
		best = off;
	}
	if (!most && prof_has(&b->k->prof, F_CTX_SiloState)) {
		uint32_t end = prof_off(&b->k->prof, F_CTX_SiloState);

		for (uint32_t off = end - SCRATCH_BEFORE; off < end; off += b->ps) {
			unsigned hits = scratch_hits(b, off, &wrong);

			if (!wrong && hits > most) {
				most = hits;
				best = off;
			}
		}
	}
	b->k->prof.field[F_CTX_ScratchArray] = (struct prof_member){.off = best};
	tell(b, F_CTX_ScratchArray, most, b->evidence->n_ctx, "arrays that lead to buffers of their session");
}

/* ---- processes, objects ---------------------------------------------------------------------------------------------------------------- */

/* `bare`: System need not have handles. */
static bool process_fits(struct kernel *k, bool bare)
{
	uint64_t head = kernel_process_head(k), first, ep, v, pid;
	char name[8];
	struct vm *vm;
	bool ok;

	if (!head || kread_ptr_at(k, head, &first) < 0 || !vm_is_kernel(k->vm, first))
		return false;
	ep = first - prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks);
	if (kread_ptr(k, ep, F_EPROCESS_UniqueProcessId, &pid) != 0 || pid != 4 ||
	    kread_bytes(k, ep, F_EPROCESS_ImageFileName, name, 7) != 0 || memcmp(name, "System", 7) != 0 ||
	    kread_ptr(k, ep, F_KPROCESS_DirectoryTableBase, &v) != 0 || vm_open(&vm, k->phys, vm_arch(k->vm), v, NULL) < 0)
		return false;
	ok = kernel_maps(k, vm);
	vm_close(vm);
	if (!ok || kread_ptr(k, ep, F_EPROCESS_ObjectTable, &v) != 0)
		return false;
	if (v == 0)
		return bare;
	return vm_is_kernel(k->vm, v) && kread_ptr(k, v, F_HTABLE_UniqueProcessId, &pid) == 0 && pid == 4;
}

static void processes(struct borrow *b)
{
	struct candidates c = {.b = b};
	struct profile p, before = b->k->prof;
	bool fits = false;

	for (unsigned bare = 0; bare < 2 && !fits; bare++, c = (struct candidates){.b = b})
		while (!fits && next(&c, &p)) {
			if (!prof_has(&p, F_EPROCESS_ActiveProcessLinks))
				continue;
			COPY(&b->k->prof, &p, T_EPROCESS, T_KPROCESS, T_EJOB, T_ETHREAD, T_CLIENTID, T_HTABLE);
			fits = process_fits(b->k, bare);
			if (!fits)
				b->k->prof = before;
		}
	if (fits) {
		tell(b, F_EPROCESS_ActiveProcessLinks, 1, 1, "System, pid 4, with its root and handles, as in the nearest build that fits");
		return;
	}
	c = (struct candidates){.b = b};
	if (next(&c, &p))
		COPY(&b->k->prof, &p, T_HTABLE);
	infer_process(b->k); /* tries its handle tables itself */
	if (!prof_has(&b->k->prof, F_EPROCESS_ObjectTable))
		COPY(&b->k->prof, &before, T_HTABLE);
}

static int count_one(void *ctx, const struct object_ref *ref)
{
	(void)ref;
	++*(unsigned *)ctx;
	return 0;
}

/* Objects that handle tables lead to, by the names of their types. */
static unsigned objects_seen(struct kernel *k, const struct process_list *l)
{
	static const char *const names[] = {"EtwRegistration", "EtwConsumer", "File"};
	unsigned n = 0;

	for (size_t i = 0; i < 3; i++)
		(void)objects_find(k, l, names[i], count_one, &n);
	return n;
}

static void objects(struct borrow *b)
{
	struct candidates c = {.b = b};
	struct profile p, before = b->k->prof, best = before;
	struct notes *notes = b->k->notes;
	struct process_list l;
	unsigned most = 0, tries = 0;
	int last = -1;

	if (!prof_has(&before, F_EPROCESS_ObjectTable))
		return;
	b->k->notes = NULL; /* what a wrong layout stumbles over is no loss */
	if (processes_list(&l, b->k, NULL) == 0) {
		while (tries < OBJECT_TRIES && next(&c, &p)) {
			unsigned n;

			if (p.traits.handle_object_shift == last || !prof_has(&p, F_OHDR_Body))
				continue;
			last = p.traits.handle_object_shift;
			tries++;
			b->k->prof = before;
			COPY(&b->k->prof, &p, T_OHDR, T_OTYPE, T_HENTRY);
			b->k->prof.traits.handle_object_shift = p.traits.handle_object_shift;
			n = objects_seen(b->k, &l);
			if (n > most) {
				most = n;
				best = b->k->prof;
			}
		}
		processes_free(&l);
	}
	b->k->notes = notes;
	b->k->prof = best;
	if (most)
		tell(b, F_OHDR_TypeIndex, most, most, "handle tables lead to objects of named types");
}

/* ---- silos ------------------------------------------------------------------------------------------------------------------------------- */

/* Contexts that the table of the state at `silo` holds at their own number. */
static unsigned in_table(const struct borrow *b, const struct profile *p, uint64_t silo)
{
	const struct inferred *n = b->evidence;
	unsigned hits = 0;
	uint64_t table, v;
	uint32_t id;

	if (prof_has(p, F_SILO_WmipLoggerContext))
		table = silo + prof_off(p, F_SILO_WmipLoggerContext);
	else if (!prof_has(p, F_SILO_EtwpLoggerContext) || kread_ptr_at(b->k, silo + prof_off(p, F_SILO_EtwpLoggerContext), &table) < 0 ||
		 !vm_is_kernel(b->k->vm, table))
		return 0;
	for (unsigned i = 0; i < n->n_ctx; i++)
		hits += kread_u32(b->k, n->ctx[i], F_CTX_LoggerId, &id) == 0 &&
			kread_ptr_at(b->k, table + (uint64_t)(id & 0xffff) * b->ps, &v) == 0 && v == n->ctx[i];
	return hits;
}

/* What else of the state is as this layout says: rings of the GUID table, blocks of processors, the way back from its globals. */
static unsigned state_fits(const struct borrow *b, const struct profile *p, uint64_t silo)
{
	uint64_t table = silo + prof_off(p, F_SILO_EtwpGuidHashTable), v, back;
	unsigned fits = 0, rings = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		uint64_t head = table + (uint64_t)i * prof_size(p, T_BUCKET);

		rings += kread_ptr_at(b->k, head, &v) == 0 && vm_is_kernel(b->k->vm, v) && kread_ptr_at(b->k, v + b->ps, &back) == 0 &&
			 back == head;
	}
	fits += rings == BUCKETS ? 8 : 0;
	if (prof_has(p, F_SILO_ProcessorBlocks) && kread_ptr_at(b->k, silo + prof_off(p, F_SILO_ProcessorBlocks), &v) == 0 &&
	    vm_is_kernel(b->k->vm, v) && v % b->ps == 0)
		fits += 2;
	if (prof_has(p, F_SILO_SiloGlobals) && prof_has(p, F_SILOGLOBALS_EtwSiloState) &&
	    kread_ptr_at(b->k, silo + prof_off(p, F_SILO_SiloGlobals), &v) == 0 && vm_is_kernel(b->k->vm, v) &&
	    kread_ptr_at(b->k, v + prof_off(p, F_SILOGLOBALS_EtwSiloState), &back) == 0 && back == silo)
		fits += 4;
	return fits;
}

/* Does the state lead to the very table that EtwpDebuggerData names? Then the table's own page need not be there. */
static bool names_table(const struct borrow *b, const struct profile *p, uint64_t silo)
{
	uint64_t table = kernel_logger_table(b->k), v;

	if (!table)
		return false;
	if (prof_has(p, F_SILO_WmipLoggerContext))
		return silo + prof_off(p, F_SILO_WmipLoggerContext) == table;
	return prof_has(p, F_SILO_EtwpLoggerContext) && kread_ptr_at(b->k, silo + prof_off(p, F_SILO_EtwpLoggerContext), &v) == 0 &&
	       v == table;
}

/* The same pointer at the same place of all contexts, from `at` on. */
static bool shared_pointer(const struct borrow *b, uint32_t *at, uint64_t *silo)
{
	const struct inferred *n = b->evidence;

	for (; *at < TAIL_END; *at += b->ps) {
		uint64_t v, first = 0;
		unsigned same = 0, seen = 0;

		for (unsigned i = 0; i < n->n_ctx; i++) {
			if (kread_ptr_at(b->k, n->ctx[i] + *at, &v) < 0)
				continue;
			seen++;
			first = first ? first : v;
			same += v == first;
		}
		if (seen >= 2 && same == seen && vm_is_kernel(b->k->vm, first) && first % b->ps == 0) {
			*silo = first;
			return true;
		}
	}
	return false;
}

/* The block SiloState .. PlaceholderList has been one piece in all builds that have it. */
static void tail(struct borrow *b, const struct profile *p, uint32_t at)
{
	static const enum prof_field f[] = {F_CTX_SiloState, F_CTX_CompressionTarget, F_CTX_CompressionOn, F_CTX_PlaceholderList};

	for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		if (prof_has(p, f[i]))
			b->k->prof.field[f[i]].off = prof_off(p, f[i]) - prof_off(p, F_CTX_SiloState) + at;
}

/* The state's members from the table on, moved by some bytes. */
static void move_state(struct profile *p, int32_t by)
{
	uint32_t from = prof_has(p, F_SILO_EtwpLoggerContext)   ? prof_off(p, F_SILO_EtwpLoggerContext)
			: prof_has(p, F_SILO_WmipLoggerContext) ? prof_off(p, F_SILO_WmipLoggerContext)
								: PROF_ABSENT;

	for (unsigned f = 0; f < PROF_FIELDS; f++)
		if (prof_type_of((enum prof_field)f) == T_SILO && prof_has(p, (enum prof_field)f) && p->field[f].off >= from)
			p->field[f].off = (uint32_t)((int32_t)p->field[f].off + by);
}

struct best_state {
	struct profile p;
	unsigned score, hits;
	uint32_t at;
};

static void try_state(const struct borrow *b, uint64_t silo, uint32_t at, int32_t by, struct best_state *best)
{
	struct candidates c = {.b = b};
	struct profile p;

	while (next(&c, &p)) {
		unsigned hits, score;

		if (!prof_has(&p, F_SILO_EtwpGuidHashTable) || !prof_size(&p, T_BUCKET))
			continue;
		move_state(&p, by);
		hits = in_table(b, &p, silo);
		score = state_fits(b, &p, silo);
		if (hits >= 2)
			score += 16 * hits;
		else if (names_table(b, &p, silo))
			score += 16;
		else if (score < STATE_PROVES || by)
			score = 0;
		if (score > best->score)
			*best = (struct best_state){p, score, hits, at};
	}
}

/* As some build has it; else as one has it but for a few bytes that were added or taken before the table. */
static void silos(struct borrow *b)
{
	struct best_state *best = calloc(1, sizeof(*best));
	struct candidates c = {.b = b};
	struct profile p;
	uint64_t silo;

	if (!best)
		return;
	for (int32_t by = 0; by <= SHIFT_MAX && !best->score; by += (int32_t)b->ps)
		for (uint32_t at = TAIL_FROM; shared_pointer(b, &at, &silo); at += b->ps) {
			try_state(b, silo, at, by, best);
			if (by)
				try_state(b, silo, at, -by, best);
		}
	if (best->score) {
		COPY(&b->k->prof, &best->p, T_SILO, T_BLOCK, T_BUCKET, T_SILOGLOBALS, T_TZSTATE);
		b->k->prof.field[F_CTX_SiloState].off = best->at;
		b->k->prof.traits.slots_inline = best->p.traits.slots_inline;
		b->k->prof.traits.table_is_inline = best->p.traits.table_is_inline;
		b->k->prof.traits.table_slots = best->p.traits.table_slots;
		if (prof_has(&best->p, F_SILO_ProcessorBlocks))
			b->k->prof.traits.slots_in_prcb = false;
		while (next(&c, &p))
			if (prof_has(&p, F_CTX_SiloState)) {
				tail(b, &p, best->at);
				break;
			}
		if (best->hits >= 2)
			tell(b, F_CTX_SiloState, best->hits, b->evidence->n_ctx, "a state whose table holds the context at its number");
		else
			tell(b, F_CTX_SiloState, b->evidence->n_ctx, b->evidence->n_ctx,
			     "one state, with rings of GUIDs, that leads to the lost table or that its globals lead back to");
	}
	free(best);
}

/* ---- consumers, registrations -------------------------------------------------------------------------------------------------------------- */

static void consumers(struct borrow *b)
{
	const struct inferred *n = b->evidence;
	struct candidates c = {.b = b};
	struct profile p;

	while (next(&c, &p)) {
		unsigned yes = 0, no = 0;

		if (!prof_has(&p, F_CONSUMER_LoggerId) || !prof_has(&p, F_CONSUMER_ProcessObject))
			continue;
		for (unsigned i = 0; i < n->n_ctx; i++) {
			uint64_t head = n->ctx[i] + prof_off(&b->k->prof, F_CTX_Consumers), at, process;
			uint32_t id;
			uint8_t w[2];

			if (kread_ptr_at(b->k, head, &at) < 0 || at == head || !vm_is_kernel(b->k->vm, at) ||
			    kread_u32(b->k, n->ctx[i], F_CTX_LoggerId, &id) != 0)
				continue;
			if (vm_read(b->k->vm, at + prof_off(&p, F_CONSUMER_LoggerId), w, 2) >= 0 && le16(w) == (id & 0xffff) &&
			    kread_ptr_at(b->k, at + prof_off(&p, F_CONSUMER_ProcessObject), &process) == 0 &&
			    vm_is_kernel(b->k->vm, process))
				yes++;
			else
				no++;
		}
		if (no > yes)
			continue;
		COPY(&b->k->prof, &p, T_CONSUMER);
		tell(b, F_CONSUMER_LoggerId, yes, yes + no,
		     yes ? "consumers in a context's ring that name its number"
			 : "as in the nearest build: there is none to ask in the contexts' rings");
		return;
	}
}

/* Entries of the GUID table whose registrations lead back to them. */
static unsigned guids_fit(const struct borrow *b, const struct profile *p, uint64_t table)
{
	unsigned fits = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		uint64_t head = table + (uint64_t)i * prof_size(&b->k->prof, T_BUCKET), entry, ring, reg, back;

		if (kread_ptr_at(b->k, head, &entry) < 0 || entry == head || !vm_is_kernel(b->k->vm, entry))
			continue;
		entry -= prof_off(p, F_GUIDENTRY_GuidList);
		ring = entry + prof_off(p, F_GUIDENTRY_RegListHead);
		if (kread_ptr_at(b->k, ring, &reg) < 0 || reg == ring || !vm_is_kernel(b->k->vm, reg))
			continue;
		if (kread_ptr_at(b->k, reg + prof_off(p, F_REG_GuidEntry), &back) == 0 && back == entry)
			fits++;
	}
	return fits;
}

static void registrations(struct borrow *b)
{
	struct candidates c = {.b = b};
	struct profile p, best = {0};
	unsigned most = 0;
	uint64_t silo;

	if (!prof_has(&b->k->prof, F_CTX_SiloState) || !b->evidence->n_ctx ||
	    kread_ptr(b->k, b->evidence->ctx[0], F_CTX_SiloState, &silo) != 0)
		return;
	while (next(&c, &p)) {
		unsigned n = prof_has(&p, F_GUIDENTRY_RegListHead) && prof_has(&p, F_REG_GuidEntry)
				     ? guids_fit(b, &p, silo + prof_off(&b->k->prof, F_SILO_EtwpGuidHashTable))
				     : 0;

		if (n <= most)
			continue;
		most = n;
		best = p;
	}
	if (!most)
		return;
	COPY(&b->k->prof, &best, T_GUIDENTRY, T_REG, T_ENABLE, T_TRAITS);
	tell(b, F_REG_GuidEntry, most, most, "registrations that lead back to their GUID");
}

/* _KPRCB.Number counts the processors; MHz stands where it has stood with it. One processor counts nothing: there only the nearest build that has both
 * is believed. */
static void processors(struct borrow *b)
{
	uint64_t array = kernel_processor_block(b->k), prcb;
	struct candidates c = {.b = b};
	struct profile p;
	bool first = true;

	while (array && next(&c, &p)) {
		unsigned fit = 0, seen = 0, least = b->k->n_cpus == 1 && first ? 1 : 2;

		if (!prof_has(&p, F_KPRCB_Number) || !prof_has(&p, F_KPRCB_MHz))
			continue;
		first = false;
		for (unsigned i = 0; i < b->k->n_cpus && i < CPUS_LOOKED; i++) {
			uint8_t w[4];

			if (kread_ptr_at(b->k, array + (uint64_t)i * b->ps, &prcb) < 0 || !vm_is_kernel(b->k->vm, prcb) ||
			    vm_read(b->k->vm, prcb + prof_off(&p, F_KPRCB_Number), w, 4) < 0)
				continue;
			seen++;
			if ((b->ps == 8 ? le32(w) : le32(w) & 0xffff) == i &&
			    vm_read(b->k->vm, prcb + prof_off(&p, F_KPRCB_MHz), w, 4) >= 0)
				fit += le32(w) >= MHZ_MIN && le32(w) <= MHZ_MAX;
		}
		if (seen < least || fit != seen)
			continue;
		b->k->prof.field[F_KPRCB_Number] = p.field[F_KPRCB_Number];
		b->k->prof.field[F_KPRCB_MHz] = p.field[F_KPRCB_MHz];
		tell(b, F_KPRCB_MHz, fit, seen, "processor blocks that count their processors, and have a speed");
		return;
	}
}

static void begin(struct borrow *b)
{
	b->evidence = b->k->inferred;
	b->arch = vm_arch(b->k->vm);
	b->ps = vm_pointer_size(b->k->vm);
	if (b->arch == VM_X64_LA57)
		b->arch = VM_X64;
	list_builds(b);
}

void borrow_processors(struct kernel *k, struct profset *set)
{
	struct borrow b = {.k = k, .set = set};

	if (prof_has(&k->prof, F_KPRCB_MHz))
		return;
	begin(&b);
	processors(&b);
}

static bool same_pages(const struct profile *a, const struct profile *b)
{
	return prof_size(a, T_PFN) == prof_size(b, T_PFN) && prof_off(a, F_PFN_PteAddress) == prof_off(b, F_PFN_PteAddress) &&
	       prof_off(a, F_PFN_u3) == prof_off(b, F_PFN_u3) && prof_off(a, F_PFN_u4) == prof_off(b, F_PFN_u4);
}

void borrow_pages(struct kernel *k, struct profset *set)
{
	struct borrow b = {.k = k, .set = set};
	struct candidates c = {.b = &b};
	struct profile p;

	if (prof_has(&k->prof, F_PFN_PteAddress) || vm_pointer_size(k->vm) != 8)
		return;
	begin(&b);
	while (!k->pfndb && next(&c, &p)) {
		if (!prof_has(&p, F_PFN_PteAddress) || (prof_has(&k->prof, F_PFN_PteAddress) && same_pages(&k->prof, &p)))
			continue;
		COPY(&k->prof, &p, T_PFN);
		k->pfndb_looked_for = false;
		kernel_pfndb(k);
	}
}

void borrow_layouts(struct kernel *k, struct profset *set)
{
	struct borrow b = {.k = k, .set = set};

	begin(&b);
	if (!context(&b))
		return;
	silos(&b);
	scratch(&b);
	processes(&b);
	objects(&b);
	consumers(&b);
	registrations(&b);
	processors(&b);
}
