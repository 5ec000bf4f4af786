/* settle.c - see settle.h.
 *
 * The walk goes record by record from 0x48. Where it can't go on there is a hole: a page that was not read, or a place that holds no record, or one
 * older than the buffer's first event (what a writer had reserved and not yet filled still holds an earlier use's bytes). Behind a hole the
 * walk resumes at the first 8-aligned place from which whole records chain exactly to the end of data, or into the next missing page. Chains
 * are found by one backward pass over the 8-aligned places: no quadratic search, whatever the bytes.
 *
 * Imagers write zeros for a page that they could not read. A record that goes over into a page of zeros is torn when that can be proved: behind its end
 * the next record would have to stand, or a part of its header that is never zero. A whole page of zeros inside of a record, and one whose data
 * end with the record, prove nothing: a payload may be zeros, and what is whole must not be lost. */
#include "settle.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rd.h"

#define UNUSED_FLAG     0x100u /* never used: the body is no earlier use's */
#define FLAG_PROC_INDEX 0x20u
#define RESIDUAL_SURE   3u /* records that chain although what follows is neither fill nor the buffer's end */
#define NOWHERE         UINT32_MAX
#define PAGE            4096u
#define ZERO_WORDS      (ETW_BUFFER_SIZE_MAX / PAGE / 32u + 1u)
#define DESCRIPTOR_END  0x38u /* of EVENT_HEADER: provider, id, version, level, opcode, task, keyword stand before it */
#define GUID_END        0x20u /* of a record that has its GUID at 0x18: a GUID whose rear half is zeros is none */

uint32_t etw_end_of_data(const struct etw_bufhdr *h, enum etw_met met, uint32_t limit)
{
	uint32_t end, saved = h->saved_offset, current = h->current_offset;

	switch (met) {
	case ETW_MET_MEMORY:
		end = current <= limit ? current : saved >= ETW_BUFFER_HEADER_SIZE && saved <= limit ? saved : limit;
		break;
	case ETW_MET_SECONDARY:
		end = h->offset ? h->offset : current <= limit ? current : saved;
		break;
	case ETW_MET_FILE_FIRST:
		end = saved > h->offset && saved <= limit ? saved : h->offset;
		break;
	case ETW_MET_FILE:
	default:
		end = h->offset;
		break;
	}
	if (end > limit)
		end = limit;
	return end < ETW_BUFFER_HEADER_SIZE ? ETW_BUFFER_HEADER_SIZE : end;
}

uint32_t etw_original_offset(const struct etw_buffer *b, uint32_t off)
{
	uint32_t at = off - ETW_BUFFER_HEADER_SIZE + b->orig_start;

	for (size_t i = 0; i < b->n_gaps && b->gaps[i].offset <= at; i++)
		at += b->gaps[i].bytes;
	return at;
}

/* ---- one buffer's bytes, and what of them is there ------------------------------------------------------------------------------------- */

struct span {
	const uint8_t *raw;
	uint32_t from, end; /* records are looked for in [from, end) */
	const struct etw_range *missing;
	size_t n_missing;
	bool has_max_ts;
	uint64_t max_ts;
	bool has_latest;
	uint64_t latest;
	bool in_memory;            /* not in a file: */
	uint32_t phase;            /* where raw[0] stands in its page */
	uint32_t zero[ZERO_WORDS]; /* a bit for each page that begins in [from, end): its bytes before `end` are zeros */
};

/* Where the page that holds raw[off] begins in raw; below 0 for the first one: 0. */
static uint32_t page_of(const struct span *s, uint32_t off)
{
	uint32_t in = (off + s->phase) % PAGE;

	return in > off ? 0 : off - in;
}

static bool is_zero_page(const struct span *s, uint32_t page)
{
	uint32_t i = (page + s->phase) / PAGE;

	return page >= ETW_BUFFER_HEADER_SIZE && i / 32 < ZERO_WORDS && s->zero[i / 32] >> i % 32 & 1;
}

static void find_zero_pages(struct span *s)
{
	memset(s->zero, 0, sizeof(s->zero));
	for (uint32_t page = PAGE - s->phase; s->in_memory && page < s->end; page += PAGE) {
		uint32_t n = s->end - page < PAGE ? s->end - page : PAGE, i = (page + s->phase) / PAGE;

		if (page >= ETW_BUFFER_HEADER_SIZE && i / 32 < ZERO_WORDS && s->raw[page] == 0 &&
		    memcmp(s->raw + page, s->raw + page + 1, n - 1) == 0)
			s->zero[i / 32] |= UINT32_C(1) << i % 32;
	}
}

/* Is the record cut off by a page of zeros that was never its own? */
static bool cut_by_zeros(const struct span *s, const struct etw_record *r)
{
	uint32_t edge = r->off + PAGE - (r->off + s->phase) % PAGE, last = page_of(s, r->off + r->size - 1);
	bool has_guid =
		r->kind == ETW_KIND_EVENT32 || r->kind == ETW_KIND_EVENT64 || r->kind == ETW_KIND_FULL32 || r->kind == ETW_KIND_FULL64;

	if (last < edge)
		return false;
	if (has_guid && edge - r->off <= GUID_END && is_zero_page(s, edge))
		return true;
	return is_zero_page(s, last) && r->off + r->step < s->end && r->off + r->step < last + PAGE;
}

/* The first missing range that touches [off, off + n), or NULL. Ranges are ascending: the first that ends behind off is looked for by halves. */
static const struct etw_range *missing_in(const struct span *s, uint32_t off, uint32_t n)
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

/* Something was written over its header, behind the first 8 bytes. */
static bool too_late(const struct span *s, const struct etw_record *r)
{
	return s->has_latest && r->has_ts && r->ts > s->latest;
}

/* The rest of the record's header may stand in a page that something else was written over: then no record stands where this one ends, and what does is not
 * blank. Whose provider and event would be told then are other bytes: it is torn. Only the header: a payload that is cut tells what it is. */
static bool header_cut(const struct span *s, const struct etw_record *r)
{
	uint32_t edge = r->off + PAGE - (r->off + s->phase) % PAGE, next = r->off + r->step;
	uint32_t header = r->kind == ETW_KIND_EVENT32 || r->kind == ETW_KIND_EVENT64 ? DESCRIPTOR_END
			  : r->kind == ETW_KIND_FULL32 || r->kind == ETW_KIND_FULL64 ? GUID_END + 8
										     : 0;
	struct etw_record after;

	if (edge >= r->off + header || next >= edge + PAGE || next + 8 > s->end || le64(s->raw + next) == 0 ||
	    le64(s->raw + next) == UINT64_MAX)
		return false;
	return (!s->n_missing || !missing_in(s, next, 8)) && etw_record_peek(s->raw, s->end, next, &after) != ETW_PEEK_RECORD;
}

/* A whole record whose bytes are all there. */
static enum etw_peek peek_whole(const struct span *s, uint32_t off, struct etw_record *r)
{
	enum etw_peek got = etw_record_peek(s->raw, s->end, off, r);

	if (got != ETW_PEEK_RECORD)
		return got;
	if ((s->n_missing && missing_in(s, off, r->size)) || too_late(s, r))
		return ETW_PEEK_NONE;
	return s->in_memory && ((r->has_ts && r->ts == 0) || cut_by_zeros(s, r) || header_cut(s, r)) ? ETW_PEEK_NONE : got;
}

/* ---- chains ------------------------------------------------------------------------------------------------------------------------------ */

/* For each 8-aligned place: does a chain of whole records, times not going back, start here and end well, and where. */
struct link {
	uint64_t ts;   /* of the first timed record of the chain */
	uint32_t stop; /* where the chain ends; NOWHERE: no chain starts here */
	uint32_t n;    /* records */
	bool has_ts;
};

struct chains {
	struct link *at; /* [i]: the place from + 8 * i; one more for the end */
	uint32_t from, n;
};

static bool chain_stops_here(const struct span *s, uint32_t off, bool any_stop)
{
	struct etw_record r;
	const struct etw_range *m;

	if (off >= s->end || any_stop)
		return true;
	m = s->n_missing ? missing_in(s, off, 8) : NULL;
	if (m || is_zero_page(s, page_of(s, off)))
		return true; /* at a missing page, or less than a record's first 8 bytes before it */
	/* a record that runs into a missing page: kind and size stand in its first 8 bytes */
	return etw_record_peek(s->raw, s->end, off, &r) == ETW_PEEK_RECORD &&
	       (missing_in(s, off, r.size) || cut_by_zeros(s, &r) || header_cut(s, &r));
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

/* `any_stop`: a chain may end anywhere (residual data, whose end nobody wrote down). 0 or ERR_NOMEM. */
static int find_chains(struct chains *c, const struct span *s, uint32_t from, bool any_stop)
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

		*l = (struct link){.stop = NOWHERE};
		if (off >= s->end) {
			l->stop = off;
			continue;
		}
		if (peek_whole(s, off, &r) != ETW_PEEK_RECORD) {
			if (chain_stops_here(s, off, any_stop))
				l->stop = off;
			continue;
		}
		next = (off + r.step - from) / 8;
		follow = &c->at[next < c->n ? next : c->n];
		if (r.has_ts && s->has_max_ts && r.ts > s->max_ts)
			continue;
		if (follow->stop == NOWHERE || (r.has_ts && follow->has_ts && r.ts > follow->ts)) {
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

static void free_chains(struct chains *c)
{
	free(c->at);
	c->at = NULL;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------------------------------- */

struct walk {
	struct span s;
	struct etw_buffer *b;
	bool file; /* trust the order of a file's records */
	bool has_first;
	uint64_t first, last; /* times of the first and the latest record kept */
	struct chains chains;
	size_t cap_gaps;
};

static int keep(struct walk *w, const struct etw_record *r)
{
	struct etw_buffer *b = w->b;
	uint32_t n = r->step <= w->s.end - r->off ? r->step : w->s.end - r->off;

	memcpy(b->body + b->body_len, w->s.raw + r->off, n);
	b->body_len += n;
	b->n_events++;
	if (!r->has_ts)
		return 0;
	if (!w->has_first) {
		w->first = r->ts;
		w->has_first = true;
	}
	w->last = r->ts;
	if (!b->has_ts || r->ts < b->first_ts)
		b->first_ts = r->ts;
	if (!b->has_ts || r->ts > b->last_ts)
		b->last_ts = r->ts;
	b->has_ts = true;
	return 0;
}

static int add_gap(struct walk *w, uint32_t off, uint32_t to, enum etw_why why)
{
	struct etw_buffer *b = w->b;
	struct etw_gap *g;

	if (b->n_gaps == w->cap_gaps) {
		w->cap_gaps = w->cap_gaps ? w->cap_gaps * 2 : 4;
		g = realloc(b->gaps, w->cap_gaps * sizeof(*g));
		if (!g)
			return ERR_NOMEM;
		b->gaps = g;
	}
	b->gaps[b->n_gaps++] = (struct etw_gap){off, to - off, why};
	return 0;
}

/* The first place at or behind `off` where the walk can be taken up again; the end of data when there is none. */
static int resume_at(struct walk *w, uint32_t off, uint32_t *to)
{
	if (!w->chains.at && find_chains(&w->chains, &w->s, w->s.from, false) < 0)
		return ERR_NOMEM;
	for (uint32_t i = (off - w->chains.from + 7) / 8; i < w->chains.n; i++) {
		const struct link *l = &w->chains.at[i];

		if (l->stop != NOWHERE && l->n && !(l->has_ts && w->has_first && l->ts < w->last)) {
			*to = w->chains.from + 8 * i;
			return 0;
		}
	}
	*to = w->s.end;
	return 0;
}

/* The walk stands at off and can't go on: names the hole and moves behind it. */
static int pass_hole(struct walk *w, uint32_t *off, enum etw_peek got, bool stale)
{
	struct etw_record r;
	bool record = etw_record_peek(w->s.raw, w->s.end, *off, &r) == ETW_PEEK_RECORD && !too_late(&w->s, &r);
	const struct etw_range *m = missing_in(&w->s, *off, record && !stale ? r.size : 8);
	bool cut = record && !m && cut_by_zeros(&w->s, &r);
	uint32_t from = m ? m->offset + m->bytes : cut ? page_of(&w->s, r.off + r.size - 1) + PAGE : *off + 8, to;
	enum etw_why why = m ? ETW_PAGE_MISSING : got == ETW_PEEK_BAD ? ETW_BAD_RECORD : ETW_TORN_RECORD;

	if (from < *off + 8)
		from = *off + 8;
	if (from > w->s.end)
		from = w->s.end;
	if (resume_at(w, from, &to) < 0 || add_gap(w, *off, to, why) < 0)
		return ERR_NOMEM;
	*off = to;
	return 0;
}

static int walk_records(struct walk *w)
{
	uint32_t off = w->s.from;
	int rc = 0;

	while (rc == 0 && off < w->s.end) {
		struct etw_record r;
		enum etw_peek got = peek_whole(&w->s, off, &r);
		bool stale = got == ETW_PEEK_RECORD && !w->file && r.has_ts && w->has_first && r.ts < w->first;

		if (got == ETW_PEEK_RECORD && !stale) {
			rc = keep(w, &r);
			off += r.step;
		} else {
			rc = pass_hole(w, &off, got, stale);
		}
	}
	free_chains(&w->chains);
	return rc;
}

/* ---- residual records --------------------------------------------------------------------------------------------------------------------- */

static bool any_marker(const struct span *s)
{
	for (uint32_t off = s->from; off + 8 <= s->end; off += 8)
		if (s->raw[off + 3] == 0xc0 || s->raw[off + 3] == 0x90)
			return true;
	return false;
}

/* A chain's end that is believable: the buffer's end, fill, never written bytes, or after enough records. */
static bool believable(const struct span *s, const struct link *l)
{
	if (l->n >= RESIDUAL_SURE || l->stop >= s->end || s->end - l->stop < 8)
		return true;
	return le32(s->raw + l->stop) == UINT32_MAX || le64(s->raw + l->stop) == 0;
}

/* The records of the buffer's earlier use, cut at the front by the present one. Times must not be later than the first live event. */
static int settle_residual(struct etw_buffer *res, const struct walk *live, uint32_t end, uint32_t limit)
{
	struct walk w = {.s = live->s, .b = res, .file = true};
	struct chains c;
	int rc = 0;

	w.s.from = (end + 7) & ~7u;
	w.s.end = limit;
	find_zero_pages(&w.s);
	if (w.s.from >= limit || !any_marker(&w.s))
		return 0;
	if (live->b->has_ts) {
		w.s.has_max_ts = true;
		w.s.max_ts = live->b->first_ts;
	}
	if (find_chains(&c, &w.s, w.s.from, true) < 0)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < c.n; i++) {
		if (c.at[i].stop == NOWHERE || !c.at[i].n || !believable(&w.s, &c.at[i]))
			continue;
		res->orig_start = c.from + 8 * i;
		res->orig_end = c.at[i].stop < limit ? c.at[i].stop : limit;
		res->body = malloc(res->orig_end - res->orig_start);
		if (!res->body) {
			rc = ERR_NOMEM;
			break;
		}
		w.s.from = res->orig_start;
		w.s.end = res->orig_end;
		rc = walk_records(&w);
		break;
	}
	free_chains(&c);
	return rc;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------------------- */

static uint32_t cpu_of(const struct etw_bufhdr *h, const struct etw_settle_opts *o)
{
	bool file = o->met == ETW_MET_FILE || o->met == ETW_MET_FILE_FIRST;

	if (o->cpu_low_byte || (file && !(h->flag & FLAG_PROC_INDEX)))
		return h->processor & 0xff;
	return h->processor;
}

static uint32_t limit_of(const struct etw_bufhdr *h, uint32_t raw_len, const struct etw_settle_opts *o)
{
	uint32_t size = o->buffer_size ? o->buffer_size : h->buffer_size;

	return size >= ETW_BUFFER_HEADER_SIZE && size < raw_len ? size : raw_len;
}

static void take_place(struct etw_buffer *res, const struct etw_buffer *b)
{
	memset(res, 0, sizeof(*res));
	res->has_va = b->has_va;
	res->has_pa = b->has_pa;
	res->has_file_offset = b->has_file_offset;
	res->has_pid = b->has_pid;
	res->va = b->va;
	res->pa = b->pa;
	res->file_offset = b->file_offset;
	res->pid = b->pid;
	res->from = b->from;
	res->hdr = b->hdr;
	res->cpu = b->cpu;
}

int etw_settle(struct etw_buffer *b, const uint8_t *raw, uint32_t raw_len, const struct etw_settle_opts *o, struct etw_buffer *residual)
{
	struct walk w = {.b = b, .file = o->met == ETW_MET_FILE || o->met == ETW_MET_FILE_FIRST};
	uint32_t limit;
	int rc;

	etw_bufhdr_parse(&b->hdr, raw);
	limit = limit_of(&b->hdr, raw_len, o);
	b->cpu = cpu_of(&b->hdr, o);
	b->orig_start = ETW_BUFFER_HEADER_SIZE;
	b->orig_end = etw_end_of_data(&b->hdr, o->met, limit);
	w.s = (struct span){.raw = raw,
			    .from = ETW_BUFFER_HEADER_SIZE,
			    .end = b->orig_end,
			    .missing = o->missing,
			    .n_missing = o->n_missing,
			    .has_max_ts = o->has_max_ts,
			    .max_ts = o->max_ts,
			    .has_latest = o->has_latest,
			    .latest = o->latest,
			    .in_memory = o->in_memory,
			    .phase = o->page_off % PAGE};
	find_zero_pages(&w.s);
	if (residual)
		take_place(residual, b);
	b->body = malloc(b->orig_end - ETW_BUFFER_HEADER_SIZE + 8);
	if (!b->body)
		return ERR_NOMEM;
	rc = walk_records(&w);
	if (rc == 0 && residual && !(b->hdr.flag & UNUSED_FLAG))
		rc = settle_residual(residual, &w, b->orig_end, limit);
	if (rc < 0) {
		etw_buffer_clear(b);
		if (residual)
			etw_buffer_clear(residual);
	}
	return rc;
}
