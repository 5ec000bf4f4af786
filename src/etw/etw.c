/* etw.c - see etw.h: lifetimes, order, times and words of the seam's values. */
#include "etw.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "rd.h"
#include "wintime.h"

#define TICKS INT64_C(10000000) /* FILETIME units in a second */

void etw_bufhdr_parse(struct etw_bufhdr *h, const uint8_t p[ETW_BUFFER_HEADER_SIZE])
{
	h->buffer_size = le32(p);
	h->saved_offset = le32(p + 4);
	h->current_offset = le32(p + 8);
	h->reference_count = (int32_t)le32(p + 0xc);
	h->timestamp = le64(p + 0x10);
	h->sequence = le64(p + 0x18);
	h->link = le64(p + 0x20);
	h->processor = le16(p + 0x28);
	h->logger_id = le16(p + 0x2a);
	h->state = le32(p + 0x2c);
	h->offset = le32(p + 0x30);
	h->flag = le16(p + 0x34);
	h->type = le16(p + 0x36);
	h->flink = le64(p + 0x38);
	h->blink = le64(p + 0x40);
}

void etw_buffer_clear(struct etw_buffer *b)
{
	free(b->body);
	free(b->gaps);
	free(b->page_pa);
	memset(b, 0, sizeof(*b));
}

void etw_consumer_clear(struct etw_consumer *c)
{
	free(c->process);
	memset(c, 0, sizeof(*c));
}

void etw_provider_clear(struct etw_provider *p)
{
	free(p->name);
	free(p->process);
	free(p->enabled);
	memset(p, 0, sizeof(*p));
}

static void clear_buffers(struct etw_buffer *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		etw_buffer_clear(&v[i]);
	free(v);
}

void etw_session_clear(struct etw_session *s)
{
	free(s->name);
	free(s->name16);
	free(s->log_file);
	free(s->log_file16);
	free(s->header_records);
	clear_buffers(s->buffers, s->n_buffers);
	clear_buffers(s->residual, s->n_residual);
	for (size_t i = 0; i < s->n_consumers; i++)
		etw_consumer_clear(&s->consumers[i]);
	free(s->consumers);
	for (size_t i = 0; i < s->n_providers; i++)
		etw_provider_clear(&s->providers[i]);
	free(s->providers);
	memset(s, 0, sizeof(*s));
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? ERR_NOMEM : 0;
}

int etw_provider_copy(struct etw_provider *to, const struct etw_provider *from)
{
	size_t n = from->n_enabled;

	*to = *from;
	to->name = to->process = NULL;
	to->enabled = n ? malloc(n * sizeof(*to->enabled)) : NULL;
	if ((n && !to->enabled) || copy_text(&to->name, from->name) < 0 || copy_text(&to->process, from->process) < 0) {
		etw_provider_clear(to);
		return ERR_NOMEM;
	}
	if (n)
		memcpy(to->enabled, from->enabled, n * sizeof(*to->enabled));
	return 0;
}

static int copy_bytes(uint8_t **to, const uint8_t *from, size_t n)
{
	*to = from ? malloc(n ? n : 1) : NULL;
	if (from && !*to)
		return ERR_NOMEM;
	if (n && from)
		memcpy(*to, from, n);
	return 0;
}

int etw_buffer_copy(struct etw_buffer *to, const struct etw_buffer *from)
{
	uint8_t *gaps = NULL, *pages = NULL;

	*to = *from;
	to->body = NULL;
	to->gaps = NULL;
	to->page_pa = NULL;
	if (copy_bytes(&to->body, from->body, from->body_len) < 0 ||
	    copy_bytes(&gaps, (const uint8_t *)from->gaps, from->n_gaps * sizeof(*from->gaps)) < 0 ||
	    copy_bytes(&pages, (const uint8_t *)from->page_pa, from->n_page_pa * sizeof(*from->page_pa)) < 0) {
		free(gaps);
		etw_buffer_clear(to);
		return ERR_NOMEM;
	}
	to->gaps = (struct etw_gap *)(void *)gaps;
	to->page_pa = (uint64_t *)(void *)pages;
	return 0;
}

bool etw_buffer_pa(const struct etw_buffer *b, uint32_t off, uint64_t *pa)
{
	uint64_t at = ((b->has_va ? b->va : b->pa) & 0xfff) + off;

	if ((!b->has_va && !b->has_pa) || at >> 12 >= b->n_page_pa || b->page_pa[at >> 12] == ETW_NO_PA)
		return false;
	*pa = b->page_pa[at >> 12] + (at & 0xfff);
	return true;
}

int etw_session_copy(struct etw_session *to, const struct etw_session *from)
{
	int rc;

	*to = *from;
	to->name = to->log_file = NULL;
	to->name16 = to->log_file16 = to->header_records = NULL;
	to->buffers = to->residual = NULL;
	to->consumers = NULL;
	to->providers = NULL;
	to->n_buffers = to->cap_buffers = to->n_residual = to->cap_residual = 0;
	to->n_consumers = to->cap_consumers = to->n_providers = to->cap_providers = 0;
	rc = copy_text(&to->name, from->name);
	if (rc == 0)
		rc = copy_text(&to->log_file, from->log_file);
	if (rc == 0)
		rc = copy_bytes(&to->name16, from->name16, from->name16_len);
	if (rc == 0)
		rc = copy_bytes(&to->log_file16, from->log_file16, from->log_file16_len);
	if (rc == 0)
		rc = copy_bytes(&to->header_records, from->header_records, from->header_records_len);
	for (size_t i = 0; rc == 0 && i < from->n_buffers; i++) {
		struct etw_buffer b;

		if (from->buffers[i].has_same_as)
			continue;
		rc = etw_buffer_copy(&b, &from->buffers[i]);
		if (rc < 0)
			break;
		rc = etw_session_add_buffer(to, &b);
		if (rc < 0)
			etw_buffer_clear(&b);
	}
	if (rc < 0)
		etw_session_clear(to);
	return rc;
}

static int add(struct etw_buffer **v, size_t *n, size_t *cap, struct etw_buffer *b)
{
	void *arr = *v;

	if (arr_reserve(&arr, cap, *n, sizeof(**v)) < 0)
		return ERR_NOMEM;
	*v = arr;
	(*v)[(*n)++] = *b;
	memset(b, 0, sizeof(*b));
	return 0;
}

int etw_session_add_buffer(struct etw_session *s, struct etw_buffer *b)
{
	return add(&s->buffers, &s->n_buffers, &s->cap_buffers, b);
}

int etw_session_add_residual(struct etw_session *s, struct etw_buffer *b)
{
	return add(&s->residual, &s->n_residual, &s->cap_residual, b);
}

static int cmp64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Timed buffers first by their last event, then those whose records have no time, then empty ones; ties by cpu and address. */
static int file_order(const void *x, const void *y)
{
	const struct etw_buffer *a = x, *b = y;
	int ra = a->has_ts ? 0 : a->body_len ? 1 : 2, rb = b->has_ts ? 0 : b->body_len ? 1 : 2, c = ra - rb;

	if (!c && a->has_ts)
		c = cmp64(a->last_ts, b->last_ts);
	if (!c)
		c = cmp64(a->cpu, b->cpu);
	if (!c)
		c = cmp64(a->va, b->va);
	if (!c)
		c = cmp64(a->file_offset, b->file_offset);
	if (!c)
		c = cmp64(a->pa, b->pa);
	return c ? c : cmp64(a->pid, b->pid);
}

void etw_session_order(struct etw_session *s)
{
	if (s->n_buffers)
		qsort(s->buffers, s->n_buffers, sizeof(*s->buffers), file_order);
	if (s->n_residual)
		qsort(s->residual, s->n_residual, sizeof(*s->residual), file_order);
}

/* The conversion is time = start + floor((ts - t0) * mul / div). */
static bool scale_of(const struct etw_session *s, const struct etw_system *sys, int64_t *mul, int64_t *div)
{
	if (s->clock == ETW_CLOCK_QPC && sys->perf_freq && sys->perf_freq <= INT64_MAX) {
		*mul = TICKS;
		*div = (int64_t)sys->perf_freq;
		return true;
	}
	if (s->clock == ETW_CLOCK_CPU_CYCLE && sys->cpu_mhz) {
		*mul = 10;
		*div = (int64_t)sys->cpu_mhz;
		return true;
	}
	return false;
}

static bool plus(int64_t a, int64_t b, int64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

bool etw_session_time(const struct etw_session *s, const struct etw_system *sys, uint64_t ts, int64_t *out)
{
	int64_t start, mul, div, t;
	uint64_t t0;

	if (s->clock == ETW_CLOCK_SYSTEM_TIME) {
		if (ts > (uint64_t)WINTIME_MAX)
			return false;
		*out = (int64_t)ts;
		return true;
	}
	if (!scale_of(s, sys, &mul, &div) || !etw_session_anchor(s, sys, &start, &t0))
		return false;
	if (!plus(start, muldiv_floor((int64_t)(ts - t0), mul, div), &t) || t < 0 || t > WINTIME_MAX)
		return false;
	*out = t;
	return true;
}

bool etw_session_clock_at(const struct etw_session *s, const struct etw_system *sys, int64_t time, uint64_t *ts)
{
	int64_t start, mul, div, behind;
	uint64_t t0;

	if (time < 0)
		return false;
	if (s->clock == ETW_CLOCK_SYSTEM_TIME) {
		*ts = (uint64_t)time;
		return true;
	}
	if (!scale_of(s, sys, &mul, &div) || !etw_session_anchor(s, sys, &start, &t0))
		return false;
	if (!plus(time, 1, &behind) || __builtin_sub_overflow(behind, start, &behind))
		return false;
	/* the first value that converts to more than `time` is ceil(behind * div / mul); one less is the answer */
	*ts = t0 + (uint64_t)(-muldiv_floor(-behind, div, mul) - 1);
	return true;
}

static const char *word(const char *const *words, unsigned n, unsigned i)
{
	return i < n ? words[i] : "unknown";
}
#define WORD(words, i) word(words, sizeof(words) / sizeof((words)[0]), i)

const char *etw_found_by_name(unsigned bit)
{
	static const char *const words[] = {"table",     "debugger_data", "slot",           "consumer",
					    "pool_scan", "shape_scan",    "secondary_dump", "carved"};

	return WORD(words, bit);
}

const char *etw_from_name(unsigned bit)
{
	static const char *const words[] = {"global_list", "buffer_queue",   "overflow_queue", "batched", "compression",
					    "scratch",     "placeholder",    "processor",      "current", "dirty",
					    "user_list",   "secondary_dump", "carved",         "file"};

	return WORD(words, bit);
}

const char *etw_state_name(const struct etw_bufhdr *h)
{
	static const char *const words[] = {"free", "logging", "cswitch", "flush", "pending_compression", "compressed", "placeholder"};

	if (h->state == 0 && h->flag & 0x100)
		return "unused";
	return WORD(words, h->state);
}

const char *etw_type_name(uint16_t type)
{
	static const char *const words[] = {"generic", "rundown", "ctx_swap", "reftime", "header", "batched", "empty_marker", "dbg_info"};

	return WORD(words, type);
}

const char *etw_clock_name(enum etw_clock c)
{
	static const char *const words[] = {"unknown", "qpc", "system_time", "cpu_cycle"};

	return WORD(words, c);
}

const char *etw_why_name(enum etw_why why)
{
	static const char *const words[] = {"page_missing", "torn_record", "bad_record", "copied"};

	return WORD(words, why);
}

const char *etw_mode_name(unsigned bit)
{
	static const char *const words[32] = {"SEQUENTIAL",
					      "CIRCULAR",
					      "APPEND",
					      "NEWFILE",
					      NULL,
					      "PREALLOCATE",
					      "NONSTOPPABLE",
					      "SECURE",
					      "REAL_TIME",
					      "DELAY_OPEN",
					      "BUFFERING",
					      "PRIVATE_LOGGER",
					      "ADD_HEADER",
					      "USE_KBYTES_FOR_SIZE",
					      "USE_GLOBAL_SEQUENCE",
					      "USE_LOCAL_SEQUENCE",
					      "RELOG",
					      "PRIVATE_IN_PROC",
					      "BUFFER_INTERFACE",
					      "KD_FILTER",
					      "REALTIME_RELOG",
					      "LOST_EVENTS_DEBUG",
					      "STOP_ON_HYBRID_SHUTDOWN",
					      "PERSIST_ON_HYBRID_SHUTDOWN",
					      "USE_PAGED_MEMORY",
					      "SYSTEM_LOGGER",
					      "COMPRESSED",
					      "INDEPENDENT_SESSION",
					      "NO_PER_PROCESSOR_BUFFERING",
					      "BLOCKING",
					      NULL,
					      "ADDTO_TRIAGE_DUMP"};

	return bit < 32 ? words[bit] : NULL;
}
