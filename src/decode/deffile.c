/* deffile.c - see deffile.h */
#include "deffile.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dirlist.h"
#include "wevt.h"

struct walk {
	int (*take)(void *ctx, struct input *in, struct err *e);
	void *ctx;
	const struct deffile_report *report;
	uint32_t files, taken;
};

static int one_file(struct walk *w, const char *path, struct err *e)
{
	struct input *in;
	int rc = input_open(&in, path, e);

	if (rc < 0)
		return rc;
	rc = w->take(w->ctx, in, e);
	input_close(in);
	if (rc >= 0)
		w->taken++;
	else if (rc != ERR_NOTMINE)
		err_prepend(e, "%s", path);
	return rc < 0 ? rc : 0;
}

static int in_folder(struct walk *w, const char *path, struct err *e)
{
	struct err mine;
	int rc;

	if (++w->files > DEFFILE_FILES_MAX)
		return err_set(e, ERR_LIMIT, "%s: more than %u files", path, DEFFILE_FILES_MAX);
	rc = one_file(w, path, &mine);
	if (rc == ERR_NOMEM || rc == ERR_INTR || rc == ERR_UNSUPPORTED)
		return err_set(e, rc, "%s", mine.msg);
	if (rc < 0 && rc != ERR_NOTMINE && w->report && w->report->broken)
		w->report->broken(w->report->ctx, &mine);
	return 0;
}

/* Depth is bounded by DEFFILE_DEPTH_MAX. */
static int folder(struct walk *w, const char *path, int depth, struct err *e)
{
	struct dirlist d = {0};
	int rc = dirlist_read(&d, path, e);

	for (size_t i = 0; rc == 0 && i < d.n; i++) {
		struct buf b;

		buf_init(&b);
		buf_puts(&b, path);
		buf_puts(&b, "/");
		buf_puts(&b, d.name[i]);
		if (b.failed)
			rc = err_set(e, ERR_NOMEM, "out of memory");
		else if (!d.folder[i])
			rc = in_folder(w, buf_str(&b), e);
		else if (depth < DEFFILE_DEPTH_MAX)
			rc = folder(w, buf_str(&b), depth + 1, e);
		buf_free(&b);
	}
	dirlist_free(&d);
	return rc;
}

int deffile_walk(const char *path, int (*take)(void *ctx, struct input *in, struct err *e), void *ctx, const struct deffile_report *report,
		 struct err *e)
{
	struct walk w = {.take = take, .ctx = ctx, .report = report};
	int rc = path_is_folder(path) ? folder(&w, path, 0, e) : one_file(&w, path, e);

	if (rc == ERR_NOTMINE) {
		err_prepend(e, "%s", path);
		return e ? (e->code = ERR_FORMAT) : ERR_FORMAT;
	}
	return rc < 0 ? rc : (int)w.taken;
}

int deffile_read(struct input *in, size_t max, uint8_t **out, size_t *n, struct err *e)
{
	uint64_t size = input_size(in);
	uint8_t *p;
	int rc;

	if (size > max)
		return err_set(e, ERR_LIMIT, "more than %zu bytes", max);
	p = malloc((size_t)size + 1);
	if (!p)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(in, 0, p, (size_t)size, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	p[size] = 0;
	*out = p;
	*n = (size_t)size;
	return 0;
}

/* ---- --manifest -------------------------------------------------------------------------------------------------------------------------- */

struct manifests {
	struct schemas *s;
	struct definition_counts *n;
};

/* XML begins with '<', in any encoding that expat reads, behind a byte order mark or white space. */
static bool looks_like_xml(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '<')
			return true;
		else if (!memchr("\xef\xbb\xbf\xff\xfe \t\r\n", p[i], 10) && p[i])
			return false;
	return false;
}

static int take_manifest(void *ctx, struct input *in, struct err *e)
{
	struct manifests *m = ctx;
	uint8_t head[64], *p;
	int64_t got = input_read(in, 0, head, sizeof(head), e);
	size_t n;
	int rc;

	if (got < 0)
		return (int)got;
	if (got >= 2 && head[0] == 'M' && head[1] == 'Z') {
		rc = wevt_read_file(m->s, in, m->n, e);
		return rc < 0 ? rc : 0;
	}
	if (!looks_like_xml(head, (size_t)got))
		return err_set(e, ERR_NOTMINE, "neither a manifest nor a PE file");
	rc = deffile_read(in, MANIFEST_BYTES_MAX, &p, &n, e);
	if (rc < 0)
		return rc;
	rc = manifest_read(m->s, p, n, SCHEMA_MANIFEST, NULL, m->n, e);
	free(p);
	return rc;
}

int deffile_manifests(struct schemas *s, const char *path, struct definition_counts *n, const struct deffile_report *report, struct err *e)
{
	struct manifests m = {.s = s, .n = n};

	return deffile_walk(path, take_manifest, &m, report, e);
}
