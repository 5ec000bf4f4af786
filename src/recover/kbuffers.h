/* kbuffers.h - the buffers of one session, by every way that leads to them, merged by address.
 *
 * Two steps: buffers_find() collects addresses (cheap, headers only), buffers_load() reads, unpacks and settles them into the session.
 * Split over buffers.c (the set, the ways), kforeign.c (other sessions' buffers), bufload.c (bytes into etw_buffers). */
#ifndef ETLIFT_KBUFFERS_H
#define ETLIFT_KBUFFERS_H

#include "kcontext.h"
#include "kring.h"
#include "recover.h"
#include "settle.h"

struct kbuf {
	uint64_t va;
	uint32_t from;  /* ETW_FROM_* */
	uint32_t chain; /* number of the chain walk that last passed */
	bool odd;       /* its header does not agree with the session */
	bool lost;      /* its header's page is missing */
	struct etw_bufhdr hdr;
};

enum kbuf_is { KBUF_OURS, KBUF_ODD, KBUF_GONE };

struct kbufset {
	struct kview *v;
	struct etw_session *s;
	const struct kcontext *c;
	struct kbuf *buf; /* owned; lost ones too */
	size_t n, cap;
	uint32_t *hash;
	size_t n_hash;
	size_t max;
	uint32_t chains;
	bool limited;
	bool separate_nodes; /* GlobalList hangs in nodes of its own */
	uint32_t closed;     /* met, but of a kind that is not read (kview_buffers_closed()) */
};

int buffers_find(struct kbufset *b, struct kview *v, struct etw_session *s, const struct kcontext *c);
void buffers_free(struct kbufset *b);

/* After buffers_find(): takes those out that a crossed ring led to, whose headers name another session, and which that session reaches by itself: each
 * buffer belongs to one. What nobody else reaches stays. `own`: the session's own context. Named. 0 or ERR_NOMEM (kforeign.c). */
int buffers_leave_foreign(struct kbufset *b, const struct kref *own);

/* Names the lost buffers of the set and those that do not agree with the session. */
void buffers_tell(const struct kbufset *b);

/* Adds the session's etw_buffers (and residual ones), consumer copies not among them. 0 or ERR_NOMEM. */
int buffers_load(struct kbufset *b, const struct recover_opts *o, uint64_t *budget);

/* What stands at va: a buffer of this session, something else, or nothing readable. */
enum kbuf_is buffers_check(const struct kbufset *b, uint64_t va, struct etw_bufhdr *hdr);

/* The shared end of buffers_load() and consumers_load(): settles raw[0, len) as the buffer that *eb describes (address members and `from` filled)
 * and hands it to the session; `packed`: raw is a row of compressed sub-buffers. */
struct bufload_raw {
	const uint8_t *raw;
	uint32_t len;
	struct etw_range *missing;
	size_t n_missing;
	enum etw_met met;
	struct vm *vm; /* raw is what stands at eb->va in it; NULL: it was unpacked */
};
int bufload_settle(struct kview *v, struct etw_session *s, struct etw_buffer *eb, const struct bufload_raw *raw,
		   const struct recover_opts *o);

/* User-mode copies of this session's buffers, from all of its consumers (consumers.c). */
int consumers_load(struct kview *v, struct etw_session *s, const struct recover_opts *o, uint64_t *budget);

/* The plain value of a consumer; counting the copies of all of them without their sessions (for recover_consumers). */
int consumer_value(struct kview *v, const struct kconsumer *c, struct etw_consumer *out);
int consumers_count(struct kview *v);

#endif
