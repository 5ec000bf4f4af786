/* src/decode: TraceLogging types, definitions with references, text and numbers as JSON. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "event.h"
#include "jsonl.h"
#include "rd.h"
#include "schema.h"
#include "tracelogging.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena);
}

static void teardown(void)
{
	arena_free(&arena);
}

TestSuite(decode, .init = setup, .fini = teardown);

struct tl { /* a TraceLogging event being made */
	struct buf meta, data;
};

static void tl_begin(struct tl *t, const char *name)
{
	buf_init(&t->meta);
	buf_init(&t->data);
	buf_u16(&t->meta, 0);
	buf_u8(&t->meta, 0);
	buf_put(&t->meta, name, strlen(name) + 1);
}

/* out < 0: no out-type; count kinds by the high bits of `in`. */
static void tl_field(struct tl *t, const char *name, uint8_t in, int out)
{
	buf_put(&t->meta, name, strlen(name) + 1);
	buf_u8(&t->meta, (uint8_t)(in | (out >= 0 ? 0x80 : 0)));
	if (out >= 0)
		buf_u8(&t->meta, (uint8_t)out);
}

/* The event's data as JSON, or its reason. */
static const char *tl_end(struct tl *t)
{
	static struct buf json;
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	put_le16(t->meta.p, (uint16_t)t->meta.n);
	ev.schema = (struct event_bytes){t->meta.p, (uint32_t)t->meta.n};
	ev.payload = (struct event_bytes){t->data.p, (uint32_t)t->data.n};
	ev.pointer_size = 8;
	buf_free(&json);
	buf_init(&json);
	if (tracelogging_decode(&ev, &arena))
		json_value(&json, &ev.data);
	else
		buf_puts(&json, ev.reason);
	buf_free(&t->meta);
	buf_free(&t->data);
	return buf_str(&json);
}

Test(decode, tracelogging_scalars)
{
	struct tl t;

	tl_begin(&t, "Scalars");
	tl_field(&t, "i8", 3, -1), buf_u8(&t.data, 0xff);
	tl_field(&t, "u8", 4, -1), buf_u8(&t.data, 0xff);
	tl_field(&t, "i16", 5, -1), buf_u16(&t.data, 0x8000);
	tl_field(&t, "u16", 6, -1), buf_u16(&t.data, 0x8000);
	tl_field(&t, "i32", 7, -1), buf_u32(&t.data, 0xfffffffe);
	tl_field(&t, "u32", 8, -1), buf_u32(&t.data, 0xfffffffe);
	tl_field(&t, "i64", 9, -1), buf_u64(&t.data, UINT64_C(0x8000000000000000));
	tl_field(&t, "u64", 10, -1), buf_u64(&t.data, UINT64_MAX);
	tl_field(&t, "f32", 11, -1), buf_u32(&t.data, 0x3dcccccd);
	tl_field(&t, "f64", 12, -1), buf_u64(&t.data, UINT64_C(0x3fb999999999999a));
	tl_field(&t, "bool32", 13, -1), buf_u32(&t.data, 1);
	tl_field(&t, "hex32", 20, -1), buf_u32(&t.data, 0xabc);
	tl_field(&t, "hex64", 21, -1), buf_u64(&t.data, UINT64_C(0x123456789abcdef0));
	cr_assert_str_eq(tl_end(&t),
			 "{\"i8\":-1,\"u8\":255,\"i16\":-32768,\"u16\":32768,\"i32\":-2,\"u32\":4294967294,\"i64\":-9223372036854775808,"
			 "\"u64\":18446744073709551615,\"f32\":0.1,\"f64\":0.1,\"bool32\":true,\"hex32\":\"0xabc\","
			 "\"hex64\":\"0x123456789abcdef0\"}");
}

Test(decode, tracelogging_text_and_binary)
{
	struct tl t;

	tl_begin(&t, "Text");
	tl_field(&t, "w", 1, -1), buf_put(&t.data, "h\0i\0\0\0", 6);
	tl_field(&t, "a", 2, -1), buf_put(&t.data, "a\"\n\0", 4);
	tl_field(&t, "cw", 22, -1), buf_put(&t.data, "\x04\0x\0y\0", 6);
	tl_field(&t, "ca", 23, 35), buf_put(&t.data, "\x02\0\xc3\xa9", 4);
	tl_field(&t, "bin", 14, -1), buf_put(&t.data, "\x03\0\x01\x02\xff", 5);
	tl_field(&t, "v6", 14, 9), buf_put(&t.data, "\x10\0\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 18);
	tl_field(&t, "sock", 14, 10), buf_put(&t.data, "\x08\0\x02\0\x01\xbb\x7f\0\0\x01", 10);
	tl_field(&t, "sid", 19, -1), buf_put(&t.data, "\x01\x02\0\0\0\0\0\x05\x20\0\0\0\x20\x02\0\0", 16);
	tl_field(&t, "guid", 15, -1), buf_put(&t.data, "\x10\xb7\x88\x2b\x93\x1c\x7c\x4f\xb0\x6c\x65\x5e\xcc\x50\xde\xcc", 16);
	cr_assert_str_eq(tl_end(&t),
			 "{\"w\":\"hi\",\"a\":\"a\\\"\\u000a\",\"cw\":\"xy\",\"ca\":\"\xc3\xa9\",\"bin\":\"0102ff\",\"v6\":\"2001:db8::1\","
			 "\"sock\":\"127.0.0.1:443\",\"sid\":\"S-1-5-32-544\",\"guid\":\"2b88b710-1c93-4f7c-b06c-655ecc50decc\"}");
}

Test(decode, tracelogging_out_types)
{
	struct tl t;

	tl_begin(&t, "Out");
	tl_field(&t, "ip", 8, 8), buf_put(&t.data, "\xc0\xa8\x01\x02", 4);
	tl_field(&t, "port", 6, 7), buf_put(&t.data, "\x01\xbb", 2);
	tl_field(&t, "bool8", 4, 3), buf_u8(&t.data, 1);
	tl_field(&t, "hex16", 6, 4), buf_u16(&t.data, 0x1f);
	tl_field(&t, "hr", 7, 15), buf_u32(&t.data, 0x80070005);
	tl_field(&t, "nt", 8, 14), buf_u32(&t.data, 0xc0000022);
	tl_field(&t, "err", 8, 13), buf_u32(&t.data, 5);
	tl_field(&t, "ft", 17, -1), buf_u64(&t.data, UINT64_C(116444736000000000));
	tl_field(&t, "st", 18, 38), buf_put(&t.data, "\xe8\x07\x02\0\x04\0\x1d\0\x0c\0\x22\0\x38\0\x4e\0", 16);
	cr_assert_str_eq(
		tl_end(&t),
		"{\"ip\":\"192.168.1.2\",\"port\":443,\"bool8\":true,\"hex16\":\"0x1f\",\"hr\":\"0x80070005\",\"nt\":\"0xc0000022\","
		"\"err\":5,\"ft\":\"1970-01-01T00:00:00.0000000Z\",\"st\":\"2024-02-29T12:34:56.0780000Z\"}");
}

Test(decode, tracelogging_arrays_and_structs)
{
	struct tl t;

	tl_begin(&t, "Arrays");
	tl_field(&t, "var", 6 | 0x40, -1), buf_put(&t.data, "\x02\0\x01\0\x02\0", 6);
	tl_field(&t, "con", 4 | 0x20, -1), buf_u16(&t.meta, 3), buf_put(&t.data, "\x07\x08\x09", 3);
	tl_field(&t, "s", 24, 2);
	tl_field(&t, "a", 4, -1), buf_u8(&t.data, 1);
	tl_field(&t, "b", 2, -1), buf_put(&t.data, "x\0", 2);
	tl_field(&t, "list", 24 | 0x40, 1);
	tl_field(&t, "n", 4, -1), buf_put(&t.data, "\x02\0\x05\x06", 4);
	tl_field(&t, "none", 24 | 0x40, 1);
	tl_field(&t, "n", 4, -1), buf_put(&t.data, "\0\0", 2);
	tl_field(&t, "last", 4, -1), buf_u8(&t.data, 9);
	cr_assert_str_eq(
		tl_end(&t),
		"{\"var\":[1,2],\"con\":[7,8,9],\"s\":{\"a\":1,\"b\":\"x\"},\"list\":[{\"n\":5},{\"n\":6}],\"none\":[],\"last\":9}");
}

Test(decode, tracelogging_that_does_not_fit_is_refused)
{
	struct tl t;

	tl_begin(&t, "Long");
	tl_field(&t, "a", 4, -1), buf_put(&t.data, "\x01\x02", 2);
	cr_assert_str_eq(tl_end(&t), "the schema does not consume the payload");
	tl_begin(&t, "Short");
	tl_field(&t, "a", 8, -1), buf_put(&t.data, "\x01\x02", 2);
	cr_assert_str_eq(tl_end(&t), "the payload ends inside a field");
	tl_begin(&t, "Broken");
	buf_put(&t.meta, "abc", 3);
	cr_assert_str_eq(tl_end(&t), "broken metadata");
}

/* A definition: {count u16, length u8, wide string of `length` characters, array of `count` structs {u8, pointer}, flags by a bit map}. */
static const char *by_schema(const uint8_t *p, uint32_t n, unsigned pointer_size)
{
	static const uint32_t bits[] = {1, 2, 4};
	static const char *const words[] = {"READ", "WRITE", "EXECUTE"};
	static const struct schema_map map = {.bits = true, .n = 3, .value = bits, .text = words};
	static const struct schema_field f[] = {
		{.name = "Count", .in = IN_UINT16, .length_ref = -1, .count_ref = -1, .count = 1},
		{.name = "Length", .in = IN_UINT8, .length_ref = -1, .count_ref = -1, .count = 1},
		{.name = "Text", .in = IN_UNICODESTRING, .length_ref = 1, .count_ref = -1, .count = 1},
		{.name = "Items", .in = IN_STRUCT, .length_ref = -1, .count_ref = 0, .is_array = true, .n_members = 2},
		{.name = "Kind", .in = IN_UINT8, .length_ref = -1, .count_ref = -1, .count = 1},
		{.name = "Where", .in = IN_POINTER, .length_ref = -1, .count_ref = -1, .count = 1},
		{.name = "Access", .in = IN_UINT32, .length_ref = -1, .count_ref = -1, .count = 1, .map = &map},
	};
	static const struct schema s = {.source = SCHEMA_MANIFEST, .n_fields = 7, .fields = f};
	static struct buf json;
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.payload = (struct event_bytes){p, n};
	ev.pointer_size = pointer_size;
	buf_free(&json);
	buf_init(&json);
	if (schema_decode(&ev, &s, &arena))
		json_value(&json, &ev.data);
	else
		buf_puts(&json, ev.reason);
	return buf_str(&json);
}

Test(decode, definitions_with_references)
{
	static const uint8_t p[] = {2, 0, 2, 'o', 0, 'k', 0, 7, 1, 2, 3, 4, 8, 5, 6, 7, 8, 5, 0, 0, 0};

	cr_assert_str_eq(by_schema(p, sizeof(p), 4),
			 "{\"Count\":2,\"Length\":2,\"Text\":\"ok\",\"Items\":[{\"Kind\":7,\"Where\":\"0x4030201\"},"
			 "{\"Kind\":8,\"Where\":\"0x8070605\"}],\"Access\":\"READ|EXECUTE\"}");
	cr_assert_str_eq(by_schema(p, sizeof(p), 8), "the payload ends inside a field");
	cr_assert_str_eq(by_schema(p, sizeof(p) - 1, 4), "the payload ends inside a field");
	for (uint32_t n = 0; n < sizeof(p); n++)
		cr_assert_neq(by_schema(p, n, 4)[0], '{', "%u bytes", n);
}

Test(decode, json_is_clean_whatever_the_text)
{
	struct buf b;
	struct dval v;
	static const uint8_t odd[] = {'a', 0x01, 0xff, 0xc3, 0x28, '"', '\\', 0x7f, 0xed, 0xa0, 0x80};

	buf_init(&b);
	v = dv_text(&arena, (const char *)odd, sizeof(odd));
	json_value(&b, &v);
	cr_assert_str_eq(buf_str(&b), "\"a\\u0001\xef\xbf\xbd\xef\xbf\xbd(\\\"\\\\\\u007f\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_clear(&b);
	v = dv_ansi(&arena, (const uint8_t *)"\x80uro \xe9", 6);
	json_value(&b, &v);
	cr_assert_str_eq(buf_str(&b), "\"\xe2\x82\xacuro \xc3\xa9\"");
	buf_clear(&b);
	v = dv_utf16(&arena, (const uint8_t *)"\x3d\xd8\x00\xde\x00\xd8", 6);
	json_value(&b, &v);
	cr_assert_str_eq(buf_str(&b), "\"\xf0\x9f\x98\x80\xef\xbf\xbd\"");
	buf_free(&b);
}
