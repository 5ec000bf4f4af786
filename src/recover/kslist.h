/* kslist.h - SLIST_HEADER, the head of a lock-free list with one link a node (ntdef.h, winnt.h). Before Windows 7 the buffers of a session
 * hang in such a list: GlobalList is one, GlobalEntry of a buffer's header the link to the next or 0 (trait single_list). */
#ifndef ETLIFT_KSLIST_H
#define ETLIFT_KSLIST_H

#include "kview.h"

/* raw: the head's 8 (32-bit) or 16 bytes. *first: address of the first node, 0 when it is empty; *depth: how many nodes there are, modulo
 * 65536. False: no such head, or one that leads out of the kernel's half. */
bool kslist_head(const struct kview *v, const uint8_t *raw, uint64_t *first, uint32_t *depth);

/* Does the list lead from this head to a buffer of BufferSize `size` and LoggerId `id`? 1 yes, 0 no, -1: it is empty, or that can't be read. */
int kslist_proves(struct kview *v, const uint8_t *raw, uint32_t id, uint32_t size);

#endif
