/* borrow.h - layouts of other builds for a kernel whose own build is in no table. Inside kstructs only. */
#ifndef ETLIFT_BORROW_H
#define ETLIFT_BORROW_H

#include "kernel.h"

/* Fills k->prof, which inference has made, group by group with what the nearest builds have and this memory bears out; the evidence goes to k->inferred.
 * Nothing changes when no build's context fits what was inferred. Needs k->kdbg. */
void borrow_layouts(struct kernel *k, struct profset *set);

/* Where the processors' blocks (_KPRCB) have their number and MHz, when k->prof does not say: as in the nearest build with which these blocks count the
 * processors and have a speed. Nothing changes when none fits. Needs k->prof, k->n_cpus, and KiProcessorBlock by symbol or KDBG. */
void borrow_processors(struct kernel *k, struct profset *set);

/* _MMPFN, when k->prof has none: as in the nearest build with which the database bears itself out (pfndb.h); opens it. */
void borrow_pages(struct kernel *k, struct profset *set);

#endif
