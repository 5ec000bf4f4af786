/* main.c - etlift: finds the command, runs it, makes sure that what it printed has arrived. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopped, guarded;

static void on_stop(int sig)
{
	static const char line[] = "etlift: interrupted\n";

	(void)sig;
	stopped = 1;
	if (guarded)
		return;
	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		_exit(EXIT_INTERNAL);
	_exit(EXIT_INTERRUPTED);
}

void cli_guard(void)
{
	guarded = 1;
}

bool cli_stopped(void *unused)
{
	(void)unused;
	return stopped != 0;
}

/* A command that makes files finishes or drops the one it is at, from its first one on (cli_guard); the second signal ends it at once. The others may
 * die of it. */
static void set_signals(const struct command *cmd)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = SIG_IGN; /* a file that may grow no further is a write that fails, with its one line */
	sigaction(SIGXFSZ, &sa, NULL);
	if (!(cmd->does & CMD_FILES))
		return;
	sa.sa_handler = on_stop;
	sa.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sa.sa_flags = 0;
	sigaction(SIGPIPE, &sa, NULL);
}

static void set_terminal(struct cli *c)
{
	const char *want = cli_str(c, OPT_COLOR), *no = getenv("NO_COLOR"), *term = getenv("TERM");
	bool always = want && strcmp(want, "always") == 0, never = want && strcmp(want, "never") == 0;
	bool can = !(no && *no) && term && strcmp(term, "dumb") != 0;

	c->color_out = always || (!never && can && isatty(STDOUT_FILENO));
	c->color_err = always || (!never && can && isatty(STDERR_FILENO));
	c->progress = c->level >= 0 && !cli_flag(c, OPT_NO_PROGRESS) && isatty(STDERR_FILENO);
}

/* A full disk must not look like success. */
static int finish(struct cli *c, int status)
{
	bool bad;

	cli_progress_end(c);
	bad = ferror(stdout) != 0;
	errno = 0;
	if (fflush(stdout) != 0 || close(STDOUT_FILENO) != 0 || bad) {
		if (status != EXIT_INTERNAL) /* else a line stands there already */
			cli_error(c, "standard output: %s", errno ? strerror(errno) : "could not be written");
		if (status == EXIT_OK || status == EXIT_LOSSES)
			status = EXIT_INTERNAL;
	}
	cli_free(c);
	return status;
}

static int run(struct cli *c, int argc, char **argv)
{
	const struct command *cmd;
	struct err e;

	if (argc == 2 && strcmp(argv[1], "--man") == 0) {
		help_man(stdout);
		return EXIT_OK;
	}
	if (argc == 3 && strcmp(argv[1], "--man") == 0 && (cmd = command_find(argv[2]))) {
		help_man_command(stdout, cmd);
		return EXIT_OK;
	}
	if (argc == 3 && strcmp(argv[1], "--completion") == 0) {
		if (help_completion(stdout, argv[2]))
			return EXIT_OK;
		cli_error(c, "--completion: bash or zsh");
		return EXIT_USAGE;
	}
	if (argc >= 2 && strcmp(argv[1], "help") == 0) {
		cmd = argc == 3 ? command_find(argv[2]) : NULL;
		if (argc > 3 || (argc == 3 && !cmd)) {
			cli_error(c, "%s: no such command; see 'etlift --help'", argv[2]);
			return EXIT_USAGE;
		}
		if (cmd)
			help_command(stdout, cmd);
		else
			help_program(stdout);
		return EXIT_OK;
	}
	if (cli_parse(c, argc, argv, &e) < 0)
		return cli_fail(c, &e, false);
	cmd = c->cmd;
	set_terminal(c);
	if (cli_flag(c, OPT_VERSION) || cli_flag(c, OPT_HELP)) {
		if (cli_flag(c, OPT_VERSION))
			help_version(stdout);
		else if (cmd)
			help_command(stdout, cmd);
		else
			help_program(stdout);
		return EXIT_OK;
	}
	if (!cmd) {
		cli_error(c, "no command is given; see 'etlift --help'");
		return EXIT_USAGE;
	}
	if (c->n_args < (size_t)cmd->least || (cmd->most >= 0 && c->n_args > (size_t)cmd->most)) {
		cli_error(c, "%s: %s; usage: etlift %s %s", cmd->name,
			  c->n_args < (size_t)cmd->least ? "an argument is missing" : "too many arguments", cmd->name, cmd->args);
		return EXIT_USAGE;
	}
	set_signals(cmd);
	return cmd->run(c);
}

int main(int argc, char **argv)
{
	struct cli c;

	memset(&c, 0, sizeof(c));
	return finish(&c, run(&c, argc, argv));
}
