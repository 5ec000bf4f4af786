/* cmd_check.c - etlift check: the structure of .etl files, finding by finding. */
#include <inttypes.h>

#include "buf.h"
#include "cli.h"
#include "etlcheck.h"
#include "etlfile.h"
#include "jsonw.h"

/* One element of "files"; `packed`: how, or NULL; `o` NULL: the file could not be read, `why` says why. */
static void put_file(struct jsonw *w, const char *path, const struct etl_checked *o, const char *packed, const char *why)
{
	jsonw_object(w, NULL, false);
	jsonw_string(w, "path", path);
	if (!o) {
		jsonw_null(w, "valid");
		jsonw_string(w, "error", why);
		jsonw_end(w);
		return;
	}
	jsonw_string(w, "packed", packed);
	jsonw_bool(w, "valid", o->n_findings == 0);
	jsonw_array(w, "findings", false);
	for (size_t i = 0; i < o->n_findings; i++) {
		jsonw_object(w, NULL, true);
		jsonw_string(w, "rule", o->findings[i].rule);
		jsonw_u64(w, "offset", o->findings[i].offset);
		jsonw_string(w, "detail", o->findings[i].detail);
		jsonw_end(w);
	}
	jsonw_end(w);
	if (o->n_more)
		jsonw_u64(w, "more_findings", o->n_more);
	jsonw_u64(w, "buffers", o->buffers);
	jsonw_bool(w, "compressed", o->compressed);
	jsonw_object(w, "records", true);
	for (unsigned k = 0; k < ETW_KINDS; k++)
		if (o->records[k])
			jsonw_u64(w, etw_kind_name((enum etw_kind)k), o->records[k]);
	jsonw_end(w);
	jsonw_end(w);
}

/* A line per finding and one for the file. 0 or ERR_NOMEM. */
static int print_file(const char *path, const struct etl_checked *o)
{
	struct buf b;
	uint64_t all = 0;
	int rc;

	buf_init(&b);
	for (size_t i = 0; i < o->n_findings; i++) {
		text_safe(&b, path);
		buf_printf(&b, ": 0x%" PRIx64 ": %s: %s\n", o->findings[i].offset, o->findings[i].rule, o->findings[i].detail);
	}
	for (unsigned k = 0; k < ETW_KINDS; k++)
		all += o->records[k];
	text_safe(&b, path);
	buf_printf(&b, ": %s, %u buffers%s, %" PRIu64 " records", o->n_findings ? "not valid" : "valid", o->buffers,
		   o->compressed ? " (compressed)" : "", all);
	for (unsigned k = 0, n = 0; k < ETW_KINDS; k++)
		if (o->records[k])
			buf_printf(&b, "%s %s %" PRIu64, n++ ? "," : ":", etw_kind_name((enum etw_kind)k), o->records[k]);
	if (o->n_more)
		buf_printf(&b, "; %" PRIu64 " more findings", o->n_more);
	buf_u8(&b, '\n');
	rc = b.failed ? ERR_NOMEM : 0;
	if (rc == 0)
		fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
	return rc;
}

/* *packed: static text. */
static int check_path(struct cli *c, struct etl_checked *o, const char **packed, const char *path, struct err *e)
{
	struct etlfile f;
	int rc = etlfile_open(&f, path, e);

	if (rc < 0)
		return rc;
	*packed = f.outer ? f.packed.name : NULL;
	if (f.outer && f.packed.truncated)
		cli_warn(c, "%s: %s: only the first %llu bytes can be unpacked", path, f.packed.name, (unsigned long long)f.packed.size);
	if (input_size(f.in) == 0)
		rc = err_set(e, ERR_NOIMAGE, "%s: the file is empty", path);
	else if ((rc = etl_check(o, f.in, e)) < 0)
		err_prepend(e, "%s", path);
	etlfile_close(&f);
	return rc;
}

/* The status of one file; negative: out of memory. `w` NULL: lines of text. */
static int one_file(struct cli *c, struct jsonw *w, const char *path)
{
	struct etl_checked o = {0};
	const char *packed = NULL;
	struct err e;
	int status;

	if (check_path(c, &o, &packed, path, &e) < 0) {
		status = cli_fail(c, &e, true);
		if (w)
			put_file(w, path, NULL, NULL, e.msg);
		return status;
	}
	status = o.n_findings ? EXIT_CHECK : EXIT_OK;
	if (w)
		put_file(w, path, &o, packed, NULL);
	else if (print_file(path, &o) < 0)
		status = ERR_NOMEM;
	etl_checked_clear(&o);
	return status;
}

int cmd_check(struct cli *c)
{
	bool json = cli_flag(c, OPT_JSON);
	int status = EXIT_OK;
	struct jsonw w;
	struct buf out;
	struct err e;

	buf_init(&out);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w, NULL, false);
	jsonw_string(&w, "schema", "etlift/check/1");
	jsonw_array(&w, "files", false);
	for (size_t i = 0; i < c->n_args && status >= 0; i++) {
		int s = one_file(c, json ? &w : NULL, c->arg[i]);

		status = s < 0 || s > status ? s : status;
	}
	jsonw_end(&w);
	jsonw_end(&w);
	if (out.failed)
		status = ERR_NOMEM;
	if (json && status >= 0) {
		fwrite(out.p, 1, out.n, stdout);
		fputc('\n', stdout);
	}
	buf_free(&out);
	if (status >= 0)
		return status;
	err_set(&e, ERR_NOMEM, "out of memory");
	return cli_fail(c, &e, false);
}
