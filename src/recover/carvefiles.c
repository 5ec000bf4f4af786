/* carvefiles.c - which cached buffers are of one file. In a file they stand one behind the other, the header buffer first; its pages often follow each other in
 * memory too, and packed buffers, which begin at any byte, share them. A buffer that begins where the one before ends, with the same id, is the same file's:
 * an id alone proves nothing, since Windows gives it to the next session again. */
#include <stdlib.h>

#include "carvework.h"

uint64_t carve_file_end(const struct carve_buf *b)
{
	const struct carve_shape *s = &b->f->shape;
	uint32_t len = s->stored ? s->stored : s->h.buffer_size, first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);
	uint32_t last = len <= first ? 0 : (len - first + CARVE_PAGE - 1) / CARVE_PAGE, rest;
	bool row = b->page != NULL;

	/* pages of fill behind the data were not looked for: that the next buffer stands where it should is proof enough */
	for (uint32_t i = 1; row && i <= last && i < b->n_pages; i++)
		row = b->page[i] == b->page[0] + (uint64_t)i * CARVE_PAGE || b->page[i] == ETW_NO_PA;
	if (row)
		return b->f->pa + len;
	if (!b->page || last >= b->n_pages)
		return 0;
	rest = (len - first) % CARVE_PAGE;
	return rest && b->page[last] != ETW_NO_PA ? b->page[last] + rest : 0;
}

static bool in_file(const struct carve_item *it)
{
	return it->origin == CARVE_FROM_FILE || it->origin == CARVE_FROM_RTBACKUP || it->origin == CARVE_FROM_UNKNOWN;
}

struct place {
	uint64_t pa;
	struct carve_item *it;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->pa < y->pa ? -1 : x->pa > y->pa;
}

static struct carve_item *item_at(const struct place *v, size_t n, uint64_t pa)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].pa < pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && v[lo].pa == pa ? v[lo].it : NULL;
}

int carve_find_files(struct carve_groups *g)
{
	struct place *v = malloc((g->n + 1) * sizeof(*v));
	struct carve_item *it;
	size_t n = 0;

	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n; i++)
		if (in_file(&g->v[i]))
			v[n++] = (struct place){g->v[i].b->f->pa, &g->v[i]};
	if (n)
		qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0; i < g->n_h; i++)
		for (uint64_t at = g->h[i].end; at != 0 && (it = item_at(v, n, at)) != NULL && it->id == g->h[i].id && it->file == 0;) {
			it->file = i + 1;
			g->h[i].taken = true;
			at = carve_file_end(it->b);
		}
	free(v);
	return 0;
}
