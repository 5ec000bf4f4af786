/* batchlist.c - see batchlist.h */
#include "batchlist.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "dirlist.h"
#include "input.h"
#include "jsonw.h"

#define JSON_BYTES_MAX ((uint64_t)512 << 20) /* of a report that is counted */
#define LIST_BYTES_MAX ((uint64_t)64 << 20)
#define FOLDER_MAX     100 /* bytes of a folder's name, before -2 */

static int nomem(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- which images -------------------------------------------------------------------------------------------------------------------------- */

static int add_path(struct batch_list *l, const char *path, struct err *e)
{
	void *arr = l->v;
	struct input *in;

	if (l->n >= BATCH_IMAGES_MAX)
		return err_set(e, ERR_LIMIT, "more than %u images", BATCH_IMAGES_MAX);
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].path, path) == 0)
			return 0;
	if (arr_reserve(&arr, &l->cap, l->n, sizeof(*l->v)) < 0)
		return nomem(e);
	l->v = arr;
	memset(&l->v[l->n], 0, sizeof(*l->v));
	l->v[l->n].path = strdup(path);
	if (!l->v[l->n].path)
		return nomem(e);
	if (input_open(&in, path, NULL) == 0) {
		l->v[l->n].bytes = input_size(in);
		input_close(in);
	}
	l->n++;
	return 0;
}

static bool has_name(const struct dirlist *d, const char *stem, size_t n, const char *ending)
{
	for (size_t i = 0; i < d->n; i++)
		if (strlen(d->name[i]) == n + strlen(ending) && strncmp(d->name[i], stem, n) == 0 &&
		    strcasecmp(d->name[i] + n, ending) == 0)
			return true;
	return false;
}

/* A file that belongs to another one in the folder: .E02 to .E01, .002 to .001, .vmss and .vmsn to .vmem. */
static bool is_companion(const struct dirlist *d, const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t n = dot ? (size_t)(dot - name) : 0;

	if (!dot || n == 0)
		return false;
	if (strcasecmp(dot, ".vmss") == 0 || strcasecmp(dot, ".vmsn") == 0)
		return has_name(d, name, n, ".vmem");
	if (strlen(dot) != 4)
		return false;
	if (isdigit((unsigned char)dot[1]) && isdigit((unsigned char)dot[2]) && isdigit((unsigned char)dot[3]))
		return strcmp(dot, ".001") != 0 &&
		       (has_name(d, name, n, ".001") || (strcmp(dot, ".000") != 0 && has_name(d, name, n, ".000")));
	if (toupper((unsigned char)dot[1]) >= 'E' && isalnum((unsigned char)dot[2]) && isalnum((unsigned char)dot[3]))
		return strcasecmp(dot, ".E01") != 0 && has_name(d, name, n, ".E01");
	return false;
}

struct level { /* a folder that is being walked */
	struct dirlist d;
	size_t next;
	char *path;
};

static int enter(struct level *v, unsigned *n, const char *path, struct err *e)
{
	int rc;

	if (*n == BATCH_DEPTH)
		return err_set(e, ERR_LIMIT, "%s: folders deeper than %d", path, BATCH_DEPTH);
	v[*n].next = 0;
	v[*n].path = strdup(path);
	if (!v[*n].path)
		return nomem(e);
	rc = dirlist_read(&v[*n].d, path, e);
	if (rc < 0) {
		free(v[*n].path);
		return rc;
	}
	(*n)++;
	return 0;
}

static int walk(struct batch_list *l, const char *path, struct err *e)
{
	struct level v[BATCH_DEPTH];
	unsigned n = 0;
	int rc = enter(v, &n, path, e);

	while (rc == 0 && n) {
		struct level *top = &v[n - 1];
		struct buf b;
		size_t i = top->next++;

		if (i >= top->d.n) {
			dirlist_free(&top->d);
			free(top->path);
			n--;
			continue;
		}
		buf_init(&b);
		buf_printf(&b, "%s%s%s", top->path, top->path[strlen(top->path) - 1] == '/' ? "" : "/", top->d.name[i]);
		if (b.failed)
			rc = nomem(e);
		else if (top->d.folder[i])
			rc = enter(v, &n, buf_str(&b), e);
		else if (top->d.name[i][0] != '.' && !is_companion(&top->d, top->d.name[i]))
			rc = add_path(l, buf_str(&b), e);
		buf_free(&b);
	}
	while (n) {
		dirlist_free(&v[--n].d);
		free(v[n].path);
	}
	return rc;
}

int batch_list_add(struct batch_list *l, const char *word, struct err *e)
{
	struct dirlist d;
	int rc;

	if (path_is_folder(word))
		return walk(l, word, e);
	if (path_is_file(word) || !strpbrk(word, "*?["))
		return add_path(l, word, e);
	rc = dirlist_glob(&d, word, e);
	if (rc < 0)
		return rc;
	if (d.n == 0)
		rc = add_path(l, word, e); /* nothing fits: it fails under this name */
	for (size_t i = 0; rc == 0 && i < d.n; i++)
		rc = d.folder[i] ? walk(l, d.name[i], e) : add_path(l, d.name[i], e);
	dirlist_free(&d);
	return rc;
}

/* The whole file with a NUL behind it. */
static char *read_text(const char *path, uint64_t max, size_t *n, struct err *e)
{
	struct input *in;
	char *p = NULL;

	if (input_open(&in, path, e) < 0)
		return NULL;
	*n = (size_t)input_size(in);
	if (input_size(in) > max)
		err_set(e, ERR_LIMIT, "%s: too big", path);
	else if (!(p = malloc(*n + 1)))
		nomem(e);
	else if (input_read_all(in, 0, p, *n, e) < 0) {
		free(p);
		p = NULL;
	}
	if (p)
		p[*n] = 0;
	input_close(in);
	return p;
}

int batch_list_file(struct batch_list *l, const char *path, struct err *e)
{
	size_t n;
	char *text = read_text(path, LIST_BYTES_MAX, &n, e), *line = text;
	int rc = 0;

	if (!text)
		return e ? e->code : ERR_IO;
	while (rc == 0 && line < text + n) {
		char *end = memchr(line, '\n', (size_t)(text + n - line)), *next = end ? end + 1 : text + n;

		if (!end)
			end = text + n;
		if (end > line && end[-1] == '\r')
			end--;
		*end = 0;
		if (*line && *line != '#')
			rc = batch_list_add(l, line, e);
		line = next;
	}
	free(text);
	return rc;
}

static bool taken(const struct batch_list *l, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(l->v[i].folder, name) == 0)
			return true;
	return false;
}

int batch_list_names(struct batch_list *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *slash = strrchr(l->v[i].path, '/'), *base = slash ? slash + 1 : l->v[i].path;
		char name[FOLDER_MAX + 16];
		size_t n = 0;

		for (; base[n] && n < FOLDER_MAX; n++)
			name[n] = isalnum((unsigned char)base[n]) || strchr("._-", base[n]) ? base[n] : '_';
		name[n] = 0;
		if (!n || name[0] == '.')
			name[0] = '_', name[n ? n : 1] = 0;
		for (unsigned k = 2; taken(l, i, name) || strcmp(name, "batch.json") == 0 || strcmp(name, "batch.csv") == 0; k++)
			snprintf(name + n, sizeof(name) - n, "-%u", k);
		l->v[i].folder = strdup(name);
		if (!l->v[i].folder)
			return nomem(e);
	}
	return 0;
}

void batch_list_free(struct batch_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		free(l->v[i].folder);
	}
	free(l->v);
}

/* ---- job.json ------------------------------------------------------------------------------------------------------------------------------ */

static const char *status_word(const struct batch_image *im)
{
	switch (im->exit) {
	case EXIT_OK:
		return "done";
	case EXIT_LOSSES:
		return "done_with_losses";
	case EXIT_INPUT:
		return "no_image";
	case EXIT_NOKERNEL:
		return "nothing_found";
	case -1:
		return "crashed";
	default:
		return "failed";
	}
}

static void put_result(struct jsonw *w, const struct batch_image *im)
{
	static const char *const keys[] = {"build", "sessions", "files", "events", "losses"};
	const uint64_t v[] = {im->build, im->sessions, im->files, im->events, im->losses};

	jsonw_string(w, "image", im->path);
	jsonw_u64(w, "bytes", im->bytes);
	jsonw_string(w, "sha256", im->sha256[0] ? im->sha256 : NULL);
	jsonw_string(w, "status", status_word(im));
	if (im->exit >= 0)
		jsonw_i64(w, "exit", im->exit);
	else
		jsonw_null(w, "exit");
	if (im->signal)
		jsonw_i64(w, "signal", im->signal);
	else
		jsonw_null(w, "signal");
	jsonw_string(w, "error", im->error[0] ? im->error : NULL);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (im->has_counts && (i || v[i]))
			jsonw_u64(w, keys[i], v[i]);
		else
			jsonw_null(w, keys[i]);
	}
}

void batch_job_text(struct buf *out, const struct batch_image *im, const char *options)
{
	struct jsonw w;

	jsonw_init(&w, out, 0);
	jsonw_object(&w, NULL, false);
	jsonw_string(&w, "schema", "etlift/batch-job/1");
	jsonw_string(&w, "version", ETLIFT_VERSION);
	jsonw_string(&w, "options", options);
	put_result(&w, im);
	jsonw_end(&w);
	buf_u8(out, '\n');
}

static cJSON *read_json(const char *path)
{
	size_t n;
	struct err e;
	char *text = read_text(path, JSON_BYTES_MAX, &n, &e);
	cJSON *j = text ? cJSON_ParseWithLength(text, n) : NULL;

	free(text);
	return j;
}

static const char *text_of(const cJSON *j, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));

	return s ? s : "";
}

static bool number_of(const cJSON *j, const char *key, uint64_t *out)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(j, key);

	if (!cJSON_IsNumber(x) || x->valuedouble < 0 || x->valuedouble > 9e15)
		return false;
	*out = (uint64_t)x->valuedouble;
	return true;
}

bool batch_job_read(struct batch_image *im, const char *path, const char *options)
{
	cJSON *j = read_json(path);
	uint64_t exit_status = 0;
	bool ok = j && strcmp(text_of(j, "version"), ETLIFT_VERSION) == 0 && strcmp(text_of(j, "options"), options) == 0 &&
		  strcmp(text_of(j, "image"), im->path) == 0 && number_of(j, "exit", &exit_status) && exit_status != EXIT_INTERNAL &&
		  exit_status != EXIT_INTERRUPTED;

	if (ok) {
		im->exit = (int)exit_status;
		im->signal = 0;
		snprintf(im->sha256, sizeof(im->sha256), "%s", text_of(j, "sha256"));
		snprintf(im->error, sizeof(im->error), "%s", text_of(j, "error"));
		number_of(j, "build", &im->build);
		im->has_counts = number_of(j, "sessions", &im->sessions) && number_of(j, "files", &im->files) &&
				 number_of(j, "events", &im->events) && number_of(j, "losses", &im->losses);
	}
	cJSON_Delete(j);
	return ok;
}

void batch_counts(struct batch_image *im, const char *path)
{
	cJSON *j = read_json(path), *s;

	if (!j)
		return;
	im->has_counts = true;
	im->losses = (uint64_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(j, "losses"));
	number_of(cJSON_GetObjectItemCaseSensitive(j, "kernel"), "build", &im->build);
	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(j, "sessions"))
	{
		static const char *const kinds[] = {"etl", "residual"};

		im->sessions++;
		for (int k = 0; k < 2; k++) {
			uint64_t n;

			if (number_of(cJSON_GetObjectItemCaseSensitive(s, kinds[k]), "events", &n)) {
				im->files++;
				im->events += n;
			}
		}
	}
	cJSON_Delete(j);
}

/* ---- the summary --------------------------------------------------------------------------------------------------------------------------- */

void batch_summary_json(struct buf *out, const struct batch_list *l)
{
	struct jsonw w;
	uint64_t sessions = 0, events = 0, failed = 0;

	jsonw_init(&w, out, 0);
	jsonw_object(&w, NULL, false);
	jsonw_string(&w, "schema", "etlift/batch/1");
	jsonw_object(&w, "tool", true);
	jsonw_string(&w, "name", "etlift");
	jsonw_string(&w, "version", ETLIFT_VERSION);
	jsonw_end(&w);
	jsonw_array(&w, "images", false);
	for (size_t i = 0; i < l->n; i++) {
		const struct batch_image *im = &l->v[i];

		jsonw_object(&w, NULL, true);
		jsonw_string(&w, "folder", im->folder);
		put_result(&w, im);
		jsonw_end(&w);
		sessions += im->sessions;
		events += im->events;
		failed += im->exit != EXIT_OK && im->exit != EXIT_LOSSES;
	}
	jsonw_end(&w);
	jsonw_object(&w, "totals", true);
	jsonw_u64(&w, "images", l->n);
	jsonw_u64(&w, "failed", failed);
	jsonw_u64(&w, "sessions", sessions);
	jsonw_u64(&w, "events", events);
	jsonw_end(&w);
	jsonw_end(&w);
	buf_u8(out, '\n');
}

/* RFC 4180; a field that a spreadsheet would take for a formula gets a leading quote. */
static void csv_field(struct buf *out, const char *s, bool last)
{
	buf_u8(out, '"');
	if (*s && strchr("=+-@\t\r", *s))
		buf_u8(out, '\'');
	for (; *s; s++) {
		if (*s == '"')
			buf_u8(out, '"');
		buf_u8(out, (uint8_t)*s);
	}
	buf_puts(out, last ? "\"\r\n" : "\",");
}

void batch_summary_csv(struct buf *out, const struct batch_list *l)
{
	buf_puts(out, "image,folder,bytes,sha256,status,exit,build,sessions,files,events,losses,error\r\n");
	for (size_t i = 0; i < l->n; i++) {
		const struct batch_image *im = &l->v[i];

		csv_field(out, im->path, false);
		csv_field(out, im->folder, false);
		buf_printf(out, "%llu,%s,%s,", (unsigned long long)im->bytes, im->sha256, status_word(im));
		if (im->exit >= 0)
			buf_printf(out, "%d", im->exit);
		if (im->has_counts)
			buf_printf(out, ",%llu,%llu,%llu,%llu,%llu,", (unsigned long long)im->build, (unsigned long long)im->sessions,
				   (unsigned long long)im->files, (unsigned long long)im->events, (unsigned long long)im->losses);
		else
			buf_puts(out, ",,,,,,");
		csv_field(out, im->error, true);
	}
}
