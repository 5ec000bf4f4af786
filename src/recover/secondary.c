/* secondary.c - see secondary.h. The block's layout: docs/live-buffers.md, "The ETW block of a crash dump".
 *
 * The block is a row: its header, then each session's header and name, then the session's buffers, cut at the end of their data. Nothing in it is
 * aligned. Every step looks whether what follows makes sense; where it does not, the next buffer or session is searched for, and what was passed
 * over is a note. */
#include "secondary.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "rd.h"
#include "settle.h"
#include "utf16.h"

#define BLOCK_HEADER    0x20u
#define SESSION_HEADER  0x30u
#define SIGNATURE       0x01ebafe1u
#define NAME_MAX_BYTES  2048u      /* 1024 characters: what StartTrace takes */
#define SESSIONS_MAX    4096u      /* of all blocks */
#define BUFFERS_MAX     (1u << 20) /* of one session */
#define WINDOW          65536u
#define LOST_SEARCH_MAX (UINT64_C(64) << 20) /* how far a lost block is looked for; triage dumps are smaller */
#define FILETIME_2000   UINT64_C(125911584000000000)
#define FILETIME_2100   UINT64_C(157469184000000000)
#define BOOT_TOLERANCE  INT64_C(36000000000) /* an hour: wall clocks are set */

/* nt!EtwSecondaryDumpDataGuid {2b88b710-1c93-4f7c-b06c-655ecc50decc} */
static const struct guid etw_tag = {{0x10, 0xb7, 0x88, 0x2b, 0x93, 0x1c, 0x7c, 0x4f, 0xb0, 0x6c, 0x65, 0x5e, 0xcc, 0x50, 0xde, 0xcc}};

struct block { /* one ETW block in the file */
	struct input *in;
	uint64_t off, len;
	uint8_t *window;
	uint64_t window_at;
	size_t window_n;
	struct notes *notes;
	bool wide; /* 64-bit pointers */
};

/* ---- bytes ---------------------------------------------------------------------------------------------------------------------------------- */

/* n <= WINDOW bytes at pos of the block, or NULL. Valid until the next call. */
static const uint8_t *at(struct block *b, uint64_t pos, size_t n)
{
	int64_t got;

	if (pos > b->len || n > b->len - pos || n > WINDOW)
		return NULL;
	if (pos < b->window_at || pos + n > b->window_at + b->window_n) {
		size_t want = b->len - pos < WINDOW ? (size_t)(b->len - pos) : WINDOW;

		got = input_read(b->in, b->off + pos, b->window, want, NULL);
		b->window_at = pos;
		b->window_n = got > 0 ? (size_t)got : 0;
		if (b->window_n < n)
			return NULL;
	}
	return b->window + (pos - b->window_at);
}

static bool header_at(struct block *b, uint64_t pos, struct etw_bufhdr *h)
{
	const uint8_t *p = at(b, pos, ETW_BUFFER_HEADER_SIZE);

	if (p)
		etw_bufhdr_parse(h, p);
	return p != NULL;
}

static bool is_date(uint64_t t)
{
	return t > FILETIME_2000 && t < FILETIME_2100;
}

/* A session header whose signature is damaged: all else is as it must be, and a buffer of its size follows the name. */
static bool damaged_session_at(struct block *b, uint64_t pos)
{
	const uint8_t *p = at(b, pos, SESSION_HEADER), *q;
	uint32_t size = p ? le32(p + 0x10) : 0, name = p ? le32(p + 0x14) : 0, clock = p ? le32(p + 0xc) : 0;

	if (!size || size % 0x400 || size > ETW_BUFFER_SIZE_MAX || !name || name % 2 || name > NAME_MAX_BYTES || !clock ||
	    clock > ETW_CLOCK_CPU_CYCLE)
		return false;
	if (!is_date(le64(p + 0x18)) || !is_date(le64(p + 0x20)))
		return false;
	for (uint32_t k = 1; k <= 2; k++) {
		q = at(b, pos + SESSION_HEADER + (uint64_t)k * name, 4);
		if (q && (le32(q) == size || le32(q) == SIGNATURE))
			return true;
	}
	return false;
}

static bool session_at(struct block *b, uint64_t pos)
{
	const uint8_t *p = at(b, pos, 4);

	if (!p || b->len - pos < SESSION_HEADER)
		return false;
	return le32(p) == SIGNATURE || damaged_session_at(b, pos);
}

/* ---- what stands where -------------------------------------------------------------------------------------------------------------------------- */

/* A list entry that was never a buffer: size set, CurrentOffset 0x48, all else zero. */
static bool is_placeholder(const struct etw_bufhdr *h)
{
	return !h->logger_id && !h->offset && !h->saved_offset && h->current_offset == ETW_BUFFER_HEADER_SIZE && !h->flink && !h->sequence;
}

static bool buffer_at(struct block *b, uint64_t pos, const struct etw_session *s, struct etw_bufhdr *h)
{
	return header_at(b, pos, h) && h->buffer_size == s->buffer_size && (h->logger_id == (uint16_t)s->id || is_placeholder(h));
}

/* Bytes that the buffer with this header takes in the block. */
static uint32_t length_of(const struct etw_bufhdr *h, uint32_t buffer_size)
{
	return etw_end_of_data(h, ETW_MET_SECONDARY, buffer_size);
}

static bool thing_at(struct block *b, uint64_t pos, const struct etw_session *s)
{
	struct etw_bufhdr h;

	return pos == b->len || session_at(b, pos) || buffer_at(b, pos, s, &h);
}

/* A header with one damaged field: size or logger id agrees, and what follows its data makes sense. */
static bool damaged_buffer_at(struct block *b, uint64_t pos, const struct etw_session *s, struct etw_bufhdr *h)
{
	struct etw_session seen = {.id = s->id, .buffer_size = s->buffer_size};
	uint32_t n;

	if (!header_at(b, pos, h) || h->offset < ETW_BUFFER_HEADER_SIZE)
		return false;
	if (h->buffer_size != s->buffer_size && h->logger_id != (uint16_t)s->id)
		return false;
	n = length_of(h, ETW_BUFFER_SIZE_MAX);
	if (h->offset > ETW_BUFFER_SIZE_MAX || n > b->len - pos)
		return false;
	if (pos + n < b->len && thing_at(b, pos + n, s))
		return true;
	/* the session's header may be the one that lies: then the buffers agree with each other */
	seen.id = h->logger_id;
	seen.buffer_size = h->buffer_size;
	return h->buffer_size > ETW_BUFFER_HEADER_SIZE && h->offset <= h->buffer_size && thing_at(b, pos + n, &seen);
}

/* The next place from pos on where a buffer of s or a session begins; the block's end when there is none. */
static uint64_t search(struct block *b, uint64_t pos, const struct etw_session *s)
{
	struct etw_bufhdr h;

	for (; pos + SESSION_HEADER <= b->len; pos++) {
		const uint8_t *p = at(b, pos, 4);
		uint32_t v = p ? le32(p) : 0;

		if (!p)
			break;
		if (v == SIGNATURE ||
		    (s && v == s->buffer_size && buffer_at(b, pos, s, &h) && h.current_offset >= ETW_BUFFER_HEADER_SIZE && h.state <= 6))
			return pos;
	}
	return b->len;
}

/* ---- one buffer -------------------------------------------------------------------------------------------------------------------------------- */

/* The buffer at pos takes n bytes of the block. Its place says how long its data is: a header that says otherwise is not believed. */
static int take_buffer(struct block *b, struct etw_session *s, uint64_t pos, uint32_t n, struct err *e)
{
	struct etw_settle_opts o = {.met = ETW_MET_SECONDARY, .buffer_size = n};
	struct etw_buffer buf;
	uint8_t *raw = malloc(n);
	uint32_t said;
	int rc;

	memset(&buf, 0, sizeof(buf));
	if (!raw)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(b->in, b->off + pos, raw, n, e);
	if (rc == 0) {
		said = le32(raw + 0x30);
		put_le32(raw + 0x30, n);
		rc = etw_settle(&buf, raw, n, &o, NULL);
		buf.hdr.offset = said;
	}
	free(raw);
	if (rc < 0)
		return rc == ERR_NOMEM ? err_set(e, rc, "out of memory") : rc;
	buf.has_file_offset = true;
	buf.file_offset = b->off + pos;
	buf.from = ETW_FROM_SECONDARY_DUMP;
	for (size_t i = 0; i < buf.n_gaps; i++)
		notes_add(b->notes, &NOTE_AT(NOTE_RECORD_BAD, buf.file_offset + buf.gaps[i].offset, buf.gaps[i].bytes),
			  "%s in the buffer at file offset %llu", etw_why_name(buf.gaps[i].why), (unsigned long long)buf.file_offset);
	rc = etw_session_add_buffer(s, &buf);
	if (rc < 0)
		etw_buffer_clear(&buf);
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}

static void note_skipped(struct block *b, enum note_what what, uint64_t pos, uint64_t to, const char *why)
{
	notes_add(b->notes, &NOTE_AT(what, b->off + pos, to - pos), "%s at file offset %llu", why, (unsigned long long)b->off + pos);
}

/* Takes the buffer at *pos and moves behind it. *more false: no buffer stands there. */
static int next_buffer(struct block *b, struct etw_session *s, uint64_t *pos, bool *more, struct err *e)
{
	struct etw_bufhdr h, next;
	uint64_t n, found;
	bool sound = buffer_at(b, *pos, s, &h);

	*more = sound || damaged_buffer_at(b, *pos, s, &h);
	if (!*more)
		return 0;
	if (!sound)
		note_skipped(b, NOTE_BUFFER_HEADER_BAD, *pos, *pos + ETW_BUFFER_HEADER_SIZE,
			     "a buffer header that contradicts its session");
	n = length_of(&h, sound ? s->buffer_size : ETW_BUFFER_SIZE_MAX);
	if (n > b->len - *pos || (!thing_at(b, *pos + n, s) && !damaged_buffer_at(b, *pos + n, s, &next))) {
		found = search(b, *pos + ETW_BUFFER_HEADER_SIZE, s);
		if (n > b->len - *pos && found == b->len)
			notes_add(b->notes, &NOTE_AT(NOTE_BLOB_TRUNCATED, b->off + *pos, n - (b->len - *pos)),
				  "the buffer at file offset %llu claims %llu bytes; %llu are there", (unsigned long long)b->off + *pos,
				  (unsigned long long)n, (unsigned long long)b->len - *pos);
		else if (found != *pos + n)
			note_skipped(b, NOTE_BUFFER_HEADER_BAD, *pos, found, "a buffer whose length does not lead to the next one");
		n = found - *pos;
	}
	if (n > ETW_BUFFER_SIZE_MAX)
		n = ETW_BUFFER_SIZE_MAX;
	if (n < ETW_BUFFER_HEADER_SIZE) {
		*more = false;
		return 0;
	}
	s->buffer_count++;
	if (s->n_buffers < BUFFERS_MAX) {
		int rc = take_buffer(b, s, *pos, (uint32_t)n, e);

		if (rc < 0)
			return rc;
	} else {
		notes_add(b->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u buffers in one session", BUFFERS_MAX);
	}
	*pos += n;
	return 0;
}

/* Addresses: each buffer's list entry (+0x38) is named by its neighbours' links. */
static uint64_t va_from_links(const struct etw_session *s, size_t i)
{
	uint64_t by_next = i + 1 < s->n_buffers ? s->buffers[i + 1].hdr.blink : 0, by_prev = i ? s->buffers[i - 1].hdr.flink : 0;
	uint64_t entry = by_next ? by_next : by_prev;

	if (by_next && by_prev && by_next != by_prev)
		return 0;
	return entry >= 0x80000000u + 0x38 ? entry - 0x38 : 0;
}

static void set_addresses(const struct block *b, struct etw_session *s)
{
	if (!b->wide)
		for (size_t i = 0; i < s->n_buffers; i++) {
			struct etw_bufhdr *h = &s->buffers[i].hdr;

			h->blink = h->flink >> 32;
			h->flink &= 0xffffffffu;
		}
	for (size_t i = 0; i < s->n_buffers; i++) {
		s->buffers[i].va = va_from_links(s, i);
		s->buffers[i].has_va = s->buffers[i].va != 0;
	}
}

/* ---- one session -------------------------------------------------------------------------------------------------------------------------------- */

static int take_name(struct block *b, struct etw_session *s, uint64_t pos, uint32_t n, struct err *e)
{
	const uint8_t *p = at(b, pos, n);

	if (!p) {
		notes_add(b->notes, &NOTE_AT(NOTE_CONTEXT_BAD, b->off + pos, n), "the session's name is not there");
		return 0;
	}
	s->name = utf16_dup(p, n);
	s->name16 = malloc(n ? n : 1);
	if (!s->name || !s->name16)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(s->name16, p, n);
	s->name16_len = n;
	return 0;
}

static void take_facts(struct etw_session *s, const uint8_t *p)
{
	uint32_t clock = le32(p + 0xc);

	s->id = le32(p + 4);
	s->mode = le32(p + 8);
	s->clock = clock >= ETW_CLOCK_QPC && clock <= ETW_CLOCK_CPU_CYCLE ? (enum etw_clock)clock : ETW_CLOCK_UNKNOWN;
	s->buffer_size = le32(p + 0x10);
	s->has_buffer_size = true;
	s->start_time = (int64_t)le64(p + 0x18);
	s->reference_time = (int64_t)le64(p + 0x20);
	s->reference_ts = le64(p + 0x28);
	s->has_reference = s->reference_time > 0;
	s->found_by = ETW_FOUND_SECONDARY_DUMP;
}

/* Where the buffers begin: right behind the name, or as many bytes further (two writers, docs/live-buffers.md). */
static uint64_t first_thing(struct block *b, struct etw_session *s, uint64_t name, uint32_t name_len)
{
	struct etw_bufhdr h;
	uint64_t found;

	for (unsigned k = 1; k <= 2; k++)
		if (thing_at(b, name + (uint64_t)k * name_len, s))
			return name + (uint64_t)k * name_len;
	for (unsigned k = 1; k <= 2; k++)
		if (damaged_buffer_at(b, name + (uint64_t)k * name_len, s, &h)) {
			notes_add(b->notes, &NOTE_AT(NOTE_CONTEXT_BAD, b->off + name, 0),
				  "session %u: its header and its first buffer disagree", s->id);
			/* which of the two lies, the next thing tells */
			if (!thing_at(b, name + (uint64_t)k * name_len + length_of(&h, ETW_BUFFER_SIZE_MAX), s)) {
				s->buffer_size = h.buffer_size;
				s->id = h.logger_id;
			}
			return name + (uint64_t)k * name_len;
		}
	found = search(b, name, s);
	if (found > name)
		note_skipped(b, NOTE_LIST_BROKEN, name, found, "no buffer behind the session's name");
	return found;
}

/* The session at *pos; moves behind its last buffer. */
static int take_session(struct block *b, struct etw_session *s, uint64_t *pos, struct err *e)
{
	const uint8_t *p = at(b, *pos, SESSION_HEADER);
	uint64_t start = *pos, name = *pos + SESSION_HEADER;
	uint32_t name_len = le32(p + 0x14);
	bool more = true;
	int rc = 0;

	take_facts(s, p);
	if (name_len % 2 || name_len > NAME_MAX_BYTES || name_len > b->len - name) {
		notes_add(b->notes, &NOTE_AT(NOTE_CONTEXT_BAD, b->off + start + 0x14, 4), "session %u: a name of %u bytes can't be", s->id,
			  name_len);
		name_len = 0;
	}
	if (name_len)
		rc = take_name(b, s, name, name_len, e);
	*pos = first_thing(b, s, name, name_len);
	while (rc == 0 && *pos < b->len && !session_at(b, *pos)) {
		uint64_t found;

		rc = next_buffer(b, s, pos, &more, e);
		if (rc < 0 || more)
			continue;
		found = search(b, *pos + 1, s);
		note_skipped(b, NOTE_BUFFER_HEADER_BAD, *pos, found, "neither a buffer nor a session");
		*pos = found;
	}
	set_addresses(b, s);
	etw_session_order(s);
	return rc;
}

/* ---- the block ------------------------------------------------------------------------------------------------------------------------------------- */

/* The block's header. An ETW block has been seen from Windows 10 on only (docs/live-buffers.md): version 10.0. */
static void take_system(const struct dump *d, const uint8_t *p, struct etw_system *sys)
{
	if (!sys->timer_resolution)
		sys->timer_resolution = le32(p);
	if (!sys->build)
		sys->build = le32(p + 4) & 0x0fffffff;
	if (!sys->cpu_mhz)
		sys->cpu_mhz = le32(p + 8);
	if (!sys->boot_time)
		sys->boot_time = (int64_t)le64(p + 0x10);
	if (!sys->perf_freq)
		sys->perf_freq = le64(p + 0x18);
	if (!sys->n_cpus)
		sys->n_cpus = d->hints.n_cpus_claimed;
	if (!sys->system_time)
		sys->system_time = d->hints.system_time;
	if (!sys->major)
		sys->major = 10;
	if (!sys->pointer_size)
		sys->pointer_size = d->hints.machine == MACHINE_X86 ? 4 : 8;
}

struct list {
	struct etw_session *v;
	size_t n, cap;
};

static int take_block(const struct dump *d, struct block *b, struct etw_system *sys, struct list *out, struct err *e)
{
	uint64_t pos = BLOCK_HEADER;
	const uint8_t *p = at(b, 0, BLOCK_HEADER);
	int rc = 0;

	if (!p)
		return 0;
	take_system(d, p, sys);
	if (pos < b->len && !session_at(b, pos)) {
		uint64_t found = search(b, pos, NULL);

		note_skipped(b, NOTE_LIST_BROKEN, pos, found, "no session where the first one should be");
		pos = found;
	}
	while (rc == 0 && session_at(b, pos)) {
		void *arr = out->v;
		struct etw_session *s;

		if (out->n >= SESSIONS_MAX) {
			notes_add(b->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u sessions", SESSIONS_MAX);
			break;
		}
		if (arr_reserve(&arr, &out->cap, out->n, sizeof(*out->v)) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		out->v = arr;
		s = &out->v[out->n++];
		memset(s, 0, sizeof(*s));
		notes_scope(b->notes, 0, (int64_t)le32(at(b, pos, 8) + 4), false, 0);
		rc = take_session(b, s, &pos, e);
		notes_scope_none(b->notes);
	}
	return rc;
}

/* ---- finding blocks --------------------------------------------------------------------------------------------------------------------------------- */

static const struct hint_blob *tagged(const struct dump *d, size_t *i)
{
	for (; *i < d->hints.n_blobs; (*i)++)
		if (guid_equal(&d->hints.blobs[*i].tag, &etw_tag) && d->hints.blobs[*i].len)
			return &d->hints.blobs[(*i)++];
	return NULL;
}

bool secondary_present(const struct dump *d)
{
	size_t i = 0;

	return tagged(d, &i) || d->hints.blobs_broken;
}

/* The chain of blocks is broken: the ETW block may stand behind the break. Its header is {0x20, tag, size, 0, padding}. */
static bool search_lost(const struct dump *d, struct hint_blob *out)
{
	struct block b = {.in = d->in, .len = input_size(d->in), .window = malloc(WINDOW)};
	uint64_t first = d->hints.n_blobs ? d->hints.blobs[0].file_off : 0; /* a block whose header lies may stand anywhere else */
	uint64_t from = first > BLOCK_HEADER && first < b.len ? first - BLOCK_HEADER : 0;
	bool found = false;

	for (uint64_t pos = from; b.window && !found && pos + BLOCK_HEADER <= b.len && pos - from < LOST_SEARCH_MAX; pos++) {
		const uint8_t *p = at(&b, pos, BLOCK_HEADER);

		if (!p)
			break;
		if (p[4] != etw_tag.b[0] || memcmp(p + 4, etw_tag.b, 16) != 0)
			continue;
		found = true;
		out->tag = etw_tag;
		out->file_off = pos + BLOCK_HEADER;
		out->claimed = le32(p + 0x14);
		out->len = out->claimed < b.len - out->file_off ? out->claimed : b.len - out->file_off;
	}
	free(b.window);
	return found;
}

/* A block whose boot time is the dump's own: not one of an earlier crash whose bytes lie in the same pagefile. */
static bool is_of_this_crash(const struct dump *d, const struct hint_blob *blob)
{
	uint8_t p[BLOCK_HEADER];
	int64_t boot, up;

	if (d->hints.blobs_broken)
		return true;
	if (!d->hints.system_time || !d->hints.up_time || blob->len < sizeof(p) ||
	    input_read_all(d->in, blob->file_off, p, sizeof(p), NULL) < 0)
		return false;
	boot = (int64_t)le64(p + 0x10);
	up = d->hints.system_time - d->hints.up_time;
	return boot > up - BOOT_TOLERANCE && boot < up + BOOT_TOLERANCE;
}

static int take_blob(const struct dump *d, const struct hint_blob *blob, struct etw_system *sys, struct notes *notes, struct list *out,
		     struct err *e)
{
	struct block b = {.in = d->in, .off = blob->file_off, .len = blob->len, .notes = notes, .wide = d->hints.machine != MACHINE_X86};
	int rc;

	b.window = malloc(WINDOW);
	if (!b.window)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = take_block(d, &b, sys, out, e);
	free(b.window);
	return rc;
}

/* The first session's signature stands where it should. */
static bool starts_well(const struct dump *d, const struct hint_blob *blob)
{
	uint8_t p[4];

	return input_read_all(d->in, blob->file_off + BLOCK_HEADER, p, sizeof(p), NULL) == 0 && le32(p) == SIGNATURE;
}

static void free_list(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		etw_session_clear(&l->v[i]);
	free(l->v);
}

int secondary_sessions(const struct dump *d, const struct recover_opts *o, struct etw_system *sys, struct notes *notes,
		       struct etw_session **out, size_t *n, struct err *e)
{
	const struct hint_blob *blob;
	struct hint_blob lost;
	struct list l = {0};
	bool any = false;
	size_t i = 0;
	int rc = 0;

	(void)o;
	while (rc == 0 && (blob = tagged(d, &i))) {
		any = true;
		if (!starts_well(d, blob) && search_lost(d, &lost) && starts_well(d, &lost)) {
			notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, lost.file_off, 0), "the ETW block is not where its header says");
			blob = &lost;
		}
		rc = take_blob(d, blob, sys, notes, &l, e);
	}
	for (i = 0; rc == 0 && !any && i < d->hints.n_blobs; i++)
		if (d->hints.blobs[i].len > BLOCK_HEADER + SESSION_HEADER && starts_well(d, &d->hints.blobs[i])) {
			any = true;
			notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, d->hints.blobs[i].file_off, 0), "an ETW block under a damaged tag");
			rc = take_blob(d, &d->hints.blobs[i], sys, notes, &l, e);
		}
	if (rc == 0 && !l.n && (any || d->hints.n_blobs || d->hints.blobs_broken) && search_lost(d, &lost) && is_of_this_crash(d, &lost)) {
		any = true;
		notes_add(notes, &NOTE_AT(NOTE_LIST_BROKEN, lost.file_off, 0),
			  "the chain of secondary data is broken; the ETW block was found by its tag");
		rc = take_blob(d, &lost, sys, notes, &l, e);
	}
	if (rc == 0 && !any)
		rc = err_set(e, ERR_NOTFOUND, "no ETW block in the dump's secondary data");
	if (rc < 0) {
		free_list(&l);
		return rc;
	}
	*out = l.v;
	*n = l.n;
	return 0;
}
