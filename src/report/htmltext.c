/* htmltext.c - see htmltext.h */
#include "htmltext.h"

#include <inttypes.h>
#include <string.h>

#include "wintime.h"

/* One character of UTF-8; returns its length, 0 when it is none. */
static size_t decode(const uint8_t *s, uint32_t *out)
{
	size_t len = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
	uint32_t c = len == 1 ? *s : len ? *s & (0xffu >> (len + 1)) : 0;

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	*out = c;
	return len;
}

/* Characters that show nothing, or change how others show: Unicode's Cc, Cf, Zl, Zp, default ignorable ones and noncharacters. */
static bool shapeless(uint32_t c)
{
	static const uint32_t range[][2] = {{0, 0x1f},          {0x7f, 0x9f},      {0xad, 0xad},     {0x34f, 0x34f},   {0x600, 0x605},
					    {0x61c, 0x61c},     {0x6dd, 0x6dd},    {0x70f, 0x70f},   {0x115f, 0x1160}, {0x17b4, 0x17b5},
					    {0x180b, 0x180f},   {0x200b, 0x200f},  {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
					    {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},  {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb},
					    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++)
		if (c >= range[i][0] && c <= range[i][1])
			return true;
	return (c & 0xfffe) == 0xfffe;
}

void html_esc(struct buf *b, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;

	while (s && *s) {
		uint32_t c = 0;
		size_t len = decode(s, &c);

		if (!len || shapeless(c))
			buf_puts(b, "&#xfffd;");
		else if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
			buf_printf(b, "&#%u;", c);
		else
			buf_put(b, s, len);
		s += len ? len : 1;
	}
}

void html_evidence(struct buf *b, const char *text, const char *none)
{
	if (!text || text[strspn(text, " ")] == '\0') {
		html_esc(b, none);
		return;
	}
	buf_puts(b, "<bdi>");
	html_esc(b, text);
	buf_puts(b, "</bdi>");
}

static void put_time(struct buf *b, int64_t t, int digits)
{
	char s[WINTIME_STR];

	if (t > 0 && wintime_text(t, s))
		buf_printf(b, "<time datetime=\"%.23sZ\">%.10s %.*s</time>", s, s, digits, s + 11);
	else
		buf_puts(b, "unknown");
}

void html_time(struct buf *b, int64_t t)
{
	put_time(b, t, 8);
}

void html_time_ms(struct buf *b, int64_t t)
{
	put_time(b, t, 12);
}

void html_fact_open(struct buf *b, const char *name, bool broad)
{
	buf_printf(b, "<div%s><dt>%s</dt><dd>", broad ? " class=\"broad\"" : "", name);
}

void html_fact_close(struct buf *b)
{
	buf_puts(b, "</dd></div>\n");
}

void html_fact(struct buf *b, const char *name, const char *text)
{
	html_fact_open(b, name, text && strlen(text) > 30);
	html_evidence(b, text, "none");
	html_fact_close(b);
}

void html_fact_time(struct buf *b, const char *name, int64_t t)
{
	html_fact_open(b, name, false);
	html_time_ms(b, t);
	html_fact_close(b);
}

void html_fact_number(struct buf *b, const char *name, bool has, uint64_t v, const char *unit)
{
	html_fact_open(b, name, false);
	if (has)
		buf_printf(b, "%" PRIu64 "%s", v, unit);
	else
		buf_puts(b, "unknown");
	html_fact_close(b);
}

void html_table_open(struct buf *b, const char *caption, const char *const *titles)
{
	buf_printf(b, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s</caption><thead><tr>",
		   caption, caption);
	for (; *titles; titles++) {
		bool number = **titles == '>';

		buf_printf(b, "<th scope=\"col\"%s>%s</th>", number ? " class=\"n\"" : "", *titles + number);
	}
	buf_puts(b, "</tr></thead><tbody>\n");
}

void html_table_close(struct buf *b)
{
	buf_puts(b, "</tbody></table></div>\n");
}

void html_cell_number(struct buf *b, bool has, uint64_t v)
{
	if (has)
		buf_printf(b, "<td class=\"n\">%" PRIu64 "</td>", v);
	else
		buf_puts(b, "<td class=\"n\">?</td>");
}

void html_cell_hex(struct buf *b, bool has, uint64_t v)
{
	if (has)
		buf_printf(b, "<td class=\"mono\">0x%" PRIx64 "</td>", v);
	else
		buf_puts(b, "<td></td>");
}
