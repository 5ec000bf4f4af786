/* kcontext.h - one logger context read into an etw_session, and where its lists begin. */
#ifndef ETLIFT_KCONTEXT_H
#define ETLIFT_KCONTEXT_H

#include "kview.h"

struct kcontext {
	struct ksnap snap;
	bool whole;                 /* nothing of it was missing */
	bool has_lists;             /* the head of GlobalList could be read */
	uint64_t global_list;       /* address of the LIST_ENTRY; 0 unknown */
	uint64_t flink, blink;      /* of the head, when has_lists */
	uint32_t number_of_buffers; /* 0 unknown */
	uint64_t silo_state;        /* 0 unknown */
};

/* Fills *s (zeroed by the caller) and *c from the context that r names. What can't be had is a note, the rest is kept. 0, ERR_NOMEM, or
 * ERR_NOTFOUND: this is no logger context at all (noted). r->va 0: only silo, id and found_by are filled. */
int context_read(struct kview *v, const struct kref *r, struct etw_session *s, struct kcontext *c);

#endif
