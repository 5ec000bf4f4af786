/* krecover.h - the kernel's half of recover_run(): what the finders found, merged with sessions from elsewhere, one at a time into the sink. */
#ifndef ETLIFT_KRECOVER_H
#define ETLIFT_KRECOVER_H

#include "kview.h"
#include "recover.h"

/* Yields the kernel's sessions and extra[0, n_extra) (secondary data; settled), merged by context address, else by silo + id + name + GUID,
 * sorted by silo, id, va. Takes the contents of extra's sessions over (the array stays the caller's). im->kernel must have a profile. *n =
 * sessions yielded. ERR_NOTFOUND (without a message): there is not one. */
int krecover_run(struct image *im, const struct recover_opts *o, struct etw_session *extra, size_t n_extra, const struct etw_sink *sink,
		 size_t *n, struct err *e);

int krecover_consumers(struct image *im, struct etw_consumer **out, size_t *n, struct err *e);
int krecover_providers(struct image *im, struct etw_provider **out, size_t *n, struct err *e);

/* Adds what `from` knows to `to`, the same session: buffers that `to` lacks or has only with holes, and facts that it does not know.
 * Takes from's contents over. 0 or ERR_NOMEM. */
int session_merge(struct etw_session *to, struct etw_session *from);

/* A session with events that counts cycles while nothing told the processors' speed: its times are a loss, noted. */
void session_note_clock(struct notes *ns, const struct etw_system *sys, const struct etw_session *s);

#endif
