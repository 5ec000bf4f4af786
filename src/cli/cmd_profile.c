/* cmd_profile.c - etlift profile list | show | make | merge: what is built in, and new profiles from symbol files. docs/profiles.md. */
#include <string.h>

#include "cli.h"
#include "profmake.h"
#include "profshow.h"

static int usage(struct cli *c, const char *what)
{
	cli_error(c, "profile: %s; see 'etlift help profile'", what);
	return EXIT_USAGE;
}

static int put(struct cli *c, struct buf *b, int r, const struct err *e)
{
	int status = EXIT_OK;

	if (r)
		status = cli_fail(c, e, true);
	else
		fwrite(b->p, 1, b->n, stdout); /* finish() looks whether it arrived */
	buf_free(b);
	return status;
}

static int list(struct cli *c)
{
	uint32_t build = (uint32_t)c->opt[OPT_BUILD].num;
	struct err e = {0, ""};
	struct buf b;

	buf_init(&b);
	if (c->n_args > 1)
		return usage(c, "list takes no argument (--build N for one build)");
	if (cli_flag(c, OPT_JSON))
		return put(c, &b, proflist_json(build, ETLIFT_VERSION, &b, &e), &e);
	return put(c, &b, proflist_text(build, &b, &e), &e);
}

static int open_set(struct cli *c, struct profset **out, struct err *e)
{
	const struct opt_value *no = &c->opt[OPT_NO_BUILTIN];
	int r = profset_new(out, e);

	for (unsigned i = 0; i < c->opt[OPT_SYMBOLS].count && !r; i++)
		r = profset_add_path(*out, c->opt[OPT_SYMBOLS].list[i], e);
	if (!r && no->set) {
		if (no->str && strcmp(no->str, "build") == 0)
			profset_disable_builtin_build(*out);
		else
			profset_disable_builtin(*out);
	}
	if (!r)
		profset_set_image_build(*out, (uint32_t)c->opt[OPT_BUILD].num);
	return r;
}

static int show(struct cli *c)
{
	struct profset *s = NULL;
	struct profile p;
	struct err e = {0, ""};
	struct buf b;
	int r;

	buf_init(&b);
	if (c->n_args != 2)
		return usage(c, "show wants one name or file");
	r = open_set(c, &s, &e);
	if (!r)
		r = profset_named(s, c->arg[1], &p, &e);
	profset_free(s);
	if (!r && cli_flag(c, OPT_JSON))
		r = profshow_json(&p, NULL, ETLIFT_VERSION, &b, &e);
	else if (!r)
		r = profshow_text(&p, &b, &e);
	return put(c, &b, r, &e);
}

static int make(struct cli *c, bool merge)
{
	struct profmake_opts o = {.build = (uint32_t)c->opt[OPT_BUILD].num,
				  .version = cli_str(c, OPT_KERNEL_VERSION),
				  .os = cli_str(c, OPT_OS),
				  .source = cli_str(c, OPT_SOURCE),
				  .versions = cli_str(c, OPT_VERSIONS),
				  .profiles_only = merge,
				  .replace = cli_flag(c, OPT_FORCE),
				  .out = cli_str(c, OPT_OUTPUT)};
	struct profmake_done done;
	struct err e = {0, ""};

	if (c->n_args < 2 || !o.out)
		return usage(c, "make and merge want files and -o DIR");
	if (profmake_run(&o, c->arg + 1, c->n_args - 1, &done, &e))
		return cli_fail(c, &e, true);
	cli_info(c, "%zu files with %zu kernels and %zu layouts in %s", done.n_files, done.n_kernels, done.n_variants, o.out);
	return EXIT_OK;
}

int cmd_profile(struct cli *c)
{
	const char *verb = c->arg[0];

	if (c->opt[OPT_BUILD].num > PROF_BUILD_MAX)
		return usage(c, "--build: no build number");
	if (strcmp(verb, "list") == 0)
		return list(c);
	if (strcmp(verb, "show") == 0)
		return show(c);
	if (strcmp(verb, "make") == 0 || strcmp(verb, "merge") == 0)
		return make(c, verb[1] == 'e');
	return usage(c, "list, show, make or merge is wanted");
}
