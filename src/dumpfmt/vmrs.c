/* vmrs.c - Hyper-V's saved states and checkpoints (.vmrs, and .vsv of the same form): guest memory in blocks of 1 MiB, each a value of the key-value
 * store (hvstore.h). Facts: docs/formats/vmrs.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "chunkcache.h"
#include "dumpfmt.h"
#include "hvstore.h"
#include "late.h"
#include "rd.h"
#include "xpress.h"

#define PAGE        4096u
#define BLOCK       (1u << 20)
#define BLOCK_PAGES (BLOCK / PAGE)
#define BLOCKS_MAX  (1u << 26) /* 64 TiB */
#define RANGES_MAX  1024u
#define FRAMES_MAX  (UINT64_C(1) << 40)
#define STATE_MAX   (64u << 20)

enum { TAG_END = -1, TAG_FILL = -2, TAG_FILLS = -3, TAG_SIZED = -4 };
enum { CHUNK_CONTROL = 0x30007000, CHUNK_TABLES = 0x3000a000, CHUNK_MSRS = 0x3000b000, CHUNK_EPILOG = -0x10000000 };

struct block {
	uint64_t number, off;
	uint32_t len;
};

struct range { /* of guest memory */
	uint64_t pfn, pages;
	uint64_t at; /* its first page in the row of all blocks' pages */
};

struct vmrs {
	struct dump *d;
	struct input *in;
	struct block *v; /* by number */
	size_t n, cap;
	struct range *range; /* by address, apart */
	size_t n_ranges, cap_ranges;
	struct hvstore_value state; /* of the processors */
	struct chunkcache *cache;
	struct late late;
};

static bool probe(const uint8_t *head, size_t n)
{
	return (n >= 4 && le32(head) == HVSTORE_SIGNATURE) || (n >= 0x1004 && le32(head + 0x1000) == HVSTORE_SIGNATURE);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------------------------- */

/* `name` is `prefix` and a number. */
static bool numbered(const char *name, size_t n, const char *prefix, uint64_t *number)
{
	size_t k = strlen(prefix);

	if (n <= k || n > k + 18 || memcmp(name, prefix, k) != 0)
		return false;
	for (*number = 0; k < n; k++) {
		if (name[k] < '0' || name[k] > '9')
			return false;
		*number = *number * 10 + (uint64_t)(name[k] - '0');
	}
	return true;
}

static int add_block(struct vmrs *x, uint64_t number, const struct hvstore_value *v, struct err *e)
{
	void *arr = x->v;

	if (x->n >= BLOCKS_MAX)
		return err_set(e, ERR_LIMIT, "Hyper-V saved state: more than %u blocks of memory", BLOCKS_MAX);
	if (arr_reserve(&arr, &x->cap, x->n, sizeof(*x->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	x->v = arr;
	x->v[x->n++] = (struct block){number, v->off, v->len};
	return 0;
}

static int add_range(struct vmrs *x, const struct hvstore_value *v, struct err *e)
{
	uint8_t b[32];
	void *arr = x->range;
	struct range r;

	if (v->len < sizeof(b) || input_read_all(x->in, v->off, b, sizeof(b), NULL) < 0 || x->n_ranges >= RANGES_MAX)
		return 0;
	r = (struct range){le64(b + 24), le64(b + 8), le64(b + 16)};
	if (!r.pages || r.pages > FRAMES_MAX || r.pfn > FRAMES_MAX || r.at > FRAMES_MAX) {
		notes_add(x->d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, v->off, v->len),
			  "Hyper-V saved state: a range of %llu pages at page %llu can't be", (unsigned long long)r.pages,
			  (unsigned long long)r.pfn);
		return 0;
	}
	if (arr_reserve(&arr, &x->cap_ranges, x->n_ranges, sizeof(*x->range)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	x->range = arr;
	x->range[x->n_ranges++] = r;
	return 0;
}

static int on_key(void *ctx, const char *name, size_t n, const struct hvstore_value *v, struct err *e)
{
	struct vmrs *x = ctx;
	uint64_t number;

	if (numbered(name, n, "RamBlock", &number))
		return add_block(x, number, v, e);
	if (numbered(name, n, "RamMemoryBlock", &number))
		return add_range(x, v, e);
	if (n == 15 && memcmp(name, "partition_state", 15) == 0)
		x->state = *v;
	return 0;
}

/* ---- one block -------------------------------------------------------------------------------------------------------------------------------- */

/* A page (or less) of `want` bytes out of p[0, len): stored, or plain XPRESS. */
static bool put_page(const uint8_t *p, uint32_t len, uint8_t *out, uint32_t want)
{
	int broken = 0;

	if (len == want) {
		memcpy(out, p, want);
		return true;
	}
	return len < want && xpress_unpack_some(p, len, out, want, &broken) == want;
}

static void fill(uint8_t *out, uint32_t n, const uint8_t pattern[8])
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = pattern[i % 8];
}

/* A row of tagged pages. Returns the bytes made before something that can't be; *whole: there was nothing such. */
static uint32_t unpack_pages(const uint8_t *p, uint32_t n, uint8_t *out, bool *whole)
{
	uint32_t at = 0, made = 0;

	*whole = false;
	while (made < BLOCK && n - at >= 4) {
		int32_t tag = (int32_t)le32(p + at);
		uint32_t room = BLOCK - made, want = PAGE < room ? PAGE : room, len = (uint32_t)tag;

		at += 4;
		if (tag == TAG_END)
			break;
		if (tag == TAG_FILL || tag == TAG_FILLS) {
			uint64_t pages = 1;

			if (n - at < (tag == TAG_FILL ? 8u : 12u))
				return made;
			pages = tag == TAG_FILL ? 1 : le32(p + at + 8);
			if (pages * PAGE > room)
				return made;
			fill(out + made, (uint32_t)pages * PAGE, p + at);
			made += (uint32_t)pages * PAGE;
			at += tag == TAG_FILL ? 8 : 12;
			continue;
		}
		if (tag == TAG_SIZED) {
			if (n - at < 8)
				return made;
			want = le32(p + at);
			len = le32(p + at + 4);
			at += 8;
		}
		if (!len || len > want || want > room || len > n - at || !put_page(p + at, len, out + made, want))
			return made;
		at += len;
		made += want;
	}
	*whole = made == BLOCK || n - at < 4;
	return made;
}

static int64_t load(void *ctx, uint64_t i, uint8_t *buf, struct err *e)
{
	struct vmrs *x = ctx;
	const struct block *b = &x->v[i];
	uint8_t *p;
	uint32_t made;
	bool whole;
	int rc, broken = 0;

	if (b->len == BLOCK)
		return input_read(x->in, b->off, buf, BLOCK, e);
	p = malloc(b->len);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(x->in, b->off, p, b->len, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	made = unpack_pages(p, b->len, buf, &whole);
	if (!whole) { /* as the documentation has it: one stream */
		uint8_t *one = malloc(BLOCK);

		if (one && xpress_unpack_some(p, b->len, one, BLOCK, &broken) == BLOCK) {
			memcpy(buf, one, BLOCK);
			made = BLOCK;
			whole = true;
		}
		free(one);
	}
	free(p);
	if (!whole)
		late_hit(&x->late, i, b->off);
	return made - made % PAGE;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------------------------- */

/* The first block whose number is not below this one. */
static size_t block_of(const struct vmrs *x, uint64_t number)
{
	size_t lo = 0, hi = x->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->v[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct range *range_of(const struct vmrs *x, uint64_t pfn)
{
	size_t lo = 0, hi = x->n_ranges;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->range[mid].pfn <= pfn)
			lo = mid;
		else
			hi = mid;
	}
	return &x->range[lo];
}

static int read_pages(void *ctx, uint64_t pa, void *buf, size_t len)
{
	struct vmrs *x = ctx;
	uint8_t *out = buf;

	while (len) {
		const struct range *r = range_of(x, pa / PAGE);
		uint64_t end = (r->pfn + r->pages) * PAGE, at = (r->at + pa / PAGE - r->pfn) * PAGE + pa % PAGE;
		size_t i = block_of(x, at / BLOCK), in = (size_t)(at % BLOCK), n = BLOCK - in < len ? BLOCK - in : len;

		if (pa < r->pfn * PAGE || pa >= end || i == x->n || x->v[i].number != at / BLOCK)
			return ERR_FAULT;
		if (end - pa < n)
			n = (size_t)(end - pa);
		if (chunkcache_read(x->cache, i, in, out, n, NULL) != (int64_t)n)
			return ERR_FAULT;
		out += n;
		pa += n;
		len -= n;
	}
	return 0;
}

static void tell(void *ctx, struct notes *notes)
{
	struct vmrs *x = ctx;

	late_tell(&x->late, notes, "Hyper-V saved state", "blocks of memory that do not unpack");
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------------------------- */

static int by_block(const void *p, const void *q)
{
	const struct block *a = p, *b = q;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

static int by_address(const void *p, const void *q)
{
	const struct range *a = p, *b = q;

	if (a->pfn != b->pfn)
		return a->pfn < b->pfn ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* Each number and each address once. */
static void sort(struct vmrs *x)
{
	size_t n = 0;

	if (x->n)
		qsort(x->v, x->n, sizeof(*x->v), by_block);
	for (size_t i = 0; i < x->n; i++)
		if (!n || x->v[i].number != x->v[n - 1].number)
			x->v[n++] = x->v[i];
	x->n = n;
	if (x->n_ranges)
		qsort(x->range, x->n_ranges, sizeof(*x->range), by_address);
	n = 0;
	for (size_t i = 0; i < x->n_ranges; i++) {
		struct range r = x->range[i];
		uint64_t end = n ? x->range[n - 1].pfn + x->range[n - 1].pages : 0, cut = end > r.pfn ? end - r.pfn : 0;

		if (cut)
			notes_add(x->d->notes, &NOTE_AT(NOTE_RUN_OVERLAP, r.pfn * PAGE, (cut < r.pages ? cut : r.pages) * PAGE),
				  "two runs hold physical address 0x%llx: the first one is taken", (unsigned long long)r.pfn * PAGE);
		if (cut >= r.pages)
			continue;
		x->range[n++] = (struct range){r.pfn + cut, r.pages - cut, r.at + cut};
	}
	x->n_ranges = n;
}

/* The blocks of one range. *missing grows by the pages that no block holds. */
static int add_runs(struct vmrs *x, const struct range *r, uint64_t *missing, uint64_t *left, struct err *e)
{
	uint64_t end = r->at + r->pages, at = r->at;
	int rc = 0;

	for (size_t i = block_of(x, r->at / BLOCK_PAGES); rc == 0 && i < x->n && x->v[i].number * BLOCK_PAGES < end && *left;
	     i++, --*left) {
		uint64_t from = x->v[i].number * BLOCK_PAGES, to = from + BLOCK_PAGES;

		from = from > at ? from : at;
		to = to < end ? to : end;
		*missing += from - at;
		rc = phys_add(x->d->phys, (r->pfn + from - r->at) * PAGE, (to - from) * PAGE, read_pages, x, e);
		at = to;
	}
	*missing += end - at;
	return rc;
}

static int add_all(struct vmrs *x, struct err *e)
{
	uint64_t missing = 0, left = 4 * (uint64_t)x->n + RANGES_MAX; /* a block belongs to one range, or two */
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < x->n_ranges; i++)
		rc = add_runs(x, &x->range[i], &missing, &left, e);
	if (rc == 0 && missing)
		notes_add(x->d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "Hyper-V saved state: %llu pages of guest memory are in no block",
			  (unsigned long long)missing);
	return rc;
}

/* The processors' registers: a row of chunks {u32 kind, u32 bytes, 8 bytes}. */
static void read_state(struct vmrs *x)
{
	uint32_t len = x->state.len < STATE_MAX ? x->state.len : STATE_MAX;
	uint8_t *p = len ? malloc(len) : NULL;
	struct rd r = rd_init(p, p && input_read_all(x->in, x->state.off, p, len, NULL) == 0 ? len : 0);
	uint64_t at = rd_u64(&r, 8) + 16;
	struct hint_cpu *c = NULL;

	while (rd_has(&r, at, 16)) {
		int32_t kind = (int32_t)rd_u32(&r, at);
		uint32_t n = rd_u32(&r, at + 4);

		at += 16;
		if (kind == CHUNK_EPILOG || !rd_has(&r, at, n))
			break;
		if (kind == CHUNK_CONTROL && n >= 48 && (c = hints_add_cpu(&x->d->hints)) != NULL) {
			c->has_cr3 = c->has_cr4 = true;
			c->cr3 = rd_u64(&r, at + 16);
			c->cr4 = rd_u64(&r, at + 24);
			if (rd_u64(&r, at + 40) >> 10 & 1) /* EFER: long mode */
				x->d->hints.machine = MACHINE_X64;
		} else if (kind == CHUNK_TABLES && n >= 16 && c) {
			c->has_idt = true;
			c->idt_base = rd_u64(&r, at + 8);
		} else if (kind == CHUNK_MSRS && n >= 16 && c) {
			c->has_kernel_gs = true;
			c->kernel_gs_base = rd_u64(&r, at + 8);
		}
		at += n;
	}
	free(p);
}

static void close_vmrs(struct dump *d)
{
	struct vmrs *x = d->state;

	if (!x)
		return;
	chunkcache_free(x->cache);
	late_free(&x->late);
	free(x->v);
	free(x->range);
	free(x);
}

static int open_vmrs(struct dump *d, struct err *e)
{
	struct vmrs *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	d->state = x;
	x->d = d;
	x->in = d->in;
	rc = hvstore_walk(d->in, d->notes, on_key, x, e);
	if (rc < 0)
		return rc;
	if (!x->n || !x->n_ranges)
		return err_set(e, ERR_NOIMAGE,
			       "a Hyper-V file without guest memory that can be read (cut short, a configuration, or of an old virtual "
			       "machine): give "
			       "the .vmrs of a saved state or checkpoint, or convert it on a Windows host with Hyper-V (vm2dmp)");
	sort(x);
	for (size_t i = 0; i < x->n && !d->compression[0]; i++)
		if (x->v[i].len != BLOCK)
			snprintf(d->compression, sizeof(d->compression), "xpress");
	rc = late_init(&x->late, x->n, e);
	if (rc == 0)
		rc = chunkcache_new(&x->cache, BLOCK, x->n, load, x, e);
	if (rc == 0)
		rc = add_all(x, e);
	d->late = tell;
	d->late_ctx = x;
	read_state(x);
	return rc;
}

const struct dumpfmt dumpfmt_vmrs = {"vmrs", probe, open_vmrs, close_vmrs};
