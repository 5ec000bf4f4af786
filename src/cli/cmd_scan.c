/* cmd_scan.c - etlift scan: YARA rules over rebuilt buffers, over decoded events (--decoded), over all of physical memory (--memory). */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "scanhits.h"

/* ---- buffers ------------------------------------------------------------------------------------------------------------------------------- */

struct in_buffer { /* what a match in a buffer's bytes needs to become a hit */
	struct scan *s;
	size_t source;
	uint32_t number;
	const struct etw_buffer *b;
};

static int on_buffer_match(void *ctx, const struct rule_match *m)
{
	struct in_buffer *x = ctx;
	struct hit h = {.where = x->s->src.v[x->source]->residual ? HIT_RESIDUAL : HIT_BUFFER, .source = x->source, .has_source = true};

	hit_take(&h, m);
	if (m->string && m->offset < x->b->body_len)
		hit_locate(&h, x->s, x->b, (uint32_t)m->offset);
	else
		hit_of_buffer(&h, x->s, x->b);
	return hits_add(&x->s->hits, &h);
}

static int scan_buffers(struct scan *s, size_t source, struct err *e)
{
	struct evsource *ev = s->src.v[source]->ev;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < evsource_n_buffers(ev) && !cli_stopped(NULL); i++) {
		struct etw_buffer b;
		struct in_buffer x = {s, source, i, &b};
		struct err why;

		if (evsource_buffer(ev, i, &b, &why) == 0 && b.body_len)
			rc = scan_bytes(s, b.body, b.body_len, on_buffer_match, &x, e);
		etw_buffer_clear(&b);
	}
	return rc;
}

/* ---- decoded events ------------------------------------------------------------------------------------------------------------------------ */

struct in_event {
	struct scan *s;
	size_t source;
	const struct event *ev;
};

static int on_event_match(void *ctx, const struct rule_match *m)
{
	struct in_event *x = ctx;
	struct hit h = {.where = HIT_EVENT, .source = x->source, .has_source = true};

	hit_take(&h, m);
	hit_of_event(&h, x->s, x->ev);
	return hits_add(&x->s->hits, &h);
}

static int scan_events(struct scan *s, size_t source, struct err *e)
{
	struct evsource *src = s->src.v[source]->ev;
	struct buf text;
	struct event ev;
	int rc;

	buf_init(&text);
	evsource_rewind(src);
	while ((rc = evsource_next(src, &ev, e)) > 0 && !cli_stopped(NULL)) {
		struct in_event x = {s, source, &ev};

		decoder_event(s->decoder, &ev);
		buf_clear(&text);
		scan_event_text(&text, &ev);
		if (text.failed)
			rc = err_set(e, ERR_NOMEM, "out of memory");
		else if (text.n)
			rc = scan_bytes(s, text.p, text.n, on_event_match, &x, e);
		else
			rc = 0;
		if (rc < 0)
			break;
	}
	buf_free(&text);
	return rc < 0 ? rc : 0;
}

static int learn(struct scan *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->src.n; i++)
		rc = decoder_learn(s->decoder, s->src.v[i]->ev, e);
	return rc;
}

/* ---- all of memory ------------------------------------------------------------------------------------------------------------------------- */

#define PIECE   ((size_t)4 << 20) /* bytes that rules see at once */
#define OVERLAP ((size_t)64 << 10)
#define BEFORE  ((size_t)16) /* what words and anchors at a piece's edge look back at */

struct memory {
	struct scan *s;
	struct rules_scanner *scanner[PHYSSCAN_THREADS_MAX];
	pthread_mutex_t lock; /* over s->hits and e */
	struct err e;
};

struct in_piece {
	struct memory *m;
	uint64_t pa;
	size_t before, n;
};

static int on_memory_match(void *ctx, const struct rule_match *m)
{
	struct in_piece *x = ctx;
	struct hit h = {.where = HIT_MEMORY, .has_pa = true, .pa = x->pa + (m->string ? m->offset - x->before : 0)};
	int rc;

	if (m->string && (m->offset < x->before || m->offset - x->before >= x->n))
		return 0; /* the piece before, or the next one, has it */
	hit_take(&h, m);
	pthread_mutex_lock(&x->m->lock);
	rc = hits_add(&x->m->s->hits, &h);
	pthread_mutex_unlock(&x->m->lock);
	return rc;
}

static int on_piece(void *ctx, unsigned thread, uint64_t pa, const uint8_t *p, size_t n, size_t more)
{
	struct memory *m = ctx;
	struct in_piece x = {m, pa, pa ? BEFORE : 0, n}; /* memory's first byte has none before it: ^ and "at 0" hold there */
	struct err e;
	int rc = rules_scan(m->scanner[thread], p - x.before, x.before + n + more, on_memory_match, &x, &e);

	if (rc == 0)
		return 0;
	pthread_mutex_lock(&m->lock);
	if (rc == ERR_LIMIT)
		m->s->limited = true;
	else
		m->e = e;
	pthread_mutex_unlock(&m->lock);
	return rc == ERR_LIMIT ? 0 : rc;
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
	cli_progress(ctx, "scanning", done, total);
	return !cli_stopped(NULL);
}

static int scan_memory(struct scan *s, const struct phys *phys, struct err *e)
{
	struct physscan_opts o = {.threads = cli_threads(s->c),
				  .chunk = PIECE,
				  .overlap = OVERLAP,
				  .before = BEFORE,
				  .progress = on_progress,
				  .progress_ctx = s->c};
	struct memory m = {.s = s};
	unsigned n = physscan_threads(&o);
	int rc = 0;

	pthread_mutex_init(&m.lock, NULL);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = rules_scanner_new(&m.scanner[i], s->rules, e);
	if (rc == 0) {
		rc = physscan_run(phys, &o, on_piece, &m, &s->unreadable, e);
		cli_progress_end(s->c);
		if (rc < 0 && rc != ERR_INTR && m.e.code && e)
			*e = m.e;
	}
	for (unsigned i = 0; i < n; i++)
		rules_scanner_free(m.scanner[i]);
	pthread_mutex_destroy(&m.lock);
	return rc;
}

/* Argument i once more, as bare memory: sources_add() has closed it. A trace file has none. */
static int scan_image(struct scan *s, size_t i)
{
	struct cli one = *s->c;
	struct err e;
	struct job *j;
	int status;

	one.arg = &s->c->arg[i];
	one.n_args = 1;
	one.opt[OPT_SHA256].set = false;
	status = open_image(&one, &j, false);
	if (status)
		return status;
	s->image = s->c->arg[i];
	s->first_of_image = s->hits.n;
	if (scan_memory(s, job_image(j)->dump->phys, &e) < 0)
		status = cli_stopped(NULL) ? EXIT_INTERRUPTED : fail_on_image(&one, &e, false);
	else
		hits_place(s, job_image(j)->dump->phys);
	job_close(j);
	return status;
}

/* ---- the command --------------------------------------------------------------------------------------------------------------------------- */

static int prepare(struct scan *s, struct err *e)
{
	const struct opt_value *o = &s->c->opt[OPT_RULES];
	int rc = rules_new(&s->rules, e);

	for (unsigned i = 0; rc == 0 && i < o->count; i++)
		rc = rules_add(s->rules, o->list[i], e);
	if (rc == 0)
		rc = decoder_new(&s->decoder, e);
	return rc < 0 ? rc : rules_scanner_new(&s->scanner, s->rules, e);
}

static int scan_all(struct scan *s)
{
	struct err e;
	int rc = cli_flag(s->c, OPT_DECODED) ? learn(s, &e) : 0;

	for (size_t i = 0; rc == 0 && i < s->src.n; i++) {
		if (!s->src.v[i]->wanted)
			continue;
		rc = scan_buffers(s, i, &e);
		if (rc == 0 && cli_flag(s->c, OPT_DECODED))
			rc = scan_events(s, i, &e);
	}
	return rc < 0 ? cli_fail(s->c, &e, false) : EXIT_OK;
}

/* Opens every argument and scans it. With --memory an image without a kernel or a session is scanned all the same. */
static int run(struct scan *s)
{
	struct cli *c = s->c;
	bool memory = cli_flag(c, OPT_MEMORY);
	int worst = EXIT_OK, status;

	for (size_t i = 0; i < c->n_args; i++) {
		size_t before = s->src.n;

		status = sources_add(c, &s->src, i);
		if (status == EXIT_NOKERNEL && memory)
			status = EXIT_OK;
		if (status == EXIT_OK && memory && !(s->src.n > before && s->src.v[before]->file.in))
			status = scan_image(s, i);
		worst = status > worst ? status : worst;
	}
	status = scan_all(s);
	return status > worst ? status : worst;
}

int cmd_scan(struct cli *c)
{
	struct scan s = {.c = c};
	struct err e;
	int status;

	if (!c->opt[OPT_RULES].count) {
		cli_error(c, "scan: no rules are given; add -y RULES");
		return EXIT_USAGE;
	}
	notes_init(&s.src.notes);
	s.src.want_residual = true;
	if (prepare(&s, &e) < 0) {
		status = e.code == ERR_IO ? cli_fail(c, &e, true) : cli_fail(c, &e, false);
		if (e.code == ERR_FORMAT || e.code == ERR_UNSUPPORTED)
			status = EXIT_USAGE; /* the rules are the user's words */
	} else {
		status = run(&s);
		if (cli_stopped(NULL))
			status = EXIT_INTERRUPTED;
		if (hits_print(&s) < 0)
			status = EXIT_INTERNAL;
		if (s.limited || s.hits.limited)
			cli_warn(c, "scan: not every match is listed: a limit was reached");
		if (s.unreadable)
			cli_warn(c, "scan: %" PRIu64 " bytes of memory can't be read", s.unreadable);
	}
	hits_free(&s.hits);
	decoder_free(s.decoder);
	rules_scanner_free(s.scanner);
	rules_free(s.rules);
	sources_free(&s.src);
	return status;
}
