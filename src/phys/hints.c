/* hints.c - see hints.h */
#include "hints.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

void hints_init(struct hints *h)
{
	memset(h, 0, sizeof(*h));
}

void hints_free(struct hints *h)
{
	free(h->cpus);
	free(h->blobs);
	hints_init(h);
}

struct hint_cpu *hints_add_cpu(struct hints *h)
{
	void *arr = h->cpus;

	if (h->n_cpus >= HINTS_CPUS_MAX || arr_reserve(&arr, &h->cap_cpus, h->n_cpus, sizeof(*h->cpus)) < 0)
		return NULL;
	h->cpus = arr;
	memset(&h->cpus[h->n_cpus], 0, sizeof(*h->cpus));
	return &h->cpus[h->n_cpus++];
}

void hints_add_cr3(struct hints *h, uint64_t cr3)
{
	struct hint_cpu *c = cr3 ? hints_add_cpu(h) : NULL;

	if (c) {
		c->has_cr3 = true;
		c->cr3 = cr3;
	}
}

struct hint_blob *hints_add_blob(struct hints *h)
{
	void *arr = h->blobs;

	if (h->n_blobs >= HINTS_BLOBS_MAX || arr_reserve(&arr, &h->cap_blobs, h->n_blobs, sizeof(*h->blobs)) < 0)
		return NULL;
	h->blobs = arr;
	memset(&h->blobs[h->n_blobs], 0, sizeof(*h->blobs));
	return &h->blobs[h->n_blobs++];
}
