/* profile - the library's profile functions from the command line, for tests and for building profiles/ before there is an etlift:
 *   profile [profile] make [-q] [-o DIR] [--build N] [--kernel-version V] [--os T] [--source T] [--versions TABLE] FILE...
 *   profile [profile] show NAME [--json] [--symbols PATH] [--build N] [--no-builtin]   ·   profile [profile] list [--json] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profmake.h"
#include "profshow.h"

struct args {
	struct profmake_opts make;
	const char *symbols[16], **path;
	size_t n_symbols, n_paths;
	bool json, no_builtin;
};

static void parse(struct args *a, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "-q"))
			continue;
		if (!strcmp(argv[i], "--json")) {
			a->json = true;
			continue;
		}
		if (!strcmp(argv[i], "--no-builtin")) {
			a->no_builtin = true;
			continue;
		}
		if (argv[i][0] != '-') {
			a->path[a->n_paths++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "-o"))
			a->make.out = value;
		else if (!strcmp(argv[i], "--build"))
			a->make.build = (uint32_t)strtoul(value, NULL, 10);
		else if (!strcmp(argv[i], "--kernel-version"))
			a->make.version = value;
		else if (!strcmp(argv[i], "--os"))
			a->make.os = value;
		else if (!strcmp(argv[i], "--source"))
			a->make.source = value;
		else if (!strcmp(argv[i], "--versions"))
			a->make.versions = value;
		else if (!strcmp(argv[i], "--symbols") && a->n_symbols < 16)
			a->symbols[a->n_symbols++] = value;
		i++;
	}
}

static int show(const struct args *a, struct buf *out, struct err *e)
{
	struct profset *s;
	struct profile p;
	int r = profset_new(&s, e);

	if (r)
		return r;
	for (size_t i = 0; i < a->n_symbols && !r; i++)
		r = profset_add_path(s, a->symbols[i], e);
	if (a->no_builtin)
		profset_disable_builtin(s);
	if (!r) {
		profset_set_image_build(s, a->make.build);
		r = profset_named(s, a->n_paths ? a->path[0] : "", &p, e);
	}
	if (!r)
		r = a->json ? profshow_json(&p, NULL, ETLIFT_VERSION, out, e) : profshow_text(&p, out, e);
	profset_free(s);
	return r;
}

int main(int argc, char **argv)
{
	struct args a = {0};
	struct profmake_done done;
	struct err e = {0, ""};
	struct buf out;
	int at = argc > 1 && !strcmp(argv[1], "profile") ? 2 : 1, r = ERR_USAGE;
	const char *verb = argc > at ? argv[at] : "";

	a.path = calloc((size_t)argc, sizeof(*a.path));
	parse(&a, argc > at ? argc - at - 1 : 0, argv + at + 1);
	buf_init(&out);
	a.make.profiles_only = !strcmp(verb, "merge");
	if (!strcmp(verb, "make") || !strcmp(verb, "merge"))
		r = profmake_run(&a.make, a.path, a.n_paths, &done, &e);
	else if (!strcmp(verb, "show"))
		r = show(&a, &out, &e);
	else if (!strcmp(verb, "list"))
		r = a.json ? proflist_json(a.make.build, ETLIFT_VERSION, &out, &e) : proflist_text(a.make.build, &out, &e);
	fwrite(out.p, 1, out.n, stdout);
	if (r)
		fprintf(stderr, "profile: %s\n", e.msg);
	buf_free(&out);
	free((void *)a.path);
	return r ? 1 : 0;
}
