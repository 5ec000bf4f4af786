/* etlift.c - the public interface of include/etlift.h over job.h. */
#include "etlift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "libraries.h"

_Static_assert((int)ETLIFT_E_IO == ERR_IO && (int)ETLIFT_E_NOMEM == ERR_NOMEM && (int)ETLIFT_E_FORMAT == ERR_FORMAT &&
		       (int)ETLIFT_E_TRUNC == ERR_TRUNC && (int)ETLIFT_E_NOTFOUND == ERR_NOTFOUND && (int)ETLIFT_E_LIMIT == ERR_LIMIT &&
		       (int)ETLIFT_E_UNSUPPORTED == ERR_UNSUPPORTED && (int)ETLIFT_E_USAGE == ERR_USAGE &&
		       (int)ETLIFT_E_EXISTS == ERR_EXISTS && (int)ETLIFT_E_INTERRUPTED == ERR_INTR &&
		       (int)ETLIFT_E_NOIMAGE == ERR_NOIMAGE && (int)ETLIFT_E_NOKERNEL == ERR_NOKERNEL,
	       "public error codes");

#define LIST_MAX 256

struct etlift_options {
	char *symbols[LIST_MAX], *pagefile[VM_PAGEFILES_MAX], *profile, *sidecar, *spill;
	size_t n_symbols, n_pagefiles;
	bool no_builtin, no_builtin_build, has_dtb;
	uint64_t dtb;
};

struct etlift_image {
	struct job *job;
	char *sidecar, *spill;
};

const char *etlift_version(void)
{
	return ETLIFT_VERSION;
}

const char *etlift_features(void)
{
#define WORD(name, in, what) in ? name " " : "",
	static const char *const words[] = {LIBRARIES(WORD)};
#undef WORD
	static _Thread_local char text[256];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", words[i]);
	text[n - 1] = 0; /* the last blank: zlib is always in */
	return text;
}

const char *etlift_error_word(int code)
{
	return err_word(code);
}

void etlift_free(void *p)
{
	free(p);
}

/* Hands the message over; returns the code. */
static int tell(const struct err *e, char *error, size_t size)
{
	if (error && size) {
		size_t n = strlen(e->msg);

		n = n < size ? n : size - 1;
		memcpy(error, e->msg, n);
		error[n] = 0;
	}
	return e->code;
}

/* ---- options ------------------------------------------------------------------------------------------------------------------ */

etlift_options *etlift_options_new(void)
{
	return calloc(1, sizeof(struct etlift_options));
}

void etlift_options_free(etlift_options *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_symbols; i++)
		free(o->symbols[i]);
	for (size_t i = 0; i < o->n_pagefiles; i++)
		free(o->pagefile[i]);
	free(o->profile);
	free(o->sidecar);
	free(o->spill);
	free(o);
}

static int set_text(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return ERR_NOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int add_text(char **list, size_t *n, size_t max, const char *value)
{
	if (*n == max)
		return ERR_USAGE;
	list[*n] = strdup(value);
	if (!list[*n])
		return ERR_NOMEM;
	(*n)++;
	return 0;
}

static int set_address(etlift_options *o, const char *value)
{
	char *end;

	if (!*value || *value == '-' || *value == '+' || *value == ' ')
		return ERR_USAGE;
	o->dtb = strtoull(value, &end, 0);
	if (*end)
		return ERR_USAGE;
	o->has_dtb = true;
	return 0;
}

int etlift_options_set(etlift_options *o, const char *name, const char *value)
{
	if (!o || !name || !value)
		return ERR_USAGE;
	if (strcmp(name, "symbols") == 0)
		return add_text(o->symbols, &o->n_symbols, LIST_MAX, value);
	if (strcmp(name, "pagefile") == 0)
		return add_text(o->pagefile, &o->n_pagefiles, VM_PAGEFILES_MAX, value);
	if (strcmp(name, "profile") == 0)
		return set_text(&o->profile, value);
	if (strcmp(name, "sidecar") == 0)
		return set_text(&o->sidecar, value);
	if (strcmp(name, "spill") == 0)
		return set_text(&o->spill, value);
	if (strcmp(name, "dtb") == 0)
		return set_address(o, value);
	if (strcmp(name, "no-builtin") == 0 && (!*value || strcmp(value, "build") == 0)) {
		*(*value ? &o->no_builtin_build : &o->no_builtin) = true;
		return 0;
	}
	return ERR_USAGE;
}

/* ---- image -------------------------------------------------------------------------------------------------------------------- */

int etlift_open(etlift_image **out, const char *path, const etlift_options *o, char *error, size_t error_size)
{
	struct job_opts jo = {.need_profile = true};
	struct err e = {0, ""};
	etlift_image *im = NULL;
	int rc;

	if (!out || !path)
		rc = err_set(&e, ERR_USAGE, "etlift_open: out or path is NULL");
	else if (!(im = calloc(1, sizeof(*im))) || (o && o->sidecar && !(im->sidecar = strdup(o->sidecar))) ||
		 (o && o->spill && !(im->spill = strdup(o->spill))))
		rc = err_set(&e, ERR_NOMEM, "out of memory");
	else {
		if (o) {
			jo.symbols = (const char *const *)o->symbols;
			jo.n_symbols = o->n_symbols;
			jo.profile = o->profile;
			jo.no_builtin = o->no_builtin;
			jo.no_builtin_build = o->no_builtin_build;
			jo.has_dtb = o->has_dtb;
			jo.dtb = o->dtb;
			jo.pagefiles = (const char *const *)o->pagefile;
			jo.n_pagefiles = o->n_pagefiles;
		}
		jo.sidecar = im->sidecar;
		jo.spill = im->spill;
		rc = job_open(&im->job, path, &jo, &e);
	}
	if (rc < 0) {
		etlift_close(im);
		return tell(&e, error, error_size);
	}
	*out = im;
	return 0;
}

void etlift_close(etlift_image *im)
{
	if (!im)
		return;
	job_close(im->job);
	free(im->sidecar);
	free(im->spill);
	free(im);
}

int etlift_image_facts(etlift_image *im, struct etlift_facts *out, char *error, size_t error_size)
{
	const struct report_image *f;
	const struct report_kernel *k;
	struct etlift_facts v = {0};
	uint32_t size = out->size;
	struct err e;

	if (job_facts(im->job, &f, &k, &e) < 0)
		return tell(&e, error, error_size);
	v.size = size;
	v.format = f->format;
	v.bytes = f->bytes;
	v.physical_bytes = f->physical_bytes;
	if (k) {
		v.build = k->build;
		v.arch = k->arch;
		v.has_kernel = k->has_base;
		v.cpus = k->cpus;
		v.base = k->base;
		v.dtb = k->dtb;
		v.system_time = k->system_time;
		v.boot_time = k->boot_time;
		v.pdb_name = k->has_pdb ? k->pdb_name : NULL;
		memcpy(v.pdb_guid, k->pdb_guid.b, sizeof(v.pdb_guid));
		v.pdb_age = k->pdb_age;
		v.profile = k->profile;
		v.match = k->match;
	}
	memcpy(out, &v, size < sizeof(v) ? size : sizeof(v));
	return 0;
}

size_t etlift_losses(const etlift_image *im)
{
	dump_late_notes(job_image(im->job)->dump);
	return job_image(im->job)->notes.n;
}

const char *etlift_loss(const etlift_image *im, size_t i)
{
	const struct notes *ns = &job_image(im->job)->notes;

	return i < ns->n ? ns->v[i].detail : NULL;
}

/* ---- sessions ----------------------------------------------------------------------------------------------------------------- */

struct walk {
	int (*fn)(void *ctx, const struct etlift_session *s);
	void *ctx;
	const struct etw_system *sys;
	bool list_only;
	int64_t n;
};

static int on_system(void *ctx, const struct etw_system *sys, struct err *e)
{
	(void)e;
	((struct walk *)ctx)->sys = sys;
	return 0;
}

static struct etlift_buffer *copy_buffers(const struct walk *w, const struct etw_session *s, const struct etw_buffer *b, size_t n)
{
	struct etlift_buffer *v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++) {
		v[i] = (struct etlift_buffer){.has_va = b[i].has_va,
					      .has_pa = b[i].has_pa,
					      .has_file_offset = b[i].has_file_offset,
					      .has_same_as = b[i].has_same_as,
					      .va = b[i].va,
					      .pa = b[i].pa,
					      .file_offset = b[i].file_offset,
					      .same_as = b[i].same_as,
					      .from = b[i].from,
					      .cpu = b[i].cpu,
					      .sequence = b[i].hdr.sequence,
					      .events = b[i].n_events,
					      .data_bytes = b[i].body_len,
					      .data = b[i].body};
		if (b[i].has_ts && w->sys) {
			(void)etw_session_time(s, w->sys, b[i].first_ts, &v[i].first_event);
			(void)etw_session_time(s, w->sys, b[i].last_ts, &v[i].last_event);
		}
	}
	return v;
}

static int on_session(void *ctx, const struct etw_session *s, struct err *e)
{
	struct walk *w = ctx;
	struct etlift_buffer *live = copy_buffers(w, s, s->buffers, s->n_buffers), *old = copy_buffers(w, s, s->residual, s->n_residual);
	struct etlift_session v = {.silo = s->silo,
				   .id = s->id,
				   .has_va = s->has_va,
				   .has_guid = s->has_guid,
				   .va = s->va,
				   .name = s->name,
				   .log_file = s->log_file,
				   .mode = s->mode,
				   .clock = (uint32_t)s->clock,
				   .start_time = s->start_time,
				   .buffer_size = s->buffer_size,
				   .buffers_lost = s->buffers_lost,
				   .events_lost = s->events_lost,
				   .found_by = s->found_by,
				   .n_buffers = w->list_only ? s->buffer_count : (uint32_t)s->n_buffers,
				   .n_residual = w->list_only ? 0 : (uint32_t)s->n_residual,
				   .buffers = w->list_only ? NULL : live,
				   .residual = w->list_only ? NULL : old};
	int rc = 0;

	memcpy(v.guid, s->guid.b, sizeof(v.guid));
	if (!live || !old)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	else if (w->fn && w->fn(w->ctx, &v) != 0)
		rc = err_set(e, ERR_INTR, "the caller asked to stop");
	else
		w->n++;
	free(live);
	free(old);
	return rc;
}

static struct recover_opts recover_flags(uint32_t flags)
{
	return (struct recover_opts){.deep = (flags & ETLIFT_DEEP) != 0,
				     .residual = !(flags & (ETLIFT_NO_RESIDUAL | ETLIFT_LIST_ONLY)),
				     .list_only = (flags & ETLIFT_LIST_ONLY) != 0};
}

int64_t etlift_sessions(etlift_image *im, uint32_t flags, int (*fn)(void *ctx, const struct etlift_session *s), void *ctx, char *error,
			size_t error_size)
{
	struct recover_opts o = recover_flags(flags);
	struct walk w = {.fn = fn, .ctx = ctx, .list_only = o.list_only};
	struct etw_sink sink = {on_system, on_session, &w};
	struct err e = {0, ""};
	size_t n = 0;

	if (recover_run(job_image(im->job), &o, &sink, &n, &e) < 0)
		return tell(&e, error, error_size);
	return w.n;
}

const char *etlift_found_by_name(unsigned bit)
{
	return etw_found_by_name(bit);
}

const char *etlift_from_name(unsigned bit)
{
	return etw_from_name(bit);
}

/* ---- jobs --------------------------------------------------------------------------------------------------------------------- */

int etlift_recover(etlift_image *im, const char *dir, uint32_t flags, struct etlift_result *result, char *error, size_t error_size)
{
	struct job_recover_opts o = {.recover = recover_flags(flags & ~(uint32_t)ETLIFT_LIST_ONLY)};
	struct etlift_result v = {0};
	struct job_result res;
	struct outdir *d;
	struct err e = {0, ""};
	int rc = outdir_open(&d, dir, (flags & ETLIFT_FORCE) != 0, &e);

	if (rc < 0)
		return tell(&e, error, error_size);
	rc = job_recover(im->job, d, &o, &res, &e);
	outdir_close(d);
	if (result) {
		v.size = result->size;
		v.sessions = (uint32_t)res.sessions;
		v.files = (uint32_t)res.files;
		v.losses = (uint32_t)res.losses;
		v.events = res.events;
		memcpy(result, &v, v.size < sizeof(v) ? v.size : sizeof(v));
	}
	return rc < 0 ? tell(&e, error, error_size) : 0;
}
