/* etl.c - see etl.h */
#include "etl.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "rd.h"
#include "utf16.h"
#include "xpress.h"

#define FIRST_READ      0x1000u
#define RECORD_HEADER   0x20u
#define FLAG_COMPRESSED 0x40u
#define FORMAT_XPRESS   3u
#define FORM32          0x110u /* sizeof TRACE_LOGFILE_HEADER */
#define FORM64          0x118u

struct etl {
	struct input *in;
	struct notes *notes;
	struct etl_header h;
	struct etw_session session;
	struct etw_system sys;
	struct etl_slot *slots;
	size_t n_slots, cap_slots;
	uint8_t *raw, *packed; /* one buffer each */
	uint32_t raw_size;     /* bytes of raw, and of packed */
	uint32_t compression;  /* format of flagged buffers: 3 XPRESS */
	char name[16];
};

/* ---- the header record ------------------------------------------------------------------------------------------------------------------- */

static void parse_fixed(struct etl_header *h, struct rd *r)
{
	uint32_t zone, tail;

	h->buffer_size = rd_u32(r, 0);
	h->major = rd_u8(r, 4);
	h->minor = rd_u8(r, 5);
	h->sub = rd_u8(r, 6);
	h->sub_minor = rd_u8(r, 7);
	h->provider_version = rd_u32(r, 8);
	h->n_cpus = rd_u32(r, 0xc);
	h->end_time = (int64_t)rd_u64(r, 0x10);
	h->timer_resolution = rd_u32(r, 0x18);
	h->max_file_size = rd_u32(r, 0x1c);
	h->mode = rd_u32(r, 0x20);
	h->buffers_written = rd_u32(r, 0x24);
	h->start_buffers = rd_u32(r, 0x28);
	h->pointer_size = rd_u32(r, 0x2c);
	h->events_lost = rd_u32(r, 0x30);
	h->cpu_mhz = rd_u32(r, 0x34);
	zone = h->pointer_size == 4 ? 0x40 : 0x48;
	tail = h->pointer_size == 4 ? 0xf0 : 0xf8;
	rd_copy(r, zone, h->time_zone, ETW_TIME_ZONE_SIZE);
	h->boot_time = (int64_t)rd_u64(r, tail);
	h->perf_freq = rd_u64(r, tail + 8);
	h->start_time = (int64_t)rd_u64(r, tail + 0x10);
	h->reserved_flags = rd_u32(r, tail + 0x18);
	h->buffers_lost = rd_u32(r, tail + 0x1c);
}

/* A NUL-ended UTF-16 string at *off; moves behind it. */
static int take_name(struct rd *r, uint32_t *off, uint8_t **raw, size_t *raw_len, char **text)
{
	uint32_t n = 0;

	while (rd_has(r, (uint64_t)*off + n, 2) && le16(r->p + *off + n))
		n += 2;
	if (*off <= r->len) { /* an empty name is a name */
		*raw = malloc(n ? n : 1);
		*text = utf16_dup(r->p + *off, n);
		if (!*raw || !*text)
			return ERR_NOMEM;
		memcpy(*raw, r->p + *off, n);
		*raw_len = n;
	}
	*off += n + 2;
	return 0;
}

static enum etw_clock clock_of(uint32_t flags)
{
	return flags >= ETW_CLOCK_QPC && flags <= ETW_CLOCK_CPU_CYCLE ? (enum etw_clock)flags : ETW_CLOCK_UNKNOWN;
}

static void fill_session(struct etl *f, uint16_t logger_id)
{
	struct etw_session *s = &f->session;
	const struct etl_header *h = &f->h;

	s->id = logger_id;
	s->mode = h->mode;
	s->clock = clock_of(h->reserved_flags);
	s->has_reference = s->clock != ETW_CLOCK_UNKNOWN && h->start_time != 0; /* 0: whoever wrote it did not know */
	s->reference_time = h->start_time;
	s->reference_ts = h->t0;
	s->start_time = h->start_time;
	s->has_buffer_size = true;
	s->buffer_size = h->buffer_size;
	s->has_counters = true;
	s->buffers_written = h->buffers_written;
	s->buffers_lost = h->buffers_lost;
	s->events_lost = h->events_lost;
	s->has_thread = true;
	s->thread_id = h->thread_id;
	s->process_id = h->process_id;
}

static void fill_system(struct etl *f)
{
	struct etw_system *y = &f->sys;
	const struct etl_header *h = &f->h;

	y->boot_time = h->boot_time;
	y->system_time = h->end_time;
	y->perf_freq = h->perf_freq;
	y->cpu_mhz = h->cpu_mhz;
	y->timer_resolution = h->timer_resolution;
	y->n_cpus = h->n_cpus;
	y->build = h->provider_version;
	y->major = h->major;
	y->minor = h->minor;
	y->pointer_size = (uint8_t)h->pointer_size;
	y->has_time_zone = true;
	memcpy(y->time_zone, h->time_zone, ETW_TIME_ZONE_SIZE);
}

/* The first record of the file, at 0x48 of p[0, n). */
static int parse_header(struct etl *f, const uint8_t *p, uint32_t n, struct err *e)
{
	struct etw_record rec;
	struct rd r;
	uint32_t off;
	int rc;

	if (etw_record_peek(p, n, ETW_BUFFER_HEADER_SIZE, &rec) != ETW_PEEK_RECORD ||
	    (rec.kind != ETW_KIND_SYSTEM32 && rec.kind != ETW_KIND_SYSTEM64) || le16(p + rec.off + 6) != 0 ||
	    rec.size < RECORD_HEADER + FORM32)
		return err_set(e, ERR_NOTMINE, "not an .etl file: no log file header at its start");
	f->h.record_version = le16(p + rec.off);
	f->h.thread_id = le32(p + rec.off + 8);
	f->h.process_id = le32(p + rec.off + 0xc);
	f->h.t0 = rec.ts;
	r = rd_init(p + rec.off + RECORD_HEADER, rec.size - RECORD_HEADER);
	parse_fixed(&f->h, &r);
	if (r.bad)
		return err_set(e, ERR_FORMAT, "the log file header is cut short");
	off = f->h.pointer_size == 4 ? FORM32 : FORM64;
	rc = take_name(&r, &off, &f->session.name16, &f->session.name16_len, &f->session.name);
	if (rc == 0)
		rc = take_name(&r, &off, &f->session.log_file16, &f->session.log_file16_len, &f->session.log_file);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	fill_session(f, le16(p + 0x2a) & 0x7fff);
	fill_system(f);
	return 0;
}

/* ---- the index of buffers ------------------------------------------------------------------------------------------------------------------ */

static int add_slot(struct etl *f, uint64_t off, uint32_t bytes, bool compressed, struct err *e)
{
	void *arr = f->slots;

	if (f->n_slots >= ETL_BUFFERS_MAX)
		return err_set(e, ERR_LIMIT, "more than %u buffers", ETL_BUFFERS_MAX);
	if (arr_reserve(&arr, &f->cap_slots, f->n_slots, sizeof(*f->slots)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	f->slots = arr;
	f->slots[f->n_slots++] = (struct etl_slot){off, bytes, compressed};
	return 0;
}

/* Bytes that the buffer at `off` takes: its own size in a compressed file, the session's otherwise. 0: what stands there is no buffer. */
static uint32_t bytes_of(const struct etl *f, const uint8_t h[ETW_BUFFER_HEADER_SIZE])
{
	uint32_t size = le32(h);

	if (!(f->h.mode & ETW_MODE_COMPRESSED) && f->compression == 0)
		return f->h.buffer_size;
	return size > ETW_BUFFER_HEADER_SIZE && size <= ETW_BUFFER_SIZE_MAX ? size : 0;
}

static int index_buffers(struct etl *f, struct err *e)
{
	uint64_t off = 0, size = input_size(f->in);
	int rc = 0;

	while (rc == 0 && off + ETW_BUFFER_HEADER_SIZE <= size) {
		uint8_t h[ETW_BUFFER_HEADER_SIZE];
		uint32_t n;

		rc = input_read_all(f->in, off, h, sizeof(h), e);
		if (rc < 0)
			break;
		n = off ? bytes_of(f, h) : le32(h);
		if (!n) {
			notes_add(f->notes, &NOTE_AT(NOTE_BUFFER_HEADER_BAD, off, size - off),
				  "no buffer at file offset 0x%llx: the rest is not read", (unsigned long long)off);
			break;
		}
		if (n > size - off) {
			notes_add(f->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, off, n - (size - off)), "the last buffer is cut short");
			n = (uint32_t)(size - off);
		}
		rc = add_slot(f, off, n, off && (f->h.mode & ETW_MODE_COMPRESSED) && (le16(h + 0x34) & FLAG_COMPRESSED), e);
		off += n;
	}
	return rc;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------------- */

static int check_first(struct etl *f, const uint8_t *p, uint32_t n, struct err *e)
{
	uint32_t size = n >= ETW_BUFFER_HEADER_SIZE ? le32(p) : 0;

	if (size < 0x100 || size > ETW_BUFFER_SIZE_MAX)
		return err_set(e, ERR_NOTMINE, "not an .etl file: no buffer header at its start");
	f->compression = 0;
	return parse_header(f, p, n < size ? n : size, e);
}

/* The records of the header buffer that stand behind the first one. */
static int keep_header_records(struct etl *f, struct err *e)
{
	struct etw_buffer b;
	struct etw_record r;
	int rc;

	memset(&b, 0, sizeof(b));
	rc = etl_buffer(f, 0, &b, e);
	if (rc == 0 && etw_record_peek(b.body, b.body_len, 0, &r) == ETW_PEEK_RECORD && b.body_len > r.step) {
		f->session.header_records_len = b.body_len - r.step;
		f->session.header_records = malloc(f->session.header_records_len);
		if (f->session.header_records)
			memcpy(f->session.header_records, b.body + r.step, f->session.header_records_len);
		else
			rc = err_set(e, ERR_NOMEM, "out of memory");
	}
	etw_buffer_clear(&b);
	return rc;
}

static int open_in(struct etl *f, struct err *e)
{
	uint8_t first[FIRST_READ];
	int64_t n = input_read(f->in, 0, first, sizeof(first), e);
	int rc;

	if (n < 0)
		return (int)n;
	rc = check_first(f, first, (uint32_t)n, e);
	if (rc < 0)
		return rc;
	f->compression = f->h.mode & ETW_MODE_COMPRESSED ? le16(first + 0x2c) : 0;
	if (f->h.buffer_size < 0x100 || f->h.buffer_size > ETW_BUFFER_SIZE_MAX) {
		notes_add(f->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0, 0),
			  "the header names a buffer size of %u; %u of the first buffer is taken", f->h.buffer_size, le32(first));
		f->h.buffer_size = f->session.buffer_size = le32(first);
	}
	f->raw_size = f->h.buffer_size > le32(first) ? f->h.buffer_size : le32(first);
	f->raw = malloc(f->raw_size);
	f->packed = malloc(f->raw_size);
	if (!f->raw || !f->packed)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = index_buffers(f, e);
	return rc < 0 ? rc : keep_header_records(f, e);
}

int etl_open(struct etl **out, struct input *in, struct notes *notes, struct err *e)
{
	struct etl *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	f->in = in;
	f->notes = notes;
	rc = open_in(f, e);
	if (rc < 0) {
		etl_close(f);
		return rc;
	}
	*out = f;
	return 0;
}

void etl_close(struct etl *f)
{
	if (!f)
		return;
	etw_session_clear(&f->session);
	free(f->slots);
	free(f->raw);
	free(f->packed);
	free(f);
}

const struct etl_header *etl_header(const struct etl *f)
{
	return &f->h;
}

const struct etw_session *etl_session(const struct etl *f)
{
	return &f->session;
}

const struct etw_system *etl_system(const struct etl *f)
{
	return &f->sys;
}

uint32_t etl_n_buffers(const struct etl *f)
{
	return (uint32_t)f->n_slots;
}

const struct etl_slot *etl_slot(const struct etl *f, uint32_t i)
{
	return &f->slots[i];
}

/* ---- one buffer ---------------------------------------------------------------------------------------------------------------------------- */

/* The buffer's bytes, unpacked, in f->raw; returns how many, or ERR_*. */
static int64_t load(struct etl *f, uint32_t i, struct err *e)
{
	const struct etl_slot *s = &f->slots[i];
	uint32_t n = s->file_bytes < f->raw_size ? s->file_bytes : f->raw_size;
	int broken, rc;
	size_t made;

	rc = input_read_all(f->in, s->off, s->compressed ? f->packed : f->raw, n, e);
	if (rc < 0)
		return rc;
	if (n < ETW_BUFFER_HEADER_SIZE)
		return err_set(e, ERR_TRUNC, "a buffer header that is cut short");
	if (!s->compressed)
		return n;
	if (f->compression != FORMAT_XPRESS)
		return err_set(e, ERR_UNSUPPORTED, "compression format %u", f->compression);
	memcpy(f->raw, f->packed, ETW_BUFFER_HEADER_SIZE);
	made = xpress_unpack_some(f->packed + ETW_BUFFER_HEADER_SIZE, n - ETW_BUFFER_HEADER_SIZE, f->raw + ETW_BUFFER_HEADER_SIZE,
				  f->raw_size - ETW_BUFFER_HEADER_SIZE, &broken);
	if (broken || made + ETW_BUFFER_HEADER_SIZE < le32(f->raw + 0x30))
		notes_add(f->notes, &NOTE_AT(NOTE_RECORD_BAD, s->off, n), "a compressed buffer that unpacks to %zu bytes only", made);
	return (int64_t)(made + ETW_BUFFER_HEADER_SIZE);
}

int etl_buffer(struct etl *f, uint32_t i, struct etw_buffer *b, struct err *e)
{
	struct etw_settle_opts o = {.met = i ? ETW_MET_FILE : ETW_MET_FILE_FIRST, .buffer_size = f->raw_size};
	int64_t n = load(f, i, e);
	int rc;

	if (n < 0)
		return (int)n;
	rc = etw_settle(b, f->raw, (uint32_t)n, &o, NULL);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	b->has_file_offset = true;
	b->file_offset = f->slots[i].off;
	b->from = ETW_FROM_FILE;
	for (size_t k = 0; k < b->n_gaps; k++)
		notes_add(f->notes, &NOTE_AT(NOTE_RECORD_BAD, b->file_offset + b->gaps[k].offset, b->gaps[k].bytes), "%s in buffer %u",
			  etw_why_name(b->gaps[k].why), i);
	return 0;
}
