#include "kring.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

void kring_init(struct kring *r, struct kview *v, uint64_t head, size_t max, bool (*ours)(void *ctx, uint64_t node), void *ctx)
{
	memset(r, 0, sizeof *r);
	r->v = v;
	r->head = head;
	r->max = max;
	r->ours = ours;
	r->ctx = ctx;
}

void kring_free(struct kring *r)
{
	free(r->node);
	free(r->hash);
	free(r->stop);
	memset(r, 0, sizeof *r);
}

static size_t slot_of(const struct kring *r, uint64_t va)
{
	return (size_t)((va >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (r->n_hash - 1);
}

static struct kring_node *find(const struct kring *r, uint64_t va)
{
	if (r->n_hash == 0)
		return NULL;
	for (size_t i = slot_of(r, va);; i = (i + 1) & (r->n_hash - 1)) {
		if (r->hash[i] == 0)
			return NULL;
		if (r->node[r->hash[i] - 1].va == va)
			return &r->node[r->hash[i] - 1];
	}
}

static void put_hash(struct kring *r, size_t index)
{
	size_t i = slot_of(r, r->node[index].va);

	while (r->hash[i])
		i = (i + 1) & (r->n_hash - 1);
	r->hash[i] = (uint32_t)(index + 1);
}

static int add(struct kring *r, uint64_t va, uint64_t flink, uint64_t blink)
{
	int rc = arr_reserve((void **)&r->node, &r->cap, r->n, sizeof *r->node);

	if (rc != 0)
		return rc;
	if (2 * (r->n + 1) > r->n_hash) {
		size_t bigger = r->n_hash ? 2 * r->n_hash : 64;
		uint32_t *h = calloc(bigger, sizeof *h);

		if (!h)
			return ERR_NOMEM;
		free(r->hash);
		r->hash = h;
		r->n_hash = bigger;
		for (size_t i = 0; i < r->n; i++)
			put_hash(r, i);
	}
	r->node[r->n] = (struct kring_node){va, flink, blink, 0};
	put_hash(r, r->n++);
	return 0;
}

static int add_stop(struct kring *r, uint64_t at, uint64_t from, bool backward, bool unreadable)
{
	for (size_t i = 0; i < r->n_stops; i++)
		if (r->stop[i].at == at && r->stop[i].from == from && r->stop[i].backward == backward)
			return 0;
	if (r->n_stops >= KRING_STOPS_MAX)
		return 0;
	if (arr_reserve((void **)&r->stop, &r->cap_stops, r->n_stops, sizeof *r->stop) != 0)
		return ERR_NOMEM;
	r->stop[r->n_stops++] = (struct kring_stop){at, from, backward, unreadable};
	return 0;
}

static bool read_links(struct kring *r, uint64_t va, uint64_t *flink, uint64_t *blink)
{
	size_t ps = kview_ptr_size(r->v);
	uint8_t b[16];

	if (vm_read(r->v->k->vm, va, b, 2 * ps) != 0)
		return false;
	*flink = ps == 4 ? le32(b) : le64(b);
	*blink = ps == 4 ? le32(b + 4) : le64(b + 8);
	return true;
}

static bool told(const struct kring *r, uint64_t from, bool backward)
{
	for (size_t i = 0; i < r->n_stops; i++)
		if (r->stop[i].from == from && r->stop[i].backward == backward)
			return true;
	return false;
}

/* Takes one step: `at` is where prev's link led. 1: at is a node now, *next its link onwards; 0: the walk ends here; negative: ERR_NOMEM. */
static int step(struct kring *r, uint64_t prev, uint64_t at, bool backward, uint32_t walk, uint64_t *next)
{
	unsigned align = r->v->k->prof.pointer_size == 4 ? 4 : 8;
	struct kring_node *known = find(r, at);
	uint64_t flink, blink, back;
	int rc;

	if (known && known->walk == walk) /* a loop */
		return told(r, prev, backward) ? 0 : add_stop(r, at, prev, backward, false);
	if (!known && (!kview_is_ptr(r->v, at) || at % align != 0))
		return add_stop(r, at, prev, backward, false);
	if (known) {
		flink = known->flink;
		blink = known->blink;
		known->walk = walk;
	} else if (!read_links(r, at, &flink, &blink)) {
		return add_stop(r, at, prev, backward, true);
	}
	back = backward ? flink : blink;
	if (back != prev) {
		if (!known && !r->ours(r->ctx, at))
			return add_stop(r, at, prev, backward, false);
		rc = add_stop(r, back, at, !backward, false); /* its link back, or the link that led here; settled at the end */
		if (rc != 0)
			return rc;
	}
	if (!known) {
		if (r->n >= r->max) {
			r->limited = true;
			return 0;
		}
		rc = add(r, at, flink, blink);
		if (rc != 0)
			return rc;
		r->node[r->n - 1].walk = walk;
	}
	*next = backward ? blink : flink;
	return 1;
}

/* From `prev`, whose link in this direction is `at`, on: through known nodes too, until the head, a loop or a link that leads nowhere. */
static int run(struct kring *r, uint64_t prev, uint64_t at, bool backward)
{
	uint32_t walk = ++r->walks;

	for (;;) {
		uint64_t next = 0;
		int rc;

		if (r->head && at == r->head) {
			if (r->has_head && (backward ? r->head_flink : r->head_blink) != prev)
				return add_stop(r, at, prev, backward, false);
			return 0;
		}
		rc = step(r, prev, at, backward, walk, &next);
		if (rc <= 0)
			return rc;
		prev = at;
		at = next;
	}
}

int kring_walk(struct kring *r, uint64_t flink, uint64_t blink)
{
	int rc;

	r->has_head = true;
	r->head_flink = flink;
	r->head_blink = blink;
	rc = run(r, r->head, flink, false);
	return rc != 0 || r->n_stops == 0 ? rc : run(r, r->head, blink, true);
}

int kring_seed(struct kring *r, uint64_t node)
{
	uint64_t flink, blink;
	int rc;

	if (node == r->head || find(r, node) || r->n >= r->max || !read_links(r, node, &flink, &blink))
		return 0;
	rc = add(r, node, flink, blink);
	if (rc == 0)
		rc = run(r, node, flink, false);
	if (rc == 0)
		rc = run(r, node, blink, true);
	return rc;
}

/* The link of `at` against the direction of the stop, if at is known. */
static bool link_back(const struct kring *r, const struct kring_stop *s, uint64_t *back)
{
	const struct kring_node *n = find(r, s->at);

	if (r->has_head && s->at == r->head)
		*back = s->backward ? r->head_flink : r->head_blink;
	else if (n)
		*back = s->backward ? n->flink : n->blink;
	else
		return false;
	return true;
}

void kring_settle(struct kring *r)
{
	uint64_t back;
	size_t n = 0;

	for (size_t i = 0; i < r->n_stops; i++) /* links that proved right after all */
		if (!link_back(r, &r->stop[i], &back) || back != r->stop[i].from)
			r->stop[n++] = r->stop[i];
	r->n_stops = n;
	n = 0;
	for (size_t i = 0; i < r->n_stops; i++) { /* of two links that contradict each other, the one that leads nowhere is to blame */
		const struct kring_stop s = r->stop[i];
		bool other = false;

		for (size_t j = 0; j < r->n_stops && !other; j++)
			other = j != i && r->stop[j].from == s.at && r->stop[j].backward != s.backward && !find(r, r->stop[j].at) &&
				r->stop[j].at != r->head;
		if (!(other && link_back(r, &s, &back)))
			r->stop[n++] = s;
	}
	r->n_stops = n;
}

bool kring_bridged(const struct kring *r, const struct kring_stop *s)
{
	if (r->has_head && (s->backward ? r->head_flink : r->head_blink) == s->from && s->from != r->head)
		return true;
	for (size_t i = 0; i < r->n; i++)
		if ((s->backward ? r->node[i].flink : r->node[i].blink) == s->from && r->node[i].va != s->at)
			return true;
	return false;
}
