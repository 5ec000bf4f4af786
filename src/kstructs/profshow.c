/* profshow.c - see profshow.h */
#include "profshow.h"

#include <string.h>

#include "builtin.h"

#define TOOL "\"tool\": {\"name\": \"etlift\", \"version\": \"%s\"}"

static void put_text(struct buf *b, const char *key, const char *s, const char *after)
{
	if (s && *s)
		buf_printf(b, "\"%s\": \"%s\"%s", key, s, after);
	else
		buf_printf(b, "\"%s\": null%s", key, after);
}

static int done(const struct buf *b, struct err *e)
{
	return b->failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

/* ---- one profile ---- */
static void put_members(struct buf *b, const struct profile *p, enum prof_type t)
{
	const char *sep = "";

	for (int i = 0; i < PROF_FIELDS; i++) {
		const struct prof_member *m = &p->field[i];

		if (prof_type_of((enum prof_field)i) != t || m->off == PROF_ABSENT)
			continue;
		buf_printf(b, "%s\n   \"%s\": {\"offset\": %u", sep, prof_field_member((enum prof_field)i), m->off);
		if (m->bits)
			buf_printf(b, ", \"bit\": %u, \"bits\": %u", m->bit, m->bits);
		buf_puts(b, "}");
		sep = ",";
	}
}

static bool has_type(const struct profile *p, enum prof_type t)
{
	for (int i = 0; i < PROF_FIELDS; i++)
		if (prof_type_of((enum prof_field)i) == t && p->field[i].off != PROF_ABSENT)
			return true;
	return p->size[t] != 0;
}

static void put_trait_value(struct buf *b, const struct profile *p, size_t i)
{
	uint32_t v = prof_trait_get(&p->traits, i);

	if (prof_trait_kind(i) == TRAIT_BOOL)
		buf_puts(b, v ? "true" : "false");
	else
		buf_printf(b, "%u", v);
}

int profshow_json(const struct profile *p, const char *from, const char *tool_version, struct buf *b, struct err *e)
{
	const char *sep = "";
	char guid[GUID_STR];

	buf_printf(b, "{\"schema\": \"etlift/profile/1\", " TOOL ",\n", tool_version);
	put_text(b, "name", p->name, ", ");
	put_text(b, "from", from, ", ");
	put_text(b, "version", p->version, ", ");
	buf_printf(b, "\"build\": %u, \"arch\": \"%s\", \"pointer_size\": %u,\n \"pdb\": ", p->build, prof_arch_name(p->arch),
		   p->pointer_size);
	guid_text(&p->guid, guid);
	if (p->has_guid)
		buf_printf(b, "{\"name\": \"%s\", \"guid\": \"%s\", \"age\": %u},\n", p->pdb, guid, p->age);
	else
		buf_puts(b, "null,\n");
	buf_puts(b, " \"types\": {");
	for (int t = 0; t < PROF_TYPES; t++) {
		if (!has_type(p, (enum prof_type)t))
			continue;
		buf_printf(b, "%s\n  \"%s\": {\"size\": ", sep, prof_type_name((enum prof_type)t));
		if (p->size[t])
			buf_printf(b, "%u", p->size[t]);
		else
			buf_puts(b, "null");
		buf_puts(b, ", \"members\": {");
		put_members(b, p, (enum prof_type)t);
		buf_puts(b, "}}");
		sep = ",";
	}
	buf_puts(b, "},\n \"symbols\": {");
	sep = "";
	for (int s = 0; s < PROF_SYMBOLS; s++) {
		if (!p->symbol[s])
			continue;
		buf_printf(b, "%s\n  \"%s\": \"0x%llx\"", sep, prof_symbol_name((enum prof_symbol)s), (unsigned long long)p->symbol[s]);
		sep = ",";
	}
	buf_puts(b, "},\n \"traits\": {");
	for (size_t i = 0; i < prof_trait_count(); i++) {
		buf_printf(b, "%s\n  \"%s\": ", i ? "," : "", prof_trait_name(i));
		put_trait_value(b, p, i);
	}
	buf_puts(b, "}}\n");
	return done(b, e);
}

int profshow_text(const struct profile *p, struct buf *b, struct err *e)
{
	char guid[GUID_STR];

	buf_printf(b, "%s\n", p->name);
	buf_printf(b, "build %u, %s, version %s\n", p->build, prof_arch_name(p->arch), p->version[0] ? p->version : "unknown");
	guid_text(&p->guid, guid);
	if (p->has_guid)
		buf_printf(b, "PDB %s, GUID %s, age %u\n", p->pdb, guid, p->age);
	for (int t = 0; t < PROF_TYPES; t++) {
		if (!has_type(p, (enum prof_type)t))
			continue;
		buf_printf(b, "\n%s", prof_type_name((enum prof_type)t));
		buf_printf(b, p->size[t] ? " (0x%x bytes)\n" : "\n", p->size[t]);
		for (int i = 0; i < PROF_FIELDS; i++) {
			const struct prof_member *m = &p->field[i];

			if (prof_type_of((enum prof_field)i) != (enum prof_type)t || m->off == PROF_ABSENT)
				continue;
			buf_printf(b, "  0x%04x  %s", m->off, prof_field_member((enum prof_field)i));
			if (m->bits)
				buf_printf(b, " (bit %u, %u)", m->bit, m->bits);
			buf_puts(b, "\n");
		}
	}
	buf_puts(b, "\nsymbols\n");
	for (int s = 0; s < PROF_SYMBOLS; s++)
		if (p->symbol[s])
			buf_printf(b, "  0x%08llx  %s\n", (unsigned long long)p->symbol[s], prof_symbol_name((enum prof_symbol)s));
	buf_puts(b, "\ntraits\n");
	for (size_t i = 0; i < prof_trait_count(); i++) {
		buf_printf(b, "  %s = ", prof_trait_name(i));
		put_trait_value(b, p, i);
		buf_puts(b, "\n");
	}
	return done(b, e);
}

/* ---- the list ---- */
typedef void put_file_fn(struct buf *b, const struct proffile *pf, bool *first);

static void text_file(struct buf *b, const struct proffile *pf, bool *first)
{
	struct profile p;

	(void)first;
	for (size_t i = 0; i < pf->n_k; i++) {
		proffile_view_kernel(pf, i, &p);
		buf_printf(b, "%-70s  %-16s  %-20s  %s\n", p.name, p.version, pf->k[i].os, pf->v[pf->k[i].variant].name);
	}
	for (size_t i = 0; i < pf->n_v; i++) {
		proffile_view_variant(pf, i, &p);
		buf_printf(b, "%-70s  %-16s  %-20s  %s\n", p.name, "", "layout", pf->v[i].source);
	}
}

static void json_file(struct buf *b, const struct proffile *pf, bool *first)
{
	struct profile p;

	for (size_t i = 0; i < pf->n_k + pf->n_v; i++) {
		const struct prof_kernel *k = i < pf->n_k ? &pf->k[i] : NULL;
		const struct prof_variant *v = k ? &pf->v[k->variant] : &pf->v[i - pf->n_k];
		char guid[GUID_STR];

		if (k)
			proffile_view_kernel(pf, i, &p);
		else
			proffile_view_variant(pf, i - pf->n_k, &p);
		buf_printf(b, "%s\n {\"name\": \"%s\", \"build\": %u, \"arch\": \"%s\", ", *first ? "" : ",", p.name, p.build,
			   prof_arch_name(p.arch));
		put_text(b, "version", k ? k->version : NULL, ", ");
		put_text(b, "os", k ? k->os : NULL, ", ");
		put_text(b, "variant", v->name, ", ");
		put_text(b, "source", v->source, ", ");
		guid_text(&p.guid, guid);
		if (k)
			buf_printf(b, "\"pdb\": {\"name\": \"%s\", \"guid\": \"%s\", \"age\": %u}}", p.pdb, guid, p.age);
		else
			buf_puts(b, "\"pdb\": null}");
		*first = false;
	}
}

static int each_file(uint32_t build, put_file_fn *put, struct buf *out, struct err *e)
{
	bool first = true;

	for (size_t i = 0; i < builtin_count(); i++) {
		struct proffile *pf;
		enum vm_arch arch;
		struct buf text;
		uint32_t b;
		int r;

		if (!builtin_build(i, &b, &arch) || (build && b != build))
			continue;
		buf_init(&text);
		r = builtin_text(i, &text, e);
		if (!r)
			r = proffile_parse(&pf, (const char *)text.p, text.n, e);
		buf_free(&text);
		if (r)
			return r;
		put(out, pf, &first);
		proffile_free(pf);
	}
	return 0;
}

int proflist_json(uint32_t build, const char *tool_version, struct buf *b, struct err *e)
{
	int r;

	buf_printf(b, "{\"schema\": \"etlift/profiles/1\", " TOOL ",\n\"profiles\": [", tool_version);
	r = each_file(build, json_file, b, e);
	buf_puts(b, "]}\n");
	return r ? r : done(b, e);
}

int proflist_text(uint32_t build, struct buf *b, struct err *e)
{
	int r = each_file(build, text_file, b, e);

	return r ? r : done(b, e);
}
