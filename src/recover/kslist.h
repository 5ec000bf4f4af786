/* kslist.h - SLIST_HEADER, the head of a lock-free list with one link a node (ntdef.h, winnt.h). Before Windows 7 the buffers of a session
 * hang in such a list: GlobalList is one, GlobalEntry of a buffer's header the link to the next or 0 (trait single_list). */
#ifndef ETLIFT_KSLIST_H
#define ETLIFT_KSLIST_H

#include "kview.h"

/* raw: the head's 8 (32-bit) or 16 bytes. *first: address of the first node, 0 when it is empty; *depth: how many nodes there are, modulo
 * 65536. False: no such head, or one that leads out of the kernel's half. */
bool kslist_head(const struct kview *v, const uint8_t *raw, uint64_t *first, uint32_t *depth);

/* Does the list lead from this head, of the context at ctx, to a buffer of BufferSize `size` and LoggerId `id`? Where headers name their context
 * instead (kview_buffers_closed()), any of the context's lists may lead to one that names it. 1 yes, 0 no, -1: empty, or that can't be read. */
int kslist_proves(struct kview *v, uint64_t ctx, const uint8_t *raw, uint32_t id, uint32_t size);

/* Along the list from this head: *n nodes, up to max, whose header names the context at ctx; *depth: what the head says. *why: NULL, or what ended
 * it early. 0 or ERR_NOMEM. */
int kslist_count(struct kview *v, uint64_t ctx, const uint8_t *raw, uint32_t max, uint32_t *n, uint32_t *depth, const char **why);

#endif
