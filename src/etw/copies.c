/* copies.c - see copies.h */
#include "copies.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

bool etw_next_record(const struct etw_buffer *b, struct etw_place *p, struct etw_record *r)
{
	if (p->off == 0) {
		p->next = b->orig_start;
		p->gap = 0;
	}
	if (p->off >= b->body_len || etw_record_peek(b->body, b->body_len, p->off, r) != ETW_PEEK_RECORD)
		return false;
	while (p->gap < b->n_gaps && b->gaps[p->gap].offset <= p->next)
		p->next += b->gaps[p->gap++].bytes;
	p->at = p->next;
	p->off += r->step;
	p->next += r->step;
	return true;
}

uint32_t etw_count_copied(const struct etw_buffer *b, etw_has_record *has, void *ctx)
{
	struct etw_place p = {0};
	struct etw_record r;
	uint32_t n = 0;

	while (etw_next_record(b, &p, &r))
		n += has(ctx, p.at, b->body + r.off, r.size);
	return n;
}

/* ---- without them ---------------------------------------------------------------------------------------------------------------------- */

struct rest { /* what is left */
	struct etw_gap *gap;
	size_t n_gaps, old; /* old: of b's gaps that were taken over */
	uint32_t len, n;
	bool has_ts;
	uint64_t first_ts, last_ts;
};

static void add_gap(struct rest *s, struct etw_gap g)
{
	if (s->n_gaps && g.why == ETW_COPIED) {
		struct etw_gap *last = &s->gap[s->n_gaps - 1];

		if (last->why == ETW_COPIED && last->offset + last->bytes == g.offset) {
			last->bytes += g.bytes;
			return;
		}
	}
	s->gap[s->n_gaps++] = g;
}

static void keep(struct rest *s, struct etw_buffer *b, const struct etw_record *r)
{
	uint32_t n = r->step < b->body_len - r->off ? r->step : b->body_len - r->off;

	memmove(b->body + s->len, b->body + r->off, n);
	s->len += n;
	s->n++;
	if (!r->has_ts)
		return;
	s->first_ts = !s->has_ts || r->ts < s->first_ts ? r->ts : s->first_ts;
	s->last_ts = !s->has_ts || r->ts > s->last_ts ? r->ts : s->last_ts;
	s->has_ts = true;
}

int etw_drop_copied(struct etw_buffer *b, etw_has_record *has, void *ctx)
{
	struct etw_gap *gap = malloc((b->n_gaps + b->n_events + 1) * sizeof(*gap));
	struct rest s = {.gap = gap};
	struct etw_place p = {0};
	struct etw_record r;

	if (!gap)
		return ERR_NOMEM;
	/* body is closed up on the way: what has been passed is not read again */
	for (uint32_t n = 0; n < b->n_events && etw_next_record(b, &p, &r); n++) {
		while (s.old < p.gap)
			add_gap(&s, b->gaps[s.old++]);
		if (has(ctx, p.at, b->body + r.off, r.size))
			add_gap(&s, (struct etw_gap){p.at, r.step < b->body_len - r.off ? r.step : b->body_len - r.off, ETW_COPIED});
		else
			keep(&s, b, &r);
	}
	while (s.old < b->n_gaps)
		add_gap(&s, b->gaps[s.old++]);
	free(b->gaps);
	b->gaps = s.gap;
	b->n_gaps = s.n_gaps;
	b->body_len = s.len;
	b->n_events = s.n;
	b->has_ts = s.has_ts;
	b->first_ts = s.first_ts;
	b->last_ts = s.last_ts;
	return 0;
}

bool etw_other_has(void *other, uint32_t at, const uint8_t *rec, uint32_t size)
{
	struct etw_other *o = other;

	if (!o->begun) {
		o->begun = true;
		o->more = etw_next_record(o->b, &o->p, &o->r);
	}
	while (o->more && o->p.at < at)
		o->more = etw_next_record(o->b, &o->p, &o->r);
	return o->more && o->p.at == at && o->r.size == size && memcmp(o->b->body + o->r.off, rec, size) == 0;
}
