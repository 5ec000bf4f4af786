/* kernels.c - see kernels.h */
#include "kernels.h"

#include <stdio.h>
#include <string.h>

#include "builtin.h"
#include "proffile.h"
#include "recipe.h"

/* Symbols that a kernel without a silo state, or with one, lacks. */
static bool has_symbol(const struct profile *p, enum prof_symbol s)
{
	bool silo = prof_has(p, F_SILO_EtwpGuidHashTable) && prof_size(p, T_SILO);

	switch (s) {
	case S_WmipLoggerContext:
	case S_EtwpGuidHashTable:
		return !silo;
	case S_EtwpDebuggerData:
		return !p->traits.single_list;
	case S_PspHostSiloGlobals:
	case S_EtwpHostSiloState:
		return silo;
	default:
		return true;
	}
}

/* Places of our own, a page apart: nobody but the exports, KDBG and what is in memory can lead there. */
static void place_symbols(struct profile *p, const char *pdb)
{
	for (unsigned i = 0; i < PROF_SYMBOLS; i++)
		p->symbol[i] = has_symbol(p, (enum prof_symbol)i) ? 0x400000 + i * 0x2000u : 0;
	snprintf(p->pdb, sizeof(p->pdb), "%s", pdb);
	memcpy(p->guid.b, "made by mkdump..", 16);
	p->age = 1;
}

static bool named(unsigned build, const char *arch, size_t *at)
{
	char file[32];

	snprintf(file, sizeof(file), "%u-%s", build, arch);
	for (*at = 0; *at < builtin_count(); ++*at)
		if (strcmp(builtin_name(*at), file) == 0)
			return true;
	return false;
}

/* Of a process on ARM64 only ObjectTable is known (docs/profiles.md): the other members are taken to stand about it as on x64. */
static void arm64_process(unsigned build, struct profile *p)
{
	struct profile x;
	uint32_t by;

	kernel_of_build(build, WM_X64, "", &x);
	by = prof_off(&x, F_EPROCESS_ObjectTable) - prof_off(p, F_EPROCESS_ObjectTable);
	for (unsigned f = 0; f < PROF_FIELDS; f++) {
		enum prof_type t = prof_type_of((enum prof_field)f);

		if (p->field[f].off != PROF_ABSENT || x.field[f].off == PROF_ABSENT || (t != T_EPROCESS && t != T_KPROCESS && t != T_EJOB))
			continue;
		p->field[f] = x.field[f];
		if (t == T_EPROCESS && x.field[f].off >= by)
			p->field[f].off -= by;
	}
	p->size[T_EPROCESS] = x.size[T_EPROCESS];
	p->size[T_EJOB] = x.size[T_EJOB];
}

/* Of builds known by their sessions' structures only: where the public head of a processor's block has had these since 15063. */
static void x64_processor(struct profile *p)
{
	if (p->build < 15063 || prof_has(p, F_KPRCB_MHz))
		return;
	p->field[F_KPRCB_Number] = (struct prof_member){.off = 0x24};
	p->field[F_KPRCB_MHz] = (struct prof_member){.off = 0x44};
	p->size[T_KPRCB] = 0x700;
}

bool kernel_of_build(unsigned build, enum wm_arch arch, const char *version, struct profile *out)
{
	bool x86 = arch == WM_X86 || arch == WM_PAE;
	struct proffile *pf;
	struct buf text;
	struct err e = {0};
	size_t i, k, v;
	bool real;

	buf_init(&text);
	if (!(x86 ? named(build, "x86-pae", &i) || named(build, "x86", &i) : named(build, arch == WM_ARM64 ? "arm64" : "x64", &i)) ||
	    builtin_text(i, &text, &e) < 0 || proffile_parse(&pf, (const char *)text.p, text.n, &e) < 0)
		die("build %u: no profile %s", build, e.msg);
	for (k = 0; k < pf->n_k && strcmp(pf->k[k].version, version) != 0; k++)
		;
	for (v = 0; v < pf->n_v && strcmp(pf->v[v].name, version) != 0; v++)
		;
	if (*version && k == pf->n_k && v == pf->n_v)
		die("build %u: no kernel or layout %s", build, version);
	real = *version ? k < pf->n_k : pf->n_k > 0;
	if (real)
		proffile_view_kernel(pf, *version ? k : pf->n_k - 1, out);
	else
		proffile_view_variant(pf, *version ? v : pf->n_v - 1, out);
	if (!real)
		place_symbols(out, arch == WM_PAE ? "ntkrpamp.pdb" : "ntkrnlmp.pdb");
	if (arch == WM_ARM64)
		arm64_process(build, out);
	else if (!x86)
		x64_processor(out);
	proffile_free(pf);
	buf_free(&text);
	return real;
}
