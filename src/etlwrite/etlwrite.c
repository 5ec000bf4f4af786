/* etlwrite.c - one .etl file from one session: the order of what is written, and the data buffers. The header buffer is logfile.c's. */
#include "etlwrite.h"

#include <stdlib.h>
#include <string.h>

#include "logfile.h"
#include "rd.h"
#include "task.h"

#define STATE_FLUSH       3u
#define FLAG_FLUSH_MARKER 0x1u /* first and last buffer of a file */
#define FLAG_PROC_INDEX   0x20u
#define TYPE_HEADER       4u
#define LEAN_SIZE         0x1000u              /* the header buffer's records fit */
#define FILL_LEAST        (UINT64_C(64) << 20) /* a smaller file may be all fill; */
#define FILL_MAX          16u                  /* a larger one is not more than so many times its records */

/* Where the bytes of one file go: the file, or its hash. The same bytes are made twice, side by side, for one and the other. */
struct out {
	struct outfile *f;   /* or NULL */
	struct sha256 *hash; /* or NULL */
	struct err *e;
};

static int put(struct out *o, const void *p, size_t n)
{
	if (o->hash)
		sha256_add(o->hash, p, n);
	return o->f ? outfile_write(o->f, p, n, o->e) : 0;
}

/* The buffers that go into the file, in order. */
struct chosen {
	const struct etw_buffer **v;
	size_t n;
	uint64_t used;    /* bytes of all rebuilt buffers, headers included */
	uint32_t largest; /* bytes of the largest rebuilt buffer, header included */
	uint32_t n_cpus;  /* highest processor index written + 1 */
};

/* Readers keep a table by it: an index that no machine has is written as 0. The report has it as found. */
static uint16_t written_cpu(const struct etw_buffer *b)
{
	return b->cpu < ETW_CPUS_MAX ? (uint16_t)b->cpu : 0;
}

static int choose(struct chosen *c, const struct etw_buffer *v, size_t n, struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->v = malloc((n ? n : 1) * sizeof(const struct etw_buffer *));
	if (!c->v)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		uint32_t used = ETW_BUFFER_HEADER_SIZE + v[i].body_len;

		if (!v[i].body_len || v[i].has_same_as)
			continue;
		c->v[c->n++] = &v[i];
		c->used += used;
		if (used > c->largest)
			c->largest = used;
		if (written_cpu(&v[i]) >= c->n_cpus)
			c->n_cpus = written_cpu(&v[i]) + 1u;
	}
	if (!c->n)
		return err_set(e, ERR_NOTFOUND, "no event to write");
	return 0;
}

/* Is a file with buffers of this size, nearly all of it fill, too large to be any use? A claim of 16 MB is cheap, and a session of many buffers makes one. */
static bool wasteful(const struct chosen *c, uint32_t size)
{
	uint64_t bytes = (uint64_t)(c->n + 1) * size;

	return bytes > FILL_LEAST && bytes > FILL_MAX * c->used;
}

/* Readers want a multiple of 0x400; a session's size that is none is rounded up, and a buffer never loses records to a header's lie. */
static uint32_t file_buffer_size(const struct etw_session *s, const struct chosen *c)
{
	uint32_t size = s->has_buffer_size && s->buffer_size <= ETW_BUFFER_SIZE_MAX ? s->buffer_size : 0;

	if ((s->lean || wasteful(c, size)) && size > LEAN_SIZE)
		size = LEAN_SIZE;
	if (size < c->largest)
		size = c->largest;
	return (size + 0x3ff) & ~0x3ffu;
}

static void data_header(uint8_t h[ETW_BUFFER_HEADER_SIZE], const struct etw_session *s, const struct etw_buffer *b, uint32_t size,
			uint64_t timestamp, uint64_t sequence, bool last)
{
	uint32_t used = ETW_BUFFER_HEADER_SIZE + b->body_len;

	memset(h, 0, ETW_BUFFER_HEADER_SIZE);
	put_le32(h + 0x00, size);
	put_le32(h + 0x04, used);
	put_le32(h + 0x08, used);
	put_le64(h + 0x10, timestamp);
	put_le64(h + 0x18, sequence);
	put_le16(h + 0x28, written_cpu(b));
	put_le16(h + 0x2a, (uint16_t)s->id);
	put_le32(h + 0x2c, STATE_FLUSH);
	put_le32(h + 0x30, used);
	put_le16(h + 0x34, FLAG_PROC_INDEX | (last ? FLAG_FLUSH_MARKER : 0));
}

static int put_fill(struct out *o, uint32_t n)
{
	uint8_t ff[4096];

	memset(ff, 0xff, sizeof(ff));
	while (n) {
		uint32_t part = n < sizeof(ff) ? n : (uint32_t)sizeof(ff);
		int rc = put(o, ff, part);

		if (rc < 0)
			return rc;
		n -= part;
	}
	return 0;
}

static int put_data(struct out *o, const struct etw_session *s, const struct chosen *c, uint32_t size)
{
	uint64_t timestamp = 0; /* never goes back: buffers stand in order of their last event */

	for (size_t i = 0; i < c->n; i++) {
		const struct etw_buffer *b = c->v[i];
		uint8_t h[ETW_BUFFER_HEADER_SIZE];
		int rc;

		if (b->has_ts && b->last_ts > timestamp)
			timestamp = b->last_ts;
		data_header(h, s, b, size, timestamp, i + 1, i + 1 == c->n);
		rc = put(o, h, sizeof(h));
		if (rc == 0)
			rc = put(o, b->body, b->body_len);
		if (rc == 0)
			rc = put_fill(o, size - ETW_BUFFER_HEADER_SIZE - b->body_len);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int put_first(struct out *o, const struct etw_session *s, const struct buf *records, uint32_t size)
{
	uint8_t h[ETW_BUFFER_HEADER_SIZE];
	uint32_t used = (uint32_t)(ETW_BUFFER_HEADER_SIZE + records->n);
	int rc;

	memset(h, 0, sizeof(h));
	put_le32(h + 0x00, size);
	put_le32(h + 0x04, used);
	put_le32(h + 0x08, used);
	put_le16(h + 0x2a, (uint16_t)s->id);
	put_le32(h + 0x2c, STATE_FLUSH);
	put_le32(h + 0x30, used);
	put_le16(h + 0x34, FLAG_PROC_INDEX | FLAG_FLUSH_MARKER);
	put_le16(h + 0x36, TYPE_HEADER);
	rc = put(o, h, sizeof(h));
	if (rc == 0)
		rc = put(o, records->p, records->n);
	if (rc == 0)
		rc = put_fill(o, size - used);
	return rc;
}

/* Counts, and first and last event: smallest and largest raw time of all buffers, as FILETIME where the clock can be told. */
static void sum_up(struct etlwrite_result *r, const struct chosen *c, const struct etw_session *s, const struct etw_system *sys)
{
	uint64_t first = UINT64_MAX, last = 0;
	bool any = false;

	memset(r, 0, sizeof(*r));
	r->buffers = (uint32_t)c->n;
	for (size_t i = 0; i < c->n; i++) {
		r->events += c->v[i]->n_events;
		if (!c->v[i]->has_ts)
			continue;
		any = true;
		if (c->v[i]->first_ts < first)
			first = c->v[i]->first_ts;
		if (c->v[i]->last_ts > last)
			last = c->v[i]->last_ts;
	}
	r->has_times = any && etw_session_time(s, sys, first, &r->first_event) && etw_session_time(s, sys, last, &r->last_event);
}

struct whole { /* everything that a file is made of */
	const struct etw_session *s;
	const struct chosen *c;
	const struct buf *records; /* of the header buffer */
	uint32_t size;             /* of every buffer */
	struct out out;
};

static int put_all(struct whole *w)
{
	int rc = put_first(&w->out, w->s, w->records, w->size);

	return rc < 0 ? rc : put_data(&w->out, w->s, w->c, w->size);
}

static void hash_all(void *ctx)
{
	put_all(ctx);
}

static int write_all(struct outfile *f, const struct etw_session *s, const struct etw_system *sys, const struct chosen *c,
		     struct etlwrite_result *r, struct err *e)
{
	struct logfile_facts facts = {.n_cpus = c->n_cpus, .buffers_written = (uint32_t)c->n + 1};
	struct buf records;
	struct whole file = {.s = s, .c = c, .records = &records, .out = {.f = f, .e = e}}, hashed;
	struct task task;
	int rc;

	sum_up(r, c, s, sys);
	facts.buffer_size = file.size = file_buffer_size(s, c);
	facts.has_first_ts = c->v[0]->has_ts;
	facts.first_ts = c->v[0]->first_ts;
	facts.end_time = r->has_times && r->last_event > sys->system_time ? r->last_event : sys->system_time;
	buf_init(&records);
	logfile_records(&records, s, sys, &facts);
	hashed = file;
	hashed.out = (struct out){0};
	rc = records.failed ? err_set(e, ERR_NOMEM, "out of memory") : sha256_new(&hashed.out.hash, e);
	if (rc < 0) {
		buf_free(&records);
		return rc;
	}
	task_start(&task, hash_all, &hashed);
	rc = put_all(&file);
	task_wait(&task);
	r->bytes = outfile_size(f);
	sha256_end(hashed.out.hash, r->sha256);
	buf_free(&records);
	return rc;
}

int etlwrite_session(struct outfile *f, const struct etw_session *s, const struct etw_system *sys, const struct etlwrite_opts *o,
		     struct etlwrite_result *out, struct err *e)
{
	bool residual = o && o->residual;
	struct etlwrite_result r;
	struct chosen c;
	int rc;

	rc = choose(&c, residual ? s->residual : s->buffers, residual ? s->n_residual : s->n_buffers, e);
	if (rc == 0)
		rc = write_all(f, s, sys, &c, &r, e);
	free(c.v);
	if (rc == 0)
		*out = r;
	return rc;
}
