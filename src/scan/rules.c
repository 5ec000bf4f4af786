/* rules.c - see rules.h */
#include "rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "input.h"
#include "path.h"

#ifdef HAVE_YARA
#include <yara.h>

#define SETS_MAX        256 /* rule files */
#define TAGS_ROOM       256
#define RULES_BYTES_MAX (UINT64_C(256) << 20) /* of one file */

struct set { /* one file's rules */
	YR_RULES *rules;
	char *file; /* owned */
};

struct rules {
	bool initialized;
	struct set set[SETS_MAX];
	size_t n;
};

struct rules_scanner {
	const struct rules *r;
	YR_SCANNER *scanner[SETS_MAX];
	/* of the scan under way */
	const struct set *set;
	rules_fn *fn;
	void *ctx;
	int rc;
	bool too_many;
};

static int yara_err(int code, const char *what, struct err *e)
{
	if (code == ERROR_INSUFFICIENT_MEMORY)
		return err_set(e, ERR_NOMEM, "out of memory");
	return err_set(e, ERR_FORMAT, "%s: libyara error %d", what, code);
}

int rules_new(struct rules **out, struct err *e)
{
	struct rules *r = calloc(1, sizeof(*r));
	int code;

	if (!r)
		return err_set(e, ERR_NOMEM, "out of memory");
	code = yr_initialize();
	if (code != ERROR_SUCCESS) {
		free(r);
		return yara_err(code, "starting", e);
	}
	r->initialized = true;
	*out = r;
	return 0;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		yr_rules_destroy(r->set[i].rules);
		free(r->set[i].file);
	}
	if (r->initialized)
		yr_finalize();
	free(r);
}

struct complaint { /* the first one: the others follow from it */
	struct err e;
	bool any;
};

static void on_compile(int level, const char *file, int line, const YR_RULE *rule, const char *message, void *ctx)
{
	struct complaint *c = ctx;

	(void)rule;
	if (level != YARA_ERROR_LEVEL_ERROR || c->any)
		return;
	c->any = true;
	err_set(&c->e, ERR_FORMAT, "%s%sline %d: %s", file ? file : "", file ? ": " : "", line, message);
}

static int compile(FILE *f, const char *path, YR_RULES **out, struct err *e)
{
	struct complaint c = {.any = false};
	YR_COMPILER *yc;
	int code = yr_compiler_create(&yc);

	if (code != ERROR_SUCCESS)
		return yara_err(code, path, e);
	yr_compiler_set_callback(yc, on_compile, &c);
	if (yr_compiler_add_file(yc, f, NULL, path) > 0) {
		if (c.any && e)
			*e = c.e;
		else
			err_set(e, ERR_FORMAT, "%s: does not compile", path);
		yr_compiler_destroy(yc);
		return ERR_FORMAT;
	}
	code = yr_compiler_get_rules(yc, out);
	yr_compiler_destroy(yc);
	return code == ERROR_SUCCESS ? 0 : yara_err(code, path, e);
}

struct memory { /* for YR_STREAM */
	const uint8_t *p;
	size_t n, at;
};

static size_t memory_read(void *ptr, size_t size, size_t count, void *user)
{
	struct memory *m = user;
	size_t k = size ? (m->n - m->at) / size : 0;

	if (k > count)
		k = count;
	memcpy(ptr, m->p + m->at, k * size);
	m->at += k * size;
	return k;
}

static int load_in(struct memory *m, YR_RULES **out)
{
	YR_STREAM stream = {.user_data = m, .read = memory_read};

	return yr_rules_load_stream(&stream, out) == ERROR_SUCCESS ? 0 : 1;
}

static int nothing(YR_SCAN_CONTEXT *context, int message, void *data, void *user)
{
	(void)context;
	(void)message;
	(void)data;
	(void)user;
	return CALLBACK_CONTINUE;
}

/* libyara believes compiled rules: what does not fit makes it abort, or jump anywhere, when they are loaded or run. Runs in a copy of this process. */
static int try_load(void *ctx)
{
	struct memory m = *(const struct memory *)ctx;
	static const uint8_t some[4096];
	YR_RULES *rules;

	if (load_in(&m, &rules) != 0)
		return 1;
	yr_rules_scan_mem(rules, some, sizeof(some), 0, nothing, NULL, 10);
	return 0;
}

static int load(const uint8_t *p, size_t n, const char *path, YR_RULES **out, struct err *e)
{
	struct memory m = {p, n, 0};
	int tried = child_try(try_load, &m);

	if (tried == CHILD_DIED)
		return err_set(e, ERR_FORMAT, "%s: compiled rules that are damaged: libyara (" YR_VERSION ") crashes on them", path);
	if (tried != 0 || load_in(&m, out) != 0)
		return err_set(e, ERR_FORMAT, "%s: compiled rules that this libyara (" YR_VERSION ") can't load", path);
	return 0;
}

static int take(const uint8_t *p, size_t n, const char *path, YR_RULES **out, struct err *e)
{
	FILE *f;
	int rc;

	if (n >= 4 && memcmp(p, "YARA", 4) == 0)
		return load(p, n, path, out, e);
	f = fmemopen((void *)(uintptr_t)p, n, "rb");
	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = compile(f, path, out, e);
	fclose(f);
	return rc;
}

int rules_add(struct rules *r, const char *path, struct err *e)
{
	struct set *s = &r->set[r->n];
	struct input *in;
	uint8_t *p;
	int rc;

	if (r->n == SETS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d rule files", SETS_MAX);
	rc = input_open(&in, path, e);
	if (rc < 0)
		return rc;
	if (input_size(in) > RULES_BYTES_MAX || input_size(in) == 0)
		rc = err_set(e, ERR_FORMAT, "%s: %s", path, input_size(in) ? "too big for a rule file" : "is empty");
	p = rc == 0 ? malloc(input_size(in)) : NULL;
	if (rc == 0)
		rc = p ? input_read_all(in, 0, p, input_size(in), e) : err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0)
		rc = take(p, input_size(in), path, &s->rules, e);
	free(p);
	input_close(in);
	if (rc < 0)
		return rc;
	s->file = strdup(path_base(path));
	if (!s->file) {
		yr_rules_destroy(s->rules);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	r->n++;
	return 0;
}

size_t rules_count(const struct rules *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		YR_RULE *rule;

		yr_rules_foreach(r->set[i].rules, rule) n++;
	}
	return n;
}

int rules_scanner_new(struct rules_scanner **out, const struct rules *r, struct err *e)
{
	struct rules_scanner *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->r = r;
	for (size_t i = 0; i < r->n; i++) {
		int code = yr_scanner_create(r->set[i].rules, &s->scanner[i]);

		if (code != ERROR_SUCCESS) {
			rules_scanner_free(s);
			return yara_err(code, "scanner", e);
		}
	}
	*out = s;
	return 0;
}

void rules_scanner_free(struct rules_scanner *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->r->n; i++)
		if (s->scanner[i])
			yr_scanner_destroy(s->scanner[i]);
	free(s);
}

static void join_tags(YR_RULE *rule, char out[TAGS_ROOM])
{
	const char *tag;
	size_t n = 0;

	out[0] = 0;
	yr_rule_tags_foreach(rule, tag)
	{
		int k = snprintf(out + n, TAGS_ROOM - n, "%s%s", n ? "," : "", tag);

		if (k < 0 || (size_t)k >= TAGS_ROOM - n)
			break;
		n += (size_t)k;
	}
}

/* libyara 4.2 keeps its matches at addresses that are not aligned for their type. */
__attribute__((no_sanitize("alignment"))) static int one_rule(struct rules_scanner *s, YR_SCAN_CONTEXT *context, YR_RULE *rule)
{
	char tags[TAGS_ROOM];
	struct rule_match m = {.rule = rule->identifier, .file = s->set->file, .tags = tags};
	YR_STRING *string;
	bool any = false;
	int rc = 0;

	join_tags(rule, tags);
	yr_rule_strings_foreach(rule, string)
	{
		YR_MATCH *match;

		if (STRING_IS_PRIVATE(string))
			continue;
		yr_string_matches_foreach(context, string, match)
		{
			if (rc < 0)
				break;
			any = true;
			m.string = string->identifier;
			m.offset = (uint64_t)(match->base + match->offset);
			m.length = (uint32_t)match->match_length;
			m.bytes = match->data;
			m.n_bytes = (uint32_t)match->data_length < RULES_SHOWN ? (uint32_t)match->data_length : RULES_SHOWN;
			rc = s->fn(s->ctx, &m);
		}
	}
	if (any || rc < 0)
		return rc;
	m.string = NULL;
	return s->fn(s->ctx, &m);
}

static int on_message(YR_SCAN_CONTEXT *context, int message, void *data, void *user)
{
	struct rules_scanner *s = user;

	if (message == CALLBACK_MSG_TOO_MANY_MATCHES)
		s->too_many = true;
	if (message != CALLBACK_MSG_RULE_MATCHING)
		return CALLBACK_CONTINUE;
	s->rc = one_rule(s, context, data);
	return s->rc < 0 ? CALLBACK_ABORT : CALLBACK_CONTINUE;
}

int rules_scan(struct rules_scanner *s, const void *p, size_t n, rules_fn *fn, void *ctx, struct err *e)
{
	s->fn = fn;
	s->ctx = ctx;
	s->rc = 0;
	s->too_many = false;
	for (size_t i = 0; i < s->r->n; i++) {
		int code;

		s->set = &s->r->set[i];
		yr_scanner_set_flags(s->scanner[i], SCAN_FLAGS_REPORT_RULES_MATCHING);
		yr_scanner_set_callback(s->scanner[i], on_message, s);
		code = yr_scanner_scan_mem(s->scanner[i], p, n);
		if (s->rc < 0)
			return err_set(e, s->rc, "stopped");
		if (code != ERROR_SUCCESS && code != ERROR_TOO_MANY_MATCHES)
			return yara_err(code, s->set->file, e);
		s->too_many |= code == ERROR_TOO_MANY_MATCHES;
	}
	return s->too_many ? err_set(e, ERR_LIMIT, "a string matched more often than libyara counts") : 0;
}

#else /* without libyara */

int rules_new(struct rules **out, struct err *e)
{
	(void)out;
	return err_set(e, ERR_UNSUPPORTED, "this build has no libyara: YARA rules can't be used");
}

void rules_free(struct rules *r)
{
	(void)r;
}

int rules_add(struct rules *r, const char *path, struct err *e)
{
	(void)r;
	(void)path;
	return err_set(e, ERR_UNSUPPORTED, "this build has no libyara");
}

size_t rules_count(const struct rules *r)
{
	(void)r;
	return 0;
}

int rules_scanner_new(struct rules_scanner **out, const struct rules *r, struct err *e)
{
	(void)out;
	(void)r;
	return err_set(e, ERR_UNSUPPORTED, "this build has no libyara");
}

void rules_scanner_free(struct rules_scanner *s)
{
	(void)s;
}

int rules_scan(struct rules_scanner *s, const void *p, size_t n, rules_fn *fn, void *ctx, struct err *e)
{
	(void)s;
	(void)p;
	(void)n;
	(void)fn;
	(void)ctx;
	return err_set(e, ERR_UNSUPPORTED, "this build has no libyara");
}
#endif
