/* wevt.h - compiled manifests: the WEVT_TEMPLATE resource of a provider's file (CRIM: providers, events, templates, maps), into a store of
 * definitions. Layout: docs/decoding.md (after libyal's "Windows Event manifest binary format", checked against real files). */
#ifndef ETLIFT_WEVT_H
#define ETLIFT_WEVT_H

#include "input.h"
#include "manifest.h"

/* Definitions of one resource. `messages`: the file's message table (names of tasks, opcodes and map values), or none. ERR_NOTMINE: no CRIM;
 * ERR_FORMAT: its head contradicts itself; ERR_LIMIT, ERR_NOMEM. What is broken or not understood inside is left out: an event without a sure
 * definition has none. */
int wevt_read(struct schemas *s, const uint8_t *p, size_t n, const uint8_t *messages, size_t messages_n, struct definition_counts *c,
	      struct err *e);

/* All WEVT_TEMPLATE resources of a PE file. The count of resources; ERR_NOTMINE: no PE file, or none in it. */
int wevt_read_file(struct schemas *s, struct input *in, struct definition_counts *c, struct err *e);

#endif
