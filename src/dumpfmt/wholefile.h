/* wholefile.h - is a file that begins like one of another kind one to its end? The first page of memory can begin with anything: what tells is whether what the
 * first bytes say of the rest holds. */
#ifndef ETLIFT_WHOLEFILE_H
#define ETLIFT_WHOLEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "input.h"

#define WHOLEFILE_PAGE 4096u

/* As many bytes as memory can have: whole pages, 64 KiB or more. Only of such a file the questions below are asked. May learn the input's size. */
bool wholefile_paged(struct input *in);

/* head[0, n): the first bytes of `in`, with that kind's magic. True: it holds together. */
typedef bool wholefile_fn(const uint8_t *head, size_t n, struct input *in);
wholefile_fn wholefile_elf;    /* program headers, section headers: the last byte that they speak of is in the last page */
wholefile_fn wholefile_pe;     /* the same of sections, symbols, signatures */
wholefile_fn wholefile_png;    /* chunks, up to IEND in the last page */
wholefile_fn wholefile_jpeg;   /* an end of image in the last page */
wholefile_fn wholefile_gif;    /* a trailer is its last byte */
wholefile_fn wholefile_pdf;    /* %%EOF in the last page */
wholefile_fn wholefile_hive;   /* a bin behind the header */
wholefile_fn wholefile_evtx;   /* a chunk behind the header */
wholefile_fn wholefile_sqlite; /* pages times their size */
wholefile_fn wholefile_msf;    /* blocks times their size */
wholefile_fn wholefile_7z;     /* its directory in the last page */
wholefile_fn wholefile_cab;    /* its length */
wholefile_fn wholefile_tar;    /* member by member, and nothing but zeros behind the last */

#endif
