/* jsonw.c - see jsonw.h */
#include "jsonw.h"

#include <string.h>

#include "wintime.h"

void jsonw_init(struct jsonw *w, struct buf *b, unsigned indent)
{
	memset(w, 0, sizeof(*w));
	w->b = b;
	w->base = indent;
}

static void new_line(struct jsonw *w)
{
	buf_u8(w->b, '\n');
	buf_fill(w->b, ' ', w->depth + w->base);
}

static size_t utf8_length(const unsigned char *s, size_t n, uint32_t *cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;

	if (len == 0 || len > n)
		return 0;
	*cp = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3fu);
	}
	return *cp < least[len] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff) ? 0 : len;
}

/* What a terminal or a reader could be fooled with: Cc, Cf, Zl, Zp. */
static bool needs_escape(uint32_t cp)
{
	return cp < 0x20 || cp == '"' || cp == '\\' || (cp >= 0x7f && cp <= 0x9f) || cp == 0xad || (cp >= 0x600 && cp <= 0x605) ||
	       cp == 0x61c || cp == 0x6dd || cp == 0x70f || cp == 0x180e || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || (cp >= 0xfdd0 && cp <= 0xfdef) || cp == 0xfeff ||
	       (cp >= 0xfff0 && cp <= 0xfffb) || cp == 0xfffe || cp == 0xffff || cp >= 0xe0000;
}

static void text(struct buf *b, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t left = strlen(s);

	buf_u8(b, '"');
	while (left) {
		uint32_t cp = 0;
		size_t n = utf8_length(p, left, &cp);

		if (!n)
			buf_puts(b, "\xef\xbf\xbd");
		else if (cp == '"' || cp == '\\')
			buf_printf(b, "\\%c", (int)cp);
		else if (!needs_escape(cp))
			buf_put(b, p, n);
		else if (cp < 0x10000)
			buf_printf(b, "\\u%04x", cp);
		else
			buf_printf(b, "\\u%04x\\u%04x", 0xd7c0 + (cp >> 10), 0xdc00 + (cp & 0x3ff));
		n = n ? n : 1;
		p += n;
		left -= n;
	}
	buf_u8(b, '"');
}

/* Comma, line break and key before a value. */
static void lead(struct jsonw *w, const char *key)
{
	if (w->some[w->depth])
		buf_puts(w->b, w->flat ? ", " : ",");
	if (w->depth && !w->flat)
		new_line(w);
	w->some[w->depth] = true;
	if (key) {
		text(w->b, key);
		buf_puts(w->b, ": ");
	}
}

static void open_one(struct jsonw *w, const char *key, bool flat, char first, char last)
{
	lead(w, key);
	buf_u8(w->b, (uint8_t)first);
	if (w->depth + 1 >= JSONW_DEPTH) {
		w->b->failed = true; /* a mistake of ours: no document nests so deep */
		return;
	}
	w->depth++;
	w->some[w->depth] = false;
	w->close[w->depth] = last;
	if (flat && !w->flat)
		w->flat = w->depth;
}

void jsonw_object(struct jsonw *w, const char *key, bool flat)
{
	open_one(w, key, flat, '{', '}');
}

void jsonw_array(struct jsonw *w, const char *key, bool flat)
{
	open_one(w, key, flat, '[', ']');
}

void jsonw_end(struct jsonw *w)
{
	bool flat = w->flat != 0, some = w->some[w->depth];
	char last = w->close[w->depth];

	if (w->flat == w->depth)
		w->flat = 0;
	w->depth--;
	if (!flat && some)
		new_line(w);
	buf_u8(w->b, (uint8_t)last);
}

void jsonw_string(struct jsonw *w, const char *key, const char *s)
{
	lead(w, key);
	if (s)
		text(w->b, s);
	else
		buf_puts(w->b, "null");
}

void jsonw_u64(struct jsonw *w, const char *key, uint64_t v)
{
	lead(w, key);
	buf_printf(w->b, "%llu", (unsigned long long)v);
}

void jsonw_i64(struct jsonw *w, const char *key, int64_t v)
{
	lead(w, key);
	buf_printf(w->b, "%lld", (long long)v);
}

void jsonw_hex(struct jsonw *w, const char *key, uint64_t v)
{
	lead(w, key);
	buf_printf(w->b, "\"0x%llx\"", (unsigned long long)v);
}

void jsonw_bool(struct jsonw *w, const char *key, bool v)
{
	lead(w, key);
	buf_puts(w->b, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w, const char *key)
{
	jsonw_string(w, key, NULL);
}

void jsonw_time(struct jsonw *w, const char *key, int64_t filetime)
{
	char s[WINTIME_STR];

	jsonw_string(w, key, wintime_text(filetime, s) ? s : NULL);
}

void jsonw_guid(struct jsonw *w, const char *key, const struct guid *g)
{
	char s[GUID_STR];

	if (g)
		guid_text(g, s);
	jsonw_string(w, key, g ? s : NULL);
}

void jsonw_raw(struct jsonw *w, const char *key, const void *p, size_t n)
{
	lead(w, key);
	buf_put(w->b, p, n);
}
