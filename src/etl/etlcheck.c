/* etlcheck.c - see etlcheck.h. The numbers in comments are those of the rules in docs/etl-format.md. */
#include "etlcheck.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "etw.h"
#include "rd.h"
#include "settle.h"
#include "xpress.h"

#define FIRST_READ       0x1000u /* what Windows' reader looks at before it accepts a file */
#define LEAST_FILE       0x178u
#define LEAST_PAYLOAD    0x30u
#define FIRST_RECORD     ETW_BUFFER_HEADER_SIZE
#define PAYLOAD          (FIRST_RECORD + 0x20u)
#define FORM32           0x110u /* sizeof TRACE_LOGFILE_HEADER */
#define FORM64           0x118u
#define CPUS_MAX         0x1000u
#define SIZE_UNIT        0x400u
#define FLAG_COMPRESSED  0x40u
#define FORMAT_XPRESS    3u
#define MODE_PREALLOCATE 0x20u
#define MODE_KBYTES      0x2000u

enum rule {
	R_TOO_SHORT,
	R_FIRST_OFFSET,
	R_FIRST_RECORD,
	R_POINTER_SIZE,
	R_SIZE_MISMATCH,
	R_BUFFER_SIZE,
	R_CPUS,
	R_VERSION,
	R_FIRST_CUT,
	R_HEADER_RECORDS,
	R_KERNEL_LOGGER,
	R_NO_BUFFER,
	R_DATA_SIZE,
	R_DATA_OFFSET,
	R_UNPACK,
	R_NAMES,
	R_RECORD,
	R_FILE_SIZE,
	R_BUFFERS_WRITTEN,
	RULES
};

const char *etl_rule_word(unsigned i)
{
	static const char *const words[RULES] = {"too-short",     "first-offset", "first-record", "pointer-size",   "size-mismatch",
						 "buffer-size",   "cpus",         "version",      "first-cut",      "header-records",
						 "kernel-logger", "no-buffer",    "data-size",    "data-offset",    "unpack",
						 "names",         "record",       "file-size",    "buffers-written"};

	return i < RULES ? words[i] : NULL;
}

struct check {
	struct etl_checked *out;
	struct input *in;
	uint64_t size; /* of the file */
	bool failed;   /* out of memory */
	bool has_header;
	uint32_t session_size; /* buffer size that the walk goes by */
	uint32_t mode, written, max_file_size;
	int64_t end_time;
	uint8_t sub, sub_minor;
	bool kernel_logger;
	uint32_t format;       /* of compressed buffers */
	uint8_t *raw, *packed; /* session_size bytes each */
	uint32_t used;         /* buffers up to the last one that holds anything */
};

static void find(struct check *c, enum rule rule, uint64_t off, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void find(struct check *c, enum rule rule, uint64_t off, const char *fmt, ...)
{
	struct etl_checked *o = c->out;
	void *arr = o->findings;
	char text[256];
	va_list ap;

	if (o->n_findings >= ETL_FINDINGS_MAX) {
		o->n_more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (arr_reserve(&arr, &o->cap_findings, o->n_findings, sizeof(*o->findings)) < 0) {
		c->failed = true;
		return;
	}
	o->findings = arr;
	o->findings[o->n_findings] = (struct etl_finding){etl_rule_word(rule), off, strdup(text)};
	if (!o->findings[o->n_findings].detail) {
		c->failed = true;
		return;
	}
	o->n_findings++;
}

void etl_checked_clear(struct etl_checked *c)
{
	for (size_t i = 0; i < c->n_findings; i++)
		free(c->findings[i].detail);
	free(c->findings);
	memset(c, 0, sizeof(*c));
}

/* ---- the header ------------------------------------------------------------------------------------------------------------------------ */

/* Moves *off behind a NUL-ended UTF-16 string of r. */
static bool skip_name(const struct rd *r, uint32_t *off)
{
	for (; rd_has(r, *off, 2); *off += 2) {
		if (le16(r->p + *off) == 0) {
			*off += 2;
			return true;
		}
	}
	return false;
}

static bool is_kernel_logger(const struct rd *r, uint32_t off)
{
	static const char name[] = "NT Kernel Logger";

	for (uint32_t i = 0; i < sizeof(name); i++)
		if (!rd_has(r, off + (size_t)2 * i, 2) || le16(r->p + off + (size_t)2 * i) != (uint8_t)name[i])
			return false;
	return true;
}

/* 15, and what 11 needs. */
static void check_names(struct check *c, const struct rd *r, uint32_t form)
{
	uint32_t off = form;
	bool ends;

	c->kernel_logger = is_kernel_logger(r, form);
	ends = skip_name(r, &off);         /* LoggerName */
	ends = ends && skip_name(r, &off); /* LogFileName */
	if (!ends)
		find(c, R_NAMES, PAYLOAD + form, "LoggerName and LogFileName do not both end inside the record");
}

/* 5 and 6: the two buffer sizes. */
static void check_sizes(struct check *c, const struct etw_bufhdr *h, uint32_t size)
{
	if (c->mode & ETW_MODE_COMPRESSED) {
		if (h->buffer_size > size)
			find(c, R_SIZE_MISMATCH, 0, "the header buffer has %u bytes, more than the session's %u", h->buffer_size, size);
		if (h->flag & FLAG_COMPRESSED)
			find(c, R_SIZE_MISMATCH, 0x34, "the header buffer itself is marked as compressed");
		if (c->mode & ETW_MODE_CIRCULAR)
			find(c, R_SIZE_MISMATCH, PAYLOAD + 0x20, "LogFileMode is both compressed and circular");
	} else if (h->buffer_size != size) {
		find(c, R_SIZE_MISMATCH, PAYLOAD, "BufferSize is %u here and %u in the buffer header", size, h->buffer_size);
	}
	if (size % SIZE_UNIT || size < SIZE_UNIT || size > ETW_BUFFER_SIZE_MAX)
		find(c, R_BUFFER_SIZE, PAYLOAD, "BufferSize %u is no multiple of 1024 from 1024 to 16777216", size);
}

/* TRACE_LOGFILE_HEADER: 4 to 8, 15. `wide`: the form when PointerSize does not tell. */
static void check_payload(struct check *c, const struct etw_bufhdr *h, struct rd *r, bool wide)
{
	uint32_t pointer = rd_u32(r, 0x2c), form = pointer == 8 || (pointer != 4 && wide) ? FORM64 : FORM32;

	c->has_header = true;
	c->session_size = rd_u32(r, 0);
	c->sub = rd_u8(r, 6);
	c->sub_minor = rd_u8(r, 7);
	c->end_time = (int64_t)rd_u64(r, 0x10);
	c->max_file_size = rd_u32(r, 0x1c);
	c->mode = rd_u32(r, 0x20);
	c->written = rd_u32(r, 0x24);
	c->out->compressed = c->mode & ETW_MODE_COMPRESSED;
	if (pointer != 4 && pointer != 8)
		find(c, R_POINTER_SIZE, PAYLOAD + 0x2c, "PointerSize is %u, neither 4 nor 8", pointer);
	check_sizes(c, h, c->session_size);
	if (rd_u32(r, 0xc) > CPUS_MAX)
		find(c, R_CPUS, PAYLOAD + 0xc, "NumberOfProcessors is %u, more than %u", rd_u32(r, 0xc), CPUS_MAX);
	if (c->sub > 2)
		find(c, R_VERSION, PAYLOAD + 6, "SubVersion is %u, newer than 2", c->sub);
	if (!rd_has(r, 0, form))
		find(c, R_NAMES, PAYLOAD, "the record ends inside TRACE_LOGFILE_HEADER: %zu bytes of %u", r->len, form);
	else
		check_names(c, r, form);
}

/* 2 to 8, 15, on the first bytes of the file. */
static void check_first(struct check *c, const uint8_t *p, uint32_t n, const struct etw_bufhdr *h)
{
	struct etw_record rec;
	struct rd r;

	if (h->offset < ETW_BUFFER_HEADER_SIZE || h->offset > h->buffer_size)
		find(c, R_FIRST_OFFSET, 0x30, "Offset %u of the header buffer is outside 72..%u", h->offset, h->buffer_size);
	if (etw_record_peek(p, n, FIRST_RECORD, &rec) != ETW_PEEK_RECORD) {
		find(c, R_FIRST_RECORD, FIRST_RECORD, "no record that ends within the first %u bytes", n);
		return;
	}
	if ((rec.kind != ETW_KIND_SYSTEM32 && rec.kind != ETW_KIND_SYSTEM64) || le16(p + FIRST_RECORD + 6) != 0) {
		find(c, R_FIRST_RECORD, FIRST_RECORD, "the first record is no log file header: %s", etw_kind_name(rec.kind));
		return;
	}
	if (rec.size - rec.header < LEAST_PAYLOAD) {
		find(c, R_FIRST_RECORD, FIRST_RECORD, "the log file header holds %u bytes, fewer than %u", rec.size - rec.header,
		     LEAST_PAYLOAD);
		return;
	}
	r = rd_init(p + FIRST_RECORD + rec.header, rec.size - rec.header);
	check_payload(c, h, &r, rec.kind == ETW_KIND_SYSTEM64);
}

/* ---- one buffer ------------------------------------------------------------------------------------------------------------------------ */

/* 16 (10 and 11 in the header buffer): counts the records of p[0, end). `place`: file offset of p[0], or of the packed buffer. */
static void check_records(struct check *c, const uint8_t *p, uint32_t end, uint32_t limit, uint64_t place, bool packed, uint32_t i)
{
	uint32_t off = ETW_BUFFER_HEADER_SIZE, n = 0;
	enum rule rule = i ? R_RECORD : R_HEADER_RECORDS;

	while (off < end) {
		struct etw_record r;
		enum etw_peek got = etw_record_peek(p, end, off, &r);
		uint64_t at = packed ? place : place + off;

		if (got != ETW_PEEK_RECORD) {
			find(c, rule, at, "%s at 0x%x of buffer %u; its data ends at 0x%x",
			     got == ETW_PEEK_BAD ? "a bad record" : "no record", off, i, end);
			return;
		}
		if (r.step > limit - off || (!packed && r.step >= limit)) {
			find(c, rule, at, "the record at 0x%x of buffer %u reaches out of the buffer when rounded up", off, i);
			return;
		}
		if (i == 0 && n == 1 && c->kernel_logger && c->sub == 1 && c->sub_minor == 2 && r.size < 0x20)
			find(c, R_KERNEL_LOGGER, at, "the second record of an NT Kernel Logger file of version 1.2 has %u bytes", r.size);
		c->out->records[r.kind]++;
		off += r.step;
		n++;
	}
}

/* A compressed buffer's bytes -> c->raw. False: nothing to walk. */
static bool unpack(struct check *c, const struct etw_bufhdr *h, uint32_t n, uint64_t place, uint32_t i)
{
	int64_t made;

	if (c->format != FORMAT_XPRESS) {
		find(c, R_UNPACK, 0x2c, "buffer %u is packed in format %u; only 3 (XPRESS) is known", i, c->format);
		return false;
	}
	made = xpress_unpack(c->packed + ETW_BUFFER_HEADER_SIZE, n - ETW_BUFFER_HEADER_SIZE, c->raw + ETW_BUFFER_HEADER_SIZE,
			     c->session_size - ETW_BUFFER_HEADER_SIZE);
	if (made < 0 || (uint64_t)made + ETW_BUFFER_HEADER_SIZE != h->offset) {
		find(c, R_UNPACK, place, "buffer %u unpacks to %" PRId64 " bytes, not to %u", i, made < 0 ? 0 : made,
		     h->offset - ETW_BUFFER_HEADER_SIZE);
		return false;
	}
	return true;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Buffer i: n bytes of it are there (n < full: the file ends inside it). 0 or an error of reading. */
static int check_buffer(struct check *c, uint64_t place, uint32_t n, uint32_t full, uint32_t i, struct err *e)
{
	struct etw_bufhdr h;
	uint32_t end;
	bool packed;
	uint8_t *p;
	int rc = input_read_all(c->in, place, c->packed, n, e);

	if (rc < 0)
		return rc;
	etw_bufhdr_parse(&h, c->packed);
	if (i && (c->mode & MODE_PREALLOCATE || (c->written && i >= c->written)) && is_zero(c->packed, ETW_BUFFER_HEADER_SIZE))
		return 0; /* room that was never used */
	c->used = i + 1;
	packed = i && (h.flag & FLAG_COMPRESSED) && c->out->compressed;
	if (i && !c->out->compressed && h.buffer_size != c->session_size)
		find(c, R_DATA_SIZE, place, "BufferSize of buffer %u is %u, not %u", i, h.buffer_size, c->session_size);
	end = packed ? c->session_size : full;
	if (i && (h.offset < ETW_BUFFER_HEADER_SIZE || h.offset > end)) {
		find(c, R_DATA_OFFSET, place + 0x30, "Offset %u of buffer %u is outside 72..%u", h.offset, i, end);
		return 0; /* readers skip such a buffer */
	}
	if (n < full && packed)
		return 0;
	p = packed ? c->raw : c->packed;
	if (packed && !unpack(c, &h, n, place, i))
		return 0;
	end = etw_end_of_data(&h, i ? ETW_MET_FILE : ETW_MET_FILE_FIRST, packed ? c->session_size : full);
	if (end > n && !packed) {
		/* cut: that is a finding of its own; what is whole still counts */
		struct etw_record r;

		for (uint32_t off = ETW_BUFFER_HEADER_SIZE; etw_record_peek(p, n, off, &r) == ETW_PEEK_RECORD; off += r.step)
			c->out->records[r.kind]++;
		return 0;
	}
	check_records(c, p, end, packed ? c->session_size : full, place, packed, i);
	return 0;
}

/* ---- the row of buffers ---------------------------------------------------------------------------------------------------------------- */

/* Bytes that buffer i takes in the file; 0: not to be known, the walk ends. */
static uint32_t bytes_of(struct check *c, uint64_t place, uint32_t i, struct err *e, int *rc)
{
	uint8_t b[4];
	uint32_t n;

	if (!c->out->compressed)
		return c->session_size;
	*rc = input_read_all(c->in, place, b, sizeof(b), e);
	if (*rc < 0)
		return 0;
	n = le32(b);
	if (n > ETW_BUFFER_HEADER_SIZE && n <= c->session_size)
		return n;
	find(c, R_DATA_SIZE, place, "BufferSize of buffer %u is %u, outside 73..%u: nothing behind it can be found", i, n, c->session_size);
	return 0;
}

static int walk_buffers(struct check *c, struct err *e)
{
	uint64_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && at < c->size && i < UINT32_MAX; i++) {
		uint64_t left = c->size - at;
		uint32_t full = left < ETW_BUFFER_HEADER_SIZE ? 0 : bytes_of(c, at, i, e, &rc), n;

		if (rc < 0)
			break;
		if (left < ETW_BUFFER_HEADER_SIZE) {
			find(c, R_FILE_SIZE, at, "%" PRIu64 " bytes behind the last buffer", left);
			break;
		}
		if (!full)
			break;
		n = left < full ? (uint32_t)left : full;
		if (n < full && i == 0)
			find(c, R_FIRST_CUT, c->size, "the file ends inside the header buffer: %u bytes of %u", n, full);
		else if (n < full)
			find(c, R_FILE_SIZE, c->size, "the file ends inside buffer %u, which starts at 0x%" PRIx64 ": %u bytes of %u", i,
			     at, n, full);
		else
			c->out->buffers++;
		rc = check_buffer(c, at, n, full, i, e);
		at += n;
	}
	return rc;
}

/* A circular file that has reached its size and wrapped: more was written than it holds. */
static bool wrapped(const struct check *c)
{
	uint64_t max = (uint64_t)c->max_file_size * (c->mode & MODE_KBYTES ? 1024 : 1048576);

	return (c->mode & ETW_MODE_CIRCULAR) && max && c->size + c->session_size > max;
}

/* 12 and the second half of 17. */
static void check_count(struct check *c)
{
	uint64_t place = PAYLOAD + 0x24;
	bool finished = c->end_time != 0 || c->out->compressed;

	if (!c->has_header)
		return;
	if (!finished || !c->written) {
		if (!c->out->buffers)
			find(c, R_NO_BUFFER, 0, "not one whole buffer");
		return;
	}
	if (c->written > c->out->buffers && !wrapped(c))
		find(c, R_BUFFERS_WRITTEN, place, "BuffersWritten is %u, but there are %u whole buffers", c->written, c->out->buffers);
	else if (c->written < c->used)
		find(c, R_BUFFERS_WRITTEN, place, "BuffersWritten is %u, but there are %u buffers: readers stop early", c->written,
		     c->used);
}

static int check_all(struct check *c, struct err *e)
{
	uint8_t first[FIRST_READ];
	struct etw_bufhdr h;
	int64_t n;
	int rc;

	if (c->size < LEAST_FILE)
		find(c, R_TOO_SHORT, c->size, "%" PRIu64 " bytes; a log file has %u at least", c->size, LEAST_FILE);
	if (c->size < LEAST_FILE)
		return 0;
	n = input_read(c->in, 0, first, sizeof(first), e);
	if (n < 0)
		return (int)n;
	if (n < (int64_t)LEAST_FILE)
		return err_set(e, ERR_TRUNC, "the file became shorter while it was read");
	etw_bufhdr_parse(&h, first);
	c->format = h.state & 0xffff;
	check_first(c, first, (uint32_t)n, &h);
	if (c->session_size < ETW_BUFFER_HEADER_SIZE || c->session_size > ETW_BUFFER_SIZE_MAX)
		c->session_size = h.buffer_size; /* named above, or there was no header */
	if (c->session_size <= ETW_BUFFER_HEADER_SIZE || c->session_size > ETW_BUFFER_SIZE_MAX)
		return 0;
	if (!c->has_header)
		return 0;
	c->raw = malloc(c->session_size);
	c->packed = malloc(c->session_size);
	if (!c->raw || !c->packed)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = walk_buffers(c, e);
	if (rc == 0)
		check_count(c);
	return rc;
}

int etl_check(struct etl_checked *out, struct input *in, struct err *e)
{
	struct check c = {.out = out, .in = in, .size = input_size(in)};
	int rc;

	memset(out, 0, sizeof(*out));
	rc = check_all(&c, e);
	free(c.raw);
	free(c.packed);
	if (rc == 0 && c.failed)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	if (rc < 0)
		etl_checked_clear(out);
	return rc;
}
