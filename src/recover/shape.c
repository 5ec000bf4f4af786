#include "shape.h"

#include <string.h>

#include "kslist.h"
#include "rd.h"

#define SIZE_STEP       0x400u     /* BufferSize is given in KiB */
#define SIZE_MAX_SHAPE  0x1000000u /* 16 MiB, the API's most */
#define CLOCK_LAST      4u
#define BUFFERS_SANE    0x1000000u
#define NODE_BUFFER     2u /* pointers into a separate node: its buffer */
#define YEAR_2000       INT64_C(125911584000000000)
#define DAY             INT64_C(864000000000)
#define STATE_STANDS_IN 6u
#define START_FIRST     8u /* StartTime stands at the beginning in Vista, behind one lock before */

enum verdict { SKIPPED, HOLDS, FAILS };

struct look {
	struct kview *v;
	const struct ksnap *s;
	size_t ps;
	uint32_t id, size;
};

static bool sane_size(uint32_t size)
{
	return size >= SIZE_STEP && size <= SIZE_MAX_SHAPE && size % SIZE_STEP == 0;
}

static enum verdict is(bool ok)
{
	return ok ? HOLDS : FAILS;
}

static uint64_t word(const uint8_t *p, size_t ps)
{
	return ps == 4 ? le32(p) : le64(p);
}

static enum verdict logger_id(struct look *l)
{
	if (ksnap_u32(l->s, F_CTX_LoggerId, &l->id) != 0)
		return SKIPPED;
	return is(l->id < KV_LOGGERS_MAX);
}

static enum verdict buffer_size(struct look *l)
{
	if (ksnap_u32(l->s, F_CTX_BufferSize, &l->size) != 0)
		return SKIPPED;
	return is(sane_size(l->size));
}

/* p: the structure's first bytes. */
static bool name_like(const struct vm *vm, const uint8_t *p, size_t ps)
{
	uint16_t len = le16(p), max = le16(p + 2);

	return len != 0 && len % 2 == 0 && len <= max && vm_is_kernel(vm, word(p + ps, ps));
}

static enum verdict logger_name(struct look *l)
{
	const uint8_t *p = ksnap_at(l->s, F_CTX_LoggerName, 0, (uint32_t)(2 * l->ps), NULL);

	return p ? is(name_like(l->v->k->vm, p, l->ps)) : SKIPPED;
}

static enum verdict clock_type(struct look *l)
{
	uint32_t clock;

	if (ksnap_u32(l->s, F_CTX_ClockType, &clock) != 0)
		return SKIPPED;
	return is(clock >= 1 && clock <= CLOCK_LAST);
}

static enum verdict buffer_counts(struct look *l)
{
	uint32_t min, max, have;

	if (ksnap_u32(l->s, F_CTX_MinimumBuffers, &min) != 0 || ksnap_u32(l->s, F_CTX_MaximumBuffers, &max) != 0 ||
	    ksnap_u32(l->s, F_CTX_NumberOfBuffers, &have) != 0)
		return SKIPPED;
	return is(min <= max && max <= BUFFERS_SANE && have <= 2 * (uint64_t)max);
}

/* A date between 2000 and tomorrow of the image's time. */
static bool date_like(const struct kview *v, int64_t t)
{
	int64_t now = v->sys->system_time;

	return t >= YEAR_2000 && (now == 0 || t <= now + DAY);
}

static enum verdict start_time(struct look *l)
{
	uint64_t t;

	if (ksnap_u64(l->s, F_CTX_StartTime, &t) != 0)
		return SKIPPED;
	return is(date_like(l->v, (int64_t)t));
}

/* Vista's list does not lead back to its head: the first buffer tells whose it is. */
static enum verdict buffer_list(struct look *l)
{
	const uint8_t *p = ksnap_at(l->s, F_CTX_GlobalList, 0, (uint32_t)(2 * l->ps), NULL);
	int r = p && l->size ? kslist_proves(l->v, l->s->va, p, l->id, l->size) : -1;

	return r < 0 ? SKIPPED : is(r > 0);
}

/* The ring whose head is member f: one neighbour that points back is enough, the other may be damaged. */
static enum verdict ring(struct look *l, enum prof_field f)
{
	const uint8_t *p = ksnap_at(l->s, f, 0, (uint32_t)(2 * l->ps), NULL);
	uint64_t head = l->s->va + (p ? prof_off(&l->v->k->prof, f) : 0), link[2], back;
	bool seen = false;

	if (!p)
		return SKIPPED;
	for (unsigned i = 0; i < 2; i++) {
		link[i] = word(p + i * l->ps, l->ps);
		if (!kview_is_ptr(l->v, link[i]) || link[i] % l->ps)
			return FAILS;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (kread_ptr_at(l->v->k, link[i] + (i ? 0 : l->ps), &back) != 0)
			continue;
		if (back == head)
			return HOLDS;
		seen = true;
	}
	return seen ? FAILS : SKIPPED;
}

static enum verdict buffer_ring(struct look *l)
{
	if (l->v->k->prof.traits.single_list)
		return buffer_list(l);
	return ring(l, F_CTX_GlobalList);
}

static enum verdict consumer_ring(struct look *l)
{
	return ring(l, F_CTX_Consumers);
}

/* 1: a buffer of this session; 0: something else; -1: can't be read. */
static int is_buffer(struct look *l, uint64_t va)
{
	uint8_t raw[ETW_BUFFER_HEADER_SIZE];
	struct etw_bufhdr h;

	if (!kview_is_ptr(l->v, va))
		return 0;
	if (vm_read(l->v->k->vm, va, raw, sizeof raw) != 0)
		return -1;
	etw_bufhdr_parse(&h, raw);
	return h.buffer_size == l->size && (h.logger_id == l->id || h.logger_id == 0 || h.state == STATE_STANDS_IN);
}

static enum verdict first_buffer(struct look *l)
{
	const uint8_t *p = ksnap_at(l->s, F_CTX_GlobalList, 0, (uint32_t)(2 * l->ps), NULL);
	bool seen = false;

	if (!p || l->size == 0 || l->v->k->prof.traits.single_list)
		return SKIPPED;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t node = word(p + i * l->ps, l->ps), buffer;
		int r;

		if (node == l->s->va + prof_off(&l->v->k->prof, F_CTX_GlobalList))
			return SKIPPED; /* an empty ring */
		r = is_buffer(l, node - kview_entry_off(l->v));
		if (r <= 0 && kread_ptr_at(l->v->k, node + NODE_BUFFER * l->ps, &buffer) == 0 && is_buffer(l, buffer) > 0)
			r = 1;
		if (r > 0)
			return HOLDS;
		seen |= r == 0;
	}
	return seen ? FAILS : SKIPPED;
}

static const struct {
	const char *name;
	enum verdict (*look)(struct look *l);
	bool of_ring; /* may fail where the tag tells */
} invariants[] = {
	{"LoggerId is a logger's number", logger_id, false},
	{"BufferSize is whole KiB up to 16 MiB", buffer_size, false},
	{"LoggerName is a string", logger_name, false},
	{"ClockType is one", clock_type, false},
	{"there are not more buffers than may be", buffer_counts, false},
	{"StartTime is not after the image's time", start_time, false},
	{"GlobalList is a ring", buffer_ring, true},
	{"GlobalList leads to a buffer of this session", first_buffer, true},
	{"Consumers is a ring", consumer_ring, true},
};

bool shape_proves(struct kview *v, uint64_t va, enum shape_need need, struct ksnap *s, const char **failed)
{
	struct look l = {.v = v, .s = s, .ps = kview_ptr_size(v)};
	enum verdict buffers = SKIPPED, consumers = SKIPPED;
	unsigned other = 0;

	if (failed)
		*failed = "";
	if (!kview_is_ptr(v, va) || va % kview_context_align(v) || ksnap_read(s, v->k, T_CTX, va) < 0)
		return false;
	for (size_t i = 0; i < sizeof invariants / sizeof invariants[0]; i++) {
		enum verdict r = invariants[i].look(&l);

		if (r == FAILS && !(need == SHAPE_TAGGED && invariants[i].of_ring)) {
			if (failed)
				*failed = invariants[i].name;
			return false;
		}
		buffers = invariants[i].look == buffer_ring ? r : buffers;
		consumers = invariants[i].look == consumer_ring ? r : consumers;
		other += r == HOLDS && !invariants[i].of_ring;
	}
	/* number, size and name at the least: the page of the rest may be missing */
	if (buffers == HOLDS || need == SHAPE_TAGGED)
		return other >= 3;
	return buffers == SKIPPED && consumers == HOLDS && other >= 5; /* the pages of both neighbours are missing */
}

/* Are the n bytes of member f within what is known? */
static const uint8_t *in_page(const struct profile *p, enum prof_field f, const uint8_t *page, size_t off, size_t n, size_t want)
{
	if (!prof_has(p, f) || off + prof_off(p, f) + want > n)
		return NULL;
	return page + off + prof_off(p, f);
}

bool shape_may_begin(const struct kview *v, const uint8_t *page, size_t off, size_t n)
{
	const struct profile *p = &v->k->prof;
	size_t ps = p->pointer_size == 4 ? 4 : 8;
	const uint8_t *m = in_page(p, F_CTX_BufferSize, page, off, n, 4), *id, *start;

	if (m && !sane_size(le32(m)))
		return false;
	id = in_page(p, F_CTX_LoggerId, page, off, n, 4);
	if (id && le32(id) >= KV_LOGGERS_MAX)
		return false;
	if (!m || !id) { /* before Windows 7 they stand far behind the beginning, and on the next page where that is near its page's end */
		start = in_page(p, F_CTX_StartTime, page, off, n, 8);
		if (!start || prof_off(p, F_CTX_StartTime) > START_FIRST || !date_like(v, (int64_t)le64(start)))
			return false;
	}
	m = in_page(p, F_CTX_LoggerName, page, off, n, 2 * ps);
	return !m || name_like(v->k->vm, m, ps);
}
