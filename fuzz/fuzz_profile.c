/* Profile files and ISF tables: whatever is read without complaint must write back, and read the same again. */
#include <stdlib.h>
#include <string.h>

#include "isf.h"
#include "proffile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void round_trip(struct proffile *pf)
{
	struct buf first, second;
	struct proffile *again;
	struct profile p;
	struct err e;

	buf_init(&first);
	buf_init(&second);
	must(proffile_settle(pf, &e) == 0);
	must(proffile_write(pf, &first, &e) == 0);
	must(proffile_parse(&again, (const char *)first.p, first.n, &e) == 0);
	must(again->n_v == pf->n_v && again->n_k == pf->n_k);
	for (size_t i = 0; i < again->n_v; i++)
		proffile_view_variant(again, i, &p);
	for (size_t i = 0; i < again->n_k; i++)
		proffile_view_kernel(again, i, &p);
	must(proffile_write(again, &second, &e) == 0);
	must(first.n == second.n && memcmp(first.p, second.p, first.n) == 0);
	proffile_free(again);
	buf_free(&first);
	buf_free(&second);
}

static void isf(const char *text, size_t n)
{
	static struct prof_source s;
	struct prof_facts facts = {9999, "1.2.9999.1", "", "fuzz"};
	struct proffile *pf;
	struct err e;

	if (isf_parse(text, n, &s, &e))
		return;
	must(proffile_new(&pf, 9999, s.arch, &e) == 0);
	must(proffile_add_source(pf, &s, &facts, &e) == 0);
	round_trip(pf);
	proffile_free(pf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proffile *pf;
	struct err e;

	if (size > 65536)
		return 0;
	if (proffile_parse(&pf, (const char *)data, size, &e) == 0) {
		round_trip(pf);
		proffile_free(pf);
		return 0;
	}
	isf((const char *)data, size);
	return 0;
}
