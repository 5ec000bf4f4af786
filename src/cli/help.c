/* help.c - --help, --version and the manual page, all out of options.def and commands.def. */
#include "cli.h"

#include <string.h>

#include "libraries.h"

/* clang-format off */
const struct command commands[] = {
#define CMD(name, args, least, most, does, opts, summary, about) {#name, args, least, most, does, opts, summary, about, cmd_##name},
#include "commands.def"
#undef CMD
	{0}
};
/* clang-format on */
const size_t n_commands = sizeof(commands) / sizeof(commands[0]) - 1;

static const char program_summary[] = "ETW tracing sessions out of Windows memory images";

static const struct {
	int code;
	const char *text;
} exit_texts[] = {
	{EXIT_OK, "done; what could not be had is named in the report, loss by loss"},
	{EXIT_INTERNAL, "an internal failure: a bug, out of memory, output not writable"},
	{EXIT_USAGE, "usage"},
	{EXIT_INPUT, "the input could not be read, or is not a memory image"},
	{EXIT_NOKERNEL, "a memory image, but no Windows kernel, no usable profile, or no ETW session in it"},
	{EXIT_LOSSES, "only with --strict: done, but with losses"},
	{EXIT_CHECK, "check: a file breaks a rule"},
	{EXIT_INTERRUPTED, "interrupted; what was finished is whole"},
};
#define N_EXIT_TEXTS (sizeof(exit_texts) / sizeof(exit_texts[0]))

static const struct {
	const char *name, *what;
	bool in;
} libraries[] = {
#define LIBRARY(name, in, what) {name, what, in},
	LIBRARIES(LIBRARY)
#undef LIBRARY
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void option_text(char *out, size_t n, const struct opt_def *d)
{
	char dash[5] = "    ";
	const char *m = d->meta;

	if (d->short_name)
		snprintf(dash, sizeof(dash), "-%c, ", d->short_name);
	snprintf(out, n, "%s--%s%s%s%s", dash, d->long_name,
		 !m                 ? ""
		 : d->kind == K_OPT ? "[="
				    : " ",
		 m ? m : "", m && d->kind == K_OPT ? "]" : "");
}

static void help_options(FILE *f, uint64_t set)
{
	for (int id = 0; id < OPT_COUNT; id++) {
		char left[80];

		if (!(set >> id & 1))
			continue;
		option_text(left, sizeof(left), &opt_defs[id]);
		fprintf(f, "  %-32s %s\n", left, opt_defs[id].help);
	}
}

void help_program(FILE *f)
{
	fprintf(f, "etlift - %s\n\nusage: etlift COMMAND [OPTION]... ARGUMENT...\n\ncommands:\n", program_summary);
	for (size_t i = 0; i < n_commands; i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(f, "\noptions of every command:\n");
	help_options(f, OPTS_ALL);
	fprintf(f, "\nexit status:\n");
	for (size_t i = 0; i < N_EXIT_TEXTS; i++)
		fprintf(f, "  %3d  %s\n", exit_texts[i].code, exit_texts[i].text);
	fprintf(f, "\n'etlift COMMAND --help' tells more.\n");
}

void help_command(FILE *f, const struct command *cmd)
{
	fprintf(f, "etlift %s - %s\n\nusage: etlift %s [OPTION]... %s\n\n%s\n\noptions:\n", cmd->name, cmd->summary, cmd->name, cmd->args,
		cmd->about);
	help_options(f, cmd->opts | OPTS_ALL);
}

void help_version(FILE *f)
{
	fprintf(f, "etlift %s\n", ETLIFT_VERSION);
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		fprintf(f, "%-10s %s (%s)\n", libraries[i].name, libraries[i].in ? "built in" : "not built in", libraries[i].what);
}

/* Text for roff: a leading dot or quote and every backslash and dash would mean something. */
static void roff(FILE *f, const char *s)
{
	bool at_start = true;

	for (; *s; s++) {
		if (at_start && (*s == '.' || *s == '\''))
			fputs("\\&", f);
		if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '-')
			fputs("\\-", f);
		else
			fputc(*s, f);
		at_start = *s == '\n';
	}
}

static void man_options(FILE *f, uint64_t set)
{
	for (int id = 0; id < OPT_COUNT; id++) {
		char left[80];
		const char *s = left;

		if (!(set >> id & 1))
			continue;
		option_text(left, sizeof(left), &opt_defs[id]);
		while (*s == ' ')
			s++;
		fputs(".TP\n.B ", f);
		roff(f, s);
		fputs("\n", f);
		roff(f, opt_defs[id].help);
		fputs("\n", f);
	}
}

static void man_exit(FILE *f)
{
	fputs(".SH EXIT STATUS\n", f);
	for (size_t i = 0; i < N_EXIT_TEXTS; i++) {
		fprintf(f, ".TP\n.B %d\n", exit_texts[i].code);
		roff(f, exit_texts[i].text);
		fputs("\n", f);
	}
	fputs(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nwhen set and not empty, \\-\\-color auto means never\n", f);
}

void help_man(FILE *f)
{
	fprintf(f,
		".\\\" Made by the program itself from its option tables; see tools/man.sh.\n.TH ETLIFT 1 \"\" \"etlift %s\" \"User "
		"Commands\"\n",
		ETLIFT_VERSION);
	fputs(".SH NAME\netlift \\- ", f);
	roff(f, program_summary);
	fputs("\n.SH SYNOPSIS\n.B etlift\n.I COMMAND\n[\\fIOPTION\\fR]... \\fIARGUMENT\\fR...\n.SH COMMANDS\n", f);
	for (size_t i = 0; i < n_commands; i++) {
		fputs(".SS etlift ", f);
		roff(f, commands[i].name);
		fputs(" [OPTION]... ", f);
		roff(f, commands[i].args);
		fputs("\n", f);
		roff(f, commands[i].about);
		fputs("\n", f);
		man_options(f, commands[i].opts);
	}
	fputs(".SH OPTIONS OF EVERY COMMAND\n", f);
	man_options(f, OPTS_ALL);
	man_exit(f);
}

void help_man_command(FILE *f, const struct command *cmd)
{
	fprintf(f, ".\\\" Made by the program itself from its option tables.\n.TH ETLIFT-");
	for (const char *s = cmd->name; *s; s++)
		fputc(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s, f);
	fprintf(f, " 1 \"\" \"etlift %s\" \"User Commands\"\n.SH NAME\netlift\\-%s \\- ", ETLIFT_VERSION, cmd->name);
	roff(f, cmd->summary);
	fprintf(f, "\n.SH SYNOPSIS\n.B etlift %s\n[\\fIOPTION\\fR]... ", cmd->name);
	roff(f, cmd->args);
	fputs("\n.SH DESCRIPTION\n", f);
	roff(f, cmd->about);
	fputs("\n.SH OPTIONS\n", f);
	man_options(f, cmd->opts | OPTS_ALL);
	man_exit(f);
	fputs(".SH SEE ALSO\n.BR etlift (1)\n", f);
}
