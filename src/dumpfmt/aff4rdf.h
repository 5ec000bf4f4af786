/* aff4rdf.h - what an AFF4 volume says about itself: statements (subject, predicate, object) out of RDF in Turtle, as far as AFF4 writers use it.
 * Facts: docs/formats/aff4.md; W3C "RDF 1.1 Turtle". Blank nodes and lists are passed over. */
#ifndef ETLIFT_AFF4RDF_H
#define ETLIFT_AFF4RDF_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"

#define AFF4RDF_STATEMENTS_MAX (1u << 20)
#define AFF4RDF_BYTES_MAX      (64u << 20) /* of text, as it is and taken apart */

struct aff4_statement {
	size_t s, p, o; /* places in `text`; IRIs without <>, prefixes written out */
};

struct aff4rdf {
	struct buf text;
	struct aff4_statement *v;
	size_t n, cap;
	bool sorted;
	bool damaged; /* a part made no sense, or there was too much of it */
};

/* Adds the statements of n bytes of Turtle. Damage is told by r->damaged; ERR_NOMEM only. */
int aff4rdf_add(struct aff4rdf *r, const char *text, size_t n, struct err *e);
void aff4rdf_free(struct aff4rdf *r);

/* Statements are sorted by subject when the first question is asked. */
size_t aff4rdf_first(struct aff4rdf *r, const char *subject); /* index of its first statement; r->n: none */
const char *aff4rdf_subject(const struct aff4rdf *r, size_t i);
/* The local part of a predicate (behind the last '#'), in lower case without underscores: "chunkSize" and "chunk_size" are the same. */
bool aff4rdf_is(const struct aff4rdf *r, size_t i, const char *predicate);
const char *aff4rdf_object(const struct aff4rdf *r, size_t i);

/* The k-th object of subject and predicate, or NULL. */
const char *aff4rdf_get(struct aff4rdf *r, const char *subject, const char *predicate, unsigned k);

#endif
