/* settlespan.c - see settlespan.h. Chains are found by one backward pass over the 8-aligned places: no quadratic search, whatever the bytes.
 *
 * Imagers write zeros for a page that they could not read. A record that goes over into a page of zeros is torn when that can be proved: behind its end
 * the next record would have to stand, or a part of its header that is never zero. A whole page of zeros inside of a record, and one whose data
 * end with the record, prove nothing: a payload may be zeros, and what is whole must not be lost. */
#include "settlespan.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rd.h"

#define DESCRIPTOR_END 0x38u /* of EVENT_HEADER: provider, id, version, level, opcode, task, keyword stand before it */
#define GUID_END       0x20u /* of a record that has its GUID at 0x18: a GUID whose rear half is zeros is none */

/* ---- one buffer's bytes, and what of them is there ------------------------------------------------------------------------------------- */

uint32_t settle_page_of(const struct span *s, uint32_t off)
{
	uint32_t in = (off + s->phase) % SETTLE_PAGE;

	return in > off ? 0 : off - in;
}

static bool is_zero_page(const struct span *s, uint32_t page)
{
	uint32_t i = (page + s->phase) / SETTLE_PAGE;

	return page >= ETW_BUFFER_HEADER_SIZE && i / 32 < SETTLE_WORDS && s->zero[i / 32] >> i % 32 & 1;
}

void settle_find_zero_pages(struct span *s)
{
	memset(s->zero, 0, sizeof(s->zero));
	for (uint32_t page = SETTLE_PAGE - s->phase; s->in_memory && page < s->end; page += SETTLE_PAGE) {
		uint32_t n = s->end - page < SETTLE_PAGE ? s->end - page : SETTLE_PAGE, i = (page + s->phase) / SETTLE_PAGE;

		if (page >= ETW_BUFFER_HEADER_SIZE && i / 32 < SETTLE_WORDS && s->raw[page] == 0 &&
		    memcmp(s->raw + page, s->raw + page + 1, n - 1) == 0)
			s->zero[i / 32] |= UINT32_C(1) << i % 32;
	}
}

bool settle_cut_by_zeros(const struct span *s, const struct etw_record *r)
{
	uint32_t edge = r->off + SETTLE_PAGE - (r->off + s->phase) % SETTLE_PAGE, last = settle_page_of(s, r->off + r->size - 1);
	bool has_guid =
		r->kind == ETW_KIND_EVENT32 || r->kind == ETW_KIND_EVENT64 || r->kind == ETW_KIND_FULL32 || r->kind == ETW_KIND_FULL64;

	if (last < edge)
		return false;
	if (has_guid && edge - r->off <= GUID_END && is_zero_page(s, edge))
		return true;
	return is_zero_page(s, last) && r->off + r->step < s->end && r->off + r->step < last + SETTLE_PAGE;
}

/* Ranges are ascending: the first that ends behind off is looked for by halves. */
const struct etw_range *settle_missing(const struct span *s, uint32_t off, uint32_t n)
{
	size_t lo = 0, hi = s->n_missing;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if ((uint64_t)s->missing[mid].offset + s->missing[mid].bytes <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_missing && s->missing[lo].offset < (uint64_t)off + n ? &s->missing[lo] : NULL;
}

const struct settle_foreign *settle_foreign_in(const struct span *s, uint32_t off, uint32_t n)
{
	size_t lo = 0, hi = s->n_foreign;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->foreign[mid].to <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_foreign && s->foreign[lo].from < (uint64_t)off + n ? &s->foreign[lo] : NULL;
}

/* Not all of its bytes are there and the buffer's own. */
static bool lost(const struct span *s, uint32_t off, uint32_t n)
{
	return (s->n_missing && settle_missing(s, off, n)) || (s->n_foreign && settle_foreign_in(s, off, n));
}

bool settle_too_late(const struct span *s, const struct etw_record *r)
{
	return s->has_latest && r->has_ts && r->ts > s->latest;
}

/* The rest of the record's header may stand in a page that something else was written over: then no record stands where this one ends, and what does is not
 * blank. Whose provider and event would be told then are other bytes: it is torn. Only the header: a payload that is cut tells what it is. */
static bool header_cut(const struct span *s, const struct etw_record *r)
{
	uint32_t edge = r->off + SETTLE_PAGE - (r->off + s->phase) % SETTLE_PAGE, next = r->off + r->step;
	uint32_t header = r->kind == ETW_KIND_EVENT32 || r->kind == ETW_KIND_EVENT64 ? DESCRIPTOR_END
			  : r->kind == ETW_KIND_FULL32 || r->kind == ETW_KIND_FULL64 ? GUID_END + 8
										     : 0;
	struct etw_record after;

	if (edge >= r->off + header || next >= edge + SETTLE_PAGE || next + 8 > s->end || le64(s->raw + next) == 0 ||
	    le64(s->raw + next) == UINT64_MAX)
		return false;
	return !lost(s, next, 8) && etw_record_peek(s->raw, s->end, next, &after) != ETW_PEEK_RECORD;
}

enum etw_peek settle_peek(const struct span *s, uint32_t off, struct etw_record *r)
{
	enum etw_peek got = etw_record_peek(s->raw, s->end, off, r);

	if (got != ETW_PEEK_RECORD)
		return got;
	if (lost(s, off, r->size) || settle_too_late(s, r))
		return ETW_PEEK_NONE;
	return s->in_memory && ((r->has_ts && r->ts == 0) || settle_cut_by_zeros(s, r) || header_cut(s, r)) ? ETW_PEEK_NONE : got;
}

/* ---- chains ------------------------------------------------------------------------------------------------------------------------------ */

static bool chain_stops_here(const struct span *s, uint32_t off, bool any_stop)
{
	struct etw_record r;

	if (off >= s->end || any_stop)
		return true;
	if (lost(s, off, 8) || is_zero_page(s, settle_page_of(s, off)))
		return true; /* at a page that is missing or another's, or less than a record's first 8 bytes before it */
	/* a record that runs into a missing page: kind and size stand in its first 8 bytes */
	return etw_record_peek(s->raw, s->end, off, &r) == ETW_PEEK_RECORD &&
	       (lost(s, off, r.size) || settle_cut_by_zeros(s, &r) || header_cut(s, &r));
}

/* Behind this nothing is there up to the end: of a header that claims much, most is missing. The first place of it is kept, because chains stop there. */
static uint32_t end_of_bytes(const struct span *s)
{
	uint32_t end = s->end;

	for (size_t i = s->n_missing; i > 0; i--) {
		const struct etw_range *m = &s->missing[i - 1];

		if ((uint64_t)m->offset + m->bytes < end)
			break;
		if (m->offset < end)
			end = m->offset;
	}
	return end + 8 < s->end ? end + 8 : s->end;
}

int settle_find_chains(struct chains *c, const struct span *s, uint32_t from, bool any_stop)
{
	uint32_t end = end_of_bytes(s);

	from = (from + 7) & ~7u;
	c->from = from;
	c->n = end > from ? (end - from + 7) / 8 : 0;
	c->at = calloc((size_t)c->n + 1, sizeof(*c->at));
	if (!c->at)
		return ERR_NOMEM;
	for (uint32_t i = c->n + 1; i > 0; i--) {
		uint32_t off = from + 8 * (i - 1), next;
		struct link *l = &c->at[i - 1], *follow;
		struct etw_record r;

		*l = (struct link){.stop = SETTLE_NOWHERE};
		if (off >= s->end) {
			l->stop = off;
			continue;
		}
		if (settle_peek(s, off, &r) != ETW_PEEK_RECORD) {
			if (chain_stops_here(s, off, any_stop))
				l->stop = off;
			continue;
		}
		next = (off + r.step - from) / 8;
		follow = &c->at[next < c->n ? next : c->n];
		if (r.has_ts && s->has_max_ts && r.ts > s->max_ts)
			continue;
		if (follow->stop == SETTLE_NOWHERE || (r.has_ts && follow->has_ts && r.ts > follow->ts)) {
			if (any_stop)
				*l = (struct link){.ts = r.ts, .stop = off + r.step, .n = 1, .has_ts = r.has_ts};
			continue;
		}
		l->stop = follow->stop;
		l->n = follow->n + 1;
		l->has_ts = r.has_ts || follow->has_ts;
		l->ts = r.has_ts ? r.ts : follow->ts;
	}
	return 0;
}

void settle_free_chains(struct chains *c)
{
	free(c->at);
	c->at = NULL;
}

uint32_t settle_resume(const struct chains *c, const struct span *s, uint32_t off, bool has_least, uint64_t least)
{
	for (uint32_t i = (off - c->from + 7) / 8; i < c->n; i++) {
		const struct link *l = &c->at[i];

		if (l->stop != SETTLE_NOWHERE && l->n && !(l->has_ts && has_least && l->ts < least))
			return c->from + 8 * i;
	}
	return s->end;
}
