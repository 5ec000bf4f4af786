/* carvejoin.c - the pages of a buffer that is bigger than one.
 *
 * For each page in turn there are places to look at: where the buffer is mapped, then where it was (carvepfn.c), then behind the page before when records go
 * on there at this buffer's pace, then pages whose first record begins where the next one of this buffer must, nearest in time first, then behind the page
 * before whatever its pace, then a page whose fill begins where this one's must. A place is taken when the walk over the records goes on over it; when a later
 * page can't be found, earlier choices are tried again (bounded). What can't be found is a missing page, never a guess: only a mapped page is taken unproved,
 * since its address proves it. Where pages are neither mapped nor in a row, carvechain.c looks at all of the places before anything is taken. Long, because
 * each place's test goes on with the walk of the one before. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "carvejoin.h"

#define TRIES_MAX    4096u /* pages read for one buffer beyond its own number */
#define NEAR_MAX     24u   /* pages with records tried for one place */
#define UNTIMED      4u    /* and of those whose first record has no time */
#define TORN_BEFORE  1u    /* records of a page before one that is torn, and one more, that tell whose it is */
#define TORN_SURE    2u    /* and when nothing goes on behind it */
#define DISPLACED    2u    /* the same, that show where a page has its place */
#define PROC_WIN7    0x800u
#define STATE_FREE   0u
#define STATE_FLUSH  3u
#define LOOK_MAX     4096u /* pages with records looked at for one place, other buffers' with them */
#define STEPS_LEAST  8u    /* records whose times tell how far apart they are */
#define STEPS_OVER   2u    /* times the longest step between them: more is late */
#define STEPS_OTHERS 4u    /* pages that nobody has, begun before a late one: of 512 places in a page one is the right one by chance */
#define STEPS_ALONE  1u    /* the same where the buffer can't be had whole, late or not */

int carve_room(struct carve *c, size_t n)
{
	uint8_t *p;

	if (n <= c->cap_raw)
		return 0;
	p = realloc(c->raw, n);
	if (!p)
		return ERR_NOMEM;
	c->raw = p;
	c->cap_raw = n;
	return 0;
}

/* Where page i + 1 of the buffer is mapped. */
static bool mapped(const struct join *j, uint32_t i, uint64_t *pa)
{
	if (i + 1 < j->o->n_known && j->o->known[i + 1] != ETW_NO_PA) {
		*pa = j->o->known[i + 1];
		return true;
	}
	if (i < j->b->n_row) {
		*pa = (j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1)) + (uint64_t)(i + 1) * CARVE_PAGE;
		return true;
	}
	if (j->vm && vm_pa(j->vm, j->b->va + carve_page_start(j, i), pa))
		return true;
	for (size_t k = carve_tied_from(j->b, i + 1); k < j->b->n_tied && j->b->tied[k].page == i + 1; k++)
		if (j->b->tied[k].sure) {
			*pa = j->b->tied[k].pa;
			return true;
		}
	return false;
}

static bool had_before(const struct carve_buf *b, uint64_t pa)
{
	return b->n_before && bsearch(&pa, b->own, b->n_before, sizeof(pa), u64_order);
}

/* Does another buffer have this page, or can't it do without? */
static bool gone(const struct join *j, uint64_t pa)
{
	const struct carve_buf *b = j->b;

	if (addrset_has(&j->c->claimed, pa | 1))
		return !had_before(b, pa);
	return addrset_has(&j->c->claimed, pa | 2) && !(b->n_held && bsearch(&pa, b->held, b->n_held, sizeof(pa), u64_order));
}

int carve_hold(struct join *j, const uint64_t *pa, size_t n)
{
	struct carve_buf *b = j->b;
	uint64_t *v;

	if (n <= b->n_held)
		return 0;
	v = malloc(n * sizeof(*v));
	if (!v)
		return ERR_NOMEM;
	memcpy(v, pa, n * sizeof(*v));
	qsort(v, n, sizeof(*v), u64_order);
	free(b->held);
	b->held = v;
	b->n_held = n;
	b->wishes = true;
	return 0;
}

static bool taken(const struct join *j, uint32_t i, uint64_t pa)
{
	if ((j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1)) == pa)
		return true;
	for (uint32_t k = 0; k < i; k++)
		if (j->level[k].pa == pa)
			return true;
	return false;
}

/* Where the page before the one of level i stands. */
static uint64_t before_page(const struct join *j, uint32_t i)
{
	return i ? j->level[i - 1].pa : j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
}

/* Where the first record that begins behind what is at hand must begin. A header that lies across the edge has its size before it. */
static uint32_t next_record(const struct join *j, const struct carve_level *l)
{
	uint32_t have = carve_page_start(j, (uint32_t)(l - j->level));

	return l->before.off < have ? l->before.off + carve_record_step(j->c->raw + l->before.off) : l->before.off;
}

bool carve_of_file(const struct carve_shape *s)
{
	return s->met == ETW_MET_FILE && (s->h.flag || (s->h.processor & 0xff00) == PROC_WIN7);
}

/* The last page of a file's buffer in which no record begins: the end of one and fill, which begins at an offset that is known. Taken when
 * there is one such page only, or when it stands behind the one before. */
static bool fill_page(const struct join *j, uint32_t i, uint64_t *pa)
{
	const struct carve_scan *s = &j->c->scan;
	uint32_t off = j->end - carve_page_start(j, i), n = 0, n_other = 0;
	uint64_t before = before_page(j, i), other = 0;
	size_t lo = 0, hi = s->n_tails;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->tail[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < s->n_tails && s->tail[lo].off == off; lo++) {
		uint64_t at = s->tail[lo].pa;

		if (gone(j, at) || carve_at(j->c, at))
			continue;
		if (before != ETW_NO_PA && at == before + CARVE_PAGE) {
			*pa = at;
			return true;
		}
		if (!s->tail[lo].records)
			*pa = at;
		else if (!n)
			other = at;
		n += !s->tail[lo].records;
		n_other += s->tail[lo].records;
	}
	if (!n)
		*pa = other;
	return n == 1 || (!n && n_other == 1);
}

/* How many parts that nobody has yet begin before this time. */
static size_t parts_before(const struct carve *c, uint64_t ts)
{
	size_t lo = 0, hi = c->n_part_times;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->part_times[mid] < ts)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* May a part that begins at `ts` be another buffer's, whose own page before was lost? The longest of many steps between records is seldom surpassed by much: what
 * begins much later is not believed when so many other pages begin in the time between that one of them is at the right place by chance. */
static bool too_late(const struct join *j, const struct carve_walk *w, uint64_t ts)
{
	size_t others = j->o->mutual ? STEPS_ALONE : STEPS_OTHERS;

	if (ts <= w->last_ts)
		return false;
	if (!j->o->mutual && (w->n < STEPS_LEAST || (ts - w->last_ts) / STEPS_OVER <= w->step_max))
		return false;
	return j->o->tight || parts_before(j->c, ts) - parts_before(j->c, w->last_ts + 1) > others;
}

/* The pages before follow each other from the buffer's first on, and this one stands farther on in the same row: there it is in its place, not here. */
static bool displaced(const struct join *j, uint32_t i, uint64_t pa)
{
	uint64_t first = j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);

	if (i < DISPLACED || pa <= first + (uint64_t)(i + 1) * CARVE_PAGE || pa - first >= j->b->f->shape.h.buffer_size)
		return false;
	for (uint32_t k = 0; k < i; k++)
		if (j->level[k].pa != first + (uint64_t)(k + 1) * CARVE_PAGE)
			return false;
	return true;
}

/* Is there no other page that could stand where this one does? */
static bool alone(const struct join *j, const struct carve_level *l, const struct carve_part *p, uint64_t last)
{
	const struct carve_scan *s = &j->c->scan;

	for (size_t i = l->next, n = 0; i < s->n_parts && n < LOOK_MAX && s->part[i].off == p->off; i++, n++) {
		if (p->ts && (s->part[i].ts - last) / carve_usual(&l->before) > j->o->patience)
			break;
		if (!gone(j, s->part[i].pa))
			return false;
	}
	return true;
}

/* A page to which a table's entry led: a table may be an old one, or none. So its records must go on at this buffer's pace, and no other page may lead to them. */
static bool entry_fits(const struct join *j, uint32_t i, uint64_t pa)
{
	const struct carve_level *l = &j->level[i];
	struct carve_head head[CARVE_HEADS];
	struct carve_part p = {.pa = pa};
	uint8_t page[CARVE_PAGE];

	if (phys_read(j->c->im->dump->phys, pa, page, CARVE_PAGE) != 0)
		return false;
	if (!carve_heads(page, head) || !head[0].ts || !l->before.has_ts)
		return true;
	p.off = head[0].off;
	p.ts = head[0].ts;
	return p.ts >= l->before.last_ts && (p.ts - l->before.last_ts) / carve_usual(&l->before) <= j->o->patience &&
	       carve_nearest(j->c, before_page(j, i), l->before.last_ts, &p, true);
}

bool carve_next_place(struct join *j, uint32_t i, uint64_t *pa)
{
	struct carve_level *l = &j->level[i];
	const struct carve_scan *s = &j->c->scan;
	uint32_t start = carve_page_start(j, i), at = next_record(j, l), off = at - start;
	uint64_t last = l->before.has_ts ? l->before.last_ts : 1;

	l->doubt = false;
	for (; l->how < CARVE_PLACES; l->how++, l->tried = l->looked = 0) {
		switch (l->how) {
		case CARVE_MAPPED:
			if (mapped(j, i, pa)) /* its address proves it, whatever it holds now */
				return !l->tried++;
			break;
		case CARVE_TIED:
			while (carve_tied_page(j->c, j->b, i + 1, last, l->looked++, pa))
				if (!gone(j, *pa) && !carve_at(j->c, *pa) && !taken(j, i, *pa) && (!j->c->tables || entry_fits(j, i, *pa)))
					return true;
			break;
		case CARVE_NEXT:
		case CARVE_BEHIND:
			if (j->o->tied)
				break;
			/* among all that fit, or nothing in it tells: carve_chain() puts it in when both its neighbours are there */
			if (j->o->all && (l->how == CARVE_NEXT || (at >= start + CARVE_PAGE && at < j->end)))
				break;
			*pa = before_page(j, i) == ETW_NO_PA ? ETW_NO_PA : before_page(j, i) + CARVE_PAGE;
			if (!l->tried++ && *pa != ETW_NO_PA && phys_present(j->c->im->dump->phys, *pa, CARVE_PAGE) == CARVE_PAGE &&
			    !carve_at(j->c, *pa) && !gone(j, *pa))
				return true;
			break;
		case CARVE_UNTIMED:
		case CARVE_TIMED:
			if (j->o->row || j->o->tied || at < start || at >= j->end || off >= CARVE_PAGE)
				break;
			if (!l->looked++)
				l->next = carve_parts_from(s, (uint16_t)off, l->how == CARVE_TIMED ? last : 0);
			while (l->next < s->n_parts && s->part[l->next].off == off &&
			       l->tried < (l->how == CARVE_TIMED ? NEAR_MAX : UNTIMED) && l->looked++ < LOOK_MAX) {
				const struct carve_part *p = &s->part[l->next++];

				if (l->how == CARVE_UNTIMED && p->ts != 0)
					break;
				if ((j->o->all || j->o->mutual) && l->how == CARVE_TIMED &&
				    (p->ts - last) / carve_usual(&l->before) > j->o->patience)
					break; /* and so are all behind */
				if ((j->o->all || j->o->mutual) && l->how == CARVE_TIMED && too_late(j, &l->before, p->ts))
					break;
				if (gone(j, p->pa) || displaced(j, i, p->pa))
					continue;
				l->tried++;
				if (taken(j, i, p->pa) ||
				    (j->o->mutual && p->ts && !carve_nearest(j->c, before_page(j, i), l->before.last_ts, p, false)))
					continue;
				l->doubt = !j->c->trust && carve_doubtful(j->c, before_page(j, i), l->before.last_ts, p);
				if (l->doubt && !j->o->all)
					continue;
				if (j->o->mutual && !j->o->all && !alone(j, l, p, last))
					break;
				*pa = p->pa;
				return true;
			}
			break;
		case CARVE_FILL:
			if (!l->tried++ && !j->o->row && !j->o->tied && at >= j->end && j->end - start < CARVE_PAGE &&
			    carve_of_file(&j->b->f->shape) && fill_page(j, i, pa))
				return true;
			break;
		case CARVE_NONE: /* no record begins in it: what comes behind can still be found */
			*pa = ETW_NO_PA;
			if (!l->tried++ && !j->o->row && !j->o->tied && at >= (j->end - start < CARVE_PAGE ? j->end : start + CARVE_PAGE))
				return true;
			break;
		case CARVE_PLACES:
			break;
		}
	}
	return false;
}

/* Do all pages before that of level i follow each other, so many that it is no chance? */
static bool row_sure(const struct join *j, uint32_t i)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < i; k++) {
		if (before_page(j, k) == ETW_NO_PA || j->level[k].pa != before_page(j, k) + CARVE_PAGE)
			return false;
		n += j->level[k].proved;
	}
	return n >= CARVE_ROW_SURE;
}

/* Do the records break off where the data of this buffer can't end, but those of its pages farther on may: whole pages before the end, or where fill stands? Then a page before
 * it is left out. */
static bool ends_early(const struct join *j, const struct carve_walk *w, uint32_t to)
{
	const uint8_t *raw = j->c->raw;
	uint32_t at = w->off;

	if (at >= to || (raw[at] != 0 && raw[at] != 0xff) || (!carve_of_file(&j->b->f->shape) && (j->end - at) % CARVE_PAGE))
		return false;
	for (; at < to && raw[at] == raw[w->off]; at++) {
	}
	return at == to;
}

bool carve_take(struct join *j, uint32_t i, uint64_t pa)
{
	struct carve_level *l = &j->level[i];
	uint32_t start = carve_page_start(j, i), size = j->b->f->shape.h.buffer_size;
	uint32_t have = size - start < CARVE_PAGE ? size : start + CARVE_PAGE, to = have < j->end ? have : j->end;
	struct carve_walk w = l->before;
	bool proved, torn;

	if (l->how == CARVE_NONE)
		memset(j->c->raw + start, 0, have - start);
	else if (phys_read(j->c->im->dump->phys, pa, j->c->raw + start, have - start) != 0)
		return false;
	if (l->how == CARVE_NONE) /* its header may lie in what was not found */
		w.off = next_record(j, l);
	else
		carve_go_on(&w, j->c->raw, to, j->end);
	if (w.bad && w.n > l->before.n + TORN_BEFORE)
		carve_resume(&w, j->c->raw, to, j->end);
	/* nothing is known behind it, but the page is this buffer's */
	torn = w.bad && !j->o->whole && w.n > l->before.n + TORN_SURE && !ends_early(j, &w, to);
	if (l->how != CARVE_MAPPED && ((w.bad && !torn) || !carve_times_fit(j, l->how, &l->before, &w) || carve_goes_on(j, &w, have)))
		return false;
	if (l->how != CARVE_MAPPED && l->how != CARVE_TIED && l->how != CARVE_NONE && !carve_pads_fit(j, l->before.off, start, to))
		return false;
	/* a record whose header lies across the edge proves nothing: the page before may hold all of it that tells */
	proved = w.n > l->before.n + (l->before.off < start) || l->how == CARVE_FILL;
	if (l->how == CARVE_NEXT && !proved)
		return false;
	if (l->how == CARVE_TIED && !proved && have >= j->end) {
		proved = carve_ends_at(j, pa, start, have);
		if (!proved)
			return false;
	}
	if (l->how == CARVE_BEHIND && !proved && have >= j->end) {
		proved = carve_ends_at(j, pa, start, have);
		if (!proved && !row_sure(j, i))
			return false;
	}
	l->pa = pa;
	l->proved = proved;
	j->walk = w;
	return true;
}

/* Do the entries lead on from level i to a page that is proved? */
static bool tied_on(const struct join *j, uint32_t i)
{
	while (++i < j->n && j->level[i].how == CARVE_TIED)
		if (j->level[i].proved)
			return true;
	return false;
}

/* Pages that only stand behind the one before and hold no record that proves them: they are this buffer's when they lie between two pages
 * that are, without a break, or when the whole buffer does. */
static void drop_unproved(struct join *j)
{
	bool row = true; /* all pages so far follow each other, some of them proved */
	uint32_t proved = 0;

	for (uint32_t i = 0; i < j->n; i++) {
		struct carve_level *l = &j->level[i];
		uint32_t k = i;
		bool between = false;

		row = row && before_page(j, i) != ETW_NO_PA && l->pa == before_page(j, i) + CARVE_PAGE;
		proved += l->proved;
		if (!l->proved && l->how == CARVE_TIED && j->c->tables && !tied_on(j, i))
			l->pa = ETW_NO_PA;
		if (l->proved || l->how != CARVE_BEHIND)
			continue;
		while (k + 1 < j->n && j->level[k + 1].pa == j->level[k].pa + CARVE_PAGE && !between)
			between = j->level[++k].proved;
		if (!between && !(row && proved))
			l->pa = ETW_NO_PA;
	}
	while (j->n && j->level[j->n - 1].pa == ETW_NO_PA)
		j->n--;
}

/* As many pages as can be found, from the second on; the longest row of them is left in level[0, n). */
static int search(struct join *j, uint32_t want)
{
	struct carve_level *best = calloc(want, sizeof(*best));
	uint32_t n_best = 0, tries = 0, most = TRIES_MAX + 2 * want, i = 0;

	if (!best)
		return ERR_NOMEM;
	j->level[0] = (struct carve_level){.before = j->walk};
	while (tries < most) {
		bool got = false;
		uint64_t pa;

		while (!got && tries < most && carve_next_place(j, i, &pa)) {
			tries++;
			got = carve_take(j, i, pa);
		}
		if (got) {
			i++;
			if (i > n_best) {
				n_best = i;
				memcpy(best, j->level, i * sizeof(*best));
			}
			if (i == want || j->walk.bad)
				break; /* whole; or a record that is none, behind which only mapped pages can go on */
			j->level[i] = (struct carve_level){.before = j->walk};
			continue;
		}
		if (i == 0)
			break;
		i--; /* the choice before was wrong, perhaps: the next one there */
	}
	memcpy(j->level, best, n_best * sizeof(*best));
	free(best);
	j->n = j->n_all = n_best;
	return 0;
}

int carve_claim(struct carve *c, struct carve_buf *b)
{
	b->pending = false;
	for (uint32_t i = 1; i <= b->n_used; i++)
		if (b->page[i] != ETW_NO_PA && addrset_add(&c->claimed, b->page[i] | 1) < 0)
			return ERR_NOMEM;
	c->progress++;
	return 0;
}

/* Page i + 1, behind one that is not there: the only one that was at its address, with records of the time in which the buffer was filled. */
static bool tied_behind(const struct join *j, uint32_t i, uint64_t *pa)
{
	size_t k = carve_tied_from(j->b, i + 1);
	struct carve_head head[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];
	unsigned n;

	if (k == j->b->n_tied || j->b->tied[k].page != i + 1 || (k + 1 < j->b->n_tied && j->b->tied[k + 1].page == i + 1))
		return false;
	*pa = j->b->tied[k].pa;
	if (gone(j, *pa) || carve_at(j->c, *pa) || taken(j, j->n, *pa) || phys_read(j->c->im->dump->phys, *pa, page, CARVE_PAGE) != 0)
		return false;
	n = carve_heads(page, head);
	return n && head[0].ts > j->walk.last_ts && head[0].ts <= j->latest;
}

static int set_pages(struct join *j, uint32_t n_all)
{
	struct carve_buf *b = j->b;

	b->page = malloc(((size_t)n_all + 1) * sizeof(*b->page));
	if (!b->page)
		return ERR_NOMEM;
	b->page[0] = b->f->pa & ~(uint64_t)(CARVE_PAGE - 1);
	b->n_pages = 1;
	for (uint32_t i = 0; i < n_all; i++) {
		uint64_t pa = ETW_NO_PA;

		if (i < j->n) {
			pa = j->level[i].pa;
		} else if (!mapped(j, i, &pa)) {
			if (i < j->b_pages && tied_behind(j, i, &pa))
				b->n_used = i + 1;
			else
				pa = ETW_NO_PA;
		}
		b->page[b->n_pages++] = pa;
	}
	return 0;
}

static uint32_t pages_behind(const struct join *j, uint32_t to)
{
	return to > j->first ? (to - j->first + CARVE_PAGE - 1) / CARVE_PAGE : 0;
}

uint64_t carve_latest(const struct carve_shape *s)
{
	bool flushed = s->h.state == STATE_FREE || s->h.state == STATE_FLUSH;
	uint64_t most = s->walk.first_ts + CARVE_SPAN_MAX - 1, ts = s->h.timestamp;

	/* where the walk ended at something that is no record, the last one's time may be none already */
	if (!flushed || ts < (s->walk.bad ? s->walk.first_ts : s->walk.last_ts))
		return most;
	return ts < most ? ts : most;
}

int carve_join(struct carve *c, struct carve_buf *b, const struct carve_how *how)
{
	struct join j = {.c = c, .b = b, .o = how, .latest = carve_latest(&b->f->shape), .end = b->f->shape.end, .walk = b->f->shape.walk};
	uint32_t size = b->f->shape.h.buffer_size, want, all, pads;
	int rc = 0;

	if (b->page)
		return 0;
	b->n_used = 0;
	j.first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE);
	want = j.b_pages = pages_behind(&j, j.end);
	all = want;
	if (b->has_va && b->user && vm_open_like(&j.vm, c->im->kernel->vm, b->dtb, NULL) != 0)
		j.vm = NULL;
	if (b->has_va && !b->user)
		j.vm = c->im->kernel->vm;
	if (j.vm) /* all of it, for what an earlier use left behind the data */
		all = pages_behind(&j, size);
	if (want) {
		j.level = calloc(want, sizeof(*j.level));
		rc = j.level ? carve_room(c, (size_t)j.end + CARVE_PAGE) : ERR_NOMEM;
		if (rc == 0 && phys_read(c->im->dump->phys, b->f->pa, c->raw, j.first < j.end ? j.first : j.end) == 0 && !j.walk.bad) {
			j.zero_pads = carve_pads_zero(c->raw, ETW_BUFFER_HEADER_SIZE, j.first < j.end ? j.first : j.end, &pads) &&
				      pads >= CARVE_PADS_LEAST;
			rc = how->all ? carve_chain(&j, want, how->doubt) : search(&j, want);
			drop_unproved(&j);
		}
		if (rc == 0 && (how->whole ? j.n_all < want : how->row && !row_sure(&j, j.n)))
			goto out;
		if (how->row)
			b->n_row = j.n;
		b->n_used = j.n;
	}
	if (rc == 0)
		rc = set_pages(&j, all);
	if (rc == 0 && how->all)
		b->pending = true;
	else if (rc == 0)
		rc = carve_claim(c, b);
out:
	if (b->user)
		vm_close(j.vm);
	free(j.level);
	return rc;
}

int carve_bytes(struct carve *c, const struct carve_buf *b, uint32_t *len, struct etw_range *missing, size_t max, size_t *n_missing)
{
	uint32_t first = CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE), size = b->f->shape.h.buffer_size, n = 0;

	*n_missing = 0;
	if (carve_room(c, size) < 0)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < b->n_pages && n < size; i++) {
		uint32_t step = i ? CARVE_PAGE : first;
		uint64_t pa = b->page[i] + (i ? 0 : CARVE_PAGE - first);

		if (step > size - n)
			step = size - n;
		if (b->page[i] == ETW_NO_PA || phys_read(c->im->dump->phys, pa, c->raw + n, step) != 0) {
			struct etw_range *last = *n_missing ? &missing[*n_missing - 1] : NULL;

			memset(c->raw + n, 0, step);
			if (last && (last->offset + last->bytes == n || *n_missing == max))
				last->bytes = n + step - last->offset;
			else
				missing[(*n_missing)++] = (struct etw_range){n, step};
		}
		n += step;
	}
	*len = n;
	return 0;
}
