/* src/etw/settleforeign.c: pages in a buffer that are another buffer's, or the same one's of another time. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "mkrec.h"
#include "rd.h"
#include "settle.h"

#define PAGE  4096u
#define PAGES 8u
#define SIZE  (PAGES * PAGE)
#define MOST  700u

struct many { /* a buffer full of records */
	uint8_t raw[SIZE];
	uint32_t off[MOST], step[MOST], n, end;
	uint64_t ts[MOST];
};

/* Sizes come out of `layout`, from record `turn` on out of another one; times t0, t0 + step ... */
static void fill(struct many *m, unsigned layout, unsigned turn, uint64_t t0, uint64_t step, uint8_t letter)
{
	struct buf b;

	buf_init(&b);
	buf_grow(&b, 0x48);
	m->n = 0;
	for (;;) {
		uint32_t size = (layout * 7919 + m->n * 104729 + (m->n >= turn ? 31 : 0)) % 61 * (m->n >= turn ? 3 : 2), at = (uint32_t)b.n;
		uint64_t ts = t0 + step * m->n;

		if (at + 0x50 + size + 8 > SIZE)
			break;
		if (m->n % 5 == 1)
			mkrec_message(&b, ts, (uint16_t)m->n, size);
		else if (m->n % 5 == 3)
			mkrec_system(&b, ts, (uint16_t)m->n, size);
		else
			mkrec_event(&b, ts, (uint16_t)m->n, size, letter);
		cr_assert_lt(m->n, MOST);
		m->off[m->n] = at;
		m->step[m->n] = (uint32_t)b.n - at;
		m->ts[m->n++] = ts;
	}
	m->end = (uint32_t)b.n;
	memset(m->raw, 0xff, SIZE);
	memcpy(m->raw, b.p, b.n);
	mkrec_header(m->raw, SIZE, m->end);
	put_le32(m->raw + 0x2c, 1);
	buf_free(&b);
}

static void settle(struct etw_buffer *b, const uint8_t *raw)
{
	struct etw_settle_opts o = {.met = ETW_MET_MEMORY, .buffer_size = SIZE, .in_memory = true};

	memset(b, 0, sizeof(*b));
	cr_assert_eq(etw_settle(b, raw, SIZE, &o, NULL), 0);
}

/* The records that have no byte in [from, to) are there, and no other but, if its rear end is all that was lost and nothing proves it, the one over the edge `from`. */
static void expect_own(const struct many *own, const struct etw_buffer *b, uint32_t from, uint32_t to, bool proved, const char *what)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < own->n; i++) {
		bool lost = own->off[i] + own->step[i] > from && own->off[i] < to, edge = lost && own->off[i] < from;

		if (at < b->body_len && etw_original_offset(b, 0x48 + at) == own->off[i] && edge && !proved) {
			at += own->step[i];
			continue;
		}
		if (lost)
			continue;
		cr_assert(at + own->step[i] <= b->body_len && memcmp(b->body + at, own->raw + own->off[i], own->step[i]) == 0,
			  "%s: record %u of %u", what, i, own->n);
		at += own->step[i];
	}
	cr_assert_eq(at, b->body_len, "%s: %u bytes of others", what, b->body_len - at);
	cr_assert_eq(b->n_gaps, 1, "%s", what);
	cr_assert(b->gaps[0].offset <= (proved ? from : from + 300) && b->gaps[0].offset + 300 > from, "%s: gap at %u", what,
		  b->gaps[0].offset);
	cr_assert_geq(b->gaps[0].offset + b->gaps[0].bytes, to < own->end ? to : own->end, "%s", what);
}

/* Pages of a later use, records at the same places: only the times behind them tell. */
Test(smear, pages_of_a_later_use)
{
	static struct many own, other;

	for (unsigned layout = 0; layout < 60; layout++)
		for (unsigned page = 1; page < PAGES - 1; page++) {
			unsigned n = 1 + layout % 3;
			struct etw_buffer b;

			if (page + 2 * n > PAGES)
				continue;
			fill(&own, layout, MOST, 100000, 10, 'a');
			fill(&other, layout, MOST, 500000, 10, 'b');
			memcpy(own.raw + (size_t)page * PAGE, other.raw + (size_t)page * PAGE, (size_t)n * PAGE);
			settle(&b, own.raw);
			memset(own.raw + (size_t)page * PAGE, 0, (size_t)n * PAGE);
			expect_own(&own, &b, page * PAGE, (page + n) * PAGE, true, "later");
			cr_assert_eq(b.gaps[0].why, ETW_TORN_RECORD);
			cr_assert_leq(b.last_ts, own.ts[own.n - 1]);
			etw_buffer_clear(&b);
		}
}

/* Records begin at the same places as the page is entered, and not as it is left: what stands behind it is not lost with it. */
Test(smear, a_page_that_leads_nowhere)
{
	static struct many own, other;
	unsigned n = 0;

	for (unsigned layout = 0; layout < 60; layout++)
		for (unsigned page = 1; page < PAGES - 1; page++) {
			struct etw_buffer b;
			unsigned turn = 0;

			fill(&own, layout, MOST, 100000, 10, 'a');
			while (own.off[turn] < page * PAGE + 1000)
				turn++;
			fill(&other, layout, turn, 500000, 10, 'b');
			memcpy(own.raw + (size_t)page * PAGE, other.raw + (size_t)page * PAGE, PAGE);
			settle(&b, own.raw);
			memset(own.raw + (size_t)page * PAGE, 0, PAGE);
			expect_own(&own, &b, page * PAGE, (page + 1) * PAGE, true, "leads nowhere");
			etw_buffer_clear(&b);
			n++;
		}
	cr_assert_eq(n, 360);
}

/* Pages that lie before the one that leads to them, not before the buffer's first record. */
Test(smear, pages_of_an_earlier_buffer)
{
	static struct many own, other;

	for (unsigned layout = 0; layout < 60; layout++)
		for (unsigned page = 1; page < PAGES - 1; page++) {
			unsigned n = 1 + layout % 2;
			struct etw_buffer b;

			if (page < n || page + n >= PAGES)
				continue;
			fill(&own, layout, MOST, 100000, 10, 'a');
			fill(&other, layout, layout & 4 ? MOST : 100, 100005, 0, 'b');
			memcpy(own.raw + (size_t)page * PAGE, other.raw + (size_t)page * PAGE, (size_t)n * PAGE);
			settle(&b, own.raw);
			memset(own.raw + (size_t)page * PAGE, 0, (size_t)n * PAGE);
			expect_own(&own, &b, page * PAGE, (page + n) * PAGE, false, "earlier");
			etw_buffer_clear(&b);
		}
}

/* The time of the switch-out tells, even of the buffer's last pages; the same of a buffer in use tells nothing. */
Test(smear, later_than_the_switch_out)
{
	static struct many own, other;
	struct etw_buffer b;

	for (unsigned page = 1; page < PAGES; page++) {
		fill(&own, page, MOST, 100000, 10, 'a');
		fill(&other, page, MOST, 500000, 10, 'b');
		memcpy(own.raw + (size_t)page * PAGE, other.raw + (size_t)page * PAGE, SIZE - (size_t)page * PAGE);
		put_le64(own.raw + 0x10, own.ts[own.n - 1]);
		settle(&b, own.raw);
		cr_assert(b.n_events == own.n && b.n_gaps == 0);
		etw_buffer_clear(&b);
		put_le32(own.raw + 0x2c, 0);
		settle(&b, own.raw);
		memset(own.raw + (size_t)page * PAGE, 0, SIZE - (size_t)page * PAGE);
		expect_own(&own, &b, page * PAGE, SIZE, true, "switched out");
		etw_buffer_clear(&b);
		/* a stamp that is older than what surely is the buffer's own (of an earlier use, of another clock) bounds nothing */
		fill(&own, page, MOST, 100000, 10, 'a');
		put_le32(own.raw + 0x2c, 0);
		put_le64(own.raw + 0x10, 100005);
		settle(&b, own.raw);
		cr_assert(b.n_events == own.n && b.n_gaps == 0);
		etw_buffer_clear(&b);
	}
}

/* A clock that is set back in the middle of a buffer makes no page foreign, at whatever record, unless the new time falls between two records over a page's edge. */
Test(smear, a_clock_that_is_set_back)
{
	static struct many m;

	for (unsigned layout = 0; layout < 3; layout++)
		for (unsigned at = 2; at < MOST; at++)
			for (unsigned back = 1; back < 400; back += 13) {
				struct etw_buffer b;
				bool edge = false;
				uint64_t now;

				fill(&m, layout, MOST, 100000, 10, 'a');
				if (at >= m.n)
					break;
				for (unsigned i = at; i < m.n; i++) {
					m.ts[i] -= UINT64_C(10) * back + 5;
					put_le64(m.raw + m.off[i] + (i % 5 == 1 ? 0x18 : 0x10), m.ts[i]);
				}
				now = m.ts[at];
				if (now < m.ts[0])
					continue;
				for (unsigned i = 1; i < at; i++)
					edge = edge || ((m.off[i] - 1) / PAGE != (m.off[i - 1] - 1) / PAGE && m.ts[i - 1] <= now + 20 &&
							now <= m.ts[i] + 20);
				for (unsigned i = at; i + 1 < m.n; i++) /* or the old one */
					edge = edge || ((m.off[i + 1] - 1) / PAGE != (m.off[i] - 1) / PAGE &&
							m.ts[i] <= m.ts[at - 1] + 20 && m.ts[at - 1] <= m.ts[i + 1] + 20);
				settle(&b, m.raw);
				cr_assert(edge || (b.n_events == m.n && b.n_gaps == 0), "record %u, %u back: %u of %u", at, back,
					  b.n_events, m.n);
				etw_buffer_clear(&b);
			}
}

/* Two pages either of which can be the foreign one: nothing is left out. */
Test(smear, nobody_knows)
{
	static struct many m;
	struct etw_buffer b;

	fill(&m, 1, MOST, 100000, 10, 'a');
	for (unsigned i = 0; i < m.n; i++) {
		uint64_t ts = m.off[i] < 2 * PAGE ? 100010 : m.off[i] < 3 * PAGE ? 100300 : m.off[i] < 4 * PAGE ? 100200 : 100400;

		put_le64(m.raw + m.off[i] + (i % 5 == 1 ? 0x18 : 0x10), ts);
	}
	settle(&b, m.raw);
	cr_assert(b.n_events == m.n && b.n_gaps == 0);
	etw_buffer_clear(&b);
}

/* A record's time stands in the foreign page, and nothing behind it tells that it is torn: it does not keep the rest away. */
Test(smear, a_time_over_the_edge)
{
	static struct many own;
	unsigned n = 0;

	for (unsigned layout = 0; layout < 200; layout++) {
		fill(&own, layout, MOST, 100000, 10, 'a');
		for (unsigned i = 1; i < own.n; i++) {
			uint32_t edge = (own.off[i] + PAGE - 1) / PAGE * PAGE;
			struct etw_buffer b;

			if (i % 5 == 1 || edge - own.off[i] > 0x10 || edge == own.off[i] || edge + PAGE > own.off[own.n - 1])
				continue;
			memset(own.raw + edge, 0, PAGE);
			memset(own.raw + edge, 'A', 0x18);
			settle(&b, own.raw);
			expect_own(&own, &b, edge, edge + PAGE, true, "time");
			cr_assert_eq(b.last_ts, own.ts[own.n - 1]);
			etw_buffer_clear(&b);
			n++;
			break;
		}
	}
	cr_assert_gt(n, 20);
}
