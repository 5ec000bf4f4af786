/* err.c - see err.h */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void scrub(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s == 0x7f)
			*s = '?';
}

int(err_set)(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	scrub(e->msg);
	return code;
}

int err_prepend(struct err *e, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	va_list ap;
	int n;

	if (!e)
		return 0;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	scrub(e->msg);
	if ((size_t)n < sizeof(e->msg) - 1 && strncmp(old, e->msg, (size_t)n) == 0 && strncmp(old + n, ": ", 2) == 0)
		memcpy(e->msg, old, sizeof(old)); /* who read it has said so */
	else if ((size_t)n < sizeof(e->msg) - 1)
		snprintf(e->msg + n, sizeof(e->msg) - (size_t)n, ": %s", old);
	scrub(e->msg);
	return e->code;
}

const char *err_word(int code)
{
	static const char *const words[] = {"ok",          "io",    "nomem",   "format", "trunc",       "notfound", "fault",   "limit",
					    "unsupported", "usage", "notmine", "exists", "interrupted", "noimage",  "nokernel"};

	code = -code;
	if (code < 0 || (size_t)code >= sizeof(words) / sizeof(words[0]))
		return "unknown";
	return words[code];
}
