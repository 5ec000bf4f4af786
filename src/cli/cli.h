/* cli.h - what the commands share: parsed options, exit status, messages, tables.
 *
 * To add a command: a line in commands.def and a cmd_NAME.c with `int cmd_NAME(struct cli *c)`, which returns the exit status. Data goes to
 * standard output, messages go to standard error by cli_warn/cli_info/cli_fail. Text that came from evidence passes text_safe() (the table
 * and message functions do that themselves) before a terminal sees it. */
#ifndef ETLIFT_CLI_H
#define ETLIFT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "buf.h"
#include "err.h"

enum exit_status { /* the contract's */
		   EXIT_OK = 0,
		   EXIT_INTERNAL = 1,
		   EXIT_USAGE = 2,
		   EXIT_INPUT = 3,
		   EXIT_NOKERNEL = 4,
		   EXIT_LOSSES = 5,
		   EXIT_CHECK = 6,
		   EXIT_INTERRUPTED = 130
};

enum opt_id {
#define OPT(id, s, l, kind, meta, help) OPT_##id,
#include "options.def"
#undef OPT
	OPT_COUNT
};

enum opt_kind {
	K_FLAG,
	K_COUNT,
	K_STR,   /* the last one counts */
	K_OPT,   /* --name or --name=value */
	K_LIST,  /* repeatable */
	K_NUM,   /* decimal or 0x hexadecimal */
	K_NUMS,  /* the same, repeatable */
	K_TIME,  /* FILETIME */
	K_CHOICE /* one of the metavar's words */
};

#define O(id) (UINT64_C(1) << OPT_##id)
/* Taken by every command. */
#define OPTS_ALL (O(QUIET) | O(VERBOSE) | O(NO_PROGRESS) | O(COLOR) | O(VERSION) | O(HELP))
/* How to open an image and find its kernel. */
#define OPTS_IMAGE (O(SYMBOLS) | O(PROFILE) | O(NO_BUILTIN) | O(DTB) | O(PAGEFILE) | O(SIDECAR) | O(SPILL) | O(THREADS))

/* What batch hands on to recover. */
#define OPTS_FORWARD                                                                                                                       \
	(O(SYMBOLS) | O(PROFILE) | O(NO_BUILTIN) | O(SPILL) | O(SHA256) | O(STRICT) | O(DEEP) | O(CARVE) | O(LOOSE) | O(SESSION) |         \
	 O(NO_RESIDUAL))

struct opt_def {
	char short_name; /* 0: none */
	const char *long_name;
	enum opt_kind kind;
	const char *meta; /* NULL: no value */
	const char *help;
};
extern const struct opt_def opt_defs[OPT_COUNT];

struct opt_value {
	bool set;
	unsigned count;    /* times given */
	const char *str;   /* K_STR, K_OPT (NULL without a value), K_CHOICE */
	uint64_t num;      /* K_NUM */
	int64_t time;      /* K_TIME */
	const char **list; /* K_LIST; count elements */
	uint64_t *nums;    /* K_NUMS */
	size_t cap;
};

struct cli;

enum { CMD_FILES = 1 };

struct command {
	const char *name, *args;
	int least, most; /* arguments; most -1: any number */
	unsigned does;
	uint64_t opts;
	const char *summary, *about;
	int (*run)(struct cli *c);
};
extern const struct command commands[];
#define CMD(name, args, least, most, does, opts, summary, about) int cmd_##name(struct cli *c);
#include "commands.def"
#undef CMD
extern const size_t n_commands;

struct cli {
	const struct command *cmd; /* NULL before it is known */
	struct opt_value opt[OPT_COUNT];
	const char **arg; /* the words that are no options */
	size_t n_args, cap_args;
	int level; /* -1 quiet, 0, 1 -v, 2 -vv */
	bool color_out, color_err, progress;
	bool progress_shown;       /* a bar stands on the terminal's last line */
	const char *progress_what; /* of the bar; its first and last time in ms */
	uint64_t progress_from, progress_last;
};

/* ---- options (options.c) -------------------------------------------------------------------------------------------------------- */
/* Parses argv[1 ..). 0 or ERR_USAGE with a line in *e. */
int cli_parse(struct cli *c, int argc, char **argv, struct err *e);
void cli_free(struct cli *c);
static inline bool cli_flag(const struct cli *c, enum opt_id o)
{
	return c->opt[o].set;
}
static inline const char *cli_str(const struct cli *c, enum opt_id o)
{
	return c->opt[o].str;
}
/* Decimal or 0x number, all of s. */
bool cli_number(const char *s, uint64_t *out);
/* Shell-like pattern: * and ?; letters compare without case. */
bool cli_glob(const char *pattern, const char *s);

/* ---- help (help.c) ----------------------------------------------------------------------------------------------------------------- */
void help_program(FILE *f);
void help_command(FILE *f, const struct command *cmd);
void help_version(FILE *f);
void help_man(FILE *f); /* the manual page, roff */
void help_man_command(FILE *f, const struct command *cmd);
bool help_completion(FILE *f, const char *shell); /* completion.c; false: no such shell */
const struct command *command_find(const char *name);

/* ---- messages and status (term.c) -------------------------------------------------------------------------------------------------- */
/* Appends s with everything that could steer a terminal or deceive its reader as \xNN: control characters, bidi and invisible format
 * characters, bytes that are no UTF-8. NULL gives nothing. */
void text_safe(struct buf *out, const char *s);
size_t text_width(const char *s); /* columns of safe text */

/* One line "etlift: ..." on standard error: always; unless -q; with -v; with -vv. */
void cli_error(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_info(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_debug(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Exit status for an ERR_* code. `input`: it came from reading what the user gave (then a read failure or a broken format is 3, not 1). */
int cli_status(int code, bool input);
/* Prints *e and returns its status. */
int cli_fail(struct cli *c, const struct err *e, bool input);

/* True once the user has pressed Ctrl-C (or SIGTERM came) in a command with CMD_FILES. `unused` fits stop callbacks. */
bool cli_stopped(void *unused);
/* Before the first file is made such a signal ends the program at once (status 130): it may be looking through a huge image. From this call on it only
 * says so by cli_stopped(). */
void cli_guard(void);

/* Progress on a terminal only: done of total bytes (0: unknown), with rate and time left, at most ten times a second. `what` is kept. */
void cli_progress(struct cli *c, const char *what, uint64_t done, uint64_t total);
void cli_progress_end(struct cli *c);

/* ---- tables ---------------------------------------------------------------------------------------------------------------------------- */
#define TABLE_COLUMNS 16

struct table {
	size_t n_cols;
	const char *head[TABLE_COLUMNS];
	bool right[TABLE_COLUMNS];
	char **cell; /* owned, safe text; n_rows * n_cols */
	size_t n, cap;
	bool failed;
};

/* Column titles, NULL at the end; one that begins with '>' is aligned to the right (the sign is not shown). */
void table_init(struct table *t, const char *const *titles);
void table_add(struct table *t, const char *text); /* next cell, row by row; made safe here; NULL: "-" */
void table_addf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints (f NULL: does not) and frees. 0 or ERR_NOMEM. */
int table_print(struct table *t, FILE *f, bool color);

#endif
