/* logfile.c - see logfile.h. Offsets are those of TRACE_LOGFILE_HEADER, 64-bit form 0x118 and 32-bit form 0x110 bytes. */
#include "logfile.h"

#include <stdio.h>
#include <string.h>

#include "rd.h"

#define RECORD_HEADER     0x20u   /* SYSTEM_TRACE_HEADER */
#define FIRST_READ        0x1000u /* readers look for the header record in so many bytes of the file */
#define PARTITION_PAYLOAD 0x30u
#define HOOK_HEADER       0x0000u
#define HOOK_PARTITION    0x0050u
#define DEFAULT_TIMER     0x2625au  /* 15.625 ms, KeMaximumIncrement of PCs */
#define DEFAULT_FREQUENCY 10000000u /* QPC of Windows 10 and later on PCs */
#define FILETIME_2000     UINT64_C(125911584000000000)
#define FILETIME_2100     UINT64_C(157469184000000000)

static void system_header(uint8_t *p, const struct etw_session *s, unsigned pointer_size, uint16_t size, uint16_t hook, uint64_t t0)
{
	put_le16(p + 0, 2);                     /* Version */
	p[2] = pointer_size == 4 ? 0x01 : 0x02; /* SYSTEM32, SYSTEM64 */
	p[3] = 0xc0;
	put_le16(p + 4, size);
	put_le16(p + 6, hook);
	put_le32(p + 8, s->has_thread ? s->thread_id : 0);
	put_le32(p + 0xc, s->has_thread ? s->process_id : 0);
	put_le64(p + 0x10, t0);
}

/* A clock nobody told: raw values that are dates of this century are dates. */
static enum etw_clock clock_of(const struct etw_session *s, const struct logfile_facts *f)
{
	if (s->clock != ETW_CLOCK_UNKNOWN)
		return s->clock;
	if (f->has_first_ts && f->first_ts > FILETIME_2000 && f->first_ts < FILETIME_2100)
		return ETW_CLOCK_SYSTEM_TIME;
	return ETW_CLOCK_QPC;
}

/* The pair {StartTime, T0} that all conversion rests on, from the best source there is. */
static void anchor_of(const struct etw_session *s, const struct etw_system *sys, const struct logfile_facts *f, enum etw_clock clock,
		      int64_t *start, uint64_t *t0)
{
	if (etw_session_anchor(s, sys, start, t0))
		return;
	*start = s->start_time;
	*t0 = f->has_first_ts ? f->first_ts : 0;
	if (clock == ETW_CLOCK_SYSTEM_TIME) {
		if (!*start)
			*start = (int64_t)*t0;
		*t0 = (uint64_t)*start;
	}
}

/* LogFileMode as a kernel writes it, without what would make readers take the file for a circular or reversed one (section 5 rule 4). */
static uint32_t file_mode(uint32_t mode)
{
	mode &= 0xff3ffeffu;
	mode &= ~(ETW_MODE_CIRCULAR | ETW_MODE_APPEND | ETW_MODE_NEWFILE | ETW_MODE_BUFFERING | ETW_MODE_COMPRESSED);
	return mode | ETW_MODE_SEQUENTIAL;
}

static void put_time_zone(uint8_t *p, const struct etw_system *sys)
{
	if (sys->has_time_zone)
		memcpy(p, sys->time_zone, ETW_TIME_ZONE_SIZE);
	else if (sys->has_bias)
		put_le32(p, (uint32_t)sys->bias);
}

static void put_versions(uint8_t *p, const struct etw_system *sys, const struct logfile_facts *f, uint32_t n_cpus)
{
	bool large = f->buffer_size > 0x100000 || n_cpus > 256;

	p[4] = sys->major;
	p[5] = sys->minor;
	p[6] = large ? 2 : 1;
	p[7] = large ? 0 : sys->major == 6 && sys->minor == 0 ? 4 : 5;
	put_le32(p + 8, sys->build);
	put_le32(p + 0xc, n_cpus);
}

/* The fixed part of TRACE_LOGFILE_HEADER; `wide` bytes a pointer. */
static void put_logfile_header(uint8_t *p, const struct etw_session *s, const struct etw_system *sys, const struct logfile_facts *f,
			       unsigned wide, enum etw_clock clock, int64_t start)
{
	uint32_t n_cpus = sys->n_cpus > f->n_cpus ? sys->n_cpus : f->n_cpus;
	uint8_t *zone = p + 0x38 + (size_t)2 * wide;   /* behind the two name pointers */
	uint8_t *tail = p + (wide == 8 ? 0xf8 : 0xf0); /* BootTime */

	put_le32(p, f->buffer_size);
	put_versions(p, sys, f, n_cpus);
	put_le64(p + 0x10, (uint64_t)f->end_time);
	put_le32(p + 0x18, sys->timer_resolution ? sys->timer_resolution : DEFAULT_TIMER);
	put_le32(p + 0x20, file_mode(s->mode));
	put_le32(p + 0x24, f->buffers_written);
	put_le32(p + 0x28, 1); /* StartBuffers */
	put_le32(p + 0x2c, wide);
	put_le32(p + 0x30, s->events_lost);
	put_le32(p + 0x34, sys->cpu_mhz);
	put_time_zone(zone, sys);
	put_le64(tail, (uint64_t)sys->boot_time);
	put_le64(tail + 8, sys->perf_freq ? sys->perf_freq : DEFAULT_FREQUENCY);
	put_le64(tail + 0x10, (uint64_t)start);
	put_le32(tail + 0x18, (uint32_t)clock);
	put_le32(tail + 0x1c, s->buffers_lost);
}

/* A name as UTF-16LE that takes at most max bytes: cut at a whole character, never inside a surrogate pair. */
static size_t fit_name(const uint8_t *p, size_t n, size_t max)
{
	n &= ~(size_t)1;
	if (n > max) {
		n = max & ~(size_t)1;
		if (n >= 2 && (p[n - 1] & 0xfc) == 0xd8)
			n -= 2;
	}
	for (size_t i = 0; i + 2 <= n; i += 2)
		if (!p[i] && !p[i + 1])
			return i;
	return n;
}

/* Both names with their NULs; together at most max bytes. The session's name has precedence. */
static void put_names(struct buf *out, const struct etw_session *s, size_t max)
{
	struct buf made;
	const uint8_t *name = s->name16;
	size_t n = s->name16_len;
	char id[16];

	buf_init(&made);
	if (!name) {
		snprintf(id, sizeof(id), "%u", s->id);
		for (const char *c = id; *c; c++)
			buf_u16(&made, (uint8_t)*c);
		name = made.p;
		n = made.n;
	}
	n = name ? fit_name(name, n, max - 4) : 0;
	buf_put(out, name, n);
	buf_u16(out, 0);
	if (s->log_file16)
		buf_put(out, s->log_file16, fit_name(s->log_file16, s->log_file16_len, max - 4 - n));
	buf_u16(out, 0);
	if (made.failed)
		out->failed = true;
	buf_free(&made);
}

static void pad8(struct buf *out)
{
	if (out->n % 8)
		buf_fill(out, 0, 8 - out->n % 8);
}

void logfile_records(struct buf *out, const struct etw_session *s, const struct etw_system *sys, const struct logfile_facts *f)
{
	unsigned wide = sys->pointer_size == 4 ? 4 : 8;
	uint32_t fixed = wide == 4 ? 0x110 : 0x118;
	size_t room = (f->buffer_size < FIRST_READ ? f->buffer_size : FIRST_READ) - ETW_BUFFER_HEADER_SIZE;
	size_t after = s->header_records ? s->header_records_len : sys->partition_record ? RECORD_HEADER + PARTITION_PAYLOAD : 0;
	enum etw_clock clock = clock_of(s, f);
	size_t start_off = out->n;
	uint64_t t0;
	int64_t start;
	uint8_t *p;

	if (after > room - (RECORD_HEADER + fixed + 16))
		after = 0;
	anchor_of(s, sys, f, clock, &start, &t0);
	p = buf_grow(out, RECORD_HEADER + fixed);
	if (!p)
		return;
	put_logfile_header(p + RECORD_HEADER, s, sys, f, wide, clock, start);
	put_names(out, s, room - after - RECORD_HEADER - fixed - 8);
	if (out->failed)
		return;
	system_header(out->p + start_off, s, wide, (uint16_t)(out->n - start_off), HOOK_HEADER, t0);
	pad8(out);
	if (!after)
		return;
	if (s->header_records) {
		buf_put(out, s->header_records, s->header_records_len);
		return;
	}
	p = buf_grow(out, RECORD_HEADER + PARTITION_PAYLOAD);
	if (p)
		system_header(p, s, wide, RECORD_HEADER + PARTITION_PAYLOAD, HOOK_PARTITION, t0);
}
