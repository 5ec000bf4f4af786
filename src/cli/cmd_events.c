/* cmd_events.c - etlift events: decoded events of trace files and images, merged by time, as JSON lines. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "decoder.h"
#include "deffile.h"
#include "dirlist.h"
#include "evsink.h"
#include "jsonl.h"
#include "outfile.h"
#include "sources.h"

#define CHUNK 65536

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
	const struct evsink *sink;
	void *state;
	struct buf b;
	uint64_t events, unfit;
};

static int flush_out(struct out *o, struct err *e)
{
	int rc = 0;

	if (o->b.failed)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (o->f)
		rc = outfile_write(o->f, o->b.p, o->b.n, e);
	else if (o->b.n && fwrite(o->b.p, 1, o->b.n, stdout) != o->b.n)
		rc = err_set(e, ERR_IO, "standard output: could not be written");
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

	if (o->sink->begin)
		o->sink->begin(o->state, &o->b);
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
				if (o->sink->event(o->state, &o->b, &ev, raw))
					o->events++;
				else
					o->unfit++;
			}
		}
		if (o->b.n >= CHUNK)
			rc = flush_out(o, e);
		if (rc == 0)
			rc = evsource_peek_time(n->ev, &n->next, e);
	}
	if (rc == 0 && o->sink->end)
		o->sink->end(o->state, &o->b);
	return rc < 0 ? rc : flush_out(o, e);
}

/* What a format writes at the beginning when it knows everything. */
static int put_head(struct out *o, struct err *e)
{
	int rc;

	if (!o->sink->head)
		return 0;
	buf_clear(&o->b);
	o->sink->head(o->state, &o->b);
	rc = o->b.failed ? err_set(e, ERR_NOMEM, "out of memory") : outfile_pwrite(o->f, 0, o->b.p, o->b.n, e);
	return rc < 0 ? rc : 0;
}

/* -v: what was lost, and where. */
static void name_loss(struct cli *c, const struct note *n)
{
	if (n->has_va && n->has_bytes)
		cli_info(c, "loss: %s: %s: %llu bytes at 0x%llx", note_word(n->what), n->detail, (unsigned long long)n->bytes,
			 (unsigned long long)n->va);
	else
		cli_info(c, "loss: %s: %s", note_word(n->what), n->detail);
}

static void summary(struct cli *c, const struct sources *s, const struct decoder *d, const struct out *o)
{
	const struct decoder_counts *k = decoder_counts(d);
	unsigned long long losses = (unsigned long long)s->losses + s->notes.n;

	cli_info(c, "%llu events read, %llu written", (unsigned long long)k->events, (unsigned long long)o->events);
	if (o->unfit && o->sink->unfit)
		cli_warn(c, "%s: %llu events %s are left out", o->sink->name, (unsigned long long)o->unfit, o->sink->unfit);
	for (int i = 0; i < EVENT_KINDS; i++)
		if (k->decoded[i] + k->undecoded[i])
			cli_info(c, "%s: %llu decoded, %llu not (%.2f %%)", event_kind_name((enum event_kind)i),
				 (unsigned long long)k->decoded[i], (unsigned long long)k->undecoded[i],
				 100.0 * (double)k->decoded[i] / (double)(k->decoded[i] + k->undecoded[i]));
	if (k->no_definition + k->not_fitting)
		cli_info(c, "manifest events without a definition: %llu; whose definition does not fit: %llu",
			 (unsigned long long)k->no_definition, (unsigned long long)k->not_fitting);
	if (k->names_dropped)
		cli_warn(c, "%llu process and file names are beyond what is kept: some events lack theirs",
			 (unsigned long long)k->names_dropped);
	for (size_t i = 0; i < s->notes.n; i++)
		name_loss(c, &s->notes.v[i]);
	if (losses)
		cli_warn(c, "%llu losses", losses);
}

static void broken_file(void *ctx, const struct err *why)
{
	cli_warn(ctx, "%s", why->msg);
}

/* --manifest and --tmf. 0, or an exit status (the line is printed). */
static int add_definitions(struct cli *c, struct decoder *d)
{
	const struct opt_value *man = &c->opt[OPT_MANIFEST], *tmf = &c->opt[OPT_TMF];
	struct deffile_report report = {.ctx = c, .broken = broken_file};
	struct definition_counts n = {0, 0};
	struct err e;
	int files = 0, messages = 0, rc = 0;

	for (unsigned i = 0; i < man->count && rc >= 0; i++) {
		rc = deffile_manifests(decoder_schemas(d), man->list[i], &n, &report, &e);
		files += rc > 0 ? rc : 0;
		if (rc == 0)
			cli_warn(c, "%s: no manifest in this folder", man->list[i]);
	}
	for (unsigned i = 0; i < tmf->count && rc >= 0; i++) {
		rc = tmf_read_path(decoder_tmf(d), tmf->list[i], &report, &e);
		messages += rc > 0 ? rc : 0;
		if (rc == 0)
			cli_warn(c, "%s: no trace message formats there", tmf->list[i]);
	}
	if (rc < 0)
		return cli_fail(c, &e, true);
	if (man->count)
		cli_info(c, "manifests: %d files, %u providers, %u events", files, n.providers, n.events);
	if (tmf->count)
		cli_info(c, "trace message formats: %d", messages);
	return EXIT_OK;
}

static bool one_of(const struct opt_value *o, const char *path)
{
	for (unsigned i = 0; i < o->count; i++)
		if (path_same(o->list ? o->list[i] : o->str, path))
			return true;
	return false;
}

/* Evidence is never written over. */
static bool output_is_input(const struct cli *c)
{
	const char *out = cli_str(c, OPT_OUTPUT);

	for (size_t i = 0; out && i < c->n_args; i++)
		if (path_same(c->arg[i], out))
			return true;
	return out && (one_of(&c->opt[OPT_PAGEFILE], out) || one_of(&c->opt[OPT_SIDECAR], out) || one_of(&c->opt[OPT_MANIFEST], out) ||
		       one_of(&c->opt[OPT_TMF], out));
}

static int write_events(struct cli *c, struct sources *s, struct decoder *d, const struct evsink *sink)
{
	struct out o = {.sink = sink};
	struct err e;
	int rc;

	cli_guard();
	rc = cli_str(c, OPT_OUTPUT) ? outfile_create_path(&o.f, cli_str(c, OPT_OUTPUT), &e) : 0;

	buf_init(&o.b);
	if (rc == 0 && sink->open)
		rc = sink->open(&o.state, &e);
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = decoder_learn(d, s->v[i]->ev, &e);
	if (rc == 0)
		rc = run(c, s, d, &o, &e);
	if (rc == 0)
		rc = put_head(&o, &e);
	if (o.f) {
		if (rc == 0 && !cli_stopped(NULL))
			rc = outfile_commit(o.f, &e);
		else
			outfile_abort(o.f);
	}
	if (rc == 0)
		summary(c, s, d, &o);
	if (o.state && sink->close)
		sink->close(o.state);
	buf_free(&o.b);
	if (rc < 0)
		return cli_fail(c, &e, false);
	if (!cli_stopped(NULL))
		return EXIT_OK;
	cli_error(c, cli_str(c, OPT_OUTPUT) ? "interrupted; no file is written" : "interrupted");
	return EXIT_INTERRUPTED;
}

int cmd_events(struct cli *c)
{
	const struct evsink *sink = evsink_find(cli_str(c, OPT_FORMAT));
	struct sources s = {0};
	struct decoder *d = NULL;
	struct err e;
	int status = EXIT_OK, worst = EXIT_OK;

	if (!sink) {
		cli_error(c, "events: no such format: '%s'; there are: %s", cli_str(c, OPT_FORMAT), evsink_names());
		return EXIT_USAGE;
	}
	if (!cli_str(c, OPT_OUTPUT) && (sink->head || (sink->binary && isatty(STDOUT_FILENO)))) {
		cli_error(c, "events: %s is written to a file: add -o FILE", sink->name);
		return EXIT_USAGE;
	}
	if (output_is_input(c)) {
		cli_error(c, "events: %s: is read, and can't be written over", cli_str(c, OPT_OUTPUT));
		return EXIT_USAGE;
	}
	if (!cli_str(c, OPT_OUTPUT))
		signal(SIGPIPE, SIG_DFL); /* `etlift events ... | head` ends when head has enough */
	notes_init(&s.notes);
	for (size_t i = 0; i < c->n_args; i++) {
		status = sources_add(c, &s, i);
		if (status > worst)
			worst = status;
	}
	if (s.n && decoder_new(&d, &e) < 0)
		status = cli_fail(c, &e, false);
	else if (s.n)
		status = add_definitions(c, d);
	if (s.n && d && status == EXIT_OK)
		status = write_events(c, &s, d, sink);
	if (status > worst)
		worst = status;
	if (worst == EXIT_OK && cli_flag(c, OPT_STRICT) && s.losses + s.notes.n)
		worst = EXIT_LOSSES;
	decoder_free(d);
	sources_free(&s);
	return worst;
}
