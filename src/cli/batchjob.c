/* batchjob.c - what became of the images of a batch: job.json of each, batch.json and batch.csv of all. See batchlist.h */
#include "batchlist.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "jsonw.h"

#define JSON_BYTES_MAX ((uint64_t)512 << 20) /* of a report that is counted */

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
	case BATCH_NOT_DONE:
		return "not_done";
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
	jsonw_string(w, "companions_sha256", im->companions[0] ? im->companions : NULL);
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
	char *text = batch_read_text(path, JSON_BYTES_MAX, &n, NULL);
	cJSON *j = text ? cJSON_ParseWithLength(text, n) : NULL;

	free(text);
	return j;
}

static const char *text_of(const cJSON *j, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));

	return s ? s : "";
}

/* Is the string the one that would be written for `want`? (What is no UTF-8 is written with other characters in its place.) */
static bool same_text(const cJSON *j, const char *key, const char *want)
{
	struct jsonw w;
	struct buf b;
	cJSON *as_written;
	bool same;

	buf_init(&b);
	jsonw_init(&w, &b, 0);
	jsonw_object(&w, NULL, true);
	jsonw_string(&w, key, want);
	jsonw_end(&w);
	as_written = b.failed ? NULL : cJSON_ParseWithLength(buf_str(&b), b.n);
	same = as_written && strcmp(text_of(j, key), text_of(as_written, key)) == 0;
	cJSON_Delete(as_written);
	buf_free(&b);
	return same;
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
	uint64_t status = 0, signal_no = 0;
	bool ok = j && strcmp(text_of(j, "version"), ETLIFT_VERSION) == 0 && same_text(j, "options", options) &&
		  same_text(j, "image", im->path) && (number_of(j, "exit", &status) || number_of(j, "signal", &signal_no));

	if (ok) {
		im->exit = signal_no ? -1 : (int)status;
		im->signal = (int)signal_no;
		snprintf(im->sha256, sizeof(im->sha256), "%s", text_of(j, "sha256"));
		snprintf(im->companions, sizeof(im->companions), "%s", text_of(j, "companions_sha256"));
		snprintf(im->error, sizeof(im->error), "%s", text_of(j, "error"));
		number_of(j, "build", &im->build);
		im->has_counts = number_of(j, "sessions", &im->sessions) && number_of(j, "files", &im->files) &&
				 number_of(j, "events", &im->events) && number_of(j, "losses", &im->losses);
	}
	cJSON_Delete(j);
	return ok;
}

bool batch_finished(const struct batch_image *im)
{
	return im->exit >= 0 && im->exit != EXIT_INTERNAL && im->exit != EXIT_INTERRUPTED;
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

bool batch_failed(const struct batch_image *im)
{
	return im->exit != EXIT_OK && im->exit != EXIT_LOSSES;
}

size_t batch_failures(const struct batch_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += batch_failed(&l->v[i]);
	return n;
}

void batch_summary_json(struct buf *out, const struct batch_list *l)
{
	struct jsonw w;
	uint64_t sessions = 0, events = 0, failed = batch_failures(l);

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
