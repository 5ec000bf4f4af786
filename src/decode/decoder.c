/* decoder.c - see decoder.h */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "kernelevents.h"
#include "learn.h"
#include "names.h"
#include "tracelogging.h"
#include "wpp.h"

struct decoder {
	struct schemas *schemas;
	struct learn *learn;
	struct kernelevents *kernel;
	struct tmf *tmf;
	struct names *names;
	struct buf scratch;
	struct arena arena; /* of the event being decoded */
	struct decoder_counts counts;
};

/* What a trace adds to. */
static int begin(struct decoder *d, struct err *e)
{
	d->learn = learn_new(d->schemas);
	d->tmf = tmf_new();
	d->names = names_new();
	return d->learn && d->tmf && d->names ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int decoder_forget(struct decoder *d, struct err *e)
{
	learn_free(d->learn);
	tmf_free(d->tmf);
	names_free(d->names);
	arena_reset(&d->arena);
	memset(&d->counts, 0, sizeof(d->counts));
	schemas_forget(d->schemas);
	return begin(d, e);
}

int decoder_new(struct decoder **out, struct err *e)
{
	struct decoder *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ERR_NOMEM, "out of memory");
	arena_init(&d->arena);
	rc = schemas_new(&d->schemas, e);
	if (rc == 0)
		rc = kernelevents_new(&d->kernel, e);
	if (rc == 0)
		rc = begin(d, e);
	if (rc < 0) {
		decoder_free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	learn_free(d->learn);
	tmf_free(d->tmf);
	names_free(d->names);
	buf_free(&d->scratch);
	schemas_free(d->schemas);
	kernelevents_free(d->kernel);
	arena_free(&d->arena);
	free(d);
}

struct schemas *decoder_schemas(struct decoder *d)
{
	return d->schemas;
}

struct tmf *decoder_tmf(struct decoder *d)
{
	return d->tmf;
}

const struct decoder_counts *decoder_counts(const struct decoder *d)
{
	return &d->counts;
}

/* ---- decoding ------------------------------------------------------------------------------------------------------------------------ */

static bool try_schema(struct decoder *d, struct event *ev, const struct schema *s)
{
	const struct schema *narrow, *recount;
	const char *why;

	if (schema_decode(ev, s, &d->arena))
		return true;
	why = ev->reason;
	recount = schema_recount(s, &d->arena);
	if (recount && schema_decode(ev, recount, &d->arena))
		return true;
	ev->reason = why;
	if (s->source != SCHEMA_CATALOGUE || s->exact_types || ev->pointer_size != 4)
		return false;
	narrow = schema_narrow(s, &d->arena);
	return narrow && schema_decode(ev, narrow, &d->arena);
}

/* On a 32-bit event the catalogue's u64 is more often a pointer than not: that reading goes first. */
static bool try_catalogue32(struct decoder *d, struct event *ev, const struct schema *s)
{
	const struct schema *narrow = schema_narrow(s, &d->arena);

	return (narrow && schema_decode(ev, narrow, &d->arena)) || schema_decode(ev, s, &d->arena);
}

static bool decode_by_schema(struct decoder *d, struct event *ev, bool classic)
{
	struct schema_key key = {
		.guid = ev->provider, .classic = classic, .id = (uint16_t)(classic ? ev->opcode : ev->id), .version = ev->version};
	const struct schema *s = schemas_find(d->schemas, &key, NULL);

	if (!s) {
		ev->reason = "no definition of this event";
		d->counts.no_definition += !classic;
		return false;
	}
	while (s) {
		if (s->source == SCHEMA_CATALOGUE && !s->exact_types && ev->pointer_size == 4 ? try_catalogue32(d, ev, s)
											      : try_schema(d, ev, s))
			return true;
		s = schemas_find(d->schemas, &key, s);
	}
	d->counts.not_fitting += !classic;
	return false;
}

/* Some tools write pointers of the other width than their records' kind says. */
static bool decode_other_width(struct decoder *d, struct event *ev, const struct schema *s)
{
	const char *why = ev->reason;

	ev->pointer_size = 12 - ev->pointer_size;
	if (schema_decode(ev, s, &d->arena))
		return true;
	ev->pointer_size = 12 - ev->pointer_size;
	ev->reason = why;
	return false;
}

/* A class's own layouts; several may stand for one version. */
static bool decode_kernel(struct decoder *d, struct event *ev, const struct kernel_type *t)
{
	const struct schema *s;

	if (!t) {
		ev->reason = "no definition of this kernel event";
		return false;
	}
	ev->name = t->name;
	ev->reason = "no layout of this version of the kernel event";
	for (unsigned i = 0; (s = kernelevents_layout(t, ev->version, i)); i++)
		if (schema_decode(ev, s, &d->arena) || decode_other_width(d, ev, s))
			return true;
	return false;
}

static bool decode_hook(struct decoder *d, struct event *ev)
{
	const struct kernel_type *t = kernelevents_hook(d->kernel, (uint16_t)ev->id);

	if (t) {
		ev->provider = t->guid;
		ev->has_provider = true;
	}
	return decode_kernel(d, ev, t);
}

/* A classic class: what the trace says of it first, then the kernel's own. */
static bool decode_class(struct decoder *d, struct event *ev)
{
	const char *why;

	if (decode_by_schema(d, ev, true))
		return true;
	why = ev->reason;
	if (decode_kernel(d, ev, kernelevents_class(d->kernel, &ev->provider, ev->opcode)))
		return true;
	if (!ev->name)
		ev->reason = why;
	return false;
}

static bool decode_message(struct decoder *d, struct event *ev)
{
	const struct tmf_message *m = ev->has_provider && ev->has_id ? tmf_find(d->tmf, &ev->provider, (uint16_t)ev->id) : NULL;

	if (m)
		return wpp_decode(ev, m, &d->arena, &d->scratch);
	ev->reason = "no TMF for this message";
	return false;
}

static bool decode(struct decoder *d, struct event *ev)
{
	switch (ev->kind) {
	case EVENT_TRACELOGGING:
		return tracelogging_decode(ev, &d->arena);
	case EVENT_MANIFEST:
		return (ev->id == EVENTSOURCE_MANIFEST && learn_envelope(ev, &d->arena)) || decode_by_schema(d, ev, false);
	case EVENT_MOF:
		return decode_class(d, ev);
	case EVENT_WPP:
		return decode_message(d, ev);
	case EVENT_SYSTEM:
	case EVENT_PERFINFO:
		return decode_hook(d, ev);
	case EVENT_KINDS:
		break;
	}
	return false;
}

/* What one event tells of names. Nothing is counted: it comes again. False: it has to wait for definitions that the trace may bring later. */
static bool learn_name(struct decoder *d, struct event *ev, bool all_known)
{
	bool hook = ev->kind == EVENT_SYSTEM || ev->kind == EVENT_PERFINFO;
	const struct kernel_type *t = hook ? kernelevents_hook(d->kernel, (uint16_t)ev->id) : NULL;
	const struct guid *guid = t ? &t->guid : NULL;
	struct decoder_counts before = d->counts;

	if (ev->reason || (hook && (!t || all_known)) || !names_wants(d->names, ev, guid, t ? t->opcode : 0))
		return true;
	if (!hook && !all_known)
		return false;
	arena_reset(&d->arena);
	if (decode(d, ev))
		names_learn(d->names, ev, guid, t ? t->opcode : 0);
	d->counts = before;
	return true;
}

/* Once for definitions and the names in kernel hooks, whose layouts are known; a second time only where other events tell names. */
int decoder_learn(struct decoder *d, struct evsource *s, struct err *e)
{
	struct event ev;
	bool again = false;
	int rc = 0, got = 0;

	while (got == 0 && (rc = evsource_next(s, &ev, e)) > 0) {
		got = learn_event(d->learn, &ev);
		if (!learn_name(d, &ev, false))
			again = true;
	}
	if (got < 0 || learn_end(d->learn) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	evsource_rewind(s);
	while (again && rc >= 0 && (rc = evsource_next(s, &ev, e)) > 0)
		learn_name(d, &ev, true);
	if (again)
		evsource_rewind(s);
	d->counts.names_dropped = names_dropped(d->names);
	return rc;
}

void decoder_event(struct decoder *d, struct event *ev)
{
	bool done;

	arena_reset(&d->arena);
	d->counts.events++;
	if (ev->traits.n)
		tracelogging_traits(ev->traits, &d->arena, &ev->provider_name, &ev->provider_group, &ev->has_provider_group);
	done = !ev->reason && decode(d, ev);
	if (ev->has_provider && !ev->provider_name && ev->kind != EVENT_WPP)
		ev->provider_name = schemas_provider_name(d->schemas, &ev->provider);
	names_event(d->names, ev);
	if (done)
		d->counts.decoded[ev->kind]++;
	else
		d->counts.undecoded[ev->kind]++;
}
