/* carvetail.c - what an earlier use left behind a buffer's data, where nothing maps it. See carvework.h
 *
 * Only pages up to the end of data are looked for otherwise. Here the chain of old records must prove each page more: records behind the end of data, none later than
 * the buffer's first one, chain over the edge of its last page, and in the page right behind it, which nobody has, others begin at the very place where the one
 * that crosses ends. Records that are some buffer's by that, or by its mapping, are no loose ones. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"

#define OLD_SURE 3u /* records before the edge, and behind it */

static uint32_t page_start(const struct carve_buf *b, uint32_t i)
{
	return i ? i * CARVE_PAGE - (uint32_t)(b->f->pa % CARVE_PAGE) : 0;
}

static bool old_chain(const struct carve_buf *b, const struct carve_head *h)
{
	return h->n >= OLD_SURE && h->ts && h->last_ts <= b->f->shape.walk.first_ts;
}

/* Does the chain h of the first page end where a chain of the second one begins? */
static bool crosses(const struct carve_buf *b, const uint8_t two[2 * CARVE_PAGE], const struct carve_head *h)
{
	struct carve_walk w = {.off = h->off};
	struct carve_head next[CARVE_HEADS];
	uint32_t to = CARVE_PAGE + h->exit;
	unsigned n;

	if (h->exit >= CARVE_PAGE)
		return false;
	n = carve_heads(two + CARVE_PAGE, next);
	for (unsigned i = 0; i < n; i++) {
		if (next[i].off != h->exit || !old_chain(b, &next[i]) || next[i].ts < h->last_ts)
			continue;
		carve_go_on(&w, two, to, to);
		return !w.bad && w.off == to && w.last_ts <= next[i].ts;
	}
	return false;
}

/* The page right behind the last one of b, when old records lead into it; ETW_NO_PA. */
static uint64_t led_to(const struct carve *c, const struct carve_buf *b)
{
	uint32_t start = page_start(b, b->n_pages - 1), live = b->f->shape.end > start ? b->f->shape.end - start : 0;
	uint64_t last = b->page[b->n_pages - 1], pa = last + CARVE_PAGE;
	const struct phys *phys = c->im->dump->phys;
	uint8_t two[2 * CARVE_PAGE];
	struct carve_head h[CARVE_HEADS];
	unsigned n;

	if (b->n_pages == 1)
		live += (uint32_t)(b->f->pa % CARVE_PAGE);
	if (last == ETW_NO_PA || live >= CARVE_PAGE || addrset_has(&c->claimed, pa | 1) || carve_at(c, pa) || carve_packed_at(c, pa) ||
	    phys_read(phys, last, two, CARVE_PAGE) != 0 || phys_read(phys, pa, two + CARVE_PAGE, CARVE_PAGE) != 0)
		return ETW_NO_PA;
	memset(two, 0, live);
	n = carve_heads(two, h);
	for (unsigned i = 0; i < n; i++)
		if (old_chain(b, &h[i]) && crosses(b, two, &h[i]))
			return pa;
	return ETW_NO_PA;
}

static int add_page(struct carve_buf *b, uint64_t pa)
{
	uint64_t *v = realloc(b->page, ((size_t)b->n_pages + 2) * sizeof(*v));

	if (!v)
		return ERR_NOMEM;
	b->page = v;
	b->page[b->n_pages++] = pa;
	return 0;
}

static bool any_head(const struct carve *c, const struct carve_buf *b)
{
	struct carve_head h[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];

	for (uint32_t i = b->n_used + 1; i < b->n_pages; i++)
		if (b->page[i] != ETW_NO_PA && phys_read(c->im->dump->phys, b->page[i], page, CARVE_PAGE) == 0 && carve_heads(page, h))
			return true;
	return false;
}

/* What of the pages behind the data is b's, by its residual records. */
static int mark_old(struct carve *c, const struct carve_buf *b)
{
	struct etw_buffer eb, rest;
	struct carve_head h[CARVE_HEADS];
	uint8_t page[CARVE_PAGE];
	int rc;

	if (!any_head(c, b))
		return 0;
	rc = carve_settle(c, b, &eb, &rest);
	for (uint32_t i = b->n_used + 1; i < b->n_pages && rc >= 0 && rest.body_len; i++) {
		uint32_t start = page_start(b, i);
		unsigned n = 0;

		if (b->page[i] != ETW_NO_PA && start < rest.orig_end && phys_read(c->im->dump->phys, b->page[i], page, CARVE_PAGE) == 0)
			n = carve_heads(page, h);
		for (unsigned k = 0; k < n && rc >= 0; k++)
			if (start + h[k].off >= rest.orig_start && start + h[k].off < rest.orig_end)
				rc = addrset_add(&c->old, b->page[i] + h[k].off);
	}
	etw_buffer_clear(&eb);
	etw_buffer_clear(&rest);
	return rc < 0 ? rc : 0;
}

int carve_tails(struct carve *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++) {
		struct carve_buf *b = &c->buf[i];
		uint32_t size = b->f->shape.h.buffer_size;
		uint64_t pa;

		if (b->live || !b->page || !b->n_pages || b->f->shape.met != ETW_MET_MEMORY)
			continue;
		while (rc == 0 && page_start(b, b->n_pages) < size && (pa = led_to(c, b)) != ETW_NO_PA)
			rc = add_page(b, pa);
		if (rc == 0)
			rc = mark_old(c, b);
	}
	return rc;
}
