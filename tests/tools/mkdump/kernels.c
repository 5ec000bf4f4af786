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
	case S_PspHostSiloGlobals:
	case S_EtwpHostSiloState:
		return silo;
	default:
		return true;
	}
}

/* Places of our own, a page apart: nobody but the exports, KDBG and what is in memory can lead there. */
static void place_symbols(struct profile *p)
{
	for (unsigned i = 0; i < PROF_SYMBOLS; i++)
		p->symbol[i] = has_symbol(p, (enum prof_symbol)i) ? 0x400000 + i * 0x2000u : 0;
	snprintf(p->pdb, sizeof(p->pdb), "ntkrnlmp.pdb");
	memcpy(p->guid.b, "made by mkdump..", 16);
	p->age = 1;
}

bool kernel_of_build(unsigned build, const char *version, struct profile *out)
{
	char file[32];
	struct proffile *pf;
	struct buf text;
	struct err e = {0};
	size_t i = 0, k, v;
	bool real;

	snprintf(file, sizeof(file), "%u-x64", build);
	while (i < builtin_count() && strcmp(builtin_name(i), file) != 0)
		i++;
	buf_init(&text);
	if (i == builtin_count() || builtin_text(i, &text, &e) < 0 || proffile_parse(&pf, (const char *)text.p, text.n, &e) < 0)
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
		place_symbols(out);
	proffile_free(pf);
	buf_free(&text);
	return real;
}
