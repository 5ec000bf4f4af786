/* err.h - error codes and one line of context.
 *
 * Fallible functions return int: 0 or a count on success, a negative ERR_* on failure. The last parameter is `struct err *e`; it may be
 * NULL (hot paths pay nothing) and is written only on failure. Results are written only on success.
 * A message reads from the outside in: "FILE: header: what". It never ends in a newline and holds no control characters. */
#ifndef ETLIFT_ERR_H
#define ETLIFT_ERR_H

enum {
	ERR_IO = -1,          /* the operating system refused a read or a write */
	ERR_NOMEM = -2,       /* out of memory */
	ERR_FORMAT = -3,      /* it is the thing it says it is, but damaged beyond use */
	ERR_TRUNC = -4,       /* it ends before what was asked for */
	ERR_NOTFOUND = -5,    /* ordinary: there is none */
	ERR_FAULT = -6,       /* ordinary: the page or physical range is not there */
	ERR_LIMIT = -7,       /* a named limit was reached */
	ERR_UNSUPPORTED = -8, /* understood, but this program (or this build of it) can't */
	ERR_USAGE = -9,       /* the caller's words are off */
	ERR_NOTMINE = -10,    /* a probe's ordinary answer: another format */
	ERR_EXISTS = -11,     /* the output is there already */
	ERR_INTR = -12,       /* interrupted by the user */
	ERR_NOIMAGE = -13,    /* input readable, but not a memory image (exit status 3) */
	ERR_NOKERNEL = -14    /* a memory image without kernel, profile or ETW session (exit status 4) */
};

#define ERR_MSG_MAX 512

struct err {
	int code;
	char msg[ERR_MSG_MAX];
};

/* Fills *e (when not NULL) and returns code. Control characters in the result are replaced by '?'. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__
/* The analyser sees one file at a time: told here that what comes back is the code, it knows a failure from a success. */
#define err_set(e, code, ...) ((err_set)((e), (code), __VA_ARGS__), (code))
#endif

/* Puts "PREFIX: " before the message that stands in *e. Keeps the code. Returns e->code (or 0 with e == NULL). */
int err_prepend(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A short word for a code, for logs and tests: "io", "nomem" ... Never NULL. */
const char *err_word(int code);

#endif
