/* kring.h - the ring of a session's buffers, walked in spite of damage.
 *
 * Forward from the head; where that does not close cleanly, backward from the head; then islands between two breaks from buffers that other
 * ways gave. Every step is checked by the neighbour's link back or by what stands at the node, every node is visited once. What could not
 * be followed is kept as a stop, so that the caller can name each loss once: a missing page that two walks end at is one lost buffer, a
 * link whose node the other direction gets past is only a broken link. */
#ifndef ETLIFT_KRING_H
#define ETLIFT_KRING_H

#include "kview.h"

#define KRING_STOPS_MAX 256u

struct kring_node {
	uint64_t va; /* of the LIST_ENTRY */
	uint64_t flink, blink;
	uint32_t walk; /* the last one that passed */
};

struct kring_stop {
	uint64_t at;   /* where the link led */
	uint64_t from; /* node (or head) whose link it was */
	bool backward;
	bool unreadable; /* at is a plausible address whose page is missing; else it is nonsense */
};

struct kring {
	struct kview *v;
	uint64_t head; /* 0: unknown */
	bool has_head; /* its links could be read */
	uint64_t head_flink, head_blink;
	size_t max;
	/* Is this node one of ours, by what stands there? For nodes whose link back does not agree. */
	bool (*ours)(void *ctx, uint64_t node);
	void *ctx;
	struct kring_node *node; /* owned; in the order found */
	size_t n, cap;
	uint32_t *hash; /* owned: index + 1 of node[] by address */
	size_t n_hash;
	struct kring_stop *stop; /* owned */
	size_t n_stops, cap_stops;
	uint32_t walks;
	bool limited; /* max was reached */
};

void kring_init(struct kring *r, struct kview *v, uint64_t head, size_t max, bool (*ours)(void *ctx, uint64_t node), void *ctx);
void kring_free(struct kring *r);

/* Walks from the head. flink and blink are its links. 0 or ERR_NOMEM. */
int kring_walk(struct kring *r, uint64_t flink, uint64_t blink);

/* Walks both ways from a node that another way gave; nothing when it is known already. 0 or ERR_NOMEM. */
int kring_seed(struct kring *r, uint64_t node);

/* When all walks are done: leaves of the stops one for each broken link. */
void kring_settle(struct kring *r);

/* Does any known node (or the head) point to `va` from the other side? Then a stop at `from` lost nothing. */
bool kring_bridged(const struct kring *r, const struct kring_stop *s);

#endif
