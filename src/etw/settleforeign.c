/* settleforeign.c - pages of a buffer in memory that are another buffer's, or the same one's of another time (smear: an image is taken over minutes).
 *
 * Within a buffer times never go back: none of 226,840 timed records in the 762 buffers of 20 real trace files is earlier than the one before it, nor any in the 1,654 buffers of 31
 * crash dumps (docs/live-buffers.md); and none is later than the TimeStamp of a buffer that was switched out. So where the first record of a page is earlier than
 * the last one of the page before, one of the two is foreign: that whose removal leaves times that never go back. The header's page is the buffer's own.
 *
 * A clock of system time can be set back, and then nothing is foreign. So a page is taken out only as a whole: all that begins in it lies behind what follows (or before what came
 * before), which a clock that was set back makes only when it falls between two records at both edges. Where either of two pages can be it, or more pages would
 * have to go than stay on the other side, all is kept: nobody knows. Pages whose own times go back prove nothing either. */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "settlespan.h"

#define BLOCK_MAX 64u /* pages that follow each other and are all foreign */

struct page {
	uint32_t first_off; /* of the first record that begins in it */
	uint32_t n, n_timed;
	uint64_t first, last; /* times */
	bool bad;             /* they go back */
	bool foreign;
};

struct pages {
	const struct span *s;
	struct page *page; /* owned; by number of page */
	uint32_t n;
	uint32_t *timed; /* owned; numbers of the pages that have times, ascending */
	uint32_t n_timed;
	uint32_t *kept; /* owned; a stack of numbers of pages */
	uint32_t n_kept;
};

static uint32_t number_of(const struct span *s, uint32_t off)
{
	return (off + s->phase) / SETTLE_PAGE;
}

static void list_record(struct pages *p, const struct etw_record *r)
{
	struct page *g = &p->page[number_of(p->s, r->off)];

	if (!g->n++)
		g->first_off = r->off;
	/* of one whose header goes over the edge the time may be the next page's */
	if (!r->has_ts || (r->off + p->s->phase) % SETTLE_PAGE + SETTLE_TIME_END > SETTLE_PAGE)
		return;
	if (!g->n_timed++)
		g->first = g->last = r->ts;
	g->bad = g->bad || r->ts < g->last;
	g->last = r->ts;
}

/* As settle.c's walk, but on over times that go back, and where a record that came over a page's edge leads nowhere, from that edge on. */
static int list_records(struct pages *p, const struct span *s)
{
	uint32_t off = s->from, before = off, turned = 0;
	struct chains c = {0};
	int rc = 0;

	while (off < s->end) {
		struct etw_record r;

		if (settle_peek(s, off, &r) == ETW_PEEK_RECORD) {
			list_record(p, &r);
			before = off;
			off += r.step;
			continue;
		}
		if (!c.at && (rc = settle_find_chains(&c, s, s->from, false)) < 0)
			break;
		if (number_of(s, off) > number_of(s, before) && number_of(s, off) > turned) {
			turned = number_of(s, off); /* once for each page, so that this ends */
			off = settle_page_of(s, off);
		} else {
			off += 8;
		}
		off = before = settle_resume(&c, s, off, false, 0);
	}
	settle_free_chains(&c);
	return rc;
}

static const struct page *timed(const struct pages *p, uint32_t i)
{
	return &p->page[p->timed[i]];
}

static const struct page *kept(const struct pages *p, uint32_t from_top)
{
	return &p->page[p->kept[p->n_kept - 1 - from_top]];
}

/* How many pages from timed[i] on go on without a time that goes back, at most BLOCK_MAX. */
static uint32_t run_from(const struct pages *p, uint32_t i)
{
	uint32_t n = 0;

	while (i + n < p->n_timed && n < BLOCK_MAX && !timed(p, i + n)->bad && (!n || timed(p, i + n)->first >= timed(p, i + n - 1)->last))
		n++;
	return n;
}

/* How many pages from the top of `kept` down must go so that timed[i] follows; 0: none, or it can't be told. */
static uint32_t later_ones(const struct pages *p, uint32_t i)
{
	uint32_t most = run_from(p, i);

	for (uint32_t k = 0; k < p->n_kept && k <= most; k++) {
		const struct page *g = kept(p, k);

		if (g->bad)
			return 0;
		if (g->last <= timed(p, i)->first)
			return k;
		if (g->first < timed(p, i)->first || p->kept[p->n_kept - 1 - k] == 0)
			return 0;
	}
	return 0;
}

/* How many pages from timed[i] on must go so that the one behind them follows on the top of `kept`; 0: none, or it can't be told. */
static uint32_t earlier_ones(const struct pages *p, uint32_t i)
{
	uint32_t most = p->n_kept < BLOCK_MAX ? p->n_kept : BLOCK_MAX;

	for (uint32_t k = 0; i + k < p->n_timed && k <= most; k++) {
		const struct page *g = timed(p, i + k);

		if (g->bad)
			return 0;
		if (g->first >= kept(p, 0)->last)
			return k;
		if (g->last > kept(p, 0)->last)
			return 0;
	}
	return 0;
}

static void judge(struct pages *p, bool has_bound, uint64_t bound)
{
	bool bounded = has_bound && p->n_timed && p->timed[0] == 0 && !timed(p, 0)->bad && timed(p, 0)->last <= bound;

	for (uint32_t i = 0; i < p->n_timed; i++) {
		struct page *g = &p->page[p->timed[i]];

		if (bounded && !g->bad && g->first > bound) {
			g->foreign = true;
			continue;
		}
		if (p->n_kept && !g->bad && g->first < kept(p, 0)->last) {
			uint32_t up = later_ones(p, i), down = earlier_ones(p, i);

			if (up && !down) {
				while (up--)
					p->page[p->kept[--p->n_kept]].foreign = true;
			} else if (down && !up) {
				for (uint32_t k = 0; k < down; k++)
					p->page[p->timed[i + k]].foreign = true;
				i += down - 1;
				continue;
			}
		}
		p->kept[p->n_kept++] = p->timed[i];
	}
}

/* What was found before, and what is new: one entry a page. */
static int put_foreign(const struct pages *p, struct settle_foreign **v, size_t *n)
{
	const struct span *s = p->s;
	uint32_t resume = SETTLE_NOWHERE, n_new = 0;
	struct settle_foreign *f;
	size_t at, old = s->n_foreign;

	for (uint32_t i = 0; i < p->n; i++)
		n_new += p->page[i].foreign;
	*n = 0;
	*v = NULL;
	if (!n_new)
		return 0;
	f = malloc((old + n_new) * sizeof(*f));
	if (!f)
		return ERR_NOMEM;
	*v = f;
	*n = at = old + n_new;
	for (uint32_t i = p->n; i > 0; i--) {
		const struct page *g = &p->page[i - 1];
		uint32_t to = i * SETTLE_PAGE - s->phase;

		if (old && s->foreign[old - 1].to == to) {
			f[--at] = s->foreign[--old];
		} else if (g->foreign) {
			f[--at] = (struct settle_foreign){to - SETTLE_PAGE, to, resume, g->n};
		} else if (g->n) {
			resume = g->first_off;
		}
	}
	return 0;
}

int settle_find_foreign(const struct span *s, bool has_bound, uint64_t bound, struct settle_foreign **v, size_t *n)
{
	struct span all = *s;
	struct pages p = {.s = s, .n = number_of(s, s->end) + 1};
	int rc = ERR_NOMEM;

	*v = NULL;
	*n = 0;
	all.has_latest = false; /* what is later than the buffer can be tells that its page is foreign */
	p.page = calloc(p.n, sizeof(*p.page));
	p.timed = calloc(p.n, sizeof(*p.timed));
	p.kept = calloc(p.n, sizeof(*p.kept));
	if (p.page && p.timed && p.kept)
		rc = list_records(&p, &all);
	if (rc == 0) {
		for (uint32_t i = 0; i < p.n; i++)
			if (p.page[i].n_timed)
				p.timed[p.n_timed++] = i;
		judge(&p, has_bound, bound);
		rc = put_foreign(&p, v, n);
	}
	free(p.page);
	free(p.timed);
	free(p.kept);
	return rc;
}
