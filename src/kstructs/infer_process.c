/* infer_process.c - members of _EPROCESS where no table has them (ARM64), out of the process that every Windows has: System, pid 4.
 *
 * It is met twice, by the head of the process list and by the exported PsInitialSystemProcess; either alone is enough. UniqueProcessId stands right
 * before ActiveProcessLinks in every known layout. Nothing is taken that the next processes of the list contradict. */
#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "infer.h"
#include "rd.h"

#define SPAN       0x800u /* bytes of a process that are looked at */
#define DTB_FIRST  0x10u
#define DTB_LAST   0x100u
#define LOOKED     8u /* further processes */
#define NAME_BYTES 15u

struct seen {
	struct kernel *k;
	unsigned ps;
	uint64_t head, ep;
	uint8_t p[SPAN]; /* of System; what can't be read is 0 */
	uint32_t links;  /* offset of ActiveProcessLinks */
};

static uint64_t word(const struct seen *s, uint32_t at)
{
	return s->ps == 8 ? le64(s->p + at) : le32(s->p + at);
}

static bool maps_kernel(const struct kernel *k, uint64_t dtb)
{
	struct vm *vm;
	bool ok;

	if (dtb == 0 || vm_open(&vm, k->phys, vm_arch(k->vm), dtb, NULL) < 0)
		return false;
	ok = kernel_maps(k, vm);
	vm_close(vm);
	return ok;
}

static void load(struct seen *s)
{
	struct vm_missing hole[4];

	(void)vm_read_padded(s->k->vm, s->ep, s->p, SPAN, hole, 4);
}

/* Flink and Blink of a ring, and pid 4 before them. */
static bool links_at(const struct seen *s, uint32_t at)
{
	uint64_t flink = word(s, at), back;

	return word(s, at - s->ps) == 4 && vm_is_kernel(s->k->vm, flink) && kread_ptr_at(s->k, flink + s->ps, &back) == 0 &&
	       back == s->ep + at;
}

/* System by its exported pointer; the list's head, where it is known, must agree. */
static bool by_export(struct seen *s, uint64_t ep)
{
	uint64_t first;
	uint32_t at = 2 * s->ps;

	s->ep = ep;
	load(s);
	if (s->head && kread_ptr_at(s->k, s->head, &first) == 0 && first > ep && first - ep < SPAN - 2 * s->ps)
		at = (uint32_t)(first - ep);
	for (; at + 2 * s->ps <= SPAN; at += s->ps)
		if (links_at(s, at)) {
			s->links = at;
			return true;
		}
	return false;
}

/* System by the list alone: its root stands DTB bytes behind its start in every known layout, and maps this kernel. */
static bool by_head(struct seen *s)
{
	uint32_t dtb_off = s->ps == 8 ? 0x28 : 0x18;
	uint64_t first, v;

	if (!s->head || kread_ptr_at(s->k, s->head, &first) < 0 || !vm_is_kernel(s->k->vm, first))
		return false;
	for (uint32_t back = 0x40; back < SPAN - dtb_off; back += s->ps) {
		if (kread_ptr_at(s->k, first - back, &v) < 0 || v == 0 || v % 0x20 || !maps_kernel(s->k, v))
			continue;
		s->ep = first - back - dtb_off;
		s->links = back + dtb_off;
		load(s);
		return s->links + 2 * s->ps <= SPAN && links_at(s, s->links);
	}
	return false;
}

static bool printable(const uint8_t *name)
{
	unsigned n = 0;

	while (n < NAME_BYTES && name[n] >= 0x20 && name[n] < 0x7f)
		n++;
	return n > 0 && (n == NAME_BYTES || name[n] == 0);
}

/* How many of the next processes have, at `off`, what a test likes. */
static void ask_others(const struct seen *s, uint32_t off, bool (*test)(const struct seen *, uint64_t ep, uint32_t off), unsigned *agree,
		       unsigned *of)
{
	uint64_t at = s->ep + s->links, next;

	*agree = *of = 1; /* System itself */
	if (kread_ptr_at(s->k, at, &next) < 0)
		return;
	for (unsigned i = 0; i < LOOKED; i++) {
		at = next;
		if (!vm_is_kernel(s->k->vm, at) || at == s->head || at - s->k->base < s->k->image_size || at == s->ep + s->links ||
		    kread_ptr_at(s->k, at, &next) < 0)
			break;
		++*of;
		*agree += test(s, at - s->links, off);
	}
}

static bool has_pid(const struct seen *s, uint64_t ep, uint32_t off)
{
	uint64_t pid;

	return kread_ptr_at(s->k, ep + off, &pid) == 0 && pid && pid <= UINT32_MAX;
}

static bool has_links(const struct seen *s, uint64_t ep, uint32_t off)
{
	uint64_t at, back; /* one of its two links may be torn */

	if (kread_ptr_at(s->k, ep + off, &at) == 0 && kread_ptr_at(s->k, at + s->ps, &back) == 0 && back == ep + off)
		return true;
	return kread_ptr_at(s->k, ep + off + s->ps, &at) == 0 && kread_ptr_at(s->k, at, &back) == 0 && back == ep + off;
}

static bool has_name(const struct seen *s, uint64_t ep, uint32_t off)
{
	uint8_t b[NAME_BYTES];

	return vm_read(s->k->vm, ep + off, b, sizeof(b)) >= 0 && printable(b);
}

static bool has_root(const struct seen *s, uint64_t ep, uint32_t off)
{
	uint64_t v;

	return kread_ptr_at(s->k, ep + off, &v) == 0 && v != 0 && v % 0x20 == 0;
}

/* A handle table of this very process. */
static bool has_table(const struct seen *s, uint64_t ep, uint32_t off)
{
	uint64_t table, pid, want, code;

	if (kread_ptr_at(s->k, ep + off, &table) != 0 || !vm_is_kernel(s->k->vm, table) || table % s->ps)
		return false;
	return kread_ptr(s->k, table, F_HTABLE_UniqueProcessId, &pid) == 0 && kread_ptr_at(s->k, ep + s->links - s->ps, &want) == 0 &&
	       pid == want && kread_ptr(s->k, table, F_HTABLE_TableCode, &code) == 0 && vm_is_kernel(s->k->vm, code) && (code & 7) <= 2;
}

static bool take(struct seen *s, enum prof_field f, uint32_t off, bool (*test)(const struct seen *, uint64_t, uint32_t), unsigned others,
		 const char *how)
{
	struct inferred *n = s->k->inferred;
	unsigned agree = 0, of = 0;

	ask_others(s, off, test, &agree, &of);
	if (agree * 100 < of * INFER_AGREE || n->n == INFER_MEMBERS)
		return false;
	s->k->prof.field[f].off = off;
	s->k->prof.field[f].bits = 0;
	n->member[n->n++] = (struct infer_member){f, off, agree, of, others, how};
	return true;
}

static void find_name(struct seen *s)
{
	static const uint8_t want[NAME_BYTES] = "System";

	for (uint32_t at = s->ps; at + NAME_BYTES <= SPAN; at++)
		if (memcmp(s->p + at, want, NAME_BYTES) == 0 &&
		    take(s, F_EPROCESS_ImageFileName, at, has_name, 0, "the name of pid 4 is System"))
			return;
}

static void find_root(struct seen *s)
{
	for (uint32_t at = DTB_FIRST; at < DTB_LAST; at += s->ps)
		if ((word(s, at) == vm_dtb(s->k->vm) || maps_kernel(s->k, word(s, at))) &&
		    take(s, F_KPROCESS_DirectoryTableBase, at, has_root, 0, "System's page-table root maps this kernel"))
			return;
}

static void find_handles(struct seen *s)
{
	const struct profile *p = &s->k->prof;

	if (!prof_has(p, F_HTABLE_UniqueProcessId) || !prof_has(p, F_HTABLE_TableCode))
		return;
	if (prof_has(p, F_EPROCESS_ObjectTable) && has_table(s, s->ep, prof_off(p, F_EPROCESS_ObjectTable)))
		return;
	for (uint32_t at = 2 * s->ps; at + s->ps <= SPAN; at += s->ps)
		if (has_table(s, s->ep, at) && take(s, F_EPROCESS_ObjectTable, at, has_table, 0, "a handle table that names its process"))
			return;
}

void infer_process(struct kernel *k)
{
	struct seen s = {.k = k, .ps = vm_pointer_size(k->vm), .head = kernel_process_head(k)};
	struct inferred *n;
	uint64_t ep = kernel_system_process(k);

	if (prof_has(&k->prof, F_EPROCESS_ActiveProcessLinks) && prof_has(&k->prof, F_KPROCESS_DirectoryTableBase))
		return;
	if (!(ep && by_export(&s, ep)) && !by_head(&s))
		return;
	n = k->inferred ? k->inferred : calloc(1, sizeof(*n));
	if (!n)
		return;
	if (!k->inferred)
		n->roots = "processes";
	k->inferred = n;
	if (take(&s, F_EPROCESS_UniqueProcessId, s.links - s.ps, has_pid, 0, "System is pid 4") &&
	    take(&s, F_EPROCESS_ActiveProcessLinks, s.links, has_links, 0, "the ring of processes, right behind their numbers")) {
		k->prof.field[F_EPROCESS_Pcb] = (struct prof_member){0};
		find_root(&s);
		find_name(&s);
		find_handles(&s);
	}
	if (n->n == 0) {
		free(n);
		k->inferred = NULL;
	}
}
