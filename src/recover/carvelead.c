/* carvelead.c - which page leads to which: is there another one to which records lead that are nearer to these?
 *
 * Where a page is lost, those behind it have none before them, and fit behind other buffers by place and time. What tells that such a page is another one's: a page that nobody has
 * behind it yet ends where it begins, later than the buffer's last record, and leads to no other page that is left; the page before it in memory most of all. */
#include "carvejoin.h"

#define STEPS_MAX 64u  /* times the usual time between two records, in which a page's next one begins */
#define LOOK_MAX  512u /* pages looked at for one place, and for each of those as many */

size_t carve_parts_from(const struct carve_scan *s, uint16_t off, uint64_t ts)
{
	size_t lo = 0, hi = s->n_parts;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct carve_part *p = &s->part[mid];

		if (p->off < off || (p->off == off && p->ts < ts))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Has this page one behind it already? */
static bool has_next(const struct carve *c, uint64_t pa)
{
	const struct carve_buf *b = carve_at(c, pa);

	if (!b)
		return addrset_has(&c->claimed, pa | 1);
	return b->live || (b->page && (b->n_pages < 2 || b->page[1] != ETW_NO_PA));
}

/* Does x lead to no other page than p, of those that nobody has? */
static bool needs(const struct carve *c, const struct carve_exit *x, const struct carve_part *p)
{
	const struct carve_scan *s = &c->scan;
	uint64_t usual = p->n > 1 ? (p->last_ts - p->ts) / (p->n - 1u) + 1 : UINT64_MAX >> 40;

	for (size_t i = carve_parts_from(s, x->off, x->ts), n = 0; i < s->n_parts && s->part[i].off == x->off && n < LOOK_MAX; i++, n++) {
		if ((s->part[i].ts - x->ts) / usual > STEPS_MAX)
			break;
		if (s->part[i].pa != p->pa && !addrset_has(&c->claimed, s->part[i].pa | 1))
			return false;
	}
	return true;
}

/* The first of s->exit at the place of this part that is later. */
static size_t exits_behind(const struct carve_scan *s, const struct carve_part *p)
{
	size_t lo = 0, hi = s->n_exits;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct carve_exit *x = &s->exit[mid];

		if (x->off < p->off || (x->off == p->off && x->ts <= p->ts))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool carve_nearest(const struct carve *c, uint64_t before, uint64_t last, const struct carve_part *p, bool open)
{
	const struct carve_scan *s = &c->scan;
	size_t lo = exits_behind(s, p);

	for (size_t n = 0; lo > 0 && s->exit[lo - 1].off == p->off && n < LOOK_MAX; lo--, n++) {
		const struct carve_exit *x = &s->exit[lo - 1];

		if (x->pa == before || x->ts <= last)
			return true;
		if (!open || (!has_next(c, x->pa) && needs(c, x, p)))
			return false;
	}
	return true;
}

/* The page that stands before this part in memory leads to it, and has no other page behind it, nor any that it could have. */
static bool led_elsewhere(const struct carve *c, uint64_t before, const struct carve_part *p)
{
	const struct carve_scan *s = &c->scan;
	uint64_t leader = p->pa - CARVE_PAGE;

	if (!p->led || before == leader || has_next(c, leader))
		return false;
	for (size_t k = exits_behind(s, p), n = 0; k > 0 && s->exit[k - 1].off == p->off && n < LOOK_MAX; k--, n++)
		if (s->exit[k - 1].pa == leader)
			return needs(c, &s->exit[k - 1], p);
	return false;
}

bool carve_doubtful(const struct carve *c, uint64_t before, uint64_t last, const struct carve_part *p)
{
	return led_elsewhere(c, before, p) || (p->ts && !carve_nearest(c, before, last, p, true));
}
