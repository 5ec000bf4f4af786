/* completion.c - `etlift --completion bash|zsh`: what a shell completes, out of the same tables as --help. */
#include "cli.h"

#include <string.h>

#include "evsink.h"

static void long_options(FILE *f, uint64_t set)
{
	for (int id = 0; id < OPT_COUNT; id++)
		if (set >> id & 1)
			fprintf(f, " --%s", opt_defs[id].long_name);
}

static void names(FILE *f)
{
	for (size_t i = 0; i < n_commands; i++)
		fprintf(f, "%s%s", i ? " " : "", commands[i].name);
}

static void bash(FILE *f)
{
	fprintf(f, "# bash completion for etlift; made by the program itself: see tools/man.sh\n_etlift()\n{\n"
		   "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=\"\" opts i\n\tCOMPREPLY=()\n"
		   "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in -*) ;; *) cmd=${COMP_WORDS[i]}; break ;; "
		   "esac\n\tdone\n"
		   "\tcase $prev in\n");
	fprintf(f, "\t--format) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", evsink_names());
	fprintf(f, "\t--color) COMPREPLY=($(compgen -W 'auto always never' -- \"$cur\")); return ;;\n\tesac\n\tcase $cmd in\n");
	fprintf(f, "\t'') opts='");
	names(f);
	long_options(f, OPTS_ALL);
	fprintf(f, "' ;;\n\tprofile) opts='list show make merge");
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, "profile") == 0)
			long_options(f, commands[i].opts | OPTS_ALL);
	fprintf(f, "' ;;\n");
	for (size_t i = 0; i < n_commands; i++) {
		if (strcmp(commands[i].name, "profile") == 0)
			continue;
		fprintf(f, "\t%s) opts='", commands[i].name);
		long_options(f, commands[i].opts | OPTS_ALL);
		fprintf(f, "' ;;\n");
	}
	fprintf(f, "\t*) opts='' ;;\n\tesac\n\tif [[ -z $cmd || $cur == -* || $cmd == profile ]]; then\n\t\tCOMPREPLY=($(compgen -W "
		   "\"$opts\" -- \"$cur\"))\n"
		   "\tfi\n\t[[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -o filenames -F _etlift "
		   "etlift\n");
}

/* Text inside '...[...]' of _arguments. */
static void zsh_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '[' || *s == ']' || *s == ':')
			fputc('\\', f);
		if (*s == '\'')
			fputs("'\\''", f);
		else
			fputc(*s, f);
	}
}

static void zsh_options(FILE *f, uint64_t set)
{
	for (int id = 0; id < OPT_COUNT; id++) {
		const struct opt_def *d = &opt_defs[id];
		bool many = d->kind == K_LIST || d->kind == K_NUMS || d->kind == K_COUNT;

		if (!(set >> id & 1))
			continue;
		fprintf(f, "\t\t'%s--%s%s[", many ? "*" : "", d->long_name, !d->meta ? "" : d->kind == K_OPT ? "=-" : "=");
		zsh_text(f, d->help);
		fprintf(f, "]");
		if (d->meta) {
			fprintf(f, "%s:", d->kind == K_OPT ? ":" : "");
			zsh_text(f, d->meta);
			if (strcmp(d->long_name, "format") == 0)
				fprintf(f, ":(%s)", evsink_names());
			else
				fprintf(f, ":%s", strcmp(d->long_name, "color") == 0 ? "(auto always never)" : "_files");
		}
		fprintf(f, "'\n");
	}
}

static void zsh(FILE *f)
{
	fprintf(f, "#compdef etlift\n# zsh completion for etlift; made by the program itself: see tools/man.sh\nlocal -a args\nlocal "
		   "cmd=${words[(r)(");
	for (size_t i = 0; i < n_commands; i++)
		fprintf(f, "%s%s", i ? "|" : "", commands[i].name);
	fprintf(f, ")]}\ncase $cmd in\n");
	for (size_t i = 0; i < n_commands; i++) {
		fprintf(f, "%s)\n\targs=(\n", commands[i].name);
		zsh_options(f, commands[i].opts | OPTS_ALL);
		fprintf(f, "\t)\n\t;;\n");
	}
	fprintf(f, "*)\n\targs=(\n");
	zsh_options(f, OPTS_ALL);
	fprintf(f, "\t)\n\t;;\nesac\n_arguments $args '1:command:((");
	for (size_t i = 0; i < n_commands; i++) {
		fprintf(f, "%s%s\\:\"", i ? " " : "", commands[i].name);
		zsh_text(f, commands[i].summary);
		fprintf(f, "\"");
	}
	fprintf(f, "))' '*:file:_files'\n");
}

bool help_completion(FILE *f, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		bash(f);
	else if (strcmp(shell, "zsh") == 0)
		zsh(f);
	else
		return false;
	return true;
}
