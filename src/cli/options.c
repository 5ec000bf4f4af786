/* options.c - one parser for every option of every command, driven by options.def and commands.def. */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "wintime.h"

const struct opt_def opt_defs[OPT_COUNT] = {
#define OPT(id, s, l, kind, meta, help) {s, l, kind, meta, help},
#include "options.def"
#undef OPT
};
_Static_assert(OPT_COUNT <= 64, "option bits");

bool cli_number(const char *s, uint64_t *out)
{
	uint64_t v = 0;
	unsigned base = 10;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned d = 99;

		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (isxdigit((unsigned char)*s))
			d = (unsigned)(tolower((unsigned char)*s) - 'a' + 10);
		if (d >= base || v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	*out = v;
	return true;
}

bool cli_glob(const char *pattern, const char *s)
{
	const char *star = NULL, *mark = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = ++pattern;
			mark = s;
		} else if (*pattern && (*pattern == '?' || tolower((unsigned char)*pattern) == tolower((unsigned char)*s))) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star;
			s = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool choice_ok(const char *words, const char *v)
{
	size_t n = strlen(v);

	for (const char *w = words; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
		if (n && strncmp(w, v, n) == 0 && (w[n] == '|' || !w[n]))
			return true;
	return false;
}

static int nomem(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

/* Stores one option; `v` NULL: none was given (flags). */
static int store(struct cli *c, enum opt_id id, const char *v, struct err *e)
{
	const struct opt_def *d = &opt_defs[id];
	struct opt_value *o = &c->opt[id];

	if (!v && d->kind != K_FLAG && d->kind != K_COUNT && d->kind != K_OPT)
		return err_set(e, ERR_USAGE, "--%s: its value is missing", d->long_name);
	switch (d->kind) {
	case K_FLAG:
	case K_COUNT:
		break;
	case K_OPT:
		if (v && strcmp(v, d->meta) != 0)
			return err_set(e, ERR_USAGE, "--%s: '%s' is not a word it knows; give --%s or --%s=%s", d->long_name, v,
				       d->long_name, d->long_name, d->meta);
		o->str = v;
		break;
	case K_STR:
		if (!*v)
			return err_set(e, ERR_USAGE, "--%s: its value is empty", d->long_name);
		o->str = v;
		break;
	case K_CHOICE:
		if (!choice_ok(d->meta, v))
			return err_set(e, ERR_USAGE, "--%s: '%s' is not one of %s", d->long_name, v, d->meta);
		o->str = v;
		break;
	case K_LIST:
		if (!*v)
			return err_set(e, ERR_USAGE, "--%s: its value is empty", d->long_name);
		if (arr_reserve((void **)&o->list, &o->cap, o->count, sizeof(*o->list)) < 0)
			return nomem(e);
		o->list[o->count] = v;
		break;
	case K_NUM:
	case K_NUMS:
		if (!cli_number(v, &o->num))
			return err_set(e, ERR_USAGE, "--%s: '%s' is not a number", d->long_name, v);
		if (d->kind == K_NUM)
			break;
		if (arr_reserve((void **)&o->nums, &o->cap, o->count, sizeof(*o->nums)) < 0)
			return nomem(e);
		o->nums[o->count] = o->num;
		break;
	case K_TIME:
		if (!wintime_parse(v, &o->time))
			return err_set(e, ERR_USAGE, "--%s: '%s' is not a time like 2024-05-03T22:20:35Z", d->long_name, v);
		break;
	}
	o->set = true;
	o->count++;
	return 0;
}

static bool allowed(const struct cli *c, enum opt_id id)
{
	return (((c->cmd ? c->cmd->opts : 0) | OPTS_ALL) >> id & 1) != 0;
}

static int misplaced(const struct cli *c, const char *shown, struct err *e)
{
	if (!c->cmd)
		return err_set(e, ERR_USAGE, "%s: belongs behind the command; see 'etlift --help'", shown);
	return err_set(e, ERR_USAGE, "%s: not an option of %s; see 'etlift %s --help'", shown, c->cmd->name, c->cmd->name);
}

static int unknown(const struct cli *c, const char *shown, struct err *e)
{
	return err_set(e, ERR_USAGE, "%s: no such option; see 'etlift %s%s--help'", shown, c->cmd ? c->cmd->name : "", c->cmd ? " " : "");
}

static int parse_long(struct cli *c, const char *word, const char *next, bool *took_next, struct err *e)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	char shown[80];

	snprintf(shown, sizeof(shown), "--%.*s", (int)(n > 70 ? 70 : n), word);
	for (int id = 0; id < OPT_COUNT; id++) {
		const struct opt_def *d = &opt_defs[id];
		const char *v = eq ? eq + 1 : NULL;

		if (strlen(d->long_name) != n || strncmp(d->long_name, word, n) != 0)
			continue;
		if (!allowed(c, (enum opt_id)id))
			return misplaced(c, shown, e);
		if (!d->meta && v)
			return err_set(e, ERR_USAGE, "%s: takes no value", shown);
		if (d->meta && d->kind != K_OPT && !v) {
			if (!next)
				return err_set(e, ERR_USAGE, "%s: its value (%s) is missing", shown, d->meta);
			v = next;
			*took_next = true;
		}
		return store(c, (enum opt_id)id, v, e);
	}
	return unknown(c, shown, e);
}

static int parse_short(struct cli *c, const char *word, const char *next, bool *took_next, struct err *e)
{
	for (const char *s = word; *s; s++) {
		char shown[3] = {'-', *s, 0};
		int id = 0, rc;

		while (id < OPT_COUNT && opt_defs[id].short_name != *s)
			id++;
		if (id == OPT_COUNT)
			return unknown(c, shown, e);
		if (!allowed(c, (enum opt_id)id))
			return misplaced(c, shown, e);
		if (opt_defs[id].meta) {
			const char *v = s[1] ? s + 1 : next;

			if (!v)
				return err_set(e, ERR_USAGE, "%s: its value (%s) is missing", shown, opt_defs[id].meta);
			*took_next = !s[1];
			return store(c, (enum opt_id)id, v, e);
		}
		rc = store(c, (enum opt_id)id, NULL, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_word(struct cli *c, const char *word, struct err *e)
{
	if (!c->cmd) {
		c->cmd = command_find(word);
		return c->cmd ? 0 : err_set(e, ERR_USAGE, "%s: no such command; see 'etlift --help'", word);
	}
	if (arr_reserve((void **)&c->arg, &c->cap_args, c->n_args, sizeof(*c->arg)) < 0)
		return nomem(e);
	c->arg[c->n_args++] = word;
	return 0;
}

int cli_parse(struct cli *c, int argc, char **argv, struct err *e)
{
	bool only_words = false;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool took_next = false;
		int rc;

		if (only_words || a[0] != '-' || !a[1])
			rc = parse_word(c, a, e);
		else if (strcmp(a, "--") == 0)
			rc = 0, only_words = true;
		else if (a[1] == '-')
			rc = parse_long(c, a + 2, next, &took_next, e);
		else
			rc = parse_short(c, a + 1, next, &took_next, e);
		if (rc < 0)
			return rc;
		i += took_next;
	}
	c->level = cli_flag(c, OPT_QUIET) ? -1 : (int)(c->opt[OPT_VERBOSE].count > 2 ? 2 : c->opt[OPT_VERBOSE].count);
	return 0;
}

void cli_free(struct cli *c)
{
	for (int id = 0; id < OPT_COUNT; id++) {
		free(c->opt[id].list);
		free(c->opt[id].nums);
	}
	free(c->arg);
}
