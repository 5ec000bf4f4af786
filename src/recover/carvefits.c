/* carvefits.c - does a page go on with a buffer? By the times of its records, by what stands behind the end of data, by the bytes that pad records. See carvejoin.h */
#include <string.h>

#include "carvejoin.h"

#define FILL_LEAST 8u  /* bytes behind the end of data that tell anything */
#define ZEROS_LAST 16u /* bytes at the end of a record that may all be zeros */
#define OLD_SURE   3u  /* records of an earlier use that tell whose page it is */

/* What usually lies between two records. */
uint64_t carve_usual(const struct carve_walk *w)
{
	return w->n > 1 ? (w->last_ts - w->first_ts) / (w->n - 1) + 1 : UINT64_MAX >> 40;
}

/* Do the times of the records behind `before` go with those before it? Other buffers have records that would fit just as well otherwise. */
bool carve_times_fit(const struct join *j, enum carve_place how, const struct carve_walk *before, const struct carve_walk *w)
{
	uint64_t n = w->n - before->n + 1;

	if (!w->has_ts || !before->has_ts)
		return true;
	if (w->last_ts > j->latest)
		return false;
	if (j->o->all || how == CARVE_TIED || (how == CARVE_BEHIND && !(j->o->row && j->b_pages < CARVE_ROW_SURE)))
		return true;
	return (w->last_ts - before->last_ts) / n / carve_usual(before) <= j->o->patience;
}

/* Behind the end of data stands what an earlier use left, or fill. Later records there are another buffer's. */
bool carve_goes_on(const struct join *j, const struct carve_walk *w, uint32_t have)
{
	struct carve_walk behind = *w;

	if (w->off < j->end || w->off >= have)
		return false;
	carve_go_on(&behind, j->c->raw, have, have);
	return behind.n > w->n;
}

/* Records of one length stand at the same places in any buffer. Those of an earlier use, the first of which begins at `first`, tell whose page it is then only when the pages
 * before follow each other, or when there is but one before and they go on exactly where the data end. */
static bool places_tell(const struct join *j, uint32_t start, uint32_t first)
{
	const struct carve_walk *w = &j->b->f->shape.walk;
	uint32_t i = (start - j->first) / CARVE_PAGE;

	if (!j->level || j->level[i].how == CARVE_TIED || /* its address tells */
	    w->off - ETW_BUFFER_HEADER_SIZE != (uint64_t)w->n * carve_record_step(j->c->raw + ETW_BUFFER_HEADER_SIZE))
		return true;
	if (i == 0)
		return first == ((j->end + 7) & ~7u);
	return j->level[i - 1].pa == (i > 1 ? j->level[i - 2].pa : j->b->f->pa & ~(uint64_t)(CARVE_PAGE - 1)) + CARVE_PAGE;
}

/* Do records of an earlier use stand behind the end of data in raw[start, have), and nothing later? *n: how many, at most, chain. */
static bool old_behind(const struct join *j, uint32_t start, uint32_t have, uint32_t *n)
{
	struct carve_head head[CARVE_HEADS];
	uint8_t page[CARVE_PAGE] = {0};
	unsigned heads;

	*n = 0;
	if (j->b->f->shape.met == ETW_MET_FILE)
		return false;
	memcpy(page, j->c->raw + start, have - start);
	if (carve_plain(page) && le32(page) == j->b->f->shape.h.buffer_size) /* a buffer that holds nothing begins here */
		return false;
	heads = carve_heads(page, head);
	for (unsigned i = 0; i < heads; i++) {
		if (start + head[i].off < j->end || (head[i].n && !head[i].ts) || head[i].last_ts > j->b->f->shape.walk.first_ts)
			return false;
		if (head[i].n > *n)
			*n = head[i].n;
	}
	return heads && places_tell(j, start, start + head[0].off);
}

/* The last page, in which no record begins: it ends as this buffer does when all behind the end of data is zeros or fill and the data before it is
 * not, or when records of an earlier use stand there. */
bool carve_ends_here(const struct join *j, uint32_t start, uint32_t have)
{
	const uint8_t *raw = j->c->raw;
	uint32_t at = j->end, from = j->end - start < ZEROS_LAST ? start : j->end - ZEROS_LAST;
	uint8_t fill = at < have ? raw[at] : 0;
	bool any = false;
	uint32_t n;

	while (from < j->end)
		any |= raw[from++] != fill;
	while (at < have && raw[at] == fill)
		at++;
	if (at == have && (fill == 0 || fill == 0xff))
		return any && have >= j->end + FILL_LEAST;
	return old_behind(j, start, have, &n) && n >= OLD_SURE;
}

/* The same, or what an earlier use left there leads into the page right behind the one at pa. */
bool carve_ends_at(const struct join *j, uint64_t pa, uint32_t start, uint32_t have)
{
	uint8_t page[CARVE_PAGE] = {0};
	uint32_t n;

	if (carve_ends_here(j, start, have))
		return true;
	if (!old_behind(j, start, have, &n))
		return false;
	memcpy(page + (j->end - start), j->c->raw + j->end, have - j->end);
	return carve_old_pages(j->c, j->b, pa, page, j->b->f->shape.h.buffer_size - start, 0, 1) != 0;
}

/* Are the bytes that pad records in raw[off, have) all zeros? off: of a record. *n: how many these are. */
bool carve_pads_zero(const uint8_t *raw, uint32_t off, uint32_t have, uint32_t *n)
{
	*n = 0;
	while (off + 8 <= have) {
		uint32_t step = carve_record_step(raw + off), size = carve_record_size(raw + off);

		if (step < 8 || step > have - off)
			break;
		for (uint32_t i = off + size; i < off + step; i++, ++*n)
			if (raw[i])
				return false;
		off += step;
	}
	return true;
}

/* A record's padding is not written: in a buffer that is used for the first time it is zeros. Where a page shows that as well as the buffer's first one
 * does, the padding of the record that leads from one page into the other must be zeros too. */
bool carve_pads_fit(const struct join *j, uint32_t off, uint32_t start, uint32_t to)
{
	const uint8_t *raw = j->c->raw;
	uint32_t next, n;

	if (!j->zero_pads || off >= start)
		return true;
	next = off + carve_record_step(raw + off);
	if (next <= start || next > to || !carve_pads_zero(raw, next, to, &n) || n < CARVE_PADS_LEAST)
		return true;
	for (uint32_t i = off + carve_record_size(raw + off); i < next; i++)
		if (i >= start && raw[i])
			return false;
	return true;
}
