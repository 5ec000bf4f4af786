/* mkdump - makes a Windows memory image from a recipe: mkdump [-b BUILD] [-m MIB] [-f CONTAINER] RECIPE IMAGE [TRUTH.json]
 *
 * A recipe is text, a statement a line, KEY=VALUE words behind it (numbers as C writes them); see docs/testing.md and testdata/recipes/.
 *   machine build= mib= cpus= seed= handles= stub= encoded= large= decoys= levels= bias= freq= foreign= version=
 *   process pid= name= wow64= silo=        container (a further silo; numbers count from 1)
 *   session silo= id= name= mode= clock= size= table= nodes= lost_events= lost_buffers= name_lost= tail_lost= fill_name=
 *     buffer form=unused|logging|reused|flushed|full|torn|placeholder cpu= ways=global,queue,... events= old=
 *     consumer pid=      copy pid= of=|events=      lose buffer= page=      damage forward=|backward=|loop= (a buffer's number)
 *   provider guid= pid= silo= sessions=2,3 level= any=
 * In a name, %HHHH is a UTF-16 unit. TRUTH.json says what must come out. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "container.h"
#include "guid.h"
#include "proffile.h"
#include "rd.h"

static const char *const way_names[] = {"global_list", "buffer_queue", "overflow_queue", "batched", "compression", "scratch",
					"placeholder", "processor",    "current",        "dirty",   "user_list"};
static const char *const way_short[] = {"global",      "queue",     "overflow", "batched", "compression", "scratch",
					"placeholder", "processor", "current",  "dirty",   "user"};
static const char *const form_names[] = {"unused", "logging", "reused", "flushed", "full", "torn", "placeholder"};

static void die(const char *fmt, ...)
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
static const char *value(const char *line, const char *key, char out[256])
{
	size_t n = strlen(key), len;

	for (const char *p = line; (p = strstr(p, key)); p += n) {
		if (p[n] != '=' || (p != line && p[-1] != ' ' && p[-1] != '\t'))
			continue;
		len = strcspn(p + n + 1, " \t\r\n");
		if (len > 255)
			die("a value that is too long: %s", line);
		memcpy(out, p + n + 1, len);
		out[len] = 0;
		return out;
	}
	return NULL;
}

static uint64_t number(const char *line, const char *key, uint64_t otherwise)
{
	char v[256];

	return value(line, key, v) ? strtoull(v, NULL, 0) : otherwise;
}

static struct wi_process *process_of(struct winimg *w, uint64_t pid)
{
	for (unsigned i = 0; i < w->n_proc; i++)
		if (w->proc[i].pid == pid)
			return &w->proc[i];
	die("no process %llu", (unsigned long long)pid);
	return NULL;
}

/* Ways that this generation of kernels has. */
static unsigned possible(const struct winimg *w, const struct wi_session *s, unsigned ways, unsigned cpu)
{
	if (!wi_has(w, F_QUEUE_QueueEntry) || !wi_has(w, F_CTX_BufferQueue))
		ways &= ~(unsigned)WAY_QUEUE;
	if (!wi_has(w, F_CTX_OverflowQueue) || !wi_has(w, F_QUEUE_QueueEntry))
		ways &= ~(unsigned)WAY_OVERFLOW;
	if (!wi_has(w, F_CTX_ScratchArray))
		ways &= ~(unsigned)WAY_SCRATCH;
	if (!wi_has(w, F_CTX_CompressionTarget))
		ways &= ~(unsigned)WAY_COMPRESSION;
	if (!wi_has(w, F_CTX_PlaceholderList))
		ways &= ~(unsigned)WAY_PLACEHOLDER;
	if (cpu >= 8 || !w->silo[s->silo].slot[cpu])
		ways &= ~(unsigned)WAY_PROCESSOR;
	if (!(s->mode & 0x40000))
		ways &= ~(unsigned)WAY_BATCHED;
	return ways ? ways : WAY_GLOBAL;
}

static unsigned ways_of(const char *list)
{
	char copy[256], *save = NULL;
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
	for (const char *p = text; *p && s->n_name16 < 510;) {
		if (*p == '%' && strlen(p) >= 5) {
			char hex[5] = {p[1], p[2], p[3], p[4], 0};

			s->name16[s->n_name16++] = (uint16_t)strtoul(hex, NULL, 16);
			p += 5;
		} else {
			s->name16[s->n_name16++] = (uint8_t)*p++;
		}
	}
	while (fill && s->n_name16 < fill && s->n_name16 < 510)
		s->name16[s->n_name16++] = 'x';
}

struct build { /* a recipe being followed */
	struct winimg w;
	bool started, tied;
	struct wi_session *s;
	unsigned build;
	uint64_t mib;
};

static void tie(struct build *b)
{
	if (b->s && !b->tied)
		wi_session_tie(&b->w, b->s);
	b->tied = true;
}

/* A real kernel of the build, with its symbols: the last one, or the one of that version. */
static void kernel_of_build(unsigned build, const char *version, struct profile *out)
{
	char file[32];
	struct proffile *pf;
	struct buf text;
	struct err e = {0};
	size_t i = 0, k;

	snprintf(file, sizeof(file), "%u-x64", build);
	while (i < builtin_count() && strcmp(builtin_name(i), file) != 0)
		i++;
	buf_init(&text);
	if (i == builtin_count() || builtin_text(i, &text, &e) < 0 || proffile_parse(&pf, (const char *)text.p, text.n, &e) < 0 || !pf->n_k)
		die("no kernel of build %u: %s", build, e.msg);
	for (k = pf->n_k - 1; *version && k > 0 && strcmp(pf->k[k].version, version) != 0; k--)
		;
	proffile_view_kernel(pf, k, out);
	proffile_free(pf);
	buf_free(&text);
}

static void machine(struct build *b, const char *line)
{
	struct wi_opts o = {.mib = b->mib ? b->mib : number(line, "mib", 64),
			    .seed = number(line, "seed", 1),
			    .cpus = (unsigned)number(line, "cpus", 4),
			    .handles = (unsigned)number(line, "handles", 100),
			    .low_stub = number(line, "stub", 1),
			    .encoded_kdbg = number(line, "encoded", 0),
			    .large_pages = number(line, "large", 0),
			    .decoy_roots = number(line, "decoys", 0),
			    .levels = (int)number(line, "levels", 4),
			    .perf_freq = number(line, "freq", 10000000),
			    .system_time = INT64_C(133600000001234567),
			    .boot_time = INT64_C(133599000000000000),
			    .foreign_guid = number(line, "foreign", 0)};
	char v[256], want[256] = "";
	uint32_t build = b->build ? b->build : (uint32_t)number(line, "build", 19041);
	struct profile p;

	if (value(line, "bias", v))
		o.bias = (int32_t)strtol(v, NULL, 0);
	value(line, "version", want);
	kernel_of_build(build, want, &p);
	wi_init(&b->w, &o, &p);
	b->started = true;
}

static void session(struct build *b, const char *line)
{
	char name[256] = "session";
	struct wi_session *s;

	tie(b);
	value(line, "name", name);
	s = wi_session(&b->w, (unsigned)number(line, "silo", 0), (unsigned)number(line, "id", 2), name);
	read_name(s, name, number(line, "fill_name", 0));
	s->mode = (uint32_t)number(line, "mode", 0x100);
	s->clock = (uint32_t)number(line, "clock", 1);
	s->buffer_size = (uint32_t)number(line, "size", 8192);
	s->in_table = number(line, "table", 1);
	s->separate_nodes = number(line, "nodes", 0);
	s->events_lost = (uint32_t)number(line, "lost_events", 0);
	s->buffers_lost = (uint32_t)number(line, "lost_buffers", 0);
	s->name_lost = number(line, "name_lost", 0);
	if (s->silo >= b->w.n_silos)
		die("no silo %u", s->silo);
	if (number(line, "tail_lost", 0)) { /* the context straddles two pages; the second one will go */
		uint64_t at = (b->w.pool + 2 * WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);

		b->w.pool = at + WM_PAGE - 0x380;
	}
	s->tail_lost = number(line, "tail_lost", 0);
	wi_session_build(&b->w, s);
	b->s = s;
	b->tied = false;
}

static void buffer(struct build *b, const char *line)
{
	char v[256];
	unsigned cpu = (unsigned)number(line, "cpu", 0), ways = WAY_GLOBAL, form = 1;

	if (!b->s)
		die("a buffer without a session");
	if (value(line, "ways", v))
		ways = ways_of(v);
	if (value(line, "form", v)) {
		for (form = 0; form < 7 && strcmp(form_names[form], v) != 0; form++)
			;
		if (form == 7)
			die("no such form: %s", v);
	}
	wi_buffer(&b->w, b->s, (enum wi_form)form, cpu, possible(&b->w, b->s, ways, cpu), (unsigned)number(line, "events", 10),
		  (unsigned)number(line, "old", 0));
}

static void provider(struct build *b, const char *line)
{
	char v[256], *save = NULL;
	unsigned ids[8], n = 0;
	struct guid g;

	if (!value(line, "guid", v) || !guid_parse(v, &g))
		die("a provider without a GUID: %s", line);
	if (value(line, "sessions", v))
		for (char *t = strtok_r(v, ",", &save); t && n < 8; t = strtok_r(NULL, ",", &save))
			ids[n++] = (unsigned)strtoul(t, NULL, 0);
	wi_provider(&b->w, (unsigned)number(line, "silo", 0), g.b,
		    number(line, "pid", 0) ? process_of(&b->w, number(line, "pid", 0)) : NULL, ids, n, (unsigned)number(line, "level", 5),
		    number(line, "any", 0xff));
}

static void damage(struct build *b, const char *line)
{
	char v[256];
	unsigned i;

	tie(b);
	if (value(line, "forward", v)) {
		i = (unsigned)strtoul(v, NULL, 0);
		wm_put(&b->w.k, b->s->buf[i].va + 0x38, UINT64_C(0xffff9a00deadb000), 8);
	}
	if (value(line, "backward", v)) {
		i = (unsigned)strtoul(v, NULL, 0);
		wm_put(&b->w.k, b->s->buf[i].va + 0x40, UINT64_C(0xffff9a00deadb000), 8);
	}
	if (value(line, "loop", v)) {
		i = (unsigned)strtoul(v, NULL, 0);
		wm_put(&b->w.k, b->s->buf[i].va + 0x38, b->s->buf[0].va + 0x38, 8);
	}
	if (value(line, "tail", v)) {
		uint64_t page = (b->s->ctx + WM_PAGE) & ~(uint64_t)(WM_PAGE - 1);

		if (page < b->s->ctx + prof_size(&b->w.p, T_CTX))
			wm_unmap(&b->w.k, page);
	}
}

static void statement(struct build *b, const char *line)
{
	char word[32] = "", v[256];

	sscanf(line, "%31s", word);
	if (!word[0] || word[0] == '#')
		return;
	if (!b->started && strcmp(word, "machine") != 0)
		machine(b, "");
	if (strcmp(word, "machine") == 0) {
		machine(b, line);
	} else if (strcmp(word, "process") == 0) {
		wi_process(&b->w, number(line, "pid", 1000), value(line, "name", v) ? v : "process.exe", number(line, "wow64", 0),
			   (unsigned)number(line, "silo", 0));
	} else if (strcmp(word, "container") == 0) {
		wi_container(&b->w);
	} else if (strcmp(word, "session") == 0) {
		session(b, line);
	} else if (strcmp(word, "buffer") == 0) {
		buffer(b, line);
	} else if (strcmp(word, "consumer") == 0) {
		tie(b);
		wi_consumer(&b->w, b->s, process_of(&b->w, number(line, "pid", 0)));
	} else if (strcmp(word, "copy") == 0) {
		tie(b);
		wi_user_copy(&b->w, b->s, process_of(&b->w, number(line, "pid", 0)),
			     value(line, "of", v) ? &b->s->buf[strtoul(v, NULL, 0)] : NULL, (unsigned)number(line, "events", 5));
	} else if (strcmp(word, "lose") == 0) {
		tie(b);
		wi_lose_page(&b->w, b->s, &b->s->buf[number(line, "buffer", 0)], (unsigned)number(line, "page", 1));
	} else if (strcmp(word, "damage") == 0) {
		damage(b, line);
	} else if (strcmp(word, "provider") == 0) {
		provider(b, line);
	} else {
		die("no such statement: %s", line);
	}
}

/* ---- truth --------------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t fnv(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static long long floor_div(__int128 a, long long b)
{
	__int128 q = a / b;

	return (long long)(a % b != 0 && a < 0 ? q - 1 : q);
}

static long long time_of(const struct winimg *w, const struct wi_session *s, uint64_t ts)
{
	__int128 d = (__int128)ts - (__int128)s->start_ts;

	if (s->clock == 2)
		return (long long)ts;
	if (s->clock == 3)
		return s->start_time + floor_div(d * 10, 2900);
	return s->start_time + floor_div(d * 10000000, (long long)w->o.perf_freq);
}

static void put_records(FILE *f, const struct winimg *w, const struct wi_session *s, const struct wi_buffer *b, const struct wi_record *r,
			unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{\"off\":%u,\"size\":%u,\"ts\":%llu,\"time\":%lld,\"fnv\":\"%016llx\",\"lost\":%s}", i ? "," : "", r[i].off,
			r[i].size, (unsigned long long)r[i].ts, time_of(w, s, r[i].ts),
			(unsigned long long)fnv(b->raw + r[i].off, r[i].size), r[i].lost ? "true" : "false");
}

static void put_buffer(FILE *f, const struct winimg *w, const struct wi_session *s, const struct wi_buffer *b)
{
	bool first = true;

	fprintf(f, "{\"va\":\"0x%llx\",\"cpu\":%u,\"pid\":%u,\"copy\":%s,\"form\":\"%s\",\"used\":%u,\"header_lost\":%s,\"from\":[",
		(unsigned long long)b->va, b->cpu, b->pid, b->copy_of_kernel ? "true" : "false", form_names[b->form], b->used,
		b->header_lost ? "true" : "false");
	for (unsigned i = 0; i < 11; i++)
		if (b->ways >> i & 1) {
			fprintf(f, "%s\"%s\"", first ? "" : ",", way_names[i]);
			first = false;
		}
	fprintf(f, "],\"records\":[");
	put_records(f, w, s, b, b->rec, b->n_rec);
	fprintf(f, "],\"old\":[");
	put_records(f, w, s, b, b->old, b->n_old);
	fprintf(f, "]}");
}

static bool put_truth(const struct winimg *w, const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		return false;
	fprintf(f,
		"{\"build\":%u,\"cpus\":%u,\"perf_freq\":%llu,\"boot_time\":%lld,\"system_time\":%lld,\"bias\":%d,\"dtb\":\"0x%llx\","
		"\"base\":\"0x%llx\",\"sessions\":[",
		w->p.build, w->o.cpus, (unsigned long long)w->o.perf_freq, (long long)w->o.boot_time, (long long)w->o.system_time,
		w->o.bias, (unsigned long long)w->m.kernel_dtb, (unsigned long long)w->base);
	for (unsigned i = 0; i < w->n_ses; i++) {
		const struct wi_session *s = &w->ses[i];

		fprintf(f, "%s\n{\"silo\":%u,\"id\":%u,\"va\":\"0x%llx\",\"name16\":\"", i ? "," : "", s->silo, s->id,
			(unsigned long long)s->ctx);
		for (unsigned k = 0; k < s->n_name16; k++)
			fprintf(f, "%04x", s->name16[k]);
		fprintf(f,
			"\",\"name_lost\":%s,\"mode\":%u,\"clock\":%u,\"buffer_size\":%u,\"start_time\":%lld,\"start_ts\":%llu,\"events_"
			"lost\":%u,\"buffers_lost\":%u,\"in_table\":%s,\"consumers\":%u,\"buffers\":[",
			s->name_lost ? "true" : "false", s->mode, s->clock, s->buffer_size, (long long)s->start_time,
			(unsigned long long)s->start_ts, s->events_lost, s->buffers_lost, s->in_table ? "true" : "false", s->n_consumers);
		for (unsigned k = 0; k < s->n_buf; k++) {
			if (k)
				fprintf(f, ",\n");
			put_buffer(f, w, s, &s->buf[k]);
		}
		fprintf(f, "]}");
	}
	fprintf(f, "]}\n");
	return fclose(f) == 0;
}

int main(int argc, char **argv)
{
	static struct build b;
	const char *container = "raw";
	char line[4096];
	FILE *f;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "-b") == 0)
			b.build = (unsigned)strtoul(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-m") == 0)
			b.mib = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-f") == 0)
			container = argv[i + 1];
		else
			die("no such option: %s", argv[i]);
	}
	if (argc - i < 2 || argc - i > 3)
		die("usage: mkdump [-b BUILD] [-m MIB] [-f CONTAINER] RECIPE IMAGE [TRUTH.json]; containers: %s", container_names());
	f = fopen(argv[i], "r");
	if (!f)
		die("%s: can't be read", argv[i]);
	while (fgets(line, sizeof(line), f))
		statement(&b, line);
	fclose(f);
	tie(&b);
	wi_finish(&b.w);
	if (!container_write(&b.w, container, argv[i + 1]))
		die("%s: can't be written as %s", argv[i + 1], container);
	if (argc - i == 3 && !put_truth(&b.w, argv[i + 2]))
		die("%s: can't be written", argv[i + 2]);
	wi_free(&b.w);
	return 0;
}
