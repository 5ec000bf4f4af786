/* settle.c - see settle.h.
 *
 * The walk goes record by record from 0x48. Where it can't go on there is a hole: a page that was not read, or a place that holds no record, or one
 * older than the buffer's first event (what a writer had reserved and not yet filled still holds an earlier use's bytes). Behind a hole the
 * walk resumes at the first 8-aligned place from which whole records chain exactly to the end of data, or into the next missing page
 * (settlespan.c). Where it met something odd in memory, pages that are another's are looked for (settleforeign.c), and if there are, it goes again without them. */
#include "settle.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "rd.h"
#include "settlespan.h"

#define UNUSED_FLAG     0x100u /* never used: the body is no earlier use's */
#define FLAG_PROC_INDEX 0x20u
#define RESIDUAL_SURE   3u /* records that chain although what follows is neither fill nor the buffer's end */
#define STATE_FREE      0u
#define STATE_FLUSH     3u
#define ROUNDS_MAX      4u /* what one foreign page hid may be another */

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

/* ---- the walk ---------------------------------------------------------------------------------------------------------------------------- */

/* The walk before the last record was kept, where that record's time stands over a page's edge: it may be the time of something else. */
struct before {
	uint32_t off, next; /* of the record; 0: no such one */
	uint32_t body_len;
	bool has_first, has_ts;
	uint64_t last, first_ts, last_ts;
};

struct walk {
	struct span s;
	struct etw_buffer *b;
	bool file; /* trust the order of a file's records */
	bool has_first;
	uint64_t first, last; /* times of the first and the latest record kept */
	struct chains chains;
	struct before before;
	size_t cap_gaps;
	bool has_bound;
	uint64_t bound; /* when the buffer was switched out */
	bool odd;       /* a hole, a time that goes back, or one that is later than the bound */
};

static int keep(struct walk *w, const struct etw_record *r)
{
	struct etw_buffer *b = w->b;
	uint32_t n = r->step <= w->s.end - r->off ? r->step : w->s.end - r->off;

	w->before = (struct before){0};
	if (w->s.in_memory && r->has_ts && (r->off + w->s.phase) % SETTLE_PAGE + SETTLE_TIME_END > SETTLE_PAGE)
		w->before = (struct before){.off = r->off,
					    .next = r->off + r->step,
					    .body_len = b->body_len,
					    .has_first = w->has_first,
					    .has_ts = b->has_ts,
					    .last = w->last,
					    .first_ts = b->first_ts,
					    .last_ts = b->last_ts};
	memcpy(b->body + b->body_len, w->s.raw + r->off, n);
	b->body_len += n;
	b->n_events++;
	if (!r->has_ts)
		return 0;
	w->odd = w->odd || (w->has_first && r->ts < w->last) || (w->has_bound && r->ts > w->bound);
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

/* The walk stands at a hole behind a record whose time stands over a page's edge, and could go on sooner without it: the time is none, and so is the record. */
static void take_back(struct walk *w, uint32_t *off, uint32_t from, uint32_t *to)
{
	const struct before *k = &w->before;
	uint32_t sooner;

	if (!k->off || k->next != *off || !k->has_first)
		return;
	sooner = settle_resume(&w->chains, &w->s, from, true, k->last);
	if (sooner >= *to)
		return;
	w->last = k->last;
	w->b->body_len = k->body_len;
	w->b->n_events--;
	w->b->has_ts = k->has_ts;
	w->b->first_ts = k->first_ts;
	w->b->last_ts = k->last_ts;
	*off = k->off;
	*to = sooner;
}

/* The walk stands at off and can't go on: names the hole and moves behind it. */
static int pass_hole(struct walk *w, uint32_t *off, enum etw_peek got, bool stale)
{
	const struct span *s = &w->s;
	struct etw_record r;
	bool record = etw_record_peek(s->raw, s->end, *off, &r) == ETW_PEEK_RECORD && !settle_too_late(s, &r);
	uint32_t n = record && !stale ? r.size : 8;
	const struct etw_range *m = settle_missing(s, *off, n);
	const struct settle_foreign *f = settle_foreign_in(s, *off, n);
	bool cut = record && !m && !f && settle_cut_by_zeros(s, &r);
	uint32_t from = *off + 8, to;
	enum etw_why why;

	if (m && f && m->offset <= f->from)
		f = NULL;
	else if (f)
		m = NULL;
	why = m ? ETW_PAGE_MISSING : got == ETW_PEEK_BAD && !f ? ETW_BAD_RECORD : ETW_TORN_RECORD;
	if (m)
		from = m->offset + m->bytes;
	else if (f)
		from = f->to;
	else if (cut)
		from = settle_page_of(s, r.off + r.size - 1) + SETTLE_PAGE;
	if (from < *off + 8)
		from = *off + 8;
	if (from > s->end)
		from = s->end;
	if (!w->chains.at && settle_find_chains(&w->chains, s, s->from, false) < 0)
		return ERR_NOMEM;
	to = settle_resume(&w->chains, s, from, w->has_first, w->last);
	take_back(w, off, from, &to);
	if (f && f->resume >= from && f->resume < to)
		to = f->resume;
	w->odd = true;
	if (add_gap(w, *off, to, why) < 0)
		return ERR_NOMEM;
	*off = to;
	return 0;
}

/* The walk over the records of w->s, into w->b. */
static int walk_records(struct walk *w)
{
	uint32_t off = w->s.from;
	int rc = 0;

	while (rc == 0 && off < w->s.end) {
		struct etw_record r;
		enum etw_peek got = settle_peek(&w->s, off, &r);
		bool stale = got == ETW_PEEK_RECORD && !w->file && r.has_ts && w->has_first && r.ts < w->first;

		if (got == ETW_PEEK_RECORD && !stale) {
			rc = keep(w, &r);
			off += r.step;
		} else {
			rc = pass_hole(w, &off, got, stale);
		}
	}
	settle_free_chains(&w->chains);
	return rc;
}

/* ---- pages that are another's ---------------------------------------------------------------------------------------------------------- */

static void take_records(struct etw_buffer *to, struct etw_buffer *from)
{
	free(to->body);
	free(to->gaps);
	to->body = from->body;
	to->body_len = from->body_len;
	to->gaps = from->gaps;
	to->n_gaps = from->n_gaps;
	to->n_events = from->n_events;
	to->has_ts = from->has_ts;
	to->first_ts = from->first_ts;
	to->last_ts = from->last_ts;
}

/* Again, without the n foreign pages at v. 1: it was better so; 0: more went than what begins in those pages or goes over into them, so all is left as it was. */
static int walk_without(struct walk *w, const struct settle_foreign *v, size_t n)
{
	struct etw_buffer b = {0};
	struct walk again = {.s = w->s, .b = &b, .file = w->file, .has_bound = w->has_bound, .bound = w->bound};
	uint64_t most = n;
	int rc;

	for (size_t i = 0; i < n; i++)
		most += v[i].records;
	again.s.foreign = v;
	again.s.n_foreign = n;
	b.body = malloc(w->s.end - w->s.from + 8);
	rc = b.body ? walk_records(&again) : ERR_NOMEM;
	if (rc < 0 || b.n_events + most < w->b->n_events) {
		free(b.body);
		free(b.gaps);
		return rc < 0 ? rc : 0;
	}
	take_records(w->b, &b);
	again.b = w->b;
	*w = again;
	return 1;
}

/* Looks for foreign pages until there are no more. What the span has of them in the end is owned by the caller: *v. */
static int leave_foreign(struct walk *w, struct settle_foreign **v)
{
	int rc = 1;

	for (unsigned round = 0; round < ROUNDS_MAX && rc > 0 && w->odd; round++) {
		struct settle_foreign *more;
		size_t n;

		rc = settle_find_foreign(&w->s, w->has_bound, w->bound, &more, &n);
		if (rc == 0 && n)
			rc = walk_without(w, more, n);
		if (rc > 0) {
			free(*v);
			*v = more;
		} else {
			free(more);
		}
	}
	return rc < 0 ? rc : 0;
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
	settle_find_zero_pages(&w.s);
	if (w.s.from >= limit || !any_marker(&w.s))
		return 0;
	if (live->b->has_ts) {
		w.s.has_max_ts = true;
		w.s.max_ts = live->b->first_ts;
	}
	if (settle_find_chains(&c, &w.s, w.s.from, true) < 0)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < c.n; i++) {
		if (c.at[i].stop == SETTLE_NOWHERE || !c.at[i].n || !believable(&w.s, &c.at[i]))
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
	settle_free_chains(&c);
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
	struct settle_foreign *foreign = NULL;
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
			    .phase = o->page_off % SETTLE_PAGE};
	settle_find_zero_pages(&w.s);
	if (residual)
		take_place(residual, b);
	b->body = malloc(b->orig_end - ETW_BUFFER_HEADER_SIZE + 8);
	if (!b->body)
		return ERR_NOMEM;
	w.has_bound = b->hdr.timestamp && (b->hdr.state == STATE_FREE || b->hdr.state == STATE_FLUSH);
	w.bound = b->hdr.timestamp;
	rc = walk_records(&w);
	if (rc == 0 && o->in_memory && o->met == ETW_MET_MEMORY)
		rc = leave_foreign(&w, &foreign);
	if (rc == 0 && residual && !(b->hdr.flag & UNUSED_FLAG))
		rc = settle_residual(residual, &w, b->orig_end, limit);
	free(foreign);
	if (rc < 0) {
		etw_buffer_clear(b);
		if (residual)
			etw_buffer_clear(residual);
	}
	return rc;
}
