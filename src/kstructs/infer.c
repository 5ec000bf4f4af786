/* infer.c - members of the logger context by what stands at the same distance from the ring's head in all contexts. See infer.h. */
#include "infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "infer_see.h"
#include "rd.h"

#define SPAN      (INFER_BEFORE + INFER_BEHIND)
#define HOLES     8u
#define ALIGN     64u /* contexts are cache-line aligned on all builds seen */
#define STRINGS   4u  /* ClockType stands four UNICODE_STRINGs behind LoggerName in every known layout */
#define CLOSE     0x18u
#define NOT_FOUND UINT32_MAX

struct infer {
	struct kernel *k;
	const struct infer_roots *r;
	struct infer_see *see; /* one for each root */
	struct inferred *out;
	uint32_t base; /* distance, as an index into see[].p, at which contexts begin */
};

/* ---- votes ----------------------------------------------------------------------------------------------------------------------------- */

struct poll {
	unsigned agree, of, strong; /* strong: of those that agree, those that could have disagreed (a value that is not zero) */
};

static void ask(const struct infer *n, infer_test *test, uint32_t at, const void *arg, struct poll *p)
{
	memset(p, 0, sizeof(*p));
	for (size_t i = 0; i < n->r->n; i++) {
		enum infer_answer a = test(n->k, &n->see[i], at, arg);

		p->of += a != INFER_CANT_SEE;
		p->agree += a == INFER_YES || a == INFER_WEAK;
		p->strong += a == INFER_YES;
	}
}

static bool carried(const struct poll *p, unsigned strong)
{
	return p->of && p->strong >= strong && p->agree * 100 >= p->of * INFER_AGREE;
}

/* The lowest place in [from, to) that is carried; *others counts further ones. */
static uint32_t find(const struct infer *n, infer_test *test, const void *arg, uint32_t from, uint32_t to, uint32_t step, unsigned strong,
		     struct poll *p, unsigned *others)
{
	uint32_t first = NOT_FOUND;

	*others = 0;
	for (uint32_t at = from; at + step <= to; at += step) {
		struct poll q;

		ask(n, test, at, arg, &q);
		if (!carried(&q, strong))
			continue;
		if (first == NOT_FOUND) {
			first = at;
			*p = q;
		} else {
			(*others)++;
		}
	}
	return first;
}

static void take(struct infer *n, enum prof_field f, uint32_t at, const struct poll *p, unsigned others, const char *how)
{
	if (n->out->n == INFER_MEMBERS || at < n->base)
		return;
	n->k->prof.field[f].off = at - n->base;
	n->out->member[n->out->n++] = (struct infer_member){f, at - n->base, p->agree, p->of, others, how};
}

/* ---- members ----------------------------------------------------------------------------------------------------------------------------- */

/* LoggerId and BufferSize: what the buffers say, side by side where several places fit. */
static int identity(struct infer *n, struct err *e)
{
	struct poll id = {0}, size = {0}, q;
	unsigned ids = 0, others = 0;
	uint32_t at, best = NOT_FOUND, first;

	for (at = 0; at + 8 <= INFER_BEFORE; at += 4) {
		ask(n, see_id, at, NULL, &q);
		if (!carried(&q, 2))
			continue;
		ids++;
		ask(n, see_size, at + 4, NULL, &q);
		if (!carried(&q, 2))
			continue;
		if (best == NOT_FOUND)
			best = at;
		else
			others++;
	}
	if (best == NOT_FOUND)
		return err_set(e, ERR_NOTFOUND, ids ? "no BufferSize beside LoggerId" : "no LoggerId before the head of the buffer ring");
	if (others)
		return err_set(e, ERR_NOTFOUND, "LoggerId and BufferSize fit at %u places", others + 1);
	ask(n, see_id, best, NULL, &id);
	ask(n, see_size, best + 4, NULL, &size);
	/* where contexts begin: the cache line of LoggerId, the same for all of them */
	first = (uint32_t)((n->r->v[0].head - INFER_BEFORE + best) % ALIGN);
	if (best < first)
		return err_set(e, ERR_NOTFOUND, "contexts begin further up than was looked");
	ask(n, see_place, best, &first, &q);
	if (!carried(&q, 2))
		return err_set(e, ERR_NOTFOUND, "contexts are not aligned alike");
	n->base = best - first;
	take(n, F_CTX_LoggerId, best, &id, ids - 1, "equals the LoggerId of the ring's buffers; BufferSize stands behind it");
	take(n, F_CTX_BufferSize, best + 4, &size, 0, "equals the BufferSize of the ring's buffers");
	ask(n, see_ring, INFER_BEFORE, NULL, &q);
	take(n, F_CTX_GlobalList, INFER_BEFORE, &q, 0, "a ring of buffers whose neighbours point back");
	return 0;
}

static void strings(struct infer *n)
{
	uint32_t ps = vm_pointer_size(n->k->vm), at;
	struct poll p = {0}, q;
	unsigned others;

	at = find(n, see_string, NULL, n->base, INFER_BEFORE + 0x200, ps, 2, &p, &others);
	if (at == NOT_FOUND)
		return;
	take(n, F_CTX_LoggerName, at, &p, others, others ? "a string in all contexts; the first of them" : "a string in all contexts");
	ask(n, see_string_or_none, at + 2 * ps, NULL, &q);
	if (carried(&q, 0))
		take(n, F_CTX_LogFileName, at + 2 * ps, &q, 0, "a string or none, right behind LoggerName as in every known layout");
}

/* The pair {FILETIME, clock}, then the clock's type, then the lone FILETIME of the start. */
static void clocks(struct infer *n)
{
	uint32_t ps = vm_pointer_size(n->k->vm), pair, clock, start;
	uint32_t name = prof_off(&n->k->prof, F_CTX_LoggerName);
	struct poll p = {0}, q = {0};
	unsigned others;

	pair = find(n, see_pair, NULL, n->base, SPAN - 16, 8, 2, &p, &others);
	if (pair == NOT_FOUND || others)
		return; /* which of several is the reference can't be told */
	take(n, F_CTX_ReferenceTime, pair, &p, 0, "a FILETIME between boot and the image's time, and a clock value behind it");
	n->k->prof.field[F_REFCLOCK_StartTime] = (struct prof_member){.off = 0};
	n->k->prof.field[F_REFCLOCK_StartPerfClock] = (struct prof_member){.off = 8};
	clock = find(n, see_clock, &pair, n->base, SPAN, 4, 2, &q, &others);
	if (clock != NOT_FOUND && others == 0) {
		take(n, F_CTX_ClockType, clock, &q, 0, "1 to 3, and 2 exactly where the pair is twice the same");
	} else if (clock != NOT_FOUND && name != PROF_ABSENT) {
		clock = n->base + name + STRINGS * 2 * ps;
		ask(n, see_clock, clock, &pair, &q);
		if (carried(&q, 2))
			take(n, F_CTX_ClockType, clock, &q, others,
			     "1 to 3, and 2 exactly where the pair is twice the same; as far behind LoggerName as in every known layout");
	}
	start = find(n, see_start, &pair, n->base, SPAN, 8, 2, &q, &others);
	if (start != NOT_FOUND && others == 0)
		take(n, F_CTX_StartTime, start, &q, 0, "the reference's FILETIME to a second, no clock value behind it");
}

static void mode(struct infer *n)
{
	struct poll p = {0};
	unsigned others;
	uint32_t size = n->base + prof_off(&n->k->prof, F_CTX_BufferSize);
	uint32_t at = find(n, see_mode, NULL, size + 4, size + 0x14, 4, 2, &p, &others);

	if (at != NOT_FOUND && others == 0)
		take(n, F_CTX_LoggerMode, at, &p, 0, "known mode bits only, none that exclude each other");
}

/* How many buffers there may be and are; the ring of consumers. */
static void counts(struct infer *n)
{
	struct poll p = {0};
	unsigned others;
	uint32_t ps = vm_pointer_size(n->k->vm), pair = prof_off(&n->k->prof, F_CTX_ReferenceTime);
	uint32_t at = find(n, see_counts, NULL, n->base, SPAN - 12, 4, 2, &p, &others);
	static const char how[] = "four counts in a row: the least not above the most, those there are not below the ring's nodes";

	if (at != NOT_FOUND && others == 0) {
		take(n, F_CTX_MinimumBuffers, at, &p, 0, how);
		take(n, F_CTX_BuffersAvailable, at + 4, &p, 0, how);
		take(n, F_CTX_NumberOfBuffers, at + 8, &p, 0, how);
		take(n, F_CTX_MaximumBuffers, at + 12, &p, 0, how);
	}
	if (pair == PROF_ABSENT)
		return;
	pair += n->base;
	at = find(n, see_ring, NULL, pair + 16, pair + 16 + CLOSE, ps, 2, &p, &others);
	if (at != NOT_FOUND && others == 0)
		take(n, F_CTX_Consumers, at, &p, 0, "the head of a ring, right behind the reference as in every known layout");
}

/* Entries of buffer queues: pointers to the link word of a buffer of this session. The queue's tail points to one too, but never on to more. */
static void queues(struct infer *n)
{
	static const enum prof_field f[] = {F_CTX_BufferQueue, F_CTX_OverflowQueue};
	uint32_t ps = vm_pointer_size(n->k->vm);
	struct poll p = {0};
	unsigned others, found = 0;
	uint32_t at;

	for (at = n->base; at + ps <= INFER_BEFORE && found < 2; at += ps) {
		ask(n, see_queue, at, NULL, &p);
		if (!carried(&p, 1))
			continue;
		n->k->prof.field[F_QUEUE_QueueEntry] = (struct prof_member){.off = 0};
		take(n, f[found++], at, &p, 0, "a chain of more than one buffer of the session, or none");
	}
	at = find(n, see_current, NULL, INFER_BEFORE, INFER_BEFORE + 0x100, ps, 1, &p, &others);
	if (at != NOT_FOUND && others == 0)
		take(n, F_CTX_CurrentBuffer, at, &p, 0, "a counted reference to a buffer of the session, or none");
}

/* ---- the profile ------------------------------------------------------------------------------------------------------------------------- */

static void blank(struct kernel *k, const struct infer_roots *r)
{
	struct profile *p = &k->prof;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < PROF_FIELDS; i++)
		p->field[i].off = PROF_ABSENT;
	snprintf(p->name, sizeof(p->name), "inferred");
	p->build = k->build;
	p->arch = vm_arch(k->vm);
	p->pointer_size = vm_pointer_size(k->vm);
	/* what the pool keeps of an allocation: the same in every known layout of the word size, but for words at the end of an entry */
	p->size[T_POOLHDR] = 2u * p->pointer_size;
	p->field[F_POOLHDR_PoolTag].off = 4;
	p->size[T_BIGPAGES] = p->pointer_size == 8 ? 0x18 : 0x10;
	p->field[F_BIGPAGES_Va].off = 0;
	p->field[F_BIGPAGES_Key].off = p->pointer_size;
	p->traits.vm = vm_traits_default;
	p->traits.empty_slot = r->empty_slot;
	p->traits.cpu_low_byte = r->low_bytes >= 2 && r->plain * 4 <= r->low_bytes;
}

static int look(struct infer *n, struct err *e)
{
	size_t distinct = 0;
	int rc;

	for (size_t i = 0; i < n->r->n; i++) {
		bool before = false;

		infer_see_read(n->k, &n->r->v[i], &n->see[i]);
		for (size_t j = 0; j < i; j++)
			before |= n->r->v[j].id == n->r->v[i].id;
		distinct += !before;
	}
	if (distinct < 2)
		return err_set(e, ERR_NOTFOUND, "%zu sessions with buffers are too few to compare", distinct);
	rc = identity(n, e);
	if (rc != 0)
		return rc;
	strings(n);
	if (!prof_has(&n->k->prof, F_CTX_LoggerName))
		return err_set(e, ERR_NOTFOUND, "no session name at one place in all contexts");
	clocks(n);
	mode(n);
	counts(n);
	queues(n);
	return 0;
}

int infer_profile(struct kernel *k, bool scan, struct inferred *out, struct err *e)
{
	struct infer_roots *r = malloc(sizeof(*r));
	struct infer n = {.k = k, .r = r, .out = out};
	int rc = r ? infer_roots(k, scan, r) : ERR_NOMEM;

	memset(out, 0, sizeof(*out));
	if (rc == 0) {
		n.see = calloc(r->n ? r->n : 1, sizeof(*n.see));
		rc = n.see ? 0 : ERR_NOMEM;
	}
	if (rc == 0) {
		blank(k, r);
		out->roots = r->from;
		out->contexts = (unsigned)r->n;
		rc = look(&n, e);
		for (size_t i = 0; rc == 0 && i < r->n; i++)
			out->ctx[out->n_ctx++] = r->v[i].head - prof_off(&k->prof, F_CTX_GlobalList);
	} else {
		err_set(e, rc, "out of memory");
	}
	free(n.see);
	free(r);
	return rc;
}

/* A queue's member leads to its first link here, to its head in a profile. */
bool infer_agrees(const struct inferred *n, const struct profile *p)
{
	for (size_t i = 0; i < n->n; i++) {
		enum prof_field f = n->member[i].field;

		if (f != F_CTX_BufferQueue && f != F_CTX_OverflowQueue && prof_type_of(f) == T_CTX &&
		    (!prof_has(p, f) || prof_off(p, f) != n->member[i].off))
			return false;
	}
	return n->n > 0;
}
