/* cmd_events.c - etlift events: decoded events of trace files and images, merged by time, as JSON lines. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "decoder.h"
#include "jsonl.h"
#include "outfile.h"
#include "utf16.h"

#define CHUNK 65536

/* ---- sources ------------------------------------------------------------------------------------------------------------------------------- */

struct source { /* one trace file, or one session of an image */
	struct evsource *ev;
	struct input *in;           /* owned; a file's */
	struct etw_session session; /* owned; an image's, with its buffers */
	struct etw_system sys;
	int64_t next;
	bool wanted; /* by --session */
};

struct sources {
	struct source **v; /* owned one by one: their addresses are borrowed */
	size_t n, cap;
	char **name; /* owned: what the user gave, as UTF-8 */
	size_t n_names, cap_names;
	struct notes notes;
	uint64_t losses;
};

static void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		evsource_close(s->v[i]->ev);
		input_close(s->v[i]->in);
		etw_session_clear(&s->v[i]->session);
		free(s->v[i]);
	}
	free(s->v);
	for (size_t i = 0; i < s->n_names; i++)
		free(s->name[i]);
	free(s->name);
	notes_free(&s->notes);
}

static struct source *source_add(struct sources *s)
{
	void *arr = s->v;
	struct source *n = calloc(1, sizeof(*n));

	if (!n || arr_reserve(&arr, &s->cap, s->n, sizeof(struct source *)) < 0) {
		free(n);
		return NULL;
	}
	s->v = arr;
	s->v[s->n++] = n;
	return n;
}

/* The user's words as valid UTF-8. */
static const char *keep_name(struct sources *s, const char *path)
{
	void *arr = s->name;
	struct buf wide;
	char *text;

	buf_init(&wide);
	utf8_to_utf16(&wide, path);
	text = wide.failed ? NULL : utf16_dup(wide.n ? wide.p : (const uint8_t *)"", wide.n);
	buf_free(&wide);
	if (!text || arr_reserve(&arr, &s->cap_names, s->n_names, sizeof(char *)) < 0) {
		free(text);
		return NULL;
	}
	s->name = arr;
	s->name[s->n_names++] = text;
	return text;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

/* A trace file: ERR_NOTMINE when it is none. Takes `in` over on success. */
static int add_file(struct cli *c, struct sources *s, struct input *in, const char *name, struct err *e)
{
	const struct etw_session *ses;
	struct evsource *ev;
	struct source *n;
	int rc = evsource_open_etl(&ev, in, name, &s->notes, e);

	if (rc < 0)
		return rc;
	n = source_add(s);
	if (!n) {
		evsource_close(ev);
		return out_of_memory(e);
	}
	n->ev = ev;
	n->in = in;
	ses = evsource_origin(ev)->session;
	n->wanted = want_session_id(c, ses->id, ses->name);
	return 0;
}

static int session_buffer(void *ctx, uint32_t i, struct etw_buffer *b, struct err *e)
{
	const struct etw_session *s = ctx;

	return etw_buffer_copy(b, &s->buffers[i]) < 0 ? out_of_memory(e) : 0;
}

static const struct evsource_ops session_ops = {session_buffer, NULL};

struct image_source {
	struct cli *c;
	struct sources *s;
	const char *name;
	struct etw_system sys;
};

static int on_system(void *ctx, const struct etw_system *sys, struct err *e)
{
	(void)e;
	((struct image_source *)ctx)->sys = *sys;
	return 0;
}

static int on_session(void *ctx, const struct etw_session *ses, struct err *e)
{
	struct image_source *is = ctx;
	struct event_origin origin = {.file = is->name, .is_image = true};
	struct source *n = source_add(is->s);

	if (!n || etw_session_copy(&n->session, ses) < 0)
		return out_of_memory(e);
	n->sys = is->sys;
	n->wanted = true; /* recover_run() asked */
	origin.session = &n->session;
	origin.sys = &n->sys;
	return evsource_open(&n->ev, &session_ops, &n->session, (uint32_t)n->session.n_buffers, &origin, &is->s->notes, e);
}

static int add_image(struct cli *c, struct sources *s, size_t arg, const char *name)
{
	struct recover_opts o = {.deep = cli_flag(c, OPT_DEEP), .want = want_session, .want_ctx = c};
	struct image_source is = {.c = c, .s = s, .name = name};
	struct etw_sink sink = {on_system, on_session, &is};
	struct cli one = *c;
	struct job *j;
	struct err e;
	size_t n;
	int rc, status;

	one.arg = &c->arg[arg];
	one.n_args = 1;
	status = open_image(&one, &j, true);
	if (status)
		return status;
	rc = recover_run(job_image(j), &o, &sink, &n, &e);
	s->losses += job_image(j)->notes.n;
	if (rc < 0)
		status = fail_on_image(&one, &e, rc != ERR_NOMEM);
	job_close(j);
	return status;
}

static int add_source(struct cli *c, struct sources *s, size_t arg)
{
	const char *name = keep_name(s, c->arg[arg]);
	struct input *in;
	struct err e;
	int rc = name ? input_open(&in, c->arg[arg], &e) : out_of_memory(&e);

	if (rc < 0)
		return cli_fail(c, &e, true);
	rc = add_file(c, s, in, name, &e);
	if (rc == 0)
		return 0;
	input_close(in);
	if (rc != ERR_NOTMINE) {
		err_prepend(&e, "%s", c->arg[arg]);
		return cli_fail(c, &e, true);
	}
	return add_image(c, s, arg, name);
}

/* ---- filters --------------------------------------------------------------------------------------------------------------------------------- */

static bool among(const struct opt_value *o, uint64_t v)
{
	for (unsigned i = 0; i < o->count; i++)
		if (o->nums[i] == v)
			return true;
	return o->count == 0;
}

static bool want_provider(const struct cli *c, const struct event *ev)
{
	const struct opt_value *o = &c->opt[OPT_PROVIDER];
	struct guid g;

	for (unsigned i = 0; i < o->count; i++) {
		if (guid_parse(o->list[i], &g) ? ev->has_provider && guid_equal(&g, &ev->provider)
					       : ev->provider_name && cli_glob(o->list[i], ev->provider_name))
			return true;
	}
	return o->count == 0;
}

/* What does not need the decoded data comes first: it is cheap. */
static bool want_header(const struct cli *c, const struct event *ev)
{
	if (c->opt[OPT_PID].count && (!ev->has_pid || !among(&c->opt[OPT_PID], ev->pid)))
		return false;
	if (c->opt[OPT_TID].count && (!ev->has_pid || !among(&c->opt[OPT_TID], ev->tid)))
		return false;
	if (c->opt[OPT_EVENT].count && (!ev->has_id || !among(&c->opt[OPT_EVENT], ev->id)))
		return false;
	if (c->opt[OPT_LEVEL].set && (!ev->has_level || ev->level > c->opt[OPT_LEVEL].num))
		return false;
	if (c->opt[OPT_SINCE].set && (!ev->has_time || ev->time < c->opt[OPT_SINCE].time))
		return false;
	return !c->opt[OPT_UNTIL].set || (ev->has_time && ev->time < c->opt[OPT_UNTIL].time);
}

/* FIELD=GLOB: the field's value as it is printed, without the quotes of text. */
static bool field_fits(const struct event *ev, const char *want)
{
	const char *equals = strchr(want, '=');
	bool fits = false;

	for (uint32_t i = 0; equals && ev->data.type == DV_STRUCT && i < ev->data.n && !fits; i++) {
		const struct dfield *f = &ev->data.fields[i];
		struct buf b;

		if (strlen(f->name) != (size_t)(equals - want) || strncmp(f->name, want, (size_t)(equals - want)) != 0)
			continue;
		buf_init(&b);
		if (f->v.type == DV_TEXT) {
			buf_put(&b, f->v.text, f->v.n);
		} else {
			json_value(&b, &f->v);
			if (b.n >= 2 && b.p[0] == '"') {
				memmove(b.p, b.p + 1, b.n - 2);
				b.n -= 2;
			}
		}
		fits = cli_glob(equals + 1, buf_str(&b));
		buf_free(&b);
	}
	return fits;
}

static bool want_data(const struct cli *c, const struct event *ev)
{
	const struct opt_value *o = &c->opt[OPT_MATCH];

	for (unsigned i = 0; i < o->count; i++)
		if (!field_fits(ev, o->list[i]))
			return false;
	return true;
}

/* ---- output ---------------------------------------------------------------------------------------------------------------------------------- */

struct out {
	struct outfile *f; /* NULL: standard output */
	struct buf b;
	uint64_t events;
};

static int flush_out(struct out *o, struct err *e)
{
	int rc = 0;

	if (o->b.failed)
		return out_of_memory(e);
	if (o->f)
		rc = outfile_write(o->f, o->b.p, o->b.n, e);
	else if (o->b.n && fwrite(o->b.p, 1, o->b.n, stdout) != o->b.n)
		rc = err_set(e, ERR_IO, "standard output can't be written");
	buf_clear(&o->b);
	return rc;
}

static struct source *earliest(struct sources *s)
{
	struct source *best = NULL;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->wanted && s->v[i]->next != INT64_MAX && (!best || s->v[i]->next < best->next))
			best = s->v[i];
	return best;
}

static int run(struct cli *c, struct sources *s, struct decoder *d, struct out *o, struct err *e)
{
	bool raw = cli_flag(c, OPT_RAW);
	struct source *n;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = evsource_peek_time(s->v[i]->ev, &s->v[i]->next, e);
	while (rc == 0 && !cli_stopped(NULL) && (n = earliest(s))) {
		struct event ev;

		rc = evsource_next(n->ev, &ev, e);
		if (rc < 0)
			break;
		rc = 0;
		if (want_header(c, &ev)) {
			decoder_event(d, &ev);
			if (want_provider(c, &ev) && want_data(c, &ev)) {
				jsonl_event(&o->b, &ev, raw);
				o->events++;
			}
		}
		if (o->b.n >= CHUNK)
			rc = flush_out(o, e);
		if (rc == 0)
			rc = evsource_peek_time(n->ev, &n->next, e);
	}
	return rc < 0 ? rc : flush_out(o, e);
}

static void summary(struct cli *c, const struct sources *s, const struct decoder *d, uint64_t written)
{
	const struct decoder_counts *k = decoder_counts(d);

	cli_info(c, "%llu events read, %llu written", (unsigned long long)k->events, (unsigned long long)written);
	for (int i = 0; i < EVENT_KINDS; i++)
		if (k->decoded[i] + k->undecoded[i])
			cli_info(c, "%s: %llu decoded, %llu not", event_kind_name((enum event_kind)i), (unsigned long long)k->decoded[i],
				 (unsigned long long)k->undecoded[i]);
	if (k->no_definition + k->not_fitting)
		cli_info(c, "manifest events without a definition: %llu; whose definition does not fit: %llu",
			 (unsigned long long)k->no_definition, (unsigned long long)k->not_fitting);
	if (s->losses + s->notes.n)
		cli_warn(c, "%llu losses", (unsigned long long)(s->losses + s->notes.n));
}

static int write_events(struct cli *c, struct sources *s, struct decoder *d)
{
	struct out o = {0};
	struct err e;
	int rc = cli_str(c, OPT_OUTPUT) ? outfile_create_path(&o.f, cli_str(c, OPT_OUTPUT), &e) : 0;

	buf_init(&o.b);
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = decoder_learn(d, s->v[i]->ev, &e);
	if (rc == 0)
		rc = run(c, s, d, &o, &e);
	if (o.f) {
		if (rc == 0 && !cli_stopped(NULL))
			rc = outfile_commit(o.f, &e);
		else
			outfile_abort(o.f);
	}
	if (rc == 0)
		summary(c, s, d, o.events);
	buf_free(&o.b);
	if (rc < 0)
		return cli_fail(c, &e, false);
	return cli_stopped(NULL) ? EXIT_INTERRUPTED : EXIT_OK;
}

int cmd_events(struct cli *c)
{
	const char *format = cli_str(c, OPT_FORMAT);
	struct sources s = {0};
	struct decoder *d = NULL;
	struct err e;
	int status = EXIT_OK, worst = EXIT_OK;

	if (format && strcmp(format, "jsonl") != 0) {
		cli_error(c, "events: format '%s': this version writes jsonl", format);
		return EXIT_USAGE;
	}
	if (!cli_str(c, OPT_OUTPUT))
		signal(SIGPIPE, SIG_DFL); /* `etlift events ... | head` ends when head has enough */
	notes_init(&s.notes);
	for (size_t i = 0; i < c->n_args; i++) {
		status = add_source(c, &s, i);
		if (status > worst)
			worst = status;
	}
	if (s.n && decoder_new(&d, &e) < 0)
		status = cli_fail(c, &e, false);
	else if (s.n)
		status = write_events(c, &s, d);
	if (status > worst)
		worst = status;
	if (worst == EXIT_OK && cli_flag(c, OPT_STRICT) && s.losses + s.notes.n)
		worst = EXIT_LOSSES;
	decoder_free(d);
	sources_free(&s);
	return worst;
}
