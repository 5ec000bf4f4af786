/* qevmpages.c - see qevmpages.h */
#include "qevmpages.h"

#include <stdlib.h>
#include <string.h>

#define PART_PAGES 512u  /* pages of a part of the index */
#define PARTS_FREE 4096u /* parts that need not be filled: 16 MiB of index */
#define PART_FILL  8u    /* pages that came for each part above: a stream of lone pages far apart would fill our memory, not its file */

/* The part of the index for a page; made when there is none. NULL, *rc 0: not taken. */
static uint64_t *part_for(struct qevm_pages *x, uint64_t page, int *rc, struct err *e)
{
	uint64_t i = page / PART_PAGES;

	*rc = 0;
	if (i >= x->n_part) {
		uint64_t n = i + 1 > x->n_part * 2 ? i + 1 : x->n_part * 2;
		uint64_t **part = realloc(x->part, (size_t)n * sizeof(*part));

		if (!part) {
			*rc = err_set(e, ERR_NOMEM, "out of memory");
			return NULL;
		}
		memset(part + x->n_part, 0, (size_t)(n - x->n_part) * sizeof(*part));
		x->part = part;
		x->n_part = n;
	}
	if (!x->part[i]) {
		if (x->parts >= PARTS_FREE + x->kept / PART_FILL) {
			x->over++;
			return NULL;
		}
		x->part[i] = calloc(PART_PAGES, sizeof(uint64_t));
		if (!x->part[i])
			*rc = err_set(e, ERR_NOMEM, "out of memory");
		else
			x->parts++;
	}
	return x->part[i];
}

int qevmpages_set(struct qevm_pages *x, uint64_t page, uint64_t what, struct err *e)
{
	int rc;
	uint64_t *part = part_for(x, page, &rc, e);

	if (part) {
		part[page % PART_PAGES] = what;
		x->kept += what != 0;
	}
	return rc;
}

uint64_t qevmpages_get(const struct qevm_pages *x, uint64_t page)
{
	const uint64_t *part = page / PART_PAGES < x->n_part ? x->part[page / PART_PAGES] : NULL;

	return part ? part[page % PART_PAGES] : 0;
}

uint64_t qevmpages_next(const struct qevm_pages *x, uint64_t page)
{
	for (uint64_t p = page / PART_PAGES, i = page % PART_PAGES; p < x->n_part; p++, i = 0)
		for (; x->part[p] && i < PART_PAGES; i++)
			if (x->part[p][i])
				return p * PART_PAGES + i;
	return UINT64_MAX;
}

uint64_t qevmpages_end(const struct qevm_pages *x)
{
	for (uint64_t p = x->n_part; p > 0; p--)
		for (uint64_t i = PART_PAGES; x->part[p - 1] && i > 0; i--)
			if (x->part[p - 1][i - 1])
				return (p - 1) * PART_PAGES + i;
	return 0;
}

void qevmpages_free(struct qevm_pages *x)
{
	for (uint64_t i = 0; i < x->n_part; i++)
		free(x->part[i]);
	free(x->part);
	memset(x, 0, sizeof(*x));
}
