/* qevmblocks.c - see qevmblocks.h */
#include "qevmblocks.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

int qevmblocks_new(struct qevm_blocks *l, struct err *e)
{
	memset(l, 0, sizeof(*l));
	l->v = calloc(QEVM_BLOCKS_MAX, sizeof(*l->v));
	return l->v ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

void qevmblocks_free(struct qevm_blocks *l)
{
	for (size_t i = 0; l->v && i < l->n; i++)
		qevmmapped_free(&l->v[i].mapped);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

const struct qevm_block *qevmblocks_named(const struct qevm_blocks *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	return NULL;
}

/* Which blocks are the machine's memory: pc.ram, mach-virt.ram; else NUMA nodes one behind the other; else the largest one. */
static void choose_memory(struct qevm_blocks *l)
{
	struct qevm_block *most = NULL;

	l->ram = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct qevm_block *b = &l->v[i];

		if (strcmp(b->name, "pc.ram") == 0 || strcmp(b->name, "mach-virt.ram") == 0) {
			b->memory = true;
			l->ram = b->size;
			return;
		}
		if (!most || b->size > most->size)
			most = b;
	}
	for (size_t i = 0; i < l->n; i++) {
		struct qevm_block *b = &l->v[i];
		const char *name = strncmp(b->name, "/objects/", 9) == 0 ? b->name + 9 : b->name;

		if (strncmp(name, "ram-node", 8) != 0)
			continue;
		b->memory = true;
		b->base = l->ram;
		l->ram += b->size;
	}
	if (!l->ram && most) {
		most->memory = true;
		l->ram = most->size;
	}
}

/* Begins the block of an entry of the list, if one stands here: then *at is behind its name. Behind the last entry comes a record, whose first byte, the
 * highest of an offset, is 0: no name is empty. */
static bool begin_entry(struct qevm_block *b, struct input *in, uint64_t *at)
{
	uint8_t p[QEVM_NAME_MAX];
	int64_t n = input_read(in, *at, p, sizeof(p), NULL);

	if (n < 1 || p[0] == 0 || n <= p[0])
		return false;
	for (unsigned i = 1; i <= p[0]; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	memset(b, 0, sizeof(*b));
	memcpy(b->name, p + 1, p[0]);
	*at += 1u + p[0];
	return true;
}

/* The blocks do not add up to what the list says: one of its numbers lies. What a record says of its page holds: where memory is one block, pages go where
 * their records put them; where it is several, only the first one's place does not rest on sizes. */
static void doubt_sizes(struct qevm_blocks *l, uint64_t told, uint64_t total, uint64_t at, struct notes *notes)
{
	size_t n = 0;

	l->doubt = true;
	for (size_t i = 0; i < l->n; i++) {
		struct qevm_block *b = &l->v[i];

		n += b->memory;
		b->memory = b->memory && b->base == 0 && n == 1;
	}
	notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, at, 0),
		  "qevm: RAM has %llu bytes by the list of its blocks, %llu by their sizes; pages are where their records say%s",
		  (unsigned long long)total, (unsigned long long)told,
		  n > 1 ? ", but for memory behind the first of several blocks, which is left out" : "");
}

/* {u8 length, name, u64 size; with x-ignore-shared u64 address; with mapped-ram where its pages are, and these} until `total` bytes are told. A list
 * that breaks off has mapped pages already. */
bool qevmblocks_take(struct qevm_blocks *l, struct input *in, uint64_t before, uint64_t total, uint64_t *at, struct notes *notes)
{
	size_t size = l->addresses ? 16 : 8;
	uint64_t told = 0;
	bool whole = true;

	l->n = 0;
	l->doubt = false;
	while (whole && l->n < QEVM_BLOCKS_MAX) {
		struct qevm_block *b = &l->v[l->n];
		uint8_t p[16];

		if (!begin_entry(b, in, at) || input_read_all(in, *at, p, size, NULL) < 0)
			break;
		*at += size;
		b->size = be64(p);
		told += b->size;
		whole = !l->mapped || qevmmapped_take(&b->mapped, in, before, b->size, at);
		l->n++;
	}
	choose_memory(l);
	if (told != total && !l->mapped)
		doubt_sizes(l, told, total, *at, notes);
	return whole && l->n && (told == total || !l->mapped);
}
