/* jsonw.h - writes JSON text: 64-bit numbers exact, keys in the order given, every string safe on a terminal too.
 *
 * Strings are UTF-8; broken sequences become U+FFFD; control, bidi and invisible format characters are \u escaped. Objects and arrays
 * opened with `flat` stand on one line, the others have one member a line. A key is NULL inside an array. */
#ifndef ETLIFT_JSONW_H
#define ETLIFT_JSONW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "guid.h"

#define JSONW_DEPTH 24

struct jsonw {
	struct buf *b;              /* borrowed; its `failed` tells of missing memory */
	unsigned depth, base, flat; /* flat: depth at which one-line output began, 0 none */
	bool some[JSONW_DEPTH];
	char close[JSONW_DEPTH];
};

void jsonw_init(struct jsonw *w, struct buf *b, unsigned indent); /* indent: levels that the text will stand in */
void jsonw_object(struct jsonw *w, const char *key, bool flat);
void jsonw_array(struct jsonw *w, const char *key, bool flat);
void jsonw_end(struct jsonw *w);                                    /* of the innermost one */
void jsonw_string(struct jsonw *w, const char *key, const char *s); /* NULL: null */
void jsonw_u64(struct jsonw *w, const char *key, uint64_t v);
void jsonw_i64(struct jsonw *w, const char *key, int64_t v);
void jsonw_hex(struct jsonw *w, const char *key, uint64_t v); /* "0x1f" */
void jsonw_bool(struct jsonw *w, const char *key, bool v);
void jsonw_null(struct jsonw *w, const char *key);
void jsonw_time(struct jsonw *w, const char *key, int64_t filetime);       /* null when it is no printable time */
void jsonw_guid(struct jsonw *w, const char *key, const struct guid *g);   /* NULL: null */
void jsonw_raw(struct jsonw *w, const char *key, const void *p, size_t n); /* JSON text as it is */

#endif
