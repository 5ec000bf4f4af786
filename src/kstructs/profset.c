/* profset.c - where profiles come from: files and folders that were given, then the built-in ones. See profile.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "dirlist.h"
#include "path.h"
#include "proffile.h"
#include "symfile.h"

#define GIVEN_MAX        10000 /* files kept of all --symbols */
#define FOLDER_DEPTH     4     /* symbols/windows/ntkrnlmp.pdb/GUIDAGE/ */
#define FOLDER_SCAN_MAX  2000  /* files whose name is no GUID-AGE that are opened to look */
#define FOLDER_BYTES_MAX 65536 /* longest path */

struct given {
	struct symfile f;
	char *path;
};

struct profset {
	struct given *given;
	size_t n_given, cap_given;
	char **folder;
	size_t n_folders, cap_folders;
	struct proffile **cache; /* built-in files that were unpacked, by number */
	bool no_builtin, no_builtin_build;
	uint32_t image_build; /* 0: not told yet */
};

int profset_new(struct profset **out, struct err *e)
{
	struct profset *s = calloc(1, sizeof(*s));

	if (s)
		s->cache = calloc(builtin_count() + 1, sizeof(struct proffile *));
	if (!s || !s->cache) {
		free(s);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	*out = s;
	return 0;
}

void profset_free(struct profset *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_given; i++) {
		symfile_close(&s->given[i].f);
		free(s->given[i].path);
	}
	for (size_t i = 0; i < s->n_folders; i++)
		free(s->folder[i]);
	for (size_t i = 0; i < builtin_count(); i++)
		proffile_free(s->cache[i]);
	free((void *)s->folder);
	free((void *)s->cache);
	free(s->given);
	free(s);
}

void profset_disable_builtin(struct profset *s)
{
	s->no_builtin = true;
}

void profset_disable_builtin_build(struct profset *s)
{
	s->no_builtin_build = true;
}

void profset_set_image_build(struct profset *s, uint32_t build)
{
	if (prof_build_family(build, &s->image_build, NULL))
		s->image_build = build;
}

/* ---- given files ---- */
static int add_file(struct profset *s, const char *path, size_t *at, struct err *e)
{
	struct given g;
	int r;

	for (size_t i = 0; i < s->n_given; i++) {
		if (strcmp(s->given[i].path, path) == 0) {
			*at = i;
			return 0;
		}
	}
	if (s->n_given == GIVEN_MAX)
		return err_set(e, ERR_LIMIT, "more than %d symbol files", GIVEN_MAX);
	if (arr_reserve((void **)&s->given, &s->cap_given, s->n_given, sizeof(*s->given)) || !(g.path = strdup(path)))
		return err_set(e, ERR_NOMEM, "out of memory");
	r = symfile_open(&g.f, path, e);
	if (r) {
		free(g.path);
		return r;
	}
	*at = s->n_given;
	s->given[s->n_given++] = g;
	return 0;
}

int profset_add_path(struct profset *s, const char *path, struct err *e)
{
	size_t at;
	char *copy;

	if (!path_is_folder(path))
		return add_file(s, path, &at, e);
	if (arr_reserve((void **)&s->folder, &s->cap_folders, s->n_folders, sizeof(*s->folder)) || !(copy = strdup(path)))
		return err_set(e, ERR_NOMEM, "out of memory");
	s->folder[s->n_folders++] = copy;
	return 0;
}

/* A profile made on the spot of a symbol file. */
static int view_symbols(const struct prof_source *src, uint32_t build, const char *path, struct profile *out, struct err *e)
{
	struct prof_facts facts = {build, NULL, NULL, path};
	struct proffile *pf;
	int r = prof_build_family(build, &facts.build, e);

	if (!r)
		r = proffile_new(&pf, facts.build, src->arch, e);
	if (r)
		return r;
	r = proffile_add_source(pf, src, &facts, e);
	if (!r && pf->n_k)
		proffile_view_kernel(pf, 0, out);
	else if (!r)
		proffile_view_variant(pf, 0, out);
	proffile_free(pf);
	return r;
}

static bool file_has(const struct proffile *pf, const struct guid *guid, uint32_t age, size_t *at)
{
	for (size_t i = 0; i < pf->n_k; i++) {
		if (guid_equal(&pf->k[i].guid, guid) && pf->k[i].age == age) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* ERR_NOTFOUND when this file has another kernel. */
static int given_find(const struct given *g, const struct guid *guid, uint32_t age, uint32_t build, struct profile *out, struct err *e)
{
	size_t k;

	if (g->f.pf) {
		if (!file_has(g->f.pf, guid, age, &k))
			return ERR_NOTFOUND;
		proffile_view_kernel(g->f.pf, k, out);
		return 0;
	}
	if (!g->f.syms->has_guid || !guid_equal(&g->f.syms->guid, guid) || g->f.syms->age != age)
		return ERR_NOTFOUND;
	return view_symbols(g->f.syms, build, g->path, out, e);
}

/* ---- given folders ---- */
struct want {
	struct profset *s;
	const struct guid *guid;
	uint32_t age, build;
	struct profile *out;
	const char **from;
	char id[PROF_ID_STR];     /* GUID-AGE: names of ISF files */
	char server[PROF_ID_STR]; /* GUIDAGE, age in hexadecimal: folders of a symbol server */
	size_t scanned;
};

static int try_file(struct want *w, const char *path, struct err *e)
{
	size_t at;
	int r = add_file(w->s, path, &at, e);

	if (!r)
		r = given_find(&w->s->given[at], w->guid, w->age, w->build, w->out, e);
	if (!r)
		*w->from = symfile_word(w->s->given[at].f.kind);
	return r;
}

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

static bool ends(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && same_name(s + n - m, tail);
}

static bool is_symbol_name(const char *name)
{
	return ends(name, ".json") || ends(name, ".json.xz") || ends(name, ".json.gz") || ends(name, ".pdb") || ends(name, ".pd_");
}

/* Does the file name begin with a GUID-AGE (any case)? *ours: it is the one that is wanted. */
static bool named_by_id(const char *name, const char *id, bool *ours)
{
	size_t n = strlen(id), i = 0;

	while (i < n && lower(name[i]) == lower(id[i]))
		i++;
	*ours = i == n && name[n] == '.';
	for (i = 0; i < 32; i++)
		if (!((name[i] >= '0' && name[i] <= '9') || (lower(name[i]) >= 'a' && lower(name[i]) <= 'f')))
			return false;
	return name[32] == '-';
}

/* One folder, by file name (by_name) or by looking into the files whose name says nothing. Depth is bounded, so is the number of files. */
static int search(struct want *w, const char *path, int depth, bool by_name, struct err *e)
{
	bool server = same_name(path_base(path), w->server);
	struct dirlist d;
	struct buf b;
	int r = dirlist_read(&d, path, e);

	if (r)
		return r == ERR_NOTFOUND || r == ERR_IO ? ERR_NOTFOUND : r;
	buf_init(&b);
	r = ERR_NOTFOUND;
	for (size_t i = 0; i < d.n && r == ERR_NOTFOUND; i++) {
		bool ours = false, id = named_by_id(d.name[i], w->id, &ours) || server;

		ours = ours || server;
		buf_clear(&b);
		buf_printf(&b, "%s/%s", path, d.name[i]);
		if (b.n > FOLDER_BYTES_MAX)
			continue;
		if (d.folder[i]) {
			if (depth + 1 < FOLDER_DEPTH)
				r = search(w, buf_str(&b), depth + 1, by_name, e);
			continue;
		}
		if (!is_symbol_name(d.name[i]) || (by_name ? !ours : id) || (!by_name && w->scanned == FOLDER_SCAN_MAX))
			continue;
		w->scanned += !by_name;
		r = try_file(w, buf_str(&b), NULL);
		if (r != 0 && r != ERR_NOMEM && !(by_name && ours))
			r = ERR_NOTFOUND; /* a bad file among others does not end the search */
		else if (r)
			r = try_file(w, buf_str(&b), e);
	}
	buf_free(&b);
	dirlist_free(&d);
	return r;
}

static int folders_find(struct want *w, struct err *e)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < w->s->n_folders; i++) {
			int r = search(w, w->s->folder[i], 0, pass == 0, e);

			if (r != ERR_NOTFOUND)
				return r;
		}
	}
	return ERR_NOTFOUND;
}

/* ---- built in ---- */
static int builtin_open(struct profset *s, size_t i, const struct proffile **out, struct err *e)
{
	struct buf text;
	int r;

	if (!s->cache[i]) {
		buf_init(&text);
		r = builtin_text(i, &text, e);
		if (!r)
			r = proffile_parse(&s->cache[i], (const char *)text.p, text.n, e);
		buf_free(&text);
		if (r) {
			err_prepend(e, "built-in profile %s", builtin_name(i));
			return r == ERR_NOTMINE ? ERR_FORMAT : r;
		}
	}
	*out = s->cache[i];
	return 0;
}

static bool builtin_off(const struct profset *s, uint32_t build)
{
	return s->no_builtin || (s->no_builtin_build && s->image_build && s->image_build == build);
}

static int builtin_kernel(struct profset *s, const struct guid *guid, uint32_t age, struct profile *out, struct err *e)
{
	const struct proffile *pf;
	enum vm_arch arch;
	uint32_t build;
	size_t file, k;
	int r;

	if (!builtin_find(guid, age, &file) || !builtin_build(file, &build, &arch))
		return ERR_NOTFOUND;
	if (!s->image_build)
		s->image_build = build;
	if (builtin_off(s, build) || s->no_builtin_build)
		return ERR_NOTFOUND;
	r = builtin_open(s, file, &pf, e);
	if (r)
		return r;
	if (!file_has(pf, guid, age, &k))
		return err_set(e, ERR_FORMAT, "built-in profile %s: the index is off", builtin_name(file));
	proffile_view_kernel(pf, k, out);
	return 0;
}

int profset_find(struct profset *s, const struct guid *guid, uint32_t age, uint32_t build_hint, struct profile *out, const char **from,
		 struct err *e)
{
	struct want w = {.s = s, .guid = guid, .age = age, .build = build_hint, .out = out, .from = from};
	char text[GUID_STR];
	int r;

	if (!s->image_build)
		profset_set_image_build(s, build_hint);
	for (size_t i = 0; i < s->n_given; i++) {
		r = given_find(&s->given[i], guid, age, build_hint, out, e);
		if (!r)
			*from = symfile_word(s->given[i].f.kind);
		if (r != ERR_NOTFOUND)
			return r;
	}
	prof_id_text(guid, age, w.id);
	snprintf(w.server, sizeof(w.server), "%.32s%X", w.id, age);
	r = folders_find(&w, e);
	if (r == ERR_NOTFOUND) {
		r = builtin_kernel(s, guid, age, out, e);
		*from = r ? *from : "guid";
	}
	if (r != ERR_NOTFOUND)
		return r;
	guid_text(guid, text);
	return err_set(e, ERR_NOTFOUND, "no profile for the kernel with PDB GUID %s, age %u", text, age);
}

/* ---- variants of a build ---- */
static bool same_family(enum vm_arch a, enum vm_arch b)
{
	bool x86a = a == VM_X86 || a == VM_X86_PAE, x86b = b == VM_X86 || b == VM_X86_PAE;

	return a == b || (x86a && x86b);
}

/* Variants of a file in the order of profset_variant(): those of kernels from the last to the first, then the others likewise. */
static size_t nth_variant(const struct proffile *pf, size_t nth)
{
	bool used[PROF_VARIANTS_MAX] = {false};

	for (size_t i = 0; i < pf->n_k; i++)
		used[pf->k[i].variant] = true;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = pf->n_v; i-- > 0;) {
			if (used[i] == (pass == 0) && nth-- == 0)
				return i;
		}
	}
	return pf->n_v;
}

int profset_variant(struct profset *s, uint32_t build, enum vm_arch arch, size_t i, struct profile *out, struct err *e)
{
	int r = prof_build_family(build, &build, e);

	if (r)
		return r;
	for (size_t g = 0; g < s->n_given; g++) {
		const struct proffile *pf = s->given[g].f.pf;

		if (!pf || pf->build != build || !same_family(pf->arch, arch))
			continue;
		if (i < pf->n_v) {
			proffile_view_variant(pf, nth_variant(pf, i), out);
			return 0;
		}
		i -= pf->n_v;
	}
	for (size_t f = 0; f < builtin_count(); f++) {
		const struct proffile *pf;
		enum vm_arch a;
		uint32_t b;

		if (!builtin_build(f, &b, &a) || b != build || !same_family(a, arch) || builtin_off(s, b))
			continue;
		r = builtin_open(s, f, &pf, e);
		if (r)
			return r;
		if (i < pf->n_v) {
			proffile_view_variant(pf, nth_variant(pf, i), out);
			return 0;
		}
		i -= pf->n_v;
	}
	return err_set(e, ERR_NOTFOUND, "no (further) layout of build %u, %s", build, prof_arch_name(arch));
}

struct pair {
	uint32_t build;
	enum vm_arch arch;
};

static void least_above(struct pair p, const struct pair *above, struct pair *best, bool *found)
{
	if (above && (p.build < above->build || (p.build == above->build && p.arch <= above->arch)))
		return;
	if (!*found || p.build < best->build || (p.build == best->build && p.arch < best->arch))
		*best = p;
	*found = true;
}

int profset_build_at(struct profset *s, size_t i, uint32_t *build, enum vm_arch *arch, struct err *e)
{
	struct pair last = {0, VM_X64}, best = last;

	for (size_t n = 0; n <= i; n++, last = best) {
		bool found = false;

		for (size_t g = 0; g < s->n_given; g++)
			if (s->given[g].f.pf)
				least_above((struct pair){s->given[g].f.pf->build, s->given[g].f.pf->arch}, n ? &last : NULL, &best,
					    &found);
		for (size_t f = 0; f < builtin_count(); f++) {
			struct pair p;

			if (builtin_build(f, &p.build, &p.arch) && !builtin_off(s, p.build))
				least_above(p, n ? &last : NULL, &best, &found);
		}
		if (!found)
			return err_set(e, ERR_NOTFOUND, "no further build");
	}
	*build = best.build;
	*arch = best.arch;
	return 0;
}

/* ---- by name ---- */
static int one_of_file(const struct proffile *pf, const char *name, struct profile *out, struct err *e)
{
	if (pf->n_k == 1)
		proffile_view_kernel(pf, 0, out);
	else if (pf->n_v == 1)
		proffile_view_variant(pf, 0, out);
	else
		return err_set(e, ERR_USAGE, "%s: holds %zu kernels and %zu variants: name one (etlift profile list)", name, pf->n_k,
			       pf->n_v);
	return 0;
}

static int named_file(struct profset *s, const char *path, struct profile *out, struct err *e)
{
	struct symfile f;
	int r = symfile_open(&f, path, e);

	if (r)
		return r;
	r = f.pf ? one_of_file(f.pf, path, out, e) : view_symbols(f.syms, s->image_build, path, out, e);
	symfile_close(&f);
	return r;
}

/* "GUID-AGE" at the end of the name. */
static bool id_of_name(const char *name, struct guid *guid, uint32_t *age)
{
	const char *dash = strrchr(name, '-');

	if (!dash || dash - name < 32)
		return false;
	return prof_id_parse(dash - 32, strlen(dash - 32), guid, age);
}

static int in_file(const struct proffile *pf, const char *rest, const char *name, struct profile *out, struct err *e)
{
	if (!*rest)
		return one_of_file(pf, name, out, e);
	for (size_t i = 0; i < pf->n_v; i++) {
		if (strcmp(pf->v[i].name, rest + 1) == 0) {
			proffile_view_variant(pf, i, out);
			return 0;
		}
	}
	return err_set(e, ERR_NOTFOUND, "%s: no such profile (etlift profile list names them)", name);
}

int profset_named(struct profset *s, const char *name, struct profile *out, struct err *e)
{
	struct guid guid;
	uint32_t age;
	const char *from;
	bool off = s->no_builtin_build;
	int r;

	if (id_of_name(name, &guid, &age)) {
		s->no_builtin_build = false; /* the user names it: it counts */
		r = profset_find(s, &guid, age, s->image_build, out, &from, e);
		s->no_builtin_build = off;
		if (r != ERR_NOTFOUND || !path_is_file(name))
			return r;
	}
	for (size_t f = 0; f < builtin_count() && !s->no_builtin; f++) {
		size_t n = strlen(builtin_name(f));
		const struct proffile *pf;

		if (strncmp(name, builtin_name(f), n) != 0 || (name[n] && name[n] != '/'))
			continue;
		r = builtin_open(s, f, &pf, e);
		return r ? r : in_file(pf, name + n, name, out, e);
	}
	if (path_is_file(name))
		return named_file(s, name, out, e);
	return err_set(e, ERR_NOTFOUND, "%s: no such profile (etlift profile list names them), and no such file", name);
}
