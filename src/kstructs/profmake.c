/* profmake.c - see profmake.h */
#include "profmake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "dirlist.h"
#include "outfile.h"
#include "path.h"
#include "symfile.h"
#include "unpack.h"

#define VERSIONS_FILE_MAX (4u << 20)

struct known { /* a line of the versions table */
	struct guid guid;
	uint32_t age;
	char version[24], os[32];
};

struct maker {
	const struct profmake_opts *o;
	struct proffile *file[PROFMAKE_FILES_MAX];
	size_t n_files;
	struct known *known;
	size_t n_known, cap_known;
};

/* ---- versions ---- */
static void copy_field(char *out, size_t cap, const char *s, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n && k + 1 < cap; i++)
		if (s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
			out[k++] = s[i];
	out[k] = 0;
}

static void version_line(struct known *k, const char *s, const char *end)
{
	const char *part[3] = {s, end, end}, *stop[3] = {end, end, end};
	int id = -1;

	for (int i = 0; i < 3 && s <= end; i++) {
		const char *tab = memchr(s, '\t', (size_t)(end - s));

		part[i] = s;
		stop[i] = tab ? tab : end;
		s = tab ? tab + 1 : end + 1;
	}
	for (int i = 0; i < 2 && id < 0; i++)
		if (prof_id_parse(part[i], (size_t)(stop[i] - part[i]), &k->guid, &k->age))
			id = i;
	k->version[0] = 0;
	if (id < 0)
		return;
	copy_field(k->version, sizeof(k->version), part[1 - id], (size_t)(stop[1 - id] - part[1 - id]));
	copy_field(k->os, sizeof(k->os), part[2], (size_t)(stop[2] - part[2]));
}

static int read_versions(struct maker *m, struct err *e)
{
	struct input *in;
	struct buf text;
	int r = input_open(&in, m->o->versions, e);

	if (r)
		return r;
	buf_init(&text);
	r = unpack_input(&text, in, VERSIONS_FILE_MAX, e);
	input_close(in);
	for (size_t at = 0; !r && at < text.n;) {
		const char *s = (const char *)text.p + at, *end = memchr(s, '\n', text.n - at);

		end = end ? end : (const char *)text.p + text.n;
		at = (size_t)(end - (const char *)text.p) + 1;
		if (m->n_known == PROFMAKE_VERSIONS_MAX)
			r = err_set(e, ERR_LIMIT, "more than %d lines", PROFMAKE_VERSIONS_MAX);
		else if (arr_reserve((void **)&m->known, &m->cap_known, m->n_known, sizeof(*m->known)))
			r = err_set(e, ERR_NOMEM, "out of memory");
		if (r)
			break;
		version_line(&m->known[m->n_known], s, end);
		m->n_known += m->known[m->n_known].version[0] != 0;
	}
	buf_free(&text);
	if (r)
		err_prepend(e, "%s", m->o->versions);
	return r;
}

static uint32_t build_of_version(const char *version)
{
	unsigned a, b, build;

	return sscanf(version, "%9u.%9u.%9u", &a, &b, &build) == 3 ? build : 0;
}

/* The version of a kernel that a built-in profile knows. */
static int builtin_version(const struct prof_source *s, struct known *out, struct err *e)
{
	struct proffile *pf;
	struct buf text;
	size_t file;
	int r;

	if (!builtin_find(&s->guid, s->age, &file))
		return 0;
	buf_init(&text);
	r = builtin_text(file, &text, e);
	if (!r)
		r = proffile_parse(&pf, (const char *)text.p, text.n, e);
	buf_free(&text);
	if (r)
		return r;
	for (size_t i = 0; i < pf->n_k; i++) {
		if (!guid_equal(&pf->k[i].guid, &s->guid) || pf->k[i].age != s->age)
			continue;
		memcpy(out->version, pf->k[i].version, sizeof(out->version));
		memcpy(out->os, pf->k[i].os, sizeof(out->os));
	}
	proffile_free(pf);
	return 0;
}

static int facts_of(const struct maker *m, const struct prof_source *s, struct known *k, uint32_t *build, struct err *e)
{
	memset(k, 0, sizeof(*k));
	if (s->has_guid && !m->o->version) {
		size_t i = 0;

		while (i < m->n_known && !(guid_equal(&m->known[i].guid, &s->guid) && m->known[i].age == s->age))
			i++;
		if (i < m->n_known)
			*k = m->known[i];
		else if (builtin_version(s, k, e))
			return e ? e->code : ERR_FORMAT;
	}
	if (m->o->version)
		copy_field(k->version, sizeof(k->version), m->o->version, strlen(m->o->version));
	if (m->o->os)
		copy_field(k->os, sizeof(k->os), m->o->os, strlen(m->o->os));
	*build = m->o->build ? m->o->build : build_of_version(k->version);
	if (!*build)
		return err_set(e, ERR_USAGE, "its build is not known: give --build N, or --versions TABLE");
	return prof_build_family(*build, build, e);
}

/* ---- joining ---- */
static int file_for(struct maker *m, uint32_t build, enum vm_arch arch, struct proffile **out, struct err *e)
{
	struct symfile f;
	struct buf path;
	int r = 0;

	for (size_t i = 0; i < m->n_files; i++) {
		if (m->file[i]->build == build && m->file[i]->arch == arch) {
			*out = m->file[i];
			return 0;
		}
	}
	if (m->n_files == PROFMAKE_FILES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d builds", PROFMAKE_FILES_MAX);
	r = proffile_new(out, build, arch, e);
	if (r)
		return r;
	m->file[m->n_files++] = *out;
	if (m->o->replace)
		return 0;
	buf_init(&path);
	buf_printf(&path, "%s/%u-%s.json", m->o->out, build, prof_arch_name(arch));
	if (path_is_file(buf_str(&path))) {
		r = symfile_open(&f, buf_str(&path), e);
		if (!r) {
			r = f.pf ? proffile_merge(*out, f.pf, e) : err_set(e, ERR_EXISTS, "%s: there, but no profile", buf_str(&path));
			symfile_close(&f);
		}
	}
	buf_free(&path);
	return r;
}

static int add_symbols(struct maker *m, const struct prof_source *s, const char *path, struct err *e)
{
	struct prof_facts facts = {0};
	struct proffile *pf;
	struct known k;
	int r;

	if (m->o->profiles_only)
		return err_set(e, ERR_USAGE, "a symbol file: merge takes profiles (profile make takes symbols)");
	r = facts_of(m, s, &k, &facts.build, e);
	if (!r)
		r = file_for(m, facts.build, s->arch, &pf, e);
	if (r)
		return r;
	facts.version = k.version;
	facts.os = k.os;
	facts.source = m->o->source ? m->o->source : path_base(path);
	return proffile_add_source(pf, s, &facts, e);
}

static int add_path(struct maker *m, const char *path, struct err *e)
{
	struct proffile *pf;
	struct symfile f;
	int r = symfile_open(&f, path, e);

	if (r)
		return r;
	if (f.syms)
		r = add_symbols(m, f.syms, path, e);
	else {
		r = file_for(m, f.pf->build, f.pf->arch, &pf, e);
		if (!r)
			r = proffile_merge(pf, f.pf, e);
	}
	symfile_close(&f);
	if (r)
		err_prepend(e, "%s", path);
	return r;
}

static int write_one(struct outdir *d, struct proffile *pf, struct err *e)
{
	struct outfile *f;
	struct buf text;
	char name[64];
	int r;

	snprintf(name, sizeof(name), "%u-%s.json", pf->build, prof_arch_name(pf->arch));
	buf_init(&text);
	r = proffile_settle(pf, e);
	if (!r)
		r = proffile_write(pf, &text, e);
	if (!r)
		r = outfile_create(&f, d, name, e);
	if (!r) {
		r = outfile_write(f, text.p, text.n, e);
		if (r)
			outfile_abort(f);
		else
			r = outfile_commit(f, e);
	}
	buf_free(&text);
	return r;
}

static int write_all(struct maker *m, struct profmake_done *done, struct err *e)
{
	struct outdir *d;
	int r = outdir_open(&d, m->o->out, true, e);

	if (r)
		return r;
	for (size_t i = 0; i < m->n_files && !r; i++) {
		r = write_one(d, m->file[i], e);
		done->n_files++;
		done->n_kernels += m->file[i]->n_k;
		done->n_variants += m->file[i]->n_v;
	}
	outdir_close(d);
	return r;
}

int profmake_run(const struct profmake_opts *o, const char *const *path, size_t n, struct profmake_done *done, struct err *e)
{
	struct maker *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return err_set(e, ERR_NOMEM, "out of memory");
	memset(done, 0, sizeof(*done));
	m->o = o;
	if (o->versions)
		r = read_versions(m, e);
	for (size_t i = 0; i < n && !r; i++)
		r = add_path(m, path[i], e);
	if (!r)
		r = write_all(m, done, e);
	for (size_t i = 0; i < m->n_files; i++)
		proffile_free(m->file[i]);
	free(m->known);
	free(m);
	return r;
}
