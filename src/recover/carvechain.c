/* carvechain.c - all pages of a buffer by all places that fit, not only by the nearest.
 *
 * From the buffer's first page on, each layer holds every page that can follow one of the layer before. What does not lead to the last page is taken
 * off again, from the end back. If one page is left in each layer, there is one way to put the buffer together, and it is whole. If
 * there are several, pages that follow each other physically decide; if that does not either, nobody knows, and the caller is told which
 * pages all ways have in common. The same bytes at two places are one page here: a consumer's copy, the file cache's. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvejoin.h"

#define WIDTH_MAX 64u        /* pages of one layer */
#define NODES_MAX (1u << 16) /* of all layers */
#define TAKES_MAX (1u << 24) /* pages tried for all buffers together */
#define NO_NODE   UINT32_MAX
#define DOUBT     (1u << 31) /* in an edge: see struct carve_level */

struct node {
	uint64_t pa; /* ETW_NO_PA: a page in which no record begins was not found */
	struct carve_walk walk;
	uint32_t from;          /* a page before; NO_NODE: the buffer's first one */
	uint32_t edge, n_edges; /* to the pages behind */
	enum carve_place how;
	size_t part; /* in scan.part, of one that was found by its records */
	bool proved;
	bool doubt; /* of a page in the first layer, as in edges */
	bool alive; /* the last page can be reached from it */
	bool on;    /* and it can be reached from the first */
};

struct chain {
	struct join *j;
	uint32_t want;
	struct node *node; /* owned; layer by layer */
	size_t n, cap;
	uint32_t *edge; /* owned */
	size_t n_edges, cap_edges;
	uint32_t *layer; /* owned; [i]: the first node of layer i; [want]: behind the last */
	bool limited;
};

static void load(struct join *j, uint32_t i, uint64_t pa)
{
	uint32_t start = carve_page_start(j, i), size = j->b->f->shape.h.buffer_size,
		 n = size - start < CARVE_PAGE ? size - start : CARVE_PAGE;

	if (pa == ETW_NO_PA || phys_read(j->c->im->dump->phys, pa, j->c->raw + start, n) != 0)
		memset(j->c->raw + start, 0, n);
}

/* Puts the pages that lead to node `at` of layer i - 1 into place: their addresses, and the bytes from its last record on. */
static void restore(struct chain *x, uint32_t i, uint32_t at)
{
	struct join *j = x->j;
	uint32_t off = x->node[at].walk.off;

	for (uint32_t k = i; k-- > 0; at = x->node[at].from) {
		const struct node *n = &x->node[at];

		if (carve_page_start(j, k) + CARVE_PAGE > off)
			load(j, k, n->pa);
		else if (j->level[k].pa == n->pa && j->level[k].node == at + 1)
			return; /* all before it is as it was */
		j->level[k].pa = n->pa;
		j->level[k].proved = n->proved;
		j->level[k].node = at + 1;
	}
}

/* Are the bytes of page i at pa, up to the end of data, the same as those at c->raw? */
static bool same_bytes(const struct join *j, uint32_t i, uint64_t pa)
{
	uint32_t start = carve_page_start(j, i), n = j->end - start < CARVE_PAGE ? j->end - start : CARVE_PAGE;
	uint8_t page[CARVE_PAGE];

	return pa != ETW_NO_PA && phys_read(j->c->im->dump->phys, pa, page, n) == 0 && memcmp(page, j->c->raw + start, n) == 0;
}

/* The node of layer i for the page that was just taken: one that is there, or a new one. */
static uint32_t put_node(struct chain *x, uint32_t i, uint32_t from)
{
	struct join *j = x->j;
	const struct carve_level *l = &j->level[i];
	void *arr = x->node;

	for (uint32_t k = x->layer[i]; k < x->n; k++) {
		struct node *n = &x->node[k];

		if (n->walk.off != j->walk.off || n->walk.last_ts != j->walk.last_ts)
			continue;
		if (l->pa == ETW_NO_PA || n->pa == ETW_NO_PA ? n->pa == l->pa && n->from == from
							     : n->pa == l->pa || same_bytes(j, i, n->pa))
			return k;
	}
	if (x->n - x->layer[i] >= WIDTH_MAX || x->n >= NODES_MAX || arr_reserve(&arr, &x->cap, x->n, sizeof(*x->node)) < 0) {
		x->limited = true;
		return NO_NODE;
	}
	x->node = arr;
	x->node[x->n] = (struct node){
		.pa = l->pa, .walk = j->walk, .from = from, .how = l->how, .part = l->next - 1, .proved = l->proved, .doubt = l->doubt};
	return (uint32_t)x->n++;
}

static bool put_edge(struct chain *x, uint32_t from, uint32_t to, bool doubt)
{
	struct node *n = &x->node[from];
	void *arr = x->edge;

	for (uint32_t k = n->edge; k < n->edge + n->n_edges; k++)
		if ((x->edge[k] & ~DOUBT) == to)
			return true;
	if (arr_reserve(&arr, &x->cap_edges, x->n_edges, sizeof(*x->edge)) < 0)
		return false;
	x->edge = arr;
	x->edge[x->n_edges++] = to | (doubt ? DOUBT : 0);
	n->n_edges++;
	return true;
}

/* All pages of layer i that can stand behind node `from` (NO_NODE: the first page). */
static void expand(struct chain *x, uint32_t i, uint32_t from)
{
	struct join *j = x->j;
	struct carve_level *l = &j->level[i];
	bool any = false, tied = false;
	uint64_t pa;

	if (i)
		restore(x, i, from);
	*l = (struct carve_level){.before = i ? x->node[from].walk : j->b->f->shape.walk};
	if (i)
		x->node[from].edge = (uint32_t)x->n_edges;
	while (!x->limited && carve_next_place(j, i, &pa)) {
		uint32_t to;

		if ((any && l->how >= CARVE_BEHIND) || (tied && l->how != CARVE_TIED))
			break; /* less sure than those that were found */
		if (j->c->ways++ >= TAKES_MAX)
			x->limited = true;
		if (!carve_take(j, i, pa) || j->walk.bad)
			continue;
		any = true;
		tied |= l->how == CARVE_TIED;
		to = put_node(x, i, from);
		if (to != NO_NODE && i && !put_edge(x, from, to, l->doubt))
			x->limited = true;
	}
}

/* Which nodes lie on a way from the first page to the last. */
static void mark(struct chain *x)
{
	for (size_t i = 0; i < x->n; i++)
		x->node[i].alive = x->node[i].on = false;
	for (size_t i = x->n; i-- > 0;) {
		struct node *n = &x->node[i];

		n->alive = i >= x->layer[x->want - 1];
		for (uint32_t k = n->edge; k < n->edge + n->n_edges && !n->alive; k++)
			n->alive = x->node[x->edge[k] & ~DOUBT].alive;
	}
	for (size_t i = 0; i < x->n; i++) {
		struct node *n = &x->node[i];

		n->on = n->alive && (n->on || i < x->layer[1]);
		for (uint32_t k = n->edge; k < n->edge + n->n_edges && n->on; k++)
			x->node[x->edge[k] & ~DOUBT].on = true;
	}
}

/* The one node of layer i that is on a way, or NO_NODE: there are several. */
static uint32_t only(const struct chain *x, uint32_t i)
{
	uint32_t got = NO_NODE;

	for (uint32_t k = x->layer[i]; k < x->layer[i + 1]; k++) {
		if (!x->node[k].on)
			continue;
		if (got != NO_NODE)
			return NO_NODE;
		got = k;
	}
	return got;
}

/* Does nothing but a doubtful step lead to this node of layer i from those that are on a way? */
static bool doubtful(const struct chain *x, uint32_t i, uint32_t to)
{
	if (i == 0)
		return x->node[to].doubt;
	for (uint32_t k = x->layer[i - 1]; k < x->layer[i]; k++)
		for (uint32_t e = x->node[k].edge; x->node[k].on && e < x->node[k].edge + x->node[k].n_edges; e++)
			if (x->edge[e] == to)
				return false;
	return true;
}

/* Is there a page on a way in layer i to which a step leads that is not doubtful? */
static bool any_sure(const struct chain *x, uint32_t i)
{
	for (uint32_t k = x->layer[i]; k < x->layer[i + 1]; k++)
		if (x->node[k].on && !doubtful(x, i, k))
			return true;
	return false;
}

static bool one_way(const struct chain *x)
{
	for (uint32_t i = 0; i < x->want; i++)
		if (only(x, i) == NO_NODE || doubtful(x, i, only(x, i)))
			return false;
	return true;
}

/* Of the ways on from a page, that to the one behind it physically, where that leads to the end. */
static void by_neighbours(struct chain *x)
{
	uint64_t first = x->j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);

	for (uint32_t k = 0; k < x->layer[1]; k++) {
		if (!x->node[k].on || x->node[k].pa != first + CARVE_PAGE)
			continue;
		for (uint32_t i = 0; i < x->layer[1]; i++)
			x->node[i].on = i == k;
	}
	for (size_t i = 0; i < x->n; i++) {
		struct node *n = &x->node[i];

		for (uint32_t k = 0; k < n->n_edges && n->on && n->pa != ETW_NO_PA; k++) {
			uint32_t edge = x->edge[n->edge + k], to = edge & ~DOUBT;

			if (x->node[to].on && x->node[to].pa == n->pa + CARVE_PAGE) {
				x->edge[n->edge] = edge;
				n->n_edges = 1;
			}
		}
	}
}

/* Takes the first layer's other pages away for good. */
static void keep_first(struct chain *x)
{
	for (uint32_t k = 0; k < x->layer[1]; k++)
		if (!x->node[k].on)
			x->node[k].n_edges = 0;
}

static int layers(struct chain *x)
{
	x->layer[0] = 0;
	expand(x, 0, NO_NODE);
	for (uint32_t i = 1; i <= x->want && !x->limited; i++) {
		x->layer[i] = (uint32_t)x->n;
		if (x->layer[i] == x->layer[i - 1])
			return 0;
		for (uint32_t k = x->layer[i - 1]; k < x->layer[i] && i < x->want && !x->limited; k++)
			expand(x, i, k);
	}
	return !x->limited;
}

/* What all ways have in common is this buffer's. */
static int hold(struct chain *x)
{
	uint64_t *pa = malloc((size_t)x->want * sizeof(*pa));
	size_t n = 0;
	int rc;

	if (!pa)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < x->want; i++) {
		uint32_t k = only(x, i);

		if (k != NO_NODE && x->node[k].proved && !doubtful(x, i, k))
			pa[n++] = x->node[k].pa;
	}
	rc = carve_hold(x->j, pa, n);
	free(pa);
	return rc;
}

/* Pages in which no record begins are this buffer's when they stand between two pages that are, and nothing is missing there. */
static void between(struct join *j, uint32_t want)
{
	uint64_t last = j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
	uint32_t n = 0; /* of them, behind last */

	for (uint32_t i = 0; i < want; i++) {
		struct carve_level *l = &j->level[i];

		if (l->how == CARVE_NONE) {
			n++;
			continue;
		}
		for (uint32_t k = 1; k <= n && last != ETW_NO_PA && l->pa != ETW_NO_PA && l->pa == last + (uint64_t)(n + 1) * CARVE_PAGE;
		     k++) {
			uint64_t pa = last + (uint64_t)k * CARVE_PAGE;

			if (carve_at(j->c, pa) || addrset_has(&j->c->claimed, pa | 1))
				break;
			j->level[i - n + k - 1].pa = pa;
			j->level[i - n + k - 1].how = CARVE_BEHIND;
		}
		last = l->pa;
		n = 0;
	}
}

/* What was believed because no page is lost, it is supposed. */
static int note_steps(const struct chain *x)
{
	struct carve *c = x->j->c;
	uint64_t before = x->j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1), last = x->j->b->f->shape.walk.last_ts;

	for (uint32_t i = 0; i < x->want; i++) {
		const struct node *n = &x->node[only(x, i)];
		void *arr = c->step;

		if (n->how == CARVE_TIMED) {
			if (arr_reserve(&arr, &c->cap_steps, c->n_steps, sizeof(*c->step)) < 0)
				return ERR_NOMEM;
			c->step = arr;
			c->step[c->n_steps++] = (struct carve_step){x->j->b, &c->scan.part[n->part], before, last};
		}
		before = n->pa;
		last = n->walk.last_ts;
	}
	return 0;
}

int carve_chain(struct join *j, uint32_t want, bool doubt)
{
	struct chain x = {.j = j, .want = want};
	bool sure, lost = false; /* lost: all ways have been in doubt since */
	int rc = 0;

	x.layer = calloc((size_t)want + 1, sizeof(*x.layer));
	if (!x.layer)
		return ERR_NOMEM;
	j->n = j->n_all = 0;
	if (j->c->ways >= TAKES_MAX || !layers(&x))
		goto out;
	mark(&x);
	sure = one_way(&x);
	if (!sure && x.want > 1) {
		by_neighbours(&x);
		keep_first(&x);
		mark(&x);
		sure = one_way(&x);
	}
	if (!sure && !doubt) {
		rc = hold(&x);
		goto out;
	}
	for (uint32_t i = 0; i < want; i++) {
		uint32_t k = only(&x, i);

		lost |= !any_sure(&x, i);
		if (k != NO_NODE && (lost || doubtful(&x, i, k)))
			k = NO_NODE;
		j->level[i].how = k == NO_NODE ? CARVE_PLACES : x.node[k].how;
		j->level[i].proved = k != NO_NODE && x.node[k].proved;
		j->level[i].pa = k == NO_NODE ? ETW_NO_PA : x.node[k].pa;
	}
	if (sure && j->c->trust)
		rc = note_steps(&x);
	between(j, want);
	j->n = j->n_all = want;
out:
	free(x.node);
	free(x.edge);
	free(x.layer);
	return rc;
}
