/* object.c - see object.h.
 *
 * Without symbols (a kernel known by its build only) the type table is found by its shape in the kernel's data, "Type" in slot 2 and
 * "Directory" in slot 3, and the cookie by the type objects: their own type is number 2. Before Windows 7 a header holds the address of its type,
 * and no table is needed. */
#include "object.h"

#include <stdlib.h>
#include <string.h>

#include "find.h"
#include "rd.h"

#define PAGE         4096u
#define IMAGE_MOST   UINT64_C(0x4000000)
#define TABLE_PAGES  4096u /* pages of handle entries of one process: 2^20 handles */
#define TYPE_NAME    64u
#define SECTIONS_MAX 96u
#define OTHERS_MAX   64u /* types that were looked at and are not the wanted one */

struct types {
	const struct kernel *k;
	uint64_t table; /* ObTypeIndexTable; 0 unknown */
	uint8_t cookie;
	uint32_t off_index, off_body;
	bool by_address; /* off_index is where the type's address stands */
	size_t ps;
};

static bool types_init(struct types *t, const struct kernel *k)
{
	const struct profile *p = &k->prof;
	memset(t, 0, sizeof(*t));
	t->by_address = k->has_profile && prof_has(p, F_OHDR_Type);
	if (!k->has_profile || !(prof_has(p, F_OHDR_TypeIndex) || t->by_address) || !prof_has(p, F_OHDR_Body))
		return false;
	t->k = k;
	t->off_index = prof_off(p, t->by_address ? F_OHDR_Type : F_OHDR_TypeIndex);
	t->off_body = prof_off(p, F_OHDR_Body);
	t->ps = vm_pointer_size(k->vm);
	return true;
}

static bool raw_index(const struct types *t, uint64_t body, uint8_t *out)
{
	uint64_t hdr = body - t->off_body;
	uint8_t b;

	if (vm_read(t->k->vm, hdr + t->off_index, &b, 1) < 0)
		return false;
	*out = t->k->prof.traits.type_index_encoded ? (uint8_t)(b ^ (hdr >> 8 & 0xff)) : b;
	return true;
}

static bool type_name_is(const struct types *t, uint64_t type, const char *name)
{
	uint8_t b[TYPE_NAME];
	size_t n, want = strlen(name);

	if (kread_unicode(t->k, type, F_OTYPE_Name, b, sizeof(b), &n) != 0 || n != 2 * want)
		return false;
	for (size_t i = 0; i < want; i++)
		if (le16(b + 2 * i) != (uint8_t)name[i])
			return false;
	return true;
}

/* Slots 2 and 3 of the table stand at va. */
static bool table_here(const struct types *t, const uint8_t *p)
{
	uint64_t a = t->ps == 8 ? le64(p) : le32(p), b = t->ps == 8 ? le64(p + 8) : le32(p + 4);

	if (!vm_is_kernel(t->k->vm, a) || a % t->ps || a == b || !vm_is_kernel(t->k->vm, b) || b % t->ps)
		return false;
	return type_name_is(t, a, "Type") && type_name_is(t, b, "Directory");
}

/* Whatever a header claims: kernels have up to 32 MiB (docs/profiles.md), this much behind the base is looked at. Holes are passed in one step. */
static uint64_t table_between(const struct types *t, uint64_t from, uint64_t end)
{
	const struct kernel *k = t->k;
	uint8_t b[PAGE];

	if (from < k->base || from - k->base >= IMAGE_MOST)
		return 0;
	if (end - k->base > IMAGE_MOST)
		end = k->base + IMAGE_MOST;
	for (uint64_t at = from & ~(uint64_t)(PAGE - 1), step; at < end; at += step) {
		struct vm_page page;

		step = PAGE;
		vm_page(k->vm, at, &page);
		if (page.why != VM_OK) {
			step = page.page_size > PAGE ? page.page_size - (at & (page.page_size - 1)) : PAGE;
			continue;
		}
		if (vm_read(k->vm, at, b, PAGE) < 0)
			continue;
		for (size_t o = 0; o + 2 * t->ps <= PAGE; o += t->ps)
			if (table_here(t, b + o))
				return at + o - 2 * t->ps;
	}
	return 0;
}

static uint64_t search_table(const struct types *t)
{
	const struct kernel *k = t->k;
	uint64_t va, size, at;
	bool writable;

	for (unsigned i = 0; i < SECTIONS_MAX && kimage_section(k->vm, k->base, i, &va, &size, &writable); i++)
		if (writable && (at = table_between(t, va, va + size)))
			return at;
	return table_between(t, k->base, k->base + k->image_size);
}

/* The table, and the cookie. */
static bool types_ready(struct types *t)
{
	const struct kernel *k = t->k;
	uint64_t va, at;
	uint8_t b;

	if (!kernel_symbol(k, S_ObTypeIndexTable, &t->table))
		t->table = search_table(t);
	if (!t->table || !k->prof.traits.type_index_encoded)
		return t->table != 0;
	if (kernel_symbol(k, S_ObHeaderCookie, &va) && vm_read(k->vm, va, &b, 1) >= 0) {
		t->cookie = b;
		return true;
	}
	if (kread_ptr_at(k, t->table + 2 * t->ps, &at) < 0 || !raw_index(t, at, &b))
		return false;
	t->cookie = (uint8_t)(b ^ 2);
	return true;
}

static bool find_type(const struct types *t, const char *name, uint8_t *index)
{
	uint64_t at;

	for (unsigned i = 2; i < OBJECT_TYPES_MAX; i++) {
		if (kread_ptr_at(t->k, t->table + (uint64_t)i * t->ps, &at) < 0)
			return false;
		if (vm_is_kernel(t->k->vm, at) && type_name_is(t, at, name)) {
			*index = (uint8_t)i;
			return true;
		}
	}
	return false;
}

bool object_type_index(const struct kernel *k, const char *type, uint8_t *index)
{
	struct types t;

	return types_init(&t, k) && !t.by_address && types_ready(&t) && find_type(&t, type, index);
}

bool object_index_of(const struct kernel *k, uint64_t body, uint8_t *index)
{
	struct types t;
	uint8_t raw;

	if (!types_init(&t, k) || t.by_address || !types_ready(&t) || !raw_index(&t, body, &raw))
		return false;
	*index = (uint8_t)(raw ^ t.cookie);
	return true;
}

/* ---- handle tables ----------------------------------------------------------------------------------------------------------------- */

struct walk {
	struct types t;
	uint8_t index; /* wanted */
	const char *type;
	uint64_t type_va, other[OTHERS_MAX]; /* by address: the wanted one, once it was met, and others */
	unsigned n_others;
	struct object_ref ref;
	object_fn *fn;
	void *ctx;
	uint32_t pages, handles;
	uint32_t entry_size;
	const struct process *p;
	bool limit;
};

/* Body address of an entry's first word; 0: free. */
static uint64_t entry_body(const struct walk *w, uint64_t word)
{
	unsigned shift = w->t.k->prof.traits.handle_object_shift;
	uint64_t hdr;

	if (!word)
		return 0;
	if (!shift)
		hdr = word & ~UINT64_C(7);
	else if (w->t.ps == 8)
		hdr = (uint64_t)((int64_t)word >> (shift & 63)) << 4; /* Windows 8 keeps 45 bits of the address: the sign gives the rest */
	else
		hdr = (word >> (shift & 31) << 3) & UINT32_MAX;
	return vm_is_kernel(w->t.k->vm, hdr) ? hdr + w->t.off_body : 0;
}

static bool of_type_at(struct walk *w, uint64_t type)
{
	if (type == w->type_va || !vm_is_kernel(w->t.k->vm, type) || type % w->t.ps)
		return type && type == w->type_va;
	for (unsigned i = 0; i < w->n_others; i++)
		if (w->other[i] == type)
			return false;
	if (type_name_is(&w->t, type, w->type)) {
		w->type_va = type;
		return true;
	}
	w->other[w->n_others++ % OTHERS_MAX] = type;
	if (w->n_others > OTHERS_MAX)
		w->n_others = OTHERS_MAX;
	return false;
}

static bool wanted(struct walk *w, uint64_t body)
{
	uint64_t type;
	uint8_t raw;

	if (w->t.by_address)
		return kread_ptr_at(w->t.k, body - w->t.off_body + w->t.off_index, &type) == 0 && of_type_at(w, type);
	return raw_index(&w->t, body, &raw) && (uint8_t)(raw ^ w->t.cookie) == w->index;
}

static void missing(struct walk *w, uint64_t va)
{
	struct note n = NOTE_AT(NOTE_PAGE_MISSING, va, PAGE);

	notes_add(w->t.k->notes, &n, "a handle table page of process %llu", (unsigned long long)w->p->pid);
}

/* One page of entries; `base` = number of its first handle slot. */
static int entry_page(struct walk *w, uint64_t page, uint64_t base)
{
	uint8_t b[PAGE];
	uint32_t n = PAGE / w->entry_size;

	if (!vm_is_kernel(w->t.k->vm, page) || ++w->pages > TABLE_PAGES) {
		w->limit = w->limit || w->pages > TABLE_PAGES;
		return 0;
	}
	if (vm_read(w->t.k->vm, page, b, PAGE) < 0) {
		missing(w, page);
		return 0;
	}
	for (uint32_t i = 1; i < n; i++) { /* slot 0 of each page is the table's own */
		const uint8_t *p = b + (size_t)i * w->entry_size;
		uint64_t body = entry_body(w, w->t.ps == 8 ? le64(p) : le32(p));
		int rc;

		if (!body || !wanted(w, body))
			continue;
		w->ref.body = body;
		w->ref.handle = (uint32_t)((base + i) * 4);
		rc = w->fn(w->ctx, &w->ref);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* A page of pointers to entry pages (level 1), or to pages of those (level 2). */
static int pointer_page(struct walk *w, uint64_t page, unsigned level, uint64_t base)
{
	uint32_t per = (uint32_t)(PAGE / w->t.ps);
	uint8_t b[PAGE];
	int rc = 0;

	if (!vm_is_kernel(w->t.k->vm, page))
		return 0;
	if (vm_read(w->t.k->vm, page, b, PAGE) < 0) {
		missing(w, page);
		return 0;
	}
	for (uint32_t i = 0; i < per && rc == 0 && !w->limit; i++) {
		const uint8_t *p = b + (size_t)i * w->t.ps;
		uint64_t at = w->t.ps == 8 ? le64(p) : le32(p), slots = PAGE / w->entry_size;

		if (!at)
			break;
		if (level == 1)
			rc = entry_page(w, at, base + i * slots);
		else if (++w->pages > TABLE_PAGES)
			w->limit = true;
		else
			rc = pointer_page(w, at, 1, base + (uint64_t)i * per * slots);
	}
	return rc;
}

static int process_table(struct walk *w, const struct process *p)
{
	uint64_t code, page;
	int rc;

	w->p = p;
	w->pages = 0;
	w->limit = false;
	w->ref.process = p->va;
	w->ref.pid = p->pid;
	if (!p->object_table || !vm_is_kernel(w->t.k->vm, p->object_table))
		return 0;
	if (kread_ptr(w->t.k, p->object_table, F_HTABLE_TableCode, &code) != 0) {
		missing(w, p->object_table);
		return 0;
	}
	page = code & ~UINT64_C(7);
	switch (code & 3) {
	case 0:
		rc = entry_page(w, page, 0);
		break;
	case 1:
		rc = pointer_page(w, page, 1, 0);
		break;
	case 2:
		rc = pointer_page(w, page, 2, 0);
		break;
	default:
		rc = 0;
		break;
	}
	if (w->limit) {
		struct note n = NOTE_AT(NOTE_LIMIT_REACHED, p->object_table, 0);

		notes_add(w->t.k->notes, &n, "handle table of process %llu: more than %u pages", (unsigned long long)p->pid, TABLE_PAGES);
	}
	return rc;
}

int objects_find(const struct kernel *k, const struct process_list *procs, const char *type, object_fn *fn, void *ctx)
{
	struct walk w = {.fn = fn, .ctx = ctx, .type = type};

	if (!types_init(&w.t, k) || !prof_has(&k->prof, F_HTABLE_TableCode))
		return ERR_NOTFOUND;
	w.entry_size = prof_size(&k->prof, T_HENTRY) ? prof_size(&k->prof, T_HENTRY) : 2 * (uint32_t)w.t.ps;
	if (w.entry_size < w.t.ps || w.entry_size > 64 || (!w.t.by_address && (!types_ready(&w.t) || !find_type(&w.t, type, &w.index))))
		return ERR_NOTFOUND;
	for (size_t i = 0; i < procs->n; i++) {
		int rc = process_table(&w, &procs->v[i]);

		if (rc < 0)
			return rc;
	}
	return 0;
}
