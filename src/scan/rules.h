/* rules.h - YARA rules (libyara): compile or load them, run them over bytes, hand out matches.
 *
 * Knows nothing of ETW: who calls says what the bytes were. Built without libyara, rules_new() says so. To add another engine: the same
 * three functions beside these. */
#ifndef ETLIFT_RULES_H
#define ETLIFT_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define RULES_SHOWN 64u /* bytes of a match that are handed out */

struct rules;

struct rule_match {
	const char *rule,
		*file; /* these, and string, live as long as the rules; file: the name of the rule file that holds it, without its folder */
	const char *tags;     /* separated by commas; "" none */
	const char *string;   /* "$a"; NULL: the rule matched without any string of its own */
	uint64_t offset;      /* in the bytes; valid with string */
	uint32_t length;      /* of the match */
	const uint8_t *bytes; /* the first ones, at most RULES_SHOWN */
	uint32_t n_bytes;
};

/* One match of one string; a rule that holds without strings comes once. Negative ends the scan and is its result. */
typedef int rules_fn(void *ctx, const struct rule_match *m);

int rules_new(struct rules **out, struct err *e); /* ERR_UNSUPPORTED: libyara is not built in */
void rules_free(struct rules *r);                 /* takes NULL */

/* Adds a file: text, or compiled by yarac. ERR_FORMAT with "FILE: line N: what" when it does not compile. */
int rules_add(struct rules *r, const char *path, struct err *e);
size_t rules_count(const struct rules *r); /* rules, private ones too */

/* A scanner runs in one thread; several may share the rules, which must not be added to any more. */
struct rules_scanner;
int rules_scanner_new(struct rules_scanner **out, const struct rules *r, struct err *e);
void rules_scanner_free(struct rules_scanner *s); /* takes NULL */

/* All rules over p[0, n). 0, ERR_NOMEM, ERR_LIMIT (a string matched more often than libyara counts; what came before was handed out), or what
 * fn answered. */
int rules_scan(struct rules_scanner *s, const void *p, size_t n, rules_fn *fn, void *ctx, struct err *e);

#endif
