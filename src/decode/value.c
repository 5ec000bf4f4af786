/* value.c - see value.h */
#include "value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rd.h"

static const struct dval nothing = {.type = DV_NULL};

/* Bytes of the valid UTF-8 sequence at p[0, n), or 0. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
	uint8_t c = p[0];
	size_t len;

	if (c < 0x80)
		return 1;
	len = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90))
		return 0;
	return len;
}

static char *put_code_point(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

static struct dval text_of(const char *start, const char *end)
{
	struct dval v = {.type = DV_TEXT, .n = (uint32_t)(end - start)};

	v.text = start;
	return v;
}

struct dval dv_text(struct arena *a, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	char *out = arena_alloc(a, n * 3 + 1), *o = out;

	if (!out)
		return nothing;
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len(p + i, n - i);

		if (len) {
			memcpy(o, p + i, len);
			o += len;
			i += len;
		} else {
			o = put_code_point(o, 0xfffd);
			i++;
		}
	}
	*o = 0;
	return text_of(out, o);
}

struct dval dv_utf16(struct arena *a, const uint8_t *p, size_t n_bytes)
{
	size_t n = n_bytes / 2;
	char *out = arena_alloc(a, n * 3 + 1), *o = out;

	if (!out)
		return nothing;
	for (size_t i = 0; i < n; i++) {
		uint32_t c = le16(p + 2 * i);

		if (c < 0x80) {
			*o++ = (char)c;
			continue;
		}
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t lo = c < 0xdc00 && i + 1 < n ? le16(p + 2 * i + 2) : 0;

			if (lo >= 0xdc00 && lo < 0xe000) {
				c = 0x10000 + ((c - 0xd800) << 10) + (lo - 0xdc00);
				i++;
			} else {
				c = 0xfffd;
			}
		}
		o = put_code_point(o, c);
	}
	*o = 0;
	return text_of(out, o);
}

/* Windows-1252, 0x80 .. 0x9f; 0: undefined there. */
static const uint16_t cp1252[32] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
				    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
				    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

struct dval dv_ansi(struct arena *a, const uint8_t *p, size_t n)
{
	char *out, *o;
	size_t i;

	for (i = 0; i < n;) {
		size_t len = utf8_len(p + i, n - i);

		if (!len)
			break;
		i += len;
	}
	if (i == n)
		return dv_text(a, (const char *)p, n);
	out = o = arena_alloc(a, n * 3 + 1);
	if (!out)
		return nothing;
	for (i = 0; i < n; i++) {
		uint32_t c = p[i];

		if (c >= 0x80 && c < 0xa0)
			c = cp1252[c - 0x80] ? cp1252[c - 0x80] : 0xfffd;
		o = put_code_point(o, c);
	}
	*o = 0;
	return text_of(out, o);
}

struct dval dv_sid(struct arena *a, const uint8_t *p, size_t n)
{
	struct dval v = {.type = DV_BYTES, .n = (uint32_t)n};
	uint64_t authority = 0;
	char text[16 + 24 + 15 * 11];
	int len;

	v.bytes = p;
	if (n < 8 || p[0] != 1 || p[1] > 15 || n < 8 + 4 * (size_t)p[1])
		return v;
	for (int i = 2; i < 8; i++)
		authority = authority << 8 | p[i];
	len = snprintf(text, sizeof(text), authority >> 32 ? "S-1-0x%llx" : "S-1-%llu", (unsigned long long)authority);
	for (int i = 0; i < p[1]; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "-%u", le32(p + 8 + 4 * (size_t)i));
	return dv_text(a, text, (size_t)len);
}

struct dval dv_format(struct arena *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return nothing;
	return dv_text(a, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

const struct dval *dv_field(const struct dval *st, const char *name)
{
	if (st->type != DV_STRUCT)
		return NULL;
	for (uint32_t i = 0; i < st->n; i++)
		if (st->fields[i].name[0] == name[0] && strcmp(st->fields[i].name, name) == 0)
			return &st->fields[i].v;
	return NULL;
}
