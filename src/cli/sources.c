/* sources.c - see sources.h */
#include "sources.h"

#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "utf16.h"

void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		evsource_close(s->v[i]->ev);
		etlfile_close(&s->v[i]->file);
		etw_session_clear(&s->v[i]->session);
		free(s->v[i]);
	}
	free(s->v);
	for (size_t i = 0; i < s->n_names; i++)
		free(s->name[i]);
	free(s->name);
	for (struct source_runs *r = s->runs, *next; r; r = next) {
		next = r->next;
		free(r->v);
		free(r);
	}
	notes_free(&s->notes);
}

/* The image is closed before its buffers are looked at. */
static int keep_runs(struct sources *s, size_t from, const struct phys *phys)
{
	struct source_runs *r = calloc(1, sizeof(*r));
	struct phys_run one;

	if (!r || !(r->v = calloc(phys_n_runs(phys) + 1, sizeof(*r->v)))) {
		free(r);
		return ERR_NOMEM;
	}
	for (size_t i = 0; phys_run(phys, i, &one); i++)
		if (one.in_file)
			r->v[r->n++] = one;
	r->next = s->runs;
	s->runs = r;
	for (; from < s->n; from++)
		s->v[from]->runs = r;
	return 0;
}

bool source_file_offset(const struct source *src, uint64_t pa, uint64_t *off)
{
	size_t lo = 0, hi = src->runs ? src->runs->n : 0;

	while (lo < hi) { /* the first one that ends behind it */
		size_t mid = lo + (hi - lo) / 2;

		if (src->runs->v[mid].pa + src->runs->v[mid].len <= pa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!src->runs || lo == src->runs->n || src->runs->v[lo].pa > pa)
		return false;
	*off = src->runs->v[lo].file_off + (pa - src->runs->v[lo].pa);
	return true;
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

/* A trace file: ERR_NOTMINE when it is none. Takes `f` over on success. */
static int add_file(struct cli *c, struct sources *s, const struct etlfile *f, const char *name, struct err *e)
{
	const struct etw_session *ses;
	struct evsource *ev = NULL;
	struct source *n;
	int rc = evsource_open_etl(&ev, f->in, name, &s->notes, e);

	if (rc < 0)
		return rc;
	n = source_add(s);
	if (!n) {
		evsource_close(ev);
		return out_of_memory(e);
	}
	n->ev = ev;
	n->file = *f;
	if (f->outer && f->packed.truncated)
		notes_add(&s->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, f->packed.size, 0), "%s: only %llu bytes can be unpacked",
			  f->packed.why[0] ? f->packed.why : f->packed.name, (unsigned long long)f->packed.size);
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
	size_t orphans; /* groups of buffers that no session claims */
};

static int on_system(void *ctx, const struct etw_system *sys, struct err *e)
{
	(void)e;
	((struct image_source *)ctx)->sys = *sys;
	return 0;
}

/* A copy with the residual buffers in the place of the others. */
static int copy_residual(struct etw_session *to, const struct etw_session *from)
{
	struct etw_session bare = *from;

	bare.buffers = from->residual;
	bare.n_buffers = from->n_residual;
	return etw_session_copy(to, &bare);
}

static int add_session(struct image_source *is, const struct etw_session *ses, const struct etw_system *sys, bool residual, struct err *e)
{
	struct event_origin origin = {.file = is->name, .is_image = true};
	struct source *n = source_add(is->s);

	if (!n || (residual ? copy_residual(&n->session, ses) : etw_session_copy(&n->session, ses)) < 0)
		return out_of_memory(e);
	n->residual = residual;
	n->sys = *sys;
	n->wanted = true;
	origin.session = &n->session;
	origin.sys = &n->sys;
	return evsource_open(&n->ev, &session_ops, &n->session, (uint32_t)n->session.n_buffers, &origin, &is->s->notes, e);
}

static int add_both(struct image_source *is, const struct etw_session *ses, const struct etw_system *sys, struct err *e)
{
	int rc;

	if (ses->no_id ? cli_flag(is->c, OPT_SESSION) : !want_session(is->c, ses))
		return 0;
	rc = add_session(is, ses, sys, false, e);
	return rc == 0 && ses->n_residual && is->s->want_residual ? add_session(is, ses, sys, true, e) : rc;
}

static int on_session(void *ctx, const struct etw_session *ses, struct err *e)
{
	struct image_source *is = ctx;

	return add_both(is, ses, &is->sys, e);
}

static int on_orphan(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct image_source *is = ctx;

	is->orphans++;
	return add_both(is, &o->s, &o->sys, e);
}

static bool progress(void *ctx, uint64_t done, uint64_t total)
{
	cli_progress(ctx, "carving", done, total);
	return !cli_stopped(ctx);
}

/* The sessions of an image, and what no session claims when that is asked for. */
static int find(struct image_source *is, struct image *im, struct err *e)
{
	struct cli *c = is->c;
	struct recover_opts ro = {.deep = cli_flag(c, OPT_DEEP), .residual = is->s->want_residual, .want = want_session, .want_ctx = c};
	struct carve_opts co = {.deep = ro.deep,
				.residual = ro.residual,
				.loose = cli_flag(c, OPT_LOOSE),
				.threads = cli_threads(c),
				.progress = progress,
				.ctx = c};
	struct etw_sink sink = {on_system, on_session, is};
	struct carve *carve;
	struct err none;
	size_t n;
	int rc;

	if (!cli_flag(c, OPT_CARVE) && !co.loose)
		return recover_run(im, &ro, &sink, &n, e);
	rc = carve_image(&carve, im, &ro, &co, &sink, on_orphan, is, &n, &none, e);
	carve_close(carve);
	cli_progress_end(c);
	if (rc == 0 && n == 0 && is->orphans == 0)
		rc = err_set(e, ERR_NOKERNEL, "%s, and no buffer by its shape", none.code ? none.msg : "no ETW session in the image");
	return rc;
}

static int add_image(struct cli *c, struct sources *s, size_t arg, const char *name)
{
	struct image_source is = {.c = c, .s = s, .name = name};
	struct cli one = *c;
	struct job *j;
	size_t before = s->n;
	struct err e;
	int rc, status;

	one.arg = &c->arg[arg];
	one.n_args = 1;
	status = open_image(&one, &j, true);
	if (status)
		return status;
	rc = find(&is, job_image(j), &e);
	dump_late_notes(job_image(j)->dump);
	s->losses += job_image(j)->notes.n;
	if (rc == 0 && keep_runs(s, before, job_image(j)->dump->phys) < 0)
		rc = out_of_memory(&e);
	if (rc < 0)
		status = fail_on_image(&one, &e, rc != ERR_NOMEM);
	job_close(j);
	return status;
}

int sources_add(struct cli *c, struct sources *s, size_t arg)
{
	const char *name = keep_name(s, c->arg[arg]);
	struct etlfile f;
	struct err e;
	int rc;

	if (name && input_is_stream(c->arg[arg])) /* to look whether it is a trace file would take of its bytes */
		return add_image(c, s, arg, name);
	rc = name ? etlfile_open(&f, c->arg[arg], &e) : out_of_memory(&e);

	if (rc < 0)
		return cli_fail(c, &e, true);
	rc = add_file(c, s, &f, name, &e);
	if (rc == 0)
		return 0;
	etlfile_close(&f);
	if (rc != ERR_NOTMINE) {
		err_prepend(&e, "%s", c->arg[arg]);
		return cli_fail(c, &e, true);
	}
	return add_image(c, s, arg, name);
}
