/* recipe.c - see recipe.h */
#include "recipe.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guid.h"
#include "kernels.h"
#include "payload.h"
#include "rd.h"

#define VALUE_MAX 1024

static const char *const way_short[] = {"global",      "queue",     "overflow", "batched", "compression", "scratch",
					"placeholder", "processor", "current",  "dirty",   "user"};
static const char *const form_names[WI_FORMS] = {"unused",      "logging", "reused",   "flushed", "full",   "torn",
						 "placeholder", "cswitch", "flushing", "pending", "packed", "stands_for"};

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "mkdump: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(2);
}

/* The value of KEY= in a statement, or NULL. */
static const char *value(const char *line, const char *key, char out[VALUE_MAX])
{
	size_t n = strlen(key), len;

	for (const char *p = line; (p = strstr(p, key)); p += n) {
		if (p[n] != '=' || (p != line && p[-1] != ' ' && p[-1] != '\t'))
			continue;
		len = strcspn(p + n + 1, " \t\r\n");
		if (len >= VALUE_MAX)
			die("a value that is too long: %s", line);
		memcpy(out, p + n + 1, len);
		out[len] = 0;
		return out;
	}
	return NULL;
}

static uint64_t number(const char *line, const char *key, uint64_t otherwise)
{
	char v[VALUE_MAX], *end;
	uint64_t n;

	if (!value(line, key, v))
		return otherwise;
	n = strtoull(v, &end, 0);
	if (end == v || *end)
		die("%s= is no number: %s", key, line);
	return n;
}

/* One of a list of words; -1: not given. */
static int word_of(const char *line, const char *key, const char *const *words, int n)
{
	char v[VALUE_MAX];

	if (!value(line, key, v))
		return -1;
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], v) == 0)
			return i;
	die("%s=%s: no such word: %s", key, v, line);
	return -1;
}

static struct wi_process *process_of(struct winimg *w, uint64_t pid)
{
	struct wi_process *p = wi_process_at(w, pid);

	if (!p)
		die("no process %llu", (unsigned long long)pid);
	return p;
}

static struct wi_buffer *buffer_of(struct recipe *r, const char *line, const char *key)
{
	uint64_t n = number(line, key, 0);

	if (!r->s || n >= r->s->n_buf)
		die("no such buffer: %s", line);
	return &r->s->buf[n];
}

/* Ways that this generation of kernels has. */
static unsigned possible(const struct winimg *w, const struct wi_session *s, unsigned ways, unsigned cpu)
{
	if (!wi_has(w, F_CTX_FreeList) && (!wi_has(w, F_QUEUE_QueueEntry) || !wi_has(w, F_CTX_BufferQueue)))
		ways &= ~(unsigned)WAY_QUEUE;
	if (!wi_has(w, F_CTX_FlushList) && (!wi_has(w, F_CTX_OverflowQueue) || !wi_has(w, F_QUEUE_QueueEntry)))
		ways &= ~(unsigned)WAY_OVERFLOW;
	if (!wi_has(w, F_CTX_ScratchArray))
		ways &= ~(unsigned)WAY_SCRATCH;
	if (!wi_has(w, F_CTX_CompressionTarget))
		ways &= ~(unsigned)WAY_COMPRESSION;
	if (!wi_has(w, F_CTX_PlaceholderList))
		ways &= ~(unsigned)WAY_PLACEHOLDER;
	if (cpu >= WI_CPUS_MAX || !w->silo[s->silo].slot[cpu])
		ways &= ~(unsigned)WAY_PROCESSOR;
	if (!wi_has(w, F_CTX_CurrentBuffer) || w->p.traits.single_list)
		ways &= ~(unsigned)(WAY_CURRENT | (ways & WAY_PROCESSOR ? 0 : WAY_DIRTY));
	if (!(s->mode & 0x40000) || !wi_has(w, F_CTX_BatchedBufferList))
		ways &= ~(unsigned)WAY_BATCHED;
	return ways ? ways : WAY_GLOBAL;
}

static unsigned ways_of(const char *list)
{
	char copy[VALUE_MAX], *save = NULL;
	unsigned ways = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		unsigned i = 0;

		while (i < 11 && strcmp(way_short[i], t) != 0)
			i++;
		if (i == 11)
			die("no such way: %s", t);
		ways |= 1u << i;
	}
	return ways;
}

static void read_name(struct wi_session *s, const char *text, uint64_t fill)
{
	s->n_name16 = 0;
	for (const char *p = text; *p && s->n_name16 < WI_NAME_UNITS;) {
		if (*p == '%' && strlen(p) >= 5) {
			char hex[5] = {p[1], p[2], p[3], p[4], 0};

			s->name16[s->n_name16++] = (uint16_t)strtoul(hex, NULL, 16);
			p += 5;
		} else {
			s->name16[s->n_name16++] = (uint8_t)*p++;
		}
	}
	while (s->n_name16 < fill && s->n_name16 < WI_NAME_UNITS)
		s->name16[s->n_name16++] = 'x';
}

static void tie(struct recipe *r)
{
	if (r->s && !r->tied)
		wi_session_tie(&r->w, r->s);
	r->tied = true;
}

/* ---- statements -------------------------------------------------------------------------------------------------------------------------- */

/* A layout that no kernel has had yet: the context begins with something new, members move in bands, and it grows by 0x100. */
static void future(struct profile *p)
{
	static const struct {
		uint32_t from, by;
	} band[] = {{0x300, 0xc8}, {0x110, 0x70}, {0x80, 0x48}, {0x28, 0x28}, {0, 0x10}};

	for (unsigned f = 0; f < PROF_FIELDS; f++) {
		unsigned i = 0;

		if (prof_type_of((enum prof_field)f) != T_CTX || p->field[f].off == PROF_ABSENT)
			continue;
		while (p->field[f].off < band[i].from)
			i++;
		p->field[f].off += band[i].by;
	}
	p->size[T_CTX] += 0x100;
	p->build = 29000;
}

static enum wm_arch arch_of(const struct recipe *r, const char *line)
{
	static const char *const words[] = {"x64", "la57", "x86-pae", "x86", "arm64"}; /* in the order of enum wm_arch */
	char given[VALUE_MAX];
	int a;

	if (r->arch)
		snprintf(given, sizeof(given), "arch=%s", r->arch);
	a = word_of(r->arch ? given : line, "arch", words, 5);
	return a >= 0 ? (enum wm_arch)a : number(line, "levels", 4) == 5 ? WM_LA57 : WM_X64;
}

static void machine(struct recipe *r, const char *line)
{
	static const char *const hints[] = {"kernel", "process", "user", "none"};
	struct wi_opts o = {.mib = r->mib ? r->mib : number(line, "mib", 64),
			    .hole = r->hole ? r->hole : number(line, "hole", 0),
			    .seed = number(line, "seed", 1),
			    .cpus = (unsigned)number(line, "cpus", 4),
			    .handles = (unsigned)number(line, "handles", 100),
			    .low_stub = number(line, "stub", 1),
			    .encoded_kdbg = number(line, "encoded", 0),
			    .large_pages = number(line, "large", 0),
			    .decoy_roots = number(line, "decoys", 0),
			    .arch = arch_of(r, line),
			    .self_map = number(line, "selfmap", 1),
			    .perf_freq = number(line, "freq", 10000000),
			    .system_time = (int64_t)number(line, "time", UINT64_C(133600000001234567)),
			    .boot_time = INT64_C(133599000000000000),
			    .foreign_guid = number(line, "foreign", 0),
			    .kpti = number(line, "kpti", 0),
			    .pe_time = (uint32_t)number(line, "pe_time", 0),
			    .pe_size = (uint32_t)number(line, "pe_size", 0),
			    .pte_mask = number(line, "pte_mask", 0),
			    .trimmed = (unsigned)number(line, "trimmed", 0),
			    .pagefile_n = (unsigned)number(line, "pagefile", 0),
			    .with_pagefile = r->pagefile,
			    .no_globals = !number(line, "globals", 1),
			    .no_kdbg = !number(line, "kdbg", 1),
			    .no_etwdata = !number(line, "etwdata", 1),
			    .bare_etwdata = number(line, "etwdata", 1) == 2,
			    .bad_ends = number(line, "bad_ends", 0),
			    .bad_consumers = number(line, "bad_consumers", 0),
			    .bigpool = (unsigned)number(line, "bigpool", 0),
			    .pfn = number(line, "pfn", 0),
			    .no_headers = !number(line, "headers", 1),
			    .nt_major = (unsigned)number(line, "nt_major", 0),
			    .nt_minor = (unsigned)number(line, "nt_minor", 0),
			    .nt_build = (unsigned)number(line, "nt_build", 0),
			    .narrow_slist = number(line, "slist", 16) == 8,
			    .no_kuser = !number(line, "kuser", 1)};
	char v[VALUE_MAX], want[VALUE_MAX] = "";
	uint32_t build = r->build ? r->build : (uint32_t)number(line, "build", 19041);
	int hint = word_of(line, "hint", hints, 4);
	struct profile p;

	if (r->started)
		die("a second machine: %s", line);
	if (value(line, "bias", v))
		o.bias = (int32_t)strtol(v, NULL, 0);
	value(line, "version", want);
	o.hint = hint < 0 ? HINT_KERNEL : hint;
	o.boot_time = o.system_time - INT64_C(1000001234567);
	if (!kernel_of_build(build, o.arch, r->version ? r->version : want, &p))
		o.foreign_guid = true; /* no kernel with symbols is known: one that nobody knows is made */
	if (number(line, "future", 0)) {
		future(&p);
		o.foreign_guid = true;
	}
	wi_init(&r->w, &o, &p);
	if (o.foreign_guid && p.build < 9000) /* nothing but the sessions tells the counter's frequency: said once */
		wi_loss(&r->w, "context_bad", NULL, 0);
	r->started = true;
}

static void session(struct recipe *r, const char *line)
{
	char name[VALUE_MAX] = "session", file[VALUE_MAX];
	struct wi_session *s;

	tie(r);
	r->skip = number(line, "silo", 0) && (r->w.n_silos == 1 || (!number(line, "table", 1) && !wi_has(&r->w, F_SILO_ProcessorBlocks)));
	if (r->skip)
		return;
	if (r->w.n_ses == WI_SESSIONS_MAX)
		die("too many sessions");
	value(line, "name", name);
	s = wi_session(&r->w, (unsigned)number(line, "silo", 0), (unsigned)number(line, "id", 2), "");
	read_name(s, name, number(line, "fill_name", 0));
	s->mode = (uint32_t)number(line, "mode", 0x100);
	s->clock = (uint32_t)number(line, "clock", 1);
	s->buffer_size = (uint32_t)number(line, "size", 8192);
	s->in_table = number(line, "table", 1);
	s->separate_nodes = number(line, "nodes", 0);
	s->events_lost = (uint32_t)number(line, "lost_events", 0);
	s->buffers_lost = (uint32_t)number(line, "lost_buffers", 0);
	s->name_lost = number(line, "name_lost", 0);
	s->tail_lost = number(line, "tail_lost", 0);
	s->unreachable = number(line, "unreachable", 0);
	s->tag = number(line, "tag", 0);
	s->big = number(line, "big", 0);
	s->even = number(line, "even", 0);
	for (unsigned i = 0; i + 1 < r->w.n_ses; i++)
		if (number(line, "over", 0) && r->w.ses[i].id == number(line, "over", 0))
			s->over = &r->w.ses[i];
	value(line, "dns", s->dns);
	if (value(line, "payload", file)) {
		s->payload = payload_open(file);
		if (!s->payload)
			die("%s: no events to be had from it", file);
		s->clock = s->payload->clock;
		s->buffer_size = s->payload->buffer_size;
		s->start_time = s->payload->start_time;
		s->start_ts = s->payload->start_ts;
	}
	if (s->silo >= r->w.n_silos)
		die("no silo %u", s->silo);
	if (s->tail_lost) { /* the context straddles two pages; the second one will go */
		uint64_t at = (r->w.pool + 2 * WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);

		r->w.pool = at + WM_PAGE - 0x380;
	}
	if (number(line, "straddle", 0)) { /* only LoggerId and BufferSize stand in the first page */
		uint64_t at = (r->w.pool + 2 * WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);

		r->w.pool = at + WM_PAGE - 0x40;
	}
	wi_session_build(&r->w, s);
	r->s = s;
	r->tied = false;
}

static void buffer(struct recipe *r, const char *line)
{
	char v[VALUE_MAX];
	unsigned cpu = (unsigned)number(line, "cpu", 0), ways = WAY_GLOBAL, repeat = (unsigned)number(line, "repeat", 1);
	int form = word_of(line, "form", form_names, WI_FORMS);
	bool states = wi_has(&r->w, F_CTX_CompressionTarget);

	if (!r->s || r->tied)
		die("a buffer must stand behind its session, before what ties it up: %s", line);
	if (value(line, "ways", v))
		ways = ways_of(v);
	if (form < 0)
		form = WI_LOGGING;
	if (!states && (form == WI_PENDING || form == WI_STANDS_FOR)) /* states since 14393 */
		form = form == WI_PENDING ? WI_FLUSHED_FULL : WI_PLACEHOLDER;
	for (unsigned i = 0; i < repeat; i++) {
		unsigned c = (cpu + i) % r->w.o.cpus;
		struct wi_buffer *b = wi_buffer(&r->w, r->s, (enum wi_form)form, c, possible(&r->w, r->s, ways, c),
						(unsigned)number(line, "events", 10), (unsigned)number(line, "old", 0));

		if (states && b->ways & WAY_COMPRESSION)
			b->packed_in = 0;
		if (states && value(line, "row", v))
			b->packed_in = (int)number(line, "row", 0);
		if (value(line, "tear", v))
			wi_tear(&r->w, b, (unsigned)number(line, "tear", 0));
	}
}

static void provider(struct recipe *r, const char *line)
{
	struct wi_provider f = {.silo = (unsigned)number(line, "silo", 0),
				.level = (unsigned)number(line, "level", 5),
				.any = number(line, "any", 0xff),
				.all = number(line, "all", 0),
				.is_group = number(line, "is_group", 0)};
	uint64_t pid = number(line, "pid", 0);
	char v[VALUE_MAX], *save = NULL;
	struct guid g;

	if (!value(line, "guid", v) || !guid_parse(v, &g))
		die("a provider without a GUID: %s", line);
	memcpy(f.guid, g.b, 16);
	if (value(line, "group", v)) {
		if (!guid_parse(v, &g))
			die("no GUID: %s", line);
		memcpy(f.group, g.b, 16);
		f.has_group = true;
	}
	if (value(line, "sessions", v))
		for (char *t = strtok_r(v, ",", &save); t && f.n < 8; t = strtok_r(NULL, ",", &save))
			f.id[f.n++] = (unsigned)strtoul(t, NULL, 0);
	if ((f.silo && r->w.n_silos == 1) || !prof_size(&r->w.p, T_GUIDENTRY))
		return;
	if (f.silo >= r->w.n_silos)
		die("no silo: %s", line);
	wi_provider(&r->w, &f, pid ? process_of(&r->w, pid) : NULL);
}

static void copy(struct recipe *r, const char *line)
{
	char v[VALUE_MAX];

	tie(r);
	if (!prof_size(&r->w.p, T_CONSUMER))
		return; /* nobody knows where such a kernel's consumers keep theirs */
	if (!r->s || !r->s->n_consumers)
		die("a copy without a consumer: %s", line);
	wi_user_copy(&r->w, r->s, process_of(&r->w, number(line, "pid", 0)), value(line, "of", v) ? buffer_of(r, line, "of") : NULL,
		     (unsigned)number(line, "events", 5));
}

/* Vista's list has the last one first and one link a node: what came before b is behind the break. */
static void unreached(struct wi_session *s, const struct wi_buffer *b)
{
	for (struct wi_buffer *x = s->buf; x < b; x++)
		x->header_lost |= x->ways == WAY_GLOBAL;
}

static void lose(struct recipe *r, const char *line)
{
	static const char *const hows[] = {"gone", "transition", "swizzled", "prototype", "proto_transition", "pagefile"};
	int how = word_of(line, "how", hows, 6);

	tie(r);
	wi_lose_page(&r->w, r->s, buffer_of(r, line, "buffer"), (unsigned)number(line, "page", 1),
		     how < 0 ? PAGE_GONE : (enum page_fate)how);
	if (r->w.p.traits.single_list && buffer_of(r, line, "buffer")->header_lost && buffer_of(r, line, "buffer") > r->s->buf) {
		unreached(r->s, buffer_of(r, line, "buffer"));
		wi_loss(&r->w, "list_broken", r->s, 0);
	}
}

/* The rings of two sessions change tails: behind buffer `cross` of each comes what was behind that of the other. */
static void cross(struct recipe *r, const char *line, uint32_t entry)
{
	uint64_t node[2], next[2];
	struct wi_session *two[2] = {r->s, NULL};
	unsigned at = (unsigned)number(line, "cross", 0);

	for (unsigned i = 0; i < r->w.n_ses; i++)
		if (r->w.ses[i].silo == r->s->silo && r->w.ses[i].id == number(line, "with", 0))
			two[1] = &r->w.ses[i];
	if (!two[1] || two[1] == r->s || at >= two[0]->n_buf || at >= two[1]->n_buf)
		die("rings of two sessions cross behind a buffer of each: %s", line);
	for (unsigned i = 0; i < 2; i++) {
		node[i] = two[i]->buf[at].va + entry;
		next[i] = wm_get(&r->w.k, node[i], r->w.ps);
		wi_loss(&r->w, "list_broken", two[i], 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		wi_put_ptr(&r->w, node[i], next[!i]);
		wi_put_ptr(&r->w, next[!i] + r->w.ps, node[i]);
	}
}

/* damage forward=|backward=|loop=N: links of a buffer; cross=N with=ID: rings that cross; tail=1: the context's second page; poke words anywhere:
 * damage buffer=N off= value= size=, damage field=MEMBER off= value= size= (of the context). What the report must say follows by `expect`. */
static void damage(struct recipe *r, const char *line)
{
	const uint64_t nowhere = wi_nowhere(&r->w);
	uint32_t entry = wi_has(&r->w, F_BUFHDR_GlobalEntry) ? prof_off(&r->w.p, F_BUFHDR_GlobalEntry) : 0x38;
	struct winspace *k = &r->w.k;
	char v[VALUE_MAX];

	tie(r);
	if (value(line, "forward", v) || value(line, "loop", v))
		wi_loss(&r->w, "list_broken", r->s, 0);
	if (value(line, "forward", v))
		wi_put_ptr(&r->w, buffer_of(r, line, "forward")->va + entry, nowhere);
	if (r->w.p.traits.single_list && (value(line, "forward", v) || value(line, "loop", v)))
		unreached(r->s, buffer_of(r, line, value(line, "forward", v) ? "forward" : "loop"));
	if (value(line, "backward", v) && !r->w.p.traits.single_list)
		wi_put_ptr(&r->w, buffer_of(r, line, "backward")->va + entry + r->w.ps, nowhere);
	if (value(line, "loop", v))
		wi_put_ptr(&r->w, buffer_of(r, line, "loop")->va + entry,
			   r->s->buf[r->w.p.traits.single_list ? r->s->n_buf - 1 : 0].va + entry);
	if (value(line, "cross", v) && !r->w.p.traits.single_list)
		cross(r, line, entry);
	if (value(line, "tail", v)) {
		uint64_t page = (r->s->ctx + WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);

		if (page < r->s->ctx + prof_size(&r->w.p, T_CTX)) {
			wm_unmap(k, page);
			wi_loss(&r->w, "page_missing", r->s, page);
		}
	}
	if (value(line, "buffer", v)) {
		struct wi_buffer *b = buffer_of(r, line, "buffer");

		wm_put(k, b->va + number(line, "off", 0), number(line, "value", 0), (unsigned)number(line, "size", 4));
		if (number(line, "off", 0) == 0x28) /* ProcessorIndex: the report has it as found */
			b->cpu = (unsigned)number(line, "value", 0) & (r->w.p.traits.cpu_low_byte ? 0xff : 0xffff);
	}
	if (value(line, "table", v)) { /* the logger table's page, where it has one of its own */
		if (!wi_has(&r->w, F_SILO_EtwpLoggerContext))
			die("this kernel's logger table is part of something else: %s", line);
		wm_unmap(k, r->w.silo[number(line, "table", 0)].table);
		for (unsigned i = 0; i < r->w.n_ses; i++)
			r->w.ses[i].in_table &= r->w.ses[i].silo != number(line, "table", 0);
	}
	if (value(line, "process", v)) /* its link to the next one */
		wi_put_ptr(&r->w,
			   process_of(&r->w, number(line, "process", 0))->eprocess + prof_off(&r->w.p, F_EPROCESS_ActiveProcessLinks),
			   nowhere);
	if (value(line, "handles", v)) /* the table leads nowhere */
		r->w.bad_handles = process_of(&r->w, number(line, "handles", 0))->pid;
	if (value(line, "slot", v)) /* of the logger table */
		wi_put_ptr(&r->w, r->w.silo[number(line, "silo", 0)].table + r->w.ps * number(line, "slot", 0), number(line, "value", 0));
	if (value(line, "field", v)) {
		unsigned f = 0;

		while (f < PROF_FIELDS &&
		       (prof_type_of((enum prof_field)f) != T_CTX || strcmp(prof_field_member((enum prof_field)f), v) != 0))
			f++;
		if (f == PROF_FIELDS)
			die("no such member: %s", line);
		if (wi_has(&r->w, (enum prof_field)f))
			wm_put(k, r->s->ctx + prof_off(&r->w.p, (enum prof_field)f) + number(line, "off", 0), number(line, "value", 0),
			       (unsigned)number(line, "size", 4));
	}
}

static void private_logger(struct recipe *r, const char *line)
{
	struct wi_private_how how = {.context = number(line, "context", 1),
				     .mapped = number(line, "mapped", 1),
				     .bare = number(line, "bare", 0),
				     .but = (unsigned)number(line, "but", UINT32_MAX)};
	uint64_t also = number(line, "also", 0);

	if (also)
		how.also = process_of(&r->w, also);
	wi_private(&r->w, r->s, process_of(&r->w, number(line, "pid", 0)), &how);
}

static void carved(struct recipe *r, const char *word, const char *line)
{
	static const char *const uses[] = {"zeros", "text", "code"};
	int use;

	tie(r);
	if (strcmp(word, "stopped") == 0)
		wi_stop(&r->w, r->s, number(line, "mapped", 0), number(line, "context", 0));
	else if (strcmp(word, "private") == 0)
		private_logger(r, line);
	else if (strcmp(word, "cached") == 0)
		wi_cached(&r->w, r->s, number(line, "header", 1), (unsigned)number(line, "flag", 0), number(line, "mapped", 0),
			  number(line, "brim", 0));
	else {
		use = word_of(line, "with", uses, 3);
		wi_overwrite(&r->w, buffer_of(r, line, "buffer"), (unsigned)number(line, "page", 1),
			     use < 0 ? USE_ZEROS : (enum page_use)use);
	}
}

static void expect(struct recipe *r, const char *line)
{
	static const char *const words[] = {"page_missing",   "list_broken",     "buffer_header_bad", "record_bad",   "context_bad",
					    "blob_truncated", "image_truncated", "run_overlap",       "limit_reached"};
	int what = word_of(line, "what", words, 9);
	char v[VALUE_MAX];
	uint64_t va = 0;

	if (what < 0)
		die("nothing expected: %s", line);
	if (value(line, "of", v) && strcmp(v, "queue") == 0 && !wi_has(&r->w, F_CTX_BufferQueue))
		return;
	if (value(line, "at", v))
		va = buffer_of(r, line, "at")->va + number(line, "off", 0);
	wi_loss(&r->w, words[what], number(line, "none", 0) ? NULL : r->s, va);
	if (value(line, "session", v))
		r->w.loss[r->w.n_losses - 1].session = (int)number(line, "session", 0);
}

void recipe_line(struct recipe *r, const char *line)
{
	char word[32] = "", name[VALUE_MAX];

	sscanf(line, "%31s", word);
	if (!word[0] || word[0] == '#')
		return;
	if (r->skip && (strcmp(word, "buffer") == 0 || strcmp(word, "consumer") == 0 || strcmp(word, "copy") == 0 ||
			strcmp(word, "lose") == 0 || strcmp(word, "damage") == 0 || strcmp(word, "expect") == 0))
		return;
	if (!r->started && strcmp(word, "machine") != 0)
		machine(r, "");
	if (strcmp(word, "machine") == 0) {
		machine(r, line);
	} else if (strcmp(word, "process") == 0) {
		wi_process(&r->w, number(line, "pid", 1000), value(line, "name", name) ? name : "process.exe", number(line, "wow64", 0),
			   (unsigned)number(line, "silo", 0));
	} else if (strcmp(word, "container") == 0) {
		wi_container(&r->w);
	} else if (strcmp(word, "session") == 0) {
		session(r, line);
	} else if (strcmp(word, "buffer") == 0) {
		buffer(r, line);
	} else if (strcmp(word, "consumer") == 0) {
		tie(r);
		if (wi_has(&r->w, F_CTX_Consumers)) /* XP, Server 2003: none of this kind */
			wi_consumer(&r->w, r->s, process_of(&r->w, number(line, "pid", 0)));
	} else if (strcmp(word, "copy") == 0) {
		copy(r, line);
	} else if (strcmp(word, "lose") == 0) {
		lose(r, line);
	} else if (strcmp(word, "damage") == 0) {
		damage(r, line);
	} else if (strcmp(word, "expect") == 0) {
		expect(r, line);
	} else if (strcmp(word, "stopped") == 0 || strcmp(word, "private") == 0 || strcmp(word, "cached") == 0 ||
		   strcmp(word, "overwrite") == 0) {
		carved(r, word, line);
	} else if (strcmp(word, "provider") == 0) {
		provider(r, line);
	} else {
		die("no such statement: %s", line);
	}
}

void recipe_end(struct recipe *r)
{
	if (!r->started)
		machine(r, "");
	tie(r);
	wi_finish(&r->w);
	wi_pages(&r->w);
	wi_pfn(&r->w);
}
