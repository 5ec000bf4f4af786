/* term.c - what reaches a terminal: safe text, messages, tables, progress, exit status. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Decodes one UTF-8 character of at most n bytes; returns its length, or 0 when it is none. */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	uint32_t v;

	if (len == 0 || len > n)
		return 0;
	v = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s[i] & 0x3fu);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*cp = v;
	return len;
}

struct range {
	uint32_t from, to;
};

static bool in_ranges(const struct range *r, size_t n, uint32_t cp)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].from && cp <= r[i].to)
			return true;
	return false;
}

/* Control, bidi and invisible format characters (Unicode general categories Cc, Cf, Zl, Zp), noncharacters. */
static bool unsafe(uint32_t cp)
{
	static const struct range bad[] = {{0, 0x1f},          {0x7f, 0x9f},       {0xad, 0xad},      {0x600, 0x605},   {0x61c, 0x61c},
					   {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x180e, 0x180e},  {0x200b, 0x200f}, {0x2028, 0x202e},
					   {0x2060, 0x206f},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},  {0xfff0, 0xfffb}, {0xfffe, 0xffff},
					   {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

	return in_ranges(bad, sizeof(bad) / sizeof(bad[0]), cp);
}

static size_t char_width(uint32_t cp)
{
	static const struct range zero[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x64b, 0x65f},  {0x1ab0, 0x1aff},
					    {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
	static const struct range wide[] = {{0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0xa4cf},  {0xa960, 0xa97f},
					    {0xac00, 0xd7a3}, {0xf900, 0xfaff},   {0xfe30, 0xfe6f},  {0xff00, 0xff60},
					    {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};

	if (in_ranges(zero, sizeof(zero) / sizeof(zero[0]), cp))
		return 0;
	return in_ranges(wide, sizeof(wide) / sizeof(wide[0]), cp) ? 2 : 1;
}

void text_safe(struct buf *out, const char *s)
{
	const unsigned char *p = (const unsigned char *)(s ? s : "");
	size_t left = strlen((const char *)p);

	while (left) {
		uint32_t cp = 0;
		size_t n = utf8_next(p, left, &cp);

		if (n && !unsafe(cp)) {
			buf_put(out, p, n);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				buf_printf(out, "\\x%02x", p[i]);
		}
		p += n;
		left -= n;
	}
}

size_t text_width(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t left = strlen(s), w = 0;

	while (left) {
		uint32_t cp = 0;
		size_t n = utf8_next(p, left, &cp);

		w += n ? char_width(cp) : 1;
		n = n ? n : 1;
		p += n;
		left -= n;
	}
	return w;
}

/* ---- messages ----------------------------------------------------------------------------------------------------------------- */

static void message(struct cli *c, const char *tone, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
static void message(struct cli *c, const char *tone, const char *fmt, va_list ap)
{
	char raw[2 * ERR_MSG_MAX];
	struct buf b;

	vsnprintf(raw, sizeof(raw), fmt, ap);
	buf_init(&b);
	text_safe(&b, raw);
	cli_progress_end(c);
	fprintf(stderr, "%setlift:%s %s\n", c->color_err ? tone : "", c->color_err ? "\033[0m" : "", buf_str(&b));
	buf_free(&b);
}

#define MESSAGE(name, least, tone)                                                                                                         \
	void name(struct cli *c, const char *fmt, ...)                                                                                     \
	{                                                                                                                                  \
		va_list ap;                                                                                                                \
                                                                                                                                           \
		if (c->level < (least))                                                                                                    \
			return;                                                                                                            \
		va_start(ap, fmt);                                                                                                         \
		message(c, tone, fmt, ap);                                                                                                 \
		va_end(ap);                                                                                                                \
	}
MESSAGE(cli_error, -1, "\033[1;31m")
MESSAGE(cli_warn, 0, "\033[1;33m")
MESSAGE(cli_info, 1, "\033[2m")
MESSAGE(cli_debug, 2, "\033[2m")

int cli_status(int code, bool input)
{
	switch (code) {
	case ERR_NOIMAGE:
		return EXIT_INPUT;
	case ERR_NOKERNEL:
		return EXIT_NOKERNEL;
	case ERR_USAGE:
	case ERR_EXISTS:
		return EXIT_USAGE;
	case ERR_INTR:
		return EXIT_INTERRUPTED;
	case ERR_IO:
	case ERR_FORMAT:
	case ERR_TRUNC:
	case ERR_NOTFOUND:
	case ERR_FAULT:
	case ERR_LIMIT:
	case ERR_UNSUPPORTED:
	case ERR_NOTMINE:
		return input ? EXIT_INPUT : EXIT_INTERNAL;
	default:
		return code >= 0 ? EXIT_OK : EXIT_INTERNAL;
	}
}

int cli_fail(struct cli *c, const struct err *e, bool input)
{
	cli_error(c, "%s", e->msg);
	return cli_status(e->code, input);
}

/* ---- progress ----------------------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* "  812 MiB/s, 0:03 left"; nothing in the first moments: it would be a guess. */
static void rate_text(char *out, size_t n, uint64_t ms, uint64_t done, uint64_t total)
{
	double rate = ms ? (double)done * 1000.0 / (double)ms : 0;
	uint64_t left = rate > 0 && total > done ? (uint64_t)((double)(total - done) / rate) : 0;

	out[0] = 0;
	if (ms < 300 || rate <= 0)
		return;
	snprintf(out, n, "  %.0f MiB/s, %llu:%02llu left", rate / 1048576.0, (unsigned long long)(left / 60),
		 (unsigned long long)(left % 60));
}

void cli_progress(struct cli *c, const char *what, uint64_t done, uint64_t total)
{
	static const char bar[] = "##############################";
	unsigned part = total ? (unsigned)((double)done / (double)total * 30.0) : 0;
	char rate[80];
	uint64_t now;

	if (!c->progress)
		return;
	now = now_ms();
	if (c->progress_what != what) {
		c->progress_what = what;
		c->progress_from = now;
	} else if (now - c->progress_last < 100) {
		return;
	}
	c->progress_last = now;
	if (part > 30)
		part = 30;
	rate_text(rate, sizeof(rate), now - c->progress_from, done, total);
	if (total)
		fprintf(stderr, "\r\033[K%s [%-30.*s] %3u%%%s", what, (int)part, bar, (unsigned)((double)done / (double)total * 100.0),
			rate);
	else
		fprintf(stderr, "\r\033[K%s ...", what);
	fflush(stderr);
	c->progress_shown = true;
}

void cli_progress_end(struct cli *c)
{
	if (c->progress_shown)
		fputs("\r\033[K", stderr);
	c->progress_shown = false;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------- */

void table_init(struct table *t, const char *const *titles)
{
	memset(t, 0, sizeof(*t));
	for (; *titles && t->n_cols < TABLE_COLUMNS; titles++) {
		t->right[t->n_cols] = **titles == '>';
		t->head[t->n_cols++] = *titles + (**titles == '>');
	}
}

void table_add(struct table *t, const char *text)
{
	struct buf b;
	char *s;

	buf_init(&b);
	text_safe(&b, text ? text : "-");
	s = strdup(buf_str(&b));
	if (!s || b.failed || arr_reserve((void **)&t->cell, &t->cap, t->n, sizeof(*t->cell)) < 0) {
		free(s);
		t->failed = true;
	} else {
		t->cell[t->n++] = s;
	}
	buf_free(&b);
}

void table_addf(struct table *t, const char *fmt, ...)
{
	char s[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	table_add(t, s);
}

static void print_cell(FILE *f, const char *s, size_t width, bool right, bool last)
{
	size_t w = text_width(s), pad = width > w ? width - w : 0;

	if (right)
		fprintf(f, "%*s%s", (int)pad, "", s);
	else
		fprintf(f, "%s%*s", s, last ? 0 : (int)pad, "");
	fputs(last ? "" : "  ", f);
}

int table_print(struct table *t, FILE *f, bool color)
{
	size_t width[TABLE_COLUMNS];
	bool failed = t->failed;

	for (size_t i = 0; i < t->n_cols; i++)
		width[i] = text_width(t->head[i]);
	for (size_t i = 0; t->n_cols && i < t->n; i++) {
		size_t w = text_width(t->cell[i]);

		if (w > width[i % t->n_cols])
			width[i % t->n_cols] = w;
	}
	if (!failed && f) {
		fputs(color ? "\033[1m" : "", f);
		for (size_t i = 0; i < t->n_cols; i++)
			print_cell(f, t->head[i], width[i], t->right[i], i + 1 == t->n_cols);
		fputs(color ? "\033[0m\n" : "\n", f);
		for (size_t i = 0; t->n_cols && i < t->n; i++) {
			size_t col = i % t->n_cols;

			print_cell(f, t->cell[i], width[col], t->right[col], col + 1 == t->n_cols);
			fputs(col + 1 == t->n_cols ? "\n" : "", f);
		}
	}
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i]);
	free(t->cell);
	memset(t, 0, sizeof(*t));
	return failed ? ERR_NOMEM : 0;
}
