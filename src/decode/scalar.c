/* scalar.c - see scalar.h */
#include "scalar.h"

#include <string.h>

#include "rd.h"
#include "wintime.h"

#define NO_LENGTH UINT32_MAX

static bool fail(struct cursor *c, const char *why)
{
	c->why = why;
	return false;
}

/* The next n bytes, or NULL. */
static const uint8_t *take(struct cursor *c, uint32_t n)
{
	const uint8_t *p = c->p + c->off;

	if (n > c->n - c->off) {
		fail(c, "the payload ends inside a field");
		return NULL;
	}
	c->off += n;
	return p;
}

uint32_t scalar_fixed_size(unsigned in, unsigned pointer_size)
{
	switch (in) {
	case IN_INT8:
	case IN_UINT8:
	case IN_MOF_ANSICHAR:
		return 1;
	case IN_INT16:
	case IN_UINT16:
	case IN_MOF_UNICODECHAR:
		return 2;
	case IN_INT32:
	case IN_UINT32:
	case IN_FLOAT:
	case IN_BOOLEAN:
	case IN_HEXINT32:
		return 4;
	case IN_INT64:
	case IN_UINT64:
	case IN_DOUBLE:
	case IN_FILETIME:
	case IN_HEXINT64:
		return 8;
	case IN_GUID:
	case IN_SYSTEMTIME:
		return 16;
	case IN_POINTER:
	case IN_MOF_SIZET:
		return pointer_size;
	default:
		return 0;
	}
}

static struct dval make_u(enum dv_type type, uint64_t u)
{
	struct dval v = {.type = type};

	v.u = u;
	return v;
}

static struct dval make_i(int64_t i)
{
	struct dval v = {.type = DV_INT};

	v.i = i;
	return v;
}

static struct dval make_bytes(const uint8_t *p, uint32_t n)
{
	struct dval v = {.type = DV_BYTES, .n = n};

	v.bytes = p;
	return v;
}

static struct dval make_time(uint64_t t)
{
	struct dval v = {.type = DV_TIME};

	if (t > (uint64_t)WINTIME_MAX)
		return make_u(DV_UINT, t);
	v.time = (int64_t)t;
	return v;
}

static struct dval ipv4(struct cursor *c, const uint8_t *p)
{
	return dv_format(c->arena, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
}

/* RFC 5952: the longest run of at least two zero groups becomes "::". */
static struct dval ipv6(struct cursor *c, const uint8_t *p)
{
	char text[48];
	int best = -1, best_n = 1, n = 0;

	for (int i = 0; i < 8; i++) {
		int run = 0;

		while (i + run < 8 && !be16(p + 2 * ((size_t)i + (size_t)run)))
			run++;
		if (run > best_n) {
			best = i;
			best_n = run;
		}
	}
	for (int i = 0; i < 8;) {
		static const char hex[] = "0123456789abcdef";
		unsigned g = be16(p + 2 * (size_t)i);

		if (i == best) {
			text[n++] = ':';
			text[n++] = ':';
			i += best_n;
			continue;
		}
		if (n && text[n - 1] != ':')
			text[n++] = ':';
		for (int shift = 12; shift >= 0; shift -= 4)
			if (g >> shift || shift == 0)
				text[n++] = hex[g >> shift & 15];
		i++;
	}
	return dv_text(c->arena, text, (size_t)n);
}

/* SOCKADDR: family 2 (IPv4) or 23 (IPv6), port in network order; anything else stays bytes. */
static struct dval socket_address(struct cursor *c, const uint8_t *p, uint32_t n)
{
	struct dval a;

	if (n >= 8 && le16(p) == 2)
		return dv_format(c->arena, "%u.%u.%u.%u:%u", p[4], p[5], p[6], p[7], be16(p + 2));
	if (n >= 24 && le16(p) == 23) {
		a = ipv6(c, p + 8);
		if (a.type == DV_TEXT)
			return dv_format(c->arena, "[%s]:%u", a.text, be16(p + 2));
	}
	return make_bytes(p, n);
}

static struct dval system_time(struct cursor *c, const uint8_t *p)
{
	char text[40];
	int64_t t;
	struct dval v = {.type = DV_TIME};
	unsigned y = le16(p), mo = le16(p + 2), d = le16(p + 6), h = le16(p + 8), mi = le16(p + 10), s = le16(p + 12), ms = le16(p + 14);
	struct dval made = dv_format(c->arena, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", y, mo, d, h, mi, s, ms);

	if (made.type != DV_TEXT || made.n >= sizeof(text) || !wintime_parse(made.text, &t))
		return make_bytes(p, 16);
	v.time = t;
	return v;
}

static struct dval integer(struct cursor *c, uint64_t u, unsigned size, bool is_signed, unsigned out, const uint8_t *p)
{
	static const uint64_t sign[9] = {0, 0x80, 0x8000, 0, 0x80000000u, 0, 0, 0, UINT64_C(1) << 63};

	switch (out) {
	case OUT_HEXINT8:
	case OUT_HEXINT16:
	case OUT_HEXINT32:
	case OUT_HEXINT64:
	case OUT_CODE_POINTER:
	case OUT_WIN32ERROR:
	case OUT_NTSTATUS:
	case OUT_HRESULT:
	case OUT_ERRORCODE:
		return make_u(out == OUT_WIN32ERROR ? DV_UINT : DV_HEX, u);
	case OUT_BOOLEAN: {
		struct dval v = {.type = DV_BOOL};

		v.b = u != 0;
		return v;
	}
	case OUT_PORT:
		return make_u(DV_UINT, size == 2 ? be16(p) : u);
	case OUT_IPV4:
		return size == 4 ? ipv4(c, p) : make_u(DV_UINT, u);
	case OUT_STRING:
		if (size == 2)
			return dv_utf16(c->arena, p, 2);
		if (size == 1)
			return dv_ansi(c->arena, p, 1);
		break;
	case OUT_DATETIME:
	case OUT_DATETIME_UTC:
	case OUT_ETWTIME:
	case OUT_CULTURE_INSENSITIVE_DATETIME:
		if (size == 8)
			return make_time(u);
		break;
	default:
		break;
	}
	if (is_signed && (u & sign[size]))
		return make_i((int64_t)(u | ~(sign[size] * 2 - 1)));
	if (is_signed)
		return make_i((int64_t)u);
	return make_u(DV_UINT, u);
}

static bool read_number(struct cursor *c, unsigned in, unsigned out, struct dval *v)
{
	uint32_t size = scalar_fixed_size(in, c->pointer_size);
	const uint8_t *p = take(c, size);
	uint64_t u = 0;
	bool is_signed = in == IN_INT8 || in == IN_INT16 || in == IN_INT32 || in == IN_INT64;

	if (!p)
		return false;
	for (uint32_t i = size; i > 0; i--)
		u = u << 8 | p[i - 1];
	if (in == IN_HEXINT32 || in == IN_HEXINT64 || in == IN_POINTER) {
		*v = out == OUT_IPV4 && size == 4 ? ipv4(c, p) : make_u(DV_HEX, u);
		return true;
	}
	*v = integer(c, u, size, is_signed, out, p);
	return true;
}

static bool read_float(struct cursor *c, unsigned in, struct dval *v)
{
	const uint8_t *p = take(c, in == IN_FLOAT ? 4 : 8);
	uint64_t u;
	uint32_t w;
	float f;

	if (!p)
		return false;
	v->type = in == IN_FLOAT ? DV_FLOAT : DV_DOUBLE;
	v->n = 0;
	if (in == IN_FLOAT) {
		w = le32(p);
		memcpy(&f, &w, sizeof(f));
		v->d = (double)f;
	} else {
		u = le64(p);
		memcpy(&v->d, &u, sizeof(v->d));
	}
	return true;
}

/* A wide string up to its NUL, or `length` characters, or (some writers leave the NUL of the last string out) to the end. */
static bool read_wide(struct cursor *c, uint32_t length, struct dval *v)
{
	uint32_t n = 0, left = c->n - c->off;
	const uint8_t *p = c->p + c->off;

	if (length != NO_LENGTH) {
		if (length > left / 2)
			return fail(c, "a string leaves the payload");
		for (n = 0; n < length && le16(p + 2 * (size_t)n); n++)
			;
		*v = dv_utf16(c->arena, p, 2 * (size_t)n);
		c->off += 2 * length;
		return true;
	}
	while (2 * n + 2 <= left && le16(p + 2 * (size_t)n))
		n++;
	if (2 * n + 2 > left && left % 2) /* without its end, and with half a character left: the field is something else */
		return fail(c, "a string that ends inside a character");
	*v = dv_utf16(c->arena, p, 2 * (size_t)n);
	c->off += 2 * n + 2 <= left ? 2 * n + 2 : left;
	return true;
}

static struct dval narrow_text(struct cursor *c, const uint8_t *p, uint32_t n, unsigned out)
{
	if (out == OUT_UTF8 || out == OUT_JSON || out == OUT_XML)
		return dv_text(c->arena, (const char *)p, n);
	return dv_ansi(c->arena, p, n);
}

static bool read_narrow(struct cursor *c, uint32_t length, unsigned out, struct dval *v)
{
	uint32_t left = c->n - c->off, n;
	const uint8_t *p = c->p + c->off;
	const uint8_t *nul;

	if (length != NO_LENGTH) {
		if (length > left)
			return fail(c, "a string leaves the payload");
		nul = length ? memchr(p, 0, length) : NULL;
		*v = narrow_text(c, p, nul ? (uint32_t)(nul - p) : length, out);
		c->off += length;
		return true;
	}
	nul = left ? memchr(p, 0, left) : NULL;
	n = nul ? (uint32_t)(nul - p) : left;
	*v = narrow_text(c, p, n, out);
	c->off += nul ? n + 1 : n;
	return true;
}

static struct dval binary(struct cursor *c, const uint8_t *p, uint32_t n, unsigned out)
{
	if (out == OUT_IPV6 && n == 16)
		return ipv6(c, p);
	if (out == OUT_IPV4 && n == 4)
		return ipv4(c, p);
	if (out == OUT_SOCKETADDRESS)
		return socket_address(c, p, n);
	return make_bytes(p, n);
}

static bool read_counted(struct cursor *c, unsigned in, unsigned out, struct dval *v)
{
	bool big = in == IN_MOF_REVERSEDCOUNTEDSTRING || in == IN_MOF_REVERSEDCOUNTEDANSISTRING;
	const uint8_t *p = take(c, 2);
	uint32_t n;

	if (!p)
		return false;
	n = big ? be16(p) : le16(p);
	p = take(c, n);
	if (!p)
		return false;
	if (in == IN_COUNTEDBINARY)
		*v = binary(c, p, n, out);
	else if (in == IN_COUNTEDSTRING || in == IN_MOF_COUNTEDSTRING || in == IN_MOF_REVERSEDCOUNTEDSTRING)
		*v = dv_utf16(c->arena, p, n);
	else
		*v = narrow_text(c, p, n, out);
	return true;
}

static bool read_binary(struct cursor *c, uint32_t length, unsigned out, struct dval *v)
{
	const uint8_t *p;

	if (length == NO_LENGTH)
		length = out == OUT_IPV6 ? 16 : NO_LENGTH;
	if (length == NO_LENGTH)
		return fail(c, "a binary field without a length");
	p = take(c, length);
	if (!p)
		return false;
	*v = binary(c, p, length, out);
	return true;
}

static bool read_sid(struct cursor *c, struct dval *v)
{
	uint32_t n, left = c->n - c->off;
	const uint8_t *p = c->p + c->off;

	if (left < 8 || p[1] > 15)
		return fail(c, "no SID where one should be");
	n = 8 + 4 * (uint32_t)p[1];
	p = take(c, n);
	if (!p)
		return false;
	*v = dv_sid(c->arena, p, n);
	return true;
}

/* One zero dword (none), or TOKEN_USER (two pointers) and the SID; the pointers can be zero although a SID follows. */
static bool read_wbem_sid(struct cursor *c, struct dval *v)
{
	uint32_t left = c->n - c->off, skip = 2 * c->pointer_size;
	const uint8_t *p = c->p + c->off;

	if (left >= skip + 8 && p[skip] == 1 && p[skip + 1] <= 15 && left >= skip + 8 + 4 * (uint32_t)p[skip + 1]) {
		c->off += skip;
		return read_sid(c, v);
	}
	v->type = DV_NULL;
	if (left >= 4 && le32(p) == 0) {
		c->off += 4;
		return true;
	}
	return fail(c, "no SID where one should be");
}

static bool read_hexdump(struct cursor *c, struct dval *v)
{
	const uint8_t *p = take(c, 4);
	uint32_t n = p ? le32(p) : 0;

	p = p ? take(c, n) : NULL;
	if (!p)
		return false;
	*v = make_bytes(p, n);
	return true;
}

static bool read_guid(struct cursor *c, struct dval *v)
{
	const uint8_t *p = take(c, 16);
	struct guid *g = p ? arena_alloc(c->arena, sizeof(*g)) : NULL;

	if (!g)
		return fail(c, c->why ? c->why : "out of memory");
	memcpy(g->b, p, 16);
	v->type = DV_GUID;
	v->n = 0;
	v->guid = g;
	return true;
}

static bool read_time(struct cursor *c, unsigned in, struct dval *v)
{
	const uint8_t *p = take(c, in == IN_FILETIME ? 8 : 16);

	if (!p)
		return false;
	*v = in == IN_FILETIME ? make_time(le64(p)) : system_time(c, p);
	return true;
}

bool scalar_count(struct cursor *c)
{
	return ++c->values <= VALUES_MAX(c->n) || fail(c, "more values than an event can hold");
}

bool scalar_read(struct cursor *c, unsigned in, unsigned out, uint32_t length, struct dval *v)
{
	if (!scalar_count(c))
		return false;
	switch (in) {
	case IN_NULL:
		v->type = DV_NULL;
		return true;
	case IN_UNICODESTRING:
		return read_wide(c, length, v);
	case IN_MOF_NONNULLTERMINATEDSTRING:
		return read_wide(c, (c->n - c->off) / 2, v);
	case IN_ANSISTRING:
		return read_narrow(c, length, out, v);
	case IN_MOF_NONNULLTERMINATEDANSISTRING:
		return read_narrow(c, c->n - c->off, out, v);
	case IN_FLOAT:
	case IN_DOUBLE:
		return read_float(c, in, v);
	case IN_BOOLEAN:
		return read_number(c, in, OUT_BOOLEAN, v);
	case IN_MOF_UNICODECHAR:
	case IN_MOF_ANSICHAR:
		return read_number(c, in, OUT_STRING, v);
	case IN_BINARY:
		return read_binary(c, length, out, v);
	case IN_GUID:
		return read_guid(c, v);
	case IN_FILETIME:
	case IN_SYSTEMTIME:
		return read_time(c, in, v);
	case IN_SID:
		return read_sid(c, v);
	case IN_MOF_WBEMSID:
		return read_wbem_sid(c, v);
	case IN_MOF_HEXDUMP:
		return read_hexdump(c, v);
	case IN_COUNTEDSTRING:
	case IN_COUNTEDANSISTRING:
	case IN_COUNTEDBINARY:
	case IN_MOF_COUNTEDSTRING:
	case IN_MOF_COUNTEDANSISTRING:
	case IN_MOF_REVERSEDCOUNTEDSTRING:
	case IN_MOF_REVERSEDCOUNTEDANSISTRING:
		return read_counted(c, in, out, v);
	default:
		if (scalar_fixed_size(in, c->pointer_size))
			return read_number(c, in, out, v);
		return fail(c, "a field of an unknown type");
	}
}
