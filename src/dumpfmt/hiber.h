/* hiber.h - the parts of the reader of hiberfil.sys: hiber.c opens and reads, hiberset.c walks the compression sets of Windows 8 and later, hibertable.c
 * the tables and Xpress blocks of Windows 7 and before. Facts: docs/formats/hiberfil.md. */
#ifndef ETLIFT_HIBER_H
#define ETLIFT_HIBER_H

#include "chunkcache.h"
#include "dumpfmt.h"
#include "late.h"

#define HIBER_PAGE       ((size_t)4096)
#define HIBER_SET_PAGES  16u                            /* of one compression set or Xpress block */
#define HIBER_SET_BYTES  (HIBER_SET_PAGES * HIBER_PAGE) /* unpacked; packed it is never more: then it is stored */
#define HIBER_SETS_MAX   (UINT32_C(1) << 30)
#define HIBER_FRAMES_MAX (UINT64_C(1) << 40) /* page frames: addresses of 52 bits */

enum hiber_method { HIBER_XPRESS, HIBER_HUFFMAN, HIBER_EITHER /* its first bytes tell */ };

struct hiber_set { /* up to 16 pages, packed together; stored when len is as many bytes as they are */
	uint64_t off;
	uint32_t len;
	uint8_t pages, method;
};

struct hiber_span { /* pages that follow each other in memory and in a set */
	uint64_t pfn;
	uint32_t set;
	uint8_t first, n;
};

struct hiber {
	struct input *in;
	struct notes *notes;
	struct hiber_set *set;
	size_t n_sets, cap_sets;
	size_t n_certain;        /* of those: the ones behind it may be of an earlier hibernation; 0: all are certain */
	struct hiber_span *span; /* in file order; sorted and apart once hiber.c is done with them */
	size_t n_spans, cap_spans;
	uint64_t pages;   /* that the sets hold */
	uint64_t tries;   /* to take up a damaged row again: bounded */
	uint64_t counted; /* blocks, to compare them with the ranges: bounded */
	bool narrow;      /* 32-bit Windows */
	bool no_header;   /* the first page is all zeros */
	bool method[2];   /* that were met */
	struct chunkcache *cache;
	struct late late; /* sets that did not unpack to all of their pages */
};

/* Looking for what damage has hidden goes on: a bounded number of times, for a file made to waste time. */
static inline bool hiber_may_try(const struct hiber *h)
{
	return h->tries < 4096 + input_size(h->in) / 16384;
}

/* Both append. ERR_NOMEM, ERR_LIMIT. A span belongs to the last set. */
int hiber_add_set(struct hiber *h, const struct hiber_set *s, struct err *e);
int hiber_add_span(struct hiber *h, uint64_t pfn, uint8_t first, uint8_t n, struct err *e);

/* Unpacks a set (its packed bytes are p[0, s->len)) into out (HIBER_SET_BYTES). Returns whole pages, in bytes. */
size_t hiber_unpack(const struct hiber_set *s, const uint8_t *p, uint8_t *out);

/* Windows 8 and later. 1: sets were found and added. 0: none is there (*why says it in words). ERR_*. */
int hiberset_walk(struct hiber *h, struct dump *d, const uint8_t *header, const char **why, struct err *e);
bool hiberset_knows(const uint8_t *header); /* its length is one of Windows 8 and later */
/* The same without a header: the beginning is looked for. */
int hiberset_search(struct hiber *h, struct err *e);

/* Windows 7 and before; `header` is NULL when the first page is zeros. Fills the processor hint where there is one. 1, 0, ERR_*. */
int hibertable_walk(struct hiber *h, struct dump *d, const uint8_t *header, struct err *e);

/* d->in has no magic. 1: its first page is zeros and it is a hibernation file nevertheless; its runs are registered. 0: nothing says so. ERR_*. */
int hiber_open_headerless(struct dump *d, struct err *e);

#endif
