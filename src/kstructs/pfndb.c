/* pfndb.c - see pfndb.h */
#include "pfndb.h"

#include <stdlib.h>
#include <string.h>

#include "addrset.h"
#include "find.h"
#include "rd.h"

#define PAGE        UINT64_C(4096)
#define KDBG_PFN    0xc0u                        /* MmPfnDatabase in KDBG (facts: dump formats) */
#define TOP_FIRST   UINT64_C(0xffff800000000000) /* where it stands: at the beginning of what an entry of the root maps */
#define TOP_STEP    (UINT64_C(1) << 39)
#define FRAME_BITS  36u    /* of u4.PteFrame; later builds have 40, for memories that nobody has */
#define ENTRY_MAX   0x100u /* bytes of an entry */
#define MARKS       7u     /* of PteAddress, where no address has bits: freed (bit 0), a lock (bit 0 of Windows 7 to 8.1) */
#define LOCATION    7u     /* bits of u3's third byte: */
#define L_FREE      1u
#define L_BAD       5u
#define PIECE       (64u << 10)         /* bytes of the database read at once */
#define PAGES_MAX   (UINT64_C(1) << 28) /* of memory: 1 TiB */
#define SPOTS       64u                 /* places in memory where it is tried, */
#define SPOT        64u                 /* with so many pages each */
#define LOOKS       16u                 /* places at which there must be anything */
#define RUNS_LOOKED 1024u
#define PROVES      16u        /* that must agree at least, */
#define PROVES_OF   4u         /* and one in so many of those that can */
#define CLAIMS_MAX  (1u << 21) /* pages that name lost tables */
#define VALID       1u
#define TRANSITION  0x800u
#define TABLE_FLAGS 0x67u /* of an entry that is built: present, write, user, accessed, dirty */

struct claim { /* a page that names a lost table */
	uint64_t entry, pa;
};

struct built {
	uint64_t pa;
	bool given;
	uint8_t *bytes; /* owned */
};

struct pfndb {
	const struct kernel *k;
	uint64_t base;
	uint32_t size, pte, u3, u4;
	uint64_t frame_mask; /* of frames that this memory can have */
	bool looked, looking, limited;
	struct built *table; /* owned; ascending by pa */
	size_t n_tables, n_given;
};

/* ---- entries ---------------------------------------------------------------------------------------------------------------------------- */

static bool parse(const struct pfndb *db, const uint8_t *b, uint64_t pa, struct pfn_page *out)
{
	uint64_t at = le64(b + db->pte), frame = le64(b + db->u4) & ((UINT64_C(1) << FRAME_BITS) - 1);
	unsigned location = b[db->u3 + 2] & LOCATION;

	if (!at || !frame || frame > db->frame_mask)
		return false;
	out->pa = pa;
	out->entry = frame * PAGE + (at & 0xff8);
	out->in_use = location > L_FREE && location != L_BAD && !(at & MARKS);
	return true;
}

bool pfndb_at(const struct pfndb *db, uint64_t pa, struct pfn_page *out)
{
	uint8_t b[ENTRY_MAX];

	return vm_read(db->k->vm, db->base + pa / PAGE * db->size, b, db->size) == 0 && parse(db, b, pa & ~(PAGE - 1), out);
}

/* Entries of the pages [pa, end). */
static int each_of(const struct pfndb *db, uint64_t pa, uint64_t end, uint8_t *b, pfndb_fn *fn, void *ctx)
{
	uint64_t most = PIECE / db->size;

	while (pa < end) {
		uint64_t n = (end - pa) / PAGE < most ? (end - pa) / PAGE : most;
		struct vm_missing missing;

		(void)vm_read_padded(db->k->vm, db->base + pa / PAGE * db->size, b, (size_t)(n * db->size), &missing, 1);
		for (uint64_t i = 0; i < n; i++, pa += PAGE) {
			struct pfn_page p;
			int rc = parse(db, b + i * db->size, pa, &p) ? fn(ctx, &p) : 0;

			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

int pfndb_each(const struct pfndb *db, pfndb_fn *fn, void *ctx)
{
	uint64_t left = PAGES_MAX * PAGE;
	uint8_t *b = malloc(PIECE);
	struct phys_run run;
	int rc = 0;

	if (!b)
		return ERR_NOMEM;
	for (size_t i = 0; rc == 0 && left && phys_run(db->k->phys, i, &run); i++) {
		uint64_t pa = (run.pa + PAGE - 1) & ~(PAGE - 1), end = (run.pa + run.len) & ~(PAGE - 1);

		if (end > pa && end - pa > left)
			end = pa + left;
		left -= end > pa ? end - pa : 0;
		rc = each_of(db, pa, end, b, fn, ctx);
	}
	free(b);
	return rc;
}

/* ---- does it bear itself out? ------------------------------------------------------------------------------------------------------------ */

static bool all_zeros(const uint8_t *b, size_t n)
{
	return b[0] == 0 && memcmp(b, b + 1, n - 1) == 0;
}

static bool lost(const struct phys *phys, uint64_t table)
{
	uint8_t b[PAGE];

	return phys_read(phys, table, b, PAGE) < 0 || all_zeros(b, PAGE);
}

int pfndb_agrees(const struct pfndb *db, const struct pfn_page *p)
{
	uint8_t b[8];
	uint64_t e;

	if (phys_read(db->k->phys, p->entry, b, 8) < 0)
		return 0;
	e = le64(b);
	if (!e)
		return lost(db->k->phys, p->entry & ~(PAGE - 1)) ? 0 : -1;
	/* the mask of software entries has only bits above all real memory */
	return (e & (VALID | TRANSITION)) && (e / PAGE & db->frame_mask) == p->pa / PAGE ? 1 : -1;
}

struct trial {
	const struct pfndb *db;
	unsigned agree, asked;
};

static int try_page(void *ctx, const struct pfn_page *p)
{
	struct trial *t = ctx;
	int says = p->in_use ? pfndb_agrees(t->db, p) : 0;

	t->asked += says != 0;
	t->agree += says > 0;
	return 0;
}

/* Samples from all over memory: some pages that follow each other at each of many places. */
static int sample(const struct pfndb *db, uint8_t *b, struct trial *t)
{
	uint64_t step = phys_bytes(db->k->phys) / SPOTS & ~(PAGE - 1), skip = 0;
	struct phys_run run;
	int rc = 0;

	for (size_t i = 0; rc == 0 && phys_run(db->k->phys, i, &run); i++) {
		uint64_t end = (run.pa + run.len) & ~(PAGE - 1), pa = (run.pa + skip + PAGE - 1) & ~(PAGE - 1);

		for (; rc == 0 && pa < end; pa += step ? step : end)
			rc = each_of(db, pa, end - pa < SPOT * PAGE ? end : pa + SPOT * PAGE, b, try_page, t);
		skip = pa > end ? pa - end : 0;
	}
	return rc;
}

/* Is there anything at the entries of pages from all over memory? Most places have nothing. */
static bool anything(const struct pfndb *db, uint64_t base)
{
	uint64_t step = phys_bytes(db->k->phys) / LOOKS & ~(PAGE - 1), skip = 0, pa;
	struct phys_run run;

	for (size_t i = 0; i < RUNS_LOOKED && phys_run(db->k->phys, i, &run); i++) {
		for (pa = run.pa + skip; pa < run.pa + run.len; pa += step ? step : run.len) {
			uint64_t at;

			if (vm_pa(db->k->vm, base + pa / PAGE * db->size, &at))
				return true;
		}
		skip = pa - (run.pa + run.len);
	}
	return false;
}

static bool proves(struct pfndb *db, uint64_t base)
{
	struct trial t = {.db = db};
	uint8_t *b;
	int rc;

	if (!vm_is_kernel(db->k->vm, base) || base % 8 || !anything(db, base))
		return false;
	b = malloc(PIECE);
	if (!b)
		return false;
	db->base = base;
	rc = sample(db, b, &t);
	free(b);
	return rc == 0 && t.agree >= PROVES && t.agree * PROVES_OF >= t.asked;
}

static bool find(struct pfndb *db)
{
	const struct kernel *k = db->k;
	uint64_t va, base;

	if (kernel_symbol(k, S_MmPfnDatabase, &va) && kread_ptr_at(k, va, &base) == 0 && proves(db, base))
		return true;
	va = kdbg_field(k, KDBG_PFN);
	if (va && kread_ptr_at(k, va, &base) == 0 && proves(db, base))
		return true;
	if (k->claimed_pfn_database && proves(db, k->claimed_pfn_database))
		return true;
	for (base = TOP_FIRST; base; base += TOP_STEP)
		if (proves(db, base))
			return true;
	return false;
}

static bool layout(struct pfndb *db)
{
	const struct profile *p = &db->k->prof;

	if (!db->k->has_profile || !prof_has(p, F_PFN_PteAddress) || !prof_has(p, F_PFN_u3) || !prof_has(p, F_PFN_u4))
		return false;
	db->size = prof_size(p, T_PFN);
	db->pte = prof_off(p, F_PFN_PteAddress);
	db->u3 = prof_off(p, F_PFN_u3);
	db->u4 = prof_off(p, F_PFN_u4);
	return db->size >= 8 && db->size <= ENTRY_MAX && db->pte <= db->size - 8 && db->u4 <= db->size - 8 && db->u3 <= db->size - 4;
}

int pfndb_open(struct pfndb **out, const struct kernel *k)
{
	enum vm_arch arch = vm_arch(k->vm);
	struct pfndb *db;

	if (arch != VM_X64 && arch != VM_X64_LA57)
		return ERR_NOTFOUND;
	db = calloc(1, sizeof(*db));
	if (!db)
		return ERR_NOMEM;
	db->k = k;
	for (db->frame_mask = 1; db->frame_mask < phys_end(k->phys) / PAGE;)
		db->frame_mask = db->frame_mask << 1 | 1;
	if (!layout(db) || !find(db)) {
		free(db);
		return ERR_NOTFOUND;
	}
	*out = db;
	return 0;
}

void pfndb_close(struct pfndb *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < db->n_tables; i++)
		free(db->table[i].bytes);
	free(db->table);
	free(db);
}

/* ---- lost page tables -------------------------------------------------------------------------------------------------------------------- */

struct search {
	struct pfndb *db;
	struct addrset whole, lost; /* tables */
	struct claim *v;            /* owned */
	size_t n, cap;
};

static int note_claim(void *ctx, const struct pfn_page *p)
{
	struct search *s = ctx;
	uint64_t table = p->entry & ~(PAGE - 1);

	if (!p->in_use || addrset_has(&s->whole, table))
		return 0;
	if (!addrset_has(&s->lost, table)) {
		bool gone = lost(s->db->k->phys, table);

		if (gone && s->lost.n == PFNDB_TABLES_MAX) {
			s->db->limited = true;
			return 0;
		}
		if (addrset_add(gone ? &s->lost : &s->whole, table) < 0)
			return ERR_NOMEM;
		if (!gone)
			return 0;
	}
	if (s->n == CLAIMS_MAX) {
		s->db->limited = true;
		return 0;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 512;
		struct claim *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return ERR_NOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct claim){p->entry, p->pa};
	return 0;
}

static int by_entry(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static int build(struct pfndb *db, const struct search *s)
{
	struct built *t = NULL;

	db->table = calloc(s->lost.n + 1, sizeof(*db->table));
	if (!db->table)
		return ERR_NOMEM;
	for (size_t i = 0, to; i < s->n; i = to) {
		uint64_t pa = s->v[i].entry & ~(PAGE - 1);

		for (to = i + 1; to < s->n && s->v[to].entry == s->v[i].entry;)
			to++;
		if (!t || t->pa != pa) {
			t = &db->table[db->n_tables];
			t->pa = pa;
			t->bytes = calloc(1, PFNDB_TABLE_BYTES);
			if (!t->bytes)
				return ERR_NOMEM;
			db->n_tables++;
		}
		if (to == i + 1)
			put_le64(t->bytes + s->v[i].entry % PAGE, s->v[i].pa | TABLE_FLAGS);
	}
	return 0;
}

const uint8_t *pfndb_table(struct pfndb *db, uint64_t pa)
{
	struct search s = {.db = db};
	size_t lo = 0, hi;

	if (db->looking) /* the database itself stands behind a lost table */
		return NULL;
	if (!db->looked) {
		db->looked = db->looking = true;
		if (pfndb_each(db, note_claim, &s) >= 0 && s.n) {
			qsort(s.v, s.n, sizeof(*s.v), by_entry);
			(void)build(db, &s);
		}
		addrset_free(&s.whole);
		addrset_free(&s.lost);
		free(s.v);
		db->looking = false;
	}
	for (hi = db->n_tables; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (db->table[mid].pa < pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == db->n_tables || db->table[lo].pa != pa)
		return NULL;
	db->n_given += !db->table[lo].given;
	db->table[lo].given = true;
	return db->table[lo].bytes;
}

size_t pfndb_n_tables(const struct pfndb *db)
{
	return db->n_given;
}

bool pfndb_limited(const struct pfndb *db)
{
	return db->limited;
}
