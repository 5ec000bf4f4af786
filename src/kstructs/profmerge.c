/* profmerge.c - building profile files: from symbol files, by joining, and as text. See proffile.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proffile.h"

/* ---- layouts ---- */
static bool same_member(const struct prof_member *a, const struct prof_member *b)
{
	return a->off == b->off && a->bit == b->bit && a->bits == b->bits;
}

/* How far two layouts differ: members, sizes and traits that are not equal. */
static unsigned distance(const struct prof_variant *a, const struct prof_variant *b)
{
	unsigned n = 0;

	for (int i = 0; i < PROF_FIELDS; i++)
		n += !same_member(&a->field[i], &b->field[i]);
	for (int i = 0; i < PROF_TYPES; i++)
		n += a->size[i] != b->size[i];
	for (size_t i = 0; i < prof_trait_count(); i++)
		n += prof_trait_get(&a->traits, i) != prof_trait_get(&b->traits, i);
	return n;
}

/* Does `full` say all that `part` says? (Some sources list only part of a type's members.) */
static bool holds(const struct prof_variant *full, const struct prof_variant *part)
{
	for (int i = 0; i < PROF_FIELDS; i++) {
		if (part->field[i].off != PROF_ABSENT && !same_member(&full->field[i], &part->field[i]))
			return false;
	}
	for (int i = 0; i < PROF_TYPES; i++)
		if (part->size[i] && part->size[i] != full->size[i])
			return false;
	return true;
}

static int add_variant(struct proffile *pf, const struct prof_variant *v, size_t *at, struct err *e)
{
	for (size_t i = 0; i < pf->n_v; i++) {
		if (distance(&pf->v[i], v) == 0) {
			*at = i;
			return 0;
		}
	}
	if (pf->n_v == PROF_VARIANTS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d variants", PROF_VARIANTS_MAX);
	if (arr_reserve((void **)&pf->v, &pf->cap_v, pf->n_v, sizeof(*pf->v)))
		return err_set(e, ERR_NOMEM, "out of memory");
	pf->v[pf->n_v] = *v;
	*at = pf->n_v++;
	return 0;
}

static int add_kernel(struct proffile *pf, const struct prof_kernel *k, struct err *e)
{
	size_t i = 0;

	while (i < pf->n_k && !(guid_equal(&pf->k[i].guid, &k->guid) && pf->k[i].age == k->age))
		i++;
	if (i == pf->n_k) {
		if (pf->n_k == PROF_KERNELS_MAX)
			return err_set(e, ERR_LIMIT, "more than %d kernels", PROF_KERNELS_MAX);
		if (arr_reserve((void **)&pf->k, &pf->cap_k, pf->n_k, sizeof(*pf->k)))
			return err_set(e, ERR_NOMEM, "out of memory");
		pf->n_k++;
	}
	pf->k[i] = *k;
	return 0;
}

/* "10.0.19041.1466" -> "19041.1466" */
static const char *short_version(const char *version)
{
	const char *dot = strchr(version, '.');

	dot = dot ? strchr(dot + 1, '.') : NULL;
	return dot ? dot + 1 : version;
}

int proffile_add_source(struct proffile *pf, const struct prof_source *s, const struct prof_facts *f, struct err *e)
{
	struct prof_variant v;
	struct prof_kernel k;
	size_t at;
	int r;

	if (f->build != pf->build || s->arch != pf->arch)
		return err_set(e, ERR_USAGE, "build %u, %s does not belong into a file of build %u, %s", f->build, prof_arch_name(s->arch),
			       pf->build, prof_arch_name(pf->arch));
	memset(&v, 0, sizeof(v));
	r = prof_source_traits(s, f->build, &v.traits, e);
	if (r)
		return r;
	memcpy(v.field, s->field, sizeof(v.field));
	memcpy(v.size, s->size, sizeof(v.size));
	snprintf(v.source, sizeof(v.source), "%s", f->source ? f->source : "");
	if (!s->has_guid) /* known by structure only: the version names it */
		snprintf(v.name, sizeof(v.name), "s%.20s", short_version(f->version ? f->version : ""));
	r = add_variant(pf, &v, &at, e);
	if (r || !s->has_guid)
		return r;
	memset(&k, 0, sizeof(k));
	k.guid = s->guid;
	k.age = s->age;
	memcpy(k.pdb, s->pdb, sizeof(k.pdb));
	snprintf(k.version, sizeof(k.version), "%s", f->version ? f->version : "");
	snprintf(k.os, sizeof(k.os), "%s", f->os ? f->os : "");
	k.variant = at;
	memcpy(k.rva, s->rva, sizeof(k.rva));
	return add_kernel(pf, &k, e);
}

int proffile_merge(struct proffile *pf, const struct proffile *from, struct err *e)
{
	size_t map[PROF_VARIANTS_MAX];

	if (from->build != pf->build || from->arch != pf->arch)
		return err_set(e, ERR_USAGE, "build %u, %s does not belong into a file of build %u, %s", from->build,
			       prof_arch_name(from->arch), pf->build, prof_arch_name(pf->arch));
	for (size_t i = 0; i < from->n_v && i < PROF_VARIANTS_MAX; i++) {
		int r = add_variant(pf, &from->v[i], &map[i], e);

		if (r)
			return r;
	}
	for (size_t i = 0; i < from->n_k; i++) {
		struct prof_kernel k = from->k[i];
		int r;

		k.variant = map[k.variant];
		r = add_kernel(pf, &k, e);
		if (r)
			return r;
	}
	return 0;
}

/* ---- settling: order and names ---- */
static int by_version(const void *a, const void *b)
{
	const struct prof_kernel *x = a, *y = b;
	int c = prof_version_compare(x->version, y->version);

	if (!c)
		c = guid_compare(&x->guid, &y->guid);
	return c ? c : x->age < y->age ? -1 : x->age > y->age;
}

struct rank {
	size_t old, first; /* first kernel, or SIZE_MAX */
	const char *name;
};

static int by_rank(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->first == SIZE_MAX && strcmp(x->name, y->name) != 0)
		return prof_version_compare(x->name + (x->name[0] == 's'), y->name + (y->name[0] == 's')) < 0 ? -1 : 1;
	return x->old < y->old ? -1 : 1;
}

static bool useless(const struct proffile *pf, const bool *used, size_t i)
{
	if (used[i])
		return false;
	for (size_t j = 0; j < pf->n_v; j++)
		if (j != i && holds(&pf->v[j], &pf->v[i]) && (used[j] || j < i || !holds(&pf->v[i], &pf->v[j])))
			return true;
	return false;
}

/* Names v (which stands behind n_before named ones) `plain`, with a number when that is taken. */
static void name_variant(const struct proffile *pf, struct prof_variant *v, size_t n_before, const char *plain)
{
	char stem[24];
	size_t n = 0;

	for (; *plain && n + 1 < sizeof(stem); plain++, n++)
		stem[n] = (char)((*plain >= 'a' && *plain <= 'z') || (*plain >= 'A' && *plain <= 'Z') || (*plain >= '0' && *plain <= '9') ||
						 *plain == '.' || *plain == '-'
					 ? *plain
					 : '_');
	stem[n] = 0;
	snprintf(v->name, sizeof(v->name), "%s", n ? stem : "unnamed");
	for (unsigned again = 2; again <= PROF_VARIANTS_MAX + 1; again++) {
		size_t i = 0;

		while (i < n_before && strcmp(pf->v[i].name, v->name) != 0)
			i++;
		if (i == n_before)
			return;
		snprintf(v->name, sizeof(v->name), "%s_%u", n ? stem : "unnamed", again);
	}
}

int proffile_settle(struct proffile *pf, struct err *e)
{
	bool used[PROF_VARIANTS_MAX] = {false};
	size_t to[PROF_VARIANTS_MAX], n = 0;
	struct rank rank[PROF_VARIANTS_MAX];
	struct prof_variant *v = calloc(pf->n_v ? pf->n_v : 1, sizeof(*v));

	if (!v)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (pf->n_k)
		qsort(pf->k, pf->n_k, sizeof(*pf->k), by_version);
	for (size_t i = 0; i < pf->n_k; i++)
		used[pf->k[i].variant] = true;
	for (size_t i = 0; i < pf->n_v; i++) {
		size_t first = 0;

		if (useless(pf, used, i))
			continue;
		while (first < pf->n_k && pf->k[first].variant != i)
			first++;
		rank[n++] = (struct rank){i, first < pf->n_k ? first : SIZE_MAX, pf->v[i].name};
	}
	qsort(rank, n, sizeof(rank[0]), by_rank);
	for (size_t i = 0; i < n; i++) {
		v[i] = pf->v[rank[i].old];
		to[rank[i].old] = i;
	}
	memcpy(pf->v, v, n * sizeof(*v));
	free(v);
	pf->n_v = n;
	for (size_t i = 0; i < pf->n_k; i++)
		pf->k[i].variant = to[pf->k[i].variant];
	for (size_t i = 0; i < n; i++) {
		const struct prof_kernel *first = rank[i].first == SIZE_MAX ? NULL : &pf->k[rank[i].first];
		char plain[PROF_ID_STR];

		snprintf(plain, sizeof(plain), "%s", first ? short_version(first->version) : pf->v[i].name);
		if (first && !first->version[0])
			prof_id_text(&first->guid, first->age, plain);
		name_variant(pf, &pf->v[i], i, plain);
	}
	return 0;
}

/* ---- text ---- */
#define LINE 138 /* where a line of members is broken */

static void put_member(struct buf *b, const struct prof_member *m)
{
	if (m->off == PROF_ABSENT)
		buf_puts(b, "null");
	else if (m->bits)
		buf_printf(b, "\"0x%x:%u+%u\"", m->off, m->bit, m->bits);
	else
		buf_printf(b, "\"0x%x\"", m->off);
}

/* Appends `item` to a list that is broken into lines. */
static void put_item(struct buf *b, struct buf *item, size_t *line, bool *first)
{
	if (!*first)
		buf_puts(b, ",");
	if (!*first && b->n - *line + item->n > LINE) {
		buf_puts(b, "\n    ");
		*line = b->n;
	} else if (!*first) {
		buf_puts(b, " ");
	}
	buf_put(b, item->p, item->n);
	*first = false;
}

/* One type: what differs from the base (NULL: all that is there). Nothing when nothing does. */
static void put_type(struct buf *b, const struct prof_variant *v, const struct prof_variant *base, enum prof_type t, bool *first_type)
{
	static const struct prof_member absent = {PROF_ABSENT, 0, 0};
	bool size = base ? v->size[t] != base->size[t] : v->size[t] != 0, first = true;
	struct buf item;
	size_t start = b->n, line, head;

	buf_printf(b, "%s\n   \"%s\": {", *first_type ? "" : ",", prof_type_name(t));
	line = start + 1;
	if (size)
		buf_printf(b, "\"size\": \"0x%x\", ", v->size[t]);
	buf_puts(b, "\"members\": {");
	head = b->n;
	buf_init(&item);
	for (int i = 0; i < PROF_FIELDS; i++) {
		const struct prof_member *was = base ? &base->field[i] : &absent;

		if (prof_type_of((enum prof_field)i) != t || same_member(&v->field[i], was))
			continue;
		buf_clear(&item);
		buf_printf(&item, "\"%s\": ", prof_field_member((enum prof_field)i));
		put_member(&item, &v->field[i]);
		put_item(b, &item, &line, &first);
	}
	b->failed = b->failed || item.failed;
	buf_free(&item);
	if (b->n == head && !size) {
		b->n = start;
		return;
	}
	buf_puts(b, "}}");
	*first_type = false;
}

static void put_traits(struct buf *b, const struct prof_variant *v, const struct prof_variant *base)
{
	bool first = true;
	struct buf item;
	size_t start = b->n, line = b->n, head;

	buf_puts(b, ",\n  \"traits\": {");
	head = b->n;
	buf_init(&item);
	for (size_t i = 0; i < prof_trait_count(); i++) {
		uint32_t x = prof_trait_get(&v->traits, i);

		if (base && prof_trait_get(&base->traits, i) == x)
			continue;
		buf_clear(&item);
		if (prof_trait_kind(i) == TRAIT_BOOL)
			buf_printf(&item, "\"%s\": %s", prof_trait_name(i), x ? "true" : "false");
		else
			buf_printf(&item, "\"%s\": %u", prof_trait_name(i), x);
		put_item(b, &item, &line, &first);
	}
	b->failed = b->failed || item.failed;
	buf_free(&item);
	if (b->n == head)
		b->n = start;
	else
		buf_puts(b, "}");
}

/* The variant before this one that is nearest to it. NULL: it is the first. */
static const struct prof_variant *nearest(const struct proffile *pf, size_t i)
{
	const struct prof_variant *best = NULL;
	unsigned least = 0;

	for (size_t j = 0; j < i; j++) {
		unsigned d = distance(&pf->v[j], &pf->v[i]);

		if (!best || d <= least) {
			best = &pf->v[j];
			least = d;
		}
	}
	return best;
}

static void put_variant(struct buf *b, const struct proffile *pf, size_t i)
{
	const struct prof_variant *v = &pf->v[i], *base = nearest(pf, i);
	bool first = true;

	buf_printf(b, "%s\n {\"name\": \"%s\"", i ? "," : "", v->name);
	if (base)
		buf_printf(b, ", \"base\": \"%s\"", base->name);
	if (v->source[0])
		buf_printf(b, ", \"source\": \"%s\"", v->source);
	buf_puts(b, ",\n  \"types\": {");
	for (int t = 0; t < PROF_TYPES; t++)
		put_type(b, v, base, (enum prof_type)t, &first);
	buf_puts(b, "}");
	put_traits(b, v, base);
	buf_puts(b, "}");
}

static void put_kernels(struct buf *b, const struct proffile *pf)
{
	bool have[PROF_SYMBOLS] = {false}, first = true;
	struct buf item;
	size_t line = b->n;

	buf_init(&item);
	for (size_t i = 0; i < pf->n_k; i++)
		for (int s = 0; s < PROF_SYMBOLS; s++)
			have[s] = have[s] || pf->k[i].rva[s];
	buf_printf(b, ",\n\"pdb\": \"%s\",\n\"symbols\": [", pf->k[0].pdb);
	for (int s = 0; s < PROF_SYMBOLS; s++) {
		buf_clear(&item);
		buf_printf(&item, "\"%s\"", prof_symbol_name((enum prof_symbol)s));
		if (have[s])
			put_item(b, &item, &line, &first);
	}
	b->failed = b->failed || item.failed;
	buf_free(&item);
	buf_puts(b, "],\n\"kernels\": [");
	for (size_t i = 0; i < pf->n_k; i++) {
		const struct prof_kernel *k = &pf->k[i];
		char id[PROF_ID_STR];
		const char *gap = "";

		prof_id_text(&k->guid, k->age, id);
		buf_printf(b, "%s\n {\"id\": \"%s\", \"version\": \"%s\", \"os\": \"%s\", \"variant\": \"%s\"", i ? "," : "", id,
			   k->version, k->os, pf->v[k->variant].name);
		if (strcmp(k->pdb, pf->k[0].pdb) != 0)
			buf_printf(b, ", \"pdb\": \"%s\"", k->pdb);
		buf_puts(b, ",\n  \"rva\": \"");
		for (int s = 0; s < PROF_SYMBOLS; s++) {
			if (have[s] && k->rva[s])
				buf_printf(b, "%s%x", gap, k->rva[s]);
			else if (have[s])
				buf_printf(b, "%s-", gap);
			gap = have[s] ? " " : gap;
		}
		buf_puts(b, "\"}");
	}
	buf_puts(b, "]");
}

int proffile_write(const struct proffile *pf, struct buf *b, struct err *e)
{
	buf_printf(b, "{\n\"format\": \"etlift-profile/1\",\n\"build\": %u,\n\"arch\": \"%s\",\n\"variants\": [", pf->build,
		   prof_arch_name(pf->arch));
	for (size_t i = 0; i < pf->n_v; i++)
		put_variant(b, pf, i);
	buf_puts(b, "]");
	if (pf->n_k)
		put_kernels(b, pf);
	buf_puts(b, "\n}\n");
	return b->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}
