/* ksession.h - one session out of kernel memory, whole: context, buffers by every way, consumers with their copies, providers. */
#ifndef ETLIFT_KSESSION_H
#define ETLIFT_KSESSION_H

#include "kview.h"
#include "recover.h"

/* Only what names a session (etw_session without buffers): for merging and for `want`. 0, ERR_NOMEM, ERR_NOTFOUND (no context; noted). */
int ksession_head(struct kview *v, const struct kref *r, struct etw_session *s);

/* The session with its buffers in the order of the file. `budget`: buffer bytes that may still be read, over all sessions; it goes down. */
int ksession_load(struct kview *v, const struct kref *r, const struct recover_opts *o, uint64_t *budget, struct etw_session *s);

#endif
