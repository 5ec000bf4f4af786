/* value.h - a decoded field: typed, in an arena or borrowed from the payload. What a sink prints. */
#ifndef ETLIFT_VALUE_H
#define ETLIFT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "guid.h"

enum dv_type {
	DV_NULL,
	DV_BOOL,
	DV_INT,    /* i */
	DV_UINT,   /* u */
	DV_HEX,    /* u, printed 0x... */
	DV_FLOAT,  /* d, made from 32 bits */
	DV_DOUBLE, /* d */
	DV_TEXT,   /* text: valid UTF-8, text_len bytes, no NUL inside promised */
	DV_BYTES,  /* bytes, printed as hex */
	DV_GUID,
	DV_TIME,  /* time: FILETIME */
	DV_ARRAY, /* items[n] */
	DV_STRUCT /* fields[n] */
};

struct dfield;

struct dval {
	enum dv_type type;
	uint32_t n; /* bytes, items or fields */
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double d;
		int64_t time;
		const char *text;
		const uint8_t *bytes;
		const struct guid *guid;
		struct dval *items;
		struct dfield *fields;
	};
};

struct dfield {
	const char *name; /* UTF-8, NUL-terminated */
	struct dval v;
};

struct dval dv_text(struct arena *a, const char *s, size_t n);           /* copies valid UTF-8; broken sequences become U+FFFD */
struct dval dv_utf16(struct arena *a, const uint8_t *p, size_t n_bytes); /* converts */
struct dval dv_ansi(struct arena *a, const uint8_t *p, size_t n); /* bytes 0x80..0xff are taken for Windows-1252 unless all is UTF-8 */
struct dval dv_sid(struct arena *a, const uint8_t *p, size_t n);  /* "S-1-5-..."; bytes when it is no SID */
struct dval dv_format(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The field of that name (first match), or NULL. */
const struct dval *dv_field(const struct dval *st, const char *name);

#endif
