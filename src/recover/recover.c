/* recover.c - the driver of recover_run(): sessions of the dump's secondary data and of the kernel into one sink. */
#include "recover.h"

#include <stdlib.h>
#include <string.h>

#include "krecover.h"
#include "secondary.h"

static int by_place(const void *x, const void *y)
{
	const struct etw_session *a = x, *b = y;

	if (a->silo != b->silo)
		return a->silo < b->silo ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->va < b->va ? -1 : a->va > b->va;
}

static int yield(struct image *im, struct etw_session *v, size_t n_found, const struct recover_opts *o, const struct etw_sink *sink,
		 size_t *n, struct err *e)
{
	int rc = sink->system ? sink->system(sink->ctx, &im->sys, e) : 0;

	if (n_found)
		qsort(v, n_found, sizeof(*v), by_place);
	for (size_t i = 0; rc == 0 && i < n_found; i++) {
		if (o->want && !o->want(o->want_ctx, &v[i]))
			continue;
		if (o->amend && o->amend(o->amend_ctx, &v[i]) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		session_note_clock(&im->notes, &im->sys, &v[i]);
		rc = sink->session(sink->ctx, &v[i], e);
		++*n;
	}
	return rc;
}

static bool usable(const struct image *im)
{
	return im->kernel && im->kernel->has_profile;
}

static int no_session(const struct image *im, struct err *e)
{
	if (im->kernel_err.code)
		return err_set(e, ERR_NOKERNEL, "%s", im->kernel_err.msg);
	if (im->kernel && !im->kernel->has_profile) {
		char guid[GUID_STR];

		guid_text(&im->kernel->pdb_guid, guid);
		return err_set(e, ERR_NOKERNEL, "no profile for kernel build %u, %s %s age %u", im->kernel->build, im->kernel->pdb_name,
			       guid, im->kernel->pdb_age);
	}
	if (im->dump->hints.is_crash_dump && !phys_n_runs(im->dump->phys))
		return err_set(e, ERR_NOKERNEL, "a crash dump without memory pages and without an ETW block: nothing to recover from");
	return err_set(e, ERR_NOKERNEL, "no ETW session in the image");
}

int recover_run(struct image *im, const struct recover_opts *o, const struct etw_sink *sink, size_t *n_sessions, struct err *e)
{
	struct etw_session *v = NULL;
	size_t n = 0;
	int rc = secondary_sessions(im->dump, o, &im->sys, &im->notes, &v, &n, e);

	*n_sessions = 0;
	if (rc < 0 && rc != ERR_NOTFOUND)
		return rc;
	if (usable(im)) {
		rc = krecover_run(im, o, v, n, sink, n_sessions, e);
		if (rc == ERR_NOTFOUND)
			rc = no_session(im, e);
	} else {
		rc = n ? yield(im, v, n, o, sink, n_sessions, e) : no_session(im, e);
	}
	for (size_t i = 0; i < n; i++)
		etw_session_clear(&v[i]);
	free(v);
	return rc;
}

int recover_consumers(struct image *im, struct etw_consumer **out, size_t *n, struct err *e)
{
	return usable(im) ? krecover_consumers(im, out, n, e) : no_session(im, e);
}

int recover_providers(struct image *im, struct etw_provider **out, size_t *n, struct err *e)
{
	return usable(im) ? krecover_providers(im, out, n, e) : no_session(im, e);
}

void recover_consumers_free(struct etw_consumer *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		etw_consumer_clear(&c[i]);
	free(c);
}

void recover_providers_free(struct etw_provider *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		etw_provider_clear(&p[i]);
	free(p);
}
