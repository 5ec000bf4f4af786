/* kdumpparts.c - see kdumpparts.h */
#include "kdumpparts.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dirlist.h"
#include "path.h"
#include "rd.h"

#define HEADER 0x1d0u /* of the first block: the same bytes in every part */

void kdumpparts_range(struct kdump_part *p, const uint8_t *h, bool wide)
{
	p->split = le32(h + (wide ? 12 : 8)) != 0;
	p->from = le64(h + (wide ? 80 : 56)); /* version 6 */
	p->to = le64(h + (wide ? 88 : 64));
	if (p->to == 0) {
		p->from = wide ? le64(h + 16) : le32(h + 12);
		p->to = wide ? le64(h + 24) : le32(h + 16);
	}
}

bool kdumpparts_sound(const struct kdump_part *p, uint64_t max_pfn)
{
	return !p->split || (p->from < p->to && p->from < max_pfn);
}

struct parts {
	struct kdump_part *v;
	size_t n, cap;
};

static int keep(struct parts *t, const struct kdump_part *p, struct err *e)
{
	void *arr = t->v;

	if (arr_reserve(&arr, &t->cap, t->n, sizeof(*t->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	t->v = arr;
	t->v[t->n++] = *p;
	return 0;
}

/* The file is another part of the dump whose header is `want`. */
static bool is_part(struct input *in, const uint8_t *want, bool wide, uint32_t page, struct kdump_part *p)
{
	uint8_t h[HEADER], s[KDUMP_SUB_HEADER];

	if (input_read_all(in, 0, h, HEADER, NULL) < 0 || memcmp(h, want, HEADER) != 0 || input_read_all(in, page, s, sizeof(s), NULL) < 0)
		return false;
	kdumpparts_range(p, s, wide);
	return p->split;
}

static bool is_new(const struct parts *t, const struct kdump_part *p, uint64_t max_pfn)
{
	for (size_t i = 0; i < t->n; i++)
		if (p->from < t->v[i].to && t->v[i].from < p->to) /* a copy, or a part of another splitting */
			return false;
	return kdumpparts_sound(p, max_pfn);
}

static int by_from(const void *a, const void *b)
{
	const struct kdump_part *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static void tell_missing(struct dump *d, struct parts *t, uint64_t max_pfn, uint32_t page)
{
	uint64_t at = 0;

	qsort(t->v, t->n, sizeof(*t->v), by_from);
	for (size_t i = 0; i <= t->n; i++) {
		uint64_t to = i < t->n ? t->v[i].from : max_pfn;

		if (to > at)
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at * page, (to - at) * page),
				  "kdump: a part of a split dump: that of page frames 0x%llx to 0x%llx is not beside it",
				  (unsigned long long)at, (unsigned long long)(to - 1));
		if (i < t->n)
			at = t->v[i].to;
	}
}

/* What is done with another part that was found: takes `in` over. */
typedef int part_fn(void *ctx, struct input *in, struct err *e);

struct search {
	const char *own; /* its path */
	const uint8_t *want;
	bool wide;
	uint64_t max_pfn;
	uint32_t page;
	struct parts t;
	struct notes *notes;
	part_fn *found;
	void *ctx;
};

/* One file of the folder. */
static int look(struct search *s, const char *path, struct err *e)
{
	struct kdump_part p;
	struct input *in;
	int rc;

	if (!path_is_file(path) || path_same(path, s->own) || input_open(&in, path, NULL) < 0)
		return 0;
	if (!is_part(in, s->want, s->wide, s->page, &p) || !is_new(&s->t, &p, s->max_pfn)) {
		input_close(in);
		return 0;
	}
	rc = s->found(s->ctx, in, e);
	return rc < 0 ? rc : keep(&s->t, &p, e);
}

/* All files of the folder of `name`. */
static int look_beside(struct search *s, const char *name, struct err *e)
{
	size_t folder = (size_t)(path_base(name) - name);
	struct dirlist list = {0};
	struct buf path;
	int rc = 0;

	buf_init(&path);
	buf_put(&path, name, folder);
	buf_put(&path, folder ? "" : ".", folder ? 1 : 2);
	if (path.failed || dirlist_read(&list, (const char *)path.p, NULL) < 0)
		list.n = 0; /* no file: a pipe, bytes in memory */
	if (list.n > KDUMPPARTS_NAMES_MAX)
		notes_add(s->notes, &NOTE(NOTE_LIMIT_REACHED), "kdump: %zu files beside this part; %u are looked at", list.n,
			  KDUMPPARTS_NAMES_MAX);
	for (size_t i = 0; rc == 0 && i < list.n && i < KDUMPPARTS_NAMES_MAX && s->t.n < KDUMPPARTS_MAX; i++) {
		if (list.folder[i])
			continue;
		path.n = folder;
		buf_put(&path, list.name[i], strlen(list.name[i]) + 1);
		rc = path.failed ? err_set(e, ERR_NOMEM, "out of memory") : look(s, (const char *)path.p, e);
	}
	dirlist_free(&list);
	buf_free(&path);
	return rc;
}

static int look_everywhere(struct search *s, const struct kdump_part *own, struct err *e)
{
	char *target = path_target(s->own);
	int rc = keep(&s->t, own, e);

	if (rc == 0)
		rc = look_beside(s, s->own, e);
	if (rc == 0 && target)
		rc = look_beside(s, target, e);
	free(target);
	return rc;
}

int kdumpparts_find(struct dump *d, const struct kdump_part *own, uint64_t max_pfn, uint32_t page, part_fn *add, void *ctx, struct err *e)
{
	uint8_t want[HEADER];
	struct search s = {
		.own = input_name(d->in), .want = want, .max_pfn = max_pfn, .page = page, .notes = d->notes, .found = add, .ctx = ctx};
	int rc = input_read_all(d->in, 0, want, HEADER, e);

	if (rc == 0) {
		s.wide = le32(want + 0x1ac) == page;
		rc = look_everywhere(&s, own, e);
	}
	if (rc == 0)
		tell_missing(d, &s.t, max_pfn, page);
	free(s.t.v);
	return rc;
}

static bool is_page_size(uint32_t v)
{
	return v >= 4096 && v <= 65536 && (v & (v - 1)) == 0;
}

struct teller {
	void (*tell)(void *ctx, const char *path);
	void *ctx;
};

static int tell(void *ctx, struct input *in, struct err *e)
{
	const struct teller *t = ctx;

	(void)e;
	t->tell(t->ctx, input_name(in));
	input_close(in);
	return 0;
}

void kdumpparts_names(struct input *in, void (*fn)(void *ctx, const char *path), void *ctx)
{
	uint8_t want[HEADER], sub[KDUMP_SUB_HEADER];
	struct teller t = {fn, ctx};
	struct search s = {.own = input_name(in), .want = want, .max_pfn = UINT64_MAX, .found = tell, .ctx = &t};
	struct kdump_part own;

	if (input_read_all(in, 0, want, HEADER, NULL) < 0 || (memcmp(want, "KDUMP   ", 8) != 0 && memcmp(want, "DISKDUMP", 8) != 0))
		return;
	s.wide = is_page_size(le32(want + 0x1ac));
	s.page = le32(want + (s.wide ? 0x1ac : 0x1a0));
	if (!is_page_size(s.page) || input_read_all(in, s.page, sub, sizeof(sub), NULL) < 0)
		return;
	kdumpparts_range(&own, sub, s.wide);
	if (own.split)
		(void)look_everywhere(&s, &own, NULL);
	free(s.t.v);
}
