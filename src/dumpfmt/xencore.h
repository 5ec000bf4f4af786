/* xencore.h - Xen's dump-core: an ELF core whose memory stands in sections, with a table that says where each page belongs. */
#ifndef ETLIFT_XENCORE_H
#define ETLIFT_XENCORE_H

#include "dumpfmt.h"

struct xen_header { /* what the ELF header says of the sections; may lie */
	bool wide;  /* ELFCLASS64 */
	uint64_t shoff;
	uint32_t shnum, shentsize, shstrndx;
};

/* Adds the pages of a Xen dump-core to d->phys. *n_pages: pages that the file holds; *n_placed: those whose table was read (frames without a page counted
 * with them). Both 0: the file is no Xen dump-core. Numbers that contradict the rest of the file are seen through and named. 0 or ERR_NOMEM. */
int xencore_pages(struct dump *d, const struct xen_header *h, uint64_t *n_pages, uint64_t *n_placed, struct err *e);

#endif
