/* secondary.h - sessions and buffers of a crash dump's ETW block (docs/live-buffers.md sections 2 and 3): no page tables, no symbols.
 *
 * Tag {2b88b710-1c93-4f7c-b06c-655ecc50decc}. A block or buffer that claims more than there is is clamped and named. */
#ifndef ETLIFT_SECONDARY_H
#define ETLIFT_SECONDARY_H

#include "recover.h"

/* True if the dump has a (non-empty) ETW block. */
bool secondary_present(const struct dump *d);

/* Parses every ETW block: appends sessions (heap array, *n of them) and fills what the block says about the machine into *sys (members that are
 * set already stay). 0, ERR_NOTFOUND without a block, ERR_NOMEM. */
int secondary_sessions(const struct dump *d, const struct recover_opts *o, struct etw_system *sys, struct notes *notes,
		       struct etw_session **out, size_t *n, struct err *e);

#endif
