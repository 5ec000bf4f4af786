/* vm_mask.c - the mask of software PTEs learned from the entries themselves, for kernels whose symbols don't lead to it.
 *
 * An entry whose swizzle bit is clear has its place XORed with InvalidPteMask, whose bits all stand above real memory. A transition entry's
 * frame is real memory, so what stands above memory in it is the mask, the same in every one of them. */
#include <string.h>

#include "rd.h"
#include "vm_fmt.h"

#define PAGE        4096u
#define TABLES_MAX  8192u /* page tables looked at: 32 MiB */
#define VALUES_MAX  16u
#define VOTES_MIN   16u /* a few entries may be garbage */
#define AGREE_TENTH 9u

struct poll {
	struct {
		uint64_t value;
		uint32_t n;
	} v[VALUES_MAX];
	unsigned n_values;
	uint32_t votes;
};

static void vote(struct poll *p, const struct vm_traits *t, uint64_t e)
{
	uint64_t high = e >> t->memory_bits << t->memory_bits;

	if ((e & 1) || !(e >> t->transition_bit & 1) || (e >> t->prototype_bit & 1) || (e >> t->swizzle_bit & 1))
		return;
	p->votes++;
	for (unsigned i = 0; i < p->n_values; i++) {
		if (p->v[i].value == high) {
			p->v[i].n++;
			return;
		}
	}
	if (p->n_values < VALUES_MAX) {
		p->v[p->n_values].value = high;
		p->v[p->n_values++].n = 1;
	}
}

bool vm_learn_mask(struct vm *vm, uint64_t *mask)
{
	const struct vm_traits *t = vm_traits_of(vm);
	const struct vm_fmt *f = vm_fmt_of(vm_arch(vm));
	uint64_t table[VM_LEVELS_MAX], root = f->root(vm_dtb(vm));
	unsigned next[VM_LEVELS_MAX], level = 0, tables = 0;
	struct poll p;

	if (f->entry_size != 8 || !t->has_swizzle || t->memory_bits < 12 || t->memory_bits > 62 || t->swizzle_bit > 63)
		return false;
	memset(&p, 0, sizeof(p));
	table[0] = root;
	next[0] = 1u << (f->level[0].bits - 1); /* the kernel's half */
	for (;;) {
		unsigned n = 1u << f->level[level].bits;
		struct vm_ent ent;
		uint8_t b[8];
		uint64_t e;

		if (next[level] == n) {
			if (level-- == 0)
				break;
			continue;
		}
		if (!vm_entry_at(vm, table[level] + 8ull * next[level]++, b))
			continue;
		e = le64(b);
		if (level + 1 == f->n_levels) {
			vote(&p, t, e);
		} else if (f->hard(t, level, e, &ent) == ENT_TABLE && ent.pa != root && tables < TABLES_MAX) {
			tables++;
			table[++level] = ent.pa;
			next[level] = 0;
		}
	}
	for (unsigned i = 0; i < p.n_values; i++) {
		if (p.v[i].n >= VOTES_MIN && (uint64_t)p.v[i].n * 10 >= (uint64_t)p.votes * AGREE_TENTH) {
			*mask = p.v[i].value;
			return true;
		}
	}
	return false;
}
