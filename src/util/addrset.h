/* addrset.h - a growing set of addresses, for cycle checks. */
#ifndef ETLIFT_ADDRSET_H
#define ETLIFT_ADDRSET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "err.h"

struct addrset {
	uint64_t *slot; /* owned; 0 = empty */
	size_t n, cap;
};

static inline size_t addrset_slot(const struct addrset *s, uint64_t a)
{
	return (size_t)((a >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->cap - 1);
}

static inline bool addrset_has(const struct addrset *s, uint64_t a)
{
	if (s->cap == 0)
		return false;
	for (size_t i = addrset_slot(s, a); s->slot[i]; i = (i + 1) & (s->cap - 1))
		if (s->slot[i] == a)
			return true;
	return false;
}

/* 1: added, 0: it was there (or is 0), ERR_NOMEM. */
static inline int addrset_add(struct addrset *s, uint64_t a)
{
	size_t i;

	if (a == 0 || addrset_has(s, a))
		return 0;
	if (2 * (s->n + 1) > s->cap) {
		struct addrset bigger = {.cap = s->cap ? 2 * s->cap : 64};

		bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
		if (!bigger.slot)
			return ERR_NOMEM;
		for (size_t j = 0; j < s->cap; j++)
			if (s->slot[j]) {
				i = addrset_slot(&bigger, s->slot[j]);
				while (bigger.slot[i])
					i = (i + 1) & (bigger.cap - 1);
				bigger.slot[i] = s->slot[j];
			}
		bigger.n = s->n;
		free(s->slot);
		*s = bigger;
	}
	for (i = addrset_slot(s, a); s->slot[i]; i = (i + 1) & (s->cap - 1)) {
	}
	s->slot[i] = a;
	s->n++;
	return 1;
}

static inline void addrset_free(struct addrset *s)
{
	free(s->slot);
	s->slot = NULL;
	s->n = s->cap = 0;
}

#endif
