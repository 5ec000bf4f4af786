/* scanhits.h - the hits of `scan`: what matched, and where: session, provider, event, time, VA, PA. */
#ifndef ETLIFT_SCANHITS_H
#define ETLIFT_SCANHITS_H

#include "common.h"
#include "decoder.h"
#include "physscan.h"
#include "rules.h"
#include "sources.h"

/* Of what stands in memory, and as many of all else: neither a rule that matches everywhere nor raw memory hides the hits of others. Of one string of one
 * rule, of each of the two kinds, a quarter. */
#define HITS_MAX        1000000u
#define HITS_STRING_MAX (HITS_MAX / 4)

enum hit_where { HIT_BUFFER, HIT_RESIDUAL, HIT_EVENT, HIT_MEMORY };

struct hit {
	enum hit_where where;
	const char *rule, *file, *string; /* borrowed from the rules; string NULL: the rule holds without one */
	char *tags;                       /* owned */
	uint8_t bytes[RULES_SHOWN];
	uint32_t n_bytes, length;
	bool has_source, has_event, has_id, has_provider, has_time, has_va, has_pa, has_file_offset;
	size_t source;      /* index into sources */
	uint32_t offset;    /* in the buffer as it was, or in the text of the event */
	uint32_t event_off; /* of the record, in the buffer as it was */
	struct guid provider;
	char *provider_name, *event_name; /* owned, or NULL */
	uint32_t id;
	int64_t time;
	uint64_t va, pa, file_offset; /* of the match's first byte; in an event's text: of the record */
	const char *image;            /* borrowed: the user's word for the image of a hit in memory */
};

struct hits {
	struct hit *v;
	size_t n, cap, n_memory;
	struct hits_string { /* of one string */
		const char *rule, *string;
		uint32_t n[2]; /* elsewhere, in memory */
	} * count;             /* owned; a hash table, never full */
	size_t n_counts, cap_counts;
	bool limited;
};

struct scan { /* one run of the command */
	struct cli *c;
	struct rules *rules;
	struct rules_scanner *scanner;
	struct sources src;
	struct decoder *decoder;
	struct hits hits;
	const char *image;     /* the image whose memory is scanned */
	size_t first_of_image; /* its first hit */
	uint64_t unreadable;
	bool limited;
};

int scan_bytes(struct scan *s, const void *p, size_t n, rules_fn *fn, void *ctx, struct err *e);
/* "Provider Event\nField: value\n..." of a decoded event; nothing when it has no data. */
void scan_event_text(struct buf *out, const struct event *ev);

void hit_take(struct hit *h, const struct rule_match *m); /* tags stay NULL when memory ends */
/* A match at `at` of b->body: addresses, and the event that holds it. */
void hit_locate(struct hit *h, struct scan *s, const struct etw_buffer *b, uint32_t at);
void hit_of_buffer(struct hit *h, struct scan *s, const struct etw_buffer *b);
void hit_of_event(struct hit *h, const struct scan *s, const struct event *ev);

/* Takes the hit over. 0 (also at a limit, which is kept in mind) or ERR_NOMEM. */
int hits_add(struct hits *v, struct hit *h);
/* Hits in memory from s->first_of_image on: by address, file offsets, and the session and event whose buffer they stand in. */
void hits_place(struct scan *s, const struct phys *phys);
int hits_print(struct scan *s); /* table or JSON */
void hits_free(struct hits *v);

#endif
