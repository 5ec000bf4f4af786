/* manifest.h - instrumentation manifests (.man; the XML of EventSource's event 0xFFFE too): providers, events, templates, maps, and the names of
 * tasks and opcodes, into a store of definitions. XML by libexpat; without it ERR_UNSUPPORTED.
 *
 * The form is eventman.xsd of the Windows SDK (Microsoft Learn, "Event Manifest Schema"). Not read: channels, levels, keywords, filters, message
 * texts other than those that name things. Nothing outside the document is ever loaded; a document that declares entities is refused. */
#ifndef ETLIFT_MANIFEST_H
#define ETLIFT_MANIFEST_H

#include "schemas.h"

#define MANIFEST_BYTES_MAX ((size_t)64 << 20)
#define MANIFEST_DEPTH_MAX 64       /* elements in elements */
#define MANIFEST_ITEMS_MAX 1000000u /* elements of one document */

struct definition_counts { /* what a file added; names already known count too */
	uint32_t providers, events;
};

/* Adds what the document defines, as from `source` (SCHEMA_MANIFEST or SCHEMA_EVENTSOURCE). `only`: keep this provider's and no other's (NULL:
 * all). ERR_FORMAT: no manifest, or broken XML, or a template that contradicts itself (then nothing, or only whole providers were added);
 * ERR_LIMIT, ERR_NOMEM, ERR_UNSUPPORTED. `n` may be NULL; it is added to. */
int manifest_read(struct schemas *s, const void *p, size_t len, enum schema_source source, const struct guid *only,
		  struct definition_counts *n, struct err *e);

#endif
